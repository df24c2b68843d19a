# SPDX-License-Identifier: Apache-2.0
"""What both trainers on Torch promise, as tests; `test_skrl_torch` and `test_sb3` run them."""

import functools
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy import random as global_random
from safetensors.numpy import load, save

from adapters import PPOConfig
from adapters.torch_trainer import TorchTrainer
from tests.adapters.envs import TAGS, TIMES, CounterEnv, PointEnv

torch.set_num_threads(1)


def small_config(**values: Any) -> PPOConfig:
    defaults = {
        "seed": 3,
        "num_envs": 8,
        "rollouts": 16,
        "learning_epochs": 2,
        "mini_batches": 2,
        "policy_hidden_layer_sizes": (16, 8),
        "value_hidden_layer_sizes": (16, 8),
        "initial_log_std": -0.5,
        "discount_factor": 0.95,
    }
    return PPOConfig(**(defaults | values))


class TorchTrainerContract:
    """The contract; a subclass names the trainer and reaches into its library."""

    trainer: type[TorchTrainer]
    rate_module: ModuleType  # the module that bounds the adaptive learning rate

    def network_actions(self, trainer: Any, observations: np.ndarray) -> np.ndarray:
        """Returns the mean actions by the library's own network and normaliser."""
        raise NotImplementedError

    def stored_actions(self, trainer: Any) -> np.ndarray:
        """Returns the actions of the last rollout as they were stored."""
        raise NotImplementedError

    def value_parameters(self) -> tuple[str, str]:
        """Returns the names of the value network's layers: a hidden one and the last."""
        raise NotImplementedError

    def returns(self, trainer: Any, monkeypatch: Any) -> np.ndarray:
        """Returns the returns (T, N) that the trainer learns from in its next update."""
        raise NotImplementedError

    def make(self, env: Any = None, **values: Any) -> Any:
        return self.trainer(env or PointEnv(8), small_config(**values))

    def test_an_update_gives_the_agreed_tags(self):
        trainer = self.make(rollouts=32)
        scalars = trainer.update()
        assert not TAGS - scalars.keys()
        assert all(isinstance(value, float) and np.isfinite(value) for value in scalars.values())
        assert trainer.num_updates == 1
        assert trainer.env_steps == 32 * 8

    def test_time_is_split_honestly(self, monkeypatch):
        """By a clock that only acting, stepping and learning move on."""
        now = [0.0]

        def takes(seconds, call):
            def taking(*args, **kwargs):
                now[0] += seconds
                return call(*args, **kwargs)

            return taking

        env = PointEnv(8)
        trainer = self.make(env)
        monkeypatch.setattr(time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(env, "step", takes(2.0, env.step))
        monkeypatch.setattr(trainer, "_collect", takes(3.0, trainer._collect))
        monkeypatch.setattr(trainer, "_learn", takes(5.0, trainer._learn))
        scalars = trainer.update()
        assert [scalars[f"Time / {part} (s)"] for part in ("Physics", "Policy", "Update")] == [
            16 * 2.0,
            3.0,
            5.0,
        ]

    def test_returns_bootstrap_time_limits_and_nothing_else(self, monkeypatch):
        """Rows: truncated, terminated, both at once. V(s) = s, discount 0.9, lambda 1."""
        env = CounterEnv(3, terminate=[False, True, True], truncate=[True, False, True])
        trainer = self.make(
            env,
            num_envs=3,
            rollouts=7,
            mini_batches=1,
            discount_factor=0.9,
            lambda_param=1.0,
            share_policy_value_features=False,
            value_hidden_layer_sizes=(1,),
            activation="relu",
            normalize_observations=False,
            normalize_values=False,
        )
        parameters = dict(trainer.network.named_parameters())
        for layer in self.value_parameters():
            parameters[f"{layer}.weight"].data.fill_(1.0)
            parameters[f"{layer}.bias"].data.zero_()
        returns = self.returns(trainer, monkeypatch)
        # The seventh step is the first of an episode, cut by the end of the rollout at V(1) = 1.
        truncated, terminated = [4.897, 4.33, 3.7], [2.71, 1.9, 1.0]
        expected = [truncated * 2 + [1.9], terminated * 2 + [1.9], terminated * 2 + [1.9]]
        np.testing.assert_allclose(returns.T, expected, atol=1e-5)

    def test_resumed_run_equals_uninterrupted_one(self):
        rising = {"learning_rate": 2e-5, "desired_kl": 1e3}
        assert_resumes_exactly(functools.partial(self.make, **rising), updates=2)

    def test_one_seed_gives_identical_weights(self):
        states = []
        for seed in (3, 3, 4):
            trainer = self.make(seed=seed)
            for _ in range(2):
                trainer.update()
            torch.rand(1)  # somebody else's use of the global generators must not matter
            global_random.random()
            states.append(trainer.state())
        assert_equal_states(states[0], states[1])
        name = next(name for name in states[0] if name.startswith("network/"))
        assert not np.array_equal(states[0][name], states[2][name])

    def test_global_generators_are_left_alone(self):
        torch_state, numpy_state = torch.get_rng_state(), global_random.get_state()[1]
        self.make().update()
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(global_random.get_state()[1], numpy_state)

    def test_state_of_another_network_is_refused(self):
        with pytest.raises(ValueError, match="another network"):
            self.make(policy_hidden_layer_sizes=(32, 8)).restore(self.make().state())

    @pytest.mark.parametrize("activation", ["elu", "relu", "tanh"])
    @pytest.mark.parametrize("normalize", [True, False])
    @pytest.mark.parametrize("share", [True, False])
    def test_portable_policy_acts_as_the_network(self, activation, normalize, share):
        trainer = self.make(
            activation=activation,
            normalize_observations=normalize,
            share_policy_value_features=share,
        )
        for _ in range(2):
            trainer.update()
        observations = np.random.default_rng(0).normal(0.3, 2.0, (500, 4)).astype(np.float32)
        policy = trainer.policy()
        expected = self.network_actions(trainer, observations)
        np.testing.assert_allclose(policy.mean(observations), expected, rtol=1e-3, atol=1e-5)
        assert np.ptp(expected) > 1e-3
        assert np.isfinite(policy.observation_clip) == normalize
        np.testing.assert_allclose(np.exp(policy.log_std), np.exp(-0.5), atol=0.05)
        assert policy.metadata["trainer"] == trainer.name

    def test_actions_are_clipped_for_the_environment_only(self):
        trainer = self.make(initial_log_std=1.0)
        trainer.update()  # PointEnv raises at an action outside of its box
        assert np.abs(self.stored_actions(trainer)).max() > 1.0

    def test_reward_scale_reaches_the_learner_but_not_the_log(self, monkeypatch):
        logged, returns = [], []
        for scale in (1.0, 0.5):
            trainer = self.make(rewards_shaper_scale=scale, normalize_values=False, rollouts=1)
            for name, parameter in trainer.network.named_parameters():
                if name.startswith(self.value_parameters()[1]):
                    parameter.data.zero_()  # so that returns are rewards
            returns.append(self.returns(trainer, monkeypatch))
            logged.append(trainer.statistics.summary()["Reward / Instantaneous reward (mean)"])
        assert logged[0] == logged[1] == pytest.approx(returns[0].mean(), rel=1e-4)
        np.testing.assert_allclose(returns[1], 0.5 * returns[0], rtol=1e-6)

    def test_adaptive_rate_keeps_its_ceiling_and_floor(self, monkeypatch):
        high = {"desired_kl": 1e3, "max_learning_rate": 2e-3}
        rising = self.make(learning_rate=1e-3, **high)
        rates = [rising.update()["Learning / Learning rate"] for _ in range(4)]
        assert rates[0] > 1e-3
        assert rates[-2:] == [2e-3, 2e-3]

        # The floor is raised: at a rate of 1e-6, rounding is as large as the divergence.
        monkeypatch.setattr(self.rate_module, "MIN_LEARNING_RATE", 5e-4)
        falling = self.make(learning_rate=1e-3, desired_kl=1e-9)
        assert falling.update()["Learning / Learning rate"] < 1e-3
        assert falling.update()["Learning / Learning rate"] == 5e-4

    @pytest.mark.parametrize("threshold", [0, None])
    def test_rate_is_fixed_without_a_threshold(self, threshold):
        trainer = self.make(learning_rate=3e-3, desired_kl=threshold)
        assert [trainer.update()["Learning / Learning rate"] for _ in range(2)] == [3e-3, 3e-3]

    def test_divergence_ends_an_update_early(self):
        steps, fast = [], {"learning_rate": 1e-2, "max_learning_rate": 1e-2, "mini_batches": 4}
        for threshold in (0.0, 1e-4):  # one step at this rate diverges by a hundred times as much
            trainer = self.make(early_stop_kl=threshold, **fast)
            trainer.update()
            steps.append(int(trainer.state()["adam/0/step"]))
        assert steps[0] == 2 * 4
        assert 1 <= steps[1] < steps[0]

    def test_trunk_is_shared_if_asked_and_sizes_are_equal(self):
        sizes = {"policy_hidden_layer_sizes": (16, 8), "value_hidden_layer_sizes": (16, 8)}
        trunk, heads = 4 * 16 + 16 + 16 * 8 + 8, 8 * 2 + 2 + 8 + 1 + 2
        assert self.count(**sizes, share_policy_value_features=True) == trunk + heads
        assert self.count(**sizes, share_policy_value_features=False) == 2 * trunk + heads
        sizes["value_hidden_layer_sizes"] = (8,)
        separate = trunk + 4 * 8 + 8 + heads
        assert self.count(**sizes, share_policy_value_features=True) == separate

    def count(self, **values: Any) -> int:
        return sum(p.numel() for p in self.make(**values).network.parameters())

    def test_networks_start_orthogonal_with_a_timid_policy(self):
        trainer = self.make(policy_hidden_layer_sizes=(4, 4), share_policy_value_features=False)
        policy = trainer.policy()
        for weight, bias in policy.hidden:
            np.testing.assert_allclose(weight.T @ weight, 2.0 * np.eye(4), atol=1e-5)
            assert not bias.any()
        weight, _ = policy.output
        np.testing.assert_allclose(weight.T @ weight, 1e-4 * np.eye(2), atol=1e-8)

    def test_first_gradient_step_starts_from_the_acting_policy(self):
        """A normaliser that moved before the update would show as a divergence."""
        trainer = self.make(learning_epochs=1, mini_batches=1)
        for _ in range(3):
            scalars = trainer.update()
            assert abs(scalars["Learning / KL divergence"]) < 1e-6
            assert scalars["Learning / Clip fraction"] == 0.0

    @pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
    def test_missing_gpu_is_said(self):
        with pytest.raises(ValueError, match="'cuda' is not available.*0 CUDA devices"):
            self.trainer(PointEnv(8), small_config(), device="cuda")

    @pytest.mark.parametrize("device", ["gpu", "meta"])
    def test_odd_device_is_refused(self, device):
        with pytest.raises(ValueError, match=f"{device}.*'cpu', 'cuda'"):
            self.trainer(PointEnv(8), small_config(), device=device)

    def test_learns_to_reach_a_point(self):
        values = {"num_envs": 64, "learning_epochs": 4, "mini_batches": 4, "max_env_steps": 100_000}
        trainer = self.make(
            PointEnv(64),
            **values,
            policy_hidden_layer_sizes=(32, 32),
            value_hidden_layer_sizes=(32, 32),
        )
        before = mean_reward(trainer.policy())
        for _ in range(45):
            trainer.update()
        assert before < 0.4
        assert mean_reward(trainer.policy()) > 0.8


def mean_reward(policy: Any) -> float:
    env = PointEnv(32)
    observations, _ = env.reset(seed=1000)
    rewards = []
    for _ in range(40):
        observations, reward, *_ = env.step(policy(observations))
        rewards.append(reward.mean())
    return float(np.mean(rewards))


def assert_resumes_exactly(make: Callable[..., Any], updates: int) -> None:
    """A trainer that goes on from a state after so many updates ends as one that was not stopped.

    `make` returns a trainer, with another seed if it is given `seed`.
    """
    trainer = make()
    for _ in range(updates):
        trainer.update()
    saved = trainer.state()
    stored = save(saved)
    expected = [trainer.update() for _ in range(3)]

    resumed = make(seed=99)
    resumed.update()
    resumed.restore(load(stored))
    assert_equal_states(resumed.state(), load(stored))
    for scalars in expected:
        scalars = {tag: value for tag, value in scalars.items() if tag not in TIMES}
        assert scalars.items() <= resumed.update().items()
    assert_equal_states(resumed.state(), trainer.state())
    assert_equal_states(saved, load(stored))  # a state is a copy, which training leaves alone


def assert_equal_states(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name, strict=True)
