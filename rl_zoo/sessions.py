# SPDX-License-Identifier: Apache-2.0
"""A session: one process's part of a run's training, one update at a time.

A run can be stopped at any time (Ctrl-C, or a kill) and resumed; on the same machine it then ends
with the same weights as without the stop. Only the best earlier checkpoint may be another one: the
returns of episodes since the last checkpoint are not stored.
"""

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rl_zoo.errors import UsageError, ZooError
from rl_zoo.goals import StageGoal
from rl_zoo.hints import command_line
from rl_zoo.policy_search import with_policies_found
from rl_zoo.progress import RETURN
from rl_zoo.ranks import join, shared_run

if TYPE_CHECKING:
    from adapters import Policy
    from rl_zoo.plans import Plan
    from rl_zoo.runs import Run


@dataclass(frozen=True)
class Progress:
    """Where a training is after an update.

    Attributes:
        steps: Environment steps made, over the whole run.
        total_steps: Environment steps of the whole run.
        scalars: What the update measured, by TensorBoard tag.
    """

    steps: int
    total_steps: int
    scalars: Mapping[str, float]

    @property
    def mean_return(self) -> float | None:
        """Mean return of the episodes that ended in this update; None if none did."""
        return self.scalars.get(RETURN)

    def __str__(self) -> str:
        """Returns a line for the user."""
        share = f"{self.steps:,} steps {100 * self.steps / self.total_steps:3.0f}%"
        return share if self.mean_return is None else f"{share} | return {self.mean_return:.4g}"


class Session:
    """A training, carried out by iterating over it: an update for each `Progress`.

    The iteration ends when the budget of steps or the time is spent, or with `break`. Then a
    checkpoint of the last update is written, and the session is closed.

    Args:
        plan: What to train.
        run_dir: The folder of all runs; not used for a resumed run.
        num_threads: Threads for the physics; 0: all cores.
        minutes: Time after which it ends, start-up included, even if the budget of steps is not
            spent.
        started: When it began (`time.monotonic()`); by default now.
        on_log: Called with steps and scalars whenever these go to the run's log.
        reshard: Whether a run may go on with another number of processes than it was trained by,
            which is not exact: episodes begin anew, with other random numbers.

    Attributes:
        ranks: The processes that learn together, of which the first writes the run.
        notes: Lines for the user on how it begins.
        run: The run that is trained.
        trainer: The trainer.
        deadline: When it ends at the latest (`time.monotonic()`).
        seconds: Time that the updates took.
        interrupted: Whether it was stopped before the training and its evaluation were done; set by
            whoever stops it.
        goal: That of a stage, which ends it when it is met.

    Raises:
        UsageError, FieldError, PolicyError: Settings are wrong, or something they name is missing,
            or there are stages that come before.
        MissingLibraryError: The trainer's library is not installed.
        RunError: The run's folder cannot be written.
        ZooError: There is not enough memory, or the run cannot be resumed.
    """

    run: "Run"

    def __init__(
        self,
        plan: "Plan",
        *,
        run_dir: str | Path = "runs",
        num_threads: int = 0,
        minutes: float = math.inf,
        started: float | None = None,
        on_log: Callable[[int, Mapping[str, float]], None] | None = None,
        reshard: bool = False,
    ):
        import adapters
        import rl_zoo.logs  # noqa: F401 (if TensorBoard is missing, say so before there is a run)

        started = time.monotonic() if started is None else started
        self.plan, self.num_threads, self.on_log = plan, num_threads, on_log
        self.ranks, self._reshard, self.notes = join(plan), reshard, list[str]()
        config = self.ranks.place.share(plan.own)
        self.deadline = started + 60.0 * minutes
        self.seconds, self.interrupted = 0.0, False
        self.goal = StageGoal(plan, num_threads)
        with self.ranks.together(), contextlib.ExitStack() as stack:
            if plan.resume:
                stack.callback(plan.resume.close)
            if plan.earlier:
                raise UsageError(
                    f"{plan.env_id} is learned in {len(plan.stages)} stages, and this is a session "
                    "of the last: rl_zoo.train goes through all, or set stages=None"
                )
            trainer_class = adapters.load_trainer(plan.trainer, plan.algo)
            env = stack.enter_context(
                contextlib.closing(
                    plan.make_env(
                        num_threads or self.ranks.place.threads(),
                        trainer_class.autoreset_mode,
                        {plan.env_id: config.num_envs} if self.ranks.size > 1 else None,
                    )
                )
            )
            try:
                self.trainer = trainer_class(env, with_policies_found(config), device=plan.device)
            except (adapters.FieldError, adapters.PolicyError, ZooError):
                raise
            except ValueError as error:  # such as a device that is not there
                raise ZooError(str(error)) from error
            if plan.own.training_env:  # policies are for the task as it is evaluated
                self.trainer.task = plan.task()
            if plan.resume:
                self._restore(plan.resume)
            run = None if self.ranks.rank else self._begin(run_dir, started)
            self._open: contextlib.ExitStack | None = stack.pop_all()
        self.run = shared_run(self.ranks, run)
        self.first_step = self.trainer.env_steps

    def _begin(self, run_dir: str | Path, started: float) -> "Run":
        """Returns the run, open for writing."""
        if self.plan.resume is None:
            return create_run(self.plan, run_dir, started)
        self.plan.resume.begin(started)
        return self.plan.resume

    def _restore(self, run: "Run") -> None:
        """Takes the trainer to the latest checkpoint of a run, if its training has begun."""
        from adapters.ranks import COUNT, RanksError

        if (latest := run.manifest()["latest"]) is None:
            return
        state, steps, own = run.state("latest"), latest["steps"], self.trainer.own_state
        try:
            if (count := int(state.get(COUNT, 1))) != self.ranks.size:
                numbers = f"processes: {self.ranks.size} instead of {count}"
                self.notes.append(f"{numbers}, with new episodes and random numbers: not exact")
            fresh = self.trainer.state() if self._reshard else None
            self.trainer.restore(self.ranks.part_of_state(state, own, fresh))
            if (found := self.trainer.env_steps) != steps:
                raise ValueError(f"its state is of {found} steps, not of {steps}")
        except Exception as error:  # a damaged state may make a library stumble anywhere
            told = isinstance(error, ValueError | RanksError)
            kind = "" if told else f"{type(error).__name__}: "
            raise ZooError(f"{run.folder} cannot be resumed: {kind}{error}") from error

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole run."""
        config = self.trainer.config
        return config.vector_steps * config.num_envs * self.ranks.size

    @property
    def spent(self) -> bool:
        """Whether the budget of steps is spent."""
        return self.trainer.spent

    @property
    def over(self) -> bool:
        """Whether the budget of steps is spent, or the goal of the stage is met."""
        return self.spent or self.goal.met

    @property
    def whole(self) -> "Run":
        """The run to resume: that of all stages, if this is the training of an earlier one."""
        return self.plan.whole or self.run

    @property
    def done(self) -> bool:
        """Whether the whole training is over, all stages included."""
        return self.over and self.plan.whole is None

    def policy(self) -> "Policy":
        """Returns the policy as it is after the last update."""
        return self.trainer.policy()

    def __iter__(self) -> Iterator[Progress]:
        """Trains, and closes the session in the end.

        Raises:
            ZooError: The run cannot be written, or the training diverged.
        """
        with self:
            yield from self.updates()

    def updates(self) -> Generator[Progress, None, None]:
        """Trains and leaves the session open, as for an evaluation; use it in a `with` block.

        Raises:
            ZooError: The run cannot be written, or the training diverged.
        """
        from rl_zoo.log_services import open_logs
        from rl_zoo.recorder import Recorder
        from rl_zoo.runs import RunError

        try:
            with open_logs(None if self.ranks.rank else self.run, self.first_step) as log:
                recorder = Recorder(self.trainer, self.run, log, self.on_log)
                try:
                    # A process that was killed may not have come to it.
                    self.goal.check(self.trainer)
                    while not self.over:
                        scalars = recorder.update()
                        self.seconds = recorder.seconds
                        self.goal.check(self.trainer)
                        yield Progress(self.trainer.env_steps, self.total_steps, scalars)
                        if self.ranks.any(time.monotonic() >= self.deadline):
                            break
                except GeneratorExit:  # the iteration was left, by `break` for example
                    recorder.finish()
                    raise
                recorder.finish()
        except BrokenPipeError:  # of the program that reads the output
            raise
        except OSError as error:
            reason = f"cannot write in {self.run.folder}: {error.strerror}"
            raise ZooError(f"{reason}; {advice(self.whole)}") from error
        except RunError as error:
            raise ZooError(f"{error}; {advice(self.whole)}") from error

    def __enter__(self) -> Self:
        if self._open is None:
            raise ZooError(f"this session is over; {advice(self.whole)}")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.interrupted |= kind is KeyboardInterrupt
        self.close(failed=kind not in (None, KeyboardInterrupt, GeneratorExit))

    def close(self, failed: bool = False) -> None:
        """Ends the session; other processes can then resume the run.

        Args:
            failed: Whether an error ended it. That is the error to report, so no other is raised.

        Raises:
            RunError: The run's manifest cannot be written.
        """
        from rl_zoo.runs import RunError

        if self._open is None:
            return
        status = "complete" if self.over and not self.interrupted else "interrupted"
        with self._open, contextlib.suppress(*[RunError] if failed else []):
            self._open = None
            self.run.finish("failed" if failed else status)


def create_run(
    plan: "Plan", run_dir: str | Path, started: float, folder: Path | None = None
) -> "Run":
    """Makes the folder of a new run, open for writing; see `Run.create`."""
    from motrix_gym import registration
    from motrix_gym.settings import as_json
    from rl_zoo.runs import Run
    from rl_zoo.task_settings import resolved

    return Run.create(
        run_dir,
        plan.env_id,
        plan.trainer,
        plan.config,
        algo=plan.algo,
        env_config=plan.settings,
        task=as_json(resolved(plan.env_id, plan.settings)),
        module=registration.entry(plan.env_id).module,
        device=plan.device,
        log=plan.log,
        started=started,
        folder=folder,
    )


def advice(run: "Run") -> str:
    """Returns a phrase that says how to resume a run."""
    from adapters import find_trainer
    from adapters.ranks import current

    if not find_trainer(run.manifest()["trainer"]).resumes:
        return "a library's own loop cannot be resumed"
    size = current().size
    processes = ["--processes", str(size)] if size > 1 else []
    return f"resume it: {command_line('train', '--resume', run.folder, *processes)}"
