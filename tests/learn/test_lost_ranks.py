# SPDX-License-Identifier: Apache-2.0
"""Processes that learn together and lose one of them: all stop, and resume exactly.

Each case starts two trainings of two processes, so they are run by `make learn`.
"""

import signal
import time

import pytest
from two_processes import FLAGS, PATIENCE, STEPS, STRUCK, end, only_run, same_state, start, train

from adapters.ranks import TIMEOUT

pytestmark = pytest.mark.learn


@pytest.mark.parametrize("what", ["killed", "stopped", "full"])
def test_a_lost_rank_stops_all_and_the_run_goes_on_exactly(tmp_path, whole, what):
    trainer = whole.manifest()["trainer"]
    lost = 0 if what == "full" else 1
    strike = ["-c", STRUCK, what, str(lost), "3"]
    processes = train(tmp_path / "lost", trainer, program=strike, **{TIMEOUT: "20"})
    processes[1 - lost].wait(timeout=PATIENCE)
    ended = time.time()
    if what == "stopped":
        processes[lost].send_signal(signal.SIGKILL)
    statuses, said = end(processes)
    assert 0 not in statuses
    told = "No space left" if what == "full" else "another rank"
    assert sum(told in text for text in said) == 1, said
    run = only_run(tmp_path / "lost")
    assert 0 < run.manifest()["latest"]["steps"] < STEPS
    run.state()  # whole
    # The third checkpoint, which was struck, came just after the second.
    assert ended - run.policy_folder("latest").stat().st_mtime < 60
    statuses, said = end(start(["-m", "rl_zoo.train"], "--resume", str(run.folder), *FLAGS[2:]))
    assert statuses == [0, 0], said
    assert same_state(whole, run)


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
