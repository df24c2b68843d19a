# SPDX-License-Identifier: Apache-2.0
"""The statistics of rollouts, against sums made row by row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import RolloutStatistics

EPISODE_TAGS = ("Reward / Total reward", "Episode /", "Reward Total/ ")


def make_steps(seed, count, num_envs):
    """Random steps of an environment that ends often."""
    rng = np.random.default_rng(seed)
    steps = []
    for _ in range(count):
        terms = {k: rng.normal(size=num_envs) for k in ("upright", "effort")}
        info = {
            "reward_terms": terms | {"_upright": np.ones(num_envs, bool)},
            "metrics": {"speed": rng.normal(size=num_envs).astype(np.float32)},
            "success": rng.random(num_envs) < 0.5,
        }
        ends = rng.random((2, num_envs)) < 0.15
        steps.append((terms["upright"] + terms["effort"], ends[0], ends[1], info))
    return steps


def spread(tag, values):
    values = np.array(values, np.float64)
    return {
        f"{tag} (max)": values.max(),
        f"{tag} (min)": values.min(),
        f"{tag} (mean)": values.mean(),
    }


def expected(steps, before):
    """Scalars of a window, row by row; `before` are the steps of earlier windows."""
    scalars = spread("Reward / Instantaneous reward", [s[0] for s in steps])
    for name in ("upright", "effort"):
        values = [s[3]["reward_terms"][name] for s in steps]
        scalars |= spread(f"Reward Instant / {name}", values)
    scalars |= spread("metrics / speed", [s[3]["metrics"]["speed"] for s in steps])

    ended = {k: [] for k in ("reward", "upright", "effort", "length", "success", "terminated")}
    for row in range(len(steps[0][0])):
        sums = dict.fromkeys(("reward", "upright", "effort", "length"), 0.0)
        for t, (reward, terminated, truncated, info) in enumerate([*before, *steps]):
            sums["reward"] += reward[row]
            sums["length"] += 1
            for name in ("upright", "effort"):
                sums[name] += info["reward_terms"][name][row]
            if terminated[row] or truncated[row]:
                if t >= len(before):
                    for name, value in sums.items():
                        ended[name].append(value)
                    ended["success"].append(info["success"][row])
                    ended["terminated"].append(terminated[row])
                sums = dict.fromkeys(sums, 0.0)
    scalars["Episode / Count"] = len(ended["length"])
    if ended["length"]:
        scalars |= spread("Reward / Total reward", ended["reward"])
        scalars |= spread("Episode / Total timesteps", ended["length"])
        for name in ("upright", "effort"):
            scalars |= spread(f"Reward Total/ {name}", ended[name])
        scalars["Episode / Success rate"] = np.mean(ended["success"])
        scalars["Episode / Terminated rate"] = np.mean(ended["terminated"])
    return scalars


def feed(statistics, steps):
    for step in steps:
        statistics.step(*step)
    return statistics


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 12), st.integers(1, 12))
def test_summary_equals_a_count_by_hand(seed, num_envs, first, second):
    steps = make_steps(seed, first + second, num_envs)
    statistics = RolloutStatistics(num_envs)
    one = feed(statistics, steps[:first]).summary()
    assert one == pytest.approx(expected(steps[:first], []))
    two = feed(statistics, steps[first:]).summary()
    assert two == pytest.approx(expected(steps[first:], steps[:first]))


@given(st.integers(0, 2**32), st.integers(0, 10), st.integers(1, 10))
def test_restored_statistics_go_on_bit_identically(seed, first, second):
    steps = make_steps(seed, first + second, 3)
    whole = feed(RolloutStatistics(3), steps[:first])
    copy = RolloutStatistics(3)
    copy.restore(whole.state())
    assert feed(copy, steps[first:]).summary() == feed(whole, steps[first:]).summary()


def test_an_interval_without_an_end_says_nothing_of_episodes():
    statistics = RolloutStatistics(2)
    on, off = np.ones(2, bool), np.zeros(2, bool)
    for ends in (off, on, off):
        statistics.step(np.ones(2), ends, off, {})
        tags = statistics.summary()
        assert tags.pop("Episode / Count") == ends.sum()
        assert any(tag.startswith(EPISODE_TAGS) for tag in tags) == ends.any()
    assert statistics.summary() == {"Episode / Count": 0}


def test_the_last_step_of_an_episode_counts():
    statistics = RolloutStatistics(2)
    for last in (False, True):
        info = {"reward_terms": {"goal": np.array([10.0, 0.0]) if last else np.zeros(2)}}
        end = np.array([last, False])
        statistics.step(info["reward_terms"]["goal"], end, np.zeros(2, bool), info)
    scalars = statistics.summary()
    assert scalars["Reward Total/ goal (mean)"] == 10.0
    assert scalars["Reward / Total reward (mean)"] == 10.0
    assert scalars["Episode / Total timesteps (mean)"] == 2.0


def test_a_time_limit_is_not_counted_as_terminated():
    statistics = RolloutStatistics(4)
    terminated, truncated = np.array([1, 0, 0, 0], bool), np.array([0, 1, 1, 1], bool)
    statistics.step(np.zeros(4), terminated, truncated, {})
    scalars = statistics.summary()
    assert scalars["Episode / Terminated rate"] == 0.25
    assert "Episode / Success rate" not in scalars


def test_episodes_truncated_before_the_time_limit_are_left_out():
    """Rows: truncated early, terminated early, truncated in time."""
    statistics = RolloutStatistics(3, time_limit=2)
    off = np.zeros(3, bool)
    for terminated, truncated in (([0, 1, 0], [1, 0, 0]), ([0, 0, 0], [0, 0, 1])):
        info = {"success": ~off}
        statistics.step(np.arange(3), np.array(terminated, bool), np.array(truncated, bool), info)
    scalars = statistics.summary()
    assert scalars["Reward / Instantaneous reward (mean)"] == 1.0
    assert scalars["Episode / Total timesteps (min)"] == 1.0
    assert scalars["Episode / Total timesteps (mean)"] == 1.5
    assert scalars["Reward / Total reward (mean)"] == (1 + 4) / 2
    assert scalars["Episode / Terminated rate"] == 0.5
    statistics.step(np.arange(3), off, np.array([0, 0, 1], bool), info)
    assert statistics.summary()["Episode / Count"] == 0  # none is whole


def test_returned_and_restored_states_are_copies():
    statistics = RolloutStatistics(1)
    on, off = np.ones(1, bool), np.zeros(1, bool)
    statistics.step(np.ones(1), off, off, {})
    state = statistics.state()
    other = RolloutStatistics(1)
    other.restore(state)
    for array in state.values():
        array[:] = 99
    for each in (statistics, other):
        each.step(np.ones(1), on, off, {})
        assert each.summary()["Reward / Total reward (mean)"] == 2.0


def test_a_misshapen_term_or_foreign_state_is_refused():
    off = np.zeros(3, bool)
    with pytest.raises(ValueError, match=r"Reward Total/ goal.*\(2,\).*\(3,\)"):
        RolloutStatistics(3).step(np.ones(3), off, off, {"reward_terms": {"goal": np.ones(2)}})
    statistics = RolloutStatistics(3)
    statistics.step(np.ones(3), off, off, {})
    with pytest.raises(ValueError, match=r"\(3,\), expected \(2,\)"):
        RolloutStatistics(2).restore(statistics.state())
