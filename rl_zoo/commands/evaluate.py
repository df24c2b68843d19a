# SPDX-License-Identifier: Apache-2.0
"""`motrix evaluate`: measure a policy over a fixed number of whole episodes.

The policy acts in NumPy; no learning library is needed.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from rl_zoo import arguments, cli, evaluation
from rl_zoo.errors import UNMET, ZooError
from rl_zoo.evaluation import EPISODES, SEED
from rl_zoo.groups import as_table, groups


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
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    args = p.parse_args(argv)

    from motrix_gym.files import write_file

    settings = arguments.task_settings_only(args.set)
    found = arguments.policy_asked_for(args)
    print(f"evaluating {found.label}")
    result = evaluation.evaluate_policy(
        found.env_id,
        found.policy,
        episodes=args.episodes,
        num_envs=args.num_envs,
        seed=args.seed,
        stochastic=args.stochastic,
        settings=found.settings | settings,
        num_threads=args.num_threads,
    )
    print(result)
    found_groups = groups(result, args.by) if args.by else []
    if found_groups:
        print(as_table(found_groups))
    if args.json:
        content = result.as_dict() | ({"groups": found_groups} if found_groups else {})
        try:
            write_file(args.json, json.dumps(content, indent=2).encode() + b"\n")
        except OSError as error:
            raise ZooError(f"cannot write {args.json}: {error.strerror}") from error
    if found.run:
        found.run.save_evaluation(result.as_dict())
    return 0 if result.solved else UNMET
