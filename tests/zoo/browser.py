# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, spoken to by its DevTools protocol."""

import base64
import io
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZE = (900, 600)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",  # draws without a GPU
    "--enable-unsafe-swiftshader",
    "--remote-debugging-port=0",
    f"--window-size={SIZE[0]},{SIZE[1]}",
)


class Browser:
    """One page; a context manager, at whose end the program is gone."""

    def __init__(self, folder: Path):
        """Starts the program, whose profile is in the folder."""
        self._folder = folder
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._count, self._stack = 0, ExitStack()
        self._stack.callback(self._process.wait)
        self._stack.callback(self._process.terminate)

    def __enter__(self):
        with self._stack as started:
            self._socket = started.enter_context(connect(_page(self._folder), max_size=2**26))
            self._stack = started.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.__exit__(*error)

    def ask(self, method: str, **parameters):
        """Returns the answer to a command of the protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while (answer := json.loads(self._socket.recv(60))).get("id") != self._count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, address: str) -> None:
        """Goes to a page, and waits until it is loaded."""
        self.ask("Page.enable")
        self.ask("Page.navigate", url=address)
        while json.loads(self._socket.recv(60)).get("method") != "Page.loadEventFired":
            pass

    def picture(self) -> np.ndarray:
        """Returns what the page shows, (height, width, 3) uint8."""
        from PIL import Image

        png = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Moves, presses or releases the left button at a place in pixels."""
        buttons = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **buttons)

    def key(self, kind: str, letter: str) -> None:
        """Presses a letter's key ("keyDown"), or lets it go ("keyUp")."""
        code = {"code": f"Key{letter.upper()}", "windowsVirtualKeyCode": ord(letter.upper())}
        self.ask("Input.dispatchKeyEvent", type=kind, key=letter, **code)


def _page(folder: Path) -> str:
    """Returns the WebSocket address of the program's page, once there is one."""
    for _ in range(600):
        try:
            port = (folder / "DevToolsActivePort").read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            return pages[0]["webSocketDebuggerUrl"]
        except (OSError, IndexError):
            time.sleep(0.1)
    raise RuntimeError("Chromium does not start")
