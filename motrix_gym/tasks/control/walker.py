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

from motrix_gym.random import RowRandom
from motrix_gym.rewards import tolerance
from motrix_gym.settings import number, weights
from motrix_gym.simulation import View
from motrix_gym.symmetry import Mirror, exchange, signs
from motrix_gym.task import Channel, Metric, Task, TaskConfig
from motrix_gym.tasks.control.planar import PlanarTree, pose_range

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


class Walker(Task):
    """Stand, walk or run on two legs in a plane.

    The module's docstring has the numbers.
    """

    config: WalkerConfig
    model_file = Path(__file__).with_suffix(".xml")
    camera = "side"
    observation = (
        *(Channel(f"{link}_cos_sin", "1", 2) for link in _LINKS),
        Channel("torso_height", "m"),
        Channel("root_velocity_up_forward", "m/s", 2),
        Channel("torso_rate", "rad/s"),
        *(Channel(f"{joint}_velocity", "rad/s") for joint in _JOINTS),
    )
    action = tuple(
        Channel(f"{joint}_torque", unit) for joint, unit in zip(_JOINTS, _TORQUES, strict=True)
    )
    mirror = Mirror(  # the legs are alike
        observation=signs(1, 1) + exchange(6) + signs(1, 1, 1, 1) + exchange(3),
        action=exchange(3),
    )
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

    def reset(self, v: View, rng: RowRandom) -> None:
        """Any pose, at rest."""
        v.qpos = rng.uniform(self._low, self._high, self.model.nq)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """High and upright, and fast if asked for."""
        standing = tolerance(self._height(v), (_STAND_HEIGHT, np.inf), _STAND_HEIGHT / 2)
        upright = (1 + np.cos(v.once(self._tree.angles)[0])) / 2
        reward = (3 * standing + upright) / 4
        speed = self.config.move_speed
        if speed > 0:
            moving = tolerance(v.once(self._tree.speed), (speed, np.inf), speed / 2, "linear", 0.5)
            reward *= (5 * moving + 1) / 6
        return {"task": reward}

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Forward speed and height."""
        return {"speed": v.once(self._tree.speed), "height": self._height(v)}

    def observe(self, v: View) -> np.ndarray:
        """Directions of the links, height, velocities."""
        angle = v.once(self._tree.angles)
        observation = np.empty((v.n, 24))
        observation[:, 0:14:2] = np.cos(angle).T
        observation[:, 1:14:2] = np.sin(angle).T
        observation[:, 14] = self._height(v)
        observation[:, 15:] = v.qvel
        return observation

    def _height(self, v: View) -> np.ndarray:
        """(n,) height of the torso (m)."""
        return self._torso_height + v.qpos[:, 0]
