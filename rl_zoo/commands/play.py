# SPDX-License-Identifier: Apache-2.0
"""`motrix play`: watch a policy in a window or in a browser, or make a video of it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rl_zoo import arguments, cli
from rl_zoo.policies import check_fits
from rl_zoo.viewing import options
from rl_zoo.viewing.watch import watch


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    options.viewer_asked_for(args)  # wrong arguments are told before anything is read
    if args.random:
        from rl_zoo.commands import view

        view.show(args, "random")
        return 0
    from rl_zoo.config import env_name

    settings = arguments.task_settings_only(args.set)
    found = arguments.policy_asked_for(args)
    video, num_envs = Path(f"{env_name(found.env_id)}.mp4"), args.num_envs
    if found.run:
        video = found.run.folder / "play.mp4"
        num_envs = num_envs or found.run.config().play_num_envs

    def make_act(env, seed):
        check_fits(found.policy, env, found.env_id)
        return found.policy.actor()

    watch(
        args,
        found.env_id,
        found.settings | settings,
        make_act,
        found.label,
        video,
        num_envs=num_envs or 1,
        run=found.run,
    )
    return 0


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "play",
        "Watch a policy in a window; without a display, in a browser, from the address that is "
        "printed. With --video, make an mp4 of it.",
    )
    source = arguments.add_policy_arguments(p)
    source.add_argument(
        "--random", action="store_true", help="random actions, as motrix view --actions random"
    )
    options.add_viewer_arguments(p)
    return p
