# SPDX-License-Identifier: Apache-2.0
"""Showing a playback in a window of MuJoCo's own viewer."""

import os
import sys
import time
from typing import TYPE_CHECKING

from rl_zoo.errors import ZooError

if TYPE_CHECKING:
    from rl_zoo.viewing.playback import Playback


def has_display() -> bool:
    """Whether a window can be opened."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(playback: "Playback", camera: int | str, seconds: float | None) -> None:
    """Shows row 0 in real time, until the window is closed or the time is over.

    Raises:
        ZooError: no window can be opened.
    """
    import mujoco
    import mujoco.viewer

    simulation, step_time = playback.env.simulation, playback.step_time
    model = simulation.picture_model
    data, count, started = mujoco.MjData(model), 0, time.perf_counter()
    try:
        viewer = mujoco.viewer.launch_passive(model, data)
    except RuntimeError as error:  # such as: macOS wants `mjpython`
        raise ZooError(f"no window can be opened: {error}; try --viewer web") from error
    with viewer:
        number = model.camera(camera).id if isinstance(camera, str) else camera
        if number >= 0:
            viewer.cam.type, viewer.cam.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, number
        while viewer.is_running() and not (seconds and count * step_time >= seconds):
            with viewer.lock():
                simulation.picture(playback.row, data)
            viewer.sync()
            time.sleep(max(0.0, started + count * step_time - time.perf_counter()))
            playback.step()
            count += 1
