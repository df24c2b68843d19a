# SPDX-License-Identifier: Apache-2.0
"""`motrix envs`: the table, and all about one environment."""

import json

import pytest

import motrix_gym
from motrix_gym import registration
from rl_zoo import policies
from rl_zoo.__main__ import main as motrix
from rl_zoo.commands.envs import details


def test_every_environment_has_a_line_for_each_goal(capsys):
    assert motrix(["envs"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "episode", "goal", "best"]
    assert [line.split()[0] for line in lines if line[0] != " "] == motrix_gym.list_envs()
    cartpole = next(line for line in lines if "Motrix/CartPole-v0" in line)
    assert cartpole.split()[1:-1] == ["10", "s", "return", ">=", "990"]
    go1 = lines.index(next(line for line in lines if "Motrix/Go1-v0" in line))
    assert lines[go1 + 1].split()[:-1] == ["yaw_rate_error", "<=", "0.25"]
    assert lines[go1 + 2].split()[:-1] == ["fall", "<=", "0.01"]


def test_an_environment_without_goals_or_policy_has_a_line(monkeypatch, capsys):
    about = {"id": "Mine/A-v0", "episode_seconds": None, "goals": [], "best": None}
    monkeypatch.setattr("rl_zoo.commands.envs.describe", lambda env_id: about)
    monkeypatch.setattr(motrix_gym, "list_envs", lambda: ["Mine/A-v0"])
    assert motrix(["envs"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[1].split() == "Mine/A-v0 any length return -".split()
    )


@pytest.mark.parametrize("flags", [(), *(("--env", env_id) for env_id in motrix_gym.list_envs())])
def test_what_is_printed_fits_80_columns(flags, capsys):
    assert motrix(["envs", *flags]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_json_has_lengths_goals_and_the_result_of_the_shipped_policy(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(policies, "PRETRAINED", tmp_path)
    (tmp_path / "CartPole-v0").mkdir()
    found = {"mean": 998.5, "low": 997.0, "high": 999.0}
    figures = {"return": {**found, "iqm": 999.5}, "length": {"mean": 999.0}}
    evaluation = {"env_id": "Motrix/CartPole-v0", "figures": figures}
    (tmp_path / "CartPole-v0" / "evaluation.json").write_text(json.dumps(evaluation))
    assert motrix(["envs", "--json"]) == 0
    entries = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries.keys() == set(motrix_gym.list_envs())
    assert entries["Motrix/CartPole-v0"] == {
        "id": "Motrix/CartPole-v0",
        "episode_steps": 1000,
        "episode_seconds": 10.0,
        "goals": ["return >= 990"],
        "best": {"return": found},
    }
    assert entries["Motrix/Go1-v0"]["best"] is None


def test_sizes_are_those_of_the_environments():
    for env_id in motrix_gym.list_envs():
        env = registration.make_vector(env_id)
        about = details(env_id)
        assert f"observation ({env.single_observation_space.shape[0]})" in about
        assert f"action ({env.single_action_space.shape[0]})" in about


def test_the_list_compiles_no_model(monkeypatch, capsys):
    monkeypatch.setattr(motrix_gym.Task, "__init__", None)
    assert motrix(["envs"]) == 0
    assert "Motrix/Go1-v0" in capsys.readouterr().out


def test_markdown_is_a_table(capsys):
    assert motrix(["envs", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(motrix_gym.list_envs())
    assert all(line.startswith("| ") and line.count("|") == 5 for line in lines)


def test_env_tells_all_about_one(capsys):
    assert motrix(["envs", "--env", "Motrix/Go1-v0"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["6-8", "projected_gravity", "1"] in lines
    assert any(line[:2] == ["fall", "rate"] for line in lines)
    assert ["0", "FR_hip_joint_offset", "action_scale", "rad"] in lines
    share = lines.index(["commands.standing_share:", "0.1"])
    meaning = "Share of commands that are zero. A finite number, >= 0, <= 1."
    assert " ".join(lines[share + 1]) == meaning
    assert ["reward_weights.linear_velocity:", "1.5"] in lines


@pytest.mark.parametrize("env_id", motrix_gym.list_envs())
def test_what_is_said_first_needs_no_source_file(env_id):
    first = details(env_id).splitlines()[0]
    assert first.startswith(f"{env_id}: ") and first.endswith(".")
    assert "docstring" not in first


def test_what_is_listed_needs_motrix_gym_alone(python):
    listing = python("""
import sys
for name in ("yaml", "scipy", "torch", "jax", "skrl", "stable_baselines3", "matplotlib"):
    sys.modules[name] = None
from rl_zoo.__main__ import main
for argv in ([], ["--markdown"], ["--json"], ["--env", "Motrix/Go1-v0"]):
    assert main(["envs", *argv]) == 0
""")
    assert "Motrix/CartPole-v0" in listing


def test_a_near_miss_of_an_id_is_hinted_at(capsys):
    assert motrix(["envs", "--env", "Motrix/Goo1-v0"]) == 2
    assert "did you mean 'Motrix/Go1-v0'?" in capsys.readouterr().err
