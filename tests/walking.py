# SPDX-License-Identifier: Apache-2.0
"""What the walk of a quadruped must look like, in numbers."""

import gymnasium
import numpy as np

from motrix_gym import registration
from motrix_gym.commands import VelocityCommands
from motrix_gym.policy import Policy


def assert_walks(policy: Policy, forward: float = 0.8) -> None:
    """On level ground, feet lift, diagonal feet go together, and the base neither hops nor bobs."""
    commands = VelocityCommands((forward,) * 2, (0.0, 0.0), (0.0, 0.0), 0.0, (60.0, 60.0))
    env_id = policy.metadata["env_id"]
    level = {"terrain": "flat"} if hasattr(registration.make_task(env_id), "terrain") else {}
    envs = gymnasium.make_vec(env_id, num_envs=16, commands=commands, **level)
    env = envs.unwrapped
    observations, _ = envs.reset(seed=0)
    act, ended = policy.actor(), np.ones(16, bool)
    contacts, heights, bases = [], [], []
    for _ in range(300):
        observations, _, terminated, truncated, _ = envs.step(act(observations, ended))
        ended = terminated | truncated
        v = env.simulation.all
        contacts.append(v.sensordata[:, env.task.touch] > 0)
        heights.append(v.site_xpos[:, env.task.foot_sites, 2] - env.task.foot_radius)
        bases.append(v.qpos[:, 2].copy())
    envs.close()
    contact, height, base = (np.array(x[50:]) for x in (contacts, heights, bases))
    lift = height.max(axis=0).min()
    assert lift > 0.04, f"a foot drags: it rises by only {lift:.3f} m"
    share = contact.mean(axis=(0, 1))
    assert (share > 0.3).all() and (share < 0.7).all(), f"feet stand for {share} of the time"
    airborne = (~contact).all(axis=-1).mean()
    assert airborne < 0.2, f"it hops: no foot is on the ground for {airborne:.0%} of the time"
    first, second, third, last = np.moveaxis(contact, -1, 0)  # two in front, then two behind
    diagonal = min((first == last).mean(), (second == third).mean())
    assert diagonal > 0.8, "diagonal feet do not go together"
    assert (first == second).mean() < 0.4, "left and right feet go together"
    assert base.std(axis=0).max() < 0.02, f"the base bobs by {base.std(axis=0).max():.3f} m"
