# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all, and arrays in the safetensors format."""

import hashlib
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from motrix_gym.names import shown

KINDS = "biuf"  # NumPy's letters of the types that a file may hold: bools, integers and floats


def pack_arrays(arrays: dict[str, np.ndarray]) -> bytes:
    """Returns the content of a safetensors file with these arrays, of any memory layout.

    Raises:
        TypeError: an array is not of bools, integers or floats up to 64 bits.
    """
    packed = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in packed.items():
        if array.dtype.kind not in KINDS or array.itemsize > 8:
            raise TypeError(f"array {name!r} has type {array.dtype}, which no file can hold")
    return save_tensors(packed)


def read_arrays(
    path: Path, sha256: str | None, error: type[Exception] = ValueError
) -> dict[str, np.ndarray]:
    """Returns the arrays of a safetensors file that has the given digest.

    Raises:
        error: the file cannot be read, has another digest, is not safetensors, or has arrays that
            are not of bools, integers or floats.
    """
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise error(f"{path} cannot be read: {cause}") from cause
    if hashlib.sha256(data).hexdigest() != sha256:
        raise error(f"{path} is damaged or was changed: its SHA-256 is not the recorded one")
    try:
        arrays = load_tensors(data)
    except (SafetensorError, KeyError, ValueError) as cause:
        raise error(f"{path} is not a safetensors file: {cause}") from cause
    for name, array in arrays.items():
        if array.dtype.kind not in KINDS:
            what = f"array {shown(name)} has the type {array.dtype}"
            raise error(f"{path} is not a safetensors file of real numbers: {what}")
    return arrays


def write_file(path: Path, data: bytes) -> None:
    """Writes a file in one piece: a reader finds the old content or the new, never a part of it.

    Raises:
        OSError: the folder cannot be written; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # a full disk, or Ctrl-C: leave no litter
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames inside a folder last through a power cut, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
