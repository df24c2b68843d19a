# SPDX-License-Identifier: Apache-2.0
"""A one-legged hopper in a plane: stand, or hop forwards at 2 m/s.

Observation (15): torso height from 1 m (m), torso angle, angles of waist, hip, knee, ankle (rad);
velocities (7: forwards and upwards in m/s, then the same five in rad/s); log(1 + force in N) on
toe and heel, in the last physics step. Action (4): torques of waist, hip, knee, ankle: +-30, 40,
30, 10 N m. Reward, in [0, 1]: [centre of mass of the torso 0.6 to 2 m above the foot's], times
(4 + [small action]) / 5 for standing, or times [forward speed] for hopping. The brackets are
tolerances: height without margin; actions of 0, margin 1, quadratic, 0 at the margin, averaged over
the motors; speed >= that asked for, margin half of it, linear, 0.5 at the margin and so 0 at rest.
No termination; truncated after 1000 steps (20 s). Start: every joint anywhere in its range, the
torso at any angle, at rest; it may reach into the floor, which pushes it out.

Source: dm_control's ``hopper`` (Tassa et al., "DeepMind Control Suite", 2018).

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

_STAND_HEIGHTS = (0.6, 2.0)
_JOINTS = ("waist", "hip", "knee", "ankle")
_TORQUES = ("30 N m", "40 N m", "30 N m", "10 N m")


@dataclass(frozen=True, kw_only=True)
class HopperConfig(TaskConfig):
    """Settings of the hopper."""

    control_timestep: float = 0.02
    physics_timestep: float = 0.005
    hop_speed: float = number(0.0, least=0)
    """Forward speed that is asked for (m/s); 0 asks for standing only."""
    reward_weights: Mapping[str, float] = weights(task=1.0)


STAND = HopperConfig()
HOP = HopperConfig(hop_speed=2.0)


class Hopper(Task):
    """Stand or hop on one leg in a plane.

    The module's docstring has the numbers.
    """

    config: HopperConfig
    model_file = Path(__file__).with_suffix(".xml")
    camera = "side"
    metrics = {
        "speed": Metric("m/s", "mean", "forward speed of the centre of mass"),
        "height": Metric("m", "mean", "height of the torso above the foot"),
    }

    def __init__(self, config: HopperConfig):
        """Compile the model and read its links."""
        super().__init__(config)
        self._tree = PlanarTree(self.model)
        self._low, self._high = pose_range(self.model)
        torso, foot = (self._tree.centre(self.model.body(name).id) for name in ("torso", "foot"))
        self._foot_to_torso = torso - foot

    def observation_channels(self) -> list[Channel]:
        """Positions, without the distance hopped, velocities, touch; the torso can turn over."""
        return [
            *read_together(
                lambda v: v.qpos[:, 1:],
                (
                    Channel("torso_rise", "m", mirror=1),
                    Channel("torso_angle", "rad", mirror=1, full_turn=True),
                    *(Channel(f"{joint}_angle", "rad", mirror=1) for joint in _JOINTS),
                ),
            ),
            *read_together(
                lambda v: v.qvel,
                (
                    Channel("root_velocity_forward_up", "m/s", 2, mirror=1),
                    Channel("torso_rate", "rad/s", mirror=1),
                    *(Channel(f"{joint}_velocity", "rad/s", mirror=1) for joint in _JOINTS),
                ),
            ),
            *read_together(
                lambda v: np.log1p(v.sensordata),  # forces in the last physics step
                (Channel(f"{part}_touch", "log(1 + N)", mirror=1) for part in ("toe", "heel")),
            ),
        ]

    def action_channels(self) -> list[Channel]:
        """The motors."""
        torques = zip(_JOINTS, _TORQUES, strict=True)
        return [Channel(f"{joint}_torque", torque, mirror=1) for joint, torque in torques]

    def reset(self, v: View, rng: RowRandom) -> None:
        """Any pose, at rest."""
        v.qpos = rng.uniform(self._low, self._high, self.model.nq)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Standing, times either little effort or speed."""
        reward = tolerance(v.cached(self._height), _STAND_HEIGHTS)
        speed = self.config.hop_speed
        if speed > 0:
            reward *= tolerance(
                v.cached(self._tree.speed), (speed, np.inf), speed / 2, "linear", 0.5
            )
        else:
            small = np.ascontiguousarray(tolerance(v.ctrl, (0, 0), 1.0, "quadratic", 0.0))
            reward *= (small.mean(axis=1) + 4) / 5
        return {"task": reward}

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Forward speed and height."""
        return {"speed": v.cached(self._tree.speed), "height": v.cached(self._height)}

    def _height(self, v: View) -> np.ndarray:
        """(n,) height of the torso's centre of mass above the foot's (m)."""
        return self._tree.height(self._foot_to_torso, v)
