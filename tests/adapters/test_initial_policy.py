# SPDX-License-Identifier: Apache-2.0
"""`initial_policy` in all PPO trainers: a training starts from a stored policy."""

import dataclasses

import numpy as np
import pytest

from adapters import STOCK, TRAINERS, FieldError, PolicyError, PPOConfig
from adapters.initial_policy import NORMALIZER_SAMPLES
from adapters.seeds import first_stream
from tests.adapters.envs import PointEnv, SameStepEnv
from tests.adapters.torch_contract import assert_equal_states, assert_resumes_exactly
from tests.adapters.trainers import load_or_skip

SETTINGS = {
    "seed": 3,
    "num_envs": 8,
    "rollouts": 16,
    "mini_batches": 2,
    "policy_hidden_layer_sizes": (16, 8),
    "value_hidden_layer_sizes": (16, 8),
    "initial_log_std": -0.5,
}
# Observations of the point, and of one that has gone far; all within the libraries' clips.
OBSERVATIONS = np.random.default_rng(0).uniform(-1.5, 1.5, (200, 4)).astype(np.float32)
OBSERVATIONS *= [1.0, 1.0, 0.2, 0.2]


def make(name, env=None, **values):
    return load_or_skip(name)(env or PointEnv(8), PPOConfig(**SETTINGS | values))


@pytest.fixture(params=TRAINERS)
def name(request):
    """Return the name of each trainer."""
    return request.param


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a function that trains a policy and returns it with its folder, each once."""
    folder, found = tmp_path_factory.mktemp("policies"), {}

    def train(name, **values):
        key = f"{name} {sorted(values.items())}"
        if key not in found:
            trainer = make(name, **values)
            for _ in range(2):
                trainer.update()
            policy = trainer.policy()
            policy.save(folder / str(len(found)))
            found[key] = policy, str(folder / str(len(found)))
        return found[key]

    return train


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("origin", TRAINERS)
def test_a_training_starts_from_the_policy_of_any_trainer(trained, name, origin, normalize):
    policy, folder = trained(origin, normalize_observations=normalize)
    first = make(name, initial_policy=folder, normalize_observations=normalize).policy()
    np.testing.assert_allclose(first.mean(OBSERVATIONS), policy.mean(OBSERVATIONS), atol=1e-5)
    np.testing.assert_array_equal(first.log_std, np.float32(-0.5))


def test_learning_goes_on_from_it(trained, name):
    policy, folder = trained("sb3")
    trainer = make(name, initial_policy=folder)
    for _ in range(2):
        assert np.isfinite(trainer.update()["Loss / Policy loss"])
    later = trainer.policy()
    for (weight, _), (before, _) in zip(later.layers, policy.layers, strict=True):
        assert 1e-4 < np.abs(weight - before).max() < 0.2
    moved = np.abs(later.observation_mean - policy.observation_mean) / policy.observation_std
    assert 0 < moved.max() < 1e-3


@pytest.mark.parametrize("share", [True, False])
def test_all_else_is_as_in_a_new_training(trained, name, share):
    policy, folder = trained("sb3")
    trainer = make(name, initial_policy=folder, share_policy_value_features=share)
    first = trainer.policy()
    np.testing.assert_allclose(first.mean(OBSERVATIONS), policy.mean(OBSERVATIONS), atol=1e-5)
    found, plain = trainer.state(), make(name, share_policy_value_features=share).state()
    assert found.keys() == plain.keys()
    changed = {key for key in found if not np.array_equal(found[key], plain[key])}
    moments, layers = {
        "skrl-jax": ("agent/observation_moments/", ("agent/learner/policy/",)),
        "skrl-torch": (
            "trainer/observation_scaler/",
            ("network/trunks.0.", "network/policy_head."),
        ),
        "sb3": (
            "trainer/observations/",
            (
                "network/features_extractor.trunk.",
                "network/mlp_extractor.policy_net.",
                "network/action_net.",
            ),
        ),
    }[name]
    if name == "sb3":  # which keeps the observation normalised
        changed.remove("trainer/observations")
        start, _ = PointEnv(8).reset(seed=first_stream(3, "training"))
        expected = (start - policy.observation_mean) / policy.observation_std
        np.testing.assert_allclose(found["trainer/observations"], expected, atol=1e-5)
    assert sum(key.startswith(moments) for key in changed) == 3  # mean, variance, count
    assert sum(key.startswith(layers) for key in changed) == 6  # weights and biases
    assert len(changed) == 3 + 6
    (count,) = (found[key] for key in changed if key.endswith("count"))
    assert count == NORMALIZER_SAMPLES


def test_a_run_goes_on_exactly_without_the_policy(trained, name):
    _, folder = trained(name)

    def resumed(seed=None):
        return make(name, initial_policy=folder) if seed is None else make(name, seed=seed)

    assert_resumes_exactly(resumed, updates=2)


@pytest.mark.parametrize(
    ("given", "values", "message"),
    [
        ("nowhere", {}, r"'nowhere' is not a folder with policy.json; a run's policies are in its"),
        ("n" * 5000, {}, "is not a folder with policy.json"),
        (
            None,
            {"policy_hidden_layer_sizes": (8,)},
            r"layer_sizes is \(16, 8\) in .* and \(8,\) in",
        ),
        (None, {"activation": "tanh"}, "activation is elu in the policy and tanh in this"),
        (None, {"normalize_observations": False}, "is True in the policy and False in this"),
    ],
)
def test_what_does_not_fit_is_refused(trained, name, given, values, message):
    _, folder = trained("sb3")
    with pytest.raises(FieldError, match=f"initial_policy=.*{message}") as e:
        make(name, initial_policy=given or folder, **values)
    assert e.value.field == "initial_policy"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"observation_mean": np.zeros(4), "observation_std": np.ones(4)}
            | {"observation_clip": np.inf},
            "normalize_observations is False in the policy and True in this training",
        ),
        ({"squash": True}, "it has squash"),
        ({"log_std_weight": np.zeros((8, 2))}, "it has log_std_weight"),
        (
            {"lstm": ((np.zeros((4, 16)), np.zeros((4, 16)), np.zeros(16)),)},
            "it has an LSTM, which a policy of PPO has not",
        ),
    ],
)
def test_another_kind_of_policy_is_refused(trained, tmp_path, name, change, message):
    policy, _ = trained("sb3")
    dataclasses.replace(policy, **change).save(tmp_path)
    with pytest.raises(FieldError, match=message) as e:
        make(name, initial_policy=str(tmp_path))
    assert e.value.field == "initial_policy"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((5, 2), "the number of observations is 4 in the policy and 5 in this training"),
        ((4, 3), "the number of actions is 2 in the policy and 3 in this training"),
    ],
)
def test_a_policy_of_another_task_is_refused(trained, name, sizes, message):
    _, folder = trained("sb3")
    with pytest.raises(FieldError, match=message):
        make(name, SameStepEnv(8, 10, *sizes), initial_policy=folder)


def test_a_damaged_policy_is_refused(trained, tmp_path, name):
    policy, _ = trained("sb3")
    policy.save(tmp_path)
    (tmp_path / "policy.safetensors").write_bytes(b"")
    with pytest.raises(PolicyError, match="is damaged or was changed"):
        make(name, initial_policy=str(tmp_path))


@pytest.mark.parametrize("stock", STOCK)
def test_the_libraries_own_loops_start_anew(stock):
    trainer_class = load_or_skip(stock)
    assert "initial_policy" in trainer_class.without_effect
    policies = []
    for initial in (None, "nowhere"):
        env = PointEnv(8)
        env.metadata = env.metadata | {"autoreset_mode": trainer_class.autoreset_mode}
        policies.append(make(stock, env, initial_policy=initial).policy())
    assert_equal_states(policies[0].arrays(), policies[1].arrays())
