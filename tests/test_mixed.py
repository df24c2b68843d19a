# SPDX-License-Identifier: Apache-2.0
"""Several environments side by side: `MixedVectorEnv` keeps what each of them promises."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from motrix_gym import Metric, MixedVectorEnv, MotrixVectorEnv, check_vector_env
from motrix_gym.tasks.control.reacher import EASY, HARD, Reacher

LIMIT = 12


class Judged(Reacher):
    """A reacher with a reward term, a metric and a success of its own."""

    metrics = {**Reacher.metrics, "angle": Metric("rad", "mean", "angle of the shoulder")}

    def rewards(self, v):
        return super().rewards(v) | {"still": -np.square(v.qvel).sum(-1)}

    def measure(self, v):
        return super().measure(v) | {"angle": v.qpos[:, 0]}

    def success(self, v):
        return v.qpos[:, 0] > 0


def easy(rows=2, limit=LIMIT):
    return MotrixVectorEnv(Reacher(replace(EASY, max_episode_steps=limit)), rows, num_threads=1)


def judged(rows=3, limit=LIMIT):
    weights = {"task": 1.0, "still": 0.1}
    config = replace(HARD, max_episode_steps=limit, reward_weights=weights)
    return MotrixVectorEnv(Judged(config), rows, num_threads=1)


@pytest.fixture
def mixed():
    """Return two rows of one task and three of another."""
    env = MixedVectorEnv({"easy": easy(), "judged": judged()})
    yield env
    env.close()


def test_it_keeps_the_promises_of_a_vector_environment(mixed):
    check_vector_env(mixed, steps=2 * LIMIT + 5)


def test_its_rows_are_those_of_the_environments_alone(mixed):
    seed, alone = 2**64 - 2, [easy(), judged()]  # the seed of the third row is the first again
    parts = [mixed.rows[name] for name in ("easy", "judged")]
    assert parts == [slice(0, 2), slice(2, 5)]
    found, _ = mixed.reset(seed=seed)
    for part, env, own in zip(parts, alone, (seed, 0), strict=True):
        assert_array_equal(found[part], env.reset(seed=own)[0])
    actions, ends = np.random.default_rng(0).uniform(-1, 1, (LIMIT + 3, 5, 2)), 0
    for action in actions:
        *found, info = mixed.step(action)
        for part, env in zip(parts, alone, strict=True):
            *expected, own = env.step(action[part])
            for ours, theirs in zip(found, expected, strict=True):
                assert_array_equal(ours[part], theirs)
            check_part(info, own, part)
        ends += "final_obs" in info
        for name, first in (("still", info["reward_terms"]), ("angle", info["metrics"])):
            assert not first[name][:2].any() and first[name][2:].all()
            assert first[f"_{name}"].tolist() == [False] * 2 + [True] * 3
    assert ends == 1
    assert info["_success"].tolist() == [False] * 2 + [True] * 3


def check_part(info, own, part):
    """Compare what an environment says of a step with what is said of its rows."""
    for key, value in own.items():
        if isinstance(value, dict):
            check_part(info[key], value, part)
        else:
            assert_array_equal(info[key][part], value)


def test_rows_that_are_left_out_of_a_reset_go_on(mixed):
    before, _ = mixed.reset(seed=0)
    mask, ages = np.array([0, 0, 1, 0, 0], bool), np.array([9, 9, LIMIT - 1, 9, 9])
    after, _ = mixed.reset(options={"reset_mask": mask, "elapsed_steps": ages})
    assert_array_equal((after != before).any(axis=1), mask)
    *_, truncated, _ = mixed.step(np.zeros((5, 2)))
    assert_array_equal(truncated, mask)


def test_a_snapshot_that_does_not_fit_changes_nothing(mixed):
    mixed.reset(seed=0)
    before = mixed.snapshot()
    mixed.step(np.ones((5, 2)))
    after = mixed.snapshot()
    with pytest.raises(ValueError):
        mixed.restore({k: v for k, v in before.items() if not k.startswith("1/")})
    assert all(np.array_equal(after[k], v) for k, v in mixed.snapshot().items())


def test_environments_that_differ_are_refused():
    pole = gymnasium.make_vec("Motrix/CartPole-v0", num_envs=2, num_threads=1)
    with pytest.raises(ValueError, match="an observation has 6 entries in a and 4 in b: env"):
        MixedVectorEnv({"a": easy(), "b": pole})

    class Renamed(Reacher):
        def observation_channels(self):
            first, *others = super().observation_channels()
            return [replace(first, name="elbow"), *others]

    other = MotrixVectorEnv(Renamed(EASY), 2, num_threads=1)
    with pytest.raises(ValueError, match=r"a observes \('shoulder_angle', 1, 1\) where b observes"):
        MixedVectorEnv({"a": easy(), "b": other})
    late = MotrixVectorEnv(Reacher(EASY), 2, num_threads=1, autoreset_mode="NEXT_STEP")
    with pytest.raises(ValueError, match="b has autoreset_mode NEXT_STEP: SAME_STEP is needed"):
        MixedVectorEnv({"a": easy(), "b": late})
    with pytest.raises(ValueError, match="envs is empty"):
        MixedVectorEnv({})
