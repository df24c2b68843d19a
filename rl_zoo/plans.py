# SPDX-License-Identifier: Apache-2.0
"""What to train: the plan of a new run, or of one that is resumed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo.environments import env_of_run, find_env
from rl_zoo.errors import UsageError

if TYPE_CHECKING:
    from adapters import AlgorithmConfig
    from motrix_gym import Task
    from rl_zoo.config import Source
    from rl_zoo.runs import Run


@dataclass(frozen=True)
class Plan:
    """What to train, where and how.

    Attributes:
        env_id: The environment.
        settings: Task settings that differ from the registered ones, by dotted name.
        algo: The algorithm's name.
        trainer: The trainer's name.
        device: What the trainer learns on.
        reason: Why this trainer and device, for the user.
        config: The algorithm's settings, with the seed.
        notes: What else the user should know.
        resume: The run to go on with, open for writing; None for a new one.
    """

    env_id: str
    settings: dict[str, Any]
    algo: str
    trainer: str
    device: str
    reason: str
    config: "AlgorithmConfig"
    notes: tuple[str, ...] = ()
    resume: "Run | None" = None

    def __str__(self) -> str:
        """Returns the first lines that a training prints."""
        head = f"{self.env_id} with {self.trainer} on {self.device}: {self.reason}"
        return "\n".join([*self.notes, head])

    def task(self) -> "Task":
        """Returns the task without `training_env`, as the evaluation has it."""
        from motrix_gym import registration
        from rl_zoo.task_settings import resolved

        return registration.entry(self.env_id).task(resolved(self.env_id, self.settings))

    def training_settings(self) -> dict[str, Any]:
        """Returns the task's settings in the training, `training_env` included.

        Raises:
            UsageError: One of `training_env` is wrong.
        """
        from rl_zoo.task_settings import training_settings

        return training_settings(self.env_id, self.settings, self.config)


def plan_new(
    env_id: str,
    *,
    algo: str = "ppo",
    trainer: str = "auto",
    device: str = "auto",
    env: Mapping[str, Any] | None = None,
    hyperparams: "Source | None" = None,
    **settings: Any,
) -> Plan:
    """Returns the plan of a new run.

    Args:
        env_id: A registered id, or "module:id" to import a module that registers it.
        algo: The algorithm's name.
        trainer: The trainer's name, or "auto" for the best that is installed.
        device: "cpu", "cuda", or "auto".
        env: Task settings by dotted name.
        hyperparams: A YAML file, a mapping as such a file has it, or a config object, to use
            instead of the environment's own settings.
        **settings: Settings of the algorithm, which win over all others.

    Raises:
        UsageError, ConfigError: A name or a setting is wrong.
        ZooError: No trainer with the algorithm is installed, or no GPU is found where asked for.
    """
    from adapters import find_trainer
    from rl_zoo import config as zoo_config
    from rl_zoo.choice import choose

    env_id, task_settings = find_env(env_id), dict(env or {})
    if trainer != "auto":  # a wrong name is told before anything is looked for
        try:
            find_trainer(trainer)
        except ValueError as error:
            raise UsageError(f"{error}, or auto") from error
        zoo_config.load(env_id, algo, trainer, hyperparams=hyperparams, **settings)
    trainer, device, reason = choose(trainer, device, algo, zoo_config.trainers(algo))
    config = zoo_config.load(
        env_id, algo, trainer, hyperparams=hyperparams, task_settings=task_settings, **settings
    )
    if config.seed is None:
        config = config.replace(seed=0)
    notes = ()
    if not zoo_config.has_settings(env_id, algo, hyperparams):
        notes = (f"no settings of {env_id} for {algo}: training with its defaults",)
    return Plan(env_id, task_settings, algo, trainer, device, reason, config, notes)


def plan_resumed(folder: str | Path, env_id: str | None = None) -> Plan:
    """Returns the plan of a resumed run; until it is closed, no other process can write the run.

    Args:
        folder: The run's folder.
        env_id: The environment that the run must be of, or "module:id".

    Raises:
        RunError: There is no run, or it is damaged, or is being written to.
        ZooError: Its environment is not registered.
    """
    from rl_zoo.runs import Run

    folder = Path(folder)
    run = Run.open(folder, env_id=find_env(env_id) if env_id else None, resume=True)
    try:
        manifest = run.manifest()
        env_id = env_of_run(manifest, folder)
        run.state("latest")  # damage is told before anything is loaded or changed
        config = run.config()
    except BaseException:
        run.close()
        raise
    if getattr(config, "initial_policy", None):  # replaced by the run's state, and may be gone
        config = config.replace(initial_policy=None)
    return Plan(
        env_id=env_id,
        settings=manifest["env_config"],
        algo=manifest["algo"],
        trainer=manifest["trainer"],
        device=manifest["device"],
        reason=f"going on at {manifest['steps']:,} steps",
        config=config,
        resume=run,
    )
