# SPDX-License-Identifier: Apache-2.0
"""`motrix view`: look at a task without a policy, with random actions or none."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rl_zoo import arguments, cli
from rl_zoo.environments import DEFAULT_ENV, find_env
from rl_zoo.viewing import options
from rl_zoo.viewing.watch import watch

ACTIONS = ("random", "zero")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    options.viewer_asked_for(args)  # wrong arguments are told before anything is read
    show(args, args.actions)
    return 0


def show(args: argparse.Namespace, actions: str) -> None:
    """Shows the environment that the arguments name, with one of `ACTIONS`."""
    from rl_zoo.config import env_name
    from rl_zoo.viewing.playback import random_actions, zero_actions

    env_id = find_env(args.env or DEFAULT_ENV)
    watch(
        args,
        env_id,
        arguments.task_settings_only(args.set),
        random_actions if actions == "random" else zero_actions,
        f"{actions} actions",
        Path(f"{env_name(env_id)}_{actions}.mp4"),
        num_envs=args.num_envs or 1,
    )


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "view",
        "Look at a task: its robot moves by random actions, or by none. The viewers are those of "
        "motrix play.",
    )
    p.add_argument("--env", metavar="ID", help=f"environment, or module:ID (default {DEFAULT_ENV})")
    p.add_argument(
        "--actions",
        choices=ACTIONS,
        default="random",
        help="random: drawn uniformly; zero (default random)",
    )
    arguments.add_env_arguments(p)
    options.add_viewer_arguments(p)
    return p
