# SPDX-License-Identifier: Apache-2.0
"""SAC and TD3 by Stable-Baselines3, and what all its algorithms with a replay buffer share."""

import copy
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from adapters.sb3_config import OffPolicyConfig, SACConfig, TD3Config
from adapters.sb3_env import check_bounded
from adapters.sb3_normalizer import (
    make_observation_normalizer,
    observation_moments,
    observation_state,
    restore_observations,
)
from adapters.states import with_prefix, without_prefix
from adapters.torch_networks import ACTIVATIONS, linear_layers, to_array
from adapters.torch_states import Arrays
from adapters.torch_trainer import TorchTrainer
from motrix_gym.policy import NO_SPREAD, Policy

REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
TAGS = {
    "Loss / Policy loss": "train/actor_loss",
    "Loss / Value loss": "train/critic_loss",
    "Loss / Entropy coefficient loss": "train/ent_coef_loss",
    "Learning / Entropy coefficient": "train/ent_coef",
}


class FinalObservations:
    """A mixin: replay buffers get the final observation of an episode as the environment gave it.

    Stable-Baselines3 itself computes it back from the normalised one, which is rounded and clipped.
    `env` must be VecNormalize on `SB3VecEnv`.
    """

    env: Any

    def _store_transition(
        self,
        replay_buffer: Any,
        buffer_action: np.ndarray,
        new_obs: Any,
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        following = self.env.get_original_obs()
        last, self._last_original_obs = self._last_original_obs, following.copy()
        for row in np.flatnonzero(dones):
            following[row] = self.env.venv.step_info["final_obs"][row]
        replay_buffer.add(last, following, buffer_action, reward, dones, infos)
        self._last_obs = new_obs


class OffPolicyTrainer(TorchTrainer):
    """An algorithm of Stable-Baselines3 with a replay buffer; see `Trainer`.

    Transitions hold observations before they are normalised, and do not mark a time limit as the
    end of the task. In the first `learning_starts` environment steps, actions are random and
    nothing is learned. The library draws from global generators; they are seeded for each update
    and restored after it.
    """

    config: OffPolicyConfig
    name = "sb3"
    algorithm: ClassVar[Any]  # a class: `FinalObservations` and an OffPolicyAlgorithm

    def __init__(self, env: VectorEnv, config: OffPolicyConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        check_bounded(env)
        self.normalizer = make_observation_normalizer(self.measured_env, config)
        with self.seeded():
            self.model: Any = self.algorithm(
                "MlpPolicy",
                self.normalizer,
                learning_rate=config.learning_rate,
                buffer_size=config.buffer_size,
                gamma=config.discount_factor,
                policy_kwargs={
                    "net_arch": {
                        "pi": list(config.policy_hidden_layer_sizes),
                        "qf": list(config.value_hidden_layer_sizes),
                    },
                    "activation_fn": ACTIVATIONS[config.activation],
                    "n_critics": config.n_critics,
                    **self._network_settings(),
                },
                stats_window_size=max(100, env.num_envs),
                device=self.torch_device,
                **self._settings(),
            )
        self.model.action_space = copy.deepcopy(self.model.action_space)  # random actions are ours
        self.network, self.optimizer = self.model.policy, self.model.actor.optimizer
        self.noise: ActionNoise | None = None
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.normalizer.seed(config.seed)
        _, self.callback = self.model._setup_learn(config.max_env_steps)

    def _settings(self) -> dict[str, Any]:
        """Returns the algorithm's own keyword arguments."""
        raise NotImplementedError

    def _network_settings(self) -> dict[str, Any]:
        """Returns the keyword arguments of the algorithm's own networks."""
        return {}

    def _collect(self) -> None:
        with self.seeded():
            self.model.action_space.seed(int(torch.randint(2**31, ())))
            self.model.collect_rollouts(
                self.model.env,
                self.callback,
                TrainFreq(self.config.rollouts, TrainFrequencyUnit.STEP),
                self.model.replay_buffer,
                self.noise,
                self.config.learning_starts,
            )

    def _learn(self) -> dict[str, float]:
        figures = self.model.logger.name_to_value
        figures.clear()
        if self.model.num_timesteps > self.config.learning_starts:
            with self.seeded():
                self.model.train(self.config.gradient_steps, self.config.batch_size)
        return {tag: float(figures[name]) for tag, name in TAGS.items() if name in figures}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        optimizers = super().optimizers() | {"critic": self.model.critic.optimizer}
        if self._entropy is not None:
            optimizers["entropy"] = self.model.ent_coef_optimizer
        return optimizers

    def state(self) -> Arrays:
        buffer = self.model.replay_buffer
        filled = {name: getattr(buffer, name)[: buffer.size()] for name in REPLAY}
        return super().state() | with_prefix("replay/", filled)

    def restore(self, state: Arrays) -> None:
        """Goes back to a `state()` of a trainer with the same configuration.

        Raises:
            ValueError: the replay buffer is missing or of another size, or the networks are others.
        """
        replay = without_prefix("replay/", state)
        if sorted(replay) != sorted(REPLAY):
            raise ValueError("the state is without the replay buffer, which cannot be done without")
        self._check_replay(replay, *(int(part) for part in state["trainer/replay"]))
        super().restore(state)
        for name, filled in replay.items():
            getattr(self.model.replay_buffer, name)[: len(filled)] = filled

    def _check_replay(self, replay: Arrays, position: int, full: int) -> None:
        """Raises ValueError unless this trainer's buffer can hold what a state's did."""
        buffer = self.model.replay_buffer
        size = buffer.buffer_size if full else position
        if not 0 <= position < buffer.buffer_size:
            raise ValueError(
                f"the state's replay buffer goes on at vector step {position}, this one holds "
                f"{buffer.buffer_size}: was buffer_size changed?"
            )
        for name, array in replay.items():
            wanted = (size, *getattr(buffer, name).shape[1:])
            if array.shape != wanted:
                raise ValueError(
                    f"{name} of the state's replay buffer have shape {array.shape}, expected "
                    f"{wanted}: was buffer_size changed?"
                )

    def _own_state(self) -> Arrays:
        model, buffer = self.model, self.model.replay_buffer
        arrays = {
            "observations": model._last_obs,
            "original_observations": model._last_original_obs,
            "counters": np.array([model.num_timesteps, model._n_updates]),
            "replay": np.array([buffer.pos, buffer.full]),
            **with_prefix("buffers/", {k: to_array(v) for k, v in self.network.named_buffers()}),
            **observation_state(self.normalizer),
        }
        if self._entropy is not None:
            arrays["log_ent_coef"] = to_array(self._entropy)
        return arrays

    @torch.no_grad()
    def _restore_own(self, state: Arrays) -> None:
        model, buffer = self.model, self.model.replay_buffer
        model._last_obs = np.array(state["observations"])
        model._last_original_obs = np.array(state["original_observations"])
        model.num_timesteps, model._n_updates = (int(count) for count in state["counters"])
        buffer.pos, buffer.full = int(state["replay"][0]), bool(state["replay"][1])
        for name, tensor in self.network.named_buffers():
            tensor.copy_(torch.from_numpy(np.array(state[f"buffers/{name}"])))
        restore_observations(self.normalizer, state)
        if self._entropy is not None:
            self._entropy.copy_(torch.from_numpy(np.array(state["log_ent_coef"])))

    @property
    def _entropy(self) -> torch.Tensor | None:
        """The logarithm of the entropy's weight; None if it is not learned."""
        return getattr(self.model, "log_ent_coef", None)


class TrainerSAC(FinalObservations, SAC):
    """SAC for `SACTrainer`."""


class SACTrainer(OffPolicyTrainer):
    """SAC by Stable-Baselines3; see `OffPolicyTrainer`."""

    config: SACConfig
    algorithm = TrainerSAC

    def _settings(self) -> dict[str, Any]:
        config = self.config
        return {
            "tau": config.tau,
            "ent_coef": config.ent_coef,
            "target_entropy": config.target_entropy,
        }

    def policy(self) -> Policy:
        actor = self.model.actor
        ((weight, bias),) = linear_layers(actor.log_std)
        return self.make_policy(
            linear_layers(actor.latent_pi, actor.mu),
            bias,
            observation_moments(self.normalizer),
            squash=True,
            log_std_weight=weight,
        )


class TrainerTD3(FinalObservations, TD3):
    """TD3 for `TD3Trainer`."""


class TD3Trainer(OffPolicyTrainer):
    """TD3 by Stable-Baselines3, with Gaussian noise on its actions; see `OffPolicyTrainer`.

    The portable policy is without the noise.
    """

    config: TD3Config
    algorithm = TrainerTD3

    def __init__(self, env: VectorEnv, config: TD3Config, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        if config.action_noise:
            zeros = np.zeros((env.num_envs, self.measured_env.low.size))
            self.noise = ActionNoise(zeros, np.full_like(zeros, config.action_noise))

    def _settings(self) -> dict[str, Any]:
        config = self.config
        return {
            "tau": config.tau,
            "policy_delay": config.policy_delay,
            "target_policy_noise": config.target_policy_noise,
            "target_noise_clip": config.target_noise_clip,
        }

    def policy(self) -> Policy:
        layers = linear_layers(self.model.actor.mu)
        log_std = np.full_like(self.measured_env.low, NO_SPREAD)
        return self.make_policy(layers, log_std, observation_moments(self.normalizer), squash=True)


class ActionNoise(NormalActionNoise):
    """Independent noise of all rows at once, so a reset of some rows changes nothing."""

    def reset(self, indices: Any = None) -> None:
        pass
