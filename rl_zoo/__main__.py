# SPDX-License-Identifier: Apache-2.0
"""`motrix <command>`; also `python -m rl_zoo <command>` and `python -m rl_zoo.<command>`."""

import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "train": "train a policy, evaluate it and leave a run folder",
    "evaluate": "measure a policy over a fixed number of whole episodes",
    "compare": "trainers side by side, over seeds: a table and a picture",
    "play": "watch a policy in a window or a browser, or make a video of it",
    "view": "look at a task with random actions, or none",
    "tune": "search for the settings of a training",
    "results": "tables and curves of all stored results",
    "reproduce": "train a stored result again, and compare the weights",
    "export": "a policy as an ONNX file and as C, for other programs",
    "push": "a policy and its run, or an environment, to the Hugging Face Hub",
    "pull": "a policy and its run from there",
    "benchmark": "measure speeds, memory and time to a goal",
    "envs": "list the environments",
    "settings": "list the settings of an algorithm",
}

# What `motrix` alone prints.
START = """\
usage: motrix <command> [options]

the five commands that matter:
  motrix envs                                     what there is to learn
  motrix play --env Motrix/Go1-v0                 watch a policy
  motrix train --env Motrix/Go1-v0                train one
  motrix evaluate --env Motrix/Go1-v0             measure it
  motrix compare --env Motrix/Go1-v0 --seeds 3    trainers side by side

motrix --help lists all commands, motrix train --help the options of one."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command by name and returns its exit status."""
    try:
        from rl_zoo import cli
    except KeyboardInterrupt:  # Ctrl-C; `cli.run` handles later ones
        print("interrupted", file=sys.stderr)
        return 130
    return cli.run(_main, argv)


def run_module(command: str) -> None:
    """Runs a command as `python -m rl_zoo.<command>` does, and ends the program.

    A command's module calls it before it imports anything, since Ctrl-C during imports would print
    a traceback.
    """
    sys.exit(main([command, *sys.argv[1:]]))


def _main(argv: Sequence[str] | None) -> int:
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may come next
        from rl_zoo.completion import command_to_complete

        argv = [command_to_complete(COMMANDS)]
    words = sys.argv[1:] if argv is None else argv
    if not words:
        print(START)
        return 0
    name, *rest = words
    if name in ("-h", "--help"):
        print("usage: motrix <command> [options]     motrix <command> --help\n\ncommands:")
        print("\n".join(f"  {name:10} {purpose}" for name, purpose in COMMANDS.items()))
        return 0
    if name not in COMMANDS:
        from motrix_gym.names import did_you_mean, shown

        hint, commands = did_you_mean(name, COMMANDS), ", ".join(COMMANDS)
        print(f"error: no command {shown(name)}{hint}; there are: {commands}", file=sys.stderr)
        return 2
    return importlib.import_module(f"rl_zoo.commands.{name}").main(rest)


if __name__ == "__main__":
    sys.exit(main())
