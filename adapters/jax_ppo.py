# SPDX-License-Identifier: Apache-2.0
"""The mathematics of PPO in JAX: pure functions of a learner and a rollout, each compiled.

A rollout is a dict of arrays (steps, n, ...):

    observations    as the environment gave them; one step more than the rest, (steps + 1, n, obs)
    actions         (steps, n, act), as drawn and not clipped
    log_probs       of the actions
    values          outputs of the value network, in normalised returns
    rewards         times `rewards_shaper_scale`; returns and advantages have the same unit
    ended           whether the step was the last of an episode
    limited         whether the episode was truncated and not terminated
    final_values    as values, for the final observation; read where `limited`
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from skrl.agents.jax.ppo import PPO_CFG

from adapters.kl_rule import adapted_rate
from adapters.moments import Scale
from adapters.noise import correlated
from adapters.ranks import ALONE, Ranks
from motrix_gym import Mirror
from motrix_gym.policy import LOG_STD_RANGE

LEAST_CHUNK = 64  # smaller chunks cost more in overhead than the cache gives

Arrays = dict[str, Any]


class Learner(NamedTuple):
    """All that learning changes on the device: parameters, optimisers, rate and random key."""

    policy: Any
    value: Any
    policy_optimizer: Any
    value_optimizer: Any
    rate: jax.Array
    key: jax.Array


class CompiledPPO:
    """The functions of one configuration and pair of networks.

    In all of them, `scale` normalises observations and `value_scale` normalises returns.

    Args:
        cfg: skrl's settings; the rate follows `learning_rate_scheduler_kwargs`.
        policy: Flax's `apply` of the policy: mean (n, act) and {"log_std": (act,)}.
        value: Flax's `apply` of the value network: (n, 1) and a dict.
        optimizers: Optax's for policy and value, without the rate.
        chunk: Samples of which a gradient is computed at once; divides a mini-batch.
        mirror: With it, an epoch takes either each sample or its mirror image, at equal chances;
            None for no mirroring.
        noise_correlation: Of the actions' noise with that of the step before, from 0 to 1.
        learn_log_std: Whether the standard deviation of actions is learned.
        box: Lowest and highest actions, (act,) each.
        bounds_loss_scale: Weight of the mean actions' squared distance from the box.
        ranks: The processes that learn together, which call `update` at once.

    Attributes:
        act: (learner, observations (n, obs), scale, last noise (n, act)) -> new key, noise,
            actions, log_probs, values.
        values: (value parameters, observations (n, obs), scale) -> (n,).
        targets: (value parameters, rollout, scale, value_scale) -> values, advantages and returns,
            (steps, n) each, in units of reward.
        update: (learner, rollout, targets, scale, value_scale, highest rate) -> the learner after
            all epochs, in the memory of the one given, which is lost; means and variances of
            observations at each step; scalars by TensorBoard tag.
    """

    def __init__(
        self,
        cfg: PPO_CFG,
        policy: Callable[..., Any],
        value: Callable[..., Any],
        optimizers: tuple[optax.GradientTransformation, optax.GradientTransformation],
        chunk: int,
        mirror: Mirror | None = None,
        *,
        noise_correlation: float,
        learn_log_std: bool,
        box: tuple[Any, Any],
        bounds_loss_scale: float,
        ranks: Ranks = ALONE,
    ):
        self.cfg, self.chunk, self.mirror = cfg, chunk, mirror
        self._noise_correlation = noise_correlation
        self._learn_log_std = learn_log_std
        self._box, self._bounds_loss_scale = box, bounds_loss_scale
        rule = cfg.learning_rate_scheduler_kwargs[0]
        self._rate_limits = rule["kl_threshold"], rule["min_lr"], rule["max_lr"]
        self._policy_network, self._value_network = policy, value
        self._policy_optimizer, self._value_optimizer = optimizers
        self.act = jax.jit(self._act)
        self.values = jax.jit(self._values)
        self.targets = jax.jit(self._targets)
        self.ranks = ranks
        self.update = ranks.spread(self._update)

    def _distribution(self, params: Any, inputs: Arrays) -> tuple[jax.Array, jax.Array]:
        mean, outputs = self._policy_network(params, inputs, "policy")
        return mean, outputs["log_std"]

    def _value(self, params: Any, inputs: Arrays) -> jax.Array:
        return self._value_network(params, inputs, "value")[0][:, 0]

    def _values(self, params: Any, observations: Any, scale: Scale) -> jax.Array:
        return self._value(params, {"observations": scale.normalize(observations)})

    def _act(
        self, learner: Learner, observations: Any, scale: Scale, last_noise: jax.Array
    ) -> tuple[jax.Array, ...]:
        key, noise_key = jax.random.split(learner.key)
        inputs = {"observations": scale.normalize(observations)}
        mean, log_std = self._distribution(learner.policy, inputs)
        noise = jax.random.normal(noise_key, mean.shape)
        if share := self._noise_correlation:
            noise = correlated(noise, last_noise, share)
        actions = mean + jnp.exp(log_std) * noise
        log_probs = log_probability(actions, mean, log_std)
        return key, noise, actions, log_probs, self._value(learner.value, inputs)

    def _targets(self, value: Any, rollout: Arrays, scale: Scale, value_scale: Scale) -> Arrays:
        discount, goes_on = self.cfg.discount_factor, 1.0 - rollout["ended"]
        last = self._values(value, rollout["observations"][-1], scale)
        values = value_scale.denormalize(jnp.concatenate([rollout["values"], last[None]]))
        final_values = value_scale.denormalize(rollout["final_values"])
        rewards = rollout["rewards"] + discount * jnp.where(rollout["limited"], final_values, 0.0)
        errors = rewards + discount * goes_on * values[1:] - values[:-1]

        def back(advantage: jax.Array, step: tuple[jax.Array, jax.Array]):
            error, goes_on = step
            advantage = error + discount * self.cfg.gae_lambda * goes_on * advantage
            return advantage, advantage

        _, advantages = jax.lax.scan(back, jnp.zeros_like(last), (errors, goes_on), reverse=True)
        returns = advantages + values[:-1]
        return {"values": values[:-1], "advantages": advantages, "returns": returns}

    def _update(
        self,
        learner: Learner,
        rollout: Arrays,
        targets: Arrays,
        scale: Scale,
        value_scale: Scale,
        highest_rate: jax.Array,
    ) -> tuple[Learner, tuple[jax.Array, jax.Array], Arrays]:
        values, returns, advantages = (targets[k] for k in ("values", "returns", "advantages"))
        observations = rollout["observations"][:-1]
        batch = {
            "observations": scale.normalize(observations),
            "actions": rollout["actions"],
            "log_probs": rollout["log_probs"],
            # The network's outputs as recorded, so that old and predicted values have one scale.
            "values": rollout["values"],
            "returns": value_scale.normalize(returns),
            "advantages": self._standardized(advantages),
        }
        batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        size = len(batch["returns"])
        batch["own"] = jnp.ones(size)  # 1 for samples, 0 for mirror images
        if self.mirror:  # mirror images come after all samples; an epoch takes one or the other
            mirrored = scale.normalize(self.mirror.image(observations))
            images = batch | {
                "observations": mirrored.reshape(batch["observations"].shape),
                "actions": self.mirror.action(batch["actions"]),
                "own": jnp.zeros(size),
            }
            batch = jax.tree.map(lambda *pair: jnp.concatenate(pair), batch, images)

        def epoch(learner: Learner, key: jax.Array):
            # One sort; jax.random.permutation makes two, for the sake of ties that hardly occur.
            order = jnp.argsort(jax.random.bits(key, (size,)), stable=False)
            if self.mirror:
                order += size * jax.random.bernoulli(jax.random.fold_in(key, 1), shape=(size,))
            rows = order.reshape(self.cfg.mini_batches, -1, self.chunk)
            start = (learner, jnp.zeros((), bool))
            (learner, _), (counts, figures) = jax.lax.scan(mini_batch, start, rows)
            figures = jax.tree.map(lambda x: jnp.average(x, weights=counts), figures)
            rate = adapted_rate(learner.rate, figures["kl"], *self._rate_limits, xp=jnp)
            return learner._replace(rate=jnp.minimum(rate, highest_rate)), figures

        def mini_batch(carry: tuple[Learner, jax.Array], rows: jax.Array):
            learner, stopped = carry
            counts = 1.0 - stopped
            gradients, figures = self.ranks.tree_mean(self._gradients(learner, batch, rows))
            stepped = self._stepped(learner, gradients)
            if self.cfg.kl_threshold:
                stopped |= figures["kl"] > self.cfg.kl_threshold
                stepped = jax.tree.map(lambda x, old: jnp.where(stopped, old, x), stepped, learner)
            return (stepped, stopped), (counts, figures)

        rate = jnp.minimum(learner.rate, highest_rate)
        key, shuffling_key = jax.random.split(learner.key)
        keys = jax.random.split(shuffling_key, self.cfg.learning_epochs)
        learner, figures = jax.lax.scan(epoch, learner._replace(rate=rate, key=key), keys)

        moments = observations.mean(axis=1), observations.var(axis=1)
        spread = jnp.maximum(returns.var(), 1e-12)
        log_std = learner.policy["params"]["log_std"]
        scalars = {
            "Loss / Policy loss": figures["policy_loss"].mean(),
            "Loss / Value loss": figures["value_loss"].mean(),
            "Loss / Entropy loss": figures["entropy_loss"].mean(),
            "Learning / Clip fraction": figures["clipped"].mean(),
            "Learning / KL divergence": figures["kl"][-1],  # of the last epoch
            "Learning / Learning rate": learner.rate,
            "Learning / Explained variance": 1.0 - (returns - values).var() / spread,
            "Policy / Standard deviation": jnp.exp(log_std).mean(),
        }
        return learner, moments, scalars

    def _standardized(self, advantages: jax.Array) -> jax.Array:
        """Returns advantages with the mean 0 and the deviation 1 over all ranks."""
        mean = self.ranks.tree_mean(advantages.mean())
        variance = self.ranks.tree_mean(jnp.square(advantages - mean).mean())
        return (advantages - mean) / (jnp.sqrt(variance) + 1e-8)

    def _gradients(self, learner: Learner, batch: Arrays, rows: jax.Array) -> tuple[Any, Arrays]:
        """Returns mean gradients and figures of a mini-batch, rows (chunks, chunk)."""
        parameters = (learner.policy, learner.value)

        def add_chunk(total: Any, rows: jax.Array):
            samples = jax.tree.map(lambda x: x[rows], batch)
            loss = jax.grad(self._loss, has_aux=True)
            gradients, figures = loss(parameters, samples)
            return jax.tree.map(jnp.add, total, gradients), figures

        nothing = jax.tree.map(jnp.zeros_like, parameters)
        total, figures = jax.lax.scan(add_chunk, nothing, rows)
        return jax.tree.map(lambda x: x / len(rows), total), jax.tree.map(jnp.mean, figures)

    def _loss(self, parameters: tuple[Any, Any], samples: Arrays) -> tuple[jax.Array, Arrays]:
        """Returns skrl's losses in one sum (the networks share no parameter), and figures."""
        cfg, (policy, value) = self.cfg, parameters
        mean, log_std = self._distribution(policy, samples)
        if not self._learn_log_std:
            log_std = jax.lax.stop_gradient(log_std)
        log_ratio = log_probability(samples["actions"], mean, log_std) - samples["log_probs"]
        ratio, advantages = jnp.exp(log_ratio), samples["advantages"]
        clipped = ratio.clip(1.0 - cfg.ratio_clip, 1.0 + cfg.ratio_clip)
        values = self._value(value, samples)
        if cfg.value_clip > 0:
            change = (values - samples["values"]).clip(-cfg.value_clip, cfg.value_clip)
            values = samples["values"] + change
        entropy = jnp.sum(log_std + 0.5 * math.log(2.0 * math.pi * math.e))
        losses = {
            "policy_loss": -jnp.minimum(advantages * ratio, advantages * clipped).mean(),
            "value_loss": cfg.value_loss_scale * jnp.square(samples["returns"] - values).mean(),
            "entropy_loss": -cfg.entropy_loss_scale * entropy,
        }
        if self._bounds_loss_scale:
            distance = jnp.square(mean - mean.clip(*self._box)).sum(axis=-1).mean()
            losses["bounds_loss"] = self._bounds_loss_scale * distance
        outside = jnp.abs(ratio - 1.0) > cfg.ratio_clip
        # Mirror images are left out of the divergence: the policy did not draw them.
        own = samples["own"] / jnp.maximum(samples["own"].mean(), 1e-8)
        figures = {"kl": (own * (ratio - 1.0 - log_ratio)).mean(), "clipped": outside.mean()}
        return sum(losses.values(), start=jnp.zeros(())), losses | figures

    def _stepped(self, learner: Learner, gradients: tuple[Any, Any]) -> Learner:
        """Returns the learner after one step of each network's optimiser."""

        def step(optimizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
            updates, state = optimizer.update(gradient, state, params)
            updates = jax.tree.map(lambda x: -learner.rate * x, updates)
            return optax.apply_updates(params, updates), state

        policy, policy_state = step(
            self._policy_optimizer, gradients[0], learner.policy_optimizer, learner.policy
        )
        value, value_state = step(
            self._value_optimizer, gradients[1], learner.value_optimizer, learner.value
        )
        # The parameter itself is bounded. skrl's networks bound their output instead: once the
        # parameter is beyond the bound, no gradient leads it back.
        policy = with_log_std(policy, policy["params"]["log_std"].clip(*LOG_STD_RANGE))
        return Learner(policy, value, policy_state, value_state, learner.rate, learner.key)


def with_log_std(policy: Any, log_std: Any) -> Any:
    """Returns the parameters of the policy with this log standard deviation, (act,) or one."""
    weights = policy["params"]
    log_std = jnp.full_like(weights["log_std"], log_std)
    return {"params": weights | {"log_std": log_std}}


def log_probability(actions: jax.Array, mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """Returns the Gaussian's log-density (n,) at actions (n, act)."""
    distance = (actions - mean) * jnp.exp(-log_std)
    return jnp.sum(-0.5 * jnp.square(distance) - log_std - 0.5 * math.log(2 * math.pi), axis=-1)


def chunk_size(samples: int, limit: int) -> int:
    """Returns the largest divisor of `samples` up to `limit`; `samples` if it is a tiny one."""
    size = next(size for size in range(min(limit, samples), 0, -1) if samples % size == 0)
    return size if size >= LEAST_CHUNK else samples
