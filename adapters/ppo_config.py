# SPDX-License-Identifier: Apache-2.0
"""PPOConfig: the settings of one PPO run, the same for every trainer.

Names and defaults are MotrixLab's (`initial_log_std` and `play_num_envs` apart, 1.0 and 16 there),
so that one block of numbers drives every library. A configuration is frozen and checked when it is
made: an impossible value raises `FieldError`, which names the field, the value and what is allowed.
"""

import dataclasses
import numbers
import sys
from dataclasses import dataclass
from typing import Any, Self

from motrix_gym.names import did_you_mean

ACTIVATIONS = ("elu", "relu", "tanh")
MIN_LEARNING_RATE = 1e-6  # floor of the KL-adaptive rate
LARGEST = sys.float_info.max


class FieldError(ValueError):
    """A field is unknown or its value is not allowed; `field` is its name."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


def _integer(default: int | None, low: int, high: int = 10**12) -> Any:
    return dataclasses.field(default=default, metadata={"kind": int, "low": low, "high": high})


def _number(default: float, low: float = 0.0, high: float = LARGEST, above: bool = False) -> Any:
    rule = {"kind": float, "low": low, "high": high, "above": above}
    return dataclasses.field(default=default, metadata=rule)


def _flag(default: bool) -> Any:
    return dataclasses.field(default=default, metadata={"kind": bool})


def _sizes(*default: int) -> Any:
    return dataclasses.field(default=default, metadata={"kind": tuple})


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Settings of one PPO run.

    A *vector step* steps all `num_envs` environments once; *environment steps* count every
    environment. Whole floats (1.5e7) are accepted for integers, and lists for tuples.

    Raises:
        FieldError: (a ValueError) a value has the wrong type or range, `mini_batches` does not
            divide the batch, or the budget is shorter than one rollout.
    """

    # The run.
    seed: int | None = _integer(None, 0, 2**32 - 1)  # None: drawn by whoever starts the run
    num_envs: int = _integer(2048, 1)
    play_num_envs: int = _integer(1, 1)  # side by side in `motrix play`
    max_env_steps: int = _integer(20_480_000, 1)  # budget in environment steps
    check_point_interval: int = _integer(1000, 1)  # in vector steps
    keep_checkpoints: int = _integer(0, -1)  # older ones kept beside best and latest; -1: all

    # The networks.
    policy_hidden_layer_sizes: tuple[int, ...] = _sizes(256, 128, 64)
    value_hidden_layer_sizes: tuple[int, ...] = _sizes(256, 128, 64)
    # One trunk with two heads: Torch trainers, and only where both tuples of sizes are equal.
    share_policy_value_features: bool = _flag(True)
    activation: str = "elu"
    initial_log_std: float = _number(0.0, -20.0, 2.0)
    normalize_observations: bool = _flag(True)
    normalize_values: bool = _flag(True)
    mixed_precision: bool = _flag(False)  # bfloat16 where trainer and processor have it

    # Collecting.
    rollouts: int = _integer(32, 1)  # vector steps per update
    random_timesteps: int = _integer(0, 0)
    learning_starts: int = _integer(0, 0)
    time_limit_bootstrap: bool = _flag(True)
    rewards_shaper_scale: float = _number(1.0, above=True)
    discount_factor: float = _number(0.99, 0.0, 1.0)
    lambda_param: float = _number(0.95, 0.0, 1.0)

    # Learning.
    # Learns from each sample or, as often, from its mirror image; the task must have a mirror.
    symmetry_augmentation: bool = _flag(False)
    learning_epochs: int = _integer(2, 1)
    mini_batches: int = _integer(32, 1)
    learning_rate: float = _number(1e-3, above=True)
    # The rate follows the measured KL divergence around this value; 0 or None: a fixed rate.
    learning_rate_scheduler_kl_threshold: float | None = _number(0.008)
    max_learning_rate: float = _number(1e-3, MIN_LEARNING_RATE)  # ceiling of the KL-adaptive rate
    grad_norm_clip: float = _number(1.0)  # 0: no clipping
    ratio_clip: float = _number(0.2, above=True)
    value_clip: float = _number(0.2)
    clip_predicted_values: bool = _flag(True)
    entropy_loss_scale: float = _number(0.0)
    value_loss_scale: float = _number(2.0)
    kl_threshold: float = _number(0.0)  # ends an update early; 0: never

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # "| None" in the annotation is what lets a field be None.
            if field.metadata and not (value is None and "None" in str(field.type)):
                object.__setattr__(self, field.name, _checked(field, value))
        self._check_refused()
        self._check_rates()
        self._check_counts()

    def _check_refused(self) -> None:
        if not isinstance(self.activation, str) or self.activation not in ACTIVATIONS:
            hint = did_you_mean(self.activation, ACTIVATIONS)
            raise FieldError(
                "activation",
                f"activation={self.activation!r} is not one of {', '.join(ACTIVATIONS)}{hint}",
            )
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

    def _check_counts(self) -> None:
        batch = f"rollouts x num_envs = {self.rollouts} x {self.num_envs} = {self.batch_size}"
        if self.batch_size % self.mini_batches:
            start = min(self.mini_batches, self.batch_size)
            below = next(k for k in range(start, 0, -1) if self.batch_size % k == 0)
            raise FieldError(
                "mini_batches",
                f"mini_batches={self.mini_batches} does not divide the batch of {batch}; the next "
                f"lower number that does is {below}",
            )
        if self.vector_steps == 0:
            raise FieldError(
                "max_env_steps",
                f"max_env_steps={self.max_env_steps} is too small a budget: one update needs "
                f"{batch} environment steps",
            )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Returns the names of all fields."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Makes a configuration of named values; the rest is default.

        Raises:
            FieldError: a name is unknown (the nearest is offered), or a value is not allowed.
        """
        return cls(**_known(values))

    def replace(self, **values: Any) -> Self:
        """Returns a checked copy with some values changed.

        Raises:
            FieldError: as `from_dict`.
        """
        return dataclasses.replace(self, **_known(values))

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as plain values (lists for tuples), ready for YAML or JSON."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @property
    def adaptive_rate(self) -> bool:
        """Whether the learning rate follows the KL divergence."""
        return bool(self.learning_rate_scheduler_kl_threshold)

    @property
    def vector_steps(self) -> int:
        """Vector steps of the run: the budget over num_envs, rounded down to whole rollouts."""
        return self.updates * self.rollouts

    @property
    def max_batch_env_steps(self) -> int:
        """MotrixLab's name for `vector_steps`."""
        return self.vector_steps

    @property
    def updates(self) -> int:
        """Updates of the run."""
        return self.max_env_steps // self.num_envs // self.rollouts

    @property
    def batch_size(self) -> int:
        """Environment steps per update."""
        return self.rollouts * self.num_envs

    @property
    def mini_batch_size(self) -> int:
        """Environment steps per gradient step."""
        return self.batch_size // self.mini_batches


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the values if PPOConfig has a field for each, else raises FieldError."""
    for name in values:
        if name not in PPOConfig.names():
            hint = did_you_mean(name, PPOConfig.names())
            allowed = ", ".join(PPOConfig.names())
            raise FieldError(name, f"PPO has no setting {name!r}{hint}; allowed are: {allowed}")
    return values


def _checked(field: dataclasses.Field, value: Any) -> Any:
    """Returns the value as the field's plain Python type, or raises FieldError."""
    rule = field.metadata
    if rule["kind"] is bool:
        if isinstance(value, bool):
            return value
        allowed = "true or false"
    elif rule["kind"] is tuple:
        if isinstance(value, list | tuple) and value:
            if all(_is_whole(size) and size > 0 for size in value):
                return tuple(int(size) for size in value)
        allowed = "a list of one or more positive integers"
    elif rule["kind"] is int:
        if _is_whole(value) and rule["low"] <= value <= rule["high"]:
            return int(value)
        allowed = f"an integer {_range(rule)}"
    else:
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            inside = rule["low"] < value if rule["above"] else rule["low"] <= value
            if inside and value <= rule["high"]:
                return float(value)
        allowed = f"a number {_range(rule)}"
    raise FieldError(field.name, f"{field.name}={value!r} is not {allowed}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and value % 1 == 0


def _range(rule: Any) -> str:
    if rule["high"] < LARGEST:
        return f"from {rule['low']} to {rule['high']}"
    return f"above {rule['low']}" if rule.get("above") else f"of at least {rule['low']}"
