# SPDX-License-Identifier: Apache-2.0
"""How episodes end and begin, in each autoreset mode."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_array_equal, assert_equal

SAME_STEP, NEXT_STEP, DISABLED = (
    AutoresetMode.SAME_STEP,
    AutoresetMode.NEXT_STEP,
    AutoresetMode.DISABLED,
)


def ended(step):
    return step[2] | step[3]


def test_same_step_is_the_default(env_id):
    env = gymnasium.make_vec(env_id, num_envs=2)
    assert env.metadata["autoreset_mode"] is SAME_STEP
    env.close()


@pytest.mark.parametrize("spell", [lambda m: m, lambda m: m.name, lambda m: m.value])
def test_a_mode_may_be_given_by_name(env_id, player, mode, spell):
    assert player.make(env_id, 1, autoreset_mode=spell(mode)).metadata["autoreset_mode"] is mode


def test_an_unknown_mode_is_refused_with_the_choice(env_id):
    with pytest.raises(ValueError, match="SAME_STEP.*got 'SAME'"):
        gymnasium.make_vec(env_id, autoreset_mode="SAME")


def test_a_time_limit_truncates_and_never_terminates(env_id, player, mode):
    # So short that nothing can fail by itself.
    env = player.make(env_id, autoreset_mode=mode, max_episode_steps=3)
    env.reset(seed=0)
    none = np.zeros(env.num_envs, bool)
    for step, t in zip(player.play(env, player.actions(env, 12)), range(1, 13), strict=True):
        at_limit = t % 4 == 3 if mode is NEXT_STEP else t % 3 == 0
        assert_array_equal(step[2], none)
        assert_array_equal(step[3], none | at_limit)


def test_no_time_limit_never_truncates(env_id, player):
    env = player.make(env_id, max_episode_steps=None)
    env.reset(seed=0)
    assert not any(step[3].any() for step in player.play(env, player.actions(env, 50)))


def test_the_registered_time_limit_is_the_tasks(env_id, player):
    limit = gymnasium.spec(env_id).max_episode_steps
    env = gymnasium.make_vec(env_id, num_envs=1)
    assert env.unwrapped.config.max_episode_steps == limit
    assert player.make(env_id, 1, max_episode_steps=7).unwrapped.config.max_episode_steps == 7


def test_same_step_gives_final_obs_and_final_info_of_just_the_ended_rows(env_id, player):
    env = player.make(env_id, 16)
    reference = player.make(env_id, 16, autoreset_mode=DISABLED)
    assert_equal(env.reset(seed=0), reference.reset(seed=0))
    some, rows_ended = 0, 0
    for action in player.actions(env, 100):
        observations, *_, info = step = env.step(action)
        expected = reference.step(action)
        over = ended(step)
        assert_equal(step[1:4], expected[1:4])
        for name in ("reward_terms", "metrics"):
            assert_equal(info[name], expected[4][name])
        if not over.any():
            assert not {"final_obs", "_final_obs", "final_info", "_final_info"} & info.keys()
            assert_array_equal(observations, expected[0])
            continue
        final = info["final_obs"]
        assert (final.dtype, final.shape) == (np.float32, observations.shape)
        assert_array_equal(info["_final_obs"], over)
        assert_array_equal(info["_final_info"], over)
        assert_array_equal(final[over], expected[0][over])
        assert_array_equal(final[~over], 0)
        for i in np.flatnonzero(over):
            assert_equal(
                player.row((*expected[:4], info["final_info"]), i), player.row(expected, i)
            )
        for i in np.flatnonzero(~over):  # masks inside exclude the others too
            assert player.row((*expected[:4], info["final_info"]), i).keys() == {
                "observation", "reward", "terminated", "truncated"
            }  # fmt: skip
        restarted, _ = reference.reset(options={"reset_mask": over})
        assert_array_equal(observations, restarted)
        some += 0 < over.sum() < 16
        rows_ended += over.sum()
    assert rows_ended >= 32
    assert some or not any(over)  # rows end apart where the task lets them


def test_next_step_resets_in_the_step_after_the_end(env_id, player):
    env = player.make(env_id, autoreset_mode=NEXT_STEP)
    other = player.make(env_id, autoreset_mode=NEXT_STEP)
    assert_equal(env.reset(seed=0), other.reset(seed=0))
    over = np.zeros(env.num_envs, bool)
    resets = 0
    for action in player.actions(env, 120):
        step = env.step(action)
        action[over] *= -1  # of no account
        assert_equal(other.step(action), step)
        assert not step[1][over].any()
        assert not ended(step)[over].any()
        info = step[4]
        assert "final_obs" not in info
        assert_array_equal(info["_reward_terms"], ~over)
        for part in (info["reward_terms"], info["metrics"]):
            assert all((part[name] == ~over).all() for name in part if name[0] == "_")
        assert_array_equal(env.unwrapped.elapsed_steps[over], 0)
        assert (env.unwrapped.elapsed_steps[~over] > 0).all()
        resets += over.sum()
        over = ended(step)
    assert resets >= env.num_envs


def test_disabled_resets_just_the_masked_rows(env_id, player):
    env = player.make(env_id, autoreset_mode=DISABLED)
    start, _ = env.reset(seed=0)
    mask = np.array([False, True] * 4)
    observations = player.play(env, player.actions(env, 5))[-1][0]
    before = env.unwrapped.snapshot()
    after, info = env.reset(options={"reset_mask": mask})
    assert info == {}
    assert_array_equal(after[~mask], observations[~mask])
    assert (after[mask] != observations[mask]).any(axis=1).all()
    assert (after[mask] != start[mask]).any(axis=1).all()
    for name, array in env.unwrapped.snapshot().items():
        assert_array_equal(array[~mask], before[name][~mask], err_msg=name)
    assert_array_equal(env.unwrapped.elapsed_steps, np.where(mask, 0, 5))


def test_disabled_seeds_just_the_masked_rows(env_id, player):
    env = player.make(env_id, 4, autoreset_mode=DISABLED)
    start, _ = env.reset(seed=0)
    mask = np.array([True, False, False, True])
    player.play(env, player.actions(env, 3))
    again, _ = env.reset(seed=0, options={"reset_mask": mask})
    assert_array_equal(again[mask], start[mask])
    keys = env.unwrapped.snapshot()["episode/random_count"]
    assert (keys[~mask] >= keys[mask]).all()


def test_disabled_refuses_to_step_episodes_that_are_over(env_id, player):
    env = player.make(env_id, 3, autoreset_mode=DISABLED, max_episode_steps=2)
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, np.float32)
    env.step(action)
    env.reset(options={"reset_mask": np.array([False, True, False])})
    env.step(action)
    with pytest.raises(RuntimeError, match="environments 0, 2 are over.*reset_mask"):
        env.step(action)
    env.reset(options={"reset_mask": np.array([True, False, True])})
    env.step(action)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(3, bool), "selects no environment"),
        (np.ones(2, bool), r"shape \(3,\), got bool of shape \(2,\)"),
        (np.array([0, 1, 1]), "must be bool.*got int"),
    ],
)
def test_impossible_masks_are_refused(env_id, player, mask, message):
    env = player.make(env_id, 3, autoreset_mode=DISABLED)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.reset(options={"reset_mask": mask})


def test_a_first_reset_must_be_of_all_rows(env_id, player):
    env = player.make(env_id, 3)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(env.action_space.shape, np.float32))
    with pytest.raises(ValueError, match="first reset must be of all"):
        env.reset(options={"reset_mask": np.array([True, False, True])})
    env.reset(seed=0)
    env.step(np.zeros(env.action_space.shape, np.float32))


def test_reset_in_the_middle_of_an_episode_starts_anew(env_id, player, mode):
    env = player.make(env_id, autoreset_mode=mode)
    first = env.reset(seed=3)
    player.play(env, player.actions(env, 39))
    assert_equal(env.reset(seed=3), first)
    assert_array_equal(env.unwrapped.elapsed_steps, 0)
    steps = player.play(env, player.actions(env, 39))
    assert not any(step[3].any() for step in steps)  # nothing is left of the old episodes' time


def test_episodes_that_count_as_older_are_truncated_earlier(env_id, player, mode):
    env = player.make(env_id, 4, autoreset_mode=mode, max_episode_steps=4)
    other = player.make(env_id, 4, autoreset_mode=DISABLED)
    ages = np.array([3, 0, 2, 1])
    starts = env.reset(seed=0, options={"elapsed_steps": ages})
    assert_equal(other.reset(seed=0), starts)  # the age is all that differs
    assert_array_equal(env.unwrapped.elapsed_steps, ages)
    action = np.zeros(env.action_space.shape, np.float32)
    observations, *_, truncated, info = env.step(action)
    over = np.array([True, False, False, False])
    assert_array_equal(truncated, over)
    last = other.step(action)[0]
    if mode is SAME_STEP:
        assert_array_equal(info["_final_obs"], over)
        assert_array_equal(info["final_obs"][over], last[over])
        last[over] = other.reset(options={"reset_mask": over})[0][over]
    assert_array_equal(observations, last)
    assert_array_equal(env.unwrapped.elapsed_steps, [0 if mode is SAME_STEP else 4, 1, 3, 2])
    ages = np.where(over, 2, 40)  # those of other rows do not matter
    env.reset(options={"reset_mask": over, "elapsed_steps": ages})
    assert_array_equal(env.unwrapped.elapsed_steps, [2, 1, 3, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"elapsed_step": [0, 0]}, "did you mean 'elapsed_steps'"),
        ({"elapsed_steps": [0]}, r"integers of shape \(2,\), got int64 of shape \(1,\)"),
        ({"elapsed_steps": [0.5, 1]}, "integers of shape"),
        ({"elapsed_steps": [0, 40]}, "below max_episode_steps=40, got 0 to 40"),
        ({"elapsed_steps": [-1, 0]}, "at least 0"),
    ],
)
def test_wrong_ages_are_refused(player, options, message):
    env = player.make("Motrix/CartPole-v0", 2)
    with pytest.raises(ValueError, match=message):
        env.reset(seed=0, options=options)


def test_wrong_ages_are_refused_without_a_time_limit(player):
    env = player.make("Motrix/CartPole-v0", 2, max_episode_steps=None)
    with pytest.raises(ValueError, match="elapsed_steps must be at least 0, got -1 to 0"):
        env.reset(seed=0, options={"elapsed_steps": [-1, 0]})
    env.reset(seed=0, options={"elapsed_steps": [5_000_000, 0]})
