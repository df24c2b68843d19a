# SPDX-License-Identifier: Apache-2.0
"""Files as skrl and Stable-Baselines3 write them act as the agents that wrote them."""

import json
import os
import pickle
import zipfile

import gymnasium
import numpy as np
import pytest
from envs import PointEnv

from adapters import PolicyError, PPOConfig
from adapters.foreign import load_foreign

OBSERVATIONS = np.random.default_rng(0).normal(0.3, 2.0, (200, 4)).astype(np.float32)
SPACES = {
    "observation_space": gymnasium.spaces.Box(-np.inf, np.inf, (4,)),
    "action_space": gymnasium.spaces.Box(-1.0, 1.0, (2,)),
}
TANGLED = [12] * 11  # more than ten layers, so that numbers in names sort wrongly as text


def network(activation, sizes=(16, 8)):
    layers = {"name": "net", "input": "OBSERVATIONS", "layers": list(sizes)}
    return [layers | {"activations": activation}]


def check(path, expected, *, normalized, env=None, activation="elu"):
    """The policy of the file gives the expected actions, clipped, which are not all alike."""
    policy = load_foreign(path, env or PointEnv(1), activation)
    assert np.ptp(expected) > 1e-2
    np.testing.assert_allclose(policy(OBSERVATIONS), np.clip(expected, -1, 1), atol=1e-4)
    assert np.isfinite(policy.observation_clip) == normalized
    assert policy.activation == activation
    return policy


# skrl on Torch.


def skrl_torch_agent(tmp_path, *, shared=False, scaler=True, activation="elu", sizes=(16, 8), **kw):
    torch = pytest.importorskip("torch")
    pytest.importorskip("skrl")
    from skrl.agents.torch.ppo import PPO, PPO_CFG
    from skrl.resources.preprocessors.torch import RunningStandardScaler
    from skrl.utils.model_instantiators.torch import (
        deterministic_model,
        gaussian_model,
        shared_model,
    )

    torch.manual_seed(0)
    common = SPACES | {"state_space": None, "device": "cpu"}
    nets = {"network": network(activation, sizes)}
    if shared:
        policy = value = shared_model(
            structure=["GaussianMixin", "DeterministicMixin"],
            roles=["policy", "value"],
            parameters=[nets | {"output": "ACTIONS"}, nets | {"output": "ONE"}],
            **common,
        )
    else:
        policy = gaussian_model(**nets, output="ACTIONS", **common, **kw)
        value = deterministic_model(**nets, output="ONE", **common)
    inputs = {"observations": torch.tensor(OBSERVATIONS)}
    for role, model in {"policy": policy, "value": value}.items():
        model.init_state_dict(role=role)
        model.act(inputs, role=role)
    settings = {"experiment": {"write_interval": 0, "checkpoint_interval": 0}}
    if scaler:
        settings["observation_preprocessor"] = RunningStandardScaler
        settings["observation_preprocessor_kwargs"] = {"size": 4, "device": "cpu"}
    models = {"policy": policy, "value": value}
    agent = PPO(models=models, cfg=PPO_CFG(**settings), device="cpu", **SPACES)
    observations = inputs["observations"]
    for _ in range(3):
        agent._observation_preprocessor(observations, train=True)
    path = tmp_path / "agent_100.pt"
    agent.save(str(path))
    inputs = {"observations": agent._observation_preprocessor(observations)}
    with torch.no_grad():
        return path, policy.act(inputs, role="policy")[1]["mean_actions"].numpy()


@pytest.mark.parametrize("activation", ["elu", "relu", "tanh"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("scaler", [False, True])
def test_a_checkpoint_of_skrl_on_torch(tmp_path, shared, scaler, activation):
    written = skrl_torch_agent(tmp_path, shared=shared, scaler=scaler, activation=activation)
    policy = check(*written, normalized=scaler, activation=activation)
    assert policy.metadata["trainer"] == "skrl-torch"
    assert policy.metadata["source"] == "agent_100.pt"
    assert np.array_equal(policy.log_std, np.zeros(2))


def test_many_layers_keep_their_order(tmp_path):
    check(*skrl_torch_agent(tmp_path, sizes=TANGLED), normalized=True)


@pytest.mark.parametrize("share", [False, True])
def test_a_checkpoint_of_our_own_agent_on_torch(tmp_path, share):
    torch = pytest.importorskip("torch")
    pytest.importorskip("skrl")
    from adapters.skrl_torch import SkrlTorchTrainer

    config = PPOConfig(
        seed=0,
        num_envs=8,
        rollouts=8,
        mini_batches=2,
        learning_rate=1e-3,
        policy_hidden_layer_sizes=(16, 8),
        value_hidden_layer_sizes=(16, 8),
        share_policy_value_features=share,
    )
    trainer = SkrlTorchTrainer(PointEnv(8), config)
    torch.nn.init.orthogonal_(trainer.agent.model.policy_head.weight)
    trainer.update()
    trainer.agent.save(str(tmp_path / "own.pt"))
    check(tmp_path / "own.pt", trainer.policy().mean(OBSERVATIONS), normalized=True)


# skrl on JAX.


def skrl_jax_agent(tmp_path, *, scaler=True, activation="elu", sizes=(16, 8)):
    jax = pytest.importorskip("jax")
    pytest.importorskip("skrl")
    from skrl.agents.jax.ppo import PPO, PPO_CFG
    from skrl.resources.preprocessors.jax import RunningStandardScaler
    from skrl.utils.model_instantiators.jax import deterministic_model, gaussian_model

    device = jax.devices("cpu")[0]
    common = SPACES | {"state_space": None, "device": device}
    nets = {"network": network(activation, sizes)}
    policy = gaussian_model(**nets, output="ACTIONS", **common)
    value = deterministic_model(**nets, output="ONE", **common)
    observations = jax.numpy.asarray(OBSERVATIONS)
    for number, (role, model) in enumerate({"policy": policy, "value": value}.items()):
        key = jax.random.PRNGKey(number)
        model.init_state_dict(inputs={"observations": observations}, role=role, key=key)
    settings = {"experiment": {"write_interval": 0, "checkpoint_interval": 0}}
    if scaler:
        settings["observation_preprocessor"] = RunningStandardScaler
        settings["observation_preprocessor_kwargs"] = {"size": 4, "device": device}
    models = {"policy": policy, "value": value}
    agent = PPO(models=models, cfg=PPO_CFG(**settings), device=device, **SPACES)
    for _ in range(3):
        agent._observation_preprocessor(observations, train=True)
    path = tmp_path / "agent_100.pickle"
    agent.save(str(path))
    inputs = {"observations": agent._observation_preprocessor(observations)}
    return path, np.asarray(policy.act(inputs, role="policy")[1]["mean_actions"])


@pytest.mark.parametrize(
    ("activation", "scaler", "sizes"),
    [("elu", True, (16, 8)), ("tanh", False, (16, 8)), ("relu", True, TANGLED)],
)
def test_a_checkpoint_of_skrl_on_jax(tmp_path, activation, scaler, sizes):
    written = skrl_jax_agent(tmp_path, activation=activation, scaler=scaler, sizes=sizes)
    check(*written, normalized=scaler, activation=activation)


# Stable-Baselines3.


def sb3_model(path, *, algo="PPO", activation="Tanh", normalizer="", **policy_kwargs):
    torch = pytest.importorskip("torch")
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.vec_env import VecNormalize

    from adapters.sb3_env import SB3VecEnv

    venv = SB3VecEnv(PointEnv(4))
    if normalizer:
        venv = VecNormalize(venv, clip_obs=3.0, norm_obs=normalizer != "rewards")
        for _ in range(5):
            venv.reset()
    extra = {"use_sde": True} if policy_kwargs.pop("use_sde", False) else {}
    if activation != ("ReLU" if algo in ("SAC", "TD3") else "Tanh"):
        policy_kwargs["activation_fn"] = getattr(torch.nn, activation)
    library = sb3 if hasattr(sb3, algo) else pytest.importorskip("sb3_contrib")
    name = "MlpLstmPolicy" if algo == "RecurrentPPO" else "MlpPolicy"
    model = getattr(library, algo)(
        name, venv, seed=0, device="cpu", policy_kwargs=policy_kwargs, **extra
    )
    if algo in ("PPO", "A2C", "TRPO") and not extra:
        torch.nn.init.orthogonal_(model.policy.action_net.weight)
    path.parent.mkdir(exist_ok=True)
    model.save(path)
    observations = venv.normalize_obs(OBSERVATIONS) if normalizer else OBSERVATIONS
    return model.predict(observations, deterministic=True)[0], venv


@pytest.mark.parametrize(
    ("algo", "activation", "sizes"),
    [
        ("PPO", "Tanh", None),
        ("PPO", "ELU", [16, 8]),
        ("A2C", "ReLU", {"pi": TANGLED, "vf": [8]}),
        ("TRPO", "Tanh", None),
        ("SAC", "ReLU", None),
        ("SAC", "ELU", [16, 8]),
        ("TQC", "ELU", {"pi": TANGLED, "qf": [8]}),
        ("TD3", "ReLU", {"pi": TANGLED, "qf": [8]}),
    ],
)
def test_a_model_of_sb3_says_its_activation_itself(tmp_path, algo, activation, sizes):
    sizes = {"net_arch": sizes} if sizes else {}
    expected, _ = sb3_model(tmp_path / "model.zip", algo=algo, activation=activation, **sizes)
    policy = load_foreign(tmp_path / "model.zip", PointEnv(1), "elu")
    np.testing.assert_allclose(policy(OBSERVATIONS), expected, atol=1e-4)
    assert policy.activation == activation.lower()
    assert policy.observation_clip == np.inf


@pytest.mark.parametrize("where", ["vecnormalize.pkl", "model/vecnormalize.pkl"])
def test_the_normaliser_of_sb3_is_found_beside_the_model(tmp_path, where):
    expected, venv = sb3_model(tmp_path / "model.zip", normalizer="both")
    (tmp_path / "model").mkdir()
    venv.save(str(tmp_path / where))
    policy = check(tmp_path / "model.zip", expected, normalized=True, activation="tanh")
    assert policy.observation_clip == 3.0


def test_a_normaliser_of_rewards_only_is_none(tmp_path):
    expected, venv = sb3_model(tmp_path / "model.zip", normalizer="rewards")
    venv.save(str(tmp_path / "vecnormalize.pkl"))
    check(tmp_path / "model.zip", expected, normalized=False, activation="tanh")


# What cannot be taken over.


def change(path, **parts):
    """Rewrites a checkpoint of skrl on Torch; a part of None goes."""
    import torch

    modules = torch.load(path, weights_only=True) | parts
    torch.save({name: part for name, part in modules.items() if part is not None}, path)


def test_other_networks_and_agents_of_skrl_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path, _ = skrl_torch_agent(tmp_path)
    policy = torch.load(path, weights_only=True)["policy"]

    def refused(message, **parts):
        skrl_torch_agent(tmp_path)
        change(path, **parts)
        with pytest.raises(PolicyError, match=rf"agent_100\.pt: .*{message}"):
            load_foreign(path, PointEnv(1), "elu")

    refused("no 'policy' with a 'value'", value=None)
    refused("no 'policy' with a 'value'", value=None, critic_1={})
    refused(
        "no log_std.*such as those of PPO, SAC or TD3",
        policy={k: v for k, v in policy.items() if "log_std" not in k},
    )
    wide = torch.zeros(2, 4)
    refused("no log_std", policy=policy | {"log_std_parameter": wide})
    refused(r"only linear .* gru\.weight_ih_l0 \(48, 4\)", policy=policy | gru(torch))
    kernel = {"conv.weight": torch.zeros(8, 3, 3, 3), "conv.bias": torch.zeros(8)}
    refused(r"only linear .* conv\.weight \(8, 3, 3, 3\)", policy=kernel | policy)
    norm = {"norm.weight": torch.zeros(8), "norm.bias": torch.zeros(8)}
    refused(r"only linear .* norm\.weight \(8,\)", policy=policy | norm)
    without = {k: v for k, v in policy.items() if k != "net_container.2.bias"}
    refused(r"only linear .* net_container\.2\.weight", policy=without)
    extra = {"extra.weight": torch.zeros(5, 5), "extra.bias": torch.zeros(5)}
    refused("do not follow one another: 4 to 16, 16 to 8, 8 to 2, 5 to 5", policy=policy | extra)
    refused("nothing", policy={"log_std_parameter": torch.zeros(2)})
    broken = {k: v * np.nan for k, v in policy.items()}
    refused("not finite", policy=broken)


def gru(torch):
    return {f"gru.{name}": part for name, part in torch.nn.GRU(4, 16).state_dict().items()}


def test_a_policy_of_another_size_is_refused(tmp_path):
    path, _ = skrl_torch_agent(tmp_path)
    env = PointEnv(1)
    env.single_observation_space = gymnasium.spaces.Box(-1.0, 1.0, (5,))
    with pytest.raises(PolicyError, match="turns 4 observations into 2 actions.* has 5 and 2"):
        load_foreign(path, env, "elu")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"algo": "CrossQ"}, r"only linear .* latent_pi\.0\.scale \(4,\)"),
        ({"algo": "RecurrentPPO"}, r"only linear .* lstm_actor\.weight_ih_l0"),
        ({"algo": "ARS"}, "no log_std"),
        ({"use_sde": True}, "use_sde"),
        ({"use_sde": True, "squash_output": True}, "use_sde"),
        ({"activation": "SiLU"}, "activation='silu' is not one of elu, relu, tanh"),
    ],
)
def test_other_policies_of_sb3_are_refused(tmp_path, kwargs, message):
    sb3_model(tmp_path / "model.zip", **kwargs)
    with pytest.raises(PolicyError, match=rf"model\.zip: .*{message}"):
        load_foreign(tmp_path / "model.zip", PointEnv(1), "elu")


@pytest.mark.parametrize("suffix", [".pt", ".pickle", ".zip"])
@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80\x04N.", b"\x80\x04]."])
def test_what_is_no_such_file_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"policy{suffix}"
    path.write_bytes(content)
    with pytest.raises(PolicyError, match=rf"policy\{suffix}"):
        load_foreign(path, PointEnv(1), "elu")
    path.unlink()
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        load_foreign(path, PointEnv(1), "elu")


# Hostile files.


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def payload(tmp_path):
    """Is unpickled nowhere, or the test fails."""
    marker = tmp_path / "the-payload-ran"
    yield Payload(marker)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker)))  # it would have
    assert marker.exists()


def refused(path):
    with pytest.raises(PolicyError, match=path.name):
        load_foreign(path, PointEnv(1), "elu")


def test_code_in_a_pt_does_not_run(tmp_path, payload):
    torch = pytest.importorskip("torch")
    path, _ = skrl_torch_agent(tmp_path)
    for place in ("optimizer", "policy"):
        skrl_torch_agent(tmp_path)
        change(path, **{place: payload})
        refused(path)
    path.write_bytes(pickle.dumps(payload))
    refused(path)
    torch.save(payload, path, _use_new_zipfile_serialization=False)
    refused(path)


def test_code_in_a_pickle_does_not_run(tmp_path, payload):
    path, _ = skrl_jax_agent(tmp_path)
    modules = pickle.loads(path.read_bytes())
    for protocol in (0, 2, 4):
        for content in (payload, modules | {"policy": payload}, modules | {"other": payload}):
            path.write_bytes(pickle.dumps(content, protocol))
            with pytest.raises(PolicyError, match=rf"{path.name}: it wants to use \w+\.\w+"):
                load_foreign(path, PointEnv(1), "elu")


def test_code_in_a_zip_does_not_run(tmp_path, payload):
    """The pickles in the JSON stay closed, and what is beside them is read."""
    import base64

    torch = pytest.importorskip("torch")
    path = tmp_path / "model.zip"
    _, venv = sb3_model(path, normalizer="both")
    expected, _ = sb3_model(path)
    with zipfile.ZipFile(path) as parts:
        files = {name: parts.read(name) for name in parts.namelist()}

    def rewrite(**changed):
        with zipfile.ZipFile(path, "w") as parts:
            for name, content in (files | changed).items():
                parts.writestr(name, content)

    hidden = {":serialized:": base64.b64encode(pickle.dumps(payload)).decode()}
    data = {
        k: v | hidden if isinstance(v, dict) else v for k, v in json.loads(files["data"]).items()
    }
    assert sum(hidden.items() <= v.items() for v in data.values() if isinstance(v, dict)) > 3
    rewrite(data=json.dumps(data).encode())
    check(path, expected, normalized=False, activation="tanh")

    torch.save({"log_std": payload}, tmp_path / "weights")
    rewrite(**{"policy.pth": (tmp_path / "weights").read_bytes()})
    refused(path)
    rewrite(**{"policy.pth": pickle.dumps(payload)})
    refused(path)
    rewrite(data=b"[" * 100_000)
    refused(path)
    rewrite()
    normaliser = tmp_path / "vecnormalize.pkl"
    for protocol in (0, 2, 5):
        normaliser.write_bytes(pickle.dumps(payload, protocol))
        with pytest.raises(PolicyError, match="vecnormalize.pkl beside it is not a VecNormalize"):
            load_foreign(path, PointEnv(1), "elu")
    del venv.obs_rms
    venv.clip_obs, venv.other = payload, payload
    venv.save(str(normaliser))
    with pytest.raises(PolicyError, match="vecnormalize.pkl beside it is not a VecNormalize"):
        load_foreign(path, PointEnv(1), "elu")
