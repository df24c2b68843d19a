# SPDX-License-Identifier: Apache-2.0
"""Training in stages: one policy goes through several environments.

The last stage is the run's own training. Each one before it is a run of its own in the folder
`stages/1`, `stages/2`, ... of the run's folder, and the next one starts from its latest policy. So
each stage is locked, stored and resumed as any run is, and can be played and evaluated.
"""

import contextlib
import dataclasses
import math
import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import adapters
from adapters.channels import Channels, entries_seen, env_channels
from rl_zoo.errors import UsageError
from rl_zoo.manifests import MANIFEST, RunError
from rl_zoo.plans import Plan
from rl_zoo.policy_search import with_policies_found
from rl_zoo.runs import Run
from rl_zoo.sessions import Session, create_run

FOLDER = "stages"


def sessions(
    plan: Plan,
    *,
    run_dir: str | Path = "runs",
    num_threads: int = 0,
    minutes: float = math.inf,
    started: float | None = None,
    reshard: bool = False,
) -> Generator[Session, None, None]:
    """Yields a session for each stage that is not over yet, that of the run's own training last.

    Whoever takes a session trains, and closes it before the next one is taken. After one that was
    left before it was over there are no more.

    Args:
        plan: What to train; without stages there is a single session.
        run_dir: The folder of all runs; not used for a resumed run.
        num_threads: Threads for the physics; 0: all cores.
        minutes: Time after which the training ends, all stages together.
        started: When it began (`time.monotonic()`); by default now.
        reshard: As `Session`; a training in stages has one process.

    Raises:
        UsageError: The policy of one stage does not fit the next, or as `Session`.
        ZooError, RunError, MissingLibraryError: As `Session`.
    """
    now = time.monotonic() if started is None else started
    deadline = now + 60.0 * minutes
    if len(plan.stages) < 2:
        yield Session(
            plan,
            run_dir=run_dir,
            num_threads=num_threads,
            minutes=minutes,
            started=now,
            reshard=reshard,
        )
        return
    if plan.resume is None:
        check_fits(plan)
        run = create_run(plan, run_dir, now)
    else:
        run = plan.resume
        run.begin(now)
    plan = dataclasses.replace(plan, resume=run)
    ending: str | None = "failed"  # of the run, unless its own training says
    try:
        while plan.earlier:
            number = len(plan.stages) - plan.earlier
            training = Session(
                _stage_plan(plan, run, number, now),
                num_threads=num_threads,
                minutes=(deadline - now) / 60.0,
                started=now,
            )
            try:
                yield training
            finally:
                ending = training.run.manifest()["status"]
            if ending != "complete":
                return
            ending, now = "failed", time.monotonic()
            run.add_stage(
                envs=list(training.plan.rows),
                steps=training.trainer.env_steps,
                seconds=training.run.manifest()["wall_seconds"],
                ended="goal" if training.goal.met else "budget",
            )
            if now >= deadline:
                ending = "interrupted"
                return
        ending = None
        yield Session(
            _last_plan(plan, run),
            num_threads=num_threads,
            minutes=(deadline - now) / 60.0,
            started=now,
        )
    finally:
        if ending:
            run.finish(ending)


def check_fits(plan: Plan) -> None:
    """Refuses stages whose trainings could not begin, before any of them has.

    Raises:
        UsageError: The environments of a stage differ, or a stage lacks a channel that the policy
            of the one before sees, or has another number of actions.
        FieldError, ZooError, MissingLibraryError: As `Session`.
    """
    trainer = adapters.load_trainer(plan.trainer, plan.algo)
    policy: tuple[Channels, int] | None = None  # its channels, and its number of actions
    for number in range(1, len(plan.stages) + 1):
        stage = _part(plan, number)
        one_each = dict.fromkeys(stage.rows, 1)
        with contextlib.closing(stage.make_env(1, trainer.autoreset_mode, one_each)) as env:
            found = trainer.requirements(env, with_policies_found(stage.own))
            channels = env_channels(env, found.policy_width)
            actions = sum(channel.size for channel in env.task.action)
        try:
            if policy:
                entries_seen(policy[0], channels)
                if policy[1] != actions:
                    raise ValueError(f"the policy has {policy[1]} actions, this stage {actions}")
        except ValueError as error:
            raise UsageError(
                f"stage {number} ({', '.join(stage.rows)}) cannot go on with the policy of the "
                f"stage before: {error}"
            ) from error
        policy = channels, actions


def _part(plan: Plan, number: int) -> Plan:
    """Returns the plan of a stage, counted from 1, as a training of its own."""
    rows = plan.stages[number - 1].rows
    env_id = plan.env_id if plan.env_id in rows else next(iter(rows))
    values: dict[str, Any] = {"stages": (plan.config.stages or ())[number - 1 : number]}
    if number > 1:
        values["initial_policy"] = None
    return dataclasses.replace(
        plan,
        env_id=env_id,
        settings=plan.settings_of(env_id),
        config=plan.config.replace(**values),
        notes=(),
        resume=None,
        stage_name=f"stage {number} of {len(plan.stages)}",
    )


def _stage_plan(plan: Plan, whole: Run, number: int, started: float) -> Plan:
    """Returns the plan of an earlier stage, with its run open for writing.

    A run that was killed before its first checkpoint begins anew.

    Raises:
        RunError: It is damaged, or written by another process, or a link.
    """
    stage = dataclasses.replace(_part(plan, number), whole=whole)
    folder = _folder(whole, number)
    if folder.is_symlink() or folder.parent.is_symlink():  # of a stranger, to anywhere
        raise RunError(f"{folder} is a link or behind one: stages are folders of their run")
    if (folder / MANIFEST).is_file():
        run = Run.open(folder, resume=True)
    else:
        if folder.exists():  # it was killed before it was a run
            shutil.rmtree(folder)
        run = create_run(stage, folder.parent, started, folder)
    stage = dataclasses.replace(stage, resume=run)
    if run.manifest()["latest"]:
        return dataclasses.replace(stage, config=stage.config.replace(initial_policy=None))
    return dataclasses.replace(stage, start=_policy(whole, number - 1))


def _last_plan(plan: Plan, run: Run) -> Plan:
    """Returns the plan of the last stage, which is the run's own training."""
    last = len(plan.stages)
    start = None if run.manifest()["latest"] else _policy(run, last - 1)
    return dataclasses.replace(plan, start=start, stage_name=f"stage {last} of {last}")


def _policy(whole: Run, number: int) -> Path | None:
    """Returns the folder of the policy that a stage ended with; None before the first one."""
    if not number:
        return None
    return Run(_folder(whole, number)).policy_folder("latest").absolute()


def _folder(whole: Run, number: int) -> Path:
    return whole.folder / FOLDER / str(number)
