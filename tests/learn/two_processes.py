# SPDX-License-Identifier: Apache-2.0
"""Short trainings of two processes, started as a launcher does."""

import os
import subprocess
import sys
from pathlib import Path

from rl_zoo.processes import free_port
from rl_zoo.runs import Run

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
import errno, os, runpy, signal, sys, time
from adapters.ranks import SeveralRanks
from rl_zoo import checkpoints
what, rank, left = sys.argv.pop(1), int(sys.argv.pop(1)), int(sys.argv.pop(1))
whole_state, write = SeveralRanks.whole_state, checkpoints.write
def strike(*arguments):
    global left
    left -= 1
    if left == 0 and int(os.environ["RANK"]) == rank:
        if what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if what == "interrupted":  # Ctrl-C at the launcher, which passes it on
            os.kill(os.getppid(), signal.SIGINT)
            while signal.getsignal(signal.SIGINT) != signal.SIG_DFL:  # it has not come yet
                time.sleep(0.01)
    return whole_state(*arguments)
def fill(*arguments):
    if left <= 0 and what == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "train_state.safetensors")
    return write(*arguments)
SeveralRanks.whole_state, checkpoints.write = strike, fill
runpy.run_module("rl_zoo.train", run_name="__main__", alter_sys=True)
"""


def start(program, *flags, ranks=(0, 1), others=(), **variables):
    """Start processes of a training of two, as a launcher does; all but the first have `others`."""
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    common |= {"MASTER_PORT": str(free_port())} | variables
    return [
        launched(
            [*program, *flags, *(others if rank else ())],
            **common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in ranks
    ]


def launched(arguments, **variables):
    """Start Python with environment variables."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def of_new(root, trainer):
    """The arguments of a new training under root."""
    flags = ["--env", "Motrix/CartPole-v0", "--trainer", trainer, *FLAGS]
    return [*flags, "--run-dir", str(root), "--set", *SETTINGS]


def train(root, trainer, program=("-m", "rl_zoo.train"), **options):
    """Start a new training under root."""
    return start(program, *of_new(root, trainer), **options)


def end(processes):
    """Wait for all; returns their exit statuses and what they wrote to stderr."""
    try:
        said = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


def only_run(root):
    """The one run under root."""
    (folder,) = root.glob("*/*")
    return Run.open(folder)


def same_state(one, other):
    """Whether the last states of two runs agree bit by bit."""
    states = [run.state() for run in (one, other)]
    return states[0].keys() == states[1].keys() and all(
        states[0][name].tobytes() == states[1][name].tobytes() for name in states[0]
    )
