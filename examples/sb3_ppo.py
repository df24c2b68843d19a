# SPDX-License-Identifier: Apache-2.0
"""Stable-Baselines3's own PPO, on a vector environment wrapped in `SB3VecEnv`."""

import sys

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

import motrix_gym  # noqa: F401, registers the ids
from adapters.sb3_env import SB3VecEnv

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000  # of all environments together

envs = SB3VecEnv(gymnasium.make_vec("Motrix/CartPole-v0", num_envs=128))
envs = VecMonitor(envs)  # returns and lengths of episodes
model = PPO(
    "MlpPolicy",
    envs,
    n_steps=32,  # of each environment: an update learns from 32 x 128 samples
    batch_size=1024,
    n_epochs=4,
    learning_rate=1e-3,
    seed=0,
    device="cpu",
)
model.learn(STEPS)
lengths = [episode["l"] for episode in model.ep_info_buffer or ()]  # of the last 100
print(f"mean length of the last 100 episodes: {np.mean(lengths):.0f} steps")
envs.close()
