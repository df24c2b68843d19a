# SPDX-License-Identifier: Apache-2.0
"""The cart-pole model against its closed-form equations of motion."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

MODEL = Path(__file__).parents[2] / "motrix_gym" / "tasks" / "basic" / "cartpole.xml"

GRAVITY = 9.81
CART_MASS = 10.471975511965976  # capsule, radius 0.1, half-length 0.1, 1000 kg/m3
POLE_MASS = 5.01858535556437  # capsule, radius 0.049, half-length 0.3
POLE_CENTRE = 0.3  # from the hinge, m
POLE_INERTIA = 0.18874906662950147  # about its centre, across, kg m2
DAMPING = 1.0


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_path(str(MODEL))


def acceleration(state, force):
    """Return the derivative of (position, angle, velocity, rate) under a force (N) on the cart."""
    _, angle, velocity, rate = state
    coupling = POLE_MASS * POLE_CENTRE * np.cos(angle)
    inertia = POLE_INERTIA + POLE_MASS * POLE_CENTRE**2
    mass = np.array([[CART_MASS + POLE_MASS, coupling], [coupling, inertia]])
    centrifugal = POLE_MASS * POLE_CENTRE * rate**2 * np.sin(angle)
    weight = POLE_MASS * GRAVITY * POLE_CENTRE * np.sin(angle)
    loads = [force - DAMPING * velocity + centrifugal, weight - DAMPING * rate]
    return np.concatenate([state[2:], np.linalg.solve(mass, loads)])


def runge_kutta(state, force, step):
    first = acceleration(state, force)
    second = acceleration(state + step / 2 * first, force)
    third = acceleration(state + step / 2 * second, force)
    fourth = acceleration(state + step * third, force)
    return state + step / 6 * (first + 2 * second + 2 * third + fourth)


def test_masses_and_inertia(model):
    assert model.body("cart").mass[0] == pytest.approx(CART_MASS, rel=1e-9)
    assert model.body("pole").mass[0] == pytest.approx(POLE_MASS, rel=1e-9)
    assert model.body("pole").inertia.max() == pytest.approx(POLE_INERTIA, rel=1e-9)
    np.testing.assert_allclose(model.body("pole").ipos, (0, 0, POLE_CENTRE), atol=1e-12)
    assert mujoco.mj_getTotalmass(model) == pytest.approx(CART_MASS + POLE_MASS, rel=1e-9)


def test_limits_and_options(model):
    assert (model.nq, model.nv, model.nu, model.nsensor) == (2, 2, 1, 0)
    np.testing.assert_array_equal(model.joint("slider").range, (-1, 1))
    np.testing.assert_allclose(model.joint("hinge").range, (-np.pi / 2, np.pi / 2), atol=1e-12)
    np.testing.assert_array_equal(model.dof_damping, (1, 1))
    np.testing.assert_array_equal(model.actuator_ctrlrange, [(-3, 3)])
    assert model.actuator_ctrllimited[0]
    assert model.actuator_gear[0, 0] == 100
    assert model.opt.timestep == 0.01
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4


def test_motion_follows_the_equations(model):
    """Driven steps equal Runge-Kutta on the textbook equations, away from the joint limits."""
    data = mujoco.MjData(model)
    state = np.array([0.05, -0.1, 0.2, 0.3])
    data.qpos[:], data.qvel[:] = state[:2], state[2:]
    controls = np.random.default_rng(7).uniform(-0.3, 0.3, 60)
    for control in controls:
        data.ctrl[0] = control
        mujoco.mj_step(model, data)
        state = runge_kutta(state, 100 * control, 0.01)
    assert abs(state[0]) < 0.95
    assert abs(state[1]) < 1.5
    np.testing.assert_allclose(np.concatenate([data.qpos, data.qvel]), state, atol=1e-9)


def test_positive_angle_leans_to_positive_x(model):
    data = mujoco.MjData(model)
    data.qpos[1] = 0.5
    mujoco.mj_forward(model, data)
    assert data.body("pole").xipos[0] == pytest.approx(POLE_CENTRE * np.sin(0.5))


def test_camera_sees_the_whole_rail(model):
    camera = model.camera("fixed")
    assert camera.pos[1] < 0  # looks along +y, so that +x is to the right
    reach = -camera.pos[1] * np.tan(np.radians(camera.fovy[0] / 2)) * 640 / 480
    assert reach > 1.2
    assert (model.vis.global_.offwidth, model.vis.global_.offheight) == (1280, 960)


def test_nothing_collides(model):
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert data.ncon == 0
    assert model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT
