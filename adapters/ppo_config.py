# SPDX-License-Identifier: Apache-2.0
"""PPOConfig: the settings of one PPO run, the same for every trainer.

Names and defaults are MotrixLab's where it has the setting (`initial_log_std` and `play_num_envs`
apart, 1.0 and 16 there); what it has not is off by default. One block of numbers drives every
library.
"""

from dataclasses import dataclass
from typing import ClassVar

from adapters.algorithm_config import (
    ACTIVATIONS,
    MAX_STEPS,
    FieldError,
    OnPolicyConfig,
    flag,
    integer,
    number,
    one_of,
    sizes,
    text,
)

MIN_LEARNING_RATE = 1e-6  # floor of the KL-adaptive rate
MAX_LOG_STD = 2.0  # skrl's, of actions
OBSERVATION_CLIP = 5.0  # skrl's bound on normalised observations
ADAM_EPSILON = 1e-8  # Torch's and Optax's default, and so skrl's


@dataclass(frozen=True, kw_only=True)
class PPOConfig(OnPolicyConfig):
    """Settings of one PPO run.

    Raises:
        FieldError: (a ValueError) as `OnPolicyConfig`.
    """

    algo: ClassVar[str] = "ppo"
    title: ClassVar[str] = "PPO"

    # The networks.
    policy_hidden_layer_sizes: tuple[int, ...] = sizes(256, 128, 64)
    value_hidden_layer_sizes: tuple[int, ...] = sizes(256, 128, 64)
    # One trunk with two heads: Torch trainers, and only where both tuples of sizes are equal.
    share_policy_value_features: bool = flag(True)
    activation: str = one_of(ACTIVATIONS, "elu")
    initial_log_std: float = number(0.0, -20.0, MAX_LOG_STD)
    # To which that goes linearly over the run, by plan and not by learning; None: it is learned.
    # Wide at first and narrow at last, as in Yarats et al., "Mastering Visual Continuous Control:
    # Improved Data-Augmented Reinforcement Learning", 2021.
    final_log_std: float | None = number(None, -20.0, MAX_LOG_STD)
    normalize_observations: bool = flag(True)
    normalize_values: bool = flag(True)
    mixed_precision: bool = flag(False)  # bfloat16 where trainer and processor have it
    # A policy to start from, weights and normaliser, instead of random weights: a folder with
    # policy.safetensors and policy.json (in a command, also the name of a shipped one, such as
    # "CartPole-v0"). The value starts at random and the spread at initial_log_std; normalised
    # observations are clipped as the trainer clips them.
    initial_policy: str | None = text()

    # Collecting.
    rollouts: int = integer(32, 1)  # vector steps per update
    # First episodes end at random times, so that a rollout sees all phases of an episode.
    stagger_episodes: bool = flag(False)
    # Of an action's noise with that of the step before: noise that lasts moves limbs further.
    # Likelihoods stay those of independent noise, as in Hollenstein et al., "Colored Noise in PPO:
    # Improved Exploration and Performance through Correlated Action Sampling", 2024.
    noise_correlation: float = number(0.0, 0.0, 0.99)
    random_timesteps: int = integer(0, 0, MAX_STEPS)
    learning_starts: int = integer(0, 0, MAX_STEPS)
    time_limit_bootstrap: bool = flag(True)
    rewards_shaper_scale: float = number(1.0, above=True)
    discount_factor: float = number(0.99, 0.0, 1.0)
    lambda_param: float = number(0.95, 0.0, 1.0)

    # Learning.
    # Learns from each sample or, as often, from its mirror image (`motrix_gym.Mirror.image`); the
    # task must have a mirror.
    symmetry_augmentation: bool = flag(False)
    learning_epochs: int = integer(2, 1)
    mini_batches: int = integer(32, 1)
    learning_rate: float = number(1e-3, above=True)
    # The rate follows the measured KL divergence around this value; 0 or None: a fixed rate.
    learning_rate_scheduler_kl_threshold: float | None = number(0.008)
    max_learning_rate: float = number(1e-3, MIN_LEARNING_RATE)  # ceiling of the KL-adaptive rate
    # The ceiling, or a fixed rate, falls linearly to nothing over the run.
    anneal_learning_rate: bool = flag(False)
    grad_norm_clip: float = number(1.0)  # 0: no clipping
    ratio_clip: float = number(0.2, above=True)
    value_clip: float = number(0.2)
    clip_predicted_values: bool = flag(True)
    entropy_loss_scale: float = number(0.0)
    value_loss_scale: float = number(2.0)
    # Weight of the squared distance of mean actions from the action box. What is bounded to the box
    # does the same however far outside, so the noise of an action that strays there is lost, and
    # with it the way back.
    bounds_loss_scale: float = number(0.0)
    kl_threshold: float = number(0.0)  # ends an update early; 0: never

    def _check(self) -> None:
        self._check_refused()
        self._check_rates()
        super()._check()

    def _check_refused(self) -> None:
        for name in ("random_timesteps", "learning_starts"):
            if getattr(self, name) != 0:
                raise FieldError(
                    name,
                    f"{name}={getattr(self, name)!r} is not supported, only 0 is: PPO is on-policy "
                    "and learns from its own actions from the first step on",
                )
        if not self.time_limit_bootstrap:
            raise FieldError(
                "time_limit_bootstrap",
                "time_limit_bootstrap=False is not supported, only True is: a time limit is not "
                "the end of the task, so the value of the final observation is always added",
            )

    def _check_rates(self) -> None:
        if self.adaptive_rate and self.learning_rate > self.max_learning_rate:
            raise FieldError(
                "learning_rate",
                f"learning_rate={self.learning_rate!r} is above max_learning_rate="
                f"{self.max_learning_rate!r}, the ceiling of the KL-adaptive rate: lower the one, "
                "raise the other, or set learning_rate_scheduler_kl_threshold=0 for a fixed rate",
            )

    @property
    def adaptive_rate(self) -> bool:
        """Whether the learning rate follows the KL divergence."""
        return bool(self.learning_rate_scheduler_kl_threshold)

    def highest_rate(self, progress: float) -> float:
        """Returns the ceiling of the learning rate, or the fixed rate, after a share of the run."""
        rate = self.max_learning_rate if self.adaptive_rate else self.learning_rate
        return rate * max(1.0 - progress, 0.0) if self.anneal_learning_rate else rate

    def planned_log_std(self, progress: float) -> float | None:
        """Returns the log standard deviation after a share of the run; None: it is learned."""
        if self.final_log_std is None:
            return None
        change = self.final_log_std - self.initial_log_std
        return self.initial_log_std + min(progress, 1.0) * change
