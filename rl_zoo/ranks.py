# SPDX-License-Identifier: Apache-2.0
"""Joining the ranks of a training, and a run as the ranks see it that do not write it.

The first rank alone writes the run. The others need its folder for messages, and to read the state
that they resume from.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo.errors import UsageError

if TYPE_CHECKING:
    from adapters.ranks import Place, Ranks
    from rl_zoo.plans import Plan
    from rl_zoo.runs import Run

TASKS = "SLURM_STEP_TASKS_PER_NODE"


def join(plan: "Plan") -> "Ranks":
    """Returns the ranks that this process trains with, connected and of one mind.

    A process that no launcher gave a place to trains alone.

    Raises:
        UsageError: The trainer learns in one process only.
        FieldError: (of motrix_gym) The processes do not divide the environments.
        RanksError: (of adapters) Others do not come, or have other settings or versions.
    """
    from adapters import ranks

    place = ranks.Place.of_environment()
    if place.size == 1 or ranks.current().size > 1:
        return ranks.current()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # JAX's warnings of this mode
    check(plan, place)
    joined = _connect(plan.trainer, place)
    if difference := _difference(joined.gathered(_particulars(plan))):
        joined.close()
        raise ranks.RanksError("" if joined.rank else difference)
    ranks.set_current(joined)
    return joined


def meet_at(address: str) -> None:
    """Has the ranks meet at a coordinator's address; this process's place may come from SLURM.

    The address and the place go to the environment variables that launchers set.

    Raises:
        UsageError: The address is not HOST:PORT, or this process was given no place.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise UsageError(f"--coordinator {address}: it is HOST:PORT, such as node1:29500")
    found = {"MASTER_ADDR": host, "MASTER_PORT": port, "JAX_COORDINATOR_ADDRESS": address}
    if "WORLD_SIZE" not in os.environ:
        names = {
            "RANK": "SLURM_PROCID",
            "WORLD_SIZE": "SLURM_NTASKS",
            "LOCAL_RANK": "SLURM_LOCALID",
        }
        if missing := [name for name in (*names.values(), TASKS) if name not in os.environ]:
            raise UsageError(
                f"--coordinator {address}: this process has no place among the others: start it by "
                f"srun ({missing[0]} is not set) or torchrun, or set RANK, WORLD_SIZE, LOCAL_RANK "
                "and LOCAL_WORLD_SIZE"
            )
        found |= {name: os.environ[theirs] for name, theirs in names.items()}
        node = int(os.environ.get("SLURM_NODEID", "0"))
        found["LOCAL_WORLD_SIZE"] = str(tasks_of_nodes(os.environ[TASKS])[node])
    os.environ.update(found)


def tasks_of_nodes(text: str) -> list[int]:
    """Returns how many tasks each node has, from SLURM's form, such as "4(x2),3"."""
    found: list[int] = []
    for tasks, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        found += [int(tasks)] * int(times or 1)
    return found


def check(plan: "Plan", place: "Place") -> None:
    """Raises UsageError or FieldError if a plan cannot be trained by so many processes."""
    from adapters import TRAINERS, find_trainer

    if plan.algo not in find_trainer(plan.trainer).distributed:
        able = [
            f"{algo} by {name}" for name, record in TRAINERS.items() for algo in record.distributed
        ]
        raise UsageError(
            f"{plan.algo} by {plan.trainer} learns in one process; in several learn "
            f"{', '.join(able)}"
        )
    if plan.stages:
        raise UsageError("several processes do not learn in stages; set stages=None")
    place.share(plan.config)


def _connect(trainer: str, place: "Place") -> "Ranks":
    from adapters import find_trainer

    if find_trainer(trainer).framework == "jax":
        from adapters.jax_ranks import JaxRanks

        return JaxRanks(place)
    from adapters.torch_ranks import TorchRanks

    return TorchRanks(place)


def _particulars(plan: "Plan") -> dict[str, Any]:
    """Returns what all ranks must have in common, by what messages call it."""
    from rl_zoo import provenance

    return {
        "environment, algorithm, trainer or device": [
            plan.env_id,
            plan.algo,
            plan.trainer,
            plan.device,
        ],
        "settings": plan.config.as_dict(),
        "task settings": plan.settings,
        "versions": provenance.versions(),
        "sources of motrix_gym and adapters": {"SHA-256": provenance.code()[:12]},
        "run to resume": [str(plan.resume.folder.resolve()) if plan.resume else "none"],
    }


def _difference(found: list[dict[str, Any]]) -> str:
    """Returns in what a rank's particulars are not those of the first, "" if in nothing."""
    first = found[0]
    for rank, other in enumerate(found):
        for what, here in first.items():
            there = other[what]
            if there == here:
                continue
            if isinstance(here, dict):
                names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
                parts = [f"{n}={there.get(n)!r} and {here.get(n)!r}" for n in names[:3]]
            else:
                parts = [f"{there} and {here}"]
            return f"ranks {rank} and 0 differ in {what}: {', '.join(parts)}"
    return ""


def shared_run(ranks: "Ranks", run: "Run | None") -> "Run":
    """Returns the run that the first rank writes and gives; to the others, a `FollowedRun`."""
    told = ranks.gathered([str(run.folder.resolve()), run.manifest()] if run else None)
    return run or FollowedRun(*told[0])  # pyright: ignore[reportReturnType]


class FollowedRun:
    """What a training needs of its run, in a rank that does not write it: writing does nothing.

    Attributes:
        folder: The run's folder.
    """

    def __init__(self, folder: str, manifest: dict[str, Any]):
        self.folder, self._manifest = Path(folder), manifest

    def manifest(self) -> dict[str, Any]:
        """Returns the manifest as it was at the start, but for whether there is a checkpoint."""
        return self._manifest

    def save_checkpoint(self, steps: int, *_: Any, **__: Any) -> None:
        """Notes that the first rank has written a checkpoint."""
        self._manifest["latest"] = {"steps": steps}

    def finish(self, status: str) -> None:
        """Does nothing."""
