# SPDX-License-Identifier: Apache-2.0
"""The pages of the site that are made from the code: environments, algorithms, the API.

Each function returns Markdown. Nothing names an environment, an algorithm or a class: what is
registered, or listed in a package's ``__all__``, is on the pages.
"""

import ast
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from adapters import ALGORITHMS
from adapters.run_config import RunConfig
from motrix_gym import Channel, Task, list_envs, registration
from motrix_gym.registration import Entry, env_name
from motrix_gym.settings import Setting, declared
from rl_zoo import config as zoo_config
from rl_zoo.commands.envs import best_known, describe
from rl_zoo.tables import markdown_table

DOCS = Path(__file__).parents[1]
FAMILIES = {
    "basic": "Basics",
    "control": "Control",
    "locomotion": "Walking",
    "navigation": "Navigation",
    "manipulation": "Manipulation",
}
GUIDES = {
    "locomotion": "[A robot of your own](../robots.md); [rough ground](../terrain.md)",
    "navigation": "[Walk to a pose](../navigation.md)",
    "manipulation": "[Manipulation](../manipulation.md)",
}
# Modules without an `__all__` whose public functions and classes are for authors of tasks.
HELPERS = ("settings", "rewards", "commands", "rotations", "terrain", "symmetry", "rendering")
Row = tuple[str, ...]


def all_pages() -> dict[str, str]:
    """Every generated page, by its path in the site."""
    pages = {"environments/README.md": environments(), "algorithms.md": algorithms()}
    for env_id in suite():
        pages[f"environments/{env_name(env_id)}.md"] = environment(env_id)
    return pages | api()


# Environments


def suite() -> list[str]:
    """The ids that the package itself registers, by family and name."""
    own = [env_id for env_id in list_envs() if registration.entry(env_id).module is None]
    order = list(FAMILIES)
    return sorted(own, key=lambda env_id: (order + [family(env_id)]).index(family(env_id)))


def groups() -> dict[str, str]:
    """The heading of the navigation under which each environment's page is, by the page's path."""
    return {f"environments/{env_name(env_id)}.md": title(family(env_id)) for env_id in suite()}


def title(name: str) -> str:
    """The heading of a family."""
    return FAMILIES.get(name, name.capitalize())


@cache
def task_of(env_id: str) -> Task:
    """The environment's task, whose model is compiled once."""
    return registration.make_task(env_id)


def family(env_id: str) -> str:
    """The folder of ``motrix_gym.tasks`` in which the task is."""
    return type(task_of(env_id)).__module__.split(".")[2]


def environments() -> str:
    """The list of all environments, by family."""
    parts = [
        "# Environments",
        "Each has a page with what it observes, what an action does, rewards and settings. The "
        " [gallery](../gallery.md) shows them. `motrix envs` prints the same in a terminal.",
    ]
    names = [family(env_id) for env_id in suite()]
    for name in dict.fromkeys(names):
        rows: list[Row] = [("environment", "task", "episode", "goals", "shipped policy")]
        for env_id, own in zip(suite(), names, strict=True):
            if own == name:
                about = describe(env_id)
                rows.append(
                    (
                        f"[{env_id}]({env_name(env_id)}.md)",
                        summary(task_of(env_id)),
                        f"{about['episode_seconds']:g} s",
                        ", ".join(map(code, about["goals"])),
                        best_known(about) or "-",
                    )
                )
        parts += [f"## {title(name)}", table(rows)]
    return joined(parts)


def environment(env_id: str) -> str:
    """All about one environment."""
    entry, task, name = registration.entry(env_id), task_of(env_id), env_name(env_id)
    seen = [channel for channel in task.observation if not channel.privileged]
    privileged = [channel for channel in task.observation if channel.privileged]
    parts = [f"# {env_id}", summary(task), *film(name), *facts(env_id, task)]
    parts += ["## Task", *descriptions(entry, task)]
    parts += [f"## Observation ({width(seen)})", channels(seen)]
    if privileged:
        told = (
            "With `privileged_value`, the value function sees these too, and the policy does not."
        )
        parts += [f"### Privileged ({width(privileged)})", told, channels(privileged)]
    parts += [f"## Action ({width(task.action)})", "Each entry is from -1 to 1.", actions(task)]
    parts += ["## Reward", *rewards(task)]
    parts += ["## Figures and goals", figures(entry, task)]
    parts += ["## Randomisation", *randomisation(task)]
    parts += ["## Settings of the task", SETTINGS_OF_A_TASK, table(settings(entry.config))]
    parts += ["## Settings of a training", *training(env_id)]
    return joined(parts)


SETTINGS_OF_A_TASK = (
    "Keyword arguments of `make_vec`; for the commands, `--set env.NAME=VALUE`. The weights of the "
    "reward are settings too, above. [Domain randomisation](../randomisation.md) is a setting of "
    "every task."
)


def summary(task: Task) -> str:
    """The first line of a task's docstring."""
    return (task.__doc__ or "").strip().splitlines()[0]


def film(name: str) -> list[str]:
    """The picture of an environment that links to its film, if there is one."""
    if not (DOCS / f"gallery/{name}.jpg").is_file():
        return []
    return [f"[![{name}](../gallery/{name}.jpg)](../gallery/{name}.mp4)"]


def facts(env_id: str, task: Task) -> Iterator[str]:
    """The episode, the rates, and how to make and try it."""
    about, settings = describe(env_id), task.config
    steps = about["episode_steps"]
    episode = f"{steps:,} steps, {about['episode_seconds']:g} s" if steps else "of any length"
    rows = [
        ("episode", episode),
        ("control", f"{1 / task.dt:g} actions/s"),
        ("physics", f"{settings.physics_timestep:g} s a step, {settings.substeps} per action"),
        ("goals", ", ".join(map(code, about["goals"])) or "-"),
    ]
    rows.append(("shipped policy", best_known(about) or "none yet"))
    yield table([("", ""), *rows])
    yield (
        f'```python\nenvs = gymnasium.make_vec("motrix_gym:{env_id}", num_envs=64)\n```\n\n'
        f"```sh\nmotrix play --env {env_id}\nmotrix train --env {env_id}\n```"
    )


def descriptions(entry: Entry, task: Task) -> Iterator[str]:
    """The docstrings of the task's module, of those that it builds on, and of the robot's."""
    found = [inspect.getmodule(owner) for owner in ancestry(task)]
    if isinstance(entry.given_task, str):
        found.append(importlib.import_module(entry.given_task.partition(":")[0]))
    told = list(dict.fromkeys(module for module in found if module and module.__doc__))
    for module in told:
        text = inspect.cleandoc(module.__doc__ or "")
        text = re.sub(r"\n*^v\d+: first version\.$", "", text, flags=re.MULTILINE).strip()
        if module is told[0]:
            yield text
        else:
            short = module.__name__.removeprefix("motrix_gym.tasks.")
            yield f'??? note "From `{short}`"\n\n{textwrap.indent(text, "    ")}'
    if guide := GUIDES.get(type(task).__module__.split(".")[2]):
        yield f"More: {guide}."


def ancestry(task: Task) -> list[type]:
    """The classes of a task that are in ``motrix_gym.tasks``, its own first."""
    return [
        owner for owner in type(task).__mro__ if owner.__module__.startswith("motrix_gym.tasks")
    ]


def channels(found: Sequence[Channel]) -> str:
    """A table of channels with the columns that tell something."""
    rows, start = [("index", "name", "unit", "noise", "delay", "history")], 0
    for channel in found:
        last = start + channel.width - 1
        index = str(start) if last == start else f"{start}-{last}"
        noise = f"±{channel.noise:g}" if channel.noise else ""
        delay = f"{channel.delay} steps" if channel.delay else ""
        frames = f"{channel.history} frames" if channel.history > 1 else ""
        rows.append((index, code(channel.name), channel.unit, noise, delay, frames))
        start = last + 1
    return table(only_told(rows))


def actions(task: Task) -> str:
    """A table of what an action holds."""
    rows: list[Row] = [("index", "name", "unit")]
    for index, channel in enumerate(task.action):
        rows.append((str(index), code(channel.name), channel.unit))
    return table(only_told(rows))


def width(found: Iterable[Channel]) -> int:
    """The number of entries that channels have together."""
    return sum(channel.width for channel in found)


def rewards(task: Task) -> Iterator[str]:
    """The weights of the terms, and the code that computes them."""
    yield (
        "The reward of a step is the sum of the terms, each times its weight. "
        "`info['reward_terms']` has every weighted term."
    )
    modules = [getattr(inspect.getmodule(owner), "terms", None) for owner in ancestry(task)]
    formulas = expressions(task)
    rows: list[Row] = [("term", "weight", "value")]
    for term, weight in task.config.reward_weights.items():
        found = next((getattr(module, term) for module in modules if hasattr(module, term)), None)
        meaning = " ".join((inspect.getdoc(found) or "").partition("\n\n")[0].split())
        formula = code(formulas[term]) if term in formulas else ""
        rows.append((code(term), f"{weight:g}", meaning or formula))
    yield table(only_told(rows))
    for owner in ancestry(task):
        if "rewards" in vars(owner):
            source = textwrap.dedent(inspect.getsource(owner.rewards))
            title = f'??? note "The code of `{owner.__name__}.rewards`"'
            yield f"{title}\n\n" + textwrap.indent(f"```python\n{source}```", "    ")


def expressions(task: Task) -> dict[str, str]:
    """The Python expression of each reward term, where ``rewards`` has it beside the name."""
    found: dict[str, str] = {}
    for owner in ancestry(task):
        if "rewards" in vars(owner):
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner.rewards)))
            for node in ast.walk(tree):
                if isinstance(node, ast.Dict):
                    for name, expression in zip(node.keys, node.values, strict=True):
                        if isinstance(name, ast.Constant):
                            found.setdefault(str(name.value), cell(ast.unparse(expression)))
    return found


def figures(entry: Entry, task: Task) -> str:
    """A table of what an evaluation measures, with the goals."""
    goals = {goal.figure: str(goal) for goal in entry.goals}
    found = {"return": ("", "sum of the rewards")}
    if type(task).success is not Task.success:
        found["success"] = ("", success_rule(task))
    for name, metric in task.metrics.items():
        unit = "share of episodes" if metric.rate else metric.unit
        found[name] = (unit, f"{metric.description} ({metric.reduce} of an episode)")
    rows: list[Row] = [("figure", "unit", "meaning", "goal")]
    rows += [(code(k), *about, code(goals[k]) if k in goals else "") for k, about in found.items()]
    return table(only_told(rows))


def success_rule(task: Task) -> str:
    """When an episode is a success, in words."""
    rule = task.success_rule
    held = f", and was for {rule.seconds:g} s" if rule.seconds else ""
    return {
        "end": f"share of episodes at whose end the goal is reached{held}",
        "once": "share of episodes in which the goal was reached",
        "held": f"share of episodes in which the goal was reached for {rule.seconds:g} s",
    }[rule.counts]


def randomisation(task: Task) -> Iterator[str]:
    """The ranges of ``--randomize``, and the changes of ``--robustness``."""
    if not (task.randomized or task.changes):
        yield "The task names no ranges; any can be [given](../randomisation.md)."
        return
    yield (
        "Off by default. `motrix evaluate --randomize` draws all of these anew for each episode, "
        "and `--robustness` makes one change at a time ([more](../randomisation.md))."
    )
    rows: list[Row] = [("setting", "range")]
    rows += [(code(f"env.{name}"), span(value)) for name, value in task.randomized.items()]
    yield table(rows)
    if task.changes:
        yield "Single changes: " + ", ".join(task.changes) + "."


def span(value: Any) -> str:
    """A range, or the largest value."""
    return (
        f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple | list) else f"up to {value:g}"
    )


def settings(config: Any, prefix: str = "") -> list[Row]:
    """Rows of a table of a task's settings, those inside of others by dotted name."""
    rows: list[Row] = [] if prefix else [("setting", "default", "meaning", "allowed")]
    for setting in settings_of(type(config)):
        value = getattr(config, setting.name)
        if setting.name in ("reward_weights", "randomization"):
            continue
        if is_dataclass(value):
            rows += settings(value, f"{prefix}{setting.name}.")
        else:
            rows.append(about(replace(setting, name=prefix + setting.name, default=value)))
    return rows


@cache
def settings_of(cls: type) -> list[Setting]:
    """The declarations of a class's settings, which are read from its source once."""
    return declared(cls)


def training(env_id: str) -> Iterator[str]:
    """What the environment's file chooses otherwise than the algorithms' defaults."""
    yield (
        f"From `hyperparams/{env_name(env_id)}.yaml`, where they are not the "
        "[defaults](../algorithms.md). `motrix settings --env ID` prints them with reasons."
    )
    for algo in zoo_config.algorithms(env_id):
        cls, (values, _) = ALGORITHMS[algo], zoo_config.given(env_id, algo)
        loaded = zoo_config.load(env_id, algo).as_dict()
        rows: list[Row] = [("setting", "here", "default", "meaning")]
        for setting in settings_of(cls):
            name, default = setting.name, plain(setting.default)
            if name in values and loaded[name] != default:
                rows.append((code(name), value(loaded[name]), value(default), cell(setting.doc)))
        if len(rows) > 1:
            yield f"### {cls.title}"
            yield table(rows)


# Algorithms


def algorithms() -> str:
    """All algorithms, with their settings."""
    parts = [
        "# Algorithms and settings",
        "The settings of each algorithm, with their defaults, as `motrix settings --algo NAME` "
        "prints them. `--set NAME=VALUE` gives another value; files give values by environment "
        "([more](training.md#settings)).",
    ]
    of_run = RunConfig.names()
    rows: list[Row] = [("algorithm", "`--algo`", "trainers")]
    for algo, cls in ALGORITHMS.items():
        trainers = ", ".join(map(code, zoo_config.trainers(algo)))
        rows.append((f"[{cls.title}](#{cls.title.lower()})", code(algo), trainers))
    parts += [table(rows), "## Settings of every run", "They change nothing of what is learned."]
    common = [setting for setting in settings_of(RunConfig) if setting.name in of_run]
    parts.append(table([HEAD, *map(about, common)]))
    for cls in ALGORITHMS.values():
        own = [setting for setting in settings_of(cls) if setting.name not in of_run]
        parts += [f"## {cls.title}", table([HEAD, *map(about, own)])]
    return joined(parts)


HEAD: Row = ("setting", "default", "meaning", "allowed")


def about(setting: Setting) -> Row:
    """The row of a setting."""
    unit = f" {setting.unit}" if setting.unit else ""
    doc = re.sub(r"\bNone\b", "null", setting.doc)
    allowed = re.sub(r"\bNone\b", "null", setting.allowed)
    allowed = re.sub(r"\bTrue or False\b", "true or false", allowed)
    return code(setting.name), value(setting.default) + unit, cell(doc), cell(allowed)


# The API


def api() -> dict[str, str]:
    """The pages of the reference, which mkdocstrings fills from the docstrings."""
    pages = {}
    for package, title in (
        ("motrix_gym", "Environments and tasks"),
        ("rl_zoo", "Training and evaluation"),
        ("adapters", "Trainers"),
    ):
        module = importlib.import_module(package)
        names = [name for name in module.__all__ if documented(getattr(module, name))]
        doc = inspect.cleandoc(module.__doc__ or "")
        entries = [f"::: {where(getattr(module, name))}" for name in sorted(names, key=str.lower)]
        pages[f"api/{package}.md"] = joined([f"# {package}: {title.lower()}", doc, *entries])
    whole = "    options:\n      show_root_full_path: true"
    entries = [f"::: motrix_gym.{name}\n{whole}" for name in HELPERS]
    text = "What authors of tasks use beside the names of [motrix_gym](motrix_gym.md)."
    pages["api/helpers.md"] = joined(["# Helpers for tasks", text, *entries])
    return pages


def documented(thing: Any) -> bool:
    """Whether it is a class or a function, and not a constant."""
    return inspect.isclass(thing) or inspect.isfunction(thing)


def where(thing: Any) -> str:
    """The name under which a class or function is defined."""
    return f"{thing.__module__}.{thing.__qualname__}"


# Text


def joined(parts: Iterable[str]) -> str:
    """Parts of a page, with empty lines between."""
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """A Markdown table, all columns to the left."""
    return markdown_table(rows, left=len(rows[0]))


def only_told(rows: Sequence[Row]) -> list[Row]:
    """The columns of a table of which some row has a value."""
    _, *body = rows
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in body)]
    return [tuple(row[i] for i in kept) for row in rows]


def code(text: str) -> str:
    """Text as code."""
    return f"`{text}`"


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def plain(given: Any) -> Any:
    """A value as JSON has it."""
    return list(given) if isinstance(given, tuple) else given


def value(given: Any) -> str:
    """A value as it is given in a file and to ``--set``."""
    if isinstance(given, Mapping):
        given = dict(given)
    if isinstance(given, str):
        return code(given)
    return code(
        f"{given:_}" if type(given) is int and given >= 100_000 else json.dumps(plain(given))
    )
