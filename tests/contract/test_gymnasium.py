# SPDX-License-Identifier: Apache-2.0
"""The environments work with Gymnasium's makers, checkers, specs and wrappers."""

import copy
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as wrappers
from numpy.testing import assert_array_equal, assert_equal

import motrix_gym
from motrix_gym.single_env import MotrixEnv


def test_gymnasiums_checker_passes(env_id):
    env = gymnasium.make(env_id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Unbounded observations are what velocities are; no gain in pretending otherwise.
        warnings.filterwarnings("ignore", message=".*Box observation space m.*infinity.*")
        check_env(env.unwrapped, skip_render_check=True)
    env.close()


@pytest.mark.filterwarnings("ignore:.*Box observation space m.*infinity")
def test_gymnasiums_checker_passes_with_rendering(env_id, opengl):
    env = gymnasium.make(env_id, render_mode="rgb_array", render_size=(32, 24))
    check_env(env.unwrapped)
    env.close()


def test_the_single_environment_has_gymnasiums_time_limit(env_id):
    env = gymnasium.make(env_id, max_episode_steps=3)
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, np.float32)
    flags = [env.step(action)[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]
    env.close()


def test_the_single_environment_refuses_reset_options(env_id):
    env = gymnasium.make(env_id)
    for options in (None, {}):
        env.reset(seed=0, options=options)
    with pytest.raises(ValueError, match="None or empty, got {'elapsed_steps': 3}"):
        env.reset(seed=0, options={"elapsed_steps": 3})
    env.close()


def test_gymnasiums_own_vectorisers_take_the_single_environment(env_id):
    env = gymnasium.make_vec(env_id, num_envs=2, vectorization_mode="sync", max_episode_steps=5)
    reference = gymnasium.make_vec(
        env_id, num_envs=2, max_episode_steps=5, autoreset_mode=AutoresetMode.NEXT_STEP
    )
    assert_array_equal(env.reset(seed=4)[0], reference.reset(seed=4)[0])
    action = np.full(env.action_space.shape, 0.3, np.float32)
    for _ in range(14):
        assert_equal(env.step(action)[:4], reference.step(action)[:4])
    env.close()
    reference.close()


def test_importing_by_id(python):
    make = "gymnasium.make_vec('motrix_gym:Motrix/CartPole-v0', num_envs=3)"
    assert python(f"import gymnasium; print({make}.num_envs)") == "3\n"


def test_the_spec_remakes_the_environment(env_id, player):
    env = player.make(env_id, 3, autoreset_mode=AutoresetMode.NEXT_STEP, observation_noise=0.0)
    spec = pickle.loads(pickle.dumps(env.unwrapped.spec))
    again = gymnasium.make_vec(spec)
    assert again.num_envs == 3
    assert again.metadata == env.metadata
    assert again.unwrapped.config == env.unwrapped.config
    assert_equal(again.reset(seed=1), env.reset(seed=1))
    actions = player.actions(env, 50)
    assert_equal(player.play(again, actions), player.play(env, actions))
    again.close()


def test_the_single_spec_remakes_the_environment(env_id):
    env = gymnasium.make(env_id, max_episode_steps=9, observation_noise=0.0)
    again = gymnasium.make(pickle.loads(pickle.dumps(env.spec)))
    assert_equal(again.reset(seed=1), env.reset(seed=1))
    action = np.full(env.action_space.shape, 0.2, np.float32)
    for _ in range(9):
        assert_equal(again.step(action), env.step(action))
    env.close()
    again.close()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_a_copy_and_a_pickle_have_the_same_future(env_id, make, again):
    env = make(env_id, max_episode_steps=9)
    env.action_space.seed(0)
    env.reset(seed=3)
    for _ in range(5):
        env.step(env.action_space.sample())
    other = again(env)
    assert other.spec == env.spec
    assert other.unwrapped.simulation.batch is not env.unwrapped.simulation.batch
    actions = [env.action_space.sample() for _ in range(4)]
    # One after the other: neither may move the other.
    steps = [[*map(e.step, actions), e.reset()] for e in (env, other)]
    assert steps[0][3][3] if make is gymnasium.make else steps[0][3][3].all()
    assert_equal(steps[0], steps[1])
    env.close()
    other.close()


def test_a_copy_of_an_unseeded_environment_is_unseeded():
    env = gymnasium.make_vec("Motrix/CartPole-v0")
    observations = [e.reset()[0] for e in (copy.deepcopy(env), copy.deepcopy(env), env)]
    assert len(np.unique(observations, axis=0)) == 3
    env.close()


def test_attributes_are_asked_for_row_by_row(env_id, player):
    env = player.make(env_id, 3)
    own = gymnasium.make_vec(env_id, num_envs=3, vectorization_mode="sync")
    for name in ("observation_space", "action_space", "render_mode", "substeps"):
        assert env.get_attr(name) == env.call(name) == own.get_attr(name)
    env.reset(seed=0)
    (first, *others) = env.call("snapshot")
    assert_equal(first, env.unwrapped.snapshot())
    assert [other is first for other in others] == [True, True]
    env.set_attr("render_mode", "rgb_array")
    assert env.get_attr("render_mode") == ("rgb_array",) * 3
    env.set_attr("render_mode", [None] * 3)
    assert env.get_attr("render_mode") == (None,) * 3
    with pytest.raises(ValueError, match="'render_mode' is one for all rows: need 3 equal values"):
        env.set_attr("render_mode", [None, None, "rgb_array"])
    with pytest.raises(AttributeError, match="no attribute 'gravity'; settings of the task are"):
        env.set_attr("gravity", 0.0)
    own.close()


LONG = "x" * 10**5


@pytest.mark.parametrize(
    "call",
    [
        lambda: gymnasium.make_vec("Motrix/CartPole-v0", render_mode=LONG),
        lambda: gymnasium.make_vec("Motrix/CartPole-v0", render_size=LONG),
        lambda: gymnasium.make_vec("Motrix/CartPole-v0", autoreset_mode=LONG),
        lambda: MotrixEnv(motrix_gym.make_task("Motrix/CartPole-v0"), render_mode=LONG),
        lambda: gymnasium.make("Motrix/CartPole-v0").reset(options={LONG: 1}),
        lambda: gymnasium.make_vec("Motrix/CartPole-v0").reset(options={LONG: 1}),
        lambda: gymnasium.make_vec("Motrix/CartPole-v0").set_attr("render_mode", [LONG] * 2),
        lambda: gymnasium.make_vec("Motrix/CartPole-v0").set_attr(LONG, 1),
        lambda: gymnasium.make_vec("Motrix/CartPole-v0").unwrapped.simulation.sensor(LONG),
    ],
)
def test_a_message_about_a_huge_value_is_short(call):
    with pytest.raises((ValueError, AttributeError)) as error:
        call()
    assert len(str(error.value)) < 500


def test_the_registered_spec_can_be_pickled_and_copied(env_id):
    spec = gymnasium.spec(env_id)
    assert pickle.loads(pickle.dumps(spec)).id == env_id
    assert copy.deepcopy(spec).id == env_id


def test_spec_and_goal_agree(env_id):
    goals = motrix_gym.registration.entry(env_id).goals
    thresholds = [goal.value for goal in goals if goal.figure == "return"]
    assert gymnasium.spec(env_id).reward_threshold == (thresholds[0] if thresholds else None)
    task = motrix_gym.make_task(env_id)
    for goal in goals:
        assert goal.figure in ("return", "success", *task.metrics)


@pytest.mark.parametrize("autoreset", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_record_episode_statistics_gives_the_returns(env_id, player, autoreset):
    env = wrappers.RecordEpisodeStatistics(player.make(env_id, autoreset_mode=autoreset))
    env.reset(seed=0)
    returns, lengths, episodes = np.zeros(8), np.zeros(8, int), 0
    over = np.zeros(8, bool)
    for action in player.actions(env, 120):
        _, reward, terminated, truncated, info = env.step(action)
        started = over & (autoreset is AutoresetMode.NEXT_STEP)
        returns += reward
        lengths += ~started
        over = terminated | truncated
        if over.any():
            assert_array_equal(info["_episode"], over)
            assert info["episode"]["r"][over] == pytest.approx(returns[over])
            assert_array_equal(info["episode"]["l"][over], lengths[over])
            assert (lengths[over] <= 40).all()
            episodes += over.sum()
        returns[over] = lengths[over] = 0
    assert episodes >= 16
    assert env.episode_count == episodes


def test_normalize_observation(env_id, player):
    # Gymnasium offers this one for NEXT_STEP alone.
    env = wrappers.NormalizeObservation(player.make(env_id, autoreset_mode=AutoresetMode.NEXT_STEP))
    env.reset(seed=0)
    seen = np.stack([step[0] for step in player.play(env, player.actions(env, 200))])
    assert seen.dtype == np.float32
    assert np.isfinite(seen).all()
    moving = env.obs_rms.var > 1e-6
    spread = seen[100:].std(axis=(0, 1))[moving]
    # Some points of a height scan seldom reach an edge, so a few entries vary more in the end.
    assert (abs(spread - 1) < 0.5).mean() > 0.85


def test_normalize_reward(env_id, player):
    # So many that some row is rewarded by every task.
    plain = player.make(env_id, 128)
    env = wrappers.NormalizeReward(player.make(env_id, 128))
    plain.reset(seed=0)
    env.reset(seed=0)
    actions, compared = player.actions(env, 30), 0
    for normalised, step in zip(
        player.play(env, actions), player.play(plain, actions), strict=True
    ):
        rewarded = step[1] != 0
        ratio = normalised[1][rewarded] / step[1][rewarded]
        assert not rewarded.any() or np.ptp(ratio) < 1e-6 * ratio.max()
        assert not normalised[1][~rewarded].any()
        compared += rewarded.sum()
    assert compared > 0


def test_reward_and_action_wrappers(env_id, player, mode):
    bare = player.make(env_id, autoreset_mode=mode)
    env = wrappers.ClipReward(player.make(env_id, autoreset_mode=mode), -0.25, 0.25)
    env = wrappers.ClipAction(wrappers.RescaleAction(env, np.float32(-2), np.float32(2)))
    assert_equal(env.reset(seed=0), bare.reset(seed=0))
    actions = player.actions(env, 60)
    wrapped = player.play(env, 2 * actions)
    for step, wanted in zip(wrapped, player.play(bare, actions), strict=True):
        np.testing.assert_allclose(step[0], wanted[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(step[1], np.clip(wanted[1], -0.25, 0.25), atol=1e-6)
        assert_equal(step[2:4], wanted[2:4])
        assert step[4].keys() == wanted[4].keys()


# Gymnasium offers wrappers of observations for these modes alone.
@pytest.mark.parametrize("autoreset", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_observation_wrappers(env_id, player, autoreset):
    bare = player.make(env_id, autoreset_mode=autoreset)
    env = player.make(env_id, autoreset_mode=autoreset)
    env = wrappers.DtypeObservation(wrappers.FlattenObservation(env), np.float64)
    assert_array_equal(env.reset(seed=0)[0], bare.reset(seed=0)[0])
    actions = player.actions(env, 60)
    for step, wanted in zip(player.play(env, actions), player.play(bare, actions), strict=True):
        assert step[0].dtype == np.float64
        assert_array_equal(step[0], wanted[0])


def test_dict_info_to_list(env_id, player):
    env, plain = wrappers.DictInfoToList(player.make(env_id, 3)), player.make(env_id, 3)
    assert env.reset(seed=0)[1] == [{}, {}, {}]
    plain.reset(seed=0)
    for action in player.actions(env, 90):
        infos, info = env.step(action)[4], plain.step(action)[4]
        for i, own in enumerate(infos):
            for name, value in own["reward_terms"].items():
                assert value == info["reward_terms"][name][i]
            assert ("final_obs" in own) == bool(info.get("_final_obs", np.zeros(3))[i])
            if "final_obs" in own:
                assert_array_equal(own["final_obs"], info["final_obs"][i])
                assert own["final_info"]["metrics"] == own["metrics"]


def test_numpy_to_torch(env_id, player):
    torch = pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    env, plain = player.make(env_id), player.make(env_id)
    env = wrappers.NumpyToTorch(env, device="cpu")
    held = [env.reset(seed=0)[0]]
    expected = [plain.reset(seed=0)[0]]
    for action in player.actions(plain, 50):
        observations, reward, *_ = env.step(torch.from_numpy(action))
        assert isinstance(reward, torch.Tensor)
        held.append(observations)
        expected.append(plain.step(action)[0])
    # Torch tensors share the arrays' memory: all of it is still as it was.
    assert_array_equal(torch.stack(held).numpy(), np.stack(expected))
