# SPDX-License-Identifier: Apache-2.0
"""`motrix reproduce`: train a stored result again, and compare the weights.

The training has the stored settings and seed, and as many cores as it had. On the same kind of
processor, with the same versions and code, the weights have the same bits, and so the same hash.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_zoo import arguments, cli
from rl_zoo.commands.results import add_stored, read_stored
from rl_zoo.environments import DEFAULT_ENV
from rl_zoo.errors import UNMET, UsageError

if TYPE_CHECKING:
    from rl_zoo.comparison.results import Comparison, Result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0 if the weights are the same, 3 if not."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    p = arguments.parser(
        "reproduce",
        "Train a stored result again, and compare the SHA-256 of the weights.",
        "It can be the same only on the same kind of processor, with the same versions and code; "
        "what differs is told first.",
        "Exit status: 0 the weights are the same, 3 they are not, 1 something failed, 2 wrong "
        "arguments.",
    )
    p.add_argument("--env", metavar="ID", default=DEFAULT_ENV, help=f"default {DEFAULT_ENV}")
    p.add_argument("--trainer", metavar="NAME", help="default: the first that is stored")
    seeds = arguments.whole(0, arguments.MAX_SEED)
    p.add_argument("--seed", type=seeds, metavar="S", help="default: the first that is stored")
    add_stored(p)
    p.add_argument("--run-dir", type=Path, default=Path("runs"), help="default runs")
    args = p.parse_args(argv)

    from rl_zoo.comparison.origins import differences
    from rl_zoo.comparison.overview import processor

    comparison, result = stored(read_stored(args.stored), args.env, args.trainer, args.seed)
    cores = min(int(session["cores"]) for session in result.origin["sessions"])
    print(
        f"{comparison.title} with {result.trainer}, seed {result.seed}, trained on "
        f"{processor(result)}, in {result.seconds:,.0f} s: {result.policy}"
    )
    others = differences(result.origin, {}, {})
    for how, what in others.items():
        print(f"it ran {how} ({what}), so the weights may differ")
    with only_cores(cores):
        found = trained_again(comparison, result, args.run_dir)
    print(f"trained here: {found}")
    if found == result.policy:
        print("reproduced: the weights are the same, bit by bit")
        return 0
    reasons = "; ".join(f"it ran {how}" for how in others)
    print(f"not reproduced: the weights differ{f' ({reasons})' if reasons else ''}")
    return UNMET


def stored(
    comparisons: "Sequence[Comparison]", env_id: str, trainer: str | None, seed: int | None
) -> "tuple[Comparison, Result]":
    """Returns the stored run that is asked for, with its comparison.

    Args:
        comparisons: Where to look.
        env_id: Its environment.
        trainer: Its trainer's name; None for any.
        seed: Its seed; None for any.

    Raises:
        UsageError: There is none; the message says which there are.
    """
    from motrix_gym.names import did_you_mean, shown
    from rl_zoo.comparison.report import listed

    found = [comparison for comparison in comparisons if comparison.env_id == env_id]
    if not found:
        known = list(dict.fromkeys(comparison.env_id for comparison in comparisons))
        hint, there = did_you_mean(env_id, known), ", ".join(known)
        raise UsageError(f"no run of {shown(env_id)} is stored{hint}; there are: {there}")
    for comparison in found:
        for result in comparison.results:
            if trainer in (None, result.trainer) and seed in (None, result.seed):
                return comparison, result
    rows = (
        f"{listed([result.seed for result in results])} of {label}"
        for comparison in found
        for label, results in comparison.rows.items()
    )
    asked = f"seed {seed}" if trainer is None else f"{shown(trainer)}"
    asked = f"seed {seed} of {shown(trainer)}" if None not in (seed, trainer) else asked
    raise UsageError(f"no run of {asked} is stored of {env_id}; there are: {'; '.join(rows)}")


def trained_again(comparison: "Comparison", result: "Result", run_dir: Path) -> str:
    """Trains a stored run again; returns the SHA-256 of its last weights.

    Raises:
        ValueError, MissingLibraryError, ZooError, RunError: As `rl_zoo.train`.
    """
    import rl_zoo
    from motrix_gym.policy_files import ARRAYS_FILE

    run = rl_zoo.train(
        comparison.env_id,
        algo=result.algo,
        trainer=result.trainer,
        device=result.origin["device"],
        env=comparison.settings,
        hyperparams={result.algo: result.settings | {"keep_checkpoints": 0}},
        run_dir=run_dir,
        eval_episodes=0,
    )
    return run.history()[-1]["sha256"][ARRAYS_FILE]


@contextlib.contextmanager
def only_cores(count: int) -> Iterator[None]:
    """Lets this process use so many cores, where the system allows it.

    Learning libraries add up in another order on another number of cores, which they count when
    they are loaded.
    """
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
