# SPDX-License-Identifier: Apache-2.0
"""The Panda's model against its maker's numbers, and the scenes that include it.

Places of the hand follow from Franka's Denavit-Hartenberg parameters (Craig's convention), which
the model does not have. The mass matrix follows from MuJoCo Menagerie's masses and inertias.
"""

from pathlib import Path

import mujoco
import numpy as np
import pytest
from legged_robots import STRAIGHT, Joint, Part, cross, rotation

import motrix_gym
from motrix_gym.tasks.manipulation.panda import HOME, in_reach

SCENES = sorted(Path(motrix_gym.__file__).parent.glob("tasks/manipulation/franka_*.xml"))
MASS = 17.451901  # kg
DH = (  # a and d (m), alpha (rad) of each joint, then of the flange
    (0, 0.333, 0),
    (0, 0, -np.pi / 2),
    (0, 0.316, np.pi / 2),
    (0.0825, 0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0, 0, np.pi / 2),
    (0.088, 0, np.pi / 2),
    (0, 0.107, 0),
)
HAND_TURN = -np.pi / 4  # of the hand on the flange (rad)
PADS = 0.0584 + 0.04525  # from the hand to the middle of the pads (m)

_HALF = np.sqrt(0.5)
_BACK, _ON = (_HALF, -_HALF, 0, 0), (_HALF, _HALF, 0, 0)


def hinge(name, kp, kv, damping, torque, low=-2.8973, high=2.8973):
    limits = (low, high)
    return Joint(name, (0, 0, 1), limits, limits, torque, (kp, kv), damping, 0.1, 0)


def finger(name):
    limits = (0, 0.04)
    return Joint(name, (0, 1, 0), limits, limits, 200, (350, 10), 10, 0.1, 0)


PARTS = (
    Part(
        "link0",
        None,
        (0, 0, 0),
        STRAIGHT,
        0.629769,
        (-0.041018, -0.00014, 0.049974),
        (0.00430465, 0.00387984, 0.00313051),
        (0.00630474, 0.75124456, 0.00741775, 0.65995214),
    ),
    Part(
        "link1",
        "link0",
        (0, 0, 0.333),
        STRAIGHT,
        4.970684,
        (0.003875, 0.002081, -0.04762),
        (0.70713701, 0.70343543, 0.00852456),
        (0.71154916, 0.00634354, -0.01311216, 0.70248532),
        hinge("joint1", 1000, 20, 40, 100),
    ),
    Part(
        "link2",
        "link1",
        (0, 0, 0),
        _BACK,
        0.646926,
        (-0.003141, -0.02872, 0.003495),
        (0.03103264, 0.02830011, 0.00273425),
        (-0.1681748, 0.82836588, -0.12287755, 0.52002722),
        hinge("joint2", 1000, 20, 40, 100, -1.7628, 1.7628),
    ),
    Part(
        "link3",
        "link2",
        (0, -0.316, 0),
        _ON,
        3.228604,
        (0.027518, 0.039252, -0.066502),
        (0.04150139, 0.04147926, 0.00124635),
        (0.66276882, -0.00678333, 0.25205317, 0.70509622),
        hinge("joint3", 750, 4, 40, 100),
    ),
    Part(
        "link4",
        "link3",
        (0.0825, 0, 0),
        _ON,
        3.587895,
        (-0.05317, 0.104419, 0.027454),
        (0.03495964, 0.02814828, 0.01062008),
        (0.65058034, 0.52982172, -0.09620337, 0.53551758),
        hinge("joint4", 750, 4, 40, 100, -3.0718, -0.0698),
    ),
    Part(
        "link5",
        "link4",
        (-0.0825, 0.384, 0),
        _BACK,
        1.225946,
        (-0.011953, 0.041065, -0.038437),
        (0.03676254, 0.02885309, 0.00803437),
        (0.98731326, -0.01219535, 0.07191867, -0.14103724),
        hinge("joint5", 300, 2, 2, 12),
    ),
    Part(
        "link6",
        "link5",
        (0, 0, 0),
        _ON,
        1.666555,
        (0.060149, -0.014117, -0.010517),
        (0.00584276, 0.00431037, 0.00159787),
        (0.10107538, 0.5933199, 0.0287227, 0.79807911),
        hinge("joint6", 300, 2, 2, 12, -0.0175, 3.7525),
    ),
    Part(
        "link7",
        "link6",
        (0.088, 0, 0),
        _ON,
        0.735522,
        (0.010517, -0.004252, 0.061597),
        (0.01273449, 0.01010548, 0.00451803),
        (0.99293852, -0.07620412, 0.07335952, -0.05370665),
        hinge("joint7", 300, 2, 2, 12),
    ),
    Part(
        "hand",
        "link7",
        (0, 0, 0.107),
        (np.cos(HAND_TURN / 2), 0, 0, np.sin(HAND_TURN / 2)),
        0.73,
        (-0.01, 0, 0.03),
        (0.001, 0.0025, 0.0017),
        STRAIGHT,
    ),
    Part(
        "left_finger",
        "hand",
        (0, 0, 0.0584),
        STRAIGHT,
        0.015,
        (0, 0, 0),
        (2.38e-06, 2.38e-06, 7.5e-07),
        STRAIGHT,
        finger("finger_joint1"),
    ),
    Part(
        "right_finger",
        "hand",
        (0, 0, 0.0584),
        (0, 0, 0, 1),
        0.015,
        (0, 0, 0),
        (2.38e-06, 2.38e-06, 7.5e-07),
        STRAIGHT,
        finger("finger_joint2"),
    ),
)
JOINTS = [part.joint for part in PARTS if part.joint]


@pytest.fixture(params=SCENES, ids=lambda path: path.stem)
def model(request):
    return mujoco.MjModel.from_xml_path(str(request.param))


def poses():
    """Yield the home pose, and some within the joints' ranges."""
    yield np.array([*HOME, 0.04, 0.04])
    generator = np.random.default_rng(0)
    low, high = np.transpose([joint.range for joint in JOINTS])
    for _ in range(8):
        yield generator.uniform(low, high)


def at(model, pose):
    data = mujoco.MjData(model)
    data.qpos[: len(pose)] = pose
    mujoco.mj_forward(model, data)
    return data


def hand_by_dh(pose):
    """(4, 4) the hand's frame in the world."""
    frame = np.eye(4)
    for (a, d, alpha), angle in zip(DH, [*pose[:7], HAND_TURN], strict=True):
        ca, sa, c, s = np.cos(alpha), np.sin(alpha), np.cos(angle), np.sin(angle)
        frame = frame @ [
            [c, -s, 0, a],
            [s * ca, c * ca, -sa, -d * sa],
            [s * sa, c * sa, ca, d * ca],
            [0, 0, 0, 1],
        ]
    return frame


def mass_matrix(pose):
    """(9, 9): the kinetic energy of joint velocities v is v M v / 2."""
    matrix, joint = np.diag([j.armature for j in JOINTS]), 0
    frames = {}  # place, axes, and the joints above: number, hinge or slide, anchor, axis
    for part in PARTS:
        place, axes, above = frames.get(part.parent, (np.zeros(3), np.eye(3), []))
        place, axes = place + axes @ part.place, axes @ rotation(part.turn)
        if part.joint:
            direction, is_hinge = np.array(part.joint.axis), part.joint.name.startswith("joint")
            if is_hinge:
                half = pose[joint] / 2
                axes = axes @ rotation([np.cos(half), *np.sin(half) * direction])
            else:
                place = place + axes @ direction * pose[joint]
            above = [*above, (joint, is_hinge, place, axes @ direction)]
            joint += 1
        frames[part.name] = place, axes, above
        linear, angular = np.zeros((3, 9)), np.zeros((3, 9))
        for number, is_hinge, anchor, axis in above:
            arm = place + axes @ part.com - anchor
            linear[:, number] = cross(axis) @ arm if is_hinge else axis
            angular[:, number] = axis * is_hinge
        principal = axes @ rotation(part.frame)
        inertia = principal @ np.diag(part.inertia) @ principal.T
        matrix += part.mass * linear.T @ linear + angular.T @ inertia @ angular
    return matrix


def test_masses(model):
    assert sum(part.mass for part in PARTS) == pytest.approx(MASS, abs=1e-6)
    for part in PARTS:
        assert model.body(part.name).mass[0] == part.mass


def test_mass_matrix(model):
    # Tables and models have 8 digits: they agree to some 1e-8 of the mass times lengths below 1 m.
    for pose in poses():
        data, expected = at(model, pose), mass_matrix(pose)
        for column, direction in zip(expected.T, np.eye(model.nv), strict=False):
            result = np.zeros(model.nv)
            mujoco.mj_mulM(model, data, result, direction)
            np.testing.assert_allclose(result[:9], column, rtol=0, atol=5e-8 * MASS)


def test_the_hand_is_where_the_parameters_of_franka_say(model):
    for pose in poses():
        data, expected = at(model, pose), hand_by_dh(pose)
        np.testing.assert_allclose(data.body("hand").xpos, expected[:3, 3], rtol=0, atol=1e-7)
        axes = data.body("hand").xmat.reshape(3, 3)
        np.testing.assert_allclose(axes, expected[:3, :3], rtol=0, atol=1e-7)
        grip = expected @ [0, 0, PADS, 1]
        np.testing.assert_allclose(data.site("grip").xpos, grip[:3], rtol=0, atol=1e-7)
        left, right = (data.geom(f"{side}_pad").xpos for side in ("left", "right"))
        if pose[7] == pose[8]:
            np.testing.assert_allclose((left + right) / 2, grip[:3], rtol=0, atol=1e-7)
        apart = pose[7] + pose[8] + 2 * (0.00758 - 0.0076)
        thickness = 2 * 0.0076
        assert np.linalg.norm(left - right) == pytest.approx(apart + thickness, abs=1e-9)


def test_at_home_the_hand_is_straight_down_and_open(model):
    axes = at(model, next(poses())).site("grip").xmat.reshape(3, 3)
    np.testing.assert_allclose(axes, np.diag([1, -1, -1]), atol=0.002)  # joint 6 has 4 digits


def test_joints_and_servos(model):
    assert [model.joint(i).name for i in range(9)] == [joint.name for joint in JOINTS]
    # The second finger has no servo: an equality couples it to the first.
    for i, expected in enumerate(JOINTS[:8]):
        servo, (kp, kv) = model.actuator(i), expected.gains
        assert servo.name == ("gripper" if i == 7 else expected.name)
        assert model.actuator_trnid[i, 0] == i
        assert servo.gainprm[:3].tolist() == [kp, 0, 0]
        assert servo.biasprm[:3].tolist() == [0, -kp, -kv]
        assert tuple(servo.ctrlrange) == expected.targets
        assert tuple(servo.forcerange) == (-expected.torque, expected.torque)
    for expected in JOINTS:
        joint = model.joint(expected.name)
        assert joint.limited[0]
        assert tuple(joint.range) == expected.range
        resistance = joint.damping[0], joint.armature[0], joint.frictionloss[0]
        assert resistance == (expected.damping, expected.armature, expected.friction)
    assert model.eq_type[0] == mujoco.mjtEq.mjEQ_JOINT
    assert {int(model.eq_obj1id[0]), int(model.eq_obj2id[0])} == {7, 8}


def test_the_settings_with_which_a_grasp_holds(model):
    # With fewer iterations of the line search, the solver gives wrong forces without a warning.
    option = model.opt
    assert option.ls_iterations == 50
    assert option.iterations == 100
    assert option.solver == mujoco.mjtSolver.mjSOL_NEWTON
    assert option.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert option.impratio == 20
    assert option.timestep == 0.005
    assert option.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    for name in ("left_pad", "right_pad"):
        pad = model.geom(name)
        assert pad.condim[0] == 3
        assert pad.friction[0] == 1
        assert pad.solref.tolist() == [0.01, 1]
        assert pad.solimp[:3].tolist() == [0.95, 0.99, 0.001]


def test_the_arm_holds_itself_up(model):
    data = at(model, next(poses()))
    data.ctrl[:8] = data.qpos[:8]
    place = data.site("grip").xpos.copy()
    for _ in range(200):
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.site("grip").xpos, place, atol=1e-5)


def test_reach_is_where_a_straight_arm_ends():
    """Along a line outwards, the last place in reach is that of the straight arm."""
    for height in (0.02, 0.3, 0.6):
        out = np.linspace(0.3, 1.2, 9001)
        places = np.stack([out, 0 * out, 0 * out + height], axis=1)
        farthest = out[in_reach(places)].max()
        # Pythagoras: wrist at 0.088 m behind the grip and 0.21065 m above it, shoulder at 0.333 m.
        arm = np.hypot(0.316, 0.0825) + np.hypot(0.384, 0.0825)
        assert farthest == pytest.approx(
            0.088 + np.sqrt(arm**2 - (height + 0.107 + PADS - 0.333) ** 2), abs=2e-4
        )
    assert not in_reach(np.array([0.2, 0.0, 0.02]))


def test_looks_have_no_weight_no_contact_and_no_files(model):
    visual = (model.geom_contype == 0) & (model.geom_conaffinity == 0)
    assert visual.sum() <= 60  # all geoms cost time, also where no one looks
    assert model.nmeshvert < 10_000
    for path in SCENES:
        assert not [mesh.file for mesh in mujoco.MjSpec.from_file(str(path)).meshes if mesh.file]
