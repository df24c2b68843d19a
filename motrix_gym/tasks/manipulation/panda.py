# SPDX-License-Identifier: Apache-2.0
"""Franka Panda: what all of its tasks share, in a scene that includes panda.xml.

Its joints and servos come first in the model: seven of the arm, then the fingers, which one motor
drives. The robot's own part of the observation (40), in this order:

    joint positions minus the home pose (7, rad), joint velocities (7, rad/s),
    joint leads: how far the servos' targets are ahead of the joints (7, rad),
    opening of the gripper, that of its target (2, half of the distance between the pads, m),
    place of the grip, the middle between the pads (3, m, world),
    axes of the hand: forward and from the wrist to the pads (6, world),
    last action (8)

Action (8): speeds of the targets of the arm's joints (7, ``joint_speed``) and of the gripper's (1,
``gripper_speed``; positive opens). A joint's target stays within ``joint_lead`` of the joint, so
that an arm that is held up does not wind up a large force.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np

from motrix_gym import rotations
from motrix_gym.buffer import Buffer
from motrix_gym.observation import Channel
from motrix_gym.random import RowRandom
from motrix_gym.settings import number, whole
from motrix_gym.task import Task, TaskConfig
from motrix_gym.view import View

HOME = np.array([0.0, -0.569, 0.0, -2.810, 0.0, 2.241, np.pi / 4])  # hand straight down (rad)
OPEN = 0.04  # opening of the open gripper (m)
_TURN = np.pi / 2  # of the hand's joint from home, at most, to either side (rad)
_SIDES = (-1, 1, -1, 1, -1, 1, -1)  # the mirror image of the arm's joints
VECTOR = (1, -1, 1)  # and of a vector in the world

# Lengths of the arm (m).
_SHOULDER = 0.333  # height of the shoulder
_ARM = np.hypot(0.316, 0.0825) + np.hypot(0.384, 0.0825)  # from shoulder to wrist, straight
_NEAREST = 0.25  # of the grip from the robot's axis, at least
# Where the wrist is from the grip, back and up, with the hand straight down and straight ahead.
DOWN, AHEAD = (0.088, 0.21065), (0.21065, 0.088)


@dataclass(frozen=True, kw_only=True)
class PandaConfig(TaskConfig):
    """Settings that all tasks of a Panda have."""

    control_timestep: float = 0.02
    physics_timestep: float = 0.005
    max_episode_steps: int | None = whole(250, least=1)
    joint_speed: float = number(1.5, above=0)
    """Speed of a joint's target at action 1 (rad/s)."""
    joint_lead: float = number(0.15, above=0)
    """How far a joint's target may be from the joint (rad)."""
    gripper_speed: float = number(0.2, above=0)
    """Speed of the gripper's target at action 1 (m/s)."""
    start_joint_spread: float = number(0.125, least=0, most=0.3)
    """Half-width of the start's joint offsets (rad)."""


class Panda(Task):
    """A task with a Panda; subclass it, and add what it handles.

    Attributes:
        hand_mirror: signs, along the hand's axes, of the mirror image of a vector in its frame.
    """

    config: PandaConfig
    home: ClassVar[np.ndarray] = HOME
    """(7,) joint positions around which episodes start (rad)."""

    def __init__(self, config: PandaConfig):
        """Compile the model and look up what the functions need."""
        super().__init__(config)
        model = self.model
        self._links = _links(model)
        self._low, self._high = model.actuator_ctrlrange[:7].T.copy()
        middle = self.home[6]  # between the ends, so that left and right are the same
        self._low[6], self._high[6] = middle - _TURN, middle + _TURN
        self.hand_mirror = _hand_mirror(model, self.home)

    def robot_channels(self) -> list[Channel]:
        """What the module's docstring lists."""
        forward = [self.hand_mirror[0] * sign for sign in VECTOR]
        return [
            Channel(
                "joint_positions", "rad", 7, lambda v: v.qpos[:, :7] - self.home, mirror=_SIDES
            ),
            Channel("joint_velocities", "rad/s", 7, lambda v: v.qvel[:, :7], mirror=_SIDES),
            Channel(
                "joint_leads", "rad", 7, lambda v: v.ctrl[:, :7] - v.qpos[:, :7], mirror=_SIDES
            ),
            Channel("gripper_opening", "m", 1, self.gripper_opening, mirror=1),
            Channel("gripper_target", "m", 1, lambda v: v.ctrl[:, 7], mirror=1),
            Channel("grip_position", "m", 3, self.grip, mirror=VECTOR),
            Channel("hand_axes", "1", 6, self._hand_axes, mirror=(*forward, *VECTOR)),
            Channel("last_action", "1", 8, lambda v: v.action, mirror=(*_SIDES, 1)),
        ]

    def action_channels(self) -> list[Channel]:
        """Speeds of the servos' targets."""
        unit = "joint_speed rad/s"
        joints = [
            Channel(f"joint{i}_speed", unit, mirror=sign) for i, sign in enumerate(_SIDES, start=1)
        ]
        return [*joints, Channel("gripper_speed", "gripper_speed m/s", mirror=1)]

    def buffers(self) -> Mapping[str, Buffer]:
        """This and the last action."""
        return {"action": Buffer((8,)), "last_action": Buffer((8,))}

    def reset(self, v: View, rng: RowRandom) -> None:
        """The arm near its home pose, the gripper open."""
        spread = self.config.start_joint_spread
        v.qpos[:, :7] = self.home + rng.uniform(-spread, spread, 7)
        v.qpos[:, 7:9] = OPEN
        v.ctrl[:, :7] = v.qpos[:, :7]
        v.ctrl[:, 7] = OPEN

    def act(self, v: View, action: np.ndarray) -> None:
        """Move the targets."""
        config = self.config
        v.last_action = v.action
        v.action = action
        joints, lead = v.qpos[:, :7], config.joint_lead
        targets = v.ctrl[:, :7] + config.joint_speed * self.dt * action[:, :7]
        targets = np.clip(targets, joints - lead, joints + lead)
        v.ctrl[:, :7] = np.clip(targets, self._low, self._high)
        opening = v.ctrl[:, 7] + config.gripper_speed * self.dt * action[:, 7]
        v.ctrl[:, 7] = np.clip(opening, 0.0, OPEN)

    def deployment(self) -> dict[str, Any]:
        """Returns what a robot's own control loop needs; see ``Task.deployment``."""
        config, model = self.config, self.model
        return super().deployment() | {
            "joints": [model.joint(i).name for i in range(9)],
            "default_pose": self.home.tolist(),
            "action": {
                "value": "servo target += speed * control_timestep * action, the joints' targets "
                "within lead of the joints, all within target_range",
                "speed": [config.joint_speed] * 7 + [config.gripper_speed],
                "lead": config.joint_lead,
                "target_range": [*np.stack([self._low, self._high], axis=1).tolist(), [0.0, OPEN]],
            },
            "actuators": {
                "value": "force = kp * (target - position) - kv * velocity, within force_limit",
                "kp": model.actuator_gainprm[:, 0].tolist(),
                "kv": (-model.actuator_biasprm[:, 2]).tolist(),
                "force_limit": model.actuator_forcerange[:, 1].tolist(),
            },
        }

    # Quantities.

    def gripper_opening(self, v: View) -> np.ndarray:
        """(n,) half of the distance between the pads (m)."""
        return 0.5 * (v.qpos[:, 7] + v.qpos[:, 8])

    def grip(self, v: View) -> np.ndarray:
        """(n, 3) the middle between the pads (m)."""
        return v.cached(self._hand_pose)[0]

    def hand(self, v: View) -> np.ndarray:
        """(n, 3, 3) the hand's axes, in columns: forward, to the left finger, to the pads."""
        return v.cached(self._hand_pose)[1]

    def _hand_pose(self, v: View) -> tuple[np.ndarray, np.ndarray]:
        """Place and axes of the grip, from the present joint positions.

        MuJoCo's are those before the last physics step, and cost more to bring up to date.
        """
        angles = v.qpos[:, :7]
        cosines, sines = np.cos(angles), np.sin(angles)
        place, axes = np.zeros((v.n, 3)), np.broadcast_to(np.eye(3), (v.n, 3, 3))
        for i, (offset, turn) in enumerate(self._links):
            place = place + np.einsum("nij,j->ni", axes, offset)
            axes = np.einsum("nij,jk->nik", axes, turn)
            if i < 7:
                x, y, z = np.moveaxis(axes, 2, 0)
                c, s = cosines[:, i, None], sines[:, i, None]
                axes = np.stack([c * x + s * y, c * y - s * x, z], axis=2)
        return place, axes

    def _hand_axes(self, v: View) -> np.ndarray:
        hand = self.hand(v)
        return np.concatenate([hand[:, :, 0], hand[:, :, 2]], axis=1)


def _links(model: mujoco.MjModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """Place (3,) and axes (3, 3) of each link in the one before, the grip's last.

    A joint turns its link about the link's z axis.
    """
    links = [model.body(f"link{i}") for i in range(1, 8)]
    hand, grip = model.body("hand"), model.site("grip")
    quats = np.array([*(link.quat for link in links), hand.quat])
    axes = rotations.rotation_matrix(quats)
    return [
        *((link.pos, turn) for link, turn in zip(links, axes[:7], strict=True)),
        (hand.pos + axes[7] @ grip.pos, axes[7]),
    ]


def _hand_mirror(model: mujoco.MjModel, home: np.ndarray) -> tuple[int, int, int]:
    """The mirror image of vectors in the hand's frame.

    Where the fingers are left and right of one another, the mirror exchanges them, and the axis
    from finger to finger changes its sign. Where they are one above the other, the hand's first
    axis, which is then across, does.
    """
    data = mujoco.MjData(model)
    data.qpos[:7] = home
    mujoco.mj_kinematics(model, data)
    across = abs(data.site("grip").xmat[3:5])  # how far the first two axes lead to the side
    return (1, -1, 1) if across[1] > across[0] else (-1, 1, 1)


def in_reach(places: np.ndarray, wrist: tuple[float, float] = DOWN) -> np.ndarray:
    """(...,) bool: whether the grip can be at ``places`` (..., 3) (m).

    Args:
        places: in the world.
        wrist: where the wrist is from the grip, back and up: ``DOWN`` or ``AHEAD``.
    """
    x, y, z = np.moveaxis(np.asarray(places, float), -1, 0)
    out, (back, up) = np.hypot(x, y), wrist
    arm = np.hypot(out - back, z + up - _SHOULDER)
    return (arm <= _ARM) & (out >= _NEAREST)


def grip_force(model: mujoco.MjModel, opening: float) -> float:
    """The sum of both pads' forces on what they hold at an ``opening`` (m), fully closed (N)."""
    gripper = model.actuator("gripper")
    return float(min(gripper.gainprm[0] * opening, gripper.forcerange[1]))
