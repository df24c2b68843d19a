# SPDX-License-Identifier: Apache-2.0
"""How fast the control tasks are beside EnvPool's; run by ``make bench``.

The goals (reported here, and not asserted, since machines differ): ahead of EnvPool on every task,
on the cheetah twice as fast and on the walker 1.15 times.
"""

import re

import gymnasium
import pytest

pytest.importorskip("pytest_benchmark")
import against_envpool  # noqa: E402
from against_envpool import RACES, describe, figures, missing  # noqa: E402


@pytest.mark.parametrize("task", RACES)
def test_steps_beside_envpools(benchmark, capsys, task):
    if reason := missing():
        pytest.skip(reason)
    measured = benchmark.pedantic(figures, args=(task,), rounds=1)
    benchmark.extra_info |= measured
    with capsys.disabled():
        print(f"\n{describe(task, measured)}")


@pytest.mark.parametrize("task", RACES)
def test_no_episode_ends_in_a_race(task):
    assert gymnasium.spec(f"Motrix/{task}-v0").max_episode_steps == against_envpool.EPISODE
    rounds = against_envpool.most_rounds(task)
    assert against_envpool.ROUNDS <= rounds
    steps = against_envpool.WARM_UP + rounds * RACES[task]
    assert steps < against_envpool.EPISODE <= steps + RACES[task]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["WalkerRun", "ReacherHard", "--rounds=24"], "1 to 23, .* ReacherHard would end, got 24"),
        (["--rounds=0"], "must be 1 to 23.*got 0"),
    ],
)
def test_rounds_that_would_end_episodes_are_refused(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["against_envpool", *arguments])
    with pytest.raises(SystemExit):
        against_envpool.main()
    assert re.search(message, capsys.readouterr().err)
