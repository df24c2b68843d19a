# SPDX-License-Identifier: Apache-2.0
"""Exported policies: they act as the policy that they were made from, in ONNX and in C."""

import ctypes
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mujoco import MjData, MjModel

from motrix_gym import Policy
from rl_zoo import exporting
from rl_zoo.__main__ import main as motrix
from rl_zoo.errors import FAILED, MISUSED, ZooError
from rl_zoo.exporting import check as checking
from rl_zoo.exporting.contract import FILE, SCHEMA, read
from rl_zoo.exporting.write import export

ROOT = Path(__file__).parents[2]
GO1 = ROOT / "motrix_gym/tasks/locomotion/go1.xml"
ACTIONS = 2


def policy(rng, *, activation="elu", squash=False, lstm=(), history=1, target=False, clip=5.0):
    """A random policy with two channels, of which the second has a history."""
    size = 3 + 2 * history

    def array(*shape):
        return rng.normal(size=shape) / np.sqrt(shape[0])

    layers, width = [], size
    for units in lstm:
        layers.append((array(width, 4 * units), array(units, 4 * units), array(4 * units)))
        width = units
    hidden = [(array(width, 6), array(6)), (array(6, 5), array(5))]
    deployment = {"control_timestep": 0.02, "control_rate": 50.0, "settings": {}}
    if target:
        deployment |= {
            "action": {"value": "offset + scale * action", "offset": [0.1, -0.2], "scale": 0.5},
            "actuators": {"target_range": [[-0.2, 0.3], [-1.0, 1.0]]},
            "units": {"scale": "rad"},
        }
    channels = [
        {"name": "a", "unit": "m", "size": 3},
        {"name": "b", "unit": "1", "size": 2, "history": history, "delay": 1},
    ]
    return Policy(
        hidden=tuple(hidden),
        output=(array(5, ACTIONS), 0.1 * array(ACTIONS)),
        log_std=np.zeros(ACTIONS),
        activation=activation,
        observation_mean=array(size),
        observation_std=rng.uniform(0.2, 2.0, size),
        observation_clip=clip,
        action_low=np.array([-1.0, -0.5]),
        action_high=np.array([1.0, 0.7]),
        squash=squash,
        lstm=tuple(layers),
        metadata={
            "env_id": "Motrix/Test-v0",
            "observation": channels,
            "action": [{"name": "x", "unit": "N"}, {"name": "y", "unit": "N"}],
            "deployment": deployment,
        },
    )


def episodes(given, rng, history):
    """Three short episodes of random frames: the frame, whether one starts, the action."""
    for _ in range(3):
        act, frames = given.actor(), None
        for step in range(2 * history + 2):
            frame = rng.normal(size=5, scale=2.0)
            frames = [frame] * history if frames is None else [frame, *frames[:-1]]
            observation = np.concatenate([frame[:3], *(f[3:] for f in frames)])[None]
            yield frame, step == 0, act(observation, np.array([step == 0]))[0]


KINDS = {
    "plain": {},
    "relu, unclipped": {"activation": "relu", "clip": np.inf},
    "squashed": {"activation": "tanh", "squash": True},
    "targets": {"target": True},
    "history": {"history": 3},
    "memory": {"lstm": (4, 3), "history": 2, "target": True},
}


@pytest.mark.parametrize("formats", ["onnx", "c"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_policy_acts_alike(tmp_path, monkeypatch, kind, formats):
    if formats == "c" and not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    if formats == "onnx":
        pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    given = policy(rng, **KINDS[kind])
    export(given, tmp_path, [formats])
    steps = list(episodes(given, rng, KINDS[kind].get("history", 1)))
    actions = np.array([action for _, _, action in steps])
    assert actions.std(axis=0).min() > 0.01  # or the test would show little
    monkeypatch.setattr(checking, "_episode", lambda *_: iter(steps))
    name = {"onnx": "policy.onnx", "c": "policy.c"}[formats]
    assert set(checking.check(tmp_path)) == {name}

    others = [(frame, start, action + 2e-5) for frame, start, action in steps]
    monkeypatch.setattr(checking, "_episode", lambda *_: iter(others))
    with pytest.raises(ZooError, match=f"{name} acts differently: an action differs by .* 1e-05"):
        checking.check(tmp_path)


@pytest.mark.parametrize("env_id", ["Motrix/Go1StairsBlind-v0", "Motrix/CartPole-v0"])
def test_a_shipped_policy_is_exported_and_checked_in_its_environment(here, capsys, env_id):
    pytest.importorskip("onnxruntime")
    assert motrix(["export", "--env", env_id, "--policy", "pretrained", "--out", "out"]) == 0
    assert "export --check out" in capsys.readouterr().out
    assert motrix(["export", "--check", "out"]) == 0
    printed = capsys.readouterr().out
    assert "policy.onnx: actions differ by at most" in printed
    assert ("policy.c: actions differ by at most" in printed) == bool(shutil.which("cc"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_follows_its_schema(tmp_path, kind):
    jsonschema = pytest.importorskip("jsonschema")
    given = policy(np.random.default_rng(0), **KINDS[kind])
    export(given, tmp_path, ["c"])
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    contract = read(tmp_path / FILE)
    jsonschema.Draft202012Validator(schema).validate(contract)
    assert [channel["name"] for channel in contract["observation"]] == ["a", "b"]
    assert ("target" in contract) == KINDS[kind].get("target", False)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(contract | {"control_rate": "fast"})


def test_inputs_and_outputs_are_those_of_the_contract(tmp_path):
    onnx = pytest.importorskip("onnx")
    given = policy(np.random.default_rng(0), **KINDS["memory"])
    export(given, tmp_path, ["onnx"])
    graph = onnx.load(tmp_path / "policy.onnx").graph
    contract = read(tmp_path / FILE)
    for values, named in ((graph.input, "inputs"), (graph.output, "outputs")):
        shapes = [
            (v.name, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
            for v in values
        ]
        assert shapes == [(entry["name"], entry["shape"]) for entry in contract[named]]


def test_a_policy_without_channels_is_refused(tmp_path):
    given = policy(np.random.default_rng(0))
    given.metadata["observation"] = given.metadata["observation"][:1]
    with pytest.raises(ZooError, match="sees 5 numbers, and names channels for 3 of them"):
        export(given, tmp_path / "out", ["c"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--opset", "9"], MISUSED, "opset 9 lacks operators of the policy"),
        (["--opset", "17", "--format", "c"], MISUSED, "--opset is of ONNX"),
        (["--check", "nowhere"], FAILED, "nowhere/contract.json cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(here, capsys, options, status, message):
    pytest.importorskip("onnx")
    command = ["export", "--env", "Motrix/CartPole-v0", "--policy", "pretrained"]
    assert motrix([*command, *options]) == status
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(here.iterdir()) == []


def test_without_onnx_the_extra_is_named(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "rl_zoo.exporting.onnx_file", raising=False)
    monkeypatch.delattr(exporting, "onnx_file", raising=False)
    command = ["export", "--env", "Motrix/CartPole-v0", "--policy", "pretrained", "--out", "out"]
    assert motrix(command) == FAILED
    assert 'pip install "motrix-gym[export]", or --format c' in capsys.readouterr().err
    assert motrix([*command, "--format", "c"]) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (FILE, b"{", "is not JSON"),
        (FILE, b"[]", "is not the contract of an exported policy"),
        (FILE, b'{"format": "motrix-policy-contract", "version": 2}', "version 2, .* version 1"),
        ("policy.c", b"int x;", "was changed"),
        ("policy.h", None, "is missing"),
    ],
)
def test_a_damaged_export_is_told(tmp_path, name, content, message):
    export(policy(np.random.default_rng(0)), tmp_path, ["c"])
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ZooError, match=f"{name} .*{message}"):
        checking.check(tmp_path)


def test_the_loop_for_unitrees_robots_acts_as_the_policy(tmp_path, monkeypatch):
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler")
    monkeypatch.syspath_prepend(ROOT / "examples")
    import deploy_go1

    export(deploy_go1.POLICY, tmp_path, ["c"])
    page = (ROOT / "docs/unitree.md").read_text()
    loop = re.search(r"```c\n(.*?)```", page, re.DOTALL).group(1)
    contract = read(tmp_path / FILE)
    pose = ", ".join(map(str, contract["default_pose"]))
    (tmp_path / "loop.c").write_text(
        f"#include <math.h>\nstatic const float default_pose[12] = {{{pose}}};\n"
        f"static const float gait_frequency = {contract['gait_clock']['frequency']};\n"
        f"static const float control_timestep = {contract['control_timestep']};\n"
        f"{loop}\nconst float *last_target(void) {{ return target; }}\n"
    )
    sources = [str(tmp_path / name) for name in ("loop.c", "policy.c")]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-lm"]
    library = tmp_path / "loop.so"
    subprocess.run([compiler, *sources, *flags, "-o", str(library)], check=True)
    functions = ctypes.CDLL(str(library))
    functions.last_target.restype = ctypes.POINTER(ctypes.c_float)

    rng, data = np.random.default_rng(0), MjData(MjModel.from_xml_path(str(GO1)))
    command, action, phase = np.array([0.5, 0.1, -0.2]), np.zeros(12), 0.0
    for _ in range(5):
        data.qpos[3:7] = rng.normal(size=4)
        data.qpos[3:7] /= np.linalg.norm(data.qpos[3:7])
        data.qpos[7:] = deploy_go1.POSE + rng.uniform(-0.2, 0.2, 12)
        data.qvel[:] = rng.uniform(-0.5, 0.5, 18)
        observation = deploy_go1.observe(data, action, command, phase)
        parts = [observation[:3], data.qvel[3:6], data.qpos[3:7], data.qpos[7:], data.qvel[6:]]
        given = [(ctypes.c_float * len(p))(*p.tolist()) for p in (*parts, command)]
        functions.control_step(*given)
        action = deploy_go1.POLICY(observation)
        target = np.clip(
            deploy_go1.POSE + 0.5 * action, *np.transpose(contract["actuators"]["target_range"])
        )
        found = np.ctypeslib.as_array(functions.last_target(), (12,))
        np.testing.assert_allclose(found, target, rtol=0, atol=1e-4)
        phase = (phase + 2.5 * 0.02) % 1
