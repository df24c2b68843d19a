# SPDX-License-Identifier: Apache-2.0
"""comparison.json: writing and reading comparisons, and merging several files."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from rl_zoo.comparison.origins import check_strict, differences_of
from rl_zoo.comparison.results import UNREADABLE, Comparison, share
from rl_zoo.comparison.usable import same_seed
from rl_zoo.errors import ZooError

SCHEMA_VERSION = 2


def encode(comparisons: Sequence[Comparison]) -> bytes:
    """Returns the bytes of a comparison.json."""
    numbers = {
        "schema_version": SCHEMA_VERSION,
        "environments": [comparison.as_dict() for comparison in comparisons],
    }
    return json.dumps(numbers, indent=1).encode() + b"\n"


def merged(files: Sequence[Path], strict: bool) -> list[Comparison]:
    """Returns stored comparisons; those of one environment are merged, and each run counts once.

    Args:
        files: The comparison.json of each.
        strict: Whether runs that differ from those made here are refused.

    Raises:
        ZooError: a file cannot be read, files have different goals or two runs of one seed, or a
            run is refused.
    """
    comparisons: dict[str, Comparison] = {}
    for path in files:
        for found in _read(path):
            key = share(found.env_id, found.settings)
            known = comparisons.setdefault(key, found)
            if known.goals != found.goals:
                goals = (", ".join(map(str, c.goals)) for c in (found, known))
                message = f"the goals of {found.env_id} are {' there, elsewhere '.join(goals)}"
                raise ZooError(f"{path}: {message}")
            runs = {
                (run.trainer, run.algo, run.seed, run.policy): run
                for run in (*known.results, *found.results)
            }
            units = known.units | found.units
            comparisons[key] = dataclasses.replace(known, units=units, results=tuple(runs.values()))
    for comparison in comparisons.values():
        for label, results in comparison.rows.items():
            for a, b in itertools.pairwise(results):
                if a.seed == b.seed:
                    raise ZooError(same_seed(label, a.seed, a.folder, b.folder))
        for result in comparison.results if strict else ():
            check_strict(result.folder, differences_of(comparison, result))
    return list(comparisons.values())


def _read(path: Path) -> list[Comparison]:
    """Returns the comparisons of a comparison.json.

    Raises:
        ZooError: it cannot be read, is of another version, or is none.
    """
    try:
        stored = json.loads(path.read_bytes())
        version = stored["schema_version"]
        if version == SCHEMA_VERSION:
            comparisons = [Comparison.from_dict(entry) for entry in stored["environments"]]
            json.dumps([comparison.as_dict() for comparison in comparisons])
            if all(comparison.results for comparison in comparisons) and comparisons:
                return comparisons
    except OSError as error:
        raise ZooError(f"{path} cannot be read: {error.strerror}") from error
    except UNREADABLE as error:
        raise ZooError(f"{path} is not what compare writes as comparison.json") from error
    if version != SCHEMA_VERSION:
        raise ZooError(f"{path} is of another version of this program: compare anew")
    raise ZooError(f"{path} holds no runs")
