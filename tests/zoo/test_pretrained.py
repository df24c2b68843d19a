# SPDX-License-Identifier: Apache-2.0
"""The shipped policies do what they are shipped for."""

import json

import pytest
from walking import assert_walks

from adapters import Policy
from motrix_gym import list_envs, registration
from rl_zoo import policies
from rl_zoo.config import env_name
from rl_zoo.evaluation import evaluate_policy


@pytest.mark.parametrize("env_id", list_envs())
def test_every_environment_has_a_policy_that_does_what_its_evaluation_says(env_id):
    folder = policies.PRETRAINED / env_name(env_id)
    policy = Policy.load(folder)
    assert policy.metadata["env_id"] == env_id
    stored = json.loads((folder / "evaluation.json").read_text())
    assert stored["env_id"] == env_id
    assert stored["solved"]
    # Fewer episodes here; a policy of another version of the environment is far off.
    evaluation = evaluate_policy(env_id, policy, episodes=32, seed=7)
    for goal in registration.entry(env_id).goals:
        mean, known = (x[goal.figure] for x in (evaluation.figures, stored["figures"]))
        expected = pytest.approx(known["mean"], rel=0.25, abs=0.05)
        assert mean.mean() == expected, evaluation.report()


def test_shipped_go1_walks():
    assert_walks(Policy.load(policies.PRETRAINED / "Go1-v0"))
