# SPDX-License-Identifier: Apache-2.0
"""The skrl trainer on JAX: advantages, updates, time limits, resuming."""

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("skrl")

import jax.numpy as jnp  # noqa: E402
from envs import TAGS, CounterEnv, PointEnv  # noqa: E402
from jax.flatten_util import ravel_pytree  # noqa: E402
from skrl.agents.jax.ppo import ppo as stock  # noqa: E402
from skrl.resources.schedulers.jax import KLAdaptiveLR  # noqa: E402

from adapters import skrl_jax_agent  # noqa: E402
from adapters.jax_ppo import chunk_size  # noqa: E402
from adapters.kl_rule import adapted_rate  # noqa: E402
from adapters.moments import STD_EPSILON  # noqa: E402
from adapters.ppo_config import PPOConfig  # noqa: E402
from adapters.skrl_jax import SkrlJaxTrainer, find_device  # noqa: E402


def config(**values) -> PPOConfig:
    small = {
        "seed": 3,
        "num_envs": 8,
        "rollouts": 8,
        "learning_epochs": 2,
        "mini_batches": 2,
        "policy_hidden_layer_sizes": (16, 16),
        "value_hidden_layer_sizes": (16, 16),
        "entropy_loss_scale": 0.01,
    }
    return PPOConfig(**(small | values))


def value_is_the_counter(env: CounterEnv, **values) -> SkrlJaxTrainer:
    """A trainer on CounterEnv with V(s) = s, discount 0.9 and lambda 1."""
    trainer = SkrlJaxTrainer(
        env,
        config(
            num_envs=env.num_envs,
            rollouts=4,
            activation="relu",
            value_hidden_layer_sizes=(1,),
            normalize_observations=False,
            normalize_values=False,
            discount_factor=0.9,
            lambda_param=1.0,
            **values,
        ),
    )
    agent = trainer.agent
    value = jax.tree.map(lambda x: jnp.full_like(x, x.ndim == 2), agent.learner.value)
    agent.learner = agent.learner._replace(value=value)
    return trainer


def values_of(trainer: SkrlJaxTrainer, observations: np.ndarray) -> np.ndarray:
    """Values (n,) in units of reward."""
    agent, value_scale = trainer.agent, trainer.agent.value_moments.scale
    scale = agent.observation_moments.scale
    outputs = agent.ppo.values(agent.learner.value, observations, scale)
    return value_scale.mean + value_scale.std * np.asarray(outputs)


# Time limits.


def test_the_value_of_the_final_observation_is_paid_at_a_time_limit():
    trainer = value_is_the_counter(CounterEnv(2))
    trainer._collect()
    _, targets = trainer.agent.targets()
    np.testing.assert_array_equal(targets["values"][:, 0], [0, 1, 2, 0])
    # The fourth step begins the next episode: 1 + 0.9 V(1).
    np.testing.assert_allclose(targets["returns"], [[x, x] for x in (4.897, 4.33, 3.7, 1.9)], 1e-5)


@pytest.mark.parametrize("truncate", [False, True])
def test_the_value_of_the_final_observation_is_not_paid_at_a_termination(truncate):
    trainer = value_is_the_counter(CounterEnv(2, terminate=True, truncate=truncate))
    trainer._collect()
    np.testing.assert_allclose(trainer.agent.targets()[1]["returns"][:3, 0], [2.71, 1.9, 1.0], 1e-5)


def test_rows_that_terminate_and_rows_that_truncate_do_not_mix():
    trainer = value_is_the_counter(CounterEnv(3, terminate=[True, False, True]))
    trainer._collect()
    returns = trainer.agent.targets()[1]["returns"][0]
    np.testing.assert_allclose(returns, [2.71, 4.897, 2.71], rtol=1e-5)


def test_targets_are_those_of_a_plain_loop_over_the_environment():
    env = PointEnv(8, horizon=5)
    trainer = SkrlJaxTrainer(env, config(rollouts=16, rewards_shaper_scale=3.0))
    agent, steps, step = trainer.agent, [], env.step
    agent.observation_moments.fold(np.full((1, 4), 0.1), np.full((1, 4), 4.0), size=9)
    agent.value_moments.fold(np.full(1, 2.0), np.full(1, 9.0), size=9)
    env.step = lambda actions: steps.append(step(actions)) or steps[-1]
    trainer._collect()
    assert agent.rollout["limited"].any()
    _, targets = agent.targets()

    advantage = np.zeros(8)
    for t in reversed(range(16)):
        following, reward, terminated, truncated, info = steps[t]
        done = terminated | truncated
        following = np.where(done[:, None], info.get("final_obs", following), following)
        target = 3.0 * reward + 0.99 * ~terminated * values_of(trainer, following)
        advantage = target - targets["values"][t] + 0.99 * 0.95 * ~done * advantage
        returns = advantage + targets["values"][t]
        np.testing.assert_allclose(targets["advantages"][t], advantage, atol=1e-4)
        np.testing.assert_allclose(targets["returns"][t], returns, atol=1e-4)


def test_final_observations_that_are_missing_are_an_error():
    env = CounterEnv(2)
    trainer, step = value_is_the_counter(env), env.step
    env.step = lambda actions: (*step(actions)[:4], {})
    with pytest.raises(ValueError, match="final_obs"):
        trainer._collect()


def test_an_environment_that_reuses_its_arrays_does_no_harm():
    class Reusing(CounterEnv):
        memory = np.zeros(64, np.float32)

        def observe(self):
            # At a multiple of 64 bytes JAX on a CPU reads NumPy's memory in place.
            start = -self.memory.ctypes.data % 64 // 4
            buffer = self.memory[start : start + self.num_envs].reshape(self.num_envs, 1)
            buffer[:] = super().observe()
            return buffer

    trainer = value_is_the_counter(Reusing(16, terminate=True))
    for expected in ([0, 1, 2, 0, 1], [1, 2, 0, 1, 2]):
        trainer._collect()
        np.testing.assert_array_equal(trainer.agent.targets()[0]["observations"][:, 5, 0], expected)


# The update, against stock skrl.


def random_batch(trainer: SkrlJaxTrainer, size: int) -> dict:
    rng = np.random.default_rng(1)
    shapes = {
        "observations": (size, 4),
        "actions": (size, 2),
        "log_probs": (size,),
        "values": (size,),
        "returns": (size,),
        "advantages": (size,),
    }
    batch = {k: jnp.asarray(rng.normal(size=s), jnp.float32) for k, s in shapes.items()}
    inputs = {k: batch[k] for k in ("observations",)} | {"taken_actions": batch["actions"]}
    _, outputs = trainer.agent.policy.act(inputs, role="policy")
    batch["log_probs"] = outputs["log_prob"][:, 0] + 0.2 * batch["log_probs"]
    batch["own"] = jnp.ones(size)
    return batch


def assert_trees_close(tree, other, **tolerance):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), tree, other)


def test_a_gradient_step_is_that_of_stock_skrl():
    trainer = SkrlJaxTrainer(PointEnv(8), config(value_clip=0.5, grad_norm_clip=0.1))
    agent, cfg = trainer.agent, trainer.agent.cfg
    batch = random_batch(trainer, 64)
    rows = jnp.arange(64)[None]
    gradients, figures = jax.jit(agent.ppo._gradients)(agent.learner, batch, rows)
    stepped = jax.jit(agent.ppo._stepped)(agent.learner, gradients)

    column = {name: array[:, None] for name, array in batch.items() if array.ndim == 1}
    inputs = {"observations": batch["observations"]}
    policy_gradient, policy_loss, entropy_loss, kl, _ = stock._update_policy(
        agent.policy.act,
        agent.policy.state_dict,
        inputs | {"taken_actions": batch["actions"]},
        column["log_probs"],
        column["advantages"],
        cfg.ratio_clip,
        agent.policy.get_entropy,
        cfg.entropy_loss_scale,
    )
    value_gradient, value_loss = stock._update_value(
        agent.value.act,
        agent.value.state_dict,
        inputs,
        column["values"],
        column["returns"],
        cfg.value_loss_scale,
        True,
        cfg.value_clip,
    )
    assert_trees_close(gradients, (policy_gradient, value_gradient), rtol=1e-3, atol=1e-6)
    losses = {"policy_loss": policy_loss, "entropy_loss": entropy_loss, "value_loss": value_loss}
    for name, expected in (losses | {"kl": kl}).items():
        np.testing.assert_allclose(figures[name], expected, rtol=1e-4, atol=1e-6, err_msg=name)
    assert 0.0 < figures["clipped"] < 1.0

    rate = agent.policy_learning_rate
    agent.policy_optimizer.step(grad=gradients[0], model=agent.policy, lr=rate)
    agent.value_optimizer.step(grad=gradients[1], model=agent.value, lr=rate)
    assert_trees_close(stepped.policy, agent.policy.state_dict.params, rtol=1e-5, atol=1e-7)
    assert_trees_close(stepped.value, agent.value.state_dict.params, rtol=1e-5, atol=1e-7)


def test_chunks_give_the_gradient_of_the_mini_batch():
    trainer = SkrlJaxTrainer(PointEnv(8), config())
    learner, gradients = trainer.agent.learner, jax.jit(trainer.agent.ppo._gradients)
    batch = random_batch(trainer, 256)
    rows = jnp.asarray(np.random.default_rng(0).permutation(256))
    whole, figures = gradients(learner, batch, rows[None])
    chunked, same_figures = gradients(learner, batch, rows.reshape(4, 64))
    assert_trees_close(chunked, whole, rtol=1e-4, atol=1e-6)
    assert_trees_close(same_figures, figures, rtol=1e-5, atol=1e-7)


def test_an_update_in_chunks_learns_the_same(monkeypatch):
    """As a whole: where a gradient is hardly more than rounding, Adam's step may go either way."""
    moves = []
    for chunk in (10**6, 64):
        monkeypatch.setattr(skrl_jax_agent, "CHUNK", chunk)
        trainer = SkrlJaxTrainer(PointEnv(16), config(num_envs=16, rollouts=16))
        before = weights_of(trainer)
        trainer.update()
        moves.append(weights_of(trainer) - before)
        assert trainer.agent.ppo.chunk == min(chunk, 128)
    whole, chunked = moves
    assert np.linalg.norm(chunked - whole) < 0.1 * np.linalg.norm(whole)


def weights_of(trainer: SkrlJaxTrainer) -> np.ndarray:
    """All weights of policy and value, (n,)."""
    learner = trainer.agent.learner
    return np.asarray(ravel_pytree((learner.policy, learner.value))[0])


@pytest.mark.parametrize(
    ("samples", "size"), [(12288, 1024), (1000, 1000), (1500, 750), (2053, 2053), (2062, 2062)]
)
def test_chunks_divide_the_mini_batch(samples, size):
    assert chunk_size(samples, 1024) == size


def test_the_rate_follows_the_divergence_as_in_skrl():
    values = {"learning_rate": 1e-4, "max_learning_rate": 2e-4}
    trainer = SkrlJaxTrainer(PointEnv(8), config(**values))
    limits = trainer.agent.ppo._rate_limits
    schedule: Any = KLAdaptiveLR(kl_threshold=0.008, min_lr=1e-6, max_lr=2e-4)
    for rate in (1e-6, 1.2e-6, 1e-4, 1.9e-4, 2e-4):
        for kl in (0.0, 0.0039, 0.0041, 0.008, 0.0159, 0.0161, 1.0):
            adapted = adapted_rate(jnp.float32(rate), jnp.float32(kl), *limits, xp=jnp)
            np.testing.assert_allclose(adapted, schedule(0, lr=rate, kl=kl), rtol=1e-5)


def test_the_rate_stays_below_its_ceiling():
    values = {"learning_rate": 1e-4, "max_learning_rate": 4e-4}
    values["desired_kl"] = 1e6  # any divergence is small
    trainer = SkrlJaxTrainer(PointEnv(8), config(**values))
    rates = [trainer.update()["Learning / Learning rate"] for _ in range(3)]
    np.testing.assert_allclose(rates, [2.25e-4, 4e-4, 4e-4], rtol=1e-5)  # twice x 1.5 per update


@pytest.mark.parametrize("threshold", [0.0, None])
def test_without_a_threshold_the_rate_is_fixed(threshold):
    values = {"learning_rate": 5e-3, "desired_kl": threshold}
    trainer = SkrlJaxTrainer(PointEnv(8), config(**values))
    for kl in (0.0, 0.1, 10.0):
        rate = jnp.float32(5e-3)
        limits = trainer.agent.ppo._rate_limits
        assert adapted_rate(rate, jnp.float32(kl), *limits, xp=jnp) == rate


@pytest.mark.parametrize(("threshold", "steps"), [(0.0, 6), (1e-4, 1)])
def test_a_divergence_above_the_threshold_ends_the_epoch(threshold, steps):
    values = {"learning_epochs": 3, "learning_rate": 1e-2, "max_learning_rate": 1e-2}
    settings = config(early_stop_kl=threshold, normalize_values=False, **values)
    trainer = SkrlJaxTrainer(PointEnv(8), settings)
    trainer.update()
    counts = [v for k, v in trainer.state().items() if k.endswith("/count") and "optimizer" in k]
    assert counts == [steps, steps]


def test_returns_are_learned_in_the_scale_that_has_taken_them_in():
    trainer = SkrlJaxTrainer(PointEnv(8), config())
    update, calls = trainer.agent.ppo.update, []

    def spy(learner, rollout, targets, scale, value_scale, highest_rate):
        calls.append((np.array(targets["returns"]), value_scale))
        return update(learner, rollout, targets, scale, value_scale, highest_rate)

    trainer.agent.ppo.update = spy
    for _ in range(2):
        trainer.update()
        returns = np.concatenate([returns.ravel() for returns, _ in calls])
        scale = calls[-1][1]
        np.testing.assert_allclose(scale.mean, returns.mean(), rtol=1e-4)
        np.testing.assert_allclose(scale.std, returns.std() + STD_EPSILON, rtol=1e-4)
    assert abs(calls[1][1].std - calls[0][1].std) > 1e-3


# Reproducing and resuming.


def test_one_seed_gives_one_result_and_another_another():
    trainers = [SkrlJaxTrainer(PointEnv(8), config(seed=seed)) for seed in (3, 3, 4)]
    kernels = [t.state()["agent/learner/policy/params/hidden_0/kernel"] for t in trainers]
    assert not np.array_equal(kernels[0], kernels[2])
    for trainer in trainers[:2]:
        trainer.update()
        trainer.update()
    other = trainers[1].state()
    for name, array in trainers[0].state().items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_a_resumed_trainer_ends_where_the_uninterrupted_one_does():
    values = {"learning_rate": 1e-4, "max_learning_rate": 1e-2}  # with room to move
    trainer = SkrlJaxTrainer(PointEnv(8), config(**values))
    trainer.update()
    trainer.update()
    state = trainer.state()
    kept = {name: array.copy() for name, array in state.items()}
    scalars = [trainer.update(), trainer.update()]

    other = SkrlJaxTrainer(PointEnv(8), config(seed=99, **values))
    other._collect()  # an unfinished rollout is forgotten
    other.restore(state)
    resumed = [other.update(), other.update()]
    assert other.num_updates == 4 and other.env_steps == 4 * 64
    for name, array in trainer.state().items():
        np.testing.assert_array_equal(other.state()[name], array, err_msg=name)
    for one, two in zip(scalars, resumed, strict=True):
        assert one.keys() == two.keys()
        assert all(one[tag] == two[tag] for tag in one if not tag.startswith("Time"))
    for name, array in state.items():
        assert isinstance(array, np.ndarray)
        np.testing.assert_array_equal(array, kept[name], err_msg=f"{name} was written to")


def test_an_interrupted_rollout_is_forgotten():
    env, calls = CounterEnv(2), []
    trainer, step = value_is_the_counter(env), env.step

    def interrupted(actions):
        calls.append(actions)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(actions)

    env.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        trainer._collect()
    trainer._collect()
    observations = trainer.agent.targets()[0]["observations"]
    np.testing.assert_array_equal(observations[:, 0, 0], [2, 0, 1, 2, 0])
    returns = trainer.agent.targets()[1]["returns"][:, 0]
    np.testing.assert_allclose(returns, [3.7, 4.897, 4.33, 3.7], rtol=1e-5)


def test_a_state_of_another_trainer_is_refused():
    state = SkrlJaxTrainer(PointEnv(8), config()).state()
    other = SkrlJaxTrainer(PointEnv(8), config(value_hidden_layer_sizes=(16, 8)))
    with pytest.raises(ValueError, match=r"value/params/hidden_1/\w+' is float32 .*16.*expected"):
        other.restore(state)
    del state["agent/learner/rate"]
    with pytest.raises(ValueError, match="rate' is missing"):
        SkrlJaxTrainer(PointEnv(8), config()).restore(state)


# Networks and the portable policy.


def test_policy_and_value_start_from_different_weights():
    learner = SkrlJaxTrainer(PointEnv(8), config(seed=2**32 - 1)).agent.learner
    policy, value = learner.policy["params"], learner.value["params"]
    for layer in ("hidden_0", "hidden_1"):
        assert not np.allclose(policy[layer]["kernel"], value[layer]["kernel"])


def test_weights_start_orthogonal_and_the_policy_near_zero():
    learner = SkrlJaxTrainer(PointEnv(8), config(initial_log_std=-0.5)).agent.learner
    policy, value = learner.policy["params"], learner.value["params"]
    for params, last, gain in ((policy, 2, 0.01), (value, 1, 1.0)):
        kernel = np.asarray(params["hidden_1"]["kernel"])
        np.testing.assert_allclose(kernel.T @ kernel, 2.0 * np.eye(16), atol=1e-5)
        kernel = np.asarray(params["output"]["kernel"])
        np.testing.assert_allclose(kernel.T @ kernel, gain**2 * np.eye(last), atol=1e-4 * gain**2)
    np.testing.assert_array_equal(policy["log_std"], [-0.5, -0.5])


@pytest.mark.parametrize("activation", ["elu", "relu", "tanh"])
def test_the_portable_policy_acts_as_the_network(activation):
    trainer = SkrlJaxTrainer(PointEnv(8), config(activation=activation, initial_log_std=-0.5))
    moments = trainer.agent.observation_moments
    moments.fold(np.array([[0.1, -1.0, 0.0, 3.0]]), np.array([[4.0, 0.1, 0.5, 1.0]]), size=9)
    policy = jax.tree.map(lambda x: 2.0 * x + 0.1, trainer.agent.learner.policy)
    trainer.agent.learner = trainer.agent.learner._replace(policy=policy)
    observations = np.random.default_rng(0).normal(0.0, 2.0, (32, 4)).astype(np.float32)
    inputs = {"observations": moments.scale.normalize(observations)}
    _, outputs = trainer.agent.policy.act(inputs, role="policy")
    policy = trainer.policy()
    expected = outputs["mean_actions"]
    np.testing.assert_allclose(policy.mean(observations), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(policy.log_std, outputs["log_std"], atol=1e-6)
    assert policy.metadata["trainer"] == "skrl-jax" and policy.metadata["env_steps"] == 0


def test_the_acting_policy_is_the_one_an_update_starts_from():
    trainer = SkrlJaxTrainer(PointEnv(8), config(mini_batches=1, learning_epochs=1))
    for _ in range(2):
        assert abs(trainer.update()["Learning / KL divergence"]) < 1e-6


# The life of a trainer.


def test_an_update_reports_every_tag():
    scalars = SkrlJaxTrainer(PointEnv(8), config(rollouts=32)).update()
    assert TAGS <= scalars.keys()
    assert all(np.isfinite(value) and type(value) is float for value in scalars.values())


def test_it_learns():
    settings = config(
        num_envs=64,
        rollouts=20,
        learning_epochs=4,
        mini_batches=4,
        discount_factor=0.95,
        entropy_loss_scale=0.0,
    )
    trainer = SkrlJaxTrainer(PointEnv(64), settings)
    scalars = [trainer.update() for _ in range(50)]
    rewards = [figures["Reward / Instantaneous reward (mean)"] for figures in scalars]
    assert np.mean(rewards[-5:]) > rewards[0] + 0.3
    assert np.mean([f["Learning / Explained variance"] for f in scalars[-5:]]) > 0.5
    assert scalars[-1]["Policy / Standard deviation"] < 0.8


def test_a_gpu_that_is_not_there_is_named():
    if any(device.platform == "gpu" for device in jax.devices()):
        assert find_device("cuda").platform == "gpu"
    else:
        with pytest.raises(ValueError, match="'cuda' is not available"):
            SkrlJaxTrainer(PointEnv(8), config(), device="cuda")
    with pytest.raises(ValueError, match="allowed are 'cpu', 'cuda'"):
        SkrlJaxTrainer(PointEnv(8), config(), device="tpu")
