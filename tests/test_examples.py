# SPDX-License-Identifier: Apache-2.0
"""The programs in examples/ work."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from numpy.testing import assert_array_equal

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def own_task():
    """Register the task of one's own, and forget it afterwards."""
    from motrix_gym import registration

    runpy.run_path(str(EXAMPLES / "own_task.py"))
    yield "Mine/PushedCart-v0"
    gymnasium.registry.pop("Mine/PushedCart-v0")
    registration._entries.pop("Mine/PushedCart-v0")


def test_a_task_of_ones_own_is_short():
    assert len((EXAMPLES / "own_task.py").read_text().splitlines()) <= 80


def test_a_task_of_ones_own_has_a_history_privileged_channels_and_pushes(own_task):
    plain = gymnasium.make_vec(own_task, num_envs=64, observation_noise=0.0).unwrapped
    full = gymnasium.make_vec(
        own_task, num_envs=64, observation_noise=0.0, privileged=True
    ).unwrapped
    assert plain.single_observation_space.shape == (6,)
    assert full.single_observation_space.shape == (9,)
    seen = [(plain.reset(seed=0)[0], full.reset(seed=0)[0])]
    pushed = 0
    for _ in range(40):
        before = full.simulation.fields["qvel"][:, 0].copy()
        ours, *_, info = full.step(np.zeros((64, 1)))
        seen.append((plain.step(np.zeros((64, 1)))[0], ours))
        jump = abs(full.simulation.fields["qvel"][:, 0] - before) > 0.02
        pushed += (jump & ~info.get("_final_obs", np.zeros(64, bool))).sum()
    assert pushed > 10
    for few, many in seen:
        assert_array_equal(few, many[:, :6])
    fields = full.simulation.fields
    assert_array_equal(seen[-1][1][:, 6:8], fields["qvel"].astype(np.float32))
    assert_array_equal(seen[-1][1][:, 8], fields["body_mass"][:, 2].astype(np.float32))
    assert len(np.unique(fields["body_mass"][:, 2])) == 64


def test_a_robot_of_ones_own_is_a_file_and_a_value():
    from motrix_gym import check_vector_env, registration

    runpy.run_path(str(EXAMPLES / "own_robot.py"))
    try:
        env = gymnasium.make_vec("Mine/BoxDog-v0", num_envs=3)
        check_vector_env(env)
        env.reset(seed=0)
        for _ in range(50):
            env.step(np.zeros((3, 12)))
        assert env.unwrapped.task.mirror is not None
        assert (env.unwrapped.simulation.fields["qpos"][:, 2] > 0.2).all()  # it stands
        env.close()
    finally:
        gymnasium.registry.pop("Mine/BoxDog-v0")
        registration._entries.pop("Mine/BoxDog-v0")


def test_the_loop_in_plain_gymnasium_runs(python):
    printed = python((EXAMPLES / "gymnasium_loop.py").read_text())
    assert "episodes, mean return" in printed


def test_ppo_in_one_file_learns():
    pytest.importorskip("torch")
    train = runpy.run_path(str(EXAMPLES / "ppo_in_one_file.py"))["train"]
    # After four updates it is hardly trained, and an episode can be as long as the four rollouts,
    # 128 steps; they last some 50. A policy that learns balances for hundreds of steps, so twice as
    # long is far from both.
    assert train(updates=100) > 2 * train(updates=4)


@pytest.mark.parametrize(
    ("example", "module", "steps"),
    [("sb3_ppo", "stable_baselines3", 200_000), ("skrl_ppo", "skrl", 1500)],
)
def test_the_libraries_own_ppo_learns(example, module, steps):
    pytest.importorskip("torch")
    pytest.importorskip(module)
    program = EXAMPLES / f"{example}.py"
    assert len(program.read_text().splitlines()) <= 40
    result = run(program, str(steps))
    # Actions are drawn with a standard deviation of 1 at first, and the pole falls after some 40
    # steps, with a standard deviation of 20: the mean of 100 episodes is then below 100 by many
    # standard errors.
    length = re.search(r"mean length of the last 100 episodes: (\d+) steps", result.stdout)
    assert length and int(length[1]) > 100, result.stdout


def run(program, *arguments, **options):
    """Run an example as a program of its own; return what it printed."""
    command = [sys.executable, str(program), *arguments]
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, **options)
    assert result.returncode == 0, result.stderr
    return result


def test_training_and_film_from_python(tmp_path, opengl):
    pytest.importorskip("torch")
    result = run(EXAMPLES / "train_and_film.py", "70000", cwd=tmp_path)
    assert "200 whole episodes" in result.stdout
    assert "os.fork() was called" not in result.stderr  # with threads of JAX, it may never return
    assert (tmp_path / "cartpole.gif").stat().st_size > 10_000
    assert len(list((tmp_path / "runs" / "CartPole-v0").iterdir())) == 2
