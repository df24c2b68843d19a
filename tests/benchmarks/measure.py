# SPDX-License-Identifier: Apache-2.0
"""What an environment costs beside its bare physics; ``python -m tests.benchmarks.measure``.

A race runs blocks of ``env.step`` and blocks of ``mujoco.batch.Batch.step`` in turn, in one
process. Both start every single step from the same states, controls and model fields, recorded
beforehand in a run of the environment, resets and all; so both do the same physics, and a ratio of
medians says what share of the time the physics takes. Actions are random, or those of the shipped
policy. With random actions a robot falls, where with the policy it walks or grasps.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import gymnasium
import numpy as np
from mujoco.batch import Batch

import motrix_gym  # noqa: F401, registers the environments
from rl_zoo.policy_search import find_policy

WARM_UP = 60  # steps before the recorded ones, after which episodes end at all times


class Race:
    """Blocks of the same ``steps`` steps, through the environment and through the bare batch."""

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        steps: int = 10,
        num_threads: int = 0,
        pretrained: bool = False,
    ):
        env = gymnasium.make_vec(env_id, num_envs=num_envs, num_threads=num_threads)
        self.env, self.num_envs, self.steps = env, num_envs, steps
        self.label = f"{env_id} x {num_envs}, {'its policy' if pretrained else 'random actions'}"
        self.base = env.unwrapped
        simulation = self.base.simulation
        self.bare = Batch(self.base.model, num_envs, num_threads)
        self.bare_fields = {name: self.bare.expand(name) for name in simulation.per_world}

        stream = np.random.default_rng(0)
        actor = (
            find_policy(env_id, policy=Path("pretrained")).policy.actor() if pretrained else None
        )
        observations, _ = env.reset(seed=0)
        starts = np.ones(num_envs, bool)

        def advance():
            """Make a step; returns its actions."""
            nonlocal observations, starts
            if actor is None:
                actions = stream.uniform(-1, 1, env.action_space.shape).astype(np.float32)
            else:
                actions = actor(observations, starts)
            observations, _, terminated, truncated, _ = env.step(actions)
            starts = terminated | truncated
            return actions

        for _ in range(WARM_UP):
            advance()
        self.start = self.base.snapshot()
        self.recorded = []
        step = simulation.step

        def recording(*args):
            fields = {name: simulation.fields[name].copy() for name in self.bare_fields}
            self.recorded.append((simulation.batch.state.copy(), fields))
            return step(*args)

        simulation.step = recording
        self.actions = [advance() for _ in range(steps)]
        del simulation.step
        self.end = simulation.batch.state.copy()
        self.env_seconds, self.env_cpu_seconds = [], []
        self.bare_seconds, self.bare_cpu_seconds = [], []

    def run_env(self):
        """Run one block of ``env.step``."""
        self.base.restore(self.start)
        cpu, wall = time.process_time(), time.perf_counter()
        for action in self.actions:
            self.env.step(action)
        self.env_seconds.append(time.perf_counter() - wall)
        self.env_cpu_seconds.append(time.process_time() - cpu)
        assert (self.base.simulation.batch.state == self.end).all()  # the recorded run

    def run_bare(self):
        """Run one block of ``Batch.step``; what sets its state is not timed."""
        seconds = cpu_seconds = 0.0
        for state, fields in self.recorded:
            self.bare.state[...] = state
            for name, value in fields.items():
                self.bare_fields[name][...] = value
            cpu, wall = time.process_time(), time.perf_counter()
            self.bare.step(nstep=self.base.substeps)
            seconds += time.perf_counter() - wall
            cpu_seconds += time.process_time() - cpu
        self.bare_seconds.append(seconds)
        self.bare_cpu_seconds.append(cpu_seconds)

    def run(self, rounds: int = 9):
        """Run blocks in turn."""
        for _ in range(rounds):
            self.run_bare()
            self.run_env()
        return self

    def figures(self) -> dict[str, float]:
        """Medians over the blocks; CPU time is what a busy machine leaves comparable."""
        made = self.num_envs * self.steps
        return {
            "ratio": _median_ratio(self.bare_seconds, self.env_seconds),
            "cpu_ratio": _median_ratio(self.bare_cpu_seconds, self.env_cpu_seconds),
            "steps_per_second": made / median(self.env_seconds),
            "steps_per_cpu_second": made / median(self.env_cpu_seconds),
            "milliseconds_per_step": 1e3 * median(self.env_seconds) / self.steps,
        }

    def __str__(self) -> str:
        figures = self.figures()
        return (
            f"{self.label}: {figures['ratio']:.3f} of the bare Batch.step "
            f"(by CPU time {figures['cpu_ratio']:.3f}), "
            f"{figures['steps_per_second']:,.0f} steps/s, "
            f"{figures['steps_per_cpu_second']:,.0f} steps/CPU-s, "
            f"{figures['milliseconds_per_step']:.2f} ms"
        )

    def close(self):
        self.env.close()


def _median_ratio(bare: list[float], env: list[float]) -> float:
    return median(b / e for b, e in zip(bare, env, strict=True))


_MEMORY = """
import gymnasium, numpy, psutil, motrix_gym
def used():
    return psutil.Process().memory_info().rss / 2**20
small = gymnasium.make_vec("{env_id}", num_envs=1)  # pays for what is paid once
small.reset(seed=0)
small.step(numpy.zeros(small.action_space.shape, numpy.float32))
before = used()
env = gymnasium.make_vec("{env_id}", num_envs={num_envs})
env.reset(seed=0)
actions = numpy.random.default_rng(0).uniform(-1, 1, env.action_space.shape)
for _ in range(50):
    env.step(actions)
print(used() - before)
"""


def memory(env_id: str, num_envs: int) -> float:
    """MiB of memory that ``num_envs`` environments add, stepped a while, in a fresh process."""
    program = _MEMORY.format(env_id=env_id, num_envs=num_envs)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(run.stdout)


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("ids", nargs="*", metavar="ID", help="by default those of `make bench`")
    parser.add_argument("--num-envs", type=int, default=1024, metavar="N")
    parser.add_argument("--num-threads", type=int, default=0, metavar="N", help="0 takes all cores")
    parser.add_argument("--pretrained", action="store_true", help="the shipped policy acts")
    args = parser.parse_args()
    if args.ids:
        for env_id in args.ids:
            race = Race(
                env_id,
                args.num_envs,
                num_threads=args.num_threads,
                pretrained=args.pretrained,
            )
            print(race.run(), flush=True)
        return
    for env_id, num_envs, steps, pretrained in RACES:
        print(Race(env_id, num_envs, steps=steps, pretrained=pretrained).run(), flush=True)
    print(f"4096 Motrix/Go1-v0 add {memory('Motrix/Go1-v0', 4096):.0f} MiB")


if __name__ == "__main__":
    main()
