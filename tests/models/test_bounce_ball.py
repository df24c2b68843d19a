# SPDX-License-Identifier: Apache-2.0
"""The ball, the paddle and their contact; what counts as a bounce."""

import gymnasium
import mujoco
import numpy as np
import pytest

from motrix_gym.registration import make_task

ENV = "Motrix/BounceBall-v0"
BALL = 8  # z of the ball in both qpos and qvel
TARGETS, HEIGHT, APEX, PLACE, TIME = slice(24, 30), 30, 31, slice(32, 34), 34  # in observations
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


def test_apex_and_landing_are_the_same_all_through_a_flight():
    env = make()
    env.reset(seed=0)
    simulation = env.unwrapped.simulation
    simulation.fields["qvel"][:, 6:8] = np.linspace(-0.5, 0.5, 16).reshape(8, 2)
    before, *_ = env.step(np.zeros((8, 6), np.float32))
    for step in range(1, 8):
        after, *_ = env.step(np.zeros((8, 6), np.float32))
        np.testing.assert_allclose(after[:, APEX], before[:, APEX], atol=0.002)
        np.testing.assert_allclose(after[:, PLACE], before[:, PLACE], atol=0.002)
        np.testing.assert_allclose(after[:, TIME], before[:, TIME] - 0.02 * step, atol=0.002)
    env.close()


def test_rows_start_differently_within_what_is_said():
    env = make(512)
    observations, _ = env.reset(seed=0)
    ball, speed, target = observations[:, :3], observations[:, 5], observations[:, HEIGHT]
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


def test_targets_move_at_the_speed_of_the_action_and_stay_in_range():
    env = make(1)
    env.reset(seed=0)
    home = env.unwrapped.model.key("home").ctrl
    action = np.array([[1, -1, 0.1, 0, 0.5, -0.5]], np.float32)
    for step in range(1, 17):  # then the ball is past the paddle
        observations, *_ = env.step(action)
        expected = np.clip(0.02 * step * action[0], -0.3, 0.3)
        np.testing.assert_allclose(observations[0, TARGETS], expected, atol=1e-6)
        control = env.unwrapped.simulation.fields["ctrl"][0]
        np.testing.assert_allclose(control, home + expected, atol=1e-6)
    assert 0 < expected[2] < expected[0] == pytest.approx(0.3)
    env.close()


def test_bounces_are_those_of_the_physics():
    """On a resting paddle a ball bounces lower and lower; only rises of 5 cm count."""
    env = make(8)
    env.reset(seed=1)
    simulation, model = env.unwrapped.simulation, env.unwrapped.model
    twins = [simulation.batch.get_data(row) for row in range(8)]
    control = model.key("home").ctrl
    for _ in range(200):
        *_, info = env.step(np.zeros((8, 6), np.float32))
    rises = []  # per row, those of the flights that follow a touch
    for data in twins:
        rises.append([])
        touched = False
        for _ in range(200 * 20):
            data.ctrl[:] = control
            speed = data.qvel[BALL]
            mujoco.mj_step(model, data)
            touched |= data.ncon > 0
            if touched and speed > 0 >= data.qvel[BALL]:
                rises[-1].append(data.qpos[BALL] - HOME - RADIUS)
                touched = False
    heights = np.concatenate(rises)
    for low in (0.04, 0.051):  # some that do not count, and some that hardly do
        assert ((heights > low) & (heights < low + 0.009)).any()
    counted = info["metrics"]["bounces"]
    # Physics steps make an apex a millimetre higher or lower than the flight's parabola.
    least, most = ([sum(x > low for x in row) for row in rises] for low in (0.051, 0.049))
    assert ((counted >= least) & (counted <= most)).all()
    assert counted.min() >= 4
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
    task, v = env.unwrapped.task, env.unwrapped.simulation.all
    v.qvel = 0.0
    v.qpos[:, 6:8] = task._home[:2]
    v.qpos[:, BALL] = HOME + v.target_height
    v.qpos[1, BALL] += 0.15
    v.qpos[2, 6] += 0.1
    v.qpos[3, BALL] -= 0.1  # and as fast as a fall from there
    v.qvel[3, BALL] = -np.sqrt(2 * 9.81 * 0.1)
    reward, metrics = task.rewards(v)["bounce_height"], task.measure(v)
    np.testing.assert_allclose(reward, [1, np.exp(-1), np.exp(-1), 1], atol=1e-3)
    np.testing.assert_allclose(metrics["height_error"], [0, 0.15, 0, 0], atol=1e-3)
    np.testing.assert_allclose(metrics["horizontal_error"], [0, 0, 0.1, 0], atol=1e-9)
    env.close()


def test_other_rewards_are_for_a_paddle_at_home_and_level_and_for_little_motion():
    env = make(4)
    env.reset(seed=0)
    simulation, task = env.unwrapped.simulation, env.unwrapped.task
    v = simulation.all
    v.qpos, v.qvel = env.unwrapped.model.key("home").qpos, 0.0
    v.qpos[1, 5] += 0.1  # turns the paddle about its own axis
    v.qpos[2, 0] += 0.1  # turns the arm about the vertical
    v.qpos[3, 4] += 0.1  # tilts the paddle
    v.qvel[1, :6], v.action[2] = [1, -1, 2, 0, 0, 0], 0.5
    simulation.refresh(np.arange(4))
    terms = task.rewards(simulation.rows(np.arange(4)))
    np.testing.assert_allclose(terms["joint_velocity"], [0, 6, 0, 0])
    np.testing.assert_allclose(terms["action"], [0, 0, 1.5, 0])
    away = np.linalg.norm(v.site("paddle").xpos - task._home, axis=1)
    tilt = np.linalg.norm(v.site("paddle").xmat.reshape(4, 3, 3)[:, :2, 2], axis=1)
    assert away[2] > 0.05 and tilt[3] > 0.05 and tilt[2] < 1e-3
    wanted = np.exp(-((away / 0.1) ** 2) - (tilt / 0.3) ** 2)
    np.testing.assert_allclose(terms["paddle_home"], wanted, rtol=1e-6)
    np.testing.assert_allclose(terms["paddle_home"][0], 1, atol=1e-3)
    env.close()


@pytest.mark.parametrize(
    "setting",
    [
        {"target_heights": (0.5, 0.3)},
        {"target_heights": (0.0, 0.3)},
        {"target_heights": 0.5},
        {"target_heights": (0.2,)},
        {"target_heights": "ab"},
        {"target_heights": (0.2, float("inf"))},
        {"drop_depth": float("nan")},
        {"target_range": 0.0},
        {"target_speed": -1.0},
        {"drop_radius": 0.0},
        {"physics_timestep": 0.005},  # the ball would gain speed
    ],
)
def test_impossible_settings_are_refused(setting):
    ((key, _),) = setting.items()
    with pytest.raises(ValueError, match=f"{key} must be"):
        make_task(ENV, **setting)


class Bouncer:
    """Bounces the ball by calculation: meets it where it lands, tilted to send it to the axis."""

    def __init__(self, env):
        model, self.most = env.unwrapped.model, env.unwrapped.config.target_speed * 0.02
        data = at_home(model, 0.4)
        place, turn = np.zeros((2, 3, model.nv))
        mujoco.mj_jacSite(model, data, place, turn, model.site("paddle").id)
        # Joint angles for the paddle's x, y, z and its tilts about x and y.
        self.joints = np.linalg.pinv(np.vstack([place, turn[:2]])[:, :6]).T

    def __call__(self, seen):
        height, landing, time = seen[:, HEIGHT], seen[:, PLACE], seen[:, TIME]
        arrives = np.sqrt(2 * 9.81 * (height + seen[:, APEX]).clip(0.01))
        leaves = np.sqrt(2 * 9.81 * height)
        flight = 2 * leaves / 9.81
        turned = -landing / flight[:, None] - seen[:, 3:5]  # change of the horizontal velocity
        tilt = (turned / (arrives + leaves)[:, None]).clip(-0.15, 0.15)
        stroke = ((leaves - 0.9 * arrives) / 1.9).clip(-0.3, 0.8)  # m/s, upwards as they meet
        lift = -stroke * np.where(time < 0.1, time - 0.03, (0.2 - time).clip(0))
        paddle = [*landing.clip(-0.12, 0.12).T, lift, -tilt[:, 1], tilt[:, 0]]
        change = np.stack(paddle, axis=1) @ self.joints - seen[:, TARGETS]
        return (change / self.most).clip(-1, 1).astype(np.float32)


def test_the_ball_can_be_bounced_to_its_target_height():
    env = make(16, max_episode_steps=500)
    bouncer = Bouncer(env)
    seen, _ = env.reset(seed=0)
    errors = []
    for _ in range(500):
        seen, _, terminated, _, info = env.step(bouncer(seen))
        assert not terminated.any()
        errors.append(info["metrics"]["height_error"])
    assert info["metrics"]["bounces"].min() >= 10  # in 10 s
    assert np.mean(errors[100:]) < 0.05
    env.close()
