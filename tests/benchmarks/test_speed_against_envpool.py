# SPDX-License-Identifier: Apache-2.0
"""How fast the control tasks are beside EnvPool's; run by ``make bench``.

The goals (reported here, and not asserted, since machines differ): ahead of EnvPool on every task,
on the cheetah twice as fast and on the walker 1.15 times.
"""

import pytest

pytest.importorskip("pytest_benchmark")
from against_envpool import RACES, describe, figures, missing  # noqa: E402


@pytest.mark.parametrize("task", RACES)
def test_steps_beside_envpools(benchmark, capsys, task):
    if reason := missing():
        pytest.skip(reason)
    measured = benchmark.pedantic(figures, args=(task,), rounds=1)
    benchmark.extra_info |= measured
    with capsys.disabled():
        print(f"\n{describe(task, measured)}")
