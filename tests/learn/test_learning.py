# SPDX-License-Identifier: Apache-2.0
"""Trainings until the environments' goals are met; minutes each, run by `make learn`."""

import gymnasium
import numpy as np
import pytest

from adapters import TRAINERS
from adapters.policy import Policy
from motrix_gym.commands import VelocityCommands
from rl_zoo import train
from rl_zoo.evaluate import evaluate_policy
from rl_zoo.runs import Run, find_newest

pytestmark = pytest.mark.learn


def trained(tmp_path, env_id: str, *arguments: str) -> Policy:
    status = train.main(["--env", env_id, "--run-dir", str(tmp_path), *arguments])
    assert status == 0
    return Run.open(find_newest(tmp_path, env_id)).best_policy()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_cartpole_is_solved_by_each_trainer(tmp_path, trainer):
    policy = trained(tmp_path, "Motrix/CartPole-v0", "--trainer", trainer)
    evaluation = evaluate_policy("Motrix/CartPole-v0", policy, episodes=100, seed=5)
    assert all(evaluation.met.values()), evaluation.report()


@pytest.mark.parametrize("trainer", ["skrl-jax", "skrl-torch"])
def test_go1_tracks_commands_and_walks(tmp_path, trainer):
    policy = trained(tmp_path, "Motrix/Go1-v0", "--trainer", trainer)
    evaluation = evaluate_policy("Motrix/Go1-v0", policy, episodes=512, seed=5)
    assert all(evaluation.met.values()), evaluation.report()
    assert_walks(policy, VelocityCommands((0.8, 0.8), (0.0, 0.0), (0.0, 0.0), 0.0, (60, 60)))


def assert_walks(policy: Policy, commands: VelocityCommands) -> None:
    """A walk looks like one: feet lift and do not drag, and it neither hops nor pronks."""
    envs = gymnasium.make_vec("Motrix/Go1-v0", num_envs=16, commands=commands)
    env = envs.unwrapped
    observations, _ = envs.reset(seed=0)
    contacts, heights, bases = [], [], []
    for _ in range(300):
        observations = envs.step(policy(observations))[0]
        v = env.simulation.all
        contacts.append(v.sensordata[:, env.task.touch] > 0)
        heights.append(v.site_xpos[:, env.task.foot_sites, 2] - env.task.robot.foot_radius)
        bases.append(v.qpos[:, 2].copy())
    contact, height, base = (np.array(x[50:]) for x in (contacts, heights, bases))
    swing = np.array([height[..., foot].max(axis=0) for foot in range(4)])
    assert swing.min() > 0.03, f"feet drag: they rise by only {swing.min():.3f} m"
    share = contact.mean(axis=(0, 1))
    assert (share > 0.3).all() and (share < 0.75).all(), f"feet stand for {share} of the time"
    airborne = (~contact).all(axis=-1).mean()
    assert airborne < 0.25, f"hopping: no foot is on the ground for {airborne:.0%} of the time"
    # A trot: diagonal feet agree, neighbours do not. FR, FL, RR, RL.
    agree = np.mean(contact[..., 0] == contact[..., 3]), np.mean(contact[..., 1] == contact[..., 2])
    assert min(agree) > 0.8, f"diagonal feet agree in {agree} of the steps"
    assert np.mean(contact[..., 0] == contact[..., 1]) < 0.5
    assert base.std(axis=0).max() < 0.03, f"the base bobs by {base.std(axis=0).max():.3f} m"
