# SPDX-License-Identifier: Apache-2.0
"""The choice of a trainer and a device, by the installed libraries and the hardware."""

import importlib.util
import os
import shutil
from collections.abc import Sequence
from importlib import metadata

from rl_zoo.errors import ZooError


def choose(trainer: str, device: str, algo: str, having: Sequence[str]) -> tuple[str, str, str]:
    """Returns trainer, device and a reason for the user.

    For "auto", the trainer is the first installed one that finds a GPU, or else the first installed
    one. A library is imported only to ask for a GPU, and only where there are signs of one.

    Args:
        trainer: A trainer's name, or "auto".
        device: "cpu", "cuda", or "auto".
        algo: The algorithm's name, for messages.
        having: Names of the trainers that have the algorithm, the best one first.

    Raises:
        ZooError: no trainer with the algorithm is installed, or no GPU found where one was
            asked for.
    """
    from adapters import find_trainer

    asked = [trainer] if trainer != "auto" else list(having)
    there = [name for name in asked if _installed(*find_trainer(name).packages)]
    if trainer == "auto" and not there:
        extras = [extra for name in having if (extra := find_trainer(name).extra)]
        which = ", ".join(f'"motrix-gym[{extra}]"' for extra in extras)
        which = f"one of {which}" if len(extras) > 1 else which
        hint = f": pip install {which}" if which else ""
        raise ZooError(f"no trainer with {algo} is installed{hint}")
    if device != "cpu":
        for name in there:
            if _finds_gpu(find_trainer(name).framework):
                return name, "cuda", "as asked" if trainer != "auto" else f"{name} finds a GPU"
    if device == "cuda":
        names = ", ".join(there or asked)
        raise ZooError(f"--device cuda: no GPU is found by {names}; use --device cpu")
    if trainer != "auto":
        return trainer, "cpu", "as asked"
    if len(having) == 1:
        others = "the only one that has it"
    else:
        others = "the only one installed" if len(there) == 1 else f"first of {', '.join(there)}"
    return there[0], "cpu", others if device == "cpu" else f"{others}; no GPU found"


def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


def _finds_gpu(framework: str | None) -> bool:
    """Whether a trainer's framework, which is installed, can use an NVIDIA GPU here."""
    if framework is None or not (os.path.exists("/dev/nvidiactl") or shutil.which("nvidia-smi")):
        return False
    if framework == "jax":
        if not any(_installed(f"jax_cuda{n}_plugin") for n in (12, 13, 14)):
            return False
        import jax

        try:
            return bool(jax.devices("gpu"))
        except RuntimeError:
            return False
    if metadata.version("torch").endswith("+cpu"):
        return False
    import torch

    return torch.cuda.is_available()
