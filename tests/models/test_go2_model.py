# SPDX-License-Identifier: Apache-2.0
"""The Go2 model against the robot's own numbers (SI units, quaternions w, x, y, z)."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

MODEL = Path(__file__).parents[2] / "motrix_gym" / "tasks" / "locomotion" / "go2.xml"

LEGS = ("FR", "FL", "RR", "RL")
PARTS = ("hip", "thigh", "calf")
NAMES = [f"{leg}_{part}" for leg in LEGS for part in PARTS]
MASS = 15.206408

MASSES = {"hip": 0.678, "thigh": 1.152, "calf": 0.241352}
INERTIAS = {
    "hip": (0.00088403, 0.000596, 0.00047997),
    "thigh": (0.00594973, 0.00584149, 0.00087879),
    "calf": (0.0014901, 0.00146356, 5.314e-05),
}
HIPS = {  # leg: position in the parent, centre of mass, inertia frame
    "FR": (
        (0.1934, -0.0465, 0),
        (-0.0054, -0.00194, -0.000105),
        (0.49823689, 0.50546189, 0.49924489, 0.49701389),
    ),
    "FL": (
        (0.1934, 0.0465, 0),
        (-0.0054, 0.00194, -0.000105),
        (0.49701389, 0.49924489, 0.50546189, 0.49823689),
    ),
    "RR": (
        (-0.1934, -0.0465, 0),
        (0.0054, -0.00194, -0.000105),
        (0.49924489, 0.49701389, 0.49823689, 0.50546189),
    ),
    "RL": (
        (-0.1934, 0.0465, 0),
        (0.0054, 0.00194, -0.000105),
        (0.50546189, 0.49823689, 0.49701389, 0.49924489),
    ),
}
THIGHS = {  # by side
    "R": (
        (0, -0.0955, 0),
        (-0.00374, 0.0223, -0.0327),
        (0.55162291, -0.0200632, 0.08476349, 0.82953287),
    ),
    "L": (
        (0, 0.0955, 0),
        (-0.00374, -0.0223, -0.0327),
        (0.82953287, 0.08476349, -0.0200632, 0.55162291),
    ),
}
CALVES = {  # by side
    "R": (
        (0, 0, -0.213),
        (0.00629595, 0.00062212, -0.141417),
        (0.70350771, -0.00450087, 0.00154099, 0.71067171),
    ),
    "L": (
        (0, 0, -0.213),
        (0.00629595, -0.00062212, -0.141417),
        (0.71067171, 0.00154099, -0.00450087, 0.70350771),
    ),
}
AXES = {"hip": (1, 0, 0), "thigh": (0, 1, 0), "calf": (0, 1, 0)}
RANGES = {"hip": (-1.0472, 1.0472), "thigh": (-1.5708, 3.4907), "calf": (-2.7227, -0.83776)}  # rad
TARGETS = {"hip": (-0.9472, 0.9472), "thigh": (-1.4, 2.5), "calf": (-2.6227, -0.84776)}  # rad
HOME = np.array([0, 0, 0.273, 1, 0, 0, 0] + [-0.1, 0.9, -1.8, 0.1, 0.9, -1.8] * 2)


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_path(str(MODEL))


def at(model, qpos):
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    return data


def inertia_tensor(body):
    """(3, 3) inertia about the centre of mass, in the axes of the body."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, body.iquat)
    rotation = rotation.reshape(3, 3)
    return rotation @ np.diag(body.inertia) @ rotation.T


def test_bodies_joints_actuators_and_sensors_stand_leg_by_leg(model):
    assert [model.body(i).name for i in range(model.nbody)] == ["world", "trunk", *NAMES]
    joints = [model.joint(i).name for i in range(model.njnt)]
    assert joints == ["root", *(f"{name}_joint" for name in NAMES)]
    assert [model.actuator(i).name for i in range(model.nu)] == NAMES
    np.testing.assert_array_equal(model.actuator_trnid[:, 0], np.arange(1, 13))
    assert [model.sensor(i).name for i in range(model.nsensor)] == [f"{leg}_touch" for leg in LEGS]


def test_trunk_and_total_have_the_robots_mass(model):
    trunk = model.body("trunk")
    assert trunk.mass[0] == 6.921
    np.testing.assert_allclose(trunk.ipos, (0.021112, 0, -0.005366), atol=1e-12)
    np.testing.assert_allclose(trunk.inertia, (0.107027, 0.0980771, 0.0244531), atol=1e-12)
    frame = (-0.00054347, 0.71343502, -0.00173769, 0.70071902)
    np.testing.assert_allclose(trunk.iquat, frame, atol=2e-8)
    assert mujoco.mj_getTotalmass(model) == pytest.approx(MASS, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_leg_parts_have_the_robots_masses_and_inertias(model, name):
    leg, part = name.split("_")
    table = {"hip": HIPS, "thigh": THIGHS, "calf": CALVES}[part]
    position, com, frame = table[leg if part == "hip" else leg[1]]
    body = model.body(name)
    assert body.mass[0] == MASSES[part]
    np.testing.assert_allclose(body.pos, position, atol=1e-12)
    np.testing.assert_allclose(body.quat, (1, 0, 0, 0), atol=1e-12)
    np.testing.assert_allclose(body.ipos, com, atol=1e-12)
    np.testing.assert_allclose(body.inertia, INERTIAS[part], atol=1e-12)
    np.testing.assert_allclose(body.iquat, frame, atol=2e-8)


@pytest.mark.parametrize("name", NAMES)
def test_joints_and_servos_have_the_robots_limits_and_gains(model, name):
    part = name.split("_")[1]
    joint, actuator = model.joint(f"{name}_joint"), model.actuator(name)
    np.testing.assert_array_equal(joint.axis, AXES[part])
    np.testing.assert_array_equal(joint.range, RANGES[part])
    assert joint.limited[0]
    assert (joint.damping[0], joint.armature[0], joint.frictionloss[0]) == (2.0, 0.01, 0.0)
    np.testing.assert_array_equal(actuator.gainprm[:3], (80, 0, 0))
    np.testing.assert_array_equal(actuator.biasprm[:3], (0, -80, -1))
    np.testing.assert_array_equal(actuator.ctrlrange, TARGETS[part])
    np.testing.assert_array_equal(actuator.forcerange, (-24, 24))
    assert actuator.ctrllimited[0]
    assert actuator.forcelimited[0]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("end", ["F", "R"])
def test_right_legs_are_the_left_legs_mirrored(model, end, part):
    right, left = model.body(f"{end}R_{part}"), model.body(f"{end}L_{part}")
    mirror = np.array([1, -1, 1])
    assert right.mass[0] == left.mass[0]
    np.testing.assert_array_equal(right.pos, mirror * left.pos)
    np.testing.assert_array_equal(right.ipos, mirror * left.ipos)
    mirrored = np.outer(mirror, mirror) * inertia_tensor(left)
    np.testing.assert_allclose(inertia_tensor(right), mirrored, atol=1e-12)


def test_trunk_is_its_own_mirror_image_but_for_a_hundredth(model):
    trunk = model.body("trunk")
    assert trunk.ipos[1] == 0
    assert abs(inertia_tensor(trunk)[1, [0, 2]]).max() < 0.01 * trunk.inertia.min()


def test_home_keyframe_just_touches_the_floor(model):
    np.testing.assert_array_equal(model.key("home").qpos, HOME)
    np.testing.assert_array_equal(model.key("home").ctrl, HOME[7:])
    data = at(model, HOME)
    assert data.ncon == 4
    np.testing.assert_allclose(data.contact.dist, 0, atol=1e-5)
    for leg in LEGS:
        np.testing.assert_array_equal(data.site(leg).xpos, data.geom(leg).xpos)


def test_stands_still_at_home(model):
    """For 2 s, on four feet, with the drop that the servos' stiffness lets expect.

    A foot bears a quarter of the weight, W / 4 = 37 N. Its lever arm is 0.17 m about the knee and
    0.12 m about the abduction axis, so the joints give way by lever * W / 4 / 80 N m/rad and the
    trunk sinks by (0.17**2 + 0.12**2) * 37 / 80 m = 20 mm; 30 mm leave room for half as much again.
    Were all of that the front's or the rear's alone, 30 mm on 387 mm would tilt the trunk by
    4 degrees; the centre of mass is within 3 mm of the middle, so half of it is ample.
    """
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    for _ in range(500):
        mujoco.mj_step(model, data)
        assert 0.243 < data.qpos[2] < 0.275
        assert data.body("trunk").xmat[8] > np.cos(np.radians(2))
    assert data.time == pytest.approx(2)
    assert abs(data.qvel).max() < 0.02
    weight = MASS * 9.81
    assert data.sensordata.min() > weight / 8
    assert data.sensordata.sum() == pytest.approx(weight, rel=0.01)


def test_only_feet_and_trunk_meet_only_the_floor(model):
    floor = model.geom("floor").id
    touching = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    assert {model.geom(i).name for i in np.flatnonzero(touching)} == {"floor", "trunk", *LEGS}
    data = at(model, HOME - 0.25 * (np.arange(19) == 2))  # trunk and feet in the floor
    pairs = {tuple(sorted(pair)) for pair in data.contact.geom.tolist()}
    assert pairs == {(floor, model.geom(name).id) for name in ("trunk", *LEGS)}
    np.testing.assert_allclose(at(model, HOME).contact.friction[:, :2], 0.8)  # the feet's


def test_looks_are_primitives_without_weight_or_contact(model):
    visual = (model.geom_contype == 0) & (model.geom_conaffinity == 0)
    assert model.nmesh == 0
    assert visual.sum() <= 40  # all geoms cost time, also where no one looks
    assert set(model.geom_group[visual]) == {2}
    lean = mujoco.MjSpec.from_file(str(MODEL))
    for geom in list(lean.geoms):
        if not (geom.contype or geom.conaffinity):
            lean.delete(geom)
    lean = lean.compile()
    assert lean.ngeom == 6
    np.testing.assert_array_equal(lean.body_mass, model.body_mass)
    np.testing.assert_array_equal(lean.body_inertia, model.body_inertia)


def test_cameras_follow_the_robot(model):
    assert [model.camera(i).name for i in range(model.ncam)] == ["track", "side"]
    assert set(model.cam_mode.tolist()) == {int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM)}
