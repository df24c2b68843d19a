# SPDX-License-Identifier: Apache-2.0
"""`motrix push` and `pull`, against a stand-in of the Hugging Face Hub; LeRobot's environments."""

import importlib.util
import pickle
import socket
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import yaml
from fakes import make_policy
from hub_server import TOKEN, running

from adapters import PPOConfig
from rl_zoo.__main__ import main as motrix
from rl_zoo.runs import Run

huggingface_hub = pytest.importorskip("huggingface_hub")
ENV = "Motrix/CartPole-v0"
NAME = "me/pole"


@pytest.fixture
def hub(here, monkeypatch):
    """A Hub that answers, an empty cache of its files, and a token that it knows."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(here / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(here / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        files = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", files)
        yield hub


def a_run(evaluated=True):
    run = Run.create("runs", ENV, "sb3", PPOConfig(seed=0), log=["wandb"])
    for steps in (100, 200, 300):
        policy = make_policy([[0.3], [3.0], [0.3], [0.5]], bias=steps / 1e6)
        run.save_checkpoint(steps, policy, {"steps": np.array(steps)}, score=-abs(steps - 200))
    run.finish("complete")
    if evaluated:
        stored = Path(sys.modules["rl_zoo"].__file__).parent / "pretrained/CartPole-v0"
        (run.folder / "evaluation.json").write_bytes((stored / "evaluation.json").read_bytes())
    return run


def test_a_run_goes_to_the_hub_and_comes_back(hub, capsys):
    run = a_run()
    assert motrix(["push", NAME, "--run", str(run.folder)]) == 0
    files = hub.repositories[NAME]
    assert all(name.endswith((".safetensors", ".json", ".yaml", ".md")) for name in files)
    head, text = files["README.md"].decode().removeprefix("---\n").split("\n---\n", 1)
    (result,) = yaml.safe_load(head)["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "return", "name": "return", "value": 1000.0}]
    assert "| return | 1,000.0 | 1,000.0 to 1,000.0 |" in text and "- return >= 990: met" in text
    assert f"motrix pull {NAME}" in text

    assert motrix(["pull", NAME]) == 0
    output = capsys.readouterr().out
    folder = Path("pulled/me/pole")
    assert f"--policy {folder}" in output and f"--run {folder / 'run'}" in output
    pulled = Run.open(folder / "run")
    assert [entry["steps"] for entry in pulled.history()] == [200, 300]
    np.testing.assert_equal(pulled.state(), run.state())
    assert pulled.config() == run.config() and pulled.manifest()["log"] == []
    observations = np.eye(4, dtype=np.float32)
    for policy in (pulled.policy(), pulled.policy("best")):
        np.testing.assert_array_equal(policy(observations), run.policy()(observations))
    assert motrix(["pull", NAME]) == 1
    assert "exists: remove it, or give --out" in capsys.readouterr().err


def test_a_card_keeps_what_a_person_wrote(hub, capsys):
    assert motrix(["push", NAME, "--policy", "pretrained"]) == 0
    files = hub.repositories[NAME]
    written = files["README.md"].decode().replace("---\n", "---\nlicense: mit\n", 1) + "My words.\n"
    files["README.md"] = written.encode()
    assert motrix(["push", NAME, "--policy", "pretrained"]) == 0
    card = files["README.md"].decode()
    assert "license: mit" in card and card.endswith("My words.\n")
    assert card.count("## Evaluation") == card.count("model-index") == 1
    for broken, message in {
        b"---\ntags: [\n---\n": "its head is not YAML in line 2",
        b"---\n- 1\n---\n": "its head is not a mapping",
        b"\xff": "is broken: it is not UTF-8",
    }.items():
        files["README.md"] = broken
        capsys.readouterr()
        assert motrix(["push", NAME, "--policy", "pretrained"]) == 1
        assert message in one_line(capsys) and files["README.md"] == broken


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_wrong_repositories_are_one_line_and_leave_nothing(hub, here, monkeypatch, capsys):
    good = {name: b"{}" for name in ("policy.safetensors", "policy.json")}
    hub.repositories = {
        "me/pickle": {"policy.pkl": pickle.dumps(1), "policy.json": b"{}"},
        "me/disguise": good | {"policy.safetensors": pickle.dumps(print)},
        "me/out": good | {"run/../../x": b""},
        "me/root": good | {"/etc/x": b""},
    }
    for words, message in {
        "pull me/pickle": "has no policy.safetensors and policy.json; policy.pkl can hide code",
        "pull me/disguise": "me/disguise: policy.json",
        "pull me/out": "has a file 'run/../../x': nothing is fetched of it",
        "pull me/root": "has a file '/etc/x': nothing is fetched of it",
        "pull me/nothing": "me/nothing is not there, or is private",
    }.items():
        assert motrix(words.split()) == 1
        assert message in one_line(capsys)
    for name in ("pole", "../pole", "me/../pole", "me/pole/x", "me/po..le"):
        assert motrix(["pull", name]) == 2
        assert "names no repository of the Hub: those are USER/NAME" in one_line(capsys)
    assert not list(here.glob("**/x")) and not list(here.glob("pulled/me/*"))

    push = ["push", NAME, "--policy", "pretrained"]
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert motrix(push) == 1
    assert "HF_TOKEN, says who you are" in one_line(capsys)
    monkeypatch.delenv("HF_TOKEN")
    assert motrix(push) == 1
    assert "HF_TOKEN, says who you are" in one_line(capsys)
    with socket.socket() as nobody:  # has a port, and does not listen there
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", url)
        for command in (push, ["pull", NAME]):
            assert motrix(command) == 1
            assert f"the Hub does not answer at {url}" in one_line(capsys)


def test_files_are_written_here_instead(here, capsys):
    assert motrix(["push", NAME, "--policy", "pretrained", "--out", "repository"]) == 0
    names = {path.name for path in Path("repository").iterdir()}
    assert names == {"README.md", "evaluation.json", "policy.json", "policy.safetensors"}


TASK = """
import motrix_gym
from motrix_gym.tasks.basic.cartpole import CartPole, CartPoleConfig
motrix_gym.register_task("Mine/Shared-v0", CartPole, CartPoleConfig())
"""


def load(path):
    """Imports a file as LeRobot does, and calls its make_env."""
    spec = importlib.util.spec_from_file_location("hub_env", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_env(n_envs=3, use_async_envs=True)


def test_environments_load_as_lerobot_loads_them(hub, here, capsys):
    """It fetches env.py alone, into a folder that is named by the commit, and imports it."""
    (here / "shared_task.py").write_text(TASK)
    env_id = "Mine/Shared-v0"
    try:
        for name in (ENV, f"shared_task:{env_id}"):
            assert motrix(["push", NAME, "--environment", "--env", name]) == 0
            files = hub.repositories[NAME]
            assert {"env.py", "requirements.txt", "README.md"} <= set(files)
            if name != ENV:  # as on another machine
                (here / "shared_task.py").unlink()
                del sys.modules["shared_task"]
                gymnasium.registry.pop(env_id)
            path = huggingface_hub.HfApi(endpoint=hub.url).hf_hub_download(NAME, "env.py")
            for _ in range(2):
                env = load(path)
                assert isinstance(env, gymnasium.vector.VectorEnv) and env.num_envs == 3
                assert env.spec.id == name.rpartition(":")[2]
                observations, _ = env.reset(seed=0)
                assert observations.shape == (3, 4)
                assert env.step(env.action_space.sample())[1].shape == (3,)
                env.close()
    finally:
        gymnasium.registry.pop(env_id, None)
        sys.modules.pop("shared_task", None)
        from motrix_gym import registration

        registration._entries.pop(env_id, None)
