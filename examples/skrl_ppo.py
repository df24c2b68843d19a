# SPDX-License-Identifier: Apache-2.0
"""skrl's own PPO agent and trainer, on Torch."""

import sys

import gymnasium
import numpy as np
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from skrl.utils.model_instantiators.torch import deterministic_model, gaussian_model

import motrix_gym  # noqa: F401, registers the ids

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 2400  # of each of the environments
ROLLOUT, NUM_ENVS = 32, 128
NETWORK = [{"name": "net", "input": "OBSERVATIONS", "layers": [64, 64], "activations": "tanh"}]
SETTINGS = {"rollouts": ROLLOUT, "learning_epochs": 4, "mini_batches": 4, "learning_rate": 1e-3}
LOGS = {"write_interval": 0, "checkpoint_interval": 0}  # no files

set_seed(0)
# With NEXT_STEP skrl sees the last observation of an episode that reached its time limit.
envs = gymnasium.make_vec("Motrix/CartPole-v0", num_envs=NUM_ENVS, autoreset_mode="NEXT_STEP")
envs = RecordEpisodeStatistics(envs)
env = wrap_env(envs, wrapper="gymnasium")
spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
policy = gaussian_model(**spaces, network=NETWORK, output="ACTIONS", device=env.device)
value = deterministic_model(**spaces, network=NETWORK, output="ONE", device=env.device)
agent = PPO(
    models={"policy": policy, "value": value},
    memory=RandomMemory(memory_size=ROLLOUT, num_envs=NUM_ENVS, device=env.device),
    cfg=PPO_CFG(**SETTINGS, time_limit_bootstrap=True, experiment=LOGS),
    **spaces,
    device=env.device,
)
SequentialTrainer(env=env, agents=agent, cfg={"timesteps": STEPS, "headless": True}).train()
print(f"mean length of the last 100 episodes: {np.mean(envs.length_queue):.0f} steps")
