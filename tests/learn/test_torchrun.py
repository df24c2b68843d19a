# SPDX-License-Identifier: Apache-2.0
"""torchrun starts the ranks of a training, on one machine or on several; run by `make learn`.

Several machines are several launchers on this one, each of one rank.
"""

import sys

import pytest
from two_processes import (
    FLAGS,
    STEPS,
    STRUCK,
    end,
    launched,
    of_new,
    only_run,
    same_state,
    start,
)

from rl_zoo.processes import free_port

pytestmark = pytest.mark.learn


def torchrun(launches, *program):
    """Start a launcher for each list of its flags; all start a program."""
    return [launched(["-m", "torch.distributed.run", *flags, *program]) for flags in launches]


def one_machine():
    return [["--nproc-per-node=2"]]


def machines_in_order():
    common = ["--nnodes=2", "--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    return [[*common, f"--node-rank={rank}"] for rank in range(2)]


def machines_that_meet():
    endpoint = f"--rdzv-endpoint=127.0.0.1:{free_port()}"
    return [["--nnodes=2", "--rdzv-backend=c10d", endpoint]] * 2


@pytest.mark.parametrize("launches", [one_machine, machines_in_order, machines_that_meet])
def test_the_weights_do_not_depend_on_who_starts_the_ranks(tmp_path, whole, launches):
    program = ["-m", "rl_zoo.train", *of_new(tmp_path, whole.manifest()["trainer"])]
    statuses, said = end(torchrun(launches(), *program))
    assert not any(statuses), said
    assert same_state(whole, only_run(tmp_path))


@pytest.mark.parametrize("whole", ["skrl-torch"], indirect=True)
@pytest.mark.parametrize("what", ["killed", "interrupted"])
def test_a_launcher_ends_all_and_the_run_goes_on_exactly(tmp_path, whole, what):
    program = ["--no-python", sys.executable, "-c", STRUCK, what, "1", "3"]
    (status,), said = end(torchrun(one_machine(), *program, *of_new(tmp_path, "skrl-torch")))
    assert status and list(tmp_path.glob("*/*")), said
    run = only_run(tmp_path)
    assert 0 < run.manifest()["latest"]["steps"] < STEPS, said
    assert run.manifest()["status"] == ("interrupted" if what == "interrupted" else "failed"), said
    statuses, said = end(start(["-m", "rl_zoo.train"], "--resume", str(run.folder), *FLAGS[2:]))
    assert statuses == [0, 0], said
    assert same_state(whole, run)
