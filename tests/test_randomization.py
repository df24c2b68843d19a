# SPDX-License-Identifier: Apache-2.0
"""Domain randomisation: each setting has its effect, does not drift, and is saved and restored."""

import dataclasses

import gymnasium
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from motrix_gym import Channel, MotrixVectorEnv, Randomization, Task, TaskConfig

XML = """
<mujoco>
  <option timestep="0.01" gravity="0 0 0"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 .1"/>
    <body name="puck" pos="0 0 1" simple="false"><freejoint/><geom size=".1" mass="2"/></body>
    <body name="slider" pos="3 0 1" simple="false">
      <joint name="rail" type="slide" axis="1 0 0"/><geom size=".1" mass="1" friction="0.5"/>
    </body>
    <body name="wheel" pos="-3 0 1" simple="false">
      <joint name="axle" axis="0 0 1" damping="0.2"/><geom size=".1" mass="1"/>
    </body>
  </worldbody>
  <actuator><position name="servo" joint="rail" kp="10" forcerange="-4 4"/></actuator>
</mujoco>
"""
KNOBS = {
    "friction": (0.5, 2.0),
    "mass": (0.5, 2.0),
    "centre_of_mass": (-0.02, 0.02),
    "gains": (0.5, 2.0),
    "motor_strength": (0.5, 2.0),
    "damping": (0.5, 2.0),
    "dry_friction": (0.0, 0.1),
    "start_position": (-0.1, 0.1),
    "start_velocity": (-0.1, 0.1),
    "action_delay": (0, 3),
    "push_speed": 0.5,
}
ADDED = ("centre_of_mass", "dry_friction")  # to the model's values; others are factors


class Servo(Task):
    """A box on a rail that a servo holds, a puck that floats, and a wheel."""

    def build_model(self):
        return mujoco.MjModel.from_xml_string(XML)

    def rewards(self, v):
        return {"place": v.joint("rail").qpos[:, 0]}

    def observation_channels(self):
        return [
            Channel("qpos", "m", 9, lambda v: v.qpos),
            Channel("qvel", "m/s", 8, lambda v: v.qvel),
        ]


def make(num_envs=16, steps=None, **ranges):
    config = TaskConfig(
        control_timestep=0.01,
        physics_timestep=0.01,
        max_episode_steps=steps,
        randomization=Randomization(**ranges),
        reward_weights={"place": 1.0},
    )
    return MotrixVectorEnv(Servo(config), num_envs, num_threads=1)


def push(env, steps=1, action=1.0):
    for _ in range(steps):
        observation = env.step(np.full((env.num_envs, 1), action))[0]
    return observation


def speed(env):
    """Speed of the box after one step of full control from rest."""
    env.reset(seed=0)
    push(env)
    return env.simulation.fields["qvel"][:, 6].copy()


PLAIN = 0.04  # m/s: 4 N, the servo's limit, for 0.01 s on 1 kg


def test_nothing_is_randomised_by_default():
    assert not any(Randomization().on(field.name) for field in dataclasses.fields(Randomization))
    env = make()
    assert not env.simulation.per_world
    assert not env.simulation.buffers
    assert speed(env) == pytest.approx(PLAIN, rel=0.02)


def test_doubled_mass_halves_the_acceleration():
    assert speed(make(mass=(2.0, 2.0))) == pytest.approx(speed(make()) / 2, rel=1e-6)


def test_doubled_strength_doubles_the_force_and_its_limit():
    assert speed(make(motor_strength=(2.0, 2.0))) == pytest.approx(2 * speed(make()), rel=1e-6)


def test_gains_change_the_force_below_the_limit_and_not_the_limit():
    def force(action, **ranges):
        env = make(**ranges)
        env.reset(seed=0)
        push(env, action=action)
        return env.simulation.fields["qvel"][:, 6].copy()

    assert force(0.1, gains=(2.0, 2.0)) == pytest.approx(2 * force(0.1), rel=1e-6)
    assert force(1.0, gains=(2.0, 2.0)) == pytest.approx(force(1.0), rel=1e-6)


def test_friction_multiplies_that_of_the_model():
    env = make(friction=(0.5, 0.5))
    env.reset(seed=0)
    model = env.model.geom_friction[:, 0]
    assert env.simulation.fields["geom_friction"][:, :, 0] == pytest.approx(
        np.tile(model / 2, (16, 1))
    )


def test_a_shifted_centre_of_mass_turns_what_is_pushed_at_its_middle():
    def turn(**ranges):
        env = make(**ranges)
        env.reset(seed=0)
        env.simulation.fields["xfrc_applied"][:, 1, 0] = 1.0  # at the centre of mass
        push(env, 5)
        return env.simulation.fields["qvel"][:, 0:3].copy()

    shift = make(centre_of_mass=(0.02, 0.02))
    shift.reset(seed=0)
    expected = np.tile(shift.model.body_ipos[1:] + 0.02, (16, 1, 1))
    assert shift.simulation.fields["body_ipos"][:, 1:] == pytest.approx(expected)
    # The origin, where the free joint's velocity is measured, is not the centre any more.
    spun = make(centre_of_mass=(0.02, 0.02))
    spun.reset(seed=0)
    spun.simulation.fields["qfrc_applied"][:, 0] = 1.0  # a force at the origin
    push(spun, 5)
    assert (abs(spun.simulation.fields["qvel"][:, 3:6]).max(axis=1) > 1e-3).all()
    assert turn() == pytest.approx(turn(centre_of_mass=(0.02, 0.02)), abs=1e-9)


def spun(**ranges):
    """Speed of the wheel, let go at 1 rad/s, after 0.05 s."""
    env = make(**ranges)
    env.reset(seed=0)
    env.simulation.fields["qvel"][:, 7] = 1.0
    push(env, 5, 0.0)
    return env.simulation.fields["qvel"][:, 7].copy()


def test_damping_brakes_in_proportion_to_speed():
    # The wheel's inertia is 0.004 kg m2: it slows down by 0.2 / 0.004 a second, and half as fast.
    plain, half = spun(), spun(damping=(0.5, 0.5))
    assert np.log(half) == pytest.approx(np.log(plain) / 2, rel=0.25)  # Euler's method


def test_dry_friction_stops_what_is_slow():
    assert (spun() > 1e-3).all()
    assert spun(dry_friction=(0.5, 0.5)) == pytest.approx(np.zeros(16), abs=1e-2)


def test_starts_are_spread():
    env = make(start_position=(-0.1, 0.1), start_velocity=(-0.2, 0.2))
    env.reset(seed=0)
    qpos, qvel = env.simulation.fields["qpos"], env.simulation.fields["qvel"]
    assert (abs(qpos[:, 7]) <= 0.1).all()
    assert len(np.unique(qpos[:, 7])) == 16
    assert_array_equal(qpos[:, :7], np.tile(env.model.qpos0[:7], (16, 1)))  # free joints stay
    assert (abs(qvel) <= 0.2).all()
    assert len(np.unique(qvel)) == qvel.size


def test_late_actions_are_those_of_earlier_steps():
    env = make(action_delay=(0, 2))
    env.reset(seed=0)
    delay = env.simulation.fields["action_delay"].copy()
    assert set(delay) == {0, 1, 2}
    controls = []
    for step in range(5):
        push(env, action=(step + 1) / 10)
        controls.append(env.simulation.fields["ctrl"][:, 0].copy())
    for row, late in enumerate(delay):
        expected = [0.0] * late + [(step + 1) / 10 for step in range(5 - late)]
        assert np.array(controls)[:, row] == pytest.approx(expected)


def test_pushes_change_the_bases_velocity_in_time():
    env = make(64, push_speed=0.5, push_interval=(0.05, 0.1))
    env.reset(seed=0)
    before, pushed = env.simulation.fields["qvel"].copy(), np.zeros(64, int)
    for _ in range(40):
        push(env, action=0.0)
        now = env.simulation.fields["qvel"].copy()
        change = now - before
        assert (abs(change[:, :2]) <= 0.5).all()
        assert_array_equal(change[:, 2:], 0)
        pushed += change.any(axis=1)
        before = now
    assert (pushed >= 3).all() and (pushed <= 8).all()  # in 0.4 s, every 0.05 to 0.1 s


def test_a_model_without_a_free_joint_cannot_be_pushed():
    with pytest.raises(ValueError, match="push_speed: the model has no free joint"):
        gymnasium.make_vec("Motrix/CartPole-v0", randomization=Randomization(push_speed=1.0))


def test_a_body_whose_centre_of_mass_cannot_shift_is_named():
    with pytest.raises(ValueError, match='simple="false" in the MJCF: ball$'):
        gymnasium.make_vec(
            "Motrix/BounceBall-v0", randomization=Randomization(centre_of_mass=(0, 1))
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [("mass", (2.0, 1.0)), ("mass", (0.0, 1.0)), ("push_speed", -1.0), ("action_delay", (0, 1.5))],
)
def test_impossible_ranges_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got"):
        Randomization(**{name: value})


@pytest.mark.parametrize("knob", KNOBS)
def test_a_hundred_resets_do_not_drift(knob):
    env = make(4, **{knob: KNOBS[knob]})
    low, high = np.inf, -np.inf
    for seed in range(100):
        env.reset(seed=seed)
        push(env, 2)
        for name in env.simulation.per_world:
            field, model = env.simulation.fields[name], getattr(env.model, name)
            ratio = (
                field - model
                if name in ("body_ipos", "dof_frictionloss")
                else field[:, model != 0] / model[model != 0]
            )
            low, high = min(low, ratio.min()), max(high, ratio.max())
    if env.simulation.per_world:
        limits = KNOBS[knob]
        lowest = min(limits[0], 0.0) if knob in ADDED else min(limits[0], 1.0)
        highest = max(limits[1], 0.0) if knob in ADDED else max(limits[1], 1.0)
        assert lowest - 1e-9 <= low < high <= highest + 1e-9


@pytest.mark.parametrize("knob", KNOBS)
def test_what_was_drawn_is_saved_and_restored(knob):
    env = make(4, steps=12, **{knob: KNOBS[knob]}, push_interval=(0.03, 0.05))
    env.reset(seed=0)
    push(env, 5, 0.3)
    snapshot = env.snapshot()
    future = [push(env, 1, 0.1 * step) for step in range(20)]  # through resets
    env.restore(snapshot)
    assert_array_equal([push(env, 1, 0.1 * step) for step in range(20)], future)
    other = make(4, steps=12, **{knob: KNOBS[knob]}, push_interval=(0.03, 0.05))
    other.restore(snapshot)
    assert_array_equal([push(other, 1, 0.1 * step) for step in range(20)], future)


@pytest.mark.parametrize("knob", KNOBS)
def test_row_i_of_many_is_the_environment_made_alone(knob):
    many, alone = make(8, **{knob: KNOBS[knob]}), make(1, **{knob: KNOBS[knob]})
    many.reset(seed=0)
    alone.reset(seed=5)
    for step in range(10):
        assert_array_equal(push(many, 1, 0.1 * step)[5], push(alone, 1, 0.1 * step)[0])
