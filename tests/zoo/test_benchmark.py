# SPDX-License-Identifier: Apache-2.0
"""`motrix benchmark`: what takes turns, what is stored, and what counts as a regression."""

import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from rl_zoo import policies, provenance
from rl_zoo.__main__ import main as motrix
from rl_zoo.benchmark import measuring, results, throughput
from rl_zoo.benchmark.results import Figure, change

ENV = "Motrix/CartPole-v0"


def test_contestants_take_turns_and_do_the_same_physics():
    """`Ours` asserts itself that each block ends in the recorded state."""
    race, missing = throughput.race(
        ENV, 4, steps=2, num_threads=1, beside=(throughput.SYNC, throughput.ENVPOOL)
    )
    assert list(race.contestants) == [throughput.BARE, throughput.OURS, throughput.SYNC]
    assert list(missing) == [throughput.ENVPOOL]
    order = []
    for name, contestant in race.contestants.items():
        real = contestant.run
        contestant.run = lambda name=name, real=real: order.append(name) or real()
    race.run(rounds=2)
    assert order == [*race.contestants] * 2
    ours, bare = race.contestants[throughput.OURS], race.contestants[throughput.BARE]
    assert ours.made == bare.made == 8
    assert race.contestants[throughput.SYNC].made == 2 * throughput.FEW
    np.testing.assert_array_equal(bare._batch.state, ours._end)
    race.seconds = {throughput.BARE: [(1.0, 1.0), (3.0, 2.0)], throughput.OURS: [(2.0, 2.0)] * 2}
    assert race.ratios(throughput.OURS) == [0.5, 1.5] and race.rate(throughput.OURS) == 4.0
    assert race.ratios(throughput.OURS, clock=1) == [0.5, 1.0]
    race.close()


def ratios(middle, spread=0.01):
    return tuple(middle * (1 + spread * x) for x in (-2, -1, -1, 0, 0, 0, 1, 1, 2))


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (ratios(0.9), ratios(0.9), "within noise"),
        (ratios(0.9), ratios(0.88), "within noise"),  # by 2 %
        (ratios(0.9), ratios(0.8), "REGRESSION"),
        (ratios(0.9, 0.1), ratios(0.85, 0.1), "within noise"),  # blocks differ by more
        (ratios(0.8), ratios(0.9), "better"),
    ],
)
def test_a_regression_is_a_whole_interval_beyond_noise(old, new, verdict):
    # The rates say the opposite, as of a machine that is slower today.
    found = change(Figure(100.0, "steps/s", old, True), Figure(1e6, "steps/s", new, True))
    assert found.verdict == verdict and found.low <= found.share <= found.high


def test_memory_is_compared_as_it_is():
    assert change(Figure(100.0, "KiB"), Figure(120.0, "KiB")).verdict == "within noise"
    assert change(Figure(100.0, "KiB"), Figure(140.0, "KiB")).verdict == "REGRESSION"


def test_another_projects_code_that_kills_its_process_is_left_out(monkeypatch):
    def in_a_process(_function, *given):
        if throughput.ENVPOOL in given[-1]:
            raise BrokenProcessPool
        return [("ours", Figure(1.0, "steps/s"))]

    monkeypatch.setattr(measuring, "_in_a_process", in_a_process)
    ours, (others, reason) = measuring.environments(ENV, 8, 1, 2, False)
    assert ours == ("ours", Figure(1.0, "steps/s"))
    assert throughput.ENVPOOL in others and "may need more memory" in reason


@pytest.fixture
def measured(monkeypatch):
    """What is measured, which costs nothing here."""
    lines = [
        ("speed", Figure(1000.0, "steps/s", ratios(0.9), True)),
        ("another's", Figure(1.0, "steps/s", ratios(0.5))),
        ("envpool", "envpool is not installed"),
    ]
    monkeypatch.setattr(measuring, "environments", lambda *args: lines)
    return lines


def run(*more):
    return motrix(["benchmark", "environments", "--env", ENV, *map(str, more)])


def test_results_are_stored_by_processor_and_compared(here, measured, capsys):
    assert run() == 0
    (path,) = Path("benchmark").iterdir()
    assert path.name == results.file_name()
    stored = json.loads(path.read_text())
    assert stored["cpu"] == provenance.machine()["cpu"] and set(stored["figures"]) == {
        "speed",
        "another's",
    }
    assert "envpool: envpool is not installed" in capsys.readouterr().out
    measured[0] = ("speed", Figure(1000.0, "steps/s", ratios(0.7), True))
    measured[1] = ("another's", Figure(1.0, "steps/s", ratios(0.1)))
    assert run("--against", path, "--out", "new.json") == 3
    output = capsys.readouterr().out.partition("against")[2]
    assert "speed: -22.2%" in output and "REGRESSION" in output and "another" not in output
    assert run("--against", "new.json", "--out", "new.json") == 0
    stored["versions"]["mujoco"] = "3.9"
    path.write_text(json.dumps(stored))
    run("--against", path)
    assert "versions: mujoco 3.9, now " in capsys.readouterr().out


def test_wrong_input_is_one_line_before_anything_is_measured(here, monkeypatch, capsys):
    monkeypatch.setattr(measuring, "environments", lambda *args: pytest.fail("measured"))
    monkeypatch.setattr(policies, "pretrained", lambda env_id: None)
    good = json.loads(results.encode({"speed": Figure(1.0, "s")}))
    files = {
        "not.json": b"{",
        "other.json": b"[]",
        "old.json": json.dumps(good | {"schema_version": 0}).encode(),
        "far.json": json.dumps(good | {"cpu": "another"}).encode(),
        "zero.json": results.encode({"speed": Figure(0.0, "s")}),
    }
    for name, content in files.items():
        Path(name).write_bytes(content)
    for words, status, message in [
        (["benchmark", "environment"], 2, "did you mean 'environments'?"),
        (["benchmark", "--env", "Motrix/CartPol-v0"], 2, "did you mean 'Motrix/CartPole-v0'?"),
        (["benchmark", "--env", ENV, "--pretrained"], 2, f"no policy of {ENV} is shipped"),
        (["benchmark", "--against", "gone.json"], 1, "gone.json cannot be read: No such file"),
        (["benchmark", "--against", "not.json"], 1, "has no results of motrix benchmark"),
        (["benchmark", "--against", "other.json"], 1, "has no results of motrix benchmark"),
        (["benchmark", "--against", "zero.json"], 1, "a figure that is no number above 0"),
        (["benchmark", "--against", "old.json"], 1, "has schema_version 0, this program reads 1"),
        (["benchmark", "--against", "far.json"], 1, "far.json is of another with "),
    ]:
        assert motrix(words) == status
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
