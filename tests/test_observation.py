# SPDX-License-Identifier: Apache-2.0
"""The table of channels: reading, noise, delay, history, privileged channels, and the mirror."""

import dataclasses

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from motrix_gym import MotrixVectorEnv, Task, TaskConfig
from motrix_gym.observation import Channel, Frames, check_channels, mirror, read_together
from motrix_gym.symmetry import Reflection

XML = """<mujoco><worldbody><body><joint name="rail" type="slide" axis="1 0 0"/>
<geom size=".1" mass="1"/></body></worldbody><actuator><motor joint="rail"/></actuator></mujoco>"""


def place(v):
    return v.qpos[:, 0]


def speed(v):
    return v.qvel[:, 0]


class Slider(Task):
    """A box on a rail, that observes the channels that it is given."""

    channels = (Channel("place", "m", 1, place),)

    def __init__(self, *channels, noise=0.0, steps=None):
        self.channels = channels or self.channels
        super().__init__(
            TaskConfig(
                reward_weights={"place": 1.0}, observation_noise=noise, max_episode_steps=steps
            )
        )

    def build_model(self):
        return mujoco.MjModel.from_xml_string(XML)

    def reset(self, v, rng):
        v.qpos = rng.uniform(-1, 1, 1)
        v.qvel = rng.uniform(1, 2, 1)

    def rewards(self, v):
        return {"place": place(v)}

    def observation_channels(self):
        return self.channels


def make(*channels, num_envs=3, privileged=False, mode="SAME_STEP", **kwargs):
    return MotrixVectorEnv(
        Slider(*channels, **kwargs),
        num_envs,
        num_threads=1,
        privileged=privileged,
        autoreset_mode=mode,
    )


def run(env, steps):
    """Return the observations of some steps without pushes, (steps + 1, num_envs, width)."""
    seen = [env.reset(seed=0)[0]]
    return np.array(seen + [env.step(np.zeros((env.num_envs, 1)))[0] for _ in range(steps)])


def test_channels_are_read_in_order_and_a_group_with_one_call():
    calls = []

    def both(v):
        calls.append(v.n)
        return np.stack([v.qpos[:, 0], v.qvel[:, 0]], axis=1)

    pair = read_together(both, [Channel("a", "m"), Channel("b", "m/s")])
    env = make(Channel("speed", "m/s", 1, speed), *pair)
    calls.clear()
    observation = env.reset(seed=0)[0]
    assert calls == [3]
    fields = env.simulation.fields
    expected = [fields["qvel"][:, 0], fields["qpos"][:, 0], fields["qvel"][:, 0]]
    assert_array_equal(observation, np.transpose(expected).astype(np.float32))


def test_a_group_can_be_taken_apart():
    first, last = read_together(
        lambda v: np.stack([place(v), speed(v)], axis=1), [Channel("a", "m"), Channel("b", "m/s")]
    )
    env = make(last, first)
    observation = env.reset(seed=0)[0]
    fields = env.simulation.fields
    assert_array_equal(observation[:, 0], fields["qvel"][:, 0].astype(np.float32))
    assert_array_equal(observation[:, 1], fields["qpos"][:, 0].astype(np.float32))


@pytest.mark.parametrize(
    "read", [lambda v: v.qpos[:, [0, 0]], lambda v: 0.0, lambda v: v.qpos[:1, 0].repeat(7)]
)
def test_a_channel_of_the_wrong_width_is_named_when_the_environment_is_made(read):
    with pytest.raises(ValueError, match=r"channel odd: its read function gives shape .*\(1, 1\)"):
        make(Channel("fine", "m", 1, place), Channel("odd", "m", 1, read))


def test_one_column_is_not_spread_over_a_wide_channel():
    with pytest.raises(ValueError, match=r"channel wide: .*\(1, 3\)"):
        make(Channel("wide", "m", 3, lambda v: v.qpos[:, :1]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size must be an integer of at least 1, got 0"),
        ({"history": 0}, "history must be an integer of at least 1, got 0"),
        ({"history": 1.5}, "history must be an integer of at least 1, got 1.5"),
        ({"delay": -1}, "delay must be an integer of at least 0, got -1"),
        ({"noise": -0.1}, "noise must be at least 0"),
        ({"noise": float("nan")}, "noise must be at least 0"),
    ],
)
def test_impossible_channels_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"channel 'x': {message}"):
        Channel("x", **settings)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([Channel("x", read=place), Channel("x", read=speed)], "two channels have the name 'x'"),
        ([Channel("x")], "channel 'x' has no read function"),
        (
            [Channel("secret", read=place, privileged=True), Channel("x", read=place)],
            "'x' follows the privileged 'secret'",
        ),
    ],
)
def test_lists_that_cannot_be_are_refused(channels, message):
    with pytest.raises(ValueError, match=message):
        check_channels(channels, "observation")


def test_a_delayed_channel_shows_what_was():
    now, past = Channel("now", "m", 1, place), Channel("past", "m", 1, place, delay=2)
    seen = run(make(now, past), 6)
    assert_array_equal(seen[2:, :, 1], seen[:-2, :, 0])
    assert_array_equal(seen[:3, :, 1], seen[[0, 0, 0], :, 0])  # before the episode: its first frame


def test_a_history_holds_frames_the_newest_first():
    pair = Channel("pair", "1", 2, lambda v: np.stack([place(v), speed(v)], axis=1), history=3)
    seen = run(make(pair, Channel("speed", "m/s", 1, speed)), 6)
    assert seen.shape[2] == 7
    assert_array_equal(seen[1:, :, 2:4], seen[:-1, :, 0:2])
    assert_array_equal(seen[1:, :, 4:6], seen[:-1, :, 2:4])
    assert_array_equal(seen[0, :, 0:2], seen[0, :, 4:6])
    assert_array_equal(seen[:, :, 6], seen[:, :, 1])


def test_observations_lie_in_memory_row_by_row():
    env = make(Channel("place", "m", 1, place, history=2))
    observations, _ = env.reset(seed=0)
    assert observations.flags.c_contiguous
    assert env.step(np.zeros((3, 1)))[0].flags.c_contiguous


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_frame_that_was_delivered_does_not_change(noise):
    """It is neither read nor disturbed again."""
    channel = Channel("place", "m", 1, place, noise=0.5, history=4)
    seen = run(make(channel, noise=noise), 8)
    for age in (1, 2, 3):
        assert_array_equal(seen[age:, :, age], seen[:-age, :, 0])
    assert (seen[0, :, 0] == np.float32(seen[0, :, 0])).all()
    if noise:
        quiet = run(make(dataclasses.replace(channel, noise=0.0), noise=1.0), 8)
        assert (abs(seen - quiet) <= 0.5 + 1e-6).all()
        assert (seen[:, :, 0] != quiet[:, :, 0]).all()


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
def test_history_and_delay_begin_anew_with_each_episode(mode):
    channels = Channel("now", "m", 1, place), Channel("past", "m", 1, place, delay=1, history=2)
    env = make(*channels, steps=4, mode=mode)
    env.reset(seed=0)
    begins = 4 if mode == "SAME_STEP" else 5
    for _ in range(begins):
        observation, *_, info = env.step(np.zeros((3, 1)))
    assert_array_equal(observation, observation[:, [0, 0, 0]])
    if mode == "SAME_STEP":  # the last of the old episode has its own past
        final = info["final_obs"]
        assert (np.diff(final) < 0).all()


def test_histories_of_other_rows_are_untouched_by_a_reset():
    env = make(Channel("place", "m", 1, place, history=3))
    alone = make(Channel("place", "m", 1, place, history=3))
    for other in (env, alone):
        other.reset(seed=0)
        other.step(np.zeros((3, 1)))
    env.reset(options={"reset_mask": np.array([False, True, False])})
    ours, theirs = (other.step(np.zeros((3, 1)))[0] for other in (env, alone))
    assert_array_equal(ours[[0, 2]], theirs[[0, 2]])
    assert (ours[1] != theirs[1]).all()


def test_snapshots_hold_what_is_still_to_be_delivered():
    channel = Channel("place", "m", 1, place, noise=0.3, delay=2, history=2)
    env = make(channel, noise=1.0, steps=5)
    run(env, 3)
    snapshot = env.snapshot()
    future = [env.step(np.ones((3, 1)))[0] for _ in range(8)]
    env.restore(snapshot)
    assert_array_equal([env.step(np.ones((3, 1)))[0] for _ in range(8)], future)


def test_privileged_channels_come_last_and_only_when_asked_for():
    channels = (
        Channel("place", "m", 1, place, noise=0.2),
        Channel("speed", "m/s", 1, speed, privileged=True),
    )
    plain, full = make(*channels, noise=1.0), make(*channels, noise=1.0, privileged=True)
    assert plain.single_observation_space.shape == (1,)
    assert full.single_observation_space.shape == (2,)
    assert full.policy_width == 1
    assert [channel.name for channel in plain.channels] == ["place"]
    theirs, ours = run(plain, 5), run(full, 5)
    assert_array_equal(ours[:, :, :1], theirs)
    assert_array_equal(ours[-1, :, 1], full.simulation.fields["qvel"][:, 0].astype(np.float32))


def test_the_mirror_follows_from_the_channels():
    found = mirror(
        [
            Channel("vector", size=3, mirror=(1, -1, 1)),
            Channel("left", size=2, mirror="right"),
            Channel("right", size=2, mirror="left"),
            Channel("angle", history=2, mirror=-1, full_turn=True),
            Channel("pair", size=2, history=2, mirror=Reflection((1, 0), (-1.0, -1.0))),
        ],
        [Channel("hip_left", mirror="-hip_right"), Channel("hip_right", mirror="-hip_left")],
    )
    assert found is not None
    image = found.observation(np.arange(1.0, 14.0))
    assert image.tolist() == [1, -2, 3, 6, 7, 4, 5, -8, -9, -11, -10, -13, -12]
    assert found.full_turns == (7, 8)
    assert found.action(np.array([1.0, 2.0])).tolist() == [-2, -1]


def test_without_images_there_is_no_mirror():
    assert mirror([Channel("x", read=place)], [Channel("push")]) is None


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([Channel("x", mirror=1), Channel("y")], "'y' has no mirror"),
        (
            [Channel("left", mirror="rihgt"), Channel("right", mirror="left")],
            "mean 'right'",
        ),
        ([Channel("a", mirror="b"), Channel("b", mirror=1)], "'a' mirrors 'b', which does not"),
        ([Channel("a", mirror="-b"), Channel("b", mirror="a")], "its mirror must be '-a', not 'a'"),
        ([Channel("a", size=2, mirror="b"), Channel("b", mirror="a")], "mirror one another and"),
        ([Channel("x", size=2, mirror=Reflection((0,), (1.0,)))], "2 entries, and its mirror 1"),
        ([Channel("x", mirror=2)], "signs 2.0"),
        ([Channel("x", size=2, mirror=(1, 1, 1))], "2 entries, and its mirror 3"),
    ],
)
def test_mirrors_that_do_not_undo_themselves_are_refused(channels, message):
    with pytest.raises(ValueError, match=message):
        mirror(channels, [Channel("push", mirror=1)])


def test_frames_without_delay_or_history_keep_nothing():
    assert not Frames([Channel("x", read=place)], 8).arrays
