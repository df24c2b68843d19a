# SPDX-License-Identifier: Apache-2.0
"""The settings of the algorithms that Stable-Baselines3 and sb3-contrib have beside PPO.

What PPO has too is named as there, the rest as in the libraries. Defaults are the libraries', but
for the number of environments, and with it the directions that ARS tries (half as many), the
normalisers of TRPO, RecurrentPPO and ARS, TD3's noise, and how often a run is saved.
"""

from dataclasses import dataclass
from typing import ClassVar

from adapters.algorithm_config import (
    ACTIVATIONS,
    LARGEST,
    MAX_BATCH,
    MAX_LAYERS,
    MAX_STEPS,
    MAX_WIDTH,
    AlgorithmConfig,
    FieldError,
    OnPolicyConfig,
    flag,
    integer,
    number,
    one_of,
    sizes,
)
from adapters.ppo_config import MAX_LOG_STD


@dataclass(frozen=True, kw_only=True)
class OffPolicyConfig(AlgorithmConfig):
    """Settings of an algorithm with a replay buffer.

    Raises:
        FieldError: (a ValueError) as `AlgorithmConfig`, or the replay buffer cannot hold a vector
            step, or the budget is spent before anything is learned.
    """

    log_interval: ClassVar[int] = 32

    num_envs: int = integer(64, 1)
    max_env_steps: int = integer(1_000_000, 1, MAX_STEPS)
    # In vector steps; each checkpoint writes the replay buffer.
    check_point_interval: int = integer(5000, 1, MAX_STEPS)

    # The networks.
    policy_hidden_layer_sizes: tuple[int, ...] = sizes(256, 256)
    value_hidden_layer_sizes: tuple[int, ...] = sizes(256, 256)  # of each critic
    n_critics: int = integer(2, 1, 100)
    activation: str = one_of(ACTIVATIONS, "relu")
    normalize_observations: bool = flag(False)

    # Collecting.
    rollouts: int = integer(1, 1)  # vector steps per update
    buffer_size: int = integer(1_000_000, 1, MAX_BATCH)  # transitions, of all environments
    # Environment steps with random actions before.
    learning_starts: int = integer(100, 0, MAX_STEPS)
    rewards_shaper_scale: float = number(1.0, above=True)
    discount_factor: float = number(0.99, 0.0, 1.0)

    # Learning.
    gradient_steps: int = integer(1, 1)  # per update, whatever the number of environments
    batch_size: int = integer(256, 2)  # transitions per gradient step
    learning_rate: float = number(3e-4, above=True)

    def _check(self) -> None:
        super()._check()
        if self.buffer_size < self.num_envs:
            raise FieldError(
                "buffer_size",
                f"buffer_size={self.buffer_size} is less than num_envs={self.num_envs}: the "
                "replay buffer must hold a vector step",
            )
        budget = self.vector_steps * self.num_envs
        if self.learning_starts >= budget:
            raise FieldError(
                "learning_starts",
                f"learning_starts={self.learning_starts} is not less than the budget of {budget} "
                "environment steps: nothing would be learned",
            )


@dataclass(frozen=True, kw_only=True)
class SACConfig(OffPolicyConfig):
    """Settings of one SAC run."""

    algo: ClassVar[str] = "sac"
    title: ClassVar[str] = "SAC"

    tau: float = number(0.005, 0.0, 1.0, above=True)  # share by which targets follow
    ent_coef: float | str = number("auto", auto=True)  # weight of the entropy; "auto": learned
    target_entropy: float | str = number("auto", -LARGEST, auto=True)  # "auto": minus the actions


@dataclass(frozen=True, kw_only=True)
class TQCConfig(SACConfig):
    """Settings of one TQC run.

    Raises:
        FieldError: (a ValueError) as `OffPolicyConfig`, or all quantiles are dropped.
    """

    algo: ClassVar[str] = "tqc"
    title: ClassVar[str] = "TQC"

    n_quantiles: int = integer(25, 1, 1000)  # per critic
    top_quantiles_to_drop_per_net: int = integer(2, 0)

    def _check(self) -> None:
        super()._check()
        if self.top_quantiles_to_drop_per_net >= self.n_quantiles:
            raise FieldError(
                "top_quantiles_to_drop_per_net",
                f"top_quantiles_to_drop_per_net={self.top_quantiles_to_drop_per_net} leaves none "
                f"of n_quantiles={self.n_quantiles}",
            )


@dataclass(frozen=True, kw_only=True)
class CrossQConfig(OffPolicyConfig):
    """Settings of one CrossQ run, which has no target networks."""

    algo: ClassVar[str] = "crossq"
    title: ClassVar[str] = "CrossQ"

    value_hidden_layer_sizes: tuple[int, ...] = sizes(1024, 1024)
    learning_rate: float = number(1e-3, above=True)
    ent_coef: float | str = number("auto", auto=True)  # weight of the entropy; "auto": learned
    target_entropy: float | str = number("auto", -LARGEST, auto=True)  # "auto": minus the actions
    policy_delay: int = integer(3, 1)  # gradient steps of the critics for one of the policy


@dataclass(frozen=True, kw_only=True)
class TD3Config(OffPolicyConfig):
    """Settings of one TD3 run."""

    algo: ClassVar[str] = "td3"
    title: ClassVar[str] = "TD3"

    policy_hidden_layer_sizes: tuple[int, ...] = sizes(400, 300)
    value_hidden_layer_sizes: tuple[int, ...] = sizes(400, 300)
    learning_rate: float = number(1e-3, above=True)
    tau: float = number(0.005, 0.0, 1.0, above=True)  # share by which targets follow
    policy_delay: int = integer(2, 1)  # gradient steps of the critics for one of the policy
    # Standard deviations, for actions scaled to [-1, 1]. The library explores without noise unless
    # it is given some, and then finds little.
    action_noise: float = number(0.1)
    target_policy_noise: float = number(0.2)
    target_noise_clip: float = number(0.5)


@dataclass(frozen=True, kw_only=True)
class GaussianConfig(OnPolicyConfig):
    """What TRPO and RecurrentPPO have alike."""

    num_envs: int = integer(64, 1)

    # The networks.
    policy_hidden_layer_sizes: tuple[int, ...] = sizes(64, 64)
    value_hidden_layer_sizes: tuple[int, ...] = sizes(64, 64)
    activation: str = one_of(ACTIVATIONS, "tanh")
    initial_log_std: float = number(0.0, -20.0, MAX_LOG_STD)
    normalize_observations: bool = flag(True)
    normalize_values: bool = flag(True)

    # Collecting.
    rollouts: int = integer(32, 1)  # vector steps per update
    rewards_shaper_scale: float = number(1.0, above=True)
    discount_factor: float = number(0.99, 0.0, 1.0)
    lambda_param: float = number(0.95, 0.0, 1.0)

    # Learning.
    mini_batches: int = integer(16, 1)


@dataclass(frozen=True, kw_only=True)
class TRPOConfig(GaussianConfig):
    """Settings of one TRPO run; mini-batches and learning rate are the value network's."""

    algo: ClassVar[str] = "trpo"
    title: ClassVar[str] = "TRPO"

    learning_rate: float = number(1e-3, above=True)
    n_critic_updates: int = integer(10, 1)  # epochs
    target_kl: float = number(0.01, above=True)
    cg_max_steps: int = integer(15, 1)
    cg_damping: float = number(0.1)
    line_search_shrinking_factor: float = number(0.8, 0.0, 1.0, above=True)
    line_search_max_iter: int = integer(10, 1)


@dataclass(frozen=True, kw_only=True)
class RecurrentPPOConfig(GaussianConfig):
    """Settings of one RecurrentPPO run: policy and value each have an LSTM below their layers.

    Raises:
        FieldError: (a ValueError) as `OnPolicyConfig`, or a mini-batch has less than two steps.
    """

    algo: ClassVar[str] = "recurrent_ppo"
    title: ClassVar[str] = "RecurrentPPO"

    lstm_hidden_size: int = integer(256, 1, MAX_WIDTH)
    n_lstm_layers: int = integer(1, 1, MAX_LAYERS)
    learning_epochs: int = integer(10, 1)
    learning_rate: float = number(3e-4, above=True)
    grad_norm_clip: float = number(0.5)  # 0: no clipping
    ratio_clip: float = number(0.2, above=True)
    value_clip: float = number(0.2)
    clip_predicted_values: bool = flag(False)
    entropy_loss_scale: float = number(0.0)
    value_loss_scale: float = number(0.5)
    kl_threshold: float = number(0.0)  # ends an update early; 0: never

    def _check(self) -> None:
        super()._check()
        if self.mini_batch_size < 2:
            raise FieldError(
                "mini_batches",
                f"mini_batches={self.mini_batches} leaves one step in each, of the batch of "
                f"{self._batch}: RecurrentPPO normalises what they are worth and needs two",
            )

    @property
    def networks(self) -> str:
        """A phrase for the user: the hidden layers."""
        lstm = "-".join([str(self.lstm_hidden_size)] * self.n_lstm_layers)
        return f"LSTM {lstm}, {super().networks}"


@dataclass(frozen=True, kw_only=True)
class ARSConfig(AlgorithmConfig):
    """Settings of one ARS run, whose policy is linear.

    Each row of the environment plays one episode per update with a policy of its own: half of the
    rows one that is a random step away, the other half its mirror image. The update lasts as long
    as the longest episode, so how many updates a budget allows is known only in the end; `updates`
    is the most there can be.

    Raises:
        FieldError: (a ValueError) as `AlgorithmConfig`, or `num_envs` is odd, or less than twice
            `n_top`.
    """

    algo: ClassVar[str] = "ars"
    title: ClassVar[str] = "ARS"
    rollouts: ClassVar[int] = 1  # at least
    rewards_shaper_scale: ClassVar[float] = 1.0  # only how returns compare matters
    activation: ClassVar[str] = "tanh"  # of no layer

    num_envs: int = integer(64, 2)
    normalize_observations: bool = flag(True)
    n_top: int | None = integer(None, 1)  # best directions, to learn from; None: all
    learning_rate: float = number(0.02, above=True)
    delta_std: float = number(0.05, above=True)  # of the random steps
    alive_bonus_offset: float = number(0.0, -LARGEST)  # added to each step's reward

    def _check(self) -> None:
        super()._check()
        if self.num_envs % 2:
            raise FieldError(
                "num_envs",
                f"num_envs={self.num_envs} is odd: each direction is tried forwards and backwards, "
                "by two rows",
            )
        if self.n_top is not None and self.n_top > self.n_delta:
            raise FieldError(
                "n_top",
                f"n_top={self.n_top} is more than the num_envs / 2 = {self.n_delta} directions "
                "that are tried",
            )

    @property
    def n_delta(self) -> int:
        """Directions tried per update."""
        return self.num_envs // 2

    @property
    def fewest_updates(self) -> int:
        """One: an episode may be as long as the budget."""
        return 1

    @property
    def schedule(self) -> str:
        """A phrase for the user: the steps of each environment."""
        return f"{self.vector_steps:,} steps"

    @property
    def networks(self) -> str:
        """A phrase for the user: there are no hidden layers."""
        return "policy linear"
