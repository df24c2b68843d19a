# SPDX-License-Identifier: Apache-2.0
"""What a trial is worth: it trains with the drawn settings, once per seed.

The objectives:

- "return", "success": of the policy in the end, over evaluation episodes (larger is better);
- "steps", "seconds": until the environment's goals are met on average, at two checks in a row, of
  20 in a training (smaller is better). A training in which
  they are not met counts as twice its length.

With "return" and "success", a trial reports the mean over the training's episodes since the last
check. From these a pruner ends trials that do worse than others did at the same check.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_zoo.evaluation import Evaluation, evaluate_policy
from rl_zoo.plans import Plan
from rl_zoo.progress import RETURN, SUCCESS
from rl_zoo.sessions import Progress, Session
from rl_zoo.statistics import NOT_MET

CHECKS = 20  # of a training
CHECK_EPISODES = 50
_TAGS = {"return": RETURN, "success": SUCCESS}


@dataclass(frozen=True)
class Objective:
    """How trials are measured.

    Attributes:
        name: One of `rl_zoo.tuning.OBJECTIVES`.
        seeds: Training seeds; a trial's value is the mean over them.
        episodes: Of the evaluation in the end.
        num_threads: For the physics; 0: all cores.
    """

    name: str
    seeds: Sequence[int]
    episodes: int
    num_threads: int

    @property
    def larger_is_better(self) -> bool:
        """Whether the best trial has the largest value."""
        return self.name in ("return", "success")

    def value(
        self, plan_of: Callable[[int], Plan], report: Callable[[int, float], None]
    ) -> tuple[float, list[float]]:
        """Trains, and returns the mean value and that of each seed.

        Args:
            plan_of: The training of a seed.
            report: Called with the number of a check, over all seeds, and its value; what it raises
                ends the trial.

        Raises:
            ZooError, FieldError, PolicyError: The training failed.
        """
        values: list[float] = []
        for index, seed in enumerate(self.seeds):

            def checked(number: int, value: float, first: int = index * CHECKS) -> None:
                report(first + number, value)

            values.append(self._train(plan_of(seed), checked))
        return float(np.mean(values)), values

    def threshold(self, plan: Plan) -> "Threshold":
        """Trains until the goals are met on average at two checks in a row; returns when.

        Raises:
            ZooError, FieldError, PolicyError: The training failed.
        """
        watch = Threshold()
        with self._session(plan) as session:
            for progress, at_check in _checks(session):
                if at_check:
                    met = _met(self._evaluate(session, CHECK_EPISODES, "choice"))
                    watch.check(met, progress.steps, session.seconds)
                if watch.reached:
                    break
            watch.whole = {"steps": session.total_steps, "seconds": session.seconds}
        return watch

    def _train(self, plan: Plan, report: Callable[[int, float], None]) -> float:
        if self.name in ("steps", "seconds"):
            return self.threshold(plan).value(self.name)
        with self._session(plan) as session:
            means: list[float] = []
            for progress, at_check in _checks(session):
                if (mean := progress.scalars.get(_TAGS[self.name])) is not None:
                    means.append(mean)
                if means and 0 < at_check < CHECKS:
                    report(at_check, float(np.mean(means)))
                    means.clear()
            result = self._evaluate(session, self.episodes, "evaluation")
        return float(result.figures[self.name].mean())

    @contextlib.contextmanager
    def _session(self, plan: Plan) -> Iterator[Session]:
        """Yields the session of a training whose run is not kept."""
        with tempfile.TemporaryDirectory(prefix="motrix-tune-") as folder:
            with Session(plan, run_dir=folder, num_threads=self.num_threads) as session:
                yield session

    def _evaluate(self, session: Session, episodes: int, purpose: str) -> Evaluation:
        plan = session.plan
        return evaluate_policy(
            plan.env_id,
            session.policy(),
            episodes=episodes,
            purpose=purpose,
            settings=plan.settings,
            num_threads=self.num_threads,
        )


class Threshold:
    """When the goals were first met, at two checks in a row.

    Attributes:
        reached: Whether they were.
        first: The steps and the seconds at the first of the two, if they were.
        whole: The steps of the whole training, and the seconds that were spent.
    """

    def __init__(self):
        self.reached = False
        self.first: Mapping[str, float] = {}
        self.whole: Mapping[str, float] = {}

    def check(self, met: bool, steps: int, seconds: float) -> None:
        """Takes in whether the goals are met now."""
        self.reached = met and bool(self.first)
        if not met:
            self.first = {}
        elif not self.first:
            self.first = {"steps": steps, "seconds": seconds}

    def value(self, name: str) -> float:
        """Returns the steps or the seconds; twice the training's if the goals were not met."""
        return self.first[name] if self.reached else 2.0 * self.whole[name]


def _checks(session: Session) -> Iterator[tuple[Progress, int]]:
    """Trains; yields each progress, with the number of the check that is due, 0 if none is."""
    done = 0
    for progress in session.updates():
        number = CHECKS * progress.steps // progress.total_steps
        yield progress, number if number > done else 0
        done = number


def _met(result: Evaluation) -> bool:
    return all(verdict != NOT_MET for verdict in result.verdicts.values())
