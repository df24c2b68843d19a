# SPDX-License-Identifier: Apache-2.0
"""`motrix train`: runs, stopping and resuming, settings, messages."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fakes import make_policy

from adapters import TRAINERS
from rl_zoo import choice, errors, evaluation, logs
from rl_zoo.__main__ import main as motrix
from rl_zoo.commands import train
from rl_zoo.hints import command_line
from rl_zoo.progress import EPISODES, RETURN, ProgressLine
from rl_zoo.progress_table import ProgressTable, fits, trend
from rl_zoo.runs import Run, RunError, find_newest

ROOT = str(Path(__file__).parents[2])
ENV = "Motrix/CartPole-v0"
# 10 updates of 8 environments x 4 steps, a checkpoint after every other one, episodes of 10 steps.
SETTINGS = "rollouts=4 mini_batches=1 max_env_steps=320 check_point_interval=8"
TINY = f"--num-envs 8 --num-threads 1 --set {SETTINGS} env.max_episode_steps=10".split()
NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def newest(root=Path("runs")):
    return find_newest(root, ENV)


def run_tiny(*more):
    return train.main([*TINY, "--trainer", "sb3", "--eval-episodes", "4", *map(str, more)])


# A run.


def test_a_run_leaves_everything_and_says_where(here, fake_trainer, manifest_of, capsys):
    assert run_tiny("--seed", 3) == 0
    folder = newest()
    manifest = manifest_of(folder)
    assert manifest["status"] == "complete"
    assert manifest["steps"] == manifest["latest"]["steps"] == 320
    assert (manifest["env_id"], manifest["trainer"], manifest["seed"]) == (ENV, "sb3", 3)
    assert manifest["env_config"] == {"max_episode_steps": 10}
    assert manifest["peak_memory_mib"] > 10
    assert manifest["steps_per_second"] == 320 / manifest["train_seconds"]
    assert 0 < manifest["train_seconds"] < manifest["latest"]["seconds"] < manifest["wall_seconds"]
    assert json.loads((folder / "evaluation.json").read_text())["figures"]["return"]["mean"] == 10
    output = capsys.readouterr().out
    assert f"run: {folder}" in output
    for command in (f"play --run {folder}", f"evaluate --run {folder}", "compare --runs runs"):
        assert f"\n  python -m rl_zoo.{command}" in output.replace(sys.executable, "python")
    assert "320 steps 100%" in output
    assert "goal return >= 990: not met (10, 95% interval 10 to 10)" in output


def test_every_update_is_in_tensorboard(here, fake_trainer):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_tiny()
    events = EventAccumulator(str(newest()))
    events.Reload()
    assert [e.step for e in events.Scalars("Loss / Policy loss")] == list(range(32, 321, 32))
    assert events.Scalars(RETURN)[-1].value == 10.0
    assert events.Scalars("Reward Instant / alive (mean)")[0].value == 1.0
    assert events.Scalars("Time / Steps per second")[0].value > 0


def test_checkpoints_come_at_the_interval_and_at_the_end(here, fake_trainer, monkeypatch):
    saved = []

    def save(_, steps, policy, state, score, **facts):
        saved.append((steps, score))

    monkeypatch.setattr(Run, "save_checkpoint", save)
    run_tiny("--eval-episodes", 0, "--set", "max_env_steps=288")
    assert [steps for steps, _ in saved] == [64, 128, 192, 256, 288]
    # The first episodes end at step 10; the last window is shorter than the interval.
    assert [score for _, score in saved] == [None, 10, 10, 10, None]


def test_a_history_has_every_checkpoint_and_its_time(here, fake_trainer):
    started = time.monotonic()
    run_tiny("--eval-episodes", 0, "--set", "keep_checkpoints=-1")
    entries = Run.open(newest()).history()
    assert [entry["steps"] for entry in entries] == [64, 128, 192, 256, 320]
    seconds = [entry["seconds"] for entry in entries]
    assert 0 < seconds[0] and seconds == sorted(seconds)
    assert seconds[-1] < time.monotonic() - started


def test_the_clock_of_a_run_starts_before_anything_is_loaded(here, fake_trainer, monkeypatch):
    real = train._planned

    def slow(args):
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 1000)
        return real(args)

    monkeypatch.setattr(train, "_planned", slow)
    run_tiny("--eval-episodes", 0)
    assert Run.open(newest()).manifest()["best"]["seconds"] > 1000


def test_the_figures_of_a_resumed_run_are_of_all_its_processes(here, fake_trainer, manifest_of):
    fake_trainer.on_update = stop_with(signal.SIGINT)
    run_tiny()
    first = manifest_of(newest())
    path = newest() / "manifest.json"
    path.write_text(json.dumps(first | {"train_seconds": 100.0, "peak_memory_mib": 1e6}))
    fake_trainer.on_update = lambda trainer: None
    started = time.monotonic()
    train.main(["--resume", str(newest()), "--eval-episodes", "0"])
    last = manifest_of(newest())
    assert 100 < last["train_seconds"] < 100 + time.monotonic() - started
    assert last["steps_per_second"] == 320 / last["train_seconds"]
    assert last["peak_memory_mib"] == 1e6
    assert last["latest"]["seconds"] > first["wall_seconds"]


def test_a_lucky_window_before_an_interruption_is_not_the_best(here, fake_trainer, manifest_of):
    def on_update(trainer):
        trainer.scalars = {EPISODES: 8, RETURN: 99.0 if trainer.num_updates == 4 else 5.0}
        if trainer.num_updates == 4:
            os.kill(os.getpid(), signal.SIGINT)

    fake_trainer.on_update = on_update
    assert run_tiny() == 130
    manifest = manifest_of(newest())
    assert (manifest["latest"]["steps"], manifest["latest"]["score"]) == (160, None)
    assert (manifest["best"]["steps"], manifest["best"]["score"]) == (128, 5.0)


def test_the_choice_and_the_report_have_episodes_of_their_own(here, fake_trainer, monkeypatch):
    calls, real = [], evaluation.evaluate_policy

    def measure(*args, **kwargs):
        calls.append((kwargs["episodes"], kwargs["purpose"]))
        return real(*args, **kwargs)

    def on_update(trainer):
        trainer.scalars = {EPISODES: 8, RETURN: -trainer.num_updates}

    monkeypatch.setattr(evaluation, "evaluate_policy", measure)
    fake_trainer.on_update = on_update
    run_tiny("--eval-episodes", 60)
    (choice, other), report = calls[:2], calls[2]
    assert choice == other == (evaluation.CHOICE_EPISODES, "choice")
    assert report == (60, "evaluation") and len(calls) == 3


@pytest.mark.parametrize(("latest", "best"), [(0.0, "192"), (1.0, "320")])
def test_the_policy_that_evaluates_better_becomes_the_best(
    here, fake_trainer, manifest_of, latest, best
):
    """Training returns say that step 192 is best; the evaluation may disagree."""

    def on_update(trainer):
        high = 4 <= trainer.num_updates < 6
        trainer.scalars = {EPISODES: 8, RETURN: 20.0 if high else 5.0}

    def policy(trainer):
        balances = {6: 0.5, 10: latest}.get(trainer.num_updates, 0.0)
        return make_policy(np.array([[0.3], [3], [0.3], [0.5]]) * balances, trainer.metadata())

    fake_trainer.on_update, fake_trainer.policy = on_update, policy
    run_tiny("--set", "env.max_episode_steps=200")
    manifest = manifest_of(newest())
    assert manifest["best"]["folder"] == best
    assert manifest["latest"]["folder"] == "320"
    evaluation = json.loads((newest() / "evaluation.json").read_text())
    assert evaluation["figures"]["return"]["mean"] == 200


def test_a_checkpoint_before_which_no_episode_ended_has_no_score(here, fake_trainer, manifest_of):
    """A policy that has collapsed since the last end must not inherit its predecessor's return."""

    def on_update(trainer):
        ends = trainer.num_updates < 4
        trainer.scalars = {EPISODES: 8, RETURN: 20.0} if ends else {EPISODES: 0}

    fake_trainer.on_update = on_update
    run_tiny("--eval-episodes", 0, "--set", "keep_checkpoints=-1")
    scores = [entry["score"] for entry in Run.open(newest()).history()]
    assert scores == [20.0, 20.0, None, None, None]
    assert manifest_of(newest())["best"]["folder"] == "128"


def test_scores_are_means_over_episodes_and_not_over_updates(here, fake_trainer):
    def on_update(trainer):
        many = trainer.num_updates % 2
        trainer.scalars = {EPISODES: 9, RETURN: 1.0} if many else {EPISODES: 1, RETURN: 11.0}

    fake_trainer.on_update = on_update
    run_tiny("--eval-episodes", 0, "--set", "keep_checkpoints=-1")
    assert {entry["score"] for entry in Run.open(newest()).history()} == {2.0}


def test_the_latest_policy_is_measured_against_an_earlier_one_even_if_it_scored_best(
    here, fake_trainer, manifest_of
):
    """It scored best while its actions were drawn; their means alone may do nothing."""

    def policy(trainer):
        balances = trainer.num_updates < 10
        return make_policy(np.array([[0.3], [3], [0.3], [0.5]]) * balances, trainer.metadata())

    def on_update(trainer):
        trainer.scalars = {EPISODES: 8, RETURN: float(trainer.num_updates)}

    fake_trainer.on_update, fake_trainer.policy = on_update, policy
    run_tiny("--set", "env.max_episode_steps=200")
    manifest = manifest_of(newest())
    assert (manifest["best"]["folder"], manifest["latest"]["folder"]) == ("256", "320")


def test_minutes_end_a_training_that_can_go_on(
    here, fake_trainer, manifest_of, monkeypatch, capsys
):
    now = 1000.0

    def on_update(trainer):
        nonlocal now
        now += 50.0  # seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    fake_trainer.on_update = on_update
    assert run_tiny("--minutes", 2) == 0
    manifest = manifest_of(newest())
    assert (manifest["status"], manifest["steps"]) == ("interrupted", 3 * 32)
    assert (newest() / "evaluation.json").is_file()
    output = capsys.readouterr().out
    assert "time is up: 96 steps" in output and "--resume" in output
    resume = ["--resume", str(newest()), "--eval-episodes", "0"]
    assert train.main([*resume, "--minutes", "0.001"]) == 0  # one update at least
    assert manifest_of(newest())["steps"] == 4 * 32
    assert "complete" not in capsys.readouterr().out
    assert train.main(resume) == 0
    assert manifest_of(newest())["status"] == "complete"


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "x"])
def test_other_minutes_are_refused(here, capsys, minutes):
    with pytest.raises(SystemExit) as ended:
        run_tiny(f"--minutes={minutes}")
    assert ended.value.code == 2
    assert f"'{minutes}' is not a number of minutes above 0" in capsys.readouterr().err


def test_a_long_training_says_so_at_its_start(monkeypatch):
    now, stream = 0.0, io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = ProgressLine(1_000_000, stream=stream)
    for steps in (1000, 2000, 3000):
        now += 60.0 if steps == 1000 else 0.5  # the first update compiles
        progress.update(steps, {})
    expected = [line for line in stream.getvalue().splitlines() if "expected" in line]
    assert len(expected) == 1
    assert expected[0].startswith("expected: 8:19 for 998,000 steps; --minutes M")
    stream.truncate(0)
    progress = ProgressLine(1_000_000, deadline=now + 121.0, stream=stream)
    for steps in (100_000, 200_000):
        now += 50.0
        progress.update(steps, {})
    assert "expected" not in stream.getvalue()
    assert "200,000 steps  20%, 0:21 left" in stream.getvalue()


def test_the_first_update_which_compiles_is_not_in_the_rate(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = ProgressLine(1000, stream=io.StringIO())
    now = 60.0
    progress.update(100, SCALARS)
    assert progress.line() == "100 steps  10% | return 12.35"
    now = 61.0
    progress.update(200, SCALARS)
    assert progress.line().startswith("200 steps  20%, 0:08 left | return 12.35 | 100/s (")


def test_the_next_command_is_written_as_this_one_was(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/motrix", "train"])
    assert command_line("play", "--run", "a b") == "motrix play --run 'a b'"
    monkeypatch.setattr(sys, "argv", ["/x/rl_zoo/train.py"])
    assert command_line("play").endswith("python -m rl_zoo.play")


BROKEN = {
    "x = (": "broken.py:1: SyntaxError: '(' was never closed",
    "\nimport no_such_thing": "broken.py:2: ModuleNotFoundError: No module named 'no_such_thing'",
    "import motrix_gym\nmotrix_gym.make_task('x')": "broken.py:2: UnknownEnvironmentError: there",
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_mistake_in_a_users_module_is_one_line(here, capsys, source):
    (here / "broken.py").write_text(source)
    assert train.main(["--env", "broken:Mine/Pole-v3"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {BROKEN[source]}") and error.count("\n") == 1


def test_a_task_without_settings_says_that_defaults_are_used(here, fake_trainer, capsys):
    note = f"no settings of {ENV} for trpo: training with its defaults"
    (here / "own.yaml").write_text("ppo: {seed: 5}")
    small = ["--set", "mini_batches=1", "rollouts=4", "max_env_steps=320"]
    train.main(["--algo", "trpo", "--num-envs", "8", "--eval-episodes", "0", *small])
    assert note in capsys.readouterr().out
    run_tiny("--eval-episodes", 0)
    assert "defaults" not in capsys.readouterr().out


def test_the_seed_is_the_flags_then_the_settings_then_0(here, fake_trainer, manifest_of):
    def seed(*more):
        root = here / str(len(list(here.iterdir())))
        assert run_tiny("--eval-episodes", 0, "--run-dir", root, *more) == 0
        return manifest_of(newest(root))["seed"]

    (here / "own.yaml").write_text("ppo: {seed: 5}")
    assert seed() == 0
    assert seed("--config", "own.yaml") == 5
    assert seed("--config", "own.yaml", "--seed", 6) == 6
    assert seed("--rand-seed") not in (0, seed("--rand-seed"))


def test_the_line_has_no_rates_and_no_classes(here, fake_trainer, monkeypatch, capsys):
    from motrix_gym import Metric
    from motrix_gym.tasks.basic.cartpole import CartPole

    def measure(self, v):
        return dict.fromkeys(("lean", "fell", "kind"), v.qpos[:, 0])

    metrics = {
        "lean": Metric("rad"),
        "fell": Metric("1", "max", rate=True),
        "kind": Metric("1", "last", words=("flat",)),
    }
    monkeypatch.setattr(CartPole, "metrics", metrics)
    monkeypatch.setattr(CartPole, "measure", measure)
    assert run_tiny("--eval-episodes", 0) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("320 steps 100%"))
    assert "| lean " in line and "fell" not in line and "kind" not in line


def test_a_users_own_task_trains_and_later_commands_find_it(here, fake_trainer, capsys):
    import gymnasium

    from motrix_gym import registration

    (here / "my_tasks.py").write_text(
        "from motrix_gym import register_task\n"
        "from motrix_gym.tasks.basic.cartpole import CartPole, CartPoleConfig\n"
        "register_task('Mine/Pole-v3', CartPole, CartPoleConfig(max_episode_steps=10))\n"
    )
    flags = ["--env", "my_tasks:Mine/Pole-v3"]

    def forget():
        registration._entries.pop("Mine/Pole-v3", None)
        gymnasium.registry.pop("Mine/Pole-v3", None)
        sys.modules.pop("my_tasks", None)

    try:
        assert run_tiny(*flags) == 0
        folder = find_newest("runs", "Mine/Pole-v3")
        output = capsys.readouterr().out
        assert f"rl_zoo.play --run {folder}" in output
        assert motrix(["evaluate", *flags, "--episodes", "2"]) == 0
        forget()
        assert motrix(["evaluate", "--run", str(folder), "--episodes", "2"]) == 0
        assert "importing my_tasks, which registered Mine/Pole-v3" in capsys.readouterr().out
        forget()
        (here / "my_tasks.py").rename(here / "moved.py")
        assert motrix(["evaluate", "--run", str(folder)]) == 1
        error = capsys.readouterr().err
        assert f"its module 'my_tasks' is neither in {here} nor where Python looks; go to" in error
    finally:
        forget()


def test_the_training_alone_may_have_other_task_settings(here, fake_trainer, manifest_of, capsys):
    assert run_tiny("--set", "training_env={max_episode_steps: 5}") == 0
    assert "episodes of 5 steps" in capsys.readouterr().out
    folder = newest()
    assert manifest_of(folder)["env_config"] == {"max_episode_steps": 10}
    assert json.loads((folder / "evaluation.json").read_text())["figures"]["length"]["mean"] == 10


def test_policies_describe_the_task_as_it_is_evaluated(here):
    asked = ["--set", "env.observation_noise=0.5", "training_env={observation_noise: 2}"]
    assert train.main([*TINY, "--eval-episodes", "0", *asked]) == 0
    settings = Run.open(newest()).policy("latest").metadata["deployment"]["settings"]
    assert settings["observation_noise"] == 0.5
    assert settings["max_episode_steps"] == 10


def test_what_is_asked_for_wins_over_the_files_training_env(here, fake_trainer, capsys):
    text = "ppo: {training_env: {max_episode_steps: 5, reward_weights: {alive: 2}}}"
    (here / "file.yaml").write_text(text)

    def begun(*settings):
        assert run_tiny("--config", "file.yaml", "--set", *settings) == 0
        (steps,) = re.findall(r"episodes of (\d+) steps", capsys.readouterr().out)
        return int(steps), Run.open(newest()).config().training_env

    asked = TINY[-1]
    assert asked == "env.max_episode_steps=10"
    assert begun("seed=0") == (10, {"reward_weights": {"alive": 2}})
    assert begun("env.reward_weights.alive=3") == (10, None)
    both = "training_env={max_episode_steps: 7}"
    assert begun(both) == (7, {"max_episode_steps": 7})


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("trainer", ["skrl-torch", "stock-skrl-torch"])
def test_mixed_precision_that_the_processor_lacks_is_said_once(
    here, capsys, monkeypatch, trainer, fast
):
    pytest.importorskip("skrl")
    torch_devices = pytest.importorskip("adapters.torch_devices")
    monkeypatch.setattr(torch_devices, "computes_bfloat16", lambda device: fast)
    flags = ["--trainer", trainer, "--eval-episodes", "0", "--set", "mixed_precision=true"]
    assert train.main([*TINY, *flags]) == 0
    said = capsys.readouterr().out
    assert said.count("float32") == (not fast)
    assert ("mixed_precision: no fast bfloat16 on this processor" in said) == (not fast)


def test_an_unknown_task_setting_of_the_training_is_named(here, capsys):
    assert run_tiny("--set", "training_env={max_episode_step: 5}") == errors.MISUSED
    assert "training_env.max_episode_step: no setting" in (error := capsys.readouterr().err)
    assert "max_episode_steps" in error
    assert run_tiny("--set", "training_env=5") == errors.MISUSED
    assert "training_env must be values by name, got 5" in capsys.readouterr().err
    assert not (here / "runs").exists()


# The choice of a trainer.


@pytest.mark.parametrize(
    ("installed", "gpus", "device", "expected"),
    [
        ("jax torch sb3", "jax torch", "auto", ("skrl-jax", "cuda")),
        ("jax torch sb3", "torch", "auto", ("skrl-torch", "cuda")),
        ("jax torch sb3", "torch", "cpu", ("skrl-jax", "cpu")),
        ("jax torch sb3", "", "auto", ("skrl-jax", "cpu")),
        ("torch sb3", "", "auto", ("skrl-torch", "cpu")),
        ("sb3", "", "auto", ("sb3", "cpu")),
        ("sb3", "torch", "cuda", ("sb3", "cuda")),
    ],
)
def test_auto_prefers_a_gpu_then_jax_then_torch(monkeypatch, installed, gpus, device, expected):
    def trainers(names):
        return {"sb3" if name == "sb3" else f"skrl-{name}" for name in names.split()}

    packages = {package for name in trainers(installed) for package in TRAINERS[name].packages}
    monkeypatch.setattr(choice, "_installed", lambda *names: set(names) <= packages)
    monkeypatch.setattr(choice, "_finds_gpu", lambda framework: framework in gpus.split())
    assert choice.choose("auto", device, "ppo", list(TRAINERS))[:2] == expected


def test_nothing_heavy_is_imported_for_help_or_for_the_choice(python):
    """Torch and JAX take seconds, and JAX takes hold of a GPU's memory."""
    heavy = "{'jax', 'torch', 'tensorboard', 'matplotlib'}"
    program = (
        "import contextlib, io, os, sys\n"
        "from rl_zoo import choice\n"
        "from rl_zoo.__main__ import main\n"
        "from rl_zoo.__main__ import COMMANDS\n"
        "for command in COMMANDS:\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "        main([command, '--help'])\n"
        f"print(({heavy} | {{'mujoco', 'gymnasium'}}) & set(sys.modules))\n"
        "os.path.exists = lambda path: False; choice.shutil.which = lambda name: None\n"
        "choice.choose('auto', 'auto', 'ppo', ['skrl-jax', 'skrl-torch', 'sb3'])\n"
        f"print({heavy} & set(sys.modules))"
    )
    assert python(program).split() == ["set()", "set()"]


# Bad input: one message, a status, and nothing half-written.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--env Motrix/CartPol-v0", "did you mean 'Motrix/CartPole-v0'?"),
        ("--env no_such_module:Mine/Thing-v0", "there is no module 'no_such_module'"),
        ("--algo pp", "no algorithm 'pp' (did you mean 'ppo'?)"),
        ("--algo ppoo --set tau=0.1", "no algorithm 'ppoo' (did you mean 'ppo'?)"),
        ("--trainer skrl-jaxx", "no trainer 'skrl-jaxx' (did you mean 'skrl-jax'?)"),
        ("--set learning_rat=1", "no setting 'learning_rat' (did you mean 'learning_rate'?)"),
        ("--set learning_rate=fast", "learning_rate must be a finite number, > 0, got 'fast'"),
        ("--set learning_rate", "expected name=value"),
        ("--set rollouts=[", "the value is not YAML"),
        ("--num-envs 0", "num_envs must be a whole number, >= 1, <= 1,000,000, got 0"),
        ("--seed -1", "seed must be a whole number, >= 0, <= 4,294,967,295, got -1"),
        ("--set max_env_steps=31", "max_env_steps=31 is too small a budget"),
        ("--set mini_batches=3", "mini_batches=3 does not divide"),
        ("--set max_angle=1", "--set 'max_angle': did you mean env.max_angle?"),
        ("--trainer sb", "allowed are: skrl-jax, skrl-torch, sb3, or auto"),
        ("--set env.max_angl=1", "no setting 'max_angl' (did you mean 'max_angle'?)"),
        ("--set env.max_angle=wide", "env.max_angle must be a finite number, > 0, got 'wide'"),
        ("--set env.max_angle.x=1", "env.max_angle.x: there is nothing inside"),
        (
            "--set env.max_episode_steps=0.5",
            "env.max_episode_steps must be a whole number, >= 1, got 0.5",
        ),
        ("--set env.max_episode_steps=0", "max_episode_steps must be a whole number, >= 1, got 0"),
        ("--set env.reward_weights.aliv=1", "(did you mean 'alive'?)"),
        ("--set env.reward_weights=1", "env.reward_weights must be finite numbers by name, got 1"),
        ("--config missing.yaml", "missing.yaml cannot be read"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(here, capsys, fake_trainer, flags, message):
    assert train.main([*TINY, *flags.split()]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPol-v0", "neither a folder nor a shipped policy (did you mean 'CartPole-v0'?)"),
        ("Go1-v0", "does not fit: this training's task has no channel 'base_linear_velocity'"),
        (str(Path(__file__).parent), "is not a folder with policy.json; a run's policies are in"),
    ],
)
def test_a_wrong_initial_policy_is_one_line_and_leaves_nothing(
    here, capsys, fake_trainer, name, message
):
    assert run_tiny("--set", f"initial_policy={name}") == errors.MISUSED
    error = capsys.readouterr().err
    assert "initial_policy='" in error and f"{name}'" in error and message in error
    assert error.count("\n") == 1
    assert not list(here.iterdir())


def test_a_shipped_policy_goes_by_its_name(here, fake_trainer):
    (here / "CartPole-v0").mkdir()  # does not come before it
    sizes = "policy_hidden_layer_sizes=[32, 32]"
    seen = []
    fake_trainer.on_update = lambda self: seen.append(self.initial_policy)
    assert run_tiny("--set", "initial_policy=CartPole-v0", sizes) == 0
    assert seen[0].metadata["env_id"] == "Motrix/CartPole-v0"
    assert Run.open(newest()).config().initial_policy == "CartPole-v0"


@pytest.mark.parametrize(
    ("package", "module", "flags", "extra"),
    [
        ("stable_baselines3", "adapters.sb3", "--trainer sb3", "sb3"),
        ("skrl", "adapters.skrl_torch", "--trainer skrl-torch", "skrl-torch"),
        ("tensorboard", "rl_zoo.logs", "--trainer sb3", "zoo"),
    ],
)
def test_a_missing_library_says_what_to_install(
    here, capsys, monkeypatch, request, package, module, flags, extra
):
    if package == "tensorboard":
        request.getfixturevalue("fake_trainer")
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    assert train.main([*TINY, *flags.split()]) == 1
    assert f'pip install "motrix-gym[{extra}]"' in capsys.readouterr().err
    assert not list(here.iterdir())


def test_no_library_at_all_says_what_to_install(here, capsys, monkeypatch):
    monkeypatch.setattr(choice, "_installed", lambda *_: False)
    assert train.main(TINY) == 1
    assert '"motrix-gym[skrl-jax]", "motrix-gym[skrl-torch]"' in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_refused(here, capsys, monkeypatch):
    monkeypatch.setattr(choice, "_finds_gpu", lambda _: False)
    assert train.main([*TINY, "--device", "cuda"]) == 1
    assert "no GPU is found by skrl-jax" in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest(capsys):
    assert motrix(["trian"]) == 2
    assert "no command 'trian' (did you mean 'train'?)" in capsys.readouterr().err
    assert motrix([]) == 0
    assert "evaluate" in capsys.readouterr().out


def test_an_unknown_flag_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as stop:
        motrix(["train", "--sed=3"])
    assert stop.value.code == 2
    assert "unrecognized arguments: --sed=3 (did you mean '--seed'?)" in capsys.readouterr().err


def test_a_run_directory_that_cannot_be_written_is_told(here, capsys, fake_trainer):
    (here / "taken").write_text("")
    assert run_tiny("--run-dir", "taken") == 1
    assert "cannot make a run folder in taken: Not a directory" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["taken"]


def test_a_disk_full_from_the_start_leaves_no_run(here, capsys, fake_trainer, monkeypatch):
    def open_file(path, mode="r", *args, **kwargs):
        if "w" in mode and str(path).endswith(".tmp"):
            raise NO_SPACE
        return io.open(path, mode, *args, **kwargs)  # noqa: UP020

    monkeypatch.setattr(
        Path, "open", lambda path, *args, **kwargs: open_file(path, *args, **kwargs)
    )
    assert run_tiny() == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not list((here / "runs" / "CartPole-v0").iterdir())


def test_a_full_disk_leaves_the_earlier_checkpoint(here, capsys, fake_trainer, monkeypatch):
    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) > 30:  # the first checkpoint takes about ten
            raise NO_SPACE
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert run_tiny() == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error and "last good checkpoint" in error
    assert f"--resume {newest()}" in error
    monkeypatch.undo()
    monkeypatch.chdir(here)
    run = Run.open(newest(), resume=True)
    assert 0 < len(run.state()["weight"]) and run.policy("latest") is not None


def test_a_full_disk_under_the_log_is_told_too(
    here, capsys, fake_trainer, manifest_of, monkeypatch
):
    real = logs.EventLog.write

    def write(log, step, scalars):
        if step > 128:
            raise NO_SPACE
        real(log, step, scalars)

    monkeypatch.setattr(logs.EventLog, "write", write)
    assert run_tiny() == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error and f"--resume {newest()}" in error
    assert manifest_of(newest())["status"] == "failed"
    assert manifest_of(newest())["latest"]["steps"] == 128


@pytest.mark.parametrize("how", ["loss", "actions"])
def test_a_diverged_training_ends_and_keeps_what_was_good(
    here, capsys, fake_trainer, manifest_of, how
):
    def on_update(trainer):
        if trainer.num_updates == 5 and how == "loss":
            trainer.scalars = {"Loss / Value loss": float("nan")}
        if trainer.num_updates == 5 and how == "actions":
            trainer.weight[:] = np.nan

    fake_trainer.on_update = on_update
    assert run_tiny() == 1
    error = capsys.readouterr().err
    assert "the training diverged at" in error and "learning_rate" in error
    assert manifest_of(newest())["status"] == "failed"
    assert np.isfinite(Run.open(newest()).state()["weight"]).all()


@pytest.mark.parametrize(("updates", "rest"), [(0, ""), (5, "; earlier checkpoints are good")])
def test_a_reward_term_that_is_not_finite_is_named(here, capsys, fake_trainer, updates, rest):
    def on_update(trainer):
        if trainer.num_updates == updates:
            nan = float("nan")
            trainer.scalars = {"Reward Instant / alive (mean)": nan, "Loss / Policy loss": nan}

    fake_trainer.on_update = on_update
    assert run_tiny() == 1
    message = f"error: the reward term 'alive' is nan at {32 * (updates + 1)} steps{rest}\n"
    assert capsys.readouterr().err == message


def test_a_mistake_in_the_program_is_not_hidden(here, fake_trainer):
    def on_update(trainer):
        raise ValueError("a bug")

    fake_trainer.on_update = on_update
    with pytest.raises(ValueError, match="a bug"):
        run_tiny()


# Interruption and resumption.


def stop_with(number, after=3):
    def on_update(trainer):
        if trainer.num_updates == after:
            os.kill(os.getpid(), number)

    return on_update


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint_and_the_rest_equals_an_unbroken_run(
    here, capsys, fake_trainer, manifest_of, number, status
):
    assert run_tiny("--run-dir", "whole") == 0
    before = signal.getsignal(number)
    fake_trainer.on_update = stop_with(number)
    assert run_tiny() == status
    assert signal.getsignal(number) == before
    folder = newest()
    assert manifest_of(folder)["status"] == "interrupted"
    assert manifest_of(folder)["latest"]["steps"] == 128  # the update under way was finished
    assert f"rl_zoo.train --resume {folder}" in capsys.readouterr().out

    fake_trainer.on_update = lambda trainer: None
    assert train.main(["--resume", str(folder), "--eval-episodes", "4"]) == 0
    assert manifest_of(folder)["status"] == "complete"
    resumed, whole = Run.open(folder).state(), Run.open(newest(Path("whole"))).state()
    assert resumed.keys() == whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


def test_a_second_ctrl_c_is_not_waited_for(here, fake_trainer):
    handlers = []

    def on_update(trainer):
        if trainer.num_updates == 1:
            os.kill(os.getpid(), signal.SIGINT)
            handlers.append(signal.getsignal(signal.SIGINT))
            handlers.append(signal.getsignal(signal.SIGTERM))

    fake_trainer.on_update = on_update
    assert run_tiny() == 130
    assert handlers == [signal.SIG_DFL, signal.SIG_DFL]


def test_training_works_outside_of_the_main_thread(here, fake_trainer):
    """Signals cannot be caught there."""
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(run_tiny()))
    thread.start()
    thread.join()
    assert statuses == [0]


def test_a_complete_run_resumed_is_only_evaluated_again(here, capsys, fake_trainer, manifest_of):
    run_tiny()
    (newest() / "evaluation.json").unlink()
    steps = manifest_of(newest())["latest"]
    assert train.main(["--resume", str(newest()), "--eval-episodes", "2"]) == 0
    assert json.loads((newest() / "evaluation.json").read_text())["episodes"] == 2
    assert manifest_of(newest())["latest"] == steps
    assert "complete already" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--trainer sb3", "--seed 0", "--set rollouts=4", "--num-envs 8"])
def test_a_resumed_run_keeps_its_settings(here, capsys, flag):
    assert train.main(["--resume", "run", *flag.split()]) == 2
    assert f"leave out {flag.split()[0]}" in capsys.readouterr().err


def test_a_run_that_cannot_be_resumed_is_refused(here, capsys, fake_trainer, manifest_of):
    run_tiny()
    folder, empty = newest(), here / "empty"

    def error(*flags):
        status = train.main(["--resume", *map(str, flags)])
        return status, capsys.readouterr().err

    empty.mkdir()
    assert error(empty)[0] == 1 and "is not a run" in error(empty)[1]
    assert "not of Motrix/Go1-v0" in error(folder, "--env", "Motrix/Go1-v0")[1]
    manifest = manifest_of(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"env_id": "antigravity:My/A-v0"}))
    assert "--env MODULE:antigravity:My/A-v0" in error(folder)[1]
    assert "antigravity" not in sys.modules  # a file must not say what to import
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    assert "schema_version 99" in error(folder)[1]
    (folder / "manifest.json").write_text(json.dumps(manifest | {"latest": None, "best": None}))
    assert "has no checkpoint yet" in error(folder)[1]
    (folder / "manifest.json").write_text("{")
    assert "cannot be read" in error(folder)[1]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    state = folder / "checkpoints" / "320" / "train_state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    assert "is damaged" in error(folder)[1]


# Runs `python -m rl_zoo.train`, to which SIGINT comes in its eighth update.
INTERRUPTED = """
import os, runpy, signal
from adapters.torch_trainer import TorchTrainer
update = TorchTrainer.update
def interrupted(trainer):
    if trainer.num_updates == 7:
        os.kill(os.getpid(), signal.SIGINT)
    return update(trainer)
TorchTrainer.update = interrupted
runpy.run_module("rl_zoo.train", run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_and_resume_give_the_weights_of_an_unbroken_run(tmp_path):
    """The real thing: a process that trains with Torch is interrupted; a second one goes on."""
    pytest.importorskip("skrl")
    pytest.importorskip("torch")
    sizes = "policy_hidden_layer_sizes=[8]", "value_hidden_layer_sizes=[8]"
    flags = ["--trainer", "skrl-torch", "--eval-episodes", "0", "--num-envs", "16"]
    flags += ["--num-threads", "1", "--seed", "1", "--set", *sizes, "rollouts=8", "mini_batches=2"]
    flags += ["max_env_steps=1920", "check_point_interval=1000000", "learning_epochs=1"]

    def run(program, *more):
        return subprocess.run(
            [sys.executable, *program, *more],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": ROOT},
            capture_output=True,
            text=True,
        )

    command = ["-m", "rl_zoo.train"]
    assert run(command, *flags, "--run-dir", "whole").returncode == 0
    broken = run(["-c", INTERRUPTED], *flags)
    assert broken.returncode == 130, broken.stderr
    assert "Traceback" not in broken.stderr
    folder = newest(tmp_path / "runs")
    assert f"--resume {folder.relative_to(tmp_path)}" in broken.stdout
    assert Run.open(folder).manifest()["steps"] == 8 * 128  # the update under way was finished
    assert run(command, "--resume", str(folder), "--eval-episodes", "0").returncode == 0
    expected, found = Run.open(newest(tmp_path / "whole")).state(), Run.open(folder).state()
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# The line of progress.


class Terminal(io.StringIO):
    def isatty(self):
        return True


SCALARS = {
    RETURN: 12.345,
    "metrics / error (mean)": 0.25,
    "Time / Physics (s)": 1.0,
    "Time / Policy (s)": 1.0,
    "Time / Update (s)": 2.0,
}


def drawn(text, width=80):
    """The last table that was drawn, without control sequences; no line is wider."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").split("\n")
    assert max(map(len, lines)) <= width
    last = max(i for i, line in enumerate(lines) if " of 1,000 steps" in line)
    return [line.rstrip() for line in lines[last:] if line.strip()]


def test_progress_is_a_table_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    now, stream = 0.0, Terminal()
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert fits(stream) and not fits(io.StringIO())
    progress = ProgressTable(1000, metrics=["error"], stream=stream)
    for steps in range(100, 500, 100):
        now += 20.0
        progress.update(steps, SCALARS | {RETURN: float(steps)})
    progress.note("stopping after this update")
    progress.close()
    bar, speed, returns, errors, note = drawn(stream.getvalue())
    assert bar.startswith(" 40% ") and bar.endswith(" 400 of 1,000 steps")
    assert speed == "2:00 left, 5 steps/s: physics 25%, policy 25%, update 50%"
    assert returns == "return   400  ▁▃▆█" and errors == "error   0.25  ▁▁▁▁"
    assert note == "stopping after this update"
    monkeypatch.setenv("TERM", "dumb")
    assert not fits(stream)


def test_a_long_course_is_drawn_by_its_means():
    assert trend([1.0, 3.0, 4.0, 6.0, 9.0, 9.0], width=3) == "▁▄█"
    assert trend([7.0] * 100, width=4) == "▁▁▁▁" and trend([]) == ""


def test_progress_adds_a_line_per_tenth_or_ten_seconds_elsewhere(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = io.StringIO()
    progress = ProgressLine(1000, metrics=["error"], stream=stream)
    for steps in range(10, 1001, 10):
        now[0] += 0.1
        progress.update(steps, SCALARS)
    assert stream.getvalue().count("\n") == 10
    line = stream.getvalue().splitlines()[4]
    assert line == (
        "500 steps  50%, 0:05 left | return 12.35 | "
        "100/s (physics 25%, policy 25%, update 50%) | error 0.25"
    )
    slow = ProgressLine(1000, stream=stream)
    now[0] += 10.1
    slow.update(1, SCALARS | {"Episode / Success rate": 0.5})
    assert "success 50%" in stream.getvalue().splitlines()[-1]


def test_a_resumed_log_hides_what_came_after_the_checkpoint(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start, steps in ((0, (1, 2, 3)), (1, (2,))):
        with contextlib.closing(logs.EventLog(tmp_path, start)) as log:
            for step in steps:
                log.write(step, {"tag": float(start)})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("tag")] == [(1, 0.0), (2, 1.0)]


def test_a_run_is_written_by_one_process_only(here, fake_trainer):
    run_tiny()
    holder = Run.open(newest(), resume=True)
    with pytest.raises(RunError, match="another process|written"):
        Run.open(newest(), resume=True)
    holder.finish("complete")


@pytest.mark.parametrize("moment", ["__init__", "restore"])
def test_a_run_that_is_being_resumed_cannot_be_resumed_by_another(
    here, capsys, fake_trainer, manifest_of, moment
):
    """A second one, in the midst of the first, would go on from the same state, and end earlier."""
    assert run_tiny("--run-dir", "whole") == 0
    fake_trainer.on_update = stop_with(signal.SIGINT)
    assert run_tiny() == 130
    fake_trainer.on_update = lambda trainer: None
    resume, others = ["--resume", str(newest()), "--eval-episodes", "0"], []
    real = getattr(fake_trainer, moment)

    def meanwhile(trainer, *args, **kwargs):
        if not others:
            others.append(None)
            others[0] = train.main(resume)
        real(trainer, *args, **kwargs)

    setattr(fake_trainer, moment, meanwhile)
    capsys.readouterr()
    assert train.main(resume) == 0
    assert others == [1]
    assert capsys.readouterr().err == f"error: {newest()} is already being written to\n"
    assert manifest_of(newest())["status"] == "complete"
    resumed, whole = Run.open(newest()).state(), Run.open(newest(Path("whole"))).state()
    np.testing.assert_equal(resumed, whole)


def test_a_run_that_cannot_be_resumed_is_let_go(here, fake_trainer):
    assert run_tiny() == 0

    def refuse(trainer, state):
        raise ValueError("another network")

    fake_trainer.restore = refuse
    assert train.main(["--resume", str(newest())]) == 1
    Run.open(newest(), resume=True).close()


def test_a_run_of_another_network_is_refused_and_not_touched(here, capsys):
    assert run_tiny() == 0
    folder = newest()
    settings = (folder / "config.yaml").read_text()
    changed = settings.replace(
        "policy_hidden_layer_sizes:\n  - 32", "policy_hidden_layer_sizes:\n  - 16"
    )
    assert changed != settings
    (folder / "config.yaml").write_text(changed)
    before = (folder / "manifest.json").read_text()
    capsys.readouterr()
    assert train.main(["--resume", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "cannot be resumed" in error and error.count("\n") == 1
    assert (folder / "manifest.json").read_text() == before


def test_episodes_that_never_end_are_refused_before_the_training(here, fake_trainer, capsys):
    assert run_tiny("--set", "env.max_episode_steps=null") == 1
    assert "may never end" in capsys.readouterr().err
    assert not Path("runs").exists()
