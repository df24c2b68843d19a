# SPDX-License-Identifier: Apache-2.0
"""Ranks: the processes of one training, each of which learns from the samples of all.

Every rank has environments and random streams of its own. Gradients, divergences and the moments
of normalisers are means over the ranks, so all ranks always hold the same weights, bit by bit. A
training in one process has `Ranks()`, for which every mean is what was given.

torchrun, or `motrix train --processes`, starts the processes and tells each its place in the
environment variables `RANK`, `WORLD_SIZE`, `LOCAL_RANK` and `LOCAL_WORLD_SIZE`.
"""

import contextlib
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from safetensors.numpy import load

from adapters.algorithm_config import AlgorithmConfig, FieldError
from adapters.states import with_prefix, without_prefix
from motrix_gym.files import pack_arrays

TIMEOUT = "MOTRIX_RANKS_TIMEOUT"  # seconds that a rank waits for the others
LAUNCHED = "MOTRIX_LAUNCHED"  # set if the launcher tells which rank is lost
LOST = "ended, or is out of reach"
RESTS = "rank/"  # prefix of the arrays of a state that belong to another rank than the first
COUNT = "ranks"  # name of the array of a state that tells how many ranks there were

Arrays = dict[str, np.ndarray]
Config = TypeVar("Config", bound=AlgorithmConfig)


class RanksError(RuntimeError):
    """The ranks cannot work together, or one of them is lost; the message is for the user.

    It is empty where another rank tells the reason.
    """


class Place(NamedTuple):
    """Where a process stands among the ranks of a training, and on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def of_environment(cls) -> "Place":
        """Returns the place that a launcher gave to this process.

        Raises:
            RanksError: some variables are missing, or are not such numbers.
        """
        if "WORLD_SIZE" not in os.environ:
            return cls()
        names = {"rank": "RANK", "size": "WORLD_SIZE"}
        names |= {"local_rank": "LOCAL_RANK", "local_size": "LOCAL_WORLD_SIZE"}
        found = {field: os.environ.get(name, "") for field, name in names.items()}
        for field, text in found.items():
            if not (text.isascii() and text.isdigit()):
                raise RanksError(
                    f"{names[field]}={text!r} is not a number: torchrun and motrix train "
                    "--processes set it"
                )
        place = cls(**{field: int(text) for field, text in found.items()})
        if not (place.rank < place.size and place.local_rank < place.local_size <= place.size):
            given = " ".join(f"{names[field]}={text}" for field, text in found.items())
            raise RanksError(f"{given}: a rank is below the number of ranks")
        return place

    def share(self, config: Config) -> Config:
        """Returns the settings of one rank: `num_envs` and the budget are divided.

        Raises:
            FieldError: the ranks do not divide the environments, or `mini_batches` their share.
        """
        if self.size == 1:
            return config
        count, rest = divmod(config.num_envs, self.size)
        if rest or not count:
            below = count * self.size
            hint = f"; the next lower number that they do is {below}" if below else ""
            raise FieldError(
                "num_envs",
                f"num_envs={config.num_envs}: {self.size} processes do not divide it{hint}",
            )
        values = {"num_envs": count, "max_env_steps": config.max_env_steps // self.size}
        try:
            return config.replace(**values)
        except FieldError as error:
            raise FieldError(
                error.field, f"in each of {self.size} processes, with num_envs={count}: {error}"
            ) from error

    def threads(self) -> int:
        """Returns how many threads this process may use; 0 (all cores) if it is alone."""
        return max(cores() // self.local_size, 1) if self.size > 1 else 0


class Ranks:
    """One process alone: it is the first rank, and the only one.

    Attributes:
        place: Where this process stands.
        timeout: Seconds that a rank waits for the others.
    """

    place = Place()
    timeout = 30.0

    @property
    def rank(self) -> int:
        """The number of this rank, from 0."""
        return self.place.rank

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return self.place.size

    def stacked(self, array: Any) -> np.ndarray:
        """Returns arrays (...) of all ranks as (size, ...), in their order."""
        return np.asarray(array)[None]

    def joined(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns each array (n, ...) with those of the other ranks, as (size * n, ...)."""
        return arrays

    def mean(self, array: Any) -> Any:
        """Returns the mean over the ranks."""
        return array

    def mean_by_name(self, values: dict[str, float]) -> dict[str, float]:
        """Returns the mean of each value over the ranks; all have values of the same names."""
        return values

    def moments(
        self, mean: Any, variance: Any, count: int, *, ddof: int = 0
    ) -> tuple[Any, Any, int]:
        """Returns mean, variance and number of the samples of all ranks.

        Args:
            mean: Of this rank's samples.
            variance: Their squared distances from it, summed and divided by `count` - `ddof`.
            count: How many samples each rank has.
            ddof: As NumPy's: 1 for the unbiased variance.
        """
        return mean, variance, count

    def tree_mean(self, tree: Any) -> Any:
        """Returns the mean of a tree of JAX's arrays, in a compiled function."""
        return tree

    def spread(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function of JAX's arrays, compiled, that all ranks call at once.

        In it, `tree_mean` works; the arrays of its first argument are lost.
        """
        import jax

        return jax.jit(function, donate_argnums=0)

    def average(self, tensors: Sequence[Any]) -> None:
        """Replaces tensors of the learning library by their means over the ranks."""

    def gathered(self, value: Any) -> list[Any]:
        """Returns plain values (as JSON has them) of all ranks."""
        return [value]

    def any(self, flag: bool) -> bool:
        """Returns whether a flag is set in any rank."""
        return any(self.gathered(flag))

    def gathered_arrays(self, arrays: Arrays) -> list[Arrays]:
        """Returns the arrays of each rank in the first rank, and [] in the others."""
        return [arrays]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is done in it fails in all ranks if it fails in one.

        Raises:
            RanksError: it failed in another rank, which tells the reason.
        """
        yield

    def fail(self) -> None:
        """Tells the others that this rank has failed and says why, before it ends."""

    def close(self) -> None:
        """Leaves the others, with which nothing more is to be done."""

    def whole_state(self, state: Arrays, own: Sequence[str]) -> Arrays:
        """Returns a trainer's state with the parts of all ranks, in the first; in others {}.

        Args:
            state: The state of this rank.
            own: Beginnings of the names of arrays that differ by rank.

        Raises:
            RanksError: others than those differ.
        """
        return state

    def part_of_state(self, state: Arrays, own: Sequence[str], fresh: Arrays | None) -> Arrays:
        """Returns what a rank restores of a `whole_state`.

        Args:
            state: The whole state.
            own: As `whole_state`.
            fresh: A state of this rank that has not begun. Its own parts are taken if the state is
                of another number of ranks; with None, that is refused.

        Raises:
            RanksError: the state is of another number of ranks.
        """
        count = int(state.get(COUNT, 1))
        common = {k: v for k, v in state.items() if k != COUNT and not k.startswith(RESTS)}
        if count == self.size:
            return common | without_prefix(f"{RESTS}{self.rank}/", state)
        if fresh is None:
            raise RanksError(
                f"it was trained by {_processes(count)} and cannot go on exactly with "
                f"{self.size}: use as many, or --reshard to begin new episodes, with other "
                "random numbers"
            )
        mine = tuple(own)
        kept = {k: v for k, v in common.items() if not k.startswith(mine)}
        return kept | {k: v for k, v in fresh.items() if k.startswith(mine)}


ALONE = Ranks()


def _run_as_a_batch_job() -> None:
    """Sets Linux's scheduling policy SCHED_BATCH, for this thread and those that it starts.

    A thread that wakes up then does not interrupt the one that runs. By default it does: gloo's
    thread wakes up for each message, interrupts the thread that sends, and polls in vain until
    Linux switches back, after 4 ms if both share a core. With this policy, a mean of 4 kB over two
    processes takes 0.14 ms.
    """
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # where a sandbox does not allow it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class SeveralRanks(Ranks, ABC):
    """One of several processes; a subclass connects them by a library.

    Args:
        place: Where this process stands.

    Raises:
        RanksError: (by the methods) another rank is lost, or does not answer in time.
    """

    def __init__(self, place: Place):
        self.place = place
        self.timeout = float(os.environ.get(TIMEOUT, self.timeout))
        _run_as_a_batch_job()

    def not_met(self, address: str) -> RanksError:
        """Returns the error for ranks that do not meet at an address in time."""
        return RanksError(
            f"rank {self.place.rank} did not meet the other {self.place.size - 1} at {address} "
            f"within {self.timeout:g} s: is every process started, and can it reach that address?"
        )

    @abstractmethod
    def stacked(self, array: Any) -> np.ndarray:
        """Returns arrays (...) of all ranks as (size, ...), in their order."""

    def joined(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.concatenate(self.stacked(array)) for array in arrays)

    def mean(self, array: Any) -> Any:
        return self.stacked(array).mean(axis=0)

    def mean_by_name(self, values: dict[str, float]) -> dict[str, float]:
        means = self.mean(np.array(list(values.values()), np.float64))
        return dict(zip(values, means.tolist(), strict=True))

    def moments(
        self, mean: Any, variance: Any, count: int, *, ddof: int = 0
    ) -> tuple[Any, Any, int]:
        pair = np.stack([mean, variance]).astype(np.float64)
        means, variances = np.moveaxis(self.stacked(pair), 1, 0)
        mean = means.mean(axis=0)
        squares = (count - ddof) * variances.sum(axis=0) + count * ((means - mean) ** 2).sum(axis=0)
        total = count * self.size
        return mean, squares / (total - ddof), total

    def gathered(self, value: Any) -> list[Any]:
        data = np.frombuffer(json.dumps(value).encode(), np.uint8)
        return [json.loads(bytes(part)) for part in self._parts(data)]

    def gathered_arrays(self, arrays: Arrays) -> list[Arrays]:
        data = np.frombuffer(pack_arrays(arrays), np.uint8)
        parts = self._parts(data)
        return [] if self.rank else [load(bytes(part)) for part in parts]

    def _parts(self, data: np.ndarray) -> list[np.ndarray]:
        """Returns the bytes of each rank, however many these are."""
        lengths = self.stacked(np.array(len(data)))
        padded = np.pad(data, (0, lengths.max() - len(data)))
        return [part[:n] for part, n in zip(self.stacked(padded), lengths, strict=True)]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        failure = None
        try:
            yield
        except RanksError:
            raise
        except Exception as error:
            failure = error
        try:
            failed = [rank for rank, bad in enumerate(self.gathered(failure is not None)) if bad]
        except RanksError:  # the others are elsewhere
            failed = [self.rank] if failure else []
            if not failure:
                raise
        if failed:
            raise failure if failure and failed[0] == self.rank else RanksError("")

    def whole_state(self, state: Arrays, own: Sequence[str]) -> Arrays:
        mine = {k: v for k, v in state.items() if k.startswith(tuple(own))}
        common = {k: v for k, v in state.items() if k not in mine}
        digests = self.gathered(hashlib.sha256(pack_arrays(common)).hexdigest())
        if others := [rank for rank, digest in enumerate(digests) if digest != digests[0]]:
            why = f"the weights of ranks {others} are not those of rank 0"
            raise RanksError("" if self.rank else why)
        whole = common | {COUNT: np.array(self.size)}
        for rank, arrays in enumerate(self.gathered_arrays(mine)):
            whole |= with_prefix(f"{RESTS}{rank}/" if rank else "", arrays)
        return {} if self.rank else whole


_current = ALONE


def current() -> Ranks:
    """Returns the ranks of this process's training."""
    return _current


def set_current(ranks: Ranks) -> None:
    """Makes these the ranks of the trainers that are made afterwards."""
    global _current
    _current = ranks


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Hides from libraries that there are several ranks.

    When it is imported, skrl would connect them by NCCL, which needs GPUs.
    """
    size = os.environ.pop("WORLD_SIZE", None)
    try:
        yield
    finally:
        if size is not None:
            os.environ["WORLD_SIZE"] = size


def cores() -> int:
    """Returns on how many cores this process may run."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count} processes"
