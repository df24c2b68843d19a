# SPDX-License-Identifier: Apache-2.0
"""Scripted motions of a Panda's hand, planned once and played as targets of its servos.

A plan leads the point between the pads along straight lines, and the hand from pose to pose. Its
joint positions follow from damped least squares (Buss, "Introduction to inverse kinematics", 2004)
in a batch without physics.
"""

from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from mujoco.batch import Batch

from motrix_gym import rotations
from motrix_gym.tasks.manipulation import panda

LIFT_SCENE = Path(panda.__file__).with_name("franka_lift.xml")
CABINET_SCENE = LIFT_SCENE.with_name("franka_cabinet.xml")
CABINET_HOME = np.radians([0, -30, 0, -156, 0, 186, -45])
CONTROL = 0.02  # s between two targets
_POSITIONS = mujoco.mjtStage.mjSTAGE_POS.value


@dataclass(frozen=True)
class Leg:
    """A part of a plan: go to a pose in some time, with the gripper open or closed."""

    place: np.ndarray  # (n, 3) of the point between the pads, at the end (m)
    axes: np.ndarray  # (n, 3, 3) of the hand, in columns, at the end
    seconds: float
    opening: float  # of each finger (m)


def plan(model: mujoco.MjModel, legs: list[Leg], home: np.ndarray = panda.HOME) -> np.ndarray:
    """(steps, n, 8) targets of the arm's joints and of the gripper, from the home pose on.

    Args:
        model: with a Panda's joints first, and its site "grip".
        legs: the parts, in order.
        home: (7,) where the arm's joints are at first (rad).
    """
    n = len(legs[0].place)
    ghosts, grip = Batch(model, n, 1), model.site("grip").id
    hand = np.full(n, model.site_bodyid[grip])
    qpos, place, axes = (ghosts.bind(name) for name in ("qpos", "site_xpos", "site_xmat"))
    qpos[:, :7] = home
    ghosts.forward(stage=_POSITIONS)
    low, high = model.jnt_range[:7].T
    targets, from_place, from_axes = [], place[:, grip].copy(), _matrices(axes[:, grip])
    for leg in legs:
        steps, turn = round(leg.seconds / CONTROL), _turn(from_axes, leg.axes)
        for step in range(1, steps + 1):
            share = _smooth(step / steps)
            to_place = from_place + share * (leg.place - from_place)
            part = rotations.from_rotation_vector(share * turn)
            to_axes = rotations.rotation_matrix(part) @ from_axes
            for _ in range(3):
                away = to_place - place[:, grip]
                turned_away = _turn(_matrices(axes[:, grip]), to_axes)
                error = np.concatenate([away, turned_away], axis=1)
                moved, turned = ghosts.jac(hand, place[:, grip].copy())
                jacobian = np.concatenate([moved, turned], axis=1)[:, :, :7]
                damped = jacobian @ jacobian.transpose(0, 2, 1) + 1e-4 * np.eye(6)
                change = np.linalg.solve(damped, error[:, :, None])
                qpos[:, :7] += (jacobian.transpose(0, 2, 1) @ change)[:, :, 0]
                qpos[:, :7] = np.clip(qpos[:, :7], low, high)
                ghosts.forward(stage=_POSITIONS)
            opening = np.full((n, 1), leg.opening)
            targets.append(np.concatenate([qpos[:, :7], opening], axis=1))
        assert np.linalg.norm(leg.place - place[:, grip], axis=1).max() < 1e-3, "out of reach"
        from_place, from_axes = leg.place, leg.axes
    return np.array(targets)


def straight_down(turn: np.ndarray) -> np.ndarray:
    """(n, 3, 3) axes, in columns, of hands straight down and turned by ``turn`` (n,) (rad)."""
    c, s, zero, one = np.cos(turn), np.sin(turn), 0 * turn, 0 * turn + 1
    return np.stack([[c, s, zero], [s, -c, zero], [zero, zero, -one]]).transpose(2, 0, 1)


def _turn(axes: np.ndarray, to_axes: np.ndarray) -> np.ndarray:
    """(n, 3) rotation vectors (rad, world) that lead from one set of axes to another."""
    lead = to_axes @ axes.transpose(0, 2, 1)
    quats = np.empty((len(lead), 4))
    for quat, matrix in zip(quats, lead, strict=True):
        mujoco.mju_mat2Quat(quat, matrix.ravel())
    return rotations.to_rotation_vector(quats)


def _matrices(flat: np.ndarray) -> np.ndarray:
    return flat.reshape(-1, 3, 3).copy()


def _smooth(x: float) -> float:
    """From 0 to 1 with speed and acceleration 0 at both ends."""
    return x**3 * (10 - 15 * x + 6 * x**2)


@dataclass(frozen=True)
class Grasps:
    """What became of scripted grasps, one in each row.

    Slip and turn are the largest, from the moment that the gripper has closed to the end, by which
    the cube moves in the frame of the hand.
    """

    held: np.ndarray  # (n,) bool: the cube ends at the goal, within 1 cm
    slip: np.ndarray  # (n,) m
    turn: np.ndarray  # (n,) rad
    penetration: np.ndarray  # (n,) m, the deepest at the end
    speed: np.ndarray  # (n,) m/s, of the cube at the end


def grasp(model: mujoco.MjModel, count: int, *, seed: int = 0, align: bool = True) -> Grasps:
    """Grasp cubes from a table, lift them to a goal in the air, and hold them there for 2 s.

    Args:
        model: a Panda and a cube, as in ``LIFT_SCENE``.
        count: number of placements: the cube in an area of 20 cm by 50 cm, turned by up to 45
            degrees; the goal 25 to 50 cm above such an area.
        seed: of the placements.
        align: whether the hand turns with the cube; else it stays straight ahead.
    """
    draw = np.random.default_rng(seed).uniform
    cube = np.stack([draw(0.4, 0.6, count), draw(-0.25, 0.25, count)], axis=1)
    goal = np.stack([draw(0.4, 0.6, count), draw(-0.25, 0.25, count), draw(0.25, 0.5, count)], 1)
    turn = draw(-np.pi / 4, np.pi / 4, count)
    hand = straight_down(turn if align else 0 * turn)
    half = model.geom("cube").size[0]
    above, on = (np.column_stack([cube, np.full(count, z)]) for z in (0.15, half))
    targets = plan(
        model,
        [
            Leg(above, hand, 1.6, panda.OPEN),
            Leg(on, hand, 0.8, panda.OPEN),
            Leg(on, hand, 0.5, 0.0),
            Leg(above, hand, 1.0, 0.0),
            Leg(goal, hand, 2.0, 0.0),
            Leg(goal, hand, 2.0, 0.0),
        ],
    )
    closed = round((1.6 + 0.8 + 0.5) / CONTROL)
    worlds = Batch(model, count, 1)
    qpos, ctrl = worlds.bind("qpos"), worlds.bind("ctrl")
    qpos[:, :7], qpos[:, 7:9], qpos[:, 9:12] = panda.HOME, panda.OPEN, on
    qpos[:, 12:16] = np.stack([np.cos(turn / 2), 0 * turn, 0 * turn, np.sin(turn / 2)], axis=1)
    at_first, slip, turned = None, np.zeros(count), np.zeros(count)
    poses = _Poses(worlds, model)
    for step, target in enumerate(targets):
        ctrl[:] = target
        worlds.step(nstep=round(CONTROL / model.opt.timestep), stage=_POSITIONS)
        if step >= closed - 1:
            place, axes = poses.cube_in_hand()
            at_first = at_first or (place, axes)
            slip = np.maximum(slip, np.linalg.norm(place - at_first[0], axis=1))
            cosine = (np.einsum("nij,nij->n", axes, at_first[1]) - 1) / 2
            turned = np.maximum(turned, np.arccos(np.clip(cosine, -1, 1)))
    return Grasps(
        held=np.linalg.norm(qpos[:, 9:12] - goal, axis=1) < 0.01,
        slip=slip,
        turn=turned,
        penetration=np.array([_deepest(model, worlds, row) for row in range(count)]),
        speed=np.linalg.norm(worlds.bind("qvel")[:, 9:12], axis=1),
    )


class _Poses:
    """Where the cubes are in the hands."""

    def __init__(self, worlds: Batch, model: mujoco.MjModel):
        self._sites = worlds.bind("site_xpos"), worlds.bind("site_xmat")
        self._bodies = worlds.bind("xpos"), worlds.bind("xmat")
        self._grip, self._cube = model.site("grip").id, model.body("cube").id

    def cube_in_hand(self) -> tuple[np.ndarray, np.ndarray]:
        """Places (n, 3) from the grip, and axes in columns (n, 3, 3), in the hand's frame."""
        hand = self._sites[1][:, self._grip].reshape(-1, 3, 3).transpose(0, 2, 1)
        cube = self._bodies[1][:, self._cube].reshape(-1, 3, 3)
        away = self._bodies[0][:, self._cube] - self._sites[0][:, self._grip]
        return (hand @ away[:, :, None])[:, :, 0], hand @ cube


def _deepest(model: mujoco.MjModel, worlds: Batch, row: int) -> float:
    """The deepest penetration of a row's contacts (m)."""
    data = mujoco.MjData(model)
    worlds.get_data(row, data)
    mujoco.mj_forward(model, data)
    return -min((contact.dist for contact in data.contact), default=0.0)


@dataclass(frozen=True)
class Pulls:
    """What became of scripted pulls, one in each row."""

    opening: np.ndarray  # (n,) m, of the drawer at the end
    slip: np.ndarray  # (n,) m, the largest by which the handle moves in the hand while it is pulled


def pull(model: mujoco.MjModel, count: int, *, seed: int = 0) -> Pulls:
    """Grasp the drawer's handle and pull, from random places of the cabinet.

    Args:
        model: a Panda and a cabinet, as in ``CABINET_SCENE``.
        count: number of places: 6 cm by 10 cm around the cabinet's own, turned by up to 0.1 rad.
        seed: of the places.
    """
    draw = np.random.default_rng(seed).uniform
    middle = [draw(0.97, 1.03, count), draw(-0.05, 0.05, count), np.full(count, 0.4)]
    cabinet = np.stack(middle, axis=1), rotations.from_yaw(np.pi + draw(-0.1, 0.1, count))
    legs = pull_legs(*cabinet, 0.33)
    worlds = Batch(model, count, 1)
    qpos, ctrl, sites = (worlds.bind(name) for name in ("qpos", "ctrl", "site_xpos"))
    qpos[:, :7], qpos[:, 7:9] = CABINET_HOME, panda.OPEN
    worlds.bind("mocap_pos")[:, 0], worlds.bind("mocap_quat")[:, 0] = cabinet
    closed = round(sum(leg.seconds for leg in legs[:3]) / CONTROL)
    grip, handle = model.site("grip").id, model.site("handle").id
    at_first, slip = None, np.zeros(count)
    for step, target in enumerate(plan(model, legs, CABINET_HOME)):
        ctrl[:] = target
        worlds.step(nstep=round(CONTROL / model.opt.timestep), stage=_POSITIONS)
        if step >= closed - 1:
            away = sites[:, handle] - sites[:, grip]
            at_first = away if at_first is None else at_first
            slip = np.maximum(slip, np.linalg.norm(away - at_first, axis=1))
    return Pulls(opening=qpos[:, 9].copy(), slip=slip)


def pull_legs(place: np.ndarray, quat: np.ndarray, distance: float) -> list[Leg]:
    """The parts of a pull: before the handle, around it, closed, pulled, and held.

    The hand points towards the cabinet, 30 degrees downward, its fingers one above the other.

    Args:
        place: (n, 3) of the cabinet (m).
        quat: (n, 4) of the cabinet.
        distance: how far the drawer is pulled (m).
    """
    down = np.radians(30)
    handle = place + rotations.rotate(quat, np.array([0.3565, 0.0, 0.3272]))
    out, up = rotations.rotate(quat, np.array([1.0, 0.0, 0.0])), np.array([0.0, 0.0, 1.0])
    ahead = -np.cos(down) * out - np.sin(down) * up
    across = rotations.rotate(quat, np.array([0.0, -1.0, 0.0]))
    axes = np.stack([across, np.cross(ahead, across), ahead], axis=2)
    before, end = handle - 0.1 * ahead, handle + distance * out
    return [
        Leg(before, axes, 1.2, panda.OPEN),
        Leg(handle, axes, 0.8, panda.OPEN),
        Leg(handle, axes, 0.4, 0.0),
        Leg(end, axes, 1.6, 0.0),
        Leg(end, axes, 0.5, 0.0),
    ]


def follow(env, legs):
    """Step with the actions that lead the servos' targets along a plan; yield what steps return."""
    v = env.simulation.all
    speeds = CONTROL * np.array([env.config.joint_speed] * 7 + [env.config.gripper_speed])
    for targets in plan(env.model, legs, env.task.home):
        actions = (targets - v.ctrl) / speeds
        yield env.step(np.clip(actions, -1, 1).astype(np.float32))
