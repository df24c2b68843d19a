# SPDX-License-Identifier: Apache-2.0
"""Compares the learning curves of two processes with those of one; writes a table of scaling.md.

    python docs/compare_ranks.py FOLDER                    # trains, evaluates, prints
    python docs/compare_ranks.py FOLDER --trainers skrl-jax --seeds 0 1

The cart-pole is trained by one process and by two that share as many environments, with each seed.
Every checkpoint plays 100 episodes with deterministic actions. What is in FOLDER already is not
trained again.

Chosen before any of these runs, from the trainings in results/comparison.json: six checkpoints,
from where the pole falls at once to where it is balanced. Between seeds, the return at a single
checkpoint has a standard deviation of up to 300, so ten seeds cannot show there that two curves
are equal. A training's mean over the six has one of 44 (skrl-jax) and 58 (skrl-torch). So these
means are compared. They count as equal if the 95 % interval of their difference (Welch) is within
100, a tenth of the highest return.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

import rl_zoo
from adapters.ranks import Place
from rl_zoo import Run, processes
from rl_zoo.comparison.statistics import difference, equivalence, mean_and_half

ENV = "Motrix/CartPole-v0"
MARGIN = 100.0
APART, POINTS = 65_536, 6  # environment steps from one checkpoint to the next; how many
SETTINGS = {
    "num_envs": 256,
    "rollouts": 128,
    "check_point_interval": 256,
    "max_env_steps": APART * POINTS,
    "keep_checkpoints": -1,
}
COUNTS = (1, 2)  # processes


def trained(folder: Path) -> "Run | None":
    """The finished training in a folder, if there is one."""
    runs = [Run.open(path.parent) for path in folder.glob("*/*/manifest.json")]
    return next((run for run in runs if run.manifest()["status"] == "complete"), None)


def train(root: Path, trainer: str, seeds: list[int]) -> None:
    """Train with each seed; this process is one of those that a training has."""
    for seed in seeds:
        folder = root / trainer / str(Place.of_environment().size) / str(seed)
        if not trained(folder):
            rl_zoo.train(
                ENV,
                trainer=trainer,
                seed=seed,
                run_dir=folder,
                num_threads=1,
                eval_episodes=0,
                quiet=True,
                **SETTINGS,
            )


def curve(folder: Path) -> list[float]:
    """The mean return of each checkpoint of the training in a folder."""
    run = trained(folder)
    assert run, f"the training in {folder} did not end"
    entries = run.history()
    assert [entry["steps"] for entry in entries] == [APART * (n + 1) for n in range(POINTS)]
    results = [run.evaluate(100, which=entry["folder"], num_threads=1) for entry in entries]
    return [float(result.figures["return"].mean()) for result in results]


def compare(root: Path, trainer: str, seeds: list[int]) -> None:
    """Print the rows of a trainer."""
    one, two = (
        np.array([curve(root / trainer / str(count) / str(seed)) for seed in seeds])
        for count in COUNTS
    )
    for number in range(POINTS):
        print_row(trainer, f"{APART * (number + 1):,}", one[:, number], two[:, number])
    print_row(trainer, "mean of the six", one.mean(axis=1), two.mean(axis=1), MARGIN)


def print_row(
    trainer: str, at: str, one: np.ndarray, two: np.ndarray, margin: float | None = None
) -> None:
    """Print the means over the seeds, (seeds,) each, and the interval of their difference."""
    means = " | ".join(
        f"{mean:.0f} ± {half:.0f}"
        for mean, half in map(mean_and_half, (one.tolist(), two.tolist()))
    )
    gap, half = difference(two.tolist(), one.tolist())
    assert half is not None  # there are several seeds
    shown = f"{gap:+.0f} [{gap - half:+.0f}, {gap + half:+.0f}]"
    verdict = equivalence(gap - half, gap + half, margin) if margin else ""
    print(f"| {trainer} | {at} | {means} | {shown} | {verdict} |")


def main() -> None:
    """Train, evaluate and print, or be one of the processes of a training."""
    p = argparse.ArgumentParser(description="Learning curves of two processes and of one.")
    p.add_argument("folder", type=Path)
    p.add_argument("--trainers", nargs="+", default=["skrl-torch", "skrl-jax"])
    p.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    args = p.parse_args()
    if "WORLD_SIZE" in os.environ:
        train(args.folder, args.trainers[0], args.seeds)
        return
    if len(args.seeds) == 1:
        p.error("an interval needs two or more seeds")
    for trainer in args.trainers:
        for count in COUNTS:
            command = [sys.executable, __file__, str(args.folder), "--trainers", trainer]
            if status := processes.run([*command, "--seeds", *map(str, args.seeds)], count):
                sys.exit(status)
    print("| trainer | steps | one process | two | two minus one | |")
    print("| --- | --- | --- | --- | --- | --- |")
    for trainer in args.trainers:
        compare(args.folder, trainer, args.seeds)


if __name__ == "__main__":
    main()
