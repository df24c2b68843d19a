# SPDX-License-Identifier: Apache-2.0
"""The control tasks by themselves: closed forms against MuJoCo, starts, settings."""

import gymnasium
import mujoco
import numpy as np
import pytest

from motrix_gym.registration import make_task
from motrix_gym.rewards import tolerance
from motrix_gym.tasks.control.cheetah import Cheetah
from motrix_gym.tasks.control.planar import PlanarTree
from motrix_gym.vector_env import MotrixVectorEnv

PLANAR = ["WalkerRun", "CheetahRun", "HopperHop"]
ALL = [*PLANAR, "WalkerStand", "WalkerWalk", "HopperStand", "ReacherEasy", "ReacherHard"]


def make(name, num_envs=6, **kwargs):
    return gymnasium.make_vec(f"Motrix/{name}-v0", num_envs=num_envs, num_threads=1, **kwargs)


def moved(env, steps=7, seed=3):
    """Step with random actions; returns the last step."""
    env.reset(seed=seed)
    stream = np.random.default_rng(seed)
    for _ in range(steps):
        actions = stream.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        step = env.step(actions)
    return step


def derived(env, row):
    """MuJoCo's own derivation of everything from a row's state."""
    base = env.unwrapped
    data = base.simulation.batch.get_data(row)
    mujoco.mj_forward(base.model, data)
    mujoco.mj_subtreeVel(base.model, data)
    return data


@pytest.mark.parametrize("name", PLANAR)
def test_closed_forms_are_what_mujoco_derives(name):
    env = make(name)
    moved(env)
    model, view = env.unwrapped.model, env.unwrapped.simulation.all
    tree = PlanarTree(model)
    root_height = model.body("torso").pos[2] + view.joint("root_z").qpos[:, 0]
    angles, speed = tree.turn(view.qpos), tree.speed(view)
    for row in range(env.num_envs):
        data = derived(env, row)
        turned = data.xmat[1:].reshape(-1, 3, 3)
        np.testing.assert_allclose(np.cos(angles[:, row]), turned[:, 0, 0], atol=1e-12)
        np.testing.assert_allclose(np.sin(angles[:, row]), turned[:, 0, 2], atol=1e-12)
        assert speed[row] == pytest.approx(data.subtree_linvel[1, 0], abs=1e-11)
        for body in range(1, model.nbody):
            height = tree.height(tree.centre(body), view)[row] + root_height[row]
            assert height == pytest.approx(data.xipos[body, 2], abs=1e-12)
        middle = tree.height(tree.centre_of_mass, view)[row] + root_height[row]
        assert middle == pytest.approx(data.subtree_com[1, 2], abs=1e-12)
    env.close()


def test_reacher_sees_its_finger_and_its_target():
    env = make("ReacherHard")
    observations, *_ = moved(env)
    for row in range(env.num_envs):
        data = derived(env, row)
        way = data.geom("target").xpos[:2] - data.geom("finger").xpos[:2]
        np.testing.assert_allclose(observations[row, 2:4], way, atol=1e-7)
    env.close()


def test_reacher_is_rewarded_where_finger_and_target_overlap():
    env = make("ReacherEasy", 256)
    _, rewards, _, _, info = moved(env)
    assert 0 < rewards.sum() < 256
    np.testing.assert_array_equal(info["metrics"]["distance"] <= 0.06, rewards == 1)
    env.close()


@pytest.mark.parametrize("name", ALL)
def test_rewards_lie_between_0_and_1_and_no_episode_ends_early(name):
    env = make(name, 16)
    env.reset(seed=0)
    stream = np.random.default_rng(0)
    for _ in range(60):
        actions = stream.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        _, rewards, terminated, truncated, _ = env.step(actions)
        assert ((rewards >= 0) & (rewards <= 1)).all()
        assert not (terminated | truncated).any()
    assert env.unwrapped.config.max_episode_steps == 1000
    env.close()


def test_rewards_ask_for_what_the_task_is_named_after():
    """Standing ignores speed; walking asks for 1 m/s and running for 8."""
    height, speed = 1.3, 2.0
    for name, moving in (
        ("WalkerStand", 1.0),
        ("WalkerWalk", 1.0),
        ("WalkerRun", tolerance(np.array(speed), (8, np.inf), 4, "linear", 0.5)),
    ):
        task = make_task(f"Motrix/{name}-v0")
        env = MotrixVectorEnv(task, 1, num_threads=1)
        env.reset(seed=0)
        fields = env.simulation.fields
        fields["qpos"][...], fields["qvel"][...] = 0.0, 0.0
        fields["qvel"][:, 1] = speed
        asked = 1.0 if name == "WalkerStand" else (5 * moving + 1) / 6
        assert task.rewards(env.simulation.all)["task"][0] == pytest.approx(asked)
        assert task.measure(env.simulation.all)["height"][0] == pytest.approx(height)
        env.close()


def test_hopper_feels_its_foot():
    env = make("HopperStand", 1)
    env.reset(seed=0)
    simulation = env.unwrapped.simulation
    simulation.fields["qpos"][...] = 0.0
    simulation.fields["qvel"][...] = 0.0
    weight = 9.81 * mujoco.mj_getTotalmass(env.unwrapped.model)
    forces = []
    for _ in range(15):  # it sinks onto its foot, and has no time to fall over
        observations, *_ = env.step(np.zeros((1, 4), np.float32))
        forces.append(np.expm1(observations[0, 13:]).sum())
        np.testing.assert_allclose(
            observations[0, 13:], np.log1p(simulation.fields["sensordata"][0]), rtol=1e-6
        )
    assert max(forces) > weight / 2
    env.close()


def test_cheetah_settles_before_its_episode():
    """The start is the pose drawn and 200 steps of MuJoCo, in each row reset and in no other."""

    class Unsettled(Cheetah):
        settling_steps = 0

    config = make_task("Motrix/CheetahRun-v0").config
    drawn = MotrixVectorEnv(Unsettled(config), 5, num_threads=1)
    drawn.reset(seed=9)
    env = MotrixVectorEnv(Cheetah(config), 5, num_threads=1, autoreset_mode="DISABLED")
    env.reset(seed=[1, 2, 3, 4, 5])
    before = env.simulation.batch.state.copy()
    mask = np.array([True, False, True, False, False])
    seeds = [9, None, 11, None, None]
    observations, _ = env.reset(seed=seeds, options={"reset_mask": mask})
    state = env.simulation.fields
    for row in np.flatnonzero(mask):
        data = drawn.simulation.batch.get_data(int(row))
        assert abs(data.qpos[3:]).max() > 0.1
        mujoco.mj_step(env.model, data, 200)
        np.testing.assert_array_equal(state["qpos"][row], data.qpos)
        np.testing.assert_array_equal(state["qvel"][row], data.qvel)
        np.testing.assert_allclose(observations[row, :8], data.qpos[1:], rtol=1e-6)
    np.testing.assert_array_equal(env.simulation.batch.state[~mask], before[~mask])


def test_a_settling_row_that_diverges_starts_from_the_model():
    class Wild(Cheetah):
        def reset(self, v, rng):
            super().reset(v, rng)
            v.qvel = np.where(v.qpos[:, 3:4] > 0, 1e12, 0.0)

    env = MotrixVectorEnv(Wild(make_task("Motrix/CheetahRun-v0").config), 8, num_threads=1)
    observations, _ = env.reset(seed=0)
    assert np.isfinite(observations).all()
    qpos = env.simulation.fields["qpos"]
    default = (qpos == env.model.qpos0).all(axis=1)
    assert 0 < default.sum() < 8
    np.testing.assert_array_equal(observations[default], 0)

    # Nor does it hide that another row, which is not reset, has diverged.
    wild = int(np.flatnonzero(default)[0])
    sound = (wild + 1) % 8
    env.simulation.fields["qpos"][sound] = np.nan
    mask = np.arange(8) == wild
    env.reset(seed=[0] * 8, options={"reset_mask": mask})
    assert np.isnan(env.simulation.fields["qpos"][sound]).all()
    *_, terminated, _, info = env.step(np.zeros((8, 6), np.float32))
    assert terminated[sound] and info["fault"][sound]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("WalkerRun", {"move_speed": -1.0}),
        ("WalkerRun", {"move_speed": float("nan")}),
        ("CheetahRun", {"run_speed": 0.0}),
        ("HopperHop", {"hop_speed": -2.0}),
        ("HopperHop", {"hop_speed": float("nan")}),
        ("ReacherEasy", {"target_size": 0.0}),
    ],
)
def test_impossible_settings_are_refused(name, setting):
    ((key, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{key} must be a finite number, .*got {value}"):
        make_task(f"Motrix/{name}-v0", **setting)
