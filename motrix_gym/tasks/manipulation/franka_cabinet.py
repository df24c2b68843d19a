# SPDX-License-Identifier: Apache-2.0
"""A Franka Panda opens the top drawer of a cabinet by its handle.

Observation (54): the robot's part (40, ``panda``), then

    the middle of the handle from the grip, in the frame of the hand (3, m),
    the cabinet's axes outward and up, in the frame of the hand (6),
    the middle of the handle (3, m, world),
    opening of the drawer (m) and its velocity (m/s)

Privileged (2): whether each pad touches the handle. Action (8): ``panda``.

The handle is *held* if it is between the pads, a pad touches it, and the gripper is told to close
further than it can. One pad is enough: the handle gives way to no side, and a hand that is a few
millimetres higher or lower pulls it as well.
Rewards: nearness of the grip to the handle, with the hand towards the cabinet and its fingers above
and below; closing the gripper around it; holding it, and the first 3 cm of the drawer's opening
while it is held; and the opening, a quarter of it where the handle is not held. With half of it, a
policy hooks a finger behind the handle and never holds it; with nothing, it holds and hardly pulls.
Nothing terminates the episode; it is truncated after 250 steps (5 s).

Start: arm near its pose for the cabinet, drawer closed, the cabinet a metre ahead, up to 3 cm
nearer or further, 5 cm to either side and turned by 0.1 rad. Success, at the end of the episode:
the drawer is open by 30 cm.

Source: MotrixLab's franka-open-cabinet has the cabinet, the start pose and the goal. Rewards and
actions are our own.

v0: first version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from motrix_gym import rotations
from motrix_gym.observation import Channel
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import FieldError, interval, number, weights
from motrix_gym.task import Metric
from motrix_gym.tasks.manipulation.panda import (
    AHEAD,
    OPEN,
    VECTOR,
    Panda,
    PandaConfig,
    in_reach,
)
from motrix_gym.view import View

_HANDLE = np.array([0.3565, 0.0, 0.3272])  # in the closed drawer, from the cabinet (m)
_HEIGHT = 0.4  # of the cabinet's frame (m)
_GRASPABLE = 0.05  # half of the handle's length that can be grasped (m)
_TRAVEL = 0.4  # of the drawer (m)
# Distance of the grip from the bar's middle within which the bar is between the pads (m). Closed
# fingers that touch it from the front or the side are further away.
_AROUND = 0.012
_START = 0.03  # opening up to which the beginning of a pull is rewarded by itself (m)
_LOOSE = 0.25  # share of the reward for an opening that is earned where the handle is not held
_SQUEEZE = 0.003  # by which the gripper's target is less than the opening when it closes (m)


@dataclass(frozen=True, kw_only=True)
class FrankaCabinetConfig(PandaConfig):
    """Settings of opening a drawer."""

    cabinet_x: tuple[float, float] = interval(0.97, 1.03)
    """Where the cabinet's middle is, from the robot forward (m)."""
    cabinet_y: tuple[float, float] = interval(-0.05, 0.05)
    """And to the left (m)."""
    cabinet_turn: float = number(0.1, least=0, most=0.5)
    """Half-width of the cabinet's turns about the vertical (rad)."""
    open_distance: float = number(0.30, above=0)
    """Opening from which the drawer is open (m)."""
    reward_weights: Mapping[str, float] = weights(
        reach=0.3,
        close=0.1,
        grasp=0.3,
        start=0.6,
        opening=2.0,
        action_rate=-0.002,
        joint_velocity=-0.002,
    )

    def __post_init__(self) -> None:
        """Check that the drawer can be opened.

        Raises:
            FieldError: (a ValueError) the drawer does not open so far, or the handle is out of
                reach.
        """
        super().__post_init__()
        if self.open_distance > _TRAVEL:
            raise FieldError(
                "open_distance",
                f"open_distance: {self.open_distance} m, and the drawer opens by {_TRAVEL} m",
            )
        for x, y in product(self.cabinet_x, self.cabinet_y):
            for opening in (0.0, self.open_distance):
                handle = np.array([x - _HANDLE[0] - opening, y, _HEIGHT + _HANDLE[2]])
                if not in_reach(handle, AHEAD):
                    raise FieldError(
                        "cabinet_x",
                        f"cabinet_x, cabinet_y: with the cabinet at {(float(x), float(y))} m the "
                        f"handle of a drawer that is open by {opening:g} m is out of the robot's "
                        "reach",
                    )


CABINET = FrankaCabinetConfig()


class FrankaCabinet(Panda):
    """Open a drawer.

    The module's docstring has the numbers.
    """

    config: FrankaCabinetConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    model_file = Path(__file__).with_suffix(".xml")
    camera = "side"
    home = np.radians([0.0, -30.0, 0.0, -156.0, 0.0, 186.0, -45.0])  # fingers one above the other
    contacts = {
        "left_touch": ("left_pad", "handle"),
        "right_touch": ("right_pad", "handle"),
    }
    metrics = {
        "opening": Metric("m", "last", "opening of the drawer"),
        "grasped": Metric("1", "max", "whether the handle was held", rate=True),
    }
    randomized: Mapping[str, Any] = {
        "randomization.mass": (0.8, 1.5),
        "randomization.friction": (0.5, 1.2),
        "randomization.damping": (0.5, 2.0),
        "randomization.gains": (0.9, 1.1),
        "randomization.action_delay": (0, 1),
    }
    changes = {
        **{f"masses {x - 1:+.0%}": {"randomization.mass": (x, x)} for x in (0.8, 1.5)},
        **{f"friction {x:g}": {"randomization.friction": (x, x)} for x in (0.4, 0.6, 0.8, 1.2)},
        **{f"damping {x - 1:+.0%}": {"randomization.damping": (x, x)} for x in (0.5, 2.0)},
        **{f"gains {x - 1:+.0%}": {"randomization.gains": (x, x)} for x in (0.8, 1.2)},
        **{f"delay of {n} steps": {"randomization.action_delay": (n, n)} for n in (1, 2)},
    }

    def observation_channels(self) -> list[Channel]:
        """What the module's docstring lists."""
        in_hand = self.hand_mirror
        return [
            *self.robot_channels(),
            Channel("handle_in_hand", "m", 3, self._handle_in_hand, mirror=in_hand),
            Channel("cabinet_axes", "1", 6, self._cabinet_axes, mirror=in_hand * 2),
            Channel("handle_position", "m", 3, lambda v: v.cached(self._handle), mirror=VECTOR),
            Channel("opening", "m", 1, self._opening, mirror=1),
            Channel("opening_velocity", "m/s", 1, lambda v: v.joint("drawer").qvel, mirror=1),
            Channel("touch", "1", 2, lambda v: v.cached(self._touch), privileged=True),
        ]

    def reset(self, v: View, rng: RowRandom) -> None:
        """A closed drawer, and the cabinet in another place."""
        super().reset(v, rng)
        config = self.config
        x, y = rng.uniform(*config.cabinet_x), rng.uniform(*config.cabinet_y)
        v.mocap_pos[:, 0] = np.stack([x, y, np.full(v.n, _HEIGHT)], axis=1)
        turn = rng.uniform(-config.cabinet_turn, config.cabinet_turn)
        v.mocap_quat[:, 0] = rotations.from_yaw(np.pi + turn)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Every term, unweighted."""
        distance, held = v.cached(self._distance), v.cached(self._held)
        _, fingers, ahead = np.moveaxis(self.hand(v), 2, 0)
        out, _ = v.cached(self._axes)
        towards = np.clip(-np.einsum("ni,ni->n", ahead, out), 0.0, 1.0)
        upright = np.abs(fingers[:, 2])
        near = 1 - 0.5 * np.tanh(5 * distance) - 0.5 * np.tanh(25 * distance)
        share = np.clip(self._opening(v) / (self.config.open_distance + 0.02), 0.0, 1.0)
        return {
            "reach": near * towards * upright,
            "close": (distance < _AROUND) * (1 - v.ctrl[:, 7] / OPEN),
            "grasp": held.astype(float),
            "start": held * np.clip(self._opening(v) / _START, 0.0, 1.0),
            "opening": share * np.where(held, 1.0, _LOOSE),
            "action_rate": sum_of_squares(v.action - v.last_action),
            "joint_velocity": sum_of_squares(v.qvel[:, :7]),
        }

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """The drawer's opening, and whether the handle is held."""
        return {"opening": self._opening(v), "grasped": v.cached(self._held).astype(float)}

    def success(self, v: View) -> np.ndarray:
        """(n,) bool: the drawer is open."""
        return self._opening(v) >= self.config.open_distance

    # Quantities.

    def _opening(self, v: View) -> np.ndarray:
        """(n,) of the drawer (m)."""
        return v.joint("drawer").qpos[:, 0]

    def _axes(self, v: View) -> tuple[np.ndarray, np.ndarray]:
        """(n, 3) each: the cabinet's axes outward and to its own left, in the world."""
        axes = rotations.rotation_matrix(v.mocap_quat[:, 0])
        return axes[:, :, 0], axes[:, :, 1]

    def _handle(self, v: View) -> np.ndarray:
        """(n, 3) the middle of the handle (m)."""
        closed = v.mocap_pos[:, 0] + rotations.rotate(v.mocap_quat[:, 0], _HANDLE)
        return closed + self._opening(v)[:, None] * v.cached(self._axes)[0]

    def _handle_in_hand(self, v: View) -> np.ndarray:
        away = v.cached(self._handle) - self.grip(v)
        return np.einsum("nij,ni->nj", self.hand(v), away)

    def _cabinet_axes(self, v: View) -> np.ndarray:
        out = np.einsum("nij,ni->nj", self.hand(v), v.cached(self._axes)[0])
        return np.concatenate([out, self.hand(v)[:, 2]], axis=1)  # up is the world's z axis

    def _distance(self, v: View) -> np.ndarray:
        """(n,) of the grip from the nearest point of the handle that can be grasped (m)."""
        away = v.cached(self._handle) - self.grip(v)
        along = v.cached(self._axes)[1]
        place = np.clip(np.einsum("ni,ni->n", away, along), -_GRASPABLE, _GRASPABLE)
        return np.sqrt(sum_of_squares(away - place[:, None] * along))

    def _touch(self, v: View) -> np.ndarray:
        """(n, 2) bool: left and right pad touch the handle."""
        return np.stack([v.sensor(f"{side}_touch").any(axis=1) for side in ("left", "right")], 1)

    def _held(self, v: View) -> np.ndarray:
        """(n,) bool: as the module's docstring says."""
        closes = v.ctrl[:, 7] < self.gripper_opening(v) - _SQUEEZE
        between = v.cached(self._distance) < _AROUND
        return between & v.cached(self._touch).any(axis=1) & closes
