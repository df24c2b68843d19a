# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import make_policy

import adapters
from adapters import PPOConfig
from motrix_gym import Goal
from rl_zoo import compare, evaluate, train
from rl_zoo.comparison import (
    Comparison,
    Point,
    Result,
    T,
    difference,
    mean_and_half,
    picture,
    summary,
)
from rl_zoo.runs import Run

ENV = "Motrix/CartPole-v0"
BALANCING = np.array([[0.3], [3.0], [0.3], [0.5]])
# 10 updates of 8 environments x 4 steps.
SETTINGS = {"num_envs": 8, "rollouts": 4, "mini_batches": 1, "max_env_steps": 320}
SET = ["--set", *(f"{name}={value}" for name, value in SETTINGS.items())]
TASK = {"max_episode_steps": 10}
QUICK = ["--eval-episodes", "4", "--curve-episodes", "2", "--num-threads", "1"]


def make_run(trainer="sb3", seed=0, solves_at=5, checkpoints=10, env_config=None, **settings):
    """A run whose policies fall until one balances; a checkpoint each 10 s."""
    values = SETTINGS | {"seed": seed, "keep_checkpoints": -1} | settings
    run = Run.create(
        "runs",
        ENV,
        trainer,
        PPOConfig(**values),
        env_config=TASK if env_config is None else env_config,
    )
    for i in range(1, checkpoints + 1):
        run._started -= 10  # as if so much time had passed
        policy = make_policy(BALANCING * (i >= solves_at), bias=1e-6 * i)
        facts = {"steps_per_second": 100.0 + seed, "peak_memory_mib": 50.0}
        run.save_checkpoint(32 * i, policy, {"x": np.zeros(1)}, None, **facts)
    run.finish("complete")
    return run.folder


def run_compare(*more):
    return compare.main([*QUICK, *map(str, more)])


def compare_runs(*folders):
    return run_compare("--runs", *folders)


def result():
    return json.loads(Path("comparison/comparison.json").read_text())["environments"][0]


@pytest.fixture
def trainings(monkeypatch, fake_trainer):
    """Trainings run in this process, without a library; returns their command lines."""
    calls = []

    def run(words):
        calls.append(words)
        assert words[0] == "train"
        return train.main(words[1:])

    monkeypatch.setattr(compare, "_run", run)
    return calls


@pytest.fixture
def evaluations(monkeypatch):
    """The arguments of each evaluation that is really made."""
    calls, real = [], evaluate.evaluate_policy

    def measure(*args, **kwargs):
        calls.append(kwargs)
        return real(*args, **kwargs)

    monkeypatch.setattr(evaluate, "evaluate_policy", measure)
    return calls


# What it does.


def test_what_is_missing_is_trained_once_and_evaluated_once(here, trainings, evaluations, capsys):
    flags = ["--trainers", "sb3", "skrl-torch", "--seeds", 2, *SET, "env.max_episode_steps=10"]
    assert run_compare(*flags) == 0
    assert [words[words.index("--trainer") + 1] for words in trainings] == ["sb3", "skrl-torch"] * 2
    assert [words[words.index("--seed") + 1] for words in trainings] == ["0", "0", "1", "1"]
    assert len(evaluations) == 4 * 10
    assert {e["seed"] for e in evaluations} == {evaluate.SEED}
    assert sorted(e["episodes"] for e in evaluations) == [2] * 36 + [4] * 4
    first = result()
    assert first["seeds"] == [0, 1]
    assert [len(runs) for runs in first["trainers"].values()] == [2, 2]
    run = first["trainers"]["sb3"][0]
    assert [point["steps"] for point in run["curve"]] == list(range(32, 321, 32))
    assert run["seconds"] == Run.open(run["folder"]).manifest["latest"]["seconds"]

    trainings.clear(), evaluations.clear()
    assert run_compare(*flags) == 0
    assert trainings == evaluations == []
    assert result() == first
    text = Path("comparison/comparison.md").read_text()
    assert "    python -m rl_zoo.compare --eval-episodes 4 --curve-episodes 2" in text
    assert "With `env.max_episode_steps=10`" in text
    assert text[text.index("| environment") :].strip() in capsys.readouterr().out


def test_the_picture_is_a_png_of_a_row_per_environment(here):
    sizes = []
    comparison = make_comparison({"sb3": [(1, 2), (1, 2)], "stock-sb3": [(1, 2), (3, 2)]})
    for count in (1, 2):
        data = picture([comparison] * count)
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        sizes.append(struct.unpack(">II", data[16:24]))
    assert sizes[1] == (sizes[0][0], 2 * sizes[0][1])


def test_figures_are_of_the_last_checkpoint_and_the_threshold_is_the_first_that_meets(here):
    fast, slow = make_run(solves_at=3, env_config={}), make_run(seed=1, solves_at=9, env_config={})
    assert compare_runs(fast, slow) == 0
    runs = result()["trainers"]["sb3"]
    assert [run["steps_to_threshold"] for run in runs] == [96, 288]
    assert [run["seconds_to_threshold"] for run in runs] == pytest.approx([30, 90], abs=2)
    assert [run["curve"][-1]["figures"]["return"] for run in runs] == [1000, 1000]
    assert all(run["goals_met"] for run in runs)
    table = Path("comparison/comparison.md").read_text()
    assert "| sb3 | return 1,000 ± 0 | 2 of 2 | 320 |" in table
    assert "| 192 ± 1,220 |" in table and "| 100.5 ± 6.4 |" in table
    assert "| sb3 | 2 | 1,000 ± 0 |" in table


def test_other_episodes_and_a_damaged_cache_are_measured_anew(here, evaluations):
    folder = make_run()
    cache = folder / "curve.json"
    compare_runs(folder)
    whole, first = cache.read_bytes(), result()
    run_compare("--runs", folder, "--curve-episodes", 1)
    assert len(evaluations) == 10 + 9
    for damage in (b"", b"{", b"[]", b'{"a": 1}', b'{"a": {"figures": 1, "faults": 0}}'):
        cache.write_bytes(damage)
        evaluations.clear()
        assert compare_runs(folder) == 0
        assert len(evaluations) == 10
        assert result() == first and cache.read_bytes() == whole


def test_runs_that_match_are_found_whatever_changes_nothing(here, trainings):
    make_run(learning_rate=5e-4)
    make_run(env_config={})
    make_run(keep_checkpoints=0)
    good = make_run(play_num_envs=3, check_point_interval=7)
    shutil.copytree(good, good.with_name("damaged"))
    (good.with_name("damaged") / "manifest.json").write_text("{")
    names = [name for name in SETTINGS if name != "seed"]
    defaults = PPOConfig().as_dict()
    # The shipped settings of the cart-pole do not count: all of the hand-made run's are given.
    given = [*names, "seed", "keep_checkpoints"]
    flags = [f"{k}={json.dumps(v)}" for k, v in defaults.items() if k not in given]
    flags += [f"{k}={v}" for k, v in SETTINGS.items()]
    assert (
        run_compare("--trainers", "sb3", "--seeds", 1, "--set", *flags, "env.max_episode_steps=10")
        == 0
    )
    assert trainings == []
    assert result()["trainers"]["sb3"][0]["folder"] == str(good)


def test_an_interrupted_run_is_gone_on_with(here, trainings, fake_trainer, capsys):
    flags = ["--trainers", "sb3", "--seeds", 1, *SET, "env.max_episode_steps=10"]

    def on_update(trainer):
        if trainer.num_updates == 3:
            os.kill(os.getpid(), signal.SIGINT)

    fake_trainer.on_update = on_update
    assert run_compare(*flags) == 130
    assert "sb3, seed 0 ended with status 130" in capsys.readouterr().err
    assert not Path("comparison").exists()
    fake_trainer.on_update = lambda trainer: None
    trainings.clear()
    assert run_compare(*flags) == 0
    (words,) = trainings
    folder = words[words.index("--resume") + 1]
    assert result()["trainers"]["sb3"][0]["folder"] == folder
    seconds = [point["seconds"] for point in result()["trainers"]["sb3"][0]["curve"]]
    assert len(seconds) == 10 and seconds == sorted(seconds)


def test_an_interrupted_stock_run_is_begun_anew(here, trainings, fake_trainer):
    flags = ["--trainers", "stock-sb3", "--seeds", 1, *SET, "env.max_episode_steps=10"]
    fake_trainer.on_update = lambda trainer: os.kill(os.getpid(), signal.SIGINT)
    assert run_compare(*flags) == 130
    fake_trainer.on_update = lambda trainer: None
    assert run_compare(*flags) == 0
    assert "--resume" not in trainings[1]


def test_without_training_the_missing_runs_are_listed_with_their_commands(here, capsys):
    flags = ["--trainers", "sb3", "skrl-jax", "--seeds", 2, *SET, "--no-train"]
    assert run_compare(*flags) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 + 4
    assert "rl_zoo.train --algo ppo --env Motrix/CartPole-v0 --trainer sb3 --seed 0" in lines[1]
    assert "keep_checkpoints=-1 check_point_interval=4" in lines[1]
    assert not Path("runs").exists()


def test_stock_adds_the_libraries_own_loops(here, trainings):
    flags = ["--trainers", "sb3", "--stock", "--seeds", 2, *SET, "env.max_episode_steps=10"]
    assert run_compare(*flags) == 0
    assert list(result()["trainers"]) == ["sb3", "stock-sb3"]
    (pair,) = result()["ours_minus_stock"]
    assert pair == {"trainer": "sb3", "difference": 0.0, "half_interval": 0.0, "not_worse": True}
    assert "- sb3: 0 (0 to 0): not worse" in Path("comparison/comparison.md").read_text()


def test_a_training_is_a_process_whose_status_is_told(here):
    assert compare._run(["envs"]) == 0
    assert compare._run(["train", "--seed", "-1"]) == 2


# Runs that cannot be compared.


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            {},
            {"env_config": {"max_angle": 0.3}},
            "differ in\n  env_config: {'max_episode_steps': 10}",
        ),
        ({}, {"seed": 1, "learning_rate": 5e-4}, "differ in\n  learning_rate: 0.001 and 0.0005"),
        ({}, {"trainer": "skrl-jax", "discount_factor": 0.9}, "discount_factor: 0.99 and 0.9"),
        ({}, {}, "two runs of sb3 have the same seed: [0, 0]"),
        (
            {},
            {"trainer": "skrl-jax", "seed": 1},
            "the same seeds, there are: sb3: [0]; skrl-jax: [1]",
        ),
        (
            {},
            {"seed": 1, "checkpoints": 7},
            "has kept 7 checkpoints; a curve needs all",
        ),
        ({}, {"seed": 1, "keep_checkpoints": 0}, "has kept 1 checkpoints; a curve needs all"),
        ({}, {"seed": 1, "keep_checkpoints": 8}, "has kept 9 checkpoints; a curve needs all"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(here, capsys, first, second, message):
    folders = make_run(**first), make_run(**second)
    assert compare_runs(*folders) == 1
    error = capsys.readouterr().err
    assert message in error
    if "differ" in message:
        assert f"{folders[0]} and {folders[1]}" in error


def test_runs_of_other_environments_and_unfinished_ones_are_refused(here, capsys, manifest_of):
    folders = make_run(), make_run(seed=1)
    manifest = manifest_of(folders[1])

    def error(**changes):
        (folders[1] / "manifest.json").write_text(json.dumps(manifest | changes))
        assert compare_runs(*folders) == 1
        return capsys.readouterr().err

    assert "env_id: 'Motrix/CartPole-v0' and 'Motrix/Go1-v0'" in error(env_id="Motrix/Go1-v0")
    assert "is interrupted at 320 steps" in error(status="interrupted")
    assert f"--resume {folders[1]}" in error(status="interrupted")
    assert "a curve needs all" in error(
        latest={k: v for k, v in manifest["latest"].items() if k != "seconds"}
    )
    policy = folders[1] / "checkpoints" / "96" / "policy.safetensors"
    policy.write_bytes(policy.read_bytes()[:-1] + b"!")
    (folders[1] / "manifest.json").write_text(json.dumps(manifest))
    assert compare_runs(folders[1]) == 1
    assert f"{policy} is damaged" in capsys.readouterr().err


def test_runs_of_different_machines_are_told(here, manifest_of):
    folders = make_run(), make_run(trainer="skrl-jax")
    assert compare_runs(*folders) == 0
    assert "Not all on one machine" not in Path("comparison/comparison.md").read_text()
    manifest = manifest_of(folders[1]) | {"cores": 64}
    (folders[1] / "manifest.json").write_text(json.dumps(manifest))
    assert compare_runs(*folders) == 0
    assert "Not all on one machine: seconds do" in Path("comparison/comparison.md").read_text()


# Bad input: one message, a status, and nothing trained.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--trainers skrl-jaxx", "no trainer 'skrl-jaxx' (did you mean 'skrl-jax'?)"),
        ("--env Motrix/CartPol-v0", "did you mean 'Motrix/CartPole-v0'?"),
        ("--algo pp", "no algorithm 'pp' (did you mean 'ppo'?)"),
        ("--algo tqc --trainers skrl-jax", "trainer 'skrl-jax' has no algorithm 'tqc', only ppo"),
        ("--algo tqc --stock", "--stock: no library's own loop of tqc is here"),
        ("--algo tqc --set mini_batches=4", "--set: no setting 'mini_batches'"),
        ("--set learning_rat=1", "did you mean 'learning_rate'?"),
        ("--set seed=1", "--set seed: the seeds are 0 to --seeds minus 1"),
        ("--set env.max_angl=1", "did you mean 'max_angle'?"),
        ("--set env.max_episode_steps=null", "may never end"),
        ("--runs a --trainers sb3", "--runs says all: leave out --trainers"),
        ("--runs a --no-train", "--runs says all: leave out --no-train"),
        ("--runs a", "there is no folder a"),
        ("--set keep_checkpoints=5", "--set keep_checkpoints: a comparison keeps all"),
        ("--eval-episodes 1031", "take 1030 or 1032 episodes"),
        ("--set symmetry_augmentation=true", "Motrix/CartPole-v0 has no mirror"),
        ("--set training_env={max_episode_step:3}", "did you mean 'max_episode_steps'"),
        ("--set initial_policy=nowhere", "neither a folder nor a shipped policy"),
        ("--out taken", "taken is not a folder to write in"),
        ("--out taken/in", "taken is not a folder to write in"),
    ],
)
def test_wrong_input_is_one_line_and_trains_nothing(here, capsys, trainings, flags, message):
    (here / "taken").write_text("")
    assert run_compare(*flags.split()) in (1, 2)
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert trainings == []


@pytest.mark.parametrize("flag", ["--seeds", "--eval-episodes", "--curve-episodes"])
def test_counts_start_at_one(flag, capsys):
    with pytest.raises(SystemExit) as exit:
        run_compare(flag, "0")
    assert exit.value.code == 2
    assert "'0' is not a whole number from 1 on" in capsys.readouterr().err


def test_without_matplotlib_nothing_is_begun(here, capsys, trainings, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run_compare("--trainers", "sb3") == 1
    assert 'pip install "motrix-gym[zoo]"' in capsys.readouterr().err
    assert trainings == [] and not Path("comparison").exists()


def test_without_a_trainers_library_nothing_is_begun(here, capsys, trainings, monkeypatch):
    def load(name, algo):
        if name == "sb3":
            raise adapters.MissingLibraryError("trainer 'sb3' needs 'torch'")
        return fake(name, algo)

    fake = adapters.load_trainer
    monkeypatch.setattr(adapters, "load_trainer", load)
    assert run_compare("--trainers", "skrl-jax", "sb3", *SET) == 1
    assert "trainer 'sb3' needs 'torch'" in capsys.readouterr().err
    assert trainings == [] and not Path("runs").exists()


# Figures over seeds.


TEN = (Goal("return", ">=", 10),)


def make_comparison(returns, goals=TEN):
    """A comparison by trainer, seed and checkpoint; checkpoint i is of 100 i steps and 7 i s."""
    trainers = {}
    for name, seeds in returns.items():
        results = []
        for seed, curve in enumerate(seeds):
            points = [
                Point(100 * i, 7.0 * i, {"return": float(value), "error": 0.5}, 0)
                for i, value in enumerate(curve, 1)
            ]
            results.append(Result("runs/x", name, seed, 50.0, 1.0, tuple(points)))
        trainers[name] = results
    return Comparison(ENV, {}, tuple(goals), {"error": "m/s"}, trainers)


def cells(comparison, trainer):
    """A trainer's row of both tables, by column."""
    found = {}
    for table in (summary([comparison]), comparison.markdown()):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        found |= next(dict(zip(head, row, strict=True)) for row in rows if trainer in row)
    return found


def test_a_seed_that_never_reaches_the_threshold_is_counted():
    comparison = make_comparison(
        {"all": [(9, 10), (12, 12)], "some": [(9, 9), (10, 8)], "none": [(0, 0), (0, 0)]}
    )
    assert cells(comparison, "all")["steps to threshold"] == "150 ± 635"
    assert cells(comparison, "all")["goals met"] == "2 of 2"
    assert cells(comparison, "all")["result"] == "return 11 ± 13"
    assert cells(comparison, "some")["steps to threshold"] == "100 (1 of 2 seeds)"
    assert cells(comparison, "some")["seconds to threshold"] == "7 (1 of 2 seeds)"
    assert cells(comparison, "some")["goals met"] == "0 of 2"
    assert cells(comparison, "none")["steps to threshold"] == "(0 of 2 seeds)"
    without = make_comparison({"all": [(9, 10)]}, goals=())
    assert cells(without, "all")["steps to threshold"] == cells(without, "all")["goals met"] == "-"
    assert cells(without, "all")["return"] == "10"  # a single seed has no interval
    assert cells(without, "all")["error (m/s)"] == "0.5"


def test_a_diverged_simulation_meets_no_goal():
    goal = (Goal("return", ">=", 1),)
    assert Point(1, 1.0, {"return": 2.0}, 0).meets(goal)
    assert not Point(1, 1.0, {"return": 2.0}, 1).meets(goal)
    assert not Point(1, 1.0, {"return": None}, 0).meets(goal)
    assert not Point(1, 1.0, {"return": 2.0}, 0).meets(())


@pytest.mark.parametrize(
    ("ours", "theirs", "not_worse"),
    [
        ((100, 102, 98), (110, 112, 108), False),
        ((100, 140, 60), (110, 112, 108), True),  # the interval reaches zero
        ((99.5, 99.6, 99.4), (100, 100, 100), True),  # less than 1 %
        ((98.5, 98.6, 98.4), (100, 100, 100), False),
        ((120, 121, 122), (100, 100, 100), True),
        ((-102, -102, -102), (-100, -100, -100), False),
        ((50,), (100,), None),  # one seed has no interval
    ],
)
def test_not_worse_than_stock_is_an_interval_to_zero_or_one_percent(ours, theirs, not_worse):
    curves = {"sb3": [(x,) for x in ours], "stock-sb3": [(x,) for x in theirs]}
    comparison = make_comparison(curves)
    (pair,) = comparison.stock
    assert pair["difference"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert pair["not_worse"] is not_worse
    verdict = {True: ": not worse", False: ": WORSE", None: "(no interval): not known"}[not_worse]
    assert verdict in comparison.markdown()


def test_intervals_are_students_and_welchs():
    """Worked by hand: s = 2 and sqrt(3) in the first; 95 % quantiles from a table."""
    mean, half = mean_and_half([1.0, 3.0, 5.0])
    assert (mean, half) == (3.0, pytest.approx(4.303 * 2 / np.sqrt(3)))
    gap, half = difference([1.0, 3.0, 5.0], [0.0, 0.0, 3.0])
    # Variances 4/3 and 1; degrees of freedom (7/3)^2 / ((4/3)^2 / 2 + 1 / 2) = 3.92, so 3.
    assert (gap, half) == (2.0, pytest.approx(3.182 * np.sqrt(7 / 3)))
    assert mean_and_half([2.0]) == (2.0, None)
    assert difference([2.0], [1.0, 2.0]) == (0.5, None)


def test_the_table_of_t_is_right():
    stats = pytest.importorskip("scipy.stats")
    np.testing.assert_allclose(T, stats.t.ppf(0.975, range(1, 31)), atol=5e-4)


def test_curves_of_other_steps_are_drawn_where_all_seeds_have_them():
    from rl_zoo.comparison import _curves

    (results,) = make_comparison({"sb3": [(0, 10, 20), (0, 10)]}).trainers.values()
    steps, seconds, returns = _curves(results)
    assert list(steps) == [100, 200]
    assert list(seconds) == [7, 14]
    assert returns.tolist() == [[0, 10], [0, 10]]
