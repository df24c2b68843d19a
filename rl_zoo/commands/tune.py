# SPDX-License-Identifier: Apache-2.0
"""`motrix tune`: search for the settings of a training."""

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_zoo import arguments, cli
from rl_zoo.environments import DEFAULT_ENV, find_env
from rl_zoo.errors import FAILED, UsageError, ZooError
from rl_zoo.hints import command_line, missing
from rl_zoo.tuning import OBJECTIVES, PRUNERS

TUNING_SEEDS = 10  # 0 to 9


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    started = time.monotonic()
    try:
        from rl_zoo.tuning import report, study
    except ModuleNotFoundError as error:
        if error.name not in ("optuna", "sqlalchemy"):
            raise
        raise ZooError(missing("optuna", "tune")) from error
    problem = _problem(args)
    folder = args.out or Path("tuning") / problem.env_id.rpartition("/")[2]
    storage = args.storage or folder / f"{args.study}.journal"
    opened = study.open_study(problem, args.study, storage, args.pruner, args.seed)
    done = study.finished(opened)
    print(f"study {args.study!r} of {problem.env_id} in {storage}: {done} trials so far")
    deadline = started + 60 * args.minutes
    for trial in study.run_trials(opened, problem, args.trials, deadline):
        print(_line(trial, study.best(opened)), flush=True)
    best = study.best(opened)
    if best is None:
        print("no trial is complete; the reasons are above")
        return FAILED
    block = report.settings_block(problem, best)
    settings = folder / f"{args.study}.yaml"
    settings.write_text(block)
    values = [f"{value:.6g}" for value in best.user_attrs["values"]]
    by_seed = f" (by seed: {', '.join(values)})" if len(values) > 1 else ""
    what = f"trial {best.number}, {args.objective} {best.value:.6g}{by_seed}"
    print(f"\nthe best is {what}:\n\n{block}")
    print(f"settings: {settings}")
    picture = folder / f"{args.study}.png"
    if report.draw_importances(opened, picture):
        print(f"importances: {picture}")
    train = command_line("train", "--env", args.env, "--algo", args.algo, "--config", settings)
    print(f"train with them: {train}")
    return 0


def _problem(args: argparse.Namespace) -> Any:
    from motrix_gym import registration
    from rl_zoo import config as zoo_config
    from rl_zoo.choice import choose
    from rl_zoo.tuning import space
    from rl_zoo.tuning.objective import Objective
    from rl_zoo.tuning.study import Problem

    env_id = find_env(args.env)
    trainer, _, _ = choose(args.trainer, "auto", args.algo, zoo_config.trainers(args.algo))
    settings, env = arguments.split_settings(args.set, args.algo, env_id)
    if args.objective in ("steps", "seconds") and not registration.entry(env_id).goals:
        raise UsageError(f"--objective {args.objective}: {env_id} has no goals to reach")
    drawn = space.read(args.algo, args.space)
    if twice := sorted(drawn.keys() & settings.keys()):
        raise UsageError(f"--set {twice[0]}: the study draws it; leave it out of the search space")
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    if seeds.stop > TUNING_SEEDS:
        raise UsageError(
            f"--first-seed {seeds.start} --seeds {args.seeds}: settings are tuned on the seeds 0 "
            f"to {TUNING_SEEDS - 1}; results are published of others"
        )
    objective = Objective(args.objective, seeds, args.eval_episodes, args.num_threads)
    problem = Problem(env_id, args.algo, trainer, env, settings, args.config, drawn, objective)
    if problem.plan(seeds[0], {}).earlier:  # it raises if the settings are wrong
        raise UsageError(f"{env_id} is learned in stages, and a study is of one: --set stages=null")
    return problem


def _line(trial: Any, best: Any) -> str:
    state, drawn = trial.state.name.lower(), settings_in_a_line(trial.user_attrs["settings"])
    value = f"{trial.value:.6g}" if trial.value is not None else state
    reason = trial.user_attrs.get("reason")
    why = f" ({reason})" if reason else ""
    of_best = f" (best {best.value:.6g}, trial {best.number})" if best else ""
    return f"trial {trial.number}: {value}{why}{of_best} | {drawn}"


def settings_in_a_line(drawn: Mapping[str, Any]) -> str:
    """Returns drawn settings for the user."""
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in drawn.items()
    )


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "tune",
        "Search for settings with Optuna: each trial trains with drawn settings. The same command "
        "goes on with a study; several at once, with one storage, share its trials.",
    )
    add = p.add_argument
    add("--env", default=DEFAULT_ENV, metavar="ID", help=f"default {DEFAULT_ENV}")
    add("--algo", default="ppo", help="default ppo")
    add("--trainer", default="auto", metavar="NAME", help="default: the best that is installed")
    add("--config", type=Path, metavar="FILE", help="settings, in place of the environment's own")
    add("--space", type=Path, metavar="FILE", help="search space (default: the algorithm's own)")
    add("--objective", choices=OBJECTIVES, default="return", help="default return")
    add("--trials", type=arguments.whole(1), default=50, metavar="N", help="default 50, in all")
    add(
        "--minutes",
        type=arguments.positive("minutes"),
        default=math.inf,
        metavar="M",
        help="time after which no trial begins",
    )
    add(
        "--seeds",
        type=arguments.whole(1, TUNING_SEEDS),
        default=1,
        metavar="N",
        help="trainings per trial, with the seeds S to S + N - 1 (default 1)",
    )
    add(
        "--first-seed",
        type=arguments.whole(0, TUNING_SEEDS - 1),
        default=0,
        metavar="S",
        help="of a trial's trainings (default 0)",
    )
    add("--eval-episodes", type=arguments.whole(1), default=100, metavar="N", help="default 100")
    add("--pruner", choices=PRUNERS, default="median", help="what ends bad trials early")
    add("--study", default="study", metavar="NAME", help='default "study"')
    add("--storage", metavar="URL", help="an Optuna database (default: a journal file in --out)")
    add("--out", type=Path, metavar="DIR", help="default tuning/NAME")
    add("--seed", type=arguments.whole(0), default=0, metavar="S", help="of the draws (default 0)")
    arguments.add_num_threads(p)
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="settings of all trials, such as max_env_steps=1000000",
    )
    return p
