# SPDX-License-Identifier: Apache-2.0
"""A two-legged walker in a plane: stand up, walk at 1 m/s, or run at 8 m/s.

Observation (24): of each link (torso; right thigh, leg, foot; left thigh, leg, foot) the cosine
and sine of its angle from the world's axes (14), torso height (m), velocities (9: upwards and
forwards in m/s; torso, right hip, knee, ankle, left hip, knee, ankle in rad/s).
Action (6): torques of right hip, knee, ankle, left hip, knee, ankle: +-100, +-50, +-20 N m.
Reward, in [0, 1]: stand = (3 x [torso higher than 1.2 m] + uprightness) / 4; walking and running,
stand x (5 x [forward speed] + 1) / 6; uprightness is (1 + cosine of the torso's angle) / 2. The
brackets are tolerances: height >= 1.2 m, margin 0.6 m, Gaussian, 0.1 at the margin; speed >= that
asked for, margin half of it, linear, 0.5 at the margin and so 0 at rest. No termination; truncated
after 1000 steps (25 s). Start: every joint anywhere in its range, the torso at any angle, at rest;
it falls to the floor.

Source: dm_control's ``walker`` (Tassa et al., "DeepMind Control Suite", 2018).

v0: first version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motrix_gym.observation import Channel, read_together
from motrix_gym.random import RowRandom
from motrix_gym.rewards import tolerance
from motrix_gym.settings import number, weights
from motrix_gym.task import Metric, Task, TaskConfig
from motrix_gym.tasks.control.planar import PlanarTree, pose_range
from motrix_gym.view import View

_STAND_HEIGHT = 1.2
_LINKS = ("torso", "right_thigh", "right_leg", "right_foot", "left_thigh", "left_leg", "left_foot")
_JOINTS = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
_TORQUES = ("100 N m", "50 N m", "20 N m") * 2


@dataclass(frozen=True, kw_only=True)
class WalkerConfig(TaskConfig):
    """Settings of the walker."""

    control_timestep: float = 0.025
    physics_timestep: float = 0.0025
    move_speed: float = number(0.0, least=0)
    """Forward speed that is asked for (m/s); 0 asks for standing only."""
    reward_weights: Mapping[str, float] = weights(task=1.0)


STAND = WalkerConfig()
WALK = WalkerConfig(move_speed=1.0)
RUN = WalkerConfig(move_speed=8.0)


class Walker(Task):
    """Stand, walk or run on two legs in a plane.

    The module's docstring has the numbers.
    """

    config: WalkerConfig
    model_file = Path(__file__).with_suffix(".xml")
    camera = "side"
    metrics = {
        "speed": Metric("m/s", "mean", "forward speed of the centre of mass"),
        "height": Metric("m", "mean", "height of the torso"),
    }

    def __init__(self, config: WalkerConfig):
        """Compile the model and read its links."""
        super().__init__(config)
        self._tree = PlanarTree(self.model)
        self._low, self._high = pose_range(self.model)
        self._torso_height = self.model.body("torso").pos[2]

    def observation_channels(self) -> list[Channel]:
        """Directions of the links, height, velocities; the mirror exchanges the legs."""
        links = [f"{link}_cos_sin" for link in _LINKS]
        joints = [f"{joint}_velocity" for joint in _JOINTS]
        return [
            *read_together(
                self._directions, (Channel(name, "1", 2, mirror=_twin(name)) for name in links)
            ),
            Channel("torso_height", "m", 1, self._height, mirror=1),
            *read_together(
                lambda v: v.qvel,
                (
                    Channel("root_velocity_up_forward", "m/s", 2, mirror=1),
                    Channel("torso_rate", "rad/s", mirror=1),
                    *(Channel(name, "rad/s", mirror=_twin(name)) for name in joints),
                ),
            ),
        ]

    def action_channels(self) -> list[Channel]:
        """The motors."""
        return [
            Channel(f"{joint}_torque", torque, mirror=_twin(f"{joint}_torque"))
            for joint, torque in zip(_JOINTS, _TORQUES, strict=True)
        ]

    def reset(self, v: View, rng: RowRandom) -> None:
        """Any pose, at rest."""
        v.qpos = rng.uniform(self._low, self._high, self.model.nq)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """High and upright, and fast if asked for."""
        standing = tolerance(self._height(v), (_STAND_HEIGHT, np.inf), _STAND_HEIGHT / 2)
        upright = (1 + np.cos(v.cached(self._tree.angles)[0])) / 2
        reward = (3 * standing + upright) / 4
        speed = self.config.move_speed
        if speed > 0:
            moving = tolerance(
                v.cached(self._tree.speed), (speed, np.inf), speed / 2, "linear", 0.5
            )
            reward *= (5 * moving + 1) / 6
        return {"task": reward}

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Forward speed and height."""
        return {"speed": v.cached(self._tree.speed), "height": self._height(v)}

    def _directions(self, v: View) -> np.ndarray:
        """(n, 14) cosine and sine of each link's angle."""
        angle = v.cached(self._tree.angles)
        directions = np.empty((v.n, 14), np.float32)
        directions[:, 0::2] = np.cos(angle).T
        directions[:, 1::2] = np.sin(angle).T
        return directions

    def _height(self, v: View) -> np.ndarray:
        """(n,) height of the torso (m)."""
        return self._torso_height + v.qpos[:, 0]


def _twin(name: str) -> str | float:
    """The mirror of a channel: the name of the other leg's, or 1 if it is of neither leg."""
    side, _, rest = name.partition("_")
    other = {"right": "left", "left": "right"}.get(side)
    return f"{other}_{rest}" if other else 1.0
