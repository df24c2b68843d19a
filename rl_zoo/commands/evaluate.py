# SPDX-License-Identifier: Apache-2.0
"""`motrix evaluate`: measure a policy over a fixed number of whole episodes.

The policy acts in NumPy; no learning library is needed.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rl_zoo import arguments, cli, evaluation
from rl_zoo.errors import UNMET, UsageError, ZooError
from rl_zoo.evaluation import EPISODES, SEED
from rl_zoo.groups import as_table, groups
from rl_zoo.robustness import as_table as as_rows
from rl_zoo.robustness import randomized, robustness
from rl_zoo.tables import number


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0 if all goals are met, 3 if not."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    p = arguments.parser(
        "evaluate",
        "Measure a policy over a fixed number of whole episodes per environment.",
        "A goal is met if all of the 95% interval of its figure meets it, and met on average if "
        "only the mean does: then more episodes tell.",
        "Exit status: 0 all goals of the environment are met (or it has none), 3 one is not, or "
        "is met on average only, 1 something failed, 2 wrong arguments. A run's result goes to "
        "its evaluation.json.",
    )
    arguments.add_policy_arguments(p)
    p.add_argument(
        "--episodes",
        type=arguments.whole(1),
        default=EPISODES,
        metavar="N",
        help=f"default {EPISODES}",
    )
    seeds = arguments.whole(0, arguments.MAX_SEED)
    p.add_argument("--seed", type=seeds, default=SEED, metavar="S", help=f"default {SEED}")
    p.add_argument("--stochastic", action="store_true", help="draw actions, instead of their mean")
    p.add_argument(
        "--by",
        nargs="+",
        metavar="FIGURE",
        help="a table of the episodes by the values of these figures, such as: kind measure",
    )
    p.add_argument(
        "--robustness",
        action="store_true",
        help="a table of evaluations, one for each change of the physics that the task names",
    )
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    args = p.parse_args(argv)

    if args.robustness and args.by:
        raise UsageError("--robustness has a table of its own: leave out --by")
    settings = arguments.task_settings_only(args.set)
    found = arguments.policy_asked_for(args)
    print(f"evaluating {found.label}")
    settings = found.settings | settings
    if args.randomize:
        settings = randomized(found.env_id) | settings

    def evaluate(changes: dict[str, Any]) -> evaluation.Evaluation:
        return evaluation.evaluate_policy(
            found.env_id,
            found.policy,
            episodes=args.episodes,
            num_envs=args.num_envs,
            seed=args.seed,
            stochastic=args.stochastic,
            settings=settings | changes,
            num_threads=args.num_threads,
            by=args.by or (),
        )

    if args.robustness:
        return _robustness(args, found.env_id, evaluate)
    result = evaluate({})
    print(result)
    if found.run:
        found.run.save_evaluation(result.as_dict())
    found_groups = groups(result, args.by) if args.by else []
    if found_groups:
        print(as_table(found_groups))
    if args.json:
        _write(args.json, result.as_dict() | ({"groups": found_groups} if found_groups else {}))
    return 0 if result.solved else UNMET


def _robustness(
    args: argparse.Namespace,
    env_id: str,
    evaluate: Callable[[dict[str, Any]], evaluation.Evaluation],
) -> int:
    """Prints the table of --robustness; returns the exit status, which is of the first row."""
    found = []
    for label, result in robustness(env_id, evaluate):
        print(f"{label}: return {number(float(result.figures['return'].mean()))}", flush=True)
        found.append((label, result))
    print(f"{env_id}: {args.episodes} episodes for each change, seed {args.seed}")
    print(as_rows(found))
    if args.json:
        _write(args.json, {label: result.as_dict() for label, result in found})
    return 0 if found[0][1].solved else UNMET


def _write(path: Path, content: dict[str, Any]) -> None:
    from motrix_gym.files import write_file

    try:
        write_file(path, json.dumps(content, indent=2).encode() + b"\n")
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror}") from error
