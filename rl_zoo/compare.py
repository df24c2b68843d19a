# SPDX-License-Identifier: Apache-2.0
"""`motrix compare`: trainers side by side, over seeds; a table and a picture.

Runs that match are used, runs that are missing are trained, one at a time, each in a process of its
own. All policies are evaluated alike; what was measured is kept in the run's curve.json.
"""

if __name__ == "__main__":
    from rl_zoo.__main__ import run_module

    run_module("compare")

import argparse
import contextlib
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo import cli

if TYPE_CHECKING:
    from adapters import AlgorithmConfig
    from rl_zoo.comparison import Comparison, Point, Result
    from rl_zoo.runs import Run

CURVE = "curve.json"
CURVE_POINTS = 20  # about as many, over a run that is trained here
LEAST = 8  # checkpoints that make a curve
# Settings that runs of one comparison may differ in: they change nothing of what is learned.
FREE = ("seed", "play_num_envs", "check_point_interval", "keep_checkpoints")
NOT_SET = {
    "seed": "the seeds are 0 to --seeds minus 1",
    "keep_checkpoints": "a comparison keeps all checkpoints",
}


@dataclass(frozen=True)
class Job:
    """A run that the comparison needs."""

    env_id: str
    settings: dict[str, Any]
    algo: str
    trainer: str
    config: "AlgorithmConfig"
    words: tuple[str, ...]  # for `train`

    def __str__(self) -> str:
        return f"{self.env_id} with {self.trainer}, seed {self.config.seed}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    import matplotlib  # noqa: F401 (if it is missing, say so before anything is trained)

    from rl_zoo.evaluate import side_by_side

    # What cannot work in the end is told before anything is trained.
    _check_folder(args.out)
    for episodes in (args.eval_episodes, args.curve_episodes):
        side_by_side(episodes)
    groups = [_given(args)] if args.runs else _wanted(args)
    comparisons = [_compare(runs, args) for runs in groups]
    runs = [run for group in groups for run in group]
    given = sys.argv[1:] if argv is None else argv
    _write(args.out, comparisons, _about(comparisons, runs, args, given))
    return 0


def _arguments() -> argparse.ArgumentParser:
    p = cli.parser(
        "compare",
        "Compare trainers over seeds: return, goals, speed, and time until the goals are met.\n\n"
        "Looks in the run folder for runs with these settings, trains what is missing, evaluates\n"
        "the checkpoints of all, and writes comparison.md, comparison.png and comparison.json.",
    )
    add = p.add_argument
    add("--env", nargs="+", metavar="ID", help=f"environments (default {cli.DEFAULT_ENV})")
    add("--algo", help="algorithm (default ppo)")
    add("--trainers", nargs="+", metavar="NAME", help="default: all that have the algorithm")
    add("--stock", action="store_true", help="each trainer's library's own loop, too")
    add("--seeds", type=cli.whole(1), metavar="N", help="seeds 0 to N-1 (default 3)")
    add(
        "--set",
        nargs="+",
        action="extend",
        metavar="NAME=VALUE",
        help="settings, as for train; of all runs",
    )
    add("--no-train", action="store_true", help="fail if a run is missing")
    add("--runs", nargs="+", type=Path, metavar="RUN", help="compare these runs of one environment")
    add("--run-dir", type=Path, default=Path("runs"), help="folder of all runs (default runs)")
    add(
        "--eval-episodes",
        type=cli.whole(1),
        default=100,
        metavar="N",
        help="of a run's final policy (default 100)",
    )
    add(
        "--curve-episodes",
        type=cli.whole(1),
        default=32,
        metavar="N",
        help="of each earlier checkpoint (default 32)",
    )
    cli.add_num_threads(p)
    add("--out", type=Path, default=Path("comparison"), help="folder (default comparison)")
    return p


def _check_folder(out: Path) -> None:
    """Raises CommandError unless a folder is there or can be made."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise cli.CommandError(f"cannot write {out}: {there} is not a folder to write in")


# The runs.


def _wanted(args: argparse.Namespace) -> "list[list[Run]]":
    """Returns the runs of each environment, those that are missing trained."""
    from adapters import load_trainer
    from rl_zoo.train import training_settings, with_policy_found

    groups = [_jobs(name, args) for name in dict.fromkeys(args.env or [cli.DEFAULT_ENV])]
    commands = [(job, command) for jobs in groups for job in jobs if (command := _todo(job, args))]
    if commands and args.no_train:
        lines = "\n".join(f"  {cli.command_line(*words)}" for _, words in commands)
        raise cli.CommandError(f"--no-train, and runs are missing; these train them:\n{lines}")
    # A missing library, or a task that has not what is needed, is told before anything is trained.
    for job in {(job.env_id, job.trainer): job for job, _ in commands}.values():
        trainer, config = load_trainer(job.trainer, job.algo), with_policy_found(job.config)
        settings = training_settings(job.env_id, job.settings, config)
        with contextlib.closing(cli.make_env(job.env_id, settings, 1, args.num_threads)) as env:
            trainer.requirements(env, config)
    for i, (job, words) in enumerate(commands, 1):
        print(f"training {i} of {len(commands)}: {job}", flush=True)
        if status := _run(words):
            raise cli.CommandError(
                f"the training of {job} ended with status {status}; the same command goes on, "
                "unless the training diverged: then other settings are needed",
                status,
            )
    return [[_found(job, args.run_dir) for job in jobs] for jobs in groups]


def _jobs(name: str, args: argparse.Namespace) -> list[Job]:
    """Returns what the comparison needs of an environment: seed by seed, all trainers.

    Raises:
        CommandError, ConfigError: a name or a setting is wrong.
    """
    from adapters import STOCK, STOCK_PREFIX
    from rl_zoo import config as zoo_config
    from rl_zoo.evaluate import check_ends
    from rl_zoo.settings import split

    env_id, algo = cli.find_env(name), args.algo or "ppo"
    values, settings = split(args.set or [], algo)
    for setting, reason in NOT_SET.items():
        if setting in values:
            raise cli.CommandError(f"--set {setting}: {reason}", cli.MISUSED)
    with contextlib.closing(cli.make_env(env_id, settings, 1, args.num_threads)) as env:
        check_ends(env.config, env_id)
    trainers = dict.fromkeys(args.trainers or zoo_config.trainers(algo))
    if args.stock:
        own = [name for name in STOCK if algo in STOCK[name]]
        if not own:
            raise cli.CommandError(f"--stock: no library's own loop of {algo} is here", cli.MISUSED)
        names = [f"{STOCK_PREFIX}{name}" for name in trainers]
        trainers |= {name: None for name in names if name in own}
    jobs = []
    for seed in range(args.seeds or 3):
        for trainer in trainers:
            values["seed"] = seed
            config = zoo_config.load(env_id, algo, trainer, task_settings=settings, **values)
            interval = max(round(config.updates / CURVE_POINTS), 1) * config.rollouts
            words = ["--algo", algo, "--env", name, "--trainer", trainer, "--seed", str(seed)]
            words += ["--run-dir", str(args.run_dir), "--num-threads", str(args.num_threads)]
            words += ["--eval-episodes", "0", "--set", "keep_checkpoints=-1"]
            words += [f"check_point_interval={interval}", *(args.set or [])]
            jobs.append(Job(env_id, settings, algo, trainer, config, tuple(words)))
    return jobs


def _todo(job: Job, args: argparse.Namespace) -> tuple[str, ...]:
    """Returns the words of the command that makes a run, or goes on with one; () if it is there."""
    from adapters import STOCK

    runs = list(_matching(job, args.run_dir))
    if any(not _flaw(run) for run in runs):
        return ()
    # A library's own loop cannot be resumed.
    for run in runs if job.trainer not in STOCK else ():
        config, manifest = run.config(), run.manifest
        planned = min(config.updates, math.ceil(config.vector_steps / config.check_point_interval))
        stopped = manifest["status"] != "complete" and manifest["latest"] is not None
        if stopped and config.keep_checkpoints < 0 and planned >= _least(config):
            env = ("--env", job.words[job.words.index("--env") + 1])
            threads = ("--num-threads", str(args.num_threads))
            return ("train", "--resume", str(run.folder), *env, *threads, "--eval-episodes", "0")
    return ("train", *job.words)


def _matching(job: Job, root: Path) -> "Iterator[Run]":
    """The readable runs of a job, the newest first."""
    from rl_zoo.config import ConfigError, env_name
    from rl_zoo.runs import MANIFEST, Run, RunError

    wanted = (job.env_id, job.settings, job.algo, job.trainer, job.config.seed)
    runs = []
    for path in (root / env_name(job.env_id)).glob(f"*/{MANIFEST}"):
        run = Run(path.parent)
        with contextlib.suppress(RunError, ConfigError):
            m = run.manifest
            found = (m["env_id"], m["env_config"], m["algo"], m["trainer"], m.get("seed"))
            if found == wanted and _fixed(run.config()) == _fixed(job.config):
                runs.append((m["created"], run))
    return (run for _, run in sorted(runs, key=lambda pair: pair[0], reverse=True))


def _found(job: Job, root: Path) -> "Run":
    for run in _matching(job, root):
        if not _flaw(run):
            return run
    flaws = [f"{run.folder} {_flaw(run)}" for run in _matching(job, root)] or ["there is none"]
    raise cli.CommandError(f"no run of {job} in {root} can be used: {'; '.join(flaws)}")


def _fixed(config: "AlgorithmConfig") -> dict[str, Any]:
    """The settings that the runs of a trainer must share."""
    return {name: value for name, value in config.as_dict().items() if name not in FREE}


def _least(config: "AlgorithmConfig") -> int:
    """How many checkpoints a run must have; one that has few updates cannot have more."""
    return min(LEAST, config.fewest_updates)


def _flaw(run: "Run") -> str:
    """Returns why a run cannot be compared; "" if it can."""
    manifest, entries = run.manifest, run.history()
    least = _least(run.config())
    if manifest["status"] != "complete":
        command = cli.command_line("train", "--resume", run.folder)
        return f"is {manifest['status']} at {manifest['steps']:,} steps: {command}"
    kept_all = run.config().keep_checkpoints < 0
    if not kept_all or len(entries) < least or any("seconds" not in entry for entry in entries):
        return (
            f"has kept {len(entries)} checkpoints; a curve needs all, and at least {least}: train "
            f"with --set keep_checkpoints=-1"
        )
    return ""


def _run(words: Sequence[str]) -> int:
    """Runs a command of the zoo in a process of its own; returns its exit status."""
    name, *rest = words
    process = subprocess.Popen([sys.executable, "-m", f"rl_zoo.{name}", *rest])
    while True:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            continue  # it got Ctrl-C too, and leaves a checkpoint first
        return status if status >= 0 else 128 - status


def _given(args: argparse.Namespace) -> "list[Run]":
    """Returns the runs of --runs.

    Raises:
        CommandError: they cannot be compared with each other.
        RunError: one cannot be read.
    """
    from rl_zoo.runs import Run

    for name in ("trainers", "seeds", "set", "algo", "stock", "no_train"):
        if getattr(args, name):
            flag = "--" + name.replace("_", "-")
            raise cli.CommandError(f"--runs says all: leave out {flag}", cli.MISUSED)
    env_ids = [cli.find_env(name) for name in args.env or ()]
    runs = [Run.open(folder) for folder in dict.fromkeys(args.runs)]
    for run in runs:
        env_id = cli.env_of(run.manifest["env_id"], run.folder)
        if env_ids and env_id not in env_ids:
            raise cli.CommandError(f"{run.folder} is a run of {env_id}, not of {env_ids[0]}")
        if flaw := _flaw(run):
            raise cli.CommandError(f"{run.folder} {flaw}")
    _check_comparable(runs)
    return runs


def _check_comparable(runs: "Sequence[Run]") -> None:
    """Raises CommandError unless the runs differ in trainer and seed only.

    Trainers may differ in the settings that the environment's file gives to one of them.
    """
    from rl_zoo import config as zoo_config

    first, by_trainer = runs[0], {}
    for run in runs:
        _check_same(first, run, "env_id", "env_config", "algo")
        by_trainer.setdefault(run.manifest["trainer"], []).append(run)
    env_id, algo = first.manifest["env_id"], first.manifest["algo"]
    shipped = {name: _fixed(zoo_config.load(env_id, algo, name)) for name in by_trainer}
    reference = shipped[first.manifest["trainer"]]
    for name, same in by_trainer.items():
        for run in same:
            _check_same(same[0], run, *reference)
        shared = [k for k, value in shipped[name].items() if value == reference[k]]
        _check_same(first, same[0], *shared)
    seeds = {name: [run.manifest["seed"] for run in same] for name, same in by_trainer.items()}
    for name, found in seeds.items():
        if len(set(found)) < len(found):
            raise cli.CommandError(f"two runs of {name} have the same seed: {sorted(found)}")
    if len({frozenset(found) for found in seeds.values()}) > 1:
        lists = "; ".join(f"{name}: {sorted(found)}" for name, found in seeds.items())
        raise cli.CommandError(f"each trainer needs runs of the same seeds, there are: {lists}")


def _check_same(a: "Run", b: "Run", *names: str) -> None:
    """Raises CommandError if two runs differ in an entry of the manifest or in a setting."""
    of_a, of_b = (_fixed(run.config()) | run.manifest for run in (a, b))
    lines = [f"  {k}: {of_a[k]!r} and {of_b[k]!r}" for k in names if of_a[k] != of_b[k]]
    if lines:
        raise cli.CommandError(
            "\n".join([f"{a.folder} and {b.folder} cannot be compared, they differ in", *lines])
        )


# Their evaluation.


def _compare(runs: "Sequence[Run]", args: argparse.Namespace) -> "Comparison":
    """Evaluates runs of one environment."""
    from motrix_gym import registration
    from rl_zoo.comparison import Comparison

    manifest = runs[0].manifest
    entry = registration.entry(manifest["env_id"])
    trainers: dict[str, list[Result]] = {}
    for run in runs:
        result = _result(run, args)
        trainers.setdefault(result.trainer, []).append(result)
    return Comparison(
        env_id=entry.id,
        settings=manifest["env_config"],
        goals=entry.goals,
        units={name: metric.unit for name, metric in entry.task.metrics.items()},
        trainers=trainers,
    )


def _result(run: "Run", args: argparse.Namespace) -> "Result":
    """Evaluates a run's checkpoints, the last one over more episodes; known ones are read."""
    from rl_zoo.comparison import Result

    manifest, entries = run.manifest, run.history()
    print(f"evaluating {run.folder} ({len(entries)} checkpoints)", flush=True)
    counts = [args.curve_episodes] * (len(entries) - 1) + [args.eval_episodes]
    known = _read_curve(run.folder / CURVE)
    points = [
        _point(run, entry, episodes, known, args.num_threads)
        for entry, episodes in zip(entries, counts, strict=True)
    ]
    return Result(
        folder=str(run.folder),
        trainer=manifest["trainer"],
        seed=manifest["seed"],
        steps_per_second=manifest["steps_per_second"],
        peak_memory_mib=manifest["peak_memory_mib"],
        curve=tuple(points),
    )


def _point(
    run: "Run", entry: dict[str, Any], episodes: int, known: dict[str, Any], num_threads: int
) -> "Point":
    """Evaluates a checkpoint, unless it is known from curve.json; what is new goes there too."""
    import motrix_gym
    from adapters.policy import ARRAYS_FILE, write_file
    from rl_zoo.comparison import Point
    from rl_zoo.evaluate import SEED, evaluate_policy

    key = f"{entry['sha256'][ARRAYS_FILE]} {episodes} {SEED} {motrix_gym.__version__}"
    if key not in known:
        manifest = run.manifest
        evaluation = evaluate_policy(
            manifest["env_id"],
            run.policy(entry["folder"]),
            episodes=episodes,
            seed=SEED,
            settings=manifest["env_config"],
            num_threads=num_threads,
        )
        means = {
            name: mean if math.isfinite(mean := float(values.mean())) else None
            for name, values in evaluation.figures.items()
            if not name.startswith("reward/")
        }
        known[key] = {"figures": means, "faults": evaluation.faults}
        with contextlib.suppress(OSError):  # a run that is read-only is measured each time
            write_file(run.folder / CURVE, json.dumps(known, indent=1).encode() + b"\n")
    return Point(entry["steps"], entry["seconds"], **known[key])


def _read_curve(path: Path) -> dict[str, Any]:
    """Returns the evaluations of a curve.json by key; {} if there is none, or it is damaged."""
    try:
        known = json.loads(path.read_bytes())
        return {
            k: {"figures": dict(v["figures"]), "faults": int(v["faults"])} for k, v in known.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


# What is written.


def _about(
    comparisons: "Sequence[Comparison]",
    runs: "Sequence[Run]",
    args: argparse.Namespace,
    argv: Sequence[str],
) -> str:
    """Returns the beginning of the Markdown file: what was compared, and how."""
    manifests = [run.manifest for run in runs]
    machines = sorted(
        {
            f"{m.get('cpu')}, {m.get('cores')} core{'s' * (m.get('cores') != 1)}, {m['device']}"
            for m in manifests
        }
    )
    versions: dict[str, set[str]] = {}
    for manifest in manifests:
        for package, version in manifest["versions"].items():
            versions.setdefault(package, set()).add(version)
    listed = ", ".join(f"{name} {' or '.join(sorted(found))}" for name, found in versions.items())
    trainers = ", ".join(dict.fromkeys(name for c in comparisons for name in c.trainers))
    algorithms = ", ".join(dict.fromkeys(manifest["algo"] for manifest in manifests))
    final, curve = args.eval_episodes, args.curve_episodes
    if len(machines) > 1:
        machines.append("**Not all on one machine: seconds do not compare**")
    ignored = "".join(
        f"\n  Without effect in {name}: {', '.join(names)}."
        for name, names in _ignored(runs).items()
    )
    return f"""# Comparison of {trainers}: {algorithms}

    {shlex.join(["python", "-m", "rl_zoo.compare", *argv])}

{datetime.now().astimezone():%Y-%m-%d}. Trained on: {"; ".join(machines)}. Versions: {listed}.

![return against environment steps and seconds](comparison.png)

A line is the mean over seeds, its band goes from the lowest to the highest seed. A triangle on the
axis is the mean threshold, where every seed reached it; a dotted line is a goal.

- One block of settings for all trainers, but for what it names under `backends`.{ignored}
- Figures are of the last checkpoint's policy, none is picked: deterministic, {final} episodes, the
  same evaluation seeds for all. Means over seeds; ± is a 95 % interval (Student's t).
- Threshold: the first checkpoint that meets all goals, over {curve} episodes. Where a seed has
  none, the mean is over those that have one, and there is no interval.
- Seconds count from the start of the training process, start-up and compilation included,
  evaluations not. Steps/s is of the updates alone.
"""


def _ignored(runs: "Sequence[Run]") -> dict[str, list[str]]:
    """Returns, by trainer, the settings of its runs that are on and that it cannot honour."""
    from adapters import load_trainer

    found = {}
    for run in runs:
        name, config = run.manifest["trainer"], run.config()
        trainer = load_trainer(name, run.manifest["algo"])
        if names := trainer.ignored_settings(config):
            found[name] = names
    return found


def _write(out: Path, comparisons: "Sequence[Comparison]", about: str) -> None:
    """Writes the three files, and prints the tables.

    Raises:
        CommandError: a file cannot be written.
    """
    from adapters.policy import write_file
    from rl_zoo.comparison import picture, summary

    tables = "\n\n".join([summary(comparisons), *(c.markdown() for c in comparisons)])
    numbers = {"schema_version": 1, "environments": [c.as_dict() for c in comparisons]}
    files = {
        "comparison.json": json.dumps(numbers, indent=1).encode() + b"\n",
        "comparison.png": picture(comparisons),
        "comparison.md": f"{about}\n{tables}\n".encode(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_file(out / name, data)
    except OSError as error:
        raise cli.CommandError(f"cannot write in {out}: {error.strerror}") from error
    print(f"\n{tables}\n\n{shlex.join(str(out / name) for name in files)}")
