# SPDX-License-Identifier: Apache-2.0
"""An arm of two links in a plane: keep the finger in a target, large (easy) or small (hard).

Observation (6): angles of shoulder and wrist (rad), target minus finger (x and y in m), velocities
of shoulder and wrist (rad/s). Action (2): torques of shoulder and wrist, +-0.05 N m. Reward: 1
while finger and target overlap, else 0: a tolerance of distance <= the sum of their radii, without
margin. No termination; truncated after 1000 steps (20 s). Start: shoulder at any angle, wrist
anywhere in its range, at rest; target at any angle, 5 to 20 cm from the shoulder.

Source: dm_control's ``reacher`` (Tassa et al., "DeepMind Control Suite", 2018).

v0: first version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from motrix_gym.observation import Channel
from motrix_gym.random import RowRandom
from motrix_gym.rewards import tolerance
from motrix_gym.settings import number, weights
from motrix_gym.task import Metric, Task, TaskConfig
from motrix_gym.tasks.control.planar import pose_range
from motrix_gym.view import View

_NEAREST, _FARTHEST = 0.05, 0.20  # distance of a target from the shoulder (m)


@dataclass(frozen=True, kw_only=True)
class ReacherConfig(TaskConfig):
    """Settings of the reacher."""

    control_timestep: float = 0.02
    physics_timestep: float = 0.02
    target_size: float = number(0.05, above=0)
    """Radius of the target (m)."""
    reward_weights: Mapping[str, float] = weights(task=1.0)


EASY = ReacherConfig(target_size=0.05)
HARD = ReacherConfig(target_size=0.015)


class Reacher(Task):
    """Reach a target with an arm of two links.

    The module's docstring has the numbers.
    """

    config: ReacherConfig
    model_file = Path(__file__).with_suffix(".xml")
    camera = "above"
    metrics = {"distance": Metric("m", "mean", "distance of the finger from the target's middle")}

    def __init__(self, config: ReacherConfig):
        """Compile the model and read its lengths."""
        super().__init__(config)
        self._low, self._high = pose_range(self.model)
        self._upper, self._lower = (self.model.body(name).pos[0] for name in ("hand", "finger"))
        self._radius = config.target_size + self.model.geom("finger").size[0]

    def observation_channels(self) -> list[Channel]:
        """Angles, vector to the target, velocities; the mirror reflects in the x axis."""
        return [
            Channel("shoulder_angle", "rad", 1, lambda v: v.qpos[:, 0], mirror=-1),
            Channel("wrist_angle", "rad", 1, lambda v: v.qpos[:, 1], mirror=-1),
            Channel("finger_to_target", "m", 2, self._finger_to_target, mirror=(1, -1)),
            Channel("shoulder_velocity", "rad/s", 1, lambda v: v.qvel[:, 0], mirror=-1),
            Channel("wrist_velocity", "rad/s", 1, lambda v: v.qvel[:, 1], mirror=-1),
        ]

    def action_channels(self) -> list[Channel]:
        """The motors."""
        names = ("shoulder_torque", "wrist_torque")
        return [Channel(name, "0.05 N m", mirror=-1) for name in names]

    def build_model(self) -> mujoco.MjModel:
        """With the target's size."""
        spec = mujoco.MjSpec.from_file(str(self.model_file))
        spec.geom("target").size[0] = self.config.target_size
        return spec.compile()

    def reset(self, v: View, rng: RowRandom) -> None:
        """Any pose, at rest, and a new target."""
        v.qpos = rng.uniform(self._low, self._high, 2)
        angle = rng.uniform(0, 2 * np.pi)
        radius = rng.uniform(_NEAREST, _FARTHEST)
        v.mocap_pos[:, 0, 0] = radius * np.sin(angle)
        v.mocap_pos[:, 0, 1] = radius * np.cos(angle)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Whether finger and target overlap."""
        return {"task": tolerance(v.cached(self._distance), (0, self._radius))}

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Distance from the target."""
        return {"distance": v.cached(self._distance)}

    def _finger_to_target(self, v: View) -> np.ndarray:
        return v.cached(self._to_target).T

    def _to_target(self, v: View) -> np.ndarray:
        """(2, n) vector from finger to target along x and y (m), of the present state."""
        upper, lower = v.qpos.T.copy()
        lower += upper  # the angle from the world's x
        vector = v.mocap_pos[:, 0, :2].T.copy()
        vector[0] -= self._upper * np.cos(upper) + self._lower * np.cos(lower)
        vector[1] -= self._upper * np.sin(upper) + self._lower * np.sin(lower)
        return vector

    def _distance(self, v: View) -> np.ndarray:
        """(n,) distance from finger to target (m)."""
        x, y = v.cached(self._to_target)
        return np.sqrt(x * x + y * y)
