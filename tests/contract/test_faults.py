# SPDX-License-Identifier: Apache-2.0
"""A simulation that diverges ends its own episode, and no other row's."""

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_array_equal, assert_equal

# What makes a row diverge: a field of the batch, and the value written to its last entry. Each has
# a row of its own, and the step at which it is written is the row's number.
INJECTIONS = (
    None,  # row 0 stays sound
    ("ctrl", np.nan),  # first, while no row is being reset: act() sees every row
    ("qvel", np.nan),
    ("qpos", np.nan),
    ("qvel", np.inf),
    ("qvel", 1e30),
    ("qpos", 1e30),
    ("qfrc_applied", 1e30),
    ("qfrc_applied", np.nan),
    None,
)
ROWS = len(INJECTIONS)


def test_only_rows_that_diverge_end(env_id, player, mode):
    env, sound = (player.make(env_id, ROWS, autoreset_mode=mode) for _ in range(2))
    assert_equal(env.reset(seed=0), sound.reset(seed=0))
    field = env.unwrapped.simulation.batch.bind
    act, t = env.unwrapped.task.act, 0

    def act_and_inject(v, action):
        act(v, action)  # this writes every control: one is spoilt after it
        if t < ROWS and INJECTIONS[t] and INJECTIONS[t][0] == "ctrl":
            v.ctrl[t, -1] = INJECTIONS[t][1]

    env.unwrapped.task.act = act_and_inject
    diverged = np.zeros(ROWS, bool)
    for t, action in enumerate(player.actions(env, 60)):
        injection = INJECTIONS[t] if t < ROWS else None
        if injection and injection[0] != "ctrl":
            field(injection[0])[t, -1] = injection[1]
        (step,) = player.play(env, [action])
        (expected,) = player.play(sound, [action])
        observations, reward, terminated, truncated, info = step
        assert ("fault" in info) == (injection is not None)  # and then all is well
        assert np.isfinite(observations).all()
        assert np.isfinite(reward).all()
        assert all(np.isfinite(value).all() for value in info["metrics"].values())
        assert np.isfinite(info.get("final_obs", 0)).all()
        if injection:
            diverged[t] = True
            assert_array_equal(info["fault"], np.arange(ROWS) == t)
            assert terminated[t]
            assert not truncated[t]
            assert reward[t] == 0
            assert not any(value[t] for name, value in info["metrics"].items() if name[0] != "_")
            assert not info.get("success", np.zeros(ROWS))[t]
            if mode is AutoresetMode.SAME_STEP:
                assert info["_final_obs"][t]
                assert info["final_info"]["fault"][t]
        for i in np.flatnonzero(~diverged):
            assert_equal(player.row(step, i), player.row(expected, i))
    assert np.isfinite(env.unwrapped.simulation.batch.state).all()


def test_every_row_may_diverge_at_once(env_id, player, mode):
    env = player.make(env_id, 4, autoreset_mode=mode)
    env.reset(seed=0)
    actions = player.actions(env, 4)
    env.unwrapped.simulation.batch.bind("qvel")[:] = np.nan
    (step,) = player.play(env, actions[:1])
    assert step[4]["fault"].all()
    assert step[2].all()
    player.play(env, actions[1:])


def test_a_row_is_as_new_after_a_fault(env_id, player):
    """Reseeded, it is the same as one that never diverged: warm starts, forces, all."""
    env, new = player.make(env_id, 6), player.make(env_id, 6)
    env.reset(seed=0)
    actions = player.actions(env, 10)
    player.play(env, actions)
    env.unwrapped.simulation.batch.bind("qvel")[3, -1] = np.nan
    player.play(env, actions)
    assert_equal(env.reset(seed=1), new.reset(seed=1))
    assert_equal(env.unwrapped.snapshot(), new.unwrapped.snapshot())
    assert_equal(player.play(env, actions), player.play(new, actions))


def test_the_single_environment_reports_a_fault(env_id):
    import gymnasium

    env = gymnasium.make(env_id)
    env.reset(seed=0)
    env.unwrapped.simulation.batch.bind("qvel")[0, 0] = np.nan
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert terminated
    assert not truncated
    assert reward == 0
    assert info["fault"] is True
    assert np.isfinite(observation).all()
    env.reset()
    assert "fault" not in env.step(env.action_space.sample())[4]
    env.close()
