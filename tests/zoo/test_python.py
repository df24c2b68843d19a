# SPDX-License-Identifier: Apache-2.0
"""Training from Python: `rl_zoo.train`, `resume` and `session`."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import rl_zoo
from adapters import PPOConfig
from rl_zoo.commands import train as command
from rl_zoo.runs import RunError, find_newest

ENV = "Motrix/CartPole-v0"
# 10 updates of 8 environments x 4 steps, a checkpoint after every other one.
SETTINGS = {"num_envs": 8, "rollouts": 4, "mini_batches": 1, "max_env_steps": 320}
SETTINGS |= {"check_point_interval": 8}
TINY = SETTINGS | {"trainer": "sb3", "num_threads": 1, "env": {"max_episode_steps": 10}}
QUIET = {"eval_episodes": 0, "quiet": True}


def test_a_policy_is_trained_measured_and_used(here, fake_trainer, capsys):
    run = rl_zoo.train(ENV, seed=3, learning_rate=1e-4, eval_episodes=4, quiet=True, **TINY)
    assert capsys.readouterr() == ("", "")
    manifest = run.manifest()
    assert (manifest["status"], manifest["steps"], manifest["seed"]) == ("complete", 320, 3)
    assert (manifest["env_config"], run.config().learning_rate) == ({"max_episode_steps": 10}, 1e-4)
    assert json.loads((run.folder / "evaluation.json").read_text())["episodes"] == 4
    evaluation = run.evaluate(episodes=2, env={"max_episode_steps": 5})
    assert "5 steps" not in str(evaluation) and "2 whole episodes" in str(evaluation)
    assert evaluation.figures["length"].tolist() == [5, 5]
    assert repr(evaluation) == str(evaluation)
    assert repr(run) == f"Run({run.folder}, complete)"
    assert repr(run.policy()) == f"Policy({ENV}, 4 -> 1)"
    actions = run.policy()(np.zeros((6, 4), np.float32))
    assert isinstance(actions, np.ndarray) and actions.shape == (6, 1)


@pytest.mark.parametrize("episodes", [0, -1, 1.5, 10**7])
@pytest.mark.parametrize("options", [{}, {"num_envs": 1}])
def test_an_evaluation_has_a_number_of_episodes(here, fake_trainer, episodes, options):
    run = rl_zoo.train(ENV, **TINY, **QUIET)
    with pytest.raises(ValueError, match="episodes must be an integer from 1 to 1000000, got"):
        run.evaluate(episodes, **options)


def test_the_manifest_has_all_settings_of_the_task(here, fake_trainer, manifest_of):
    run = rl_zoo.train(ENV, **TINY | {"env": {"reward_weights.alive": 2}}, **QUIET)
    task = manifest_of(run.folder)["task"]
    assert (task["reward_weights"], task["max_episode_steps"]) == ({"alive": 2.0}, 1000)
    assert task.keys() >= {"max_angle", "control_timestep"}


@pytest.mark.parametrize(
    "hyperparams", [PPOConfig(learning_rate=5e-4), {"ppo": {"learning_rate": 5e-4}}]
)
def test_settings_may_be_a_config_object_or_a_mapping(here, fake_trainer, hyperparams):
    run = rl_zoo.train(ENV, hyperparams=hyperparams, **TINY, **QUIET)
    assert run.config() == PPOConfig(learning_rate=5e-4, seed=0, **SETTINGS)


def test_a_session_makes_one_update_at_a_time(here, fake_trainer, capsys):
    session = rl_zoo.session(ENV, **TINY)
    seen = [(progress.steps, progress.total_steps) for progress in session]
    assert seen == [(steps, 320) for steps in range(32, 321, 32)]
    assert session.run.manifest()["status"] == "complete"
    assert capsys.readouterr() == ("", "")
    with pytest.raises(rl_zoo.ZooError, match="this session is over; resume it"):
        next(iter(session))


def test_a_progress_tells_steps_and_return(here, fake_trainer):
    lines = [str(progress) for progress in rl_zoo.session(ENV, **TINY)]
    assert lines[0] == "32 steps  10%"
    assert lines[-1] == "320 steps 100% | return 10"


@pytest.mark.parametrize("how", ["break", "error"])
def test_a_session_that_is_left_can_be_resumed_to_the_same_weights(here, fake_trainer, how):
    whole = rl_zoo.train(ENV, run_dir="whole", **TINY, **QUIET)
    session = rl_zoo.session(ENV, **TINY)

    def some():
        for progress in session:
            if progress.steps == 96 and how == "break":
                break
            assert progress.steps < 96, "an error in the loop"

    if how == "break":
        some()
    else:
        with pytest.raises(AssertionError, match="in the loop"):
            some()
    manifest = session.run.manifest()
    assert (manifest["status"], manifest["steps"]) == ("interrupted", 96)
    run = rl_zoo.resume(session.run.folder, **QUIET)
    assert run.manifest()["status"] == "complete"
    np.testing.assert_equal(run.state(), whole.state())


def test_the_command_trains_to_the_same_weights(here, fake_trainer):
    run = rl_zoo.train(ENV, run_dir="python", **TINY, **QUIET)
    texts = [f"{name}={value}" for name, value in SETTINGS.items()]
    flags = ["--trainer", "sb3", "--num-threads", "1", "--eval-episodes", "0"]
    assert command.main([*flags, "--set", *texts, "env.max_episode_steps=10"]) == 0
    there = rl_zoo.Run.open(find_newest("runs", ENV))
    np.testing.assert_equal(there.state(), run.state())
    assert there.config() == run.config()


def test_ctrl_c_ends_a_training_after_the_update_and_loses_nothing(here, fake_trainer, capsys):
    def on_update(trainer):
        if trainer.num_updates == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    fake_trainer.on_update = on_update
    with pytest.raises(KeyboardInterrupt, match="rl_zoo.resume"):
        rl_zoo.train(ENV, **TINY, **QUIET)
    assert signal.getsignal(signal.SIGINT) == before
    manifest = rl_zoo.Run.open(find_newest("runs", ENV)).manifest()
    assert (manifest["status"], manifest["latest"]["steps"]) == ("interrupted", 128)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env_id": "Motrix/CartPol-v0"}, "did you mean 'Motrix/CartPole-v0'"),
        ({"trainer": "sb4"}, "no trainer 'sb4' .did you mean 'sb3'"),
        ({"algo": "pp"}, "no algorithm 'pp' .did you mean 'ppo'"),
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"env": {"max_angl": 1}}, "did you mean 'max_angle'"),
        ({"eval_episodes": 1031, "num_envs": 8}, "take 1030 or 1032 episodes"),
    ],
)
def test_what_is_wrong_is_named_and_leaves_nothing(here, fake_trainer, changes, message):
    with pytest.raises(ValueError, match=message):
        rl_zoo.train(**{"env_id": ENV, "quiet": True} | TINY | changes)
    assert not list(here.iterdir())


def test_a_run_is_written_by_one_session_only(here, fake_trainer):
    session = rl_zoo.session(ENV, **TINY)
    for _ in session:
        with pytest.raises(RunError, match="already being written to"):
            rl_zoo.resume(session.run.folder)


def test_importing_the_zoo_is_cheap(python):
    program = "import sys; before = set(sys.modules); import rl_zoo; rl_zoo.train\n"
    light = "print(sorted({'numpy', 'yaml', 'mujoco', 'adapters'} & set(sys.modules)))"
    assert python("import sys, rl_zoo; dir(rl_zoo); " + light).strip() == "[]"
    assert "rl_zoo.train" not in python(program + "print(sorted(sys.modules))").split("'")


def test_the_function_is_not_lost_to_the_module_of_its_name():
    assert callable(rl_zoo.train)
    with pytest.raises(ImportError, match="rl_zoo.commands.train"):
        __import__("rl_zoo.train")
    assert callable(rl_zoo.train)


# Tasks of a user's own module.


TASK = (
    "from motrix_gym import register_task\n"
    "from motrix_gym.tasks.basic.cartpole import CartPole, CartPoleConfig\n"
    "register_task('Mine/Pole-v3', CartPole, CartPoleConfig(max_episode_steps=10))\n"
)


@pytest.fixture
def forget():
    """Forgets the user's task and module, as a new process has; at the end of the test too."""
    import gymnasium

    from motrix_gym import registration

    def forget():
        registration._entries.pop("Mine/Pole-v3", None)
        gymnasium.registry.pop("Mine/Pole-v3", None)
        sys.modules.pop("my_tasks", None)

    yield forget
    forget()


def test_a_run_remembers_the_module_of_a_users_task(here, fake_trainer, forget, capsys):
    (here / "my_tasks.py").write_text(TASK)
    run = rl_zoo.train("my_tasks:Mine/Pole-v3", **TINY, **QUIET)
    forget()
    assert rl_zoo.Run.open(run.folder).evaluate(2).env_id == "Mine/Pole-v3"
    forget()
    assert rl_zoo.resume(run.folder, **QUIET).manifest()["module"] == "my_tasks"
    forget()
    (here / "my_tasks.py").unlink()
    with pytest.raises(rl_zoo.ZooError, match="its module 'my_tasks' is neither in"):
        run.evaluate(2)


@pytest.mark.parametrize("where", ["", "..", "checkpoints"])
def test_a_run_brings_no_code(here, fake_trainer, forget, monkeypatch, where):
    (here / "my_tasks.py").write_text(TASK)
    run = rl_zoo.train("my_tasks:Mine/Pole-v3", **TINY, **QUIET)
    forget()
    folder = (here / run.folder).resolve()
    place = folder / where
    (place / "my_tasks.py").write_text("raise SystemExit('imported')")
    (here / "my_tasks.py").unlink()
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*sys.path, str(place)])
    with pytest.raises(rl_zoo.ZooError, match="is not registered"):
        rl_zoo.Run.open(folder).evaluate(2)


@pytest.mark.parametrize("module", ["antigravity", "runs.evil", "a b", "..x", "os.path"])
def test_a_module_that_no_user_wrote_is_not_imported(
    here, fake_trainer, forget, manifest_of, module
):
    (here / "my_tasks.py").write_text(TASK)
    run = rl_zoo.train("my_tasks:Mine/Pole-v3", **TINY, **QUIET)
    forget()
    path = run.folder / "manifest.json"
    path.write_text(json.dumps(manifest_of(run.folder) | {"module": module}))
    Path("runs/evil.py").write_text("raise SystemExit('imported')")
    with pytest.raises(rl_zoo.ZooError, match="is not registered"):
        run.evaluate(2)
    assert "antigravity" not in sys.modules
