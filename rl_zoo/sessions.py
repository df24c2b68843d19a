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

from rl_zoo.environments import make_env
from rl_zoo.errors import ZooError
from rl_zoo.hints import command_line
from rl_zoo.policy_search import with_policies_found
from rl_zoo.progress import RETURN

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

    Attributes:
        run: The run that is trained.
        trainer: The trainer.
        deadline: When it ends at the latest (`time.monotonic()`).
        seconds: Time that the updates took.
        interrupted: Whether it was stopped before the training and its evaluation were done; set by
            whoever stops it.

    Raises:
        UsageError, FieldError, PolicyError: Settings are wrong, or something they name is missing.
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
    ):
        import adapters
        import rl_zoo.logs  # noqa: F401 (if TensorBoard is missing, say so before there is a run)

        started = time.monotonic() if started is None else started
        self.plan, self.num_threads, self.on_log = plan, num_threads, on_log
        self.deadline = started + 60.0 * minutes
        self.seconds, self.interrupted = 0.0, False
        with contextlib.ExitStack() as stack:
            if plan.resume:
                stack.callback(plan.resume.close)
            trainer_class = adapters.load_trainer(plan.trainer, plan.algo)
            env = stack.enter_context(
                contextlib.closing(
                    make_env(
                        plan.env_id,
                        plan.training_settings(),
                        plan.config.num_envs,
                        num_threads,
                        trainer_class.autoreset_mode,
                        privileged=plan.config.sees_privileged,
                    )
                )
            )
            try:
                self.trainer = trainer_class(
                    env, with_policies_found(plan.config), device=plan.device
                )
            except (adapters.FieldError, adapters.PolicyError, ZooError):
                raise
            except ValueError as error:  # such as a device that is not there
                raise ZooError(str(error)) from error
            if plan.config.training_env:  # policies are for the task as it is evaluated
                self.trainer.task = plan.task()
            self.run = self._begin(run_dir, started)
            self._open: contextlib.ExitStack | None = stack.pop_all()
        self.first_step = self.trainer.env_steps

    def _begin(self, run_dir: str | Path, started: float) -> "Run":
        """Returns the run, open for writing: a new one, or one whose state the trainer restored."""
        from motrix_gym import registration
        from motrix_gym.settings import as_json
        from rl_zoo.runs import Run
        from rl_zoo.task_settings import resolved

        plan = self.plan
        if plan.resume is None:
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
                started=started,
            )
        run = plan.resume
        state, steps = run.state("latest"), run.manifest()["latest"]["steps"]
        try:
            self.trainer.restore(state)
            if self.trainer.env_steps != steps:
                raise ValueError(f"its state is of {self.trainer.env_steps} steps, not of {steps}")
        except Exception as error:  # a damaged state may make a library stumble anywhere
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            raise ZooError(f"{run.folder} cannot be resumed: {kind}{error}") from error
        run.begin(started)
        return run

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole run."""
        return self.plan.config.vector_steps * self.plan.config.num_envs

    @property
    def spent(self) -> bool:
        """Whether the budget of steps is spent."""
        return self.trainer.spent

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
        from rl_zoo.logs import EventLog
        from rl_zoo.recorder import Recorder
        from rl_zoo.runs import RunError

        try:
            with EventLog(self.run.folder, self.trainer.env_steps) as log:
                recorder = Recorder(self.trainer, self.run, log, self.on_log)
                try:
                    while not self.spent:
                        scalars = recorder.update()
                        self.seconds = recorder.seconds
                        yield Progress(self.trainer.env_steps, self.total_steps, scalars)
                        if time.monotonic() >= self.deadline:
                            break
                except GeneratorExit:  # the iteration was left, by `break` for example
                    recorder.finish()
                    raise
                recorder.finish()
        except BrokenPipeError:  # of the program that reads the output
            raise
        except OSError as error:
            reason = f"cannot write in {self.run.folder}: {error.strerror}"
            raise ZooError(f"{reason}; {advice(self.run)}") from error
        except RunError as error:
            raise ZooError(f"{error}; {advice(self.run)}") from error

    def __enter__(self) -> Self:
        if self._open is None:
            raise ZooError(f"this session is over; {advice(self.run)}")
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
        status = "complete" if self.spent and not self.interrupted else "interrupted"
        with self._open, contextlib.suppress(*[RunError] if failed else []):
            self._open = None
            self.run.finish("failed" if failed else status)


def advice(run: "Run") -> str:
    """Returns a phrase that says how to resume a run."""
    from adapters import find_trainer

    if not find_trainer(run.manifest()["trainer"]).resumes:
        return "a library's own loop cannot be resumed"
    return f"resume it: {command_line('train', '--resume', run.folder)}"
