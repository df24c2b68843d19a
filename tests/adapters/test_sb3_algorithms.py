# SPDX-License-Identifier: Apache-2.0
"""What the trainers of Stable-Baselines3's and sb3-contrib's other algorithms promise."""

import functools
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector.utils import batch_space
from numpy import random as global_random

from adapters import ALGORITHMS, Policy, load_trainer
from tests.adapters.envs import TIMES, CounterEnv, PointEnv, SameStepEnv
from tests.adapters.torch_contract import (
    assert_equal_states,
    assert_resumes_exactly,
    mean_reward,
)

torch.set_num_threads(1)

OFF_POLICY = ("sac", "td3", "tqc", "crossq")
ON_POLICY = ("trpo", "recurrent_ppo")
OTHERS = (*OFF_POLICY, *ON_POLICY, "ars")
ACTS_BY_STEPS = ("sac", "td3", "tqc", "crossq", "trpo", "ars")  # without a memory

SMALL: dict[str, dict[str, Any]] = {
    "ars": {"n_top": 3},
    "trpo": {"rollouts": 16, "mini_batches": 2},
    "recurrent_ppo": {"rollouts": 16, "mini_batches": 2, "learning_epochs": 2}
    | {"lstm_hidden_size": 8, "n_lstm_layers": 2},
} | dict.fromkeys(
    OFF_POLICY,
    # A buffer that is full after 25 vector steps, and a first update that does not learn.
    {"rollouts": 3, "learning_starts": 24, "batch_size": 16, "gradient_steps": 3}
    | {"buffer_size": 200},
)


class NarrowEnv(PointEnv):
    """A PointEnv whose actions have other bounds, which are not symmetric."""

    def __init__(self, num_envs: int = 8):
        super().__init__(num_envs)
        low, high = np.float32([-1.0, -0.25]), np.float32([0.5, 0.75])
        self.single_action_space = gymnasium.spaces.Box(low, high)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def step(self, actions):
        if not self.action_space.contains(np.asarray(actions, np.float32)):
            raise ValueError(f"actions {actions} are not in {self.action_space}")
        return super().step(actions)


def make(algo: str, env: Any = None, **values: Any) -> Any:
    sizes = {"policy_hidden_layer_sizes": (16, 8), "value_hidden_layer_sizes": (16,)}
    settings = {"seed": 3, "num_envs": 8} | SMALL[algo] | ({} if algo == "ars" else sizes) | values
    return load_trainer("sb3", algo)(env or PointEnv(8), ALGORITHMS[algo](**settings))


@pytest.fixture(params=OTHERS)
def algo(request):
    return request.param


def test_an_update_counts_its_steps_and_gives_its_tags(algo):
    trainer = make(algo)
    for _ in range(8):
        scalars = trainer.update()
    assert all(isinstance(value, float) and np.isfinite(value) for value in scalars.values())
    wanted = TIMES | {"Learning / Learning rate", "Reward / Total reward (mean)"}
    wanted |= set() if algo == "ars" else {"Loss / Policy loss", "Loss / Value loss"}
    assert not wanted - scalars.keys()
    assert trainer.num_updates == 8
    if algo != "ars":
        assert trainer.vector_steps == 8 * trainer.config.rollouts
    assert trainer.env_steps == 8 * trainer.vector_steps
    about = trainer.policy().metadata
    assert (about["algo"], about["env_steps"]) == (algo, trainer.env_steps)


@pytest.mark.parametrize("normalize", [False, True])
def test_resumed_run_equals_uninterrupted_one(algo, normalize):
    """Also after the replay buffer has come round."""
    for updates in (1, 12):
        make_one = functools.partial(make, algo, normalize_observations=normalize)
        assert_resumes_exactly(make_one, updates)


def test_one_seed_gives_identical_weights(algo):
    states = []
    for seed in (3, 3, 4):
        trainer = make(algo, seed=seed)
        for _ in range(3):
            trainer.update()
            torch.rand(1)  # somebody else's use of the global generators must not matter
            global_random.random()
        states.append(trainer.state())
    assert_equal_states(states[0], states[1])
    name = next(name for name in states[0] if name.startswith("network/"))
    assert not np.array_equal(states[0][name], states[2][name])


def test_global_generators_are_left_alone(algo):
    env = PointEnv(8)
    space = env.single_action_space
    space.seed(7)
    torch_state, numpy_state = torch.get_rng_state(), global_random.get_state()[1]
    space_state = space.np_random.bit_generator.state
    trainer = make(algo, env)
    for _ in range(2):
        trainer.update()
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(global_random.get_state()[1], numpy_state)
    assert space.np_random.bit_generator.state == space_state


# Policies.


def trained(algo: str, **values: Any) -> Any:
    """A trainer whose weights are large enough to bound actions, and whose normalisers moved."""
    trainer = make(algo, NarrowEnv(), **values)
    for _ in range(10):
        trainer.update()
    generator = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in trainer.network.parameters():
            noise = generator.normal(0.0, 0.3, parameter.shape)
            parameter += torch.from_numpy(noise.astype(np.float32))
    return trainer


def library_actions(trainer: Any, observations: np.ndarray, **how: Any) -> np.ndarray:
    normalized = trainer.normalizer.normalize_obs(observations)
    return trainer.model.policy.predict(normalized, **how)[0]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("activation", ["elu", "relu", "tanh"])
@pytest.mark.parametrize("algo", ACTS_BY_STEPS)
def test_portable_policy_acts_as_the_network(tmp_path, algo, activation, normalize):
    extra = {} if algo == "ars" else {"activation": activation}
    trainer = trained(algo, normalize_observations=normalize, **extra)
    observations = np.random.default_rng(1).normal(0.3, 1.0, (500, 4)).astype(np.float32)
    trainer.policy().save(tmp_path)
    actions = Policy.load(tmp_path)(observations)
    expected = library_actions(trainer, observations, deterministic=True)
    np.testing.assert_allclose(actions, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 0.1


@pytest.mark.parametrize("algo", ["sac", "tqc", "crossq", "trpo"])
def test_portable_policy_draws_as_the_network(algo):
    trainer = trained(algo)
    policy = trainer.policy()
    widths = []
    for observation in np.random.default_rng(2).normal(0.0, 1.0, (4, 4)).astype(np.float32):
        rows = np.repeat(observation[None], 40_000, axis=0)
        ours = policy.sample(rows, np.random.default_rng(0))
        with trainer.seeded():
            theirs = library_actions(trainer, rows, deterministic=False)
        # Shares below an edge, a little above what is clipped; by chance they differ by 0.0035.
        edges = np.quantile(ours, np.linspace(0.1, 0.9, 9), axis=0)
        shares, expected = ((drawn < edges[:, None] + 1e-3).mean(1) for drawn in (ours, theirs))
        np.testing.assert_allclose(shares, expected, atol=0.03)
        widths.append(edges[-1] - edges[0])
    assert np.max(widths) > 0.03


@pytest.mark.parametrize("algo", ["td3", "ars"])
def test_policies_that_the_library_draws_nothing_from_have_no_spread(algo):
    policy = trained(algo).policy()
    observations = np.random.default_rng(1).normal(0.0, 1.0, (50, 4)).astype(np.float32)
    drawn = policy.sample(observations, np.random.default_rng(0))
    np.testing.assert_allclose(drawn, policy(observations), atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
def test_portable_policy_remembers_as_the_lstm(tmp_path, layers):
    trainer = trained("recurrent_ppo", n_lstm_layers=layers)
    trainer.policy().save(tmp_path)
    policy = Policy.load(tmp_path)
    act, draw = policy.actor(), policy.actor(np.random.default_rng(0))
    generator = np.random.default_rng(1)
    state, starts, gaps = None, np.ones(6, bool), []
    for _ in range(20):
        observations = generator.normal(0.0, 1.0, (6, 4)).astype(np.float32)
        expected, state = trainer.model.policy.predict(
            trainer.normalizer.normalize_obs(observations), state, starts, deterministic=True
        )
        actions = act(observations, starts)
        np.testing.assert_allclose(actions, expected, atol=1e-4)
        forgetful = policy.actor()(observations, np.ones(6, bool))
        gaps.append(np.abs(actions - forgetful).max())
        assert np.abs(draw(observations, starts) - actions).max() > 0.01
        starts = generator.random(6) < 0.2
    assert max(gaps) > 0.05
    with pytest.raises(ValueError, match="the policy has an LSTM"):
        policy(observations)


def test_crossq_policy_takes_over_the_normalisations():
    """Also those that have counted many batches, of observations far from 0."""
    trainer = trained("crossq", normalize_observations=False)
    generator = torch.Generator().manual_seed(0)
    for name, buffer in trainer.network.named_buffers():
        if name.endswith("ra_mean"):
            buffer.normal_(0.0, 2.0, generator=generator)
        elif name.endswith("ra_var"):
            buffer.uniform_(0.01, 4.0, generator=generator)
    observations = np.random.default_rng(1).normal(0.0, 2.0, (500, 4)).astype(np.float32)
    expected = library_actions(trainer, observations, deterministic=True)
    np.testing.assert_allclose(trainer.policy()(observations), expected, atol=1e-4)


# Time limits.


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("algo", OFF_POLICY)
def test_time_limits_do_not_end_the_task_in_the_buffer(algo, normalize):
    """Rows: truncated, terminated, both at once."""

    class FarEnv(CounterEnv):
        """Its last observation is so far from the others that a normaliser clips it."""

        def observe(self):
            observations = super().observe()
            return np.where(observations == self.horizon, 1e4, observations)

    env = FarEnv(3, terminate=[False, True, True], truncate=[True, False, True])
    trainer = make(algo, env, num_envs=3, rollouts=7, normalize_observations=normalize)
    trainer.update()
    buffer = trainer.model.replay_buffer
    before, after = buffer.observations[:7, :, 0], buffer.next_observations[:7, :, 0]
    np.testing.assert_array_equal(before, np.repeat([[0, 1, 2, 0, 1, 2, 0]], 3, 0).T)
    np.testing.assert_array_equal(after, np.repeat([[1, 2, 1e4, 1, 2, 1e4, 1]], 3, 0).T)
    np.testing.assert_array_equal(buffer.rewards[:7], 1.0)
    ends = buffer.dones[:7] * (1 - buffer.timeouts[:7])  # what the targets are made of
    np.testing.assert_array_equal(ends[:, 0], 0.0)
    for row in (1, 2):
        np.testing.assert_array_equal(ends[:, row], [0, 0, 1, 0, 0, 1, 0])


def test_trpo_pays_at_time_limits_and_nowhere_else():
    """As the contract of the PPO trainers: V(s) = s, discount 0.9, lambda 1."""
    env = CounterEnv(3, terminate=[False, True, True], truncate=[True, False, True])
    trainer = make(
        "trpo",
        env,
        num_envs=3,
        rollouts=7,
        mini_batches=1,
        discount_factor=0.9,
        lambda_param=1.0,
        value_hidden_layer_sizes=(1,),
        activation="relu",
        normalize_observations=False,
        normalize_values=False,
    )
    parameters = dict(trainer.network.named_parameters())
    for layer in ("mlp_extractor.value_net.0", "value_net"):
        parameters[f"{layer}.weight"].data.fill_(1.0)
        parameters[f"{layer}.bias"].data.zero_()
    trainer._collect()
    truncated, terminated = [4.897, 4.33, 3.7], [2.71, 1.9, 1.0]
    expected = [truncated * 2 + [1.9], terminated * 2 + [1.9], terminated * 2 + [1.9]]
    np.testing.assert_allclose(trainer.model.rollout_buffer.returns.T, expected, atol=1e-5)


def test_recurrent_ppo_pays_at_time_limits_and_nowhere_else():
    """V is 10 everywhere, discount 0.9, lambda 1."""
    env = CounterEnv(3, terminate=[False, True, True], truncate=[True, False, True])
    trainer = make(
        "recurrent_ppo",
        env,
        num_envs=3,
        rollouts=7,
        mini_batches=1,
        discount_factor=0.9,
        lambda_param=1.0,
        normalize_values=False,
    )
    trainer.learner.value_net.weight.data.zero_()
    trainer.learner.value_net.bias.data.fill_(10.0)
    trainer._collect()
    truncated, terminated = [10.0, 10.0, 10.0], [2.71, 1.9, 1.0]
    expected = [truncated * 2 + [10.0], terminated * 2 + [10.0], terminated * 2 + [10.0]]
    np.testing.assert_allclose(trainer.model.rollout_buffer.returns.T, expected, atol=1e-5)


# What is each algorithm's own.


@pytest.mark.parametrize("algo", OFF_POLICY)
def test_learning_starts_when_told_with_as_many_gradient_steps_as_told(algo):
    trainer = make(algo, learning_starts=80, gradient_steps=5, rollouts=2)
    for updates in range(1, 8):
        scalars = trainer.update()
        learned = max(updates - 80 // 16, 0)
        assert trainer.model._n_updates == 5 * learned
        assert ("Loss / Value loss" in scalars) == (learned > 0)
    assert int(trainer.state()["critic/0/step"]) == 5 * 2


@pytest.mark.parametrize("algo", OFF_POLICY)
def test_first_actions_are_random_and_fill_the_box(algo):
    settings = {"learning_starts": 10_000, "rollouts": 500, "buffer_size": 8 * 500}
    trainer = make(algo, NarrowEnv(), **settings)
    trainer.update()
    actions = trainer.model.replay_buffer.actions  # scaled to [-1, 1]
    # The standard error of the median of 8,000 uniform draws is 0.011.
    np.testing.assert_allclose(np.quantile(actions, [0.1, 0.5, 0.9]), [-0.8, 0, 0.8], atol=0.08)


def test_settings_reach_the_library_under_its_names():
    tqc = make(
        "tqc",
        n_critics=3,
        n_quantiles=7,
        top_quantiles_to_drop_per_net=1,
        tau=0.02,
        ent_coef=0.3,
        target_entropy=-1.5,
        discount_factor=0.9,
        learning_rate=2e-4,
    ).model
    assert (tqc.critic.n_critics, tqc.critic.n_quantiles) == (3, 7)
    assert (tqc.top_quantiles_to_drop_per_net, tqc.tau, tqc.gamma) == (1, 0.02, 0.9)
    assert (float(tqc.ent_coef_tensor), tqc.target_entropy) == (pytest.approx(0.3), -1.5)
    assert tqc.critic.optimizer.param_groups[0]["lr"] == 2e-4
    assert tqc.replay_buffer.buffer_size == 200 // 8
    td3 = make("td3", policy_delay=4, target_policy_noise=0.1, target_noise_clip=0.3).model
    assert (td3.policy_delay, td3.target_policy_noise, td3.target_noise_clip) == (4, 0.1, 0.3)
    assert make("crossq", policy_delay=5).model.policy_delay == 5
    trpo = make("trpo", target_kl=0.02, cg_max_steps=5, cg_damping=0.2, n_critic_updates=3).model
    assert (trpo.target_kl, trpo.cg_max_steps) == (0.02, 5)
    assert (trpo.cg_damping, trpo.n_critic_updates, trpo.batch_size) == (0.2, 3, 64)
    ppo = make("recurrent_ppo", ratio_clip=0.3, value_clip=0.4, clip_predicted_values=True).model
    assert (ppo.clip_range(1.0), ppo.clip_range_vf(1.0), ppo.batch_size) == (0.3, 0.4, 64)


def test_td3_explores_with_noise_and_acts_without():
    spreads = []
    for noise in (0.0, 0.4):
        settings = {"learning_starts": 0, "rollouts": 100, "buffer_size": 8 * 100}
        trainer = make("td3", action_noise=noise, learning_rate=1e-9, **settings)
        trainer.update()
        buffer = trainer.model.replay_buffer
        flat = buffer.observations.reshape(-1, 4)
        rest = buffer.actions.reshape(-1, 2) - trainer.policy()(flat)
        spreads.append(rest.std())
    assert spreads[0] < 1e-4
    assert spreads[1] == pytest.approx(0.4, rel=0.15)  # of 1,600 draws: 1.8 % by chance


def test_trpo_keeps_to_its_trust_region():
    trainer = make("trpo", target_kl=0.005)
    divergences = [trainer.update()["Learning / KL divergence"] for _ in range(5)]
    assert max(divergences) <= 0.005
    assert max(divergences) > 0.0005


def test_state_without_its_replay_buffer_is_refused():
    trainer = make("sac")
    trainer.update()
    state = {k: v for k, v in trainer.state().items() if not k.startswith("replay/")}
    with pytest.raises(ValueError, match="without the replay buffer"):
        trainer.restore(state)


@pytest.mark.parametrize(
    ("saved", "given", "message"),
    [
        (200, 80, "goes on at vector step 15, this one holds 10: was buffer_size changed"),
        (80, 200, r"have shape \(10, 8, 4\), expected \(25, 8, 4\): was buffer_size changed"),
        (120, 200, r"have shape \(15, 8, 4\), expected \(25, 8, 4\): was buffer_size changed"),
        (200, 120, "goes on at vector step 15, this one holds 15: was buffer_size changed"),
    ],
)
def test_a_replay_buffer_of_another_size_is_refused_before_anything_is_changed(
    saved, given, message
):
    trainer, other = make("sac", buffer_size=saved), make("sac", buffer_size=given, seed=4)
    for _ in range(5):
        trainer.update()
    before = other.state()
    with pytest.raises(ValueError, match=message):
        other.restore(trainer.state())
    assert_equal_states(other.state(), before)


def test_only_the_filled_part_of_the_replay_buffer_is_kept():
    trainer = make("sac", buffer_size=100_000)
    for rows in (3, 6):
        trainer.update()
        state = trainer.state()
        assert state["replay/observations"].shape == (rows, 8, 4)


@pytest.mark.parametrize("algo", OTHERS)
def test_actions_without_bounds_are_refused_with_what_fits(algo):
    env = PointEnv(8)
    env.single_action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    with pytest.raises(ValueError, match="finite bounds; PPO by skrl-jax or skrl-torch does"):
        make(algo, env)


@pytest.mark.parametrize("algo", OTHERS)
def test_discrete_actions_are_refused_with_what_fits(algo):
    env = PointEnv(8)
    env.single_action_space = gymnasium.spaces.Discrete(3)
    with pytest.raises(ValueError, match="Discrete.3.: trainers need a Box of one dimension"):
        make(algo, env)


# ARS.


def test_ars_gives_each_row_a_candidate_and_one_episode():
    env = PointEnv(8)
    trainer = make("ars", env, normalize_observations=False, delta_std=0.5)
    tried, evaluate = [], trainer._evaluate

    def spy(weights):
        tried.append((weights, evaluate(weights)))
        return tried[-1][1]

    trainer.model.evaluate = spy
    for _ in range(2):
        start, steps = env.snapshot(), trainer.vector_steps
        centre = trainer.policy().output[0].T.ravel()
        scalars = trainer.update()
        weights, returns = tried[-1]
        np.testing.assert_allclose(weights[:4] - centre, centre - weights[4:], atol=1e-6)

        alone = PointEnv(8)
        alone.restore(start)
        observations, expected, lengths = alone.observe(), np.zeros(8), np.zeros(8, int)
        playing = np.ones(8, bool)
        while playing.any():
            matrices = weights.reshape(8, 2, 4)
            actions = np.stack([m @ o for m, o in zip(matrices, observations, strict=True)])
            observations, rewards, terminated, truncated, _ = alone.step(np.clip(actions, -1, 1))
            expected += np.where(playing, rewards, 0.0)
            lengths += playing
            playing &= ~(terminated | truncated)
        np.testing.assert_allclose(returns, expected, rtol=1e-5)
        assert trainer.vector_steps - steps == lengths.max()
        assert scalars["Episode / Total timesteps (min)"] == lengths.min()
        assert scalars["Episode / Total timesteps (mean)"] == lengths.mean()
        assert scalars["Reward / Total reward (mean)"] == pytest.approx(expected.mean(), rel=1e-5)
    assert trainer.env_steps == 8 * trainer.vector_steps
    assert not env.arrays["elapsed"].any()  # the next update begins with whole episodes


def test_ars_ends_where_another_update_could_exceed_the_budget():
    env = gymnasium.make_vec("Motrix/CartPole-v0", num_envs=8, max_episode_steps=20)
    trainer = make("ars", env, max_env_steps=8 * 59)
    while not trainer.spent:
        trainer.update()
    assert 39 < trainer.vector_steps <= 59
    short = make("ars", env, max_env_steps=8)
    assert not short.spent  # there is one update at least


def test_ars_refuses_a_task_without_a_time_limit():
    env: Any = PointEnv(8)
    env.config = SimpleNamespace(max_episode_steps=None)
    with pytest.raises(ValueError, match="no time limit .env.max_episode_steps=null"):
        make("ars", env)


# Learning.


@pytest.mark.parametrize(
    ("algo", "updates", "values"),
    [
        ("sac", 150, {"learning_rate": 2e-3, "ent_coef": 0.01}),
        ("td3", 150, {"learning_rate": 2e-3}),
        ("tqc", 150, {"learning_rate": 2e-3, "ent_coef": 0.01}),
        ("crossq", 200, {"learning_rate": 2e-3, "ent_coef": 0.01}),
        ("trpo", 40, {"mini_batches": 8, "target_kl": 0.03}),
        ("ars", 60, {"n_top": 16, "learning_rate": 0.1, "delta_std": 0.1}),
    ],
)
def test_learns_to_reach_a_point(algo, updates, values):
    if algo in OFF_POLICY:
        values = values | {"batch_size": 128, "buffer_size": 50_000, "rollouts": 2}
        values |= {"gradient_steps": 4, "discount_factor": 0.9, "learning_starts": 1000}
        values |= {"policy_hidden_layer_sizes": (32, 32), "value_hidden_layer_sizes": (64, 64)}
    trainer = make(algo, PointEnv(64), num_envs=64, **values)
    before = mean_reward(trainer.policy())
    for _ in range(updates):
        trainer.update()
    assert before < 0.4
    assert mean_reward(trainer.policy()) > 0.65


class RecallEnv(SameStepEnv):
    """Shows a sign in the first of five steps; in the others an action of that sign is paid.

    Half of the rows have either sign, so what sees only zeros earns nothing; the best is 0.8.
    """

    def __init__(self, num_envs: int):
        super().__init__(num_envs, horizon=5, obs_dim=1, action_dim=1)

    def signs(self):
        rows = np.arange(self.num_envs, dtype=np.uint64)
        return np.where((rows + self.arrays["episode"]) % 2 == 0, 1.0, -1.0)

    def advance(self, action):
        elapsed, never = self.arrays["elapsed"], np.zeros(self.num_envs, bool)
        reward = np.where(elapsed > 1, self.signs() * action[:, 0], 0.0)
        return reward, never, elapsed >= self.horizon, {}

    def observe(self):
        signs = np.where(self.arrays["elapsed"] == 0, self.signs(), 0.0)
        return signs[:, None].astype(np.float32)


def test_recurrent_ppo_learns_to_remember():
    values = {"num_envs": 32, "rollouts": 20, "mini_batches": 2, "learning_epochs": 4}
    values |= {"lstm_hidden_size": 16, "learning_rate": 1e-2, "initial_log_std": -0.5}
    values |= {"n_lstm_layers": 1}
    values |= {"discount_factor": 0.9, "normalize_observations": False}
    trainer = make("recurrent_ppo", RecallEnv(32), **values)
    assert abs(reward_with_memory(trainer.policy(), True)) < 0.1
    for _ in range(20):
        trainer.update()
    assert abs(reward_with_memory(trainer.policy(), False)) < 0.1
    assert reward_with_memory(trainer.policy(), True) > 0.5


def reward_with_memory(policy: Policy, remembers: bool) -> float:
    env, rewards = RecallEnv(8), []
    act, (observations, _), starts = policy.actor(), env.reset(seed=0), np.ones(8, bool)
    for _ in range(20):
        actions = act(observations, starts if remembers else np.ones(8, bool))
        observations, reward, terminated, truncated, _ = env.step(actions)
        starts = terminated | truncated
        rewards.append(reward.mean())
    return float(np.mean(rewards))
