# SPDX-License-Identifier: Apache-2.0
"""The skrl trainer on Torch: the contract of the trainers on Torch, and what is its own."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.wrappers.vector import ClipAction
from skrl.agents.torch.ppo.ppo import compute_gae
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.trainers.torch import SequentialTrainer

from adapters import skrl_torch_agent, torch_devices
from adapters.skrl_torch import SkrlTorchTrainer
from adapters.skrl_torch_agent import TimeLimitPPO
from adapters.skrl_torch_models import ActorCritic
from adapters.torch_devices import computes_bfloat16
from tests.adapters.envs import PointEnv
from tests.adapters.torch_contract import (
    TorchTrainerContract,
    assert_equal_states,
    mean_reward,
    small_config,
)

has_bfloat16 = pytest.mark.skipif(
    not computes_bfloat16(torch.device("cpu")), reason="the processor has no bfloat16"
)


class TestSkrlTorchTrainer(TorchTrainerContract):
    trainer = SkrlTorchTrainer
    rate_module = skrl_torch_agent

    def network_actions(self, trainer: Any, observations: np.ndarray) -> np.ndarray:
        agent = trainer.agent
        inputs = {"observations": agent._observation_preprocessor(torch.from_numpy(observations))}
        with torch.no_grad():
            return agent.model.act(inputs, role="policy")[1]["mean_actions"].numpy()

    def stored_actions(self, trainer: Any) -> np.ndarray:
        return trainer.agent.memory.get_tensor_by_name("actions").numpy()

    def value_parameters(self) -> tuple[str, str]:
        return "trunks.1.0", "value_head"

    def returns(self, trainer: Any, monkeypatch: Any) -> np.ndarray:
        seen = []

        def spy(**arguments):
            seen.append(compute_gae(**arguments))
            return seen[0]

        monkeypatch.setattr(skrl_torch_agent, "compute_gae", spy)
        trainer._collect()
        trainer._learn()
        return seen[0][0][:, :, 0].numpy()

    def test_values_pass_both_normalisers(self):
        """V(s) = s again, by a network that speaks in normalised observations and values."""
        trainer = self.make(
            share_policy_value_features=False, value_hidden_layer_sizes=(4,), activation="relu"
        )
        state = trainer.state()
        scalers = {"observation_scaler": np.full(4, 1.0), "value_scaler": np.full(1, 3.0)}
        for name, mean in scalers.items():
            state[f"trainer/{name}/running_mean"] = mean
            state[f"trainer/{name}/running_variance"] = np.full_like(mean, 4.0)
        hidden, last = (f"network/{layer}" for layer in self.value_parameters())
        state[f"{hidden}.weight"] = np.diag([2.0, 0, 0, 0]).astype(np.float32)  # (x - 1) / 2 -> x
        state[f"{hidden}.bias"] = np.array([1, 0, 0, 0], np.float32)
        state[f"{last}.weight"] = np.array([[0.5, 0, 0, 0]], np.float32)  # v -> (v - 3) / 2
        state[f"{last}.bias"] = np.array([-1.5], np.float32)
        trainer.restore(state)
        observations = torch.tensor([[0.0, 9, 9, 9], [4.0, -9, 0, 1], [7.5, 0, 0, 0]])
        values = trainer.agent.predict_values(observations)
        np.testing.assert_allclose(values[:, 0], [0.0, 4.0, 7.5], atol=1e-5)

    def test_returns_are_learned_in_the_scale_that_has_taken_them_in(self, monkeypatch):
        trainer = self.make(learning_epochs=1, mini_batches=1)
        loss, every = trainer.agent._loss, []

        def spy(*columns):
            scaler = trainer.agent._value_preprocessor
            returns = scaler(columns[5], inverse=True)
            every.append(returns.clone())
            seen = torch.cat([torch.zeros(1, 1), *every])  # skrl starts with a sample of mean 0
            torch.testing.assert_close(scaler.running_mean.float(), seen.mean(dim=0))
            return loss(*columns)

        monkeypatch.setattr(trainer.agent, "_loss", spy)
        trainer.update()
        trainer.update()
        assert len(every) == 2

    def test_normalisers_take_in_every_observation_once(self):
        trainer = self.make(rollouts=4)
        seen = []
        for _ in range(2):
            trainer.update()
            observations = trainer.agent.memory.get_tensor_by_name("observations")
            seen.append(observations.reshape(-1, 4).numpy().copy())
        state = trainer.state()
        every = np.concatenate([np.zeros((1, 4)), *seen])  # skrl starts with one sample of zero
        assert state["trainer/observation_scaler/current_count"] == len(every)
        np.testing.assert_allclose(
            state["trainer/observation_scaler/running_mean"], every.mean(axis=0), atol=1e-5
        )

    @has_bfloat16
    def test_mixed_precision_acts_and_learns_alike(self):
        trainer = self.make(mixed_precision=True, learning_epochs=1, mini_batches=1)
        scalars = trainer.update()
        assert abs(scalars["Learning / KL divergence"]) < 1e-6
        exact = self.make(learning_epochs=1, mini_batches=1)
        exact.update()
        ours, theirs = trainer.state(), exact.state()
        name = "network/trunks.0.2.weight"
        assert not np.array_equal(ours[name], theirs[name])
        np.testing.assert_allclose(ours[name], theirs[name], atol=3e-3)

    def test_mixed_precision_without_fast_bfloat16_is_float32(self, monkeypatch):
        monkeypatch.setattr(torch_devices, "computes_bfloat16", lambda device: False)
        asked, exact = self.make(mixed_precision=True), self.make()
        for trainer in (asked, exact):
            trainer.update()
        assert_equal_states(asked.state(), exact.state())

    @has_bfloat16
    def test_mixed_precision_resumes_exactly(self):
        trainer = self.make(mixed_precision=True)
        trainer.update()
        resumed = self.make(mixed_precision=True)
        resumed.restore(trainer.state())
        trainer.update()
        resumed.update()
        for name, array in trainer.state().items():
            np.testing.assert_array_equal(array, resumed.state()[name], err_msg=name)


def test_agent_learns_inside_skrl_own_trainer():
    config = small_config(num_envs=32, learning_epochs=4, mini_batches=4)
    env = wrap_env(ClipAction(PointEnv(32)), wrapper="gymnasium")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ActorCritic(env.observation_space, env.action_space, config, torch.device("cpu"))
    memory = RandomMemory(memory_size=config.rollouts, num_envs=32)
    agent = TimeLimitPPO(model, memory, config, torch.Generator().manual_seed(0))

    def policy(observations):
        outputs = agent.act(torch.from_numpy(observations), None, timestep=0, timesteps=0)[1]
        return outputs["mean_actions"].clamp(-1.0, 1.0).numpy()

    before = mean_reward(policy)
    settings = {"timesteps": 16 * 40, "headless": True, "disable_progressbar": True}
    settings["close_environment_at_exit"] = False
    SequentialTrainer(cfg=settings, env=env, agents=agent).train()
    assert len(agent.tracking_data["Learning / KL divergence"]) == 40
    assert mean_reward(policy) > before + 0.3


def test_import_makes_waiting_threads_passive(python):
    program = "import os, adapters.skrl_torch; print(os.environ['OMP_WAIT_POLICY'])"
    assert python(program, OMP_WAIT_POLICY=None).strip() == "PASSIVE"
    assert python(program, OMP_WAIT_POLICY="ACTIVE").strip() == "ACTIVE"
