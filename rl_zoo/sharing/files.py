# SPDX-License-Identifier: Apache-2.0
"""The files of a policy's repository: which there are, and the checks of those that were fetched.

    README.md                  the model card
    policy.safetensors         the policy,
    policy.json                and what it sees and does
    evaluation.json            its figures
    run/                       its run, if that was pushed: the folder of `rl_zoo.runs`, with the
                               best and the latest checkpoint

Of a stranger's repository nothing else is fetched, so that it brings plain data alone.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from adapters import Policy, PolicyError
from motrix_gym.files import write_file
from motrix_gym.names import shown
from motrix_gym.policy_files import ARRAYS_FILE, JSON_FILE
from rl_zoo import checkpoints
from rl_zoo.errors import ZooError
from rl_zoo.manifests import MANIFEST, RunError, encode
from rl_zoo.runs import CONFIG, EVALUATION, Run
from rl_zoo.sharing.card import FILE as CARD
from rl_zoo.sharing.hub import Repository

RUN = "run"
CHECKPOINT = rf"{checkpoints.FOLDER}/\d+(_\d+)?/(policy|train_state|replay)\.(safetensors|json)"
PLAIN = re.compile(
    rf"{CARD}|{ARRAYS_FILE}|{JSON_FILE}|{EVALUATION}"
    rf"|{RUN}/({MANIFEST}|{CONFIG}|{EVALUATION}|{CHECKPOINT})"
)
CODE = (".bin", ".ckpt", ".joblib", ".npy", ".pickle", ".pkl", ".pt", ".pth", ".zip")


def of_policy(policy: Policy, scratch: Path) -> dict[str, Path]:
    """Writes a policy into a folder, and returns its files by their name in a repository."""
    policy.save(scratch)
    return {name: scratch / name for name in (ARRAYS_FILE, JSON_FILE)}


def of_run(run: Run) -> tuple[dict[str, bytes | Path], dict[str, Any]]:
    """Returns a run's files by their name in a repository, and the manifest that is among them.

    Raises:
        RunError: The run is damaged.
    """
    manifest = run.manifest()
    for which in ("best", "latest"):
        run.state(which)  # damage is told before anything is sent
    # Where its owner logs is no business of others.
    manifest |= {"history": [], "log": []}
    files: dict[str, bytes | Path] = {
        f"{RUN}/{MANIFEST}": encode(manifest),
        f"{RUN}/{CONFIG}": run.folder / CONFIG,
    }
    for entry in (manifest["best"], manifest["latest"]):
        folder = checkpoints.path_of(run.folder, entry)
        for name in entry["sha256"]:
            files[f"{RUN}/{checkpoints.FOLDER}/{entry['folder']}/{name}"] = folder / name
    return files, manifest


def fetch(repository: Repository, out: Path, revision: str | None = None) -> Sequence[str]:
    """Fetches a policy, and its run if it has one, into a new folder, which is whole or not there.

    Returns:
        Names of files that were left where they are.

    Raises:
        ZooError: The folder exists, or the repository is of another kind, or has a name that leads
            elsewhere, or cannot be fetched.
        PolicyError, RunError: What was fetched is damaged.
    """
    if out.exists():
        raise ZooError(f"{out} exists: remove it, or give --out another folder")
    listing = repository.listing(revision)
    for name in listing.names:
        parts = PurePosixPath(name).parts
        if ".." in parts or name.startswith("/") or "\\" in name or not name.isprintable():
            raise ZooError(f"{repository.url} has a file {shown(name)}: nothing is fetched of it")
    plain = [name for name in listing.names if PLAIN.fullmatch(name)]
    left = [name for name in listing.names if name not in plain and not name.startswith(".git")]
    if not {ARRAYS_FILE, JSON_FILE} <= set(plain):
        hiding = [name for name in left if name.endswith(CODE)]
        also = f"; {hiding[0]} can hide code, and is not fetched" if hiding else ""
        raise ZooError(f"{repository.url} has no {ARRAYS_FILE} and {JSON_FILE}{also}")
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for name in plain:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            write_file(temporary / name, repository.read(name, listing.commit))
        _check(repository, temporary)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return left


def _check(repository: Repository, folder: Path) -> None:
    """Reads all that was fetched.

    Raises:
        ZooError: Something is damaged.
    """
    try:
        Policy.load(folder)
        if (folder / RUN / MANIFEST).exists():
            run = Run.open(folder / RUN)
            run.policy("best")
            run.state("latest")
            run.config()
    except (PolicyError, RunError, ValueError) as error:
        reason = str(error).replace(f"{folder}/", "")
        raise ZooError(f"{repository.url}: {reason}") from error
