# SPDX-License-Identifier: Apache-2.0
"""The Stable-Baselines3 trainer: the contract of the trainers on Torch, and its two wrappers."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from adapters import sb3
from adapters.sb3 import SB3Trainer
from adapters.sb3_env import BatchedTimeLimits, SB3VecEnv
from tests.adapters.envs import CounterEnv, PointEnv
from tests.adapters.torch_contract import TorchTrainerContract


class TestSB3Trainer(TorchTrainerContract):
    trainer = SB3Trainer
    rate_module = sb3

    def network_actions(self, trainer: Any, observations: np.ndarray) -> np.ndarray:
        observations = trainer.normalizer.normalize_obs(observations)
        tensor, _ = trainer.learner.obs_to_tensor(observations)
        with torch.no_grad():
            return trainer.learner.get_distribution(tensor).mode().numpy()

    def stored_actions(self, trainer: Any) -> np.ndarray:
        return trainer.model.rollout_buffer.actions

    def value_parameters(self) -> tuple[str, str]:
        return "mlp_extractor.value_net.0", "value_net"

    def returns(self, trainer: Any, monkeypatch: Any) -> np.ndarray:
        trainer._collect()
        return trainer.model.rollout_buffer.returns

    def test_stands_in_for_stable_baselines_own_learn(self):
        """The settings reach PPO under its own names."""
        model = self.make(
            ratio_clip=0.3,
            value_clip=0.4,
            lambda_param=0.9,
            entropy_loss_scale=0.01,
            value_loss_scale=0.7,
            grad_norm_clip=0.0,
            early_stop_kl=0.03,
            learning_rate=2e-4,
        ).model
        assert (model.n_steps, model.batch_size) == (16, 64)
        assert (model.gamma, model.gae_lambda) == (0.95, 0.9)
        assert (model.clip_range(1.0), model.clip_range_vf(1.0)) == (0.3, 0.4)
        assert (model.ent_coef, model.vf_coef) == (0.01, 0.7)
        assert model.max_grad_norm == np.inf
        assert model.target_kl == pytest.approx(0.02)
        assert model.policy.optimizer.param_groups[0]["lr"] == 2e-4
        assert self.make(clip_predicted_values=False).model.clip_range_vf is None

    def test_the_rate_adapts_after_each_epoch(self):
        rising = {"learning_rate": 2e-5, "desired_kl": 1e3}
        trainer = self.make(**rising, learning_epochs=3, max_learning_rate=1.0)
        rates, train = [], trainer.model.train
        trainer.model.train = lambda: (rates.append(trainer.rate), train())
        trainer.update()
        np.testing.assert_allclose([*rates, trainer.rate], 2e-5 * 1.5 ** np.arange(4))
        assert trainer.model._n_updates == 3

    def test_optimiser_and_clips_are_as_in_the_other_trainers(self):
        trainer = self.make()
        assert trainer.optimizer.defaults["eps"] == 1e-8
        assert trainer.normalizer.clip_obs == trainer.policy().observation_clip == 5.0
        assert trainer.normalizer.clip_reward == np.inf


class ReusingEnv(PointEnv):
    """Breaks the rule of fresh arrays: writes everything into the same ones."""

    def __init__(self, num_envs: int):
        super().__init__(num_envs)
        self.observations = np.zeros((num_envs, 4), np.float32)
        self.rewards = np.zeros(num_envs, np.float32)

    def observe(self):
        self.observations[:] = super().observe()
        return self.observations

    def advance(self, action):
        reward, *rest = super().advance(action)
        self.rewards[:] = reward
        return self.rewards, *rest


class TestSB3VecEnv:
    def test_is_what_stable_baselines_expects(self):
        env = PointEnv(3)
        vec = SB3VecEnv(env)
        assert vec.num_envs == 3
        assert vec.observation_space == env.single_observation_space
        assert vec.action_space == env.single_action_space
        assert vec.get_attr("render_mode") == [None] * 3
        assert vec.get_attr("horizon", indices=[0, 2]) == [20, 20]
        assert vec.env_is_wrapped(gymnasium.Wrapper, indices=1) == [False]
        assert vec.has_attr("horizon") and not vec.has_attr("nonsense")
        vec.set_attr("horizon", 7)
        assert env.horizon == 7
        with pytest.raises(ValueError, match="all 3 rows"):
            vec.set_attr("horizon", 7, indices=[0])
        vec.reset()
        (snapshot,) = vec.env_method("snapshot", indices=[1])
        np.testing.assert_array_equal(snapshot["position"], env.arrays["position"])

    def test_seed_counts_once_and_as_the_environment_counts(self):
        vec, env = SB3VecEnv(PointEnv(4)), PointEnv(4)
        assert vec.seed(5) == [5, 6, 7, 8]
        np.testing.assert_array_equal(vec.reset(), env.reset(seed=5)[0])
        env.arrays["episode"] += np.uint64(1)
        vec.env.arrays["episode"] += np.uint64(1)
        np.testing.assert_array_equal(vec.reset(), env.reset()[0])

    def test_options_reach_the_environment_once(self):
        seen = []

        class OptionEnv(PointEnv):
            def reset(self, *, seed=None, options=None):
                seen.append((seed, options))
                return super().reset(seed=seed, options=options)

        vec = SB3VecEnv(OptionEnv(2))
        vec.set_options({"level": 1})
        vec.reset()
        vec.reset()
        assert seen == [(None, {"level": 1}), (None, None)]
        vec.set_options([{"level": 1}, {"level": 2}])
        with pytest.raises(ValueError, match="different reset options"):
            vec.reset()

    def test_arrays_are_fresh_and_rewards_writable(self):
        vec = SB3VecEnv(ReusingEnv(4))
        held = [vec.reset()]
        copies = [held[0].copy()]
        for _ in range(3):
            observations, rewards, dones, _ = vec.step(np.ones((4, 2), np.float32))
            assert rewards.dtype == np.float32 and dones.dtype == bool
            rewards += 1.0
            held += [observations, rewards]
            copies += [observations.copy(), rewards.copy()]
        for array, copy in zip(held, copies, strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_ended_rows_tell_how_and_where_for_one_step(self):
        env = CounterEnv(3, terminate=[False, True, True], truncate=[True, False, True])
        vec = SB3VecEnv(env)
        vec.reset()
        actions = np.zeros((3, 1), np.float32)
        _, _, dones, infos = [vec.step(actions) for _ in range(3)][-1]
        observations = vec.step(actions)[0]
        assert dones.all()
        np.testing.assert_array_equal(observations, np.ones((3, 1)))  # of the next episode
        assert infos == [{}, {}, {}]  # the list is one, and its dicts last one step

        _, _, dones, infos = [vec.step(actions) for _ in range(2)][-1]
        np.testing.assert_array_equal([info["terminal_observation"] for info in infos], [[3]] * 3)
        assert [info["TimeLimit.truncated"] for info in infos] == [True, False, False]
        vec.reset()
        assert infos == [{}, {}, {}]

    def test_success_is_told_at_the_end_of_an_episode(self):
        env = PointEnv(2, horizon=5)
        vec = SB3VecEnv(env)
        vec.reset()
        env.arrays["position"][:] = [[0.0, 0.0], [1.0, 1.0]]
        env.arrays["elapsed"][:] = 4
        _, _, _, infos = vec.step(np.zeros((2, 2), np.float32))
        assert [info["is_success"] for info in infos] == [True, False]
        assert "reward_terms" in vec.step_info

    @pytest.mark.parametrize(
        "how",
        [
            {"autoreset_mode": AutoresetMode.SAME_STEP},
            {
                "vectorization_mode": "sync",
                "vector_kwargs": {"autoreset_mode": AutoresetMode.SAME_STEP},
            },
        ],
        ids=["motrix", "gymnasium"],
    )
    def test_metrics_are_told_at_the_end_of_an_episode(self, how):
        """Each under its own name, as VecMonitor's info_keywords, a flat list, can ask for it."""
        envs = gymnasium.make_vec("Motrix/WalkerWalk-v0", 2, max_episode_steps=5, **how)
        vec = VecMonitor(SB3VecEnv(envs), info_keywords=("speed", "height"))
        vec.seed(0)
        vec.reset()
        for _ in range(5):
            _, _, dones, infos = vec.step(np.ones((2, 6), np.float32))
        assert dones.all()
        metrics = vec.venv.step_info["final_info"]["metrics"]
        for row, info in enumerate(infos):
            assert info["speed"] == info["episode"]["speed"] == metrics["speed"][row] != 0
            assert info["height"] == info["episode"]["height"] == metrics["height"][row]
            assert isinstance(info["speed"], float)
        vec.close()

    def test_success_reaches_stable_baselines_evaluation(self, tmp_path):
        evaluated = VecMonitor(SB3VecEnv(PointEnv(4)))
        callback = EvalCallback(
            evaluated, n_eval_episodes=8, eval_freq=8, log_path=str(tmp_path), verbose=0
        )
        training = VecMonitor(SB3VecEnv(PointEnv(4)))
        model = PPO("MlpPolicy", training, n_steps=8, batch_size=32, device="cpu")
        model.learn(32, callback=callback)
        assert np.load(tmp_path / "evaluations.npz")["successes"].shape == (1, 8)

    def test_takes_gymnasium_own_vector_environment(self):
        env = gymnasium.make_vec(
            "Pendulum-v1",
            num_envs=2,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        )
        vec = SB3VecEnv(env)
        vec.seed(0)
        vec.reset()
        for _ in range(200):
            observations, _, dones, infos = vec.step(np.zeros((2, 1), np.float32))
        assert dones.all()
        assert infos[1]["TimeLimit.truncated"]
        assert infos[1]["terminal_observation"].shape == (3,)
        assert not np.array_equal(infos[1]["terminal_observation"], observations[1])
        vec.close()

    def test_other_autoreset_modes_are_refused(self):
        env = gymnasium.make_vec("Pendulum-v1", num_envs=2, vectorization_mode="sync")
        with pytest.raises(ValueError, match="NEXT_STEP.*SAME_STEP"):
            SB3VecEnv(env)

    def test_frames_are_one_per_row(self):
        class PaintedEnv(PointEnv):
            render_mode = "rgb_array"

            def render(self):
                return tuple(np.full((2, 2, 3), i, np.uint8) for i in range(self.num_envs))

        vec = SB3VecEnv(PaintedEnv(4))
        assert [frame[0, 0, 0] for frame in vec.get_images()] == [0, 1, 2, 3]
        assert vec.render("rgb_array").shape == (4, 4, 3)

    def test_learns_under_stable_baselines_own_wrappers(self):
        vec = VecNormalize(VecMonitor(SB3VecEnv(PointEnv(16))))
        model = PPO("MlpPolicy", vec, n_steps=32, batch_size=128, device="cpu", seed=0)
        model.learn(1024)
        assert len(model.ep_info_buffer) > 16
        assert max(info["l"] for info in model.ep_info_buffer) == 20
        assert len(model.ep_success_buffer) > 16
        vec.training = False
        mean, _ = evaluate_policy(model, vec, n_eval_episodes=4, warn=False)
        assert np.isfinite(mean)


@pytest.mark.parametrize("make_env", [CounterEnv, PointEnv])
def test_batched_time_limits_pay_what_stable_baselines_pays(make_env, monkeypatch):
    """Through VecNormalize, with its normalised terminal observations and scaled rewards."""
    returns, calls = [], []
    for batched in (False, True):
        venv = VecNormalize(SB3VecEnv(make_env(8)), gamma=0.9)
        if batched:
            venv = BatchedTimeLimits(venv, 0.9)
        model = PPO("MlpPolicy", venv, n_steps=30, batch_size=60, gamma=0.9, device="cpu", seed=0)
        if isinstance(venv, BatchedTimeLimits):
            venv.learner = model.policy
        sizes = spy_on_values(model.policy, monkeypatch)
        _, callback = model._setup_learn(240)
        model.collect_rollouts(model.env, callback, model.rollout_buffer, 30)
        returns.append(model.rollout_buffer.returns)
        calls.append(sizes)
    np.testing.assert_allclose(returns[1], returns[0], rtol=1e-4, atol=1e-4)
    assert sum(calls[0]) == sum(calls[1]) > 8
    if make_env is CounterEnv:  # all eight rows end every third step
        assert calls == [[1] * 80 + [8], [8] * 11]


def spy_on_values(policy: Any, monkeypatch: Any) -> list[int]:
    """Returns a list that grows by the number of rows of each call of predict_values."""
    sizes, predict = [], policy.predict_values

    def spy(observations):
        sizes.append(len(observations))
        return predict(observations)

    monkeypatch.setattr(policy, "predict_values", spy)
    return sizes
