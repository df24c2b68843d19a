# SPDX-License-Identifier: Apache-2.0
"""`motrix compare`: which runs are used, the figures over seeds, and the three files."""

import dataclasses
import json
import os
import shutil
import signal
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import make_policy

import adapters
from adapters import PPOConfig
from motrix_gym import Goal
from rl_zoo import evaluation, provenance, runs
from rl_zoo.commands import compare, train
from rl_zoo.comparison import jobs
from rl_zoo.comparison.picture import _curves, draw
from rl_zoo.comparison.report import markdown, summary
from rl_zoo.comparison.results import Comparison, Point, Result, _by_our_names
from rl_zoo.comparison.statistics import difference, iqm_and_interval, mean_and_half
from rl_zoo.runs import Run
from rl_zoo.statistics import Summary

ENV = "Motrix/CartPole-v0"
BALANCING = np.array([[0.3], [3.0], [0.3], [0.5]])
# 10 updates of 8 environments x 4 steps.
SETTINGS = {"num_envs": 8, "rollouts": 4, "mini_batches": 1, "max_env_steps": 320}
SET = ["--set", *(f"{name}={value}" for name, value in SETTINGS.items())]
TASK = {"max_episode_steps": 10}
QUICK = ["--episodes", "4", "--curve-episodes", "2", "--num-threads", "1"]


def make_run(trainer="sb3", seed=0, solves_at=5, checkpoints=10, env_config=None, **settings):
    """A run whose policies fall until one balances; a checkpoint each 10 s."""
    values = SETTINGS | {"seed": seed, "keep_checkpoints": -1} | settings
    clock = SimpleNamespace(now=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "time", SimpleNamespace(monotonic=lambda: clock.now))
        run = Run.create(
            "runs",
            ENV,
            trainer,
            PPOConfig(**values),
            env_config=TASK if env_config is None else env_config,
        )
        for i in range(1, checkpoints + 1):
            clock.now += 10
            policy = make_policy(BALANCING * (i >= solves_at), bias=1e-6 * i)
            facts = {"steps_per_second": 100.0 + seed, "peak_memory_mib": 50.0}
            run.save_checkpoint(32 * i, policy, {"x": np.zeros(1)}, None, **facts)
        run.finish("complete")
    return run.folder


def run_compare(*more):
    return compare.main([*QUICK, *map(str, more)])


def compare_runs(*folders):
    return run_compare("--runs", *folders)


def result(folder="comparison"):
    return json.loads(Path(folder, "comparison.json").read_text())["environments"][0]


def runs_of(trainer):
    return [run for run in result()["runs"] if run["trainer"] == trainer]


def table(folder="comparison"):
    return Path(folder, "comparison.md").read_text()


@pytest.fixture
def trainings(monkeypatch, fake_trainer):
    """Trainings run in this process, without a library; returns their command lines."""
    calls = []

    def run(words):
        calls.append(words)
        assert words[0] == "train"
        return train.main(words[1:])

    monkeypatch.setattr(jobs, "_run", run)
    return calls


@pytest.fixture
def evaluations(monkeypatch):
    """The arguments of each evaluation that is really made."""
    calls, real = [], evaluation.evaluate_policy

    def measure(*args, **kwargs):
        calls.append(kwargs)
        return real(*args, **kwargs)

    monkeypatch.setattr(evaluation, "evaluate_policy", measure)
    return calls


# What it does.


def test_what_is_missing_is_trained_once_and_evaluated_once(here, trainings, evaluations, capsys):
    flags = ["--trainers", "sb3", "skrl-torch", "--seeds", 2, *SET, "env.max_episode_steps=10"]
    assert run_compare(*flags) == 0
    assert [words[words.index("--trainer") + 1] for words in trainings] == ["sb3", "skrl-torch"] * 2
    assert [words[words.index("--seed") + 1] for words in trainings] == ["0", "0", "1", "1"]
    assert len(evaluations) == 4 * 10
    assert {e["seed"] for e in evaluations} == {evaluation.SEED}
    assert sorted(e["episodes"] for e in evaluations) == [2] * 36 + [4] * 4
    first = result()
    assert [(run["trainer"], run["seed"]) for run in first["runs"]] == [
        ("sb3", 0),
        ("skrl-torch", 0),
        ("sb3", 1),
        ("skrl-torch", 1),
    ]
    run = first["runs"][0]
    assert [point["steps"] for point in run["curve"]] == list(range(32, 321, 32))
    assert run["seconds"] == Run.open(run["folder"]).manifest()["latest"]["seconds"]

    trainings.clear(), evaluations.clear()
    assert run_compare(*flags) == 0
    assert trainings == evaluations == []
    assert result() == first
    text = table()
    assert "    python -m rl_zoo.compare --episodes 4 --curve-episodes 2" in text
    assert f"## {ENV} (env.max_episode_steps=10)" in text
    assert "; seeds 0, 1." in text
    assert text[text.index("| environment") :].strip() in capsys.readouterr().out


def test_the_picture_is_a_png_of_a_row_per_environment(here):
    sizes = []
    comparison = make_comparison({"sb3": [(1, 2), (1, 2)], "stock-sb3": [(1, 2), (3, 2)]})
    without = (make_result("skrl-jax", 0, (1,), curve=()),)
    comparison = dataclasses.replace(comparison, results=comparison.results + without)
    for count in (1, 2):
        data = draw([comparison] * count)
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        sizes.append(struct.unpack(">II", data[16:24]))
    assert sizes[1] == (sizes[0][0], 2 * sizes[0][1])


def test_the_threshold_is_the_first_of_two_checkpoints_that_meet_the_goals(here):
    fast, slow = make_run(solves_at=3, env_config={}), make_run(seed=1, solves_at=9, env_config={})
    lucky = make_run(seed=2, solves_at=10, env_config={})  # the last one alone
    assert compare_runs(fast, slow, lucky) == 0
    found = runs_of("sb3")
    assert [run["steps_to_threshold"] for run in found] == [96, 288, None]
    assert [run["seconds_to_threshold"] for run in found] == [30, 90, None]
    assert [run["curve"][-1]["figures"]["return"] for run in found] == [1000] * 3
    assert [run["goals"] for run in found] == [{"return >= 990": "met"}] * 3
    assert [run["figures"]["return"]["mean"] for run in found] == [1000] * 3
    assert "goals met (4 episodes)" in table() and "steps to threshold (2 episodes)" in table()
    assert "| sb3 | return 1,000 ± 0 | 3 of 3 | 320 |" in table()
    assert "| 192 (2 of 3 seeds) |" in table()
    assert "| sb3 | return | 3 | 1,000 ± 0 | 1,000 (1,000 to 1,000) | 1,000 to 1,000 |" in table()


def test_other_episodes_and_a_damaged_cache_are_measured_anew(here, evaluations):
    folder = make_run()
    cache = folder / "curve.json"
    compare_runs(folder)
    whole, first = cache.read_bytes(), result()
    run_compare("--runs", folder, "--curve-episodes", 1)
    assert len(evaluations) == 10 + 9
    for damage in (
        b"",
        b"{",
        b"[]",
        b'{"a": 1}',
        b'{"a": {"figures": {"return": 1}, "faults": 0}}',
    ):
        cache.write_bytes(damage)
        evaluations.clear()
        assert compare_runs(folder) == 0
        assert len(evaluations) == 10
        assert result() == first and cache.read_bytes() == whole


@pytest.mark.parametrize(
    ("what", "other"),
    [("code", "b" * 64), ("versions", {"numpy": "1.0"}), ("machine", {"cpu": "Z80", "cores": 1})],
)
def test_what_was_measured_with_other_programs_or_elsewhere_is_measured_anew(
    here, evaluations, monkeypatch, what, other
):
    folder = make_run(checkpoints=2)
    compare_runs(folder)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(provenance, what, lambda: other)
        assert compare_runs(folder) == compare_runs(folder) == 0
    assert len(evaluations) == 2 + 2
    assert compare_runs(folder) == 0
    assert len(evaluations) == 2 + 2


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
    assert runs_of("sb3")[0]["folder"] == str(good)


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
    assert runs_of("sb3")[0]["folder"] == folder
    seconds = [point["seconds"] for point in runs_of("sb3")[0]["curve"]]
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
    assert [run["trainer"] for run in result()["runs"]] == ["sb3", "stock-sb3"] * 2
    (pair,) = result()["ours_minus_stock"]
    assert pair == {
        "trainer": "sb3",
        "difference": 0.0,
        "half_interval": 0.0,
        "margin": 0.5,
        "verdict": "equivalent",
    }
    assert "- sb3: 0 (0 to 0; margin 0.5): equivalent" in table()


def test_a_training_is_a_process_whose_status_is_told(here):
    assert jobs._run(["envs"]) == 0
    assert jobs._run(["train", "--seed", "-1"]) == 2


def test_the_seeds_begin_where_asked(here, trainings):
    flags = ["--trainers", "sb3", *SET, "env.max_episode_steps=10"]
    assert run_compare(*flags, "--first-seed", 100, "--seeds", 3) == 0
    assert [run["seed"] for run in result()["runs"]] == [100, 101, 102]
    assert "; seeds 100 to 102." in table()


def test_few_checkpoints_that_were_asked_for_are_a_curve(here, trainings):
    interval = "check_point_interval=20"  # of 40 vector steps
    flags = ["--trainers", "sb3", "--seeds", 1, *SET, interval, "env.max_episode_steps=10"]
    assert run_compare(*flags) == run_compare(*flags) == 0
    assert len(trainings) == 1
    assert [point["steps"] for point in runs_of("sb3")[0]["curve"]] == [160, 320]


def test_evaluations_are_long_at_the_end_and_shorter_before(here, episodes_asked):
    compare.main(["--runs", str(make_run())])
    assert episodes_asked == [100] * 9 + [1000]


# Runs that differ.


def test_runs_of_other_settings_have_rows_that_say_so(here):
    folders = [make_run(seed=seed, learning_rate=rate) for seed in (0, 1) for rate in (1e-3, 5e-4)]
    other = make_run(trainer="skrl-jax", discount_factor=0.9)
    assert compare_runs(*folders, other) == 0
    for row in ("sb3 (learning_rate=0.001)", "sb3 (learning_rate=0.0005)"):
        assert f"| {row} | return | 2 | 10 ± 0 |" in table()
    assert "| skrl-jax | return | 1 | 10 |" in table()
    assert "- `discount_factor` differs: 0.99 (sb3), 0.9 (skrl-jax)." in table()
    assert len(result()["runs"]) == 5


def test_runs_of_other_task_settings_are_another_table(here):
    assert compare_runs(make_run(), make_run(env_config={"max_episode_steps": 5})) == 0
    for steps in (10, 5):
        assert f"| {ENV} (env.max_episode_steps={steps}) | sb3 | return {steps} |" in table()


def test_trainers_may_have_other_seeds(here):
    folders = make_run(), make_run(seed=1), make_run(trainer="skrl-jax", seed=3)
    assert compare_runs(*folders) == 0
    assert "; seeds 0, 1 of sb3; seed 3 of skrl-jax." in table()


@pytest.mark.parametrize("kept", [0, 8])
def test_a_run_without_all_checkpoints_is_compared_by_its_last_policy(here, kept, evaluations):
    kept = make_run(trainer="skrl-jax", keep_checkpoints=kept, solves_at=10, env_config={})
    assert compare_runs(make_run(env_config={}), kept) == 0
    run = result()["runs"][1]
    assert run["curve"] == [] and run["steps_to_threshold"] is None
    assert (run["steps"], run["figures"]["return"]["mean"]) == (320, 1000)
    assert [e["episodes"] for e in evaluations].count(4) == 2 and len(evaluations) == 11
    row = next(line for line in table().splitlines() if "| skrl-jax | return 1,000 |" in line)
    assert row.split("|")[7:9] == [" - ", " - "]


def test_a_run_of_old_without_times_is_compared_too(here, manifest_of):
    folder = make_run()
    manifest = manifest_of(folder)
    for entry in (*manifest["history"], manifest["best"], manifest["latest"]):
        entry.pop("seconds", None)
    for name in ("sessions", "steps_per_second", "peak_memory_mib"):
        del manifest[name]
    manifest["versions"] = {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert compare_runs(folder) == 0
    assert runs_of("sb3")[0]["seconds"] is None
    assert "Ran with other code than here (unknown): seed 0 of sb3." in table()


def changed(folder, manifest_of, *sessions, **changes):
    """Let a run have other sessions, each said by its difference from the real one."""
    manifest = manifest_of(folder)
    (real,) = manifest["sessions"]
    changes |= {"sessions": [real | session for session in sessions or [{}]]}
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    ("sessions", "message"),  # {}: resumed here
    [
        ([{"code": "0123456789abcdef" * 4}, {}], "with other code than here (0123456789ab)"),
        ([{"versions": {"numpy": "1.0"}}, {}], "with other versions than here (numpy 1.0)"),
        ([{"cpu": "Z80"}, {}], "on another processor than here (Z80)"),
        ([{"cpu": "Z80"}], "on another processor than here (Z80)"),
    ],
)
def test_runs_of_another_origin_are_used_and_named_or_refused(
    here, trainings, manifest_of, capsys, sessions, message
):
    flags = ["--trainers", "sb3", "--seeds", 3, *SET, "env.max_episode_steps=10"]
    assert run_compare(*flags) == 0
    assert message not in table()
    assert run_compare(*flags, "--strict") == 0
    for run in result()["runs"][:2]:
        changed(Path(run["folder"]), manifest_of, *sessions)
    trainings.clear(), capsys.readouterr()
    assert run_compare(*flags) == 0
    assert f"- Ran {message}: seeds 0, 1 of sb3." in table()
    fewer = [*flags[:3], 4, *flags[4:]]  # one is missing
    for flags in (fewer, ["--runs", result()["runs"][0]["folder"]]):
        assert run_compare(*flags, "--strict") == 1
    assert compare.main(["--from", stored(), "--strict"]) == 1
    error = capsys.readouterr().err
    assert error.count(message) == 3 and error.count("\n") == 3
    assert trainings == []


def stored():
    return str(Path("comparison/comparison.json"))


def test_of_two_runs_the_one_like_here_is_taken(here, manifest_of, trainings):
    flags = ["--trainers", "sb3", "--seeds", 1, *SET, "env.max_episode_steps=10"]
    run_compare(*flags)
    first = Path(result()["runs"][0]["folder"])
    newer = first.with_name("newer")
    shutil.copytree(first, newer)
    changed(newer, manifest_of, {"code": "0" * 64}, created="2999-01-01")
    assert run_compare(*flags, "--strict") == 0
    assert result()["runs"][0]["folder"] == str(first)
    shutil.rmtree(first)
    assert run_compare(*flags) == 0
    assert result()["runs"][0]["folder"] == str(newer)


def test_strict_refuses_to_go_on_with_a_run_of_another_origin(
    here, trainings, fake_trainer, manifest_of, capsys
):
    flags = ["--trainers", "sb3", "--seeds", 1, *SET, "env.max_episode_steps=10"]

    def on_update(trainer):
        if trainer.num_updates == 3:
            os.kill(os.getpid(), signal.SIGINT)

    fake_trainer.on_update = on_update
    assert run_compare(*flags) == 130
    fake_trainer.on_update = lambda trainer: None
    (folder,) = Path("runs").glob("*/*")
    whole = (folder / "manifest.json").read_bytes()
    changed(folder, manifest_of, {"code": "0" * 64})
    trainings.clear(), capsys.readouterr()
    assert run_compare(*flags, "--strict") == 1
    assert (
        f"--strict: {folder} ran with other code than here (000000000000)"
        in capsys.readouterr().err
    )
    assert trainings == []
    # Beside an older one like here, that one is taken.
    like_here = folder.with_name("older")
    shutil.copytree(folder, like_here)
    (like_here / "manifest.json").write_bytes(whole)
    changed(like_here, manifest_of, created="2000-01-01")
    assert run_compare(*flags, "--strict") == 0
    assert str(like_here) in trainings[0]


def test_settings_that_are_not_the_shipped_ones_are_named(here, trainings):
    assert compare_runs(make_run()) == 0
    (line,) = (line for line in table().splitlines() if "settings other than the shipped" in line)
    assert "num_envs=8" in line and ": seed 0 of sb3." in line
    assert "seed=" not in line and "keep_checkpoints" not in line
    # Those of --set were asked for.
    flags = ["--trainers", "sb3", "--seeds", 1, *SET, "env.max_episode_steps=10", "--strict"]
    assert run_compare(*flags) == run_compare(*flags) == 0


# Stored comparisons.


def test_a_stored_comparison_is_drawn_again_without_its_runs(here, evaluations):
    solved, late = make_run(env_config={}), make_run(seed=1, solves_at=10, env_config={})
    kept = make_run(trainer="stock-sb3", keep_checkpoints=0)
    assert compare_runs(solved, late, kept) == 0
    shutil.rmtree("runs")
    evaluations.clear()
    assert compare.main(["--from", stored(), "--out", "again"]) == 0
    assert json.loads(Path("again/comparison.json").read_text()) == json.loads(
        Path(stored()).read_text()
    )
    pictures = [Path(folder, "comparison.png").read_bytes() for folder in ("again", "comparison")]
    assert pictures[0] == pictures[1]
    assert table("again").splitlines()[4:] == table().splitlines()[4:]
    assert evaluations == []


def test_stored_comparisons_become_one_and_each_run_counts_once(here):
    folders = [make_run(seed=seed) for seed in range(3)] + [make_run(trainer="skrl-jax", seed=7)]
    for name, some in {"a": folders[:2], "b": folders[1:]}.items():
        assert run_compare("--out", name, "--runs", *some) == 0
    files = [f"{name}/comparison.json" for name in ("a", "b")]
    assert compare.main(["--from", *files]) == 0
    assert [(run["trainer"], run["seed"]) for run in result()["runs"]] == [
        ("sb3", 0),
        ("sb3", 1),
        ("sb3", 2),
        ("skrl-jax", 7),
    ]
    assert "; seeds 0 to 2 of sb3; seed 7 of skrl-jax." in table()


def test_stored_comparisons_of_several_machines_and_programs_become_one_that_names_them(
    here, manifest_of
):
    sessions = {
        "a": [{"code": "a" * 64, "cpu": "Z80", "cores": 1}],
        "b": [{"code": "b" * 64, "cpu": "6502", "cores": 4}, {"versions": {"numpy": "1.0"}}],
    }
    for first, (name, changes) in zip((0, 2), sessions.items(), strict=True):
        folders = [make_run(seed=seed) for seed in (first, first + 1)]
        for folder in folders:
            changed(folder, manifest_of, *changes)
        assert run_compare("--out", name, "--runs", *folders) == 0
    files = [f"{name}/comparison.json" for name in sessions]
    assert compare.main(["--from", *files, "--out", "docs/results"]) == 0
    text = table("docs/results")
    assert "Z80, 1 core, cpu" in text and "6502, 4 cores, cpu" in text
    assert "Not all on one machine" in text and f"numpy 1.0 or {np.__version__}" in text
    for line in (
        f"with other code than here ({'a' * 12}): seeds 0, 1 of sb3.",
        f"with other code than here ({'b' * 12}): seeds 2, 3 of sb3.",
        "on another processor than here (Z80): seeds 0, 1 of sb3.",
        "on another processor than here (6502): seeds 2, 3 of sb3.",
        "with other versions than here (numpy 1.0): seeds 2, 3 of sb3.",
    ):
        assert f"- Ran {line}" in text
    assert len(result("docs/results")["runs"]) == 4
    assert "| sb3 | return | 4 |" in text


def test_a_stored_comparison_of_old_with_one_session_per_run_is_read(here):
    assert compare_runs(make_run()) == 0
    whole = json.loads(Path(stored()).read_text())
    origin = whole["environments"][0]["runs"][0]["origin"]
    (session,) = origin.pop("sessions")
    origin |= session
    Path("old.json").write_text(json.dumps(whole))
    assert compare.main(["--from", "old.json"]) == 0
    assert runs_of("sb3")[0]["origin"]["sessions"] == [session]


def test_a_stored_run_has_all_that_tells_where_it_comes_from(here, manifest_of):
    folder = make_run()
    assert compare_runs(folder) == 0
    run, manifest = runs_of("sb3")[0], manifest_of(folder)
    latest = manifest["latest"]["sha256"]
    assert run["policy"] == latest["policy.safetensors"]
    (session,) = manifest["sessions"]
    assert run["origin"]["sessions"] == [session | {"cores": str(session["cores"])}]
    assert len(session["code"]) == 64
    assert run["origin"]["created"] == manifest["created"]
    assert run["settings"] == Run.open(folder).config().as_dict()
    assert (run["episodes"], run["curve_episodes"]) == (4, 2)
    assert run["evaluation_seed"] == evaluation.SEED


def test_stored_comparisons_that_cannot_be_one_are_refused(here, capsys):
    assert compare_runs(make_run()) == 0
    stored_as = json.loads(Path(stored()).read_text())

    def error(**changes):
        entry = stored_as["environments"][0] | changes
        Path("b.json").write_text(json.dumps(stored_as | {"environments": [entry]}))
        assert compare.main(["--from", stored(), "b.json", "--out", "c"]) == 1
        message = capsys.readouterr().err
        assert message.count("\n") == 1 and not Path("c").exists()
        return message

    run = stored_as["environments"][0]["runs"][0]
    other = run | {"policy": "0" * 64, "folder": "elsewhere"}
    message = error(runs=[other])
    assert f"two runs of sb3 have the same seed 0: {run['folder']} and elsewhere" in message
    goal = {"figure": "return", "comparison": ">=", "value": 5.0}
    assert "the goals of Motrix/CartPole-v0 are return >= 5 there, elsewhere" in error(goals=[goal])
    assert "b.json holds no runs" in error(runs=[])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not what compare writes"),
        ("[]", "is not what compare writes"),
        ('{"schema_version": 1}', "is of another version of this program"),
        ('{"schema_version": 2, "environments": [{}]}', "is not what compare writes"),
        ('{"schema_version": 2, "environments": []}', "holds no runs"),
    ],
)
def test_damaged_stored_comparisons_are_refused(here, capsys, text, message):
    if text is not None:
        Path("a.json").write_text(text)
    assert compare.main(["--from", "a.json"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: a.json ") and message in error and error.count("\n") == 1


def test_no_damage_of_a_stored_comparison_is_a_traceback(here, capsys, monkeypatch):
    """Every entry in turn is missing, or of another type."""
    monkeypatch.setattr("rl_zoo.comparison.picture.draw", lambda comparisons: b"")  # which is slow
    assert compare_runs(make_run(checkpoints=2, max_env_steps=64)) == 0
    whole = Path(stored()).read_text()

    def places(value, path=()):
        yield path
        parts = value.items() if isinstance(value, dict) else enumerate(value[:1])
        for key, part in parts:
            yield (*path, key)
            if isinstance(part, dict | list):
                yield from places(part, (*path, key))

    for path in list(places(json.loads(whole)))[1:]:
        for damage in (None, [], "x", 1e999):
            damaged = json.loads(whole)
            *parents, last = path
            holder = damaged
            for key in parents:
                holder = holder[key]
            holder[last] = damage
            Path("damaged.json").write_text(json.dumps(damaged))
            assert compare.main(["--from", "damaged.json"]) in (0, 1), (path, damage)


# Runs that cannot be compared.


def test_two_runs_of_a_seed_are_refused(here, capsys, evaluations):
    folders = make_run(), make_run()
    assert compare_runs(*folders) == 1
    error = capsys.readouterr().err
    assert f"two runs of sb3 have the same seed 0: {folders[0]} and {folders[1]}" in error
    assert evaluations == []


def test_runs_of_other_environments_and_unfinished_ones_are_refused(here, capsys, manifest_of):
    folders = make_run(), make_run(seed=1)
    manifest = manifest_of(folders[1])

    def error(**changes):
        (folders[1] / "manifest.json").write_text(json.dumps(manifest | changes))
        assert run_compare("--env", ENV, "--runs", *folders) == 1
        return capsys.readouterr().err

    assert "is interrupted at 320 steps" in error(status="interrupted")
    assert f"--resume {folders[1]}" in error(status="interrupted")
    assert "has no checkpoint" in error(latest=None, best=None, history=[])
    assert "is a run of Motrix/Go1-v0, not of" in error(env_id="Motrix/Go1-v0")
    policy = folders[1] / "checkpoints" / "96" / "policy.safetensors"
    policy.write_bytes(policy.read_bytes()[:-1] + b"!")
    (folders[1] / "manifest.json").write_text(json.dumps(manifest))
    assert compare_runs(folders[1]) == 1
    assert f"{policy} is damaged" in capsys.readouterr().err


def test_runs_of_different_machines_are_told(here, manifest_of):
    folders = make_run(), make_run(trainer="skrl-jax")
    assert compare_runs(*folders) == 0
    assert "Not all on one machine" not in Path("comparison/comparison.md").read_text()
    changed(folders[1], manifest_of, {"cores": 64}, {})
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
        ("--set seed=1", "--set seed: --first-seed and --seeds say which"),
        ("--set env.max_angl=1", "did you mean 'max_angle'?"),
        ("--set env.max_episode_steps=null", "may never end"),
        ("--runs a --trainers sb3", "--runs says all: leave out --trainers"),
        ("--runs a --no-train", "--runs says all: leave out --no-train"),
        ("--runs a", "there is no folder a"),
        ("--runs a --first-seed 1", "--runs says all: leave out --first-seed"),
        ("--from a --runs a", "--from says all: leave out --runs"),
        ("--from a --env Motrix/Go1-v0", "--from says all: leave out --env"),
        ("--set keep_checkpoints=5", "--set keep_checkpoints: a comparison keeps all"),
        ("--episodes 1031", "take 1030 or 1032 episodes"),
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


@pytest.mark.parametrize("flag", ["--seeds", "--episodes", "--curve-episodes"])
def test_counts_start_at_one(flag, capsys):
    with pytest.raises(SystemExit) as exit:
        run_compare(flag, "0")
    assert exit.value.code == 2
    assert "'0' is not a whole number from 1 to 1000000" in capsys.readouterr().err


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


def make_result(trainer, seed, returns, **changes):
    """A run whose checkpoint i is of 100 i steps and 7 i s."""
    points = [
        Point(100 * i, 7.0 * i, {"return": float(value), "error": 0.5}, 0)
        for i, value in enumerate(returns, 1)
    ]
    figures = {
        name: Summary(mean, mean, mean, mean, mean, mean)
        for name, mean in points[-1].figures.items()
    }
    values = dict(
        trainer=trainer,
        algo="ppo",
        seed=seed,
        folder="runs/x",
        settings={},
        ignored=[],
        origin={},
        policy=f"{trainer} {seed}",
        steps_per_second=50.0,
        peak_memory_mib=1.0,
        steps=points[-1].steps,
        seconds=points[-1].seconds,
        episodes=1000,
        curve_episodes=100,
        evaluation_seed=0,
        figures=figures,
        faults=0,
        curve=tuple(points),
    )
    return Result(**values | changes)


def make_comparison(returns, goals=TEN):
    """A comparison by trainer, seed and checkpoint."""
    results = [
        make_result(name, seed, curve)
        for name, seeds in returns.items()
        for seed, curve in enumerate(seeds)
    ]
    return Comparison(ENV, {}, tuple(goals), {"error": "m/s"}, tuple(results))


def cells(comparison, trainer):
    """A trainer's row of the summary, by column."""
    lines = summary([comparison]).splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    found = next(dict(zip(head, row, strict=True)) for row in rows if trainer in row)
    return {name.partition(" (")[0]: cell for name, cell in found.items()}


def test_a_seed_that_never_reaches_the_threshold_is_counted():
    comparison = make_comparison(
        {
            "all": [(9, 10, 10), (12, 12, 12)],
            "some": [(9, 10, 9), (10, 10, 8)],
            "none": [(0, 0, 10), (10, 9, 10)],
        }
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
    # A single seed has no interval.
    assert "| all | return | 1 | 10 | - | 10 to 10 |" in markdown(without)
    assert "| all | error (m/s) | 1 | 0.5 | - | 0.5 to 0.5 |" in markdown(without)


def test_the_tables_say_how_many_episodes_judged():
    head = summary([make_comparison({"sb3": [(1, 2)]})]).splitlines()[0]
    assert "| goals met (1,000 episodes) |" in head
    assert "| steps to threshold (100 episodes) |" in head
    assert "| seconds to threshold (100 episodes) |" in head


def test_goals_that_are_met_on_average_only_are_counted_apart():
    summaries = {
        "met": Summary(11, 11, 10, 12, 0, 20),
        "on average": Summary(11, 11, 9, 12, 0, 20),
        "not": Summary(9, 9, 8, 12, 0, 20),
    }

    def goals_met(*names):
        results = [
            make_result("sb3", seed, (11,), figures={"return": summaries[name]})
            for seed, name in enumerate(names)
        ]
        return cells(Comparison(ENV, {}, TEN, {}, tuple(results)), "sb3")["goals met"]

    assert goals_met("met", "met", "not") == "2 of 3"
    assert goals_met("met", "on average", "not", "met") == "2 of 4, 1 on average"
    assert goals_met("on average") == "0 of 1, 1 on average"


def test_a_diverged_simulation_meets_no_goal():
    goal = (Goal("return", ">=", 1),)
    assert Point(1, 1.0, {"return": 2.0}, 0).meets(goal)
    assert not Point(1, 1.0, {"return": 2.0}, 1).meets(goal)
    assert not Point(1, 1.0, {"return": np.nan}, 0).meets(goal)
    assert not Point(1, 1.0, {"return": 2.0}, 0).meets(())
    assert make_result("sb3", 0, (2,)).verdict(goal) == "met"
    assert make_result("sb3", 0, (2,), faults=1).verdict(goal) == "not met"


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ((100, 101, 99), (100, 101, 99), "equivalent"),
        ((97, 98, 97.5), (100, 100, 100), "equivalent"),  # lower, but within the margin
        ((120, 121, 122), (100, 100, 100), "not worse"),
        ((104, 101, 107), (100, 101, 99), "not worse"),
        ((100, 102, 98), (110, 112, 108), "worse"),
        ((95, 94, 93), (100, 100, 100), "worse"),
        ((100, 140, 60), (110, 112, 108), "not shown to be worse"),
        ((-120, -121, -122), (-100, -100, -100), "worse"),
        ((50,), (100,), None),  # one seed has no interval
    ],
)
def test_ours_beside_stock_are_judged_by_interval_and_margin(ours, theirs, verdict):
    curves = {"sb3": [(x,) for x in ours], "stock-sb3": [(x,) for x in theirs]}
    comparison = make_comparison(curves)
    (pair,) = comparison.stock
    assert pair["difference"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert pair["margin"] == pytest.approx(0.05 * abs(np.mean(theirs)))
    assert pair["verdict"] == verdict
    (line,) = (x for x in markdown(comparison).splitlines() if x.startswith("- sb3: "))
    assert line.endswith(f"): {verdict or 'not known'}")


def test_ours_of_other_settings_than_the_stock_loops_are_not_judged():
    ours = [make_result("sb3", seed, (1,), settings={"learning_rate": 1}) for seed in (0, 1)]
    theirs = [make_result("stock-sb3", s, (1,), settings={"learning_rate": 2}) for s in (0, 1)]
    assert Comparison(ENV, {}, (), {}, (*ours, *theirs)).stock == []


def labels(*settings):
    """The rows of runs with some settings, one per seed, and their seeds."""
    results = [make_result("sb3", seed, (1,), settings=x) for seed, x in enumerate(settings)]
    rows = Comparison(ENV, {}, (), {}, tuple(results)).rows
    return {label: [result.seed for result in row] for label, row in rows.items()}


def test_runs_are_of_one_row_if_all_their_settings_are_the_same():
    assert labels({"a": 1, "k": 1}, {"a": 1, "k": 2}, {"a": 2}) == {
        "sb3 (a=1, k=1)": [0],
        "sb3 (a=1, k=2)": [1],
        "sb3 (a=2, no k)": [2],
    }
    assert labels({"a": 1}, {"a": 1, "k": 1}, {"a": 1, "k": None}, {"k": 1, "a": 1}) == {
        "sb3 (no k)": [0],
        "sb3 (k=1)": [1, 3],
        "sb3 (k=null)": [2],
    }
    assert labels({"a": 1, "seed": 0}, {"a": 1, "keep_checkpoints": 3}) == {"sb3": [0, 1]}


def test_a_setting_that_an_older_run_has_not_is_at_its_default():
    stored = {"a": 1}, {"a": 1, "privileged_value": False}, {"a": 1, "privileged_value": True}
    assert labels(*stored) == {
        "sb3 (privileged_value=false)": [0, 1],
        "sb3 (privileged_value=true)": [2],
    }


def test_a_setting_that_one_trainer_has_not_is_told():
    ours = make_result("sb3", 0, (1,), settings={"a": 1, "k": 1})
    theirs = make_result("stock-sb3", 0, (1,), settings={"a": 1})
    comparison = Comparison(ENV, {}, (), {}, (ours, theirs))
    assert "- `k` differs: 1 (sb3), none (stock-sb3)." in markdown(comparison)
    assert comparison.stock == []


def test_the_interquartile_mean_is_rliables():
    """Figures of rliable 1.2.0: get_interval_estimates with aggregate_iqm and 50,000 resamples."""
    middle, interval = iqm_and_interval([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (middle, interval) == (3.0, pytest.approx((4 / 3, 68.0)))
    middle, interval = iqm_and_interval([612, 640, 655, 660, 661, 702, 715, 718, 730, 760])
    assert (middle, interval) == (pytest.approx(4111 / 6), pytest.approx((652.5, 718.5), abs=1))
    assert iqm_and_interval([4.0]) == (4.0, None)
    assert iqm_and_interval([4.0, 4.0]) == (4.0, (4.0, 4.0))


def test_intervals_are_students_and_welchs():
    """Worked by hand: s = 2 and sqrt(3) in the first; 95 % quantiles from a table."""
    mean, half = mean_and_half([1.0, 3.0, 5.0])
    assert (mean, half) == (3.0, pytest.approx(4.3027 * 2 / np.sqrt(3), rel=1e-4))
    gap, half = difference([1.0, 3.0, 5.0], [0.0, 0.0, 3.0])
    # Variances 4/3 and 1; degrees of freedom (7/3)^2 / ((4/3)^2 / 2 + 1 / 2) = 3.92.
    assert (gap, half) == (2.0, pytest.approx(2.799 * np.sqrt(7 / 3), rel=1e-3))
    assert mean_and_half([2.0]) == (2.0, None)
    assert difference([2.0], [1.0, 2.0]) == (0.5, None)


def test_seeds_that_are_all_alike_differ_by_nothing_but_their_means():
    assert difference([1000.0] * 3, [1000.0] * 3) == (0.0, 0.0)
    assert difference([1000.0] * 3, [990.0] * 3) == (10.0, 0.0)
    assert difference([1.0, np.nan], [1.0, 2.0])[1] is None


def test_curves_of_other_steps_are_drawn_where_all_seeds_have_them():
    (results,) = make_comparison({"sb3": [(0, 10, 20), (0, 10)]}).rows.values()
    steps, seconds, returns = _curves(results)
    assert list(steps) == [100, 200]
    assert list(seconds) == [7, 14]
    assert returns.tolist() == [[0, 10], [0, 10]]


def test_settings_that_were_stored_by_other_names_are_those_of_today():
    stored = {"learning_rate_scheduler_kl_threshold": 0.01, "kl_threshold": 0, "learning_starts": 0}
    assert _by_our_names("ppo", stored) == {"desired_kl": 0.01, "early_stop_kl": 0}
    assert _by_our_names("sac", {"learning_starts": 100}) == {"learning_starts": 100}
