# SPDX-License-Identifier: Apache-2.0
"""The control tasks against dm_control, whose definitions they follow."""

import gymnasium
import mujoco
import numpy as np
import pytest

from motrix_gym.registration import make_task

pytest.importorskip(
    "dm_control",
    reason="dm_control, the oracle, is not installed: labmaze, which it needs, has no wheel for "
    "Python 3.13 and newer",
)
stats = pytest.importorskip("scipy.stats")  # dm_control brings it
from dm_control.mujoco.wrapper.mjbindings import sizes  # noqa: E402

# dm_control knows MuJoCo's fields from a table, which lags behind MuJoCo: what is gone is skipped.
for _struct, _type in (("mjmodel", mujoco.MjModel), ("mjdata", mujoco.MjData)):
    for _field in [name for name in sizes.array_sizes[_struct] if not hasattr(_type, name)]:
        del sizes.array_sizes[_struct][_field]
from dm_control import suite  # noqa: E402

ORACLES = {
    "WalkerStand": ("walker", "stand"),
    "WalkerWalk": ("walker", "walk"),
    "WalkerRun": ("walker", "run"),
    "CheetahRun": ("cheetah", "run"),
    "HopperStand": ("hopper", "stand"),
    "HopperHop": ("hopper", "hop"),
    "ReacherEasy": ("reacher", "easy"),
    "ReacherHard": ("reacher", "hard"),
}
MODELS = ["WalkerRun", "CheetahRun", "HopperHop", "ReacherHard"]
# A pose on its feet (qpos), from which rewards are not all zero, and how it moves (qvel).
UPRIGHT = {
    "walker": ([-0.02, 0, 0, 0.3, -0.3, 0, -0.2, -0.1, 0], [0, 3, 0, 1, 0, 0, -1, 0, 0]),
    "cheetah": ([0, -0.1, 0, 0, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0, 0, 0]),
    "hopper": ([0, 0, 0, 0, -0.4, 0.8, -0.4], [1.7, 0, 0, 0, 0, 0, 0]),
}


def load(name):
    return suite.load(*ORACLES[name])


def make(name, num_envs, **kwargs):
    return gymnasium.make_vec(f"Motrix/{name}-v0", num_envs=num_envs, num_threads=1, **kwargs)


def flat(observation):
    return np.concatenate([np.ravel(part) for part in observation.values()])


def place(oracle, data, target):
    """Put ``oracle`` into the state of one of our worlds, its target included."""
    with oracle.physics.reset_context():
        for name in ("qpos", "qvel", "qacc_warmstart"):
            getattr(oracle.physics.data, name)[:] = getattr(data, name)
        if target is not None:
            oracle.physics.named.model.geom_pos["target", :2] = target


def test_the_episode_is_as_long():
    for name in ORACLES:
        oracle, config = load(name), make_task(f"Motrix/{name}-v0").config
        assert oracle._step_limit == pytest.approx(config.max_episode_steps)
        assert oracle.control_timestep() == pytest.approx(config.control_timestep)
        assert oracle.physics.timestep() == config.physics_timestep


@pytest.mark.parametrize("name", MODELS)
def test_compiled_robots_are_equal(name):
    own, theirs = make_task(f"Motrix/{name}-v0").model, load(name).physics.model.ptr
    assert (own.nq, own.nv, own.nu, own.na, own.njnt) == (
        *(theirs.nq, theirs.nv, theirs.nu, theirs.na, theirs.njnt),
    )
    fields = """
    body_mass body_inertia body_pos body_quat body_ipos body_iquat body_parentid body_invweight0
    jnt_type jnt_bodyid jnt_axis jnt_pos jnt_limited jnt_range jnt_margin jnt_solref jnt_solimp
    jnt_stiffness qpos0 qpos_spring dof_damping dof_armature dof_frictionloss dof_invweight0
    actuator_trnid actuator_gear actuator_ctrllimited actuator_ctrlrange actuator_forcelimited
    actuator_gainprm actuator_biasprm actuator_dyntype
    """
    for field in fields.split():
        expected = getattr(theirs, field)
        given = getattr(own, field)[: len(expected)]  # our target is a body more
        np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-14, err_msg=field)


@pytest.mark.parametrize("name", MODELS)
def test_options_are_equal(name):
    own, theirs = make_task(f"Motrix/{name}-v0").model.opt, load(name).physics.model.ptr.opt
    options = [option for option in dir(own) if not option.startswith("_")]
    options = [option for option in options if not callable(getattr(own, option))]
    assert {"timestep", "integrator", "solver", "tolerance", "disableflags"} <= set(options)
    # Islands and the bounding boxes within bodies change what a step costs, and no bit of it.
    speed = int(mujoco.mjtDisableBit.mjDSBL_ISLAND | mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
    assert own.disableflags & ~speed == theirs.disableflags
    options.remove("disableflags")
    for option in options:
        np.testing.assert_array_equal(getattr(own, option), getattr(theirs, option), option)


@pytest.mark.parametrize("name", ["WalkerRun", "CheetahRun", "HopperHop"])
def test_contacts_are_equal(name):
    own, theirs = make_task(f"Motrix/{name}-v0").model, load(name).physics.model.ptr
    touching = [(m.geom_contype != 0) | (m.geom_conaffinity != 0) for m in (own, theirs)]
    links = [
        m.geom_type[mask] != mujoco.mjtGeom.mjGEOM_PLANE
        for m, mask in zip((own, theirs), touching, strict=True)
    ]
    for field in """
    geom_type geom_bodyid geom_contype geom_conaffinity geom_condim geom_priority geom_friction
    geom_solref geom_solimp geom_solmix geom_margin geom_gap geom_quat geom_pos geom_size
    """.split():
        given, expected = (
            getattr(m, field)[mask] for m, mask in zip((own, theirs), touching, strict=True)
        )
        if field in ("geom_pos", "geom_size"):  # how far a plane is drawn means nothing
            given, expected = given[links[0]], expected[links[1]]
        np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-14, err_msg=field)
    for m in (own, theirs):
        (floor,) = np.flatnonzero(m.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
        assert m.geom_pos[floor, 2] == 0


@pytest.mark.parametrize("name", ORACLES)
def test_same_actions_make_the_same_episode(name):
    """200 steps from two start states and two upright ones."""
    domain, num_envs, steps = ORACLES[name][0], 4, 200
    env = make(name, num_envs)
    observations, _ = env.reset(seed=11)
    simulation = env.unwrapped.simulation
    state = simulation.fields
    if domain in UPRIGHT:
        state["qpos"][2:], state["qvel"][2:] = UPRIGHT[domain]
        simulation.refresh(np.arange(num_envs))
        observations = env.unwrapped.task.observe(simulation.all)
    else:  # with the finger in the target
        target = state["mocap_pos"][2:, 0, :2] - observations[2:, 2:4]
        state["mocap_pos"][2:, 0, :2] = target
        observations = env.unwrapped.task.observe(simulation.all)
    oracles = [load(name) for _ in range(num_envs)]
    for row, oracle in enumerate(oracles):
        oracle.reset()
        target = state["mocap_pos"][row, 0, :2] if domain == "reacher" else None
        place(oracle, simulation.batch.get_data(row), target)
        expected = flat(oracle.task.get_observation(oracle.physics))
        np.testing.assert_allclose(observations[row], expected, rtol=1e-6, atol=1e-6)

    stream = np.random.default_rng(5)
    rewarded = 0.0
    for _ in range(steps):
        actions = stream.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        observations, rewards, terminated, truncated, _ = env.step(actions)
        assert not (terminated | truncated).any()
        rewarded += rewards.sum()
        for row, oracle in enumerate(oracles):
            step = oracle.step(actions[row].astype(float))
            for field in ("qpos", "qvel"):
                expected = getattr(oracle.physics.data, field)
                np.testing.assert_allclose(state[field][row], expected, rtol=1e-9, atol=1e-9)
            expected = flat(step.observation)
            np.testing.assert_allclose(observations[row], expected, rtol=1e-6, atol=1e-6)
            assert rewards[row] == pytest.approx(step.reward, abs=1e-9)
    assert rewarded > 1
    env.close()


@pytest.mark.parametrize("name", MODELS)
def test_episodes_start_alike(name):
    """Per coordinate, by the Kolmogorov-Smirnov test."""
    samples = 400
    env = make(name, samples)
    env.reset(seed=1)
    state = env.unwrapped.simulation.fields
    own = [state["qpos"].copy(), state["qvel"].copy()]
    oracle = suite.load(*ORACLES[name], task_kwargs={"random": 2})
    theirs = [[], [], []]
    for _ in range(samples):
        oracle.reset()
        theirs[0].append(oracle.physics.data.qpos.copy())
        theirs[1].append(oracle.physics.data.qvel.copy())
        if name == "ReacherHard":
            theirs[2].append(oracle.physics.named.model.geom_pos["target", :2].copy())
    if name == "ReacherHard":
        own.append(state["mocap_pos"][:, 0, :2].copy())
    for given, expected in zip(own, theirs, strict=False):
        for coordinate, (a, b) in enumerate(zip(given.T, np.array(expected).T, strict=True)):
            if np.ptp(b) < 1e-12:
                np.testing.assert_allclose(a, b[0], atol=1e-12)
            else:
                assert stats.ks_2samp(a, b).pvalue > 1e-3, coordinate
    env.close()


@pytest.mark.parametrize("name", ["ReacherEasy", "ReacherHard"])
def test_targets_are_as_large(name):
    oracle = load(name)
    oracle.reset()
    size = make_task(f"Motrix/{name}-v0").model.geom("target").size[0]
    assert size == oracle.physics.named.model.geom_size["target", 0]
