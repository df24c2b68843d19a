# SPDX-License-Identifier: Apache-2.0
"""PPO in one file, after CleanRL's `ppo_continuous_action.py`: a loop to take apart and change.

At a time limit the value of the final observation is added to the reward: the episode was cut
short there and did not end.
"""

import sys

import gymnasium
import numpy as np
import torch
from torch import nn

import motrix_gym  # noqa: F401, registers the ids

STEPS, EPOCHS, MINIBATCHES, GAMMA, LAMBDA, CLIP = 32, 4, 4, 0.99, 0.95, 0.2


def network(inputs: int, outputs: int) -> nn.Module:
    """Returns two hidden layers of 64."""
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)
    )


def advantages(rewards, values, last_value, ended):
    """Returns GAE (STEPS, envs); an episode's rewards end where `ended` (STEPS, envs) is 1."""
    result, following, advantage = torch.zeros_like(rewards), last_value, 0.0
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + GAMMA * following * (1 - ended[t]) - values[t]
        advantage = delta + GAMMA * LAMBDA * (1 - ended[t]) * advantage
        result[t], following = advantage, values[t]
    return result


def train(env_id: str = "Motrix/CartPole-v0", num_envs: int = 128, updates: int = 100) -> float:
    """Trains, and returns the mean length of the episodes in the last tenth of the updates."""
    torch.manual_seed(0)
    envs = gymnasium.make_vec(env_id, num_envs=num_envs)
    size, actions = envs.single_observation_space.shape[0], envs.single_action_space.shape[0]
    actor, critic = network(size, actions), network(size, 1)
    log_std = nn.Parameter(torch.full((actions,), -0.5))
    parameters = [*actor.parameters(), *critic.parameters(), log_std]
    optimiser = torch.optim.Adam(parameters, lr=1e-3, eps=1e-5)
    observation = torch.from_numpy(envs.reset(seed=0)[0])
    lengths, finished = np.zeros(num_envs), []
    for update in range(updates):
        buffer = {name: [] for name in ("obs", "action", "logp", "reward", "value", "ended")}
        for _ in range(STEPS):
            with torch.no_grad():
                policy = torch.distributions.Normal(actor(observation), log_std.exp())
                action = policy.sample()
                following, reward, terminated, truncated, info = envs.step(action.numpy())
                reward = torch.from_numpy(reward).float()
                if (cut := truncated & ~terminated).any():
                    final = torch.from_numpy(info["final_obs"][cut])
                    reward[torch.from_numpy(cut)] += GAMMA * critic(final)[:, 0]
                ended = terminated | truncated
                buffer["obs"].append(observation)
                buffer["action"].append(action)
                buffer["logp"].append(policy.log_prob(action).sum(1))
                buffer["reward"].append(reward)
                buffer["value"].append(critic(observation)[:, 0])
                buffer["ended"].append(torch.from_numpy(ended).float())
            lengths += 1
            if update >= 0.9 * updates:
                finished += lengths[ended].tolist()
            lengths[ended] = 0
            observation = torch.from_numpy(following)
        data = {name: torch.stack(parts) for name, parts in buffer.items()}
        with torch.no_grad():
            last = critic(observation)[:, 0]
        gae = advantages(data["reward"], data["value"], last, data["ended"])
        targets = (gae + data["value"]).flatten()
        obs, action = data["obs"].flatten(0, 1), data["action"].flatten(0, 1)
        logp, gae = data["logp"].flatten(), gae.flatten()
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(obs)).chunk(MINIBATCHES):
                policy = torch.distributions.Normal(actor(obs[rows]), log_std.exp())
                ratio = (policy.log_prob(action[rows]).sum(1) - logp[rows]).exp()
                advantage = (gae[rows] - gae[rows].mean()) / (gae[rows].std() + 1e-8)
                clipped = ratio.clamp(1 - CLIP, 1 + CLIP) * advantage
                loss = -torch.min(ratio * advantage, clipped).mean()
                loss = loss + 0.5 * (critic(obs[rows])[:, 0] - targets[rows]).square().mean()
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 0.5)
                optimiser.step()
    envs.close()
    return float(np.mean(finished)) if finished else float(lengths.mean())


if __name__ == "__main__":
    print(f"mean length of an episode: {train(*sys.argv[1:2]):.0f} steps")
