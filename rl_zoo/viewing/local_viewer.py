# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's web viewer at a chosen address, with a camera that the mouse can turn."""

import logging
import math
import socket
import time
from typing import Any

import mujoco
import numpy as np
from mujoco.studio import ux, web_viewer  # pyright: ignore[reportAttributeAccessIssue] (native)

from rl_zoo.errors import ZooError

IDLE = 0.05  # seconds between two looks for a browser, while there is none


class _Browsers(logging.Filter):
    """Counts the connected browsers, by what MuJoCo's server logs; shows only its warnings.

    Attributes:
        count: Browsers that are connected.
    """

    count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is shown."""
        if "connected (%d total)" in str(record.msg) and isinstance(record.args, tuple):
            self.count = record.args[0]
        return record.levelno >= logging.WARNING


class LocalViewer(web_viewer.WebViewer):
    """Listens at one address; files that are dropped on the page are ignored.

    Attributes:
        port: Where it listens.
    """

    _made = False

    def __init__(self, host: str, *args: Any, **kwargs: Any):
        """Listens at `host`; the rest is as of MuJoCo's viewer.

        Raises:
            ZooError: There was one in this process before; MuJoCo's would crash.
        """
        if LocalViewer._made:
            raise ZooError("a process can open one page in its life: start another process")
        LocalViewer._made = True
        self._address, self._browsers = host, _Browsers()
        logging.getLogger("WebServer").addFilter(self._browsers)
        super().__init__(*args, **kwargs)
        self.port = self._http_port

    @property
    def _host(self) -> str:
        return self._address

    @_host.setter
    def _host(self, host: str) -> None:
        """Ignores MuJoCo's own choice, which is every address of the computer."""

    @property
    def _http_sock(self) -> socket.socket:
        return self._socket

    @_http_sock.setter
    def _http_sock(self, bound: socket.socket) -> None:
        """Listens at once, not only seconds later: until then, another process can bind it too."""
        bound.listen()
        self._socket = bound

    def _start_server(self) -> None:
        super()._start_server()
        assert self._web_server
        self._web_server.drop_queue = None

    def prepare_next_frame(self) -> bool:
        """Whether a browser wants a frame; MuJoCo's own begins frames also while there is none."""
        if self._browsers.count:
            return super().prepare_next_frame()
        time.sleep(IDLE)
        return False

    def look_through(self, camera: int | str) -> None:
        """Looks as a camera of the model does, but so that the mouse can turn and move the view."""
        number = self.model.camera(camera).id if isinstance(camera, str) else camera
        if number < 0:
            mujoco.mjv_defaultFreeCamera(self.model, self.camera)
            return
        forward = -self.data.cam_xmat[number].reshape(3, 3)[:, 2]
        body = self.model.cam_bodyid[number]
        centre = self.data.subtree_com[body] if body else self.model.stat.center
        distance = float(forward @ (centre - self.data.cam_xpos[number]))
        self.camera.distance = max(distance, 0.1)
        self.camera.lookat[:] = self.data.cam_xpos[number] + forward * self.camera.distance
        self.camera.azimuth = math.degrees(math.atan2(forward[1], forward[0]))
        self.camera.elevation = math.degrees(math.asin(float(np.clip(forward[2], -1, 1))))
        if body:
            self.camera.type = mujoco.mjtCamera.mjCAMERA_TRACKING
            self.camera.trackbodyid = body
            self.camera_index = ux.TRACKING_CAMERA_IDX
