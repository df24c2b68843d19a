# SPDX-License-Identifier: Apache-2.0
"""Trainings until the environments' goals are met; minutes each, run by `make learn`."""

import pytest
from walking import assert_walks

from adapters import TRAINERS, Policy
from rl_zoo import train
from rl_zoo.evaluate import evaluate_policy
from rl_zoo.runs import Run, find_newest

pytestmark = pytest.mark.learn


def trained(tmp_path, env_id: str, trainer: str) -> Policy:
    arguments = ["--env", env_id, "--trainer", trainer, "--run-dir", str(tmp_path)]
    assert train.main(arguments) == 0
    return Run.open(find_newest(tmp_path, env_id)).policy()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_cartpole_is_solved_by_each_trainer(tmp_path, trainer):
    policy = trained(tmp_path, "Motrix/CartPole-v0", trainer)
    evaluation = evaluate_policy("Motrix/CartPole-v0", policy, episodes=100, seed=5)
    assert all(evaluation.met.values()), evaluation.report()


def test_go1_tracks_commands_and_walks(tmp_path):
    policy = trained(tmp_path, "Motrix/Go1-v0", "skrl-jax")
    evaluation = evaluate_policy("Motrix/Go1-v0", policy, episodes=1024, seed=5)
    assert all(evaluation.met.values()), evaluation.report()
    assert_walks(policy)
