# SPDX-License-Identifier: Apache-2.0
"""What the on-policy algorithms of Stable-Baselines3 and sb3-contrib share."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from adapters.ppo_config import OBSERVATION_CLIP, PPOConfig
from adapters.ranks import ALONE, Ranks
from adapters.sb3_config import GaussianConfig
from adapters.sb3_env import check_bounded
from adapters.sb3_normalizer import (
    load_moments,
    make_normalizer,
    moment_arrays,
    observation_moments,
)
from adapters.states import with_prefix, without_prefix
from adapters.torch_networks import ACTIVATIONS, linear_layers, to_array
from adapters.torch_sampling import Noise, shuffled
from adapters.torch_states import Arrays
from adapters.torch_trainer import TorchTrainer
from motrix_gym.policy import Policy

Images = dict[str, Callable[[np.ndarray], np.ndarray]]
BUFFER_COLUMNS = ("observations", "actions", "values", "log_probs", "advantages", "returns")


class OnPolicyTrainer(TorchTrainer):
    """An on-policy algorithm of Stable-Baselines3 or sb3-contrib; see `Trainer`.

    Observations and rewards are normalised by VecNormalize. A subclass makes the library's
    algorithm and learns with it.
    """

    config: PPOConfig | GaussianConfig
    name = "sb3"

    def __init__(self, env: VectorEnv, config: Any, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        check_bounded(env)
        self.normalizer = self._make_normalizer()
        with self.seeded():
            self.model = self._make_model()
        self.learner: Any = self.model.policy
        self.network, self.optimizer = self.learner, self.learner.optimizer
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.normalizer.seed(config.seed)
        _, self.callback = self.model._setup_learn(config.max_env_steps)

    def _make_normalizer(self) -> VecNormalize:
        """Returns the environment for the library, observations and rewards normalised."""
        normalizer = make_normalizer(self.measured_env, self.config)
        normalizer.clip_obs, normalizer.clip_reward = OBSERVATION_CLIP, np.inf
        return normalizer

    def _make_model(self) -> Any:
        """Returns the library's algorithm, on `normalizer`."""
        raise NotImplementedError

    def _make_noise(self, correlation: float = 0.0) -> Noise:
        """Returns noise for the actions of all rows."""
        shape = (self.env.num_envs, *self.measured_env.low.shape)
        return Noise(self.generator, shape, correlation)

    def _policy_modules(self) -> tuple[torch.nn.Module, ...]:
        """Returns what the policy's linear layers are in, in order."""
        learner = self.learner
        return learner.features_extractor, learner.mlp_extractor.policy_net, learner.action_net

    def _collect(self) -> None:
        assert self.model.env is not None
        self.model.collect_rollouts(
            self.model.env, self.callback, self.model.rollout_buffer, self.config.rollouts
        )

    def policy(self) -> Policy:
        return self._portable()

    def _portable(self, **features: Any) -> Policy:
        """Returns the portable policy; for `features` see `make_policy`."""
        layers = linear_layers(*self._policy_modules())
        moments = observation_moments(self.normalizer)
        return self.make_policy(layers, to_array(self.learner.log_std), moments, **features)

    def _own_state(self) -> Arrays:
        model = self.model
        arrays = {
            "observations": model._last_obs,
            "episode_starts": model._last_episode_starts,
            "counters": np.array([model.num_timesteps, model._n_updates]),
            "returns": self.normalizer.returns,
            **self._noise.state(),
        }
        for name, moments in self._moments().items():
            arrays |= with_prefix(f"{name}/", moment_arrays(moments))
        return arrays

    def _restore_own(self, state: Arrays) -> None:
        model = self.model
        model._last_obs = np.array(state["observations"])
        model._last_episode_starts = np.array(state["episode_starts"])
        model.num_timesteps, model._n_updates = (int(count) for count in state["counters"])
        self.normalizer.returns = np.array(state["returns"])
        self._noise.restore(state)
        for name, moments in self._moments().items():
            load_moments(moments, without_prefix(f"{name}/", state))

    @property
    def _noise(self) -> Noise:
        return self.learner.action_dist.noise

    def _moments(self) -> dict[str, Any]:
        """Returns the running moments of VecNormalize by name, those of observations where used."""
        moments: dict[str, Any] = {"rewards": self.normalizer.ret_rms}
        if self.normalizer.norm_obs:
            moments["observations"] = self.normalizer.obs_rms
        return moments


def network_settings(config: PPOConfig | GaussianConfig) -> dict[str, Any]:
    """Returns our settings as keyword arguments of an ActorCriticPolicy with separate networks."""
    return {
        "net_arch": {
            "pi": list(config.policy_hidden_layer_sizes),
            "vf": list(config.value_hidden_layer_sizes),
        },
        "activation_fn": ACTIVATIONS[config.activation],
        "log_std_init": config.initial_log_std,
    }


class SeededGaussian(DiagGaussianDistribution):
    """Draws actions with its own noise instead of Torch's global generator.

    Args:
        action_dim: Number of actions.
        noise: Where the noise comes from.
        box: Lowest and highest actions, (act,) each; read if there is a bounds loss.
        bounds_loss_scale: Weight of the mean actions' squared distance from the box. SB3's `train`
            has no place for another loss, so the gradient is added to that of the mean actions.
    """

    def __init__(
        self,
        action_dim: int,
        noise: Noise,
        box: Sequence[torch.Tensor] = (),
        bounds_loss_scale: float = 0.0,
    ):
        super().__init__(action_dim)
        self.noise, self.box, self.bounds_loss_scale = noise, box, bounds_loss_scale

    def proba_distribution(self, mean_actions: torch.Tensor, log_std: torch.Tensor) -> Any:
        if self.bounds_loss_scale and mean_actions.requires_grad:
            distance = (mean_actions - mean_actions.clamp(*self.box)).detach()
            gradient = 2.0 * self.bounds_loss_scale / len(distance) * distance
            mean_actions.register_hook(lambda other: other + gradient)
        return super().proba_distribution(mean_actions, log_std)

    def sample(self) -> torch.Tensor:
        mean = self.distribution.mean
        return mean + self.distribution.stddev * self.noise.draw(mean.shape)


class SeededRolloutBuffer(RolloutBuffer):
    """Draws mini-batches from its own generator instead of NumPy's global one.

    `images` has functions that mirror columns, by the column's name. With it, an epoch takes either
    each sample or its mirror image, at equal chances. Columns without a function are not changed.

    Of several `ranks`, each has a part of every mini-batch. Then it yields advantages with the mean
    0 and the deviation 1 over all parts; Stable-Baselines3 would do that for each part alone.
    """

    def __init__(
        self,
        *args: Any,
        generator: torch.Generator,
        images: Images | None = None,
        ranks: Ranks = ALONE,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.generator, self.images, self.ranks = generator, images, ranks

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        size = self.buffer_size * self.n_envs
        if not self.generator_ready:
            for name in BUFFER_COLUMNS:
                setattr(self, name, self.swap_and_flatten(getattr(self, name)))
            if self.images:  # they come after all samples; see `shuffled`
                for name in BUFFER_COLUMNS:
                    column = getattr(self, name)
                    image = self.images[name](column) if name in self.images else column
                    setattr(self, name, np.concatenate([column, image]))
            self.generator_ready = True
        rows = shuffled(size, self.generator, mirrored=bool(self.images)).cpu().numpy()
        for start in range(0, size, batch_size or size):
            samples = self._get_samples(rows[start : start + (batch_size or size)])
            yield samples if self.ranks.size == 1 else self._standardized(samples)

    def _standardized(self, samples: RolloutBufferSamples) -> RolloutBufferSamples:
        advantages = samples.advantages
        mean, variance = to_array(advantages.mean()), to_array(advantages.var())
        mean, variance, _ = self.ranks.moments(mean, variance, len(advantages), ddof=1)
        deviation = float(np.sqrt(variance)) + 1e-8
        return samples._replace(advantages=(advantages - float(mean)) / deviation)
