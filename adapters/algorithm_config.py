# SPDX-License-Identifier: Apache-2.0
"""AlgorithmConfig: what the settings of all algorithms have alike, and how they are checked.

A configuration is frozen and checked when it is made: an impossible value raises `FieldError`,
which names the field, the value and what is allowed.
"""

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from adapters.seeds import LARGEST_SEED
from motrix_gym.names import did_you_mean, shown
from motrix_gym.settings import is_number

ACTIVATIONS = ("elu", "relu", "tanh")
LARGEST = sys.float_info.max
# Upper limits: larger values would not fit into memory.
MAX_STEPS = 10**12  # of a run
MAX_COUNT = 10**6  # of what is not counted in steps: environments, epochs, ...
MAX_BATCH = 10**9  # environment steps per update
MAX_LAYERS = 32
MAX_WIDTH = 2**14  # of a layer


class FieldError(ValueError):
    """A field is unknown or its value is not allowed; `field` is its name."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


def integer(default: int | None, low: int, high: int = MAX_COUNT) -> Any:
    """Returns a field for integers from low to high."""
    return dataclasses.field(default=default, metadata={"kind": int, "low": low, "high": high})


def number(
    default: float | str | None,
    low: float = 0.0,
    high: float = LARGEST,
    above: bool = False,
    auto: bool = False,
) -> Any:
    """Returns a field for numbers from low (or with `above`, above it) to high, or for "auto"."""
    rule = {"kind": float, "low": low, "high": high, "above": above, "auto": auto}
    return dataclasses.field(default=default, metadata=rule)


def flag(default: bool) -> Any:
    """Returns a field for true and false."""
    return dataclasses.field(default=default, metadata={"kind": bool})


def sizes(*default: int) -> Any:
    """Returns a field for the sizes of one or more layers."""
    return dataclasses.field(default=default, metadata={"kind": tuple})


def one_of(words: tuple[str, ...], default: str) -> Any:
    """Returns a field for one of these words."""
    return dataclasses.field(default=default, metadata={"kind": str, "words": words})


def named_values() -> Any:
    """Returns a field for values by name, or None, which is the default."""
    return dataclasses.field(default=None, metadata={"kind": dict})


def text() -> Any:
    """Returns a field for text that is not empty, or None, which is the default."""
    return dataclasses.field(default=None, metadata={"kind": str})


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """Settings of one run of an algorithm; a subclass adds the algorithm's own.

    A *vector step* steps all `num_envs` environments once; *environment steps* count every
    environment. Whole floats (1.5e7) are accepted for integers, and lists for tuples.

    Attributes:
        algo: The algorithm's name in settings and commands.
        title: What messages call it.
        log_interval: Vector steps between two entries of a run's log, which are as far apart as
            two updates at least.
        rollouts: Vector steps per update; this and what follows are fields in most subclasses.
        rewards_shaper_scale: Multiplies the rewards.
        activation: The function between layers, one of `ACTIVATIONS`.

    Raises:
        FieldError: (a ValueError) a value has the wrong type or range, or the budget is shorter
            than one rollout, or a rollout too large for any memory.
    """

    algo: ClassVar[str]
    title: ClassVar[str]
    log_interval: ClassVar[int] = 1
    rollouts: ClassVar[int]
    rewards_shaper_scale: ClassVar[float]
    activation: ClassVar[str]

    seed: int | None = integer(None, 0, LARGEST_SEED)  # None: drawn by whoever starts the run
    num_envs: int = integer(2048, 1)
    play_num_envs: int = integer(1, 1)  # side by side in `motrix play`
    max_env_steps: int = integer(20_480_000, 1, MAX_STEPS)  # budget in environment steps
    # Task settings, by dotted name, that the training has and the evaluation has not, such as a
    # lower max_episode_steps: short episodes show more of how they begin. Whoever makes the
    # environment heeds them.
    training_env: dict[str, Any] | None = named_values()
    check_point_interval: int = integer(1000, 1, MAX_STEPS)  # in vector steps
    keep_checkpoints: int = integer(0, -1)  # older ones kept beside best and latest; -1: all

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # "| None" in the annotation is what lets a field be None.
            if field.metadata and not (value is None and "None" in str(field.type)):
                object.__setattr__(self, field.name, _checked(field, value))
        self._check()

    def _check(self) -> None:
        """Raises FieldError if fields do not fit together."""
        if self.env_steps_per_update > MAX_BATCH:
            raise FieldError(
                "rollouts",
                f"rollouts={self.rollouts} is too many: one update learns from {self._batch} "
                f"environment steps, at most {MAX_BATCH} are possible",
            )
        if self.vector_steps == 0:
            raise FieldError(
                "max_env_steps",
                f"max_env_steps={self.max_env_steps} is too small a budget: one update needs "
                f"{self._batch} environment steps",
            )

    @property
    def _batch(self) -> str:
        return (
            f"rollouts x num_envs = {self.rollouts} x {self.num_envs} = {self.env_steps_per_update}"
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
        return cls(**cls._known(values))

    def replace(self, **values: Any) -> Self:
        """Returns a checked copy with some values changed.

        Raises:
            FieldError: as `from_dict`.
        """
        return dataclasses.replace(self, **self._known(values))

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as plain values (lists for tuples), ready for YAML or JSON."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @property
    def vector_steps(self) -> int:
        """Vector steps of the run: the budget over num_envs, rounded down to whole rollouts."""
        return self.updates * self.rollouts

    @property
    def updates(self) -> int:
        """Updates of the run."""
        return self.max_env_steps // self.num_envs // self.rollouts

    @property
    def fewest_updates(self) -> int:
        """The least number of updates that the run may turn out to have."""
        return self.updates

    @property
    def env_steps_per_update(self) -> int:
        """Environment steps per update."""
        return self.rollouts * self.num_envs

    @property
    def schedule(self) -> str:
        """A phrase for the user: the steps of each environment."""
        return f"{self.rollouts} steps x {self.updates:,} updates"

    @property
    def networks(self) -> str:
        """A phrase for the user: the hidden layers."""
        names = {"policy": "policy_hidden_layer_sizes", "value": "value_hidden_layer_sizes"}
        sizes = {what: "-".join(map(str, getattr(self, name))) for what, name in names.items()}
        return ", ".join(f"{what} {text}" for what, text in sizes.items())

    @classmethod
    def _known(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Returns the values if there is a field for each, else raises FieldError."""
        for name in values:
            if name not in cls.names():
                hint = did_you_mean(name, cls.names())
                allowed = ", ".join(cls.names())
                message = f"{cls.title} has no setting {shown(name)}{hint}; allowed are: {allowed}"
                raise FieldError(name, message)
        return values


@dataclass(frozen=True, kw_only=True)
class OnPolicyConfig(AlgorithmConfig):
    """Settings of an algorithm that learns from each rollout in mini-batches.

    Raises:
        FieldError: (a ValueError) as `AlgorithmConfig`, or `mini_batches` does not divide the
            batch.
    """

    mini_batches: ClassVar[int]  # a field in subclasses

    def _check(self) -> None:
        super()._check()
        if self.batch_size % self.mini_batches:
            below = max(k for k in divisors(self.batch_size) if k < self.mini_batches)
            raise FieldError(
                "mini_batches",
                f"mini_batches={self.mini_batches} does not divide the batch of {self._batch}; the "
                f"next lower number that does is {below}",
            )

    @property
    def batch_size(self) -> int:
        """Environment steps per update."""
        return self.env_steps_per_update

    @property
    def mini_batch_size(self) -> int:
        """Environment steps per gradient step."""
        return self.batch_size // self.mini_batches


def divisors(number: int) -> list[int]:
    """Returns all divisors of a positive integer, in no order."""
    small = [k for k in range(1, math.isqrt(number) + 1) if number % k == 0]
    return small + [number // k for k in small]


def _checked(field: dataclasses.Field, value: Any) -> Any:
    """Returns the value as the field's plain Python type, or raises FieldError."""
    rule = field.metadata
    if rule["kind"] is bool:
        if isinstance(value, bool):
            return value
        allowed = "true or false"
    elif rule["kind"] is tuple:
        if isinstance(value, list | tuple) and 1 <= len(value) <= MAX_LAYERS:
            if all(_is_whole(size) and 1 <= size <= MAX_WIDTH for size in value):
                return tuple(int(size) for size in value)
        allowed = f"a list of 1 to {MAX_LAYERS} integers from 1 to {MAX_WIDTH}"
    elif rule["kind"] is dict:
        if isinstance(value, dict) and all(isinstance(name, str) for name in value):
            return _plain(value)
        allowed = "'name: value' pairs"
    elif rule["kind"] is int:
        if _is_whole(value) and rule["low"] <= value <= rule["high"]:
            return int(value)
        allowed = f"an integer {_range(rule)}"
    elif rule["kind"] is str and "words" not in rule:
        if isinstance(value, str) and value:
            return value
        allowed = "text that is not empty"
    elif rule["kind"] is str:
        if isinstance(value, str) and value in rule["words"]:
            return value
        allowed = f"one of {', '.join(rule['words'])}{did_you_mean(value, rule['words'])}"
    else:
        if is_number(value):
            inside = rule["low"] < value if rule.get("above") else rule["low"] <= value
            if inside and value <= rule["high"]:
                return float(value)
        if rule["auto"] and value == "auto":
            return value
        allowed = f"{'auto or ' * rule['auto']}a number {_range(rule)}"
    raise FieldError(field.name, f"{field.name}={shown(value)} is not {allowed}")


def _plain(value: Any) -> Any:
    """Returns the value with dictionaries in it as such, and not as kinds of them."""
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def _is_whole(value: Any) -> bool:
    return is_number(value) and value % 1 == 0


def _range(rule: Any) -> str:
    if rule["high"] < LARGEST:
        return f"from {rule['low']} to {rule['high']}"
    if rule["low"] == -LARGEST:
        return "that is finite"
    return f"above {rule['low']}" if rule.get("above") else f"of at least {rule['low']}"
