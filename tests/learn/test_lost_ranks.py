# SPDX-License-Identifier: Apache-2.0
"""Processes that learn together and lose one of them: all stop, and resume exactly.

Each case starts four trainings of two processes, so they are run by `make learn`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters import TRAINERS
from adapters.ranks import TIMEOUT
from rl_zoo.processes import free_port
from rl_zoo.runs import Run

pytestmark = pytest.mark.learn

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds, on a machine that is busy with other things
STEPS = 64 * 16 * 8
SETTINGS = (
    "rollouts=8 mini_batches=2 learning_epochs=1 check_point_interval=16 "
    f"policy_hidden_layer_sizes=[8] value_hidden_layer_sizes=[8] max_env_steps={STEPS}"
).split()
FLAGS = ["--num-envs", "16", "--num-threads", "1", "--eval-episodes", "0"]

# Runs `python -m rl_zoo.train`; in one rank, the n-th checkpoint brings a misfortune.
STRUCK = """
import errno, os, runpy, signal, sys
from adapters.ranks import SeveralRanks
from rl_zoo import checkpoints
what, rank, left = sys.argv.pop(1), int(sys.argv.pop(1)), int(sys.argv.pop(1))
whole_state, write = SeveralRanks.whole_state, checkpoints.write
def strike(*arguments):
    global left
    left -= 1
    if left == 0 and int(os.environ["RANK"]) == rank and what != "full":
        os.kill(os.getpid(), signal.SIGKILL if what == "killed" else signal.SIGSTOP)
    return whole_state(*arguments)
def fill(*arguments):
    if left <= 0 and what == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "train_state.safetensors")
    return write(*arguments)
SeveralRanks.whole_state, checkpoints.write = strike, fill
runpy.run_module("rl_zoo.train", run_name="__main__", alter_sys=True)
"""


def start(program, *flags, ranks=(0, 1), others=(), **environment):
    """Start processes of a training of two, as a launcher does; all but the first have `others`."""
    common = os.environ | {"PYTHONPATH": str(ROOT), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, *program, *flags, *(others if rank else ())],
            env=common | environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ranks
    ]


def train(root, trainer, *flags, program=("-m", "rl_zoo.train"), **options):
    """Start a new training under root."""
    flags = ["--env", "Motrix/CartPole-v0", "--trainer", trainer, *FLAGS, *flags]
    flags += ["--run-dir", str(root), "--set", *SETTINGS]
    return start(program, *flags, **options)


def end(processes):
    """Wait for all; returns their exit statuses and what they wrote to stderr."""
    try:
        said = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("what", ["killed", "stopped", "full"])
def test_a_lost_rank_stops_all_and_the_run_goes_on_exactly(tmp_path, trainer, what):
    statuses, said = end(train(tmp_path / "whole", trainer))
    assert statuses == [0, 0], said
    lost = 0 if what == "full" else 1
    strike = ["-c", STRUCK, what, str(lost), "3"]
    processes = train(tmp_path / "lost", trainer, program=strike, **{TIMEOUT: "20"})
    processes[1 - lost].wait(timeout=PATIENCE)
    struck = time.monotonic()
    if what == "stopped":
        processes[lost].send_signal(signal.SIGKILL)
    statuses, said = end(processes)
    assert time.monotonic() - struck < 60
    assert 0 not in statuses
    told = "No space left" if what == "full" else "another rank"
    assert sum(told in text for text in said) == 1, said
    (folder,) = (tmp_path / "lost").glob("*/*")
    run = Run.open(folder)
    assert 0 < run.manifest()["latest"]["steps"] < STEPS
    run.state()  # whole
    statuses, said = end(start(["-m", "rl_zoo.train"], "--resume", str(folder), *FLAGS[2:]))
    assert statuses == [0, 0], said
    (whole,) = (tmp_path / "whole").glob("*/*")
    states = [Run.open(each).state() for each in (whole, folder)]
    assert states[0].keys() == states[1].keys()
    assert all(states[0][name].tobytes() == states[1][name].tobytes() for name in states[0])


@pytest.mark.parametrize("trainer", ["skrl-jax", "skrl-torch"])
def test_ranks_that_do_not_meet_or_differ_say_so(tmp_path, trainer):
    for rank in range(2):
        statuses, said = end(train(tmp_path, trainer, ranks=[rank], **{TIMEOUT: "5"}))
        assert statuses[0] not in (0, 2)
        assert "did not meet the other 1 at 127.0.0.1" in said[0]
    statuses, said = end(train(tmp_path, trainer, others=["learning_rate=1e-5"]))
    assert 0 not in statuses
    assert sum("ranks 1 and 0 differ in settings: learning_rate=1e-05" in text for text in said)
    assert not list(tmp_path.glob("*/*"))  # nothing was begun
