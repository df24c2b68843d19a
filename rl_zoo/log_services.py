# SPDX-License-Identifier: Apache-2.0
"""A run's scalars at Weights & Biases and at MLflow, beside its TensorBoard events.

A service is a `Log` that is made of a run, and a line in `SERVICES`. A resumed run goes on with its
curve at the service, which it finds by the run's key. What was logged there beyond the checkpoint
that it resumes from is not logged twice: on the same machine a resumed run repeats those steps with
the same results.
"""

import contextlib
import hashlib
import importlib.util
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from motrix_gym.names import did_you_mean, one_line, shown
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.hints import missing

if TYPE_CHECKING:
    from rl_zoo.runs import Run


class Log(Protocol):
    """Where a run's scalars go."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds scalars by tag at a number of environment steps."""

    def close(self) -> None:
        """Hands over what was written, and ends the log of this process."""


class WandbLog:
    """A run at Weights & Biases; its project is the environment's name.

    The library's own variables say where: WANDB_ENTITY, WANDB_PROJECT, and WANDB_MODE=offline to
    write into the run's folder alone, from where `wandb sync` takes it.

    Args:
        run: The run.

    Raises:
        ZooError: There is no account, or no answer.
    """

    def __init__(self, run: "Run"):
        import wandb  # pyright: ignore[reportMissingImports]

        from rl_zoo.config import env_name

        settings = wandb.Settings(console="off", silent=True)
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", env_name(run.manifest()["env_id"])),
                id=key(run),
                name=title(run),
                dir=str(run.folder),
                config=facts(run),
                resume="allow",
                reinit="create_new",
                settings=settings,
            )
        except wandb.Error as error:
            reason = one_line(str(error), 300).rstrip(".")
            hint = "WANDB_MODE=offline needs no account"
            raise ZooError(f"Weights & Biases: {reason}; {hint}") from error

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds scalars; the library sends them in a process of its own."""
        if step > self._run.step:  # it has the earlier ones, and would warn
            self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        """Waits until all is sent."""
        self._run.finish()


class MlflowLog:
    """A run at an MLflow server or in its database; its experiment is the environment's id.

    MLFLOW_TRACKING_URI says where: a server, or a database such as sqlite:///mlflow.db.
    If writing fails in the midst of the training, that is told once, and the training goes on.

    Args:
        run: The run.

    Raises:
        ZooError: It cannot be reached.
    """

    def __init__(self, run: "Run"):
        # Its default is to try for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
        from mlflow.entities import Param  # pyright: ignore[reportMissingImports]
        from mlflow.exceptions import MlflowException  # pyright: ignore[reportMissingImports]

        self._error, self._failed, self._last = MlflowException, False, -1
        env_id = run.manifest()["env_id"]
        try:
            self._client = MlflowClient()
            found = self._client.get_experiment_by_name(env_id)
            experiment = found.experiment_id if found else self._client.create_experiment(env_id)
            mine = f"tags.`motrix.run` = '{key(run)}'"
            if earlier := self._client.search_runs([experiment], mine):
                self._id = earlier[0].info.run_id
                self._client.update_run(self._id, "RUNNING")
                for name in list(earlier[0].data.metrics)[:1]:
                    history = self._client.get_metric_history(self._id, name)
                    self._last = max(metric.step for metric in history)
                return
            tags = {"motrix.run": key(run)}
            made = self._client.create_run(experiment, tags=tags, run_name=title(run))
            self._id = made.info.run_id
            parameters = [Param(name, str(value)) for name, value in facts(run).items()]
            self._client.log_batch(self._id, params=parameters)
        except (MlflowException, OSError) as error:
            raise ZooError(f"MLflow: {one_line(str(error), 300)}") from error

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds scalars; a name has no brackets there, which MLflow does not allow."""
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports]

        if self._failed or step <= self._last:
            return
        now = int(1000 * time.time())
        named = {re.sub(r"[^\w\-. :/]", "", tag): value for tag, value in scalars.items()}
        metrics = [Metric(name, float(value), now, step) for name, value in named.items()]
        with self._or_told():
            self._client.log_batch(self._id, metrics=metrics)

    def close(self) -> None:
        """Marks the run as finished, until it is resumed."""
        with self._or_told():
            self._client.set_terminated(self._id)

    @contextlib.contextmanager
    def _or_told(self) -> Iterator[None]:
        try:
            yield
        except (self._error, OSError) as error:
            if not self._failed:
                print(
                    f"MLflow, from here on not logged: {one_line(str(error), 300)}", file=sys.stderr
                )
            self._failed = True


SERVICES = {"wandb": WandbLog, "mlflow": MlflowLog}


def check_services(names: Sequence[str]) -> None:
    """Refuses names of services that there are not, or whose library is not installed.

    Raises:
        UsageError: There is no such service.
        ZooError: Its library is not installed.
    """
    for name in names:
        if name not in SERVICES:
            known = ", ".join(SERVICES)
            hint = did_you_mean(name, SERVICES)
            raise UsageError(f"no log {shown(name)}{hint}; beside TensorBoard there are: {known}")
        if importlib.util.find_spec(name) is None:
            raise ZooError(missing(name, name))


@contextlib.contextmanager
def open_logs(run: "Run | None", step: int) -> Iterator[Log]:
    """Opens all logs of a run: its TensorBoard events, and the services that its manifest names.

    Args:
        run: The run; None in a process that writes none, for which there are no logs.
        step: Environment steps made so far.

    Raises:
        OSError: The events cannot be written; so does the log.
        ZooError: A service is not there.
    """
    from rl_zoo.logs import EventLog

    logs: list[Log] = []
    with contextlib.ExitStack() as stack:
        if run:
            logs.append(stack.enter_context(contextlib.closing(EventLog(run.folder, step))))
            for name in run.manifest().get("log", ()):
                logs.append(stack.enter_context(contextlib.closing(SERVICES[name](run))))
        yield _All(logs)


class _All:
    """Several logs as one."""

    def __init__(self, logs: Sequence[Log]):
        self._logs = logs

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        for log in self._logs:
            log.write(step, scalars)

    def close(self) -> None:
        for log in self._logs:
            log.close()


def key(run: "Run") -> str:
    """Returns what names a run at a service: the same for a resumed run, another for each run."""
    manifest = run.manifest()
    text = "\n".join((manifest["created"], manifest["env_id"], run.folder.name))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def title(run: "Run") -> str:
    """Returns what a service calls a run: its folder's name, and the number of its stage."""
    parts = run.folder.absolute().parts
    return "-".join(parts[-3:]) if parts[-2] == "stages" else parts[-1]


def facts(run: "Run") -> dict[str, Any]:
    """Returns a run's settings, as a service shows them: the task's by dotted name."""
    manifest = run.manifest()
    about = {name: manifest[name] for name in ("env_id", "algo", "trainer", "device")}
    task = {f"env.{name}": value for name, value in manifest["env_config"].items()}
    return about | task | run.config().as_dict()
