# SPDX-License-Identifier: Apache-2.0
"""Row i depends on its seed and actions only; snapshots bring back an earlier state."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_array_equal, assert_equal

ENV, SEED = "Motrix/CartPole-v0", 20
STEPS = 130  # three episodes of the player's 40 steps, and some


def test_rows_of_64_are_the_environments_made_alone(env_id, player):
    many, rows = player.make(env_id, 64), (0, 37, 63)
    alone = {i: player.make(env_id, 1) for i in rows}
    first, _ = many.reset(seed=SEED)
    for i, one in alone.items():
        assert_array_equal(one.reset(seed=SEED + i)[0][0], first[i])
    ends = dict.fromkeys(rows, 0)
    for action in player.actions(many, STEPS):
        step = many.step(action)
        for i, one in alone.items():
            assert_equal(player.row(one.step(action[[i]]), 0), player.row(step, i))
            ends[i] += int(step[2][i] | step[3][i])
    assert min(ends.values()) >= 3


def test_rows_of_64_are_the_single_environments(env_id, player):
    many = player.make(env_id, 64)
    make = partial(gymnasium.make, env_id, max_episode_steps=40, num_threads=1)
    singles = {i: make() for i in (0, 63)}
    first, _ = many.reset(seed=SEED)
    for i, single in singles.items():
        assert_array_equal(single.reset(seed=SEED + i)[0], first[i])
    for action in player.actions(many, STEPS):
        step = many.step(action)
        for i, single in singles.items():
            said = player.row(step, i)
            observation, reward, terminated, truncated, info = single.step(action[i])
            assert (reward, terminated, truncated) == (
                said["reward"],
                said["terminated"],
                said["truncated"],
            )
            for term, value in info["reward_terms"].items():
                assert value == said[f"info/reward_terms/{term}"]
            if terminated or truncated:
                assert_array_equal(observation, said["info/final_obs"])
                observation, _ = single.reset()
            assert_array_equal(observation, said["observation"])
    for single in singles.values():
        single.close()


def test_modes_play_the_same_episodes(env_id, player):
    runs = {}
    for mode in AutoresetMode:
        env = player.make(env_id, 1, autoreset_mode=mode)
        observation, _ = env.reset(seed=SEED)
        episodes = [[observation[0]]]
        actions = iter(player.actions(env, 3 * STEPS))
        while len(episodes) < 4:
            action = next(actions) if len(episodes[-1]) else np.zeros(env.action_space.shape)
            observation, _, terminated, truncated, info = env.step(np.float32(action))
            over = terminated[0] | truncated[0]
            last = info["final_obs"] if "final_obs" in info else observation
            episodes[-1].append(last[0])
            if over:
                episodes.append([])
                if mode is AutoresetMode.SAME_STEP:
                    episodes[-1].append(observation[0])
                if mode is AutoresetMode.DISABLED:
                    observation, _ = env.reset()
                    episodes[-1].append(observation[0])
        runs[mode] = episodes[:3]
    assert_equal(runs[AutoresetMode.NEXT_STEP], runs[AutoresetMode.SAME_STEP])
    assert_equal(runs[AutoresetMode.DISABLED], runs[AutoresetMode.SAME_STEP])


def test_the_number_of_threads_does_not_matter(env_id, player):
    one, two = (player.make(env_id, 32, num_threads=n) for n in (1, 2))
    assert_equal(one.reset(seed=SEED), two.reset(seed=SEED))
    actions = player.actions(one, STEPS // 2)
    for step, other in zip(player.play(one, actions), player.play(two, actions), strict=True):
        assert_equal(step, other)
    assert_equal(one.unwrapped.snapshot(), two.unwrapped.snapshot())


def test_a_list_of_seeds_gives_each_row_its_own(env_id, player):
    env, plain = player.make(env_id, 3), player.make(env_id, 3)
    start, _ = plain.reset(seed=SEED)
    listed, _ = env.reset(seed=[SEED + 2, SEED, SEED + 1])
    assert_array_equal(listed, start[[2, 0, 1]])
    again, _ = env.reset(seed=[SEED, None, SEED + 2])
    assert_array_equal(again[[0, 2]], start[[0, 2]])
    assert (again[1] != start[1]).any()
    assert (again[1] != listed[1]).any()


def test_seeds_of_any_size_are_taken(env_id, player):
    env = player.make(env_id, 2)
    small, _ = env.reset(seed=0)
    large, _ = env.reset(seed=2**63 - 1)
    assert (small != large).any()


NOT_SEEDS = (-1, 2**64, 10**30, 1.5, 2.0, np.nan, True, "7", 1j)


@pytest.mark.parametrize("seed", [*NOT_SEEDS, *([1, wrong, 3] for wrong in NOT_SEEDS)])
def test_impossible_seeds_are_refused_by_name_and_nothing_has_moved(player, seed):
    env, other = player.make(ENV, 3), player.make(ENV, 3)
    assert_equal(env.reset(seed=SEED), other.reset(seed=SEED))
    with pytest.raises(ValueError, match="seed must be an integer from 0 to 18446744073709551615"):
        env.reset(seed=seed)
    assert_equal(env.reset(), other.reset())


def test_seeds_have_the_right_number(player):
    with pytest.raises(ValueError, match="need 3 seeds, one per environment, got 2"):
        player.make(ENV, 3).reset(seed=[1, 2])


@pytest.mark.parametrize("seed", [*NOT_SEEDS, [1]])
def test_impossible_seeds_of_the_single_environment_are_refused_by_name(seed):
    env = gymnasium.make(ENV)
    with pytest.raises(ValueError, match="seed must be an integer from 0 to 18446744073709551615"):
        env.reset(seed=seed)
    env.close()


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_the_least_and_the_largest_seed_are_taken_as_any_type_of_integer(player, seed):
    env = player.make(ENV, 1)
    expected, _ = env.reset(seed=seed)
    for alike in (np.uint64(seed), [seed], np.array([seed], np.uint64), np.array(seed, np.uint64)):
        assert_array_equal(env.reset(seed=alike)[0], expected)
    single = gymnasium.make(ENV)
    assert_array_equal(single.reset(seed=np.uint64(seed))[0], expected[0])
    single.close()


def test_resets_of_other_rows_do_not_matter(env_id, player):
    plain, disturbed = (
        player.make(env_id, 4, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2)
    )
    assert_equal(plain.reset(seed=SEED), disturbed.reset(seed=SEED))
    mask = np.array([True, False, True, False])
    for t, action in enumerate(player.actions(plain, 60)):
        (expected,) = player.play(plain, [action])
        (step,) = player.play(disturbed, [action])
        assert_equal(player.row(step, 1), player.row(expected, 1))
        assert_equal(player.row(step, 3), player.row(expected, 3))
        if t % 7 == 3:
            before = step[0]
            ended = step[2] | step[3]
            after, _ = disturbed.reset(options={"reset_mask": mask})
            assert_array_equal(after[[1, 3]][~ended[[1, 3]]], before[[1, 3]][~ended[[1, 3]]])
            assert (after[mask] != before[mask]).any(axis=1).all()


def test_nothing_leaks_from_one_episode_into_the_next(env_id, player, mode):
    used, new = (player.make(env_id, 8, autoreset_mode=mode) for _ in range(2))
    used.reset(seed=1)
    player.play(used, player.actions(used, 70, seed=1))
    for _ in range(2):
        assert_equal(used.reset(seed=SEED), new.reset(seed=SEED))
        assert_equal(used.unwrapped.snapshot(), new.unwrapped.snapshot())
        actions = player.actions(new, 50)
        assert_equal(player.play(used, actions), player.play(new, actions))


def test_unseeded_environments_differ(env_id, player):
    starts = [player.make(env_id, 2).reset()[0] for _ in range(2)]
    rows = np.concatenate(starts)
    assert len(np.unique(rows, axis=0)) == 4


def test_start_states_are_diverse(env_id, player):
    env = player.make(env_id, 64)
    starts = np.concatenate([env.reset(seed=None if k else SEED)[0] for k in range(8)])
    assert len(np.unique(starts, axis=0)) == len(starts)
    ends = np.concatenate([env.reset()[0] for _ in range(8)])
    spread = np.ptp(starts, axis=0)
    assert (spread > 0).any()
    # Later starts come from the same distribution: its width does not shrink or grow.
    # Entries that seldom vary, such as those of a height scan near an edge, say little about it.
    moving = spread > 1e-6
    alike = np.isclose(ends.std(axis=0)[moving], starts.std(axis=0)[moving], rtol=0.5)
    assert alike.mean() > 0.85


def test_first_observation_differs_after_every_automatic_reset(env_id, player):
    env = player.make(env_id, 1, max_episode_steps=3)
    starts = [env.reset(seed=SEED)[0][0]]
    for step in player.play(env, player.actions(env, 60)):
        if step[3][0] | step[2][0]:
            starts.append(step[0][0])
    assert len(starts) > 20
    assert len(np.unique(starts, axis=0)) == len(starts)


def test_restore_brings_back_the_exact_future(env_id, player, mode):
    env = player.make(env_id, autoreset_mode=mode)
    base = env.unwrapped
    env.reset(seed=SEED)
    actions = player.actions(env, 95)  # episodes end at 40 and at 80
    player.play(env, actions[:47])
    taken = base.snapshot()
    copies = {name: array.copy() for name, array in taken.items()}
    future = player.play(env, actions[47:])
    assert_equal(taken, copies)  # a snapshot does not live on

    base.restore(copies)
    assert_equal(base.snapshot(), copies)
    assert_equal(player.play(env, actions[47:]), future)

    other = player.make(env_id, autoreset_mode=mode)  # one that has never been reset
    other.unwrapped.restore(copies)
    assert_equal(player.play(other, actions[47:]), future)
    assert_equal(other.unwrapped.snapshot(), base.snapshot())


def test_a_snapshot_holds_what_is_randomised(env_id, player):
    env = player.make(env_id, 4)
    env.reset(seed=SEED)
    snapshot = env.unwrapped.snapshot()
    for name in env.unwrapped.task.per_world:
        assert f"simulation/model/{name}" in snapshot
    for name in env.unwrapped.task.buffers():
        assert f"simulation/buffer/{name}" in snapshot
    assert all(isinstance(array, np.ndarray) for array in snapshot.values())
    assert all(array.dtype.kind in "fiub" for array in snapshot.values())


def test_a_foreign_snapshot_is_refused_and_changes_nothing(env_id, player):
    env, wider = player.make(env_id, 4), player.make(env_id, 5)
    env.reset(seed=SEED)
    wider.reset(seed=SEED)
    before = env.unwrapped.snapshot()
    foreign = wider.unwrapped.snapshot()
    with pytest.raises(ValueError, match="another environment or num_envs"):
        env.unwrapped.restore(foreign)
    for name in before:
        with pytest.raises(ValueError, match=name.rpartition("/")[2]):
            env.unwrapped.restore({k: v for k, v in before.items() if k != name})
        assert_equal(env.unwrapped.snapshot(), before)
