# SPDX-License-Identifier: Apache-2.0
"""The shipped policies do what their evaluations say, and the legged robots walk."""

import json

import pytest
from walking import assert_walks

from adapters import Policy
from motrix_gym import list_envs, registration
from motrix_gym.tasks.locomotion.velocity import VelocityTracking
from rl_zoo import policies
from rl_zoo.config import env_name
from rl_zoo.evaluation import evaluate_policy

SHIPPED = [i for i in list_envs() if (policies.PRETRAINED / env_name(i)).is_dir()]


def test_a_shipped_policy_is_of_an_environment():
    folders = {path.name for path in policies.PRETRAINED.iterdir() if path.name.endswith("-v0")}
    assert folders == {env_name(env_id) for env_id in SHIPPED}


@pytest.mark.parametrize("env_id", SHIPPED)
def test_a_shipped_policy_does_what_its_evaluation_says(env_id):
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


WALKERS = [i for i in SHIPPED if isinstance(registration.make_task(i), VelocityTracking)]


@pytest.mark.parametrize("env_id", WALKERS)
def test_a_shipped_legged_robot_walks(env_id):
    assert_walks(Policy.load(policies.PRETRAINED / env_name(env_id)))
