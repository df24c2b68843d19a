# SPDX-License-Identifier: Apache-2.0
"""The arrays of a trainer's state: their names, and whether they fit."""

import numpy as np


def with_prefix(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns copies of the arrays under prefix + name."""
    return {prefix + name: np.array(array) for name, array in arrays.items()}


def without_prefix(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays whose name starts with the prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def check_all_like(own: dict[str, np.ndarray], given: dict[str, np.ndarray]) -> None:
    """Raises ValueError unless the arrays of a state fit those of the trainer, and are finite.

    The number of samples that a mean counts may be one for all entries, or one for each entry: some
    entries may have started later than others (`whole_normalizer`).
    """
    for name, array in own.items():
        folder, _, last = name.rpartition("/")
        found = given.get(name)
        if last.endswith("count") and found is not None:
            beside = (own[other].shape for other in own if other.rpartition("/")[0] == folder)
            if found.shape in beside:
                array = np.broadcast_to(array, found.shape)
        check_like(name, array, found)


def check_like(name: str, own: np.ndarray, given: np.ndarray | None) -> None:
    """Raises ValueError unless an array of a state fits that of the trainer, and is finite."""
    found = "missing" if given is None else f"{given.dtype} {given.shape}"
    if given is None or (given.shape, given.dtype) != (own.shape, own.dtype):
        wanted = f"{own.dtype} {own.shape}"
        raise ValueError(f"the state is of another trainer: {name!r} is {found}, expected {wanted}")
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise ValueError(f"{name!r} of the state is not finite")
