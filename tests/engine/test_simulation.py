# SPDX-License-Identifier: Apache-2.0
"""The engine on ``mujoco.batch``, where a test must look at the batch; and snapshots' arrays."""

import gc
import weakref

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_engine import XML

from motrix_gym.engine import copy_into
from motrix_gym.simulation import Simulation


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_string(XML)


def make(model, num_envs=4, **kwargs):
    return Simulation(model, num_envs, 1, **kwargs)


def test_doubling_masses_halves_accelerations(model):
    """Constants that MuJoCo derives from a mass follow it."""
    simulation = make(model, per_world=("body_mass", "body_inertia"))
    v, cart = simulation.all, model.body("cart").id
    factors = np.array([1.0, 2.0, 4.0, 0.5])
    v.body_mass[:, cart] *= factors
    v.body_inertia[:, cart] *= factors[:, None]
    simulation.refresh(np.arange(4))
    v.actuator("push").ctrl = 1.0
    simulation.step(1)
    gained = v.joint("rail").qvel[:, 0]
    assert gained == pytest.approx(0.01 / factors, rel=1e-6)
    row = simulation.batch.get_model(1)
    assert row.body_subtreemass[cart] == pytest.approx(2.0)
    assert row.dof_invweight0[10] == pytest.approx(model.dof_invweight0[10] / 2)


def test_refresh_gives_fields_of_every_stage_and_keeps_the_state(model):
    simulation = make(model, derived=("qfrc_constraint",))
    simulation.all.qpos[:, 2] = [0.09, 1.0, 0.095, 1.0]  # two balls press on the floor
    simulation.step(1)
    state = simulation.batch.state.copy()
    simulation.refresh(np.arange(4))
    assert_array_equal(simulation.batch.state, state)
    pressed = simulation.all.sensor("pressed")[:, 0]
    assert (pressed[[0, 2]] > 1).all()
    assert pressed[[1, 3]].tolist() == [0, 0]
    simulation.refresh(np.array([1]))  # the ball of row 1 is in the air, whatever ran before it
    assert simulation.all.sensor("pressed")[1] == 0


def test_copy_into_copies_all_or_none():
    target = {"a": np.zeros(2), "b": np.zeros(3)}
    with pytest.raises(ValueError, match="'b'"):
        copy_into(target, {"a": np.ones(2), "b": np.ones(2)})
    assert target["a"].tolist() == [0, 0]
    copy_into(target, {"a": np.ones(2), "b": np.ones(3), "more": np.ones(1)})
    assert target["b"].tolist() == [1, 1, 1]


def test_views_hold_the_worlds_and_not_the_other_way_round(model):
    gc.collect()
    gc.disable()
    try:
        simulation = make(model)
        batch = weakref.ref(simulation.batch)
        view = simulation.all
        view.joint("hinge").qpos = 1.0
        del simulation
        assert (view.joint("hinge").qpos == 1.0).all()
        del view
        assert batch() is None
    finally:
        gc.enable()


def test_reset_is_that_of_mujoco(model):
    simulation = make(model)
    for field in ("qvel", "ctrl", "qfrc_applied", "xfrc_applied"):
        simulation.fields[field][:] = 0.5
    simulation.step(7)
    simulation.reset(np.array([0, 2]))
    data = mujoco.MjData(model)
    expected = np.zeros(simulation.batch.nstate)
    mujoco.mj_getState(model, data, expected, mujoco.mjtState.mjSTATE_INTEGRATION)
    assert_array_equal(simulation.batch.state[[0, 2]], np.stack([expected] * 2))
    assert (simulation.batch.state[[1, 3]] != expected).any(axis=1).all()
