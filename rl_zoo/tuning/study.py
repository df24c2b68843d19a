# SPDX-License-Identifier: Apache-2.0
"""A study: its trials lie in a storage, from which it goes on, and which many workers can share.

The storage is a journal file, or any database that Optuna knows by a URL. A study remembers what
it is of, and refuses trials of another environment, objective or search space.
"""

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend

from adapters import FieldError, PolicyError
from rl_zoo import config as zoo_config
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.plans import Plan, plan_new
from rl_zoo.tuning.objective import Objective
from rl_zoo.tuning.space import Space, as_json

_STATES = optuna.trial.TrialState
_FINISHED = (_STATES.COMPLETE, _STATES.PRUNED, _STATES.FAIL)


@dataclass(frozen=True)
class Problem:
    """What a study is of.

    Attributes:
        env_id: The environment.
        algo: The algorithm.
        trainer: The trainer's name.
        env: Task settings by dotted name.
        settings: Settings of the algorithm that every trial has.
        hyperparams: A file to use instead of the environment's own settings.
        space: What is drawn.
        objective: What a trial is worth.
    """

    env_id: str
    algo: str
    trainer: str
    env: Mapping[str, Any]
    settings: Mapping[str, Any]
    hyperparams: Path | None
    space: Space
    objective: Objective

    def plan(self, seed: int, drawn: Mapping[str, Any]) -> Plan:
        """Returns a training with drawn settings.

        Raises:
            ConfigError: The settings do not fit together.
        """
        return plan_new(
            self.env_id,
            algo=self.algo,
            trainer=self.trainer,
            env=self.env,
            hyperparams=self.hyperparams,
            **{**self.settings, **drawn, "seed": seed},
        )

    def given(self) -> dict[str, Any]:
        """Returns the values, as Optuna has them, that the settings have without a search.

        It is empty if one of them lies outside of the search space.
        """
        config = self.plan(self.objective.seeds[0], {}).config
        values = {name: entry.given(getattr(config, name)) for name, entry in self.space.items()}
        return {} if None in values.values() else values

    def identity(self) -> dict[str, Any]:
        """Returns plain JSON that two studies of the same problem share."""
        config = self.plan(self.objective.seeds[0], {}).config.as_dict()
        settings = {k: v for k, v in config.items() if k not in self.space and k != "seed"}
        return {
            "env_id": self.env_id,
            "algo": self.algo,
            "trainer": self.trainer,
            "env": json.loads(json.dumps(self.env)),
            "settings": json.loads(json.dumps(settings)),
            "objective": self.objective.name,
            "seeds": list(self.objective.seeds),
            "episodes": self.objective.episodes,
            "space": as_json(self.space),
        }


def open_study(
    problem: Problem, name: str, storage: Path | str, pruner: str, seed: int
) -> optuna.Study:
    """Opens a study, or makes a new one.

    Args:
        problem: What it is of.
        name: Its name in the storage.
        storage: A journal file, or a database's URL.
        pruner: One of `rl_zoo.tuning.PRUNERS`.
        seed: Of the draws.

    Raises:
        UsageError: The study in the storage is of something else.
        ZooError: The storage does not answer, or cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    try:
        study = optuna.create_study(
            study_name=name,
            storage=_storage(storage),
            direction="maximize" if problem.objective.larger_is_better else "minimize",
            load_if_exists=True,
        )
        drawn_before = len(study.trials)
        known = study.user_attrs
    except (OSError, ValueError, ImportError, optuna.exceptions.StorageInternalError) as error:
        raise ZooError(f"the storage {storage} cannot be used: {error}") from error
    identity = problem.identity()
    if drawn_before:
        for key, value in identity.items():
            if known.get(key) != value:
                theirs, ours = _where_they_differ(known.get(key), value)
                raise UsageError(
                    f"the study {name!r} in {storage} is of another {key}: {theirs}, not {ours}; "
                    "give another --study"
                )
    else:
        for key, value in identity.items():
            study.set_user_attr(key, value)
        if given := problem.given():
            study.enqueue_trial(given, skip_if_exists=True)
    # With a seed of its own for each worker and continuation, or the same values are drawn again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + drawn_before, constant_liar=True)
    study.pruner = {
        "median": optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3),
        "hyperband": optuna.pruners.HyperbandPruner(min_resource=3),
        "none": optuna.pruners.NopPruner(),
    }[pruner]
    return study


def run_trials(
    study: optuna.Study, problem: Problem, trials: int, deadline: float
) -> Iterator[optuna.trial.FrozenTrial]:
    """Runs trials until the study has so many, or the time is over; yields each when it is done.

    A trial whose training fails is kept as failed, with the reason.

    Args:
        study: The study.
        problem: What it is of.
        trials: How many trials the study is to have, those of other workers included.
        deadline: When the last trial begins (`time.monotonic()`).
    """
    while finished(study) < trials:
        if time.monotonic() >= deadline:
            return
        trial = study.ask()
        drawn = {name: entry.draw(trial, name) for name, entry in problem.space.items()}
        trial.set_user_attr("settings", drawn)
        try:
            value, values = problem.objective.value(
                lambda seed, drawn=drawn: problem.plan(seed, drawn), _reporter(trial)
            )
        except optuna.TrialPruned:
            study.tell(trial, state=_STATES.PRUNED)
        except (zoo_config.ConfigError, FieldError, PolicyError, ZooError) as error:
            trial.set_user_attr("reason", str(error))
            study.tell(trial, state=_STATES.FAIL)
        except BaseException:
            study.tell(trial, state=_STATES.FAIL)
            raise
        else:
            trial.set_user_attr("values", values)
            study.tell(trial, value)
        yield study.trials[trial.number]


def finished(study: optuna.Study) -> int:
    """Returns how many trials are over, complete or not."""
    return len(study.get_trials(deepcopy=False, states=_FINISHED))


def best(study: optuna.Study) -> optuna.trial.FrozenTrial | None:
    """Returns the best trial; None if none is complete."""
    complete = study.get_trials(states=(_STATES.COMPLETE,))
    return study.best_trial if complete else None


def _where_they_differ(theirs: Any, ours: Any) -> tuple[Any, ...]:
    """Returns two values, or, of two mappings, the entries that are not the same in both."""
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return theirs, ours
    same = [k for k in theirs if k in ours and theirs[k] == ours[k]]
    return tuple({k: v for k, v in each.items() if k not in same} for each in (theirs, ours))


def _reporter(trial: optuna.Trial) -> Callable[[int, float], None]:
    def report(number: int, value: float) -> None:
        trial.report(value, number)
        if trial.should_prune():
            raise optuna.TrialPruned

    return report


def _storage(given: Path | str) -> Any:
    if isinstance(given, Path):
        given.parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(JournalFileBackend(str(given)))
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return optuna.storages.RDBStorage(given)
    except SQLAlchemyError as error:
        raise ValueError(str(error).splitlines()[0]) from error
