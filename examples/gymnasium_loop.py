# SPDX-License-Identifier: Apache-2.0
"""Plain Gymnasium: step many environments, and sum up the return of each episode that ends."""

import gymnasium
import numpy as np

import motrix_gym  # noqa: F401, registers the ids

envs = gymnasium.make_vec("Motrix/CartPole-v0", num_envs=64)
generator = np.random.default_rng(0)
returns = np.zeros(envs.num_envs)
finished: list[float] = []
observations, _ = envs.reset(seed=0)
for _ in range(200):
    actions = generator.uniform(-0.1, 0.1, envs.action_space.shape).astype(np.float32)
    observations, rewards, terminated, truncated, info = envs.step(actions)
    returns += rewards
    # Rows that ended were reset in the same step: `observations` has the first of the next episode,
    # and `info["final_obs"]` the last of the old one.
    ended = terminated | truncated
    if ended.any():
        assert (info["_final_obs"] == ended).all()
        finished += returns[ended].tolist()
        returns[ended] = 0
print(f"{len(finished)} episodes, mean return {np.mean(finished):.1f}")
envs.close()
