# SPDX-License-Identifier: Apache-2.0
"""Watching in a browser: what the server answers, and what a real Chromium shows and does."""

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from browser import CHROMIUM, Browser
from fakes import make_policy
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from adapters import PPOConfig
from rl_zoo.__main__ import main as motrix
from rl_zoo.environments import make_env
from rl_zoo.policies import pretrained
from rl_zoo.runs import Run
from rl_zoo.viewing import panels, web
from rl_zoo.viewing.checkpoints import Checkpoints
from rl_zoo.viewing.playback import Playback

CARTPOLE, GO1 = "Motrix/CartPole-v0", "Motrix/Go1-v0"
ZOO = [sys.executable, "-m", "rl_zoo"]
PATIENCE = 120.0  # seconds for a page on a busy computer without a GPU; usually it takes some


def until(condition, what):
    """Waits until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The port of a page of the cart-pole, which another process serves."""
    command = [*ZOO, "view", "--viewer", "web", "--seconds", "600"]
    folder = tmp_path_factory.mktemp("served")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdout
        process.stdout.readline()
        yield int(re.search(r"http://127.0.0.1:(\d+)/", process.stdout.readline())[1])
        process.terminate()


def answer(port, path):
    """Status, headers and body of a GET whose path is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, dict(response.getheaders()), body


def test_page_and_model_are_served_to_this_computer_alone(port):
    status, headers, body = answer(port, "/")
    assert status == 200 and b"<html" in body
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"  # the page needs threads
    status, _, body = answer(port, "/model")
    assert status == 200 and len(body) > 1000
    listening = [c for c in psutil.net_connections("tcp") if c.laddr[1:] == (port,)]
    assert {c.laddr.ip for c in listening if c.status == "LISTEN"} == {"127.0.0.1"}


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../../../../../../../etc/passwd",
        "//etc/passwd",
        "/assets/../../../../../../../../../../etc/passwd",
        "/wasm/../../web_server.py",
        "/../web_server.py",
        "/assets/../web/web_server.py",
        "/%2e%2e/web_server.py",
        "/..%2fweb_server.py",
        "/..\\web_server.py",
        "/model/../../web_server.py",
        "/runs/CartPole-v0",
        "/assets",
        "/.",
    ],
)
def test_no_other_file_is_served(port, path):
    status, _, body = answer(port, path)
    assert status in (403, 404)
    assert len(body) < 100


def test_files_dropped_on_the_page_are_ignored(port):
    before = answer(port, "/model")[2]
    sid = f"ws://127.0.0.1:{port}"
    with connect(f"{sid}/ui?sid=me"), connect(f"{sid}/drop?sid=me") as drop:
        name = b"evil.xml"
        drop.send(len(name).to_bytes(4, "little") + name + b"<mujoco/>")
        drop.send(b"")
        with pytest.raises(ConnectionClosedOK):
            drop.recv(60)
    assert answer(port, "/model")[2] == before


def test_a_port_in_use_is_one_line(here, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert motrix(["play", "--policy", "pretrained", "--viewer", "web", f"--port={port}"]) == 2
    error = capsys.readouterr().err
    assert error == (
        f"error: --port {port} is in use: choose another, or leave it out for a free one\n"
    )


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_another_port_is_refused(here, capsys, port):
    with pytest.raises(SystemExit) as stop:
        motrix(["play", f"--port={port}"])
    assert stop.value.code == 2
    assert f"'{port}' is not a whole number from 1 to 65535" in capsys.readouterr().err


def test_without_mujocos_viewer_the_message_says_what_else_to_do(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rl_zoo.viewing.local_viewer", None)
    assert motrix(["view", "--viewer", "web", "--seconds", "1"]) == 1
    error = capsys.readouterr().err
    assert "MuJoCo's web viewer is missing" in error and "try --viewer video" in error
    assert error.count("\n") == 1


def test_without_a_display_the_page_is_the_default_and_ends_in_time(here):
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [*ZOO, "view", "--actions", "zero", "--seconds", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"playing {CARTPOLE} with zero actions, seed 0"
    assert re.fullmatch(r"watch it at http://127.0.0.1:\d+/ \(Ctrl-C ends it\)", lines[1])
    assert len(lines) == 2


def test_a_second_page_of_a_process_is_refused(here):
    script = """if True:
        from rl_zoo.__main__ import main
        for _ in range(2):
            print(main(["view", "--viewer", "web", "--seconds", "0.1"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0
    assert done.stdout.split("\n")[2::2] == ["0", "1"]
    assert done.stderr == "error: a process can open one page in its life: start another process\n"


@pytest.fixture
def panel(monkeypatch):
    """What the panels have drawn: `places` (x, y, width) by label, and the `mouse` (x, pressed)."""
    panel = SimpleNamespace(places={}, mouse=(0.0, False))
    imgui, slider = panels.imgui, panels.imgui.SliderFloat

    def recording(draw):
        def drawn(label, *args, **kwargs):
            width = imgui.CalcItemWidth()
            result = draw(label, *args, **kwargs)
            low, high = imgui.GetItemRectMin(), imgui.GetItemRectMax()
            width = width if draw is slider else high.x - low.x  # a slider's is without its label
            panel.places[label.split("##")[0]] = low.x, (low.y + high.y) / 2, width
            panel.mouse = imgui.GetIO().MousePos.x, imgui.IsMouseDown(imgui.MouseButton.Left)
            return result

        return drawn

    for name in ("Button", "SliderFloat", "BeginCombo", "Selectable"):
        monkeypatch.setattr(imgui, name, recording(getattr(imgui, name)))
    return panel


@pytest.fixture
def page(here, monkeypatch):
    """Serves a run of Go1 in this process, which can be done once; ends it after the test.

    Its first policy walks, and its second does nothing.
    """
    from rl_zoo.viewing.local_viewer import LocalViewer

    ended, addresses, errors = threading.Event(), [], []
    monkeypatch.setattr(LocalViewer, "is_running", lambda self: not ended.is_set())
    monkeypatch.setattr(web, "print", lambda line, **_: addresses.append(line), raising=False)
    env = make_env(GO1, {}, 1, 1)
    config = PPOConfig(seed=0, num_envs=1, rollouts=1, mini_batches=1, keep_checkpoints=-1)
    run = Run.create("runs", GO1, "sb3", config)
    zero = make_policy(np.zeros((50, 12)), {"env_id": GO1})
    for steps, policy in ((5, pretrained(GO1)), (10, zero)):
        run.save_checkpoint(steps, policy, {"x": np.zeros(1)})
    run.finish("complete")
    checkpoints = Checkpoints(run, env, GO1)
    playback = Playback(env, checkpoints.load(next(iter(checkpoints.names))).actor(), 0)

    def serve():
        about = {"title": GO1, "label": "", "checkpoints": checkpoints}
        try:
            web.serve(playback, env.task.camera, **about)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    until(lambda: addresses or errors, "the server does not start")
    assert not errors
    address = re.search(r"http://\S+", addresses[0])[0]
    yield SimpleNamespace(playback=playback, checkpoints=checkpoints, address=address)
    ended.set()
    thread.join(PATIENCE)
    env.close()
    assert not errors


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_in_chromium_the_robot_is_seen_steered_paused_and_given_another_policy(
    page, panel, tmp_path
):
    playback = page.playback
    second, name = list(page.checkpoints.names.items())[1]
    with Browser(tmp_path / "profile") as browser:
        assert playback.time == 0  # nobody looks
        browser.open(page.address)
        until(lambda: playback.time > 1, "the robot does not move")

        def place(label):
            panel.places.pop(label, None)
            until(lambda: label in panel.places, f"there is no {label}")
            return panel.places[label]

        def click(label, share=0.5):
            while place(label) != place(label):  # a window finds its place in its first frames
                pass
            left, y, width = place(label)
            x = round(left + share * width)
            while panel.mouse[0] != x:  # the page may not listen yet
                browser.mouse("mouseMoved", x, y)
                time.sleep(0.2)
            for kind, pressed in ("mousePressed", True), ("mouseReleased", False):
                browser.mouse(kind, x, y)
                until(lambda p=pressed: panel.mouse == (x, p), f"{kind} does nothing")

        forward = playback.env.task.commands[0]
        click("forward velocity", share=0.8)
        until(lambda: forward in playback.held, "the slider does nothing")
        assert 0.5 < playback.held[forward] < 1.4  # of -1.0 to 1.5
        assert playback.asked(forward) == playback.held[forward]

        browser.key("keyDown", "w")
        until(lambda: playback.held[forward] == forward.high, "the key does nothing")
        browser.key("keyUp", "w")
        until(lambda: playback.held[forward] == 0, "the robot is not asked to stand")

        click("Pause")
        until(lambda: playback.paused, "the button does nothing")
        before = playback.time
        time.sleep(1)
        assert playback.time == before
        click("Step")
        until(lambda: playback.time > before, "the step is not made")
        assert playback.time == pytest.approx(before + playback.step_time)

        click("checkpoint")
        click(name)
        until(lambda: page.checkpoints.shown == second, "the checkpoint is not shown")
        click("Step")
        until(lambda: not playback.env.simulation.buffers["action"].any(), "the policy is the old")

        picture = browser.picture()
    assert picture.std() > 5
    robot = picture[150:350, 350:].astype(int)
    # The ground is grey or blue; the robot has parts that are clearly orange.
    orange = (robot[..., 0] > robot[..., 2] + 60).mean()
    assert orange > 0.001
