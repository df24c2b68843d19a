# SPDX-License-Identifier: Apache-2.0
"""How the processes of a training are started, placed, bound to cores, and ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.ranks import Place
from rl_zoo import pinning, processes, ranks
from rl_zoo.__main__ import main
from rl_zoo.errors import UsageError

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_slurm.sh"

# One of two processes: what each does, by rank.
PROGRAM = """
import os, signal, sys, time
rank = int(os.environ["RANK"])
act = sys.argv[1 + rank]
if act == "hang":
    time.sleep(600)
if act == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(act))
"""


@pytest.fixture(autouse=True)
def _no_place(monkeypatch):
    """Leave the environment as it was, whatever is tested writes to it."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        os.environ.pop(name, None)


def test_all_processes_end_with_one(monkeypatch, capfd):
    def run(*acts):
        status = processes.run([sys.executable, "-c", PROGRAM, *acts], 2)
        return status, capfd.readouterr().err

    assert run("0", "0") == (0, "")
    told = "error: rank 1 was ended by SIGKILL, so all 2 have stopped\n"
    monkeypatch.setattr(processes, "GRACE", 0.0)
    assert run("hang", "killed") == (137, told)
    assert run("3", "hang") == (3, "error: rank 1 did not answer, so all 2 have stopped\n")
    monkeypatch.setattr(processes, "GRACE", 600.0)  # time for both to end
    assert run("3", "3") == (3, "")  # the first has said why


def test_several_processes_are_refused_before_they_start(capfd):
    tail = ["--env", "Motrix/CartPole-v0", "--processes", "3", "--trainer", "sb3"]
    assert main(["train", *tail, "--num-envs", "64"]) == 2
    assert "num_envs=64: 3 processes do not divide it" in capfd.readouterr().err
    assert main(["train", *tail, "--algo", "sac"]) == 2
    assert "sac by sb3 learns in one process" in capfd.readouterr().err


def test_ranks_that_differ_are_told_in_what():
    one = {"settings": {"learning_rate": 1e-3, "seed": 0}, "versions": {"numpy": "2.3"}}
    assert ranks._difference([one, dict(one)]) == ""
    for other, message in (
        ({"settings": {"learning_rate": 0.5, "seed": 0}}, "settings: learning_rate=0.5 and 0.001"),
        ({"versions": {"numpy": "2.1"}}, "versions: numpy='2.1' and '2.3'"),
    ):
        assert ranks._difference([one, one | other]) == f"ranks 1 and 0 differ in {message}"


def test_slurms_places_are_taken(monkeypatch):
    assert ranks.tasks_of_nodes("2(x3),1") == [2, 2, 2, 1]
    for address in ("node1", "node1:", ":80", "node1:0", "node1:port"):
        with pytest.raises(UsageError, match="HOST:PORT"):
            ranks.meet_at(address)
    with pytest.raises(UsageError, match="has no place .* srun"):
        ranks.meet_at("node1:29500")
    os.environ |= {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1"}
    os.environ |= {"SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_NODEID": "1"}
    ranks.meet_at("node1:29500")
    assert Place.of_environment() == Place(3, 4, 1, 2)
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("node1", "29500")


def test_the_example_for_slurm_gives_every_task_the_same_address(tmp_path):
    """By stand-ins of SLURM's programs, and a Python that notes how it is called."""
    programs = {
        "scontrol": "printf 'node7\\nnode8\\n'",
        "srun": 'for i in 0 1; do SLURM_PROCID=$i "${@:2}"; done',
        "python": 'echo "$SLURM_PROCID $OMP_NUM_THREADS $*"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment |= {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "123456"}
    environment |= {"SLURM_CPUS_PER_TASK": "4"}
    done = subprocess.run(
        ["bash", EXAMPLE, "--env", "Motrix/Go1-v0"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    call = "-m rl_zoo.train --coordinator node7:23456 --env Motrix/Go1-v0"
    assert done.stdout.splitlines() == [f"0 4 {call}", f"1 4 {call}"]


def test_each_process_gets_whole_cores_of_one_node(tmp_path):
    """A machine with two nodes of two cores, each with two threads: 0 and 4 share a core, ..."""
    nodes = {0: "0-1,4-5", 1: "2-3,6-7"}
    for node, cores in nodes.items():
        folder = tmp_path / "node" / f"node{node}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(cores + "\n")
    for core in range(8):
        folder = tmp_path / f"cpu/cpu{core}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{core % 4},{core % 4 + 4}\n")

    def shares(size, cores=tuple(range(8))):
        places = [Place(0, size, local, size) for local in range(size)]
        return [pinning.share(list(cores), place, tmp_path) for place in places]

    assert shares(2) == [[0, 4, 1, 5], [2, 6, 3, 7]]
    assert shares(4) == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert shares(3) == [[0, 4], [1, 5], [2, 6]]
    assert shares(2, (1, 2, 3)) == [[1], [2]]
    with pytest.raises(UsageError, match="4 processes on 3 cores"):
        shares(4, (1, 2, 3))
    # Where the system tells nothing, in order.
    assert pinning.share([0, 1], Place(1, 2, 1, 2), tmp_path / "nothing") == [1]
