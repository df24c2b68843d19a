# SPDX-License-Identifier: Apache-2.0
"""A trainer without a library, and policies made by hand."""

import numpy as np

from adapters import Policy, Trainer
from adapters.states import check_like
from rl_zoo.evaluation import Evaluation


class FakeTrainer(Trainer):
    """Does not learn, but lives as a trainer does: acts, counts, draws, and can be restored.

    Attributes:
        on_update: Called with the trainer before each update.
    """

    name = "sb3"

    def __init__(self, env, config, *, device="cpu"):
        super().__init__(env, config, device=device)
        self.observations, _ = env.reset(seed=config.seed)
        self.weight = np.zeros((env.single_observation_space.shape[0], 1), np.float32)
        self.scalars = {}

    def on_update(self):
        pass

    def update(self):
        self.on_update()
        for _ in range(self.config.rollouts):
            actions = np.clip(self.observations.astype(float) @ self.weight, -1, 1)
            actions = np.broadcast_to(actions, self.env.action_space.shape)
            self.observations, rewards, terminated, truncated, info = self.env.step(actions)
            self.statistics.step(rewards, terminated, truncated, info)
        self.weight += self.observations.mean(axis=0)[:, None]
        self.num_updates += 1
        return self.statistics.summary() | {"Loss / Policy loss": 0.5} | self.scalars

    def policy(self):
        return make_policy(self.weight, self.metadata())

    def state(self):
        numbers = {
            "weight": self.weight,
            "observations": self.observations,
            "updates": np.array(self.num_updates),
        }
        statistics = {f"statistics/{k}": v for k, v in self.statistics.state().items()}
        return numbers | statistics | self.env_state()

    def restore(self, state):
        for name, array in self.state().items():
            if not name.startswith(("statistics/", "env/")):
                check_like(name, array, state.get(name))
        self.weight, self.observations = state["weight"].copy(), state["observations"].copy()
        self.num_updates = int(state["updates"])
        parts = {k: v for k, v in state.items() if k.startswith("statistics/")}
        self.statistics.restore({k.removeprefix("statistics/"): v for k, v in parts.items()})
        self.restore_env(state)


def make_policy(weight, metadata=None, bias=0.0):
    """A linear policy, weight (obs, act)."""
    weight = np.asarray(weight, np.float32)
    observations, actions = weight.shape
    return Policy(
        hidden=(),
        output=(weight, np.full(actions, bias)),
        log_std=np.zeros(actions),
        activation="elu",
        observation_mean=np.zeros(observations),
        observation_std=np.ones(observations),
        observation_clip=np.inf,
        action_low=np.full(actions, -1.0),
        action_high=np.full(actions, 1.0),
        metadata=metadata or {"env_id": "Motrix/CartPole-v0"},
    )


def make_evaluation(goals, rates=(), words=None, **figures):
    """The result of an evaluation, with these figures of each episode."""
    return Evaluation(
        env_id="Motrix/CartPole-v0",
        settings={},
        num_envs=1,
        seed=0,
        stochastic=False,
        figures={name: np.array(values, float) for name, values in figures.items()},
        units={},
        goals=tuple(goals),
        rates=frozenset(rates),
        words=words or {},
    )
