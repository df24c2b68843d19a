# SPDX-License-Identifier: Apache-2.0
"""`privileged_value`: the value network sees privileged channels, the policy never does."""

import json
from dataclasses import replace

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_allclose, assert_array_equal

from adapters import STOCK, TRAINERS, FieldError, PPOConfig
from adapters.sb3_config import SACConfig, TRPOConfig
from motrix_gym import Channel, MotrixVectorEnv, Task, TaskConfig, registration
from motrix_gym.observation import mirror
from rl_zoo.errors import ZooError
from rl_zoo.policies import check_fits
from tests.adapters.envs import CounterEnv
from tests.adapters.torch_contract import assert_equal_states, assert_resumes_exactly
from tests.adapters.trainers import TINY, load_or_skip

XML = """<mujoco><worldbody><body><joint name="rail" type="slide" axis="1 0 0"/>
<geom size=".1" mass="1"/></body></worldbody><actuator><motor joint="rail"/></actuator></mujoco>"""
PLACE = Channel("place", "m", 1, lambda v: v.qpos[:, 0], history=2, mirror=-1)
SPEED = Channel("speed", "m/s", 1, lambda v: v.qvel[:, 0], mirror=-1)
# Above 0, and another at the end of an episode than at the start of the next.
SECRET = Channel("secret", "m", 1, lambda v: 2 + v.qpos[:, 0], mirror=1, privileged=True)
FORCE = Channel("force", "m/s", 1, lambda v: 1 + v.qvel[:, 0], mirror=-1, privileged=True)
SEEN = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 5)).astype(np.float32)


class Slider(Task):
    """A box on a rail, at most three steps; nothing is paid."""

    def __init__(self, *channels, pays=0.0):
        self.listed = channels or (PLACE, SPEED, SECRET, FORCE)
        weights = {"place": pays}
        super().__init__(TaskConfig(reward_weights=weights, max_episode_steps=3))

    def build_model(self):
        return mujoco.MjModel.from_xml_string(XML)

    def observation_channels(self):
        return self.listed

    def action_channels(self):
        return [Channel("motor", mirror=-1)]

    def reset(self, v, rng):
        v.qpos = rng.uniform(0.5, 1, 1)
        v.qvel = rng.uniform(-1, 1, 1)

    def rewards(self, v):
        return {"place": v.qpos[:, 0] ** 2}


class WithoutMirror(Slider):
    """A slider that has no symmetry."""

    def __init__(self, *channels):
        super().__init__(*(replace(c, mirror=None) for c in (PLACE, SPEED, SECRET)))

    def action_channels(self):
        return [Channel("motor")]


def make_env(*channels, privileged=True, task=Slider, mode=AutoresetMode.SAME_STEP, **kwargs):
    return MotrixVectorEnv(
        task(*channels, **kwargs), 64, num_threads=1, privileged=privileged, autoreset_mode=mode
    )


def make(trainer_class, env=None, **values):
    settings = TINY | {"privileged_value": True, "rollouts": 8, "learning_rate": 1e-2} | values
    return trainer_class(env or make_env(pays=1.0), PPOConfig(**settings))


class Networks:
    """The network's means and values, as the library computes them, for whole observations."""

    def __init__(self, trainer):
        self.trainer = trainer

    def mean(self, observations):
        trainer = self.trainer
        if trainer.name == "skrl-jax":
            agent = trainer.agent
            inputs = {"observations": agent.observation_moments.scale.normalize(observations)}
            return np.array(agent.policy.apply(agent.learner.policy, inputs, "policy")[0])
        import torch

        from adapters.torch_networks import to_array

        if trainer.name == "skrl-torch":
            agent, tensor = trainer.agent, torch.as_tensor(observations)
            distribution, _ = agent.model.heads(agent._observation_preprocessor(tensor))
            return to_array(distribution.mean)
        inputs = torch.as_tensor(trainer.normalizer.normalize_obs(observations))
        return to_array(trainer.learner.get_distribution(inputs).distribution.mean)

    def value(self, observations):
        trainer = self.trainer
        if trainer.name == "skrl-jax":
            agent, params = trainer.agent, trainer.agent.learner.value
            return np.array(agent.ppo.values(params, observations, agent.observation_moments.scale))
        import torch

        from adapters.torch_networks import to_array

        if trainer.name == "skrl-torch":
            return to_array(trainer.agent.predict_values(torch.as_tensor(observations)))[:, 0]
        inputs = torch.as_tensor(trainer.normalizer.normalize_obs(observations))
        return to_array(trainer.learner.predict_values(inputs))[:, 0]

    def set_value_to_entry(self, entry):
        """Make the value that entry of an observation, where it is positive."""
        trainer = self.trainer
        if trainer.name == "skrl-jax":
            agent = trainer.agent
            width = agent.observation_space.shape[0]
            hidden = {"kernel": np.eye(width, dtype=np.float32)[:, [entry]], "bias": np.zeros(1)}
            output = {"kernel": np.ones((1, 1)), "bias": np.zeros(1)}
            params = {"params": {"hidden_0": hidden, "output": output}}
            agent.learner = agent.learner._replace(value=params)
            return
        parameters = dict(trainer.network.named_parameters())
        names = {
            "skrl-torch": ("trunks.1.0", "value_head"),
            "sb3": ("mlp_extractor.value_net.0", "value_net"),
        }[trainer.name]
        for name in names:
            parameters[f"{name}.weight"].data.fill_(1.0)
            parameters[f"{name}.bias"].data.zero_()
        hidden = parameters[f"{names[0]}.weight"].data
        hidden.zero_()
        hidden[:, entry] = 1.0

    def paid(self, discount):
        """What the rows were paid in the steps collected last, (T, N)."""
        trainer = self.trainer
        if trainer.name == "skrl-jax":
            rollout, _ = trainer.agent.targets()
            limited = np.array(rollout["limited"])
            return rollout["rewards"] + discount * limited * rollout["final_values"]
        if trainer.name == "skrl-torch":
            return trainer.agent.memory.get_tensor_by_name("rewards")[:, :, 0]
        return trainer.model.rollout_buffer.rewards

    def normalizer_mean(self):
        """(obs,) of whole observations."""
        trainer = self.trainer
        if trainer.name == "skrl-jax":
            return trainer.agent.observation_moments.mean
        if trainer.name == "skrl-torch":
            return trainer.agent._observation_preprocessor.get_buffer("running_mean").numpy()
        return trainer.normalizer.obs_rms.mean


def test_the_policy_does_not_depend_on_privileged_entries_and_the_value_does(trainer_class):
    trainer = make(trainer_class)
    trainer.update()
    networks, other = Networks(trainer), SEEN.copy()
    other[:, 3:] += 0.3
    assert_array_equal(networks.mean(other), networks.mean(SEEN))
    assert (networks.value(other) != networks.value(SEEN)).mean() > 0.5
    other = SEEN.copy()
    other[:, 2] += 0.3
    assert (networks.mean(other) != networks.mean(SEEN)).mean() > 0.5


@pytest.mark.parametrize("normalize", [True, False])
def test_the_portable_policy_is_the_network_on_the_first_entries(trainer_class, normalize):
    trainer = make(trainer_class, normalize_observations=normalize)
    for _ in range(2):
        trainer.update()
    policy = trainer.policy()
    assert policy.observation_size == trainer.policy_width == 3
    assert_allclose(policy.mean(SEEN[:, :3]), Networks(trainer).mean(SEEN), atol=1e-5)


def test_a_policy_has_no_trace_of_privileged_channels(trainer_class):
    policy = make(trainer_class).policy()
    assert not any(5 in array.shape for array in policy.arrays().values())
    text = json.dumps(policy.metadata)
    assert "secret" not in text and "force" not in text
    sizes = [(c["name"], c["size"], c.get("history", 1)) for c in policy.metadata["observation"]]
    assert sizes == [("place", 1, 2), ("speed", 1, 1)]


def test_a_time_limit_is_paid_by_the_whole_final_observation(trainer_class):
    finals, env = [], make_env()
    step = env.step

    def watched(actions):
        result = step(actions)
        final = np.zeros((64, 5), np.float32)
        info = result[-1]
        if "final_obs" in info:
            final[info["_final_obs"]] = np.stack(info["final_obs"][info["_final_obs"]])
        finals.append(final)
        return result

    env.step = watched
    trainer = make(
        trainer_class,
        env,
        discount_factor=0.9,
        value_hidden_layer_sizes=(1,),
        activation="relu",
        normalize_observations=False,
        normalize_values=False,
    )
    networks = Networks(trainer)
    networks.set_value_to_entry(3)
    trainer._collect()
    secrets = np.stack(finals)[:, :, 3]
    assert (secrets[[2, 5]] > 1).all() and not secrets[[0, 1, 3, 4, 6, 7]].any()
    assert_allclose(networks.paid(0.9), 0.9 * secrets, rtol=1e-5)


def test_a_resumed_run_goes_on_exactly(trainer_class):
    assert_resumes_exactly(lambda seed=3: make(trainer_class, seed=seed), updates=2)


def test_the_mirror_covers_privileged_channels(trainer_class):
    trainer = make(trainer_class, symmetry_augmentation=True)
    task = trainer.env.unwrapped.task
    assert trainer.mirror == mirror([PLACE, SPEED, SECRET, FORCE], task.action)
    for _ in range(2):
        assert np.isfinite(list(trainer.update().values())).all()
    mean = Networks(trainer).normalizer_mean()
    assert_allclose(mean[[0, 1, 2, 4]], 0.0, atol=2e-3)  # by its sign, -1; one first sample of sb3
    assert mean[3] > 2.0
    assert_allclose(trainer.policy().observation_mean, 0.0, atol=2e-3)


def test_off_a_task_with_privileged_channels_trains_as_one_without(trainer_class):
    states = []
    for channels in ((PLACE, SPEED), (PLACE, SPEED, SECRET, FORCE)):
        env = make_env(*channels, privileged=False, pays=1.0)
        trainer = make(trainer_class, env, privileged_value=False)
        trainer.update()
        assert trainer.policy_width == 3
        states.append(trainer.policy().arrays())
    assert_equal_states(*states)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (lambda: make_env(PLACE), r"MotrixVectorEnv has no privileged channel .*leave it at False"),
        (
            lambda: make_env(privileged=False),
            r"MotrixVectorEnv was made without its privileged channels \(secret, force\): .*d=True",
        ),
        (lambda: CounterEnv(64), "CounterEnv has no privileged channel"),
    ],
)
def test_without_privileged_channels_it_is_refused(trainer_class, env, message):
    with pytest.raises(FieldError, match=f"^privileged_value=True: {message}") as e:
        make(trainer_class, env())
    assert e.value.field == "privileged_value"


def test_privileged_channels_that_are_not_asked_for_are_refused(trainer_class):
    message = "hold the privileged channels secret, force, which .*, or set privileged_value=True"
    with pytest.raises(ValueError, match=message):
        make(trainer_class, privileged_value=False)


@pytest.mark.parametrize("config", [TRPOConfig, SACConfig])
def test_no_other_algorithm_shows_its_policy_privileged_channels(config):
    trainer_class = load_or_skip("sb3", config.algo)
    assert not hasattr(config, "privileged_value")
    with pytest.raises(ValueError, match="must not see: make the environment without [^,]*$"):
        trainer_class(make_env(), config(seed=0, num_envs=64))


def test_layers_that_policy_and_value_share_are_refused():
    with pytest.raises(FieldError, match="needs share_policy_value_features=False") as e:
        PPOConfig(privileged_value=True, share_policy_value_features=True)
    assert e.value.field == "privileged_value"
    PPOConfig(privileged_value=True, value_hidden_layer_sizes=(8,))  # these share nothing


@pytest.mark.parametrize("stock", STOCK)
def test_the_libraries_own_loops_refuse_it(stock):
    trainer_class = load_or_skip(stock)
    env = make_env(mode=trainer_class.autoreset_mode)
    with pytest.raises(FieldError, match=f"{stock}, the library's own loop, .* train with"):
        make(trainer_class, env)


def test_a_mirror_without_the_privileged_channels_is_refused(trainer_class):
    env = make_env(PLACE, replace(SECRET, mirror=None))
    with pytest.raises(FieldError, match="MotrixVectorEnv: channel 'secret' has no mirror"):
        make(trainer_class, env, symmetry_augmentation=True)
    with pytest.raises(FieldError, match="MotrixVectorEnv has no mirror"):
        make(trainer_class, make_env(task=WithoutMirror), symmetry_augmentation=True)


def test_a_policy_is_not_played_on_whole_observations():
    policy = make(load_or_skip("skrl-torch")).policy()
    check_fits(policy, make_env(privileged=False), "Mine/Slider-v0")
    with pytest.raises(ZooError, match="Mine/Slider-v0 hold the privileged channels secre"):
        check_fits(policy, make_env(), "Mine/Slider-v0")


def test_the_command_makes_the_environment_for_it(tmp_path, monkeypatch, capsys):
    from rl_zoo.commands import train

    load_or_skip("skrl-torch")
    monkeypatch.chdir(tmp_path)
    registration.register_task("Mine/Secretive-v0", lambda config: Slider(pays=1.0), TaskConfig())
    settings = "rollouts=4 mini_batches=1 max_env_steps=64 privileged_value=true"
    settings += " share_policy_value_features=false"
    command = "--env Mine/Secretive-v0 --num-envs 8 --num-threads 1 --trainer skrl-torch"
    try:
        arguments = [*command.split(), "--eval-episodes", "4", "--set", *settings.split()]
        assert train.main(arguments) == 0
    finally:
        gymnasium.registry.pop("Mine/Secretive-v0")
        registration._entries.pop("Mine/Secretive-v0")
    assert "observation 3 and 2 privileged, action 1" in capsys.readouterr().out


# initial_policy, by the names of channels.

LATE = Channel("late", "m", 2, lambda v: np.repeat(v.qpos, 2, axis=1), delay=1, mirror=1)


@pytest.fixture(params=TRAINERS)
def trained(request, tmp_path):
    """A trainer's class, a policy of place and speed, and its folder."""
    trainer_class = load_or_skip(request.param)
    trainer = make(trainer_class)
    trainer.update()
    trainer.policy().save(tmp_path)
    return trainer_class, trainer.policy(), str(tmp_path)


@pytest.mark.parametrize("privileged", [True, False])
def test_channels_are_found_by_their_names(trained, privileged):
    trainer_class, policy, folder = trained
    env = make_env(SPEED, LATE, PLACE, SECRET, pays=1.0, privileged=privileged)
    trainer = make(trainer_class, env, privileged_value=privileged, initial_policy=folder)
    first = trainer.policy()
    assert first.observation_size == 5
    place, speed, late = SEEN[:, :2], SEEN[:, 2:3], SEEN[:, 3:]
    seen = np.concatenate([speed, late, place], axis=1)
    assert_allclose(first.mean(seen), policy.mean(SEEN[:, :3]), atol=1e-5)
    assert not first.hidden[0][0][1:3].any()
    trainer.update()
    assert trainer.policy().hidden[0][0][1:3].any()  # they are learned from


def test_statistics_of_new_channels_start_anew(trained):
    trainer_class, policy, folder = trained
    env = make_env(SPEED, LATE, PLACE, SECRET, pays=1.0)

    def make_trainer(seed=0):
        # A run goes on without the policy that it started from.
        return make(trainer_class, env, seed=seed, initial_policy=None if seed else folder)

    trainer = make_trainer()
    trainer.update()
    after = trainer.policy()
    # The box starts from 0.5 to 1 and moves by at most 1 m/s for less than 0.1 s.
    assert ((0.5 < after.observation_mean[1:3]) & (after.observation_mean[1:3] < 1)).all()
    assert (after.observation_std[1:3] < 0.3).all()
    speed, place = after.observation_mean[0], after.observation_mean[3:]
    moved = abs(np.array([*place, speed]) - policy.observation_mean)
    assert (moved < 0.01 * policy.observation_std).all()  # the others hardly change
    counts = [array for name, array in trainer.state().items() if name.endswith("count")]
    counts = next(array for array in counts if array.shape == (6,))
    # LATE is new, and SECRET, which the value alone sees.
    new = np.array([False, True, True, False, False, True])
    assert (counts[new] < 1e4).all() and (counts[~new] > 1e6).all()
    assert_resumes_exactly(make_trainer, updates=1)


def test_channels_that_are_gone_are_named(trained):
    trainer_class, _, folder = trained
    with pytest.raises(FieldError, match="this training's task has no channel 'place'$") as e:
        make(trainer_class, make_env(SPEED, LATE, SECRET), initial_policy=folder)
    assert e.value.field == "initial_policy"
    with pytest.raises(FieldError, match="no channel 'place', 'speed'$"):
        make(trainer_class, make_env(LATE, SECRET), initial_policy=folder)


def test_a_channel_of_another_form_is_named(trained):
    trainer_class, _, folder = trained
    env = make_env(replace(PLACE, history=3), SPEED, SECRET)
    with pytest.raises(FieldError, match=r"'place' has \(size, history\) \(1, 2\) .* \(1, 3\) in"):
        make(trainer_class, env, initial_policy=folder)


@pytest.mark.parametrize("about", [None, [], [{"name": "place", "size": 3.0}], ["place"], [{}]])
def test_a_policy_that_names_no_channels_must_fit_exactly(trained, tmp_path, about):
    trainer_class, policy, _ = trained
    replace(policy, metadata={"observation": about}).save(tmp_path)
    folder = str(tmp_path)
    first = make(trainer_class, initial_policy=folder).policy()
    assert_allclose(first.mean(SEEN[:, :3]), policy.mean(SEEN[:, :3]), atol=1e-5)
    env = make_env(PLACE, SPEED, LATE, SECRET)
    with pytest.raises(FieldError, match="observations is 3 in the policy and 5 in this training"):
        make(trainer_class, env, initial_policy=folder)
