# SPDX-License-Identifier: Apache-2.0
"""The table of environments: ids, settings, and messages for what does not exist."""

import dataclasses
import pickle
from functools import partial

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import motrix_gym
from motrix_gym import Buffer, Channel, Goal, Task, TaskConfig, registration
from motrix_gym.registration import UnknownEnvironmentError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PushConfig(TaskConfig):
    control_timestep: float = 0.02
    physics_timestep: float = 0.01
    strength: float = 2.0
    reward_weights: dict = dataclasses.field(default_factory=lambda: {"far": 1.0, "slow": -0.5})


class Push(Task):
    """A box on a rail, with most of what a task can have."""

    config: PushConfig

    def build_model(self):
        return mujoco.MjModel.from_xml_string(
            """<mujoco><worldbody><body name="box"><joint name="rail" type="slide" axis="1 0 0"/>
            <geom size=".1" mass="1"/></body></worldbody>
            <actuator><motor name="push" joint="rail"/></actuator></mujoco>"""
        )

    def buffers(self):
        return {"pushes": Buffer((), np.int64, 3)}

    def reset(self, v, rng):
        v.joint("rail").qpos = rng.uniform(-0.1, 0.1, 1)

    def act(self, v, action):
        v.pushes += 1
        v.actuator("push").ctrl = self.config.strength * action[:, 0]

    def rewards(self, v):
        return {"far": v.joint("rail").qpos[:, 0], "slow": abs(v.joint("rail").qvel[:, 0])}

    def success(self, v):
        return v.joint("rail").qpos[:, 0] > 0.12

    def observation_channels(self):
        return [
            Channel("place", "m", 1, lambda v: v.qpos[:, 0]),
            Channel("pushes", "1", 1, lambda v: v.pushes, noise=0.1),
        ]


@pytest.fixture
def registered():
    """Register a task; forget it in the end."""
    ids = []

    def register(env_id, *args, **kwargs):
        motrix_gym.register_task(env_id, *args, **kwargs)
        ids.append(env_id)

    yield register
    for env_id in ids:
        del gymnasium.registry[env_id], registration._entries[env_id]


def test_the_suite_is_listed():
    assert {"Motrix/CartPole-v0", "Motrix/Go1-v0"} <= set(motrix_gym.list_envs())
    assert motrix_gym.list_envs() == sorted(motrix_gym.list_envs())
    for env_id in motrix_gym.list_envs():
        assert env_id in gymnasium.registry


def test_a_users_task_works_everywhere(registered, tmp_path):
    yaml = tmp_path / "push.yaml"
    yaml.write_text("ppo: {}\n")
    registered(
        "Mine/Push-v0", Push, PushConfig(), goals=[Goal("return", ">=", 5)], hyperparams=yaml
    )
    assert "Mine/Push-v0" in motrix_gym.list_envs()
    assert registration.hyperparams("Mine/Push-v0") == yaml
    assert registration.hyperparams("Motrix/CartPole-v0") is None
    assert gymnasium.spec("Mine/Push-v0").reward_threshold == 5
    env = gymnasium.make_vec("Mine/Push-v0", num_envs=4, strength=4.0, observation_noise=1.0)
    motrix_gym.check_vector_env(env, steps=60)
    assert env.unwrapped.config.strength == 4.0
    observations, _ = env.reset(seed=0)
    assert observations[:, 1] == pytest.approx(3, abs=0.1)
    for _ in range(5):
        observations, _, _, _, info = env.step(np.ones((4, 1), np.float32))
    assert observations[:, 1] == pytest.approx(8, abs=0.1)
    assert info["success"].dtype == bool
    assert (info["success"] == (env.unwrapped.simulation.fields["qpos"][:, 0] > 0.12)).all()
    env.close()
    single = gymnasium.make("Mine/Push-v0")
    single.reset(seed=0)
    info = single.step(np.ones(1, np.float32))[4]
    assert info["success"] is info["is_success"] in (True, False)
    single.close()


def test_settings_are_overridden_one_by_one():
    config = PushConfig()
    changed = config.override(strength=3.0, reward_weights={"slow": 0.0})
    assert changed.strength == 3.0
    assert changed.reward_weights == {"far": 1.0, "slow": 0.0}
    assert config.reward_weights == {"far": 1.0, "slow": -0.5}
    assert changed.control_timestep == config.control_timestep


def test_reward_weights_of_an_environment_are_merged():
    env_id = "Motrix/Go1-v0"
    plain = motrix_gym.make_task(env_id).config.reward_weights
    env = gymnasium.make_vec(env_id, num_envs=2, reward_weights={"torque": -1.0})
    assert env.unwrapped.config.reward_weights == {**plain, "torque": -1.0}
    env.reset(seed=0)
    *_, info = env.step(np.zeros(env.action_space.shape, np.float32))
    force = env.unwrapped.simulation.fields["actuator_force"]
    assert info["reward_terms"]["torque"] == pytest.approx(-np.square(force).sum(1))
    env.close()


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"max_episode_step": 3}, TypeError, "did you mean 'max_episode_steps'"),
        (
            {"max_angel": 3},
            TypeError,
            "unexpected keyword argument 'max_angel': did you mean 'max_angle'",
        ),
        ({"num_thread": 3}, TypeError, "did you mean 'num_threads'"),
        ({"autoreset": "SAME_STEP"}, TypeError, "did you mean 'autoreset_mode'"),
        (
            {"colour": "red"},
            TypeError,
            "got an unexpected keyword argument 'colour' .*settings: .*max_angle",
        ),
        (
            {"reward_weights": {"live": 1.0}},
            ValueError,
            "reward_weights.live: no setting 'live'.*alive",
        ),
        ({"max_episode_steps": 0}, ValueError, "max_episode_steps must be .* >= 1, got 0"),
        ({"control_timestep": 0.015}, ValueError, "not a whole multiple.*ratio 1.5"),
        (
            {"control_timestep": -0.01},
            ValueError,
            "control_timestep must be .* >= 1e-06, .*got -0.01",
        ),
        ({"observation_noise": -1.0}, ValueError, "observation_noise must be .* >= 0, got -1"),
        ({"max_angle": np.nan}, ValueError, "max_angle must be .* > 0, got nan"),
        (
            {"reward_weights": {"alive": np.nan}},
            ValueError,
            "must be finite numbers by name",
        ),
        *(
            ({"num_threads": wrong}, ValueError, f"num_threads must be .* 0 to 1024, got {said}")
            for wrong, said in {
                -1: "-1",
                1025: "1025",
                2**31: 2**31,
                "x": "'x'",
                1.5: "1.5",
            }.items()
        ),
        *(
            ({"num_envs": wrong}, ValueError, f"num_envs must be .* from 1 to .*, got {said}")
            for wrong, said in {0: "0", "1e5": "'1e5'", 2.0: "2.0", 2**31: 2**31}.items()
        ),
        ({"num_envs": True}, ValueError, "num_envs must be an integer .*, got True"),
        ({"render_mode": "human"}, ValueError, "render_mode must be None or .*got 'human'"),
        *(
            ({"render_rows": wrong}, ValueError, "render_rows must be .*integers from 0 to 1, got ")
            for wrong in ([0, 2], [-1], [], "a", 1, [0.5], [None])
        ),
        *(
            ({"render_size": wrong}, ValueError, r"must be two integers \(width, height\)")
            for wrong in ((640,), (640, 480, 3), (640, 0), (640.0, 480), (640, 2**31), "ab", 640)
        ),
        ({"reward_weights": -1}, ValueError, "reward_weights must be finite numbers by name, got"),
        ({"reward_weights": None}, ValueError, "reward_weights must be finite numbers by name"),
        ({"autoreset_mode": "Sometimes"}, ValueError, "NEXT_STEP.*got 'Sometimes'"),
    ],
)
def test_impossible_settings_are_refused_with_what_is_allowed(kwargs, error, message):
    with pytest.raises(error, match=message) as told:
        gymnasium.make_vec("Motrix/CartPole-v0", **{"num_envs": 2} | kwargs)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("env_id", ["Motrix/CartPole-v0", "Motrix/BounceBall-v0", "Motrix/Go1-v0"])
@pytest.mark.parametrize("name", ["physics_timestep", "control_timestep"])
def test_time_steps_that_cannot_be_are_refused(env_id, name):
    """Whatever limits of its own a task gives them."""
    for wrong in (0, -0.01, np.nan, np.inf, 1e-300, 5e-324, 1e300, 10**400, "x", None):
        both = dict.fromkeys(("physics_timestep", "control_timestep"), wrong)  # their ratio is 1
        for steps in ({name: wrong}, both):
            with pytest.raises(ValueError, match="_timestep (must be|.* is not a whole multiple)"):
                motrix_gym.make_task(env_id, **steps)


@pytest.mark.parametrize("wrong", [np.nan, None, "walk"])
def test_commands_are_refused_if_they_are_none(wrong):
    with pytest.raises(ValueError, match="commands must be .*VelocityCommands, got"):
        gymnasium.make_vec("Motrix/Go1-v0", commands=wrong)


@pytest.mark.parametrize("name", ["frameskip", "num_thread", "num_envs"])
def test_unknown_keywords_are_said_in_pythons_words(name):
    """Libraries that try keywords, as torchrl does with frameskip, look for them."""
    with pytest.raises(TypeError, match=f"got an unexpected keyword argument '{name}'"):
        gymnasium.make("Motrix/CartPole-v0", **{name: 3})


@pytest.mark.parametrize("vectorization_mode", ["sync", "async"])
def test_autoreset_of_gymnasiums_own_vector_environments(vectorization_mode):
    env_id, how = "Motrix/CartPole-v0", {"vectorization_mode": vectorization_mode}
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    message = "unexpected keyword argument 'autoreset_mode': .*vector_kwargs={'autoreset_mode'"
    for make in (gymnasium.make, partial(gymnasium.make_vec, **how)):
        with pytest.raises(TypeError, match=message):
            make(env_id, **autoreset)
    env = gymnasium.make_vec(env_id, num_envs=2, vector_kwargs=autoreset, **how)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    env.close()


@pytest.mark.parametrize("wrong", ["Motrix/Goo1-v0", "Motrix/go1-v0", "Go1", "Motix/Go1-v0"])
def test_an_unknown_id_gets_the_nearest_one(wrong):
    with pytest.raises(UnknownEnvironmentError, match=r"did you mean 'Motrix/Go1-v0'\?$"):
        motrix_gym.make_task(wrong)


def test_an_id_like_no_other_gets_the_list():
    with pytest.raises(UnknownEnvironmentError, match=r"'xyzzy' \(known: .*Motrix/CartPole-v0"):
        registration.entry("xyzzy")


def test_an_id_of_an_unknown_namespace_wants_its_module():
    message = "'Mine/CartPole-v0' is not registered: import the module that registers it first"
    with pytest.raises(UnknownEnvironmentError, match=message):
        registration.entry("Mine/CartPole-v0")


def test_a_goal_of_a_misspelt_figure_is_found_when_a_task_is_made(registered):
    registered("Mine/Push-v0", Push, PushConfig(), goals=[motrix_gym.Goal("sucess", ">=", 0.9)])
    message = r"goal sucess >= 0.9 of Mine/Push-v0 names no figure \(did you mean 'success'\?\)"
    with pytest.raises(motrix_gym.TaskError, match=message):
        gymnasium.make_vec("Mine/Push-v0")


@pytest.mark.filterwarnings("ignore:.*render_mode")
def test_a_wrong_render_mode_is_told_all():
    with pytest.raises(ValueError, match="None, 'human' .* or 'rgb_array', got 'foo'"):
        gymnasium.make("Motrix/CartPole-v0", render_mode="foo")


def test_gymnasium_too_suggests_the_nearest_id():
    with pytest.raises(gymnasium.error.NameNotFound, match="Did you mean.*Go1"):
        gymnasium.make_vec("Motrix/Go11-v0")
    with pytest.raises(gymnasium.error.VersionNotFound, match="v0"):
        gymnasium.make_vec("Motrix/Go1-v99")


def test_an_id_is_registered_once_and_has_a_version(registered):
    registered("Mine/Push-v0", Push, PushConfig())
    with pytest.raises(ValueError, match="already registered"):
        motrix_gym.register_task("Mine/Push-v0", Push, PushConfig())
    with pytest.raises(ValueError, match="needs a version: Mine/Pull-v0"):
        motrix_gym.register_task("Mine/Pull", Push, PushConfig())


def test_a_missing_hyperparameter_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*nothing\.yaml"):
        motrix_gym.register_task(
            "Mine/Push-v1", Push, PushConfig(), hyperparams=tmp_path / "nothing.yaml"
        )
    assert "Mine/Push-v1" not in gymnasium.registry


def test_configurations_are_frozen_and_can_be_pickled():
    for env_id in motrix_gym.list_envs():
        config = registration.entry(env_id).config
        assert pickle.loads(pickle.dumps(config)) == config
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.max_episode_steps = 1
