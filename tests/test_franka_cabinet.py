# SPDX-License-Identifier: Apache-2.0
"""Opening a drawer with a Panda: a scripted pull, what is held, rewards, starts, settings."""

from dataclasses import replace
from functools import partial

import gymnasium
import mujoco
import numpy as np
import pytest
from grasping import CABINET_SCENE, follow, pull, pull_legs

from motrix_gym import Randomization, registration, rotations

ENV = "Motrix/FrankaCabinet-v0"
STILL = np.zeros(8, np.float32)


@pytest.fixture
def make(make_quiet):
    """Make environments; by default the arm starts exactly at home and no episode ends by time."""
    return partial(make_quiet, ENV, start_joint_spread=0.0, max_episode_steps=None)


def legs(env, distance):
    """The parts of a pull of the drawer."""
    v = env.simulation.all
    return pull_legs(v.mocap_pos[:, 0].copy(), v.mocap_quat[:, 0].copy(), distance)


def held(info):
    return info["reward_terms"]["grasp"] > 0


def test_a_scripted_pull_opens_the_drawer():
    found = pull(mujoco.MjModel.from_xml_path(str(CABINET_SCENE)), 48)
    assert (found.opening >= 0.30).all()
    assert found.slip.max() < 0.01


def test_rows_start_differently_within_what_is_said(make):
    env = make(512, start_joint_spread=0.125)
    v = env.simulation.all
    turn = rotations.yaw(v.mocap_quat[:, 0]) % (2 * np.pi)
    for values, low, high in (
        (v.mocap_pos[:, 0, 0], 0.97, 1.03),
        (v.mocap_pos[:, 0, 1], -0.05, 0.05),
        (turn, np.pi - 0.1, np.pi + 0.1),
        *((v.qpos[:, i] - env.task.home[i], -0.125, 0.125) for i in range(7)),
    ):
        assert low - 1e-9 <= values.min() < low + 0.1 * (high - low)
        assert high + 1e-9 >= values.max() > high - 0.1 * (high - low)
        assert len(np.unique(values)) == 512
    assert not v.joint("drawer").qpos.any()


def test_a_scripted_pull_succeeds_with_the_handle_held(make):
    env = make(8)
    steps = list(follow(env, legs(env, 0.33)))
    info = steps[-1][4]
    assert info["success"].all()
    assert held(info).all()
    assert (info["metrics"]["opening"] > 0.31).all()


def test_the_handle_is_where_the_physics_has_it(make):
    env = make(4)
    v = env.simulation.all
    v.joint("drawer").qpos[:, 0] = [0.0, 0.1, 0.2, 0.4]
    for row in range(4):
        data = env.simulation.data(row)
        mujoco.mj_kinematics(env.model, data)
        handle, grip = data.site("handle").xpos, data.site("grip")
        np.testing.assert_allclose(env.task._handle(v)[row], handle, atol=1e-12)
        in_hand = grip.xmat.reshape(3, 3).T @ (handle - grip.xpos)
        np.testing.assert_allclose(env.task._handle_in_hand(v)[row], in_hand, atol=1e-12)
        cabinet = data.body("cabinet").xmat.reshape(3, 3)
        relative = grip.xmat.reshape(3, 3).T @ cabinet
        np.testing.assert_allclose(
            env.task._cabinet_axes(v)[row], relative[:, [0, 2]].T.ravel(), atol=1e-12
        )


def test_a_gripper_that_is_told_to_open_does_not_hold(make):
    env = make(2)
    *_, last = follow(env, legs(env, 0.33)[:3])
    assert held(last[4]).all()
    env.simulation.all.ctrl[1, 7] = 0.04
    env.simulation.refresh(np.arange(2))
    assert env.task._held(env.simulation.all).tolist() == [True, False]


def test_closed_fingers_that_push_the_handle_earn_nothing_for_closing(make):
    """A policy that learns to push stays there, and pulls nothing."""
    env = make(2)
    before, around, *_ = legs(env, 0.33)
    push = [replace(leg, opening=0.0) for leg in (before, around)]
    steps = [info for *_, info in follow(env, push)]
    touched = env.task._touch(env.simulation.all).any(axis=1)
    assert touched.all()
    assert not any(info["reward_terms"]["close"].any() for info in steps)


def test_an_open_drawer_is_a_success_at_the_end_also_when_let_go(make):
    env = make(3)
    v = env.simulation.all
    v.joint("drawer").qpos[:, 0] = [0.29, 0.31, 0.31]
    v.joint("drawer").qvel[2] = -1.0  # it closes
    for _ in range(10):
        *_, info = env.step(np.tile(STILL, (3, 1)))
    assert info["success"].tolist() == [False, True, False]
    # A drawer that is not held earns a quarter: 0.31 m is nearly all of what is rewarded.
    reward = info["reward_terms"]["opening"] / env.config.reward_weights["opening"]
    assert reward == pytest.approx(0.25 * v.joint("drawer").qpos[:, 0] / 0.32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"open_distance": 0.5}, "open_distance: 0.5 m, and the drawer opens by 0.4 m"),
        ({"cabinet_x": (0.97, 1.3)}, r"cabinet at \(1.3, -0.05\) m the handle .* out of the robot"),
        ({"cabinet_x": (0.7, 1.0)}, "open by 0.3 m is out of the robot's reach"),
    ],
)
def test_what_cannot_be_opened_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make_vec(ENV, num_envs=1, **settings)


def test_every_physics_that_a_policy_is_tested_with_can_be_made(make):
    task = registration.make_task(ENV)
    for settings in (task.randomized, *task.changes.values()):
        inner = {name.partition(".")[2]: value for name, value in settings.items()}
        make(1, randomization=Randomization(**inner)).step(STILL[None])
