# SPDX-License-Identifier: Apache-2.0
"""Training from Python: `rl_zoo.train`, `rl_zoo.resume` and `rl_zoo.session`.

`motrix train` does the same; it also handles signals, and prints what to type next.
"""

import contextlib
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rl_zoo.environments import DEFAULT_ENV
from rl_zoo.evaluation import CHOICE_EPISODES, EPISODES, check_ends, side_by_side
from rl_zoo.plans import Plan, plan_new, plan_resumed
from rl_zoo.ranks import join
from rl_zoo.sessions import Session, advice
from rl_zoo.stages import sessions
from rl_zoo.stopping import stop_signals
from rl_zoo.task_settings import resolved

if TYPE_CHECKING:
    from rl_zoo.config import Source
    from rl_zoo.evaluation import Evaluation
    from rl_zoo.progress import ProgressLine
    from rl_zoo.progress_table import ProgressTable
    from rl_zoo.runs import Run


def train(
    env_id: str = DEFAULT_ENV,
    *,
    algo: str = "ppo",
    trainer: str = "auto",
    device: str = "auto",
    env: Mapping[str, Any] | None = None,
    hyperparams: "Source | None" = None,
    run_dir: str | Path = "runs",
    num_threads: int = 0,
    minutes: float = math.inf,
    log: Sequence[str] = (),
    eval_episodes: int = EPISODES,
    quiet: bool = False,
    **settings: Any,
) -> "Run":
    """Trains a policy, evaluates it, and leaves a run folder.

    Ctrl-C ends the training after the update under way, with a checkpoint to `resume` from.

    Args:
        env_id: A registered id, or "module:id" to import a module that registers it.
        algo: The algorithm: "ppo", "recurrent_ppo", "trpo", "sac", "td3", "tqc", "crossq", "ars" or
            "distill".
        trainer: "skrl-jax", "skrl-torch", "sb3", or "auto" for the best that is installed.
        device: What to learn on: "cpu", "cuda", or "auto".
        env: Task settings by dotted name, such as `{"reward_weights.alive": 2.0}`.
        hyperparams: A YAML file, a mapping as such a file has it, or a config object, to use
            instead of the environment's own settings.
        run_dir: The folder of all runs.
        num_threads: Threads for the physics; 0: all cores.
        minutes: Time after which the training ends, even if the budget of steps is not spent.
        log: Where scalars go beside TensorBoard: some of "wandb" and "mlflow".
        eval_episodes: Episodes of the evaluation; 0: none.
        quiet: Print nothing.
        **settings: Settings of the algorithm and of the run, such as `learning_rate` and `seed`;
            `motrix settings` lists them.

    Returns:
        The run. Its `policy()` maps observations to actions, its `evaluate()` measures it.

    Raises:
        ValueError: A name or a setting is wrong; the message says which, and the nearest.
        MissingLibraryError: The trainer's library is not installed.
        ZooError: The training failed, for example since weights are not finite any more.
        RunError: The run's folder cannot be written.
        KeyboardInterrupt: By Ctrl-C.
    """
    plan = plan_new(
        env_id,
        algo=algo,
        trainer=trainer,
        device=device,
        env=env,
        hyperparams=hyperparams,
        log=log,
        **settings,
    )
    return _finish(
        plan,
        quiet,
        run_dir=run_dir,
        num_threads=num_threads,
        minutes=minutes,
        eval_episodes=eval_episodes,
    )


def resume(
    run: str | Path,
    *,
    num_threads: int = 0,
    minutes: float = math.inf,
    eval_episodes: int = EPISODES,
    quiet: bool = False,
    reshard: bool = False,
) -> "Run":
    """Continues a run that was stopped, with its own settings, and evaluates it in the end.

    Args:
        run: The run's folder.
        num_threads: Threads for the physics; 0: all cores.
        minutes: Time after which the training ends, even if the budget of steps is not spent.
        eval_episodes: Episodes of the evaluation; 0: none.
        quiet: Print nothing.
        reshard: Go on with another number of processes than before, which is not exact.

    Returns:
        The run.

    Raises:
        RunError: There is no run, or it is damaged, or another process is writing it.
        ZooError: Its environment is not registered, or the training failed.
        KeyboardInterrupt: By Ctrl-C.
    """
    return _finish(
        plan_resumed(run),
        quiet,
        reshard=reshard,
        num_threads=num_threads,
        minutes=minutes,
        eval_episodes=eval_episodes,
    )


def session(
    env_id: str = DEFAULT_ENV,
    *,
    algo: str = "ppo",
    trainer: str = "auto",
    device: str = "auto",
    env: Mapping[str, Any] | None = None,
    hyperparams: "Source | None" = None,
    run_dir: str | Path = "runs",
    num_threads: int = 0,
    minutes: float = math.inf,
    log: Sequence[str] = (),
    **settings: Any,
) -> Session:
    """Returns a training that is carried out by iterating over it, one update at a time.

        training = rl_zoo.session("Motrix/CartPole-v0")
        for progress in training:
            print(progress)
        policy = training.run.policy()

    It prints nothing and evaluates nothing; the arguments are those of `train`.

    Raises:
        ValueError, MissingLibraryError, ZooError, RunError: As `train`.
    """
    plan = plan_new(
        env_id,
        algo=algo,
        trainer=trainer,
        device=device,
        env=env,
        hyperparams=hyperparams,
        log=log,
        **settings,
    )
    return Session(plan, run_dir=run_dir, num_threads=num_threads, minutes=minutes)


def _finish(plan: Plan, quiet: bool, **options: Any) -> "Run":
    """Carries out a plan as `train` and `resume` do."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(open(os.devnull, "w")) if quiet else sys.stdout
        training, stop = carry_out(plan, signals=(signal.SIGINT,), out=out, **options)
        run = training.whole
        if not training.ranks.rank:
            print(f"run: {run.folder}", file=out)
    if stop:
        raise KeyboardInterrupt(f"go on with rl_zoo.resume({str(run.folder)!r})")
    return run


def carry_out(
    plan: Plan,
    *,
    signals: Sequence[int],
    out: TextIO,
    eval_episodes: int = EPISODES,
    page: tuple[str, int] | None = None,
    **options: Any,
) -> tuple[Session, list[int]]:
    """Trains and evaluates, and prints the progress.

    Args:
        plan: What to train.
        signals: Those that end the training after the update under way.
        out: Where to print.
        eval_episodes: Episodes of the evaluation; 0: none.
        page: Address and port of a page that shows the training; port 0: one that is free.
        **options: Of `rl_zoo.stages.sessions`.

    Returns:
        The last session, which is closed, and a list of the signal that ended it; empty if none
        did.

    Raises:
        ValueError, MissingLibraryError, ZooError, RunError: As `train`.
    """
    ranks = join(plan)
    with contextlib.ExitStack() as stack:
        stack.push(lambda kind, *_: ranks.fail() if kind else None)
        if ranks.rank:  # the first one speaks for all
            out = stack.enter_context(open(os.devnull, "w"))
        print(plan, file=out, flush=True)
        if plan.resume:
            stack.callback(plan.resume.close)
        with ranks.together():
            if eval_episodes:  # raise before the training if it could not be evaluated afterwards
                check_ends(resolved(plan.env_id, plan.settings), plan.env_id)
                side_by_side(eval_episodes)
        trainings = stack.enter_context(contextlib.closing(sessions(plan, **options)))
        done = [(t, _carry_out(t, signals, eval_episodes, page, out)) for t in trainings]
    return done[-1]


def _carry_out(
    training: Session,
    signals: Sequence[int],
    eval_episodes: int,
    page: tuple[str, int] | None,
    out: TextIO,
) -> list[int]:
    """Trains in a session, and evaluates if it is the run's own; returns as `carry_out`."""
    with training:
        try:
            with _shown(training, page, out):
                stop = _learn(training, signals, out)
            training.interrupted = bool(stop)
            judges = eval_episodes and training.plan.whole is None and not training.ranks.rank
            if judges and not stop:
                _judge(training, eval_episodes, out)
        except KeyboardInterrupt:
            print(advice(training.whole), file=sys.stderr)
            raise
    return stop


@contextlib.contextmanager
def _shown(training: Session, page: tuple[str, int] | None, out: TextIO) -> Iterator[None]:
    """Shows a training on a page, and tells its address, if that is wanted."""
    if page is None or training.ranks.rank:
        yield
        return
    from rl_zoo.viewing.training_page import page_of

    with page_of(training, *page) as address:
        print(f"watch it at {address}", file=out, flush=True)
        yield


def _learn(training: Session, signals: Sequence[int], out: TextIO) -> list[int]:
    """Trains until the budget or the time is spent, or a signal comes; shows the progress.

    Returns:
        A list of the signal that came; empty if none did.

    Raises:
        ZooError: The run cannot be written, or the training diverged.
    """
    print(_header(training), file=out, flush=True)
    progress, found = _display(training, out), ""
    training.on_log = progress.update
    say = (lambda _: None) if training.ranks.rank else progress.note
    with (
        contextlib.closing(progress),
        stop_signals(*signals, say=say) as stop,
        contextlib.closing(training.updates()) as updates,
    ):
        for _ in updates:
            if training.goal.found != found:
                found = training.goal.found
                progress.say(found)
            if asked := max(training.ranks.gathered(list(stop)), key=len):
                stop[:] = asked
                break
    print(_ending(training, bool(stop)), file=out)
    return stop


def _display(training: Session, out: TextIO) -> "ProgressTable | ProgressLine":
    """Returns what shows the progress of a training: a table in a terminal, else lines."""
    from rl_zoo.progress import ProgressLine
    from rl_zoo.progress_table import ProgressTable, fits

    task = training.trainer.env.unwrapped.task  # pyright: ignore
    show = ProgressTable if fits(out) else ProgressLine
    return show(
        training.total_steps,
        training.first_step,
        # A step's mean says nothing of a rate, which counts episodes, or of classes.
        [name for name, m in task.metrics.items() if not (m.rate or m.words)],
        training.deadline,
        stream=out,
        stage=training.plan.stage_name,
        environments=list(training.plan.rows),
    )


def _ending(training: Session, stopped: bool) -> str:
    """A line for the user on how a training ended, and what it took."""
    from rl_zoo.recorder import peak_memory

    steps = training.trainer.env_steps - training.first_step
    if not (steps or stopped):
        return f"complete already, with {training.first_step:,} steps"
    rate = steps / training.seconds if steps else 0.0
    over = "goal met" if training.goal.met else "trained" if training.spent else "time is up"
    return (
        f"{'stopped' if stopped else over}: {steps:,} steps in {training.seconds:.1f} s "
        f"({rate:,.0f} steps/s), peak memory {peak_memory():,.0f} MiB"
    )


def _header(training: Session) -> str:
    """A few lines for the user on what is trained."""
    trainer, plan = training.trainer, training.plan
    config, task = trainer.config, trainer.env.unwrapped.task.config  # pyright: ignore
    spaces = trainer.env.single_observation_space, trainer.env.single_action_space
    sizes = [space.shape[0] for space in spaces]  # pyright: ignore[reportOptionalSubscript]
    seen, width = trainer.policy_width, sizes[0]
    privileged = f" and {width - seen} privileged" if width > seen else ""
    limit = task.max_episode_steps
    episodes = f"{limit:,} steps ({limit * task.control_timestep:g} s)" if limit else "any length"
    rows = config.num_envs * training.ranks.size
    notes = "".join(f"{note}\n" for note in [*training.notes, *trainer.notes()])
    return (
        f"{_stage(plan)}observation {seen}{privileged}, action {sizes[1]}, episodes of {episodes}; "
        f"{config.networks}, seed {config.seed}\n"
        f"{rows:,} environments x {config.schedule} = {training.total_steps:,} steps\n"
        f"{notes}run: {training.run.folder}"
    )


def _stage(plan: Plan) -> str:
    """A line on the stage that is trained; "" where there are no stages."""
    if not plan.stages:
        return ""
    rows = ", ".join(f"{env_id} ({count:,} rows)" for env_id, count in plan.rows.items())
    until = f", until {plan.goal}" if plan.goal else ""
    return f"{plan.stage_name}: {rows}{until}\n".removeprefix(": ")


def _judge(training: Session, episodes: int, out: TextIO) -> None:
    """Chooses between the latest policy and the best earlier one, and evaluates the better one.

    The earlier one is the best by its return in training, where actions are drawn. The choice
    measures both with deterministic actions, over the same episodes. The evaluation has other
    episodes: on those of the choice, the chosen policy's figures would be too good.
    """
    run = training.run

    def measure(which: str, count: int, purpose: str) -> "Evaluation":
        return run.evaluate(count, which=which, purpose=purpose, num_threads=training.num_threads)

    print("evaluating ...", file=out, flush=True)
    if earlier := run.best_earlier():
        choice = min(CHOICE_EPISODES, episodes), "choice"
        latest_is_better = measure("latest", *choice).rank >= measure(earlier, *choice).rank
        run.promote("latest" if latest_is_better else earlier)
    result = measure("best", episodes, "evaluation")
    manifest = run.manifest()
    steps = manifest["best"]["steps"]
    print(f"the best policy, that of step {steps:,} of {manifest['steps']:,}:", file=out)
    run.save_evaluation(result.as_dict())
    print(result, file=out)
