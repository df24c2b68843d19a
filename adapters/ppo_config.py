# SPDX-License-Identifier: Apache-2.0
"""PPOConfig: the settings of one PPO run, the same for every trainer.

Names and defaults are MotrixLab's where MotrixLab has the setting, except for the defaults of
`initial_log_std` and `play_num_envs`, which are 1.0 and 16 there. Settings that it does not have
are off by default. Where a name of MotrixLab's misleads, another one is used here, and `aliases`
has MotrixLab's.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from adapters.algorithm_config import ACTIVATIONS, OnPolicyConfig
from adapters.run_config import MAX_COUNT
from motrix_gym.settings import (
    FieldError,
    blocks,
    choice,
    described,
    flag,
    number,
    sizes,
    text,
    whole,
)

MIN_LEARNING_RATE = 1e-6  # floor of the KL-adaptive rate
MIN_LOG_STD, MAX_LOG_STD = -20.0, 2.0  # skrl's, of actions
OBSERVATION_CLIP = 5.0  # skrl's bound on normalised observations
ADAM_EPSILON = 1e-8  # Torch's and Optax's default, and so skrl's

_ON_POLICY = "PPO is on-policy and learns from its own actions from the first step on"
_TIME_LIMIT = (
    "a time limit is not the end of the task, so the value of the final observation is always added"
)


@described
@dataclass(frozen=True, kw_only=True)
class PPOConfig(OnPolicyConfig):
    """Settings of one PPO run.

    Raises:
        FieldError: (a ValueError) as `OnPolicyConfig`, or the learning rate is above its ceiling.
    """

    algo: ClassVar[str] = "ppo"
    title: ClassVar[str] = "PPO"
    privileged_setting: ClassVar[str] = "privileged_value"
    aliases = {
        "learning_rate_scheduler_kl_threshold": "desired_kl",
        "kl_threshold": "early_stop_kl",
    }
    only = {
        "random_timesteps": (0, _ON_POLICY),
        "learning_starts": (0, _ON_POLICY),
        "time_limit_bootstrap": (True, _TIME_LIMIT),
    }

    # The networks.
    policy_hidden_layer_sizes: tuple[int, ...] = sizes(
        256, 128, 64, unit="neurons", doc="Hidden layers of the policy network."
    )
    value_hidden_layer_sizes: tuple[int, ...] = sizes(
        256, 128, 64, unit="neurons", doc="Hidden layers of the value network."
    )
    share_policy_value_features: bool = flag(
        True,
        doc="One network with two heads. Of effect with the Torch trainers, where policy and value "
        "have the same hidden layers.",
    )
    privileged_value: bool = flag(
        False,
        doc="The value network also sees the task's privileged channels, in training alone (an "
        "asymmetric actor-critic). Needs share_policy_value_features=False.",
    )
    activation: str = choice("elu", *ACTIVATIONS, doc="Function between layers.")
    initial_log_std: float = number(
        0.0,
        least=MIN_LOG_STD,
        most=MAX_LOG_STD,
        doc="Log standard deviation of actions at the start, for action boxes of [-1, 1].",
    )
    final_log_std: float | None = number(
        None,
        least=MIN_LOG_STD,
        most=MAX_LOG_STD,
        doc="Log standard deviation of actions at the end: it is annealed linearly over the run "
        "(Yarats et al., 2021). None: it is learned.",
    )
    normalize_observations: bool = flag(
        True, doc="Standardise observations by their running mean and variance."
    )
    normalize_values: bool = flag(
        True, doc="Standardise value targets by their running mean and variance."
    )
    mixed_precision: bool = flag(
        False, doc="Compute in bfloat16, where trainer and processor have it."
    )
    initial_policy: str | None = text(
        doc="Policy to start from, weights and normaliser: a folder with policy.safetensors and "
        "policy.json, or the name of a shipped one, such as CartPole-v0. The value network starts "
        "at random, the standard deviation at initial_log_std. Channels are matched by name, and "
        "the weights of new ones are 0."
    )

    stages: tuple[dict[str, Any], ...] | None = blocks(
        doc="Stages through which one policy goes, each from the last one's weights and "
        "normaliser. Each names its `env`, an id or several with their shares of the rows; it may "
        "have a `goal` that ends it, such as success >= 0.9, and settings of its own. The others "
        "are those given here."
    )

    # Collecting.
    rollouts: int = whole(
        32,
        least=1,
        most=MAX_COUNT,
        unit="vector steps",
        doc="Length of a rollout. One update learns from rollouts x num_envs environment steps.",
    )
    stagger_episodes: bool = flag(
        False,
        doc="First episodes are truncated at random times, so that a rollout sees all phases of an "
        "episode.",
    )
    noise_correlation: float = number(
        0.0,
        least=0,
        most=0.99,
        doc="Correlation of an action's noise with that of the step before: noise that lasts moves "
        "limbs further. Likelihoods stay those of independent noise (Hollenstein et al., 2024).",
    )
    rewards_shaper_scale: float = number(1.0, above=0, doc="Factor of all rewards.")
    discount_factor: float = number(0.99, least=0, most=1, doc="Discount factor, gamma.")
    lambda_param: float = number(
        0.95, least=0, most=1, doc="Lambda of the generalised advantage estimate."
    )

    # Learning.
    symmetry_augmentation: bool = flag(
        False,
        doc="Learn from each sample or, as often, from its mirror image; each of the task's "
        "channels must say how it is mirrored (`Channel.mirror`).",
    )
    learning_epochs: int = whole(
        2, least=1, most=MAX_COUNT, doc="Passes over a rollout in one update."
    )
    mini_batches: int = whole(
        32,
        least=1,
        most=MAX_COUNT,
        doc="Mini-batches per pass, a gradient step for each; they must divide the rollout.",
    )
    learning_rate: float = number(
        1e-3, above=0, doc="Step size of Adam; where it adapts, that of the first update."
    )
    desired_kl: float | None = number(
        0.008,
        least=0,
        unit="nats",
        doc="KL divergence of an update that the learning rate adapts to. 0 or None: a fixed rate.",
    )
    max_learning_rate: float = number(
        1e-3, least=MIN_LEARNING_RATE, doc="Ceiling of the adaptive learning rate."
    )
    anneal_learning_rate: bool = flag(
        False, doc="The ceiling, or a fixed rate, falls linearly to 0 over the run."
    )
    grad_norm_clip: float = number(
        1.0, least=0, doc="Largest norm of a gradient; longer ones are shortened. 0: no clipping."
    )
    ratio_clip: float = number(0.2, above=0, doc="Clip of the probability ratio around 1, epsilon.")
    value_clip: float = number(
        0.2, least=0, doc="Clip of a value's change in one update, if clip_predicted_values."
    )
    clip_predicted_values: bool = flag(True, doc="Clip values; see value_clip.")
    entropy_loss_scale: float = number(0.0, least=0, doc="Weight of the entropy bonus.")
    value_loss_scale: float = number(2.0, least=0, doc="Weight of the value loss.")
    bounds_loss_scale: float = number(
        0.0,
        least=0,
        doc="Weight of the squared distance of mean actions from the action box. Actions are "
        "clipped to the box, so a mean far outside has no noise left to learn from.",
    )
    early_stop_kl: float = number(
        0.0, least=0, unit="nats", doc="KL divergence that ends an update early. 0: never."
    )

    def _check(self) -> None:
        self._check_networks()
        self._check_rates()
        super()._check()

    def _check_networks(self) -> None:
        if self.privileged_value and self.shares_trunk:
            raise FieldError(
                "privileged_value",
                "privileged_value=True needs share_policy_value_features=False: hidden layers that "
                "policy and value share would show the policy the privileged channels",
            )

    def _check_rates(self) -> None:
        if self.adaptive_rate and self.learning_rate > self.max_learning_rate:
            raise FieldError(
                "learning_rate",
                f"learning_rate={self.learning_rate!r} is above max_learning_rate="
                f"{self.max_learning_rate!r}, the ceiling of the KL-adaptive rate: lower the one, "
                "raise the other, or set desired_kl=0 for a fixed rate",
            )

    @property
    def shares_trunk(self) -> bool:
        """Whether policy and value are two heads on one trunk, where the library can."""
        sizes = (self.policy_hidden_layer_sizes, self.value_hidden_layer_sizes)
        return self.share_policy_value_features and sizes[0] == sizes[1]

    @property
    def adaptive_rate(self) -> bool:
        """Whether the learning rate follows the KL divergence."""
        return bool(self.desired_kl)

    def highest_rate(self, progress: float) -> float:
        """Returns the ceiling of the learning rate, or the fixed rate, after a share of the run."""
        rate = self.max_learning_rate if self.adaptive_rate else self.learning_rate
        return rate * max(1.0 - progress, 0.0) if self.anneal_learning_rate else rate

    def planned_log_std(self, progress: float) -> float | None:
        """Returns the annealed log standard deviation after a share of the run; None: learned."""
        if self.final_log_std is None:
            return None
        change = self.final_log_std - self.initial_log_std
        return self.initial_log_std + min(progress, 1.0) * change
