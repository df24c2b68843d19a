# SPDX-License-Identifier: Apache-2.0
"""A task of your own, in one file: hold a pole upright on a cart that is pushed about.

The policy sees the last three positions, from which it must infer the velocities. Only the value
function sees the velocities and the pole's mass, which differs between environments.

    motrix train --env own_task:Mine/PushedCart-v0 --set max_env_steps=300000 privileged_value=true
"""

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from motrix_gym import Channel, Goal, Metric, Task, TaskConfig, register_task
from motrix_gym.settings import number, weights

MODEL = """
<mujoco>
  <worldbody>
    <body name="cart">
      <joint name="rail" type="slide" axis="1 0 0"/><geom type="box" size=".1 .05 .03" mass="1"/>
      <body name="pole">
        <joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 .6" size=".02" mass=".1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor name="motor" joint="rail" gear="20"/></actuator>
</mujoco>
"""


@dataclass(frozen=True, kw_only=True)
class Pushed(TaskConfig):
    control_timestep: float = 0.02
    physics_timestep: float = 0.01
    max_episode_steps: int | None = 500
    push_speed: float = number(0.3, least=0)  # largest change of the cart's speed (m/s)
    reward_weights: Mapping[str, float] = weights(upright=1.0, effort=-0.01)


class PushedCart(Task):
    """Hold a pole upright on a cart that is pushed about."""

    config: Pushed
    per_world = ("body_mass",)
    metrics = {"angle": Metric("rad", "mean", "size of the pole's lean")}

    def build_model(self):
        return mujoco.MjModel.from_xml_string(MODEL)

    def observation_channels(self):
        return [
            Channel("positions", "m, rad", 2, lambda v: v.qpos, noise=0.002, history=3),
            Channel("velocities", "m/s, rad/s", 2, lambda v: v.qvel, privileged=True),
            Channel("pole_mass", "kg", 1, lambda v: v.body_mass[:, 2], privileged=True),
        ]

    def reset(self, v, rng):
        v.qpos = rng.uniform(-0.05, 0.05, 2)
        v.body_mass[:, 2] *= rng.uniform(0.5, 2.0)

    def disturb(self, v, rng):
        limit = self.config.push_speed
        pushed = rng.uniform() < 0.02  # once a second, at 50 steps per second
        v.qvel[:, 0] += pushed * rng.uniform(-limit, limit)

    def terminated(self, v):
        return (abs(v.qpos) > [0.95, 0.5]).any(axis=1)

    def rewards(self, v):
        return {"upright": np.cos(v.qpos[:, 1]), "effort": np.square(v.ctrl[:, 0])}

    def measure(self, v):
        return {"angle": abs(v.qpos[:, 1])}


GOALS, PPO = [Goal("return", ">=", 450)], {"share_policy_value_features": False}
register_task("Mine/PushedCart-v0", PushedCart, Pushed(), goals=GOALS, hyperparams={"ppo": PPO})
