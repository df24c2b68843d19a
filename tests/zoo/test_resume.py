# SPDX-License-Identifier: Apache-2.0
"""Runs that are killed and resumed end with the same bits as those that were not."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from killing import killed_at_sync

from adapters import TRAINERS
from rl_zoo.commands import train
from rl_zoo.runs import Run

ROOT = str(Path(__file__).parents[2])
BATCH = 16 * 8
PATIENCE = 600  # seconds, on a machine that is busy with other things
SETTINGS = (
    "policy_hidden_layer_sizes=[8] value_hidden_layer_sizes=[8] rollouts=8 mini_batches=2 "
    "learning_epochs=1 check_point_interval=16 env.max_episode_steps=30 "
    "stagger_episodes=true final_log_std=-1"
).split()
SETTINGS += ["training_env={max_episode_steps: 20}"]
FLAGS = ["--num-envs", "16", "--num-threads", "1", "--seed", "1", "--set", *SETTINGS]

# Runs `python -m rl_zoo.train`; kills itself when it is to sync to disk for the n-th time, or goes
# no further than so many steps before SIGINT comes, however late the signal is.
WATCHED = """
import os, runpy, signal, sys, time
from rl_zoo.runs import Run
left, most, fsync, save = int(sys.argv.pop(1)), int(sys.argv.pop(1)), os.fsync, Run.save_checkpoint
def strike(descriptor):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
def wait(run, steps, *arguments, **facts):
    save(run, steps, *arguments, **facts)
    while steps >= most and signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        time.sleep(0.01)
os.fsync, Run.save_checkpoint = strike, wait
runpy.run_module("rl_zoo.train", run_name="__main__", alter_sys=True)
"""


class Training:
    """A process that trains in a folder of its own."""

    def __init__(self, root, *flags, kill_at_sync=0, wait_at=0):
        program = ["-m", "rl_zoo.train"]
        if kill_at_sync or wait_at:
            program = ["-c", WATCHED, str(kill_at_sync), str(BATCH * (wait_at or 10**9))]
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, *program, "--eval-episodes", "0", *map(str, flags)],
            cwd=root,
            env=os.environ | {"PYTHONPATH": ROOT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def folder(self):
        return only(self.root.glob("runs/*/*"))

    def wait_for(self, updates):
        """Waits until a checkpoint of at least so many updates is in the manifest."""
        until = time.monotonic() + PATIENCE
        while updates_of(self.root) < updates:
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < until, "it hangs"
            time.sleep(0.001)

    def end(self, number=None):
        """Sends a signal, if one is given; returns the exit status and what went to stderr."""
        if number is not None:
            self.process.send_signal(number)
        _, error = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, error


def only(found):
    (one,) = found
    return one


def updates_of(root):
    """Updates of the latest checkpoint of the one run under root; -1 before there is one."""
    manifests = list(root.glob("runs/*/*/manifest.json"))
    latest = json.loads(manifests[0].read_text())["latest"] if manifests else None
    return latest["steps"] // BATCH if latest else -1


def litter(folder):
    """What is there and not in the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    entries = [manifest["latest"], manifest["best"], *manifest["history"]]
    named = {entry["folder"] for entry in entries if entry}
    found = {path.name for path in (folder / "checkpoints").iterdir()} - named
    return found | {path.name for path in folder.glob(".*.tmp")}


def final_files(root, updates):
    """The last checkpoint's files, by name; it is of the last of so many updates."""
    folder = only(root.glob("runs/*/*"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["latest"]["steps"] == BATCH * updates
    checkpoint = folder / "checkpoints" / manifest["latest"]["folder"]
    return {path.name: path.read_bytes() for path in checkpoint.iterdir()}


def stop_and_resume(root, flags, updates, stops, generator):
    """Trains with a stop of each kind, at random moments, and resumes until the end."""
    for number, stop in enumerate(stops):
        if stop == "in a checkpoint":
            training = Training(root, *flags, kill_at_sync=generator.randrange(10, 40))
            assert training.end()[0] == -signal.SIGKILL
            assert litter(training.folder)
        else:
            before = max(updates_of(root), updates * number // (len(stops) + 1))
            training = Training(root, *flags, wait_at=before + 12)
            training.wait_for(before + generator.randrange(1, 12))
            time.sleep(generator.uniform(0.0, 0.02))
            how, status = stop
            code, error = training.end(how)
            assert (code, "Traceback" in error) == (status, False), error
        assert 0 < updates_of(root) < updates
        flags = ["--resume", training.folder]
    assert Training(root, *flags).end()[0] == 0
    assert not litter(only(root.glob("runs/*/*")))


KILL, CTRL_C = (signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)
FEW, MANY = (KILL, "in a checkpoint"), (KILL, "in a checkpoint", CTRL_C) * 4


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
@pytest.mark.parametrize(
    ("stops", "updates", "seed"),
    [
        pytest.param(FEW, 48, 0, id="few"),
        pytest.param(MANY, 160, 1, id="many", marks=pytest.mark.learn),
    ],
)
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_run_that_is_killed_and_resumed_ends_with_the_bits_of_an_unbroken_one(
    tmp_path, trainer, stops, updates, seed
):
    for library in TRAINERS[trainer].packages:
        pytest.importorskip(library)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    flags = ["--trainer", trainer, *FLAGS, f"max_env_steps={BATCH * updates}"]
    unbroken = Training(whole, *flags)
    stop_and_resume(broken, flags, updates, stops, random.Random(seed))
    assert unbroken.end()[0] == 0
    expected, found = final_files(whole, updates), final_files(broken, updates)
    assert set(expected) == {"policy.safetensors", "policy.json", "train_state.safetensors"}
    assert found == expected


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
def test_a_run_that_started_from_a_policy_goes_on_without_it(tmp_path):
    pytest.importorskip("stable_baselines3")
    first, whole, broken = (tmp_path / name for name in ("first", "whole", "broken"))
    for root in (first, whole, broken):
        root.mkdir()
    flags = ["--trainer", "sb3", *FLAGS]
    assert Training(first, *flags, f"max_env_steps={BATCH}").end()[0] == 0
    policy = only(first.glob("runs/*/*/checkpoints/*"))
    flags += [f"initial_policy={policy}", f"max_env_steps={BATCH * 6}"]
    assert Training(whole, *flags).end()[0] == 0
    assert Training(broken, *flags, kill_at_sync=20).end()[0] == -signal.SIGKILL
    assert 0 < updates_of(broken) < 6
    shutil.rmtree(first)
    folder = only(broken.glob("runs/*/*"))
    code, error = Training(broken, "--resume", folder).end()
    assert code == 0, error
    assert final_files(broken, 6) == final_files(whole, 6)
    assert Run.open(folder).config().initial_policy == str(policy)


# Every moment of a short run, with a trainer that needs no library.

TINY = "--num-envs 4 --num-threads 1 --eval-episodes 0 --trainer sb3 --set rollouts=4".split()
TINY += "mini_batches=1 max_env_steps=96 check_point_interval=8 env.max_episode_steps=10".split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_run_killed_at_any_sync_goes_on_or_says_that_there_is_nothing(here, fake_trainer, capsys):
    assert train.main([*TINY, "--run-dir", "whole"]) == 0
    expected = Run.open(only(Path("whole").glob("*/*"))).state("latest")
    outcomes = []
    for at in range(1, 100):
        root = Path(str(at))
        status = killed_at_sync(at, [*TINY, "--run-dir", str(root)])
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        folder = only(root.glob("*/*"))
        capsys.readouterr()
        outcome = train.main(["--resume", str(folder), "--eval-episodes", "0"])
        error = capsys.readouterr().err
        if outcome == 0:
            state = Run.open(folder).state("latest")
            assert state.keys() == expected.keys()
            assert all(np.array_equal(state[name], expected[name]) for name in expected)
            outcomes.append("resumed")
        elif "no checkpoint yet (status: running): there is nothing to play or to resume" in error:
            outcomes.append("empty")
        else:
            assert f"{folder} is not a run, or was never begun" in error
            outcomes.append("unborn")
        assert error.count("\n") == (outcome != 0)
    assert sorted(set(outcomes)) == ["empty", "resumed", "unborn"]
    order = {"unborn": 0, "empty": 1, "resumed": 2}
    assert outcomes == sorted(outcomes, key=order.__getitem__)
    assert len(outcomes) > 20


def test_a_folder_that_is_no_run_is_told_from_one_that_is_not_there(here, fake_trainer, capsys):
    assert train.main(TINY) == 0

    def error(path):
        capsys.readouterr()
        assert train.main(["--resume", str(path)]) == 1
        return capsys.readouterr().err

    run = only(Path("runs").glob("*/*"))
    assert error("nowhere") == "error: there is no folder nowhere\n"
    assert error(run.parent) == (
        f"error: {run.parent} is not a run but holds 1: name one, such as {run}\n"
    )
    assert error("runs") == "error: runs is not a run, or was never begun: no manifest.json\n"
    assert "cannot be read: " in error(run / "manifest.json")
