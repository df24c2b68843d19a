# SPDX-License-Identifier: Apache-2.0
"""The commands with the algorithms beside PPO, on a tiny scale."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import adapters
from adapters import ALGORITHMS
from rl_zoo import compare, evaluate, play, train
from rl_zoo.runs import Run

pytest.importorskip("sb3_contrib")

TINY = "--num-envs 4 --num-threads 1 --eval-episodes 4 --set max_env_steps=320".split()
TINY += "check_point_interval=20 env.max_episode_steps=10".split()
SMALL = {
    "ars": "n_top=1",
    "trpo": "rollouts=4 mini_batches=2",
    "recurrent_ppo": "rollouts=4 mini_batches=2 learning_epochs=1 lstm_hidden_size=4",
} | dict.fromkeys(("sac", "td3", "tqc", "crossq"), "learning_starts=20 batch_size=8")


def words(algo):
    sizes = "policy_hidden_layer_sizes=[4] value_hidden_layer_sizes=[4]" if algo != "ars" else ""
    return ["--algo", algo, *TINY, *SMALL[algo].split(), *sizes.split()]


def only(paths):
    (path,) = paths
    return path


@pytest.mark.parametrize("algo", [name for name in ALGORITHMS if name != "ppo"])
def test_a_run_is_trained_stopped_resumed_evaluated_and_played(here, monkeypatch, capsys, algo):
    assert train.main([*words(algo), "--run-dir", "whole"]) == 0
    said = capsys.readouterr().out
    assert "Motrix/CartPole-v0 with sb3 on cpu: the only one that has it" in said
    whole = Run.open(only(Path("whole").glob("*/*")))
    assert whole.folder.name.endswith(f"_{algo}_sb3")
    assert isinstance(whole.config(), ALGORITHMS[algo])

    trainer = adapters.load_trainer("sb3", algo)
    update = trainer.update

    def stopping(self):
        if self.vector_steps >= 40:
            raise KeyboardInterrupt
        return update(self)

    monkeypatch.setattr(trainer, "update", stopping)
    assert train.main([*words(algo), "--run-dir", "parts"]) == 130
    monkeypatch.setattr(trainer, "update", update)
    folder = only(Path("parts").glob("*/*"))
    assert Run.open(folder).manifest["steps"] == 160
    assert train.main(["--resume", str(folder), "--eval-episodes", "4"]) == 0
    expected, found = whole.state(), Run.open(folder).state()
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)

    assert evaluate.main(["--run", str(folder), "--episodes", "4"]) in (0, 3)
    again = ["--run", str(folder), "--episodes", "4", "--stochastic", "--json", "drawn.json"]
    assert evaluate.main(again) in (0, 3)
    assert json.loads(Path("drawn.json").read_text())["episodes"] == 4
    env = evaluate.cli.make_env("Motrix/CartPole-v0", {"max_episode_steps": 10}, 2)
    steps = play._observe_steps(env, Run.open(folder).policy().actor(), seed=0)
    for _ in range(25):
        next(steps)
    env.close()


def test_compare_takes_an_algorithm(here):
    settings = [*SMALL["sac"].split(), "max_env_steps=320", "env.max_episode_steps=10"]
    flags = ["--algo", "sac", "--seeds", "1", "--eval-episodes", "4", "--curve-episodes", "4"]
    assert compare.main([*flags, "--set", "num_envs=4", *settings]) == 0
    text = Path("comparison/comparison.md").read_text()
    assert text.startswith("# Comparison of sb3: sac\n")
    assert only(os.listdir("runs/CartPole-v0")).endswith("_sac_sb3")


def test_a_missing_contrib_is_told_with_its_extra(here, capsys, monkeypatch):
    monkeypatch.setitem(adapters.TRAINERS["sb3"], "tqc", ("no_such_contrib.tqc", "Trainer"))
    assert train.main(words("tqc")) == 1
    assert 'pip install "motrix-gym[sb3]"' in capsys.readouterr().err
    assert not list(here.iterdir())


def test_a_trainer_without_the_algorithm_is_told_who_has_it(here, capsys):
    assert train.main([*words("tqc"), "--trainer", "skrl-torch"]) == 2
    error = capsys.readouterr().err
    assert (
        "trainer 'skrl-torch' has no algorithm 'tqc', only ppo; tqc is what these have: sb3"
        in error
    )
    assert error.count("\n") == 1 and not list(here.iterdir())
