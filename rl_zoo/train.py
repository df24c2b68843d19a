# SPDX-License-Identifier: Apache-2.0
"""`motrix train`: train a policy, evaluate it, and leave a run folder.

A run can be stopped at any time (Ctrl-C, or a kill) and resumed; it then comes to the very weights
that it would have had. Only which earlier checkpoint counts as the best may differ: the returns
since the last one are not kept.
"""

if __name__ == "__main__":
    from rl_zoo.__main__ import run_module

    run_module("train")

import argparse
import contextlib
import importlib.util
import math
import os
import secrets
import shutil
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo import cli

if TYPE_CHECKING:
    from adapters import AlgorithmConfig, Trainer
    from motrix_gym import TaskConfig
    from rl_zoo.evaluate import Evaluation
    from rl_zoo.logs import EventLog
    from rl_zoo.runs import Run


@dataclass(frozen=True)
class Plan:
    """What to train, where and how; of a new run, or of one that goes on."""

    env_id: str
    settings: dict[str, Any]
    algo: str
    trainer: str
    device: str
    reason: str
    config: "AlgorithmConfig"
    resume: "Run | None" = None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    started = time.monotonic()  # a run's clock counts start-up, imports and compilation
    args = _arguments().parse_args(argv)
    with contextlib.ExitStack() as stack:
        with cli.ctrl_c_ends():
            plan = _resumed(args, stack) if args.resume else _planned(args)
        print(f"{plan.env_id} with {plan.trainer} on {plan.device}: {plan.reason}", flush=True)
        return train(plan, args, started)


def _arguments() -> argparse.ArgumentParser:
    p = cli.parser(
        "train",
        "Train a policy, evaluate it, and leave a run folder.\n\n"
        "Ctrl-C stops after the current update and leaves a checkpoint to resume from; a second\n"
        "Ctrl-C stops at once.",
    )
    add = p.add_argument
    add("--algo", help="ppo, recurrent_ppo, trpo, sac, td3, tqc, crossq or ars (default ppo)")
    add("--env", metavar="ID", help=f"environment, or module:ID (default {cli.DEFAULT_ENV})")
    add("--trainer", help="auto, skrl-jax, skrl-torch or sb3 (default auto: the best installed)")
    add("--num-envs", type=int, metavar="N", help="environments side by side")
    seed = p.add_mutually_exclusive_group()
    seed.add_argument("--seed", type=int, metavar="S", help="default: the settings', else 0")
    seed.add_argument("--rand-seed", action="store_true", help="draw the seed")
    add(
        "--set",
        nargs="+",
        action="extend",
        metavar="NAME=VALUE",
        help="settings, such as learning_rate=1e-4, or env.max_angle=0.3 for the task's",
    )
    add("--config", type=Path, metavar="FILE", help="YAML settings to use instead of the shipped")
    add("--device", choices=("auto", "cpu", "cuda"), help="to learn on (default auto)")
    cli.add_num_threads(p)
    add("--run-dir", type=Path, default=Path("runs"), help="folder of all runs (default runs)")
    add("--resume", type=Path, metavar="RUN", help="go on with a run, with its settings")
    add(
        "--minutes",
        type=cli.positive("minutes"),
        default=math.inf,
        metavar="M",
        help="stop after that time, even if the budget of steps is not spent; schedules such as "
        "anneal_learning_rate go by steps",
    )
    add("--eval-episodes", type=cli.whole(0), metavar="N", help="default 1000; 0: none")
    return p


def _planned(args: argparse.Namespace) -> Plan:
    """Returns the plan of a new run."""
    from rl_zoo import config as zoo_config
    from rl_zoo.settings import split

    env_id = cli.find_env(args.env or cli.DEFAULT_ENV)
    algo, asked = args.algo or "ppo", args.trainer or "auto"
    values, settings = split(args.set or [], algo)
    if args.num_envs is not None:
        values["num_envs"] = args.num_envs
    if args.seed is not None:
        values["seed"] = args.seed
    if args.rand_seed:
        values["seed"] = secrets.randbelow(2**31)
    if asked != "auto":  # a wrong name is told before anything is looked for
        zoo_config.load(env_id, algo, asked, file=args.config, **values)
    trainer, device, reason = choose(asked, args.device or "auto", algo, zoo_config.trainers(algo))
    config = zoo_config.load(
        env_id, algo, trainer, file=args.config, task_settings=settings, **values
    )
    if config.seed is None:
        config = config.replace(seed=0)
    if not zoo_config.has_settings(env_id, algo, args.config):
        print(f"no settings of {env_id} for {algo}: training with its defaults")
    return Plan(env_id, settings, algo, trainer, device, reason, config)


def _resumed(args: argparse.Namespace, stack: contextlib.ExitStack) -> Plan:
    """Returns the plan of a run that goes on; `stack` keeps other processes from writing it."""
    from rl_zoo.runs import Run

    for name in ("algo", "trainer", "num_envs", "seed", "rand_seed", "set", "config", "device"):
        if getattr(args, name) is not None and getattr(args, name) is not False:
            flag = "--" + name.replace("_", "-")
            raise cli.CommandError(
                f"--resume goes on with the run's own settings: leave out {flag}", cli.MISUSED
            )
    env_id = cli.find_env(args.env) if args.env else None
    run = Run.open(args.resume, env_id=env_id, resume=True)
    stack.callback(run.close)
    manifest = run.manifest
    env_id = cli.env_of(manifest["env_id"], args.resume)
    run.state("latest")  # damage is told before anything is loaded or changed
    config = run.config()
    if getattr(config, "initial_policy", None):  # replaced by the run's state, and may be gone
        config = config.replace(initial_policy=None)
    return Plan(
        env_id=env_id,
        settings=manifest["env_config"],
        algo=manifest["algo"],
        trainer=manifest["trainer"],
        device=manifest["device"],
        reason=f"going on at {manifest['steps']:,} steps",
        config=config,
        resume=run,
    )


def choose(trainer: str, device: str, algo: str, having: Sequence[str]) -> tuple[str, str, str]:
    """Returns trainer, device and the reason, "auto" replaced by the best that is installed.

    That is the first of those in `having`, which have the algorithm, that finds a GPU, else the
    first. A library is imported only to ask for a GPU, and only where there are signs of one.

    Raises:
        CommandError: no trainer with the algorithm is installed, or no GPU found where one was
            asked for.
    """
    from adapters import find_trainer

    asked = [trainer] if trainer != "auto" else list(having)
    there = [name for name in asked if _installed(*find_trainer(name).packages)]
    if trainer == "auto" and not there:
        extras = [extra for name in having if (extra := find_trainer(name).extra)]
        which = ", ".join(f'"motrix-gym[{extra}]"' for extra in extras)
        which = f"one of {which}" if len(extras) > 1 else which
        hint = f": pip install {which}" if which else ""
        raise cli.CommandError(f"no trainer with {algo} is installed{hint}")
    if device != "cpu":
        for name in there:
            if _finds_gpu(find_trainer(name).framework):
                return name, "cuda", "as asked" if trainer != "auto" else f"{name} finds a GPU"
    if device == "cuda":
        names = ", ".join(there or asked)
        raise cli.CommandError(f"--device cuda: no GPU is found by {names}; use --device cpu")
    if trainer != "auto":
        return trainer, "cpu", "as asked"
    if len(having) == 1:
        others = "the only one that has it"
    else:
        others = "the only one installed" if len(there) == 1 else f"first of {', '.join(there)}"
    return there[0], "cpu", others if device == "cpu" else f"{others}; no GPU found"


def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


def _finds_gpu(framework: str | None) -> bool:
    """Whether a trainer's framework, which is installed, can use an NVIDIA GPU here."""
    if framework is None or not (os.path.exists("/dev/nvidiactl") or shutil.which("nvidia-smi")):
        return False
    if framework == "jax":
        if not any(_installed(f"jax_cuda{n}_plugin") for n in (12, 13, 14)):
            return False
        import jax

        try:
            return bool(jax.devices("gpu"))
        except RuntimeError:
            return False
    if metadata.version("torch").endswith("+cpu"):
        return False
    import torch

    return torch.cuda.is_available()


def train(plan: Plan, args: argparse.Namespace, started: float) -> int:
    """Carries out a plan that was begun at `started` (monotonic); returns the exit status."""
    import adapters
    import rl_zoo.logs  # noqa: F401 (if TensorBoard is missing, say so before there is a run)
    from rl_zoo.evaluate import EPISODES, check_ends, side_by_side
    from rl_zoo.runs import Run, RunError

    if args.eval_episodes is None:
        args.eval_episodes = EPISODES
    with cli.ctrl_c_ends():
        trainer_class = adapters.load_trainer(plan.trainer, plan.algo)
    env = cli.make_env(
        plan.env_id,
        training_settings(plan.env_id, plan.settings, plan.config),
        plan.config.num_envs,
        args.num_threads,
        trainer_class.autoreset_mode,
    )
    with contextlib.closing(env):
        if args.eval_episodes:
            check_ends(_task(plan.env_id, plan.settings), plan.env_id)
            side_by_side(args.eval_episodes)  # a wrong number is told before the training
        try:
            trainer = trainer_class(env, with_policy_found(plan.config), device=plan.device)
        except (adapters.FieldError, adapters.PolicyError):
            raise
        except ValueError as error:  # such as a device that is not there
            raise cli.CommandError(str(error)) from error
        if run := plan.resume:
            try:
                trainer.restore(run.state("latest"))
                if trainer.env_steps != (steps := run.manifest["latest"]["steps"]):
                    raise ValueError(f"its state is of {trainer.env_steps} steps, not of {steps}")
            except RunError:
                raise
            except Exception as error:  # a damaged state may make a library stumble anywhere
                kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
                message = f"{run.folder} cannot be resumed: {kind}{error}"
                raise cli.CommandError(message) from error
            run.begin(started)
        else:
            options = {"algo": plan.algo, "env_config": plan.settings, "device": plan.device}
            run = Run.create(
                args.run_dir, plan.env_id, plan.trainer, plan.config, started=started, **options
            )
        status = "failed"
        try:
            print(_header(trainer, run), flush=True)
            deadline = started + 60.0 * args.minutes
            signal_number = _learn(trainer, run, _advice(run, args), deadline)
            if not signal_number and args.eval_episodes:
                _evaluate(plan, run, args)
            spent = trainer.vector_steps >= plan.config.vector_steps
            status = "complete" if spent and not signal_number else "interrupted"
        except KeyboardInterrupt:
            status = "interrupted"
            print(_advice(run, args), file=sys.stderr)
            raise
        finally:
            # If something failed already, that is what the user must read.
            with contextlib.suppress(*[RunError] if status == "failed" else []):
                run.finish(status)
    print(f"run: {run.folder}")
    if status == "interrupted":
        print(_advice(run, args))
    if signal_number:
        return 128 + signal_number
    print(f"play it: {cli.command_line('play', *_module(args), '--run', run.folder)}")
    return 0


def _task(env_id: str, settings: dict[str, Any]) -> "TaskConfig":
    """Returns a task's configuration, as evaluations have it."""
    from motrix_gym import registration
    from rl_zoo.settings import overrides

    registered = registration.entry(env_id).config
    return registered.override(**overrides(registered, settings))


def training_settings(
    env_id: str, settings: dict[str, Any], config: "AlgorithmConfig"
) -> dict[str, Any]:
    """Returns the task's settings, as the training alone has them.

    Raises:
        CommandError: one of `training_env` is wrong.
    """
    from rl_zoo.settings import overrides

    own = config.training_env or {}
    overrides(_task(env_id, settings), own, prefix="training_env.")
    return settings | own


def with_policy_found(config: "AlgorithmConfig") -> "AlgorithmConfig":
    """Returns the configuration with the folder of `initial_policy`, if a shipped one is named.

    Raises:
        CommandError: there is neither a folder nor a shipped policy of the name.
    """
    from motrix_gym.names import did_you_mean

    name = getattr(config, "initial_policy", None)
    if not name:
        return config
    shipped = sorted(path.parent.name for path in cli.PRETRAINED.glob("*/policy.json"))
    if name in shipped:
        return config.replace(initial_policy=str(cli.PRETRAINED / name))
    if not os.path.isdir(name):
        message = f"is neither a folder nor a shipped policy{did_you_mean(name, shipped)}"
        raise cli.CommandError(
            f"initial_policy={name!r} {message}; those are: {', '.join(shipped)}", cli.MISUSED
        )
    return config


def _header(trainer: "Trainer", run: "Run") -> str:
    """What is trained, in a few lines."""
    config, task = trainer.config, trainer.env.unwrapped.config  # pyright: ignore
    spaces = trainer.env.single_observation_space, trainer.env.single_action_space
    sizes = [space.shape[0] for space in spaces]  # pyright: ignore[reportOptionalSubscript]
    limit = task.max_episode_steps
    episodes = f"{limit:,} steps ({limit * task.control_timestep:g} s)" if limit else "any length"
    total = config.vector_steps * config.num_envs
    notes = "".join(f"{note}\n" for note in trainer.notes())
    return (
        f"observation {sizes[0]}, action {sizes[1]}, episodes of {episodes}; "
        f"{config.networks}, seed {config.seed}\n"
        f"{config.num_envs:,} environments x {config.schedule} = {total:,} steps\n"
        f"{notes}run: {run.folder}"
    )


def _learn(trainer: "Trainer", run: "Run", advice: str, deadline: float) -> int:
    """Trains until the budget or the time is spent or a signal comes; returns its number, else 0.

    Raises:
        CommandError: the run cannot be written, or the training diverged.
    """
    from rl_zoo.logs import EventLog
    from rl_zoo.runs import RunError

    before, seconds = trainer.env_steps, 0.0
    try:
        with _stop_signals() as stop, EventLog(run.folder, trainer.env_steps) as log:
            seconds = _loop(trainer, run, log, stop, deadline)
    except BrokenPipeError:  # of the one who reads what is printed
        raise
    except OSError as error:
        reason = f"cannot write in {run.folder}: {error.strerror}"
        raise cli.CommandError(f"{reason}; {advice}") from error
    except RunError as error:
        raise cli.CommandError(f"{error}; {advice}") from error
    steps = trainer.env_steps - before
    if not (steps or stop):
        print(f"complete already, with {before:,} steps")
        return 0
    rate = steps / seconds if steps else 0.0
    whole = trainer.vector_steps >= trainer.config.vector_steps
    ending = "stopped" if stop else "trained" if whole else "time is up"
    print(
        f"{ending}: {steps:,} steps in {seconds:.1f} s "
        f"({rate:,.0f} steps/s), peak memory {peak_memory():,.0f} MiB"
    )
    return stop[0] if stop else 0


def _loop(
    trainer: "Trainer", run: "Run", log: "EventLog", stop: list[int], deadline: float
) -> float:
    """Updates, logs and saves until the budget or the time is spent or `stop` is not empty.

    Returns:
        Seconds that the updates took.
    """
    from rl_zoo.progress import EPISODES, RETURN, Progress

    config, manifest = trainer.config, run.manifest
    saved, seconds = trainer.vector_steps, 0.0
    episodes, total_return = 0.0, 0.0  # of those that ended since the last checkpoint
    # Of the run's earlier processes; runs of old say only the total.
    seconds_before = manifest.get("train_seconds", manifest["wall_seconds"])
    memory_before = manifest.get("peak_memory_mib", 0.0)
    interval = config.check_point_interval
    logged, unlogged, unlogged_seconds = saved, [], 0.0

    def write_log() -> None:
        nonlocal logged, unlogged_seconds
        scalars = _combined(unlogged)
        rate = (trainer.vector_steps - logged) * config.num_envs / unlogged_seconds
        log.write(trainer.env_steps, scalars | {"Time / Steps per second": rate})
        progress.update(trainer.env_steps, scalars)
        logged, unlogged_seconds = trainer.vector_steps, 0.0
        unlogged.clear()

    def save() -> None:
        nonlocal saved, episodes, total_return
        # Few updates, as before an interruption, may have a high return by luck.
        enough = episodes and 2 * (trainer.vector_steps - saved) > interval
        run.save_checkpoint(
            trainer.env_steps,
            trainer.policy(),
            trainer.state(),
            total_return / episodes if enough else None,
            train_seconds=seconds_before + seconds,
            steps_per_second=trainer.env_steps / (seconds_before + seconds),
            peak_memory_mib=max(memory_before, peak_memory()),
        )
        saved, episodes, total_return = trainer.vector_steps, 0.0, 0.0

    metrics = tuple(trainer.env.unwrapped.task.metrics)  # pyright: ignore
    total = config.vector_steps * config.num_envs
    with contextlib.closing(Progress(total, trainer.env_steps, metrics, deadline)) as progress:
        while trainer.vector_steps < config.vector_steps and not stop:
            started, before = time.perf_counter(), trainer.vector_steps
            scalars = _update(trainer)
            elapsed = time.perf_counter() - started
            seconds += elapsed
            unlogged.append(scalars)
            unlogged_seconds += elapsed
            if trainer.vector_steps // config.log_interval > before // config.log_interval:
                write_log()
            ended = scalars.get(EPISODES, 0.0)
            episodes += ended
            total_return += ended * scalars.get(RETURN, 0.0)
            if trainer.vector_steps // interval > before // interval:
                save()
            if time.monotonic() >= deadline:
                break
        if unlogged:
            write_log()
        if trainer.vector_steps > saved:
            save()
    return seconds


def _combined(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """Returns the scalars of successive updates as one's: extremes of extremes, else means."""
    from rl_zoo.progress import EPISODES

    if len(parts) == 1:
        return parts[0]
    found: dict[str, list[float]] = {}
    for scalars in parts:
        for tag, value in scalars.items():
            found.setdefault(tag, []).append(value)
    kinds = {"(max)": max, "(min)": min}
    combined = {tag: kinds.get(tag[-5:], statistics.fmean)(v) for tag, v in found.items()}
    if EPISODES in found:
        combined[EPISODES] = sum(found[EPISODES])
    return combined


def _update(trainer: "Trainer") -> dict[str, float]:
    """Makes an update; raises CommandError if the weights are not numbers any more."""
    from adapters import PolicyError

    try:
        scalars = trainer.update()
        sick = [
            f"{k} is {v}" for k, v in scalars.items() if k[:4] == "Loss" and not math.isfinite(v)
        ]
    except ValueError as error:  # actions that are not finite are refused
        try:
            trainer.policy()
        except PolicyError:
            sick = [str(error)]
        else:
            raise
    if sick:
        raise cli.CommandError(
            f"the training diverged at {trainer.env_steps:,} steps ({sick[0]}): try a lower "
            "learning_rate or max_learning_rate, or smaller rewards; earlier checkpoints are good"
        )
    return scalars


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Puts the number of the first SIGINT or SIGTERM into a list; a second one ends the process."""
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        received.append(number)
        for other in numbers:
            signal.signal(other, signal.SIG_DFL)
        os.write(2, b"\nstopping after this update (again to stop at once)\n")

    on_main_thread = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if on_main_thread else ()
    old = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _evaluate(plan: Plan, run: "Run", args: argparse.Namespace) -> None:
    """Chooses between the latest policy and the best earlier one; records and evaluates it.

    Scores are returns of the training, whose actions are drawn; the choice measures both policies
    as they will act, over the same episodes. Those are not the episodes of the evaluation, else its
    figures would be those of the luckier one.
    """
    from rl_zoo.evaluate import CHOICE_EPISODES, evaluate_policy

    def measure(which: str, episodes: int, purpose: str) -> "Evaluation":
        return evaluate_policy(
            plan.env_id,
            run.policy(which),
            episodes=episodes,
            purpose=purpose,
            settings=plan.settings,
            num_threads=args.num_threads,
        )

    print("evaluating ...", flush=True)
    if earlier := run.best_earlier():
        choice = min(CHOICE_EPISODES, args.eval_episodes), "choice"
        latest_is_better = measure("latest", *choice).rank >= measure(earlier, *choice).rank
        run.promote("latest" if latest_is_better else earlier)
    result = measure("best", args.eval_episodes, "evaluation")
    steps = run.manifest["best"]["steps"]
    print(f"the best policy, of {steps:,} of {run.manifest['steps']:,} steps:")
    run.save_evaluation(result.as_dict())
    print(result.report())


def _advice(run: "Run", args: argparse.Namespace) -> str:
    """How to go on with a run."""
    from adapters import find_trainer

    if not find_trainer(run.manifest["trainer"]).resumes:
        return "a library's own loop cannot be resumed"
    command = cli.command_line("train", *_module(args), "--resume", run.folder)
    return f"resume it: {command}"


def _module(args: argparse.Namespace) -> list[str]:
    """The --env that a later command needs to find a user's own environment."""
    return ["--env", args.env] if args.env and ":" in args.env else []


def peak_memory() -> float:
    """Returns the most memory that this process has held (MiB); 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
