# SPDX-License-Identifier: Apache-2.0
"""A policy's JSON is enough to run the policy without this package's environments."""

import json
import runpy
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest

from motrix_gym import list_envs, make_task
from motrix_gym.commands import VelocityCommands
from motrix_gym.settings import as_json
from motrix_gym.tasks.locomotion.velocity import VelocityConfig

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/deploy_go1.py"
PRETRAINED = ROOT / "rl_zoo/pretrained"


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(EXAMPLE))


def data_of(env, row):
    """An MjData in the state of an environment's row."""
    v, model = env.simulation.all, env.simulation.model
    data = mujoco.MjData(model)
    data.qpos, data.qvel = v.qpos[row], v.qvel[row]
    return data


def test_the_example_is_short():
    assert len(EXAMPLE.read_text().splitlines()) <= 40


def test_the_example_observes_what_the_environment_does(example):
    envs = gymnasium.make_vec(
        "Motrix/Go1-v0",
        num_envs=32,
        observation_noise=0.0,
        commands=VelocityCommands(standing_share=0.5, duration=(0.1, 0.3)),
    )
    env = envs.unwrapped
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.uniform(-1.2, 1.2, (32, 12)).astype(np.float32)
        observations = envs.step(actions)[0]
        v = env.simulation.all
        for row in range(32):
            action, command, phase = v.action[row], v.command[row], v.gait_phase[row]
            found = example["observe"](data_of(env, row), action, command, phase)
            np.testing.assert_allclose(found, observations[row], rtol=1e-6, atol=1e-6)
    standing = (observations[:, -2:] == 0).all(axis=1)
    assert standing.any() and not standing.all(), "both ways of the clock are compared"


def test_the_example_walks_as_fast_as_asked(example):
    model = make_task("Motrix/Go1-v0").model
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.keyframe("home").id)
    example["walk"](model, data, [1.0, 0.0, 0.0], seconds=1.0)
    start = data.qpos[0]
    example["walk"](model, data, [1.0, 0.0, 0.0], seconds=4.0)
    assert abs((data.qpos[0] - start) / 4.0 - 1.0) < 0.15


def test_the_numbers_are_those_of_the_task_as_it_is_set():
    task = make_task("Motrix/Go1-v0", action_scale=0.3, control_timestep=0.04, gait_frequency=2.0)
    about = task.deployment()
    assert about["action"]["scale"] == about["settings"]["action_scale"] == 0.3
    assert (about["control_timestep"], about["control_rate"]) == (0.04, 25.0)
    assert about["gait_clock"]["frequency"] == 2.0
    assert about["default_pose"] == task.model.keyframe("home").ctrl.tolist()
    assert about["actuators"]["kp"] == [35.0] * 12 and about["actuators"]["kv"] == [0.5] * 12
    assert list(about["observation"]) == [channel.name for channel in task.observation]


@pytest.mark.parametrize("env_id", list_envs())
def test_every_shipped_policy_says_how_to_run_it(env_id):
    path = PRETRAINED / env_id.rpartition("/")[2] / "policy.json"
    if not path.is_file():
        pytest.skip("no policy is shipped")
    about = json.loads(path.read_text())
    stored = about["metadata"]["deployment"]
    expected = json.loads(json.dumps(make_task(env_id).deployment()))
    settings = expected.pop("settings")
    assert _within(stored.pop("settings"), settings)  # a task may get further settings
    assert stored == expected
    assert about["evaluation"][-1].startswith("action = ")


def _within(part, whole):
    """Whether a mapping holds all that another one does, at any depth."""
    if not isinstance(part, dict):
        return part == whole
    return all(name in whole and _within(value, whole[name]) for name, value in part.items())


def test_settings_of_any_type_are_plain_json():
    config = VelocityConfig().override(
        max_episode_steps=np.int64(7), friction=(np.float32(0.5), 1.0)
    )
    plain = as_json(config)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert (plain["max_episode_steps"], plain["friction"]) == (7, [0.5, 1.0])
    assert plain["commands"]["forward"] == [-1.0, 1.5]
    assert as_json({1: [np.inf, None, True], "path": Path("a")}) == {
        "1": ["inf", None, True],
        "path": "a",
    }
