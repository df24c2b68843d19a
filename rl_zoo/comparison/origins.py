# SPDX-License-Identifier: Apache-2.0
"""How runs differ from a run made here and now: by code, settings, versions or processor."""

import contextlib
from typing import Any

from motrix_gym.registration import UnknownEnvironmentError
from rl_zoo import config as zoo_config
from rl_zoo import provenance
from rl_zoo.comparison.report import listed
from rl_zoo.comparison.results import (
    Comparison,
    Result,
    differing,
    fixed,
    read_origin,
    setting,
)
from rl_zoo.errors import ZooError
from rl_zoo.runs import Run
from rl_zoo.yaml_files import ConfigError


def origin_of(run: Run) -> dict[str, Any]:
    """Returns where a run comes from, as `read_origin` reads it from the run's manifest."""
    return read_origin(run.manifest())


def differences(
    origin: dict[str, Any], settings: dict[str, Any], wanted: dict[str, Any]
) -> dict[str, str]:
    """Returns how a run differs from one made here and now.

    Args:
        origin: Where the run comes from, as `origin_of` returns it.
        settings: All of its algorithm's settings.
        wanted: The settings of a run made here, as `shipped` returns them; {} to compare none.

    Returns:
        Way, such as "with other code than here", which follows "ran" in a sentence -> the run's
        values.
    """
    here, cpu = provenance.versions(), provenance.machine()["cpu"]
    code, trained = provenance.code(), origin["sessions"]
    changed = differing([fixed(settings), wanted]) if wanted else []
    found = {
        "with other code than here": [s["code"][:12] for s in trained if s["code"] != code],
        "with settings other than the shipped": [setting(settings, name) for name in changed],
        "with other versions than here": [
            f"{name} {version}"
            for s in trained
            for name, version in s["versions"].items()
            if here.get(name, version) != version
        ],
        "on another processor than here": [s["cpu"] for s in trained if s["cpu"] != cpu],
    }
    return {how: ", ".join(dict.fromkeys(what)) for how, what in found.items() if what}


def shipped(env_id: str, algo: str, trainer: str, task_settings: Any) -> dict[str, Any]:
    """Returns the settings of a run without `--set` that decide what it learns; {} if not known."""
    with contextlib.suppress(ConfigError, UnknownEnvironmentError):
        config = zoo_config.load(env_id, algo, trainer, task_settings=task_settings)
        return fixed(config.as_dict())
    return {}


def check_strict(name: object, others: dict[str, str]) -> None:
    """Raises ZooError if a run differs from one made here, in the ways of `differences`."""
    if others:
        ways = "; ".join(f"{how} ({what})" for how, what in others.items())
        raise ZooError(f"--strict: {name} ran {ways}")


def notes(comparison: Comparison) -> list[str]:
    """Returns a line for each way in which runs of a comparison differ from runs made here."""
    found: dict[tuple[str, str], dict[str, list[int]]] = {}
    for label, results in comparison.rows.items():
        for result in results:
            for way in differences_of(comparison, result).items():
                found.setdefault(way, {}).setdefault(label, []).append(result.seed)
    lines = []
    for (how, what), rows in found.items():
        who = "; ".join(f"{listed(seeds)} of {label}" for label, seeds in rows.items())
        lines.append(f"Ran {how} ({what}): {who}.")
    return lines


def differences_of(comparison: Comparison, result: Result) -> dict[str, str]:
    """Returns how a run of a comparison differs from one made here; see `differences`."""
    env_id, settings = comparison.env_id, comparison.settings
    wanted = shipped(env_id, result.algo, result.trainer, task_settings=settings)
    return differences(result.origin, result.fixed, wanted)
