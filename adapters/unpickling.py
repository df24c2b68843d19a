# SPDX-License-Identifier: Apache-2.0
"""Reading pickles and Torch's files without running code that they name.

Ordinary unpickling imports and calls whatever a file asks for. Here plain values and arrays are
read. All else is refused (`PlainUnpickler`, `load_tensors`) or replaced by an object that does
nothing (`ShellUnpickler`).
"""

import importlib
import pickle
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.registry import MissingLibraryError
from motrix_gym.policy_files import PolicyError

Arrays = dict[str, np.ndarray]


class PlainUnpickler(pickle.Unpickler):
    """Unpickles dicts, lists, text, bytes and numbers; all else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise PolicyError(f"it wants to use {module}.{name}, and only plain data is unpickled")


class Shell:
    """Stands for any object or function in a pickle: takes anything and does nothing.

    Attributes:
        state: What the object's attributes would be.
    """

    def __new__(cls, *_: Any, **__: Any) -> "Shell":
        """Makes a shell, whatever the arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        self.state: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class ShellUnpickler(pickle.Unpickler):
    """Unpickles plain values and NumPy arrays; every other object is a `Shell`."""

    def find_class(self, module: str, name: str) -> Any:
        return NUMPY.get(name, Shell) if module.split(".")[0] == "numpy" else Shell


# What makes NumPy's arrays (by protocol) and numbers when they are unpickled.
_MAKERS: Any = [
    a.__reduce_ex__(n)[0] for a, n in ((np.ones(1), 2), (np.ones(1), 5), (np.ones(1)[0], 2))
]
NUMPY = {maker.__name__: maker for maker in (np.ndarray, np.dtype, *_MAKERS)}


def load_tensors(file: Any, extra: str) -> dict[str, Any]:
    """Returns the dict that `torch.save` wrote, if it is made of dicts, numbers and tensors.

    Args:
        file: Open for reading bytes; it is closed.
        extra: The extra of motrix-gym that brings Torch, for a message.

    Raises:
        PolicyError: the file is damaged, holds other objects, or is not a dict.
        MissingLibraryError: Torch is not installed.
    """
    torch = import_library("torch", extra)
    with file, warnings.catch_warnings(action="ignore"):
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # whose message tells how to run what is inside
            raise PolicyError(
                "it is damaged, or holds objects beside tensors, which are never unpickled"
            ) from error
    if not isinstance(content, dict):
        raise PolicyError(f"it holds no named parts but a {type(content).__name__}")
    return content


def to_arrays(tensors: Mapping[str, Any]) -> Arrays:
    """Returns Torch's tensors as float64 arrays of the same names and shapes."""
    return {name: tensor.double().numpy() for name, tensor in tensors.items()}


def import_library(module: str, extra: str) -> Any:
    """Returns a module that reads a kind of file.

    Raises:
        MissingLibraryError: it is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"{error.name!r}, which reads such files, is not installed: "
            f'pip install "motrix-gym[{extra}]"',
            name=error.name,
        ) from error
