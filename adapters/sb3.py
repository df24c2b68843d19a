# SPDX-License-Identifier: Apache-2.0
"""PPO by Stable-Baselines3, and the wrapper that takes a Gymnasium VectorEnv to Stable-Baselines3.

`SB3VecEnv` and `BatchedTimeLimits` stand on their own, as in `PPO("MlpPolicy", SB3VecEnv(env))`;
`SB3Trainer` puts both to use. Arrays have one row per environment.
"""

from collections.abc import Callable, Generator, Sequence
from statistics import fmean
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from adapters.algorithm_config import FieldError
from adapters.base import with_prefix, without_prefix
from adapters.initial_policy import NORMALIZER_SAMPLES
from adapters.ppo_config import (
    ADAM_EPSILON,
    MAX_LOG_STD,
    MIN_LEARNING_RATE,
    OBSERVATION_CLIP,
    PPOConfig,
)
from adapters.sb3_config import ARSConfig, GaussianConfig, OffPolicyConfig, RecurrentPPOConfig
from adapters.torch_common import (
    ACTIVATIONS,
    Arrays,
    Noise,
    TorchTrainer,
    linear_layers,
    load_linear_layers,
    make_trunk,
    set_rate,
    shares_trunk,
    to_array,
)
from motrix_gym import Mirror, Reflection
from motrix_gym.policy import Policy

Images = dict[str, Callable[[np.ndarray], np.ndarray]]


class SB3VecEnv(VecEnv):
    """Makes a Gymnasium vector environment one of Stable-Baselines3's, without a loop over rows.

    The list of infos is one and the same in every step: rows that did not end hold an empty dict,
    rows that did a fresh one with `terminal_observation`, `TimeLimit.truncated`, each of the task's
    metrics by its name, for `VecMonitor(..., info_keywords=...)`, and, where the task has a goal,
    `is_success`, for `EvalCallback`; both of the episode's last step. Copy the list if it must
    outlive the next step.

    The environment's per-step figures (`reward_terms`, `metrics`) are whole arrays; read them from
    `step_info`.

    Args:
        env: Its autoreset mode must be `AutoresetMode.SAME_STEP`, as Stable-Baselines3 expects.

    Attributes:
        step_info: The environment's own info of the last step.

    Raises:
        ValueError: another autoreset mode.
    """

    def __init__(self, env: VectorEnv):
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset_mode is {mode}: SB3VecEnv needs AutoresetMode.SAME_STEP")
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.step_info: dict[str, Any] = {}
        self._infos: list[dict[str, Any]] = [{} for _ in range(env.num_envs)]
        self._ended = np.empty(0, np.int64)  # rows whose dict in _infos is not empty

    def reset(self) -> np.ndarray:
        """Resets all rows, with the seeds and options set since the last reset; (N, ...)."""
        seeds, options = self._seeds, self._options
        if any(other != options[0] for other in options):
            raise ValueError(
                "the rows have different reset options; a vector environment takes one"
            )
        # An int means the same to Gymnasium as consecutive seeds, and every environment takes it.
        first = seeds[0]
        consecutive = first is not None and seeds == list(range(first, first + self.num_envs))
        seed: Any = first if consecutive or first is None else seeds
        observations, self.step_info = self.env.reset(seed=seed, options=options[0] or None)
        self._reset_seeds()
        self._reset_options()
        self._empty_infos()
        return np.array(observations)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Steps all rows: fresh observations (N, ...), rewards (N,) float32, dones (N,), infos."""
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        dones = terminated | truncated
        self.step_info = info
        self._empty_infos()
        self._ended = np.flatnonzero(dones)
        figures = self._figures(info)
        for i, row in enumerate(self._ended):
            self._infos[row] = {name: values[i] for name, values in figures.items()} | {
                "terminal_observation": np.array(info["final_obs"][row]),
                "TimeLimit.truncated": bool(truncated[row] and not terminated[row]),
            }
        return np.array(observations), np.array(rewards, np.float32), dones, self._infos

    def _figures(self, info: dict[str, Any]) -> dict[str, list[Any]]:
        """Returns what the task measured last of the rows that ended, by SB3's flat names."""
        if not self._ended.size:
            return {}
        info = info.get("final_info", info)
        figures = {k: v for k, v in info.get("metrics", {}).items() if not k.startswith("_")}
        if "success" in info:
            figures["is_success"] = info["success"]
        return {name: np.asarray(values)[self._ended].tolist() for name, values in figures.items()}

    def _empty_infos(self) -> None:
        for row in self._ended:
            self._infos[row] = {}
        self._ended = self._ended[:0]

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of the environment, which is one for all rows.

        Raises:
            ValueError: the indices are not all rows.
        """
        if self._count(indices) != self.num_envs:
            raise ValueError(
                f"{attr_name!r} belongs to all {self.num_envs} rows; leave out indices"
            )
        setattr(self.env.unwrapped, attr_name, value)

    def env_method(
        self, method_name: str, *method_args, indices: VecEnvIndices = None, **method_kwargs
    ) -> list[Any]:
        """Calls a method of the environment once, and returns its result for each row asked for."""
        result = getattr(self.env, method_name)(*method_args, **method_kwargs)
        return [result] * self._count(indices)

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None
    ) -> list[bool]:
        return [False] * self._count(indices)

    def get_images(self) -> Sequence[np.ndarray | None]:
        frames: Any = self.env.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def _count(self, indices: VecEnvIndices) -> int:
        return len(list(self._get_indices(indices)))


class BatchedTimeLimits(VecEnvWrapper):
    """Pays rows at their time limit discount x V(terminal observation), with one call per step.

    Stable-Baselines3 does the same with one call per row. A row that was paid has its
    `TimeLimit.truncated` set to False, so that it is not paid twice. VecNormalize belongs inside of
    this wrapper: the value is in units of the reward that the learner sees.

    Args:
        venv: The environment to wrap.
        discount: The learner's gamma.

    Attributes:
        learner: The policy that estimates values. Set it once it is made; until then, SB3 pays.
    """

    def __init__(self, venv: VecEnv, discount: float):
        super().__init__(venv)
        self.discount = discount
        self.learner: ActorCriticPolicy | None = None

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        rows = [row for row in np.flatnonzero(dones) if infos[row].get("TimeLimit.truncated")]
        if rows and self.learner is not None:
            final = np.stack([infos[row]["terminal_observation"] for row in rows])
            with torch.no_grad():
                values = self.learner.predict_values(self.learner.obs_to_tensor(final)[0])
            rewards[rows] += self.discount * values.cpu().numpy()[:, 0]
            for row in rows:
                infos[row]["TimeLimit.truncated"] = False
        return observations, rewards, dones, infos


class SB3Trainer(TorchTrainer):
    """PPO by Stable-Baselines3; see `Trainer`.

    `normalize_observations` and `normalize_values` are done by VecNormalize, the latter by scaling
    rewards. `early_stop_kl` is 1.5 times SB3's `target_kl`. The KL-adaptive rate changes, and the
    spread of actions is bounded, after each epoch. Where skrl-jax and skrl-torch learn otherwise,
    `docs/trainers.md` says so. `mixed_precision` does nothing.
    """

    config: PPOConfig
    name = "sb3"
    without_effect = ("mixed_precision",)

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        check_bounded(env)
        self.normalizer = make_normalizer(self.measured_env, config)
        self.normalizer.clip_obs, self.normalizer.clip_reward = OBSERVATION_CLIP, np.inf
        if self.mirror and self.normalizer.norm_obs:
            shape = self.normalizer.observation_space.shape
            self.normalizer.obs_rms = MirroredMoments(self.mirror.observation, shape)
        with self.seeded():
            self.model = self._make_model()
        self.learner: Any = self.model.policy
        self.network, self.optimizer = self.learner, self.learner.optimizer
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.normalizer.seed(config.seed)
        _, self.callback = self.model._setup_learn(config.max_env_steps)
        if self.initial_policy:
            self._start_from(self.initial_policy)

    @classmethod
    def requirements(cls, env: VectorEnv, config: Any) -> tuple[Policy | None, Mirror | None, int]:
        found = super().requirements(env, config)
        _, mirror, _ = found
        if mirror and config.early_stop_kl:
            raise FieldError(
                "early_stop_kl",
                f"early_stop_kl={config.early_stop_kl} with symmetry_augmentation=True: "
                "Stable-Baselines3 would count mirror images as divergence; set early_stop_kl=0",
            )
        return found

    def _start_from(self, policy: Policy) -> None:
        """Takes over the layers and the normaliser of a policy of the same form."""
        load_linear_layers(policy.layers, *self._policy_modules())
        if self.normalizer.norm_obs:
            variance = policy.observation_std.astype(np.float64) ** 2 - self.normalizer.epsilon
            moments = {
                "mean": policy.observation_mean.astype(np.float64),
                "var": variance.clip(0.0),
                "count": np.array(NORMALIZER_SAMPLES),
            }
            load_moments(self.normalizer.obs_rms, moments)  # pyright: ignore[reportArgumentType]
            first = self.normalizer.get_original_obs()  # of the reset
            self.model._last_obs = self.normalizer.normalize_obs(first)

    def _policy_modules(self) -> tuple[torch.nn.Module, ...]:
        """Returns what the policy's linear layers are in, in order."""
        learner = self.learner
        return learner.features_extractor, learner.mlp_extractor.policy_net, learner.action_net

    def _make_model(self) -> Any:
        """Returns the library's algorithm, on `normalizer`."""
        venv = BatchedTimeLimits(self.normalizer, self.config.discount_factor)
        images = None
        if mirror := self.mirror:
            images = {"observations": self._image, "actions": mirror.action}
        model = make_ppo(venv, self.config, self.torch_device, self.generator, images)
        venv.learner = model.policy
        return model

    def _image(self, observations: np.ndarray) -> np.ndarray:
        """Returns the mirror images of normalised observations (..., obs)."""
        assert self.mirror
        image = self.mirror.image(self.normalizer.unnormalize_obs(observations))
        return self.normalizer.normalize_obs(image)  # pyright: ignore[reportReturnType]

    def _collect(self) -> None:
        assert self.model.env is not None
        self.model.collect_rollouts(
            self.model.env, self.callback, self.model.rollout_buffer, self.config.rollouts
        )

    def _learn(self) -> dict[str, float]:
        highest = self.config.highest_rate(self.progress)
        set_rate(self.optimizer, min(self.rate, highest))
        epochs = [self._epoch(highest) for _ in range(self.config.learning_epochs)]
        means = {tag: fmean(figures[tag] for figures in epochs) for tag in epochs[0]}
        return means | {tag: epochs[-1][tag] for tag in OF_LAST_EPOCH}

    def _epoch(self, highest: float) -> dict[str, float]:
        """Learns from each sample once, adapts the rate, and returns figures by tag."""
        self.model.train()
        figures = self._figures()
        with torch.no_grad():
            log_std = self.learner.log_std.clamp_(max=MAX_LOG_STD)
            figures["Policy / Standard deviation"] = float(log_std.exp().mean())
        if self.mirror:
            figures["Learning / KL divergence"] = self._own_divergence()
        if self.config.adaptive_rate:
            self._adapt_rate(figures["Learning / KL divergence"], highest)
        return figures

    def _figures(self) -> dict[str, float]:
        """Returns what PPO says of its last update, by TensorBoard tag."""
        figures = self.model.logger.name_to_value
        return {
            "Loss / Policy loss": float(figures["train/policy_gradient_loss"]),
            "Loss / Value loss": self.model.vf_coef * float(figures["train/value_loss"]),
            "Loss / Entropy loss": self.model.ent_coef * float(figures["train/entropy_loss"]),
            "Learning / Clip fraction": float(figures["train/clip_fraction"]),
            "Learning / KL divergence": float(figures["train/approx_kl"]),
            "Learning / Explained variance": float(figures["train/explained_variance"]),
            "Policy / Standard deviation": float(figures["train/std"]),
        }

    @torch.no_grad()
    def _own_divergence(self) -> float:
        """Returns the divergence over as many samples as a mini-batch has, at random places.

        Mirror images are left out: the policy did not draw them.
        """
        order = np.random.default_rng(self.num_updates).permutation(self.config.batch_size)
        samples = self.model.rollout_buffer._get_samples(order[: self.config.mini_batch_size])
        log_prob = self.learner.evaluate_actions(samples.observations, samples.actions)[1]
        log_ratio = log_prob - samples.old_log_prob
        return float((log_ratio.exp() - 1.0 - log_ratio).mean())

    def _adapt_rate(self, divergence: float, highest: float) -> None:
        """Moves the rate by skrl's rule: a factor of 1.5 outside of half to twice the threshold."""
        rate = self.rate
        threshold = self.config.desired_kl or 0.0
        if divergence > 2.0 * threshold:
            rate = max(rate / 1.5, MIN_LEARNING_RATE)
        elif divergence < 0.5 * threshold:
            rate = min(rate * 1.5, highest)
        set_rate(self.optimizer, rate)

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


def make_normalizer(env: VectorEnv, config: PPOConfig) -> VecNormalize:
    """Returns the environment for Stable-Baselines3, observations and rewards normalised."""
    return VecNormalize(
        SB3VecEnv(env),
        norm_obs=config.normalize_observations,
        norm_reward=config.normalize_values,
        gamma=config.discount_factor,
    )


def make_observation_normalizer(
    env: VectorEnv, config: OffPolicyConfig | ARSConfig
) -> VecNormalize:
    """Returns the environment for Stable-Baselines3, rewards as they are."""
    return VecNormalize(SB3VecEnv(env), norm_obs=config.normalize_observations, norm_reward=False)


def check_bounded(env: VectorEnv) -> None:
    """Raises ValueError unless actions have finite bounds, as Stable-Baselines3 needs them."""
    space = env.single_action_space
    if not np.isfinite([space.low, space.high]).all():  # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError(
            f"the action space is {space}: Stable-Baselines3 needs finite bounds; PPO by skrl-jax "
            "or skrl-torch does without"
        )


def observation_moments(normalizer: VecNormalize) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Returns mean and standard deviation (obs,) and the clip; None if nothing is normalised."""
    if not normalizer.norm_obs:
        return None
    moments: Any = normalizer.obs_rms
    return moments.mean, np.sqrt(moments.var + normalizer.epsilon), normalizer.clip_obs


def moment_arrays(moments: RunningMeanStd) -> Arrays:
    """Returns what a RunningMeanStd holds."""
    return {name: np.array(getattr(moments, name)) for name in MOMENTS}


def load_moments(moments: RunningMeanStd, arrays: Arrays) -> None:
    """Writes `moment_arrays` into a RunningMeanStd."""
    for name in MOMENTS:
        setattr(moments, name, np.array(arrays[name])[()])


def observation_state(normalizer: VecNormalize) -> Arrays:
    """Returns the moments of observations under "moments/"; {} if nothing is normalised."""
    if not normalizer.norm_obs:
        return {}
    moments: Any = normalizer.obs_rms
    return with_prefix("moments/", moment_arrays(moments))


def restore_observations(normalizer: VecNormalize, state: Arrays) -> None:
    """Goes back to the `observation_state` in a state."""
    if normalizer.norm_obs:
        moments: Any = normalizer.obs_rms
        load_moments(moments, without_prefix("moments/", state))


def sb3_settings(config: PPOConfig | RecurrentPPOConfig) -> dict[str, Any]:
    """Returns our settings as keyword arguments of Stable-Baselines3's PPO, without networks."""
    return {
        "learning_rate": config.learning_rate,
        "n_steps": config.rollouts,
        "batch_size": config.mini_batch_size,
        "n_epochs": config.learning_epochs,
        "gamma": config.discount_factor,
        "gae_lambda": config.lambda_param,
        "clip_range": config.ratio_clip,
        "clip_range_vf": (config.value_clip or None) if config.clip_predicted_values else None,
        "ent_coef": config.entropy_loss_scale,
        "vf_coef": config.value_loss_scale,
        "max_grad_norm": config.grad_norm_clip or np.inf,
        "target_kl": config.early_stop_kl / 1.5 or None,
    }


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


def make_ppo(
    venv: VecEnv,
    config: PPOConfig,
    device: torch.device,
    generator: torch.Generator,
    images: Images | None = None,
) -> PPO:
    """Returns PPO with our settings; it draws actions and mini-batches from `generator`.

    Its `train` makes one epoch. See `SeededRolloutBuffer` for the images.
    """
    networks = network_settings(config)
    if shares_trunk(config):
        trunk = {"sizes": config.policy_hidden_layer_sizes, "activation": config.activation}
        networks |= {
            "net_arch": {"pi": [], "vf": []},
            "features_extractor_class": SharedTrunk,
            "features_extractor_kwargs": trunk,
        }
    networks["optimizer_kwargs"] = {"eps": ADAM_EPSILON}
    settings: dict[str, Any] = sb3_settings(config) | {"n_epochs": 1}
    model = TrainerPPO(
        ActorCriticPolicy,
        venv,
        **settings,
        rollout_buffer_class=SeededRolloutBuffer,
        rollout_buffer_kwargs={"generator": generator, "images": images},
        stats_window_size=max(100, venv.num_envs),
        policy_kwargs=networks,
        device=device,
    )
    space: Any = venv.action_space
    model.policy.action_dist = SeededGaussian(
        len(model.policy.log_std),
        Noise(generator, config.noise_correlation),
        box=[torch.as_tensor(bound, device=device) for bound in (space.low, space.high)],
        bounds_loss_scale=config.bounds_loss_scale,
    )
    model.policy.log_std.requires_grad_(config.final_log_std is None)
    return model


class TrainerPPO(PPO):
    """PPO whose learning rate is set from outside, on the optimiser."""

    def _update_learning_rate(self, optimizers: Any) -> None:
        pass


class SharedTrunk(BaseFeaturesExtractor):
    """The hidden layers, as a features extractor: the one part that policy and value can share."""

    def __init__(self, observation_space: Any, sizes: tuple[int, ...], activation: str):
        super().__init__(observation_space, features_dim=sizes[-1])
        self.trunk = make_trunk(observation_space.shape[0], sizes, activation)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.trunk(observations)


class SeededGaussian(DiagGaussianDistribution):
    """Draws actions with its own noise instead of Torch's global generator.

    Args:
        action_dim: Number of actions.
        noise: Where the noise comes from.
        box: Lowest and highest actions, (act,) each; read if there is a bounds loss.
        bounds_loss_scale: Weight of the mean actions' squared distance from the box. SB3's `train`
            has no place for another loss, so its gradient joins that of the mean actions.
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

    With functions that give the images of columns, an epoch takes each sample or, as often, its
    image, whose other columns are those of the sample.
    """

    def __init__(
        self, *args: Any, generator: torch.Generator, images: Images | None = None, **kwargs: Any
    ):
        super().__init__(*args, **kwargs)
        self.generator, self.images = generator, images

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        size, device = self.buffer_size * self.n_envs, self.generator.device
        if not self.generator_ready:
            for name in BUFFER_COLUMNS:
                setattr(self, name, self.swap_and_flatten(getattr(self, name)))
            if self.images:  # they come after all samples, as likely as they
                for name in BUFFER_COLUMNS:
                    column = getattr(self, name)
                    image = self.images[name](column) if name in self.images else column
                    setattr(self, name, np.concatenate([column, image]))
            self.generator_ready = True
        order = torch.randperm(size, generator=self.generator, device=device)
        if self.images:
            order += size * torch.randint(2, (size,), generator=self.generator, device=device)
        rows = order.cpu().numpy()
        for start in range(0, size, batch_size or size):
            yield self._get_samples(rows[start : start + (batch_size or size)])


class MirroredMoments(RunningMeanStd):
    """Counts every sample's mirror image too, so that to normalise and to mirror commute."""

    def __init__(self, reflection: Reflection, shape: tuple[int, ...]):
        super().__init__(shape=shape)
        self.reflection = reflection

    def update(self, arr: np.ndarray) -> None:
        super().update(np.concatenate([arr, self.reflection(arr)]))


# Figures that are not means over the epochs of an update.
OF_LAST_EPOCH = ("Learning / KL divergence", "Policy / Standard deviation")
MOMENTS = ("mean", "var", "count")  # what a RunningMeanStd holds
BUFFER_COLUMNS = ("observations", "actions", "values", "log_probs", "advantages", "returns")
