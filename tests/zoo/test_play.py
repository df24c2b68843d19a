# SPDX-License-Identifier: Apache-2.0
"""`motrix play` and `motrix view`: windows, videos, and the policies that they show."""

import importlib.util
import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from fakes import make_policy

from adapters import PPOConfig
from rl_zoo import policies
from rl_zoo.__main__ import main as motrix
from rl_zoo.runs import Run

ENV = "Motrix/CartPole-v0"
SMALL = ["--width", "32", "--height", "24", "--seconds", "0.2", "--viewer", "video"]


@pytest.fixture(autouse=True)
def no_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.fixture
def run(here, balancing):
    config = PPOConfig(seed=0, num_envs=1, rollouts=1, mini_batches=1, max_env_steps=5)
    run = Run.create("runs", ENV, "sb3", config)
    run.save_checkpoint(5, balancing, {"x": np.zeros(1)})
    run.finish("complete")
    return run


def play(*flags):
    return motrix(["play", *map(str, flags)])


def test_the_newest_run_becomes_a_video_in_its_folder(run, opengl, capsys):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    assert play(*SMALL) == 0
    path = run.folder / "play.mp4"
    assert f"video: {path}" in capsys.readouterr().out
    reader = ffmpeg.read_frames(str(path))
    about = next(reader)
    pictures = [np.frombuffer(frame, np.uint8) for frame in reader]
    # 100 steps per second, of which every fourth is shown: 25 pictures per second.
    assert (about["size"], about["fps"], len(pictures)) == ((32, 24), 25.0, 5)
    assert any(picture.std() > 5 for picture in pictures)
    assert [p.name for p in run.folder.glob("*.mp4")] == ["play.mp4"]


def test_several_environments_are_tiled_and_random_needs_no_policy(here, opengl):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    flags = ["--random", "--num-envs", 3, "--camera", -1, "--video", "new/folder/a.mp4"]
    assert play(*flags, *SMALL, "--set", "env.max_angle=0.05") == 0
    assert next(ffmpeg.read_frames("new/folder/a.mp4"))["size"] == (64, 48)


@pytest.mark.parametrize("actions", ["random", "zero"])
def test_a_view_needs_no_policy(here, opengl, capsys, actions):
    pytest.importorskip("imageio_ffmpeg")
    *size, _, _ = SMALL
    assert motrix(["view", "--actions", actions, *size, "--video"]) == 0
    said = capsys.readouterr().out
    assert f"playing {ENV} with {actions} actions, seed 0" in said
    assert f"video: CartPole-v0_{actions}.mp4" in said


def test_an_old_video_stays_whole_if_the_new_one_fails(run, opengl, monkeypatch, capsys):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    old = run.folder / "play.mp4"
    old.write_text("old")

    def write_frames(path, *_, **__):
        with open(path, "w") as file:
            file.write("torn")
        yield
        raise OSError("No space left on device")

    monkeypatch.setattr(ffmpeg, "write_frames", write_frames)
    assert play(*SMALL) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert old.read_text() == "old"
    assert [p.name for p in run.folder.glob("*.mp4")] == ["play.mp4"]
    assert not list(run.folder.glob(".*.mp4"))


class Window:
    """Stands for MuJoCo's viewer; is closed after some pictures."""

    def __init__(self, pictures):
        self.left, self.seen = pictures, []
        self.cam = SimpleNamespace(type=None, fixedcamid=None)

    def launch_passive(self, model, data):
        self.data = data
        return self

    def is_running(self):
        return self.left > 0

    def lock(self):
        return nullcontext()

    def sync(self):
        self.left -= 1
        self.seen.append(self.data.qpos.copy())

    __enter__ = lock

    def __exit__(self, *_):
        pass


@pytest.fixture
def window(monkeypatch):
    import mujoco

    window = Window(pictures=30)
    module = ModuleType("mujoco.viewer")
    module.launch_passive = window.launch_passive
    monkeypatch.setitem(sys.modules, "mujoco.viewer", module)
    monkeypatch.setattr(mujoco, "viewer", module, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    return window


def test_a_display_gets_a_window_in_real_time_until_it_is_closed(run, window):
    import time

    started = time.perf_counter()
    assert play("--num-threads", 1) == 0
    assert time.perf_counter() - started > 0.29  # 30 pictures, 0.01 s apart
    assert len(window.seen) == 30
    assert window.cam.fixedcamid == 0
    assert len({tuple(qpos) for qpos in window.seen}) == 30
    assert max(abs(qpos[1]) for qpos in window.seen) < 0.2
    assert not list(run.folder.glob("*.mp4"))


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x"])
def test_other_seconds_are_refused(here, capsys, seconds):
    with pytest.raises(SystemExit) as error:
        play(f"--seconds={seconds}")
    assert error.value.code == 2
    assert f"'{seconds}' is not a number of seconds above 0" in capsys.readouterr().err


def test_seconds_close_the_window(run, window):
    assert play("--seconds", "0.05", "--viewer", "native") == 0
    assert len(window.seen) == 5


def test_a_drawn_seed_is_told_and_another_each_time(run, window, capsys):
    seeds = []
    for _ in range(2):
        window.left, window.seen = 1, []
        assert play("--rand-seed", "--num-threads", 1) == 0
        seeds.append(int(capsys.readouterr().out.rsplit("seed ", 1)[1]))
        drawn = window.seen[0]
        window.left, window.seen = 1, []
        assert play("--seed", seeds[-1], "--num-threads", 1) == 0
        np.testing.assert_array_equal(window.seen[0], drawn)
    assert seeds[0] != seeds[1]
    with pytest.raises(SystemExit) as stop:
        play("--rand-seed", "--seed", 1)
    assert stop.value.code == 2


def test_a_window_that_does_not_open_says_what_else_to_do(run, window, capsys):
    def launch_passive(model, data):
        raise RuntimeError("`launch_passive` requires mjpython")

    sys.modules["mujoco.viewer"].launch_passive = launch_passive
    assert play() == 1
    assert "requires mjpython; try --viewer web" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        ("--camera nowhere", 2, "no camera 'nowhere'; there are: fixed"),
        ("--camera 7", 2, "no camera '7'"),
        ("--viewer video --width 100000", 2, "render width must be 1 to"),
        ("--set env.max_angel=1", 2, "did you mean 'max_angle'"),
        ("--env Motrix/Go1-v0", 1, "no run of Motrix/Go1-v0"),
        ("--video picture.gif", 2, "must end in .mp4"),
        ("--viewer wbe", 2, "no viewer 'wbe' (did you mean 'web'?); there are: native, video, web"),
        ("--viewer native", 2, "there is no display here"),
        ("--viewer web --video a.mp4", 2, "--video makes an mp4: leave it out"),
        ("--viewer video --port 8080", 2, "--host and --port are of a page"),
        ("--viewer web --host nowhere.invalid", 2, "--host nowhere.invalid is no address of this"),
        ("--video taken/a.mp4", 1, "cannot write taken/a.mp4"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    run, here, opengl, monkeypatch, capsys, flags, status, message
):
    monkeypatch.setattr(policies, "PRETRAINED", here / "none")
    (here / "taken").write_text("")
    before = sorted(here.rglob("*"))
    assert play(*flags.split()) == status
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(here.rglob("*")) == before


def test_a_missing_library_says_what_to_install(run, monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    absent = {"imageio_ffmpeg": None}
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: absent[name] if name in absent else find_spec(name),
    )
    assert play(*SMALL) == 1
    assert 'pip install "motrix-gym[video]"' in capsys.readouterr().err


def test_without_opengl_the_message_says_what_is_missing(run, monkeypatch, capsys):
    pytest.importorskip("imageio_ffmpeg")
    from motrix_gym import rendering, simulation

    def render(*_):
        raise rendering.RenderingError("cannot create an OpenGL context")

    monkeypatch.setattr(simulation.Simulation, "render", render)
    assert play(*SMALL) == 1
    assert capsys.readouterr().err == "error: cannot create an OpenGL context\n"
    assert not list(run.folder.glob(".*.mp4"))


def test_a_policy_of_another_task_is_told(here, capsys):
    make_policy(np.zeros((5, 2)), {"env_id": ENV}).save("other")
    assert play("--policy", "other") == 1
    assert "turns 5 observations into 2 actions" in capsys.readouterr().err
