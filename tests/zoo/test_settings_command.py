# SPDX-License-Identifier: Apache-2.0
"""`motrix settings` tells what every setting means, and what an environment's file changes."""

import contextlib

import pytest

from adapters import ALGORITHMS, PPOConfig
from motrix_gym import list_envs
from rl_zoo.__main__ import COMMANDS
from rl_zoo.__main__ import main as motrix
from rl_zoo.commands.settings import choices


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_all_settings_are_listed_in_80_columns(algo, capsys):
    assert motrix(["settings", "--algo", algo]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.partition(":")[0] for line in lines if line and line[0].islower()]
    assert sorted(listed) == sorted(ALGORITHMS[algo].names())
    assert max(map(len, lines)) <= 80
    assert "None" not in " ".join(lines)


def test_a_setting_has_default_unit_meaning_and_range(capsys):
    motrix(["settings", "--algo", "ppo"])
    output = " ".join(capsys.readouterr().out.split())
    assert "rollouts: 32 vector steps Length of a rollout." in output
    assert "discount_factor: 0.99 Discount factor, gamma. A finite number, >= 0, <= 1." in output
    assert "max_env_steps: 20_480_000 environment steps" in output
    of_run = output.partition("Settings of the run")[2]
    assert "seed: null" in of_run and "learning_rate" not in of_run
    for name in (*PPOConfig.aliases, *PPOConfig.only):
        assert name not in output


def test_an_environments_choices_have_their_reasons(capsys):
    assert motrix(["settings", "--env", "Motrix/CartPole-v0"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "rollouts: 128 (default 32) Length of a rollout." in output
    assert "num_envs: 256 (default 2048)" in output
    assert "Here: All environments start alike and fall alike: a short rollout" in output
    assert "Here: a drift of the cart costs only seconds later" in output
    assert "learning_rate:" not in output  # which the file has at its default


def test_the_choices_of_a_trainer_are_its_own():
    assert "mixed_precision: true" in choices("Motrix/Go1-v0", "ppo", "skrl-torch")
    assert "mixed_precision" not in choices("Motrix/Go1-v0", "ppo", "sb3")
    assert "has the defaults of ARS" in choices("Motrix/Go1-v0", "ars")


@pytest.mark.parametrize("env_id", list_envs())
def test_choices_fit_80_columns(env_id):
    assert max(map(len, choices(env_id, "ppo").splitlines())) <= 80


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--algo pp", "no algorithm 'pp' (did you mean 'ppo'?)"),
        ("--env Motrix/CartPol-v0", "did you mean 'Motrix/CartPole-v0'?"),
        ("--env Motrix/Go1-v0 --trainer sb4", "no trainer 'sb4' (did you mean 'sb3'?)"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(flags, message, capsys):
    assert motrix(["settings", *flags.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_fits_80_columns(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):
        motrix([*command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5 and max(map(len, lines)) <= 80
