# SPDX-License-Identifier: Apache-2.0
"""What the environments cost beside their physics; run by ``make bench``.

The goals (reported here, and not asserted, since machines differ): of the bare ``Batch.step``,
Go1 at 1024 and 4096 at least 90 %, at 256 at least 80 %, and 17,000 steps per CPU-second;
cart-pole at 1024 at least 75 %, and 250,000 steps/s on two threads; walker and hopper at 1024 at
least 85 %, cheetah and reacher 70 %; Go1 on rough ground and stairs 90 % at 1024; 4096 Go1s add
under 300 MiB.
"""

import pytest

pytest.importorskip("pytest_benchmark")
from measure import RACES, Race, memory  # noqa: E402


@pytest.fixture
def show(capsys):
    """Print past pytest's capture."""

    def show(text):
        with capsys.disabled():
            print(f"\n{text}")

    return show


@pytest.mark.parametrize(("env_id", "num_envs", "steps", "pretrained"), RACES)
def test_env_step_beside_the_bare_batch(benchmark, show, env_id, num_envs, steps, pretrained):
    race = Race(env_id, num_envs, steps=steps, pretrained=pretrained)
    benchmark.group = race.label
    benchmark.pedantic(race.run_env, setup=race.run_bare, rounds=9)
    benchmark.extra_info |= race.figures()
    show(race)
    race.close()


def test_memory_of_4096_go1s(benchmark, show):
    pytest.importorskip("psutil")
    added = benchmark.pedantic(memory, args=("Motrix/Go1-v0", 4096), rounds=1)
    benchmark.extra_info["MiB"] = added
    show(f"4096 Motrix/Go1-v0 add {added:.0f} MiB")
