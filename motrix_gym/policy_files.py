# SPDX-License-Identifier: Apache-2.0
"""The two files of a stored policy: `policy.safetensors`, and `policy.json`, which describes it.

The JSON holds the format's name and version, the SHA-256 of the other file, the names and shapes
of its arrays, and the policy's settings and metadata (`motrix_gym.policy`). Nothing is ever
unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motrix_gym.files import pack_arrays, read_arrays, write_file
from motrix_gym.names import shown
from motrix_gym.settings import is_mapping

ARRAYS_FILE = "policy.safetensors"
JSON_FILE = "policy.json"
FORMAT = "motrix-policy"
# Version 2 marks policies with features that a program which knows only version 1 would not see.
SCHEMA_VERSIONS = (1, 2)


class PolicyError(ValueError):
    """A policy's numbers do not fit together, or its files cannot be read or are damaged."""


def write_policy(
    folder: Path,
    schema_version: int,
    arrays: dict[str, np.ndarray],
    settings: Mapping[str, Any],
    metadata: dict[str, Any],
) -> None:
    """Writes the two files into a folder, which is made if need be.

    Each is replaced in one piece, the JSON last: a reader sees the old policy, the new one, or a
    digest that does not match, and never half a file.

    Args:
        folder: Where to write.
        schema_version: One of `SCHEMA_VERSIONS`.
        arrays: All arrays by name.
        settings: Entries of the JSON that the computation of an action needs.
        metadata: The JSON's entry `metadata`: where the policy comes from, its channels and units.

    Raises:
        PolicyError: the metadata is not plain JSON; nothing is written.
        OSError: the folder cannot be written.
    """
    data = pack_arrays(arrays)
    description = {
        "format": FORMAT,
        "schema_version": schema_version,
        "sha256": hashlib.sha256(data).hexdigest(),
        **settings,
        "shapes": _shapes(arrays),
        "metadata": metadata,
    }
    try:
        text = json.dumps(description, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PolicyError(f"the policy's metadata is not plain JSON: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / ARRAYS_FILE, data)
    write_file(folder / JSON_FILE, text.encode() + b"\n")


def read_policy(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays and the JSON of a stored policy.

    Raises:
        PolicyError: a file is missing, damaged, of another format or version, or was changed.
    """
    about = _read_description(folder / JSON_FILE)
    arrays = read_arrays(folder / ARRAYS_FILE, about.get("sha256"), PolicyError)
    if _shapes(arrays) != about.get("shapes"):
        raise PolicyError(f"{folder / ARRAYS_FILE} has other arrays than {JSON_FILE} lists")
    return arrays, about


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, list[int]]:
    return {name: list(array.shape) for name, array in arrays.items()}


def _read_description(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError(f"{path} cannot be read: {error}") from error
    if not is_mapping(about) or about.get("format") != FORMAT:
        raise PolicyError(f"{path} does not describe a policy of this program")
    if about.get("schema_version") not in SCHEMA_VERSIONS:
        raise PolicyError(
            f"{path} has schema_version {shown(about.get('schema_version'))}, this program reads "
            f"{' and '.join(map(str, SCHEMA_VERSIONS))}"
        )
    return dict(about)
