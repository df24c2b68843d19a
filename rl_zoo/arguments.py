# SPDX-License-Identifier: Apache-2.0
"""The commands' arguments: their parser, types, and arguments that several commands share."""

import argparse
import math
import os
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rl_zoo.environments import DEFAULT_ENV
from rl_zoo.errors import UsageError
from rl_zoo.hints import short
from rl_zoo.tables import WIDTH

if TYPE_CHECKING:
    from rl_zoo.policy_search import Found

MAX_THREADS = 1024  # as motrix_gym allows
MAX_COUNT = 10**6  # of environments and episodes; more is a typing error
MAX_SEED = 2**32 - 1  # of a training, as adapters.seeds allows


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest flag for an unknown one."""

    def print_help(self, file: Any = None) -> None:
        """Prints the help; argparse's own would hide that it cannot be written."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """Ends the program with a message of one line."""
        super().error(short(message))

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Returns the arguments; ends the program if one is unknown."""
        if "_ARGCOMPLETE" in os.environ:  # the shell asks what may come next
            from rl_zoo.completion import complete

            complete(self)
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            from motrix_gym.names import did_you_mean

            flags = [flag for action in self._actions for flag in action.option_strings]
            hint = did_you_mean(unknown[0].partition("=")[0], flags)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known


def parser(name: str, *paragraphs: str) -> argparse.ArgumentParser:
    """A parser in the commands' style, whose help begins with these paragraphs."""
    return _Parser(
        prog=f"motrix {name}",
        description="\n\n".join(textwrap.fill(paragraph, WIDTH) for paragraph in paragraphs),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def whole(low: int, high: int = MAX_COUNT) -> Callable[[str], int]:
    """An argparse type: an integer from `low` to `high`."""

    def convert(text: str) -> int:
        from motrix_gym.names import shown

        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            message = f"{shown(text)} is not a whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(message)
        return value

    return convert


def positive(unit: str) -> Callable[[str], float]:
    """An argparse type: a finite number above 0 of a unit, such as "seconds"."""

    def convert(text: str) -> float:
        from motrix_gym.names import shown

        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a number of {unit} above 0")
        return value

    return convert


def add_num_threads(p: argparse.ArgumentParser) -> None:
    """Adds `--num-threads`."""
    p.add_argument(
        "--num-threads",
        type=whole(0, MAX_THREADS),
        default=0,
        metavar="N",
        help="for physics; 0: all cores",
    )


def add_source_arguments(p: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Adds the arguments that `policy_asked_for` reads.

    Returns:
        The group of `--run` and `--policy`, of which only one may be given; a command may add
        another.
    """
    add = p.add_argument
    add("--env", metavar="ID", help=f"environment, or module:ID (default {DEFAULT_ENV})")
    source = p.add_mutually_exclusive_group()
    source.add_argument(
        "--run", type=Path, help="run folder (default: the environment's newest, else pretrained)"
    )
    source.add_argument(
        "--policy",
        type=Path,
        help='"pretrained", an id, or a folder with policy.safetensors and policy.json; with '
        "--allow-pickle and --env, a "
        ".pt or .pickle of skrl or a .zip of Stable-Baselines3 too",
    )
    add(
        "--allow-pickle",
        action="store_true",
        help="read a policy from a kind of file that can hide code",
    )
    add("--run-dir", type=Path, default=Path("runs"), help="folder of all runs (default runs)")
    return source


def add_policy_arguments(p: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Adds those of `add_source_arguments` and of `add_env_arguments`.

    Returns:
        As `add_source_arguments`.
    """
    source = add_source_arguments(p)
    add_env_arguments(p)
    return source


def add_env_arguments(p: argparse.ArgumentParser) -> None:
    """Adds `--num-envs`, `--num-threads`, `--set` and `--randomize`."""
    add = p.add_argument
    add("--num-envs", type=whole(1), metavar="N", help="environments side by side")
    add_num_threads(p)
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="env.NAME=VALUE",
        help="settings of the task, such as env.observation_noise=0",
    )
    add(
        "--randomize",
        action="store_true",
        help="physics that differs between environments, as the task says",
    )


def policy_asked_for(args: argparse.Namespace) -> "Found":
    """Returns the policy that the arguments of `add_source_arguments` ask for.

    Raises:
        RunError, PolicyError, ZooError: As `policy_search.find_policy`.
    """
    from rl_zoo.policy_search import find_policy

    return find_policy(
        args.env,
        run=args.run,
        policy=args.policy,
        allow_pickle=args.allow_pickle,
        run_dir=args.run_dir,
    )


def split_settings(
    texts: Sequence[str], algo: str = "ppo", env_id: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the settings of `--set`: the algorithm's, and the task's without "env.".

    Args:
        texts: Such as "learning_rate=1e-4" and "env.max_angle=0.3"; values are YAML.
        algo: The algorithm's name.
        env_id: The environment, of whose settings one without "env." may be meant.

    Raises:
        ConfigError: one is not name=value, or the algorithm has no such setting, or there is no
            such algorithm.
    """
    from motrix_gym.names import shown
    from rl_zoo import config
    from rl_zoo.task_settings import PREFIX

    algorithm: dict[str, Any] = {}
    task: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals and name.strip().startswith(PREFIX):
            where = f"--set {shown(text)}"
            task[name.strip().removeprefix(PREFIX)] = config.parse_value(value, where)
        else:
            name, value = config.parse_set(text, algo, env_id)
            algorithm[name] = value
    return algorithm, task


def task_settings_only(texts: Sequence[str]) -> dict[str, Any]:
    """Returns the task settings of `--set`, for a command that trains nothing.

    Raises:
        UsageError: one is no setting of the task.
    """
    from motrix_gym.names import shown
    from rl_zoo.task_settings import PREFIX

    for name in (text.partition("=")[0].strip() for text in texts):
        if not name.startswith(PREFIX):
            raise UsageError(
                f"--set {shown(name)}: only settings of the task (env.NAME=VALUE) can be changed "
                "here"
            )
    return split_settings(texts)[1]
