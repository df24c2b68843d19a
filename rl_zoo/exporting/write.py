# SPDX-License-Identifier: Apache-2.0
"""Writes an exported policy: its files, the contract, and the policy that it was made from."""

import json
from collections.abc import Sequence
from pathlib import Path

from motrix_gym import Policy
from motrix_gym.files import write_file
from rl_zoo.errors import ZooError
from rl_zoo.exporting import c_source
from rl_zoo.exporting.check import ONNX_FILE
from rl_zoo.exporting.contract import FILE, contract
from rl_zoo.hints import missing


def export(policy: Policy, folder: Path, formats: Sequence[str], opset: int | None = None) -> None:
    """Writes a policy into a folder, which is made if need be.

    Args:
        policy: The policy.
        folder: Where to write; files of the same names are replaced.
        formats: Some of `rl_zoo.exporting.FORMATS`.
        opset: The ONNX operator set; None takes one that most runtimes know.

    Raises:
        ZooError: The policy does not say what its channels are, or onnx is not installed, or it
            knows no such opset; nothing is written then.
        OSError: The folder cannot be written.
    """
    files: dict[str, bytes] = {}
    if "onnx" in formats:
        try:
            from rl_zoo.exporting import onnx_file
        except ModuleNotFoundError as error:
            if error.name != "onnx":
                raise
            raise ZooError(f"{missing('onnx', 'export')}, or --format c") from error
        model = onnx_file.build(policy, onnx_file.OPSET if opset is None else opset)
        files[ONNX_FILE] = model.SerializeToString()
    if "c" in formats:
        files |= {name: text.encode() for name, text in c_source.sources(policy).items()}
    text = json.dumps(contract(policy, files), indent=2, allow_nan=False)
    policy.save(folder)
    for name, data in files.items():
        write_file(folder / name, data)
    write_file(folder / FILE, text.encode() + b"\n")
