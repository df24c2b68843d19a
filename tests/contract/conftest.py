# SPDX-License-Identifier: Apache-2.0
"""The contract tests run over every environment of the suite, from the moment it is registered."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import motrix_gym

# Other tests may register tasks of their own, odd on purpose.
ENV_IDS = [env_id for env_id in motrix_gym.list_envs() if env_id.startswith("Motrix/")]


def pytest_generate_tests(metafunc):
    if "env_id" in metafunc.fixturenames:
        metafunc.parametrize("env_id", ENV_IDS)
    if "mode" in metafunc.fixturenames:
        metafunc.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)


class Player:
    """Makes vector environments, plays them, reads what they return, and closes them."""

    def __init__(self):
        self._made = []

    def make(self, env_id, num_envs=8, **kwargs):
        """Make a vector environment, by default on one thread and with short episodes."""
        kwargs = {"num_threads": 1, "max_episode_steps": 40} | kwargs
        env = gymnasium.make_vec(env_id, num_envs=num_envs, **kwargs)
        self._made.append(env)
        return env

    def actions(self, env, steps, seed=0):
        """(steps, num_envs, act_dim) float32, in which row i does not depend on num_envs."""
        (width,) = env.single_action_space.shape
        rows = [
            np.random.default_rng([seed, row]).uniform(-1, 1, (steps, width))
            for row in range(env.num_envs)
        ]
        return np.stack(rows, axis=1).astype(np.float32)

    def play(self, env, actions):
        """Step through ``actions``; with autoreset DISABLED, reset the rows that are over."""
        steps = []
        for action in actions:
            steps.append(env.step(action))
            ended = steps[-1][2] | steps[-1][3]
            if env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and ended.any():
                env.reset(options={"reset_mask": ended})
        return steps

    def row(self, step, i):
        """What a step says of row i, flat, by name; what its masks exclude is left out."""
        names = ("observation", "reward", "terminated", "truncated")
        return {name: value[i] for name, value in zip(names, step, strict=False)} | _row(
            step[4], i, "info"
        )

    def close(self):
        for env in self._made:
            env.close()


def _row(info, i, path):
    said = {}
    for key, value in info.items():
        name = f"{path}/{key}"
        if key.startswith("_") or not info[f"_{key}"][i]:
            continue
        if isinstance(value, dict):
            said |= _row(value, i, name)
        elif key != "fault" or value[i]:  # absent where no row had one
            said[name] = value[i]
    return said


@pytest.fixture
def player():
    player = Player()
    yield player
    player.close()
