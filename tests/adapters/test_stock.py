# SPDX-License-Identifier: Apache-2.0
"""The libraries' own loops as trainers: right returns, the settings of ours, and no resuming."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

pytest.importorskip("jax")
pytest.importorskip("skrl")
pytest.importorskip("stable_baselines3")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import torch  # noqa: E402
from skrl.agents.jax.ppo import PPO as SkrlJaxPPO  # noqa: E402
from skrl.agents.jax.ppo import ppo as skrl_jax_ppo  # noqa: E402
from skrl.agents.torch.ppo import PPO as SkrlTorchPPO  # noqa: E402
from skrl.agents.torch.ppo import ppo as skrl_torch_ppo  # noqa: E402
from stable_baselines3 import PPO as SB3PPO  # noqa: E402

import adapters  # noqa: E402
from adapters import STOCK, PPOConfig, load_trainer  # noqa: E402
from adapters.skrl_jax import SkrlJaxTrainer  # noqa: E402
from adapters.statistics import RolloutStatistics  # noqa: E402
from adapters.stock.skrl_common import NextStepStatistics  # noqa: E402
from rl_zoo import config as zoo_config  # noqa: E402
from rl_zoo.commands import train  # noqa: E402
from rl_zoo.runs import Run  # noqa: E402
from tests.adapters.envs import CounterEnv, PointEnv, SameStepEnv  # noqa: E402

SKRL = ["stock-skrl-jax", "stock-skrl-torch"]
LIBRARIES_OWN = {
    "stock-skrl-jax": SkrlJaxPPO,
    "stock-skrl-torch": SkrlTorchPPO,
    "stock-sb3": SB3PPO,
}


class NextStep(SameStepEnv):
    """Resets a row in the step after its last one, which ignores the row's action."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}

    def reset(self, **kwargs: Any) -> Any:
        self.ended = np.zeros(self.num_envs, bool)
        return super().reset(**kwargs)

    def step(self, actions: np.ndarray) -> Any:
        assert np.abs(actions).max() <= 1.0
        waiting = self.ended
        self.arrays["elapsed"] += 1
        reward, terminated, truncated, info = self.advance(np.where(waiting[:, None], 0, actions))
        reward, terminated, truncated = (
            np.where(waiting, 0, column) for column in (reward, terminated, truncated)
        )
        self.arrays["elapsed"][waiting] = 0
        self.arrays["episode"][waiting] += np.uint64(1)
        self.start(waiting)
        self.ended = (terminated | truncated).astype(bool)
        return self.observe(), reward, terminated.astype(bool), truncated.astype(bool), info


class NextStepCounterEnv(NextStep, CounterEnv):
    """CounterEnv under NEXT_STEP."""


class NextStepPointEnv(NextStep, PointEnv):
    """PointEnv under NEXT_STEP."""


ENVS = {
    AutoresetMode.SAME_STEP: {"counter": CounterEnv, "point": PointEnv},
    AutoresetMode.NEXT_STEP: {"counter": NextStepCounterEnv, "point": NextStepPointEnv},
}


def make(name: str, kind: str = "point", env_options: dict[str, Any] | None = None, **values: Any):
    """A trainer on PointEnv or CounterEnv, in the mode that it asks for."""
    trainer = load_trainer(name)
    env = ENVS[trainer.autoreset_mode][kind](**{"num_envs": 8} | (env_options or {}))
    small = {
        "seed": 3,
        "num_envs": env.num_envs,
        "rollouts": 16,
        "learning_epochs": 2,
        "mini_batches": 2,
        "policy_hidden_layer_sizes": (16, 8),
        "value_hidden_layer_sizes": (16, 8),
        "initial_log_std": -0.5,
    }
    return trainer(env, PPOConfig(**small | values))


def library(trainer: Any) -> Any:
    """The library's own object."""
    return trainer.model if trainer.name == "stock-sb3" else trainer.agent


def network_actions(trainer: Any, observations: np.ndarray) -> np.ndarray:
    """Mean actions by the library's own network and normaliser."""
    if trainer.name == "stock-sb3":
        tensor, _ = trainer.learner.obs_to_tensor(trainer.normalizer.normalize_obs(observations))
        with torch.no_grad():
            return trainer.learner.get_distribution(tensor).mode().numpy()
    agent = trainer.agent
    tensor = torch.from_numpy if trainer.name == "stock-skrl-torch" else jnp.asarray
    inputs = {"observations": agent._observation_preprocessor(tensor(observations))}
    with torch.no_grad():
        return np.asarray(agent.policy.act(inputs, role="policy")[1]["mean_actions"])


def value_is_the_counter(trainer: Any) -> None:
    """Makes V(s) = s of a value network of one hidden neuron."""
    if trainer.name == "stock-skrl-jax":
        value = trainer.agent.value
        params = jax.tree.map(lambda x: jnp.full_like(x, x.ndim == 2), value.state_dict.params)
        value.state_dict = value.state_dict.replace(params=params)
        return
    if trainer.name == "stock-skrl-torch":
        parameters = trainer.agent.value.named_parameters()
    else:
        parameters = [p for p in trainer.learner.named_parameters() if "value_net" in p[0]]
    for name, parameter in parameters:
        parameter.data.fill_(name.endswith("weight"))


def returns_of(trainer: Any, monkeypatch: Any) -> np.ndarray:
    """The returns (T, N) that the trainer learns from in its next update."""
    if trainer.name == "stock-sb3":
        trainer._collect()
        return trainer.model.rollout_buffer.returns
    seen = []

    def spied(module: Any, name: str) -> None:
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda **kw: seen.append(original(**kw)) or seen[-1])

    spied(skrl_jax_ppo, "_compute_gae")
    spied(skrl_torch_ppo, "compute_gae")
    trainer.update()
    return np.asarray(seen[0][0])[:, :, 0]


@pytest.mark.parametrize("name", STOCK)
def test_returns_are_right_at_time_limits_and_terminations(name, monkeypatch):
    """Rows: truncated, terminated. V(s) = s, discount 0.9, lambda 1."""
    trainer = make(
        name,
        "counter",
        {"num_envs": 2, "terminate": [False, True]},
        rollouts=8,
        mini_batches=1,
        discount_factor=0.9,
        lambda_param=1.0,
        value_hidden_layer_sizes=(1,),
        activation="relu",
        normalize_observations=False,
        normalize_values=False,
    )
    value_is_the_counter(trainer)
    returns = returns_of(trainer, monkeypatch)
    # Under NEXT_STEP an episode takes four steps, the last of which resets.
    second = 4 if name in SKRL else 3
    for start in (0, second):
        rows = returns[start : start + 3].T
        np.testing.assert_allclose(rows, [[4.897, 4.33, 3.7], [2.71, 1.9, 1.0]], atol=1e-5)


@pytest.mark.parametrize("name", STOCK)
def test_a_policy_acts_as_the_librarys_own_network(name):
    trainer = make(name, activation="elu", rewards_shaper_scale=2.0)
    assert type(library(trainer)) is LIBRARIES_OWN[name]
    before = trainer.policy()
    scalars = [trainer.update(), trainer.update()][-1]
    policy = trainer.policy()
    observations = np.random.default_rng(0).normal(0.3, 2.0, (500, 4)).astype(np.float32)
    expected = network_actions(trainer, observations)
    np.testing.assert_allclose(policy.mean(observations), expected, atol=1e-4)
    assert np.ptp(policy.mean(observations) - before.mean(observations)) > 1e-3  # has learned
    np.testing.assert_allclose(np.exp(policy.log_std), np.exp(-0.5), atol=0.05)
    assert policy.metadata["trainer"] == name
    assert (trainer.num_updates, trainer.env_steps) == (2, 2 * 16 * 8)
    tags = ("Physics (s)", "Policy (s)", "Update (s)")
    assert all(scalars[f"Time / {tag}"] > 0.0 for tag in tags)
    assert {"Loss / Policy loss", "Loss / Value loss", "Learning / Learning rate"} <= set(scalars)
    assert "metrics / distance (mean)" in scalars


@pytest.mark.parametrize("name", STOCK)
def test_one_seed_gives_one_result_and_another_another(name):
    trainers = [make(name, rollouts=4, learning_epochs=1, seed=seed) for seed in (4, 3)]
    starts = [trainer.policy().output[0] for trainer in trainers]
    assert not np.array_equal(starts[0], starts[1])
    weights = []
    for _ in range(2):  # a seed is of the global generators, so one trainer comes after the other
        trainer = make(name, rollouts=4, learning_epochs=1)
        trainer.update()
        weights.append(trainer.policy().output[0])
    np.testing.assert_array_equal(*weights)
    assert not np.array_equal(weights[0], starts[1])


@pytest.mark.parametrize("name", STOCK)
def test_a_planned_spread_has_no_effect(name):
    spreads = []
    for values in ({}, {"final_log_std": -3.0}):
        trainer = make(name, rollouts=4, learning_epochs=1, max_env_steps=64, **values)
        trainer.update()
        spreads.append(trainer.policy().log_std)
    np.testing.assert_array_equal(*spreads)


@pytest.mark.parametrize("name", STOCK)
def test_networks_start_orthogonal_with_a_timid_policy(name):
    policy = make(name, policy_hidden_layer_sizes=(4, 4)).policy()
    for weight, bias in policy.hidden:
        np.testing.assert_allclose(weight.T @ weight, 2.0 * np.eye(4), atol=1e-5)
        assert not bias.any()
    weight, _ = policy.output
    np.testing.assert_allclose(weight.T @ weight, 1e-4 * np.eye(2), atol=1e-8)


def test_the_jax_networks_start_as_ours():
    stock = make("stock-skrl-jax")
    ours = SkrlJaxTrainer(PointEnv(8), stock.config)
    for own, other in zip(stock.policy().hidden, ours.policy().hidden, strict=True):
        np.testing.assert_allclose(own[0], other[0], atol=1e-5)


@pytest.mark.parametrize("name", SKRL)
def test_the_rate_follows_the_divergence_up_to_its_ceiling(name):
    high = {"desired_kl": 1e3, "max_learning_rate": 2e-3}
    trainer = make(name, rollouts=4, learning_rate=1e-3, **high)
    assert trainer.update()["Learning / Learning rate"] == pytest.approx(2e-3)


def test_sb3_has_a_fixed_rate():
    trainer = make("stock-sb3", learning_rate=1e-4, desired_kl=1e3)
    assert [trainer.update()["Learning / Learning rate"] for _ in range(2)] == [1e-4, 1e-4]


def test_settings_that_are_on_and_ignored_are_named():
    trainer = load_trainer("stock-sb3")
    follows_divergence = "desired_kl"
    usual = PPOConfig()
    assert trainer.ignored_settings(usual) == ["share_policy_value_features", follows_divergence]
    off = {"share_policy_value_features": False, follows_divergence: 0.0}
    assert trainer.ignored_settings(PPOConfig(**off)) == []
    names = ["noise_correlation", "final_log_std"]
    on = PPOConfig(**off, noise_correlation=0.5, final_log_std=0.0)
    assert trainer.ignored_settings(on) == names


def test_only_settings_that_were_changed_are_noted():
    assert make("stock-sb3").notes() == []
    (note,) = make("stock-sb3", noise_correlation=0.5).notes()
    assert note == "without effect in stock-sb3: noise_correlation"


# NEXT_STEP.


@pytest.mark.parametrize("phases", [[0, 0], [0, 2]])
def test_a_step_that_only_resets_is_not_counted(phases):
    env, statistics = NextStepCounterEnv(2, terminate=[True, False]), NextStepStatistics(2)
    env.reset()
    env.arrays["elapsed"][:] = phases
    steps = [env.step(np.zeros((2, 1))) for _ in range(8)]
    for _, *step in steps:
        statistics.step(*step)
    scalars = statistics.summary()
    assert scalars["Reward / Instantaneous reward (mean)"] == 1.0
    assert scalars["Reward / Instantaneous reward (min)"] == 1.0
    assert scalars["Reward / Total reward (max)"] == 3.0
    assert scalars["Episode / Total timesteps (max)"] == 3.0
    assert scalars["Episode / Terminated rate"] == 0.5


def test_statistics_are_those_of_the_same_episodes_under_same_step():
    """The actions do nothing here, and the rows end at different times."""
    summaries = []
    for env, statistics in (
        (CounterEnv(3, horizon=5), RolloutStatistics(3)),
        (NextStepCounterEnv(3, horizon=5), NextStepStatistics(3)),
    ):
        env.reset()
        env.arrays["elapsed"][:] = [0, 1, 4]
        ended = np.zeros(3)
        while ended.min() < 2:
            _, *step = env.step(np.zeros((3, 1)))
            statistics.step(*step)
            ended += step[1] | step[2]
        summaries.append(statistics.summary())
    assert summaries[0] == summaries[1]


@pytest.mark.parametrize("name", SKRL)
def test_skrl_trainers_ask_for_next_step(name):
    with pytest.raises(ValueError, match="SAME_STEP.*needs.*NEXT_STEP"):
        load_trainer(name)(PointEnv(8), PPOConfig(seed=0, num_envs=8, mini_batches=1))


# The commands.


@pytest.mark.parametrize("name", STOCK)
def test_settings_are_those_of_the_counterpart(name, tmp_path):
    file = tmp_path / "settings.yaml"
    own = adapters.counterpart(name)
    file.write_text(f"ppo:\n  rollouts: 8\n  backends:\n    {own}: {{rollouts: 64}}\n")
    assert zoo_config.load("Motrix/CartPole-v0", "ppo", name, hyperparams=file).rollouts == 64


def test_a_near_miss_is_told_the_right_name():
    with pytest.raises(zoo_config.ConfigError, match="did you mean 'stock-sb3'"):
        zoo_config.load("Motrix/CartPole-v0", "ppo", "stok-sb3")
    with pytest.raises(ValueError, match="did you mean 'stock-sb3'"):
        load_trainer("stok-sb3")


def test_a_missing_library_names_the_counterparts_extra(monkeypatch):
    monkeypatch.setitem(STOCK["stock-sb3"].classes, "ppo", "no_such_library.trainer:Trainer")
    with pytest.raises(adapters.MissingLibraryError, match=r"motrix-gym\[sb3\]"):
        load_trainer("stock-sb3")


@pytest.mark.parametrize("name", ["stock-skrl-torch", "stock-sb3"])
def test_train_makes_a_run_which_cannot_be_resumed(name, tmp_path, capsys):
    small = ["rollouts=8", "mini_batches=2", "max_env_steps=256", "env.max_episode_steps=5"]
    options = ["--num-envs", "16", "--run-dir", str(tmp_path), "--eval-episodes", "4"]
    assert train.main(["--trainer", name, *options, "--set", *small]) == 0
    (folder,) = tmp_path.glob("*/*")
    assert Run.open(folder).policy("latest").metadata["trainer"] == name
    assert train.main(["--resume", str(folder)]) == 1
    assert f"{adapters.counterpart(name)} can" in capsys.readouterr().err
