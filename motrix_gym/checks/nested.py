# SPDX-License-Identifier: Apache-2.0
"""Arrays in nested dicts and tuples, as spaces and infos have them."""

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

import numpy as np

from motrix_gym.settings import is_list, is_mapping


def map_leaves(data: Any, function: Callable[[np.ndarray], Any]) -> Any:
    """Apply ``function`` to every array of nested dicts and tuples."""
    if is_mapping(data):
        return {key: map_leaves(value, function) for key, value in data.items()}
    if is_list(data):
        return tuple(map_leaves(value, function) for value in data)
    return function(np.asarray(data))


def merge(mask: np.ndarray, yes: Any, no: Any) -> Any:
    """The rows of ``yes`` in ``mask``, of ``no`` elsewhere."""
    chosen = iter([leaf[mask] for leaf in leaves(yes).values()])

    def fill(leaf: np.ndarray) -> np.ndarray:
        leaf = leaf.copy()
        leaf[mask] = next(chosen)
        return leaf

    return map_leaves(no, fill)


def leaves(data: Any, path: str = "") -> dict[str, np.ndarray]:
    """The arrays of nested dicts and tuples, by path."""
    if is_mapping(data):
        items: Iterable[tuple[Any, Any]] = data.items()
    elif is_list(data):
        items = enumerate(data)
    else:
        return {path: np.asarray(data)}
    return {k: v for key, value in items for k, v in leaves(value, f"{path}[{key!r}]").items()}


def is_mask_name(path: str) -> bool:
    """Whether the last key of a path names a mask, as in Gymnasium's infos."""
    return path.rpartition("[")[2].startswith("'_")


def is_array(value: Any) -> TypeGuard[np.ndarray]:
    """Whether a value is a NumPy array."""
    return isinstance(value, np.ndarray)


def is_mask(value: Any, n: int) -> bool:
    """Whether a value is a mask of n rows."""
    return is_array(value) and value.dtype == bool and value.shape == (n,)


def kinds(data: Any) -> str:
    """The types and shapes of the arrays in ``data``, for a message."""
    return ", ".join(f"{v.dtype} {v.shape}{name}" for name, v in leaves(data).items())


def different(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rows in which two arrays of one shape differ; NaN equals NaN."""
    unequal = (a != b) & ((a == a) | (b == b))
    return np.flatnonzero(unequal.reshape(len(a), -1).any(axis=1))


def same(a: Any, b: Any) -> bool:
    """Whether two nestings of arrays are the same, bit by bit; NaN equals NaN."""
    one, other = leaves(a), leaves(b)
    return one.keys() == other.keys() and all(
        leaf.dtype == other[name].dtype
        and leaf.shape == other[name].shape
        and not ((leaf != other[name]) & ((leaf == leaf) | (other[name] == other[name]))).any()
        for name, leaf in one.items()
    )
