# SPDX-License-Identifier: Apache-2.0
"""What the tests share."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gymnasium
import hypothesis
import pytest

import motrix_gym  # before MuJoCo, whose OpenGL back end it picks
from motrix_gym.rendering import RenderingError
from motrix_gym.simulation import Simulation

# Hypothesis's own profile for machines of any speed: no deadlines, the same examples in every run.
hypothesis.settings.load_profile("ci")


def pytest_configure(config):
    """Share what JAX compiles between all tests of a run: most of the time of small trainings."""
    if not hasattr(config, "workerinput"):  # the process that starts the workers
        folder = tempfile.mkdtemp(prefix="jax-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


@pytest.fixture(scope="session", autouse=True)
def _logs_of_sb3(tmp_path_factory):
    """Keep the folders that Stable-Baselines3 makes for its logs out of /tmp."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SB3_LOGDIR", str(tmp_path_factory.mktemp("SB3")))
        yield


@pytest.fixture(scope="session")
def opengl():
    """Skip, with MuJoCo's reason, where nothing can be drawn."""
    import mujoco

    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    simulation = Simulation(model, 1, 1)
    try:
        simulation.render([0], 8, 8)
    except RenderingError as error:
        pytest.skip(str(error))
    finally:
        simulation.close()


@pytest.fixture(scope="session")
def python():
    """Run a program in a fresh interpreter that finds the package under test.

    Returns what it printed; environment variables are keyword arguments, None removes one.
    """

    def run(program, **environment):
        root = str(Path(motrix_gym.__file__).parents[1])
        variables = os.environ | {"PYTHONPATH": root} | environment
        variables = {name: value for name, value in variables.items() if value is not None}
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=variables
        )
        assert result.returncode == 0, result.stderr
        assert not result.stderr, result.stderr
        return result.stdout

    return run


@pytest.fixture
def make_quiet():
    """Make environments by id, without noise, on one thread and reset; they are closed in the end.

    Keyword arguments are those of make_vec and ``seed``.
    """
    made = []

    def make(env_id, num_envs=4, seed=0, **kwargs):
        settings = {"observation_noise": 0.0, "num_threads": 1} | kwargs
        env = gymnasium.make_vec(env_id, num_envs=num_envs, **settings).unwrapped
        assert isinstance(env, motrix_gym.MotrixVectorEnv)
        made.append(env)
        env.reset(seed=seed)
        return env

    yield make
    for env in made:
        env.close()
