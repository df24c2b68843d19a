# SPDX-License-Identifier: Apache-2.0
"""What the tests of the commands share."""

import json
import sys

import pytest
from fakes import FakeTrainer, make_policy

import adapters
from rl_zoo import evaluation


@pytest.fixture
def fake_trainer(monkeypatch):
    """Every trainer's name gives this class, fresh for the test; no library is imported."""
    fake = type("Fake", (FakeTrainer,), {})
    monkeypatch.setattr(adapters, "load_trainer", lambda name, algo="ppo": fake)
    return fake


@pytest.fixture
def balancing():
    """A policy that balances the cart-pole, found by hand."""
    return make_policy([[0.3], [3.0], [0.3], [0.5]])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory. Commands may add it to sys.path, which is restored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.fixture
def manifest_of():
    """Read a run's manifest, without this program's code."""
    return lambda folder: json.loads((folder / "manifest.json").read_text())


@pytest.fixture
def episodes_asked(monkeypatch):
    """A list that grows by the episodes of each evaluation, which plays two instead."""
    asked, measure = [], evaluation.evaluate_policy

    def few(*args, episodes, **kwargs):
        asked.append(episodes)
        return measure(*args, episodes=2, **kwargs)

    monkeypatch.setattr(evaluation, "evaluate_policy", few)
    return asked
