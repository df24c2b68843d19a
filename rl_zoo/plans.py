# SPDX-License-Identifier: Apache-2.0
"""What to train: the plan of a new run, or of one that is resumed."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo.environments import env_of_run, find_env, make_env
from rl_zoo.errors import UsageError, ZooError

if TYPE_CHECKING:
    from gymnasium.vector import AutoresetMode

    from adapters import AlgorithmConfig
    from adapters.stages import Stage
    from motrix_gym import Goal, MixedVectorEnv, MotrixVectorEnv, Task
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
        log: Where scalars go beside TensorBoard, by name; all stages go there.
        resume: The run to go on with, open for writing; None for a new one.
        start: The folder of the policy that it starts from, that of the stage before; None if it is
            the first.
        whole: The run of which it trains an earlier stage; None if it is a whole run's, whose own
            training is the last stage.
        stage_name: Such as "stage 2 of 3", for the user; "" where there are no stages.
    """

    env_id: str
    settings: dict[str, Any]
    algo: str
    trainer: str
    device: str
    reason: str
    config: "AlgorithmConfig"
    notes: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    resume: "Run | None" = None
    start: Path | None = None
    whole: "Run | None" = None
    stage_name: str = ""

    def __str__(self) -> str:
        """Returns the first lines that a training prints."""
        head = f"{self.env_id} with {self.trainer} on {self.device}: {self.reason}"
        return "\n".join([*self.notes, head])

    @property
    def stages(self) -> "tuple[Stage, ...]":
        """The stages, the last of which is the run's own training; () where there are none."""
        return self.config.stage_list

    @property
    def earlier(self) -> int:
        """Number of stages that come before the run's own training and are not over yet."""
        over = self.resume.manifest().get("stages", ()) if self.resume else ()
        return max(len(self.stages) - 1 - len(over), 0)

    @property
    def own(self) -> "AlgorithmConfig":
        """The settings of the run's own training: those of its last stage."""
        own = self.config.last_stage
        return own.replace(initial_policy=str(self.start)) if self.start else own

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each environment of the run's own training has, by id; its own is first."""
        rows = self.stages[-1].rows if self.stages else {self.env_id: self.config.num_envs}
        return dict(sorted(rows.items(), key=lambda item: item[0] != self.env_id))

    @property
    def goal(self) -> "Goal | None":
        """What ends the run's own training before its budget is spent; None: nothing."""
        return self.stages[-1].goal if self.stages else None

    def task(self) -> "Task":
        """Returns the task without `training_env`, as the evaluation has it."""
        from motrix_gym import registration
        from rl_zoo.task_settings import resolved

        return registration.entry(self.env_id).task(resolved(self.env_id, self.settings))

    def settings_of(self, env_id: str) -> dict[str, Any]:
        """Returns changed settings of a task: those of the run, if it is the run's own."""
        return self.settings if env_id == self.env_id else {}

    def training_settings(self, env_id: str) -> dict[str, Any]:
        """Returns an environment's settings in the training, `training_env` included.

        Raises:
            FieldError: (of motrix_gym) One of `training_env` is wrong.
        """
        from rl_zoo.task_settings import training_settings

        return training_settings(env_id, self.settings_of(env_id), self.own)

    def make_env(
        self,
        num_threads: int = 0,
        autoreset_mode: "AutoresetMode | str" = "SAME_STEP",
        rows: Mapping[str, int] | None = None,
    ) -> "MotrixVectorEnv | MixedVectorEnv":
        """Makes the environment of the run's own training.

        Args:
            num_threads: Threads for the physics; 0: all cores.
            autoreset_mode: When a row whose episode ended is reset; one of Gymnasium's modes.
            rows: Rows of each environment, by id, instead of the training's.

        Raises:
            UsageError: Environments that are to be side by side differ.
            FieldError, ZooError: As `rl_zoo.environments.make_env`.
        """
        from motrix_gym import MixedVectorEnv

        with contextlib.ExitStack() as stack:
            envs: dict[str, MotrixVectorEnv] = {}
            for env_id, count in (rows or self.rows).items():
                envs[env_id] = make_env(
                    env_id,
                    self.training_settings(env_id),
                    count,
                    num_threads,
                    autoreset_mode,
                    privileged=self.own.sees_privileged,
                )
                stack.callback(envs[env_id].close)
            try:
                made = MixedVectorEnv(envs) if len(envs) > 1 else next(iter(envs.values()))
            except ValueError as error:
                raise UsageError(str(error)) from error
            stack.pop_all()
        return made


def plan_new(
    env_id: str,
    *,
    algo: str = "ppo",
    trainer: str = "auto",
    device: str = "auto",
    env: Mapping[str, Any] | None = None,
    hyperparams: "Source | None" = None,
    log: Sequence[str] = (),
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
        log: Where scalars go beside TensorBoard, by name.
        **settings: Settings of the algorithm, which win over all others.

    Raises:
        UsageError, ConfigError: A name or a setting is wrong.
        ZooError: No trainer with the algorithm is installed, or no GPU is found where asked for.
    """
    from adapters import find_trainer
    from rl_zoo import config as zoo_config
    from rl_zoo.choice import choose
    from rl_zoo.log_services import check_services

    check_services(log)
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
    plan = Plan(env_id, task_settings, algo, trainer, device, reason, config, notes, tuple(log))
    check_stages(plan)
    return plan


def check_stages(plan: Plan) -> None:
    """Refuses stages that name environments or figures that do not exist.

    Raises:
        UsageError: One does, or the last stage is not of the run's environment, or the trainer has
            no stages.
    """
    from adapters import find_trainer
    from motrix_gym import TaskError, registration
    from motrix_gym.registration import UnknownEnvironmentError
    from rl_zoo.evaluation import check_ends

    if not plan.stages:
        return
    if find_trainer(plan.trainer).is_stock:
        raise UsageError(f"{plan.trainer}, a library's own loop, has no stages: set stages=null")
    for number, stage in enumerate(plan.stages, 1):
        try:
            for env_id in stage.rows:
                task = registration.make_task(env_id, **plan.settings_of(env_id))
                if stage.goal:
                    registration.check_goal(stage.goal, task, env_id)
                    check_ends(task.config, env_id)
        except (UnknownEnvironmentError, TaskError, ZooError) as error:
            raise UsageError(f"stage {number}: {error}") from error
    if plan.env_id not in plan.rows:
        names = ", ".join(plan.rows)
        raise UsageError(
            f"the last stage is of {names}, and a run's policy is for its own environment, "
            f"{plan.env_id}: name it there, or train --env {next(iter(plan.rows))}"
        )


def plan_resumed(folder: str | Path, env_id: str | None = None) -> Plan:
    """Returns the plan of a resumed run; until it is closed, no other process can write the run.

    Args:
        folder: The run's folder.
        env_id: The environment that the run must be of, or "module:id".

    Raises:
        RunError: There is no run, or it is damaged, or is being written to.
        ZooError: Its environment is not registered.
        RanksError: A launcher gave this process a place that cannot be.
    """
    from adapters.ranks import Place
    from rl_zoo.log_services import check_services
    from rl_zoo.runs import Run

    folder = Path(folder)
    first = Place.of_environment().rank == 0  # the others only read
    run = Run.open(folder, env_id=find_env(env_id) if env_id else None, resume=first)
    try:
        manifest = run.manifest()
        check_services(manifest.get("log", ()))
        env_id = env_of_run(manifest, folder)
        config = run.config()
        earlier = len(config.stages or ()) - 1
        if manifest["latest"] or earlier < 1:
            run.state("latest")  # damage is told before anything is loaded or changed
    except BaseException:
        run.close()
        raise
    # It is replaced by the run's state, and may be gone.
    if manifest["latest"] and getattr(config, "initial_policy", None):
        config = config.replace(initial_policy=None)
    done = len(manifest.get("stages", ()))
    where = f"stage {done + 1}" if done < earlier else f"{manifest['steps']:,} steps"
    return Plan(
        env_id=env_id,
        settings=manifest["env_config"],
        algo=manifest["algo"],
        trainer=manifest["trainer"],
        device=manifest["device"],
        reason=f"going on at {where}",
        config=config,
        log=tuple(manifest.get("log", ())),
        resume=run,
    )
