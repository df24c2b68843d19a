# SPDX-License-Identifier: Apache-2.0
"""Walking to a pose: goals, frames, success, metrics, rewards, and that only finishing pays."""

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from reading import channel, term, zeros

import motrix_gym
from motrix_gym import MotrixVectorEnv, Policy, registration, rotations
from motrix_gym.tasks.navigation.course import Course
from motrix_gym.tasks.navigation.pose_goal import PoseGoal

PRETRAINED = Path(__file__).parents[1] / "rl_zoo/pretrained"
WALKING = {  # a policy that walks by commands, for the robot of each id
    "Motrix/AnymalC-v0": "AnymalCWalk-v0",
    "Motrix/VBotFlat-v0": "VBotWalk-v0",
    "Motrix/VBotSection001-v0": "VBotWalk-v0",
}


@pytest.fixture(params=WALKING)
def make(request, make_quiet):
    """Make environments of each task, without noise."""
    return partial(make_quiet, request.param)


def test_every_task_that_navigates_is_audited():
    """The course's in ``test_course``."""
    tasks = {id: registration.make_task(id) for id in motrix_gym.list_envs()}
    audited = {id for id, task in tasks.items() if isinstance(task, Course)} | set(WALKING)
    assert {id for id, task in tasks.items() if isinstance(task, PoseGoal)} == audited


def put(env, place, heading=0.0):
    """Stand all robots still at places (x, y) and headings."""
    v, task = env.simulation.all, env.task
    v.qpos = task.home_qpos
    v.qpos[:, :2] = place
    v.qpos[:, 3:7] = rotations.from_yaw(np.broadcast_to(heading, v.n))
    v.qvel = 0.0
    v.ctrl = task.default_pose
    env.simulation.refresh(np.arange(v.n))


def test_goals_fill_their_ranges(make):
    env = make(4000)
    config, goal = env.config, env.simulation.fields["goal"]
    for column, (low, high) in zip(
        goal.T, (config.goal_x, config.goal_y, config.goal_heading), strict=True
    ):
        width = high - low
        assert low <= column.min() <= low + 0.01 * width
        assert high >= column.max() >= high - 0.01 * width
        assert column.mean() == pytest.approx((low + high) / 2, abs=0.03 * width)


def test_goals_of_the_open_field_are_within_five_metres_at_any_heading():
    for env_id in ("Motrix/AnymalC-v0", "Motrix/VBotFlat-v0"):
        config = registration.entry(env_id).config
        assert (config.goal_x, config.goal_y) == ((-5, 5), (-5, 5))
        assert config.goal_heading == pytest.approx((-np.pi, np.pi))
        assert config.time_limit == config.max_episode_steps * config.control_timestep == 10


def test_the_goal_is_seen_from_the_robot(make):
    env = make(3)
    v = env.simulation.all
    put(env, [[1.0, 2.0]] * 3, [0.0, np.pi / 2, -2.5])
    v.goal = [[4.0, 3.0, 0.0], [1.0, 3.0, np.pi], [1.0, 2.0, 2.5]]
    observations = env.task.observe(v)
    place = channel(env, observations, "goal_position")
    assert place == pytest.approx(np.array([[3, 1], [1, 0], [0, 0]]), abs=1e-6)
    cosine, sine = channel(env, observations, "goal_heading").T
    angle = np.array([0, np.pi / 2, 5 - 2 * np.pi])  # the shorter way round
    assert cosine == pytest.approx(np.cos(angle), abs=1e-6)
    assert sine == pytest.approx(np.sin(angle), abs=1e-6)
    metrics = env.task.measure(v)
    assert metrics["distance"] == pytest.approx(np.array([np.sqrt(10), 1, 0]))
    assert metrics["heading_error"] == pytest.approx(abs(angle), abs=1e-9)


def test_the_time_left_is_over_when_the_episode_is(make):
    env = make(2)
    assert env.config.time_limit == env.config.max_episode_steps * env.task.dt
    left = channel(env, env.task.observe(env.simulation.all), "time_left")
    assert left == pytest.approx(env.config.time_limit)
    env.step(zeros(env))
    env.simulation.fields["elapsed"][0] = env.config.time_limit
    left = channel(env, env.task.observe(env.simulation.all), "time_left")
    assert left[:, 0] == pytest.approx([0, env.config.time_limit - env.task.dt])


def test_the_guide_leads_to_the_goal_within_what_walking_policies_know(make):
    env = make(400)
    v, task = env.simulation.all, env.task
    generator = np.random.default_rng(0)
    place = generator.uniform(-5, 5, (400, 2))
    put(env, 0.0, generator.uniform(-np.pi, np.pi, 400))
    v.goal[:, :2], v.goal[:, 2] = place, generator.uniform(-np.pi, np.pi, 400)
    guide = task._guide(v)
    assert guide.min(axis=0) == pytest.approx([-1, -0.6, -1], abs=1e-9)
    assert guide.max(axis=0) == pytest.approx([1.5, 0.6, 1], abs=1e-9)
    relative = channel(env, task.observe(v), "goal_position")
    across = guide[:, 0] * relative[:, 1] - guide[:, 1] * relative[:, 0]
    assert across == pytest.approx(0, abs=1e-5)
    assert ((guide[:, :2] * relative).sum(axis=1) > 0).all()
    far = np.linalg.norm(relative, axis=1) > 1.1
    assert (guide[far, 2] * relative[far, 1] >= 0).all()  # it turns to where it walks
    put(env, place + 0.5, 0.0)  # at last it turns to the goal's heading
    assert (np.sign(task._guide(v)[:, 2]) == np.sign(v.goal[:, 2])).all()
    put(env, place, v.goal[:, 2] + 0.05)
    assert not task._guide(v).any()


def test_the_command_that_is_observed_is_the_guide(make):
    env = make(8)
    for _ in range(5):
        observations = env.step(zeros(env))[0]
        guide = env.task._guide(env.simulation.all)
        assert channel(env, observations, "command") == pytest.approx(guide, abs=1e-6)


def test_success_is_to_stand_at_the_goal_for_the_last_second(make):
    """Rows: there; too far; turned away; leaves for an instant; arrives in the last second."""
    env = make(5, max_episode_steps=100, start_velocity_spread=0.0)
    v, goal = env.simulation.all, np.array([2.0, 1.0, 0.5])
    v.goal = goal
    near, far = goal[:2] + [0.2, 0.0], goal[:2] + [0.4, 0.0]
    there = np.array([near, far, near, near, far])
    heading = goal[2] + np.radians([10, 0, 20, 10, 0])
    for step in range(100):
        places = there.copy()
        if step == 60:
            places[3] = far
        if step >= 60:
            places[4] = near
        put(env, places, heading)
        *_, truncated, info = env.step(zeros(env))
        assert not info["success"][[1, 2]].any()
        assert info["success"][0] == info["success"][3] == (step >= 49) or step >= 60
    assert truncated.all()
    assert info["success"].tolist() == [True, False, False, False, False]
    assert info["metrics"]["time_to_goal"] == pytest.approx(
        [0.02, env.config.time_limit, env.config.time_limit, 1.24, 1.22]
    )


def test_reaching_the_goal_does_not_end_the_episode_and_a_fall_there_is_no_success(make):
    env = make(2, start_velocity_spread=0.0)
    v = env.simulation.all
    v.goal = [2.0, 1.0, 0.0]
    for _ in range(60):
        put(env, [2.0, 1.0])
        _, _, terminated, truncated, info = env.step(zeros(env))
        assert not (terminated | truncated).any()
    assert info["success"].all()
    v.qpos[0, 3:7] = [0, 1, 0, 0]
    _, _, terminated, _, info = env.step(zeros(env))
    assert terminated.tolist() == [True, False]
    assert info["success"].tolist() == [False, True]
    assert info["metrics"]["fall"].tolist() == [1, 0]


def test_being_there_is_rewarded_in_the_last_two_seconds(make):
    env = make(4, start_velocity_spread=0.0)
    v, limit = env.simulation.all, env.config.time_limit
    v.goal = [2.0, 1.0, 0.0]
    put(env, [[2.0, 1.0], [2.3, 1.0], [2.0, 1.0], [3.0, 1.0]], [0, 0, np.radians(15), 0])
    ideal = np.array([1, 1 / 2, 1 / 2, 1 / (1 + 1 / 0.09)])
    for elapsed, paid in ((0.0, 0), (limit - 2.05, 0), (limit - 2.01, 1), (limit - 0.02, 1)):
        v.elapsed = elapsed
        reward = env.task.rewards(env.simulation.all)["at_goal"]
        assert reward == pytest.approx(paid * ideal, abs=1e-9)


def test_progress_adds_up_to_the_distance_that_was_closed(make):
    env = make(16, seed=3)
    start = env.task.measure(env.simulation.all)["distance"].copy()
    generator, total = np.random.default_rng(0), np.zeros(16)
    for _ in range(30):
        action = generator.uniform(-0.4, 0.4, env.action_space.shape).astype(np.float32)
        _, _, terminated, _, info = env.step(action)
        assert not terminated.any()
        total += term(env, info, "progress")
    assert total == pytest.approx(start - info["metrics"]["distance"])
    assert abs(total).max() > 0.01


def test_the_path_is_what_was_walked_over_the_straight_way(make):
    env = make(2, start_velocity_spread=0.0)
    v = env.simulation.all
    v.goal, v.straight = [4.0, 0.0, 0.0], 4.0
    v.last_place = 0.0
    for place in ([0.0, 3.0], [4.0, 3.0], [4.0, 0.0]):
        put(env, place)
        *_, info = env.step(zeros(env))
    assert info["metrics"]["path_ratio"] == pytest.approx([10 / 4] * 2, abs=0.01)
    v.straight = 0.1  # a goal beside the robot: over 1 m
    *_, info = env.step(zeros(env))
    assert info["metrics"]["path_ratio"] == pytest.approx([10] * 2, abs=0.05)


def test_waiting_is_to_stand_still_far_from_the_goal(make):
    env = make(3)
    v = env.simulation.all
    v.goal = [2.0, 1.0, 0.0]
    put(env, [[1.0, 1.0], [1.0, 1.0], [1.7, 1.0]])
    v.qvel[1, 0] = 0.3
    assert env.task.rewards(env.simulation.all)["waiting"].tolist() == [1, 0, 0]


# The audit: what each way to spend an episode earns.


def behaving(guide):
    """Return how to make a task whose guide is another: what is rewarded stays the same."""

    def make(env_id):
        task = registration.make_task(env_id, observation_noise=0.0)
        original = task._guide
        task._guide = partial(guide, task, original)
        return task

    return make


def finish(task, original, v):
    return original(v)


def idle(task, original, v):
    return np.zeros((v.n, 3))


def hover(task, original, v):
    """Go to a place 1 m from the goal, and stay."""
    goal = v.goal.copy()
    away = goal[:, :2] - v.qpos[:, :2]
    v.goal[:, :2] -= away / np.linalg.norm(away, axis=1, keepdims=True)
    guide = original(v)
    v.goal = goal
    return guide


DISCOUNTS = np.array([1.0, 0.99])[:, None]  # without, and as in trainings


def returns(task, policy, fall_at=None, rows=8):
    """(2, rows) returns of an episode under a walking policy, by discount, and its successes."""
    env = MotrixVectorEnv(task, rows, num_threads=1)
    observations, _ = env.reset(seed=5)
    act, starts = policy.actor(), np.ones(rows, bool)
    total, going, success = np.zeros((2, rows)), np.ones(rows, bool), np.zeros(rows, bool)
    for step in range(task.config.max_episode_steps):
        if step == fall_at:
            env.simulation.fields["qpos"][:, 3:7] = [0, 1, 0, 0]
        action = act(observations[:, : policy.observation_size], starts)
        observations, reward, terminated, truncated, info = env.step(action)
        total += going * DISCOUNTS**step * reward
        starts = terminated | truncated
        success |= going & starts & info["success"]
        going &= ~starts
        if not going.any():
            break
    env.close()
    assert not going.any()
    return total, success


@pytest.mark.parametrize("env_id", WALKING)
def test_only_finishing_pays(env_id):
    """Row by row, from the same starts to the same goals."""
    policy = Policy.load(PRETRAINED / WALKING[env_id])
    finishing = behaving(finish)
    best, success = returns(finishing(env_id), policy)
    assert success.all()
    steps = registration.entry(env_id).config.max_episode_steps
    others = {
        "idling": returns(behaving(idle)(env_id), policy),
        "hovering at 1 m": returns(behaving(hover)(env_id), policy),
        "falling at the goal": returns(finishing(env_id), policy, fall_at=steps - 50),
        "falling at once": returns(finishing(env_id), policy, fall_at=1),
    }
    for what, (total, success) in others.items():
        assert not success.any(), what
        assert (total < best).all(), f"{what}: {total - best}"


# A lower level.

LOWER = str(PRETRAINED / "VBotWalk-v0")


def test_a_lower_level_walks_as_its_policy_does(make_quiet):
    """Commands that are the guide's move the robot as the policy that follows the guide does."""
    direct = make_quiet("Motrix/VBotFlat-v0", 8)
    upper = make_quiet("Motrix/VBotFlat-v0", 8, lower_level=LOWER)
    assert upper.single_action_space.shape == (3,)
    policy, v = Policy.load(LOWER), upper.simulation.all
    observations = direct.task.observe(direct.simulation.all)
    for _ in range(100):
        guide = direct.simulation.fields["command"]
        command = guide / np.where(guide > 0, [1.5, 0.6, 1.0], [1.0, 0.6, 1.0])
        seen, *_ = upper.step(command.astype(np.float32))
        assert channel(upper, seen, "command") == pytest.approx(guide, abs=1e-6)
        observations, *_ = direct.step(policy(observations[:, : policy.observation_size]))
        # The command is rounded to float32, and a walk keeps small differences small.
        np.testing.assert_allclose(v.qpos, direct.simulation.fields["qpos"], rtol=0, atol=1e-3)
    assert (direct.simulation.fields["path"] > 0.5).sum() > 4


def test_an_environment_with_a_lower_level_is_copied(make_quiet):
    env = make_quiet("Motrix/VBotFlat-v0", 2, lower_level=LOWER)
    other, action = pickle.loads(pickle.dumps(env)), np.full((2, 3), 0.5, np.float32)
    assert (other.step(action)[0] == env.step(action)[0]).all()
    other.close()


def test_a_small_command_to_a_lower_level_is_to_stand(make_quiet):
    env = make_quiet("Motrix/VBotFlat-v0", 2, lower_level=LOWER)
    env.step(np.array([[0.06, 0.1, -0.09], [0.06, 0.1, -0.11]], np.float32))
    command = env.simulation.fields["command"]
    assert not command[0].any()
    assert command[1] == pytest.approx([0.09, 0.06, -0.11], abs=1e-6)


def test_commands_to_a_lower_level_are_mirrored():
    mirror = registration.make_task("Motrix/VBotFlat-v0", lower_level=LOWER).mirror
    assert mirror is not None and mirror.action.sign == (1, -1, -1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"lower_level": str(PRETRAINED / "AnymalCWalk-v0")},
            "is a policy for 'Motrix/AnymalCWalk-v0', which does not walk this robot .* action ",
        ),
        (
            {"lower_level": str(PRETRAINED / "CartPole-v0")},
            "'Motrix/CartPole-v0'.* its observation",
        ),
        ({"lower_level": LOWER, "gait_frequency": 2.0}, "gait_clock of the deployment differs"),
        ({"lower_level": LOWER, "action_scale": 0.4}, "action of the deployment differs"),
        ({"lower_level": "nowhere"}, "nowhere/policy.json cannot be read"),
        ({"lower_level": ""}, "lower_level must be text that is not empty"),
    ],
)
def test_a_lower_level_that_does_not_walk_the_robot_is_named(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        registration.make_task("Motrix/VBotFlat-v0", **settings)
    assert "\n" not in str(error.value)


# The arena.


@pytest.fixture
def arena(make_quiet):
    return partial(make_quiet, "Motrix/VBotSection001-v0")


def test_robots_start_on_the_ring_and_look_to_the_middle(arena):
    env = arena(2000)
    qpos = env.simulation.fields["qpos"]
    radius, angle = np.hypot(*qpos[:, :2].T), np.arctan2(*qpos[:, 1::-1].T)
    assert 10.8 <= radius.min() < 10.81 and 10.99 < radius.max() <= 11
    assert abs(np.exp(1j * angle).mean()) < 0.06 and np.ptp(angle) > 1.98 * np.pi
    turned = np.angle(np.exp(1j * (rotations.yaw(qpos[:, 3:7]) - angle - np.pi)))
    assert 0.49 < abs(turned).max() <= 0.5 and abs(turned.mean()) < 0.03
    assert not env.simulation.fields["goal"].any()


def test_leaving_the_disc_ends_the_episode(arena):
    env = arena(3)
    put(env, [[12.4, 0.0], [12.6, 0.0], [-9.0, 9.0]])
    _, _, terminated, _, info = env.step(zeros(env))
    assert terminated.tolist() == [False, True, True]
    assert info["metrics"]["left"].tolist() == [0, 1, 1]
    assert info["metrics"]["fall"].tolist() == [0, 0, 0]
    assert term(env, info, "fall").tolist() == [0, 1, 1]


def test_the_course_score_counts_fence_and_middle_and_is_forfeited(arena):
    env = arena(4)

    def score(*places):
        put(env, places)
        return env.step(zeros(env))[4]["metrics"]["course_score"].tolist()

    assert score([7, 0], [5, 0], [0.1, 0], [0.1, 0]) == [0, 0.5, 1, 1]
    assert score([7, 0], [9, 0], [9, 0], [13, 0]) == [0, 0.5, 1, 0]  # what was passed counts


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"goal_x": (13.0, 13.0)},
            r"the goal, x \(13.0, 13.0\) m and y .* reaches 13 m .* off the",
        ),
        ({"goal_x": (0, 10), "goal_y": (-10, 0)}, "reaches 14.1421 m"),
        ({"start_radius": (11.0, 12.5)}, "start_radius .* off the disc: disc_radius is 12.5 m"),
        ({"disc_radius": 5.0}, "start_radius .* off the disc: disc_radius is 5 m"),
        ({"goal_x": (1.0, 0.0)}, "goal_x must be .*low <= high"),
        ({"place_tolerance": 0.0}, "place_tolerance must be .* > 0, got 0.0"),
        ({"goal_headng": (0, 0)}, "did you mean 'goal_heading'"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises((ValueError, TypeError), match=message) as error:
        registration.make_task("Motrix/VBotSection001-v0", **settings)
    assert "\n" not in str(error.value)


def test_the_goal_is_drawn(make, opengl):
    env = make(1, render_mode="rgb_array", render_size=(64, 48))

    def green(goal):
        env.simulation.fields["goal"][:] = goal
        red, green, blue = np.moveaxis(env.render()[0].astype(int), -1, 0)
        return ((green > red + 40) & (green > blue + 40)).sum()

    x, y = env.simulation.fields["qpos"][0, :2]
    assert green([x, y, 0.0]) > 20
    assert green([x + 500, y, 0.0]) == 0
