# SPDX-License-Identifier: Apache-2.0
"""`motrix compare`: trainers side by side, over seeds; a table and a picture.

Runs that match are used, runs that are missing are trained, one at a time, each in a process of its
own. All policies are evaluated alike; what was measured is kept in the run's curve.json. All that
table and picture show is in comparison.json, from which `--from` draws them again.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo import arguments, cli
from rl_zoo.environments import DEFAULT_ENV, env_of_run, find_env, make_env
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.hints import command_line

if TYPE_CHECKING:
    from adapters import AlgorithmConfig
    from rl_zoo.comparison import Comparison, Result
    from rl_zoo.evaluation import Summary
    from rl_zoo.runs import Run

CURVE = "curve.json"
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
EPISODES, CURVE_EPISODES = 1000, 100
CURVE_POINTS = 20  # about as many, over a run that is trained here
LEAST = 8  # checkpoints that make a curve
SCHEMA_VERSION = 2
NOT_SET = {
    "seed": "--first-seed and --seeds say which",
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
    least: int  # checkpoints that make a curve

    def __str__(self) -> str:
        return f"{self.env_id} with {self.trainer}, seed {self.config.seed}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    import matplotlib  # noqa: F401 (if it is missing, say so before anything is trained)

    # What cannot work in the end is told before anything is trained.
    _check_folder(args.out)
    comparisons = _stored(args) if args.stored else _evaluated(args)
    _write(args.out, comparisons, _about(comparisons, sys.argv[1:] if argv is None else argv))
    return 0


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "compare",
        "Compare trainers over seeds: return, goals, speed, and time until the goals are met.\n\n"
        "Looks in the run folder for runs with these settings, trains what is missing, evaluates\n"
        "the checkpoints of all, and writes comparison.md, comparison.png and comparison.json.",
    )
    add = p.add_argument
    add("--env", nargs="+", metavar="ID", help=f"environments (default {DEFAULT_ENV})")
    add("--algo", help="algorithm (default ppo)")
    add("--trainers", nargs="+", metavar="NAME", help="default: all that have the algorithm")
    add("--stock", action="store_true", help="each trainer's library's own loop, too")
    add("--first-seed", type=arguments.whole(0, arguments.MAX_SEED), metavar="S", help="default 0")
    add("--seeds", type=arguments.whole(1), metavar="N", help="seeds S to S+N-1 (default 3)")
    add(
        "--set",
        nargs="+",
        action="extend",
        metavar="NAME=VALUE",
        help="settings, as for train; of all runs",
    )
    add("--no-train", action="store_true", help="fail if a run is missing")
    add(
        "--strict",
        action="store_true",
        help="refuse to use or to go on with a run of other code, settings, library versions or "
        "processor than here; another --run-dir has all trained anew",
    )
    add("--runs", nargs="+", type=Path, metavar="RUN", help="compare these runs")
    add(
        "--from",
        nargs="+",
        type=Path,
        dest="stored",
        metavar="FILE",
        help="draw these comparison.json anew, as one; nothing is trained or evaluated",
    )
    add("--run-dir", type=Path, default=Path("runs"), help="folder of all runs (default runs)")
    add(
        "--episodes",
        type=arguments.whole(1),
        metavar="N",
        help=f"of a run's final policy (default {EPISODES})",
    )
    add(
        "--curve-episodes",
        type=arguments.whole(1),
        metavar="N",
        help=f"of each earlier checkpoint (default {CURVE_EPISODES})",
    )
    arguments.add_num_threads(p)
    add("--out", type=Path, default=Path("comparison"), help="folder (default comparison)")
    return p


def _alone(args: argparse.Namespace, flag: str, *names: str) -> None:
    """Raises ZooError if one of some arguments is given beside a flag."""
    for name in names:
        if getattr(args, name) not in (None, False):
            other = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} says all: leave out {other}")


def _check_folder(out: Path) -> None:
    """Raises ZooError unless a folder is there or can be made."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise ZooError(f"cannot write {out}: {there} is not a folder to write in")


# The runs.


def _wanted(args: argparse.Namespace) -> "list[Run]":
    """Returns the runs that are asked for, those that are missing trained."""
    from adapters import load_trainer
    from rl_zoo.policies import with_policy_found
    from rl_zoo.task_settings import training_settings

    names = dict.fromkeys(args.env or [DEFAULT_ENV])
    jobs = [job for name in names for job in _jobs(name, args)]
    commands = [(job, command) for job in jobs if (command := _todo(job, args))]
    if commands and args.no_train:
        raise ZooError(
            "--no-train, and runs are missing; these train them:",
            commands=[command_line(*words) for _, words in commands],
        )
    # A missing library, or a task that has not what is needed, is told before anything is trained.
    for job in {(job.env_id, job.trainer): job for job, _ in commands}.values():
        trainer, config = load_trainer(job.trainer, job.algo), with_policy_found(job.config)
        settings = training_settings(job.env_id, job.settings, config)
        with contextlib.closing(make_env(job.env_id, settings, 1, args.num_threads)) as env:
            trainer.requirements(env, config)
    for i, (job, words) in enumerate(commands, 1):
        print(f"training {i} of {len(commands)}: {job}", flush=True)
        if status := _run(words):
            raise ZooError(
                f"the training of {job} ended with status {status}; the same command goes on, "
                "unless the training diverged: then other settings are needed",
                status,
            )
    return [_found(job, args.run_dir) for job in jobs]


def _jobs(name: str, args: argparse.Namespace) -> list[Job]:
    """Returns what the comparison needs of an environment: seed by seed, all trainers.

    Raises:
        ZooError, ConfigError: a name or a setting is wrong.
    """
    from adapters import STOCK, STOCK_PREFIX
    from rl_zoo import config as zoo_config
    from rl_zoo.evaluation import check_ends

    env_id, algo = find_env(name), args.algo or "ppo"
    values, settings = arguments.split_settings(args.set or [], algo)
    for setting, reason in NOT_SET.items():
        if setting in values:
            raise UsageError(f"--set {setting}: {reason}")
    with contextlib.closing(make_env(env_id, settings, 1, args.num_threads)) as env:
        check_ends(env.config, env_id)
    trainers = dict.fromkeys(args.trainers or zoo_config.trainers(algo))
    if args.stock:
        own = [name for name in STOCK if algo in STOCK[name].classes]
        if not own:
            raise UsageError(f"--stock: no library's own loop of {algo} is here")
        names = [f"{STOCK_PREFIX}{name}" for name in trainers]
        trainers |= {name: None for name in names if name in own}
    jobs = []
    first = args.first_seed or 0
    for seed in range(first, first + (args.seeds or 3)):
        for trainer in trainers:
            values["seed"] = seed
            config = zoo_config.load(env_id, algo, trainer, task_settings=settings, **values)
            interval = max(round(config.updates / CURVE_POINTS), 1) * config.rollouts
            interval = values.get("check_point_interval", interval)
            least = min(LEAST, config.fewest_updates, _planned(config, interval))
            words = ["--algo", algo, "--env", name, "--trainer", trainer, "--seed", str(seed)]
            words += ["--run-dir", str(args.run_dir), "--num-threads", str(args.num_threads)]
            words += ["--eval-episodes", "0", "--set", "keep_checkpoints=-1"]
            words += [f"check_point_interval={interval}", *(args.set or [])]
            jobs.append(Job(env_id, settings, algo, trainer, config, tuple(words), least))
    return jobs


def _planned(config: "AlgorithmConfig", interval: int) -> int:
    """How many checkpoints a run has in the end."""
    return min(config.updates, math.ceil(config.vector_steps / interval))


def _todo(job: Job, args: argparse.Namespace) -> tuple[str, ...]:
    """Returns the words of the command that makes a run, or goes on with one; () if it is there."""
    runs = list(_matching(job, args.run_dir))
    usable = [run for run in runs if not _flaw(run, job.least)]
    run = _most_like_here(usable or [run for run in runs if _can_go_on(run, job)])
    if run and args.strict:
        _check_strict(run.folder, _others(_origin(run), {}, {}))
    if usable:
        return ()
    if run:
        env = ("--env", job.words[job.words.index("--env") + 1])
        threads = ("--num-threads", str(args.num_threads))
        return ("train", "--resume", str(run.folder), *env, *threads, "--eval-episodes", "0")
    return ("train", *job.words)


def _can_go_on(run: "Run", job: Job) -> bool:
    """Whether a run was stopped, and makes a curve when it is resumed."""
    from adapters import find_trainer

    config, manifest = run.config(), run.manifest()
    return (
        find_trainer(job.trainer).resumes
        and manifest["status"] != "complete"
        and manifest["latest"] is not None
        and config.keep_checkpoints < 0
        and _planned(config, config.check_point_interval) >= job.least
    )


def _most_like_here(runs: "Sequence[Run]") -> "Run | None":
    """Returns the first of the runs that differ least from one made here; None if there is none."""
    return min(runs, key=lambda run: len(_others(_origin(run), {}, {})), default=None)


def _matching(job: Job, root: Path) -> "Iterator[Run]":
    """The readable runs of a job, the newest first."""
    from rl_zoo.comparison import fixed
    from rl_zoo.config import ConfigError, env_name
    from rl_zoo.runs import MANIFEST, Run, RunError

    wanted = (job.env_id, job.settings, job.algo, job.trainer, job.config.seed)
    wanted_settings = fixed(job.config.as_dict())
    runs = []
    for path in (root / env_name(job.env_id)).glob(f"*/{MANIFEST}"):
        run = Run(path.parent)
        with contextlib.suppress(RunError, ConfigError):
            m = run.manifest()
            found = (m["env_id"], m["env_config"], m["algo"], m["trainer"], m.get("seed"))
            if found == wanted and fixed(run.config().as_dict()) == wanted_settings:
                runs.append((m["created"], run))
    return (run for _, run in sorted(runs, key=lambda pair: pair[0], reverse=True))


def _found(job: Job, root: Path) -> "Run":
    """Returns the run of a job: of those without a flaw the most like one made here, the newest."""
    runs = list(_matching(job, root))
    if run := _most_like_here([run for run in runs if not _flaw(run, job.least)]):
        return run
    flaws = [f"{run.folder} {_flaw(run, job.least)}" for run in runs] or ["there is none"]
    raise ZooError(f"no run of {job} in {root} can be used: {'; '.join(flaws)}")


def _flaw(run: "Run", least: int = 0) -> str:
    """Returns why a run cannot be compared, by `least` checkpoints; "" if it can."""
    manifest, entries = run.manifest(), run.history()
    if manifest["status"] != "complete":
        command = command_line("train", "--resume", run.folder)
        return f"is {manifest['status']} at {manifest['steps']:,} steps: {command}"
    if not entries:
        return "has no checkpoint"
    if least and not (_has_curve(run) and len(entries) >= least):
        return (
            f"has kept {len(entries)} checkpoints; a curve needs all, and at least {least}: train "
            f"with --set keep_checkpoints=-1"
        )
    return ""


def _has_curve(run: "Run") -> bool:
    """Whether all checkpoints of a run are there, with their times."""
    return run.config().keep_checkpoints < 0 and all("seconds" in entry for entry in run.history())


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
        ZooError: one cannot be compared.
        RunError: one cannot be read.
    """
    from rl_zoo.runs import Run

    _alone(args, "--runs", "trainers", "first_seed", "seeds", "set", "algo", "stock", "no_train")
    env_ids = [find_env(name) for name in args.env or ()]
    runs = [Run.open(folder) for folder in dict.fromkeys(args.runs)]
    for run in runs:
        env_id = env_of_run(run.manifest(), run.folder)
        if env_ids and env_id not in env_ids:
            raise ZooError(f"{run.folder} is a run of {env_id}, not of {env_ids[0]}")
        if flaw := _flaw(run):
            raise ZooError(f"{run.folder} {flaw}")
    _check_seeds(runs)
    for run in runs if args.strict else ():
        m, settings = run.manifest(), run.config().as_dict()
        shipped = _shipped(m["env_id"], m["algo"], m["trainer"], m["env_config"])
        _check_strict(run.folder, _others(_origin(run), settings, shipped))
    return runs


def _check_seeds(runs: "Sequence[Run]") -> None:
    """Raises ZooError if two runs have the same seed, and differ in nothing."""
    from rl_zoo.comparison import fixed

    known: dict[str, Run] = {}
    for run in runs:
        m, settings = run.manifest(), fixed(run.config().as_dict())
        key = [m[k] for k in ("env_id", "env_config", "trainer", "algo", "seed")]
        first = known.setdefault(json.dumps([*key, settings], sort_keys=True), run)
        if first is not run:
            raise ZooError(_same_seed(m["trainer"], m["seed"], first.folder, run.folder))


# Where they come from.


def _origin(run: "Run") -> dict[str, Any]:
    """What a run's manifest says of where it comes from."""
    from rl_zoo.comparison import read_origin

    return read_origin(run.manifest())


def _others(
    origin: dict[str, Any], settings: dict[str, Any], wanted: dict[str, Any]
) -> dict[str, str]:
    """Returns how a run differs from one that would be made here, for these settings.

    The keys say in what, in words that follow "ran"; the values what any of its sessions has.
    """
    from rl_zoo.comparison import differing, fixed, setting
    from rl_zoo.runs import code, machine, versions

    here, cpu, trained = versions(), machine()["cpu"], origin["sessions"]
    changed = differing([fixed(settings), wanted]) if wanted else []
    found = {
        "with other code": [s["code"][:12] for s in trained if s["code"] != code()],
        "with other settings": [setting(settings, name) for name in changed],
        "with other versions": [
            f"{name} {version}"
            for s in trained
            for name, version in s["versions"].items()
            if here.get(name, version) != version
        ],
        "on another processor": [s["cpu"] for s in trained if s["cpu"] != cpu],
    }
    return {how: ", ".join(dict.fromkeys(what)) for how, what in found.items() if what}


def _shipped(env_id: str, algo: str, trainer: str, task_settings: Any) -> dict[str, Any]:
    """Returns the settings that decide what a run without `--set` learns; {} if not known here."""
    from motrix_gym.registration import UnknownEnvironmentError
    from rl_zoo import config as zoo_config
    from rl_zoo.comparison import fixed

    with contextlib.suppress(zoo_config.ConfigError, UnknownEnvironmentError):
        config = zoo_config.load(env_id, algo, trainer, task_settings=task_settings)
        return fixed(config.as_dict())
    return {}


def _check_strict(name: object, others: dict[str, str]) -> None:
    """Raises ZooError if a run differs from one that would be made here."""
    if others:
        ways = "; ".join(f"{how} ({what})" for how, what in others.items())
        raise ZooError(f"--strict: {name} ran {ways}")


def _notes(comparison: "Comparison") -> list[str]:
    """Returns a line for each way in which runs differ from those that would be made here."""
    from rl_zoo.comparison import listed

    found: dict[tuple[str, str], dict[str, list[int]]] = {}
    for label, results in comparison.rows.items():
        for result in results:
            for way in _others_of(comparison, result).items():
                found.setdefault(way, {}).setdefault(label, []).append(result.seed)
    lines = []
    for (how, what), rows in found.items():
        who = "; ".join(f"{listed(seeds)} of {label}" for label, seeds in rows.items())
        lines.append(f"Ran {how} than here ({what}): {who}.")
    return lines


def _others_of(comparison: "Comparison", result: "Result") -> dict[str, str]:
    shipped = _shipped(
        comparison.env_id, result.algo, result.trainer, task_settings=comparison.settings
    )
    return _others(result.origin, result.settings, shipped)


# Their evaluation.


def _evaluated(args: argparse.Namespace) -> "list[Comparison]":
    """Returns the comparisons of runs, which are found, trained or given, and evaluated here."""
    from rl_zoo.evaluation import side_by_side

    args.episodes = args.episodes or EPISODES
    args.curve_episodes = args.curve_episodes or CURVE_EPISODES
    for episodes in (args.episodes, args.curve_episodes):
        side_by_side(episodes)
    groups: dict[str, list[Run]] = {}
    for run in _given(args) if args.runs else _wanted(args):
        manifest = run.manifest()
        groups.setdefault(_key(manifest["env_id"], manifest["env_config"]), []).append(run)
    return [_compare(runs, args) for runs in groups.values()]


def _key(env_id: str, settings: dict[str, Any]) -> str:
    """What the runs of a comparison share."""
    return json.dumps([env_id, settings], sort_keys=True)


def _compare(runs: "Sequence[Run]", args: argparse.Namespace) -> "Comparison":
    """Evaluates runs of one environment."""
    from motrix_gym import registration
    from rl_zoo.comparison import Comparison

    manifest = runs[0].manifest()
    entry = registration.entry(manifest["env_id"])
    metrics = registration.make_task(entry.id).metrics
    return Comparison(
        env_id=entry.id,
        settings=manifest["env_config"],
        goals=entry.goals,
        units={name: metric.unit for name, metric in metrics.items()},
        results=tuple(_result(run, args) for run in runs),
    )


def _result(run: "Run", args: argparse.Namespace) -> "Result":
    """Evaluates a run's final policy, and its earlier checkpoints if all are there."""
    from adapters import load_trainer
    from motrix_gym.policy_files import ARRAYS_FILE
    from rl_zoo.comparison import Point, Result
    from rl_zoo.evaluation import SEED

    manifest, config, entries = run.manifest(), run.config(), run.history()
    trainer = load_trainer(manifest["trainer"], manifest["algo"])
    last = entries[-1]
    if not _has_curve(run):
        entries = [last]
    print(f"evaluating {run.folder} ({len(entries)} checkpoints)", flush=True)
    known = _read_curve(run.folder / CURVE)
    points = []
    for entry in entries:
        episodes = args.episodes if entry is last else args.curve_episodes
        figures, faults = _measured(run, entry, episodes, known, args.num_threads)
        means = {name: summary.mean for name, summary in figures.items()}
        seconds = entry.get("seconds", math.nan)
        points.append(Point(entry["steps"], seconds, means, faults))
    return Result(
        trainer=manifest["trainer"],
        algo=manifest["algo"],
        seed=manifest["seed"],
        folder=str(run.folder),
        settings=config.as_dict(),
        ignored=trainer.ignored_settings(config),
        origin=_origin(run),
        policy=last["sha256"][ARRAYS_FILE],
        steps_per_second=manifest.get("steps_per_second", math.nan),
        peak_memory_mib=manifest.get("peak_memory_mib", math.nan),
        steps=last["steps"],
        seconds=points[-1].seconds,
        episodes=args.episodes,
        curve_episodes=args.curve_episodes,
        evaluation_seed=SEED,
        figures=figures,
        faults=faults,
        curve=tuple(points) if _has_curve(run) else (),
    )


def _measured(
    run: "Run", entry: dict[str, Any], episodes: int, known: dict[str, Any], num_threads: int
) -> "tuple[dict[str, Summary], int]":
    """Returns a checkpoint's figures and faults, evaluated unless known from curve.json.

    What is new goes there too. Known is what was measured with the same code and versions, on the
    same processor.
    """
    from motrix_gym.files import write_file
    from motrix_gym.policy_files import ARRAYS_FILE
    from rl_zoo.comparison import read_figures
    from rl_zoo.evaluation import SEED, evaluate_policy
    from rl_zoo.runs import code, machine, versions

    here = [code(), versions(), machine()["cpu"]]
    key = json.dumps([entry["sha256"][ARRAYS_FILE], episodes, SEED, *here])
    if key not in known:
        manifest = run.manifest()
        evaluation = evaluate_policy(
            manifest["env_id"],
            run.policy(entry["folder"]),
            episodes=episodes,
            seed=SEED,
            settings=manifest["env_config"],
            num_threads=num_threads,
        )
        figures = {
            name: summary.as_dict()
            for name, summary in evaluation.summaries.items()
            if not name.startswith("reward/")
        }
        known[key] = {"figures": figures, "faults": evaluation.faults}
        with contextlib.suppress(OSError):  # a run that is read-only is measured each time
            write_file(run.folder / CURVE, json.dumps(known, indent=1).encode() + b"\n")
    return read_figures(known[key]["figures"]), known[key]["faults"]


def _read_curve(path: Path) -> dict[str, Any]:
    """Returns the evaluations of a curve.json by key; {} if there is none, or it is damaged."""
    from rl_zoo.comparison import read_figures

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


# Comparisons that were stored.


def _stored(args: argparse.Namespace) -> "list[Comparison]":
    """Returns the comparisons of --from, those of an environment as one; each run counts once.

    Raises:
        ZooError: a file cannot be read, or they cannot be one.
    """
    others = "algo trainers stock first_seed seeds set no_train runs episodes curve_episodes"
    _alone(args, "--from", "env", *others.split())
    merged: dict[str, Comparison] = {}
    for path in args.stored:
        for found in _read_comparisons(path):
            key = _key(found.env_id, found.settings)
            known = merged.setdefault(key, found)
            if known.goals != found.goals:
                goals = (", ".join(map(str, c.goals)) for c in (found, known))
                message = f"the goals of {found.env_id} are {' there, elsewhere '.join(goals)}"
                raise ZooError(f"{path}: {message}")
            runs = {
                (run.trainer, run.algo, run.seed, run.policy): run
                for run in (*known.results, *found.results)
            }
            units = known.units | found.units
            merged[key] = dataclasses.replace(known, units=units, results=tuple(runs.values()))
    for comparison in merged.values():
        for label, results in comparison.rows.items():
            for a, b in itertools.pairwise(results):
                if a.seed == b.seed:
                    raise ZooError(_same_seed(label, a.seed, a.folder, b.folder))
        for result in comparison.results if args.strict else ():
            _check_strict(result.folder, _others_of(comparison, result))
    return list(merged.values())


def _same_seed(name: str, seed: int, *folders: object) -> str:
    return f"two runs of {name} have the same seed {seed}: {' and '.join(map(str, folders))}"


def _read_comparisons(path: Path) -> "list[Comparison]":
    """Returns the comparisons of a comparison.json.

    Raises:
        ZooError: it cannot be read, is of another version, or is none.
    """
    from rl_zoo.comparison import Comparison

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


# What is written.


def _about(comparisons: "Sequence[Comparison]", argv: Sequence[str]) -> str:
    """Returns the beginning of the Markdown file: what was compared, and how."""
    from rl_zoo.comparison import either

    results = [result for c in comparisons for result in c.results]
    origins = [result.origin for result in results]
    sessions = [session | {"device": o["device"]} for o in origins for session in o["sessions"]]
    machines = sorted(
        {
            f"{s['cpu']}, {s['cores']} core{'s' * (s['cores'] != '1')}, {s['device']}"
            for s in sessions
        }
    )
    dates = sorted({origin["created"][:10] for origin in origins})
    versions: dict[str, set[str]] = {}
    for session in sessions:
        for package, version in session["versions"].items():
            versions.setdefault(package, set()).add(version)
    listed = ", ".join(f"{name} {' or '.join(sorted(found))}" for name, found in versions.items())
    trainers = ", ".join(dict.fromkeys(label for c in comparisons for label in c.rows))
    algorithms = ", ".join(dict.fromkeys(result.algo for result in results))
    final = either(result.episodes for result in results)
    curve = either(result.curve_episodes for result in results)
    mixed = "**Not all on one machine: seconds do not compare.** " if len(machines) > 1 else ""
    without = {result.trainer: result.ignored for result in results if result.ignored}
    ignored = "".join(
        f"\n  Without effect in {name}: {', '.join(names)}." for name, names in without.items()
    )
    return f"""# Comparison of {trainers}: {algorithms}

    {shlex.join(["python", "-m", "rl_zoo.compare", *argv])}

Trained {" to ".join(dict.fromkeys((dates[0], dates[-1])))} on: {"; ".join(machines)}.
{mixed}Versions: {listed}.

![return against environment steps and seconds](comparison.png)

A line is the mean over seeds, its band goes from the lowest to the highest seed. A triangle on the
axis is the mean threshold, where every seed reached it; a dotted line is a goal.

- One block of settings for all trainers; what differs is said under the tables.{ignored}
- Figures are of the last checkpoint's policy, none is picked: deterministic, {final} episodes, the
  same evaluation seeds for all. Over seeds: mean ± 95 % interval (Student's t), and interquartile
  mean with its 95 % interval (bootstrap over seeds).
- A goal is met if all of the 95 % interval of its figure over these episodes meets it (Wilson's for
  a rate, else a bootstrap's), and met on average if only the mean does.
- Threshold: the first of two consecutive checkpoints that both meet all goals on average, over
  {curve} episodes, the last one over {final}. Where a seed has none, the mean is over those that
  have one, and there is no interval.
- Seconds count from the start of the training process, start-up and compilation included,
  evaluations not. Steps/s is of the updates alone.
"""


def _write(out: Path, comparisons: "Sequence[Comparison]", about: str) -> None:
    """Writes the three files, and prints the tables.

    Raises:
        ZooError: a file cannot be written.
    """
    from motrix_gym.files import write_file
    from rl_zoo.comparison import picture, summary

    sections = (comparison.markdown(_notes(comparison)) for comparison in comparisons)
    tables = "\n\n".join([summary(comparisons), *sections])
    numbers = {
        "schema_version": SCHEMA_VERSION,
        "environments": [comparison.as_dict() for comparison in comparisons],
    }
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
        raise ZooError(f"cannot write in {out}: {error.strerror}") from error
    print(f"\n{tables}\n\n{shlex.join(str(out / name) for name in files)}")
