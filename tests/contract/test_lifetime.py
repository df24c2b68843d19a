# SPDX-License-Identifier: Apache-2.0
"""Environments free their memory, threads and renderers; drawing does not change an episode."""

import gc
import os
import sys
import weakref

import gymnasium
import numpy as np
import pytest
from numpy.testing import assert_equal

from motrix_gym.rendering import RenderingError

SIZE = (64, 48)


def test_close_twice(env_id):
    env = gymnasium.make_vec(env_id, num_envs=2)
    env.close()
    env.close()
    single = gymnasium.make(env_id)
    single.close()
    single.close()


def test_a_dropped_environment_is_freed_at_once(env_id):
    """Without waiting for the garbage collector, which does not see how much MuJoCo holds."""
    gc.collect()
    gc.disable()
    try:
        env = gymnasium.make_vec(env_id, num_envs=4)
        env.reset(seed=0)
        for _ in range(3):
            env.step(np.zeros(env.action_space.shape, np.float32))
        held = [weakref.ref(env.unwrapped), weakref.ref(env.unwrapped.simulation.batch)]
        del env
        assert [ref() for ref in held] == [None, None]
    finally:
        gc.enable()


def test_making_and_dropping_does_not_use_up_memory(env_id, python):
    """Four dropped environments leave less behind than two kept ones take."""
    pytest.importorskip("psutil")
    printed = python(f"""
import ctypes, gymnasium, numpy, psutil, motrix_gym
def make():
    env = gymnasium.make_vec("{env_id}", num_envs=256)
    env.reset(seed=0)
    env.step(numpy.zeros(env.action_space.shape, numpy.float32))
    return env
def memory():
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # glibc gives back what is freed, which it may otherwise keep for later
    return psutil.Process().memory_info().rss
def growth(keep):
    before = memory()
    for _ in range(4):
        keep(make())
    return memory() - before
make().close()  # what is loaded and cached once
kept = []
print(growth(lambda env: env.close()), growth(kept.append))
""")
    dropped, kept = map(int, printed.split())
    assert dropped < kept / 2


def test_an_environment_left_open_does_not_disturb_the_interpreters_end(env_id, python, opengl):
    python(f"""
import gymnasium, numpy, motrix_gym
env = gymnasium.make_vec("{env_id}", num_envs=2, render_mode="rgb_array", render_size=(16, 16))
env.reset(seed=0)
env.step(numpy.zeros(env.action_space.shape, numpy.float32))
env.render()
""")


# Runs `child()` in a forked process, which must end by itself with status 0.
FORKED = """
import gc, os, signal, sys, warnings
import gymnasium, numpy, motrix_gym

warnings.simplefilter("ignore")  # that there are threads is the point

def make(num_threads, **kwargs):
    env = gymnasium.make_vec(ID, num_envs=4, num_threads=num_threads, **kwargs)
    env.reset(seed=0)
    return env

def play(env):
    return env.step(numpy.zeros(env.action_space.shape, numpy.float32))[0]

def refused(call):
    try:
        call()
    except RuntimeError as error:
        return str(error)

def run(child):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # against waiting for ever
        child()
        sys.exit()
    assert os.waitpid(pid, 0)[1] == 0
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@needs_fork
def test_an_environment_with_threads_is_refused_in_a_forked_process_and_can_be_dropped(
    env_id, python
):
    """None of its threads is there: what waits for them would wait for ever."""
    python(f"""ID = "{env_id}"{FORKED}
envs, dropped = [make(2), make(2)], make(2)
before = envs[0].unwrapped.snapshot()

def child():
    global dropped
    env = envs[0].unwrapped
    for call in (lambda: play(env), lambda: env.reset(seed=0), lambda: env.restore(before)):
        assert "make the environment in the child process, or start the" in refused(call)
    del env
    envs[1].close()
    envs.clear()
    dropped = None
    gc.collect()
    envs.extend([make(2), make(2)])  # one made there works, and may be left open
    play(envs[0])

run(child)
play(envs[0])
""")


@needs_fork
def test_restoring_masses_with_threads_is_refused_in_a_forked_process(python):
    """MuJoCo's constants are then computed again, by all threads."""
    python(f"""{FORKED}
import mujoco
from motrix_gym.simulation import Simulation

model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><body><freejoint/><geom size='1'/></body></worldbody></mujoco>"
)
simulation = Simulation(model, 1000, 2, per_world=("body_mass",))
snapshot = simulation.snapshot()
def child():
    assert "in the child process" in refused(lambda: simulation.restore(snapshot))
run(child)
simulation.restore(snapshot)
""")


@needs_fork
def test_an_environment_of_one_thread_goes_on_in_a_forked_process(python):
    python(f"""ID = "Motrix/CartPole-v0"{FORKED}
env, alike = make(1), make(1)
expected = play(alike)
def child():
    assert (play(env) == expected).all()
    env.close()
run(child)
assert (play(env) == expected).all()
""")


@needs_fork
def test_rendering_is_refused_in_a_forked_process(python, opengl):
    python(f"""ID = "Motrix/CartPole-v0"{FORKED}
env = make(1, render_mode="rgb_array", render_size=(16, 16))
env.render()
def child():
    assert "OpenGL cannot be used in a process forked from one" in refused(env.render)
    env.close()
run(child)
env.render()
""")


def alike(frame, other):
    """Whether two pictures are of the same state; OpenGL may round differently each time."""
    return abs(frame.astype(int) - other).max() <= 3


def test_rendering_gives_a_picture_per_row(env_id, player, opengl):
    env = player.make(env_id, 2, render_mode="rgb_array", render_size=SIZE)
    env.reset(seed=0)
    frames = env.render()
    assert len(frames) == 2
    for frame in frames:
        assert (frame.dtype, frame.shape) == (np.uint8, (48, 64, 3))
        assert frame.std() > 5  # something is to be seen
    player.play(env, player.actions(env, 10))
    later = env.render()
    for row in range(2):
        assert not alike(later[row], frames[row])
        assert not alike(later[row], later[row - 1])
    assert all(alike(frame, again) for frame, again in zip(later, env.render(), strict=True))


def test_rendering_of_chosen_rows_and_tiled(env_id, player, opengl):
    def env(**kwargs):
        made = player.make(env_id, 3, render_size=SIZE, **kwargs)
        made.reset(seed=0)
        return made

    frames = env(render_mode="rgb_array").render()
    for row in (0, 1):  # a wrong row would be noticed
        assert not any(alike(frames[row], other) for other in frames[row + 1 :])
    two, one = env(render_mode="rgb_array", render_rows=[2, 1]).render()
    assert alike(two, frames[2])
    assert alike(one, frames[1])
    (sheet,) = env(render_mode="rgb_array_tiled", render_rows=[2, 1, 0]).render()
    assert sheet.shape == (2 * 48, 2 * 64, 3)
    assert alike(sheet[:48, :64], frames[2])
    assert alike(sheet[:48, 64:], frames[1])
    assert alike(sheet[48:, :64], frames[0])
    assert not sheet[48:, 64:].any()


def test_rendering_does_not_change_the_future(env_id, player, opengl):
    plain = player.make(env_id, 2)
    drawn = player.make(env_id, 2, render_mode="rgb_array", render_size=(16, 16), render_rows=[0])
    assert_equal(plain.reset(seed=0), drawn.reset(seed=0))
    for t, action in enumerate(player.actions(plain, 60)):
        if t % 40 in (0, 1):  # before and after an automatic reset
            drawn.render()
        assert_equal(drawn.step(action), plain.step(action))


def test_gymnasium_collects_pictures_of_the_single_environment(env_id, opengl):
    env = gymnasium.make(env_id, render_mode="rgb_array_list", render_size=SIZE)
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.ones(env.action_space.shape, np.float32))
    frames = env.render()
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3
    assert not alike(frames[0], frames[2])
    assert env.render() == []
    env.close()


@pytest.mark.filterwarnings("ignore:.*You are trying to use 'human' rendering")
def test_gymnasium_shows_the_single_environment_in_a_window(env_id, opengl, monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make(env_id, render_mode="human", render_size=SIZE)
    assert env.metadata["render_fps"] == round(1 / env.unwrapped.config.control_timestep)
    env.reset(seed=0)
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    assert alike(shown, env.unwrapped.render())
    env.step(np.ones(env.action_space.shape, np.float32))
    env.close()


@pytest.mark.filterwarnings("ignore:.*You are trying to use 'human' rendering")
def test_gymnasium_knows_the_render_modes_before_it_makes_an_environment():
    """Then it makes "human" and "rgb_array_list" of them, and says what a window needs."""
    env = gymnasium.make("Motrix/CartPole-v0", render_mode="human")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pygame", None)
        patch.setattr(env.unwrapped, "render", lambda: np.zeros((4, 4, 3), np.uint8))
        with pytest.raises(gymnasium.error.DependencyNotInstalled, match="pygame"):
            env.reset()
    env.close()


def test_rendering_can_go_on_after_close(env_id, player, opengl):
    env = player.make(env_id, 1, render_mode="rgb_array", render_size=SIZE)
    env.reset(seed=0)
    (frame,) = env.render()
    env.unwrapped.simulation.close()
    assert alike(env.render()[0], frame)


def test_rendering_needs_a_render_mode(env_id, player):
    env = player.make(env_id, 1)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="make the environment with render_mode, one of"):
        env.render()


def test_a_picture_too_large_is_refused(env_id, player, opengl):
    env = player.make(env_id, 1, render_mode="rgb_array", render_size=(10**5, 48))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="render width must be 1 to .* got 100000"):
        env.render()


def test_a_rendering_error_is_a_runtime_error():
    assert issubclass(RenderingError, RuntimeError)
