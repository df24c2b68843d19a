# SPDX-License-Identifier: Apache-2.0
"""`motrix train --pin`: each process keeps to cores of its own, near to each other."""

import os
import re
from contextlib import suppress
from pathlib import Path

from adapters.ranks import Place
from rl_zoo.errors import UsageError

SYSTEM = Path("/sys/devices/system")


def pin(place: Place, system: Path = SYSTEM) -> int:
    """Binds this process, and the threads that it will start, to its share of the cores.

    Args:
        place: Where this process stands on its machine.
        system: Where Linux tells of processors and NUMA nodes.

    Returns:
        How many cores that is.

    Raises:
        UsageError: The system cannot do that, or there are more processes than cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("--pin: this system does not bind processes to cores; leave it out")
    mine = share(sorted(os.sched_getaffinity(0)), place, system)
    os.sched_setaffinity(0, mine)
    return len(mine)


def share(cores: list[int], place: Place, system: Path = SYSTEM) -> list[int]:
    """Returns the cores of one of the processes on a machine.

    Processes get as many cores each, and neighbours: first by NUMA node, then by physical core, so
    that two threads of a core belong to one process. Cores that remain are left out.

    Raises:
        UsageError: there are more processes than cores.
    """
    each = len(cores) // place.local_size
    if not each:
        raise UsageError(
            f"--pin: {place.local_size} processes on {len(cores)} cores; at most one per core"
        )
    nodes = {
        core: int(path.name.removeprefix("node"))
        for path in (system / "node").glob("node[0-9]*")
        for core in _listed(path / "cpulist")
    }

    def neighbourhood(core: int) -> tuple[int, int, int]:
        siblings = _listed(system / f"cpu/cpu{core}/topology/thread_siblings_list")
        return nodes.get(core, 0), min(siblings, default=core), core

    ordered = sorted(cores, key=neighbourhood)
    return ordered[place.local_rank * each :][:each]


def _listed(path: Path) -> list[int]:
    """Returns the numbers of a list such as "0-3,8"; none where there is no such file."""
    found: list[int] = []
    with suppress(OSError):
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", path.read_text()):
            found += range(int(first), int(last or first) + 1)
    return found
