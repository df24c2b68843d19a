# SPDX-License-Identifier: Apache-2.0
"""Training in stages: what is carried over, what ends a stage, and what is refused."""

import dataclasses
import os
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from fakes import FakeTrainer, make_policy
from killing import killed_at_sync

import adapters
import rl_zoo
from adapters import TRAINERS, FieldError, PPOConfig
from motrix_gym import registration
from motrix_gym.tasks.basic.cartpole import CartPole, CartPoleConfig
from motrix_gym.tasks.control.reacher import EASY, HARD, Reacher
from rl_zoo import goals
from rl_zoo.__main__ import main as motrix
from rl_zoo.commands import train
from rl_zoo.config import ConfigError
from rl_zoo.runs import Run

EASY_ID, HARD_ID, POLE_ID = "Staged/Easy-v0", "Staged/Hard-v0", "Staged/Pole-v0"
BOTH = {EASY_ID: 0.25, HARD_ID: 0.75}
SETTINGS = {"num_envs": 8, "rollouts": 4, "mini_batches": 1, "learning_epochs": 1}
SETTINGS |= {"max_env_steps": 8 * 4 * 6, "check_point_interval": 8, "normalize_observations": False}
SETTINGS |= {"policy_hidden_layer_sizes": [1], "value_hidden_layer_sizes": [1]}
STAGES = [
    {"env": EASY_ID, "goal": "length >= 1"},
    {"env": EASY_ID, "max_env_steps": 8 * 4 * 5},
    {"env": BOTH, "goal": "distance <= -1"},
]
QUIET = {"num_threads": 1, "eval_episodes": 0, "quiet": True}
TINY = SETTINGS | QUIET | {"trainer": "sb3"}


@pytest.fixture(autouse=True)
def tasks(monkeypatch):
    """Register short tasks, of which two have the same spaces; goals are measured on two rows."""
    monkeypatch.setattr(registration, "_entries", dict(registration._entries))
    monkeypatch.setattr(goals, "EPISODES", 2)
    made = {
        EASY_ID: (Reacher, dataclasses.replace(EASY, max_episode_steps=10)),
        HARD_ID: (Reacher, dataclasses.replace(HARD, max_episode_steps=15)),
        POLE_ID: (CartPole, CartPoleConfig(max_episode_steps=10)),
    }
    for env_id, (task, config) in made.items():
        registration.register_task(env_id, task, config)
    yield
    for env_id in made:
        del gymnasium.registry[env_id]


class Starting(FakeTrainer):
    """A trainer without a library that starts from a stored policy."""

    def __init__(self, env, config, *, device="cpu"):
        super().__init__(env, config, device=device)
        if self.initial_policy:
            self.weight = np.array(self.initial_policy.hidden[0][0])

    def policy(self):
        policy, actions = make_policy(self.weight, self.metadata()), self.env.action_space.shape[1]
        return dataclasses.replace(
            policy,
            hidden=(policy.output[:1] + (np.zeros(1),),),
            output=(np.ones((1, actions)), np.zeros(actions)),
            log_std=np.zeros(actions),
            action_low=-np.ones(actions),
            action_high=np.ones(actions),
        )


@pytest.fixture
def fake(monkeypatch):
    """Make every trainer's name give the trainer above."""
    monkeypatch.setattr(adapters, "load_trainer", lambda name, algo="ppo": Starting)


def stage_of(run, number):
    return Run.open(run.folder / "stages" / str(number))


# JAX compiles each stage anew, which takes seconds.
SLOW = {"skrl-jax": pytest.mark.learn}


@pytest.mark.parametrize("trainer", [pytest.param(t, marks=SLOW.get(t, ())) for t in TRAINERS])
def test_weights_and_normaliser_are_carried_over(here, capfd, trainer):
    """The second stage learns so slowly that its policy is still that of the first."""
    for library in TRAINERS[trainer].packages:
        pytest.importorskip(library)
    slow = {"env": BOTH, "learning_rate": 1e-9, "desired_kl": 0, "stagger_episodes": True}
    settings = TINY | {"trainer": trainer, "normalize_observations": True, "quiet": False}
    settings["max_env_steps"] = 8 * 4 * 4
    run = rl_zoo.train(HARD_ID, stages=[{"env": EASY_ID}, slow], **settings)
    first, last = stage_of(run, 1).policy("latest"), run.policy("latest")
    for (weight, bias), (before, offset) in zip(last.layers, first.layers, strict=True):
        np.testing.assert_allclose(weight, before, atol=1e-6)
        np.testing.assert_allclose(bias, offset, atol=1e-6)
        assert np.abs(before).max() > 1e-3
    np.testing.assert_allclose(last.observation_mean, first.observation_mean, atol=1e-3)
    assert np.abs(first.observation_mean).max() > 0.01
    assert (last.metadata["env_id"], first.metadata["env_id"]) == (HARD_ID, EASY_ID)
    printed = capfd.readouterr().out
    assert "stage 1 of 2: Staged/Easy-v0 (8 rows)\n" in printed
    assert "stage 2 of 2: Staged/Hard-v0 (6 rows), Staged/Easy-v0 (2 rows)\n" in printed
    assert re.search(r"stage 2 of 2 \| 128 steps 100%.* \| Hard-v0 return .* \| Easy-v0 r", printed)


def test_a_stage_ends_by_its_goal_or_by_its_budget(here, fake, capsys):
    run = rl_zoo.train(HARD_ID, stages=STAGES, **TINY | {"quiet": False})
    assert (run.manifest()["status"], run.manifest()["steps"]) == ("complete", 192)
    ends = [(s["envs"], s["steps"], s["ended"]) for s in run.manifest()["stages"]]
    assert ends == [([EASY_ID], 32, "goal"), ([EASY_ID], 160, "budget")]
    assert [stage_of(run, n).manifest()["status"] for n in (1, 2)] == ["complete"] * 2
    printed = capsys.readouterr().out
    assert "stage 1 of 3: Staged/Easy-v0 (8 rows), until length >= 1\n" in printed
    assert "goal length >= 1: met (10 in Staged/Easy-v0)\n" in printed
    assert "goal met: 32 steps in" in printed
    assert re.search(
        r"goal distance <= -1: not met \(0\.\d+ in Staged/Hard-v0, 0\.\d+ in St", printed
    )
    assert run.evaluate(2).env_id == HARD_ID


def test_a_whole_run_may_end_by_its_last_goal(here, fake, capsys):
    stages = [{"env": BOTH, "goal": "length >= 1"}]
    run = rl_zoo.train(HARD_ID, stages=stages, **TINY | {"quiet": False})
    printed = capsys.readouterr().out
    assert "\nStaged/Hard-v0 (6 rows), Staged/Easy-v0 (2 rows), until length >= 1\n" in printed
    assert (run.manifest()["status"], run.manifest()["steps"]) == ("complete", 32)
    assert not (run.folder / "stages").exists()
    assert rl_zoo.resume(run.folder, **QUIET).manifest()["steps"] == 32


def test_what_a_call_sets_is_set_in_every_stage(here, fake):
    settings = {k: v for k, v in TINY.items() if k in SETTINGS} | {"stages": STAGES}
    options = QUIET | {"trainer": "sb3", "hyperparams": {"ppo": settings}}
    run = rl_zoo.train(HARD_ID, max_env_steps=64, **options)
    assert [s["steps"] for s in run.manifest()["stages"]] == [32, 64]
    with pytest.raises(rl_zoo.UsageError, match="is learned in 3 stages, and this is a session of"):
        rl_zoo.session(HARD_ID, trainer="sb3", hyperparams={"ppo": settings})


# Killed and resumed.

COMMAND = ["--env", HARD_ID, "--trainer", "sb3", "--num-threads", "1", "--eval-episodes", "0"]


def only(found):
    (one,) = found
    return one


def ends_of(folder):
    """The last state of the run and of each earlier stage, and how these ended."""
    run = Run.open(folder)
    states = [r.state("latest") for r in (run, stage_of(run, 1), stage_of(run, 2))]
    return states, [(s["steps"], s["ended"]) for s in run.manifest()["stages"]]


def assert_same_ends(found, expected):
    assert found[1] == expected[1]
    for ours, theirs in zip(found[0], expected[0], strict=True):
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_run_killed_in_any_stage_goes_on_with_the_same_bits(here, fake, capsys):
    """Every eleventh moment at which something goes to disk is tried."""
    settings = rl_zoo.config.dump(PPOConfig(**SETTINGS, stages=STAGES))
    (here / "stages.yaml").write_text(settings)
    command = [*COMMAND, "--config", "stages.yaml", "--run-dir"]
    assert train.main([*command, "whole"]) == 0
    expected, killed = ends_of(only(Path("whole").glob("*/*"))), set()
    for at in range(6, 200, 11):
        root = Path(str(at))
        if not os.WIFSIGNALED(killed_at_sync(at, [*command, str(root)])):
            break
        folder = only(root.glob("*/*"))
        killed.add(len(Run.open(folder).manifest().get("stages", [])))
        assert train.main(["--resume", str(folder), "--eval-episodes", "0"]) == 0
        assert_same_ends(ends_of(folder), expected)
    assert killed == {0, 1, 2}
    assert "going on at stage 2" in capsys.readouterr().out


def test_a_library_stopped_in_the_middle_of_a_stage_goes_on_with_the_same_bits(here, monkeypatch):
    pytest.importorskip("stable_baselines3")
    whole = rl_zoo.train(HARD_ID, stages=STAGES, run_dir="whole", **TINY)
    save, saved = Run.save_checkpoint, []

    def stop(run, steps, *arguments, **facts):
        saved.append(steps)
        if len(saved) == 4:
            raise KeyboardInterrupt
        save(run, steps, *arguments, **facts)

    monkeypatch.setattr(Run, "save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        rl_zoo.train(HARD_ID, stages=STAGES, run_dir="broken", **TINY)
    broken = only(Path("broken").glob("*/*"))
    assert saved == [32, 64, 128, 160]  # the second stage has made a checkpoint, and lost another
    assert [Run.open(p).manifest()["status"] for p in (broken, broken / "stages" / "2")] == [
        "interrupted",
        "interrupted",
    ]
    rl_zoo.resume(broken, **QUIET)
    assert_same_ends(ends_of(broken), ends_of(whole.folder))


# Compared.


def test_a_comparison_counts_the_stages_before(here, fake, capsys):
    run = rl_zoo.train(HARD_ID, stages=STAGES, seed=0, keep_checkpoints=-1, **TINY)
    flags = ["--episodes", "4", "--curve-episodes", "4", "--num-threads", "1"]
    assert motrix(["compare", "--runs", str(run.folder), *flags]) == 0
    table = Path("comparison/comparison.md").read_text()
    assert (
        "Stages before, counted in steps and seconds (seed 0 of sb3): Staged/Easy-v0, 32 steps, "
        "ended by its goal; Staged/Easy-v0, 160 steps, ended by its budget." in table
    )
    assert "| 384 |" in table  # 32 + 160 + 192
    capsys.readouterr()
    stored = "comparison/comparison.json"
    assert motrix(["compare", "--from", stored, "--out", "again"]) == 0
    assert "Staged/Easy-v0, 160 steps, ended by its budget." in capsys.readouterr().out


# Refused.


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "stages must be a list of one or more entries, each with values by name, got []"),
        ([{}], "stage 1: env is missing: an id, or ids with their shares, is needed"),
        ([{"env": {}}], "stage 1: env is {}: an id"),
        ([{"env": {"A": 0.5, "B": 0.4}}], "stage 1: the shares add up to 0.9, not to 1: {'A'"),
        ([{"env": {"A": 1.5, "B": -0.5}}], "stage 1: the share of B must be a positive number"),
        ([{"env": {"A": 0.99, "B": 0.01}}], "B has a share of 0.01, which is no row of num_envs=8"),
        (
            [{"env": "A"}, {"env": "A", "lerning_rate": 1}],
            "stage 2: no setting 'lerning_rate' (did",
        ),
        ([{"env": "A", "gaol": "x"}], "stage 1: no setting 'gaol' (did you mean 'goal'?); allowed"),
        ([{"env": "A", "seed": 1}], "stage 1: seed is one for all stages: set it beside `stages`"),
        (
            [{"env": "A", "learning_rate": -1}],
            "stage 1: learning_rate must be a finite number, > 0",
        ),
        ([{"env": "A", "goal": "success"}], "stage 1: goal must be a figure and a bound, such as"),
        ([{"env": "A", "goal": "success >= high"}], "goal must be a figure and a bound, such as"),
    ],
)
def test_stages_that_are_wrong_in_themselves_are_refused(stages, message):
    with pytest.raises(FieldError, match=re.escape(message)) as e:
        PPOConfig(**SETTINGS, stages=stages)
    assert e.value.field == "stages"


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"env": "Staged/Esy-v0"}], "stage 1: there is no environment 'Staged/Esy-v0': did you"),
        ([{"env": EASY_ID}], "the last stage is of Staged/Easy-v0, and a run's policy is for its"),
        ([{"env": HARD_ID, "goal": "distanc <= 1"}], "names no figure (did you mean 'distance'?)"),
        (
            [{"env": {HARD_ID: 0.5, POLE_ID: 0.5}}],
            "has 6 entries in Staged/Hard-v0 and 4 in Staged",
        ),
        (
            [{"env": POLE_ID}, {"env": HARD_ID}],
            "stage 2 (Staged/Hard-v0) cannot go on with the policy of the stage before: this "
            "training's task has no channel 'cart_position'",
        ),
    ],
)
def test_stages_that_do_not_fit_are_refused_before_there_is_a_run(here, fake, stages, message):
    with pytest.raises(rl_zoo.UsageError, match=re.escape(message)):
        rl_zoo.train(HARD_ID, stages=stages, **TINY)
    assert not Path("runs").exists()


def test_a_mistake_in_a_file_has_its_line_and_own_loops_have_no_stages(here, capsys):
    Path("own.yaml").write_text("ppo:\n  stages: [{env: Staged/Hard-v0, rollout: 3}]\n")
    with pytest.raises(ConfigError, match="own.yaml:2: stage 1: no setting 'rollout' .did you mea"):
        rl_zoo.train(HARD_ID, hyperparams="own.yaml", **QUIET)
    text = "ppo:\n  stages: [{env: Staged/Easy-v0}, {env: Staged/Hard-v0}]\n"
    Path("own.yaml").write_text(text)
    pytest.importorskip("optuna")
    assert motrix(["tune", "--env", HARD_ID, "--config", "own.yaml"]) == 2
    assert "Staged/Hard-v0 is learned in stages, and a study is" in capsys.readouterr().err
    pytest.importorskip("stable_baselines3")
    with pytest.raises(rl_zoo.UsageError, match="stock-sb3, a library's own loop, has no stages"):
        rl_zoo.train(HARD_ID, stages=STAGES, **TINY | {"trainer": "stock-sb3"})


# Documented.


def test_the_documented_stages_train(here, fake):
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    (text,) = re.findall(r"```yaml\n(# stages\.yaml\n.*?)```", page, re.DOTALL)
    Path("stages.yaml").write_text(text)
    few = {k: v for k, v in SETTINGS.items() if k != "check_point_interval"} | {"max_env_steps": 32}
    options = QUIET | {"trainer": "sb3", "hyperparams": "stages.yaml"} | few
    run = rl_zoo.train("Motrix/ReacherHard-v0", **options)
    assert run.manifest()["status"] == "complete" and len(run.manifest()["stages"]) == 1
