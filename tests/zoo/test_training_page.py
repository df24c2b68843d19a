# SPDX-License-Identifier: Apache-2.0
"""A training in a browser: its first row is shown, and its numbers stay as they are."""

import contextlib
import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser

from rl_zoo.__main__ import main as motrix
from rl_zoo.environments import make_env
from rl_zoo.runs import Run, find_newest
from rl_zoo.viewing import training_page
from rl_zoo.viewing.shared_row import RATE, Publisher, SharedRow

GO1 = "Motrix/Go1-v0"
TINY = (
    "train --trainer sb3 --eval-episodes 0 --num-envs 4 --num-threads 1 --env Motrix/Go1-v0 "
    "--set rollouts=8 mini_batches=1 max_env_steps=128"
).split()


@pytest.fixture
def envs():
    """A training's environment, and the page's, of one row."""
    envs = [make_env(GO1, {"randomization.mass": (0.8, 1.2)}, count, 1) for count in (3, 1)]
    envs[0].reset(seed=0)
    yield envs
    for env in envs:
        env.close()


def test_the_page_has_the_first_row_as_it_was_written(envs):
    training, page = (env.simulation for env in envs)
    row = SharedRow(training)
    shown = SharedRow(page, row.memory)
    assert shown.read() is None  # nothing was written yet
    row.write(123)
    envs[0].step(np.zeros((3, 12), np.float32))
    assert shown.read() == 123 and shown.read() is None
    assert (page.fields["qpos"] != training.fields["qpos"][:1]).any()
    row.write(124)
    assert shown.read() == 124
    for name, field in page.writable.items():
        np.testing.assert_array_equal(field, training.fields[name][:1])


def test_a_state_that_is_being_written_is_not_shown(envs):
    row = SharedRow(envs[0].simulation)
    shown = SharedRow(envs[1].simulation, row.memory)
    before = envs[1].simulation.fields["qpos"].copy()
    row.write(1)
    row._head[0] += 1  # the next has begun
    assert shown.read() is None
    np.testing.assert_array_equal(envs[1].simulation.fields["qpos"], before)
    row.write(2)
    row._head[0] = row._head[1]  # and has ended
    assert shown.read() == 2


def test_a_training_writes_as_often_as_it_is_looked_at(envs, monkeypatch):
    now, row = [0.0], SharedRow(envs[0].simulation)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    written = []
    publish = Publisher(row, lambda: written.append(now[0]) or 0)
    for i in range(1000):
        now[0] = 1 + i / 500  # 2 s
        publish(None)
    assert 0.8 * RATE < len(written) / 2 <= RATE + 1


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_a_training_that_is_watched_ends_with_the_same_weights(here, monkeypatch, capsys):
    run_page, pictures = training_page.page_of, []

    @contextlib.contextmanager
    def watched(*args):
        with run_page(*args) as address, Browser(here / "profile") as browser:
            browser.open(address)
            end = time.monotonic() + 120
            while not _shows_go1(picture := browser.picture()):
                assert time.monotonic() < end, "the robot does not appear"
                time.sleep(0.1)
            pictures.append(picture)
            yield address

    monkeypatch.setattr(training_page, "page_of", watched)
    hashes = []
    for viewer in ([], ["--viewer", "web"]):
        assert motrix([*TINY, *viewer]) == 0
        hashes.append(Run(find_newest(Path("runs"), GO1)).manifest()["latest"]["sha256"])
    assert hashes[0] == hashes[1]  # of the policy and of all that the training goes on with
    assert len(pictures) == 1
    told = re.findall(r"^watch it at http://127.0.0.1:\d+/$", capsys.readouterr().out, re.M)
    assert len(told) == 1


def _shows_go1(picture):
    """Whether there is orange, as parts of Go1 have it, and neither ground nor panel."""
    robot = picture[100:350, 350:].astype(int)
    return (robot[..., 0] > robot[..., 2] + 60).mean() > 0.001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--viewer native", "--viewer native: a training is shown in a browser, so take web;"),
        ("--viewer video", "--viewer video: a training is shown in a browser, so take web;"),
        ("--viewer wbe", "no viewer 'wbe' (did you mean 'web'?); there are: native, video, web"),
        ("--port 8080", "--host and --port are of a page: add --viewer web, or leave them out"),
        ("--viewer web --port TAKEN", "--port TAKEN is in use: choose another, or leave it out"),
    ],
)
def test_a_page_that_cannot_be_is_told_before_the_training(here, capsys, arguments, message):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert motrix([*TINY, *arguments.replace("TAKEN", port).split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message.replace('TAKEN', port)}") and error.count("\n") == 1
    assert not list(here.iterdir())
