# SPDX-License-Identifier: Apache-2.0
"""Rough ground: the ground that moves with the legs, the height scan, the curriculum, stairs."""

from functools import partial

import gymnasium
import mujoco
import numpy as np
import pytest
from reading import zeros

import motrix_gym
from motrix_gym import registration, rotations, terrain
from motrix_gym.commands import Choice
from motrix_gym.random import RandomStreams
from motrix_gym.simulation import Simulation
from motrix_gym.tasks.locomotion.curriculum import Curriculum
from motrix_gym.tasks.locomotion.ground import MovingGround, add_static, rectangles
from motrix_gym.tasks.locomotion.rough import RoughTracking
from motrix_gym.tasks.locomotion.stairs import Stairs
from motrix_gym.terrain import CELL, PER_CELL, TERRAINS, TILE, TILE_CELLS, Terrain

NODES = TILE_CELLS * PER_CELL
ROUGH = [
    id for id in motrix_gym.list_envs() if isinstance(registration.make_task(id), RoughTracking)
]
STAIRS = [id for id in ROUGH if isinstance(registration.make_task(id), Stairs)]
BALL = """
<mujoco>
  <option timestep="0.004" integrator="implicitfast"/>
  <worldbody>
    <body name="ball" pos="0 0 5">
      <freejoint/>
      <geom name="ball" size="0.03" mass="0.2" friction="0.8" priority="1" condim="3"/>
      <site name="ball"/>
    </body>
  </worldbody>
</mujoco>
"""


def field(blocks):
    return Terrain(np.asarray(blocks, float), np.zeros((NODES + 1, NODES + 1)))


def make_moving(ground, num_envs):
    """Balls on moving ground: the ground and the simulation."""
    spec = mujoco.MjSpec.from_string(BALL)
    MovingGround.add(spec, ground, ["ball"])
    model = spec.compile()
    moving = MovingGround(ground, model, ["ball"])
    simulation = Simulation(
        model, num_envs, 1, per_world=moving.per_world, without_constants=moving.per_world
    )
    return moving, simulation


def level_at(simulation, offset):
    """(n,) height at ``offset`` (2,) from each ball of the highest of its plane and boxes."""
    v, model = simulation.all, simulation.model
    place = v.qpos[:, :2] + offset
    heights = [v.geom_pos[:, model.geom("ground0_plane").id, 2]]
    for index in (1, 2, 3):
        geom = model.geom(f"ground0_box{index}")
        middle = v.geom_pos[:, geom.id]
        over = (np.abs(place - middle[:, :2]) <= geom.size[:2]).all(axis=1)
        heights.append(np.where(over, middle[:, 2] + geom.size[2], -np.inf))
    return np.max(heights, axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_moved_ground_is_the_terrain_within_15_cm(seed):
    rng = np.random.default_rng(seed)
    ground = field(rng.integers(0, 3, (TILE_CELLS, TILE_CELLS)) * 0.1)
    moving, simulation = make_moving(ground, 500)
    v = simulation.all
    v.qpos[:, :2] = rng.uniform(-0.5, TILE + 0.5, (500, 2))
    moving.place(v, v.qpos[:, None, :2])
    for offset in rng.uniform(-0.1499, 0.1499, (40, 2)):
        assert level_at(simulation, offset) == pytest.approx(
            ground.height(v.qpos[:, :2] + offset), abs=1e-12
        )


def test_no_edges_show_where_blocks_are_level():
    """Boxes on level blocks overlap: no side of a box ends between two of them."""
    ground = field(np.where(np.indices((TILE_CELLS, TILE_CELLS)).sum(0) % 5 < 3, 0.1, 0.0))
    moving, simulation = make_moving(ground, 400)
    v = simulation.all
    v.qpos[:, :2] = np.random.default_rng(0).uniform(1, TILE - 1, (400, 2))
    moving.place(v, v.qpos[:, None, :2])
    corner, around = ground.corner(v.qpos[:, :2])
    tops = around.max(axis=1, keepdims=True)
    for index in (1, 2, 3):
        geom = simulation.model.geom(f"ground0_box{index}")
        middle = v.geom_pos[:, geom.id]
        used = middle[:, 2] > -50
        for axis, sides in ((0, [(0, 2), (1, 3)]), (1, [(0, 1), (2, 3)])):
            ends = used & (np.abs(middle[:, axis] - corner[:, axis]) > 1e-9)
            for one, other in sides:  # level neighbours across this axis
                both = (around[:, [one, other]] == tops).all(axis=1) & (tops[:, 0] > 0)
                across = 1 - axis
                here = (other if axis == 0 else one) & (1 if across == 1 else 2)
                side = np.where(here > 0, 1.0, -1.0)
                over = np.abs(middle[:, across] - corner[:, across] - 0.2 * side) <= 0.5
                # Some box spans both of them, if this one does not.
                others = [
                    np.abs(
                        v.geom_pos[:, simulation.model.geom(f"ground0_box{k}").id, axis]
                        - corner[:, axis]
                    )
                    < 1e-9
                    for k in (1, 2, 3)
                ]
                assert np.any(others, axis=0)[ends & both & over].all()


def test_a_ball_moves_as_on_shared_boxes():
    """A pyramid of nested boxes, whose edges are all real: steps, corners and level ground."""
    ring = np.maximum(*np.abs(np.indices((TILE_CELLS, TILE_CELLS)) - TILE_CELLS // 2))
    ground = field(0.1 * np.clip(12 - ring, 0, 10))
    moving, simulation = make_moving(ground, 2000)
    spec = mujoco.MjSpec.from_string(BALL)
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], pos=[0, 0, 0])
    for height in range(1, 11):
        half = (12 - height + 0.5) * CELL
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[half, half, 0.05 * height + 0.5],
            pos=[TILE / 2, TILE / 2, 0.05 * height - 0.5],
        )
    shared = Simulation(spec.compile(), 2000, 1)
    rng = np.random.default_rng(0)
    v, other = simulation.all, shared.all
    v.qpos[:, :2] = rng.uniform(0, TILE, (2000, 2))
    v.qpos[:, 2] = ground.height(v.qpos[:, :2]) + rng.uniform(0.025, 0.05, 2000)
    v.qvel = rng.uniform(-2, 2, (2000, 6)) * [1, 1, 1, 20, 20, 20]
    touched = 0
    for _ in range(25):
        moving.place(v, v.qpos[:, None, :2])
        other.qpos, other.qvel = v.qpos, v.qvel
        before = v.qvel.copy()
        simulation.step(5)
        shared.step(5)
        assert np.abs(v.qpos - other.qpos).max() < 1e-9
        touched += (np.abs(v.qvel - before)[:, :2].max(axis=1) > 0.05).sum()
    assert touched > 2000  # steps in which a ball met the ground


def test_the_plane_is_tangent_to_a_smooth_surface():
    ground = terrain.generate("noise", 1, 3)
    moving, simulation = make_moving(ground, 300)
    v = simulation.all
    v.qpos[:, :2] = np.random.default_rng(0).uniform(0, TILE, (300, 2))
    moving.place(v, v.qpos[:, None, :2])
    plane = simulation.model.geom("ground0_plane").id
    assert v.geom_pos[:, plane, 2] == pytest.approx(ground.height(v.qpos[:, :2]))
    up = rotations.rotate(v.geom_quat[:, plane], np.array([0.0, 0.0, 1.0]))
    assert up == pytest.approx(ground.normal(v.qpos[:, :2]))
    # MuJoCo reads both: a ball that is let go rolls downhill.
    slope = terrain.generate("slope_down", 1, 0, (0.3, 0.3))
    moving, simulation = make_moving(slope, 1)
    v = simulation.all
    v.qpos[:, :2] = [TILE / 2 + 1.5, TILE / 2]
    v.qpos[:, 2] = slope.height(v.qpos[:, :2]) + 0.03
    for _ in range(50):
        moving.place(v, v.qpos[:, None, :2])
        simulation.step(5)
    # A solid ball rolls with 5/7 of the acceleration along the slope; 1 s.
    assert v.qvel[0, 0] == pytest.approx(5 / 7 * 9.81 * np.sin(0.3) * np.cos(0.3), rel=0.1)


def test_the_ground_has_the_part_s_friction():
    """On a slope of 0.3 rad a ball with little friction slides, and hardly turns."""
    turning = []
    for friction in (0.8, 0.01):
        slope = terrain.generate("slope_down", 1, 0, (0.3, 0.3))
        moving, simulation = make_moving(slope, 1)
        v = simulation.all
        v.geom_friction[:, simulation.model.geom("ball").id, 0] = friction
        v.qpos[:, :2] = [TILE / 2 + 1.5, TILE / 2]
        v.qpos[:, 2] = slope.height(v.qpos[:, :2]) + 0.03
        for _ in range(25):
            moving.place(v, v.qpos[:, None, :2])
            simulation.step(5)
        turning.append(abs(v.qvel[0, 4]))
    assert turning[1] < 0.2 * turning[0]


@pytest.mark.parametrize("name", TERRAINS)
def test_the_static_ground_has_the_heights_of_the_terrain(name):
    ground = terrain.generate(name, 2, 0)
    spec = mujoco.MjSpec.from_string("<mujoco/>")
    add_static(spec, ground, [])
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    places = np.random.default_rng(0).uniform([-5, -5], np.add(ground.size, 5), (300, 2))
    hit = np.zeros(1, np.int32)
    down = np.array([0.0, 0.0, -1.0])
    for place in places:
        start = np.array([*place, 20.0])
        distance = mujoco.mj_ray(model, data, start, down, None, 1, -1, hit)
        assert 20.0 - distance == pytest.approx(float(ground.height(place)), abs=1e-5)


def test_rectangles_tile_a_field():
    blocks = np.random.default_rng(0).integers(0, 3, (20, 30)).astype(float)
    covered = np.zeros(blocks.shape, int)
    for i, j, rows, columns, height in rectangles(blocks):
        covered[i : i + rows, j : j + columns] += 1
        assert (blocks[i : i + rows, j : j + columns] == height).all()
    assert (covered == 1).all()
    assert len(rectangles(np.zeros((20, 30)))) == 1


# The curriculum.


class Rows:
    """A view of buffers alone."""

    def __init__(self, buffers, n):
        self.n = n
        for name, buffer in buffers.items():
            value = np.full((n, *buffer.shape), buffer.initial, buffer.dtype)
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        if name in self.__dict__:
            self.__dict__[name][...] = value
        else:
            object.__setattr__(self, name, value)


def streams(n):
    random = RandomStreams(n)
    random.seed(range(n))
    return random.rows()


def tiles(levels, kinds):
    """What a curriculum draws from."""
    return Choice("level", tuple("12345"[:levels])), Choice("kind", tuple("abc"[:kinds]))


def test_levels_rise_after_success_and_fall_after_failure():
    curriculum = Curriculum(*tiles(5, 2), adaptive=True)
    v = Rows(curriculum.buffers(), 6)
    v.levels = 2.0
    v.level, v.kind = 2.0, 1.0
    v.asked = [5.0, 5.0, 5.0, 5.0, 0.9, 5.0]
    v.walked = [4.1, 3.9, 2.4, 5.0, 0.0, -1.0]
    v.fell = [0, 0, 0, 1, 1, 0]
    curriculum.start(v, streams(6))
    assert v.levels[:, 1].tolist() == [3, 2, 1, 1, 2, 1]
    assert (v.levels[:, 0] == 2).all()
    assert (v.asked == 0).all() and (v.fell == 0).all()


def test_beyond_the_last_level_one_is_drawn_and_below_the_first_is_none():
    curriculum = Curriculum(*tiles(5, 1), adaptive=True)
    v = Rows(curriculum.buffers(), 400)
    v.level, v.asked, v.walked = 4.0, 5.0, 5.0
    levels, _ = curriculum.start(v, streams(400))
    assert set(levels) == {0, 1, 2, 3, 4}
    v.level, v.asked, v.walked, v.fell = 0.0, 5.0, 0.0, 1.0
    levels, _ = curriculum.start(v, streams(400))
    assert (levels == 0).all()


def test_in_an_evaluation_tiles_are_drawn_evenly():
    level, kind = tiles(4, 3)
    curriculum = Curriculum(level, kind, adaptive=False)
    v = Rows(curriculum.buffers(), 6000)
    v.asked, v.walked = 5.0, 5.0
    levels, kinds = curriculum.start(v, streams(6000))
    counts = np.histogram2d(levels, kinds, bins=(range(5), range(4)))[0]
    # 500 each, with a standard deviation of 21.
    assert np.abs(counts - 500).max() < 120
    level.chosen = 2  # by a person
    levels, others = curriculum.start(v, streams(6000))
    assert (levels == 2).all() and (v.level == 2).all()
    np.testing.assert_array_equal(others, kinds)  # which is drawn as before
    kind.chosen = 1
    _, others = curriculum.start(v, streams(6000))
    assert (others == 1).all() and (v.kind == 1).all()


@pytest.fixture(params=ROUGH)
def make(request, make_quiet):
    """Make environments of the task, without noise."""
    return partial(make_quiet, request.param, num_envs=8)


def test_levels_outlast_episodes_and_a_seed_clears_them(make):
    env = make(curriculum=True, max_episode_steps=3)
    v = env.simulation.all
    assert (v.levels == 0).all()
    v.levels = 3.0
    v.level = 3.0
    for _ in range(4):
        env.step(zeros(env))
    assert (v.levels == 3).all()
    snapshot = env.snapshot()
    v.levels = 1.0
    env.restore(snapshot)
    assert (env.simulation.all.levels == 3).all()
    env.reset(seed=1)
    assert (env.simulation.all.levels == 0).all()


def test_only_the_last_command_counts(make):
    env = make(curriculum=True)
    v = env.simulation.all
    v.command = [0.5, 0.0, 0.0]
    v.command_time = 0.05
    for _ in range(2):
        env.step(zeros(env))
    assert v.asked == pytest.approx(np.full(8, 0.5 * 0.04))
    env.step(zeros(env))  # draws a new command
    assert (v.asked == 0).all() and (v.walked == 0).all()
    assert v.total_asked == pytest.approx(np.full(8, 0.5 * 0.06))


def test_robots_start_above_the_middle_of_their_tile(make):
    env = make(num_envs=256)
    v, task = env.simulation.all, env.task
    middle = task.terrain.centre(v.level.astype(int), v.kind.astype(int))
    assert np.abs(v.qpos[:, :2] - middle).max() <= env.config.start_spread
    feet = v.site_xpos[:, task.foot_sites]
    over = feet[:, :, 2] - task.foot_radius - task.terrain.height(feet[:, :, :2])
    # Joints are off by up to 0.15 rad at the start: with a leg of 0.4 m, some centimetres.
    assert over.min() > -0.08
    assert over.min(axis=1).max() < 0.1


def scan_of(env):
    """(n, points) the height scan that is delivered, privileged or not, and its places."""
    return env.task.observe(env.simulation.all)[:, -len(env.task._scan_points) :]


def test_the_scan_shows_the_ground_around_turned_with_the_heading(make):
    env = make(terrain="stairs_down", terrain_levels=1, terrain_measure=(0.1, 0.1))
    v, task = env.simulation.all, env.task
    points = task._scan_points
    v.qpos[:, :2] = TILE / 2
    v.qpos[:, 2] = 1.0 + task.stand_height  # on the platform, which is at 1 m
    for quarter in range(4):
        yaw = quarter * np.pi / 2
        v.qpos[:, 3:7] = rotations.from_yaw(np.full(8, yaw))
        places = points @ np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
        expected = task.terrain.height(places + TILE / 2) - 1.0
        # At an edge, the nearest sample may be the one beyond.
        away = np.abs(np.abs(places + TILE / 2) % CELL - CELL / 2).max(axis=1) < 0.12
        assert away.any()
        assert scan_of(env)[:, away] == pytest.approx(np.tile(expected[away], (8, 1)), abs=1e-5)
    v.qpos[:, 2] += 0.2  # all is lower, seen from higher up
    assert scan_of(env)[0, away] == pytest.approx(expected[away] - 0.2, abs=1e-5)


def test_without_a_scan_the_policy_sees_less_and_the_value_function_as_much(make):
    scan = len(make().task._scan_points)
    env = make(height_scan=False)
    width = env.single_observation_space.shape[0]
    assert make(height_scan=True).single_observation_space.shape[0] == width + scan
    all_channels = make(height_scan=False, privileged=True)
    assert all_channels.single_observation_space.shape[0] == width + scan
    assert all_channels.policy_width == width


def test_an_episode_ends_when_the_trunk_touches_the_ground(make):
    env = make(terrain="flat")
    v = env.simulation.all
    low = -env.task._trunk_points[:, 2].min()
    v.qpos[:4, 2], v.qpos[4:, 2] = low - 0.02, low + 0.1
    v.qpos[:, 7:] = env.task.default_pose
    assert env.task.terminated(v).tolist() == [True] * 4 + [False] * 4


def test_moving_and_static_ground_give_the_same_next_state(make):
    """One control step from equal states; shins meet planes and boxes a little differently."""
    settings = {"terrain": "stairs_down", "terrain_levels": 2, "num_envs": 64}
    moving, static = make(**settings), make(**settings, ground="static")
    v, other = moving.simulation.all, static.simulation.all
    generator = np.random.default_rng(0)
    errors = []
    for _ in range(40):
        other.qpos, other.qvel = v.qpos, v.qvel
        feet = static.task.foot_geoms
        other.geom_friction[:, feet] = v.geom_friction[:, moving.task.foot_geoms]
        actions = generator.uniform(-0.3, 0.3, moving.action_space.shape).astype(np.float32)
        _, _, ended, _, _ = moving.step(actions)
        _, _, also, _, _ = static.step(actions)
        errors.append(np.abs(v.qpos - other.qpos).max(axis=1)[~(ended | also)])
    errors = np.concatenate(errors)
    assert len(errors) > 1000
    assert (errors < 1e-9).mean() > 0.8


@pytest.mark.parametrize("env_id", STAIRS)
def test_success_is_to_have_crossed_all_steps(env_id):
    env = gymnasium.make_vec(env_id, num_envs=4, num_threads=1).unwrapped
    env.reset(seed=0)
    v, task = env.simulation.all, env.task
    v.kind, v.level = 1.0, 0.0  # down, with the lowest rise
    middle = task.terrain.centre(np.zeros(4, int), np.ones(4, int))
    edge = (TILE_CELLS / 2 - 2) * CELL  # of the last step
    v.qpos[:, :2] = middle + [[0, 0], [edge - 0.1, 0], [0, -edge - 1.0], [edge + 1.0, 2.0]]
    v.qpos[:, 3:7] = rotations.from_yaw(np.array([0, 0, -np.pi / 2, 0]))
    v.qpos[:, 2] = task.stand_height + task.terrain.height(v.qpos[:, :2]) + 0.15
    v.qpos[:, 7:] = task.default_pose
    env.simulation.refresh(np.arange(4))
    assert task.success(v).tolist() == [False, False, True, True]
    flight = task.measure(v)["flight"]
    assert flight[0] == 0 and 0.5 < flight[1] < 1 and (flight[2:] == 1).all()
    v.shin_was_inside[2] = True
    assert task.success(v).tolist() == [False, False, False, True]
    env.close()


@pytest.mark.parametrize("env_id", STAIRS)
def test_a_shin_inside_of_a_step_is_seen(env_id):
    env = gymnasium.make_vec(env_id, num_envs=2, num_threads=1).unwrapped
    env.reset(seed=0)
    v, task = env.simulation.all, env.task
    v.qpos[:, 2] = task.terrain.height(v.qpos[:, :2]) + task.stand_height + [0.05, -0.12]
    env.simulation.refresh(np.arange(2))
    assert task.measure(v)["shin_inside"].tolist() == [0, 1]
    env.close()


@pytest.mark.parametrize("env_id", ROUGH)
def test_a_shin_that_hits_a_step_stays_outside(env_id):
    """At 3 m/s, its middle line; a critically damped contact gives way by v * timeconst / e.

    With MuJoCo's default of 0.02 s that is 22 mm, more than the shin's radius.
    """
    task = registration.make_task(env_id)
    shin = task.model.geom(f"{task.robot.feet[0]}_shin")
    pair = task.model.pair("ground4_box1")
    assert task.model.pair_geom2[pair.id] == shin.id
    radius = float(shin.size[0])
    model = mujoco.MjModel.from_xml_string(f"""
        <mujoco>
          <option timestep="{task.model.opt.timestep}" integrator="implicitfast" gravity="0 0 0"/>
          <worldbody>
            <geom name="step" type="box" size="1 1 1" pos="1 0 0"/>
            <body pos="-0.1 0 0">
              <joint type="slide" axis="1 0 0"/>
              <geom name="shin" type="capsule" size="{radius} 0.1" mass="1"/>
            </body>
          </worldbody>
          <contact>
            <pair geom1="step" geom2="shin" solref="{" ".join(map(str, pair.solref))}"
                  solimp="{" ".join(map(str, pair.solimp))}"/>
          </contact>
        </mujoco>""")
    data = mujoco.MjData(model)
    data.qvel[0] = 3.0
    places = []
    for _ in range(30):
        mujoco.mj_step(model, data)
        places.append(-0.1 + data.qpos[0])
    assert -radius < max(places) < 0  # it touched


def test_a_picture_shows_the_terrain(opengl):
    pictures = []
    for name in ("flat", "stairs_up"):
        env = gymnasium.make_vec(
            "Motrix/Go1Rough-v0",
            num_envs=1,
            terrain=name,
            terrain_levels=1,
            render_mode="rgb_array",
            render_size=(64, 48),
            num_threads=1,
        )
        env.reset(seed=0)
        pictures.append(env.render()[0].astype(int))
        env.close()
    assert np.abs(pictures[0] - pictures[1]).mean() > 2
