# SPDX-License-Identifier: Apache-2.0
"""Which runs can be compared, and why others cannot."""

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from rl_zoo.comparison.origins import check_strict, differences, origin_of, shipped
from rl_zoo.comparison.results import fixed
from rl_zoo.environments import env_of_run
from rl_zoo.errors import ZooError
from rl_zoo.hints import command_line
from rl_zoo.runs import Run


def opened(folders: Iterable[Path], env_ids: Collection[str], strict: bool) -> list[Run]:
    """Returns the runs of some folders.

    Args:
        folders: Where they are.
        env_ids: Environments that they must be of; none for any.
        strict: Whether runs that differ from those made here are refused.

    Raises:
        ZooError: One cannot be compared.
        RunError: One cannot be read.
    """
    runs = [Run.open(folder) for folder in dict.fromkeys(folders)]
    for run in runs:
        env_id = env_of_run(run.manifest(), run.folder)
        if env_ids and env_id not in env_ids:
            raise ZooError(f"{run.folder} is a run of {env_id}, not of {next(iter(env_ids))}")
        if flaw := flaw_of(run):
            raise ZooError(f"{run.folder} {flaw}")
    _check_seeds(runs)
    for run in runs if strict else ():
        m, settings = run.manifest(), run.config().as_dict()
        wanted = shipped(m["env_id"], m["algo"], m["trainer"], m["env_config"])
        check_strict(run.folder, differences(origin_of(run), settings, wanted))
    return runs


def flaw_of(run: Run, least: int = 0) -> str:
    """Returns why a run cannot be compared; "" if it can.

    Args:
        run: The run.
        least: Checkpoints that its curve needs; 0 if no curve is needed.
    """
    manifest, entries = run.manifest(), run.history()
    if manifest["status"] != "complete":
        command = command_line("train", "--resume", run.folder)
        return f"is {manifest['status']} at {manifest['steps']:,} steps: {command}"
    if not entries:
        return "has no checkpoint"
    if least and not (has_curve(run) and len(entries) >= least):
        return (
            f"has kept {len(entries)} checkpoints; a curve needs all, and at least {least}: train "
            f"with --set keep_checkpoints=-1"
        )
    return ""


def has_curve(run: Run) -> bool:
    """Whether a run kept all its checkpoints, with their times."""
    return run.config().keep_checkpoints < 0 and all("seconds" in entry for entry in run.history())


def _check_seeds(runs: Sequence[Run]) -> None:
    """Raises ZooError if two runs have the same seed and the same settings."""
    known: dict[str, Run] = {}
    for run in runs:
        m, settings = run.manifest(), fixed(run.config().as_dict())
        key = [m[k] for k in ("env_id", "env_config", "trainer", "algo", "seed")]
        first = known.setdefault(json.dumps([*key, settings], sort_keys=True), run)
        if first is not run:
            raise ZooError(same_seed(m["trainer"], m["seed"], first.folder, run.folder))


def same_seed(name: str, seed: int, *folders: object) -> str:
    """A message for two runs that would count one seed twice."""
    return f"two runs of {name} have the same seed {seed}: {' and '.join(map(str, folders))}"
