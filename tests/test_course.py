# SPDX-License-Identifier: Apache-2.0
"""The course: its ground, what the robot sees, what scores, and that only finishing pays."""

import mujoco
import numpy as np
import pytest
from reading import channel, term, zeros

import motrix_gym
from motrix_gym import registration, rotations
from motrix_gym.tasks.navigation.course import Course
from motrix_gym.tasks.navigation.scene import VOID
from motrix_gym.tasks.navigation.vbot_course import SECTIONS

COURSE = [id for id in motrix_gym.list_envs() if isinstance(registration.make_task(id), Course)]
# Whose ground and rewards the whole course has, too.
PARTS = [id for id in COURSE if id != "Motrix/VBotSection002-v0"]
SECTION_011 = "Motrix/VBotSection011-v0"
NORTH = np.pi / 2  # the course's direction


@pytest.fixture(params=SECTIONS, scope="module")
def scene(request):
    return SECTIONS[request.param].scene(0)


def random_places(scene, count, seed=0, margin=0.0):
    low, high = scene.bounds
    return np.random.default_rng(seed).uniform(low - margin, high + margin, (count, 2))


def put(env, place, heading=NORTH, tilt=0.0):
    """Stand all robots still along the ground at places (x, y), with headings, or tilted (rad)."""
    v, task, robot = env.simulation.all, env.task, env.task.qpos_joints.stop
    height, place = task.terrain.height, np.broadcast_to(place, (v.n, 2))
    heading = np.broadcast_to(heading, v.n)
    ahead = 0.25 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    front, back = height(place + ahead), height(place - ahead)
    low = np.minimum(front, back) == VOID
    pitch = np.where(low, 0.0, -np.arctan2(front - back, 0.5))
    v.qpos[:, :robot] = task.home_qpos[:robot]
    v.qpos[:, :2] = place
    v.qpos[:, 2] += np.maximum(height(place), (front + back) / 2)
    cos, sin = np.cos(pitch / 2), np.sin(pitch / 2)
    w, z = np.cos(heading / 2), np.sin(heading / 2)
    v.qpos[:, 3:7] = np.stack([w * cos, -z * sin, w * sin, z * cos], axis=1)
    if tilt:
        v.qpos[:, 3:7] = [np.cos(tilt / 2), np.sin(tilt / 2), 0, 0]
    v.qvel[:, : task.qvel_joints.stop] = 0.0
    v.ctrl = task.default_pose
    env.simulation.refresh(np.arange(v.n))


# The ground.


def test_the_static_ground_has_the_heights_of_the_scene(scene):
    spec = mujoco.MjSpec.from_string("<mujoco/>")
    scene.add_static(spec, [])
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    hit, down = np.zeros(1, np.int32), np.array([0.0, 0.0, -1.0])
    places = random_places(scene, 300, margin=0.5)
    tops = scene.top(*places.T)
    for place, top in zip(places, tops, strict=True):
        start = np.array([*place, 20.0])
        distance = mujoco.mj_ray(model, data, start, down, None, 1, -1, hit)
        height = VOID if distance < 0 else 20.0 - distance
        # MuJoCo keeps a height field's heights in single precision.
        assert height == pytest.approx(top, abs=1e-5)
    # What is kept are samples 2.5 cm apart.
    close = abs(scene.height(places) - tops) < 0.0125 * np.sqrt(2) * np.tan(np.radians(30))
    assert close.mean() > 0.95


def test_the_shapes_near_a_place_are_all_within_reach_of_it(scene):
    places = random_places(scene, 500)
    near = scene.shapes_near(scene.boxes, 0.2)
    assert near.shape[-1] <= 8
    i, j = scene.cells(places).T
    for place, found in zip(places, near[i, j], strict=True):
        for number, box in enumerate(scene.boxes):
            if (abs(place - box.middle[:2]) <= np.array(box.reach) + 0.2).all():
                assert number in found


def made_anew(section, seed):
    """A section's scene, which is otherwise made once in a process."""
    for each in SECTIONS.values():
        each.scene.cache_clear()
    return section.scene(seed)


def test_a_seed_gives_the_same_bumps_whose_ends_are_level():
    (waves,) = SECTIONS["012"].scene(0).bumps  # which are not drawn
    for section in SECTIONS.values():
        first, again, other = (made_anew(section, seed) for seed in (3, 3, 4))
        assert first is not again
        for bumps, same, others in zip(first.bumps, again.bumps, other.bumps, strict=True):
            assert (bumps.nodes == same.nodes).all()
            assert (bumps.nodes != others.nodes).any() == (bumps.corner != waves.corner)
            assert np.ptp(bumps.nodes[:, [0, -1]]) == 0
            assert bumps.nodes == pytest.approx(bumps.nodes[::-1])  # left and right are images
            assert (first.boxes, first.spheres) == (other.boxes, other.spheres)


def scatter(env):
    """Stand the robots anywhere on the course where it is nearly level, with any heading."""
    generator, v = np.random.default_rng(0), env.simulation.all
    low, high = SECTIONS[env.config.section].bounds
    places = generator.uniform((-4, low + 0.5), (4, high - 0.5), (20 * v.n, 2))
    around = 0.35 * np.stack([np.cos(np.arange(12)), np.sin(np.arange(12))], axis=1)
    level = np.ptp(env.task.terrain.height(places[:, None] + around), axis=1) < 0.25
    put(env, places[level][: v.n], generator.uniform(-np.pi, np.pi, v.n))
    v.qpos[:, 2] += 0.05


@pytest.mark.parametrize("env_id", PARTS)
def test_moving_and_static_ground_give_the_same_next_state(make_quiet, env_id):
    """One control step from equal states: on boxes the contacts are the same ones."""
    moving, static = (make_quiet(env_id, 48, ground=ground) for ground in ("moving", "static"))
    scatter(moving)
    v, other = moving.simulation.all, static.simulation.all
    generator = np.random.default_rng(0)
    on_boxes, on_bumps = [], []
    for _ in range(40):
        static.simulation.batch.state[...] = moving.simulation.batch.state
        feet = static.task.foot_geoms
        other.geom_friction[:, feet] = v.geom_friction[:, moving.task.foot_geoms]
        actions = generator.uniform(-0.3, 0.3, moving.action_space.shape).astype(np.float32)
        parts = v.site_xpos[:, [*moving.task.foot_sites, *moving.task._shin_sites], :2]
        bumpy = np.any([b.holds(parts) for b in moving.task.terrain.bumps], axis=0).any(axis=1)
        ended = moving.step(actions)[2] | static.step(actions)[2]
        error = np.abs(v.qpos - other.qpos).max(axis=1)
        on_boxes.append(error[~ended & ~bumpy])
        on_bumps.append(error[~ended & bumpy])
    on_boxes, on_bumps = np.concatenate(on_boxes), np.concatenate(on_bumps)
    assert min(len(on_boxes), len(on_bumps)) > 200
    assert on_boxes.max() < 1e-9
    # A plane per foot and a field of triangles: millimetres, and hundredths of a radian.
    assert np.median(on_bumps) < 0.005 and np.quantile(on_bumps, 0.95) < 0.05


@pytest.mark.parametrize("env_id", PARTS)
def test_robots_stand_on_the_ground_wherever_it_is(make_quiet, env_id):
    env = make_quiet(env_id, 64)
    scatter(env)
    v, fell = env.simulation.all, np.zeros(64, bool)
    for _ in range(40):
        fell |= env.step(zeros(env))[2]
    contact = v.sensordata[:, env.task.touch] > 0
    soles = env.task._soles(v)
    assert fell.mean() < 0.3
    # Servos hold the legs: most robots have three feet on the ground, which gives way by 2 cm.
    assert contact[~fell].sum(axis=1).mean() > 2.5
    assert soles[~fell].min() > -0.04


def test_the_scan_shows_the_ramp(make_quiet):
    env = make_quiet(SECTION_011, 2)
    put(env, [0.0, 1.75], [NORTH, -NORTH])
    scan = channel(env, env.task.observe(env.simulation.all), "height_scan")
    config, shape = env.config, env.task._scan_shape
    rows = np.linspace(*config.scan_forward, shape[0])
    for sign, seen in zip((1, -1), scan.reshape(2, *shape), strict=True):
        y = 1.75 + sign * rows
        level = y > 1.5  # where the bumps end
        expected = np.tan(np.radians(15)) * np.maximum(y - 2.0, 0.0)
        assert seen[level] == pytest.approx(
            np.broadcast_to(expected[level, None], seen[level].shape), abs=0.02
        )


# The task.


@pytest.mark.parametrize("env_id", COURSE)
def test_robots_start_at_the_beginning_and_look_along_the_course(make_quiet, env_id):
    env = make_quiet(env_id, 1000)
    config, v = env.config, env.simulation.all
    for axis, (low, high) in enumerate((config.start_x, config.start_y)):
        assert low <= v.qpos[:, axis].min() and v.qpos[:, axis].max() <= high
        assert np.ptp(v.qpos[:, axis]) > 0.95 * (high - low)
    turned = rotations.yaw(v.qpos[:, 3:7]) - NORTH
    assert abs(turned).max() <= config.start_heading < 1.02 * abs(turned).max()
    assert config.time_limit == config.max_episode_steps * env.task.dt


def test_the_share_that_is_covered_is_the_best_of_the_episode(make_quiet):
    env = make_quiet(SECTION_011, 1, start_velocity_spread=0.0)
    v = env.simulation.all
    v.goal, v.straight = [0.0, 8.0, NORTH], 11.0
    for y, covered in ((-3.0, 0.0), (2.5, 0.5), (8.0, 1.0), (2.5, 0.5)):
        put(env, [0.0, y])
        info = env.step(zeros(env))[4]
        assert info["metrics"]["covered"][0] == pytest.approx(covered, abs=0.01)
    assert env.task.metrics["covered"].reduce == "max"


def test_a_route_leads_from_place_to_place_and_progress_counts_along_it(make_quiet):
    env = make_quiet("Motrix/VBotSection012-v0", 1, start_velocity_spread=0.0)
    v, task, route = env.simulation.all, env.task, env.task._route
    legs = np.concatenate([v.qpos[:1, :2], route, v.goal[:1, :2]])
    length = np.linalg.norm(np.diff(legs, axis=0), axis=1)
    assert v.straight == pytest.approx(length.sum())
    earned = 0.0
    for passed, place in enumerate(legs[1:]):
        assert task._target(v)[0, :2] == pytest.approx(place)
        assert task._way(v, v.last_place) == pytest.approx(length[passed:].sum(), abs=0.01)
        put(env, place)
        earned += term(env, env.step(zeros(env))[4], "progress")[0]
    assert earned == pytest.approx(length.sum(), abs=0.02)
    assert task.mirror is None  # its lanes differ


@pytest.mark.parametrize("lane", ["valley", "bridge"])
def test_a_route_goes_on_with_the_place_that_lies_ahead(make_quiet, lane):
    """At the start, and for a robot that passes a place at a distance."""
    env = make_quiet("Motrix/VBotSection012-v0", 1, lane=lane, start_y=(12.1, 12.1))
    task, v = env.task, env.simulation.all
    assert task._target(v)[0, :2] == pytest.approx(task._route[1])
    guide = v.command.copy()
    task.obey(v)
    assert (v.command == guide).all()  # it leads there already
    put(env, task._route[1] + [0.8, 0.1])
    env.step(zeros(env))
    assert task._target(v)[0, :2] == pytest.approx(task._route[2])


def test_zones_score_once_and_are_forfeited(make_quiet):
    env = make_quiet(SECTION_011, 4, start_velocity_spread=0.0)

    def score(*places, **how):
        env.reset(seed=0)
        for place in places:
            put(env, place, **(how if place is places[-1] else {}))
            info = env.step(zeros(env))[4]
        return info["metrics"]["course_score"][0]

    smiley, other, packet = (0.0, 0.0), (-3.0, 0.0), (3.0, 4.4)
    assert score((0.0, -2.5)) == 0
    assert score(smiley, smiley, (0.0, 8.0)) == pytest.approx(4 / 18)
    assert score(smiley, other, packet, (0.0, 8.0)) == pytest.approx(10 / 18)
    assert score(smiley, (0.0, 8.0), tilt=1.5) == 0
    assert score(smiley, (0.0, 8.9)) == 0


def test_on_the_whole_course_a_fall_loses_the_points_of_its_section(make_quiet):
    env = make_quiet("Motrix/VBotSection002-v0", 1, start_velocity_spread=0.0)
    for place, tilt, points in (
        ((0.0, 0.0), 0.0, 4),
        ((0.0, 12.1), 0.0, 4 + 10),
        ((0.0, 24.0), 0.0, 4 + 10 + 5),
        ((0.0, 24.0), 1.5, 4),
    ):
        put(env, place, tilt=tilt)
        score = env.step(zeros(env))[4]["metrics"]["course_score"]
        assert score == pytest.approx(points / 88)


def test_a_ball_that_was_touched_scores_without_a_fall(make_quiet):
    """Balls lie still; the robot's trunk, then nothing, is beside the first."""
    env = make_quiet("Motrix/VBotSection013-v0", 3, start_velocity_spread=0.0)
    v, ball = env.simulation.all, env.task._balls.qpos[0]
    v.qvel = 0.0
    v.qpos[:, ball : ball + 2] = [-3.0, 26.9]
    half = float(env.task._balls._trunk_half[0])
    touching, apart = (26.9 - 0.375 - half - gap for gap in (0.005, 0.1))
    for y, touched in ((apart, 0.0), (touching, 1.0)):
        put(env, [-3.0, y])
        score = env.step(zeros(env))[4]["metrics"]["course_score"]
        assert score == pytest.approx(touched * 5 / 20)
    for y, points in ((28.5, 15), (32.0, 20)):
        put(env, [1.5, y])
        score = env.step(zeros(env))[4]["metrics"]["course_score"]
        assert score == pytest.approx(points / 20)


def test_balls_roll_and_are_pushed_on_either_ground(make_quiet):
    for ground in ("moving", "static"):
        env = make_quiet("Motrix/VBotSection013-v0", 64, ground=ground)
        v, task = env.simulation.all, env.task
        start = v.qpos[:, task._balls.qpos].copy()
        speed = v.qvel[:, task._balls.qvel].copy()
        assert 0.2 <= abs(speed).min() and abs(speed).max() <= 0.8
        put(env, [0.0, 31.0])
        for _ in range(10):
            env.step(zeros(env))
        rolled = v.qpos[:, task._balls.qpos] - start
        assert np.median(abs(rolled - 0.2 * speed)) < 1e-3  # without loss
        height = v.qpos[:, np.array(task._balls.qpos) + 2]
        assert abs(height - 1.2941 - 0.375).max() < 0.005
        # A trunk that comes at 1 m/s pushes a ball that lies still.
        first, motion = task._balls.qpos[0], task._balls.qvel[0]
        v.qpos[:, first : first + 3] = [-3.0, 26.9, 1.2941 + 0.375]
        v.qvel[:, motion : motion + 6] = 0.0
        put(env, [-3.0, 26.9 - 0.375 - task._balls._trunk_half[0] - 0.005])
        v.qvel[:, 1] = 1.0
        env.step(zeros(env))
        assert v.qvel[:, motion + 1].min() > 0.2


def test_the_scan_sees_a_ball(make_quiet):
    env = make_quiet("Motrix/VBotSection013-v0", 1)
    v, task = env.simulation.all, env.task
    put(env, [-3.0, 26.1])
    scans = []
    for x in (3.0, -3.0):
        v.qpos[:, task._balls.qpos[0]] = x
        v.qpos[:, task._balls.qpos[0] + 1] = 26.7
        scans.append(channel(env, task.observe(v), "height_scan").reshape(task._scan_shape))
    rows = np.linspace(*env.config.scan_forward, task._scan_shape[0])
    ahead = scans[1][:, task._scan_shape[1] // 2]  # along the robot's heading
    expected = 0.375 + np.sqrt(np.maximum(0.375**2 - (rows - 0.6) ** 2, 0.0))
    over = abs(rows - 0.6) < 0.37
    assert over.any() and ahead[over] == pytest.approx(expected[over], abs=1e-3)
    assert (scans[0] == scans[1])[~over].all()


def test_leaving_the_course_ends_the_episode(make_quiet):
    env = make_quiet(SECTION_011, 4)
    put(env, [0, 8.0])
    v = env.simulation.all
    v.qpos[:, :2] = [[0, 8.7], [0, 8.9], [5.1, 7.5], [0, -3.6]]
    v.qpos[1:, 2] = 3.5  # above the walls
    _, _, terminated, _, info = env.step(zeros(env))
    assert terminated.tolist() == info["metrics"]["left"].astype(bool).tolist()
    assert terminated.tolist() == [False, True, True, True]
    assert info["metrics"]["fall"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"goal_y": (8.9, 9.0)}, r"the goal, .* y 8.9 to 9 m, is off the course: section 011 is"),
        ({"start_x": (-6, 0)}, r"the start, x -6 to 0 m .* is off the course"),
        ({"goal_x": (4.8, 4.9)}, r"the goal, .* is within 0.3 m of a wall, x 5 to 5.5 m"),
        ({"section": "11"}, "section must be one of 011, .*, got '11'.*did you mean '011'"),
        (
            {"section": "013", "start_y": (26, 26), "goal_y": (31, 31), "goal_x": (0.5, 0.9)},
            "the goal, .* is within 0.3 m of a stone, x -0.75 to 0.75 m",
        ),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        registration.make_task(SECTION_011, **settings)
    assert "\n" not in str(error.value)


# The audit: what each way to spend an episode earns. A hand moves the robots.

_BEHAVIOURS = ("finishing", "idling", "hovering at 1 m", "falling at the goal", "falling at once")


@pytest.mark.parametrize("env_id", PARTS)
def test_only_finishing_pays(make_quiet, env_id):
    """One row for each behaviour, from the same start to the same goal."""
    config = registration.entry(env_id).config
    still = {"start_heading": 0.0, "start_velocity_spread": 0.0}
    middles = {
        name: (sum(getattr(config, name)) / 2,) * 2
        for name in ("start_x", "start_y", "goal_x", "goal_y", "friction")
    }
    env = make_quiet(env_id, len(_BEHAVIOURS), **still, **middles)
    v, steps = env.simulation.all, config.max_episode_steps
    v.gait_phase = 0.0
    way = np.concatenate([v.qpos[:1, :2], env.task._route, v.goal[:1, :2]])
    marks = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1)))
    length = marks[-1]
    assert length == pytest.approx(v.straight[0])
    farthest = np.array([length, 0.0, length - 1.0, length, 0.0])
    fall_at = np.array([steps, steps, steps, steps - 50, 1])
    total, going = np.zeros((2, len(_BEHAVIOURS))), np.ones(len(_BEHAVIOURS), bool)
    for step in range(steps):
        gone = np.minimum(1.5 * length * step / steps, farthest)  # two thirds of the time
        put(env, np.stack([np.interp(gone, marks, way[:, axis]) for axis in (0, 1)], axis=1))
        v.qpos[step == fall_at, 3:7] = [0, 1, 0, 0]
        _, reward, terminated, truncated, _ = env.step(zeros(env))
        total += going * np.array([[1.0], [0.99**step]]) * reward
        assert (terminated[going] == (step == fall_at)[going]).all()
        going &= ~terminated
    assert truncated[going].all() and going.sum() == 3
    for what, earned in zip(_BEHAVIOURS[1:], total.T[1:], strict=True):
        assert (earned < total[:, 0]).all(), f"{what}: {earned} of {total[:, 0]}"
