# SPDX-License-Identifier: Apache-2.0
"""`motrix tune`: search spaces, studies that go on, pruning, and what a study leaves."""

import json
import sys

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from rl_zoo import config as zoo_config  # noqa: E402
from rl_zoo.__main__ import main as motrix  # noqa: E402
from rl_zoo.commands.tune import settings_in_a_line  # noqa: E402
from rl_zoo.errors import FAILED, INTERRUPTED, MISUSED  # noqa: E402
from rl_zoo.tuning import objective, space  # noqa: E402
from rl_zoo.yaml_files import ConfigError  # noqa: E402

ENV = "Motrix/CartPole-v0"
# 20 updates of 8 environments x 4 steps, episodes of 10 steps.
TINY = ["num_envs=8", "rollouts=4", "mini_batches=1", "max_env_steps=640"]
TINY += ["env.max_episode_steps=10"]
SPACE = """\
learning_rate: {from: 1.0e-5, to: 1.0e-3, log: true}
learning_epochs: {from: 1, to: 3}
policy_hidden_layer_sizes: {choices: [[8], [16, 8]]}
"""


@pytest.fixture
def tune(here, fake_trainer, monkeypatch):
    """Run `motrix tune` with a trainer that does not learn; its value is the learning rate."""
    (here / "space.yaml").write_text(SPACE)
    trained = []

    class Session(objective.Session):
        def __init__(self, plan, **options):
            trained.append(plan.config)
            super().__init__(plan, **options)

    def evaluate(self, session, episodes, purpose):
        value = session.plan.config.learning_rate + session.plan.config.seed
        return type("Result", (), {"figures": {"return": np.array([value])}})

    monkeypatch.setattr(objective, "Session", Session)
    monkeypatch.setattr(objective.Objective, "_evaluate", evaluate)

    def run(*options):
        command = ["tune", "--trainer", "sb3", "--space", "space.yaml", "--num-threads", "1"]
        return motrix([*command, *options, "--set", *TINY])

    run.trained = trained
    return run


def trials(path="tuning/CartPole-v0/study.journal", name="study"):
    backend = optuna.storages.journal.JournalFileBackend(path)
    return optuna.load_study(
        study_name=name, storage=optuna.storages.JournalStorage(backend)
    ).trials


@pytest.mark.parametrize("algo", ["ppo", "sac", "tqc"])
def test_shipped_spaces_hold_the_cart_poles_settings(algo):
    shipped = space.read(algo)
    config = zoo_config.load(ENV, algo)
    for name, entry in shipped.items():
        value = entry.low if isinstance(entry, space.Range) else entry.values[0]
        config.replace(**{name: value})  # each is allowed by itself
    if algo == "ppo":
        outside = [k for k, e in shipped.items() if e.given(getattr(config, k)) is None]
        assert outside == []


def test_a_study_finds_the_best_and_leaves_its_settings(here, tune, capsys):
    assert tune("--trials", "6", "--pruner", "none") == 0
    printed = capsys.readouterr().out
    values = [trial.value for trial in trials()]
    assert len(values) == 6 and len(set(values)) > 1
    # By construction the value is the learning rate, as it was rounded to be drawn.
    assert values == [trial.user_attrs["settings"]["learning_rate"] for trial in trials()]
    assert f"the best is trial {int(np.argmax(values))}" in printed
    assert f"train --env {ENV} --algo ppo --config tuning/CartPole-v0/study.yaml" in printed
    found = zoo_config.load(ENV, hyperparams=here / "tuning/CartPole-v0/study.yaml")
    assert found.learning_rate == max(values) and found.num_envs == 8
    assert (here / "tuning/CartPole-v0/study.png").stat().st_size > 1000
    assert list((here).glob("runs*")) == []


def test_the_first_trial_has_the_settings_as_they_are(here, tune):
    (here / "space.yaml").write_text("learning_epochs: {from: 1, to: 9}\n")
    assert tune("--trials", "1") == 0
    assert tune.trained[0].learning_epochs == zoo_config.load(ENV).learning_epochs


def test_every_trial_trains_each_seed_and_takes_the_mean(here, tune, capsys):
    assert tune("--trials", "2", "--first-seed", "1", "--seeds", "3", "--pruner", "none") == 0
    assert [config.seed for config in tune.trained] == [1, 2, 3] * 2
    for trial in trials():
        rate = trial.user_attrs["settings"]["learning_rate"]
        assert trial.value == pytest.approx(rate + 2)
        assert trial.user_attrs["values"] == pytest.approx([rate + 1, rate + 2, rate + 3])
    best = max(trials(), key=lambda trial: trial.value).user_attrs["values"]
    assert f"(by seed: {', '.join(f'{value:.6g}' for value in best)})" in capsys.readouterr().out


def test_a_study_goes_on_to_the_number_of_trials(here, tune, capsys):
    assert tune("--trials", "2") == 0
    first = [trial.params for trial in trials()]
    assert tune("--trials", "4") == 0
    assert "2 trials" in capsys.readouterr().out
    later = [trial.params for trial in trials()]
    assert later[:2] == first and len(later) == 4
    assert later[2] not in first  # draws are not repeated
    assert tune("--trials", "4") == 0 and len(trials()) == 4


def test_no_trial_begins_after_the_time(here, tune):
    assert tune("--minutes", "1e-9") == FAILED
    assert trials() == []


def test_an_interrupted_trial_is_told_as_failed(here, tune, monkeypatch):
    def interrupt(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(objective.Objective, "value", interrupt)
    assert tune("--trials", "2") == INTERRUPTED
    assert [trial.state.name for trial in trials()] == ["FAIL"]


def test_a_training_that_fails_is_kept_with_its_reason(here, tune, capsys):
    (here / "space.yaml").write_text("learning_rate: {choices: [1.0e-4, -1.0]}\n")
    assert tune("--trials", "12") == 0
    failed = [trial for trial in trials() if trial.state.name == "FAIL"]
    assert failed and all("learning_rate" in trial.user_attrs["reason"] for trial in failed)
    assert f"trial {failed[0].number}: fail (learning_rate" in capsys.readouterr().out


def test_a_trial_that_does_worse_is_pruned(here, tune, monkeypatch):
    """Returns in training fall from trial to trial; the sixth is the first that can be pruned."""
    number = [0]

    class Session(objective.Session):
        def updates(self):
            number[0] += 1
            for progress in super().updates():
                tag = objective.RETURN
                yield type(progress)(
                    progress.steps, progress.total_steps, {**progress.scalars, tag: -number[0]}
                )

    monkeypatch.setattr(objective, "Session", Session)
    assert tune("--trials", "7") == 0
    assert [trial.state.name for trial in trials()] == ["COMPLETE"] * 5 + ["PRUNED"] * 2
    assert max(trials()[6].intermediate_values) < objective.CHECKS - 1


def test_steps_to_the_threshold_need_two_checks_in_a_row():
    watch = objective.Threshold()
    for steps, met in [(1, True), (2, False), (3, True), (4, True)]:
        watch.check(met, steps, 10.0 * steps)
    assert watch.reached
    assert (watch.value("steps"), watch.value("seconds")) == (3, 30.0)
    never = objective.Threshold()
    never.check(True, 19, 190.0)
    never.whole = {"steps": 20, "seconds": 200.0}
    assert not never.reached and never.value("steps") == 40.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "a search space has lines such as"),
        ("learning_rat: {choices: [1]}", "no setting 'learning_rat'.*learning_rate"),
        ("learning_rate: 3", "must have `choices`, or `from` and `to`"),
        ("learning_rate: {from: 1}", "must have `choices`, or `from` and `to`"),
        ("rollouts: {choices: 3}", "choices must be a list, got 3"),
        ("rollouts: {choices: []}", "choices must be a list"),
        ("rollouts: {from: a, to: 3}", "`from` and `to` must be numbers, got 'a'"),
        ("rollouts: {from: 4, to: 3}", "`from` must be less than `to`, got 4 and 3"),
        ("learning_rate: {from: 0, to: 1, log: true}", "`from` above 0 must be less than `to`"),
        ("rollouts: {from: 1, to: 2, log: 3}", "log must be true or false"),
    ],
)
def test_a_wrong_space_is_told_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"space.yaml:1: .*{message}|space.yaml:1: {message}"):
        space.read("ppo", path)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--algo", "td3"], MISUSED, "there is no search space for td3 (there are ppo, sac, tqc)"),
        (["--seeds", "11"], MISUSED, "'11' is not a whole number from 1 to 10"),
        (["--first-seed", "8", "--seeds", "3"], MISUSED, "settings are tuned on the seeds 0 to 9"),
        (["--set", "rollouts=8"], MISUSED, "--set rollouts: the study draws it"),
        (["--set", "num_env=8"], MISUSED, "no setting 'num_env'"),
        (["--storage", "nonsense://x"], FAILED, "the storage nonsense://x cannot be used: "),
        (["--storage", "sqlite:////nowhere/x.db"], FAILED, "the storage sqlite:////nowhere/x.db"),
    ],
)
def test_bad_input_is_one_line(here, fake_trainer, capsys, options, status, message):
    try:
        found = motrix(["tune", "--trainer", "auto", *options])
    except SystemExit as error:
        found = error.code
    error = capsys.readouterr().err
    assert found == status and message in error
    assert "Traceback" not in error


def test_a_study_of_something_else_is_refused(here, tune, capsys):
    assert tune("--trials", "1") == 0
    capsys.readouterr()
    assert tune("--trials", "2", "--seeds", "2") == MISUSED
    error = capsys.readouterr().err
    assert "is of another seeds: [0], not [0, 1]; give another --study" in error
    assert tune("--trials", "1", "--seeds", "2", "--study", "other") == 0
    (here / "more.yaml").write_text("ppo: {entropy_loss_scale: 0.5}\n")
    capsys.readouterr()
    assert tune("--trials", "2", "--config", "more.yaml") == MISUSED
    error = capsys.readouterr().err
    assert "of another settings: {" in error and "'entropy_loss_scale': 0.5" in error
    assert "num_envs" not in error  # the same in both


def test_without_optuna_the_extra_is_named(here, capsys, monkeypatch):
    for name in [n for n in sys.modules if n.startswith("rl_zoo.tuning")]:
        monkeypatch.delitem(sys.modules, name)
    import rl_zoo.tuning as package

    for name in ("study", "report"):
        monkeypatch.delattr(package, name, raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert motrix(["tune"]) == FAILED
    assert 'pip install "motrix-gym[tune]"' in capsys.readouterr().err


def test_settings_are_shown_in_a_line():
    assert settings_in_a_line({"a": 0.00012345, "b": [8, 8]}) == "a=0.000123, b=[8, 8]"


def test_a_space_as_json_is_what_a_file_gives_back():
    given = {"a": space.Choices((1, [2])), "b": space.Range(1, 3, log=True)}
    found = space.as_json(given)
    assert found == {"a": {"values": [1, [2]]}, "b": {"low": 1, "high": 3, "log": True}}
    assert json.loads(json.dumps(found)) == found
