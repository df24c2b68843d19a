# SPDX-License-Identifier: Apache-2.0
"""Playing a policy as a viewer asks, without a viewer."""

import mujoco
import numpy as np
import pytest
from fakes import make_policy

from adapters import PPOConfig
from motrix_gym import rotations
from motrix_gym.commands import VelocityCommands
from motrix_gym.observation import Channel
from rl_zoo.environments import make_env
from rl_zoo.errors import ZooError
from rl_zoo.policies import pretrained
from rl_zoo.runs import Run
from rl_zoo.viewing.checkpoints import Checkpoints
from rl_zoo.viewing.playback import HISTORY, POINTS, Playback, random_actions, zero_actions

CARTPOLE, GO1 = "Motrix/CartPole-v0", "Motrix/Go1-v0"


@pytest.fixture
def env():
    env = make_env(CARTPOLE, {}, 2, 1)
    yield env
    env.close()


@pytest.fixture
def go1():
    env = make_env(GO1, {"observation_noise": 0}, 2, 1)
    yield env
    env.close()


@pytest.fixture
def seen():
    """A policy that does nothing, and keeps what it sees and when episodes begin."""

    class Seen(list):
        def __call__(self, observations, starts):
            self.append((observations.copy(), starts.copy()))
            return np.zeros((len(observations), self.actions), np.float32)

    return Seen()


def channel(env, name, observations):
    """A channel's part of an observation without history."""
    sizes: list[Channel] = list(env.channels)
    start = sum(c.width for c in sizes[: [c.name for c in sizes].index(name)])
    width = next(c.width for c in sizes if c.name == name)
    return observations[:, start : start + width]


def test_pause_stops_time_and_a_step_is_one_step(env):
    playback = Playback(env, zero_actions(env, 0), 0)
    playback.advance(0.05)
    assert playback.time == pytest.approx(0.05)
    playback.paused = True
    before = env.simulation.fields["qpos"].copy()
    assert playback.advance(1.0) == 0
    np.testing.assert_array_equal(env.simulation.fields["qpos"], before)
    playback.step()
    assert playback.time == pytest.approx(0.06)
    assert (env.simulation.fields["qpos"] != before).any()


@pytest.mark.parametrize("speed", [0.1, 0.5, 1.0, 4.0])
def test_the_speed_is_simulated_seconds_per_second(env, speed):
    playback = Playback(env, zero_actions(env, 0), 0)
    playback.speed = speed
    steps = sum(playback.advance(0.016) for _ in range(100))
    # 1.6 s on the wall, 0.01 s a step; a part of a step is left over.
    assert 0 <= 160 * speed - steps < 1 + 1e-6


def test_a_slow_computer_makes_the_robot_slower_and_not_later(env):
    playback = Playback(env, zero_actions(env, 0), 0)
    assert playback.advance(1000.0) <= 11
    assert playback.advance(0.01) <= 2


def test_a_reset_begins_an_episode_elsewhere(env, seen):
    seen.actions = 1
    playback = Playback(env, seen, 0)
    playback.step()
    first = seen[-1]
    playback.reset()
    assert (playback.time, len(playback.history)) == (0.0, 0)
    playback.step()
    assert first[1].all() and seen[-1][1].all()
    assert (first[0] != seen[-1][0]).any()


def test_a_seed_gives_the_same_episode_again(env):
    states = []
    for _ in range(2):
        playback = Playback(env, random_actions(env, 3), 3)
        for _ in range(5):
            playback.step()
        states.append(env.simulation.fields["qpos"].copy())
    np.testing.assert_array_equal(*states)


def test_a_held_command_is_what_the_policy_sees(seen):
    seen.actions = 12
    often = {"commands.duration": (0.1, 0.2), "max_episode_steps": 30, "observation_noise": 0}
    go1 = make_env(GO1, often, 2, 1)
    forward = next(c for c in go1.task.commands if c.name == "forward velocity")
    assert (forward.unit, forward.low, forward.high) == ("m/s", -1.0, 1.5)
    playback = Playback(go1, seen, 0)
    playback.step()
    drawn = channel(go1, "command", seen[-1][0])
    assert playback.asked(forward) == pytest.approx(drawn[0, 0])
    playback.hold(forward, 0.75)
    for _ in range(35):
        playback.step()
    assert sum(starts.all() for _, starts in seen) == 2  # it lasts over a new episode
    for observations, _ in seen[2:]:
        np.testing.assert_array_equal(channel(go1, "command", observations)[:, 0], 0.75)
    others = np.array([channel(go1, "command", o)[0, 1] for o, _ in seen])
    assert len(set(others)) > 1  # other commands are still the task's
    playback.hold(forward, None)
    playback.reset()
    playback.step()
    assert (channel(go1, "command", seen[-1][0])[:, 0] != 0.75).all()
    go1.close()


def test_who_obeys_a_held_command_walks(go1):
    playback = Playback(go1, pretrained(GO1).actor(), 0)
    for command, value in zip(go1.task.commands, (0.8, 0.0, 0.0), strict=True):
        playback.hold(command, value)
    for _ in range(100):
        playback.step()
    errors = [moment.metrics["linear_velocity_error"] for moment in playback.history]
    assert np.mean(errors[50:]) < 0.2  # the task's own goal
    assert set(playback.mean_rewards()) == set(go1.config.reward_weights)


def test_keys_ask_for_velocities_and_for_rest_when_they_are_let_go(go1):
    playback = Playback(go1, zero_actions(go1, 0), 0)
    forward, left, turn = playback.steered
    playback.steer([0, 0, 0])
    assert not playback.held  # nobody steers: the task's commands stay
    playback.steer([1, 0, -0.5])
    assert playback.held == {forward: 1.5, left: 0.0, turn: -0.5}
    playback.steer([0, 0, 0])
    assert playback.held == {forward: 0.0, left: 0.0, turn: 0.0}
    playback.hold(forward, 0.3)
    playback.steer([0, 0, 0])
    assert playback.held[forward] == 0.3  # a slider's
    stairs = VelocityCommands(forward=(0.4, 0.8), lateral=(0, 0), turn=(0, 0)).settable("command")
    assert [command.rest for command in stairs] == [0.4]


@pytest.mark.parametrize("env_id", ["Motrix/AnymalC-v0", "Motrix/VBotSection011-v0"])
def test_a_goal_that_is_moved_is_seen_and_led_to_and_drawn(seen, env_id):
    seen.actions = 12
    env = make_env(env_id, {"observation_noise": 0}, 2, 1)
    playback = Playback(env, seen, 0)
    goal = dict(zip(env.task.commands, (1.5, 2.5, -0.5), strict=True))
    assert [command.name for command in goal] == ["goal x", "goal y", "goal heading"]
    assert not playback.steered  # a key does not throw it to the end of its range
    for command, value in goal.items():
        assert command.low < value < command.high
        playback.hold(command, value)
    for _ in range(2):
        playback.step()
    v = env.simulation.all
    np.testing.assert_array_equal(v.goal, [[1.5, 2.5, -0.5]] * 2)
    place, yaw = v.qpos[:, :2], rotations.yaw(v.qpos[:, 3:7])
    ahead = np.cos(yaw) * (1.5 - place[:, 0]) + np.sin(yaw) * (2.5 - place[:, 1])
    playback.step()
    observed = seen[-1][0]
    assert channel(env, "goal_position", observed)[:, 0] == pytest.approx(ahead, abs=1e-5)
    scene = mujoco.MjvScene(env.model, maxgeom=20)
    env.task.draw(scene, env.simulation.rows(np.array([0])))
    places = [scene.geoms[i].pos[:2] for i in range(scene.ngeom)]
    assert any(np.allclose(place, (1.5, 2.5), atol=1e-6) for place in places)
    playback.reset()  # which draws a goal, and a guide to it
    way = np.array([1.5, 2.5]) - v.qpos[:, :2]
    assert v.straight == pytest.approx(np.hypot(*way.T))
    before = v.command.copy()
    env.task.obey(v)
    np.testing.assert_array_equal(v.command, before)  # it leads to the held goal already
    env.close()


def test_other_physics_begin_the_first_episodes_again_and_keep_what_is_asked(seen):
    seen.actions = 12

    def make(randomize):
        settings = {"randomization.mass": (2.0, 2.0)} if randomize else {}
        return make_env("Motrix/Go1StairsBlind-v0", settings, 2, 1)

    first = make(False)
    mass = first.model.body_mass
    playback = Playback(first, seen, 0, make)
    start = first.simulation.fields["qpos"].copy()
    for _ in range(5):
        playback.step()
    level, kind = first.task.choices
    assert level.name == "rise of a step (m)" and level.options[-1] == "0.15"
    assert kind.options == ("stairs_up", "stairs_down")
    playback.hold(playback.steered[0], 0.5)
    playback.randomize(True)
    assert playback.randomized and playback.time == 0
    env = playback.env
    np.testing.assert_array_equal(env.simulation.fields["body_mass"], [2 * mass] * 2)
    np.testing.assert_array_equal(env.simulation.fields["qpos"], start)
    assert (env.simulation.fields["command"][:, 0] == 0.5).all()
    env.task.choices[0].chosen = 7
    playback.randomize(False)
    assert (playback.env.simulation.fields["level"] == 7).all()
    playback.step()
    assert seen[-1][1].all()
    playback.env.close()


def test_without_physics_to_randomise_there_is_no_switch(env):
    playback = Playback(env, zero_actions(env, 0), 0)
    assert not playback.can_randomize
    with pytest.raises(ValueError, match="no physics to randomise"):
        playback.randomize(True)


def test_commands_that_never_differ_are_not_offered():
    env = make_env("Motrix/Go1StairsBlind-v0", {}, 1, 1)
    assert [command.name for command in env.task.commands] == ["forward velocity"]
    env.close()


def test_a_push_changes_the_velocity_in_the_robots_heading(go1):
    playback = Playback(go1, zero_actions(go1, 0), 0)
    playback.row = 1
    half = np.pi / 4  # of a turn to the left by 90 degrees: forward is along +y
    go1.simulation.fields["qpos"][1, 3:7] = np.cos(half), 0, 0, np.sin(half)
    before = go1.simulation.fields["qvel"].copy()
    playback.push(1.0, 0.25)
    change = go1.simulation.fields["qvel"] - before
    np.testing.assert_allclose(change[1, :3], [-0.25, 1.0, 0.0], atol=1e-12)
    assert not change[0].any()


def test_a_pull_acts_until_it_ends(go1):
    playback = Playback(go1, zero_actions(go1, 0), 0)
    heights = {}
    for force in (0.0, 400.0):  # N; the robot weighs some 120 N
        playback = Playback(go1, zero_actions(go1, 0), 0)
        playback.pull(go1.model.body(1).name, np.array([0, 0, force, 0, 0, 0]))
        for _ in range(10):
            playback.step()
        heights[force] = go1.simulation.fields["qpos"][:, 2].copy()
    assert heights[400.0][0] > heights[0.0][0] + 0.1
    assert heights[400.0][1] == heights[0.0][1]  # another row
    playback.pull("no such body", np.ones(6))
    assert not go1.simulation.fields["xfrc_applied"].any()


def test_a_model_without_a_base_is_not_pushed(env):
    playback = Playback(env, zero_actions(env, 0), 0)
    assert not playback.has_base
    with pytest.raises(ValueError, match="no free joint"):
        playback.push(1.0, 0.0)


def test_the_history_is_of_the_shown_row_and_of_the_last_seconds(env):
    playback = Playback(env, zero_actions(env, 0), 0)
    most = round(HISTORY / playback.step_time)
    for _ in range(most + 20):
        playback.step()
    assert len(playback.history) == most
    assert playback.history[-1].time - playback.history[0].time < HISTORY
    name = next(iter(env.task.metrics))
    times, values = playback.curve(name)
    assert len(times) == len(values) <= POINTS + 1
    assert times == sorted(times) and times[-1] == playback.history[-1].time
    playback.row = 3  # of two: the second one
    assert playback.row == 1 and not playback.history


def test_a_fall_is_a_peak_of_the_plot(go1):
    playback = Playback(go1, zero_actions(go1, 0), 0)
    go1.simulation.fields["qpos"][0, 3:7] = 0, 1, 0, 0  # on its back
    for _ in range(9):
        playback.step()
    assert [moment.metrics["fall"] for moment in playback.history].count(1.0) == 1
    assert max(playback.curve("fall")[1]) == 1.0


@pytest.fixture
def run(here):
    """A run whose first policy pushes the cart to one side, and whose second to the other."""
    config = PPOConfig(
        seed=0, num_envs=1, rollouts=1, mini_batches=1, max_env_steps=10, keep_checkpoints=-1
    )
    run = Run.create("runs", CARTPOLE, "sb3", config)
    for steps, bias in ((5, 0.5), (10, -0.5)):
        run.save_checkpoint(steps, make_policy(np.zeros((4, 1)), bias=bias), {"x": np.zeros(1)})
    run.finish("complete")
    return run


def test_another_checkpoint_acts_from_the_next_step_on(run, env):
    checkpoints = Checkpoints(run, env, CARTPOLE)
    first, second = checkpoints.names
    assert [name.split(" (")[0] for name in checkpoints.names.values()] == ["5 steps", "10 steps"]
    playback = Playback(env, checkpoints.load(first).actor(), 0)
    playback.step()
    assert (env.simulation.fields["ctrl"] > 0).all()
    playback.use(checkpoints.load(second).actor())
    assert checkpoints.shown == second and playback.time > 0
    playback.step()
    assert (env.simulation.fields["ctrl"] < 0).all()


def test_a_checkpoint_that_is_gone_or_of_another_task_is_told(run, env, go1):
    checkpoints = Checkpoints(run, env, CARTPOLE)
    first = next(iter(checkpoints.names))
    shown = checkpoints.shown
    for path in run.policy_folder(first).glob("*"):
        path.unlink()
    with pytest.raises(ZooError, match=r"^5 steps: ") as error:
        checkpoints.load(first)
    assert "\n" not in str(error.value)
    with pytest.raises(ZooError, match="^never: "):
        checkpoints.load("never")
    assert checkpoints.shown == shown
    with pytest.raises(ZooError, match="turns 4 observations into 1 actions"):
        Checkpoints(run, go1, GO1).load(shown)
    (run.folder / "manifest.json").unlink()
    with pytest.raises(ZooError, match="is not a run"):
        checkpoints.refresh()
