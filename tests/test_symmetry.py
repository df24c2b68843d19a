# SPDX-License-Identifier: Apache-2.0
"""Mirrors: reflections, and that each task's mirror agrees with its physics."""

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motrix_gym
from motrix_gym import Reflection, registration
from motrix_gym.symmetry import Mirror, exchange, signs
from motrix_gym.tasks.control.hopper import Hopper
from motrix_gym.tasks.control.reacher import Reacher
from motrix_gym.tasks.control.walker import Walker
from motrix_gym.tasks.locomotion.legged import LeggedTask
from motrix_gym.tasks.locomotion.robot import joint_mirror
from motrix_gym.tasks.locomotion.rough import RoughTracking
from motrix_gym.tasks.manipulation.panda import Panda
from motrix_gym.tasks.navigation.course import Course
from motrix_gym.tasks.navigation.pose_goal import PoseGoal
from motrix_gym.terrain import TILE


@st.composite
def reflections(draw):
    """Draw a reflection of up to 8 entries."""
    size = draw(st.integers(1, 8))
    order = draw(st.permutations(range(size)))
    pairs = draw(st.integers(0, size // 2))
    source, sign = list(range(size)), [1.0] * size
    for k in range(pairs):
        i, j = order[2 * k], order[2 * k + 1]
        source[i], source[j] = j, i
        sign[i] = sign[j] = draw(st.sampled_from([1.0, -1.0]))
    for i in order[2 * pairs :]:
        sign[i] = draw(st.sampled_from([1.0, -1.0]))
    return Reflection(tuple(source), tuple(sign))


@given(reflections(), reflections())
def test_two_reflections_are_none(first, second):
    both = first + second
    x = np.random.default_rng(0).normal(size=(3, len(both.source)))
    assert (both(both(x)) == x).all()
    assert (
        both(x)
        == np.concatenate(
            [first(x[:, : len(first.source)]), second(x[:, len(first.source) :])], axis=1
        )
    ).all()


def test_a_reflection_exchanges_and_turns_signs():
    reflection = Reflection((1, 0, 2), (1.0, 1.0, -1.0))
    assert reflection(np.array([[1.0, 2.0, 3.0]])).tolist() == [[2.0, 1.0, -3.0]]


@pytest.mark.parametrize(
    ("source", "sign", "message"),
    [
        ((1, 2, 0), (1.0, 1.0, 1.0), "entry 0 mirrors 1, which does not mirror 0"),
        ((0, 5), (1.0, 1.0), "entry 1 mirrors 5"),
        ((1, 0), (1.0, -1.0), "entries 0 and 1 have signs 1.0 and -1.0"),
        ((0,), (2.0,), "signs 2.0"),
    ],
)
def test_what_is_no_reflection_is_refused(source, sign, message):
    with pytest.raises(ValueError, match=message):
        Reflection(source, sign)


def test_an_image_is_a_full_turn_away():
    mirror = Mirror(signs(1, -1, 1), signs(1), full_turns=(1,))
    observations = np.array([[1.0, 0.5, 2.0], [1.0, -0.5, 2.0]], np.float32)
    image = mirror.image(observations)
    assert image.dtype == np.float32
    assert image == pytest.approx(np.array([[1, 2 * np.pi - 0.5, 2], [1, 0.5 - 2 * np.pi, 2]]))
    assert mirror.image(image) == pytest.approx(observations, abs=1e-6)


MIRRORED = [
    env_id for env_id in motrix_gym.list_envs() if registration.make_task(env_id).mirror is not None
]


def test_go1_has_a_mirror():
    assert "Motrix/Go1-v0" in MIRRORED


@pytest.mark.parametrize("env_id", MIRRORED)
def test_the_mirror_fits_the_spaces(env_id):
    task = registration.make_task(env_id)
    assert task.mirror is not None
    seen = [channel for channel in task.observation if not channel.privileged]
    assert len(task.mirror.observation.source) == sum(channel.width for channel in seen)
    assert len(task.mirror.action.source) == sum(c.size for c in task.action)


LEGGED = [id for id in MIRRORED if isinstance(registration.make_task(id), LeggedTask)]


def assert_images(mirror, left, right):
    """Of most pairs of observations, one is nearly the mirror image of the other."""
    error = np.median(abs(mirror.observation(left) - right), axis=0)
    spread = np.median(abs(left), axis=0)
    assert (error <= 0.1 * spread + 0.05).all()


@pytest.mark.parametrize("env_id", LEGGED)
def test_a_mirrored_state_has_a_mirrored_future(env_id):
    """Five steps; robots differ between left and right by grams, so not exactly."""
    pairs = 32
    rough = issubclass(type(registration.make_task(env_id)), RoughTracking)
    settings = {"terrain": "stairs_down", "terrain_levels": 1} if rough else {}
    env = gymnasium.make_vec(
        env_id, num_envs=2 * pairs, observation_noise=0.0, **settings
    ).unwrapped
    env.reset(seed=0)
    mirror, joints, v = env.task.mirror, joint_mirror(env.model), env.simulation.all
    left, right = slice(0, pairs), slice(pairs, None)
    # Position; quaternion (w, x, y, z) and turning rate, which are axial; velocity.
    joint_qpos, joint_qvel = env.task.qpos_joints.stop, env.task.qvel_joints.stop
    pose, motion = signs(1, -1, 1, 1, -1, 1, -1), signs(1, -1, 1, -1, 1, -1)
    v.qpos[right, :joint_qpos] = (pose + joints)(v.qpos[left, :joint_qpos])
    if rough:
        v.qpos[right, 1] += TILE  # in the plane through the middle of the tile
    if course := isinstance(env.task, Course):  # in the plane x = 0: half a turn further
        v.qpos[right, :2] *= -1
        w, x, y, z = v.qpos[right, 3:7].T
        v.qpos[right, 3:7] = np.stack([-z, -y, x, w], axis=1)
    v.qvel[right, :joint_qvel] = (motion + joints)(v.qvel[left, :joint_qvel])
    if course:
        v.qvel[right, :2] *= -1
        for ball in env.task._balls.qpos if env.task._balls else []:
            v.qpos[right, ball : ball + 3] = v.qpos[left, ball : ball + 3] * [-1, 1, 1]
        for ball in env.task._balls.qvel if env.task._balls else []:
            v.qvel[right, ball : ball + 6] = v.qvel[left, ball : ball + 6] * [-1, 1, 1, 1, -1, -1]
    v.command[right] = v.command[left] * [1, -1, -1]
    if isinstance(env.task, PoseGoal):
        v.goal[right] = v.goal[left] * ([-1, 1, 1] if course else [1, -1, -1])
        v.last_place = v.qpos[:, :2]
        v.elapsed = env.task.config.time_limit - 1.0  # being at the goal is rewarded
    else:
        v.command_time = 100.0
    v.gait_phase[right] = (v.gait_phase[left] + 0.5) % 1.0
    v.geom_friction[right] = v.geom_friction[left]
    env.simulation.refresh(np.arange(2 * pairs))
    v.ctrl = env.task.default_pose
    generator = np.random.default_rng(0)
    for _ in range(5):
        action = generator.uniform(-0.5, 0.5, (pairs, v.ctrl.shape[1])).astype(np.float32)
        actions = np.concatenate([action, mirror.action(action)])
        observations, rewards, terminated, _, _ = env.step(actions)
        assert_images(mirror, observations[left], observations[right])
        assert np.median(abs(rewards[left] - rewards[right])) < 0.05 * np.median(abs(rewards))
        assert (terminated[left] == terminated[right]).mean() > 0.9
    env.close()


MANIPULATION = [id for id in MIRRORED if isinstance(registration.make_task(id), Panda)]


@pytest.mark.parametrize("env_id", MANIPULATION)
def test_a_mirrored_arm_has_a_mirrored_future(env_id):
    """Half a second; the arm's links differ between left and right by millimetres."""
    pairs, arm = 32, signs(-1, 1, -1, 1, -1, 1, -1)
    env = gymnasium.make_vec(env_id, num_envs=2 * pairs).unwrapped
    env.reset(seed=0)
    mirror, v = env.task.mirror, env.simulation.all
    left, right = slice(0, pairs), slice(pairs, None)
    for joints in (v.qpos, v.ctrl):
        joints[right, :7] = env.task.home + arm(joints[left, :7] - env.task.home)
    pose = signs(1, -1, 1, 1, -1, 1, -1)
    if "FrankaLift" in env_id:
        v.qpos[right, 9:] = pose(v.qpos[left, 9:])
        v.goal[right] = v.goal[left] * [1, -1, 1]
    else:
        cabinet = np.concatenate([v.mocap_pos[left, 0], v.mocap_quat[left, 0]], axis=1)
        v.mocap_pos[right, 0], v.mocap_quat[right, 0] = np.split(pose(cabinet), [3], axis=1)
    env.simulation.refresh(np.arange(2 * pairs))
    generator = np.random.default_rng(0)
    for step in range(25):
        if step % 5 == 0:
            action = generator.uniform(-1, 1, (pairs, v.ctrl.shape[1])).astype(np.float32)
        actions = np.concatenate([action, mirror.action(action)])
        observations, rewards, terminated, _, _ = env.step(actions)
        assert_images(mirror, observations[left], observations[right])
        np.testing.assert_allclose(rewards[left], rewards[right], atol=0.01)
        assert (terminated[left] == terminated[right]).all()
    env.close()


PLANAR = {  # the mirror of qpos
    Walker: signs(1, 1, 1) + exchange(3),
    Reacher: signs(-1, -1),
    Hopper: signs(*[1] * 7),
}
TURNING = {Hopper: 2}  # entry of qpos that turns
EXACT = [id for id in MIRRORED if registration.entry(id).task in PLANAR]


@pytest.mark.parametrize("env_id", EXACT)
def test_a_planar_task_has_an_exact_mirror(env_id):
    pairs = 16
    env = gymnasium.make_vec(env_id, num_envs=2 * pairs).unwrapped
    env.reset(seed=0)
    mirror, v = env.task.mirror, env.simulation.all
    left, right = slice(0, pairs), slice(pairs, None)
    v.qpos[right] = PLANAR[type(env.task)](v.qpos[left])
    if entry := TURNING.get(type(env.task)):
        v.qpos[right, entry] -= 2 * np.pi * np.sign(v.qpos[left, entry])
    if isinstance(env.task, Reacher):
        v.mocap_pos[right] = v.mocap_pos[left] * [1, -1, 1]
    generator = np.random.default_rng(0)
    for _ in range(20):
        action = generator.uniform(-1, 1, (pairs, *env.single_action_space.shape))
        actions = np.concatenate([action, mirror.action(action)]).astype(np.float32)
        observations, rewards, *_ = env.step(actions)
        error = mirror.observation(observations[left]) - observations[right]
        full_turns = mirror.turns > 0
        error[:, full_turns] = abs(error[:, full_turns]) - 2 * np.pi
        np.testing.assert_allclose(error, 0.0, atol=1e-3)
        np.testing.assert_allclose(rewards[left], rewards[right], atol=1e-4)
    env.close()


def test_a_full_turn_of_an_entry_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="full_turns has entry 2, an observation has 0 to 1"):
        Mirror(signs(1, 1), signs(1), full_turns=(2,))


def test_every_mirror_is_compared_with_physics():
    assert set(MIRRORED) == {*LEGGED, *MANIPULATION, *EXACT}
