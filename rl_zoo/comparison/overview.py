# SPDX-License-Identifier: Apache-2.0
"""All stored results as Markdown: comparisons over seeds, shipped policies, and weights' hashes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rl_zoo import policies
from rl_zoo.comparison.report import listed
from rl_zoo.comparison.results import UNREADABLE, Comparison, Result, read_figures
from rl_zoo.comparison.statistics import iqm_and_interval
from rl_zoo.errors import ZooError
from rl_zoo.statistics import Summary
from rl_zoo.tables import markdown_table, number, with_interval

DIGITS = 12  # of a hash, in a table
HEAD = """# Results

What is stored of trainings and policies. `motrix results` writes this page, and beside it the
[comparisons](comparison.md), with their curves. [Reading results](../reading-results.md) says what
the numbers mean.
"""
OVER_SEEDS = """## Over seeds

Of the last policy of each training; none is picked. Shown are the figures that the goals are about,
or the return. A run's value is the mean over its episodes; here is the interquartile mean of the
runs' values, with its 95 % interval (bootstrap over seeds). Success is the share of all episodes of
all seeds, with Wilson's 95 % interval. Seconds are the interquartile mean too.
"""
SHIPPED = """## Shipped policies

The policies in `rl_zoo/pretrained`, each of one training: means over the episodes, with their 95 %
intervals (Wilson's for a rate, else a bootstrap's). Settings were tuned on seeds 0 to 9.
"""
HASHES = """## Weights

The first 12 digits of the SHA-256 of each training's last weights. The same seed gives the same
hash on the same kind of processor, with as many cores, the same versions and the same code.
[This checks it](../reproducibility.md#check-a-hash):

```sh
motrix reproduce --env Motrix/CartPole-v0 --seed 100
```
"""


@dataclass(frozen=True)
class Shipped:
    """A policy in `rl_zoo/pretrained` and its stored evaluation.

    Attributes:
        env_id: The environment.
        trainer: The trainer's name.
        seed: The training's.
        steps: Environment steps that the training made.
        sha256: Of the weights' file.
        episodes: How many judged it.
        figures: Over the episodes.
        goals: Names of the figures that the environment's goals were about.
    """

    env_id: str
    trainer: str
    seed: int
    steps: int
    sha256: str
    episodes: int
    figures: dict[str, Summary]
    goals: tuple[str, ...]

    @classmethod
    def read(cls, name: str) -> Self:
        """Returns what a folder of `rl_zoo/pretrained` holds.

        Raises:
            ZooError: It holds something else.
        """
        folder = policies.PRETRAINED / name
        try:
            policy = json.loads((folder / "policy.json").read_bytes())
            found = json.loads((folder / "evaluation.json").read_bytes())
            made = policy["metadata"]
            return cls(
                env_id=str(found["env_id"]),
                trainer=str(made["trainer"]),
                seed=int(made["seed"]),
                steps=int(made["env_steps"]),
                sha256=str(policy["sha256"]),
                episodes=int(found["episodes"]),
                figures=read_figures(found["figures"]),
                goals=tuple(str(goal["goal"]).split()[0] for goal in found["goals"]),
            )
        except OSError as error:
            raise ZooError(f"{error.filename} cannot be read: {error.strerror}") from error
        except UNREADABLE as error:
            raise ZooError(f"{folder} holds no policy with its evaluation") from error


def shipped_policies() -> list[Shipped]:
    """Returns all policies in `rl_zoo/pretrained`, by name.

    Raises:
        ZooError: One cannot be read.
    """
    folders = sorted(policies.PRETRAINED.glob("*/policy.json"))
    return [Shipped.read(path.parent.name) for path in folders]


def overview(
    comparisons: Sequence[Comparison], shipped: Sequence[Shipped], env_ids: Sequence[str]
) -> str:
    """Returns the page of all results.

    Args:
        comparisons: Stored runs, over seeds.
        shipped: Stored policies.
        env_ids: All environments, to name those without a result.
    """
    known = {c.env_id for c in comparisons} | {policy.env_id for policy in shipped}
    others = ", ".join(env_id for env_id in env_ids if env_id not in known)
    parts = [
        HEAD,
        OVER_SEEDS,
        markdown_table(_over_seeds(comparisons), left=2),
        "![Return against steps and seconds](comparison.png)",
        SHIPPED,
        markdown_table(_of_shipped(shipped), left=2),
        f"Nothing is stored of: {others}." if others else "",
        HASHES,
        markdown_table(_hashes(comparisons, shipped), left=4),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _over_seeds(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    head = ("environment", "trainer", "seeds", "steps", "seconds", "interquartile mean", "success")
    rows: list[tuple[str, ...]] = [(*head, "goals met")]
    for comparison in comparisons:
        names = [goal.figure for goal in comparison.goals if goal.figure != "success"]
        for label, results in comparison.rows.items():
            figures = []
            for name in names or ["return"]:
                middle, interval = iqm_and_interval([result.mean(name) for result in results])
                figures.append(f"{name} {with_interval(middle, *(interval or (None, None)))}")
            met = sum(result.verdict(comparison.goals) == "met" for result in results)
            rows.append(
                (
                    comparison.title,
                    label,
                    listed([result.seed for result in results]).split(" ", 1)[1],
                    " or ".join(f"{n:,}" for n in sorted({result.steps for result in results})),
                    number(iqm_and_interval([result.seconds for result in results])[0]),
                    ", ".join(figures),
                    _pooled_success(results),
                    f"{met} of {len(results)}" if comparison.goals else "-",
                )
            )
    return rows


def _pooled_success(results: Sequence[Result]) -> str:
    """The share of successes among the episodes of all runs, with Wilson's interval."""
    from scipy import stats

    if not all("success" in result.figures for result in results):
        return "-"
    episodes = sum(result.episodes for result in results)
    successes = round(sum(result.mean("success") * result.episodes for result in results))
    found = stats.binomtest(successes, episodes).proportion_ci(method="wilson")
    return with_interval(successes / episodes, found.low, found.high)


def _of_shipped(shipped: Sequence[Shipped]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("environment", "trainer", "seed", "steps", "episodes", "mean", "success")
    ]
    for policy in shipped:
        names = [name for name in policy.goals if name != "success"] or ["return"]

        def told(name: str, policy: Shipped = policy) -> str:
            found = policy.figures.get(name)
            return with_interval(found.mean, found.low, found.high) if found else "-"

        rows.append(
            (
                policy.env_id,
                policy.trainer,
                str(policy.seed),
                f"{policy.steps:,}",
                f"{policy.episodes:,}",
                ", ".join(f"{name} {told(name)}" for name in names),
                told("success"),
            )
        )
    return rows


def _hashes(comparisons: Sequence[Comparison], shipped: Sequence[Shipped]) -> list[tuple[str, ...]]:
    """Rows: environment, trainer, processor, and each seed with its hash."""
    rows: list[tuple[str, ...]] = [("environment", "trainer", "processor", "seed: SHA-256")]
    for comparison in comparisons:
        for label, results in comparison.rows.items():
            machines: dict[str, list[str]] = {}
            for result in results:
                machines.setdefault(processor(result), []).append(
                    f"{result.seed}: `{result.policy[:DIGITS]}`"
                )
            for machine, hashes in machines.items():
                rows.append((comparison.title, label, machine, ", ".join(hashes)))
    for policy in shipped:
        digest = f"{policy.seed}: `{policy.sha256[:DIGITS]}`"
        rows.append((policy.env_id, policy.trainer, "not stored (shipped)", digest))
    return rows


def processor(result: Result) -> str:
    """Returns what a run was trained on, such as "AMD EPYC, 1 core"."""
    found = dict.fromkeys(
        f"{s['cpu']}, {s['cores']} core{'s' * (s['cores'] != '1')}"
        for s in result.origin["sessions"]
    )
    return " and ".join(found)
