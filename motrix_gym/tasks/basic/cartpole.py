# SPDX-License-Identifier: Apache-2.0
"""Balance a pole on a cart.

Observation (4): cart position (m), pole angle (rad, 0 is upright), their velocities (m/s,
rad/s). Action (1): force on the cart, +-300 N. Reward: 1 per step. The episode terminates when
the pole leans by more than 0.2 rad or the cart is more than 0.8 m from the middle; it is
truncated after 1000 steps (10 s). Start: every position and velocity uniform within +-0.01.

Source: MotrixLab's ``cartpole``, with the action scaled to [-1, 1].

v0: first version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motrix_gym.observation import Channel
from motrix_gym.random import RowRandom
from motrix_gym.settings import number, weights
from motrix_gym.task import Metric, Task, TaskConfig
from motrix_gym.view import View


@dataclass(frozen=True, kw_only=True)
class CartPoleConfig(TaskConfig):
    """Settings of the cart-pole."""

    control_timestep: float = 0.01
    physics_timestep: float = 0.01
    max_angle: float = number(0.2, above=0)
    """Lean at which the episode terminates (rad)."""
    max_position: float = number(0.8, above=0)
    """Distance of the cart from the middle at which the episode terminates (m)."""
    start_spread: float = number(0.01, least=0)
    """Largest start position and velocity; uniform on both sides of 0 (m, rad, m/s, rad/s)."""
    max_control: float = number(3.0, above=0)
    """Motor control at action 1; a control of 1 is a force of 100 N."""
    reward_weights: Mapping[str, float] = weights(alive=1.0)


BALANCE = CartPoleConfig()


class CartPole(Task):
    """Balance a pole on a cart.

    The module's docstring has the numbers.
    """

    config: CartPoleConfig
    model_file = Path(__file__).with_suffix(".xml")
    camera = "fixed"
    metrics = {"pole_angle": Metric("rad", "mean", "mean size of the pole's lean")}

    def observation_channels(self) -> list[Channel]:
        """Positions, then velocities."""
        return [
            Channel("cart_position", "m", read=lambda v: v.qpos[:, 0]),
            Channel("pole_angle", "rad", read=lambda v: v.qpos[:, 1]),
            Channel("cart_velocity", "m/s", read=lambda v: v.qvel[:, 0]),
            Channel("pole_velocity", "rad/s", read=lambda v: v.qvel[:, 1]),
        ]

    def action_channels(self) -> list[Channel]:
        """The motor."""
        return [Channel("cart_force", "300 N")]

    def reset(self, v: View, rng: RowRandom) -> None:
        """Near the middle, near upright, nearly at rest."""
        spread = self.config.start_spread
        v.qpos = rng.uniform(-spread, spread, 2)
        v.qvel = rng.uniform(-spread, spread, 2)

    def act(self, v: View, action: np.ndarray) -> None:
        """Scale to the motor's range."""
        v.ctrl = self.config.max_control * action

    def terminated(self, v: View) -> np.ndarray:
        """Leaning too far or too far out."""
        position, angle = v.qpos[:, 0], v.qpos[:, 1]
        return (abs(angle) > self.config.max_angle) | (abs(position) > self.config.max_position)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """1 per step."""
        return {"alive": np.ones(v.n)}

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Size of the lean."""
        return {"pole_angle": abs(v.qpos[:, 1])}
