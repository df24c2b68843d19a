# SPDX-License-Identifier: Apache-2.0
"""Seeds of vector environments, so far apart that no two trainings share a random stream.

A vector environment that is reset with seed s draws row i from stream s + i. Trainings with seeds
0 and 1 would then share all streams but one, and their results would hardly be independent. So a
training, an evaluation and a choice between policies each derive the first stream of their
environment from their own seed; its rows take the streams that follow.
"""

MAX_ROWS = 2**24  # streams set aside for one environment
LARGEST_SEED = 2**32 - 1
# Streams below all of these are those of seeds given to an environment directly.
PURPOSES = ("training", "evaluation", "choice")
_SPACE = (LARGEST_SEED + 1) * MAX_ROWS  # streams of a purpose


def first_stream(seed: int, purpose: str) -> int:
    """Returns the seed for an environment's `reset`: its rows draw from it and those after it.

    Args:
        seed: Of the training or evaluation, from 0 to `LARGEST_SEED`.
        purpose: One of `PURPOSES`.

    Raises:
        ValueError: the seed is outside of its range.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"seed={seed} is not from 0 to {LARGEST_SEED}")
    return (1 + PURPOSES.index(purpose)) * _SPACE + seed * MAX_ROWS
