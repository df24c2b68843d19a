# SPDX-License-Identifier: Apache-2.0
"""`motrix compare`: trainers side by side, over seeds; a table and a picture.

Runs with the same settings are used; missing ones are trained, one at a time, each in a process of
its own. All policies are evaluated in the same way. comparison.json holds all that table and
picture show, and `--from` draws them from it again.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_zoo import arguments, cli
from rl_zoo.environments import DEFAULT_ENV, find_env
from rl_zoo.errors import UsageError, ZooError

if TYPE_CHECKING:
    from rl_zoo.comparison.results import Comparison
    from rl_zoo.runs import Run

EPISODES, CURVE_EPISODES = 1000, 100
SEEDS = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    import matplotlib  # noqa: F401 (if it is missing, say so before anything is trained)

    # Errors that would come at the end are raised before anything is trained.
    _check_folder(args.out)
    comparisons = _stored(args) if args.stored else _measured(args)
    _write(args.out, comparisons, sys.argv[1:] if argv is None else argv)
    return 0


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "compare",
        "Compare trainers over seeds: return, goals, speed, and time until the goals are met.",
        "Looks in the run folder for runs with these settings, trains what is missing, evaluates "
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
    """Raises UsageError if one of these arguments is given together with a flag."""
    for name in names:
        if getattr(args, name) not in (None, False):
            other = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} says all: leave out {other}")


def _check_folder(out: Path) -> None:
    """Raises ZooError unless a folder exists or can be made, and can be written."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise ZooError(f"cannot write {out}: {there} is not a folder to write in")


def _stored(args: argparse.Namespace) -> "list[Comparison]":
    """Returns the comparisons of --from."""
    from rl_zoo.comparison.stored import merged

    others = "algo trainers stock first_seed seeds set no_train runs episodes curve_episodes"
    _alone(args, "--from", "env", *others.split())
    return merged(args.stored, args.strict)


def _measured(args: argparse.Namespace) -> "list[Comparison]":
    """Returns the comparisons of runs, which are found, trained or given, and measured here."""
    from rl_zoo.comparison.measuring import measured
    from rl_zoo.evaluation import side_by_side

    episodes = args.episodes or EPISODES, args.curve_episodes or CURVE_EPISODES
    for count in episodes:
        side_by_side(count)
    return measured(_given(args) if args.runs else _wanted(args), *episodes, args.num_threads)


def _given(args: argparse.Namespace) -> "list[Run]":
    """Returns the runs of --runs."""
    from rl_zoo.comparison.usable import opened

    _alone(args, "--runs", "trainers", "first_seed", "seeds", "set", "algo", "stock", "no_train")
    return opened(args.runs, [find_env(name) for name in args.env or ()], args.strict)


def _wanted(args: argparse.Namespace) -> "list[Run]":
    """Returns the runs that the arguments ask for; missing ones are trained."""
    from rl_zoo.comparison.jobs import Request, wanted

    first = args.first_seed or 0
    request = Request(
        names=args.env or [DEFAULT_ENV],
        algo=args.algo or "ppo",
        trainers=args.trainers or (),
        stock=args.stock,
        seeds=range(first, first + (args.seeds or SEEDS)),
        texts=args.set or (),
        run_dir=args.run_dir,
        num_threads=args.num_threads,
        strict=args.strict,
    )
    return wanted(request, train=not args.no_train)


def _write(out: Path, comparisons: "Sequence[Comparison]", argv: Sequence[str]) -> None:
    """Writes the three files, and prints the tables.

    Raises:
        ZooError: A file cannot be written.
    """
    from rl_zoo.comparison import stored

    told = tables(comparisons)
    files = {"comparison.json": stored.encode(comparisons), **pages(comparisons, told, argv)}
    write_files(out, files)
    print(f"\n{told}\n\n{shlex.join(str(out / name) for name in files)}")


def tables(comparisons: "Sequence[Comparison]") -> str:
    """Returns all tables as Markdown: the one of all environments, then a section for each."""
    from rl_zoo.comparison.origins import notes
    from rl_zoo.comparison.report import markdown, summary

    sections = (markdown(comparison, notes(comparison)) for comparison in comparisons)
    return "\n\n".join([summary(comparisons), *sections])


def pages(comparisons: "Sequence[Comparison]", told: str, argv: Sequence[str]) -> dict[str, bytes]:
    """Returns what people read of comparisons, by file name: the curves, and the `tables`."""
    from rl_zoo.comparison import picture
    from rl_zoo.comparison.report import about

    return {
        "comparison.png": picture.draw(comparisons),
        "comparison.md": f"{about(comparisons, argv)}\n{told}\n".encode(),
    }


def write_files(out: Path, files: dict[str, bytes]) -> None:
    """Writes files into a folder, which is made if it is not there.

    Raises:
        ZooError: A file cannot be written.
    """
    from motrix_gym.files import write_file

    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_file(out / name, data)
    except OSError as error:
        raise ZooError(f"cannot write in {out}: {error.strerror}") from error
