# SPDX-License-Identifier: Apache-2.0
"""The wrapper for rsl_rl, without its learner; where it is not installed, on stand-ins.

tests/clients trains with the library itself.
"""

import importlib.util
import sys
from types import ModuleType

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import TransformAction

from adapters.seeds import LARGEST_SEED, first_stream
from motrix_gym import Channel, MotrixVectorEnv
from motrix_gym.tasks.basic.cartpole import BALANCE, CartPole

torch = pytest.importorskip("torch")


@pytest.fixture
def wrapper(monkeypatch):
    """Return RslRlVecEnv; its base class is an interface, and a TensorDict a dict of tensors."""
    stand_ins = {
        "rsl_rl.env": {"VecEnv": object},
        "tensordict": {"TensorDict": lambda tensors, batch_size: tensors},
    }
    if not importlib.util.find_spec("rsl_rl"):
        monkeypatch.delitem(sys.modules, "adapters.rsl_rl", raising=False)
        for name, contents in stand_ins.items():
            module = ModuleType(name)
            vars(module).update(contents)
            monkeypatch.setitem(sys.modules, name, module)
    from adapters.rsl_rl import RslRlVecEnv

    return RslRlVecEnv


class Told(CartPole):
    """A cart-pole whose critic is told twice the pole's angle."""

    def observation_channels(self):
        told = Channel("told", "rad", 1, lambda v: 2 * v.qpos[:, 1], privileged=True)
        return [*super().observation_channels(), told]


def make(**kwargs):
    return gymnasium.make_vec("Motrix/WalkerWalk-v0", 4, max_episode_steps=6, **kwargs)


def test_steps_are_those_of_the_environment(wrapper):
    env, plain = wrapper(make(), seed=3), make()
    observations, _ = plain.reset(seed=first_stream(3, "training"))
    assert (env.num_envs, env.num_actions, env.max_episode_length) == (4, 6, 6)
    assert env.cfg == plain.unwrapped.config
    np.testing.assert_array_equal(env.get_observations()["policy"], observations)
    action = np.full((4, 6), 0.3, np.float32)
    for _ in range(13):
        seen, rewards, dones, extras = env.step(torch.from_numpy(action))
        observations, reward, terminated, truncated, info = plain.step(action)
        np.testing.assert_array_equal(seen["policy"], observations)
        np.testing.assert_array_equal(env.get_observations()["policy"], observations)
        np.testing.assert_array_equal(rewards, np.float32(reward))
        np.testing.assert_array_equal(dones, terminated | truncated)
        np.testing.assert_array_equal(extras["time_outs"], truncated & ~terminated)
        np.testing.assert_array_equal(env.episode_length_buf, plain.unwrapped.elapsed_steps)
        assert rewards.dtype == torch.float32 and dones.dtype == torch.bool
        speed = info["metrics"]["speed"].mean()
        assert extras["log"]["metrics / speed (mean)"] == pytest.approx(speed)
        terms = [v for k, v in extras["log"].items() if k.startswith("Reward Instant / ")]
        assert sum(terms) == pytest.approx(reward.mean())
    env.close()
    plain.close()


def test_privileged_channels_are_for_the_critic_alone(wrapper):
    plain, env = (
        wrapper(MotrixVectorEnv(Told(BALANCE), 4, privileged=privileged), seed=3)
        for privileged in (False, True)
    )
    assert plain.get_observations().keys() == {"policy"}
    for _ in range(8):
        seen = env.get_observations()
        assert seen.keys() == {"policy", "critic"}
        np.testing.assert_array_equal(seen["policy"], plain.get_observations()["policy"])
        np.testing.assert_array_equal(seen["policy"], seen["critic"][:, :4])
        np.testing.assert_array_equal(seen["critic"][:, 4], 2 * seen["policy"][:, 1])
        for each in (plain, env):
            each.step(torch.zeros(4, 1))
    plain.close()
    env.close()


def test_setting_the_episode_lengths_staggers_the_time_limits(wrapper):
    env = wrapper(make(), seed=0)
    before = env.get_observations()["policy"].clone()
    env.episode_length_buf = torch.tensor([0, 2, 3, 5])
    assert env.episode_length_buf.tolist() == [0, 2, 3, 5]
    assert not torch.equal(env.get_observations()["policy"], before)
    dones = torch.stack([env.step(torch.zeros(4, 6))[2] for _ in range(6)])
    assert dones.nonzero().tolist() == [[0, 3], [2, 2], [3, 1], [5, 0]]
    env.close()


def test_two_seeds_share_no_stream(wrapper):
    zero, one = (wrapper(make(), seed=seed).get_observations()["policy"] for seed in (0, 1))
    assert not (zero[:, None] == one[None]).all(dim=2).any()  # all pairs of rows


def test_without_a_seed_the_streams_go_on(wrapper):
    env, plain = make(), make()
    for each in (env, plain):
        each.reset(seed=3)
    observations, _ = plain.reset()
    np.testing.assert_array_equal(wrapper(env).get_observations()["policy"], observations)


def test_actions_are_those_of_the_outermost_wrapper(wrapper):
    (halves, all_halves) = (Box(-1, 1, (3,)), Box(-1, 1, (4, 3)))
    envs = TransformAction(
        make(),
        lambda actions: np.tile(actions, 2),
        action_space=all_halves,
        single_action_space=halves,
    )
    env = wrapper(envs, seed=0)
    assert env.num_actions == 3
    env.step(torch.zeros(4, env.num_actions))
    env.close()


def test_what_rsl_rl_cannot_use_is_refused(wrapper):
    with pytest.raises(ValueError, match=f"seed={LARGEST_SEED + 1} is not from 0 to"):
        wrapper(make(), seed=LARGEST_SEED + 1)
    with pytest.raises(ValueError, match="NEXT_STEP.*SAME_STEP"):
        wrapper(make(autoreset_mode=AutoresetMode.NEXT_STEP))
    how = {"vector_kwargs": {"autoreset_mode": AutoresetMode.SAME_STEP}}
    with pytest.raises(ValueError, match="needs a MotrixVectorEnv, got SyncVectorEnv"):
        wrapper(gymnasium.make_vec("Pendulum-v1", vectorization_mode="sync", **how))


def test_a_task_without_a_time_limit_has_the_largest_one(wrapper):
    envs = gymnasium.make_vec("Motrix/CartPole-v0", max_episode_steps=None)
    assert wrapper(envs).max_episode_length == sys.maxsize
