# SPDX-License-Identifier: Apache-2.0
"""Tables of an evaluation: by the values of figures (--by), and under changed physics."""

import json

import numpy as np
import pytest
from fakes import make_evaluation, make_policy

from motrix_gym import Goal, registration
from rl_zoo import evaluation
from rl_zoo.__main__ import main as motrix
from rl_zoo.errors import UNMET, UsageError
from rl_zoo.evaluation import evaluate_policy
from rl_zoo.groups import MOST, as_table, groups

CARTPOLE, GO1 = "Motrix/CartPole-v0", "Motrix/Go1-v0"
SHORT = "env.max_episode_steps=5"


def make_result(**figures):
    """Of a task with the rate `fall`, the words up and down for `kind`, and a goal."""
    words = {"kind": ("up", "down")}
    return make_evaluation([Goal("speed", ">=", 1)], {"fall"}, words, **figures)


def as_json(settings):
    return json.loads(json.dumps(dict(settings)))


def test_groups_share_the_values_of_their_figures():
    result = make_result(
        kind=[1, 0, 1, 1],
        rise=[0.1, 0.1, 0.1 + 1e-9, 0.2],
        fall=[1, 0, 0, 1],
        speed=[1, 2, 3, 5],
        **{"return": [0] * 4},
    )
    found = groups(result, ["kind", "rise"])
    assert [entry["group"] for entry in found] == [
        {"kind": "up", "rise": 0.1},
        {"kind": "down", "rise": 0.1},
        {"kind": "down", "rise": 0.2},
    ]
    assert [entry["episodes"] for entry in found] == [1, 2, 1]
    assert [entry["figures"]["fall"]["mean"] for entry in found] == [0, 0.5, 1]
    assert [entry["figures"]["speed"]["mean"] for entry in found] == [2, 2, 5]
    # Wilson's interval of one of two: 0.5 +- z sqrt(2 / 4 + z^2 / 4) / (2 + z^2) with z = 1.96.
    fall = found[1]["figures"]["fall"]
    assert (fall["low"], fall["high"]) == pytest.approx((0.0945, 0.9055), abs=1e-4)
    lines = as_table(found).splitlines()
    assert lines[0].split() == ["kind", "rise", "episodes", "fall", "speed"]
    assert lines[2].startswith("down  0.1          2  0.5 [0.09")


def test_too_many_groups_are_no_table():
    many = np.arange(MOST + 1)
    result = make_result(kind=many, **{"return": many})
    with pytest.raises(UsageError, match=f"{MOST + 1} groups, at most {MOST}"):
        groups(result, ["return"])


def test_the_table_is_printed_and_written(here, capsys):
    options = ["evaluate", "--env", CARTPOLE, "--set", SHORT, "--episodes", "4"]
    assert motrix([*options, "--by", "length", "--json", "x.json"]) == UNMET
    assert "length  episodes" in capsys.readouterr().out
    written = json.loads((here / "x.json").read_text())["groups"]
    assert [(entry["group"], entry["episodes"]) for entry in written] == [({"length": 5.0}, 4)]


def test_a_wrong_figure_is_refused_before_any_episode_is_over(monkeypatch):
    steps = []
    make_env = evaluation.make_env

    def counted(*args, **options):
        env = make_env(*args, **options)
        step = env.step
        monkeypatch.setattr(env, "step", lambda actions: steps.append(1) or step(actions))
        return env

    monkeypatch.setattr(evaluation, "make_env", counted)
    with pytest.raises(UsageError, match=r"no figure 'lenght' to group by.* 'length'.*there are: "):
        evaluate_policy(CARTPOLE, make_policy(np.zeros((4, 1))), episodes=2, by=["lenght"])
    assert len(steps) == 1


def test_robustness_evaluates_each_change_that_the_task_names(here, capsys):
    options = ["--policy", "pretrained", "--env", GO1, "--set", SHORT, "--episodes", "2"]
    status = motrix(["evaluate", *options, "--robustness", "--json", "x.json"])
    printed = capsys.readouterr().out
    written = json.loads((here / "x.json").read_text())
    changes = as_json(registration.make_task(GO1).changes)
    assert list(written) == ["as it is", *changes]
    assert status in (0, UNMET)
    for label, settings in changes.items():
        assert f"\n{label}" in printed
        assert written[label]["env_config"] == settings | {"max_episode_steps": 5}
    returns = {round(entry["figures"]["return"]["mean"], 6) for entry in written.values()}
    # A push after 5 steps is none, and a delay may show after that; all else shows at once.
    assert len(returns) > len(written) / 2


def test_randomize_takes_the_ranges_of_the_task_and_can_be_overridden(here):
    options = ["--policy", "pretrained", "--env", GO1, "--episodes", "2"]
    settings = ["--set", SHORT, "env.randomization.mass=[1,1]"]
    motrix(["evaluate", *options, *settings, "--randomize", "--json", "x.json"])
    found = json.loads((here / "x.json").read_text())["env_config"]
    declared = as_json(registration.make_task(GO1).randomized)
    assert found == declared | {"randomization.mass": [1, 1], "max_episode_steps": 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--robustness"], "--robustness: the task of Motrix/CartPole-v0 names no changes"),
        (["--randomize"], "--randomize: the task of Motrix/CartPole-v0 names no physics"),
        (["--robustness", "--by", "length"], "--robustness has a table of its own"),
    ],
)
def test_what_cannot_be_is_told(here, capsys, options, message):
    assert motrix(["evaluate", "--env", CARTPOLE, "--policy", "pretrained", *options]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
