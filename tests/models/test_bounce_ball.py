# SPDX-License-Identifier: Apache-2.0
"""The ball, the paddle and their contact; what counts as a bounce."""

import gymnasium
import mujoco
import numpy as np
import pytest

from motrix_gym.registration import make_task

ENV = "Motrix/BounceBall-v0"
BALL = 8  # z of the ball in both qpos and qvel
RADIUS = 0.019
HOME = 0.28  # the paddle's top above the floor


@pytest.fixture(scope="module")
def model():
    return make_task(ENV).model


def make(num_envs=8, **kwargs):
    return gymnasium.make_vec(ENV, num_envs=num_envs, num_threads=1, **kwargs)


def at_home(model, height, speed=0.0):
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    data.qpos[BALL], data.qvel[BALL] = HOME + RADIUS + height, speed
    mujoco.mj_forward(model, data)
    return data


def test_paddle_is_level_at_home_and_stays_there(model):
    data = at_home(model, 1.0)
    for _ in range(2):
        np.testing.assert_allclose(data.site("paddle").xpos, (0.59356, 0, HOME), atol=1e-4)
        np.testing.assert_allclose(data.site("paddle").xmat[2::3], (0, 0, 1), atol=1e-4)
        mujoco.mj_step(model, data, 200)
    np.testing.assert_allclose(data.qpos[:6], model.key("home").ctrl, atol=1e-4)


def test_weights(model):
    assert model.body("ball").mass[0] == 0.0027
    assert model.body("ball").inertia == pytest.approx(2 / 3 * 0.0027 * RADIUS**2, rel=0.01)
    arm = [model.body(f"link{i}").mass[0] for i in range(1, 7)]
    assert sum(arm) == pytest.approx(3.604773, rel=1e-9)


@pytest.mark.parametrize("height", [0.05, 0.2, 0.35, 0.5])
def test_ball_gives_back_nine_tenths_of_its_speed(model, height):
    data = at_home(model, height)
    fastest = 0.0
    while data.time < 1 and not (data.qvel[BALL] > 0.2 and data.ncon == 0):
        mujoco.mj_step(model, data)
        fastest = max(fastest, -data.qvel[BALL])
        assert data.qpos[BALL] > HOME  # not pressed in by more than its radius
    assert fastest == pytest.approx(np.sqrt(2 * 9.81 * height), rel=0.02)
    assert data.qvel[BALL] / fastest == pytest.approx(0.9, abs=0.03)


def test_apex_is_the_same_all_through_a_flight():
    env = make()
    env.reset(seed=0)
    task, view = env.unwrapped.task, env.unwrapped.simulation.all
    before = task._apex(view)
    for _ in range(8):
        observations, *_ = env.step(np.zeros((8, 6), np.float32))
        np.testing.assert_allclose(task._apex(view), before, atol=0.002)
    np.testing.assert_allclose(observations[:, -1], before - observations[:, -2], atol=0.002)
    env.close()


def test_rows_start_differently_within_what_is_said():
    env = make(512)
    observations, _ = env.reset(seed=0)
    ball, speed, target = observations[:, :3], observations[:, 5], observations[:, -2]
    for values, low, high in (
        (ball[:, 0], -0.02, 0.02),
        (ball[:, 1], -0.02, 0.02),
        (ball[:, 2], 0.35, 0.45),
        (speed, -0.2, 0.2),
        (target, 0.25, 0.55),
        (observations[:, 12], -0.01, 0.01),
    ):
        assert low - 1e-6 <= values.min() < low + 0.1 * (high - low)
        assert high + 1e-6 >= values.max() > high - 0.1 * (high - low)
        assert len(np.unique(values)) == 512
    env.close()


def test_targets_move_at_a_limited_speed_to_the_action():
    env = make(1)
    env.reset(seed=0)
    home = env.unwrapped.model.key("home").ctrl
    action = np.array([[1, -1, 0.1, 0, 0.5, -0.5]], np.float32)
    reached = []
    for _ in range(8):
        observations, *_ = env.step(action)
        reached.append(observations[0, 24:30])
        np.testing.assert_allclose(
            env.unwrapped.simulation.fields["ctrl"][0], home + reached[-1], atol=1e-6
        )
    np.testing.assert_allclose(reached[0], [0.06, -0.06, 0.03, 0, 0.06, -0.06], atol=1e-6)
    assert abs(np.diff(reached, axis=0)).max() <= 0.06 + 1e-6
    np.testing.assert_allclose(reached[-1], 0.3 * action[0], atol=1e-6)
    env.close()


def test_bounces_are_those_of_the_physics():
    """On a resting paddle a ball bounces lower and lower; only rises of 5 cm count."""
    env = make(4)
    env.reset(seed=1)
    simulation, model = env.unwrapped.simulation, env.unwrapped.model
    twins = [simulation.batch.get_data(row) for row in range(4)]
    control = model.key("home").ctrl
    rises = np.zeros((2, 4))  # faster than what counts, and so much faster that a step sees it
    for _ in range(200):
        *_, info = env.step(np.zeros((4, 6), np.float32))
    for row, data in enumerate(twins):
        falling = False
        for _ in range(200 * 20):
            data.ctrl[:] = control
            mujoco.mj_step(model, data)
            speed = data.qvel[BALL]
            falling |= speed < -0.5
            if falling and data.ncon == 0 and speed > 0:
                rises[:, row] += speed > 1.0, speed > 1.0 + 0.02 * 9.81
                falling = False
    counted = info["metrics"]["bounces"]
    assert ((counted <= rises[0]) & (counted >= rises[1])).all()
    assert counted.min() >= 4
    assert counted.max() < 15
    env.close()


def test_a_dropped_ball_ends_the_episode():
    env = make(4, autoreset_mode="DISABLED")
    env.reset(seed=0)
    qpos = env.unwrapped.simulation.fields["qpos"]
    qpos[0, 6] += 0.5
    qpos[1, 7] -= 0.5
    qpos[2, BALL] = 0.1
    _, _, terminated, truncated, info = env.step(np.zeros((4, 6), np.float32))
    np.testing.assert_array_equal(terminated, [True, True, True, False])
    np.testing.assert_array_equal(info["metrics"]["dropped"], [1, 1, 1, 0])
    assert not truncated.any()
    env.close()


def test_reward_is_highest_for_the_target_height_above_the_middle():
    env = make(4)
    env.reset(seed=0)
    task, fields = env.unwrapped.task, env.unwrapped.simulation.fields
    fields["qvel"][...] = 0.0
    fields["qpos"][:, 6:8] = task._home[:2]
    fields["qpos"][:, BALL] = HOME + fields["target_height"]
    fields["qpos"][1, BALL] += 0.15
    fields["qpos"][2, 6] += 0.1
    fields["qpos"][3, BALL] -= 0.1  # and as fast as a fall from there
    fields["qvel"][3, BALL] = -np.sqrt(2 * 9.81 * 0.1)
    reward = task.rewards(env.unwrapped.simulation.all)["bounce_height"]
    np.testing.assert_allclose(reward, [1, np.exp(-1), np.exp(-1), 1], atol=1e-3)
    env.close()


@pytest.mark.parametrize(
    "setting",
    [
        {"target_heights": (0.5, 0.3)},
        {"target_heights": (0.0, 0.3)},
        {"action_scale": 0.0},
        {"target_speed": -1.0},
        {"drop_radius": 0.0},
    ],
)
def test_impossible_settings_are_refused(setting):
    ((key, _),) = setting.items()
    with pytest.raises(ValueError, match=f"{key} must be"):
        make_task(ENV, **setting)
