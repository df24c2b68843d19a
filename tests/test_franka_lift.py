# SPDX-License-Identifier: Apache-2.0
"""Lifting a cube with a Panda: actions, what counts as held, rewards, starts, settings."""

import itertools
from functools import partial

import gymnasium
import mujoco
import numpy as np
import pytest
from grasping import CONTROL, Leg, follow, straight_down

from motrix_gym import Randomization, registration, rotations
from motrix_gym.tasks.manipulation.panda import HOME, OPEN

ENV = "Motrix/FrankaLift-v0"
HALF = 0.02  # of the cube's edge (m)
STILL = np.zeros(8, np.float32)


@pytest.fixture
def make(make_quiet):
    """Make environments; by default the arm starts exactly at home and no episode ends by time."""
    return partial(make_quiet, ENV, start_joint_spread=0.0, max_episode_steps=None)


def grasp_legs(env, goal=None):
    """The parts of a grasp of the cube where it lies, and of its lift to ``goal`` if given."""
    cube = env.simulation.all.joint("cube").qpos.copy()
    turn = straight_down(rotations.yaw(cube[:, 3:]))
    above, on = (np.column_stack([cube[:, :2], np.full(env.num_envs, z)]) for z in (0.12, HALF))
    yield Leg(above, turn, 0.9, OPEN)
    yield Leg(on, turn, 0.5, OPEN)
    yield Leg(on, turn, 0.3, 0.0)
    if goal is not None:
        yield Leg(above, turn, 0.5, 0.0)
        yield Leg(goal, turn, 1.0, 0.0)
        yield Leg(goal, turn, 1.8, 0.0)


def grasped(env):
    """Bring every cube between the closed pads; returns the last step."""
    *_, last = follow(env, list(grasp_legs(env)))
    return last


def test_rows_start_differently_within_what_is_said(make):
    env = make(512, start_joint_spread=0.125)
    v = env.simulation.all
    cube = v.joint("cube").qpos
    for values, low, high in (
        (cube[:, 0], 0.4, 0.6),
        (cube[:, 1], -0.25, 0.25),
        (rotations.yaw(cube[:, 3:]), -np.pi / 4, np.pi / 4),
        (v.goal[:, 0], 0.4, 0.6),
        (v.goal[:, 1], -0.25, 0.25),
        (v.goal[:, 2], 0.25, 0.5),
        *((v.qpos[:, i] - HOME[i], -0.125, 0.125) for i in range(7)),
    ):
        assert low - 1e-9 <= values.min() < low + 0.1 * (high - low)
        assert high + 1e-9 >= values.max() > high - 0.1 * (high - low)
        assert len(np.unique(values)) == 512
    np.testing.assert_allclose(cube[:, 2], HALF)
    assert (v.qpos[:, 7:9] == OPEN).all()
    assert not v.qvel.any()


def test_actions_are_speeds_of_the_targets(make):
    env = make(1)
    action = np.array([[0.5, -0.5, 0.1, 0.2, -0.2, 0.3, 1.0, -0.5]], np.float32)
    env.step(action)
    v = env.simulation.all
    np.testing.assert_allclose(v.ctrl[0, :7] - HOME, 1.5 * CONTROL * action[0, :7], atol=1e-8)
    assert v.ctrl[0, 7] == pytest.approx(OPEN - 0.2 * CONTROL * 0.5)


def test_targets_stay_near_the_joints_and_within_the_servos_range(make):
    env = make(2, joint_lead=0.1)
    v = env.simulation.all
    v.qpos[1, 6] = v.ctrl[1, 6] = HOME[6] + np.pi / 2 - 0.01  # near the end of what is allowed
    before = v.qpos.copy()
    for _ in range(10):
        before = v.qpos.copy()
        env.step(np.ones((2, 8), np.float32))
        assert (abs(v.ctrl[:, :7] - before[:, :7]) <= 0.1 + 1e-9).all()
    assert abs(v.ctrl[0, :6] - before[0, :6]).max() == pytest.approx(0.1)  # they do lead
    assert v.ctrl[1, 6] == pytest.approx(HOME[6] + np.pi / 2)
    assert (v.ctrl[:, 7] == OPEN).all()


def test_the_hand_is_where_the_joints_put_it_now(make):
    env = make(8)
    v = env.simulation.all
    v.qvel[:, :7] = np.random.default_rng(0).uniform(-1, 1, (8, 7))
    env.step(np.tile(STILL, (8, 1)))
    for row in range(8):
        data = env.simulation.data(row)
        mujoco.mj_kinematics(env.model, data)
        site = data.site("grip")
        np.testing.assert_allclose(env.task.grip(v)[row], site.xpos, atol=1e-12)
        np.testing.assert_allclose(env.task.hand(v)[row], site.xmat.reshape(3, 3), atol=1e-12)


def test_a_scripted_grasp_succeeds_and_earns_five_times_what_is_possible_without_holding(make):
    env = make(16)
    goal = env.simulation.all.goal.copy()
    steps = list(follow(env, list(grasp_legs(env, goal))))
    assert len(steps) == 250
    earned = np.sum([reward for _, reward, *_ in steps], axis=0)
    info = steps[-1][4]
    assert info["success"].all()
    assert (info["metrics"]["lifted"] == 1).all()
    assert not any(terminated.any() for _, _, terminated, _, _ in steps)
    # Terms that need no hold are at most 1 each, the others 0.
    free = sum(w for term, w in env.config.reward_weights.items() if term in ("reach", "close"))
    assert free * 250 < earned.min() / 5


def test_what_is_not_held_earns_nothing_for_height_or_the_goal(make):
    """A cube in the air at the goal, which nothing holds."""
    env = make(4)
    v = env.simulation.all
    v.joint("cube").qpos[:, :3] = v.goal
    v.joint("cube").qvel[:] = 0
    *_, info = env.step(np.tile(STILL, (4, 1)))
    assert (info["metrics"]["distance"] < 0.05).all()
    for term in ("grasp", "lift", "approach", "at_goal"):
        assert not info["reward_terms"][term].any()
    assert not info["metrics"]["grasped"].any()
    assert not info["metrics"]["lifted"].any()


def held(info):
    return info["reward_terms"]["grasp"] > 0


def test_held_is_between_both_pads(make):
    env = make(4)
    assert held(grasped(env)[4]).all()
    # Beside the pads, out of their reach, and further from the middle than 1.8 cm.
    v = env.simulation.all
    v.joint("cube").qpos[1, 0] += 0.2
    v.joint("cube").qpos[2, 2] += 0.019
    *_, info = env.step(np.tile(STILL, (4, 1)))
    assert held(info).tolist() == [True, False, False, True]


def test_a_gripper_that_is_told_to_open_does_not_hold(make):
    """Nor does one that is told to stay as it is: pads in contact can be anything's doing."""
    env = make(3)
    grasped(env)
    v = env.simulation.all
    v.ctrl[1, 7] = OPEN
    v.ctrl[2, 7] = v.qpos[2, 7]
    touched = [v.sensor(f"{side}_touch").any(axis=1).all() for side in ("left", "right")]
    assert all(touched)  # as in the state before the first physics step
    env.simulation.refresh(np.arange(3))
    assert env.task._held(env.simulation.all).tolist() == [True, False, False]


def test_a_finger_that_is_pressed_on_the_table_does_not_hold(make):
    """The exploit: the cube is squeezed between the pads, one of which is on the table."""
    env = make(4)
    above, on, _ = grasp_legs(env)
    low = on.place - [0, 0, 0.011]  # the pads end 8 mm below the grip: 1 mm above the table
    lower = low - [0, 0, 0.003]
    parts = [
        above,
        Leg(low, on.axes, 0.5, OPEN),
        Leg(low, on.axes, 0.3, 0.0),
        Leg(lower, on.axes, 0.3, 0.0),
        Leg(lower, on.axes, 0.3, 0.0),
    ]
    seen: list[np.ndarray] = []
    for *_, info in follow(env, parts):
        squeezed = env.task._touch(env.simulation.all).all(axis=1)
        seen.append(np.stack([squeezed, info["reward_terms"]["table"] < 0, held(info)]))
    squeezed, on_table, holds = np.stack(seen, axis=1)
    assert ((squeezed & on_table).sum(axis=0) >= 5).all()
    assert holds.any(axis=0).all()  # before a pad was on the table
    assert not (holds & on_table).any()


def test_a_cube_that_is_dragged_along_under_a_finger_is_not_held(make):
    """The closed pads press on its top and pull it over the table."""
    env = make(2)
    v = env.simulation.all
    cube = v.joint("cube").qpos.copy()
    turn = straight_down(rotations.yaw(cube[:, 3:]))
    top = cube[:, :3] + [0, 0, HALF + 0.001]  # the pads end 8 mm below the grip: 7 mm too low
    steps = follow(
        env,
        [
            Leg(top + [0, 0, 0.05], turn, 0.8, 0.0),
            Leg(top, turn, 0.4, 0.0),
            Leg(top - [0.06, 0, 0], turn, 1.0, 0.0),
        ],
    )
    assert not any(held(info).any() for *_, info in steps)
    assert (v.joint("cube").qpos[:, 0] < cube[:, 0] - 0.01).all()


def test_success_is_half_a_second_at_the_goal(make):
    env = make(1, goal_distance=0.05)
    grasped(env)
    v = env.simulation.all
    v.goal = v.joint("cube").qpos[:, :3] + [0, 0, 0.049]
    reached = [bool(env.step(STILL[None])[4]["success"][0]) for _ in range(30)]
    assert reached == [False] * 24 + [True] * 6
    v.goal[:, 2] += 0.01
    assert not env.step(STILL[None])[4]["success"][0]


def test_the_turn_of_a_cube_is_the_same_for_all_poses_that_look_alike(make):
    """The 24 rotations that map a cube to itself: signed permutations of its axes."""
    env = make(24)
    task, v = env.task, env.simulation.all
    generator = np.random.default_rng(0)
    first = generator.normal(size=4)
    matrix = rotations.rotation_matrix(first / np.linalg.norm(first))
    row = 0
    for order in itertools.permutations(range(3)):
        for sign in itertools.product([1, -1], repeat=3):
            other = matrix[:, order] * sign
            if np.linalg.det(other) > 0:
                mujoco.mju_mat2Quat(v.joint("cube").qpos[row, 3:], other.ravel())
                row += 1
    assert row == 24
    turns = task._cube_turn(v)
    np.testing.assert_allclose(turns, turns[:1].repeat(24, axis=0), atol=1e-12)


@pytest.mark.parametrize("turn", [-0.7, 0.0, 0.3])
def test_the_turn_is_four_times_the_angle_between_cube_and_pads(make, turn):
    env = make(1)
    v = env.simulation.all
    v.joint("cube").qpos[:, 3:] = rotations.from_yaw(np.array([turn]))
    # Seen along the hand's axis, which points down, a turn has the other sign. At home the hand is
    # straight down to 0.4 mrad.
    expected = [np.cos(4 * turn), -np.sin(4 * turn)]
    np.testing.assert_allclose(env.task._cube_turn(v)[0], expected, atol=2e-3)


def test_the_episode_ends_when_the_cube_leaves_the_table(make):
    env = make(4, autoreset_mode="DISABLED")
    v = env.simulation.all
    v.joint("cube").qpos[1:, :3] = [[0.91, 0, 0.1], [0.5, 0.38, 0.1], [-0.31, 0, 0.1]]
    _, _, terminated, _, _ = env.step(np.tile(STILL, (4, 1)))
    assert terminated.tolist() == [False, True, True, True]


OTHER = {"cube_size": (0.03, 0.05), "cube_mass": (0.03, 0.2), "cube_friction": (0.6, 1.2)}


def test_a_row_with_another_cube_is_the_model_with_that_cube(make):
    env = make(4, **OTHER)
    v = env.simulation.all
    for row in range(4):
        spec = mujoco.MjSpec.from_file(str(env.task.model_file))
        cube = spec.geom("cube")
        half = v.geom_size[row, env.model.geom("cube").id, 0]
        cube.size[:] = half
        cube.mass = v.body_mass[row, env.model.body("cube").id]
        cube.friction[0] = v.geom_friction[row, env.model.geom("cube").id, 0]
        expected, found = spec.compile(), env.simulation.batch.get_model(row)
        for name in (*env.task.per_world, "dof_invweight0", "body_invweight0", "dof_M0"):
            got, wanted = getattr(found, name), getattr(expected, name)
            np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9, err_msg=name)
        assert v.joint("cube").qpos[row, 2] == pytest.approx(half)
    assert len(np.unique(v.geom_size[:, env.model.geom("cube").id, 0])) == 4


def test_pads_meet_a_cube_of_any_size_at_its_faces(make):
    env = make(8, **OTHER)
    assert held(grasped(env)[4]).all()
    v = env.simulation.all
    half = v.geom_size[:, env.model.geom("cube").id, 0]
    np.testing.assert_allclose(v.qpos[:, 7:9].mean(axis=1), half, atol=0.0005)


def test_the_value_function_sees_the_cubes_physics_and_touch(make):
    env = make(4, privileged=True, **OTHER)
    observations = grasped(env)[0]
    v, geom = env.simulation.all, env.model.geom("cube").id
    np.testing.assert_allclose(observations[:, -5:-3], 1.0)
    mass = v.body_mass[:, env.model.body("cube").id]
    physics = np.stack([mass, v.geom_friction[:, geom, 0], 2 * v.geom_size[:, geom, 0]], axis=1)
    np.testing.assert_allclose(observations[:, -3:], physics, rtol=1e-6)
    assert physics[:, 0].min() >= 0.03
    assert physics[:, 0].max() <= 0.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"goal_z": (0.25, 1.2)}, r"goal_x, goal_y: the goal may be at \(0.4, -0.25, 1.2\) m"),
        ({"goal_x": (0.4, 0.9)}, "the goal may be at .* out of the robot's reach"),
        ({"cube_x": (0.1, 0.6)}, "the cube may be at .* out of the robot's reach"),
        ({"goal_z": (-0.1, 0.5)}, "the goal may be at .* out of the robot's reach"),
        ({"cube_size": (0.04, 0.09)}, "a cube of 0.09 m; the gripper opens to 0.08 m"),
        ({"cube_friction": (0.0, 1.0)}, "at 0 the gripper holds 0 N, and a cube of 0.064 kg"),
        ({"cube_mass": (0.1, 1.0)}, "the gripper holds 7 N, and a cube of 1 kg weighs 9.8 N"),
        (
            {"randomization": Randomization(friction=(0.01, 1.0))},
            "cube_friction: at 0.01 the gripper holds 0.07 N",
        ),
    ],
)
def test_what_cannot_be_grasped_or_reached_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make_vec(ENV, num_envs=1, **settings)


def test_every_physics_that_a_policy_is_tested_with_can_be_made(make):
    task = registration.make_task(ENV)
    for settings in (task.randomized, *task.changes.values()):
        inner = {k.partition(".")[2]: x for k, x in settings.items() if "." in k}
        outer = {k: x for k, x in settings.items() if "." not in k}
        make(1, randomization=Randomization(**inner), **outer).step(STILL[None])
