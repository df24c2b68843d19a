# SPDX-License-Identifier: Apache-2.0
"""`motrix results` and `motrix reproduce`: stored results as tables, and the same weights again."""

import json
import os
import re
from pathlib import Path

import pytest

from motrix_gym import list_envs
from rl_zoo.__main__ import main as motrix
from rl_zoo.commands import compare
from rl_zoo.comparison.overview import overview, shipped_policies
from rl_zoo.comparison.stored import merged
from rl_zoo.policies import PRETRAINED
from rl_zoo.runs import Run

FOLDER = Path(__file__).parents[2] / "docs/results"
ENV = "Motrix/CartPole-v0"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?![\w`])")
SETTINGS = {"num_envs": 8, "rollouts": 4, "mini_batches": 1, "max_env_steps": 96}


def numbers(page):
    return [float(number.replace(",", "")) for number in NUMBER.findall(page)]


def test_the_page_of_all_results_is_current():
    known = [env_id for env_id in list_envs() if env_id.startswith("Motrix/")]
    page = overview(merged(sorted(FOLDER.glob("*.json")), False), shipped_policies(), known)
    there = (FOLDER / "results.md").read_text()
    assert NUMBER.sub("#", page) == NUMBER.sub("#", there), "run `motrix results`"
    # Other processors may round a bootstrap's last digit otherwise.
    assert numbers(page) == pytest.approx(numbers(there), rel=2e-3), "run `motrix results`"
    for env_id in known:
        assert env_id in page
    text = (PRETRAINED / "FrankaLift-v0/policy.json").read_text()
    about = json.loads(text)["metadata"]
    assert f"Motrix/FrankaLift-v0 | skrl-jax | {about['seed']} | {about['env_steps']:,}" in page


@pytest.fixture
def stored(here, fake_trainer):
    """A comparison.json of two short trainings."""
    import rl_zoo

    for seed in (3, 4):
        rl_zoo.train(
            ENV,
            trainer="sb3",
            seed=seed,
            eval_episodes=0,
            quiet=True,
            **SETTINGS,
            keep_checkpoints=-1,
        )
    runs = [str(path.parent) for path in sorted(here.glob("runs/*/*/manifest.json"))]
    episodes = ["--episodes", "8", "--curve-episodes", "8", "--num-threads", "1"]
    assert compare.main(["--runs", *runs, *episodes, "--out", "stored"]) == 0
    return here / "stored/comparison.json"


def test_results_are_written_and_reproduced(stored, here, capsys):
    assert motrix(["results", "--from", str(stored), "--out", "all"]) == 0
    names = {path.name for path in (here / "all").iterdir()}
    assert names == {"results.md", "comparison.md", "comparison.png"}
    run = json.loads(stored.read_bytes())["environments"][0]["runs"][0]
    assert f"{run['seed']}: `{run['policy'][:12]}`" in (here / "all/results.md").read_text()
    capsys.readouterr()

    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    asked = ["reproduce", "--from", str(stored), "--env", ENV, "--run-dir", "again"]
    assert motrix([*asked, "--seed", "4"]) == 0
    assert "reproduced: the weights are the same" in capsys.readouterr().out
    (again,) = (here / "again").glob("*/*/manifest.json")
    assert Run.open(again.parent).config().max_env_steps == 96
    if cores is not None:
        assert os.sched_getaffinity(0) == cores

    content = json.loads(stored.read_bytes())
    for run in content["environments"][0]["runs"]:
        run["policy"] = "0" * 64
        run["origin"]["sessions"][0]["cpu"] = "Z80"
    stored.write_text(json.dumps(content))
    assert motrix(asked) == 3
    told = capsys.readouterr().out
    assert "it ran on another processor than here (Z80)" in told
    assert "not reproduced: the weights differ (it ran on another processor than here)" in told

    for flags, message in (
        (["--env", "Motrix/CartPol-v0"], "did you mean 'Motrix/CartPole-v0'?"),
        (["--seed", "5"], f"no run of seed 5 is stored of {ENV}; there are: seeds 3, 4 of sb3"),
        (["--trainer", "skrl-jax"], "no run of 'skrl-jax' is stored"),
        (["--from", "nothing.json"], "nothing.json cannot be read: No such file or directory"),
    ):
        assert motrix([*asked, *flags]) in (1, 2)
        assert message in capsys.readouterr().err


def test_without_stored_files_the_command_says_what_to_give(here, capsys):
    assert motrix(["results"]) == 2
    assert "there is no docs/results/*.json here: name files" in capsys.readouterr().err
