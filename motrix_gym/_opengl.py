# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's OpenGL back end, chosen on import of this module where the user has not.

MuJoCo loads its back end when it is imported. Without a display the default (GLFW) cannot
render, and EGL can. A back end that was chosen and whose library is missing would make MuJoCo's
import fail: then rendering is switched off, with a warning, and all else works.
"""

import ctypes.util
import os
import sys
import warnings

_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}


def _choose() -> None:
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower()
    if not chosen:
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if not display and ctypes.util.find_library("EGL"):
            os.environ["MUJOCO_GL"] = "egl"
    elif chosen in _LIBRARIES and not ctypes.util.find_library(_LIBRARIES[chosen]):
        os.environ["MUJOCO_GL"] = "disabled"
        warnings.warn(
            f"MUJOCO_GL={chosen}, but lib{_LIBRARIES[chosen]} is not installed: rendering is off",
            stacklevel=2,
        )


if sys.platform == "linux" and "mujoco" not in sys.modules:
    _choose()
