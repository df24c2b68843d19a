# SPDX-License-Identifier: Apache-2.0
"""The commands with the algorithms beside PPO, on a tiny scale."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import adapters
from adapters import ALGORITHMS, DistillConfig
from rl_zoo import choice, recorder
from rl_zoo.commands import compare, evaluate, train
from rl_zoo.environments import make_env
from rl_zoo.errors import ZooError
from rl_zoo.policies import PRETRAINED
from rl_zoo.policy_search import with_policies_found
from rl_zoo.progress import EPISODES, RETURN
from rl_zoo.runs import Run
from rl_zoo.viewing.playback import Playback

pytest.importorskip("sb3_contrib")

TINY = "--num-envs 4 --num-threads 1 --eval-episodes 4 --set max_env_steps=320".split()
TINY += "check_point_interval=20 env.max_episode_steps=10".split()
SMALL = {
    "ars": "n_top=1",
    "trpo": "rollouts=4 mini_batches=2",
    "distill": "rollouts=4 mini_batches=2 lstm_hidden_size=4 teacher=CartPole-v0",
    "recurrent_ppo": "rollouts=4 mini_batches=2 learning_epochs=1 lstm_hidden_size=4",
} | dict.fromkeys(("sac", "td3", "tqc", "crossq"), "learning_starts=20 batch_size=8")


def words(algo):
    names = ("policy_hidden_layer_sizes", "value_hidden_layer_sizes")
    sizes = [f"{name}=[4]" for name in names if name in ALGORITHMS[algo].names()]
    return ["--algo", algo, *TINY, *SMALL[algo].split(), *sizes]


def only(paths):
    (path,) = paths
    return path


@pytest.mark.parametrize("algo", [name for name in ALGORITHMS if name != "ppo"])
def test_a_run_is_trained_stopped_resumed_evaluated_and_played(here, monkeypatch, capsys, algo):
    (library,) = adapters.trainers_with(algo)
    assert train.main([*words(algo), "--run-dir", "whole"]) == 0
    said = capsys.readouterr().out
    assert f"Motrix/CartPole-v0 with {library} on cpu: the only one that has it" in said
    whole = Run.open(only(Path("whole").glob("*/*")))
    assert whole.folder.name.endswith(f"_{algo}_{library}")
    assert isinstance(whole.config(), ALGORITHMS[algo])

    trainer = adapters.load_trainer(library, algo)
    update = trainer.update

    def stopping(self):
        if self.vector_steps >= 40:
            raise KeyboardInterrupt
        return update(self)

    monkeypatch.setattr(trainer, "update", stopping)
    assert train.main([*words(algo), "--run-dir", "parts"]) == 130
    monkeypatch.setattr(trainer, "update", update)
    folder = only(Path("parts").glob("*/*"))
    assert Run.open(folder).manifest()["steps"] == 160
    assert train.main(["--resume", str(folder), "--eval-episodes", "4"]) == 0
    expected, found = whole.state(), Run.open(folder).state()
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)

    assert evaluate.main(["--run", str(folder), "--episodes", "4"]) in (0, 3)
    again = ["--run", str(folder), "--episodes", "4", "--stochastic", "--json", "drawn.json"]
    assert evaluate.main(again) in (0, 3)
    assert json.loads(Path("drawn.json").read_text())["episodes"] == 4
    env = make_env("Motrix/CartPole-v0", {"max_episode_steps": 10}, 2)
    playback = Playback(env, Run.open(folder).policy().actor(), seed=0)
    for _ in range(25):
        playback.step()
    env.close()


@pytest.mark.parametrize("algo", ["sac", "ars"])
def test_compare_takes_an_algorithm(here, algo):
    """Also ARS, whose few long updates leave fewer checkpoints than a curve has otherwise."""
    settings = [*SMALL[algo].split(), "max_env_steps=160", "env.max_episode_steps=10"]
    flags = ["--algo", algo, "--seeds", "1", "--episodes", "4", "--curve-episodes", "4"]
    assert compare.main([*flags, "--set", "num_envs=4", *settings]) == 0
    text = Path("comparison/comparison.md").read_text()
    assert text.startswith(f"# Comparison of sb3: {algo}\n")
    assert only(os.listdir("runs/CartPole-v0")).endswith(f"_{algo}_sb3")
    comparison = json.loads(Path("comparison/comparison.json").read_text())
    curve = comparison["environments"][0]["runs"][0]["curve"]
    assert len(curve) == (4 if algo == "ars" else 20)


def test_short_updates_are_logged_together_and_checkpoints_hold_the_buffer(here):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train.main([*words("sac"), "--eval-episodes", "0"]) == 0
    folder = only(Path("runs").glob("*/*"))
    events = EventAccumulator(str(folder))
    events.Reload()
    for tag in ("Reward / Instantaneous reward (mean)", "Time / Steps per second"):
        assert [e.step for e in events.Scalars(tag)] == [128, 256, 320]
    assert Run.open(folder).state()["replay/rewards"].shape == (80, 4)


def test_the_score_of_a_checkpoint_is_of_updates_a_little_under_the_interval_too(
    here, fake_trainer, monkeypatch
):
    """ARS: 9 vector steps per update, a checkpoint every 20."""
    saved = []

    def save(_, steps, policy, state, score, **facts):
        saved.append((steps // 4, score))

    def on_update(trainer):
        trainer.scalars = {EPISODES: 4, RETURN: 10.0}

    monkeypatch.setattr(Run, "save_checkpoint", save)
    fake_trainer.on_update = on_update
    fake_trainer.vector_steps = property(lambda trainer: 9 * trainer.num_updates)
    assert train.main([*words("ars"), "--eval-episodes", "0"]) == 0
    assert saved == [(27, 10.0), (45, 10.0), (63, 10.0), (81, 10.0)]


def test_scalars_of_several_updates_are_means_and_extremes():
    parts = [{"a (max)": 1.0, "a (min)": 1.0, "a": 1.0}, {"a (max)": 3.0, "a (min)": 3.0, "a": 3.0}]
    parts = [part | {EPISODES: 2} for part in parts] + [{"b (mean)": 5.0}]
    expected = {"a (max)": 3.0, "a (min)": 1.0, "a": 2.0, EPISODES: 4, "b (mean)": 5.0}
    assert recorder._combined(parts) == expected


def test_a_missing_contrib_is_told_with_its_extra(here, capsys, monkeypatch):
    monkeypatch.setitem(adapters.TRAINERS["sb3"].classes, "tqc", "no_such_contrib.tqc:Trainer")
    assert train.main(words("tqc")) == 1
    assert 'pip install "motrix-gym[sb3]"' in capsys.readouterr().err
    assert not list(here.iterdir())


def test_compare_tells_a_missing_contrib_before_anything_is_trained(here, capsys, monkeypatch):
    monkeypatch.setitem(adapters.TRAINERS["sb3"].classes, "tqc", "no_such_contrib.tqc:Trainer")
    assert compare.main(["--algo", "tqc", "--seeds", "1"]) == 1
    said = capsys.readouterr()
    assert 'pip install "motrix-gym[sb3]"' in said.err and "training" not in said.out


def test_no_trainer_with_the_algorithm_is_told_with_the_extra(here, capsys, monkeypatch):
    monkeypatch.setattr(choice, "_installed", lambda *packages: "jax" in packages)
    assert train.main(words("sac")) == 1
    told = 'no trainer with sac is installed: pip install "motrix-gym[sb3]"\n'
    assert capsys.readouterr().err.endswith(told)


def test_ars_refuses_a_task_without_a_time_limit(here, capsys):
    endless = [*words("ars"), "env.max_episode_steps=null", "--eval-episodes", "0"]
    assert train.main(endless) == 1
    assert "no time limit (env.max_episode_steps=null)" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_a_changed_buffer_size_is_told_and_the_run_is_not_touched(here, capsys):
    assert train.main(words("sac")) == 0
    folder = only(Path("runs").glob("*/*"))
    settings = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(settings.replace("buffer_size: 1000000", "buffer_size: 40"))
    before = (folder / "manifest.json").read_text()
    capsys.readouterr()
    assert train.main(["--resume", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "cannot be resumed: the state's replay buffer" in error and error.count("\n") == 1
    assert (folder / "manifest.json").read_text() == before


def test_a_trainer_without_the_algorithm_is_told_who_has_it(here, capsys):
    assert train.main([*words("tqc"), "--trainer", "skrl-torch"]) == 2
    error = capsys.readouterr().err
    others = "only ppo, distill; tqc is what these have: sb3"
    assert f"trainer 'skrl-torch' has no algorithm 'tqc', {others}" in error
    assert error.count("\n") == 1 and not list(here.iterdir())


def test_a_teacher_is_a_run_a_folder_or_an_id(here):
    assert train.main([*words("distill"), "--eval-episodes", "0"]) == 0
    folder = only(Path("runs").glob("*/*"))
    shipped = PRETRAINED / "CartPole-v0"
    checkpoint = only((folder / "checkpoints").glob("*320"))
    for name, expected in {
        "CartPole-v0": shipped,
        "Motrix/CartPole-v0": shipped,
        str(folder): checkpoint,
        str(checkpoint): checkpoint,
    }.items():
        found = with_policies_found(DistillConfig(teacher=name)).teacher
        assert found == str(expected.resolve()), name
    for name in ("runs/CartPole-v1", "CartPole-v1"):
        with pytest.raises(ZooError, match="teacher=.* is neither a folder nor a shipped policy"):
            with_policies_found(DistillConfig(teacher=name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--algo distill", "teacher=None: distillation needs a policy to imitate"),
        ("--algo distill --teacher runs", "teacher='.*runs' is not a folder with policy.json"),
        ("--algo distill --teacher Go1-v0", "does not fit: it has 12 actions, the task 1"),
        ("--algo ppo --teacher Go1-v0", "--teacher needs --algo distill$"),
    ],
)
def test_a_wrong_teacher_is_told_and_leaves_no_run(here, capsys, arguments, message):
    Path("runs").mkdir()
    assert train.main([*arguments.split(), *TINY]) == 2
    assert re.match(f"error: .*{message}", capsys.readouterr().err)
    assert not list(Path("runs").glob("*"))
