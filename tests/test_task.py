# SPDX-License-Identifier: Apache-2.0
"""A task's functions: when the environment calls them, and what becomes of what they return."""

import dataclasses

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_array_equal, assert_equal

from motrix_gym import (
    Buffer,
    Channel,
    Goal,
    Metric,
    MotrixEnv,
    MotrixVectorEnv,
    SuccessRule,
    Task,
    TaskConfig,
    TaskError,
)
from motrix_gym.contacts import add_contact_sensors

XML = """
<mujoco>
  <worldbody><body name="box"><joint name="rail" type="slide" axis="1 0 0"/>
    <geom name="box" size=".1" mass="1"/><site name="box"/></body></worldbody>
  <actuator><motor name="push" joint="rail"/></actuator>
  <sensor><framepos name="place" objtype="site" objname="box"/></sensor>
</mujoco>
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RailConfig(TaskConfig):
    control_timestep: float = 0.02
    physics_timestep: float = 0.01
    max_episode_steps: int | None = 10
    reward_weights: dict = dataclasses.field(default_factory=lambda: {"place": 2.0, "speed": -1.0})


class Rail(Task):
    """A box on a rail, that writes down what the engine asks of it."""

    config: RailConfig
    metrics = {"place": Metric("m", "last", "where it is")}

    def __init__(self, config=None):
        super().__init__(config or RailConfig())
        self.calls = []

    def build_model(self):
        return mujoco.MjModel.from_xml_string(XML)

    def buffers(self):
        return {
            "steps": Buffer((), np.int64),
            "goal": Buffer((2,), np.float32, initial=-1.0),
            "seen": Buffer((), bool, initial=True),
        }

    def note(self, name, v):
        self.calls.append((name, None if v.ids is None else v.ids.tolist()))

    def reset(self, v, rng):
        self.note("reset", v)
        assert (v.goal == -1).all()
        assert (v.steps == 0).all()
        assert v.seen.all()
        assert (v.qpos == 0).all()
        v.qpos = rng.uniform(0, 1, 1)
        v.goal = rng.uniform(0, 1, 2)
        v.seen = False

    def act(self, v, action):
        self.note("act", v)
        v.ctrl = action

    def terminated(self, v):
        self.note("terminated", v)
        return v.qpos[:, 0] > 5

    def rewards(self, v):
        self.note("rewards", v)
        return {"place": v.qpos[:, 0], "speed": v.qvel[:, 0]}

    def measure(self, v):
        self.note("measure", v)
        return {"place": v.qpos[:, 0]}

    def success(self, v):
        self.note("success", v)
        return v.qpos[:, 0] > 4

    def advance(self, v, rng):
        self.note("advance", v)
        v.steps += 1

    def observation_channels(self):
        return [
            Channel("place", "m", 1, self.place),
            Channel("speed", "m/s", 1, lambda v: v.qvel[:, 0], noise=0.5),
            Channel("steps", "1", 1, lambda v: v.steps),
        ]

    def place(self, v):
        self.note("observe", v)
        return v.qpos[:, 0]


def make(num_envs=3, task=None, **kwargs):
    return MotrixVectorEnv(task or Rail(), num_envs, num_threads=1, **kwargs)


def zeros(env):
    return np.zeros(env.action_space.shape, np.float32)


def names(calls):
    return [name for name, _ in calls]


def test_the_engine_calls_in_the_order_it_says():
    env = make()
    env.task.calls.clear()  # the channels were read when the environment was made
    env.reset(seed=0)
    assert env.task.calls == [("reset", [0, 1, 2]), ("observe", [0, 1, 2])]
    env.task.calls.clear()
    env.step(zeros(env))
    order = [name for name in names(env.task.calls) if name != "terminated"]
    assert order == ["act", "rewards", "measure", "success", "advance", "observe"]
    assert all(ids is None for _, ids in env.task.calls)


def test_rows_that_ended_are_reset_and_observed_alone():
    env = make()
    env.reset(seed=0)
    env.simulation.fields["qpos"][1] = 6.0
    env.task.calls.clear()
    observations, reward, terminated, truncated, info = env.step(zeros(env))
    assert env.task.calls[-2:] == [("reset", [1]), ("observe", [1])]
    assert terminated.tolist() == [False, True, False]
    assert reward[1] == pytest.approx(12.0)
    assert info["success"].tolist() == [False, True, False]
    assert info["metrics"]["place"][1] == pytest.approx(6.0)
    assert info["final_obs"][1, 0] == pytest.approx(6.0)
    assert observations[1, 0] < 1


def test_buffers_are_reset_row_by_row():
    env = make()
    env.reset(seed=0)
    for _ in range(4):
        env.step(zeros(env))
    goal = env.simulation.buffers["goal"].copy()
    env.reset(options={"reset_mask": np.array([False, True, False])})
    assert env.simulation.buffers["steps"].tolist() == [4, 0, 4]
    assert_array_equal(env.simulation.buffers["goal"][[0, 2]], goal[[0, 2]])
    assert (env.simulation.buffers["goal"][1] != goal[1]).any()
    assert env.simulation.buffers["goal"].dtype == np.float32
    assert env.simulation.buffers["seen"].dtype == bool


def test_rewards_are_weighted_and_add_up():
    env = make(task=Rail(RailConfig().override(reward_weights={"speed": 3.0})))
    env.reset(seed=0)
    env.simulation.fields["qvel"][:, 0] = [1.0, 2.0, 3.0]
    _, reward, _, _, info = env.step(zeros(env))
    place, speed = env.simulation.fields["qpos"][:, 0], env.simulation.fields["qvel"][:, 0]
    assert_array_equal(info["reward_terms"]["place"], 2 * place)
    assert_array_equal(info["reward_terms"]["speed"], 3 * speed)
    assert_array_equal(reward, 2 * place + 3 * speed)


def test_what_advance_writes_is_observed_and_not_rewarded():
    env = make()
    observations, _ = env.reset(seed=0)
    assert observations[:, 2].tolist() == [0, 0, 0]
    assert env.step(zeros(env))[0][:, 2].tolist() == [1, 1, 1]


class Sprung(Rail):
    """Its controls depend on the state."""

    def act(self, v, action):
        v.ctrl = action - 5.0 * v.qpos - 0.1 * v.qvel


def test_functions_see_the_state_as_it_is_also_in_views_of_some_rows():
    env = make(task=Sprung(), autoreset_mode="NEXT_STEP")
    twin = make(task=Sprung(), autoreset_mode="NEXT_STEP")
    start, _ = env.reset(seed=0)
    assert_array_equal(twin.reset(seed=0)[0], start)
    env.simulation.fields["qpos"][1] = 6.0  # row 1 ends, and is reset while the others step
    for _ in range(5):
        step, expected = env.step(zeros(env)), twin.step(zeros(twin))
        for value, wanted in zip(step[:4], expected[:4], strict=True):
            assert_array_equal(value[[0, 2]], wanted[[0, 2]])
        place = env.simulation.fields["qpos"][:, 0].astype(np.float32)
        assert_array_equal(step[0][:, 0], place)


def test_noise_is_of_the_channels_that_have_it():
    quiet, loud = make(64), make(64, Rail(RailConfig(observation_noise=2.0)))
    difference = loud.reset(seed=0)[0] - quiet.reset(seed=0)[0]
    assert not difference[:, [0, 2]].any()
    assert 0.8 < abs(difference[:, 1]).max() <= 1.0


def test_noise_of_a_mute_task_draws_nothing():
    env = make()
    env.reset(seed=0)
    before = env.snapshot()["episode/random_count"]
    env.step(zeros(env))
    assert_array_equal(env.snapshot()["episode/random_count"], before)


class Current(Rail):
    """Observes a field that lags, unless it asks for it to be current."""

    derived = ("site_xpos",)
    derived_up_to_date = True

    def observation_channels(self):
        return [Channel("place", "m", 1, lambda v: v.sensor("place")[:, 0])]


@pytest.mark.parametrize("current", [True, False])
def test_derived_fields_are_current_where_asked_for(current):
    task = Current()
    task.derived_up_to_date = current  # pyright: ignore
    env = make(task=task)
    observations, _ = env.reset(seed=0)
    assert_array_equal(observations[:, 0], env.simulation.fields["qpos"][:, 0].astype(np.float32))
    env.simulation.fields["qvel"][:] = 1.0
    observations = env.step(zeros(env))[0]
    behind = env.simulation.fields["qpos"][:, 0] - observations[:, 0]
    assert behind == pytest.approx(0.0 if current else 0.01, abs=1e-6)


class Randomised(Rail):
    """Each episode draws a mass, starting from the model's."""

    per_world = ("body_mass",)

    def reset(self, v, rng):
        v.body_mass[:, 1] *= rng.uniform(0.5, 1.5)


def test_domain_randomisation_starts_from_the_model_each_time():
    env = make(256, Randomised())
    masses = []
    for k in range(100):
        env.reset(seed=0 if k == 0 else None)
        masses.append(env.simulation.fields["body_mass"][:, 1].copy())
    masses = np.array(masses)
    assert masses.min() >= 0.5
    assert masses.max() <= 1.5
    assert masses[:5].std() == pytest.approx(masses[-5:].std(), rel=0.1)
    assert masses[-1].mean() == pytest.approx(1.0, abs=0.06)
    assert len(np.unique(masses)) == masses.size
    assert env.model.body_mass[1] == 1.0


def test_domain_randomisation_is_in_force_from_the_first_step():
    env = make(8, Randomised())
    env.reset(seed=0)
    env.step(np.ones((8, 1), np.float32))
    mass = env.simulation.fields["body_mass"][:, 1]
    assert env.simulation.fields["qvel"][:, 0] == pytest.approx(0.02 / mass)


class Bare(Task):
    """The least that a task can have."""

    def build_model(self):
        return mujoco.MjModel.from_xml_string(XML)

    def rewards(self, v):
        return {"still": 1.0 - abs(v.qvel[:, 0])}

    def observation_channels(self):
        return [Channel("place", "m", 1, lambda v: v.qpos)]


BARE = TaskConfig(reward_weights={"still": 1.0}, max_episode_steps=None)


def test_a_task_needs_no_more_than_two_functions():
    env = make(task=Bare(BARE))
    env.reset()
    *_, info = env.step(zeros(env) + 0.5)
    assert (env.simulation.fields["ctrl"] == 0.5).all()
    assert "success" not in info
    assert info["metrics"] == {}
    single = MotrixEnv(Bare(BARE))
    single.reset(seed=0)
    observation, reward, terminated, truncated, info = single.step(np.zeros(1))
    assert (reward, terminated, truncated) == (1.0, False, False)
    assert info == {"reward_terms": {"still": 1.0}, "metrics": {}}


def test_actions_that_are_not_the_models_controls_need_a_function():
    class Pair(Bare):
        def action_channels(self):
            return [Channel("push", "N", 2)]

    env = make(task=Pair(BARE))
    env.reset()
    with pytest.raises(ValueError, match="2 entries, and the model 1 controls: write .* ``act``"):
        env.step(zeros(env))


def test_the_timestep_is_the_configurations():
    config = RailConfig(control_timestep=0.03, physics_timestep=0.005)
    task = Rail(config)
    assert task.model.opt.timestep == 0.005
    assert task.dt == 0.03
    assert config.substeps == 6
    env = make(task=task)
    env.reset(seed=0)
    env.simulation.fields["qvel"][:] = 1.0
    before = env.simulation.fields["qpos"].copy()
    env.step(zeros(env))
    assert env.simulation.fields["qpos"] - before == pytest.approx(0.03)
    assert env.metadata["render_fps"] == 33


@pytest.mark.parametrize(
    ("comparison", "value", "met"),
    [(">=", 2.0, True), (">=", 1.9, False), ("<=", 2.0, True), ("<=", 2.1, False)],
)
def test_goals(comparison, value, met):
    goal = Goal("return", comparison, 2.0)
    assert goal.met(value) is met
    assert str(goal) == f"return {comparison} 2"


def test_a_goal_of_another_comparison_is_refused():
    with pytest.raises(ValueError, match="comparison must be one of .*'=='"):
        Goal("return", "==", 2.0)


def test_two_environments_of_one_task_do_not_share_state():
    task = Rail()
    one, two = make(task=task), make(task=task)
    one.reset(seed=0)
    two.reset(seed=1)
    before = two.snapshot()
    for _ in range(5):
        one.step(zeros(one))
    assert_equal(two.snapshot(), before)


class WithoutAutoreset(Rail):
    """MuJoCo itself leaves a diverged world as it is: not a number."""

    def build_model(self):
        disabled = '<option><flag autoreset="disable"/></option>'
        return mujoco.MjModel.from_xml_string(XML.replace("<mujoco>", f"<mujoco>{disabled}"))


def test_a_diverged_row_shows_no_more_than_finite_numbers():
    env, sound = make(task=WithoutAutoreset()), make(task=WithoutAutoreset())
    env.reset(seed=0)
    sound.reset(seed=0)
    env.simulation.fields["qvel"][1] = np.nan
    for t in range(12):
        step, expected = env.step(zeros(env)), sound.step(zeros(sound))
        assert_array_equal(
            step[4].get("fault", np.zeros(3, bool)), np.arange(3) == (1 if t == 0 else 9)
        )
        for value, wanted in zip(step[:4], expected[:4], strict=True):
            assert_array_equal(value[[0, 2]], wanted[[0, 2]])
            assert np.isfinite(value).all()
        assert np.isfinite(step[4]["metrics"]["place"]).all()
        assert np.isfinite(step[4].get("final_obs", np.zeros(1))).all()
    assert np.isfinite(env.simulation.batch.state).all()


class Visit(Rail):
    """Reaches its goal in the steps of ``at_goal``, and counts them."""

    at_goal = (False, True, True, False, True, True, True, False)

    def success(self, v):
        return np.array(self.at_goal)[v.steps]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SuccessRule(), [0, 1, 1, 0, 1, 1, 1, 0]),
        (SuccessRule("end", 0.04), [0, 0, 1, 0, 0, 1, 1, 0]),
        (SuccessRule("once"), [0, 1, 1, 1, 1, 1, 1, 1]),
        (SuccessRule("held", 0.06), [0, 0, 0, 0, 0, 0, 1, 1]),  # three steps of 0.02 s
        (SuccessRule("held", 0.08), [0] * 8),
    ],
)
def test_success_counts_at_the_end_once_or_when_held(rule, expected):
    task = Visit()
    task.success_rule = rule  # pyright: ignore
    env = make(2, task)
    for _ in range(2):  # it begins anew with each episode
        env.reset(seed=0)
        got = [env.step(zeros(env))[4]["success"].tolist() for _ in range(8)]
        assert got == [[bool(x)] * 2 for x in expected]


@pytest.mark.parametrize(
    "given", [("last", 0.0), ("held", 0.0), ("once", 1.0), ("end", -1.0), ("end", np.nan)]
)
def test_impossible_rules_of_success_are_refused(given):
    with pytest.raises(ValueError, match="must be"):
        SuccessRule(*given)


class Curriculum(Rail):
    """Every episode that ends raises the level."""

    def buffers(self):
        return super().buffers() | {"level": Buffer(dtype=np.int64, lasts="training")}

    def reset(self, v, rng):
        super().reset(v, rng)
        v.level += 1


def test_a_level_lasts_until_the_row_is_seeded():
    env = make(2, Curriculum())
    level = env.simulation.buffers["level"]
    env.reset(seed=0)
    env.reset()
    env.reset(options={"reset_mask": np.array([True, False])})
    assert level.tolist() == [3, 2]
    snapshot = env.snapshot()
    env.reset(seed=[None, 5])
    assert level.tolist() == [4, 1]
    env.restore(snapshot)
    assert level.tolist() == [3, 2]
    env.simulation.fields["qvel"][1] = np.nan  # a row that diverged keeps its level
    env.step(zeros(env))
    assert level.tolist() == [3, 3]


def test_buffers_last_an_episode_or_a_training():
    with pytest.raises(ValueError, match="lasts must be 'episode' or 'training', got 'run'"):
        Buffer(lasts="run")


class Disturbed(Rail):
    """Pushed before the physics, harder where the gear is stronger."""

    per_world = ("actuator_gear",)

    def act(self, v, action):
        super().act(v, action)
        v.actuator_gear[:, 0, 0] = 1 + action[:, 0]  # at every step

    def disturb(self, v, rng):
        v.qvel[:, 0] += rng.uniform(1, 2)


def test_a_task_disturbs_before_the_physics_and_act_writes_model_fields():
    env = make(4, Disturbed())
    env.reset(seed=0)
    before = env.simulation.fields["qvel"][:, 0].copy()
    strength = np.array([[0.0], [0.25], [0.5], [1.0]])
    env.step(strength)
    change = env.simulation.fields["qvel"][:, 0] - before
    assert len(np.unique(change)) == 4
    assert (change >= 1).all()
    assert env.simulation.fields["actuator_gear"][:, 0, 0].tolist() == [1, 1.25, 1.5, 2]
    env.reset(seed=0)
    assert (env.simulation.fields["actuator_gear"] == env.model.actuator_gear).all()


class Touching(Bare):
    """A ball on the floor."""

    contacts = {"floor_on_ball": ("floor", "ball")}
    xml = """<mujoco><worldbody><geom name="floor" type="plane" size="1 1 .1"/>
    <body pos="0 0 .1"><joint type="slide" axis="0 0 1"/>
    <geom name="ball" size=".1" mass="2"/></body></worldbody></mujoco>"""

    def build_model(self):
        spec = mujoco.MjSpec.from_string(self.xml)
        add_contact_sensors(spec, self.contacts)
        return spec.compile()

    def action_channels(self):
        return []

    def act(self, v, action):
        pass


def test_contact_of_named_geoms_is_a_force_in_the_worlds_frame():
    env = make(2, Touching(BARE))
    env.reset(seed=0)
    for _ in range(200):  # 4 s: it comes to rest
        env.step(np.zeros((2, 0), np.float32))
    force = env.simulation.all.sensor("floor_on_ball")
    assert force == pytest.approx(np.tile([0, 0, 2 * 9.81], (2, 1)), abs=0.1)
    env.simulation.fields["qpos"][:] = 1.0  # far up; it lags by a physics step
    env.step(np.zeros((2, 0), np.float32))
    assert (env.simulation.all.sensor("floor_on_ball") == 0).all()


def test_contact_with_a_geom_that_is_not_there_names_the_nearest():
    class Wrong(Touching):
        contacts = {"touch": ("floor", "bal")}

    with pytest.raises(ValueError, match="contact 'touch': no geom 'bal': did you mean 'ball'"):
        Wrong(BARE)


def test_channels_of_the_model_file_are_read_with_contacts(tmp_path):
    class OfFile(Touching):
        model_file = tmp_path / "ball.xml"
        build_model = Task.build_model

    OfFile.model_file.write_text(OfFile.xml)
    assert OfFile(BARE).model.nsensor == 1


class Marked(Rail):
    """Draws a mark in the middle of the picture."""

    def draw(self, scene, v):
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            mujoco.mjtGeom.mjGEOM_SPHERE,
            np.full(3, 0.06),
            np.array([0.05 * v.qpos[0, 0], 0.0, 0.0]),
            np.eye(3).flatten(),
            np.array([1, 0, 1, 1], np.float32),
        )
        scene.ngeom += 1


def test_a_task_draws_what_is_no_geom_of_the_model(opengl):
    def picture(task):
        env = make(2, task, render_mode="rgb_array", render_rows=[1], render_size=(64, 48))
        env.reset(seed=0)
        frame = env.render()[0].astype(int)
        env.close()
        return frame

    def magenta(frame):
        red, green, blue = np.moveaxis(frame, -1, 0)
        return ((red > green + 60) & (blue > green + 60)).sum()

    assert magenta(picture(Rail())) == 0
    assert magenta(picture(Marked())) > 10


@pytest.mark.parametrize(
    ("function", "gives", "message"),
    [
        ("terminated", lambda v: v.qpos > 1, r"Rail.terminated gives shape \(3, 1\), .* \(3,\)"),
        ("terminated", lambda v: v.qpos[:, 0], "Rail.terminated gives float64, .* bool"),
        ("success", lambda v: v.qpos > 1, r"Rail.success gives shape \(3, 1\)"),
        ("measure", lambda v: {"place": v.qpos}, r"Rail.measure\['place'\] gives shape \(3, 1\)"),
        ("rewards", lambda v: {"place": 1.0, "speed": v.qvel[:, 0]}, r"'place'\] gives shape \(\)"),
        ("rewards", lambda v: {"place": v.qpos[:, 0], "speed": v.qvel}, r"'speed'\] gives shape"),
        ("rewards", lambda v: {"place": v.qpos[:, 0]}, "not in both: speed"),
    ],
)
def test_what_a_task_says_has_the_shape_and_type_that_it_should(function, gives, message):
    task = Rail()
    setattr(task, function, gives)
    env = make(task=task)
    env.reset(seed=0)
    with pytest.raises(TaskError, match=message):
        env.step(np.zeros((3, 1)))


@pytest.mark.parametrize("function", ["rewards(v)", "observation_channels()"])
def test_a_task_without_a_function_is_told_which(function):
    name = function.partition("(")[0]
    half = type("Half", (Rail,), {name: getattr(Task, name)})
    with pytest.raises(TaskError) as error:
        half()
    assert str(error.value) == f"Half must define {function}"
