# SPDX-License-Identifier: Apache-2.0
"""`motrix envs`: a table of the environments, or with `--env` all about one of them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rl_zoo import arguments, cli, policies
from rl_zoo.commands.settings import about
from rl_zoo.environments import find_env
from rl_zoo.errors import UsageError
from rl_zoo.tables import number, table, with_interval

if TYPE_CHECKING:
    from motrix_gym import Channel


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    p = arguments.parser(
        "envs", "List the environments, and the best result of a policy that we ship."
    )
    p.add_argument("--env", metavar="ID", help="all about this one: channels, metrics, settings")
    style = p.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="as JSON")
    style.add_argument("--markdown", action="store_true", help="as a Markdown table")
    args = p.parse_args(argv)

    from motrix_gym import list_envs

    if args.env:
        if args.json or args.markdown:
            raise UsageError("--env goes with neither --json nor --markdown")
        print(details(find_env(args.env)))
        return 0
    entries = [describe(env_id) for env_id in list_envs()]
    if args.json:
        print(json.dumps(entries, indent=2))
        return 0
    if args.markdown:
        rows = [("id", "episode", "goals", "best known"), ("---",) * 4, *map(_row, entries)]
        print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    else:
        rows = [("id", "episode", "goal", "best"), *(row for e in entries for row in _rows(e))]
        print(table(rows, left=len(rows[0])))
    return 0


def describe(env_id: str) -> dict[str, Any]:
    """Returns an environment's episode, goals and best known result.

    `best` has the figures that the goals are about, and the return, of the shipped policy's
    evaluation: the mean, and its 95 % interval from `low` to `high`. It is None where no policy is
    shipped.
    """
    from motrix_gym import registration

    entry = registration.entry(env_id)
    steps = entry.config.max_episode_steps
    path = policies.PRETRAINED / registration.env_name(env_id) / "evaluation.json"
    best = None
    if path.is_file():
        evaluation = json.loads(path.read_text())
        if evaluation["env_id"] == env_id:
            names = dict.fromkeys([*(goal.figure for goal in entry.goals), "return"])
            figures, keys = evaluation["figures"], ("mean", "low", "high")
            best = {name: {key: figures[name][key] for key in keys} for name in names}
    return {
        "id": env_id,
        "episode_steps": steps,
        "episode_seconds": steps and steps * entry.config.control_timestep,
        "goals": [str(goal) for goal in entry.goals],
        "best": best,
    }


def best_known(entry: dict[str, Any]) -> str:
    """Returns the figures of an entry of `describe`, with their intervals, for a table."""
    figures = (entry["best"] or {}).items()
    return ", ".join(f"{name} {with_interval(**figure)}" for name, figure in figures)


def details(env_id: str) -> str:
    """Returns what an environment observes, does and measures, and every setting's default."""
    from motrix_gym import registration

    entry = registration.entry(env_id)
    task = registration.make_task(env_id)
    seen = [channel for channel in task.observation if not channel.privileged]
    privileged = [channel for channel in task.observation if channel.privileged]
    sections = {
        f"observation ({_width(seen)})": _channels(seen),
        f"privileged ({_width(privileged)}), for a value function": _channels(privileged),
        f"action ({_width(task.action)}), each in [-1, 1]": _channels(task.action),
        "metrics": [
            (name, "rate" if metric.rate else metric.unit, metric.description)
            for name, metric in task.metrics.items()
        ],
        "goals": [(str(goal),) for goal in entry.goals],
    }
    blocks = [f"{env_id}: {(task.__doc__ or '').strip().splitlines()[0]}"]
    for title, rows in sections.items():
        if rows:
            blocks.append(f"\n{title}\n" + table(rows, left=len(rows[0])))
    blocks.append("\nsettings (keyword arguments of make_vec; --set env.NAME=VALUE)")
    return "\n".join([*blocks, *_settings(entry.config)])


def _settings(config: Any, prefix: str = "") -> Iterator[str]:
    """The lines on a task's settings, those inside of others by dotted name."""
    from motrix_gym.settings import declared

    for setting in declared(type(config)):
        name, value = prefix + setting.name, getattr(config, setting.name)
        if is_dataclass(value):
            yield from _settings(value, f"{name}.")
        else:
            yield from about(replace(setting, name=name, default=value))


def _width(channels: "Sequence[Channel]") -> int:
    return sum(channel.width for channel in channels)


def _channels(channels: "Sequence[Channel]") -> list[tuple[str, ...]]:
    """Rows: index or indices, name, unit."""
    rows, start = [], 0
    for channel in channels:
        last = start + channel.width - 1
        index = str(start) if last == start else f"{start}-{last}"
        rows.append((index, channel.name, channel.unit))
        start = last + 1
    return rows


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    """An environment's row of the Markdown table."""
    goals = ", ".join(entry["goals"])
    return entry["id"], _episode(entry), goals or "-", best_known(entry) or "-"


def _rows(entry: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """An environment's rows of the plain table, one for each goal."""
    seconds = entry["episode_seconds"]
    first = entry["id"], f"{seconds:g} s" if seconds else "any length"
    goals = entry["goals"] or ["return"]
    best = [number(figure["mean"]) for figure in (entry["best"] or {}).values()]
    for goal, figure in zip_longest(goals, best[: len(goals)], fillvalue="-"):
        yield *first, goal, figure
        first = "", ""


def _episode(entry: dict[str, Any]) -> str:
    steps = entry["episode_steps"]
    return f"{steps:,} steps ({entry['episode_seconds']:g} s)" if steps else "any length"
