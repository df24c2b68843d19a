# SPDX-License-Identifier: Apache-2.0
"""Velocity tracking on flat ground, for every robot: commands, contacts, frames, rewards."""

from functools import partial

import gymnasium
import mujoco
import numpy as np
import pytest
from reading import channel, term, zeros

import motrix_gym
from motrix_gym import registration, rotations
from motrix_gym.commands import VelocityCommands
from motrix_gym.random import RandomStreams
from motrix_gym.tasks.locomotion.robot import joint_names
from motrix_gym.tasks.locomotion.velocity import VelocityTracking

ENV_IDS = [
    env_id
    for env_id in motrix_gym.list_envs()
    if type(registration.make_task(env_id)) is VelocityTracking
]
ALWAYS_MOVING = VelocityCommands(standing_share=0.0)
STANDING = VelocityCommands(standing_share=1.0)


@pytest.fixture(params=ENV_IDS)
def make(request, make_quiet):
    """Make environments of the task, without noise."""
    return partial(make_quiet, request.param)


def tilt(env, row, axis, angle):
    """Turn the base of a row about a world axis."""
    mujoco.mju_axisAngle2Quat(env.simulation.fields["qpos"][row, 3:7], np.array(axis, float), angle)


def test_commands_last_between_five_and_ten_seconds(make):
    env = make(500)
    task, v, streams = env.task, env.simulation.all, RandomStreams(500)
    streams.seed(range(500))
    last, since = v.command.copy(), np.zeros(500)
    lasted = []
    for _ in range(round(40 / task.dt)):
        task.advance(v, streams.rows())
        since += task.dt
        changed = (v.command != last).any(axis=1)
        lasted += since[changed].tolist()
        since[changed] = 0
        last = v.command.copy()
    assert len(lasted) > 500 * 3
    # Two standing commands in a row look like one, that lasts longer.
    assert min(lasted) >= 5 - 1e-6
    assert np.mean(np.array(lasted) <= 10 + task.dt) > 0.97
    single = [t for t in lasted if t <= 10 + task.dt]
    assert np.mean(single) == pytest.approx(7.5, abs=0.1)


def test_commands_fill_their_ranges_and_a_tenth_of_them_stand(make):
    env = make(8000, max_episode_steps=None)
    config = env.config.commands
    command = env.simulation.fields["command"]
    standing = ~command.any(axis=1)
    assert standing.mean() == pytest.approx(0.1, abs=0.015)
    assert config.standing_share == 0.1
    moving = command[~standing]
    for column, (low, high) in zip(
        moving.T, (config.forward, config.lateral, config.turn), strict=True
    ):
        assert low <= column.min() < low + 0.01 * (high - low)
        assert high >= column.max() > high - 0.01 * (high - low)
        assert column.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    assert abs(np.corrcoef(moving.T) - np.eye(3)).max() < 0.05


def test_go1s_commands_are_those_it_is_judged_by():
    commands = motrix_gym.make_task("Motrix/Go1-v0").config.commands
    assert commands == VelocityCommands((-1.0, 1.5), (-0.6, 0.6), (-1.0, 1.0), 0.1, (5.0, 10.0))


def test_the_command_is_observed_and_is_that_of_the_next_step(make):
    env = make(64, commands=VelocityCommands(duration=(0.05, 0.2)))
    changes = 0
    for _ in range(20):
        before = env.simulation.fields["command"].copy()
        observations, *_, info = env.step(zeros(env))
        after = env.simulation.fields["command"]
        assert channel(env, observations, "command") == pytest.approx(after, abs=1e-6)
        changes += (before != after).any(axis=1).sum()
        # The step is judged by the command that it was given.
        going = ~info.get("_final_obs", np.zeros(64, bool))
        rate = env.simulation.fields["qvel"][:, 5]
        error = info["metrics"]["yaw_rate_error"]
        assert error[going] == pytest.approx(abs(rate - before[:, 2])[going])
    assert changes > 64


@pytest.mark.parametrize("field", ["forward", "lateral", "turn", "duration"])
@pytest.mark.parametrize("limits", [(1.0, 0.5), (np.nan, 0.5)])
def test_impossible_command_ranges_are_refused(field, limits):
    with pytest.raises(ValueError, match=f"{field} must be .*low <= high.*, got"):
        VelocityCommands(**{field: limits})


def test_an_impossible_standing_share_is_refused():
    with pytest.raises(ValueError, match="standing_share must be .* >= 0, <= 1, got 1.5"):
        VelocityCommands(standing_share=1.5)


def test_projected_gravity_points_down_in_the_base_frame(make):
    env = make(4)
    observations, _ = env.reset(seed=0)
    gravity = channel(env, observations, "projected_gravity")
    assert gravity == pytest.approx(np.tile([0, 0, -1], (4, 1)), abs=1e-6)
    angle = 0.4
    tilt(env, 0, [0, 1, 0], angle)  # nose down
    tilt(env, 1, [0, 1, 0], -angle)  # nose up
    tilt(env, 2, [1, 0, 0], angle)  # to its right
    tilt(env, 3, [0, 0, 1], angle)  # a turn in the plane
    gravity = channel(env, env.task.observe(env.simulation.all), "projected_gravity")
    s, c = np.sin(angle), np.cos(angle)
    assert gravity == pytest.approx(np.array([[s, 0, -c], [-s, 0, -c], [0, -s, -c], [0, 0, -1]]))


def test_velocities_are_in_the_base_frame(make):
    env = make(4)
    v = env.simulation.all
    v.qvel = 0.0
    v.qvel[:, :3] = [1.0, 2.0, 3.0]  # in the world's frame, as MuJoCo has it
    v.qvel[:, 3:6] = [0.1, 0.2, 0.3]  # in the body's frame, as MuJoCo has it
    tilt(env, 0, [0, 0, 1], np.pi / 2)  # it looks along the world's y
    tilt(env, 1, [0, 0, 1], 0.0)
    observations = env.task.observe(v)
    velocity = channel(env, observations, "base_linear_velocity")
    assert velocity[:2] == pytest.approx(np.array([[2, -1, 3], [1, 2, 3]]))
    assert channel(env, observations, "base_angular_velocity")[0] == pytest.approx([0.1, 0.2, 0.3])
    site = mujoco.mj_name2id(env.model, mujoco.mjtObj.mjOBJ_BODY, env.model.body(1).name)
    for row in range(4):  # MuJoCo's own word for it
        data = env.simulation.batch.get_data(row)
        mujoco.mj_forward(env.model, data)
        local = np.zeros(6)
        mujoco.mj_objectVelocity(env.model, data, mujoco.mjtObj.mjOBJ_XBODY, site, local, 1)
        assert velocity[row] == pytest.approx(local[3:])


def test_falling_is_a_matter_of_tilt(make):
    env = make(4)
    limit = env.config.max_tilt
    for row, angle in enumerate((0.0, limit - 0.05, limit + 0.05, np.pi)):
        tilt(env, row, [1, 0, 0], angle)
    env.simulation.fields["qpos"][:, 2] = 2.0
    env.simulation.fields["qvel"][:] = 0.0
    _, _, terminated, truncated, info = env.step(zeros(env))
    assert terminated.tolist() == [False, False, True, True]
    assert not truncated.any()
    assert info["metrics"]["fall"].tolist() == [0, 0, 1, 1]
    assert term(env, info, "fall").tolist() == [0, 0, 1, 1]
    assert "fault" not in info


def test_the_robot_stands_on_zero_actions(make):
    """Also that it does not drift, and that its height is that of the keyframe, about."""
    env = make(8, commands=STANDING, max_episode_steps=None, start_velocity_spread=0.0)
    start = env.simulation.fields["qpos"][:, :2].copy()
    for _ in range(150):
        _, _, terminated, _, info = env.step(zeros(env))
        assert not terminated.any()
    assert np.linalg.norm(env.simulation.fields["qpos"][:, :2] - start, axis=1).max() < 0.15
    assert abs(env.simulation.fields["qpos"][:, 2] - env.task.stand_height).max() < 0.05
    assert term(env, info, "gait") == pytest.approx(1.0)  # all feet on the ground


def test_air_time_counts_from_the_last_contact_to_the_next(make):
    env = make(6, commands=ALWAYS_MOVING, max_episode_steps=None)
    feet = len(env.task.robot.feet)
    env.simulation.fields["qpos"][:, 2] += 0.25  # a fall of about 0.2 s
    env.simulation.fields["qvel"][:] = 0.0
    counted = np.zeros((6, feet))
    landings = 0
    for _ in range(40):
        _, _, terminated, _, info = env.step(zeros(env))
        assert not terminated.any()
        contact = env.simulation.fields["sensordata"][:, env.task.touch] > 0
        landed = contact & (counted > 0)
        expected = ((counted - env.config.air_time_target) * landed).sum(axis=1)
        assert term(env, info, "air_time") == pytest.approx(expected, abs=1e-9)
        landings += landed.sum()
        counted = np.where(contact, 0.0, counted + env.task.dt)
        assert env.simulation.fields["air_time"] == pytest.approx(counted, abs=1e-9)
        if landings == 0:
            assert (counted > 0).all()
    assert landings >= 6 * feet


def test_the_first_landing_is_worth_the_time_of_the_fall(make):
    env = make(1, commands=ALWAYS_MOVING, start_joint_spread=0.0, start_velocity_spread=0.0)
    height = 0.4
    env.simulation.fields["qpos"][:, 2] += height
    duration, earned = np.sqrt(2 * height / 9.81), 0.0
    for _ in range(round(1.2 * duration / env.task.dt)):
        *_, info = env.step(zeros(env))
        earned = earned or term(env, info, "air_time")[0]
    feet = len(env.task.robot.feet)
    assert earned / feet == pytest.approx(duration - env.config.air_time_target, abs=0.03)


def test_standing_commands_earn_no_air_time(make):
    env = make(4, commands=STANDING, start_velocity_spread=0.0)
    env.simulation.fields["qpos"][:, 2] += 0.2
    for _ in range(30):
        *_, info = env.step(zeros(env))
        assert not term(env, info, "air_time").any()


def test_torques_are_the_forces_of_the_actuators(make):
    """Recomputed by mj_step on the row's own model, and within the robot's limits."""
    env = make(4)
    action = np.random.default_rng(0).uniform(-1, 1, env.action_space.shape).astype(np.float32)
    for _ in range(5):
        data = [env.simulation.batch.get_data(row) for row in range(4)]
        models = [env.simulation.batch.get_model(row) for row in range(4)]
        _, _, terminated, _, info = env.step(action)
        assert not terminated.any()
        for row in range(4):
            data[row].ctrl[:] = env.simulation.fields["ctrl"][row]
            mujoco.mj_step(models[row], data[row], env.substeps)
            force = data[row].actuator_force
            assert (force == env.simulation.fields["actuator_force"][row]).all()
            assert term(env, info, "torque")[row] == pytest.approx(np.square(force).sum())
            low, high = env.model.actuator_forcerange.T
            assert ((force >= low - 1e-9) & (force <= high + 1e-9)).all()
            assert abs(force).max() > 1


def test_actions_are_offsets_from_the_default_pose(make):
    env = make(2)
    home = env.model.keyframe("home").qpos[7:]
    action = zeros(env)
    env.step(action)
    assert env.simulation.fields["ctrl"] == pytest.approx(np.tile(home, (2, 1)))
    action[1] = np.linspace(-1, 1, action.shape[1])
    observations = env.step(action)[0]
    expected = home + env.config.action_scale * action[1]
    assert env.simulation.fields["ctrl"][1] == pytest.approx(expected, abs=1e-6)
    assert channel(env, observations, "last_action")[1] == pytest.approx(action[1])
    assert env.config.action_scale > 0


def test_action_rate_is_the_change_of_the_action(make):
    env = make(3)
    action = zeros(env)
    action[:, 0] = [0.5, -1.0, 0.0]
    *_, info = env.step(action)
    assert term(env, info, "action_rate") == pytest.approx([0.25, 1.0, 0.0])
    *_, info = env.step(action)
    assert term(env, info, "action_rate") == pytest.approx([0, 0, 0])


def test_tracking_terms_follow_their_definition(make):
    env = make(16)
    action = np.random.default_rng(0).uniform(-0.3, 0.3, env.action_space.shape).astype(np.float32)
    for _ in range(10):
        command = env.simulation.fields["command"].copy()
        _, _, terminated, _, info = env.step(action)
        assert not terminated.any()
        qpos, qvel = env.simulation.fields["qpos"], env.simulation.fields["qvel"]
        velocity = rotations.rotate_inverse(qpos[:, 3:7], qvel[:, :3])
        linear = np.linalg.norm(velocity[:, :2] - command[:, :2], axis=1)
        turning = abs(qvel[:, 5] - command[:, 2])
        scale = env.config.tracking_scale
        assert info["metrics"]["linear_velocity_error"] == pytest.approx(linear)
        assert info["metrics"]["yaw_rate_error"] == pytest.approx(turning)
        assert term(env, info, "linear_velocity") == pytest.approx(np.exp(-((linear / scale) ** 2)))
        assert term(env, info, "yaw_rate") == pytest.approx(np.exp(-((turning / scale) ** 2)))


def test_friction_is_drawn_per_episode_for_the_feet_alone_and_does_not_drift(make):
    env = make(256)
    low, high = env.config.friction
    feet, drawn = env.task.foot_geoms, []
    others = np.setdiff1d(np.arange(env.model.ngeom), feet)
    for _ in range(100):
        env.reset()
        friction = env.simulation.fields["geom_friction"]
        sliding = friction[:, feet, 0]
        assert (sliding == sliding[:, :1]).all()
        drawn.append(sliding[:, 0].copy())
        assert (friction[:, others] == env.model.geom_friction[others]).all()
        assert (friction[:, feet, 1:] == env.model.geom_friction[feet, 1:]).all()
    drawn = np.array(drawn)
    assert low <= drawn.min() < low + 0.01
    assert high >= drawn.max() > high - 0.01
    for some in (drawn[:10], drawn[-10:]):
        assert some.mean() == pytest.approx((low + high) / 2, abs=0.02)
        assert some.std() == pytest.approx((high - low) / np.sqrt(12), rel=0.05)
    assert len(np.unique(drawn)) == drawn.size


def test_friction_makes_the_feet_grip(make):
    distance = {}
    for friction in (0.05, 1.0):
        env = make(4, friction=(friction, friction), start_joint_spread=0.0)
        env.simulation.fields["qvel"][:] = 0.0
        env.simulation.fields["qvel"][:, 0] = 0.6
        start = env.simulation.fields["qpos"][:, 0].copy()
        for _ in range(25):
            env.step(zeros(env))
        distance[friction] = (env.simulation.fields["qpos"][:, 0] - start).mean()
    assert distance[0.05] > 1.5 * distance[1.0] > 0


def test_the_ground_under_a_resting_foot_does_not_slip(make):
    env = make(8, commands=STANDING, start_velocity_spread=0.0)
    *_, info = env.step(zeros(env))
    assert not term(env, info, "slip").any()  # there is no last position yet, and no jump from it
    for _ in range(60):
        *_, info = env.step(zeros(env))
    assert (term(env, info, "slip") < 1e-3).all()
    env.simulation.fields["qvel"][:, 0] = 1.0
    *_, info = env.step(zeros(env))
    assert (term(env, info, "slip") > 1e-3).all()


def test_a_reset_in_the_middle_does_not_look_like_a_slip(make):
    env = make(8, max_episode_steps=5, commands=STANDING, start_velocity_spread=0.0)
    for _ in range(23):
        *_, info = env.step(zeros(env))
        assert (term(env, info, "slip") < 4).all()  # a jump back to the start would be over 100


def test_observation_noise_is_that_of_the_channels_at_each_step(make):
    env = make(512, observation_noise=1.0)
    exact = env.task.observe(env.simulation.all)
    observations, _ = env.reset(seed=0)
    for _ in range(3):
        exact = env.task.observe(env.simulation.all)
        difference = observations - exact
        start = 0
        for entry in env.task.observation:
            part = difference[:, start : start + entry.size]
            start += entry.size
            assert abs(part).max() <= entry.noise + 1e-5
            assert part.std() == pytest.approx(entry.noise / np.sqrt(3), rel=0.1, abs=1e-6)
        observations = env.step(zeros(env))[0]
    quiet = [entry.name for entry in env.task.observation if not entry.noise]
    assert quiet == ["last_action", "command", "gait_clock"]


def test_the_gait_clock_runs_while_motion_is_asked_for(make):
    moving = make(32, commands=ALWAYS_MOVING)
    standing = make(32, commands=STANDING, start_velocity_spread=0.0)
    clock = channel(moving, moving.step(zeros(moving))[0], "gait_clock")
    assert np.hypot(*clock.T) == pytest.approx(1.0, abs=1e-6)
    later = channel(moving, moving.step(zeros(moving))[0], "gait_clock")
    turned = np.angle(np.exp(1j * (np.arctan2(*later.T) - np.arctan2(*clock.T))))
    expected = 2 * np.pi * moving.config.gait_frequency * moving.task.dt
    assert turned == pytest.approx(expected, abs=1e-4)
    assert not channel(standing, standing.step(zeros(standing))[0], "gait_clock").any()
    standing.simulation.fields["qvel"][:, 0] = 3 * standing.config.standing_speed  # a push
    clock = channel(standing, standing.step(zeros(standing))[0], "gait_clock")
    assert np.hypot(*clock.T) == pytest.approx(1.0, abs=1e-6)


def test_start_states_are_as_described(make):
    env = make(2000)
    config, qpos, qvel = env.config, env.simulation.fields["qpos"], env.simulation.fields["qvel"]
    offsets = qpos[:, 7:] - env.task.default_pose
    assert abs(offsets).max() <= config.start_joint_spread
    assert abs(offsets).max(axis=0).min() > 0.98 * config.start_joint_spread
    assert abs(qvel[:, :6]).max() <= config.start_velocity_spread
    assert not qvel[:, 6:].any()
    heading = rotations.yaw(qpos[:, 3:7])
    assert np.ptp(heading) > 1.98 * np.pi
    assert abs(np.exp(1j * heading).mean()) < 0.06
    assert np.linalg.norm(qpos[:, 3:7], axis=1) == pytest.approx(1.0)


def test_joints_actuators_and_feet_are_in_the_order_of_the_robot(make):
    env = make(1)
    task, model = env.task, env.model
    hinges = [i for i in range(model.njnt) if model.jnt_type[i] == mujoco.mjtJoint.mjJNT_HINGE]
    assert [model.joint(i).name for i in hinges] == list(joint_names(model))
    assert [model.jnt_qposadr[i] for i in hinges] == list(range(7, 7 + model.nu))
    assert len(task.robot.gait_offsets) == len(task.robot.feet)
    for i, foot in enumerate(task.robot.feet):
        site = model.site(foot)
        assert site.bodyid == model.geom(foot).bodyid
        assert model.sensor_objid[model.sensor(f"{foot}_touch").id] == site.id
        assert task.foot_sites[i] == site.id
    sideways = [model.joint(hinges[joint]).name for joint in task.sideways_joints]
    abduction = ("_hip_joint", "_HAA")  # swings a leg sideways
    assert sideways == [name for name in joint_names(model) if name.endswith(abduction)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("tracking_scale", 0.0), ("swing_share", 1.0), ("friction", (1.0, 0.4)), ("max_tilt", -1.0)],
)
def test_impossible_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=setting):
        gymnasium.make_vec("Motrix/Go1-v0", **{setting: value})
