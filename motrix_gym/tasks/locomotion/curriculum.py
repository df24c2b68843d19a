# SPDX-License-Identifier: Apache-2.0
"""A curriculum over a terrain's levels: the ground gets harder as the policy succeeds.

Each environment keeps a level for each kind of ground. An episode raises the level of its kind by
one if the robot walked at least 80 % of the distance that it was asked for, and lowers it if the
robot fell or walked less than half. An environment that succeeds at the hardest level goes on at a
level drawn evenly, so that the policy keeps practising all of them.

Only the episode's last command counts. Commands change direction, so that a robot which follows
several of them well may end near its start. A command for less than 1 m is not judged.

Source: the curriculum of legged_gym (Rudin et al., "Learning to walk in minutes using massively
parallel deep reinforcement learning", 2021), which judges the distance from the start.
"""

from collections.abc import Mapping

import numpy as np

from motrix_gym.buffer import Buffer
from motrix_gym.commands import Choice
from motrix_gym.random import RowRandom
from motrix_gym.view import View

_UP, _DOWN = 0.8, 0.5  # shares of the distance that was asked for
_LEAST_DISTANCE = 1.0  # that must have been asked for, to judge (m)


class Curriculum:
    """Levels by environment and kind of ground, kept in a view's buffers.

    The buffers last for the training, since an episode is judged when the next one begins:
    ``levels``, one for each kind; ``level`` and ``kind`` of the episode's tile; ``asked``, the
    distance that the last command has asked for, and ``walked``, the distance walked in its
    direction (m); ``fell``, whether the episode ended in a fall.
    """

    def __init__(self, levels: Choice, kinds: Choice, adaptive: bool):
        """Prepare for a terrain.

        Args:
            levels: the levels.
            kinds: the kinds of ground.
            adaptive: whether levels follow success; otherwise they are drawn evenly.
        """
        self._level, self._kind, self._adaptive = levels, kinds, adaptive
        self._levels, self._kinds = len(levels.options), len(kinds.options)

    def buffers(self) -> Mapping[str, Buffer]:
        """What must be remembered."""
        return {
            "levels": Buffer((self._kinds,), lasts="training"),
            **{
                name: Buffer(lasts="training")
                for name in ("level", "kind", "asked", "walked", "fell")
            },
        }

    def start(self, v: View, rng: RowRandom) -> tuple[np.ndarray, np.ndarray]:
        """Judge the episodes that are over, and draw the tiles of the next.

        Returns:
            (n,) levels and (n,) kinds, int64.
        """
        rows = np.arange(v.n)
        drawn = rng.integers(0, self._levels)
        if self._adaptive:
            judged = v.asked >= _LEAST_DISTANCE
            down = judged & ((v.fell > 0) | (v.walked < _DOWN * v.asked))
            up = judged & ~down & (v.walked >= _UP * v.asked)
            level = np.maximum(v.level + up - down.astype(float), 0.0)
            v.levels[rows, v.kind.astype(np.int64)] = np.where(level >= self._levels, drawn, level)
        v.kind = kind = self._kind.among(rng.integers(0, self._kinds))
        v.level = self._level.among(v.levels[rows, kind] if self._adaptive else drawn)
        v.asked = v.walked = v.fell = 0.0
        return self.tile(v)

    def tile(self, v: View) -> tuple[np.ndarray, np.ndarray]:
        """(n,) levels and (n,) kinds of the tiles on which the episodes began, int64."""
        return v.level.astype(np.int64), v.kind.astype(np.int64)
