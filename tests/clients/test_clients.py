# SPDX-License-Identifier: Apache-2.0
"""What docs/clients.md says of other libraries is true; `make clients` installs and tries them."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import FlattenObservation, NormalizeObservation

import motrix_gym
from motrix_gym.tasks.basic.cartpole import BALANCE

ROOT = Path(motrix_gym.__file__).parents[1]
PAGE = (ROOT / "docs" / "clients.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `(.+)` \|$", PAGE, re.MULTILINE)
SECTIONS = {text.partition("\n")[0]: text for text in PAGE.split("\n## ")[1:]}
PROGRAMS = [
    (name, language, program)
    for name, text in SECTIONS.items()
    for language, program in re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL)
]
# Of a section, the module that its library is imported by.
MODULES = {
    "Stable-Baselines3": "stable_baselines3",
    "rl_zoo3": "rl_zoo3",
    "sbx": "sbx",
    "skrl": "skrl",
    "torchrl": "torchrl",
    "rsl_rl": "rsl_rl",
    "tianshou": "tianshou",
    "RLlib": "ray",
}


def need(module):
    if module and not importlib.util.find_spec(module):
        pytest.skip(f"{module} is not installed")


def test_every_line_of_the_table_is_in_a_program_of_its_section():
    assert len(ROWS) == 11
    assert {client for client, _, _ in ROWS} == SECTIONS.keys() >= MODULES.keys()
    for client, _, line in ROWS:
        assert f"\n{line}\n" in SECTIONS[client]


def allowed_modes(cell):
    """Of a cell of the table's second column, the names of the modes, none if it says "single"."""
    names = {mode.name for mode in AutoresetMode}
    if cell.startswith("any but "):
        return names - {cell.removeprefix("any but ")}
    return set() if cell == "single" else set(cell.split(" or "))


@pytest.mark.parametrize(("client", "cell", "line"), ROWS)
def test_the_mode_in_the_table_is_that_of_the_line(client, cell, line):
    modes = allowed_modes(cell)
    if "make_vec(" in line:
        named = re.search(r'autoreset_mode="(\w+)"', line)
        assert (named[1] if named else "SAME_STEP") in modes
    else:
        assert modes == set()


@pytest.mark.parametrize("mode", AutoresetMode)
def test_gymnasiums_wrappers_of_observations_take_the_modes_in_the_table(mode):
    (cell,) = (cell for client, cell, _ in ROWS if client.startswith("Gymnasium"))
    envs = gymnasium.make_vec("Motrix/CartPole-v0", 2, autoreset_mode=mode)
    wrappers = {FlattenObservation: allowed_modes(cell), NormalizeObservation: {"NEXT_STEP"}}
    for wrapper, modes in wrappers.items():
        if mode.name in modes:
            wrapper(envs).reset(seed=0)
        else:
            with pytest.raises(ValueError, match=f"got AutoresetMode.{mode.name}"):
                wrapper(envs)
    envs.close()


@pytest.mark.clients
@pytest.mark.parametrize(("client", "language", "program"), PROGRAMS)
def test_programs_run(client, language, program, tmp_path, request):
    need(MODULES.get(client))
    for word, module in (("enjoy", "pygame"), ("RecordVideo", "moviepy")):
        if word in program:
            need(module)
            request.getfixturevalue("opengl")
    here = os.path.dirname(sys.executable)
    variables = {
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SDL_VIDEODRIVER": "dummy",  # a window without a display
    }
    command = [sys.executable, "-c"] if language == "python" else ["bash", "-ec"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    result = subprocess.run(
        [*command, program], cwd=tmp_path, env=os.environ | variables, check=False, **pipes
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.clients
def test_torchrl_refuses_next_step_and_resets_rows_itself():
    need("torchrl")
    from torchrl.envs import GymWrapper

    def make(mode):
        return gymnasium.make_vec("Motrix/CartPole-v0", 4, max_episode_steps=5, autoreset_mode=mode)

    with pytest.raises(RuntimeError, match="NEXT_STEP"):
        GymWrapper(make("NEXT_STEP"))
    envs = GymWrapper(make("DISABLED"))
    envs.set_seed(0)
    rollout = envs.rollout(11, break_when_any_done=False)
    done = rollout["next", "done"][..., 0].numpy()
    assert (done.sum(axis=1) == 2).all()
    last, then = rollout["next", "observation"].numpy(), rollout["observation"].numpy()
    same = (last[:, :-1] == then[:, 1:]).all(axis=2)
    np.testing.assert_array_equal(same, ~done[:, :-1])


@pytest.mark.clients
@pytest.mark.parametrize("critic", ["policy", "critic"])
def test_rsl_rl_learns(critic, tmp_path):
    """Also with a value network that sees more than the policy."""
    need("rsl_rl")
    from rsl_rl.runners import OnPolicyRunner

    from adapters.rsl_rl import RslRlVecEnv
    from tests.adapters.test_rsl_rl import Told

    made = motrix_gym.MotrixVectorEnv(Told(BALANCE), 256, privileged=critic == "critic")
    envs = RslRlVecEnv(made, seed=0)
    network = {"class_name": "MLPModel", "hidden_dims": [64, 64], "obs_normalization": True}
    settings = {
        "num_steps_per_env": 16,
        "save_interval": 100,
        "obs_groups": {"actor": ["policy"], "critic": [critic]},
        "actor": {**network, "distribution_cfg": {"class_name": "GaussianDistribution"}},
        "critic": network,
        "algorithm": {"class_name": "PPO"},
    }
    runner = OnPolicyRunner(envs, settings, log_dir=str(tmp_path))
    runner.learn(40, init_at_random_ep_len=True)
    # Random actions of standard deviation 1, as at first, last 30 steps, with a standard deviation
    # of 18: the mean of 100 episodes is then below 60 by many standard errors.
    lengths = runner.logger.lenbuffer
    assert len(lengths) == 100 and np.mean(lengths) > 60
    widths = [model.obs_dim for model in (runner.alg.actor, runner.alg.critic)]
    assert widths == [4, 5 if critic == "critic" else 4]
    envs.close()
