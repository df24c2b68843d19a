# SPDX-License-Identifier: Apache-2.0
"""Evaluation: which episodes count, intervals, goals, and `motrix evaluate`."""

import dataclasses
import json
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from fakes import make_evaluation, make_policy

from adapters import PPOConfig
from adapters.seeds import first_stream
from motrix_gym import Goal, Metric, TaskError, registration
from rl_zoo import evaluation, policies
from rl_zoo.__main__ import main as motrix
from rl_zoo.errors import UNMET, ZooError
from rl_zoo.evaluation import evaluate_policy
from rl_zoo.runs import Run
from rl_zoo.statistics import summarise

ENV = "Motrix/CartPole-v0"
FALLING = make_policy(np.zeros((4, 1)))


def make_run(policy, root="runs", env_config=None):
    config = PPOConfig(seed=0, num_envs=1, rollouts=1, mini_batches=1, max_env_steps=5)
    run = Run.create(root, ENV, "sb3", config, env_config=env_config)
    run.save_checkpoint(5, policy, {"x": np.zeros(1)}, 0.0)
    run.finish("complete")
    return run


# What is measured.


def test_each_environment_contributes_its_first_whole_episodes():
    """The oracle: each environment alone, one episode after the other."""
    found = evaluate_policy(ENV, FALLING, episodes=12, num_envs=4, seed=7, num_threads=1)
    lengths = []
    for row in range(4):
        env = gymnasium.make_vec(ENV, num_envs=1, num_threads=1)
        env.reset(seed=first_stream(7, "evaluation") + row)
        for _ in range(3):
            steps, ended = 0, False
            while not ended:
                *_, terminated, truncated, _ = env.step(np.zeros((1, 1), np.float32))
                steps, ended = steps + 1, bool(terminated[0] or truncated[0])
            lengths.append(steps)
    assert len(set(lengths)) > 3
    assert sorted(found.figures["length"]) == sorted(lengths)
    assert sorted(found.figures["return"]) == sorted(lengths)  # 1 per step
    np.testing.assert_array_equal(found.figures["reward/alive"], found.figures["return"])


class ScriptedEnv:
    """Row 0 has episodes of 2 steps, row 1 of 3; every figure of step k of an episode is k."""

    num_envs = 2
    lengths = np.array([2, 3])
    task = SimpleNamespace(
        metrics={"middle": Metric("m"), "peak": Metric("m", "max"), "end": Metric("m", "last")}
    )

    def reset(self, seed):
        self.step_number = np.zeros(2, int)
        return np.zeros((2, 1), np.float32), {}

    def step(self, action):
        self.step_number += 1
        k = self.step_number.astype(float)
        ended = self.step_number == self.lengths
        metrics = {"middle": k, "peak": -k, "end": k, "_end": np.ones(2, bool)}
        info = {
            "reward_terms": {"walk": 2 * k},
            "metrics": {name: values.copy() for name, values in metrics.items()},
            "success": ended & (self.lengths == 3),
            "fault": ended & (self.lengths == 2),
        }
        self.step_number[ended] = 0
        return np.zeros((2, 1), np.float32), k.copy(), ended, np.zeros(2, bool), info


def test_steps_become_episodes_as_the_metrics_say():
    figures, faults = evaluation._play_episodes(
        ScriptedEnv(), lambda x, _: x, per_env=2, first=0, check_names=list
    )
    by_row = {  # row 0, row 1; episodes end in the order 0, 1, 0, 1
        "return": (3, 6),
        "length": (2, 3),
        "success": (0, 1),
        "middle": (1.5, 2),
        "peak": (-1, -1),
        "end": (2, 3),
        "reward/walk": (6, 12),
    }
    assert {name: tuple(values) for name, values in figures.items()} == {
        name: values * 2 for name, values in by_row.items()
    }
    assert faults == 2


def test_the_summary_of_known_numbers():
    summary = summarise(np.array([100.0, 1, 2, 3, 4, 5, 6, -50]))
    assert summary.mean == pytest.approx(71 / 8)
    assert summary.iqm == 3.5
    assert (summary.min, summary.max) == (-50, 100)
    normal = summarise(np.random.default_rng(1).normal(10, 2, 400))
    assert normal.high - normal.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.15)
    assert normal.low < normal.mean < normal.high
    assert normal == summarise(np.random.default_rng(1).normal(10, 2, 400))


def test_seed_and_stochastic_decide_all():
    def returns(**kwargs):
        result = evaluate_policy(ENV, FALLING, episodes=8, num_threads=1, **kwargs)
        return tuple(result.figures["return"])

    assert returns() == returns() != returns(seed=3)
    assert returns(stochastic=True) == returns(stochastic=True) != returns()


def test_settings_change_the_task():
    settings = {"max_episode_steps": 5, "reward_weights.alive": 2.0}
    result = evaluate_policy(ENV, FALLING, episodes=4, settings=settings)
    assert set(result.figures["return"]) == {10.0}
    assert "env.reward_weights.alive=2.0" in str(result)


def test_a_goal_is_met_by_its_whole_interval_or_on_average_only():
    goals = [Goal("return", ">=", 2), Goal("error", "<=", 0.1)]
    near = {"return": [1.0, 3.0] * 20, "error": [0.0, 0.2] * 20}  # the means are the goals'
    sure = {"return": [2.0, 3.0] * 20, "error": [0.0, 0.1] * 20}
    off = {"return": [1.0, 2.9] * 20, "error": [0.0, 0.21] * 20}
    verdicts = {}
    for name, figures in {"near": near, "sure": sure, "off": off}.items():
        evaluation = make_evaluation(goals, **figures)
        verdicts[name] = list(evaluation.verdicts.values())
        assert evaluation.solved is evaluation.as_dict()["solved"] is (name == "sure")
    assert verdicts == {
        "near": ["met on average"] * 2,
        "sure": ["met"] * 2,
        "off": ["not met"] * 2,
    }
    report = str(make_evaluation(goals, **near))
    assert "goal return >= 2: met on average, but the interval reaches below (2, 95% " in report
    assert "goal error <= 0.1: met on average, but the interval reaches above (0.1, " in report


def test_goals_that_are_met_on_average_rank_before_return():
    goals = [Goal("return", ">=", 2), Goal("error", "<=", 0.1)]
    good = make_evaluation(goals, **{"return": [1, 3], "error": [0, 0.2]})
    bad = make_evaluation(goals, **{"return": [100, 300], "error": [0, 0.3]})
    assert good.rank > bad.rank
    assert "goal error <= 0.1: not met (0.15, " in str(bad)


@pytest.mark.parametrize(
    ("falls", "episodes", "interval"),
    [
        # scipy.stats.binomtest(falls, episodes).proportion_ci(method="wilson")
        (0, 100, (0, 0.0369934982)),
        (3, 100, (0.0102545240, 0.0845193643)),
        (100, 100, (0.9630065018, 1)),
        (4, 1000, (0.0015565881, 0.0102395563)),
    ],
)
def test_the_interval_of_a_rate_is_wilsons(falls, episodes, interval):
    values = np.repeat([1.0, 0.0], [falls, episodes - falls])
    found = summarise(values, rate=True)
    assert (found.low, found.high) == pytest.approx(interval, rel=1e-6)
    assert found.mean == falls / episodes


def test_a_rate_is_what_the_task_declares_as_one_whatever_the_episodes_have():
    still = make_policy(np.zeros((35, 6)), {"env_id": "Motrix/BounceBall-v0"})
    short = {"max_episode_steps": 5}
    found = evaluate_policy("Motrix/BounceBall-v0", still, episodes=4, settings=short)
    assert set(found.figures["bounces"]) <= {0, 1}  # as of a rate, which it is not
    assert found.rates == {"dropped"} and found.as_dict()["rates"] == ["dropped"]
    assert "intervals: Wilson for dropped, else bootstrap" in str(found)
    assert "dropped (share of episodes) " in str(found) and repr(found) == str(found)


def test_success_is_a_rate(monkeypatch):
    task = registration.entry(ENV).task
    monkeypatch.setattr(task, "success", lambda self, v: np.ones(v.n, bool))
    assert evaluate_policy(ENV, FALLING, episodes=2).rates == {"success"}


def test_a_rate_with_other_values_than_0_and_1_is_refused(monkeypatch):
    metric = {"pole_angle": Metric("1", "max", rate=True)}
    monkeypatch.setattr(registration.entry(ENV).task, "metrics", metric)
    with pytest.raises(ZooError, match="pole_angle of .* is a rate, but an episode has 0."):
        evaluate_policy(ENV, FALLING, episodes=2)


def test_the_mean_over_an_episode_is_no_rate():
    with pytest.raises(ValueError, match="'max' or 'last' for a rate, got 'mean'"):
        Metric("1", rate=True)


def test_no_fall_in_a_few_episodes_does_not_meet_a_strict_goal():
    """The bootstrap's interval of no fall is [0, 0], whatever the number of episodes."""
    goal = Goal("fall", "<=", 0.01)
    for episodes, expected in ((100, "met on average"), (1000, "met")):
        figures = {"return": np.ones(episodes), "fall": np.zeros(episodes)}
        assert make_evaluation([goal], ["fall"], **figures).verdicts[goal] == expected


def test_a_single_episode_has_no_interval():
    goal = Goal("return", ">=", 1)
    evaluation = make_evaluation([goal], **{"return": [5.0]})
    assert evaluation.verdicts[goal] == "met on average"
    assert evaluation.as_dict()["figures"]["return"]["low"] is None


def test_a_result_is_json_even_if_a_figure_is_not_a_number():
    result = make_evaluation([], **{"return": [1.0], "error": [np.nan]}).as_dict()
    assert json.loads(json.dumps(result, allow_nan=False))["figures"]["error"]["mean"] is None
    assert result["figures"]["return"]["mean"] == 1.0


# The command.


def test_the_status_tells_whether_the_goals_are_met(here, balancing, capsys):
    run = make_run(balancing)
    assert motrix(["evaluate", "--episodes", "2", "--json", "copy.json"]) == 0
    result = json.loads((run.folder / "evaluation.json").read_text())
    assert result["goals"] == [{"goal": "return >= 990", "verdict": "met"}] and result["solved"]
    assert result["schema_version"] == 2
    assert json.loads((here / "copy.json").read_text()) == result
    FALLING.save("falling")
    assert motrix(["evaluate", "--policy", "falling", "--episodes", "2"]) == UNMET == 3
    output = capsys.readouterr().out
    assert f"the best policy of {run.folder}" in output
    assert "goal return >= 990: met (" in output and "goal return >= 990: not met (" in output


def test_what_is_met_on_average_only_has_the_status_of_what_is_not_met(here, balancing, capsys):
    balancing.save("balancing")
    flags = ["evaluate", "--policy", "balancing", "--episodes", "1"]
    assert motrix(flags) == UNMET
    assert "met on average, but the interval reaches below" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        motrix(["evaluate", "--help"])
    assert "met on average" in capsys.readouterr().out


def test_a_thousand_episodes_are_played_unless_told(here, episodes_asked):
    FALLING.save("falling")
    motrix(["evaluate", "--policy", "falling"])
    assert episodes_asked == [1000]


def test_the_settings_of_the_run_hold_and_can_be_overridden(here):
    run = make_run(FALLING, env_config={"max_episode_steps": 6})
    flags = ["evaluate", "--run", str(run.folder), "--episodes", "2"]

    def mean():
        figures = json.loads((run.folder / "evaluation.json").read_text())["figures"]
        return figures["return"]["mean"]

    motrix(flags)
    assert mean() == 6
    motrix([*flags, "--set", "env.max_episode_steps=7"])
    assert mean() == 7


def test_without_a_run_the_shipped_policy_is_taken_and_said(here, balancing, monkeypatch, capsys):
    monkeypatch.setattr(policies, "PRETRAINED", here / "pretrained")
    flags = ["evaluate", "--episodes", "2"]
    assert motrix(flags) == 1
    assert "train one first" in capsys.readouterr().err
    balancing.save(here / "pretrained" / "CartPole-v0")
    assert motrix(flags) == 0
    assert "the pretrained policy, as there is no run" in capsys.readouterr().out
    make_run(FALLING)
    assert motrix(flags) == 3


def test_no_learning_library_is_imported(tmp_path, python, balancing):
    balancing.save(tmp_path)
    flags = ["evaluate", "--policy", str(tmp_path), "--episodes", "1"]
    heavy = "{'torch', 'jax', 'tensorboard', 'stable_baselines3'}"
    output = python(
        "import sys; from rl_zoo.__main__ import main; "
        f"main({flags}); print({heavy} & set(sys.modules))"
    )
    assert output.splitlines()[-1] == "set()"


# Bad input.


def fails(capsys, *flags):
    status = motrix(["evaluate", *map(str, flags)])
    output = capsys.readouterr()
    assert output.err.count("\n") == 1, output.err
    return status, output.err


def test_wrong_flags_are_told(here, capsys):
    run = make_run(FALLING).folder
    assert fails(capsys, "--env", "Motrix/CartPoel-v0") == (
        2,
        "error: there is no environment 'Motrix/CartPoel-v0': did you mean 'Motrix/CartPole-v0'?\n",
    )
    error = fails(capsys, "--env", "Mine/Pole-v0")[1]
    assert "'Mine/Pole-v0' is not registered" in error and "--env MODULE:Mine/Pole-v0" in error
    assert "shared equally" in fails(capsys, "--episodes", 5, "--num-envs", 2)[1]
    assert "only settings of the task" in fails(capsys, "--set", "learning_rate=1")[1]
    assert fails(capsys, "--set", "env.max_angel=1")[0] == 2
    assert "may never end" in fails(capsys, "--set", "env.max_episode_steps=null")[1]
    assert "cannot write" in fails(capsys, "--episodes", 1, "--json", "no/folder/x.json")[1]
    with pytest.raises(SystemExit) as stop:
        motrix(["evaluate", "--run", str(run), "--policy", "x"])
    assert stop.value.code == 2


def test_episodes_are_shared_equally_or_their_neighbours_named(here, capsys):
    pairs = {1: 1, 7: 7, 101: 101, 1024: 1024, 1500: 750, 2048: 1024, 3000: 1000}
    assert {episodes: evaluation.side_by_side(episodes) for episodes in pairs} == pairs
    make_policy(np.zeros((4, 1))).save("falling")
    flags = "--policy", "falling", "--episodes", 2062
    status, error = fails(capsys, *flags)
    assert status == 2
    assert "no more than 2 environments side by side, which is slow: take 2061 or 2064" in error
    assert motrix(["evaluate", *map(str, flags), "--num-envs", "1031"]) == UNMET


def test_damaged_or_foreign_runs_and_policies_are_told(here, capsys):
    folder = make_run(FALLING).folder
    assert "not of Motrix/Go1-v0" in fails(capsys, "--run", folder, "--env", "Motrix/Go1-v0")[1]
    assert "is not a run" in fails(capsys, "--run", here)[1]
    assert f"{folder} is a run: --run {folder}" in fails(capsys, "--policy", folder)[1]
    assert "cannot be read" in fails(capsys, "--policy", here)[1]
    make_policy(np.zeros((5, 1)), {"env_id": ENV}).save("five")
    assert "turns 5 observations into 1 actions" in fails(capsys, "--policy", "five")[1]
    make_policy(np.zeros((4, 1)), {"trainer": "none"}).save("nameless")
    assert "give --env" in fails(capsys, "--policy", "nameless")[1]
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert "schema_version 2" in fails(capsys, "--run", folder)[1]


def test_a_goal_without_a_figure_is_told(monkeypatch, capsys):
    entry = dataclasses.replace(registration.entry(ENV), goals=(Goal("speed", ">=", 1),))
    monkeypatch.setitem(registration._entries, ENV, entry)
    message = "goal speed >= 1 of .* names no figure"
    with pytest.raises(TaskError, match=message):
        evaluate_policy(ENV, FALLING, episodes=1)
    assert motrix(["train", "--set", "max_env_steps=1e6"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the goal speed >= 1") and error.count("\n") == 1


def test_a_diverged_simulation_meets_no_goal():
    goals = [Goal("error", "<=", 0.2)]
    good = make_evaluation(goals, **{"return": [1.0, 1.0], "error": [0.1, 0.1]})
    assert good.solved
    diverged = dataclasses.replace(good, faults=1)
    assert list(diverged.verdicts.values()) == ["not met"]
    assert diverged.rank < good.rank


def test_the_shipped_policy_has_a_name(capsys):
    status = motrix(["evaluate", "--env", ENV, "--policy", "pretrained", "--episodes", "4"])
    assert status == 0
    assert "pretrained policy" in capsys.readouterr().out


def test_a_shipped_policy_goes_by_its_id_too(here, capsys):
    for name in ("CartPole-v0", ENV):
        assert motrix(["evaluate", "--policy", name, "--episodes", "1", "--seed", "1"]) == 3
        assert f"evaluating {name}\n{ENV}: 1 whole" in capsys.readouterr().out
    near = "there is no folder 'pretraind' (did you mean 'pretrained'?)"
    assert near in fails(capsys, "--policy", "pretraind")[1]
    assert "there is no file 'agent.pt'" in fails(capsys, "--policy", "agent.pt")[1]


def test_classes_have_no_mean():
    found = make_evaluation(
        [], words={"kind": ("flat", "rough")}, **{"return": [1, 2]}, kind=[0, 1]
    )
    assert "kind" not in str(found) and "kind" in found.as_dict()["figures"]
