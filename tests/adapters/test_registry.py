# SPDX-License-Identifier: Apache-2.0
"""Trainers and algorithms are found by their records, also those that users register."""

import dataclasses
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from adapters import (
    ALGORITHMS,
    STOCK,
    TRAINERS,
    MissingLibraryError,
    Trainer,
    TrainerRecord,
    check_trainer,
    load_trainer,
    register_algorithm,
    register_trainer,
)
from adapters.algorithm_config import AlgorithmConfig
from adapters.stock.base import StockTrainer
from rl_zoo import choice, config
from tests.adapters.trainers import load_or_skip

TABLES = (ALGORITHMS, STOCK, TRAINERS)
EVERY = TRAINERS | STOCK


@pytest.fixture(autouse=True)
def as_before():
    """Take back what a test registers."""
    kept = [dict(table) for table in TABLES]
    yield
    for table, entries in zip(TABLES, kept, strict=True):
        table.clear()
        table.update(entries)


class OwnTrainer(Trainer):
    name = "own"


@dataclass(frozen=True, kw_only=True)
class OwnConfig(AlgorithmConfig):
    algo: ClassVar[str] = "own_search"
    title: ClassVar[str] = "Own search"


@pytest.fixture
def record(monkeypatch):
    module = types.ModuleType("own_library")
    module.OwnTrainer = OwnTrainer
    monkeypatch.setitem(sys.modules, "own_library", module)
    places = {"ppo": "own_library:OwnTrainer", "own_search": "own_library:OwnTrainer"}
    register_algorithm(OwnConfig)
    return TrainerRecord("own", "a library of one's own", places, packages=("json",))


@pytest.mark.parametrize(("name", "algo"), [(n, a) for n in EVERY for a in EVERY[n].classes])
def test_a_record_says_what_its_trainer_is(name, algo):
    trainer = load_or_skip(name, algo)
    assert trainer.name == name
    assert EVERY[name].resumes != issubclass(trainer, StockTrainer)


def test_the_documents_name_every_trainer_and_algorithm():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    assert [name for name in (*TRAINERS, *ALGORITHMS) if f"`{name}`" not in page] == []


def test_a_trainer_of_ones_own_is_found_by_commands_and_settings(record, tmp_path):
    register_trainer(record)
    register_trainer(record)  # as when its module is imported twice
    assert load_trainer("own", "own_search") is OwnTrainer
    settings = tmp_path / "own.yaml"
    settings.write_text("ppo:\n  backends:\n    own: {num_envs: 8}\n")
    loaded = config.load("Motrix/CartPole-v0", "ppo", "own", hyperparams=settings, mini_batches=1)
    assert loaded.num_envs == 8
    assert config.trainers("own_search") == ["own"]
    assert choice.choose("auto", "auto", "own_search", ["own"])[:2] == ("own", "cpu")


def test_a_name_is_given_once(record):
    register_trainer(record)
    with pytest.raises(ValueError, match="the trainer 'own' is already registered"):
        register_trainer(dataclasses.replace(record, packages=()))
    with pytest.raises(ValueError, match="the algorithm 'own_search' is already registered"):
        register_algorithm(dataclass(frozen=True)(type("Other", (OwnConfig,), {})))
    assert TRAINERS["own"] == record


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": {"ppo": "own_library.OwnTrainer"}}, "'own_library.OwnTrainer' is not 'module"),
        ({"classes": {"pppo": "own:Own"}}, "no algorithm 'pppo' .did you mean 'ppo'"),
        ({"framework": "tensorflow"}, "framework='tensorflow' is not 'jax', 'torch' or None"),
    ],
)
def test_a_record_that_cannot_be_is_refused(record, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(record, **changes)


def test_a_missing_library_without_an_extra_is_named(record):
    places = {"ppo": "no_such_library:Trainer"}
    register_trainer(dataclasses.replace(record, classes=places))
    with pytest.raises(MissingLibraryError, match="needs 'no_such_library' for ppo, .*installed$"):
        load_trainer("own")


def test_stock_trainers_are_not_chosen_by_algorithm(record):
    register_trainer(dataclasses.replace(record, name="stock-own"))
    check_trainer("stock-own", "ppo")
    assert "stock-own" in STOCK and "stock-own" not in config.trainers("ppo")
