# SPDX-License-Identifier: Apache-2.0
"""A legged robot as a value, apart from any task: its MJCF file, its feet and its gait.

Joints, default pose, gains and the left-right mirror are read from the model when a task is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from motrix_gym.symmetry import Reflection
from motrix_gym.task import TaskError
from motrix_gym.view import unknown

HOME = "home"
_FREE = int(mujoco.mjtJoint.mjJNT_FREE)
_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)
_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
_SIDEWAYS = 0.9  # of a joint's axis along x, from which the joint swings its limb sideways


@dataclass(frozen=True)
class LeggedRobot:
    """A robot with any number of limbs and joints.

    Attributes:
        model_file: MJCF with a free joint first, then hinges and slides; a position actuator for
            each of these, in their order; a keyframe "home" in the default pose on flat ground;
            and for each foot a geom, and a touch sensor with the name + "_touch" on a site of the
            foot's name that encloses the geom. x is forward, y left, z up.
        feet: the feet's names.
        gait_offsets: for each foot, where in the gait cycle it is at phase 0, in cycles, 0 to 1.
        camera: the name of the camera that follows the robot; without it, a free camera.
        trunk: the name of the trunk's geom, which must not touch rough ground.
        shin_radius: of the capsules between knees and feet that meet rough ground (m).
    """

    model_file: Path
    feet: tuple[str, ...]
    gait_offsets: tuple[float, ...]
    camera: str = "track"
    trunk: str = "trunk"
    shin_radius: float = 0.014

    def compile(self) -> mujoco.MjModel:
        """The checked MjModel.

        Raises:
            TaskError: saying what is missing or wrong, by name.
        """
        return self.checked(mujoco.MjModel.from_xml_path(str(self.model_file)))

    def checked(self, model: mujoco.MjModel) -> mujoco.MjModel:
        """A model of this robot, if it can work.

        Raises:
            TaskError: saying what is missing or wrong, by name.
        """
        if len(self.gait_offsets) != len(self.feet):
            offsets, feet = len(self.gait_offsets), len(self.feet)
            raise TaskError(f"{self.model_file.name}: {feet} feet and {offsets} gait offsets")
        if not all(0 <= offset <= 1 for offset in self.gait_offsets):
            given = ", ".join(f"{offset:g}" for offset in self.gait_offsets)
            raise TaskError(
                f"{self.model_file.name}: gait offsets are in cycles, from 0 to 1, got {given}"
            )
        for fault in (
            *_joint_faults(model),
            *_actuator_faults(model),
            *(fault for foot in self.feet for fault in _foot_faults(model, foot)),
        ):
            raise TaskError(f"{self.model_file.name}: {fault}")
        return model

    def with_shins(self) -> tuple[mujoco.MjSpec, tuple[str, ...]]:
        """The model's spec with a capsule for each shin, and the capsules' names.

        A shin is the model's own geom of the foot's name + "_shin", or else leads from the frame of
        the foot's body, its last joint, to the foot. A site of the same name is in its middle.
        Shins are thin and hit steps at 2 m/s, so their contacts are as stiff as the time step
        allows: with MuJoCo's default, their middle lines enter a step.
        """
        spec = mujoco.MjSpec.from_file(str(self.model_file))
        names = tuple(f"{foot}_shin" for foot in self.feet)
        for foot, name in zip(self.feet, names, strict=True):
            geom = spec.geom(foot)
            shared = {"name": name, "group": 3, "rgba": (0.9, 0.3, 0.3, 0.4)}
            own, middle = spec.geom(name), 0.5 * geom.pos
            if own is not None:
                middle = np.reshape(own.fromto, (2, 3)).mean(axis=0)
            shin = own or geom.parent.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[*(0.1 * geom.pos), *(0.9 * geom.pos)],
                size=[self.shin_radius, 0, 0],
                mass=0,
                **shared,
            )
            shin.contype = shin.conaffinity = 0
            shin.priority, shin.friction = 1, geom.friction
            shin.solref = [2 * spec.option.timestep, 1]
            shin.solimp = [0.95, 0.99, 0.001, 0.5, 2]
            geom.parent.add_site(pos=middle, **shared)
        return spec, names


def joint_names(model: mujoco.MjModel) -> tuple[str, ...]:
    """The names of a robot's joints but for the free one, in order."""
    return tuple(model.joint(i).name for i in range(1, _joint_count(model)))


def _joint_count(model: mujoco.MjModel) -> int:
    """Number of the robot's joints: those of the body that the first joint moves, and its limbs."""
    root = model.body_rootid[model.jnt_bodyid]
    return int((root == root[:1]).sum())


def sideways_joints(model: mujoco.MjModel) -> np.ndarray:
    """Numbers of the joints whose axis leads forward at home, which swing limbs sideways."""
    return np.flatnonzero(abs(_axes(model)[0][:, 0]) > _SIDEWAYS)


def joint_mirror(model: mujoco.MjModel) -> Reflection | None:
    """The reflection of joint positions in the plane between left and right, y = 0 at home.

    A joint's image is the joint that has its mirrored place, with the sign by which their axes
    differ after the reflection. An axis of rotation keeps its component along y, and its others
    change their signs; an axis of translation changes the sign of its component along y.

    Returns:
        None if some joint has no image: left and right differ.
    """
    axes, places = _axes(model)
    hinge = model.jnt_type[1 : _joint_count(model)] == _HINGE
    flip = np.where(hinge[:, None], [-1.0, 1.0, -1.0], [1.0, -1.0, 1.0])
    source: list[int] = []
    sign: list[float] = []
    images = zip(axes * flip, places * [1.0, -1.0, 1.0], hinge, strict=True)
    for axis, place, is_hinge in images:
        along = axes @ axis
        near = np.linalg.norm(places - place, axis=1) < 1e-4
        candidates = np.flatnonzero(near & (hinge == is_hinge) & (abs(along) > 0.999))
        if len(candidates) != 1:
            return None
        source.append(int(candidates[0]))
        sign.append(float(np.sign(along[candidates[0]])))
    return Reflection(tuple(source), tuple(sign))


def foot_mirror(model: mujoco.MjModel, feet: tuple[str, ...]) -> list[int] | None:
    """For each foot, the number of that on the other side at home; None if one has no other."""
    data = at_home(model)
    places = np.array([data.site(foot).xpos for foot in feet])
    source: list[int] = []
    for place in places * [1.0, -1.0, 1.0]:
        near = np.flatnonzero(np.linalg.norm(places - place, axis=1) < 1e-4)
        if len(near) != 1:
            return None
        source.append(int(near[0]))
    return source


def at_home(model: mujoco.MjModel) -> mujoco.MjData:
    """The state of a robot at home, with the places of all its parts."""
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key(HOME).id)
    mujoco.mj_kinematics(model, data)
    return data


def _axes(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """Axes and places, (joints, 3) each, of all joints but the free one, at home."""
    data, end = at_home(model), _joint_count(model)
    return data.xaxis[1:end], data.xanchor[1:end]


def _joint_faults(model: mujoco.MjModel) -> Iterator[str]:
    kinds = model.jnt_type
    if not model.njnt or kinds[0] != _FREE:
        yield "the first joint must be the free joint of the base"
    for i in range(1, _joint_count(model)):
        if kinds[i] not in (_HINGE, _SLIDE):
            yield f"joint {model.joint(i).name!r} must be a hinge or a slide"
    keys = [model.key(i).name for i in range(model.nkey)]
    if HOME not in keys:
        yield unknown("keyframe", HOME, keys)


def _actuator_faults(model: mujoco.MjModel) -> Iterator[str]:
    driven = [model.joint(int(i)).name for i in model.actuator_trnid[:, 0]]
    joints = list(joint_names(model))
    if driven != joints:
        listed, of = (", ".join(n or "unnamed" for n in names) for names in (joints, driven))
        yield (
            "there must be one actuator for each joint, in the order of the joints: "
            f"joints {listed or 'none'}; actuators of {of or 'none'}"
        )
    for i in range(model.nu):
        gain, bias = model.actuator_gainprm[i, 0], model.actuator_biasprm[i, 1]
        if not (gain > 0 and bias == -gain):
            yield f"actuator {model.actuator(i).name!r} must be a position actuator (<position>)"


def _foot_faults(model: mujoco.MjModel, foot: str) -> Iterator[str]:
    def names(kind: str, count: int) -> list[str]:
        return [getattr(model, kind)(i).name for i in range(count)]

    for kind, name, count in (
        ("geom", foot, model.ngeom),
        ("site", foot, model.nsite),
        ("sensor", f"{foot}_touch", model.nsensor),
    ):
        if name not in (known := names(kind, count)):
            yield unknown(kind, name, known)
            return
    sensor, site, geom = model.sensor(f"{foot}_touch"), model.site(foot), model.geom(foot)
    touch = sensor.type[0] == int(mujoco.mjtSensor.mjSENS_TOUCH)
    if not touch or sensor.objid[0] != site.id:
        yield f"sensor {foot + '_touch'!r} must be a touch sensor on site {foot!r}"
    reach = np.linalg.norm(site.pos - geom.pos) + model.geom_rbound[geom.id]
    if site.bodyid != geom.bodyid or site.size[0] < reach:
        yield (
            f"site {foot!r} does not enclose the foot's geom, so that the touch sensor misses "
            f"contacts: it must be on the same body, with a radius of at least {reach:.3g} m"
        )
