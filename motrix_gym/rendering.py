# SPDX-License-Identifier: Apache-2.0
"""Pictures of a model's state, by MuJoCo's renderer through OpenGL."""

from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np

from motrix_gym._opengl import asked_for
from motrix_gym.names import shown

Draw = Callable[[Any, int], None]
"""``draw(scene, row)`` adds to a ``mujoco.MjvScene`` what a row shows beside the model's geoms."""


class RenderingError(RuntimeError):
    """Rendering is not possible here; the message says what is missing."""


class Renderer:
    """Draws states of one model in one size.

    Attributes:
        size: (width, height) in pixels.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int):
        """Create the OpenGL context.

        Args:
            model: the model; its fields may be changed between two pictures.
            width: pixels.
            height: pixels.

        Raises:
            ValueError: if the model does not allow pictures of that size.
            RenderingError: if there is no OpenGL; the message says what to install.
        """
        for given, limit, side in (
            (width, model.vis.global_.offwidth, "width"),
            (height, model.vis.global_.offheight, "height"),
        ):
            if not 0 < given <= limit:
                raise ValueError(f"render {side} must be 1 to {limit} pixels, got {shown(given)}")
        self.size = (width, height)
        self._renderer = _create(model, width, height)

    def draw(
        self,
        data: mujoco.MjData,
        camera: int | str = -1,
        decorate: Callable[[Any], None] | None = None,
    ) -> np.ndarray:
        """Draw a state.

        Args:
            data: the state, with positions derived.
            camera: a camera's name or number; -1 is the free camera.
            decorate: adds to the ``mujoco.MjvScene`` before it is drawn.

        Returns:
            (height, width, 3) uint8.
        """
        self._renderer.update_scene(data, camera)
        if decorate is not None:
            decorate(self._renderer.scene)
        return self._renderer.render()

    def close(self) -> None:
        """Free the OpenGL context."""
        self._renderer.close()


def tile(frames: Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """One picture of pictures (height, width, 3) of equal size, in a grid.

    Args:
        frames: the pictures, row by row.
        columns: of the grid; by default about as many as rows.

    Returns:
        (rows * height, columns * width, 3) uint8; places that are left are black.
    """
    columns = columns or int(np.ceil(np.sqrt(len(frames))))
    rows = -(-len(frames) // columns)
    height, width, channels = frames[0].shape
    sheet = np.zeros((rows * height, columns * width, channels), np.uint8)
    for i, frame in enumerate(frames):
        y, x = (i // columns) * height, (i % columns) * width
        sheet[y : y + height, x : x + width] = frame
    return sheet


_forked = False  # whether this process was forked from one that renders


def forbid_after_fork() -> None:
    """Refuse to render from here on: OpenGL does not survive a fork of a process that renders."""
    global _forked
    _forked = True


def _create(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    if _forked:
        raise RenderingError(
            "OpenGL cannot be used in a process forked from one that renders: start it with spawn"
        )
    # A shadow map much finer than a small picture costs most of its time and is not seen.
    quality = model.vis.quality
    shadowsize = quality.shadowsize
    quality.shadowsize = min(shadowsize, 8 * max(width, height))
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # each OpenGL back end fails with errors of its own
        raise RenderingError(
            f"cannot create an OpenGL context with MUJOCO_GL={asked_for} "
            f"({type(error).__name__}: {error}). On a machine "
            "without a display, install EGL (Debian: apt-get install libegl1 libegl-mesa0) and "
            "set MUJOCO_GL=egl before Python starts."
        ) from error
    finally:
        quality.shadowsize = shadowsize
