# SPDX-License-Identifier: Apache-2.0
"""Several processes learn together as one would from all their samples, with the same weights."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adapters import TRAINERS, FieldError, PPOConfig, ranks
from adapters.ranks import LAUNCHED, Place, Ranks, RanksError, SeveralRanks
from adapters.seeds import MAX_ROWS
from tests.adapters.trainers import load_or_skip
from tests.adapters.two_ranks import SETTINGS, collect, make

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds, on a machine that is busy with other things


def run_two(*arguments):
    """Run `two_ranks` in two processes; each must end well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", LAUNCHED: "1"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.adapters.two_ranks", *map(str, arguments)]
    children = [
        subprocess.Popen(
            command,
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [child.communicate(timeout=PATIENCE)[0] for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], said


def read(path):
    with np.load(path) as file:
        return dict(file)


def same(one, other, names):
    return all(one[name].tobytes() == other[name].tobytes() for name in names)


@pytest.mark.parametrize("name", TRAINERS)
def test_two_ranks_learn_as_one_process_from_all_samples(name, tmp_path):
    trainer_class = load_or_skip(name)
    updates = 2 if name == "skrl-jax" else 20  # JAX compiles each size of message
    run_two(name, updates, tmp_path)
    alone = make(name, Place())
    alone._collect = lambda: None
    before = alone.policy().arrays()
    for number in range(1, updates + 1):
        states = [read(tmp_path / f"state-{rank}-{number}.npz") for rank in range(2)]
        rollouts = [read(tmp_path / f"rollout-{rank}-{number}.npz") for rank in range(2)]
        own = {k for k in states[0] if k.startswith(trainer_class.own_state)}
        assert same(states[0], states[1], states[0].keys() - own)  # bit by bit, after every update
        assert not same(rollouts[0], rollouts[1], ["actions"])
        joint = {k: np.concatenate([r[k] for r in rollouts], axis=1) for k in rollouts[0]}
        collect(alone, joint)
        alone.update()
        expected = alone.state()
        # An Adam moves a weight by at most about its rate in each of the two epochs. What rounding
        # does to a gradient is some 1e-5 of it, more only where a gradient is next to nothing.
        far = 2 * number * float(PPOConfig.learning_rate)
        # VecNormalize takes in observations as they come, which this process does not collect.
        compared = [k for k in expected if k not in own and not k.startswith("trainer/")]
        compared = [k for k in compared if "adam" not in k and "optimizer" not in k]
        assert compared
        for k in compared:
            np.testing.assert_allclose(
                states[0][k], expected[k], rtol=1e-4, atol=0.01 * far, err_msg=f"{number}: {k}"
            )
    moved = max(abs(x - before[k]).max() for k, x in alone.policy().arrays().items())
    assert moved > 0.1 * far  # else the tolerance would hide all
    last = [read(tmp_path / f"state-{rank}-{updates}.npz") for rank in range(2)]
    again = [read(tmp_path / f"again-{rank}.npz") for rank in range(2)]
    for one, other in zip(last, again, strict=True):
        assert one.keys() == other.keys()
        assert same(one, other, one)  # two runs, and a resumed one, agree bit by bit

    whole = read(tmp_path / "whole.npz")
    with pytest.raises(RanksError, match="2 processes and cannot go on exactly with 1"):
        Ranks().part_of_state(whole, alone.own_state, None)
    alone.restore(Ranks().part_of_state(whole, alone.own_state, make(name, Place()).state()))
    assert alone.num_updates == updates // 2


class FakeRanks(SeveralRanks):
    """A rank whose fellows are arrays."""

    def __init__(self, place, stack):
        super().__init__(place)
        self.stack = stack

    def stacked(self, array):
        return self.stack(np.asarray(array))


def test_what_fails_in_one_rank_fails_in_all():
    def fail_in(*failing, mine):
        fake = FakeRanks(Place(1, 3, 1, 3), None)
        fake.gathered = lambda value: [rank in failing for rank in range(3)]
        with fake.together():
            if mine:
                raise OSError("the disk is full")

    fail_in(mine=False)
    with pytest.raises(OSError, match="full"):
        fail_in(1, 2, mine=True)
    for failing, mine in (((0,), False), ((0, 1), True)):
        with pytest.raises(RanksError, match="^$"):  # another rank says why
            fail_in(*failing, mine=mine)


@pytest.mark.parametrize("ddof", [0, 1])
def test_moments_are_those_of_all_samples(ddof):
    samples = np.random.default_rng(0).normal(3.0, [1.0, 5.0], (3, 10, 2))
    samples[1] += 4.0
    parts = np.stack([samples.mean(axis=1), samples.var(axis=1, ddof=ddof)], axis=1)
    fake = FakeRanks(Place(1, 3, 1, 3), lambda array: parts)
    mean, variance, count = fake.moments(parts[1, 0], parts[1, 1], 10, ddof=ddof)
    flat = samples.reshape(30, 2)
    np.testing.assert_allclose(mean, flat.mean(axis=0))
    np.testing.assert_allclose(variance, flat.var(axis=0, ddof=ddof))
    assert count == 30


def test_a_place_comes_from_the_environment(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Place.of_environment() == Place()
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(RanksError, match="RANK='' is not a number"):
        Place.of_environment()
    for name, value in (("RANK", "3"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert Place.of_environment() == Place(3, 4, 1, 2)
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(RanksError, match="RANK=4 WORLD_SIZE=4 .* below"):
        Place.of_environment()


def test_environments_are_divided_or_refused():
    config = PPOConfig(**SETTINGS)
    share = Place(size=4).share(config)
    assert (share.num_envs, share.updates) == (2, config.updates)
    with pytest.raises(FieldError, match="num_envs=8: 3 processes do not divide it; .* is 6"):
        Place(size=3).share(config)
    with pytest.raises(FieldError, match="num_envs=8: 9 processes do not divide it$"):
        Place(size=9).share(config)
    with pytest.raises(FieldError, match="each of 8 processes.*mini_batches=8 does not divide"):
        Place(size=8).share(config.replace(mini_batches=8))


def test_no_two_ranks_or_seeds_share_a_stream(monkeypatch):
    torch = pytest.importorskip("torch")
    from adapters.torch_sampling import part_stream

    draws = set()
    for seed in range(10):
        for rank in range(8):
            generator = torch.Generator().manual_seed(seed)
            part_stream(generator, seed, rank)
            draws.add(tuple(torch.rand(4, generator=generator).tolist()))
    assert len(draws) == 80
    # The words of the state are where NumPy's generator of the same kind has them.
    words = np.random.RandomState(5).get_state(legacy=False)["state"]["key"]
    monkeypatch.setattr(np.random, "SeedSequence", lambda _: None)
    monkeypatch.setattr(
        np.random, "MT19937", lambda _: type("", (), {"state": {"state": {"key": words}}})
    )
    generator = torch.Generator()
    part_stream(generator, 0, 1)
    assert torch.equal(
        torch.rand(700, generator=generator),
        torch.rand(700, generator=torch.Generator().manual_seed(5)),
    )
    # Environments: the rows of all ranks are the rows of one process.
    assert MAX_ROWS > 10**6


def test_a_launchers_variables_are_hidden_while_a_trainer_is_imported(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with ranks.unseen():
        assert "WORLD_SIZE" not in os.environ
    assert os.environ["WORLD_SIZE"] == "2"
