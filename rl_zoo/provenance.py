# SPDX-License-Identifier: Apache-2.0
"""Where a result comes from: the code, the versions of libraries, and the machine."""

import hashlib
import os
import platform
import re
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import adapters
import motrix_gym

PACKAGES = (
    "motrix-gym mujoco gymnasium numpy safetensors jax flax optax skrl torch stable-baselines3 "
    "sb3-contrib"
)


@cache
def code() -> str:
    """Returns the SHA-256 of the sources of environments and trainers, which decide a result.

    It is the digest of a text with a line for each .py and .xml file of `motrix_gym` and
    `adapters`, sorted by name: the file's own digest and name, as `sha256sum` prints them.
    """
    digest = hashlib.sha256()
    for package in (adapters, motrix_gym):
        root = Path(str(package.__file__)).parent
        paths = [path for path in root.rglob("*") if path.suffix in (".py", ".xml")]
        for path in sorted(paths, key=lambda path: path.relative_to(root).as_posix()):
            name = f"{package.__name__}/{path.relative_to(root).as_posix()}"
            digest.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Returns the installed versions of the packages that a result depends on, by name."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES.split():
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def machine() -> dict[str, Any]:
    """Returns what this process runs on: `cores` that it may use, and `cpu`, the model's name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpu = platform.processor() or platform.machine()
    with suppress(OSError):  # only Linux has it
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        cpu = found[1].strip() if found else cpu
    return {"cores": cores, "cpu": cpu}


def session() -> dict[str, Any]:
    """Returns where a training of this process comes from: `code`, `versions`, `cores`, `cpu`."""
    return {"code": code(), "versions": versions(), **machine()}


def sessions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the `session` of each process that trained a run, in their order.

    A process with the same entries as the one before is not listed. Manifests of old versions hold
    one session, in entries of their own; what they lack is "unknown".
    """
    if "sessions" in manifest:
        return manifest["sessions"]
    known = {name: manifest.get(name, "unknown") for name in ("code", "cores", "cpu")}
    return [{"versions": manifest.get("versions"), **known}]
