# SPDX-License-Identifier: Apache-2.0
"""Counter-based random streams: one per environment, drawn for many environments at once.

Draw number k of a stream is a hash of (key, k), so a stream needs no state but its key and a
counter. What environment i draws depends on its seed and on how much it has drawn before, and
on nothing else: neither on the number of environments nor on the resets of the others.

The hash is the output function of SplitMix64 (Steele, Lea & Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014), which passes BigCrush.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TWO_TO_MINUS_53 = 2.0**-53
_TWO_TO_MINUS_24 = np.float32(2.0**-24)

MAX_SEED = 2**64 - 1

Size = int | tuple[int, ...]


def _mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's output function, element by element, in place on uint64."""
    z ^= z >> np.uint64(30)
    z *= _MIX_1
    z ^= z >> np.uint64(27)
    z *= _MIX_2
    z ^= z >> np.uint64(31)
    return z


class RandomStreams:
    """The random streams of ``num_envs`` environments.

    Attributes:
        key: (num_envs,) uint64, the streams' identities.
        count: (num_envs,) uint64, how many 64-bit words each stream has given.
    """

    def __init__(self, num_envs: int):
        """Create unseeded streams; ``seed`` must be called before they are used."""
        self.key = np.zeros(num_envs, np.uint64)
        self.count = np.zeros(num_envs, np.uint64)

    def seed(self, seeds: Sequence[int] | np.ndarray, rows: Any = slice(None)) -> None:
        """Restart the streams of ``rows`` from ``seeds``, one integer >= 0 each, modulo 2**64."""
        words = np.array([int(s) & MAX_SEED for s in seeds], np.uint64)
        # Hashed twice, so that neighbouring seeds start far from one another.
        self.key[rows] = _mix(_mix(words + _GOLDEN) + _GOLDEN)
        self.count[rows] = 0

    def rows(self, rows: Any = slice(None)) -> "RowRandom":
        """The streams of ``rows`` (a slice or an index array), to draw from."""
        return RowRandom(self, rows)


class RowRandom:
    """Draws for some rows: every method returns (n, *size), row i from stream i."""

    def __init__(self, streams: RandomStreams, rows: Any):
        """Draw from the ``rows`` of ``streams``, whose counters advance."""
        self._streams, self._rows = streams, rows

    def select(self, ids: np.ndarray) -> "RowRandom":
        """The streams of some of these rows, ``ids`` counting within them."""
        rows = np.arange(len(self._streams.key))[self._rows][ids]
        return RowRandom(self._streams, rows)

    def _words(self, count: int) -> np.ndarray:
        """(n, count) uint64 random words."""
        start = self._streams.count[self._rows]
        lanes = start[:, None] + np.arange(count, dtype=np.uint64)
        self._streams.count[self._rows] = start + np.uint64(count)
        lanes *= _GOLDEN
        lanes += self._streams.key[self._rows][:, None]
        return _mix(lanes)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Size = ()) -> np.ndarray:
        """(n, *size) float64, uniform on [low, high); bounds broadcast against ``size``."""
        shape = (size,) if isinstance(size, int) else size
        words = self._words(int(np.prod(shape)))
        unit = (words >> np.uint64(11)) * _TWO_TO_MINUS_53
        unit = unit.reshape(-1, *shape)
        return low + (np.asarray(high) - low) * unit

    def uniform32(self, size: int) -> np.ndarray:
        """(n, size) float32, uniform on [-1, 1), for noise: uses half as many random words."""
        halves = self._words((size + 1) // 2).view(np.uint32)[:, :size]
        return (halves >> np.uint32(8)).astype(np.float32) * (2 * _TWO_TO_MINUS_24) - np.float32(1)

    def normal(self, mean: Any = 0.0, std: Any = 1.0, size: Size = ()) -> np.ndarray:
        """(n, *size) float64, normal, by the Box-Muller transform."""
        shape = (size,) if isinstance(size, int) else size
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(size=shape)))
        return mean + std * radius * np.cos(2.0 * np.pi * self.uniform(size=shape))

    def integers(self, low: int, high: int, size: Size = ()) -> np.ndarray:
        """(n, *size) int64, uniform on low, ..., high - 1."""
        if high <= low:
            raise ValueError(f"integers() needs low < high, got low={low}, high={high}")
        return np.floor(self.uniform(low, high, size)).astype(np.int64)
