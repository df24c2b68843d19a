# SPDX-License-Identifier: Apache-2.0
"""What the environments cost beside their physics; run by ``make bench``.

The goals (reported here, and not asserted, since machines differ): of the bare ``Batch.step``,
Go1 at 1024 and 4096 at least 90 %, at 256 at least 80 %, and 17,000 steps per CPU-second;
cart-pole at 1024 at least 75 %, and 250,000 steps/s on two threads; walker and hopper at 1024 at
least 85 %, cheetah and reacher 70 %; Go1 on rough ground and stairs 90 % at 1024; 4096 Go1s add
under 300 MiB. Beside EnvPool, where it is installed (``pip install envpool==1.2.5``): ahead on
every task, on the cheetah twice as fast and on the walker 1.15 times.
"""

import importlib.util
from statistics import median

import pytest

from rl_zoo.benchmark import throughput
from rl_zoo.benchmark.measuring import environments
from rl_zoo.benchmark.memory import memory

pytest.importorskip("pytest_benchmark")

# (id, copies, steps per block, whether the shipped policy acts): blocks of a tenth of a second and
# more.
RACES = [
    ("Motrix/Go1-v0", 256, 20, False),
    ("Motrix/Go1-v0", 1024, 10, False),
    ("Motrix/Go1-v0", 4096, 5, False),
    ("Motrix/CartPole-v0", 1024, 50, False),
    ("Motrix/WalkerRun-v0", 1024, 5, False),
    ("Motrix/HopperHop-v0", 1024, 10, False),
    ("Motrix/CheetahRun-v0", 1024, 30, False),
    ("Motrix/ReacherHard-v0", 1024, 50, False),
    ("Motrix/BounceBall-v0", 1024, 5, False),
    ("Motrix/Go1-v0", 1024, 10, True),
    ("Motrix/Go1Stairs-v0", 1024, 10, True),
    ("Motrix/FrankaLift-v0", 1024, 5, True),
]


@pytest.fixture
def show(capsys):
    """Print past pytest's capture."""

    def show(text):
        with capsys.disabled():
            print(f"\n{text}")

    return show


@pytest.mark.parametrize(("env_id", "num_envs", "steps", "pretrained"), RACES)
def test_env_step_beside_the_bare_batch(benchmark, show, env_id, num_envs, steps, pretrained):
    race, _ = throughput.race(env_id, num_envs, steps=steps, pretrained=pretrained)
    ours, bare = throughput.OURS, throughput.BARE
    benchmark.group = f"{env_id} x {num_envs}, {'its policy' if pretrained else 'random actions'}"
    benchmark.pedantic(race.run_block, args=(ours,), setup=lambda: race.run_block(bare), rounds=9)
    figures = {
        "ratio": median(race.ratios(ours)),
        "cpu_ratio": median(race.ratios(ours, clock=1)),
        "steps_per_second": race.rate(ours),
        "steps_per_cpu_second": race.rate(ours, clock=1),
    }
    benchmark.extra_info |= figures
    show(f"{benchmark.group}: {figures}")
    race.close()


@pytest.mark.parametrize("env_id", throughput.ENVPOOLS)
def test_steps_beside_envpools(benchmark, show, env_id):
    if importlib.util.find_spec("envpool") is None:
        pytest.skip("EnvPool is not installed: pip install envpool==1.2.5")
    lines = benchmark.pedantic(environments, args=(env_id, 1024, 2, 9, False), rounds=1)
    show("\n".join(f"{name}: {figure}" for name, figure in lines))


def test_memory_of_4096_go1s(benchmark, show):
    pytest.importorskip("psutil")
    added = benchmark.pedantic(memory, args=("Motrix/Go1-v0", 4096), rounds=1)
    benchmark.extra_info["MiB"] = added
    show(f"4096 Motrix/Go1-v0 add {added:.0f} MiB")
