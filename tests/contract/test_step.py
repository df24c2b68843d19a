# SPDX-License-Identifier: Apache-2.0
"""What reset and step return."""

import copy

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_array_equal, assert_equal

from motrix_gym import check_vector_env
from motrix_gym.simulation import Simulation


def test_the_checker_finds_nothing(env_id, player, mode):
    check_vector_env(player.make(env_id, 4, autoreset_mode=mode, max_episode_steps=20))


def test_the_checker_finds_nothing_at_the_registered_settings(env_id, player):
    limit = gymnasium.spec(env_id).max_episode_steps
    check_vector_env(player.make(env_id, 2, max_episode_steps=limit), steps=100)


def test_shapes_and_types(env_id, player):
    env = player.make(env_id)
    task, n = env.unwrapped.task, env.num_envs
    observations, info = env.reset(seed=0)
    assert info == {}
    width = sum(channel.width for channel in task.observation if not channel.privileged)
    assert (observations.dtype, observations.shape) == (np.float32, (n, width))
    assert env.single_action_space.shape == (sum(channel.size for channel in task.action),)
    assert env.single_action_space.low.min() == -1
    assert env.single_action_space.high.max() == 1
    for observations, reward, terminated, truncated, info in player.play(
        env, player.actions(env, 60)
    ):
        assert observations in env.observation_space
        assert np.isfinite(observations).all()
        assert (reward.dtype, reward.shape) == (np.float64, (n,))
        assert np.isfinite(reward).all()
        for flag in (terminated, truncated):
            assert (flag.dtype, flag.shape) == (np.bool_, (n,))
        terms = {k: v for k, v in info["reward_terms"].items() if k[0] != "_"}
        assert terms.keys() == task.config.reward_weights.keys()
        assert_array_equal(reward, sum(terms.values()))
        metrics = {k: v for k, v in info["metrics"].items() if k[0] != "_"}
        assert metrics.keys() == task.metrics.keys()
        for name, value in (terms | metrics).items():
            assert value.shape == (n,), name
            assert np.isfinite(value).all(), name


def test_infos_have_masks_at_every_level(env_id, player, mode):
    env = player.make(env_id, autoreset_mode=mode)
    env.reset(seed=0)

    def check(info):
        for key, value in info.items():
            if key.startswith("_"):
                assert (value.dtype, value.shape) == (np.bool_, (env.num_envs,))
                continue
            assert f"_{key}" in info
            if isinstance(value, dict):
                check(value)
            else:
                assert len(value) == env.num_envs

    for step in player.play(env, player.actions(env, 60)):
        check(step[4])


def test_what_was_returned_is_never_written_again(env_id, player, mode):
    env = player.make(env_id, autoreset_mode=mode)
    returned = [env.reset(seed=0)]
    before = copy.deepcopy(returned)
    for action in player.actions(env, 90):
        original = action.copy()
        returned += player.play(env, [action])
        before.append(copy.deepcopy(returned[-1]))
        assert_array_equal(action, original)
        action[:] = 0  # the environment keeps no hold of it either
    env.reset()
    assert_equal(returned, before)


def test_observations_describe_the_state_after_the_step(env_id, player):
    """Equal to those of a simulation that MuJoCo's mj_forward has brought up to date."""
    env = player.make(env_id, 8, observation_noise=0.0, max_episode_steps=25).unwrapped
    task, names = env.task, env.simulation.fields
    fresh = Simulation(
        env.model,
        8,
        1,
        derived=task.derived,
        per_world=task.per_world,
        buffers={k: v.copy() for k, v in env.simulation.buffers.items()},
    )
    assert fresh.fields.keys() == names.keys()

    def forwarded():
        fresh.restore(env.simulation.snapshot())
        fresh.batch.forward()
        return task.observe(fresh.all)[:, : env.policy_width]

    np.testing.assert_allclose(env.reset(seed=0)[0], forwarded(), rtol=0, atol=1e-6)
    # Touch is the force of the last physics step, which brought this state about.
    channels = [channel.name for channel in env.channels for _ in range(channel.size)]
    of_state = np.array([not name.endswith("_touch") for name in channels])
    for action in player.actions(env, 60):
        seen = env.step(action)[0][:, of_state]
        np.testing.assert_allclose(seen, forwarded()[:, of_state], rtol=1e-6, atol=1e-6)


def test_derived_fields_after_a_reset_are_of_the_row_itself(env_id, player):
    """All of them, those of the last stage too; one MjData serves many rows."""
    env = player.make(env_id, 4, autoreset_mode=AutoresetMode.DISABLED).unwrapped
    env.reset(seed=0)
    player.play(env, player.actions(env, 20))
    env.reset(options={"reset_mask": np.array([False, True, False, True])})
    for row in (1, 3):
        data = env.simulation.batch.get_data(row)
        mujoco.mj_forward(env.simulation.batch.get_model(row), data)
        for name in ("sensordata", *env.task.derived):
            if name in env.simulation.fields:
                np.testing.assert_allclose(
                    env.simulation.fields[name][row], getattr(data, name), atol=1e-9, err_msg=name
                )


def test_actions_beyond_the_box_are_clipped(env_id, player):
    env, other = player.make(env_id), player.make(env_id)
    assert_equal(env.reset(seed=0), other.reset(seed=0))
    actions = player.actions(env, 10)
    for action in actions:
        assert_equal(env.step(3 * action), other.step(np.clip(3 * action, -1, 1)))


def test_actions_of_other_number_types_are_taken(env_id, player):
    env, other = player.make(env_id), player.make(env_id)
    assert_equal(env.reset(seed=0), other.reset(seed=0))
    action = player.actions(env, 1)[0]
    assert_equal(env.step(action.astype(np.float64)), other.step(action))
    assert_equal(env.step(action.tolist()), other.step(action))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_actions_that_are_not_finite_raise_naming_the_rows(env_id, player, bad):
    env, other = player.make(env_id), player.make(env_id)
    assert_equal(env.reset(seed=0), other.reset(seed=0))
    action = player.actions(env, 1)[0]
    spoilt = action.copy()
    spoilt[[2, 5], -1] = bad
    with pytest.raises(ValueError, match="environments 2, 5 are not finite"):
        env.step(spoilt)
    assert_equal(env.step(action), other.step(action))  # and nothing has moved


@pytest.mark.parametrize("kind", [np.complex64, np.str_, object])
def test_actions_that_are_no_real_numbers_raise_naming_their_type(player, kind):
    env, single = player.make("Motrix/CartPole-v0", 8), gymnasium.make("Motrix/CartPole-v0")
    for each in (env, single):
        each.reset(seed=0)
        with pytest.raises(ValueError, match="actions must be real numbers, got an array of "):
            each.step(np.zeros(each.action_space.shape).astype(kind))
    single.close()


def test_misshapen_actions_raise(env_id, player):
    env = player.make(env_id)
    env.reset(seed=0)
    action = player.actions(env, 1)[0]
    for wrong in (action[:-1], action[0], action[..., None], np.concatenate([action, action], 1)):
        with pytest.raises(ValueError, match=r"must have shape \(8, \d+\).*got \("):
            env.step(wrong)


def test_what_is_public(env_id, player):
    env = player.make(env_id).unwrapped
    assert isinstance(env.model, mujoco.MjModel)
    assert env.simulation.batch.nsim == env.num_envs
    assert env.task.config is env.config
    assert env.substeps == round(env.config.control_timestep / env.model.opt.timestep)
    assert env.metadata["render_fps"] == pytest.approx(1 / env.config.control_timestep, abs=0.5)
    single = gymnasium.make(env_id).unwrapped
    for name in ("model", "simulation", "task", "config", "substeps"):
        assert getattr(single, name) is not None
    single.close()


def test_every_action_channel_has_an_effect(env_id, player):
    """Also that physics time advances by one control period a step."""
    env = player.make(env_id, 2, observation_noise=0.0).unwrapped
    for channel in range(env.single_action_space.shape[0]):
        env.reset(seed=[0, 0])
        action = np.zeros(env.action_space.shape, np.float32)
        action[1, channel] = 0.5
        observations = env.step(action)[0]
        assert (observations[0] != observations[1]).any(), env.task.action
    time = env.simulation.batch.bind("time")
    assert time == pytest.approx(env.config.control_timestep)


def test_observation_noise_is_applied_and_can_be_switched_off(env_id, player):
    quiet = player.make(env_id, 64, observation_noise=0.0)
    loud = player.make(env_id, 64, observation_noise=1.0)
    noise = np.concatenate([np.full(c.size, c.noise) for c in quiet.unwrapped.channels])
    difference = loud.reset(seed=0)[0] - quiet.reset(seed=0)[0]
    assert_array_equal(difference[:, noise == 0], 0)
    assert (abs(difference) <= noise + 1e-5).all()
    if noise.any():
        noisy = difference[:, noise > 0]
        assert len(np.unique(noisy, axis=0)) == 64
        # A uniform distribution of that half-width, over 64 rows and all noisy entries.
        assert np.std(noisy / noise[noise > 0]) == pytest.approx(1 / np.sqrt(3), rel=0.1)
        assert abs(np.mean(noisy / noise[noise > 0])) < 0.1


def test_metrics_are_described(env_id, player):
    task = player.make(env_id, 1).unwrapped.task
    assert task.metrics
    for metric in task.metrics.values():
        assert metric.reduce in ("mean", "max", "last")
        assert metric.unit
        assert metric.description
    for channel in (*task.observation, *task.action):
        assert channel.name
        assert channel.unit
    names = [channel.name for channel in task.observation]
    assert len(set(names)) == len(names)
