# SPDX-License-Identifier: Apache-2.0
"""The trainer of PPO by skrl on Torch: it steps the environment and drives `TimeLimitPPO`.

Tensors have one row per environment; skrl's scalars are columns (N, 1).
"""

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from skrl.memories.torch import RandomMemory
from skrl.resources.preprocessors.torch import RunningStandardScaler
from torch import nn

from adapters.initial_policy import whole_normalizer
from adapters.ppo_config import PPOConfig
from adapters.skrl_torch_agent import TimeLimitPPO
from adapters.skrl_torch_models import ActorCritic
from adapters.states import with_prefix, without_prefix
from adapters.torch_devices import precision_notes
from adapters.torch_networks import linear_layers, load_linear_layers, to_array
from adapters.torch_sampling import part_stream
from adapters.torch_states import Arrays
from adapters.torch_trainer import TorchTrainer
from motrix_gym.policy import Policy


class SkrlTorchTrainer(TorchTrainer):
    """PPO by skrl on Torch; see `Trainer` and `TimeLimitPPO`.

    `mixed_precision` needs a processor with bfloat16 instructions; on others all is float32, as
    `notes` says.
    """

    config: PPOConfig
    name = "skrl-torch"

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        spaces = env.single_observation_space, env.single_action_space
        memory = RandomMemory(
            memory_size=config.rollouts, num_envs=env.num_envs, device=self.torch_device
        )
        with self.seeded():
            model = ActorCritic(*spaces, config, self.torch_device, self.policy_width)
        part_stream(self.generator, config.seed, self.ranks.rank)
        self.agent = TimeLimitPPO(model, memory, config, self.generator, self.mirror, self.ranks)
        self.agent.init()
        self.agent.enable_training_mode(True)
        self.network, self.optimizer = model, self.agent.optimizer
        if self.initial_policy:
            self._start_from(self.initial_policy)
        self.observations, _ = self.measured_env.reset(seed=config.seed)

    def notes(self) -> list[str]:
        return super().notes() + precision_notes(self.config, self.torch_device)

    def _start_from(self, policy: Policy) -> None:
        """Takes over the layers and the normaliser of a policy of the same form."""
        model, scaler = self.agent.model, self.agent._observation_preprocessor
        load_linear_layers(policy.layers, model.trunks[0], model.policy_head)
        if isinstance(scaler, RunningStandardScaler):
            mean, std, count = whole_normalizer(policy, model.num_observations)
            deviation = (std.astype(np.float64) - scaler.epsilon).clip(0.0)
            moments = {
                "running_mean": mean.astype(np.float64),
                "running_variance": deviation**2,
                "current_count": count,
            }
            self._load_scaler(scaler, moments)

    def _collect(self) -> None:
        now = {"timestep": 0, "timesteps": 0}  # skrl's clock, which its PPO does not read
        observations = self._tensor(self.observations)
        for _ in range(self.config.rollouts):
            actions, _ = self.agent.act(observations, None, **now)
            step = self.measured_env.step(to_array(actions))
            self.observations, rewards, terminated, truncated, infos = step
            next_observations = self._tensor(self.observations)
            self.agent.record_transition(
                observations=observations,
                states=None,
                actions=actions,
                rewards=self._tensor(rewards)[:, None],
                next_observations=next_observations,
                next_states=None,
                terminated=self._tensor(terminated)[:, None],
                truncated=self._tensor(truncated)[:, None],
                infos=infos,
                **now,
            )
            observations = next_observations

    def _learn(self) -> dict[str, float]:
        self.agent.update(timestep=self.vector_steps, timesteps=self.config.vector_steps)
        scalars = {tag: values[-1] for tag, values in self.agent.tracking_data.items()}
        self.agent.tracking_data.clear()
        return scalars

    def policy(self) -> Policy:
        model, scaler = self.agent.model, self.agent._observation_preprocessor
        normalizer = None
        if isinstance(scaler, RunningStandardScaler):
            deviation = scaler.get_buffer("running_variance").float().sqrt()
            mean, std = scaler.get_buffer("running_mean"), deviation + scaler.epsilon
            normalizer = to_array(mean), to_array(std), scaler.clip_threshold
        layers = linear_layers(model.trunks[0], model.policy_head)
        return self.make_policy(layers, to_array(model.log_std), normalizer)

    def _own_state(self) -> Arrays:
        arrays = {"observations": self.observations, **self.agent.noise.state()}
        for name, scaler in self._scalers().items():
            arrays |= with_prefix(name, {k: to_array(v) for k, v in scaler.named_buffers()})
        return arrays

    def _restore_own(self, state: Arrays) -> None:
        self.observations = np.array(state["observations"])
        self.agent.noise.restore(state)
        self.agent.memory.reset()
        for name, scaler in self._scalers().items():
            self._load_scaler(scaler, without_prefix(name, state))

    def _load_scaler(self, scaler: nn.Module, arrays: Arrays) -> None:
        """Writes the buffers of a scaler, whose count may be one number or one for each entry."""
        for name, array in arrays.items():
            setattr(scaler, name, torch.tensor(array, device=self.torch_device))

    def _scalers(self) -> dict[str, nn.Module]:
        scalers = {
            "observation_scaler/": self.agent._observation_preprocessor,
            "value_scaler/": self.agent._value_preprocessor,
        }
        return {name: scaler for name, scaler in scalers.items() if isinstance(scaler, nn.Module)}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, device=self.torch_device)
