# SPDX-License-Identifier: Apache-2.0
"""Showing a playback, or a training, in a browser, by the web viewer that comes with MuJoCo.

The browser draws: it gets the model once, and the state and the panels in each frame. So neither a
display nor OpenGL is needed here. MuJoCo's server answers with files of its own package and with
the model, and with nothing else.
"""

import contextlib
import copy
import errno
import io
import math
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import mujoco
import numpy as np

from rl_zoo.errors import UsageError, ZooError

if TYPE_CHECKING:
    from motrix_gym import MotrixVectorEnv
    from rl_zoo.viewing.checkpoints import Checkpoints
    from rl_zoo.viewing.playback import Playback
    from rl_zoo.viewing.shared_row import TrainingRow

LOOPBACK = "127.0.0.1"


class Shown(Protocol):
    """What a page shows: a row of an environment, as time passes.

    Attributes:
        env: The environment.
        row: The row.
    """

    @property
    def env(self) -> "MotrixVectorEnv":
        """The environment."""
        ...

    @property
    def row(self) -> int:
        """The row."""
        ...

    def advance(self, seconds: float) -> object:
        """Lets time pass, by a clock on the wall."""
        ...


def serve(
    playback: "Playback",
    camera: int | str,
    *,
    title: str,
    label: str,
    checkpoints: "Checkpoints | None" = None,
    host: str = LOOPBACK,
    port: int = 0,
    seconds: float | None = None,
) -> None:
    """Serves a page that shows the playback, until Ctrl-C or the time is over.

    Time passes for the robot only while a browser shows the page.

    Args:
        playback: What is shown and steered.
        camera: The camera to begin with, by name or number; -1 for the free camera.
        title: Of the panel.
        label: A phrase for the policy.
        checkpoints: Those of the policy's run, if it is of one.
        host: The address to listen at.
        port: The port; 0 is the first that is free from 8080 on.
        seconds: Time after which it ends.

    Raises:
        UsageError: The address or the port cannot be used.
        ZooError: MuJoCo's viewer is missing, or this process has served a page before.
    """

    def plugins() -> list[Any]:
        from rl_zoo.viewing.mouse import Mouse
        from rl_zoo.viewing.panels import Panels

        return [Panels(playback, title, label, checkpoints), Mouse(playback)]

    check_address(host, port)
    end = time.perf_counter() + (seconds or math.inf)
    with _viewer(playback, camera, plugins, title, host, port) as (viewer, address):
        print(f"watch it at {address} (Ctrl-C ends it)", flush=True)
        for _ in _frames(viewer, playback):
            if time.perf_counter() >= end:
                break


def serve_training(
    shown: "TrainingRow",
    camera: int | str,
    *,
    title: str,
    host: str,
    port: int,
    rate: float,
    tell: Callable[[str], None],
    running: Callable[[], bool],
) -> None:
    """Serves a page that shows a row of a training, which does not wait for it.

    Args:
        shown: The row.
        camera: As `serve`.
        title: Of the panel.
        host: As `serve`.
        port: As `serve`.
        rate: Pictures per second, at most.
        tell: Is called with the address.
        running: Whether the training goes on; else the page ends.

    Raises:
        UsageError, ZooError: As `serve`.
    """

    def plugins() -> list[Any]:
        from rl_zoo.viewing.training_panel import TrainingPanel

        return [TrainingPanel(shown, title)]

    check_address(host, port)
    with _viewer(shown, camera, plugins, title, host, port) as (viewer, address):
        tell(address)
        for framed in _frames(viewer, shown):
            if not running():
                break
            if framed:
                time.sleep(1 / rate)


@contextlib.contextmanager
def _viewer(
    shown: Shown,
    camera: int | str,
    make_plugins: Callable[[], list[Any]],
    title: str,
    host: str,
    port: int,
) -> Iterator[tuple[Any, str]]:
    """Starts MuJoCo's viewer; yields it and its address."""
    try:
        from mujoco.studio import launch_thread, messages, viewer_protocol

        from rl_zoo.viewing.local_viewer import LocalViewer

        plugins = make_plugins()
    except ImportError as error:
        raise ZooError(f"MuJoCo's web viewer is missing ({error}); try --viewer video") from error
    config = viewer_protocol.ViewerConfig(title=f"Motrix Gym: {title}", gfx="web", http_port=port)
    endpoint, _ = launch_thread.make_thread_endpoints()
    model = copy.copy(shown.env.simulation.picture_model)
    if camera != -1:
        model.vis.global_.fovy = model.camera(camera).fovy[0]  # also of the view that is turned
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its own, longer notice
            viewer = LocalViewer(host, config, endpoint, model=model, plugins=plugins)
    except RuntimeError as error:  # twenty ports are taken
        raise ZooError(f"{error}; choose another port with --port") from error
    try:
        viewer.look_through(camera)
        yield viewer, f"http://{_in_address(host)}:{viewer.port}/"
    except Exception as error:
        viewer.exit_reason = messages.describe_exception(error)  # which the page shows
        raise
    finally:
        viewer.close()


def _frames(viewer: Any, shown: Shown) -> Iterator[bool]:
    """Draws frame after frame; yields each time whether a browser wanted one."""
    scene, last = mujoco.MjvScene(viewer.model, maxgeom=1000), time.perf_counter()
    while viewer.is_running():
        framed = viewer.prepare_next_frame()
        now = time.perf_counter()
        if framed:
            shown.advance(now - last)
            _draw(shown, viewer, scene)
        last = now
        yield framed


def _draw(shown: Shown, viewer: Any, scene: mujoco.MjvScene) -> None:
    """Draws a frame: the shown row, what its task adds to pictures, and the panels."""
    from mujoco.studio import messages

    env = shown.env
    env.simulation.picture(shown.row, viewer.data)
    scene.ngeom = 0
    env.task.draw(scene, env.simulation.rows(np.array([shown.row])))
    viewer.extra_geoms[:] = [scene.geoms[i] for i in range(scene.ngeom)]
    viewer.dispatch(messages.UpdateEvent())
    viewer.dispatch(messages.BuildGuiEvent())
    viewer.sync()


def check_address(host: str, port: int) -> None:
    """Raises UsageError if nothing can listen at an address."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"--port {port} is in use: choose another, or leave it out for a free one"
        elif error.errno in (errno.EACCES, errno.EPERM):
            message = f"--port {port} is not allowed to you: choose one above 1023"
        else:
            message = f"--host {host} is no address of this computer; {LOOPBACK} is"
        raise UsageError(message) from error


def _in_address(host: str) -> str:
    """A host as it is written in an address for a browser on this computer."""
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if ":" in host else host
