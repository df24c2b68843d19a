# SPDX-License-Identifier: Apache-2.0
"""Distillation: what the teacher sees and says, what the student remembers, and that it learns."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose

from adapters import DistillConfig, FieldError, Policy
from motrix_gym import Channel, registration
from tests.adapters.envs import PointEnv
from tests.adapters.test_privileged_value import FORCE, PLACE, SECRET, SPEED, make_env
from tests.adapters.torch_contract import assert_resumes_exactly

torch = pytest.importorskip("torch")
from adapters.distill import DistillTrainer, Student  # noqa: E402
from adapters.teacher import Teacher  # noqa: E402

CPU = torch.device("cpu")
SMALL = {
    "seed": 3,
    "num_envs": 64,
    "rollouts": 4,
    "mini_batches": 2,
    "lstm_hidden_size": 8,
    "policy_hidden_layer_sizes": (8,),
}


def make_policy(size, *, channels=(), actions=1, hidden=(7, 5), seed=0, **features):
    """A policy with random weights and statistics."""
    rng = np.random.default_rng(seed)
    sizes = [size, *hidden, actions]
    layers = [
        (rng.normal(size=(a, b)), rng.normal(size=b))
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    about = [{"name": c.name, "size": c.size, "history": c.history} for c in channels]
    return Policy(
        hidden=tuple(layers[:-1]),
        output=layers[-1],
        log_std=np.full(actions, -0.7),
        activation="elu",
        observation_mean=rng.normal(size=size),
        observation_std=rng.uniform(0.5, 2, size),
        observation_clip=2.0,
        action_low=-np.ones(actions),
        action_high=np.ones(actions),
        metadata={"observation": about} if about else {},
        **features,
    )


@pytest.fixture
def teacher_of(tmp_path):
    """Saves a policy; returns its folder."""

    def save(policy):
        policy.save(tmp_path / "teacher")
        return str(tmp_path / "teacher")

    return save


def make(env, teacher, **values):
    return DistillTrainer(env, DistillConfig(**(SMALL | {"teacher": teacher} | values)))


@pytest.mark.parametrize("squash", [False, True])
def test_a_teacher_acts_as_its_policy_does(teacher_of, squash):
    policy = make_policy(5, squash=squash)
    observations = np.random.default_rng(1).normal(0, 3, (50, 5)).astype(np.float32)
    env = make_env(PLACE, SPEED, SECRET, FORCE)
    teacher = Teacher(teacher_of(policy), env, CPU)
    assert_allclose(teacher(torch.from_numpy(observations)), policy(observations), atol=1e-5)


def test_channels_are_matched_by_name(teacher_of):
    """The teacher sees the third, privileged, channel and the first, in the other order."""
    policy = make_policy(3, channels=(SECRET, PLACE))
    env = make_env(PLACE, SPEED, SECRET, FORCE)  # entries 0 and 1; 2; 3; 4
    observations = np.random.default_rng(1).normal(0, 3, (4, 50, 5)).astype(np.float32)
    teacher = Teacher(teacher_of(policy), env, CPU)
    expected = policy(observations.reshape(-1, 5)[:, [3, 0, 1]]).reshape(4, 50, 1)
    assert_allclose(teacher(torch.from_numpy(observations)), expected, atol=1e-5)
    mean, std = teacher.statistics
    assert_allclose(mean[[3, 0, 1]], policy.observation_mean)
    assert_allclose((mean[[2, 4]], std[[2, 4]]), [[0, 0], [1, 1]])


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (make_policy(3, channels=(PLACE, Channel("smell", "1", 1, None))), "no channel 'smell'$"),
        (make_policy(2, channels=(SPEED, SECRET)), "'secret' without privileged_teacher=True"),
        (make_policy(2, channels=(Channel("place", "m", 2, None),)), r"\(2, 1\) .* and \(1, 2\)"),
        (make_policy(4), "sees 4 observations, the task has 3"),
        (make_policy(3, actions=2), "has 2 actions, the task 1"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(teacher_of, policy, message):
    with pytest.raises(FieldError, match=message) as error:
        make(make_env(privileged=False), teacher_of(policy))
    assert error.value.field == "teacher"


def test_a_teacher_must_be_there(tmp_path):
    with pytest.raises(FieldError, match="needs a policy to imitate, --teacher"):
        make(make_env(privileged=False), None)
    with pytest.raises(FieldError, match="not a folder with policy.json"):
        make(make_env(privileged=False), str(tmp_path))


def test_a_teacher_with_a_memory_is_refused(teacher_of):
    lstm = ((np.zeros((3, 12)), np.zeros((3, 12)), np.zeros(12)),)
    policy = make_policy(3, lstm=lstm, hidden=())
    with pytest.raises(FieldError, match="has an LSTM"):
        make(make_env(privileged=False), teacher_of(policy))


def test_privileged_channels_need_the_setting_and_a_task_that_has_them(teacher_of):
    folder = teacher_of(make_policy(5))
    with pytest.raises(ValueError, match="secret, force.* or set privileged_teacher=True"):
        make(make_env(), folder)
    with pytest.raises(FieldError, match="privileged_teacher=True: .* has no privileged channel"):
        make(make_env(PLACE, SPEED), folder, privileged_teacher=True)


@pytest.mark.parametrize("lstm", [0, 8])
def test_the_portable_student_acts_like_the_student(teacher_of, lstm):
    """Over several rollouts, with episodes of three steps between which nothing is remembered."""
    trainer = make(
        make_env(),
        teacher_of(make_policy(5)),
        privileged_teacher=True,
        lstm_hidden_size=lstm,
        learning_rate=1e-2,
    )
    for _ in range(20):  # so that the actions are large
        trainer.update()
    rng = np.random.default_rng(0)
    observations = rng.normal(0, 3, (6, 10, 5)).astype(np.float32)
    starts = rng.random((6, 10)) < 0.3
    starts[0] = True
    act = trainer.policy().actor()
    found = [act(x[:, :3], s) for x, s in zip(observations, starts, strict=True)]
    network: Student = trainer.network
    with torch.no_grad():
        inputs = trainer._inputs(torch.from_numpy(observations))
        means, _ = network(inputs, network.no_memory(10), torch.from_numpy(starts))
    assert_allclose(found, means.clamp(-1, 1), atol=1e-5)
    assert np.abs(found).max() > 0.05


def test_a_student_remembers_what_its_teacher_sees(teacher_of):
    """The teacher's action is the first place of the episode, which the student sees only then.

    Without memory the best guess at the later steps is a constant, whose error is that variance.
    """
    first = Channel("first", "m", 1, lambda v: v.first, privileged=True)
    shown = Channel("shown", "m", 1, lambda v: np.where(v.age == 0, v.first, 0.0))
    age = Channel("age", "1", 1, lambda v: v.age.astype(float))

    class Recall(type(make_env().task)):
        """Shows a number at the first of three steps."""

        def buffers(self):
            from motrix_gym import Buffer

            return {"first": Buffer(), "age": Buffer()}

        def reset(self, v, rng):
            super().reset(v, rng)
            v.first = rng.uniform(-1, 1)
            v.age = 0.0

        def advance(self, v, rng):
            v.age += 1.0

    identity = Policy(
        hidden=(),
        output=(np.ones((1, 1)), np.zeros(1)),
        log_std=np.zeros(1),
        activation="elu",
        observation_mean=np.zeros(1),
        observation_std=np.ones(1),
        observation_clip=np.inf,
        action_low=-np.ones(1),
        action_high=np.ones(1),
        metadata={"observation": [{"name": "first", "size": 1}]},
    )
    errors = {}
    for size in (0, 16):
        trainer = make(
            make_env(shown, age, first, task=Recall),
            teacher_of(identity),
            privileged_teacher=True,
            lstm_hidden_size=size,
            rollouts=6,
            learning_epochs=4,
            learning_rate=1e-2,
        )
        errors[size] = [trainer.update()["Loss / Imitation loss"] for _ in range(80)][-1]
    # Two of three steps show nothing, and the variance of U(-1, 1) is 1/3.
    assert errors[0] == pytest.approx(2 / 9, rel=0.3)
    assert errors[16] < errors[0] / 10


@pytest.mark.parametrize("lstm", [0, 8])
def test_a_student_comes_to_act_like_its_teacher(teacher_of, lstm):
    trainer = make(
        PointEnv(64),
        teacher_of(make_policy(4, actions=2)),
        lstm_hidden_size=lstm,
        learning_rate=3e-3,
    )
    losses = [trainer.update()["Loss / Imitation loss"] for _ in range(120)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 4
    assert_allclose(trainer.policy().log_std, -0.7)


def test_a_resumed_distillation_equals_an_uninterrupted_one(teacher_of):
    folder = teacher_of(make_policy(4, actions=2))
    make_one = functools.partial(lambda env=None, **v: make(env or PointEnv(64), folder, **v))
    assert_resumes_exactly(make_one, 3)


def test_a_teacher_that_changed_is_noticed(teacher_of):
    trainer = make(make_env(privileged=False), teacher_of(make_policy(3)))
    trainer.update()
    state = trainer.state()
    other = make(make_env(privileged=False), teacher_of(make_policy(3, seed=1)))
    with pytest.raises(ValueError, match="the teacher .* has changed"):
        other.restore(state)


def test_mini_batches_divide_the_environments():
    with pytest.raises(FieldError, match="mini_batches=3 does not divide num_envs=64.* is 2"):
        DistillConfig(**(SMALL | {"mini_batches": 3}))


def test_the_seeing_and_the_blind_task_of_stairs_have_the_same_channels():
    """So that a policy of the one can teach the other."""
    seeing = registration.make_task("Motrix/Go1Stairs-v0").observation
    blind = registration.make_task("Motrix/Go1StairsBlind-v0").observation
    assert [c.name for c in seeing] == [c.name for c in blind]
