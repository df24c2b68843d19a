# SPDX-License-Identifier: Apache-2.0
"""The worlds and the views of their rows."""

import gc
import weakref

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_array_equal, assert_equal

from motrix_gym.engine import copy_into
from motrix_gym.rendering import tile
from motrix_gym.simulation import Simulation

XML = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" friction="1 0 0"/>
    <body name="ball" pos="0 0 1"><freejoint name="free"/>
      <geom name="ball" size=".1" mass="2"/><site name="centre" size=".1"/></body>
    <body name="arm" pos="3 0 2"><joint name="hinge" axis="0 1 0"/>
      <geom name="arm" type="capsule" size=".05" fromto="0 0 0 .5 0 0" mass="1"/>
      <body pos=".5 0 0"><joint name="wrist" type="ball"/>
        <geom size=".05" mass=".1"/><site name="tip"/></body></body>
    <body name="cart" pos="0 3 1"><joint name="rail" type="slide" axis="1 0 0"/>
      <geom name="cart" size=".1" mass="1"/></body>
  </worldbody>
  <actuator><motor name="push" joint="rail"/><motor name="turn" joint="hinge" gear="2"/></actuator>
  <sensor><touch name="pressed" site="centre"/><jointpos name="angle" joint="hinge"/>
    <framepos name="where" objtype="site" objname="tip"/></sensor>
</mujoco>
"""


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_string(XML)


def make(model, num_envs=4, **kwargs):
    return Simulation(model, num_envs, 1, **kwargs)


def test_worlds_step_as_mujoco_does(model):
    simulation = make(model, derived=("xpos", "actuator_force"))
    stream = np.random.default_rng(0)
    simulation.all.qvel = stream.normal(size=(4, model.nv))
    data = [mujoco.MjData(model) for _ in range(4)]
    for row, single in enumerate(data):
        single.qvel[:] = simulation.all.qvel[row]
    for _ in range(20):
        simulation.all.ctrl = stream.uniform(-1, 1, (4, 2))
        assert simulation.step(3) is None
        for row, single in enumerate(data):
            single.ctrl[:] = simulation.all.ctrl[row]
            mujoco.mj_step(model, single, 3)
            for name in ("qpos", "qvel", "xpos", "actuator_force", "sensordata"):
                assert_array_equal(simulation.fields[name][row], getattr(single, name))


def test_a_stage_makes_derived_fields_current(model):
    lagging, current = make(model, derived=("xpos",)), make(model, derived=("xpos",))
    for simulation, stage in ((lagging, None), (current, mujoco.mjtStage.mjSTAGE_VEL.value)):
        simulation.all.qvel = 1.0
        simulation.step(2, None, stage)
    assert_array_equal(lagging.all.qpos, current.all.qpos)
    assert (lagging.all.body("ball").xpos[:, 0] < lagging.all.qpos[:, 0]).all()
    assert_array_equal(current.all.body("ball").xpos, current.all.qpos[:, :3])


def test_the_view_of_all_rows_is_live(model):
    simulation = make(model)
    view = simulation.all
    assert (view.n, view.ids) == (4, None)
    view.qpos[1, 0] = 7.0
    view.qvel = 2.0
    assert simulation.fields["qpos"][1, 0] == 7.0
    assert (simulation.all.qvel == 2.0).all()
    simulation.step(1)
    assert view.qpos[1, 0] == pytest.approx(7.02)


def test_the_view_of_some_rows_is_a_copy_until_commit(model):
    simulation = make(model, buffers={"count": np.zeros(4, int)})
    view = simulation.rows(np.array([1, 3]))
    assert view.n == 2
    view.qpos[:, 0] = [5.0, 6.0]
    view.count += 2
    assert simulation.fields["qpos"][:, 0].tolist() == [0, 0, 0, 0]
    view.commit()
    assert simulation.fields["qpos"][:, 0].tolist() == [0, 5, 0, 6]
    assert simulation.fields["count"].tolist() == [0, 2, 0, 2]


def test_commit_writes_only_what_was_read(model):
    simulation = make(model)
    view = simulation.rows(np.array([0, 2]))
    view.ctrl = 1.0
    simulation.fields["qpos"][0, 0] = 9.0
    view.commit()
    assert simulation.fields["qpos"][0, 0] == 9.0


def test_a_view_computes_a_quantity_once(model):
    simulation, asked = make(model), []

    def height(v):
        asked.append(v)
        return v.qpos[:, 2].copy()

    view = simulation.all
    before = view.cached(height)
    simulation.step(5)
    assert view.cached(height) is before
    with pytest.raises(ValueError, match="read-only"):
        before += 1
    assert asked == [view]
    assert (simulation.all.cached(height) < before).all()
    assert_array_equal(simulation.rows(np.array([1, 3])).cached(height), height(view)[[1, 3]])


def test_both_views_give_named_objects(model):
    simulation = make(model, derived=("xpos", "xquat", "site_xpos", "geom_xpos", "actuator_force"))
    stream = np.random.default_rng(0)
    simulation.all.qpos[:, 7] = stream.normal(size=4)
    simulation.all.ctrl = stream.normal(size=(4, 2))
    simulation.step(1)
    ids = np.array([0, 1, 3])
    for view, rows in ((simulation.all, slice(None)), (simulation.rows(ids), ids)):
        fields = {name: array[rows] for name, array in simulation.fields.items()}
        expected = {
            "free qpos": (view.joint("free").qpos, fields["qpos"][:, :7]),
            "free qvel": (view.joint("free").qvel, fields["qvel"][:, :6]),
            "hinge qpos": (view.joint("hinge").qpos, fields["qpos"][:, 7:8]),
            "wrist qpos": (view.joint("wrist").qpos, fields["qpos"][:, 8:12]),
            "wrist qvel": (view.joint("wrist").qvel, fields["qvel"][:, 7:10]),
            "rail qvel": (view.joint("rail").qvel, fields["qvel"][:, 10:11]),
            "body": (view.body("cart").xpos, fields["xpos"][:, model.body("cart").id]),
            "quat": (view.body("arm").xquat, fields["xquat"][:, model.body("arm").id]),
            "site": (view.site("tip").xpos, fields["site_xpos"][:, model.site("tip").id]),
            "geom": (view.geom("ball").xpos, fields["geom_xpos"][:, model.geom("ball").id]),
            "ctrl": (view.actuator("turn").ctrl, fields["ctrl"][:, 1]),
            "force": (view.actuator("turn").force, fields["actuator_force"][:, 1]),
            "touch": (view.sensor("pressed"), fields["sensordata"][:, 0:1]),
            "frame": (view.sensor("where"), fields["sensordata"][:, 2:5]),
        }
        for name, (got, wanted) in expected.items():
            assert_array_equal(got, wanted, err_msg=name)
    view = simulation.rows(ids)
    view.joint("hinge").qpos = 0.25
    view.actuator("push").ctrl = [1.0, 2.0, 3.0]
    view.commit()
    assert simulation.fields["qpos"][:, 7][ids].tolist() == [0.25] * 3
    assert simulation.fields["ctrl"][:, 0][ids].tolist() == [1, 2, 3]


def test_derived_fields_are_read_only(model):
    simulation = make(model, derived=("xpos",))
    for view in (simulation.all, simulation.rows(np.array([1]))):
        with pytest.raises(ValueError, match="read-only"):
            view.xpos = 0.0
        with pytest.raises(ValueError, match="read-only"):
            view.sensor("where")[:] = 0.0


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda v: v.qpoz, "no field 'qpoz': did you mean 'qpos'"),
        (lambda v: v.xpos, "'xpos' is not read by default: add it to Task.derived"),
        (lambda v: setattr(v, "qvell", 1.0), "no field 'qvell': did you mean 'qvel'"),
        (lambda v: v.joint("hinges"), "no joint 'hinges': did you mean 'hinge'"),
        (lambda v: v.body("bal"), "no body 'bal': did you mean 'ball'"),
        (lambda v: v.site("zzz"), "no site 'zzz': there are centre, tip"),
        (lambda v: v.geom("armm"), "no geom 'armm': did you mean 'arm'"),
        (lambda v: v.actuator("pull"), "no actuator 'pull'"),
        (lambda v: v.sensor("touched"), "no sensor 'touched'"),
    ],
)
def test_what_does_not_exist_is_named_with_the_nearest(model, ask, message):
    simulation = make(model)
    for view in (simulation.all, simulation.rows(np.array([0]))):
        with pytest.raises(AttributeError, match=message):
            ask(view)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"derived": ("xposs",)}, "no derived field 'xposs': did you mean 'xpos'"),
        ({"per_world": ("geom_frictions",)}, "did you mean 'geom_friction'"),
        ({"buffers": {"qpos": np.zeros(4)}}, "buffer 'qpos' has the name of a MuJoCo field"),
        ({"buffers": {"xmat": np.zeros(4)}}, "buffer 'xmat' has the name of a MuJoCo field"),
    ],
)
def test_fields_that_do_not_exist_are_refused(model, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(model, **kwargs)


def test_stepping_some_rows_leaves_the_others(model):
    simulation = make(model)
    before = simulation.snapshot()["state"]
    simulation.step(2, np.array([0, 2]))
    after = simulation.snapshot()["state"]
    assert_array_equal(after[[1, 3]], before[[1, 3]])
    assert (after[[0, 2]] != before[[0, 2]]).any(axis=1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_diverging_world_is_reported_and_the_others_are_not_disturbed(model, value):
    simulation, sound = make(model), make(model)
    simulation.all.qvel[2, 0] = value
    fault = simulation.step(5)
    assert sound.step(5) is None
    assert fault.tolist() == [False, False, True, False]
    others = [0, 1, 3]
    assert_array_equal(simulation.snapshot()["state"][others], sound.snapshot()["state"][others])
    simulation.reset(np.array([2]))
    sound.reset(np.array([2]))
    assert simulation.step(5) is None
    sound.step(5)
    assert_equal(simulation.snapshot(), sound.snapshot())


def test_a_world_that_mujoco_reset_itself_is_a_fault(model):
    simulation = make(model)
    simulation.all.qfrc_applied[1] = 1e30  # the state is finite again when the call returns
    fault = simulation.step(3)
    assert np.isfinite(simulation.all.qpos).all()
    assert fault.tolist() == [False, True, False, False]


def test_model_fields_differ_per_world(model):
    simulation = make(model, per_world=("geom_friction", "opt.gravity"))
    simulation.all.geom_friction[:, model.geom("floor").id, 0] = [0.0, 0.2, 0.5, 1.0]
    simulation.all.geom_friction[:, model.geom("ball").id, 0] = 0.0
    simulation.all.qpos[:, 2] = 0.1
    simulation.all.qvel[:, 0] = 2.0
    simulation.step(5)  # while all of them still slide
    speed = simulation.all.qvel[:, 0]
    assert (np.diff(speed) < 0).all()


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


def test_restore_gives_the_exact_future(model):
    simulation = make(
        model, per_world=("geom_friction",), buffers={"count": np.arange(4), "x": np.ones((4, 2))}
    )
    simulation.all.geom_friction[:] *= np.arange(1.0, 5)[:, None, None]
    simulation.step(30)
    taken = simulation.snapshot()
    simulation.step(30)
    future = simulation.snapshot()
    simulation.all.geom_friction[:] = 3.0
    simulation.all.count[:] = -1
    simulation.restore(taken)
    assert_equal(simulation.snapshot(), taken)
    simulation.step(30)
    assert_equal(simulation.snapshot(), future)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("buffer/count"), "no 'buffer/count'"),
        (lambda s: s.update(state=s["state"][:-1]), "'state' is float64 .*needs float64"),
        (lambda s: s.update({"buffer/count": np.zeros(4)}), "'buffer/count' is float64"),
    ],
)
def test_a_foreign_snapshot_is_refused_whole(model, spoil, message):
    simulation = make(model, buffers={"count": np.arange(4)})
    taken = simulation.snapshot()
    simulation.step(3)
    before = simulation.snapshot()
    spoil(taken)
    with pytest.raises(ValueError, match=message):
        simulation.restore(taken)
    assert_equal(simulation.snapshot(), before)


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


def test_rendering_in_two_sizes(model, opengl):
    simulation = make(model)
    (small,) = simulation.render([1], 32, 16)
    large, again = simulation.render([1, 2], 64, 48)
    assert small.shape == (16, 32, 3)
    assert large.shape == again.shape == (48, 64, 3)
    simulation.close()
    simulation.close()


def test_rendering_shows_each_worlds_own_model(model, opengl):
    simulation = make(model, per_world=("geom_rgba",))
    simulation.all.geom_rgba[2, :] = [1, 0, 0, 1]
    plain, red = simulation.render([1, 2], 32, 32)
    assert red[..., 0].mean() > 2 * red[..., 2].mean()
    assert plain[..., 0].mean() < 1.5 * plain[..., 2].mean()
    simulation.close()


def test_tile_is_as_square_as_it_goes():
    frames = [np.full((2, 3, 3), i, np.uint8) for i in range(1, 6)]
    sheet = tile(frames)
    assert sheet.shape == (4, 9, 3)
    assert sheet[::2, ::3, 0].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert tile(frames, columns=5).shape == (2, 15, 3)
    assert_array_equal(tile(frames[:1]), frames[0])


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


def test_restore_gives_back_derived_fields_as_they_lagged(model):
    simulation = make(model, derived=("qacc",))
    simulation.all.qvel[:] = 1.0
    simulation.step(7)
    lagging = simulation.fields["qacc"].copy()
    taken = simulation.snapshot()
    simulation.refresh(np.arange(simulation.num_envs))
    assert (simulation.fields["qacc"] != lagging).any()
    simulation.restore(taken)
    assert (simulation.fields["qacc"] == lagging).all()
    assert not simulation.fields["qacc"].flags.writeable
