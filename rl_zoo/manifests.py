# SPDX-License-Identifier: Apache-2.0
"""The manifest of a run folder, read and checked: only what it names belongs to the run."""

import json
import math
import re
from pathlib import Path
from typing import Any

from motrix_gym.names import shown
from motrix_gym.policy_files import ARRAYS_FILE, JSON_FILE
from motrix_gym.settings import is_number
from rl_zoo.provenance import sessions

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
STATE_FILE = "train_state.safetensors"
FILES = (ARRAYS_FILE, JSON_FILE, STATE_FILE)  # of a checkpoint
REPLAY_FILE = "replay.safetensors"  # of the latest one, where there is a buffer
CHECKPOINTS = ("latest", "best")  # in the order in which an undamaged one is looked for


class RunError(RuntimeError):
    """A run cannot be read or written; the message says why, and which checkpoint is still good."""


def read(folder: Path) -> dict[str, Any]:
    """Returns the manifest of a run folder.

    Raises:
        RunError: It is missing, damaged or of an unknown version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(_no_run(folder)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema_version {shown(version)}, this program reads {SCHEMA_VERSION}"
        )
    if not _is_well_formed(manifest):
        raise RunError(f"{path} lacks entries of a run, or has wrong ones")
    return manifest


def _no_run(folder: Path) -> str:
    """A message for a folder that has no manifest."""
    if not folder.exists():
        return f"there is no folder {folder}"
    if runs := sorted(folder.glob(f"*/{MANIFEST}")):
        return f"{folder} is not a run but holds {len(runs)}: name one, such as {runs[-1].parent}"
    return f"{folder} is not a run, or was never begun: no {MANIFEST}"


def encode(value: dict[str, Any]) -> bytes:
    """Returns plain values as the bytes of a JSON file.

    Raises:
        RunError: They are not plain.
    """
    try:
        return json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise RunError(f"not plain JSON: {error}") from error


def entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """A manifest's checkpoints, each once, by their steps; those of old versions lack "history"."""
    named = [manifest[which] for which in reversed(CHECKPOINTS) if manifest[which]]
    entries = {entry["folder"]: entry for entry in (*manifest.get("history", ()), *named)}
    return sorted(entries.values(), key=lambda entry: entry["steps"])


def without_replay(entry: dict[str, Any]) -> dict[str, Any]:
    """A copy of an entry that names no replay buffer."""
    sha256 = {file: digest for file, digest in entry["sha256"].items() if file != REPLAY_FILE}
    return entry | {"sha256": sha256}


def rank(entry: dict[str, Any]) -> tuple[float, int]:
    """A key that orders checkpoints, the best last: by score, then by steps."""
    score = -math.inf if entry["score"] is None else entry["score"]
    return score, entry["steps"]


def _is_well_formed(manifest: dict[str, Any]) -> bool:
    """Whether a manifest has all entries, of the right types, and names no folder outside."""
    texts = ("env_id", "algo", "trainer", "device", "created", "status")
    if not all(_is_text(manifest.get(name)) for name in texts):
        return False
    known = sessions(manifest)
    if not (isinstance(known, list) and known and all(map(_is_session, known))):
        return False
    if not isinstance(manifest.get("env_config"), dict):
        return False
    module = manifest.get("module")  # not in runs of old, and None for the suite's environments
    if not (module is None or _is_text(module)):
        return False
    log = manifest.get("log", [])  # not in runs of old
    if not (isinstance(log, list) and all(map(_is_text, log))):
        return False
    measured = ("train_seconds", "steps_per_second", "peak_memory_mib")  # not in runs of old
    if not all(is_number(manifest.get(name, 0)) for name in measured):
        return False
    if not all(_is_count(manifest.get(name)) for name in ("steps", "seed")):
        return False
    if not is_number(manifest.get("wall_seconds")):
        return False
    stages = manifest.get("stages", [])  # that came before the run's own training
    if not (isinstance(stages, list) and all(map(_is_stage, stages))):
        return False
    history = manifest.get("history", [])
    if not (isinstance(history, list) and all(map(_is_entry, history))):
        return False
    return all(
        which in manifest and (manifest[which] is None or _is_entry(manifest[which]))
        for which in CHECKPOINTS
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_session(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and all(_is_text(found.get(name)) for name in ("code", "cpu"))
        and (_is_count(found.get("cores")) or found.get("cores") == "unknown")
        and isinstance(found.get("versions"), dict)
        and all(map(_is_text, found["versions"].values()))
    )


def _is_stage(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("envs"), list)
        and all(map(_is_text, (*found["envs"], found.get("ended"))))
        and _is_count(found.get("steps"))
        and is_number(found.get("seconds"))
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and _is_count(entry.get("steps"))
        and "score" in entry
        and (entry["score"] is None or is_number(entry["score"]))
        and is_number(entry.get("seconds", 0.0))
        and isinstance(entry.get("folder"), str)
        and re.fullmatch(r"\d+(_\d+)?", entry["folder"]) is not None
        and isinstance(entry.get("sha256"), dict)
        and set(entry["sha256"]) - {REPLAY_FILE} == set(FILES)
    )
