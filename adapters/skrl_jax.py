# SPDX-License-Identifier: Apache-2.0
"""PPO by skrl on JAX.

`SkrlJaxAgent` is skrl's PPO with skrl's models, Adam and settings. It corrects what stock skrl does
wrongly under same-step reset: a row that is truncated and not terminated is paid discount x
V(final_obs), and advantages are cut at every end of an episode. And it compiles what stock skrl
does in many small calls: a vector step is one call, and so is the whole update, all epochs,
mini-batches and permutations (`jax_ppo`). On a CPU a mini-batch is worked through in chunks that
fit its cache and their gradients are averaged, which is the gradient of the mini-batch.

Conventions:

- Networks see normalised observations. Their normaliser stands still from the first step of a
  rollout to the end of its update and takes the rollout in afterwards, so an update starts from
  exactly the policy that acted. Before there are statistics, those of the reset scale (std at least
  1).
- The value network speaks in normalised returns: a value is mean + std x output, and the rollout
  keeps outputs. Their normaliser takes a rollout's returns in before the update that learns them,
  so targets keep within a few units while returns grow by orders of magnitude. To leave the values
  where they were under a new scale (PopArt) makes them follow too slowly at a small rate: measured,
  a cart-pole is then not solved in 1 M steps at 5e-4, instead of in 0.4 M.
- Policy and value are always networks of their own: skrl's JAX agent has no shared ones, so
  `share_policy_value_features` does nothing here. Neither does `mixed_precision`: bfloat16 is
  slower than float32 in JAX on a CPU.
- Gradients are clipped per network. A mini-batch whose divergence is above `early_stop_kl` ends its
  epoch, unlearned. The KL-adaptive rate moves once per epoch.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv
from jax.tree_util import keystr, tree_flatten_with_path
from skrl import config as skrl_config
from skrl.agents.jax import ExperimentCfg
from skrl.agents.jax.ppo import PPO, PPO_CFG
from skrl.models.jax import DeterministicMixin, GaussianMixin, Model
from skrl.resources.schedulers.jax import KLAdaptiveLR

from adapters.base import Layers
from adapters.initial_policy import whole_normalizer
from adapters.jax_layers import Dense, elu
from adapters.jax_ppo import Arrays, CompiledPPO, Learner, chunk_size, with_log_std
from adapters.measured_env import MeasuredEnv
from adapters.moments import Moments
from adapters.phases import PhasedTrainer
from adapters.ppo_config import MIN_LEARNING_RATE, OBSERVATION_CLIP, PPOConfig
from adapters.skrl_settings import skrl_settings
from adapters.states import with_prefix, without_prefix
from motrix_gym import Mirror
from motrix_gym.policy import LOG_STD_RANGE, Policy

CHUNK = 512  # samples whose activations stay in a CPU's cache


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
    without_effect = ("mixed_precision", "share_policy_value_features")

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        observation_box: Any = env.single_observation_space
        action_box: Any = env.single_action_space
        self.measured_env = MeasuredEnv(env, self.statistics, elapsed_steps=self.elapsed_steps)
        self.agent = SkrlJaxAgent(
            config,
            observation_box,
            action_box,
            find_device(device),
            self.mirror,
            policy_width=self.policy_width,
        )
        if self.initial_policy:
            self.agent.start_from(self.initial_policy)
        self.observations, _ = self.measured_env.reset(seed=config.seed)
        self.agent.observation_moments.warm_up(self.observations, least_std=1.0)

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

    Attributes:
        rollout: What was recorded, as `jax_ppo` describes it, but for the observations.
    """

    policy: "PolicyNetwork"
    value: "ValueNetwork"
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
    ):
        skrl_config.jax.device = device  # else skrl's models look for a GPU, and warn
        common: Arrays = {
            "observation_space": observation_space,
            "action_space": action_space,
            "device": device,
        }
        policy, value, key = make_networks(config, policy_width, **common)
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
        )
        self.rollout: dict[str, np.ndarray] = {}
        steps, rows = config.rollouts, config.num_envs
        for name in ("log_probs", "values", "rewards", "final_values"):
            self.rollout[name] = np.zeros((steps, rows), np.float32)
        for name in ("ended", "limited"):
            self.rollout[name] = np.zeros((steps, rows), bool)
        self.rollout["actions"] = np.zeros((steps, rows, *action_space.shape), np.float32)
        self._keeps_noise = config.noise_correlation > 0
        noise_key = jax.random.fold_in(key, 2)  # 0 and 1 are what `act` splits the key into
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
        self.value_moments.fold(returns.mean(axis=1), returns.var(axis=1), size=rows)
        scales = self.observation_moments.scale, self.value_moments.scale
        progress = timestep / timesteps if timesteps else 0.0
        highest_rate = jnp.float32(self.config.highest_rate(progress))
        inputs = self.learner, rollout, targets, *scales, highest_rate
        self.learner, *figures = self.ppo.update(*inputs)
        moments, scalars = jax.device_get(figures)
        self.observation_moments.fold(*moments, size=rows)
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


class Network(Model):
    """A perceptron with an activation after each hidden layer, and orthogonal weights."""

    sizes: tuple[int, ...] = ()
    activation: str = "elu"

    def __init__(self, *, sizes: tuple[int, ...], activation: str, **kwargs: Any):
        self.sizes, self.activation = sizes, activation
        Model.__init__(self, **kwargs)

    def perceptron(self, x: jax.Array, outputs: int, gain: float) -> jax.Array:
        """Returns the last layer's output; its weights start with the given gain."""
        orthogonal = nn.initializers.orthogonal
        *hidden, last = layer_names(self.sizes)
        for name, size in zip(hidden, self.sizes, strict=True):
            layer = Dense(size, kernel_init=orthogonal(math.sqrt(2.0)), name=name)
            x = ACTIVATIONS[self.activation](layer(x))
        return Dense(outputs, kernel_init=orthogonal(gain), name=last)(x)


class PolicyNetwork(GaussianMixin, Network):
    """Mean action of an observation's first entries, and a spread that does not depend on it."""

    initial_log_std: float = 0.0
    width: int | None = None

    def __init__(self, *, initial_log_std: float, width: int | None, **kwargs: Any):
        self.initial_log_std, self.width = initial_log_std, width
        Network.__init__(self, **kwargs)
        GaussianMixin.__init__(self, min_log_std=LOG_STD_RANGE[0], max_log_std=LOG_STD_RANGE[1])

    @nn.compact
    def __call__(self, inputs: Arrays, role: str = "policy") -> tuple[jax.Array, Arrays]:
        initial = nn.initializers.constant(self.initial_log_std)
        log_std = self.param("log_std", initial, (self.num_actions,))
        seen = inputs["observations"][:, : self.width]
        return self.perceptron(seen, self.num_actions, 0.01), {"log_std": log_std}


class ValueNetwork(DeterministicMixin, Network):
    """Normalised value of an observation, (n, 1)."""

    def __init__(self, **kwargs: Any):
        Network.__init__(self, **kwargs)
        DeterministicMixin.__init__(self)

    @nn.compact
    def __call__(self, inputs: Arrays, role: str = "value") -> tuple[jax.Array, Arrays]:
        return self.perceptron(inputs["observations"], 1, 1.0), {}


def make_networks(
    config: PPOConfig, policy_width: int | None = None, **common: Any
) -> tuple[PolicyNetwork, ValueNetwork, jax.Array]:
    """Returns both networks with the weights of `config.seed`, and a key for what follows.

    Args:
        config: The settings.
        policy_width: Entries of an observation that the policy sees, the first ones; None: all.
        **common: skrl's `observation_space`, `action_space` and `device`.
    """
    policy = PolicyNetwork(
        sizes=config.policy_hidden_layer_sizes,
        activation=config.activation,
        initial_log_std=config.initial_log_std,
        width=policy_width,
        **common,
    )
    value = ValueNetwork(
        sizes=config.value_hidden_layer_sizes, activation=config.activation, **common
    )
    with jax.default_device(common["device"]):
        # Of one and the same key, skrl would make hidden layers that are equal in both.
        key, *keys = jax.random.split(jax.random.PRNGKey(np.uint32(config.seed or 0)), 3)
        example = {"observations": jnp.zeros((1, *common["observation_space"].shape))}
    policy.init_state_dict(example, role="policy", key=keys[0])
    value.init_state_dict(example, role="value", key=keys[1])
    return policy, value, key


def policy_arrays(params: Any, config: PPOConfig) -> tuple[Layers, np.ndarray]:
    """Returns the layers of a policy's parameters in order, and its log standard deviation."""
    weights = jax.device_get(params["params"])
    layers = [weights[name] for name in layer_names(config.policy_hidden_layer_sizes)]
    return [(layer["kernel"], layer["bias"]) for layer in layers], weights["log_std"]


def layer_names(sizes: tuple[int, ...]) -> list[str]:
    """Returns the names of a network's layers: one per hidden size, and the last."""
    return [*(f"hidden_{i}" for i in range(len(sizes))), "output"]


ACTIVATIONS = {"elu": elu, "relu": nn.relu, "tanh": nn.tanh}


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


def find_device(name: str) -> jax.Device:  # pyright: ignore[reportInvalidTypeForm]
    """Returns JAX's device of this name.

    Raises:
        ValueError: the name is not "cpu" or "cuda", or JAX finds no GPU.
    """
    platforms = {"cpu": "cpu", "cuda": "gpu"}
    if name not in platforms:
        raise ValueError(f"device {name!r} is not supported; allowed are 'cpu', 'cuda'")
    try:
        return jax.devices(platforms[name])[0]
    except RuntimeError as error:
        raise ValueError(
            f"device {name!r} is not available: JAX {jax.__version__} finds no GPU; use 'cpu', or "
            'pip install "jax[cuda12]" on a machine with one'
        ) from error


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """Returns copies of a tree's leaves by their path."""
    leaves, _ = tree_flatten_with_path(tree)
    return {keystr(path, simple=True, separator="/"): np.array(leaf) for path, leaf in leaves}


def unflatten(like: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Returns copies of flattened leaves as a tree of the given form."""
    leaves = [np.array(arrays[path]) for path in flatten(like)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
