# SPDX-License-Identifier: Apache-2.0
"""Symmetries of a task: its observations and actions when left and right are exchanged.

A joint without limits adds a second symmetry: after a full turn it is where it was.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Reflection:
    """A reflection of arrays: entry i of the result is ``sign[i]`` times entry ``source[i]``.

    Attributes:
        source: a permutation of 0..size-1 that undoes itself.
        sign: 1.0 or -1.0 each.
    """

    source: tuple[int, ...]
    sign: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that to reflect twice changes nothing.

        Raises:
            ValueError: if it does; the message names the first such entry.
        """
        if len(self.source) != len(self.sign):
            raise ValueError(f"{len(self.source)} sources and {len(self.sign)} signs")
        for i, (j, sign) in enumerate(zip(self.source, self.sign, strict=True)):
            if not (0 <= j < len(self.source) and self.source[j] == i):
                raise ValueError(f"entry {i} mirrors {j}, which does not mirror {i}")
            if sign not in (1.0, -1.0) or self.sign[j] != sign:
                raise ValueError(f"entries {i} and {j} have signs {sign} and {self.sign[j]}")

    def __add__(self, other: "Reflection") -> "Reflection":
        """The reflection of this one's entries followed by the other's."""
        shifted = tuple(len(self.source) + i for i in other.source)
        return Reflection(self.source + shifted, self.sign + other.sign)

    def __call__(self, x: Any) -> Any:
        """The mirrored array (..., size), of NumPy or JAX."""
        return x[..., self._source] * self._sign

    @cached_property
    def _source(self) -> np.ndarray:
        return np.array(self.source, np.int64)

    @cached_property
    def _sign(self) -> np.ndarray:
        return np.array(self.sign, np.float32)


def signs(*sign: float) -> Reflection:
    """A reflection that exchanges no entries."""
    return Reflection(tuple(range(len(sign))), sign)


def exchange(size: int) -> Reflection:
    """A reflection that exchanges the first ``size`` entries with as many that follow them."""
    return Reflection((*range(size, 2 * size), *range(size)), (1.0,) * (2 * size))


@dataclass(frozen=True)
class Mirror:
    """A task's left-right symmetry.

    Mirror a state and an action, and the next state is mirrored as well. Rewards, terminations and
    metrics are the same.

    Attributes:
        observation: the reflection of observations.
        action: the reflection of actions.
        full_turns: entries of the observation that are angles of joints without limits (rad). They
            are reflected and then shifted by 2 pi towards 0, which is the same state. So what was
            learned of an angle also holds one turn further, after a somersault.
    """

    observation: Reflection
    action: Reflection
    full_turns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the entries.

        Raises:
            ValueError: if an observation has no such entry; the message names the first.
        """
        size = len(self.observation.source)
        for i in self.full_turns:
            if not 0 <= i < size:
                raise ValueError(f"full_turns has entry {i}, an observation has 0 to {size - 1}")

    def image(self, observation: Any) -> Any:
        """The mirror images of observations (..., size), of NumPy or JAX."""
        image = self.observation(observation)
        if self.full_turns:
            image = image + self.turns * (image <= 0) - self.turns * (image > 0)
        return image

    @cached_property
    def turns(self) -> np.ndarray:
        """(size,) 2 pi for each of ``full_turns``, 0 for the rest."""
        turns = np.zeros(len(self.observation.source), np.float32)
        turns[list(self.full_turns)] = 2 * np.pi
        return turns
