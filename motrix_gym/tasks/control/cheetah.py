# SPDX-License-Identifier: Apache-2.0
"""A two-legged cheetah in a plane: run, at 10 m/s if it can.

Observation (17): torso height from its start (m), torso angle (rad), angles of back thigh, shin,
foot, front thigh, shin, foot (rad); velocities (9: forwards and upwards in m/s, then the same
seven in rad/s). Action (6): torques of back thigh, shin, foot, front thigh, shin, foot: +-120, 90,
60, 90, 60, 30 N m. Reward, in [0, 1]: forward speed of the centre of mass / 10 m/s, which is a
tolerance: speed >= 10 m/s, margin 10 m/s, linear, 0 at the margin. No termination; truncated after
1000 steps (10 s). Start: every joint anywhere in its range, then 200 physics steps (2 s) without
torques to fall to the floor and come to rest.

Source: dm_control's ``cheetah`` (Tassa et al., "DeepMind Control Suite", 2018).

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

_JOINTS = ("back_thigh", "back_shin", "back_foot", "front_thigh", "front_shin", "front_foot")
_TORQUES = ("120 N m", "90 N m", "60 N m", "90 N m", "60 N m", "30 N m")
_TORSO_ANGLE = 2  # in qpos: it starts at 0


@dataclass(frozen=True, kw_only=True)
class CheetahConfig(TaskConfig):
    """Settings of the cheetah."""

    control_timestep: float = 0.01
    physics_timestep: float = 0.01
    run_speed: float = number(10.0, above=0)
    """Forward speed at which the reward is 1 (m/s)."""
    reward_weights: Mapping[str, float] = weights(task=1.0)


RUN = CheetahConfig()


class Cheetah(Task):
    """Run on two legs of three links in a plane.

    The module's docstring has the numbers.
    """

    config: CheetahConfig
    model_file = Path(__file__).with_suffix(".xml")
    camera = "side"
    # As many as dm_control's. Its first one differs: it moves the random pose by accelerations that
    # were computed for the model's own pose.
    settling_steps = 200
    metrics = {"speed": Metric("m/s", "mean", "forward speed of the centre of mass")}

    def __init__(self, config: CheetahConfig):
        """Compile the model and read its links."""
        super().__init__(config)
        self._tree = PlanarTree(self.model)
        self._low, self._high = pose_range(self.model)
        self._low[_TORSO_ANGLE] = self._high[_TORSO_ANGLE] = 0.0

    def observation_channels(self) -> list[Channel]:
        """Positions, without the distance run, then velocities."""
        return [
            *read_together(
                lambda v: v.qpos[:, 1:],
                (
                    Channel("torso_rise", "m"),
                    Channel("torso_angle", "rad"),
                    *(Channel(f"{joint}_angle", "rad") for joint in _JOINTS),
                ),
            ),
            *read_together(
                lambda v: v.qvel,
                (
                    Channel("root_velocity_forward_up", "m/s", 2),
                    Channel("torso_rate", "rad/s"),
                    *(Channel(f"{joint}_velocity", "rad/s") for joint in _JOINTS),
                ),
            ),
        ]

    def action_channels(self) -> list[Channel]:
        """The motors."""
        torques = zip(_JOINTS, _TORQUES, strict=True)
        return [Channel(f"{joint}_torque", torque) for joint, torque in torques]

    def reset(self, v: View, rng: RowRandom) -> None:
        """Any pose of the legs; the engine then lets it settle."""
        v.qpos = rng.uniform(self._low, self._high, self.model.nq)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Forward speed."""
        fast = self.config.run_speed
        return {"task": tolerance(v.cached(self._tree.speed), (fast, np.inf), fast, "linear", 0.0)}

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Forward speed."""
        return {"speed": v.cached(self._tree.speed)}
