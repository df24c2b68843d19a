# SPDX-License-Identifier: Apache-2.0
"""Shell completion, by argcomplete: `eval "$(register-python-argcomplete motrix)"` in a shell.

The shell then runs `motrix` whenever Tab is pressed, with the line so far in environment variables.
"""

import argparse
import os
from collections.abc import Callable, Collection
from typing import NoReturn

import argcomplete


def command_to_complete(commands: Collection[str]) -> str:
    """Returns the command whose arguments the shell asks for; else answers, and ends the program.

    Args:
        commands: The names of all commands.
    """
    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    _, _, _, words, _ = argcomplete.lexers.split_line(line, point)
    before = int(os.environ["_ARGCOMPLETE"])  # words up to `motrix`, such as those of a python -m
    if len(words) > before and words[before] in commands:
        os.environ["_ARGCOMPLETE"] = str(before + 1)  # the command is the program to complete
        return words[before]
    parser = argparse.ArgumentParser("motrix")
    parser.add_argument("command", choices=list(commands))
    complete(parser)


def complete(parser: argparse.ArgumentParser) -> NoReturn:
    """Answers the shell with what may come next, and ends the program."""
    for action in parser._actions:
        for flag in action.option_strings:
            if flag in NAMES:
                action.completer = _completer(NAMES[flag])  # pyright: ignore
    argcomplete.autocomplete(parser)
    raise SystemExit


def _completer(names: Callable[[], Collection[str]]) -> Callable[..., Collection[str]]:
    return lambda **_: names()


def _envs() -> Collection[str]:
    from motrix_gym import list_envs

    return list_envs()


def _algorithms() -> Collection[str]:
    from adapters import ALGORITHMS

    return ALGORITHMS


def _trainers() -> Collection[str]:
    from adapters import TRAINERS

    return TRAINERS


# What may follow a flag; the other flags have choices of their own, or are completed as files.
NAMES = {
    "--env": _envs,
    "--algo": _algorithms,
    "--trainer": _trainers,
    "--trainers": _trainers,
}
