# SPDX-License-Identifier: Apache-2.0
"""The trainer of PPO by skrl on JAX: it steps the environment and drives `SkrlJaxAgent`."""

from typing import Any

import jax
import numpy as np
from gymnasium.vector import VectorEnv

from adapters.measured_env import MeasuredEnv
from adapters.phases import PhasedTrainer
from adapters.ppo_config import PPOConfig
from adapters.skrl_jax_agent import SkrlJaxAgent
from adapters.skrl_jax_models import policy_arrays
from adapters.states import with_prefix, without_prefix
from motrix_gym.policy import Policy


class SkrlJaxTrainer(PhasedTrainer):
    """PPO by skrl on JAX; see `Trainer` and `SkrlJaxAgent`.

    Args:
        env: As `Trainer`.
        config: As `Trainer`.
        device: "cpu" or "cuda".

    Raises:
        ValueError: the device is another, or JAX finds no GPU; or as `Trainer`.
    """

    config: PPOConfig
    name = "skrl-jax"
    own_state = (*PhasedTrainer.own_state, "observations", "agent/learner/key", "agent/noise")
    without_effect = ("mixed_precision", "share_policy_value_features")

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        observation_box: Any = env.single_observation_space
        action_box: Any = env.single_action_space
        self.measured_env = MeasuredEnv(
            env,
            self.statistics,
            elapsed_steps=self.elapsed_steps,
            first_row=self.ranks.rank * env.num_envs,
        )
        self.agent = SkrlJaxAgent(
            config,
            observation_box,
            action_box,
            find_device(device),
            self.mirror,
            policy_width=self.policy_width,
            ranks=self.ranks,
        )
        if self.initial_policy:
            self.agent.start_from(self.initial_policy)
        self.observations, _ = self.measured_env.reset(seed=config.seed)
        (observations,) = self.ranks.joined(self.observations)
        self.agent.observation_moments.warm_up(observations, least_std=1.0)

    def _collect(self) -> None:
        self.agent.start()
        for _ in range(self.config.rollouts):
            actions, _ = self.agent.act(self.observations)
            step = self.measured_env.step(actions)
            self.observations, rewards, terminated, truncated, infos = step
            self.agent.record_transition(
                actions=actions,
                rewards=rewards,
                next_observations=self.observations,
                terminated=terminated,
                truncated=truncated,
                infos=infos,
            )

    def _learn(self) -> dict[str, float]:
        self.agent.update(timestep=self.vector_steps, timesteps=self.config.vector_steps)
        scalars = {tag: values[-1] for tag, values in self.agent.tracking_data.items()}
        self.agent.tracking_data.clear()
        return scalars

    def _set_log_std(self, log_std: float) -> None:
        self.agent.set_log_std(log_std)

    def policy(self) -> Policy:
        scale = self.agent.observation_moments.scale
        normalizer = scale.mean, scale.std, float(scale.clip)
        return self.make_policy(*policy_arrays(self.agent.learner.policy, self.config), normalizer)

    def _checked_state(self) -> dict[str, np.ndarray]:
        return {
            "observations": np.array(self.observations),
            **with_prefix("agent/", self.agent.state()),
        }

    def _restore_learner(self, state: dict[str, np.ndarray]) -> None:
        self.agent.restore(without_prefix("agent/", state))
        if without_prefix("env/", state):  # else the environment is not where the state left it
            self.observations = np.array(state["observations"])


def find_device(name: str) -> jax.Device:  # pyright: ignore[reportInvalidTypeForm]
    """Returns JAX's device of this name.

    Raises:
        ValueError: the name is not "cpu" or "cuda", or JAX finds no GPU.
    """
    platforms = {"cpu": "cpu", "cuda": "gpu"}
    if name not in platforms:
        raise ValueError(f"device {name!r} is not supported; allowed are 'cpu', 'cuda'")
    try:
        return jax.local_devices(backend=platforms[name])[0]
    except RuntimeError as error:
        raise ValueError(
            f"device {name!r} is not available: JAX {jax.__version__} finds no GPU; use 'cpu', or "
            'pip install "jax[cuda12]" on a machine with one'
        ) from error
