# SPDX-License-Identifier: Apache-2.0
"""What learning costs beside the libraries' own loops; run by ``make bench``.

The goals (reported here, and not asserted, since machines differ): on two cores, skrl-jax at most
0.9 s per iteration and skrl-torch at most 1.1 s; with one of them busy, at most twice that.
"""

import pytest

pytest.importorskip("pytest_benchmark")
from adapters import TRAINERS  # noqa: E402
from rl_zoo.benchmark.learner import Race, missing  # noqa: E402


@pytest.fixture
def show(capsys):
    """Print past pytest's capture."""

    def show(text):
        with capsys.disabled():
            print(f"\n{text}")

    return show


@pytest.mark.parametrize("name", TRAINERS)
def test_iteration_beside_the_librarys_own(benchmark, show, name):
    stock = f"stock-{name}"
    race = Race([name, stock])
    benchmark.group = "PPO iteration"
    benchmark.pedantic(race.run, args=(name,), setup=lambda: race.run(stock), rounds=5)
    benchmark.extra_info |= race.figures(name) | {"ratio": race.ratio(name)}
    show(race)
    race.close()


def test_iteration_of_sbx(benchmark, show):
    if reason := missing("sbx"):
        pytest.skip(reason)
    race = Race(["sbx"])
    benchmark.group = "PPO iteration"
    benchmark.pedantic(race.run, args=("sbx",), rounds=5)
    benchmark.extra_info |= race.figures("sbx")
    show(race)
    race.close()
