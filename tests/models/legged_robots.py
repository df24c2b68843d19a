# SPDX-License-Identifier: Apache-2.0
"""The legged robots in numbers, as their makers' files have them, and rigid-body mechanics of them.

The mechanics are written without MuJoCo, from the tables alone, so that a model which agrees with
them has the right bodies in the right places. SI units; quaternions (w, x, y, z).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

MODELS = Path(__file__).parents[2] / "motrix_gym" / "tasks" / "locomotion"
STRAIGHT = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Joint:
    """A hinge and its position servo."""

    name: str
    axis: tuple[float, ...]  # in the frame of the part that it moves
    range: tuple[float, float]
    targets: tuple[float, float]
    torque: float
    gains: tuple[float, float]  # kp, kv
    damping: float
    armature: float
    friction: float


@dataclass(frozen=True)
class Part:
    """A rigid part; without a joint it is fixed to its parent, and the trunk's parent is None."""

    name: str
    parent: str | None
    place: tuple[float, ...]  # in the parent
    turn: tuple[float, ...]
    mass: float
    com: tuple[float, ...]
    inertia: tuple[float, ...]  # principal
    frame: tuple[float, ...]  # of the principal axes
    joint: Joint | None = None


@dataclass(frozen=True)
class Robot:
    """A robot: parts with each parent before its children, and the joints' pose at home."""

    file: str
    parts: tuple[Part, ...]
    mass: float
    feet: dict[str, tuple[str, tuple[float, ...], float]]  # the part, the place in it, the radius
    home: tuple[float, ...]
    shins: tuple[str, ...] = ()
    side: int = 1  # where in a part's name the letter of its side is, L or R
    abduction: str = "hip_joint"  # what ends the name of a joint that swings a leg sideways

    @property
    def model(self) -> Path:
        """The MJCF file."""
        return MODELS / self.file

    @property
    def joints(self) -> list[Joint]:
        """In order."""
        return [part.joint for part in self.parts if part.joint]

    def opposite(self, name: str) -> str:
        """The name of what is on the other side."""
        other = {"L": "R", "R": "L"}[name[self.side]]
        return name[: self.side] + other + name[self.side + 1 :]


@dataclass(frozen=True)
class Motion:
    """Where a part is, and how it moves per unit of each of the robot's velocities."""

    place: np.ndarray
    axes: np.ndarray
    centre: np.ndarray  # of mass
    linear: np.ndarray  # (3, velocities), of the centre of mass
    angular: np.ndarray


def rotation(quaternion) -> np.ndarray:
    """(3, 3) matrix of a quaternion, which need not be of length 1."""
    w, *v = np.asarray(quaternion, float) / np.linalg.norm(quaternion)
    return (w * w - np.dot(v, v)) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross(v)


def cross(v) -> np.ndarray:
    """(3, 3) matrix that multiplies by v from the left."""
    x, y, z = v
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], float)


def motions(robot: Robot, qpos: np.ndarray) -> dict[str, Motion]:
    """Every part's, at a state as MuJoCo has it: place, quaternion, joints.

    The velocities are those of MuJoCo too: linear in the world, angular in the base, joints.
    """
    size, joint = 6 + len(robot.joints), 0
    found: dict[str, Motion] = {}
    hinges: dict[str | None, list] = {None: []}  # number, anchor and axis of those above a part
    for part in robot.parts:
        above = list(hinges[part.parent])
        if part.parent is None:
            place, axes = np.array(qpos[:3]), rotation(qpos[3:7])
        else:
            parent = found[part.parent]
            place = parent.place + parent.axes @ part.place
            axes = parent.axes @ rotation(part.turn)
        if part.joint:
            half = qpos[7 + joint] / 2
            axes = axes @ rotation([np.cos(half), *np.sin(half) * np.array(part.joint.axis)])
            above.append((6 + joint, place, axes @ part.joint.axis))
            joint += 1
        centre = place + axes @ part.com
        linear, angular = np.zeros((3, size)), np.zeros((3, size))
        base = rotation(qpos[3:7])
        linear[:, :3], angular[:, 3:6] = np.eye(3), base
        linear[:, 3:6] = -cross(centre - qpos[:3]) @ base
        for number, anchor, axis in above:
            linear[:, number], angular[:, number] = np.cross(axis, centre - anchor), axis
        hinges[part.name] = above
        found[part.name] = Motion(place, axes, centre, linear, angular)
    return found


def mass_matrix(robot: Robot, qpos: np.ndarray) -> np.ndarray:
    """(velocities, velocities): the kinetic energy of velocities v is v M v / 2."""
    matrix = np.diag([0.0] * 6 + [joint.armature for joint in robot.joints])
    moving = motions(robot, qpos)
    for part in robot.parts:
        motion = moving[part.name]
        principal = motion.axes @ rotation(part.frame)
        inertia = principal @ np.diag(part.inertia) @ principal.T
        matrix += part.mass * motion.linear.T @ motion.linear
        matrix += motion.angular.T @ inertia @ motion.angular
    return matrix


def centre_of_mass(robot: Robot, qpos: np.ndarray) -> np.ndarray:
    """(3,) of the robot, in the world."""
    moving = motions(robot, qpos)
    weighted = [part.mass * moving[part.name].centre for part in robot.parts]
    return np.sum(weighted, axis=0) / robot.mass


def foot_places(robot: Robot, qpos: np.ndarray) -> np.ndarray:
    """(feet, 3) in the world."""
    moving = motions(robot, qpos)
    return np.array(
        [moving[part].place + moving[part].axes @ place for part, place, _ in robot.feet.values()]
    )


def levers(robot: Robot, qpos: np.ndarray, foot: str) -> np.ndarray:
    """(joints,) by how much a foot rises per radian of each joint (m), with the base held."""
    step = 1e-6
    number, rise = list(robot.feet).index(foot), []
    for joint in range(len(robot.joints)):
        turned = np.array(qpos)
        turned[7 + joint] += step
        difference = foot_places(robot, turned)[number] - foot_places(robot, qpos)[number]
        rise.append(difference[2] / step)
    return np.array(rise)


def go1() -> Iterator[Part]:
    """MuJoCo Menagerie's; servos, damping, armature and no friction are this project's."""
    trunk = (0.0223, 0.002, -0.0005), (0.0716565, 0.0630105, 0.0168101)
    frame = (-0.00342088, 0.7052041, 0.0001067, 0.7089961)
    yield Part("trunk", None, (), STRAIGHT, 5.204, *trunk, frame)
    hips = {  # place in the parent, centre of mass, frame
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
    thighs = {  # by side
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
    calf = (
        (0, 0, -0.213),
        (0.00429862, 0.00097668, -0.146197),
        (0.6912463, 0.00357467, 0.00511118, 0.72259231),
    )
    limits = (-0.863, 0.863)
    template = Joint("", (1, 0, 0), limits, limits, 23.7, (35, 0.5), 0.5, 0.01, 0)
    limits, more = (-0.686, 4.501), (-2.818, -0.888)
    joints = {
        "hip": template,
        "thigh": replace(template, axis=(0, 1, 0), range=limits, targets=limits),
        "calf": replace(template, axis=(0, 1, 0), range=more, targets=more, torque=35.55),
    }
    inertias = {
        "hip": (0.68, (0.00073406, 0.00046844, 0.00039872)),
        "thigh": (1.009, (0.00478717, 0.00460903, 0.00070927)),
        "calf": (0.195862, (0.00149767, 0.00148468, 3.584e-05)),
    }
    for leg, hip in hips.items():
        yield from chain(leg, (hip, thighs[leg[1]], calf), inertias, joints)


def go2() -> Iterator[Part]:
    """MotrixLab's."""
    trunk = (0.021112, 0, -0.005366), (0.107027, 0.0980771, 0.0244531)
    frame = (-0.00054347, 0.71343502, -0.00173769, 0.70071902)
    yield Part("trunk", None, (), STRAIGHT, 6.921, *trunk, frame)
    hips = {
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
    thighs = {
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
    calves = {
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
    hip = Joint(
        "", (1, 0, 0), (-1.0472, 1.0472), (-0.9472, 0.9472), 24, (80, 1), 2, 0.01, friction=0
    )
    thigh = replace(hip, axis=(0, 1, 0), range=(-1.5708, 3.4907), targets=(-1.4, 2.5))
    calf = replace(thigh, range=(-2.7227, -0.83776), targets=(-2.6227, -0.84776))
    inertias = {
        "hip": (0.678, (0.00088403, 0.000596, 0.00047997)),
        "thigh": (1.152, (0.00594973, 0.00584149, 0.00087879)),
        "calf": (0.241352, (0.0014901, 0.00146356, 5.314e-05)),
    }
    joints = {"hip": hip, "thigh": thigh, "calf": calf}
    for leg, place in hips.items():
        yield from chain(leg, (place, thighs[leg[1]], calves[leg[1]]), inertias, joints)


def vbot() -> Iterator[Part]:
    """MotrixLab's, in which the feet are parts of their own."""
    trunk = (0.026103, 0.000278, 0.024686), (0.14434571, 0.13979661, 0.04665367)
    frame = (0.58613729, 0.39232755, 0.39036618, 0.59172326)
    yield Part("trunk", None, (), STRAIGHT, 9.016326, *trunk, frame)
    hips = {
        "FR": (
            (0.18453, -0.051, 0),
            (-0.027882, 0.015355, 0),
            (-0.13760905, 0.67841726, 0.23315509, 0.68297326),
        ),
        "FL": (
            (0.18453, 0.051, 0),
            (-0.027882, -0.015355, 0),
            (0.13760905, 0.67841726, -0.23315509, 0.68297326),
        ),
        "RR": (
            (-0.18453, -0.051, 0),
            (0.027882, 0.015355, 0),
            (0.23315509, 0.68297326, -0.13760905, 0.67841726),
        ),
        "RL": (
            (-0.18453, 0.051, 0),
            (0.027882, -0.015355, 0),
            (-0.23315509, 0.68297326, 0.13760905, 0.67841726),
        ),
    }
    thighs = {
        "R": (
            (0, -0.0975, 0),
            (-0.000498, 0.038065, -0.024467),
            (0.97528159, -0.21911091, 0.02473399, 0.01429909),
        ),
        "L": (
            (0, 0.0975, 0),
            (-0.000498, -0.038065, -0.024467),
            (0.97528159, 0.21911091, 0.02473399, -0.01429909),
        ),
    }
    calf = (
        (0, 0, -0.1985),
        (0.00261631, 0, -0.125302),
        (0.70694371, -0.01518519, -0.01518519, 0.70694371),
    )
    inertias = {
        "hip": (0.079643, (8.722e-05, 7.787e-05, 2.291e-05)),
        "thigh": (1.55038, (0.00679074, 0.00586921, 0.00204705)),
        "calf": (0.183986, (0.00125035, 0.0012368, 3.555e-05)),
    }
    limits = (-0.73304, 0.73304)
    hip = Joint("", (1, 0, 0), limits, limits, 17, (80, 6), 0.1, 0.0043, friction=0.2)
    limits = (-2.6387, -0.7854)
    knee = replace(hip, axis=(0, 1, 0), range=limits, targets=limits, torque=34, armature=0.04)
    for leg, place in hips.items():
        limits = (-1.559, 3.1298) if leg[0] == "F" else (-0.51181, 4.177)
        thigh = replace(hip, axis=(0, 1, 0), range=limits, targets=limits)
        joints = {"hip": hip, "thigh": thigh, "calf": knee}
        yield from chain(leg, (place, thighs[leg[1]], calf), inertias, joints)
        ball = (0.03879239, (0, 0, 0), (6.84e-06,) * 3)
        yield Part(f"{leg}_foot", f"{leg}_calf", (0, 0, -0.214), STRAIGHT, *ball, STRAIGHT)


def chain(leg: str, places: tuple, inertias: dict, joints: dict) -> Iterator[Part]:
    """Hip, thigh and calf of a leg, each by (place in the parent, centre of mass, frame)."""
    parent = "trunk"
    for part, (place, com, frame) in zip(joints, places, strict=True):
        name, (mass, inertia) = f"{leg}_{part}", inertias[part]
        joint = replace(joints[part], name=f"{name}_joint")
        yield Part(name, parent, place, STRAIGHT, mass, com, inertia, frame, joint)
        parent = name


def anymal_c() -> Iterator[Part]:
    """MotrixLab's, in its frames, which turn from part to part; the armature is this project's."""
    trunk = (0.0025, 0, 0.0502071), (0.639559, 0.624031, 0.217374)
    yield Part("trunk", None, (), STRAIGHT, 19.2035, *trunk, (0.5, 0.5, 0.5, 0.5))
    # Left fore and right hind legs are alike in their own frames, and so are the other two.
    hip_inertias = {
        1: (
            (0.0566606, -0.015294, -0.00829784),
            (0.00585729, 0.00491868, 0.00329081),
            (-0.12797806, 0.70978333, -0.13527806, 0.67935932),
        ),
        -1: (
            (0.0567633, 0.015294, -0.00829784),
            (0.00585928, 0.0049205, 0.00329064),
            (0.13523993, 0.67907163, 0.12798493, 0.71006461),
        ),
    }
    thigh_inertias = {
        1: (
            (0.0308147, 4.65e-05, -0.245696),
            (0.03025, 0.0298943, 0.00418465),
            (0.99316583, -0.00515309, -0.08065919, 0.08419719),
        ),
        -1: (
            (0.0308147, 4.65e-05, -0.245696),
            (0.0302511, 0.0298933, 0.0041845),
            (0.99277488, -0.00512735, -0.08066849, 0.08868109),
        ),
    }
    turns = {  # of hips and thighs
        "LF": ((0.25881896, 0.96592585, 0, 0), (0.18301291, -0.68301265, 0.68301265, 0.18301291)),
        "RF": ((0.25881896, -0.96592585, 0, 0), (0.18301291, 0.68301265, 0.68301265, -0.18301291)),
        "LH": ((0, 0, 0.96592585, -0.25881896), (0.18301291, 0.68301265, 0.68301265, -0.18301291)),
        "RH": (
            (0, 0, -0.96592585, -0.25881896),
            (-0.18301291, 0.68301265, -0.68301265, -0.18301291),
        ),
    }
    hip = Joint("", (1, 0, 0), (-9.42478, 9.42478), (-6.28, 6.28), 140, (200, 10), 1, 0.1, 0.1)
    for leg, (hip_turn, thigh_turn) in turns.items():
        left, fore = 1 if leg[0] == "L" else -1, 1 if leg[1] == "F" else -1
        hand = left * fore
        limits = (-0.72, 0.49) if left > 0 else (-0.49, 0.72)
        joint = replace(hip, name=f"{leg}_HAA", axis=(fore, 0, 0), range=limits)
        place = (fore * 0.2999, left * 0.104, 0)
        yield Part(f"{leg}_HIP", "trunk", place, hip_turn, 2.781, *hip_inertias[hand], joint)
        joint = replace(hip, name=f"{leg}_HFE", axis=(left, 0, 0))
        place, inertia = (0.0599, hand * -0.0725816, -0.041905), thigh_inertias[hand]
        yield Part(f"{leg}_THIGH", f"{leg}_HIP", place, thigh_turn, 3.071, *inertia, joint)
        joint = replace(hip, name=f"{leg}_KFE", axis=(left, 0, 0))
        com = (0.005462, hand * -0.0612528, -0.0806598)
        inertia = (0.0101637, 0.00923838, 0.00111927)
        frame = (0.99293396, hand * -0.115904, -0.00105487, hand * -0.0254421)
        place = (0.1003, 0, -0.285)
        shank = (0.58842, com, inertia, frame, joint)
        yield Part(f"{leg}_SHANK", f"{leg}_THIGH", place, STRAIGHT, *shank)


LEGS = ("FR", "FL", "RR", "RL")
CROUCH = (0, 0.9, -1.8) * 4
ROBOTS = {
    robot.file.removesuffix(".xml"): robot
    for robot in (
        Robot(
            "anymal_c.xml",
            tuple(anymal_c()),
            mass=44.96518,
            feet={
                f"{leg}_FOOT": (f"{leg}_SHANK", (0.01305, hand * -0.08795, -0.31547), 0.03)
                for leg, hand in (("LF", 1), ("RF", -1), ("LH", -1), ("RH", 1))
            },
            home=(0, 0, 0.5488, 1, 0, 0, 0, *(0, 0.4, -0.8) * 2, *(0, -0.4, 0.8) * 2),
            shins=("LF_SHIN", "RF_SHIN", "LH_SHIN", "RH_SHIN"),
            side=0,
            abduction="HAA",
        ),
        Robot(
            "go1.xml",
            tuple(go1()),
            mass=12.743448,
            feet={leg: (f"{leg}_calf", (0, 0, -0.213), 0.023) for leg in LEGS},
            home=(0, 0, 0.2878, 1, 0, 0, 0, *CROUCH),
        ),
        Robot(
            "go2.xml",
            tuple(go2()),
            mass=15.206408,
            feet={leg: (f"{leg}_calf", (-0.002, 0, -0.213), 0.0175) for leg in LEGS},
            home=(0, 0, 0.273, 1, 0, 0, 0, *(-0.1, 0.9, -1.8, 0.1, 0.9, -1.8) * 2),
        ),
        Robot(
            "vbot.xml",
            tuple(vbot()),
            mass=16.427532,
            feet={leg: (f"{leg}_foot", (0, 0, 0), 0.021) for leg in LEGS},
            home=(0, 0, 0.2774, 1, 0, 0, 0, *CROUCH),
            shins=tuple(f"{leg}_shin" for leg in LEGS),
        ),
    )
}
