# SPDX-License-Identifier: Apache-2.0
"""Trainings and evaluations of different seeds share no random stream."""

import numpy as np
import pytest

from adapters import ALGORITHMS, STOCK, TRAINERS
from adapters.seeds import LARGEST_SEED, MAX_ROWS, PURPOSES, first_stream
from motrix_gym.random import RandomStreams
from tests.adapters.envs import PointEnv
from tests.adapters.trainers import load_or_skip
from tests.zoo.fakes import make_policy

EVERY = TRAINERS | STOCK


def test_no_two_seeds_or_purposes_share_a_stream():
    """Streams are told apart by their key; keys of 3 x 1000 seeds at 4096 rows, 12 million."""
    firsts = [first_stream(seed, purpose) for purpose in PURPOSES for seed in range(1000)]
    streams = RandomStreams(len(firsts) * 4096)
    streams.seed((np.array(firsts, np.uint64)[:, None] + np.arange(4096, dtype=np.uint64)).ravel())
    keys = np.sort(streams.key)
    assert (keys[1:] != keys[:-1]).all()


def test_streams_set_aside_do_not_overlap_and_fit_into_64_bits():
    ends = [
        (first_stream(seed, purpose), first_stream(seed, purpose) + MAX_ROWS)
        for purpose in PURPOSES
        for seed in (0, 1, LARGEST_SEED - 1, LARGEST_SEED)
    ]
    assert all(end <= start for (_, end), (start, _) in zip(ends, ends[1:], strict=False))
    assert ends[0][0] > LARGEST_SEED  # what a user gives to an environment directly
    assert ends[-1][1] < 2**64


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1])
def test_other_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=f"seed={seed} is not from 0 to {LARGEST_SEED}"):
        first_stream(seed, "training")


@pytest.mark.parametrize(("name", "algo"), [(n, a) for n in EVERY for a in EVERY[n].classes])
def test_trainers_reset_to_the_streams_of_their_seed(name, algo, tmp_path):
    trainer, seed, env = load_or_skip(name, algo), 5, PointEnv(64)
    env.metadata = env.metadata | {"autoreset_mode": trainer.autoreset_mode}
    teacher = {}
    if algo == "distill":
        make_policy(np.zeros((4, 2))).save(tmp_path)
        teacher = {"teacher": str(tmp_path)}
    trainer(env, ALGORITHMS[algo](seed=seed, num_envs=64, **teacher))
    first = np.uint64(first_stream(seed, "training"))
    np.testing.assert_array_equal(env.arrays["seed"], first + np.arange(64, dtype=np.uint64))
