# SPDX-License-Identifier: Apache-2.0
"""RunConfig: settings that are the same for all algorithms: seed, checkpoints, playing."""

import dataclasses
from dataclasses import dataclass

from adapters.seeds import LARGEST_SEED
from motrix_gym.settings import described, whole

# Upper limits: larger values would not fit into memory.
MAX_STEPS = 10**12  # of a run
MAX_COUNT = 10**6  # of what is not counted in steps: environments, epochs, ...


@described
@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of a run of any algorithm."""

    seed: int | None = whole(
        None,
        least=0,
        most=LARGEST_SEED,
        doc="Seed of everything that is drawn. None: whoever starts the run chooses it; the "
        "commands take 0.",
    )
    play_num_envs: int = whole(
        1, least=1, most=MAX_COUNT, doc="Environments side by side in `motrix play`."
    )
    check_point_interval: int = whole(
        1000, least=1, most=MAX_STEPS, unit="vector steps", doc="Distance of two checkpoints."
    )
    keep_checkpoints: int = whole(
        0,
        least=-1,
        most=MAX_COUNT,
        doc="Older checkpoints that are kept beside the best and the latest one; -1: all.",
    )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Returns the names of all fields."""
        return tuple(field.name for field in dataclasses.fields(cls))
