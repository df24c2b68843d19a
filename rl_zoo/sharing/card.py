# SPDX-License-Identifier: Apache-2.0
"""The model card of a policy: what the Hub shows of it, made from its evaluation.

A card has a head in YAML, from which the Hub makes its search and its table of results, and a text.
Ours lies between two comments. What a person wrote around it, or into the head, stays when the
policy is pushed anew.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from rl_zoo.errors import ZooError
from rl_zoo.tables import number

FILE = "README.md"
BEGIN, END = "<!-- motrix-gym: begin -->", "<!-- motrix-gym: end -->"
TAGS = ("reinforcement-learning", "robotics", "mujoco", "motrix-gym")

Json = Mapping[str, Any]


def card(
    repository: str, evaluation: Json, metadata: Json, run: Json | None, old: bytes | None
) -> str:
    """Returns the card of a policy.

    Args:
        repository: "user/name".
        evaluation: As evaluation.json has it.
        metadata: Of the policy's JSON.
        run: The manifest of its run, if that is pushed too.
        old: The card that is there, if there is one.

    Raises:
        ZooError: The card that is there is broken.
    """
    head, text = _parts(old, repository)
    env_id = evaluation["env_id"]
    head |= {
        "library_name": "motrix-gym",
        "pipeline_tag": "reinforcement-learning",
        "tags": sorted({*TAGS, env_id.rpartition("/")[2], *head.get("tags", ())}),
        "model-index": [_results(repository, evaluation)],
    }
    ours = f"{BEGIN}\n{_text(repository, evaluation, metadata, run)}\n{END}"
    if BEGIN in text and END in text:
        before, _, rest = text.partition(BEGIN)
        text = before + ours + rest.partition(END)[2]
    else:
        text = "\n\n".join(filter(None, (ours, text.strip()))) + "\n"
    dumped = yaml.safe_dump(dict(head), sort_keys=False, allow_unicode=True)
    return f"---\n{dumped}---\n\n{text.lstrip()}"


def _parts(old: bytes | None, repository: str) -> tuple[dict[str, Any], str]:
    """Returns head and text of the card that is there."""
    if old is None:
        return {}, ""
    broken = f"the card of {repository}, {FILE}, is broken: "
    try:
        text = old.decode()
        if not text.startswith("---\n"):
            return {}, text
        head, closed, text = text.removeprefix("---\n").partition("\n---")
        parsed = yaml.safe_load(head)
    except UnicodeDecodeError as error:
        raise ZooError(f"{broken}it is not UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark else ""
        raise ZooError(f"{broken}its head is not YAML{where}; mend it there first") from error
    if not closed or not isinstance(parsed, dict) or not isinstance(parsed.get("tags", []), list):
        raise ZooError(f"{broken}its head is not a mapping between two lines ---")
    return parsed, text.partition("\n")[2]


def _results(repository: str, evaluation: Json) -> dict[str, Any]:
    """The entry of the head that has the figures which the goals are about, and the return."""
    env_id = evaluation["env_id"]
    metrics = [
        {"type": name, "name": name, "value": evaluation["figures"][name]["mean"]}
        for name in _main_figures(evaluation)
    ]
    return {
        "name": repository.rpartition("/")[2],
        "results": [
            {
                "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
                "dataset": {"name": env_id, "type": env_id},
                "metrics": metrics,
            }
        ],
    }


def _main_figures(evaluation: Json) -> list[str]:
    goals = [goal["goal"].split()[0] for goal in evaluation["goals"]]
    names = dict.fromkeys([*goals, "return"])
    return [name for name in names if name in evaluation["figures"]]


def _text(repository: str, evaluation: Json, metadata: Json, run: Json | None) -> str:
    env_id, folder = evaluation["env_id"], f"pulled/{repository}"
    figures = [
        (name, figure)
        for name, figure in evaluation["figures"].items()
        if not name.startswith("reward/") and figure["mean"] is not None
    ]
    rows = [
        f"| {name} | {number(f['mean'])} | {number(f['low'])} to {number(f['high'])} |"
        for name, f in figures
    ]
    goals = [f"- {goal['goal']}: {goal['verdict']}" for goal in evaluation["goals"]]
    settings = "".join(f", {name}={value}" for name, value in evaluation["env_config"].items())
    actions = "drawn" if evaluation["stochastic"] else "deterministic"
    lines = [
        f"# A policy for {env_id}",
        "",
        "Two files, `policy.safetensors` and `policy.json`, which Motrix Gym reads; nothing is "
        "unpickled.",
        "",
        "```sh",
        f"motrix pull {repository}",
        f"motrix play --policy {folder}",
        "```",
        "",
        "```python",
        "from motrix_gym import Policy",
        "",
        f'policy = Policy.load("{folder}")  # NumPy in, NumPy out',
        "```",
        "",
        "## Evaluation",
        "",
        f"{evaluation['episodes']:,} whole episodes, {actions} actions, seed {evaluation['seed']}"
        f"{settings}. Means, with 95 % intervals.",
        "",
        "| figure | mean | interval |",
        "| --- | ---: | --- |",
        *rows,
        *(["", "Goals:", "", *goals] if goals else []),
        "",
        "## Training",
        "",
        *_training(metadata, run),
    ]
    return "\n".join(lines)


def _training(metadata: Json, run: Json | None) -> list[str]:
    """Where the policy comes from, as far as it says so."""
    known = {
        "trainer": metadata.get("trainer"),
        "seed": metadata.get("seed"),
        "environment steps": metadata.get("env_steps"),
    }
    if run:
        session = run["sessions"][-1]
        known |= {
            "algorithm": run["algo"],
            "seconds": round(run.get("train_seconds", run["wall_seconds"])),
            "processor": f"{session['cpu']}, {session['cores']} cores",
            "libraries": ", ".join(f"{k} {v}" for k, v in session["versions"].items()),
        }
    lines = [
        f"- {name}: {f'{value:,}' if name != 'seed' and isinstance(value, int) else value}"
        for name, value in known.items()
        if value is not None
    ]
    if run:
        lines.append("- the run itself, to resume or to compare, is in the folder `run`")
    return lines or ["Not known."]
