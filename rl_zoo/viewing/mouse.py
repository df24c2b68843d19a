# SPDX-License-Identifier: Apache-2.0
"""Pulling a body with the mouse: a double click selects it, Ctrl and the right button pull it."""

import mujoco
from mujoco.studio import (
    messages,
    plugin,
    ux,  # pyright: ignore[reportAttributeAccessIssue] (native)
)
from mujoco.studio.app import inputs

from rl_zoo.viewing.playback import Playback


class Mouse(plugin.ViewerPlugin):
    """Turns drags into forces on the shown row."""

    def __init__(self, playback: Playback):
        self._playback, self._state = playback, ux.UxState()

    @messages.handler
    def on_update(self, event: messages.UpdateEvent) -> None:
        """Reads the mouse; the browser itself moves the camera."""
        viewer = self.viewer
        model, data, perturb = viewer.model, viewer.data, viewer.perturb
        inputs.handle_mouse_events(
            model,
            data,
            viewer.camera,
            viewer.vis_options,
            perturb,
            self._state,
            move_camera=False,
        )
        data.xfrc_applied[:] = 0
        mujoco.mjv_applyPerturbForce(model, data, perturb)
        body = perturb.select if perturb.active else 0
        self._playback.pull(model.body(body).name, data.xfrc_applied[body])
