# SPDX-License-Identifier: Apache-2.0
"""`motrix settings`: an algorithm's settings, or those that an environment's file changes."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo import arguments, cli
from rl_zoo.environments import find_env
from rl_zoo.tables import WIDTH

if TYPE_CHECKING:
    from motrix_gym.settings import Setting


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    p = arguments.parser(
        "settings",
        "List the settings of an algorithm: meaning, unit, range and default. With --env, those "
        "that the environment's file chooses otherwise, and why.",
    )
    p.add_argument("--algo", default="ppo", help="default ppo")
    p.add_argument("--env", metavar="ID", help="environment, or module:ID")
    p.add_argument("--trainer", metavar="NAME", help="whose values --env shows")
    args = p.parse_args(argv)

    from rl_zoo import config

    config.trainers(args.algo)
    if args.env:
        print(choices(find_env(args.env), args.algo, args.trainer))
    else:
        print(listing(args.algo))
    return 0


def listing(algo: str) -> str:
    """Returns all settings of an algorithm with their defaults, those of the run first."""
    from adapters import ALGORITHMS
    from adapters.run_config import RunConfig
    from motrix_gym.settings import declared

    cls = ALGORITHMS[algo]
    of_run = RunConfig.names()
    parts = {
        f"Settings of {cls.title}; --set NAME=VALUE gives others than these defaults.": [
            setting for setting in declared(cls) if setting.name not in of_run
        ],
        "Settings of the run, which change nothing of what is learned:": [
            setting for setting in declared(cls) if setting.name in of_run
        ],
    }
    return "\n\n".join(
        "\n".join([title, "", *(line for s in settings for line in about(s))])
        for title, settings in parts.items()
    )


def choices(env_id: str, algo: str, trainer: str | None = None) -> str:
    """Returns the settings whose value in an environment's file is not the default, and why."""
    from adapters import ALGORITHMS
    from motrix_gym.settings import declared
    from rl_zoo import config

    settings = {setting.name: setting for setting in declared(ALGORITHMS[algo])}
    values, _ = config.given(env_id, algo, trainer)
    loaded = config.load(env_id, algo, trainer).as_dict()
    other = [
        name
        for name in values
        if name in settings and loaded[name] != _plain(settings[name].default)
    ]
    if not other:
        return (
            f"{env_id} has the defaults of {ALGORITHMS[algo].title}: motrix settings --algo {algo}"
        )
    lines = [f"{env_id} chooses {len(other)} settings of {ALGORITHMS[algo].title} otherwise:", ""]
    for name in other:
        default = f"default {_yaml(settings[name].default)}"
        chosen = f"{name}: {_yaml(loaded[name])} ({default})"
        lines += textwrap.wrap(chosen, WIDTH, subsequent_indent=" " * 8)
        lines += _wrapped(settings[name].doc)
        if reason := _comment(values.places[name]):
            lines += _wrapped(f"Here: {reason}")
    return "\n".join(lines)


def about(setting: "Setting") -> Iterator[str]:
    """Yields the lines on one setting."""
    unit = f" {setting.unit}" if setting.unit else ""
    parts = setting.default if isinstance(setting.default, Mapping) else None
    if parts is None:
        yield f"{setting.name}: {_yaml(setting.default)}{unit}"
    else:
        yield from (f"{setting.name}.{name}: {_yaml(part)}" for name, part in parts.items())
    allowed = f"{setting.allowed[:1].upper()}{setting.allowed[1:]}." if setting.allowed else ""
    yield from _wrapped(f"{setting.doc} {allowed}".strip())


def _wrapped(text: str) -> list[str]:
    """Text below the name of a setting, with values as YAML writes them."""
    for python, yaml in (("None", "null"), ("True or False", "true or false")):
        text = re.sub(rf"\b{python}\b", yaml, text)
    indent = " " * 4
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def _yaml(value: Any) -> str:
    """A value as it is given in a file and to --set."""
    if isinstance(value, str):
        return value
    return f"{value:_}" if type(value) is int and value >= 100_000 else json.dumps(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _comment(place: str) -> str:
    """The comment in a line of a file, or else in those right above it; "" if there is none."""
    file, _, number = place.rpartition(":")
    if not (number.isdigit() and Path(file).is_file()):
        return ""
    *above, line = Path(file).read_text(encoding="utf-8").splitlines()[: int(number)]
    if " #" in line:
        return line.partition(" #")[2].strip()
    comments = []
    while above and above[-1].lstrip().startswith("#"):
        comments.insert(0, above.pop().lstrip("# ").rstrip())
    return " ".join(comments)
