# SPDX-License-Identifier: Apache-2.0
"""Per-environment arrays that outlive a step."""

from dataclasses import dataclass

import numpy as np

from motrix_gym.names import shown


@dataclass(frozen=True)
class Buffer:
    """A per-environment array that a task keeps.

    The environment clears it, and its snapshots hold it.
    """

    shape: tuple[int, ...] = ()
    """Shape of one environment's entry; the array is (num_envs, *shape)."""
    dtype: type = np.float64
    initial: float = 0.0
    """The value of every entry where the buffer is cleared."""
    lasts: str = "episode"
    """When the buffer is cleared: "episode" is at every reset of the row; "training" only when the
    row is given a seed. A curriculum's level, for example, lasts for the training."""

    def __post_init__(self) -> None:
        """Check ``lasts``.

        Raises:
            ValueError: if it is another word.
        """
        if self.lasts not in ("episode", "training"):
            raise ValueError(f"lasts must be 'episode' or 'training', got {shown(self.lasts)}")
