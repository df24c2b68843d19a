# SPDX-License-Identifier: Apache-2.0
"""The settings of the algorithms that Stable-Baselines3 and sb3-contrib have beside PPO.

Settings that PPO has too are named as PPO's, the others as in the libraries. Defaults are the
libraries', except for the number of environments, and with it the directions that ARS tries (half
as many); the normalisers of TRPO, RecurrentPPO and ARS; TD3's noise; and how often a run is saved.
"""

from dataclasses import dataclass
from typing import ClassVar

from adapters.algorithm_config import ACTIVATIONS, MAX_BATCH, AlgorithmConfig, OnPolicyConfig
from adapters.ppo_config import MAX_LOG_STD, MIN_LOG_STD
from adapters.run_config import MAX_COUNT, MAX_STEPS
from motrix_gym.settings import (
    MAX_SIZE,
    MAX_SIZES,
    FieldError,
    choice,
    described,
    flag,
    number,
    sizes,
    whole,
)


@described
@dataclass(frozen=True, kw_only=True)
class OffPolicyConfig(AlgorithmConfig):
    """Settings of an algorithm with a replay buffer, which a run's latest checkpoint holds.

    Raises:
        FieldError: (a ValueError) as `AlgorithmConfig`, or the replay buffer cannot hold a vector
            step, or the budget is spent before anything is learned.
    """

    log_interval: ClassVar[int] = 32

    num_envs: int = 64
    max_env_steps: int = 1_000_000
    check_point_interval: int = 5000

    # The networks.
    policy_hidden_layer_sizes: tuple[int, ...] = sizes(
        256, 256, unit="neurons", doc="Hidden layers of the policy network."
    )
    value_hidden_layer_sizes: tuple[int, ...] = sizes(
        256, 256, unit="neurons", doc="Hidden layers of each critic."
    )
    n_critics: int = whole(2, least=1, most=100, doc="Critics, of which the lowest value counts.")
    activation: str = choice("relu", *ACTIVATIONS, doc="Function between layers.")
    normalize_observations: bool = flag(
        False, doc="Standardise observations by their running mean and variance."
    )

    # Collecting.
    rollouts: int = whole(
        1,
        least=1,
        most=MAX_COUNT,
        unit="vector steps",
        doc="Steps of all environments between two updates.",
    )
    buffer_size: int = whole(
        1_000_000,
        least=1,
        most=MAX_BATCH,
        unit="transitions",
        doc="Size of the replay buffer, over all environments.",
    )
    learning_starts: int = whole(
        100,
        least=0,
        most=MAX_STEPS,
        unit="environment steps",
        doc="Steps with random actions before anything is learned.",
    )
    rewards_shaper_scale: float = number(1.0, above=0, doc="Factor of all rewards.")
    discount_factor: float = number(0.99, least=0, most=1, doc="Discount factor, gamma.")

    # Learning.
    gradient_steps: int = whole(
        1,
        least=1,
        most=MAX_COUNT,
        doc="Gradient steps per update, whatever the number of environments.",
    )
    batch_size: int = whole(
        256, least=2, most=MAX_COUNT, unit="transitions", doc="Batch of a gradient step."
    )
    learning_rate: float = number(3e-4, above=0, doc="Step size of Adam.")

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


@described
@dataclass(frozen=True, kw_only=True)
class SACConfig(OffPolicyConfig):
    """Settings of one SAC run."""

    algo: ClassVar[str] = "sac"
    title: ClassVar[str] = "SAC"

    tau: float = number(
        0.005,
        above=0,
        most=1,
        doc="Share of the critics' weights that their targets take over in a gradient step.",
    )
    ent_coef: float | str = number(
        "auto", words=("auto",), least=0, doc="Weight of the entropy; auto: learned."
    )
    target_entropy: float | str = number(
        "auto",
        words=("auto",),
        doc="Entropy that a learned weight leads to; auto: minus the number of actions.",
    )


@described
@dataclass(frozen=True, kw_only=True)
class TQCConfig(SACConfig):
    """Settings of one TQC run.

    Raises:
        FieldError: (a ValueError) as `OffPolicyConfig`, or all quantiles are dropped.
    """

    algo: ClassVar[str] = "tqc"
    title: ClassVar[str] = "TQC"

    n_quantiles: int = whole(25, least=1, most=1000, doc="Quantiles per critic.")
    top_quantiles_to_drop_per_net: int = whole(
        2,
        least=0,
        most=MAX_COUNT,
        doc="Highest quantiles that are left out, per critic, against overestimation.",
    )

    def _check(self) -> None:
        super()._check()
        if self.top_quantiles_to_drop_per_net >= self.n_quantiles:
            raise FieldError(
                "top_quantiles_to_drop_per_net",
                f"top_quantiles_to_drop_per_net={self.top_quantiles_to_drop_per_net} leaves none "
                f"of n_quantiles={self.n_quantiles}",
            )


@described
@dataclass(frozen=True, kw_only=True)
class CrossQConfig(OffPolicyConfig):
    """Settings of one CrossQ run, which has no target networks."""

    algo: ClassVar[str] = "crossq"
    title: ClassVar[str] = "CrossQ"

    value_hidden_layer_sizes: tuple[int, ...] = (1024, 1024)
    learning_rate: float = 1e-3
    ent_coef: float | str = number(
        "auto", words=("auto",), least=0, doc="Weight of the entropy; auto: learned."
    )
    target_entropy: float | str = number(
        "auto",
        words=("auto",),
        doc="Entropy that a learned weight leads to; auto: minus the number of actions.",
    )
    policy_delay: int = whole(
        3, least=1, most=MAX_COUNT, doc="Gradient steps of the critics for one of the policy."
    )


@described
@dataclass(frozen=True, kw_only=True)
class TD3Config(OffPolicyConfig):
    """Settings of one TD3 run."""

    algo: ClassVar[str] = "td3"
    title: ClassVar[str] = "TD3"

    policy_hidden_layer_sizes: tuple[int, ...] = (400, 300)
    value_hidden_layer_sizes: tuple[int, ...] = (400, 300)
    learning_rate: float = 1e-3
    tau: float = number(
        0.005,
        above=0,
        most=1,
        doc="Share of the critics' weights that their targets take over in a gradient step.",
    )
    policy_delay: int = whole(
        2, least=1, most=MAX_COUNT, doc="Gradient steps of the critics for one of the policy."
    )
    action_noise: float = number(
        0.1,
        least=0,
        doc="Standard deviation of the noise of actions, for boxes of [-1, 1]. Without it, which "
        "is the library's default, TD3 hardly explores.",
    )
    target_policy_noise: float = number(
        0.2, least=0, doc="Standard deviation of the noise of the targets' actions."
    )
    target_noise_clip: float = number(0.5, least=0, doc="Largest noise of the targets' actions.")


@described
@dataclass(frozen=True, kw_only=True)
class GaussianConfig(OnPolicyConfig):
    """Settings that TRPO and RecurrentPPO share."""

    num_envs: int = 64

    # The networks.
    policy_hidden_layer_sizes: tuple[int, ...] = sizes(
        64, 64, unit="neurons", doc="Hidden layers of the policy network."
    )
    value_hidden_layer_sizes: tuple[int, ...] = sizes(
        64, 64, unit="neurons", doc="Hidden layers of the value network."
    )
    activation: str = choice("tanh", *ACTIVATIONS, doc="Function between layers.")
    initial_log_std: float = number(
        0.0,
        least=MIN_LOG_STD,
        most=MAX_LOG_STD,
        doc="Log standard deviation of actions at the start, for action boxes of [-1, 1].",
    )
    normalize_observations: bool = flag(
        True, doc="Standardise observations by their running mean and variance."
    )
    normalize_values: bool = flag(
        True, doc="Standardise value targets by their running mean and variance."
    )

    # Collecting.
    rollouts: int = whole(
        32,
        least=1,
        most=MAX_COUNT,
        unit="vector steps",
        doc="Length of a rollout. One update learns from rollouts x num_envs environment steps.",
    )
    rewards_shaper_scale: float = number(1.0, above=0, doc="Factor of all rewards.")
    discount_factor: float = number(0.99, least=0, most=1, doc="Discount factor, gamma.")
    lambda_param: float = number(
        0.95, least=0, most=1, doc="Lambda of the generalised advantage estimate."
    )

    # Learning.
    mini_batches: int = whole(
        16,
        least=1,
        most=MAX_COUNT,
        doc="Mini-batches per pass, a gradient step for each; they must divide the rollout.",
    )


@described
@dataclass(frozen=True, kw_only=True)
class TRPOConfig(GaussianConfig):
    """Settings of one TRPO run; mini-batches and learning rate are the value network's."""

    algo: ClassVar[str] = "trpo"
    title: ClassVar[str] = "TRPO"

    learning_rate: float = number(1e-3, above=0, doc="Step size of Adam, of the value network.")
    n_critic_updates: int = whole(
        10, least=1, most=MAX_COUNT, doc="Passes of the value network over a rollout."
    )
    target_kl: float = number(
        0.01, above=0, unit="nats", doc="KL divergence that a step of the policy may have."
    )
    cg_max_steps: int = whole(
        15, least=1, most=MAX_COUNT, doc="Most steps of the conjugate gradient method."
    )
    cg_damping: float = number(
        0.1, least=0, doc="What is added to the diagonal of the Fisher matrix."
    )
    line_search_shrinking_factor: float = number(
        0.8, above=0, most=1, doc="Factor of a step that the line search refuses."
    )
    line_search_max_iter: int = whole(
        10, least=1, most=MAX_COUNT, doc="Most steps that the line search tries."
    )


@described
@dataclass(frozen=True, kw_only=True)
class RecurrentPPOConfig(GaussianConfig):
    """Settings of one RecurrentPPO run: policy and value each have an LSTM below their layers.

    Raises:
        FieldError: (a ValueError) as `OnPolicyConfig`, or a mini-batch has less than two steps.
    """

    algo: ClassVar[str] = "recurrent_ppo"
    title: ClassVar[str] = "RecurrentPPO"

    aliases = {"kl_threshold": "early_stop_kl"}

    lstm_hidden_size: int = whole(
        256, least=1, most=MAX_SIZE, unit="neurons", doc="Width of each LSTM layer."
    )
    n_lstm_layers: int = whole(1, least=1, most=MAX_SIZES, doc="Number of LSTM layers.")
    learning_epochs: int = whole(
        10, least=1, most=MAX_COUNT, doc="Passes over a rollout in one update."
    )
    learning_rate: float = number(3e-4, above=0, doc="Step size of Adam.")
    grad_norm_clip: float = number(
        0.5, least=0, doc="Largest norm of a gradient; longer ones are shortened. 0: no clipping."
    )
    ratio_clip: float = number(0.2, above=0, doc="Clip of the probability ratio around 1, epsilon.")
    value_clip: float = number(
        0.2, least=0, doc="Clip of a value's change in one update, if clip_predicted_values."
    )
    clip_predicted_values: bool = flag(False, doc="Clip values; see value_clip.")
    entropy_loss_scale: float = number(0.0, least=0, doc="Weight of the entropy bonus.")
    value_loss_scale: float = number(0.5, least=0, doc="Weight of the value loss.")
    early_stop_kl: float = number(
        0.0, least=0, unit="nats", doc="KL divergence that ends an update early. 0: never."
    )

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


@described
@dataclass(frozen=True, kw_only=True)
class ARSConfig(AlgorithmConfig):
    """Settings of one ARS run, whose policy is linear.

    Each row of the environment plays one episode per update with a policy of its own. Half of the
    rows add a random step to the weights, the other half subtract the same steps. An update lasts
    as long as its longest episode, so how many updates a budget allows is known only in the end;
    `updates` is the most there can be. The run ends where another update could exceed the budget.

    Raises:
        FieldError: (a ValueError) as `AlgorithmConfig`, or `num_envs` is odd, or less than twice
            `n_top`.
    """

    algo: ClassVar[str] = "ars"
    title: ClassVar[str] = "ARS"
    rollouts: ClassVar[int] = 1  # at least
    rewards_shaper_scale: ClassVar[float] = 1.0  # ARS only compares returns
    activation: ClassVar[str] = "tanh"  # for the stored policy, which has no hidden layer

    num_envs: int = whole(
        64,
        least=2,
        most=MAX_COUNT,
        doc="Environments side by side: two for each direction that an update tries.",
    )
    normalize_observations: bool = flag(
        True, doc="Standardise observations by their running mean and variance."
    )
    n_top: int | None = whole(
        None, least=1, most=MAX_COUNT, doc="Best directions, which are learned from; None: all."
    )
    learning_rate: float = number(0.02, above=0, doc="Step size.")
    delta_std: float = number(
        0.05, above=0, doc="Standard deviation of the random steps of the weights."
    )
    alive_bonus_offset: float = number(0.0, doc="What is added to the reward of each step.")

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
