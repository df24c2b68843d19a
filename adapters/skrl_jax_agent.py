# SPDX-License-Identifier: Apache-2.0
"""The agent of PPO by skrl on JAX.

`SkrlJaxAgent` has skrl's models, Adam and settings. It differs from skrl's own agent in two ways:

- It is right under SAME_STEP autoreset. A row that is truncated and not terminated gets discount x
  V(final_obs) added to its reward, and advantages are cut at every end of an episode.
- It is faster. A vector step is one compiled call, and so is a whole update, with all its epochs,
  mini-batches and permutations (`jax_ppo`). On a CPU the gradient of a mini-batch is the mean of
  those of its chunks, which are small enough for the cache.

Conventions:

- Networks see normalised observations. The normaliser's statistics are fixed from the first step
  of a rollout to the end of its update; then they take in the rollout. So an update starts from
  exactly the policy that acted. Until the first update, they are those of the observations after
  the reset (standard deviation at least 1).
- The value network predicts normalised returns: a value is mean + std x output, and the rollout
  holds outputs. The statistics of returns take in a rollout before the update that learns from it,
  so that targets stay within a few units while returns grow by orders of magnitude. PopArt, which
  would keep all values as they were when the statistics change, is not used. With it values follow
  too slowly at a small learning rate: at 5e-4, a cart-pole was not solved in 1 M steps, instead of
  in 0.4 M.
- Policy and value are always separate networks: skrl's JAX agent cannot share layers, so
  `share_policy_value_features` has no effect. Neither has `mixed_precision`: bfloat16 is slower
  than float32 in JAX on a CPU.
- Gradients are clipped per network. A mini-batch whose KL divergence is above `early_stop_kl` is
  not learned from, and ends its epoch. The KL-adaptive learning rate changes once per epoch.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.spaces import Box
from jax.tree_util import keystr, tree_flatten_with_path
from skrl import config as skrl_config
from skrl.agents.jax import ExperimentCfg
from skrl.agents.jax.ppo import PPO, PPO_CFG
from skrl.models.jax import Model
from skrl.resources.schedulers.jax import KLAdaptiveLR

from adapters.initial_policy import whole_normalizer
from adapters.jax_ppo import Arrays, CompiledPPO, Learner, chunk_size, with_log_std
from adapters.moments import Moments
from adapters.ppo_config import MIN_LEARNING_RATE, OBSERVATION_CLIP, PPOConfig
from adapters.ranks import ALONE, Ranks
from adapters.skrl_jax_models import PolicyNetwork, ValueNetwork, layer_names, make_networks
from adapters.skrl_settings import skrl_settings
from adapters.states import with_prefix, without_prefix
from motrix_gym import Mirror
from motrix_gym.policy import Policy

CHUNK = 512  # samples whose activations stay in a CPU's cache


class SkrlJaxAgent(PPO):
    """skrl's PPO: `start`, `rollouts` times `act` and `record_transition`, `update`.

    Observations go to the device once, when they are acted on, and stay there for the update. They
    are copied even on a CPU, where JAX may read the memory that it is given.

    Args:
        config: The settings.
        observation_space: Of one environment.
        action_space: Of one environment.
        device: Where to compute.
        mirror: For `config.symmetry_augmentation`; None goes without.
        policy_width: Entries of an observation that the policy sees, the first ones; None: all. The
            value sees all.
        ranks: The processes that learn together.

    Attributes:
        rollout: What was recorded, as `jax_ppo` describes it, but for the observations.
    """

    policy: PolicyNetwork
    value: ValueNetwork
    cfg: PPO_CFG

    def __init__(
        self,
        config: PPOConfig,
        observation_space: Box,
        action_space: Box,
        device: jax.Device,  # pyright: ignore[reportInvalidTypeForm]
        mirror: Mirror | None = None,
        *,
        policy_width: int | None = None,
        ranks: Ranks = ALONE,
    ):
        skrl_config.jax.device = device  # else skrl's models look for a GPU, and warn
        common: Arrays = {
            "observation_space": observation_space,
            "action_space": action_space,
            "device": device,
        }
        policy, value, key = make_networks(config, policy_width, **common)
        if ranks.rank:
            key = jax.random.fold_in(key, 2 + ranks.rank)
        self.ranks = ranks
        models: dict[str, Model] = {"policy": policy, "value": value}
        super().__init__(models=models, cfg=ppo_config(config), **common)
        self.policy_learning_rate, self.key = jnp.float32(config.learning_rate), key
        self.learner = self.learner
        self.observation_moments = Moments(
            observation_space.shape,
            enabled=config.normalize_observations,
            clip=OBSERVATION_CLIP,
            reflection=mirror.observation if mirror else None,
        )
        self.value_moments = Moments((), enabled=config.normalize_values)
        self.config, self.reward_scale = config, config.rewards_shaper_scale

        size = config.mini_batch_size
        self.ppo = CompiledPPO(
            self.cfg,
            policy.apply,
            value.apply,
            (self.policy_optimizer.transformation, self.value_optimizer.transformation),
            chunk_size(size, CHUNK) if self.device.platform == "cpu" else size,
            mirror,
            noise_correlation=config.noise_correlation,
            learn_log_std=config.final_log_std is None,
            box=(action_space.low, action_space.high),
            bounds_loss_scale=config.bounds_loss_scale,
            ranks=ranks,
        )
        self.rollout: dict[str, np.ndarray] = {}
        steps, rows = config.rollouts, config.num_envs
        for name in ("log_probs", "values", "rewards", "final_values"):
            self.rollout[name] = np.zeros((steps, rows), np.float32)
        for name in ("ended", "limited"):
            self.rollout[name] = np.zeros((steps, rows), bool)
        self.rollout["actions"] = np.zeros((steps, rows, *action_space.shape), np.float32)
        self._keeps_noise = config.noise_correlation > 0
        noise_key = jax.random.fold_in(key, 2)  # 0 and 1 are what `act` splits it into
        self._noise = jax.random.normal(noise_key, (rows, *action_space.shape))
        self.start()

    @property
    def learner(self) -> Learner:
        """What learning changes, gathered from skrl's attributes; to set it changes those."""
        return Learner(
            self.policy.state_dict.params,
            self.value.state_dict.params,
            self.policy_optimizer.state,
            self.value_optimizer.state,
            self.policy_learning_rate,
            self.key,
        )

    @learner.setter
    def learner(self, learner: Learner) -> None:
        learner = jax.device_put(learner, self.device)
        self.policy.state_dict = self.policy.state_dict.replace(params=learner.policy)
        self.value.state_dict = self.value.state_dict.replace(params=learner.value)
        self.policy_optimizer = self.policy_optimizer.replace(state=learner.policy_optimizer)
        self.value_optimizer = self.value_optimizer.replace(state=learner.value_optimizer)
        self.policy_learning_rate = self.value_learning_rate = learner.rate
        self.key = learner.key

    def start_from(self, policy: Policy) -> None:
        """Takes over the layers and the normaliser of a policy of the same form."""
        names = layer_names(self.policy.sizes)
        layers = {
            name: {"kernel": np.array(weight), "bias": np.array(bias)}
            for name, (weight, bias) in zip(names, policy.layers, strict=True)
        }
        params = {"params": self.learner.policy["params"] | layers}
        self.learner = self.learner._replace(policy=params)
        size = len(self.observation_moments.mean)
        self.observation_moments.start_from(*whole_normalizer(policy, size))

    def set_log_std(self, log_std: float) -> None:
        """Sets the logarithm of the actions' standard deviation."""
        policy = with_log_std(self.learner.policy, log_std)
        self.learner = self.learner._replace(policy=policy)

    def start(self) -> None:
        """Begins a rollout, and forgets one that was not finished."""
        self._step = 0
        self._observations: list[jax.Array] = []
        self._final_observations: list[np.ndarray] = []

    def act(self, observations: Any, states: Any = None, *, timestep: int = 0, timesteps: int = 0):
        """Samples actions (n, act), not clipped, for observations (n, obs)."""
        self._observations.append(self._copy(observations))
        inputs = self._observations[-1], self.observation_moments.scale, self._noise
        self.key, self._noise, *outputs = self.ppo.act(self.learner, *inputs)
        actions, self._current_log_prob, self._current_values = jax.device_get(outputs)
        return actions, {"log_prob": self._current_log_prob, "values": self._current_values}

    def record_transition(
        self,
        *,
        actions: Any,
        rewards: Any,
        next_observations: Any,
        terminated: Any,
        truncated: Any,
        infos: Any,
        **_: Any,
    ) -> None:
        """Stores what came of the last `act`; `infos["final_obs"]` is read in truncated rows."""
        rewards, terminated, truncated = map(np.ravel, (rewards, terminated, truncated))
        limited = truncated & ~terminated
        step = {
            "actions": actions,
            "log_probs": self._current_log_prob,
            "values": self._current_values,
            "rewards": rewards * self.reward_scale,
            "ended": terminated | truncated,
            "limited": limited,
        }
        for name, array in step.items():
            self.rollout[name][self._step] = array
        self._step += 1
        if self._step == len(self.rollout["rewards"]):  # the values after the last step need them
            self._observations.append(self._copy(next_observations))
        if limited.any():
            if "final_obs" not in infos:
                raise ValueError('the environment truncated rows and gave no info["final_obs"]')
            self._final_observations.append(np.stack(infos["final_obs"][limited]))

    def update(self, *, timestep: int = 0, timesteps: int = 0) -> None:
        """Learns from the rollout; figures go to `track_data`.

        Args:
            timestep: Vector steps that the run has learned from.
            timesteps: Of the whole run, for what changes over it; 0: nothing does.
        """
        rollout, targets = self.targets()
        returns = jax.device_get(targets["returns"])
        rows = returns.shape[1]
        means, variances = self.ranks.joined(returns.mean(axis=1), returns.var(axis=1))
        self.value_moments.fold(means, variances, size=rows)
        scales = self.observation_moments.scale, self.value_moments.scale
        progress = timestep / timesteps if timesteps else 0.0
        highest_rate = jnp.float32(self.config.highest_rate(progress))
        inputs = self.learner, rollout, targets, *scales, highest_rate
        self.learner, *figures = self.ppo.update(*inputs)
        moments, scalars = jax.device_get(figures)
        self.observation_moments.fold(*self.ranks.joined(*moments), size=rows)
        for tag, scalar in scalars.items():
            self.track_data(tag, float(scalar))

    def targets(self) -> tuple[Arrays, Arrays]:
        """Returns the rollout, on the device, and what to learn from it.

        The latter are its values, advantages and returns, (rollouts, n), in units of reward.
        """
        self._evaluate_final_observations()
        observations = {"observations": jnp.stack(self._observations)}
        rollout = jax.device_put(self.rollout, self.device) | observations
        scales = self.observation_moments.scale, self.value_moments.scale
        return rollout, self.ppo.targets(self.learner.value, rollout, *scales)

    def state(self) -> dict[str, np.ndarray]:
        """Returns copies of all that the agent has learned, between an update and a rollout."""
        return {
            **with_prefix("learner/", flatten(self.learner)),
            **with_prefix("observation_moments/", self.observation_moments.state()),
            **with_prefix("value_moments/", self.value_moments.state()),
            **({"noise": np.array(self._noise)} if self._keeps_noise else {}),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a `state()`, to begin a rollout."""
        self.learner = unflatten(self.learner, without_prefix("learner/", state))
        self.observation_moments.restore(without_prefix("observation_moments/", state))
        self.value_moments.restore(without_prefix("value_moments/", state))
        if self._keeps_noise:
            self._noise = self._copy(state["noise"])
        self.start()

    def _copy(self, observations: Any) -> jax.Array:
        return jnp.array(observations, jnp.float32, device=self.device)

    def _evaluate_final_observations(self) -> None:
        """Puts the value network's output for each final observation in its place of the rollout.

        Nothing learns during a rollout, so one batch at its end will do; batches have as many rows
        as there are environments, so they are compiled once.
        """
        if not self._final_observations:
            return
        observations = np.concatenate(self._final_observations, dtype=np.float32)
        count, rows = len(observations), self.rollout["rewards"].shape[1]
        padded = np.pad(observations, ((0, -count % rows), (0, 0)))
        params, scale = self.learner.value, self.observation_moments.scale
        batches = np.split(padded, len(padded) // rows)
        values = np.concatenate([self.ppo.values(params, batch, scale) for batch in batches])
        self.rollout["final_values"][self.rollout["limited"]] = values[:count]
        self._final_observations = []


def ppo_config(config: PPOConfig) -> PPO_CFG:
    """Returns our settings as skrl's, without files or logs."""
    rate = config.learning_rate
    return PPO_CFG(
        **skrl_settings(config),
        learning_rate_scheduler=KLAdaptiveLR,  # pyright: ignore[reportArgumentType]
        learning_rate_scheduler_kwargs={  # a fixed rate is one without room to move
            "kl_threshold": config.desired_kl or 1.0,
            "min_lr": MIN_LEARNING_RATE if config.adaptive_rate else rate,
            "max_lr": config.max_learning_rate if config.adaptive_rate else rate,
        },
        time_limit_bootstrap=True,
        experiment=ExperimentCfg(write_interval=0, checkpoint_interval=0),
    )


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """Returns copies of a tree's leaves by their path."""
    leaves, _ = tree_flatten_with_path(tree)
    return {keystr(path, simple=True, separator="/"): np.array(leaf) for path, leaf in leaves}


def unflatten(like: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Returns copies of flattened leaves as a tree of the given form."""
    leaves = [np.array(arrays[path]) for path in flatten(like)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
