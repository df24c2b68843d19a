# SPDX-License-Identifier: Apache-2.0
"""Malicious files run no code, change nothing outside of their folder, and get clear messages."""

import errno
import hashlib
import json
import os
import pathlib
import pickle
import struct
import zipfile

import gymnasium
import numpy as np
import pytest
from fakes import make_policy

from adapters import Policy, PolicyError
from motrix_gym import registration
from rl_zoo.__main__ import main as motrix
from rl_zoo.runs import Run, find_newest

ENV = "Motrix/CartPole-v0"
SESSION = {"code": "a" * 64, "versions": {"mujoco": "4.0.0"}, "cores": 2, "cpu": "Z80"}
CODE = "!!python/object/apply:os.mkdir [the-payload-ran]"
# A list of a billion ones, written with nine lists.
LISTS = ["&a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
LISTS += [f"&a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
BOMB = f"[{', '.join(LISTS)}]"


class Payload:
    def __reduce__(self):
        return os.mkdir, ("the-payload-ran",)


@pytest.fixture
def refused(here, capsys):
    """Run a command that must fail with one line and without running the payload."""

    def refused(*words, status=1):
        capsys.readouterr()
        assert motrix([*map(str, words)]) == status
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and len(error) < 1300, error
        assert not (here / "the-payload-ran").exists()
        return error

    return refused


@pytest.fixture
def run(here, fake_trainer):
    """A run with two checkpoints, 16 and 64."""
    settings = ["rollouts=4", "mini_batches=1", "max_env_steps=64", "check_point_interval=12"]
    settings += ["env.max_episode_steps=10"]
    flags = ["--num-envs", "4", "--trainer", "sb3", "--eval-episodes", "0", "--set", *settings]
    assert motrix(["train", *flags]) == 0
    return find_newest("runs", ENV)


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# Files of other libraries.


def write_zip(path):
    with zipfile.ZipFile(path, "w") as parts:
        for name in ("data", "policy.pth", "pytorch_variables.pth", "policy.optimizer.pth"):
            parts.writestr(name, pickle.dumps(Payload()))


@pytest.mark.parametrize(
    ("name", "what", "package"),
    [
        ("agent_100.pt", "a checkpoint of skrl on Torch", "torch"),
        ("agent_100.pickle", "a checkpoint of skrl on JAX", "flax"),
        ("model.zip", "a model of Stable-Baselines3", "torch"),
    ],
)
def test_a_file_of_another_library_is_not_read_unasked(here, refused, name, what, package):
    path = here / name
    write_zip(path) if path.suffix == ".zip" else path.write_bytes(pickle.dumps(Payload()))
    for command in ("evaluate", "play"):
        error = refused(command, "--policy", path, "--env", ENV, status=2)
        assert f"{path} is {what}" in error
        assert "can hide code" in error and "add --allow-pickle" in error
    assert "give --env" in refused("evaluate", "--policy", path, "--allow-pickle", status=2)
    pytest.importorskip(package)
    assert str(path) in refused("evaluate", "--policy", path, "--env", ENV, "--allow-pickle")


def test_a_file_of_another_library_is_read_when_asked(here, capsys, refused):
    torch = pytest.importorskip("torch")
    policy = {
        "log_std": torch.zeros(1),
        "net.weight": torch.tensor([[0.3, 3.0, 0.3, 0.5]]),
        "net.bias": torch.zeros(1),
    }
    torch.save({"policy": policy, "value": {}}, "agent.pt")
    words = ["evaluate", "--policy", "agent.pt", "--allow-pickle", "--episodes", "2"]
    assert motrix([*words, "--env", ENV]) == 0
    output = capsys.readouterr().out
    assert "agent.pt, a checkpoint of skrl on Torch without a normaliser" in output
    assert f"activation elu as in the settings of {ENV}, which it does not say" in output
    error = refused(*words, "--env", "Motrix/Go1-v0")
    assert "turns 4 observations into 1 actions, Motrix/Go1-v0 has" in error


def test_any_other_file_is_no_policy(here, refused):
    make_policy(np.zeros((4, 1))).save(here / "policy")
    (here / "weights.ckpt").write_bytes(pickle.dumps(Payload()))
    for path in ("weights.ckpt", "policy/policy.safetensors"):
        error = refused("evaluate", "--policy", path, status=2)
        assert "name the folder of policy.safetensors" in error and ".zip (a model of" in error
    assert "there is no file 'nowhere.pt'" in refused("evaluate", "--policy", "nowhere.pt")


def test_a_pickle_is_no_run(here, refused):
    (here / "run.pickle").write_bytes(pickle.dumps(Payload()))
    for words in (("train", "--resume"), ("evaluate", "--run"), ("play", "--run")):
        assert "run.pickle" in refused(*words, "run.pickle")


# Settings.


@pytest.mark.parametrize(
    ("value", "message"),
    [(CODE, "os.mkdir"), (BOMB, "more than 20 aliases"), ("[" * 10_000, "not a YAML file")],
)
def test_settings_run_nothing_and_do_not_explode(here, refused, run, value, message):
    (here / "own.yaml").write_text(f"ppo:\n  rollouts: {value}\n")
    assert message in refused("train", "--config", "own.yaml", status=2)

    (run / "config.yaml").write_text(f"ppo:\n  rollouts: {value}\n")
    for words in (("train", "--resume"), ("play", "--run")):
        error = refused(*words, run, status=2)
        assert message in error and "config.yaml" in error

    entry = registration.entry(ENV)
    registration.register_task("Test/Odd-v0", entry.task, entry.config, hyperparams="own.yaml")
    try:
        assert message in refused("train", "--env", "Test/Odd-v0", status=2)
    finally:
        del gymnasium.registry["Test/Odd-v0"], registration._entries["Test/Odd-v0"]


def test_a_few_aliases_are_fine(here):
    from rl_zoo import config

    sizes = "policy_hidden_layer_sizes: &sizes [8, 4]\n  value_hidden_layer_sizes: *sizes"
    (here / "own.yaml").write_text(f"ppo:\n  {sizes}\n")
    assert config.load(ENV, hyperparams="own.yaml").value_hidden_layer_sizes == (8, 4)


# Names of files and modules.


@pytest.mark.parametrize("name", ["p" * 300, "file/below", "\x1b[31m", "a\nb"])
@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "--policy"],
        ["play", "--policy"],
        ["evaluate", "--run"],
        ["train", "--resume"],
        ["compare", "--runs"],
    ],
    ids=" ".join,
)
def test_a_name_that_no_file_can_have_is_refused(here, refused, fake_trainer, words, name):
    (here / "file").touch()
    error = refused(*words, name)
    assert error[:-1].isprintable()
    for folders in ("evaluate --run-dir", "compare --run-dir"):
        assert "File name too long" in refused(*folders.split(), "p" * 300)


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_a_folder_of_runs_without_permission_is_said(here, refused, monkeypatch, command):
    """Root may read all, so the system's refusal is made by hand."""

    def denied(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for name in ("stat", "is_file", "is_dir", "glob", "iterdir", "open", "read_bytes"):
        method = getattr(pathlib.Path, name)

        def guarded(path, *args, method=method, **kwargs):
            deny = str(path).startswith("locked")
            return (denied if deny else method)(path, *args, **kwargs)

        monkeypatch.setattr(pathlib.Path, name, guarded)
    (here / "locked").mkdir()
    assert "Permission denied" in refused(command, "--run-dir", "locked")
    if command == "evaluate":
        assert "Permission denied" in refused(command, "--policy", "locked")
        assert "Permission denied" in refused(command, "--run", "locked")


@pytest.mark.parametrize("module", ["", "..x", "a..b", "p" * 300, "a\nb", "\x1b"])
def test_a_name_that_no_module_can_have_is_refused(here, refused, module):
    error = refused("train", "--env", f"{module}:ID", status=2)
    assert "module" in error and error[:-1].isprintable()


def test_what_argparse_refuses_stays_on_its_line(here, capsys):
    for words in (["--num-envs", "9" * 5000], ["--x\x1b\n"], ["--seed", "\x1b" * 1000]):
        with pytest.raises(SystemExit):
            motrix(["evaluate", *words])
        last = capsys.readouterr().err.splitlines()[-1]
        assert "error: " in last and last.isprintable() and len(last) < 1000


# Runs.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainer": "../../evil"}, "no trainer '../../evil'"),
        ({"trainer": ""}, "no trainer ''"),
        ({"trainer": "x" * 10**5}, "no trainer 'xxx"),
        ({"device": "\x1b[31m"}, "lacks entries"),
        ({"train_seconds": "x"}, "lacks entries"),
        ({"peak_memory_mib": [1]}, "lacks entries"),
        ({"wall_seconds": float("nan")}, "lacks entries"),
        ({"sessions": []}, "lacks entries"),
        ({"sessions": {}}, "lacks entries"),
        ({"sessions": [{}]}, "lacks entries"),
        ({"sessions": [SESSION, SESSION | {"versions": {"mujoco": 3}}]}, "lacks entries"),
        ({"sessions": [SESSION | {"code": "\x1b[31m"}]}, "lacks entries"),
        ({"sessions": [SESSION | {"cpu": None}]}, "lacks entries"),
        ({"sessions": [SESSION | {"cores": -1}]}, "lacks entries"),
        ({"steps": -1}, "lacks entries"),
        ({"algo": "os"}, "no algorithm 'os'"),
        ({"env_id": "../../evil"}, "which is not registered"),
        ({"env_config": {"__class__": "os"}}, "no setting '__class__'"),
        ({"env_config": {"reward_weights.__init__.x": 1}}, "no setting '__init__'"),
        (
            {"env_config": {"max_episode_steps": "__import__('os').abort()"}},
            "must be a whole number",
        ),
        ({"steps": 1e999}, "lacks entries"),
        ({"latest": [[]]}, "lacks entries"),
    ],
)
def test_a_manifest_says_nothing_that_is_run(refused, run, changes, message):
    edit(run / "manifest.json", **changes)
    words = ["train", "--resume", run, "--eval-episodes", "0"]
    misused = message.startswith(("no ", "must be"))
    assert message in refused(*words, status=2 if misused else 1)


@pytest.mark.parametrize(
    "name", ["..", "../..", "/etc", "64/../../..", "64\n", "", ".64.tmp", "٦٤/"]
)
@pytest.mark.parametrize("which", ["latest", "best", "history"])
def test_a_manifest_names_no_folder_outside(here, refused, run, name, which):
    manifest = json.loads((run / "manifest.json").read_text())
    entry = manifest["latest"] | {"folder": name}
    edit(run / "manifest.json", **{which: [entry] if which == "history" else entry})
    for words in (("train", "--resume"), ("evaluate", "--run")):
        assert "lacks entries of a run, or has wrong ones" in refused(*words, run)


def test_links_in_a_run_lead_to_no_loss(here, run):
    precious = here / "precious"
    for name in ("7", ".8.tmp", "documents"):
        (precious / name).mkdir(parents=True)
        (precious / name / "policy.json").write_text("mine")
    (precious / "text").write_text("mine")

    def as_it_was():
        files = [path for path in precious.rglob("*") if path.is_file()]
        return len(files) == 4 and all(path.read_text() == "mine" for path in files)

    resume = ["train", "--resume", str(run), "--eval-episodes", "0"]
    for name in ("7", "documents"):
        (run / "checkpoints" / name).symlink_to(precious / name)
    (run / "checkpoints" / ".96.tmp").symlink_to(precious / ".8.tmp")
    (run / ".lock").unlink()
    (run / ".lock").symlink_to(precious / "text")
    (run / ".x.tmp").symlink_to(precious / "text")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("max_env_steps: 64", "max_env_steps: 96"))
    assert motrix(resume) == 1  # a lock that is a link is not followed
    assert as_it_was()
    (run / ".lock").unlink()
    assert motrix(resume) == 0  # writes a checkpoint and removes what is not named
    assert as_it_was()
    assert sorted(os.listdir(run / "checkpoints"))[-1] == "96"

    (run / "checkpoints").rename(here / "elsewhere")
    (here / "elsewhere" / "5").mkdir()
    (run / "checkpoints").symlink_to(here / "elsewhere")
    (run / "manifest.json").rename(precious / "manifest")
    before = (precious / "manifest").read_bytes()
    (run / "manifest.json").symlink_to(precious / "manifest")
    assert motrix(resume) == 0
    assert (here / "elsewhere" / "5").exists()
    assert (precious / "manifest").read_bytes() == before


# Arrays, under digests that are right.


def tensors(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def one(dtype="F32", shape=(1,), offsets=(0, 4)):
    return tensors({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}, bytes(8))


ABSURD = {
    "pickle": pickle.dumps(Payload()),
    "header of 2^63": struct.pack("<Q", 2**63) + b"{}",
    "deep header": tensors(b"[" * 100_000),
    "no shape": tensors({"a": None}),
    "offset": one(offsets=(0, 2**40)),
    "negative": one(shape=(-4,)),
    "overflow": one(shape=(2**33, 2**33)),
    "dimensions": one(shape=[1] * 100, offsets=(0, 4)),
    "empty and huge": tensors({"a": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}}),
    "objects": one("O", offsets=(0, 8)),
    "bfloat16": one("BF16", (4,), (0, 8)),
    "complex": one("C64", (1,), (0, 8)),
}


@pytest.mark.parametrize("content", ABSURD.values(), ids=ABSURD)
def test_absurd_arrays_are_refused(here, refused, run, content):
    def put(folder, name):
        (folder / name).write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    make_policy(np.zeros((4, 1))).save(here / "policy")
    digest = put(here / "policy", "policy.safetensors")
    edit(here / "policy" / "policy.json", sha256=digest)
    with pytest.raises(PolicyError, match="is not a safetensors file"):
        Policy.load("policy")
    assert "is not a safetensors file" in refused("evaluate", "--policy", "policy")

    entry = Run.open(run).manifest()["latest"]
    digest = put(run / "checkpoints" / entry["folder"], "train_state.safetensors")
    entry["sha256"]["train_state.safetensors"] = digest
    edit(run / "manifest.json", latest=entry)
    assert "is not a safetensors file" in refused("train", "--resume", run)


@pytest.mark.filterwarnings("error")
def test_a_policy_that_overflows_is_named_as_the_cause(here, refused):
    make_policy(np.full((4, 1), 3e38)).save(here / "policy")
    error = refused("evaluate", "--policy", "policy", "--episodes", "2")
    assert "the policy's output is not finite: its weights are too large" in error


def test_a_state_of_other_steps_than_its_checkpoint_is_refused(refused, run):
    manifest = json.loads((run / "manifest.json").read_text())
    edit(run / "manifest.json", latest=manifest["latest"] | {"steps": 80})
    assert "its state is of 64 steps, not of 80" in refused("train", "--resume", run)


@pytest.mark.parametrize("error", [KeyError("weight"), RuntimeError("a\nb"), TypeError("x" * 9999)])
def test_whatever_a_damaged_state_raises_is_one_line(
    refused, run, fake_trainer, monkeypatch, error
):
    def restore(trainer, state):
        raise error

    monkeypatch.setattr(fake_trainer, "restore", restore)
    message = refused("train", "--resume", run, "--eval-episodes", "0")
    assert f"{run} cannot be resumed: {type(error).__name__}" in message


def test_the_payloads_are_real(here):
    """What the tests above look for does happen where a file is trusted."""
    import yaml

    (here / "trusted").mkdir()
    os.chdir(here / "trusted")
    pickle.loads(pickle.dumps(Payload()))
    os.rmdir("the-payload-ran")
    yaml.unsafe_load(CODE)
    assert os.listdir() == ["the-payload-ran"]
