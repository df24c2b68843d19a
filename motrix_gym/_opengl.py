# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's OpenGL back end, chosen on import of this module where the user has not.

MuJoCo loads its back end when it is imported. Without a display the default (GLFW) cannot
render, and EGL can. A back end that does not exist, or whose library is missing, would make
MuJoCo's import fail: then rendering is switched off, with a warning, and all else works.
``asked_for`` is what the user chose.
"""

import ctypes.util
import os
import sys
import warnings

_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}
_OTHERS = ("glfw", "glx", "enable", "enabled", "on", "true", "1")  # that MuJoCo knows
_OFF = ("disable", "disabled", "off", "false", "0")

asked_for = os.environ.get("MUJOCO_GL", "unset")


def _choose() -> None:
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower()
    problem = ""
    if not chosen:
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if not display and ctypes.util.find_library("EGL"):
            os.environ["MUJOCO_GL"] = "egl"
    elif chosen in _LIBRARIES and not ctypes.util.find_library(_LIBRARIES[chosen]):
        problem = f"but lib{_LIBRARIES[chosen]} is not installed"
    elif chosen not in (*_LIBRARIES, *_OTHERS, *_OFF):
        problem = "and the back ends are egl, glfw and osmesa"
    if problem:
        os.environ["MUJOCO_GL"] = "disabled"
        warnings.warn(f"MUJOCO_GL={asked_for}, {problem}: rendering is off", stacklevel=2)


if sys.platform == "linux" and "mujoco" not in sys.modules:
    _choose()
