# SPDX-License-Identifier: Apache-2.0
"""Evaluating the runs of a comparison: their final policies and their checkpoints.

The figures are stored in the run's curve.json, so that they are measured once.
"""

import contextlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import adapters
from motrix_gym import registration
from motrix_gym.files import write_file
from motrix_gym.policy_files import ARRAYS_FILE
from rl_zoo import evaluation, provenance
from rl_zoo.comparison.origins import origin_of
from rl_zoo.comparison.results import UNREADABLE, Comparison, Point, Result, read_figures, share
from rl_zoo.comparison.usable import has_curve
from rl_zoo.runs import Run
from rl_zoo.statistics import Summary

CURVE = "curve.json"


def measured(
    runs: Iterable[Run], episodes: int, curve_episodes: int, num_threads: int
) -> list[Comparison]:
    """Returns a comparison of the runs of each environment.

    Args:
        runs: The runs.
        episodes: Of each final policy.
        curve_episodes: Of each earlier checkpoint.
        num_threads: Threads for the physics; 0: all cores.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        manifest = run.manifest()
        groups.setdefault(share(manifest["env_id"], manifest["env_config"]), []).append(run)
    options = episodes, curve_episodes, num_threads
    return [_comparison([(run, _result(run, *options)) for run in g]) for g in groups.values()]


def _comparison(results: Sequence[tuple[Run, Result]]) -> Comparison:
    """Returns the comparison of runs of one environment and their results."""
    manifest = results[0][0].manifest()
    entry = registration.entry(manifest["env_id"])
    metrics = registration.make_task(entry.id).metrics
    return Comparison(
        env_id=entry.id,
        settings=manifest["env_config"],
        goals=entry.goals,
        units={name: metric.unit for name, metric in metrics.items()},
        results=tuple(result for _, result in results),
    )


def _result(run: Run, episodes: int, curve_episodes: int, num_threads: int) -> Result:
    """Evaluates a run's final policy, and its earlier checkpoints if all are there."""
    manifest, config, entries = run.manifest(), run.config(), run.history()
    trainer = adapters.load_trainer(manifest["trainer"], manifest["algo"])
    last = entries[-1]
    if not has_curve(run):
        entries = [last]
    print(f"evaluating {run.folder} ({len(entries)} checkpoints)", flush=True)
    known = _read_curve(run.folder / CURVE)
    stages = manifest.get("stages", [])  # that came before count, too
    steps, seconds = (sum(stage[what] for stage in stages) for what in ("steps", "seconds"))
    points = []
    for entry in entries:
        count = episodes if entry is last else curve_episodes
        figures, faults = _measured(run, entry, count, known, num_threads)
        means = {name: summary.mean for name, summary in figures.items()}
        taken = seconds + entry.get("seconds", math.nan)
        points.append(Point(steps + entry["steps"], taken, means, faults))
    return Result(
        trainer=manifest["trainer"],
        algo=manifest["algo"],
        seed=manifest["seed"],
        folder=str(run.folder),
        settings=config.as_dict(),
        ignored=trainer.ignored_settings(config),
        origin=origin_of(run),
        policy=last["sha256"][ARRAYS_FILE],
        steps_per_second=manifest.get("steps_per_second", math.nan),
        peak_memory_mib=manifest.get("peak_memory_mib", math.nan),
        steps=points[-1].steps,
        seconds=points[-1].seconds,
        episodes=episodes,
        curve_episodes=curve_episodes,
        evaluation_seed=evaluation.SEED,
        figures=figures,
        faults=faults,
        curve=tuple(points) if has_curve(run) else (),
        stages=tuple(stages),
    )


def _measured(
    run: Run, entry: dict[str, Any], episodes: int, known: dict[str, Any], num_threads: int
) -> tuple[dict[str, Summary], int]:
    """Returns a checkpoint's figures and faults, evaluated unless known from curve.json.

    What is new goes there too. Known is what was measured with the same code and versions, on the
    same processor.
    """
    here = [provenance.code(), provenance.versions(), provenance.machine()["cpu"]]
    key = json.dumps([entry["sha256"][ARRAYS_FILE], episodes, evaluation.SEED, *here])
    if key not in known:
        manifest = run.manifest()
        measured = evaluation.evaluate_policy(
            manifest["env_id"],
            run.policy(entry["folder"]),
            episodes=episodes,
            seed=evaluation.SEED,
            settings=manifest["env_config"],
            num_threads=num_threads,
        )
        figures = {
            name: summary.as_dict()
            for name, summary in measured.summaries.items()
            if not name.startswith("reward/")
        }
        known[key] = {"figures": figures, "faults": measured.faults}
        with contextlib.suppress(OSError):  # a run that is read-only is measured each time
            write_file(run.folder / CURVE, json.dumps(known, indent=1).encode() + b"\n")
    return read_figures(known[key]["figures"]), known[key]["faults"]


def _read_curve(path: Path) -> dict[str, Any]:
    """Returns the evaluations of a curve.json by key; {} if there is none, or it is damaged."""
    try:
        known = json.loads(path.read_bytes())
        return {
            key: {
                "figures": {k: x.as_dict() for k, x in read_figures(found["figures"]).items()},
                "faults": int(found["faults"]),
            }
            for key, found in known.items()
        }
    except (OSError, *UNREADABLE):
        return {}
