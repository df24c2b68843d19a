# SPDX-License-Identifier: Apache-2.0
"""`motrix train`: train a policy, evaluate it, and leave a run folder."""

import argparse
import contextlib
import math
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_zoo import arguments, cli
from rl_zoo.environments import DEFAULT_ENV
from rl_zoo.errors import UsageError
from rl_zoo.hints import command_line
from rl_zoo.viewing import options

if TYPE_CHECKING:
    from rl_zoo.plans import Plan


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    started = time.monotonic()  # a run's clock counts start-up, imports and compilation
    args = _arguments().parse_args(argv)
    page = options.training_page_asked_for(args)
    if args.processes > 1 and "WORLD_SIZE" not in os.environ:
        return _start(args, sys.argv[1:] if argv is None else argv)
    with contextlib.ExitStack() as stack:
        with cli.ctrl_c_ends():
            import adapters
            from adapters.ranks import Place
            from rl_zoo.evaluation import EPISODES
            from rl_zoo.pinning import pin
            from rl_zoo.ranks import meet_at
            from rl_zoo.sessions import advice
            from rl_zoo.training import carry_out

            if args.coordinator:
                meet_at(args.coordinator)
            place = Place.of_environment()
            threads = pin(place) if args.pin else 0
            plan = _resumed(args) if args.resume else _planned(args)
            if plan.resume:
                stack.callback(plan.resume.close)
            adapters.load_trainer(plan.trainer, plan.algo)
        session, stop = carry_out(
            plan,
            signals=(signal.SIGINT, signal.SIGTERM),
            out=sys.stdout,
            eval_episodes=EPISODES if args.eval_episodes is None else args.eval_episodes,
            run_dir=args.run_dir,
            num_threads=args.num_threads or threads,
            minutes=args.minutes,
            started=started,
            reshard=args.reshard,
            page=page,
        )
    if session.ranks.rank:
        return 128 + stop[0] if stop else 0
    run = session.whole
    print(f"run: {run.folder}")
    if stop or not session.done:
        print(advice(run))
    if stop:
        return 128 + stop[0]
    print(_next(session.run.folder))
    return 0


def _next(run: Path) -> str:
    """Returns the commands that one wants after a training, to be pasted."""
    commands = (
        command_line("play", "--run", run),
        command_line("evaluate", "--run", run),
        # The shell expands the star: all runs of the environment.
        f"{command_line('compare', '--runs', run.parent)}/*",
    )
    return "\n  ".join(["watch it, measure it anew, compare it with the other runs:", *commands])


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "train",
        "Train a policy, evaluate it, and leave a run folder.",
        "Ctrl-C stops after the current update and leaves a checkpoint to resume from; a second "
        "Ctrl-C stops at once.",
    )
    add = p.add_argument
    add(
        "--algo",
        help="ppo, recurrent_ppo, trpo, sac, td3, tqc, crossq, ars or distill (default ppo)",
    )
    add("--env", metavar="ID", help=f"environment, or module:ID (default {DEFAULT_ENV})")
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
        help="settings, such as learning_rate=1e-4, or env.max_angle=0.3 for the task's; "
        "motrix settings lists them",
    )
    add("--config", type=Path, metavar="FILE", help="YAML settings to use instead of the shipped")
    add("--teacher", metavar="POLICY", help="of distill: a run, a policy's folder, or an id")
    add("--device", choices=("auto", "cpu", "cuda"), help="to learn on (default auto)")
    arguments.add_num_threads(p)
    add("--run-dir", type=Path, default=Path("runs"), help="folder of all runs (default runs)")
    add("--resume", type=Path, metavar="RUN", help="go on with a run, with its settings")
    add(
        "--minutes",
        type=arguments.positive("minutes"),
        default=math.inf,
        metavar="M",
        help="stop after that time, even if the budget of steps is not spent; schedules such as "
        "anneal_learning_rate go by steps",
    )
    add("--log", nargs="+", metavar="NAME", help="beside TensorBoard: wandb, mlflow, or both")
    add(
        "--processes",
        type=arguments.whole(1),
        default=1,
        metavar="N",
        help="processes of this machine that learn together, with PPO; docs/scaling.md",
    )
    add(
        "--coordinator",
        metavar="HOST:PORT",
        help="where processes of several machines meet, on the first one's; started by srun",
    )
    add("--pin", action="store_true", help="each process keeps to cores of its own")
    add(
        "--reshard",
        action="store_true",
        help="resume with another number of processes than before, which is not exact",
    )
    options.add_training_viewer_arguments(p)
    add("--eval-episodes", type=arguments.whole(0), metavar="N", help="default 1000; 0: none")
    return p


def _start(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Starts the processes of a training; what is wrong with it is said before, and once."""
    from adapters.ranks import Place
    from rl_zoo import processes
    from rl_zoo.ranks import check

    with cli.ctrl_c_ends():
        plan = _resumed(args) if args.resume else _planned(args)
        if plan.resume:
            plan.resume.close()
        check(plan, Place(size=args.processes))
    return processes.run([sys.executable, "-m", "rl_zoo.train", *argv], args.processes)


def _planned(args: argparse.Namespace) -> "Plan":
    """Returns the plan of a new run."""
    from rl_zoo.environments import find_env
    from rl_zoo.plans import plan_new

    env_id, algo = args.env or DEFAULT_ENV, args.algo or "ppo"
    env_id = find_env(env_id)  # a wrong name is told before a wrong setting
    if args.teacher is not None and algo != "distill":
        raise UsageError("--teacher needs --algo distill")
    values, task_settings = arguments.split_settings(args.set or [], algo, env_id)
    if args.num_envs is not None:
        values["num_envs"] = args.num_envs
    if args.seed is not None:
        values["seed"] = args.seed
    if args.teacher is not None:
        values["teacher"] = args.teacher
    if args.rand_seed:
        values["seed"] = secrets.randbelow(2**31)
    return plan_new(
        env_id,
        algo=algo,
        trainer=args.trainer or "auto",
        device=args.device or "auto",
        env=task_settings,
        hyperparams=args.config,
        log=args.log or (),
        **values,
    )


def _resumed(args: argparse.Namespace) -> "Plan":
    """Returns the plan of a resumed run, which no other process can write meanwhile."""
    from rl_zoo.plans import plan_resumed

    settings = "algo trainer num_envs seed rand_seed set config teacher device log"
    for name in settings.split():
        if getattr(args, name) is not None and getattr(args, name) is not False:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"--resume goes on with the run's own settings: leave out {flag}")
    return plan_resumed(args.resume, args.env)
