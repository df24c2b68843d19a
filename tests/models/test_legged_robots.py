# SPDX-License-Identifier: Apache-2.0
"""The models of the legged robots against their makers' numbers (`legged_robots`)."""

import mujoco
import numpy as np
import pytest
from legged_robots import (
    ROBOTS,
    Robot,
    centre_of_mass,
    foot_places,
    levers,
    mass_matrix,
)

from motrix_gym.tasks.locomotion.robot import joint_mirror

GRAVITY = 9.81


@pytest.fixture(params=ROBOTS)
def robot(request) -> Robot:
    return ROBOTS[request.param]


@pytest.fixture
def model(robot):
    return mujoco.MjModel.from_xml_path(str(robot.model))


def at(model, qpos):
    """Everything that follows from a state at rest."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_normalizeQuat(model, data.qpos)
    mujoco.mj_forward(model, data)
    return data


def poses(robot):
    """Yield home, and some poses within the joints' ranges and half a turn."""
    yield np.array(robot.home, float)
    generator = np.random.default_rng(0)
    low, high = np.clip([joint.range for joint in robot.joints], -np.pi, np.pi).T
    for _ in range(5):
        turn = generator.normal(size=4)
        place, joints = generator.uniform(-1, 1, 3), generator.uniform(low, high)
        yield np.concatenate([place, turn / np.linalg.norm(turn), joints])


def test_the_table_has_the_robots_mass(robot):
    assert sum(part.mass for part in robot.parts) == pytest.approx(robot.mass, abs=1e-6)


def test_mass_matrix(robot, model):
    # Tables and models have 8 digits, so what they say differs by some 1e-8 of the mass, times
    # lengths and squares of lengths below a metre.
    for pose in poses(robot):
        data, expected = at(model, pose), mass_matrix(robot, pose)
        for column, direction in zip(expected.T, np.eye(model.nv), strict=True):
            result = np.zeros(model.nv)
            mujoco.mj_mulM(model, data, result, direction)
            np.testing.assert_allclose(result, column, rtol=0, atol=5e-8 * robot.mass)


def test_centre_of_mass_and_feet(robot, model):
    for pose in poses(robot):
        data, feet = at(model, pose), foot_places(robot, pose)
        com = data.body("trunk").subtree_com
        np.testing.assert_allclose(com, centre_of_mass(robot, pose), rtol=0, atol=1e-6)
        for places in (data.site, data.geom):
            found = [places(foot).xpos for foot in robot.feet]
            np.testing.assert_allclose(found, feet, rtol=0, atol=1e-6)
    for foot, (_, _, radius) in robot.feet.items():
        assert model.geom(foot).type[0] == mujoco.mjtGeom.mjGEOM_SPHERE
        assert model.geom(foot).size[0] == radius


def test_bodies_joints_actuators_and_sensors_stand_leg_by_leg(robot, model):
    moving = [part.name for part in robot.parts if part.joint]
    assert [model.body(i).name for i in range(model.nbody)] == ["world", "trunk", *moving]
    names = [joint.name for joint in robot.joints]
    assert [model.joint(i).name for i in range(model.njnt)] == ["root", *names]
    assert model.actuator_trnid[:, 0].tolist() == list(range(1, model.njnt))
    assert [model.actuator(i).name for i in range(model.nu)] == [
        name.removesuffix("_joint") for name in names
    ]
    sensors = [f"{foot}_touch" for foot in robot.feet]
    assert [model.sensor(i).name for i in range(model.nsensor)] == sensors


def test_joints_and_servos_have_the_robots_limits_and_gains(robot, model):
    for i, expected in enumerate(robot.joints):
        joint, servo = model.joint(expected.name), model.actuator(i)
        assert joint.limited[0]
        assert tuple(joint.range) == expected.range
        resistance = joint.damping[0], joint.armature[0], joint.frictionloss[0]
        assert resistance == (expected.damping, expected.armature, expected.friction)
        kp, kv = expected.gains
        assert servo.gainprm[:3].tolist() == [kp, 0, 0]
        assert servo.biasprm[:3].tolist() == [0, -kp, -kv]
        assert servo.ctrllimited[0]
        assert servo.forcelimited[0]
        assert tuple(servo.ctrlrange) == expected.targets
        assert tuple(servo.forcerange) == (-expected.torque, expected.torque)


def test_the_mirror_exchanges_left_and_right(robot, model):
    """A joint that swings its leg sideways turns the other way in the mirror."""
    mirror = joint_mirror(model)
    assert mirror is not None
    names = [joint.name for joint in robot.joints]
    assert [names[i] for i in mirror.source] == [robot.opposite(name) for name in names]
    assert list(mirror.sign) == [-1 if name.endswith(robot.abduction) else 1 for name in names]
    low, high = model.jnt_range[1:].T
    flipped = np.where(np.array(mirror.sign) > 0, (low, high), (-high, -low))
    np.testing.assert_array_equal(flipped[:, mirror.source], (low, high))


def test_the_mirrored_robot_weighs_the_same(robot, model):
    # A robot's sides differ by the place of a cable: of the trunk's centre by 2 mm, of a leg's
    # parts by a tenth of one.
    reflect = np.array([1, -1, 1])
    for part in robot.parts[1:]:
        if part.joint:
            here, there = model.body(part.name), model.body(robot.opposite(part.name))
            assert here.mass[0] == there.mass[0]
            np.testing.assert_allclose(here.pos, reflect * there.pos, rtol=0, atol=1e-9)
            np.testing.assert_allclose(here.ipos, reflect * there.ipos, rtol=0, atol=2e-3)
            mirrored = np.outer(reflect, reflect) * inertia_tensor(there)
            atol = 0.05 * here.inertia.max()
            np.testing.assert_allclose(inertia_tensor(here), mirrored, rtol=0, atol=atol)
    trunk = model.body("trunk")
    assert abs(trunk.ipos[1]) <= 2e-3
    assert abs(inertia_tensor(trunk)[1, [0, 2]]).max() < 0.02 * trunk.inertia.min()


def inertia_tensor(body):
    """(3, 3) inertia about the centre of mass, in the axes of the body."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, body.iquat)
    rotation = rotation.reshape(3, 3)
    return rotation @ np.diag(body.inertia) @ rotation.T


def test_home_just_touches_the_floor(robot, model):
    home = model.key("home")
    np.testing.assert_array_equal(home.qpos, robot.home)
    np.testing.assert_array_equal(home.ctrl, robot.home[7:])
    data = at(model, robot.home)
    assert data.ncon == len(robot.feet)
    np.testing.assert_allclose(data.contact.dist, 0, atol=5e-5)


def test_stands_still_at_home(robot, model):
    """For 2 s, on four feet, with no more than the drop that the servos' stiffness lets expect.

    Under a quarter of the weight, a joint gives way by lever * force / kp, and the foot rises by
    lever times that. Half as much again is for what the feet slide and the trunk tilts. Were all
    of the drop at one end, it would tilt the trunk by drop / distance of the feet.
    """
    weight, home = robot.mass * GRAVITY, np.array(robot.home)
    kp = np.array([joint.gains[0] for joint in robot.joints])
    rises = [(levers(robot, home, foot) ** 2 / kp).sum() for foot in robot.feet]
    drop = 1.5 * max(rises) * weight / 4
    length = np.ptp(foot_places(robot, home)[:, 0])
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    for _ in range(round(2 / model.opt.timestep)):
        mujoco.mj_step(model, data)
        assert home[2] - drop < data.qpos[2] < home[2] + 0.002
        assert data.body("trunk").xmat[8] > np.cos(drop / length)
    assert abs(data.qvel).max() < 0.02
    assert data.sensordata.min() > weight / 8
    assert data.sensordata.sum() == pytest.approx(weight, rel=0.01)


def test_feet_shins_and_trunk_meet_the_floor_and_nothing_else(robot, model):
    touching = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    names = {"trunk", *robot.feet, *robot.shins}
    assert {model.geom(i).name for i in np.flatnonzero(touching)} == {"floor", *names}
    sunk = np.array(robot.home)
    sunk[2] = 0.05
    pairs = {tuple(sorted(pair)) for pair in at(model, sunk).contact.geom.tolist()}
    floor = model.geom("floor").id
    assert pairs == {(floor, model.geom(name).id) for name in names}


def test_the_feets_friction_counts_over_the_floors(robot, model):
    contact = at(model, robot.home).contact
    np.testing.assert_allclose(contact.friction[:, :3], [[0.8, 0.8, 0.02]] * len(robot.feet))
    assert set(contact.dim) == {3}


def test_looks_have_no_weight_no_contact_and_no_files(robot, model):
    visual = (model.geom_contype == 0) & (model.geom_conaffinity == 0)
    assert visual.sum() <= 45  # all geoms cost time, also where no one looks
    assert set(model.geom_group[visual]) == {2}
    lean = mujoco.MjSpec.from_file(str(robot.model))
    assert not [mesh.file for mesh in lean.meshes if mesh.file]
    for geom in list(lean.geoms):
        if not (geom.contype or geom.conaffinity):
            lean.delete(geom)
    lean = lean.compile()
    assert lean.ngeom == 2 + len(robot.feet) + len(robot.shins)
    np.testing.assert_array_equal(lean.body_mass, model.body_mass)
    np.testing.assert_array_equal(lean.body_inertia, model.body_inertia)


def test_a_step_is_cheap(model):
    """The choices that the speed rests on."""
    assert model.opt.timestep == 0.004
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    assert model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL


def test_cameras_follow_the_robot(model):
    assert [model.camera(i).name for i in range(model.ncam)] == ["track", "side"]
    assert set(model.cam_mode.tolist()) == {int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM)}
    assert (model.vis.global_.offwidth, model.vis.global_.offheight) == (1280, 960)
