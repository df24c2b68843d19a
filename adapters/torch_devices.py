# SPDX-License-Identifier: Apache-2.0
"""The devices that Torch computes on, and whether they are fast in bfloat16."""

import torch

from adapters.ppo_config import PPOConfig


def available_device(name: str) -> torch.device:
    """Returns the Torch device of this name.

    Raises:
        ValueError: Torch does not know the name, or the machine has no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r} is not one of Torch's, such as 'cpu', 'cuda'") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {name!r} is not available: Torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices; use 'cpu', or a Torch for CUDA and a GPU"
        )
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r} is not supported; allowed are 'cpu', 'cuda', 'cuda:<n>'")
    return device


def computes_bfloat16(device: torch.device) -> bool:
    """Returns whether the device is known to have bfloat16 instructions; without, it is slower.

    Torch tells of GPUs and, from version 2.11 on, of x86 processors.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def in_bfloat16(config: PPOConfig, device: torch.device) -> bool:
    """Returns whether to compute in bfloat16: it is asked for, and the device is faster with it."""
    return config.mixed_precision and computes_bfloat16(device)


def precision_notes(config: PPOConfig, device: torch.device) -> list[str]:
    """Returns the line of `Trainer.notes` for a device on which `mixed_precision` does nothing."""
    if not config.mixed_precision or in_bfloat16(config, device):
        return []
    kind = "GPU" if device.type == "cuda" else "processor"
    return [f"mixed_precision: no fast bfloat16 on this {kind}, so all is computed in float32"]
