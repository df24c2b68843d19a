# SPDX-License-Identifier: Apache-2.0
"""The files of a run's checkpoints: how they are written, read, checked and removed.

Which checkpoints there are, and the SHA-256 of each of their files, is in the run's manifest. Its
entry of a checkpoint names the folder under `checkpoints/`.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from adapters import Policy
from motrix_gym.files import pack_arrays, read_arrays, sync_folder, write_file
from rl_zoo.manifests import FILES, REPLAY_FILE, STATE_FILE, RunError

FOLDER = "checkpoints"
REPLAY = "replay/"  # prefix of the arrays of a state that only the latest checkpoint needs


def path_of(run: Path, entry: dict[str, Any]) -> Path:
    """Returns the folder of a checkpoint, by the run's folder and the manifest's entry."""
    return run / FOLDER / entry["folder"]


def write(run: Path, name: str, policy: Policy, state: dict[str, np.ndarray]) -> dict[str, Any]:
    """Writes a checkpoint: under a temporary name, which is changed when all is on disk.

    Args:
        run: The run's folder.
        name: Of the checkpoint's folder; where that exists, a number is added.
        policy: The policy to play.
        state: What the trainer needs to go on, by name.

    Returns:
        What the manifest says of the files: "folder", and "sha256" by file.

    Raises:
        OSError: they cannot be written.
    """
    checkpoints = run / FOLDER
    temporary = checkpoints / f".{name}.tmp"
    policy.save(temporary)
    replay = {k: array for k, array in state.items() if k.startswith(REPLAY)}
    rest = {k: array for k, array in state.items() if k not in replay}
    write_file(temporary / STATE_FILE, pack_arrays(rest))
    files = FILES
    if replay:
        write_file(temporary / REPLAY_FILE, pack_arrays(replay))
        files = (*FILES, REPLAY_FILE)
    final = free_path(checkpoints, name)
    os.rename(temporary, final)
    sync_folder(checkpoints)
    return {"folder": final.name, "sha256": {file: _digest(final / file) for file in files}}


def read_state(run: Path, entry: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns the trainer's state of a checkpoint, with the replay buffer if the entry names one.

    Raises:
        RunError: a file is missing or damaged.
    """
    state: dict[str, np.ndarray] = {}
    for file in (STATE_FILE, REPLAY_FILE):
        if digest := entry["sha256"].get(file):
            state |= read_arrays(path_of(run, entry) / file, digest, RunError)
    return state


def damage(run: Path, entry: dict[str, Any], files: tuple[str, ...]) -> str:
    """Returns what is wrong with files of a checkpoint, "" if nothing is."""
    for path in (path_of(run, entry) / file for file in files if file in entry["sha256"]):
        try:
            if _digest(path) != entry["sha256"][path.name]:
                return f"{path} is damaged or was changed: its SHA-256 is not the recorded one"
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
    return ""


def remove_others(run: Path, kept: dict[str, dict[str, Any]]) -> None:
    """Removes checkpoints and replay buffers that the manifest does not name.

    Links are not followed: in a stranger's run they may lead anywhere.

    Args:
        run: The run's folder.
        kept: The manifest's entries, by folder.

    Raises:
        OSError: something cannot be removed.
    """
    checkpoints = run / FOLDER
    for path in () if checkpoints.is_symlink() else checkpoints.iterdir():
        if path.name in kept:
            if REPLAY_FILE not in kept[path.name]["sha256"] and not path.is_symlink():
                (path / REPLAY_FILE).unlink(missing_ok=True)
            continue
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)


def free_path(parent: Path, name: str) -> Path:
    """Returns parent/name, or the first of parent/name_1, _2, ... that does not exist."""
    path, k = parent / name, 0
    while path.exists():
        k += 1
        path = parent / f"{name}_{k}"
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
