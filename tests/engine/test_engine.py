# SPDX-License-Identifier: Apache-2.0
"""What every engine must do (`motrix_gym.engine`): worlds, views, faults, snapshots, pictures."""

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_array_equal, assert_equal

from motrix_gym.simulation import Simulation

ENGINES = [Simulation]

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


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def make(request):
    """Make an engine of some worlds."""

    def make(model, num_envs=4, **kwargs):
        return request.param(model, num_envs, 1, **kwargs)

    return make


def test_worlds_step_as_mujoco_does(make, model):
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


def test_derived_fields_are_up_to_date_where_asked_for(make, model):
    lagging, current = make(model, derived=("xpos",)), make(model, derived=("xpos",))
    for simulation, up_to_date in ((lagging, False), (current, True)):
        simulation.all.qvel = 1.0
        simulation.step(2, None, up_to_date)
    assert_array_equal(lagging.all.qpos, current.all.qpos)
    assert (lagging.all.body("ball").xpos[:, 0] < lagging.all.qpos[:, 0]).all()
    assert_array_equal(current.all.body("ball").xpos, current.all.qpos[:, :3])


def test_the_view_of_all_rows_is_live(make, model):
    simulation = make(model)
    view = simulation.all
    assert (view.n, view.ids) == (4, None)
    view.qpos[1, 0] = 7.0
    view.qvel = 2.0
    assert simulation.fields["qpos"][1, 0] == 7.0
    assert (simulation.all.qvel == 2.0).all()
    simulation.step(1)
    assert view.qpos[1, 0] == pytest.approx(7.02)


def test_the_view_of_some_rows_is_a_copy_until_commit(make, model):
    simulation = make(model, buffers={"count": np.zeros(4, int)})
    view = simulation.rows(np.array([1, 3]))
    assert view.n == 2
    view.qpos[:, 0] = [5.0, 6.0]
    view.count += 2
    assert simulation.fields["qpos"][:, 0].tolist() == [0, 0, 0, 0]
    view.commit()
    assert simulation.fields["qpos"][:, 0].tolist() == [0, 5, 0, 6]
    assert simulation.fields["count"].tolist() == [0, 2, 0, 2]


def test_commit_writes_only_what_was_read(make, model):
    simulation = make(model)
    view = simulation.rows(np.array([0, 2]))
    view.ctrl = 1.0
    simulation.fields["qpos"][0, 0] = 9.0
    view.commit()
    assert simulation.fields["qpos"][0, 0] == 9.0


def test_a_view_computes_a_quantity_once(make, model):
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


def test_both_views_give_named_objects(make, model):
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


def test_derived_fields_are_read_only(make, model):
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
def test_what_does_not_exist_is_named_with_the_nearest(make, model, ask, message):
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
def test_fields_that_do_not_exist_are_refused(make, model, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(model, **kwargs)


def test_stepping_some_rows_leaves_the_others(make, model):
    simulation = make(model)
    before = simulation.snapshot()["state"]
    simulation.step(2, np.array([0, 2]))
    after = simulation.snapshot()["state"]
    assert_array_equal(after[[1, 3]], before[[1, 3]])
    assert (after[[0, 2]] != before[[0, 2]]).any(axis=1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_diverging_world_is_reported_and_the_others_are_not_disturbed(make, model, value):
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


def test_a_world_that_mujoco_reset_itself_is_a_fault(make, model):
    simulation = make(model)
    simulation.all.qfrc_applied[1] = 1e30  # the state is finite again when the call returns
    fault = simulation.step(3)
    assert np.isfinite(simulation.all.qpos).all()
    assert fault.tolist() == [False, True, False, False]


def test_model_fields_differ_per_world(make, model):
    simulation = make(model, per_world=("geom_friction", "opt.gravity"))
    simulation.all.geom_friction[:, model.geom("floor").id, 0] = [0.0, 0.2, 0.5, 1.0]
    simulation.all.geom_friction[:, model.geom("ball").id, 0] = 0.0
    simulation.all.qpos[:, 2] = 0.1
    simulation.all.qvel[:, 0] = 2.0
    simulation.step(5)  # while all of them still slide
    speed = simulation.all.qvel[:, 0]
    assert (np.diff(speed) < 0).all()


def test_restore_gives_the_exact_future(make, model):
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
def test_a_foreign_snapshot_is_refused_whole(make, model, spoil, message):
    simulation = make(model, buffers={"count": np.arange(4)})
    taken = simulation.snapshot()
    simulation.step(3)
    before = simulation.snapshot()
    spoil(taken)
    with pytest.raises(ValueError, match=message):
        simulation.restore(taken)
    assert_equal(simulation.snapshot(), before)


def test_rendering_in_two_sizes(make, model, opengl):
    simulation = make(model)
    (small,) = simulation.render([1], 32, 16)
    large, again = simulation.render([1, 2], 64, 48)
    assert small.shape == (16, 32, 3)
    assert large.shape == again.shape == (48, 64, 3)
    simulation.close()
    simulation.close()


def test_rendering_shows_each_worlds_own_model(make, model, opengl):
    simulation = make(model, per_world=("geom_rgba",))
    simulation.all.geom_rgba[2, :] = [1, 0, 0, 1]
    plain, red = simulation.render([1, 2], 32, 32)
    assert red[..., 0].mean() > 2 * red[..., 2].mean()
    assert plain[..., 0].mean() < 1.5 * plain[..., 2].mean()
    simulation.close()


def test_restore_gives_back_derived_fields_as_they_lagged(make, model):
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
