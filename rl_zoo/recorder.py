# SPDX-License-Identifier: Apache-2.0
"""Recorder: makes a trainer's updates, and writes the log and the checkpoints."""

import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rl_zoo.errors import ZooError
from rl_zoo.progress import EPISODES, RETURN

if TYPE_CHECKING:
    from adapters import Trainer
    from rl_zoo.log_services import Log
    from rl_zoo.runs import Run

REWARD_TERM = "Reward Instant / "  # and the term's name begin a tag


class Recorder:
    """Makes a trainer's updates; writes its scalars to the log, and its state to checkpoints.

    Args:
        trainer: The trainer.
        run: The run, open for writing; in other ranks than the first, a stand-in.
        log: Where scalars go, every `log_interval` vector steps.
        on_log: Called with environment steps and scalars whenever these go to the log.

    Attributes:
        seconds: Time that the updates took.
    """

    def __init__(
        self,
        trainer: "Trainer",
        run: "Run",
        log: "Log",
        on_log: Callable[[int, Mapping[str, float]], None] | None = None,
    ):
        self.trainer, self.run, self.log, self.on_log = trainer, run, log, on_log
        self.seconds = 0.0
        manifest = run.manifest()
        # Of the run's earlier processes; runs of old say only the total.
        self._seconds_before = manifest.get("train_seconds", manifest["wall_seconds"])
        self._memory_before = manifest.get("peak_memory_mib", 0.0)
        self._saved = self._logged = trainer.vector_steps
        self._episodes, self._total_return = 0.0, 0.0  # that ended since the last checkpoint
        self._unlogged: list[dict[str, float]] = []
        self._unlogged_seconds = 0.0

    def update(self) -> dict[str, float]:
        """Makes an update; logs and saves if it is time to. Returns the update's scalars.

        Raises:
            ZooError: The training diverged.
            OSError, RunError: The log or the checkpoint cannot be written.
        """
        trainer, config = self.trainer, self.trainer.config
        started, before = time.perf_counter(), trainer.vector_steps
        scalars = self._make_update()
        elapsed = time.perf_counter() - started
        self.seconds += elapsed
        self._unlogged.append(scalars)
        self._unlogged_seconds += elapsed
        if trainer.vector_steps // config.log_interval > before // config.log_interval:
            self._write_log()
        ended = scalars.get(EPISODES, 0.0)
        self._episodes += ended
        self._total_return += ended * scalars.get(RETURN, 0.0)
        interval = config.check_point_interval
        if trainer.vector_steps // interval > before // interval:
            self._save()
        return scalars

    def _make_update(self) -> dict[str, float]:
        """Makes an update; raises ZooError if rewards, losses or weights are not finite."""
        from adapters import PolicyError

        trainer, refused = self.trainer, None
        try:
            scalars = trainer.update()
        except ValueError as error:  # actions that are not finite are refused
            scalars, refused = trainer.statistics.summary(), error
        when = f"at {trainer.env_steps:,} steps"
        for tag, x in _not_finite(scalars, REWARD_TERM):
            name = tag.removeprefix(REWARD_TERM).rpartition(" (")[0]
            raise self._failed(f"the reward term {name!r} is {x} {when}") from refused
        sick = [f"{tag} is {x}" for tag, x in _not_finite(scalars, "Loss")]
        if refused:
            try:
                trainer.policy()
            except PolicyError:
                sick = [str(refused)]
            else:
                raise refused
        if sick:
            raise self._failed(
                f"the training diverged {when} ({sick[0]}): try a lower learning_rate or "
                "max_learning_rate, or smaller rewards"
            )
        return scalars

    def _failed(self, why: str) -> ZooError:
        """The error to raise, which mentions earlier checkpoints if there are any."""
        saved = self.run.manifest()["latest"]
        return ZooError(f"{why}; earlier checkpoints are good" if saved else why)

    def finish(self) -> None:
        """Logs and saves what was not logged and saved yet.

        Raises:
            OSError, RunError: The log or the checkpoint cannot be written.
        """
        if self._unlogged:
            self._write_log()
        if self.trainer.vector_steps > self._saved:
            self._save()

    def _write_log(self) -> None:
        trainer, scalars = self.trainer, _combined(self._unlogged)
        rows = trainer.config.num_envs * trainer.ranks.size
        steps = (trainer.vector_steps - self._logged) * rows
        rate = {"Time / Steps per second": steps / self._unlogged_seconds}
        with trainer.ranks.together():
            self.log.write(trainer.env_steps, scalars | rate)
        if self.on_log:
            self.on_log(trainer.env_steps, scalars)
        self._logged, self._unlogged_seconds = trainer.vector_steps, 0.0
        self._unlogged.clear()

    def _save(self) -> None:
        trainer = self.trainer
        # The mean return of few updates, as after an interruption, may be high by luck.
        made = trainer.vector_steps - self._saved
        enough = self._episodes and 2 * made > trainer.config.check_point_interval
        seconds = self._seconds_before + self.seconds
        state = trainer.ranks.whole_state(trainer.state(), trainer.own_state)
        with trainer.ranks.together():
            self.run.save_checkpoint(
                trainer.env_steps,
                trainer.policy(),
                state,
                self._total_return / self._episodes if enough else None,
                train_seconds=seconds,
                steps_per_second=trainer.env_steps / seconds,
                peak_memory_mib=max(self._memory_before, peak_memory()),
            )
        self._saved = trainer.vector_steps
        self._episodes, self._total_return = 0.0, 0.0


def _not_finite(scalars: Mapping[str, float], start: str) -> list[tuple[str, float]]:
    """Returns tags that begin so and have values that are not finite, with these values."""
    return [(k, x) for k, x in scalars.items() if k.startswith(start) and not math.isfinite(x)]


def _combined(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """Returns the scalars of several updates as those of one.

    Of "(max)" and "(min)" they are the extremes, of the number of episodes the sum, else the mean.
    """
    if len(parts) == 1:
        return parts[0]
    found: dict[str, list[float]] = {}
    for scalars in parts:
        for tag, value in scalars.items():
            found.setdefault(tag, []).append(value)
    kinds = {"(max)": max, "(min)": min}
    combined = {tag: kinds.get(tag[-5:], statistics.fmean)(v) for tag, v in found.items()}
    if EPISODES in found:
        combined[EPISODES] = sum(found[EPISODES])
    return combined


def peak_memory() -> float:
    """Returns the most memory that this process has held (MiB); 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
