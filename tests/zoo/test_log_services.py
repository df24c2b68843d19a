# SPDX-License-Identifier: Apache-2.0
"""A run's scalars at Weights & Biases and MLflow: one curve, also of a run that was resumed."""

import importlib.util
from pathlib import Path

import pytest

from adapters import PPOConfig
from rl_zoo import log_services
from rl_zoo.commands import train
from rl_zoo.errors import UsageError
from rl_zoo.log_services import check_services, key
from rl_zoo.runs import Run, find_newest

ENV = "Motrix/CartPole-v0"
LOSS = "Loss / Policy loss"
# 10 updates of 8 environments x 4 steps, a checkpoint after every other one.
SETTINGS = "rollouts=4 mini_batches=1 max_env_steps=320 check_point_interval=8"
TINY = f"--num-envs 8 --num-threads 1 --eval-episodes 0 --trainer sb3 --set {SETTINGS}".split()


def train_with_a_stop(service, fake_trainer):
    """A run that is killed after update 5, of which its checkpoint knows four, and resumed."""

    def on_update(trainer):
        if trainer.num_updates == 5:
            raise KeyboardInterrupt

    fake_trainer.on_update = on_update
    assert train.main([*TINY, "--log", service]) == 130
    run = Run.open(find_newest("runs", ENV))
    assert run.manifest()["steps"] == 4 * 32
    fake_trainer.on_update = lambda trainer: None
    assert train.main(["--resume", str(run.folder), "--eval-episodes", "0"]) == 0
    return run


class Service:
    """Keeps what it is given, by run, as a service does."""

    curves: dict[str, list[int]] = {}
    closed: list[str] = []

    def __init__(self, run):
        self.key = key(run)

    def write(self, step, scalars):
        assert LOSS in scalars and scalars["Time / Steps per second"] > 0
        self.curves.setdefault(self.key, []).append(step)

    def close(self):
        self.closed.append(self.key)


def test_a_service_gets_every_update_of_all_processes_of_a_run(here, fake_trainer, monkeypatch):
    monkeypatch.setattr(Service, "curves", {})
    monkeypatch.setattr(Service, "closed", [])
    monkeypatch.setitem(log_services.SERVICES, "json", Service)  # some module that is there
    run = train_with_a_stop("json", fake_trainer)
    assert Service.curves == {key(run): [*range(32, 161, 32), *range(160, 321, 32)]}
    assert Service.closed == [key(run)] * 2
    assert run.manifest()["log"] == ["json"]
    other = Run.create("runs", ENV, "sb3", PPOConfig(seed=0))
    assert key(other) != key(run) and other.manifest()["log"] == []


def test_a_wrong_name_is_told_with_the_nearest(here, fake_trainer, monkeypatch, capsys):
    with pytest.raises(UsageError, match=r"no log 'wandbb' \(did you mean 'wandb'\?\)"):
        check_services(["wandbb"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert train.main([*TINY, "--log", "mlflow"]) == 1
    error = capsys.readouterr().err
    assert error == "error: 'mlflow' is not installed: pip install \"motrix-gym[mlflow]\"\n"
    assert not Path("runs").exists()


def test_mlflow_has_one_curve_of_a_resumed_run(here, fake_trainer, monkeypatch, capsys):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)
    train_with_a_stop("mlflow", fake_trainer)
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_experiment_by_name(ENV)
    (found,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(found.info.run_id, "Loss / Policy loss")
    assert [(metric.step, metric.value) for metric in history] == [
        (step, 0.5) for step in range(32, 321, 32)
    ]
    assert found.data.params["num_envs"] == "8" and found.info.status == "FINISHED"


def test_wandb_has_the_steps_of_both_processes_under_one_id(here, fake_trainer, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = train_with_a_stop("wandb", fake_trainer)
    files = sorted(run.folder.glob(f"wandb/offline-run-*/run-{key(run)}.wandb"))
    steps = [_steps(path) for path in files]
    assert steps == [[*range(32, 161, 32)], [*range(160, 321, 32)]]


def _steps(path):
    """The steps of a W&B file at which the loss was logged."""
    from wandb.proto.wandb_internal_pb2 import Record

    steps = []
    for data in _records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {i.key or "/".join(i.nested_key): i.value_json for i in record.history.item}
            if LOSS in items:
                steps.append(int(items["_step"]))
    return steps


def _records(data):
    """The records of a file in LevelDB's format, after W&B's header of 7 bytes."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # the rest of a block is empty
            place += 32768 - place % 32768
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""
