# SPDX-License-Identifier: Apache-2.0
"""check_vector_env passes what is right, and catches each way of being wrong."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from motrix_gym import check_vector_env
from motrix_gym.checks import ENV_RULES, RUN_RULES, STEP_RULES, VectorEnvError

SAME_STEP, NEXT_STEP, DISABLED = (
    AutoresetMode.SAME_STEP,
    AutoresetMode.NEXT_STEP,
    AutoresetMode.DISABLED,
)


class Drift(VectorEnv):
    """A point on a line: beyond -1 or 1 the episode terminates, after 12 steps it is truncated.

    Right in every way; the environments below are it with one fault each.
    """

    max_episode_steps = 12

    def __init__(self, mode, num_envs=4):
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = Box(-10, 10, (2,), np.float32)
        self.single_action_space = Box(-1, 1, (1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.seeds = np.arange(num_envs)
        self.episode = np.zeros(num_envs, int)
        self.elapsed = np.zeros(num_envs, int)
        self.ended = np.zeros(num_envs, bool)
        self.position = np.zeros(num_envs)
        self.push = np.zeros(num_envs)

    def start(self, rows):
        for row in np.flatnonzero(rows):
            stream = np.random.default_rng([self.seeds[row], self.episode[row]])
            self.position[row] = stream.uniform(-0.5, 0.5)
        self.push[rows] = 0
        self.episode[rows] += 1
        self.elapsed[rows] = 0
        self.ended[rows] = False

    def observe(self):
        return np.stack([self.position, self.push], 1).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.seeds = seed + np.arange(self.num_envs)
            self.episode[:] = 0
        self.start((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        return self.observe(), {}

    def check(self, actions):
        if np.shape(actions) != self.action_space.shape or not np.isfinite(actions).all():
            raise ValueError("bad actions")

    def limit(self):
        return np.zeros(self.num_envs, bool), self.elapsed >= self.max_episode_steps

    def step(self, actions):
        self.check(actions)
        waiting, mode = self.ended.copy(), self.metadata["autoreset_mode"]
        going = ~waiting
        self.push[going] = 0.6 * actions[going, 0]
        self.position[going] += self.push[going]
        self.elapsed[going] += 1
        terminated, truncated = self.limit()
        terminated = going & (terminated | (abs(self.position) > 1))
        truncated = going & truncated
        terms = {"place": going * self.position, "effort": going * -np.square(self.push)}
        reward = terms["place"] + terms["effort"]
        if mode is NEXT_STEP:
            self.start(waiting)
        info = {"reward_terms": terms, "_reward_terms": np.ones(self.num_envs, bool)}
        observations = self.observe()
        ended = terminated | truncated
        if mode is not SAME_STEP:
            self.ended = ended.copy()
        elif ended.any():
            info |= {"final_obs": observations, "_final_obs": ended}
            self.start(ended)
            observations = self.observe()
        return observations, reward, terminated, truncated, info

    def snapshot(self):
        names = ("seeds", "episode", "elapsed", "ended", "position", "push")
        return {name: getattr(self, name).copy() for name in names}

    def restore(self, snapshot):
        for name, value in snapshot.items():
            setattr(self, name, value.copy())


@pytest.mark.parametrize("num_envs", [1, 4])
def test_a_right_environment_passes(mode, num_envs):
    check_vector_env(Drift(mode, num_envs))


def test_gymnasiums_sync_vector_env_passes():
    env = gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync")
    check_vector_env(env)
    env.close()


# Not DISABLED: after a masked reset, Gymnasium 1.4 writes to the info["_episode"] it has returned.
@pytest.mark.parametrize("autoreset", [SAME_STEP, NEXT_STEP])
def test_a_wrapped_environment_passes(autoreset):
    check_vector_env(RecordEpisodeStatistics(Drift(autoreset)))


def test_the_environments_own_action_space_is_not_drawn_from():
    env = Drift(SAME_STEP)
    env.action_space.seed(3)
    expected = env.action_space.sample()
    env.action_space.seed(3)
    check_vector_env(env)
    assert np.array_equal(env.action_space.sample(), expected)


def test_rules_can_be_left_out():
    class Broken(Drift):
        def check(self, actions):
            pass

    check_vector_env(Broken(SAME_STEP), skip=["bad_actions"])
    with pytest.raises(ValueError, match="no rules .'bad_action'.*: the rules are .*bad_actions"):
        check_vector_env(Broken(SAME_STEP), skip=["bad_action"])


class Wrong(Drift):
    """A Drift whose subclasses spoil what it returns in ``spoil``."""

    def step(self, actions):
        returned = self.spoil(*super().step(actions))
        self.last = returned
        return returned

    def spoil(self, observations, reward, terminated, truncated, info):
        return observations, reward, terminated, truncated, info


class UnbatchedSpace(Drift):
    def __init__(self, mode):
        super().__init__(mode)
        self.observation_space = batch_space(self.single_observation_space, 5)


class NoMode(Drift):
    def __init__(self, mode):
        super().__init__(mode)
        self.metadata = {}


class ModeAsText(Drift):
    def __init__(self, mode):
        super().__init__(mode)
        self.metadata = {"autoreset_mode": mode.value}


class OldStep(Drift):
    def step(self, actions):
        observations, reward, terminated, truncated, info = super().step(actions)
        return observations, reward, terminated | truncated, info


class ResetWithoutInfo(Drift):
    def reset(self, **kwargs):
        return super().reset(**kwargs)[0]


class InfoPerRow(Drift):
    def step(self, actions):
        *rest, _ = super().step(actions)
        return *rest, [{} for _ in range(self.num_envs)]


class DoubleObservations(Drift):
    def observe(self):
        return super().observe().astype(np.float64)


class TooFewObservations(Wrong):
    def spoil(self, observations, *rest):
        return observations[:-1], *rest


class OutsideTheSpace(Drift):
    def observe(self):
        return super().observe() + np.float32(20)


class NaNObservation(Wrong):
    def spoil(self, observations, *rest):
        observations[1, 0] = np.nan
        return observations, *rest


class NaNReward(Wrong):
    def spoil(self, observations, reward, *rest):
        return observations, reward * np.nan, *rest


class RewardColumn(Wrong):
    def spoil(self, observations, reward, *rest):
        return observations, reward[:, None], *rest


class IntegerFlags(Wrong):
    def spoil(self, observations, reward, terminated, truncated, info):
        return observations, reward, terminated.astype(int), truncated, info


class NoInfoMask(Wrong):
    def spoil(self, *returned):
        del returned[-1]["_reward_terms"]
        return returned


class ShortInfo(Wrong):
    def spoil(self, *returned):
        returned[-1]["reward_terms"] = {"place": np.zeros(2)}
        return returned


class MaskOfNumbers(Wrong):
    def spoil(self, *returned):
        returned[-1]["_reward_terms"] = np.ones(self.num_envs)
        return returned


class NoFinalObservation(Wrong):
    def spoil(self, *returned):
        returned[-1].pop("final_obs", None)
        return returned


class FinalObservationOfObjects(Wrong):
    def spoil(self, *returned):
        if "final_obs" in (info := returned[-1]):
            rows = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(info["_final_obs"]):
                rows[i] = info["final_obs"][i]
            info["final_obs"] = rows
        return returned


class FinalMaskOfAll(Wrong):
    def spoil(self, *returned):
        if "final_obs" in (info := returned[-1]):
            info["_final_obs"] = np.ones(self.num_envs, bool)
        return returned


class FinalObservationAlways(Wrong):
    def spoil(self, observations, reward, terminated, truncated, info):
        info |= {"final_obs": observations.copy(), "_final_obs": terminated | truncated} | info
        return observations, reward, terminated, truncated, info


class FinalObservationOfTheNewEpisode(Wrong):
    def spoil(self, observations, reward, terminated, truncated, info):
        if "final_obs" in info:
            info["final_obs"] = observations.copy()
        return observations, reward, terminated, truncated, info


class RewardAtReset(Wrong):
    def spoil(self, observations, reward, *rest):
        return observations, reward + 0.25, *rest[:2], {}


class EndsAtReset(Drift):
    def step(self, actions):
        waiting = self.ended.copy()
        observations, reward, terminated, truncated, info = super().step(actions)
        return observations, reward, terminated, truncated | waiting, info


class NeverTruncates(Drift):
    def limit(self):
        return np.zeros((2, self.num_envs), bool)


class LimitTerminates(Drift):
    def limit(self):
        over = self.elapsed >= self.max_episode_steps
        return over, np.zeros_like(over)


class LimitTerminatesToo(Drift):
    def limit(self):
        over = self.elapsed >= self.max_episode_steps
        return over, over


class LimitComesLate(Drift):
    def limit(self):
        over = self.elapsed > self.max_episode_steps
        return np.zeros_like(over), over


class TermsDoNotAddUp(Wrong):
    def spoil(self, *returned):
        del returned[-1]["reward_terms"]["effort"]
        return returned


class GlobalRandomness(Drift):
    stream = np.random.default_rng(0)

    def start(self, rows):
        super().start(rows)
        self.position[rows] = self.stream.uniform(-0.5, 0.5, rows.sum())


class SharedStream(Drift):
    def start(self, rows):
        super().start(rows)
        if self.episode.max() == 1:
            self.stream = np.random.default_rng(self.seeds[0])
        self.position[rows] = self.stream.uniform(-0.5, 0.5, rows.sum())


class SameSeedInEveryRow(Drift):
    def start(self, rows):
        self.seeds[:] = self.seeds[0]
        super().start(rows)


class StateLeaksIntoTheNextEpisode(Drift):
    def start(self, rows):
        push = self.push.copy()
        super().start(rows)
        self.push = push


class CachedFirstState(Drift):
    def start(self, rows):
        self.episode[:] = 0
        super().start(rows)


class ReusedObservations(Drift):
    buffer = None

    def observe(self):
        if self.buffer is None:
            self.buffer = super().observe()
        self.buffer[:] = super().observe()
        return self.buffer


class ReusedInfo(Wrong):
    buffer = None

    def spoil(self, *returned):
        terms = returned[-1]["reward_terms"]
        if self.buffer is None:
            self.buffer = terms["place"]
        self.buffer[:] = terms["place"]
        terms["place"] = self.buffer
        return returned


class LateWrite(Wrong):
    last = None

    def reset(self, **kwargs):
        if self.last is not None:
            self.last[1][:] = 7.0
        return super().reset(**kwargs)


class WritesToActions(Drift):
    def step(self, actions):
        np.clip(actions, -0.5, 0.5, out=actions)
        return super().step(actions)


class ReturnsItsState(Drift):
    def __init__(self, mode):
        super().__init__(mode)
        self.place = self.observe()

    def observe(self):
        return np.stack([self.position, self.push], 1).astype(np.float32)

    def step(self, actions):
        self.position = self.place[:, 0].astype(float)
        observations, *rest = super().step(actions)
        self.place = observations
        return observations, *rest

    def reset(self, **kwargs):
        self.place, info = super().reset(**kwargs)
        return self.place, info


class HeedsIgnoredActions(Drift):
    def step(self, actions):
        waiting = self.ended.copy()
        returned = super().step(actions)
        self.position[waiting] += 0.1 * actions[waiting, 0]
        return self.observe(), *returned[1:]


class ResetsAll(Drift):
    max_episode_steps = 10**6  # else the time limit, which comes too late, gives it away

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)


class ResetsNone(Drift):
    def reset(self, *, seed=None, options=None):
        if options:
            self.ended[:] = False
            self.elapsed[options["reset_mask"]] = 0
            return self.observe(), {}
        return super().reset(seed=seed)


class MaskedResetDisturbsOthers(Drift):
    def reset(self, *, seed=None, options=None):
        returned = super().reset(seed=seed, options=options)
        if options:
            self.position += 1e-6
        return returned


class SnapshotForgets(Drift):
    def snapshot(self):
        return {k: v for k, v in super().snapshot().items() if k != "episode"}


class SnapshotIsLive(Drift):
    def snapshot(self):
        return super().snapshot() | {"position": self.position}


class TakesNaN(Drift):
    def check(self, actions):
        assert actions.shape == self.action_space.shape


class TakesAnyShape(Drift):
    def check(self, actions):
        assert np.isfinite(actions).all()

    def step(self, actions):
        self.check(actions)
        return super().step(actions[: self.num_envs])


WRONG = [
    ("spaces", SAME_STEP, UnbatchedSpace),
    ("autoreset_mode", SAME_STEP, NoMode),
    ("autoreset_mode", SAME_STEP, ModeAsText),
    ("returns", SAME_STEP, OldStep),
    ("returns", SAME_STEP, ResetWithoutInfo),
    ("returns", SAME_STEP, InfoPerRow),
    ("flags", SAME_STEP, IntegerFlags),
    ("observations", SAME_STEP, DoubleObservations),
    ("observations", DISABLED, TooFewObservations),
    ("observations", SAME_STEP, OutsideTheSpace),
    ("observations", SAME_STEP, NaNObservation),
    ("rewards", SAME_STEP, NaNReward),
    ("rewards", SAME_STEP, RewardColumn),
    ("info_masks", SAME_STEP, NoInfoMask),
    ("info_masks", SAME_STEP, ShortInfo),
    ("info_masks", SAME_STEP, MaskOfNumbers),
    ("final_obs", SAME_STEP, NoFinalObservation),
    ("final_obs", SAME_STEP, FinalObservationOfObjects),
    ("final_obs", SAME_STEP, FinalMaskOfAll),
    ("final_obs", SAME_STEP, FinalObservationAlways),
    ("final_obs", SAME_STEP, FinalObservationOfTheNewEpisode),
    ("next_step", NEXT_STEP, RewardAtReset),
    ("next_step", NEXT_STEP, EndsAtReset),
    ("time_limit", SAME_STEP, NeverTruncates),
    ("time_limit", NEXT_STEP, LimitTerminates),
    ("time_limit", DISABLED, LimitTerminatesToo),
    ("time_limit", SAME_STEP, LimitComesLate),
    ("reward_terms", SAME_STEP, TermsDoNotAddUp),
    ("fresh_data", SAME_STEP, ReusedObservations),
    ("fresh_data", NEXT_STEP, ReusedInfo),
    ("fresh_data", SAME_STEP, LateWrite),
    ("fresh_data", DISABLED, WritesToActions),
    ("private_state", NEXT_STEP, ReturnsItsState),
    ("determinism", SAME_STEP, GlobalRandomness),
    ("determinism", SAME_STEP, StateLeaksIntoTheNextEpisode),
    ("seeds", SAME_STEP, SharedStream),
    ("seeds", DISABLED, SameSeedInEveryRow),
    ("new_episodes", SAME_STEP, CachedFirstState),
    ("ignored_actions", NEXT_STEP, HeedsIgnoredActions),
    ("reset_mask", DISABLED, ResetsAll),
    ("reset_mask", DISABLED, ResetsNone),
    ("reset_mask", DISABLED, MaskedResetDisturbsOthers),
    ("snapshot", SAME_STEP, SnapshotForgets),
    ("snapshot", SAME_STEP, SnapshotIsLive),
    ("bad_actions", SAME_STEP, TakesNaN),
    ("bad_actions", NEXT_STEP, TakesAnyShape),
]


@pytest.mark.parametrize(
    ("rule", "autoreset", "wrong"), WRONG, ids=[f"{rule}-{env.__name__}" for rule, _, env in WRONG]
)
def test_a_wrong_environment_is_caught_by_the_rule_it_breaks(rule, autoreset, wrong):
    with pytest.raises(VectorEnvError, match=f"^{rule}: "):
        check_vector_env(wrong(autoreset))


def test_every_rule_has_a_wrong_environment():
    rules = {rule.__name__ for rule in (*ENV_RULES, *STEP_RULES, *RUN_RULES)}
    assert rules == {rule for rule, _, _ in WRONG}
