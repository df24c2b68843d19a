# SPDX-License-Identifier: Apache-2.0
"""Trainings until the environments' goals are met; minutes each, run by `make learn`."""

import pytest
from walking import assert_walks

from adapters import TRAINERS, Policy
from rl_zoo.commands import train
from rl_zoo.evaluation import evaluate_policy
from rl_zoo.runs import Run, find_newest
from rl_zoo.statistics import NOT_MET

pytestmark = pytest.mark.learn


def solve(tmp_path, env_id: str, trainer: str = "skrl-jax", episodes: int = 100) -> Policy:
    """Train with the settings of the environment's file; the goals must be met on average."""
    arguments = ["--env", env_id, "--trainer", trainer, "--run-dir", str(tmp_path)]
    assert train.main(arguments) == 0
    policy = Run.open(find_newest(tmp_path, env_id)).policy()
    evaluation = evaluate_policy(env_id, policy, episodes=episodes, seed=5)
    assert NOT_MET not in evaluation.verdicts.values(), evaluation.report()
    return policy


@pytest.mark.parametrize("trainer", TRAINERS)
def test_cartpole_is_solved_by_each_trainer(tmp_path, trainer):
    solve(tmp_path, "Motrix/CartPole-v0", trainer)


@pytest.mark.parametrize("env_id", ["Motrix/BounceBall-v0", "Motrix/WalkerRun-v0"])
def test_control_tasks_are_solved(tmp_path, env_id):
    solve(tmp_path, env_id)


def test_go1_tracks_commands_and_walks(tmp_path):
    assert_walks(solve(tmp_path, "Motrix/Go1-v0", episodes=1024))
