# SPDX-License-Identifier: Apache-2.0
"""The portable policy: its numbers, what it refuses, and its files."""

import errno
import json
import math
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motrix_gym import Policy, PolicyError

ACTIVATIONS = {
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "relu": lambda x: max(x, 0.0),
    "tanh": math.tanh,
}


def make_policy(seed=0, sizes=(5, 8, 6, 2), activation="elu", **changes):
    rng = np.random.default_rng(seed)
    layers = [
        (rng.normal(size=(a, b)), rng.normal(size=b))
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    values = {
        "hidden": tuple(layers[:-1]),
        "output": layers[-1],
        "log_std": rng.normal(size=sizes[-1]) - 1,
        "activation": activation,
        "observation_mean": rng.normal(size=sizes[0]),
        "observation_std": rng.uniform(0.5, 2.0, size=sizes[0]),
        "observation_clip": 2.0,
        "action_low": np.full(sizes[-1], -3.0),
        "action_high": np.full(sizes[-1], 3.0),
        "metadata": {"env_id": "Motrix/CartPole-v0", "steps": 3},
    }
    return Policy(**values | changes)


def by_hand(policy, observation):
    """The action for one observation, one number at a time, in float64."""
    x = [
        min(max((o - m) / s, -policy.observation_clip), policy.observation_clip)
        for o, m, s in zip(
            observation, policy.observation_mean, policy.observation_std, strict=True
        )
    ]

    def linear(layer):
        weight, bias = layer
        return [
            float(bias[j]) + sum(float(weight[i, j]) * x[i] for i in range(len(x)))
            for j in range(len(bias))
        ]

    for layer in policy.hidden:
        x = [ACTIVATIONS[policy.activation](y) for y in linear(layer)]
    bounds = zip(linear(policy.output), policy.action_low, policy.action_high, strict=True)
    return [min(max(y, low), high) for y, low, high in bounds]


@settings(max_examples=30)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(1, 6), min_size=2, max_size=5),
    st.sampled_from(list(ACTIVATIONS)),
)
def test_actions_equal_a_computation_by_hand(seed, sizes, activation):
    policy = make_policy(seed, sizes, activation)
    observations = np.random.default_rng(seed).normal(scale=3, size=(4, sizes[0]))
    actions = policy(observations)
    assert actions.dtype == np.float32
    assert actions.shape == (4, sizes[-1])
    np.testing.assert_allclose(actions, [by_hand(policy, o) for o in observations], atol=1e-3)
    np.testing.assert_allclose(policy(observations[0]), actions[0], atol=1e-3)


def test_extreme_observations_give_finite_actions_inside_the_box():
    for activation in ACTIVATIONS:
        policy = make_policy(activation=activation, observation_clip=math.inf)
        actions = policy(np.array([[1e30] * 5, [-1e30] * 5]))
        assert np.isfinite(actions).all()
        assert (np.abs(actions) <= 3).all()


def test_samples_have_the_policys_mean_and_spread_and_stay_in_the_box():
    policy = make_policy(log_std=np.log([0.1, 0.3]), output=(np.zeros((6, 2)), [0.5, 2.9]))
    observations = np.zeros((20_000, 5))
    samples = policy.sample(observations, np.random.default_rng(0))
    assert samples.dtype == np.float32
    assert samples[:, 0].mean() == pytest.approx(0.5, abs=0.005)
    assert samples[:, 0].std() == pytest.approx(0.1, abs=0.005)
    assert samples.max() == 3.0
    again = policy.sample(observations, np.random.default_rng(0))
    assert np.array_equal(samples, again)


def make_lstm(rng, inputs, size):
    shapes = (inputs, 4 * size), (size, 4 * size), (4 * size,)
    return tuple(rng.normal(size=shape) for shape in shapes)


def make_new(**changes):
    """A policy with all that schema version 2 brought."""
    rng = np.random.default_rng(1)
    lstm = make_lstm(rng, 5, 3), make_lstm(rng, 3, 4)
    features = {"lstm": lstm, "squash": True, "log_std_weight": rng.normal(size=(6, 2))}
    return make_policy(sizes=(4, 8, 6, 2), **observation(rng), **features | changes)


def observation(rng):
    return {"observation_mean": rng.normal(size=5), "observation_std": np.ones(5)}


def test_squashed_actions_fill_a_box_that_is_not_symmetric():
    box = {"action_low": [-1.0, 0.0], "action_high": [3.0, 0.5]}
    policy = make_policy(squash=True, **box)
    observations = np.random.default_rng(0).normal(scale=3, size=(2000, 5))
    share = (np.tanh(policy.mean(observations).astype(float)) + 1) / 2
    expected = np.array([-1.0, 0.0]) + share * np.array([4.0, 0.5])
    np.testing.assert_allclose(policy(observations), expected, atol=1e-5)
    assert (np.ptp(expected, axis=0) > [3.9, 0.49]).all()
    still = make_policy(squash=True, log_std=[-20, -20], **box)
    drawn = still.sample(observations, np.random.default_rng(0))
    np.testing.assert_allclose(drawn, still(observations), atol=1e-5)


def test_spread_follows_the_observation_within_bounds():
    policy = make_policy(
        sizes=(1, 1), log_std=[0.0], log_std_weight=[[1.0]], output=([[0.0]], [0.0]),
        observation_mean=[0.0], observation_std=[1.0], observation_clip=math.inf,
        action_low=[-1e9], action_high=[1e9],
    )  # fmt: skip
    for value, spread in ((-1.0, math.exp(-1)), (1.0, math.e), (50.0, math.exp(2)), (-50.0, 0.0)):
        drawn = policy.sample(np.full((20_000, 1), value), np.random.default_rng(0))
        assert drawn.std() == pytest.approx(spread, rel=0.03, abs=1e-6)


def test_an_lstm_equals_a_computation_by_hand():
    rng = np.random.default_rng(0)
    policy = make_policy(sizes=(1, 1), lstm=(make_lstm(rng, 1, 1),), observation_clip=math.inf)
    (inputs, recurrent, bias), (weight, offset) = policy.lstm[0], policy.output
    act, output, cell = policy.actor(), 0.0, 0.0
    for step, starts in enumerate((True, False, False, True, False)):
        x = float(rng.normal())
        output, cell = (0.0, 0.0) if starts else (output, cell)
        normal = (x - policy.observation_mean[0]) / policy.observation_std[0]
        i, f, g, o = (normal * inputs[0] + output * recurrent[0] + bias).tolist()
        cell = sigmoid(f) * cell + sigmoid(i) * math.tanh(g)
        output = sigmoid(o) * math.tanh(cell)
        expected = np.clip(output * weight[0, 0] + offset[0], -3, 3)
        action = act(np.array([[x]]), np.array([starts]))
        assert action[0, 0] == pytest.approx(expected, abs=1e-4), step
    with pytest.raises(ValueError, match="has an LSTM and acts by what it saw before"):
        policy(np.zeros((1, 1)))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_rows_of_an_lstm_forget_by_themselves():
    policy = make_new()
    rng = np.random.default_rng(0)
    together, alone = policy.actor(), policy.actor()
    for step in range(6):
        observations = rng.normal(size=(3, 5))
        starts = np.array([step == 0, step in (0, 2), step in (0, 4)])
        actions = together(observations, starts)
        np.testing.assert_allclose(alone(observations[1:2], starts[1:2]), actions[1:2], atol=1e-4)


def test_new_features_survive_saving_and_older_programs_refuse_them(tmp_path):
    """Version 1 is what the first program read, and it takes nothing else."""
    plain = make_policy()
    plain.save(tmp_path)
    about = json.loads((tmp_path / "policy.json").read_text())
    assert about["schema_version"] == 1 and "squash" not in about
    for changes in ({"squash": True}, {"log_std_weight": np.ones((6, 2))}):
        policy = make_policy(**changes)
        policy.save(tmp_path)
        assert json.loads((tmp_path / "policy.json").read_text())["schema_version"] == 2
        loaded = Policy.load(tmp_path)
        assert loaded.squash == policy.squash
        assert (loaded.log_std_weight is None) == (policy.log_std_weight is None)
    policy = make_new()
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path)
    observations, starts = np.random.default_rng(0).normal(size=(9, 5)), np.ones(9, bool)
    drawn = [p.actor(np.random.default_rng(0))(observations, starts) for p in (policy, loaded)]
    np.testing.assert_array_equal(*drawn)
    path = tmp_path / "policy.json"
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 1'))
    with pytest.raises(PolicyError, match="lacks arrays of a policy, or has others"):
        Policy.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"squash": 1}, "squash=1 is not true or false"),
        ({"squash": True, "action_high": [math.inf, 1.0]}, "squash needs a finite"),
        ({"squash": True, "action_low": [-3e38] * 2, "action_high": [3e38] * 2}, "squash needs a"),
        ({"log_std_weight": np.ones((6, 3))}, r"log_std_weight has shape \(6, 3\), expected"),
        ({"log_std_weight": np.full((6, 2), np.nan)}, "log_std_weight has values that are not"),
        ({"lstm": ((np.ones((5, 12)), np.ones((4, 12)), np.ones(12)),)}, "LSTM layer 0 has"),
        ({"lstm": ((np.ones((4, 12)), np.ones((3, 12)), np.ones(12)),)}, "for an input .5,."),
        ({"lstm": ((np.ones(5), np.ones(()), np.ones(())),)}, "LSTM layer 0 has"),
        (
            {"lstm": ((np.ones((5, 32)), np.ones((8, 32)), np.ones(32)),)},
            "layer 0 has weight .5, 8",
        ),
    ],
)
def test_new_features_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(PolicyError, match=message):
        make_policy(**changes)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 6), min_size=2, max_size=5))
def test_a_saved_policy_loads_bit_identically(tmp_path_factory, seed, sizes):
    folder = tmp_path_factory.mktemp("policy")
    policy = make_policy(seed, sizes, observation_clip=math.inf, action_high=[math.inf] * sizes[-1])
    policy.save(folder)
    loaded = Policy.load(folder)
    for name, array in policy.arrays().items():
        assert array.tobytes() == loaded.arrays()[name].tobytes(), name
    assert (loaded.activation, loaded.metadata) == (policy.activation, policy.metadata)
    assert sorted(os.listdir(folder)) == ["policy.json", "policy.safetensors"]


def test_saving_is_reproducible_and_ignores_memory_layout(tmp_path):
    policy = make_policy()
    weight, bias = policy.hidden[0]
    fortran = make_policy(hidden=((np.asfortranarray(weight), bias), policy.hidden[1]))
    policy.save(tmp_path / "a")
    fortran.save(tmp_path / "b")
    for name in ("policy.json", "policy.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@settings(max_examples=60)
@given(data=st.data())
def test_torn_or_changed_files_are_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("policy")
    make_policy().save(folder)
    path = folder / data.draw(st.sampled_from(["policy.safetensors", "policy.json"]))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 3))
    if path.suffix == ".json" or data.draw(st.booleans()):
        path.write_bytes(content[:place])
    else:
        changed = content[place] ^ data.draw(st.integers(1, 255))
        path.write_bytes(content[:place] + bytes([changed]) + content[place + 1 :])
    with pytest.raises(PolicyError, match=path.name):
        Policy.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not describe a policy"),
        ({"schema_version": 3}, "schema_version 3, this program reads 1 and 2"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"sha256": None}, "SHA-256"),
        ({"activation": "gelu"}, "activation='gelu' is not one of elu, relu, tanh"),
        ({"activation": ["elu"]}, "activation"),
        ({"metadata": 3}, "metadata"),
        ({"shapes": {}}, "other arrays than"),
    ],
)
def test_foreign_descriptions_are_refused(tmp_path, change, message):
    make_policy().save(tmp_path)
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PolicyError, match=message):
        Policy.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_no_description_are_refused(tmp_path, content):
    make_policy().save(tmp_path)
    (tmp_path / "policy.json").write_bytes(content)
    with pytest.raises(PolicyError, match=r"policy\.json"):
        Policy.load(tmp_path)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_a_pickle_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_policy().save(tmp_path)
    for name in ("policy.safetensors", "policy.json"):
        (tmp_path / name).write_bytes(pickle.dumps(Payload()))
        with pytest.raises(PolicyError):
            Policy.load(tmp_path)
    assert not (tmp_path / "unpickled").exists()


def test_a_missing_policy_is_reported(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        Policy.load(tmp_path / "nowhere")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_old_policy_and_no_litter(tmp_path, monkeypatch, error):
    policy = make_policy()
    policy.save(tmp_path)

    def fail(descriptor):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        make_policy(1).save(tmp_path)
    monkeypatch.undo()
    assert np.array_equal(Policy.load(tmp_path).output[0], policy.output[0])
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observation_mean": np.zeros(4)}, "layer 0 has weight"),
        ({"observation_std": np.ones(4)}, "observation_std has shape"),
        ({"log_std": np.zeros(3)}, "log_std has shape"),
        ({"action_low": np.zeros(3)}, "action_low has shape"),
        ({"output": (np.zeros((6, 2)), np.zeros(3))}, "layer 2 has weight"),
        ({"output": (np.full((6, 2), np.nan), np.zeros(2))}, "output.weight has values that"),
        ({"observation_std": np.zeros(5)}, "must be positive"),
        ({"observation_clip": math.nan}, "must be positive"),
        ({"action_low": [4, 4]}, "must not be above"),
        ({"action_low": [math.nan, 0]}, "must not be above"),
        ({"activation": "gelu"}, "elu, relu, tanh"),
    ],
)
def test_a_malformed_policy_is_refused(change, message):
    with pytest.raises(PolicyError, match=message):
        make_policy(**change)


def test_a_misshapen_observation_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4\), expected \(n, 5\) or \(5,\)"):
        make_policy()(np.zeros((3, 4)))


def test_metadata_must_be_plain_json(tmp_path):
    for metadata in ({"a": np.zeros(2)}, {"a": math.nan}):
        with pytest.raises(PolicyError, match="not plain JSON"):
            make_policy(metadata=metadata).save(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_policy_does_not_change_with_the_arrays_it_was_made_of():
    weight = np.zeros((6, 2), np.float32)
    policy = make_policy(output=(weight, np.zeros(2)))
    weight[:] = 1
    assert not policy.output[0].any()
    with pytest.raises(ValueError, match="read-only"):
        policy.output[0][:] = 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(48, 128, 64, 12), (17, 30, 1), (1, 5, 2), (9, 3)])
@pytest.mark.parametrize("features", [{}, {"squash": True}])
def test_an_action_does_not_depend_on_the_other_rows(sizes, activation, features):
    policy = make_policy(sizes=sizes, activation=activation, **features)
    rng = np.random.default_rng(0)
    observations = rng.normal(scale=2, size=(2048, sizes[0])).astype(np.float32)
    actions = policy(observations)
    for size in (1, 3, 64, 2048):
        rows = rng.permutation(2048)[:size]
        assert policy(observations[rows]).tobytes() == actions[rows].tobytes(), size
        columns_first = np.asfortranarray(observations[rows])
        assert policy(columns_first).tobytes() == actions[rows].tobytes(), size
    for row in range(10):
        assert policy(observations[row]).tobytes() == actions[row].tobytes()


def test_an_action_by_an_lstm_does_not_depend_on_the_other_rows():
    policy = make_new()
    rng = np.random.default_rng(0)
    rows = rng.permutation(64)[:3]
    together, some = policy.actor(), policy.actor()
    for step in range(5):
        observations = rng.normal(size=(64, 5)).astype(np.float32)
        starts = (rng.random(64) < 0.3) | (step == 0)
        actions = together(observations, starts)
        assert some(observations[rows], starts[rows]).tobytes() == actions[rows].tobytes()


# A task that moves the cart-pole through a policy, as in one that learns what to ask of it.
LOWER_LEVEL = """
import sys
for name in ("adapters", "rl_zoo", "torch", "jax"):
    sys.modules[name] = None  # so that importing it fails
import gymnasium, numpy as np
from motrix_gym import Policy, register_task
from motrix_gym.registration import entry

cart_pole = entry("Motrix/CartPole-v0")
lower = Policy(
    hidden=(), output=(np.eye(5, 1), np.zeros(1)), log_std=np.zeros(1), activation="tanh",
    observation_mean=np.zeros(5), observation_std=np.ones(5), observation_clip=np.inf,
    action_low=[-1.0], action_high=[1.0],
)

class Upper(cart_pole.task):
    def act(self, v, action):
        super().act(v, lower(np.concatenate([action, self.observe(v)], axis=1)))

register_task("Test/Upper-v0", Upper, cart_pole.config)
envs = [gymnasium.make_vec(name, num_envs=3) for name in ("Test/Upper-v0", "Motrix/CartPole-v0")]
for env in envs:
    env.reset(seed=0)
action = np.array([[0.5], [-0.5], [0.0]], np.float32)
print(np.array_equal(*(env.step(action)[0] for env in envs)))
"""


def test_a_task_may_act_through_a_policy_without_any_learning_library(python):
    assert python(LOWER_LEVEL) == "True\n"
