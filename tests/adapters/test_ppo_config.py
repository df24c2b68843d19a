# SPDX-License-Identifier: Apache-2.0
"""PPO's settings: names, defaults, what is refused, and what follows from them."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adapters
from adapters import FieldError, PPOConfig
from adapters.algorithm_config import MAX_BATCH, divisors
from adapters.run_config import RunConfig
from motrix_gym.names import shown
from motrix_gym.settings import declared

ORIGIN_DEFAULTS = {
    "seed": None,
    "num_envs": 2048,
    "play_num_envs": 1,
    "max_env_steps": 20_480_000,
    "check_point_interval": 1000,
    "policy_hidden_layer_sizes": (256, 128, 64),
    "value_hidden_layer_sizes": (256, 128, 64),
    "share_policy_value_features": True,
    "rollouts": 32,
    "learning_epochs": 2,
    "mini_batches": 32,
    "discount_factor": 0.99,
    "lambda_param": 0.95,
    "learning_rate": 1e-3,
    "learning_rate_scheduler_kl_threshold": 0.008,
    "random_timesteps": 0,
    "learning_starts": 0,
    "grad_norm_clip": 1.0,
    "time_limit_bootstrap": True,
    "ratio_clip": 0.2,
    "value_clip": 0.2,
    "clip_predicted_values": True,
    "entropy_loss_scale": 0.0,
    "value_loss_scale": 2.0,
    "kl_threshold": 0,
    "rewards_shaper_scale": 1.0,
}


def test_names_and_defaults_are_the_origins():
    assert PPOConfig.from_dict(ORIGIN_DEFAULTS) == PPOConfig()
    given = {"learning_rate_scheduler_kl_threshold": 0.02, "kl_threshold": 0.1}
    config = PPOConfig().replace(**given)
    assert (config.desired_kl, config.early_stop_kl) == (0.02, 0.1)
    ours = {PPOConfig.aliases.get(name, name) for name in ORIGIN_DEFAULTS}
    assert ours - set(PPOConfig.names()) == set(PPOConfig.only)


def test_a_setting_given_by_two_names_is_refused():
    with pytest.raises(FieldError, match="early_stop_kl and kl_threshold are one setting") as e:
        PPOConfig.from_dict({"early_stop_kl": 0.1, "kl_threshold": 0.1})
    assert e.value.field == "kl_threshold"


@pytest.mark.parametrize("name", PPOConfig.only)
def test_a_setting_with_a_single_value_is_read_and_not_offered(name):
    value, _ = PPOConfig.only[name]
    assert PPOConfig.from_dict({name: value}) == PPOConfig()
    assert name not in PPOConfig().as_dict()
    for other in (None, not value, 1.5, "0"):
        with pytest.raises(FieldError, match=f"{name}=.* is not supported, only {value} is"):
            PPOConfig.from_dict({name: other})


@pytest.mark.parametrize("config", adapters.ALGORITHMS.values())
def test_help_tells_every_setting(config):
    for setting in declared(config):
        assert setting.doc.endswith("."), setting.name
        assert f"\n    {setting.name}" in config.__doc__
        assert setting.allowed
    assert "\n    seed: Seed of everything that is drawn" in config.__doc__
    assert max(map(len, config.__doc__.splitlines())) <= 100


def test_settings_of_a_run_stand_apart():
    assert RunConfig.__annotations__.keys() == {
        *("seed", "play_num_envs", "check_point_interval", "keep_checkpoints"),
    }
    assert all(issubclass(config, RunConfig) for config in adapters.ALGORITHMS.values())


@given(
    num_envs=st.integers(1, 5000),
    rollouts=st.integers(1, 200),
    max_env_steps=st.integers(1, 10**8),
)
def test_vector_steps_are_whole_rollouts_within_the_budget(num_envs, rollouts, max_env_steps):
    batch = num_envs * rollouts
    values: dict[str, Any] = {"num_envs": num_envs, "rollouts": rollouts, "mini_batches": 1}
    if max_env_steps < batch:
        with pytest.raises(FieldError, match=f"max_env_steps={max_env_steps} .*= {batch} ") as e:
            PPOConfig(max_env_steps=max_env_steps, **values)
        assert e.value.field == "max_env_steps"
        return
    config = PPOConfig(max_env_steps=max_env_steps, **values)
    assert config.vector_steps == config.updates * rollouts
    assert 0 <= max_env_steps // num_envs - config.vector_steps < rollouts
    assert config.updates >= 1


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 5000))
def test_mini_batches_must_divide_the_batch(num_envs, rollouts, mini_batches):
    values: dict[str, Any] = {"num_envs": num_envs, "rollouts": rollouts}
    values["mini_batches"] = mini_batches
    if (num_envs * rollouts) % mini_batches == 0:
        config = PPOConfig(**values)
        assert config.mini_batch_size * mini_batches == config.batch_size == num_envs * rollouts
    else:
        with pytest.raises(FieldError, match="next lower number that does is") as e:
            PPOConfig(**values)
        assert e.value.field == "mini_batches"
        PPOConfig.from_dict(values | {"mini_batches": int(str(e.value).split()[-1])})


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("num_envs", 0, "a whole number, >= 1"),
        ("num_envs", 1.5, "a whole number"),
        ("num_envs", True, "a whole number"),
        ("num_envs", "64", "a whole number"),
        ("num_envs", 10**400, "a whole number"),
        pytest.param("num_envs", 16**4000, "a whole number", id="4000 digits"),
        ("num_envs", 10**7, "a whole number, >= 1, <= 1,000,000"),
        ("rollouts", 999999999989, "a whole number, >= 1, <= 1,000,000"),
        ("policy_hidden_layer_sizes", [10**6], "a list of 1 to 32 whole numbers from 1 to 16,384"),
        ("value_hidden_layer_sizes", [8] * 33, "a list of 1 to 32 whole numbers from 1 to 16,384"),
        pytest.param("activation", 16**4000, "one of elu, relu, tanh", id="no name"),
        ("seed", -1, "a whole number, >= 0, <= 4,294,967,295"),
        ("learning_rate", 0, "a finite number, > 0"),
        ("learning_rate", -1e-3, "a finite number, > 0"),
        ("learning_rate", "1e-3", "a finite number, > 0"),
        ("learning_rate", float("nan"), "a finite number, > 0"),
        ("learning_rate", None, "a finite number, > 0"),
        ("max_learning_rate", 1e-7, "a finite number, >= 1e-06"),
        ("grad_norm_clip", float("inf"), "a finite number, >= 0"),
        ("grad_norm_clip", 10**400, "a finite number, >= 0"),
        ("discount_factor", 1.01, "a finite number, >= 0, <= 1"),
        ("rewards_shaper_scale", 0.0, "a finite number, > 0"),
        ("initial_log_std", 3.0, "a finite number, >= -20, <= 2"),
        ("mixed_precision", 1, "True or False"),
        ("policy_hidden_layer_sizes", [], "a list of 1 to 32 whole numbers from 1 to 16,384"),
        ("policy_hidden_layer_sizes", [64, 0], "a list of 1 to 32 whole numbers from 1 to 16,384"),
        ("policy_hidden_layer_sizes", 64, "a list of 1 to 32 whole numbers from 1 to 16,384"),
        ("activation", "rellu", "did you mean 'relu'"),
        ("activation", ["elu"], "elu, relu, tanh"),
        ("initial_policy", "", "text that is not empty"),
        ("initial_policy", 7, "text that is not empty"),
        ("random_timesteps", 5, "only 0 is: PPO is on-policy"),
        ("learning_starts", 5, "only 0 is: PPO is on-policy"),
        ("time_limit_bootstrap", False, "only True is: a time limit is not"),
        ("learning_rate", 2e-3, "above max_learning_rate=0.001"),
        ("lerning_rate", 1e-3, "did you mean 'learning_rate'"),
    ],
)
def test_errors_name_field_value_and_what_is_allowed(field, value, allowed):
    with pytest.raises(FieldError) as e:
        PPOConfig().replace(**{field: value})
    assert e.value.field == field
    assert field in str(e.value)
    assert allowed in str(e.value)
    if field in PPOConfig.names():
        assert shown(value) in str(e.value)


def test_an_update_that_fits_no_memory_is_refused():
    with pytest.raises(FieldError, match="rollouts x num_envs = 100000 x 1000000 = 100000000000"):
        PPOConfig(num_envs=10**6, rollouts=10**5, max_env_steps=10**12)


@given(st.integers(1, 2000))
def test_the_divisors_of_a_number_are_all_found(number):
    assert set(divisors(number)) == {k for k in range(1, number + 1) if number % k == 0}


def test_the_next_lower_number_of_mini_batches_is_offered_at_once():
    """However large the batch is: here a prime number of steps, near the largest batch."""
    prime = 999_999_937
    assert divisors(prime) == [1, prime] and prime < MAX_BATCH
    with pytest.raises(FieldError, match="the next lower number that does is 29"):
        PPOConfig(num_envs=29, rollouts=999_983, mini_batches=999_982, max_env_steps=10**12)


def test_every_field_is_checked():
    class Nonsense:
        pass

    for field in PPOConfig.names():
        with pytest.raises(FieldError) as e:
            PPOConfig().replace(**{field: Nonsense()})
        assert e.value.field == field


def test_a_fixed_rate_has_no_ceiling():
    for off in (0, None):
        config = PPOConfig(learning_rate=0.1, desired_kl=off)
        assert not config.adaptive_rate
    assert PPOConfig().adaptive_rate


@given(st.integers(65536, 10**12), st.floats(1e-8, 1e-3))
def test_values_become_plain_python(steps, rate):
    config = PPOConfig(
        max_env_steps=float(steps),  # pyright: ignore[reportArgumentType]
        learning_rate=np.float64(rate),
        num_envs=np.int64(2048),  # pyright: ignore[reportArgumentType]
        policy_hidden_layer_sizes=[32, np.int32(16)],  # pyright: ignore[reportArgumentType]
    )
    assert config == PPOConfig(
        max_env_steps=steps, learning_rate=rate, policy_hidden_layer_sizes=(32, 16)
    )
    for name, value in config.as_dict().items():
        assert type(value) in (int, float, bool, str, list, type(None)), name
    assert PPOConfig.from_dict(config.as_dict()) == config


def test_a_configuration_is_frozen_and_replace_copies():
    config = PPOConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 3  # pyright: ignore[reportAttributeAccessIssue]
    assert config.replace(seed=3).seed == 3
    assert config.seed is None


def test_unknown_trainers_get_a_hint():
    with pytest.raises(ValueError, match="no trainer 'skrl-jaxx' .did you mean 'skrl-jax'"):
        adapters.load_trainer("skrl-jaxx")


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(adapters.TRAINERS["sb3"].classes, "ppo", "no_such_library.trainer:Trainer")
    with pytest.raises(adapters.MissingLibraryError, match=r'pip install "motrix-gym\[sb3\]"'):
        adapters.load_trainer("sb3")


def test_a_missing_module_of_our_own_is_not_called_a_missing_library(monkeypatch):
    monkeypatch.setitem(adapters.TRAINERS["sb3"].classes, "ppo", "adapters.no_such_module:Trainer")
    with pytest.raises(ModuleNotFoundError) as e:
        adapters.load_trainer("sb3")
    assert not isinstance(e.value, adapters.MissingLibraryError)
