# SPDX-License-Identifier: Apache-2.0
"""The Go1 model against the robot's own numbers (SI units, quaternions w, x, y, z)."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

MODEL = Path(__file__).parents[2] / "motrix_gym" / "tasks" / "locomotion" / "go1.xml"

LEGS = ("FR", "FL", "RR", "RL")
PARTS = ("hip", "thigh", "calf")

TRUNK = (  # mass, centre of mass, principal inertia, its frame
    5.204,
    (0.0223, 0.002, -0.0005),
    (0.0716565, 0.0630105, 0.0168101),
    (-0.00342088, 0.7052041, 0.0001067, 0.7089961),
)
HIP_INERTIA = (0.00073406, 0.00046844, 0.00039872)
THIGH_INERTIA = (0.00478717, 0.00460903, 0.00070927)
CALF_INERTIA = (0.00149767, 0.00148468, 3.584e-05)
HIPS = {  # leg: position in the parent, centre of mass, inertia frame
    "FR": (
        (0.1881, -0.04675, 0),
        (-0.0049166, 0.00762615, -8.865e-05),
        (0.50734097, 0.51416897, 0.49502698, 0.48289098),
    ),
    "FL": (
        (0.1881, 0.04675, 0),
        (-0.0049166, -0.00762615, -8.865e-05),
        (0.48289098, 0.49502698, 0.51416897, 0.50734097),
    ),
    "RR": (
        (-0.1881, -0.04675, 0),
        (0.0049166, 0.00762615, -8.865e-05),
        (0.49502698, 0.48289098, 0.50734097, 0.51416897),
    ),
    "RL": (
        (-0.1881, 0.04675, 0),
        (0.0049166, -0.00762615, -8.865e-05),
        (0.51416897, 0.50734097, 0.48289098, 0.49502698),
    ),
}
THIGHS = {  # by side
    "R": (
        (0, -0.08, 0),
        (-0.00304722, 0.019315, -0.0305004),
        (0.65242981, -0.02723129, 0.07751258, 0.75338278),
    ),
    "L": (
        (0, 0.08, 0),
        (-0.00304722, -0.019315, -0.0305004),
        (0.75338278, 0.07751258, -0.02723129, 0.65242981),
    ),
}
CALF = (
    (0, 0, -0.213),
    (0.00429862, 0.00097668, -0.146197),
    (0.6912463, 0.00357467, 0.00511118, 0.72259231),
)
RANGES = {"hip": (-0.863, 0.863), "thigh": (-0.686, 4.501), "calf": (-2.818, -0.888)}  # rad
AXES = {"hip": (1, 0, 0), "thigh": (0, 1, 0), "calf": (0, 1, 0)}
TORQUES = {"hip": 23.7, "thigh": 23.7, "calf": 35.55}  # N m

# Two poses, and what a model built from the tables alone gives for them: the diagonal of the mass
# matrix M, the product of M with VELOCITY, the centre of mass, and the feet.
VELOCITY = np.linspace(-1, 1, 18)
HOME = np.array([0, 0, 0.2878, 1, 0, 0, 0] + [0, 0.9, -1.8] * 4)
BENT = np.array(
    [0.1, -0.2, 0.5, 0.9, 0.1, -0.2, 0.3]
    + [0.3, 0.7, -1.5, -0.4, 1.1, -2.0, 0.2, 0.5, -1.2, -0.1, 1.3, -2.4]
)
REFERENCES = {
    "home": (
        HOME,
        [12.743448, 12.743448, 12.743448, 0.131445162, 0.398685279, 0.422947799]
        + [0.027797173, 0.027090068, 0.015687524, 0.027858387, 0.027090068, 0.015687524] * 2,
        [-12.727397857, -11.333398999, -9.708417124, -0.279719148, 0.047961558, -0.142046483]
        + [-0.028337428, 0.028831700, 0.027055766, -0.117407135, 0.027047781, 0.036450121]
        + [0.014106073, 0.041728457, 0.046896187, -0.102106814, 0.044001361, 0.053698148],
        [-0.002112950, 0.000876778, 0.268808293],
        [
            [0.1881, -0.12675, 0.022994154],
            [0.1881, 0.12675, 0.022994154],
            [-0.1881, -0.12675, 0.022994154],
            [-0.1881, 0.12675, 0.022994154],
        ],
    ),
    "bent": (
        BENT,
        [12.743448, 12.743448, 12.743448, 0.127822841, 0.405039763, 0.406079345]
        + [0.032812869, 0.030715930, 0.015687524, 0.024228508, 0.024808421, 0.015687524]
        + [0.037620586, 0.034296673, 0.015687524, 0.019580836, 0.020973633, 0.015687524],
        [-12.615756949, -11.322801900, -9.695788314, -0.107310035, 0.271589518, -0.135227378]
        + [-0.043085989, 0.100241455, 0.020908677, -0.022861749, 0.063141961, 0.032643795]
        + [0.002279369, 0.137504458, 0.045574084, -0.008074803, 0.046836003, 0.039688769],
        [0.105052415, -0.191742920, 0.478664168],
        [
            [0.368353590, -0.016032074, 0.300825275],
            [0.277301626, -0.011971659, 0.358364520],
            [0.136143720, -0.211171393, 0.107850526],
            [-0.064808690, -0.168683309, 0.273153479],
        ],
    ),
}


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_path(str(MODEL))


def at(model, qpos):
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_normalizeQuat(model, data.qpos)
    mujoco.mj_forward(model, data)
    return data


def parts():
    """Yield (body, position, mass, centre of mass, inertia, inertia frame) of every leg part."""
    for leg in LEGS:
        position, com, frame = HIPS[leg]
        yield f"{leg}_hip", position, 0.68, com, HIP_INERTIA, frame
        position, com, frame = THIGHS[leg[1]]
        yield f"{leg}_thigh", position, 1.009, com, THIGH_INERTIA, frame
        position, com, frame = CALF
        yield f"{leg}_calf", position, 0.195862, com, CALF_INERTIA, frame


def test_total_mass(model):
    assert mujoco.mj_getTotalmass(model) == pytest.approx(12.743448, abs=1e-9)


@pytest.mark.parametrize("part", list(parts()), ids=lambda part: part[0])
def test_leg_parts_have_the_robots_masses_and_inertias(model, part):
    name, position, mass, com, inertia, frame = part
    body = model.body(name)
    assert body.mass[0] == pytest.approx(mass, abs=1e-12)
    np.testing.assert_allclose(body.pos, position, atol=1e-12)
    np.testing.assert_allclose(body.quat, (1, 0, 0, 0), atol=1e-12)
    np.testing.assert_allclose(body.ipos, com, atol=1e-12)
    np.testing.assert_allclose(body.inertia, inertia, atol=1e-12)
    np.testing.assert_allclose(body.iquat, frame, atol=2e-8)


def test_trunk_has_the_robots_mass_and_inertia(model):
    mass, com, inertia, frame = TRUNK
    trunk = model.body("trunk")
    assert trunk.mass[0] == mass
    np.testing.assert_allclose(trunk.ipos, com, atol=1e-12)
    np.testing.assert_allclose(trunk.inertia, inertia, atol=1e-12)
    np.testing.assert_allclose(trunk.iquat, frame, atol=2e-8)


def test_bodies_joints_and_actuators_stand_leg_by_leg(model):
    names = [f"{leg}_{part}" for leg in LEGS for part in PARTS]
    assert [model.body(i).name for i in range(model.nbody)] == ["world", "trunk", *names]
    joints = [model.joint(i).name for i in range(model.njnt)]
    assert joints == ["root", *(f"{name}_joint" for name in names)]
    assert [model.actuator(i).name for i in range(model.nu)] == names
    np.testing.assert_array_equal(model.actuator_trnid[:, 0], np.arange(1, 13))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("leg", LEGS)
def test_joint_limits_and_torque_limits(model, leg, part):
    joint, actuator = model.joint(f"{leg}_{part}_joint"), model.actuator(f"{leg}_{part}")
    np.testing.assert_array_equal(joint.range, RANGES[part])
    np.testing.assert_array_equal(joint.axis, AXES[part])
    assert joint.limited[0]
    assert joint.armature[0] == 0.01
    assert joint.frictionloss[0] == 0.0
    np.testing.assert_array_equal(actuator.ctrlrange, RANGES[part])
    np.testing.assert_array_equal(actuator.forcerange, (-TORQUES[part], TORQUES[part]))
    assert actuator.ctrllimited[0]
    assert actuator.forcelimited[0]


@pytest.mark.parametrize("pose", REFERENCES)
def test_mass_matrix(model, pose):
    qpos, diagonal, product, _, _ = REFERENCES[pose]
    data = at(model, qpos)
    np.testing.assert_allclose(data.M[model.M_rowadr + model.M_rownnz - 1], diagonal, atol=2e-9)
    result = np.zeros(model.nv)
    mujoco.mj_mulM(model, data, result, VELOCITY)
    np.testing.assert_allclose(result, product, atol=2e-9)


@pytest.mark.parametrize("pose", REFERENCES)
def test_centre_of_mass_and_foot_positions(model, pose):
    qpos, _, _, com, feet = REFERENCES[pose]
    data = at(model, qpos)
    np.testing.assert_allclose(data.body("trunk").subtree_com, com, atol=2e-9)
    np.testing.assert_allclose([data.site(leg).xpos for leg in LEGS], feet, atol=2e-9)
    np.testing.assert_allclose([data.geom(leg).xpos for leg in LEGS], feet, atol=2e-9)


def test_home_keyframe_just_touches_the_floor(model):
    np.testing.assert_array_equal(model.key("home").qpos, HOME)
    np.testing.assert_array_equal(model.key("home").ctrl, HOME[7:])
    data = at(model, HOME)
    assert data.ncon == 4
    np.testing.assert_allclose(data.contact.dist, 0, atol=1e-5)


def test_only_feet_and_trunk_meet_only_the_floor(model):
    floor = model.geom("floor").id
    colliding = {
        model.geom(i).name
        for i in range(model.ngeom)
        if model.geom_contype[i] or model.geom_conaffinity[i]
    }
    assert colliding == {"floor", "trunk", *LEGS}
    data = at(model, HOME - 0.1 * (np.arange(19) == 2))  # feet in the floor
    assert {tuple(sorted(pair)) for pair in data.contact.geom.tolist()} == {
        (floor, model.geom(leg).id) for leg in LEGS
    }
    data = at(model, HOME - 0.25 * (np.arange(19) == 2))
    names = {model.geom(i).name for pair in data.contact.geom for i in pair}
    assert names == {"floor", "trunk", *LEGS}


def test_foot_friction_counts_over_the_floors(model):
    data = at(model, HOME)
    np.testing.assert_allclose(data.contact.friction[:, :3], [[0.8, 0.8, 0.02]] * 4)
    assert set(data.contact.dim) == {3}


def test_touch_sensors_carry_the_weight_when_standing(model):
    assert [model.sensor(i).name for i in range(model.nsensor)] == [f"{leg}_touch" for leg in LEGS]
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    for _ in range(1000):
        mujoco.mj_step(model, data)
    assert data.sensordata.min() > 10
    assert data.sensordata.sum() == pytest.approx(12.743448 * 9.81, rel=0.02)
    assert data.qpos[2] > 0.22  # it stands
    assert data.body("trunk").xmat.reshape(3, 3)[2, 2] > 0.99  # upright


def test_visual_geoms_are_few_and_weightless(model):
    visual = (model.geom_contype == 0) & (model.geom_conaffinity == 0)
    assert visual.sum() <= 30
    assert set(model.geom_group[visual]) == {2}
    without = mujoco.MjSpec.from_file(str(MODEL))
    for geom in without.geoms:
        if not (geom.contype or geom.conaffinity):
            without.delete(geom)
    lean = without.compile()
    assert lean.ngeom == 6
    np.testing.assert_array_equal(lean.body_mass, model.body_mass)
    np.testing.assert_array_equal(lean.body_inertia, model.body_inertia)


def test_step_is_cheap(model):
    """The choices that the speed rests on."""
    assert model.opt.timestep == 0.004
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    assert model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL
    assert not model.dof_frictionloss.any()  # each would be a row for the solver
    assert model.nsensor == 4


def test_cameras_follow_the_robot(model):
    assert [model.camera(i).name for i in range(model.ncam)] == ["track", "side"]
    assert set(model.cam_mode.tolist()) == {int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM)}
    assert (model.vis.global_.offwidth, model.vis.global_.offheight) == (1280, 960)
