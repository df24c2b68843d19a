# SPDX-License-Identifier: Apache-2.0
"""The settings of the algorithms beside PPO, and which trainer has which."""

import re

import pytest

import adapters
from adapters import (
    ALGORITHMS,
    STOCK,
    TRAINERS,
    FieldError,
    check_trainer,
    load_trainer,
    trainers_with,
)

EVERY = TRAINERS | STOCK
OTHERS = [name for name in ALGORITHMS if name != "ppo"]


@pytest.mark.parametrize("algo", OTHERS)
def test_every_field_is_checked(algo):
    class Nonsense:
        pass

    for field in ALGORITHMS[algo].names():
        with pytest.raises(FieldError) as e:
            ALGORITHMS[algo]().replace(**{field: Nonsense()})
        assert e.value.field == field


@pytest.mark.parametrize("algo", OTHERS)
def test_defaults_survive_a_round_trip(algo):
    config = ALGORITHMS[algo](seed=3)
    assert ALGORITHMS[algo].from_dict(config.as_dict()) == config


@pytest.mark.parametrize(
    ("algo", "values", "field", "message"),
    [
        ("sac", {"gradient_steps": -1}, "gradient_steps", "a whole number, >= 1"),
        ("sac", {"ent_coef": "automatic"}, "ent_coef", "must be auto or a finite number, >= 0"),
        ("sac", {"ent_coef": -0.1}, "ent_coef", "must be auto or a finite number, >= 0"),
        (
            "sac",
            {"target_entropy": "low"},
            "target_entropy",
            "must be auto or a finite number, got",
        ),
        ("sac", {"tau": 0}, "tau", "tau must be a finite number, > 0, <= 1, got 0"),
        ("sac", {"tua": 0.1}, "tua", "SAC has no setting 'tua' (did you mean 'tau'?)"),
        ("sac", {"mini_batches": 4}, "mini_batches", "SAC has no setting 'mini_batches'"),
        ("sac", {"n_quantiles": 4}, "n_quantiles", "SAC has no setting 'n_quantiles'"),
        ("crossq", {"tau": 0.1}, "tau", "CrossQ has no setting 'tau'"),
        ("td3", {"ent_coef": 0.1}, "ent_coef", "TD3 has no setting 'ent_coef'"),
        ("td3", {"buffer_size": 63}, "buffer_size", "buffer_size=63 is less than num_envs=64"),
        ("td3", {"max_env_steps": 63}, "max_env_steps", "rollouts x num_envs = 1 x 64 = 64"),
        ("sac", {"max_env_steps": 99}, "learning_starts", "not less than the budget of 64"),
        (
            "tqc",
            {"n_quantiles": 5, "top_quantiles_to_drop_per_net": 5},
            "top_quantiles_to_drop_per_net",
            "leaves none of n_quantiles=5",
        ),
        ("trpo", {"mini_batches": 7}, "mini_batches", "does not divide the batch of rollouts"),
        ("trpo", {"learning_epochs": 2}, "learning_epochs", "TRPO has no setting"),
        ("recurrent_ppo", {"mini_batches": 7}, "mini_batches", "lower number that does is 4"),
        ("recurrent_ppo", {"mini_batches": 2048}, "mini_batches", "leaves one step in each"),
        ("ars", {"num_envs": 33}, "num_envs", "num_envs=33 is odd"),
        ("ars", {"num_envs": 8, "n_top": 5}, "n_top", "more than the num_envs / 2 = 4 directions"),
        ("ars", {"discount_factor": 0.9}, "discount_factor", "ARS has no setting"),
    ],
)
def test_errors_name_the_field_and_what_is_allowed(algo, values, field, message):
    with pytest.raises(FieldError, match=re.escape(message)) as e:
        ALGORITHMS[algo].from_dict(values)
    assert e.value.field == field


def test_ars_learns_from_all_directions_unless_told():
    ars = ALGORITHMS["ars"]
    assert ars(num_envs=4).as_dict()["n_top"] is None
    assert ars(num_envs=4, n_top=2).n_top == ars(num_envs=4).n_delta == 2


def test_entropy_is_a_number_or_learned():
    sac = ALGORITHMS["sac"]
    assert sac.from_dict({"ent_coef": 0}).as_dict()["ent_coef"] == 0.0
    assert sac.from_dict({"ent_coef": "auto", "target_entropy": -3}).as_dict()["ent_coef"] == "auto"


@pytest.mark.parametrize("name", EVERY)
def test_every_trainer_says_which_algorithms_it_has(name):
    for algo in ALGORITHMS:
        if algo in EVERY[name].classes:
            check_trainer(name, algo)
        else:
            own, others = ", ".join(EVERY[name].classes), ", ".join(trainers_with(algo))
            message = (
                f"trainer '{name}' has no algorithm '{algo}', only {own}; {algo} is.*: {others}"
            )
            with pytest.raises(ValueError, match=message):
                load_trainer(name, algo)


def test_unknown_algorithms_get_a_hint():
    with pytest.raises(ValueError, match="no algorithm 'tqcc' .did you mean 'tqc'.*allowed are: p"):
        load_trainer("sb3", "tqcc")


def test_a_missing_contrib_names_the_extra(monkeypatch):
    missing = "no_such_contrib.trainer:Trainer"
    monkeypatch.setitem(adapters.TRAINERS["sb3"].classes, "tqc", missing)
    message = r"needs 'no_such_contrib' for tqc.*pip install \"motrix-gym\[sb3\]\""
    with pytest.raises(adapters.MissingLibraryError, match=message):
        load_trainer("sb3", "tqc")
