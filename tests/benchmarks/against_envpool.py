# SPDX-License-Identifier: Apache-2.0
"""Speed beside EnvPool's; ``python -m tests.benchmarks.against_envpool``.

EnvPool 1.2.5 has the same control tasks of dm_control, in C++, and Go1 on level and on rough ground
from MuJoCo Playground, with as many physics steps per action as ours. A race runs blocks of steps
of the one and of the other in turn, in one process, with the same random actions, the same number
of threads, and equally far into their episodes. No episode of a control task ends in it; Go1s fall,
and are reset, in both. Figures are medians over the blocks.

A thousand copies of EnvPool's take 12 GiB, not all of which it gives back: every race has a process
of its own.
"""

import argparse
import importlib.util
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from statistics import median

import gymnasium
import numpy as np

import motrix_gym  # noqa: F401, registers the environments

NUM_ENVS = 1024
WARM_UP = 60  # steps before the timed ones, after which robots lie about in all ways
EPISODE = 1000  # steps of all the tasks
ROUNDS = 15
# Steps per block, of a tenth of a second and more.
RACES = {
    "Go1": 5,
    "Go1Rough": 5,
    "WalkerStand": 5,
    "WalkerWalk": 5,
    "WalkerRun": 5,
    "CheetahRun": 30,
    "HopperStand": 10,
    "HopperHop": 10,
    "ReacherEasy": 40,
    "ReacherHard": 40,
}
# Names of EnvPool's, where they are others.
NAMES = {"Go1": "Go1JoystickFlatTerrain", "Go1Rough": "Go1JoystickRoughTerrain"}


def missing() -> str | None:
    """Why there is no race here, if there is none."""
    if importlib.util.find_spec("envpool") is None:
        return "EnvPool is not installed: pip install envpool==1.2.5"
    return None


def most_rounds(task: str) -> int:
    """How many rounds end before the episodes do."""
    return (EPISODE - 1 - WARM_UP) // RACES[task]


class Race:
    """Blocks of steps of ``Motrix/<task>-v0`` and of EnvPool's like it."""

    def __init__(self, task: str, *, num_envs: int = NUM_ENVS, num_threads: int = 2):
        import envpool

        self.made = RACES[task] * num_envs
        self.own = gymnasium.make_vec(
            f"Motrix/{task}-v0", num_envs=num_envs, num_threads=num_threads
        )
        self.theirs = envpool.make(
            f"{NAMES.get(task, task)}-v1",
            env_type="gymnasium",
            num_envs=num_envs,
            num_threads=num_threads,
        )
        shape = (RACES[task], *self.own.action_space.shape)
        actions = np.random.default_rng(0).uniform(-1, 1, shape)
        self.actions = {"own": actions.astype(np.float32), "theirs": actions}  # as each wants them
        self.seconds = {"own": [], "theirs": []}
        self.cpu_seconds = {"own": [], "theirs": []}
        self.own.reset(seed=0)
        self.theirs.reset()
        for step in range(WARM_UP):
            self.own.step(self.actions["own"][step % len(actions)])
            self.theirs.step(self.actions["theirs"][step % len(actions)])

    def run_block(self, name: str):
        """Run a block of "own" or of "theirs"."""
        env = getattr(self, name)
        cpu, wall = time.process_time(), time.perf_counter()
        for action in self.actions[name]:
            env.step(action)
        self.seconds[name].append(time.perf_counter() - wall)
        self.cpu_seconds[name].append(time.process_time() - cpu)

    def run(self, rounds: int = ROUNDS):
        """Run blocks in turn."""
        for _ in range(rounds):
            self.run_block("theirs")
            self.run_block("own")
        return self

    def figures(self) -> dict[str, float]:
        """Medians over the blocks; CPU time is what a busy machine leaves comparable."""
        return {
            "ratio": _median_ratio(self.seconds),
            "cpu_ratio": _median_ratio(self.cpu_seconds),
            "steps_per_second": self.made / median(self.seconds["own"]),
            "envpool_steps_per_second": self.made / median(self.seconds["theirs"]),
        }


def _median_ratio(seconds: dict[str, list[float]]) -> float:
    pairs = zip(seconds["theirs"], seconds["own"], strict=True)
    return median(theirs / own for theirs, own in pairs)


def figures(task: str, rounds: int = ROUNDS) -> dict[str, float]:
    """A race's figures, run in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(_figures, task, rounds).result()


def _figures(task: str, rounds: int) -> dict[str, float]:
    return Race(task).run(rounds).figures()


def describe(task: str, figures: dict[str, float]) -> str:
    """A race in a line."""
    return (
        f"{task} x {NUM_ENVS}: {figures['ratio']:.2f} times EnvPool's speed "
        f"(by CPU time {figures['cpu_ratio']:.2f}), {figures['steps_per_second']:,.0f} and "
        f"{figures['envpool_steps_per_second']:,.0f} steps/s"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(RACES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    args = parser.parse_args()
    for task in args.tasks:
        if task not in RACES:
            parser.error(f"no task {task!r}; there are {', '.join(RACES)}")
    tasks = args.tasks or RACES
    task = min(tasks, key=most_rounds)
    if not 1 <= args.rounds <= most_rounds(task):
        parser.error(
            f"--rounds must be 1 to {most_rounds(task)}, after which episodes of {task} would end, "
            f"got {args.rounds}"
        )
    if reason := missing():
        print(f"The races are skipped: {reason}")
        return
    for task in tasks:
        print(describe(task, figures(task, args.rounds)), flush=True)


if __name__ == "__main__":
    main()
