# SPDX-License-Identifier: Apache-2.0
"""The runs that a comparison needs: those that exist are found, the others are trained."""

import contextlib
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adapters
from adapters import STOCK, STOCK_PREFIX, AlgorithmConfig, find_trainer
from rl_zoo import config as zoo_config
from rl_zoo.arguments import split_settings
from rl_zoo.comparison.origins import check_strict, differences, origin_of
from rl_zoo.comparison.results import fixed
from rl_zoo.comparison.usable import flaw_of
from rl_zoo.config import env_name
from rl_zoo.environments import find_env, make_env
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.evaluation import check_ends
from rl_zoo.hints import command_line
from rl_zoo.policy_search import with_policies_found
from rl_zoo.runs import MANIFEST, Run, RunError
from rl_zoo.task_settings import training_settings
from rl_zoo.yaml_files import ConfigError

CURVE_POINTS = 20  # about how many checkpoints a run that is trained here has
LEAST = 8  # checkpoints that a curve needs
NOT_SET = {
    "seed": "--first-seed and --seeds say which",
    "keep_checkpoints": "a comparison keeps all checkpoints",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to compare.

    Attributes:
        names: Environments, by id or "module:id".
        algo: The algorithm.
        trainers: Names of trainers; none for all that have the algorithm.
        stock: Whether each trainer's library's own loop is compared, too.
        seeds: Seeds, a run of each trainer for each.
        texts: Settings of all runs, as for `--set`.
        run_dir: The folder of all runs.
        num_threads: Threads for the physics; 0: all cores.
        strict: Whether runs that differ from those made here are refused.
    """

    names: Sequence[str]
    algo: str
    trainers: Sequence[str]
    stock: bool
    seeds: range
    texts: Sequence[str]
    run_dir: Path
    num_threads: int
    strict: bool


@dataclass(frozen=True)
class Job:
    """A run that the comparison needs."""

    env_id: str
    settings: dict[str, Any]  # of the task, by dotted name
    algo: str
    trainer: str
    config: AlgorithmConfig
    words: tuple[str, ...]  # arguments of the command `train`
    least: int  # checkpoints that its curve needs

    def __str__(self) -> str:
        return f"{self.env_id} with {self.trainer}, seed {self.config.seed}"


def wanted(request: Request, train: bool = True) -> list[Run]:
    """Returns the runs of a request; missing ones are trained.

    Args:
        request: What to compare.
        train: Whether missing runs are trained.

    Raises:
        ZooError: A run is missing and not trained, or its training failed, or it cannot be used.
        UsageError, ConfigError: A name or a setting is wrong.
        MissingLibraryError: A trainer's library is not installed.
    """
    jobs = [job for name in dict.fromkeys(request.names) for job in _jobs(name, request)]
    commands = [(job, command) for job in jobs if (command := _todo(job, request))]
    if commands and not train:
        raise ZooError(
            "--no-train, and runs are missing; these train them:",
            commands=[command_line(*words) for _, words in commands],
        )
    # A missing library, or a task without what a trainer needs, raises before anything is trained.
    for job in {(job.env_id, job.trainer): job for job, _ in commands}.values():
        trainer, config = (
            adapters.load_trainer(job.trainer, job.algo),
            with_policies_found(job.config.last_stage),
        )
        settings = training_settings(job.env_id, job.settings, config)
        privileged = config.sees_privileged
        env = make_env(job.env_id, settings, 1, request.num_threads, privileged=privileged)
        with contextlib.closing(env):
            trainer.requirements(env, config)
    for i, (job, words) in enumerate(commands, 1):
        print(f"training {i} of {len(commands)}: {job}", flush=True)
        if status := _run(words):
            raise ZooError(
                f"the training of {job} ended with status {status}; the same command goes on, "
                "unless the training diverged: then other settings are needed",
                status,
            )
    return [_found(job, request.run_dir) for job in jobs]


def _jobs(name: str, request: Request) -> list[Job]:
    """Returns what the comparison needs of an environment: seed by seed, all trainers.

    Raises:
        UsageError, ConfigError: A name or a setting is wrong.
    """
    env_id, algo = find_env(name), request.algo
    values, settings = split_settings(request.texts, algo, env_id)
    for setting, reason in NOT_SET.items():
        if setting in values:
            raise UsageError(f"--set {setting}: {reason}")
    with contextlib.closing(make_env(env_id, settings, 1, request.num_threads)) as env:
        check_ends(env.config, env_id)
    trainers = dict.fromkeys(request.trainers or zoo_config.trainers(algo))
    if request.stock:
        own = [name for name in STOCK if algo in STOCK[name].classes]
        if not own:
            raise UsageError(f"--stock: no library's own loop of {algo} is here")
        names = [f"{STOCK_PREFIX}{name}" for name in trainers]
        trainers |= {name: None for name in names if name in own}
    jobs = []
    for seed in request.seeds:
        for trainer in trainers:
            values["seed"] = seed
            config = zoo_config.load(env_id, algo, trainer, task_settings=settings, **values)
            if config.stages and trainer in STOCK:
                raise UsageError("--stock: a library's own loop has no stages: --set stages=null")
            own = config.last_stage
            interval = max(round(own.updates / CURVE_POINTS), 1) * own.rollouts
            interval = values.get("check_point_interval", interval)
            fewest = 1 if config.stages and config.stage_list[-1].goal else own.fewest_updates
            least = min(LEAST, fewest, _planned(own, interval))
            words = ["--algo", algo, "--env", name, "--trainer", trainer, "--seed", str(seed)]
            words += ["--run-dir", str(request.run_dir)]
            words += ["--num-threads", str(request.num_threads)]
            words += ["--eval-episodes", "0", "--set", "keep_checkpoints=-1"]
            words += [f"check_point_interval={interval}", *request.texts]
            jobs.append(Job(env_id, settings, algo, trainer, config, tuple(words), least))
    return jobs


def _planned(config: AlgorithmConfig, interval: int) -> int:
    """How many checkpoints a run has in the end."""
    return min(config.updates, math.ceil(config.vector_steps / interval))


def _todo(job: Job, request: Request) -> tuple[str, ...]:
    """Returns the command that makes a run, or resumes one; () if the run exists."""
    runs = list(_matching(job, request.run_dir))
    usable = [run for run in runs if not flaw_of(run, job.least)]
    run = _most_like_here(usable or [run for run in runs if _can_go_on(run, job)])
    if run and request.strict:
        check_strict(run.folder, differences(origin_of(run), {}, {}))
    if usable:
        return ()
    if run:
        env = ("--env", job.words[job.words.index("--env") + 1])
        threads = ("--num-threads", str(request.num_threads))
        return ("train", "--resume", str(run.folder), *env, *threads, "--eval-episodes", "0")
    return ("train", *job.words)


def _can_go_on(run: Run, job: Job) -> bool:
    """Whether a run was stopped, and has enough checkpoints for a curve once it is resumed."""
    config, manifest = run.config().last_stage, run.manifest()
    begun = manifest["latest"] is not None or len(job.config.stage_list) > 1
    return (
        find_trainer(job.trainer).resumes
        and manifest["status"] != "complete"
        and begun
        and config.keep_checkpoints < 0
        and _planned(config, config.check_point_interval) >= job.least
    )


def _most_like_here(runs: Sequence[Run]) -> Run | None:
    """Returns the first of the runs that differ least from one made here; None if there is none."""
    return min(runs, key=lambda run: len(differences(origin_of(run), {}, {})), default=None)


def _matching(job: Job, root: Path) -> Iterator[Run]:
    """The readable runs of a job, the newest first."""
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


def _found(job: Job, root: Path) -> Run:
    """Returns the usable run of a job that differs least from one made here; of equals, the newest.

    Raises:
        ZooError: None can be used.
    """
    runs = list(_matching(job, root))
    if run := _most_like_here([run for run in runs if not flaw_of(run, job.least)]):
        return run
    flaws = [f"{run.folder} {flaw_of(run, job.least)}" for run in runs] or ["there is none"]
    raise ZooError(f"no run of {job} in {root} can be used: {'; '.join(flaws)}")


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
