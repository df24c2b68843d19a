# SPDX-License-Identifier: Apache-2.0
"""`motrix benchmark`: speeds, memory, and time to a goal; compared with an earlier day's."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_zoo import arguments, cli
from rl_zoo.benchmark import PARTS
from rl_zoo.errors import UNMET, UsageError, ZooError

if TYPE_CHECKING:
    from rl_zoo.benchmark.measuring import Line

ENVS = ("Motrix/Go1-v0", "Motrix/CartPole-v0")
THRESHOLD_ENV = "Motrix/CartPole-v0"
NUM_ENVS, ROUNDS = 1024, 9


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 3 if something got slower or larger."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    from motrix_gym.files import write_file
    from motrix_gym.names import did_you_mean, shown
    from rl_zoo.benchmark import results
    from rl_zoo.environments import find_env
    from rl_zoo.policy_search import find_policy

    for part in args.parts:
        if part not in PARTS:
            hint = did_you_mean(part, PARTS)
            raise UsageError(f"no part {shown(part)}{hint}; there are: {', '.join(PARTS)}")
    args.env = [find_env(name) for name in args.env or ()]
    for env_id in (args.env or ENVS) if args.pretrained else ():
        find_policy(env_id, policy=Path("pretrained"))  # it raises where none is shipped
    stored = results.read(args.against) if args.against else None
    out = args.out or Path("benchmark", results.file_name())
    figures: dict[str, results.Figure] = {}
    for name, figure in _measured(args):
        if isinstance(figure, results.Figure):
            figures[name] = figure
        print(f"{name}: {figure}", flush=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_file(out, results.encode(figures))
    except OSError as error:
        raise ZooError(f"cannot write {out}: {error.strerror}") from error
    print(out)
    if stored is None:
        return 0
    found = results.changes(stored.figures, figures)
    print(f"\nagainst {args.against}:")
    print(results.versions_that_differ(stored.versions), end="")
    for name, change in found.items():
        print(f"{name}: {change}")
    if not found:
        raise ZooError(f"{args.against} has none of these figures")
    return UNMET if any(change.verdict == "REGRESSION" for change in found.values()) else 0


def _measured(args: argparse.Namespace) -> "Iterator[Line]":
    """Yields the figures of all parts that were asked for."""
    from rl_zoo.benchmark import measuring

    parts = args.parts or PARTS
    for env_id in args.env or ENVS:
        if "environments" in parts:
            yield from measuring.environments(
                env_id, args.num_envs, args.num_threads, args.rounds, args.pretrained
            )
        if "memory" in parts:
            yield from measuring.memory(env_id, args.num_envs)
    if "learners" in parts:
        yield from measuring.learners(_trainers(args), args.rounds, args.busy)
    if "threshold" in parts:
        trainer = args.trainers[0] if args.trainers else "auto"
        for env_id in args.env or [THRESHOLD_ENV]:
            yield from measuring.threshold(env_id, args.num_threads, trainer=trainer)


def _trainers(args: argparse.Namespace) -> Sequence[str]:
    from adapters import TRAINERS, check_trainer

    for name in args.trainers or ():
        try:
            check_trainer(name, "ppo")
        except ValueError as error:
            raise UsageError(str(error)) from error
    return args.trainers or list(TRAINERS)


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "benchmark",
        "Measure environments beside their bare physics and other libraries, their memory, "
        "learners beside their libraries' own loops, and the time to a goal.",
        "Blocks of one and the other take turns. --against FILE compares with an earlier result of "
        "the same processor, by these ratios; exit status 3: something got slower or larger.",
    )
    add = p.add_argument
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    add("--env", nargs="+", metavar="ID", help=f"default {' '.join(ENVS)}; {THRESHOLD_ENV} learns")
    add("--num-envs", type=arguments.whole(1), default=NUM_ENVS, metavar="N", help="default 1024")
    arguments.add_num_threads(p)
    add("--pretrained", action="store_true", help="the shipped policy acts, not random actions")
    add("--trainers", nargs="+", metavar="NAME", help="default: all that are installed")
    add("--rounds", type=arguments.whole(2), default=ROUNDS, metavar="N", help="default 9")
    add("--busy", action="store_true", help="keep one core busy while learners are measured")
    add("--out", type=Path, metavar="FILE", help="default benchmark/PROCESSOR.json")
    add("--against", type=Path, metavar="FILE", help="compare with these results")
    return p
