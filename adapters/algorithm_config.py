# SPDX-License-Identifier: Apache-2.0
"""AlgorithmConfig: the settings that all algorithms share, and how settings are checked.

A configuration is frozen and checked when it is made: an impossible value raises `FieldError`,
which names the field, the value and what is allowed.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from adapters.run_config import MAX_COUNT, MAX_STEPS, RunConfig
from adapters.stages import Stage, read_stages
from motrix_gym.names import did_you_mean, shown
from motrix_gym.settings import FieldError, described, make_plain, values_by_name, whole

ACTIVATIONS = ("elu", "relu", "tanh")
MAX_BATCH = 10**9  # environment steps per update; more would not fit into memory


@described
@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig(RunConfig):
    """Settings of one run of an algorithm; a subclass adds the algorithm's own.

    A *vector step* steps all `num_envs` environments once; *environment steps* count every
    environment. Whole floats (1.5e7) are accepted for whole numbers, and lists for tuples.

    Attributes:
        algo: The algorithm's name in settings and commands.
        title: What messages call it.
        log_interval: Vector steps between two entries of a run's log. There is at most one entry
            per update.
        aliases: Other names of settings, such as MotrixLab's -> the names here. `from_dict` and
            `replace` read both.
        only: Settings of other programs that have a single value here -> that value, and why.
            `from_dict` and `replace` accept the value and drop it.
        privileged_setting: The setting with which something in the training sees the task's
            privileged channels, which the policy does not; "" for none.
        stages: The stages of a training in stages, a field of PPO's; None for others.
        rollouts: Vector steps per update; this and what follows are fields in most subclasses.
        rewards_shaper_scale: Multiplies the rewards.
        activation: The function between layers, one of `ACTIVATIONS`.

    Raises:
        FieldError: (a ValueError) a value has the wrong type or range, or the budget is shorter
            than one rollout, or a rollout is too large for any memory.
    """

    algo: ClassVar[str]
    title: ClassVar[str]
    log_interval: ClassVar[int] = 1
    aliases: ClassVar[Mapping[str, str]] = {}
    only: ClassVar[Mapping[str, tuple[Any, str]]] = {}
    privileged_setting: ClassVar[str] = ""
    stages: ClassVar[tuple[dict[str, Any], ...] | None] = None
    rollouts: ClassVar[int]
    rewards_shaper_scale: ClassVar[float]
    activation: ClassVar[str]

    num_envs: int = whole(
        2048, least=1, most=MAX_COUNT, doc="Environments side by side in the training."
    )
    max_env_steps: int = whole(
        20_480_000,
        least=1,
        most=MAX_STEPS,
        unit="environment steps",
        doc="Budget of the run, rounded down to whole updates.",
    )
    training_env: dict[str, Any] | None = values_by_name(
        doc="Task settings, by dotted name, of the training alone and not of the evaluation, such "
        "as a lower max_episode_steps: short episodes show more of how they begin."
    )

    def __post_init__(self):
        make_plain(self)
        # Each stage checks its settings, of which these are the defaults.
        _ = self.stage_list if self.stages else self._check()

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
    def stage_list(self) -> tuple[Stage, ...]:
        """The stages; () where there are none."""
        return read_stages(self) if self.stages else ()

    @property
    def last_stage(self) -> Self:
        """The settings of the last stage; where there are none, these settings."""
        return self.stage_list[-1].config if self.stages else self

    @property
    def sees_privileged(self) -> bool:
        """Whether the training's environment must have the task's privileged channels."""
        return bool(self.privileged_setting and getattr(self, self.privileged_setting))

    @property
    def _batch(self) -> str:
        return (
            f"rollouts x num_envs = {self.rollouts} x {self.num_envs} = {self.env_steps_per_update}"
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Makes a configuration of named values; the rest is default.

        Raises:
            FieldError: a name is unknown (the nearest is offered), or a value is not allowed, or
                one setting is given by two names.
        """
        return cls(**cls.by_our_names(values))

    def replace(self, **values: Any) -> Self:
        """Returns a checked copy with some values changed.

        Raises:
            FieldError: as `from_dict`.
        """
        return dataclasses.replace(self, **self.by_our_names(values))

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as plain values (lists for tuples), ready for YAML or JSON."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def by_our_names(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns values by the names of fields, `aliases` replaced.

        Raises:
            FieldError: a name is unknown (the nearest is offered), one setting is given by two
                names, or one that has a single value has another.
        """
        found: dict[str, Any] = {}
        for name, value in values.items():
            if name in cls.only:
                _check_only(name, value, *cls.only[name])
                continue
            ours = cls.aliases.get(name, name)
            if ours not in cls.names():
                hint = did_you_mean(name, (*cls.names(), *cls.aliases))
                allowed = ", ".join(cls.names())
                message = f"{cls.title} has no setting {shown(name)}{hint}; allowed are: {allowed}"
                raise FieldError(name, message)
            if ours in found:
                other = next(n for n in values if n != name and cls.aliases.get(n, n) == ours)
                raise FieldError(name, f"{other} and {name} are one setting: give one of them")
            found[ours] = value
        return found

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


def _check_only(name: str, value: Any, only: Any, reason: str) -> None:
    """Raises FieldError unless a setting that has a single value has that."""
    if value != only or isinstance(value, bool) != isinstance(only, bool):
        raise FieldError(name, f"{name}={shown(value)} is not supported, only {only} is: {reason}")


@described
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
        check_mini_batches(self.mini_batches, self.batch_size, f"the batch of {self._batch}")

    @property
    def batch_size(self) -> int:
        """Environment steps per update."""
        return self.env_steps_per_update

    @property
    def mini_batch_size(self) -> int:
        """Environment steps per gradient step."""
        return self.batch_size // self.mini_batches


def check_mini_batches(count: int, size: int, what: str) -> None:
    """Raises FieldError unless so many mini-batches divide a size, which `what` puts in words."""
    if size % count:
        below = max(k for k in divisors(size) if k < count)
        raise FieldError(
            "mini_batches",
            f"mini_batches={count} does not divide {what}; the next lower number that does is "
            f"{below}",
        )


def divisors(number: int) -> list[int]:
    """Returns all divisors of a positive integer, in no order."""
    small = [k for k in range(1, math.isqrt(number) + 1) if number % k == 0]
    return small + [number // k for k in small]
