# SPDX-License-Identifier: Apache-2.0
"""A simulation that diverges ends its own episode, and no other row's."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_array_equal, assert_equal

ROW, WHEN = 3, 5

INJECTIONS = {
    "nan velocity": ("qvel", np.nan),
    "nan position": ("qpos", np.nan),
    "infinite velocity": ("qvel", np.inf),
    "huge velocity": ("qvel", 1e30),
    "huge position": ("qpos", 1e30),
    "huge force": ("qfrc_applied", 1e30),
    "nan force": ("qfrc_applied", np.nan),
    "nan control": ("ctrl", np.nan),
}


def inject(env, name, value):
    env.unwrapped.simulation.batch.bind(name)[ROW, -1] = value


@pytest.mark.parametrize("injection", INJECTIONS)
def test_only_the_row_that_diverges_ends(env_id, player, mode, injection):
    env, sound = (player.make(env_id, 6, autoreset_mode=mode) for _ in range(2))
    assert_equal(env.reset(seed=0), sound.reset(seed=0))
    actions = player.actions(env, 60)
    others = [i for i in range(6) if i != ROW]
    if injection == "nan control":
        # act() writes every control: one is spoilt after it.
        act = env.unwrapped.task.act

        def spoil(v, action):
            act(v, action)
            if len(steps) == WHEN:
                v.ctrl[ROW, -1] = np.nan

        env.unwrapped.task.act = spoil
    steps = []
    for t, action in enumerate(actions):
        if t == WHEN and injection != "nan control":
            inject(env, *INJECTIONS[injection])
        steps += player.play(env, [action])
        (expected,) = player.play(sound, [action])
        for i in others:
            assert_equal(player.row(steps[-1], i), player.row(expected, i))

    observations, reward, terminated, truncated, info = steps[WHEN]
    assert_array_equal(info["fault"], np.arange(6) == ROW)
    assert terminated[ROW]
    assert not truncated[ROW]
    assert reward[ROW] == 0
    assert not any(value[ROW] for name, value in info["metrics"].items() if name[0] != "_")
    assert not info.get("success", np.zeros(6))[ROW]
    for t, (observations, reward, _, _, info) in enumerate(steps):
        assert np.isfinite(observations).all()
        assert np.isfinite(reward).all()
        assert all(np.isfinite(value).all() for value in info["metrics"].values())
        if "final_obs" in info:
            assert np.isfinite(info["final_obs"]).all()
        assert ("fault" in info) == (t == WHEN)  # and then all is well
    if mode is AutoresetMode.SAME_STEP:
        info = steps[WHEN][4]
        assert info["_final_obs"][ROW]
        assert info["final_info"]["fault"][ROW]
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
    inject(env, "qvel", np.nan)
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
