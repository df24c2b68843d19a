# SPDX-License-Identifier: Apache-2.0
"""Domain randomisation: physics that differs between environments and episodes.

A policy that is trained so does not rely on the exact values of one model.

A task's setting ``randomization`` holds the ranges. All are off by default, and so in evaluations.
A training switches them on, for example in the settings file of an environment:

    training_env: {randomization.mass: [0.8, 1.2], randomization.push_speed: 0.5}

Values are drawn at each reset and hold for the episode. They change what the model and the task's
``reset`` give, not what the last episode had, so that nothing drifts.
"""

from dataclasses import dataclass, fields

import mujoco
import numpy as np

from motrix_gym import settings
from motrix_gym.buffer import Buffer
from motrix_gym.random import RowRandom
from motrix_gym.settings import interval, number
from motrix_gym.view import View


@dataclass(frozen=True)
class Randomization:
    """Ranges (low, high) of uniform draws. Factors multiply the model's values."""

    friction: tuple[float, float] = interval(1.0, 1.0, above=0)
    """Factor of each geom's sliding friction."""
    mass: tuple[float, float] = interval(1.0, 1.0, above=0)
    """Factor of each body's mass and inertia."""
    centre_of_mass: tuple[float, float] = interval(0.0, 0.0)
    """Shift of each body's centre of mass along x, y and z of its frame (m)."""
    gains: tuple[float, float] = interval(1.0, 1.0, least=0)
    """Factor of each actuator's gains, within the same force limits."""
    motor_strength: tuple[float, float] = interval(1.0, 1.0, least=0)
    """Factor of each actuator's force, limits included."""
    damping: tuple[float, float] = interval(1.0, 1.0, least=0)
    """Factor of each joint's damping."""
    dry_friction: tuple[float, float] = interval(0.0, 0.0, least=0)
    """Added to each hinge's and slide's dry friction (N m, N)."""
    start_position: tuple[float, float] = interval(0.0, 0.0)
    """Added to each hinge's and slide's start position (rad, m)."""
    start_velocity: tuple[float, float] = interval(0.0, 0.0)
    """Added to each start velocity (m/s, rad/s)."""
    action_delay: tuple[int, int] = interval(0, 0, least=0, most=100, whole=True)
    """Delay of actions, in whole steps of the environment."""
    push_speed: float = number(0.0, least=0)
    """Largest change of the base's horizontal velocity by a push, along x and y each (m/s); 0 for
    no pushes. The base is the first free joint's body."""
    push_interval: tuple[float, float] = interval(5.0, 10.0, above=0)
    """Time from one push to the next (s)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        settings.make_plain(self)

    def on(self, name: str) -> bool:
        """Whether a setting differs from its default, which changes nothing."""
        default = next(field.default for field in fields(self) if field.name == name)
        return getattr(self, name) != default


_FIELDS = {  # the model fields that each setting writes
    "friction": ("geom_friction",),
    "mass": ("body_mass", "body_inertia"),
    "centre_of_mass": ("body_ipos",),
    "gains": ("actuator_gainprm", "actuator_biasprm"),
    "motor_strength": ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange"),
    "damping": ("dof_damping",),
    "dry_friction": ("dof_frictionloss",),
}


class Randomizer:
    """Draws the values of a ``Randomization``, and writes them into the rows of a view.

    Attributes:
        per_world: names of the model fields that it writes, which differ between rows.
        buffers: the arrays that it keeps per row, by name.
    """

    def __init__(
        self, randomization: Randomization, model: mujoco.MjModel, action_size: int, dt: float
    ):
        """Look up what is to be written.

        Args:
            randomization: the ranges.
            model: the MjModel.
            action_size: entries of an action.
            dt: seconds between two actions.

        Raises:
            ValueError: if there are pushes, and the model has no free joint; or centres of mass
                shift, and a body was compiled as simple (``body_simple``), for which MuJoCo
                assumes that its centre of mass stays.
        """
        self._ranges, self._dt = randomization, dt
        self._settings_on = on = [name for name in _FIELDS if randomization.on(name)]
        self.per_world = tuple(dict.fromkeys(field for name in on for field in _FIELDS[name]))
        one_dof = model.jnt_type >= int(mujoco.mjtJoint.mjJNT_SLIDE)  # hinges and slides
        self._positions = model.jnt_qposadr[one_dof]
        self._dofs = model.jnt_dofadr[one_dof]
        self.buffers: dict[str, Buffer] = {}
        self._longest_delay = randomization.action_delay[1]
        if self._longest_delay:
            self.buffers["action_delay"] = Buffer((), np.int64)
            self.buffers["late_actions"] = Buffer(
                (self._longest_delay + 1, action_size), np.float32
            )
        if "centre_of_mass" in on and model.body_simple[1:].any():
            names = [model.body(int(i) + 1).name for i in np.flatnonzero(model.body_simple[1:])]
            raise ValueError(
                "randomization.centre_of_mass: MuJoCo takes the centre of mass of these bodies to "
                f'stay; give them simple="false" in the MJCF: {", ".join(names)}'
            )
        if randomization.push_speed:
            free = np.flatnonzero(model.jnt_type == int(mujoco.mjtJoint.mjJNT_FREE))
            if not len(free):
                raise ValueError("randomization.push_speed: the model has no free joint to push")
            self._base = int(model.jnt_dofadr[free[0]])
            self.buffers["push_time"] = Buffer()

    def reset(self, v: View, rng: RowRandom) -> None:
        """Draw for a new episode, after the task's ``reset``."""
        ranges = self._ranges
        for name in self._settings_on:
            getattr(self, f"_{name}")(v, rng, getattr(ranges, name))
        if ranges.on("start_position"):
            v.qpos[:, self._positions] += rng.uniform(*ranges.start_position, len(self._positions))
        if ranges.on("start_velocity"):
            v.qvel += rng.uniform(*ranges.start_velocity, v.qvel.shape[1])
        if self._longest_delay:
            low, high = ranges.action_delay
            v.action_delay = rng.integers(low, high + 1)
        if ranges.push_speed:
            v.push_time = rng.uniform(*ranges.push_interval)

    def late(self, v: View, action: np.ndarray) -> np.ndarray:
        """(n, act_dim) the actions that take effect in this step, by each row's delay.

        Where the delay is longer than the episode so far, the action is 0.
        """
        if not self._longest_delay:
            return action
        v.late_actions[:, 1:] = v.late_actions[:, :-1].copy()
        v.late_actions[:, 0] = action
        return v.late_actions[np.arange(v.n), v.action_delay]

    def push(self, v: View, rng: RowRandom) -> None:
        """Change the base's velocity in the rows whose next push is due."""
        if not self._ranges.push_speed:
            return
        v.push_time -= self._dt
        ids = np.flatnonzero(v.push_time <= 0)
        if len(ids):
            speed, chosen = self._ranges.push_speed, rng.select(ids)
            v.qvel[ids, self._base : self._base + 2] += chosen.uniform(-speed, speed, 2)
            v.push_time[ids] = chosen.uniform(*self._ranges.push_interval)

    def _friction(self, v: View, rng: RowRandom, limits: tuple[float, float]) -> None:
        v.geom_friction[:, :, 0] *= rng.uniform(*limits, v.geom_friction.shape[1])

    def _mass(self, v: View, rng: RowRandom, limits: tuple[float, float]) -> None:
        factor = rng.uniform(*limits, v.body_mass.shape[1])
        v.body_mass *= factor
        v.body_inertia *= factor[:, :, None]

    def _centre_of_mass(self, v: View, rng: RowRandom, limits: tuple[float, float]) -> None:
        v.body_ipos[:, 1:] += rng.uniform(*limits, (v.body_ipos.shape[1] - 1, 3))

    def _gains(self, v: View, rng: RowRandom, limits: tuple[float, float]) -> None:
        _multiply(v, _FIELDS["gains"], rng.uniform(*limits, v.actuator_gainprm.shape[1]))

    def _motor_strength(self, v: View, rng: RowRandom, limits: tuple[float, float]) -> None:
        _multiply(v, _FIELDS["motor_strength"], rng.uniform(*limits, v.actuator_gainprm.shape[1]))

    def _damping(self, v: View, rng: RowRandom, limits: tuple[float, float]) -> None:
        v.dof_damping *= rng.uniform(*limits, v.dof_damping.shape[1])

    def _dry_friction(self, v: View, rng: RowRandom, limits: tuple[float, float]) -> None:
        v.dof_frictionloss[:, self._dofs] += rng.uniform(*limits, len(self._dofs))


def _multiply(v: View, names: tuple[str, ...], factor: np.ndarray) -> None:
    """Multiply fields (n, actuators, ...) by a factor (n, actuators)."""
    for name in names:
        getattr(v, name)[...] *= factor[:, :, None]
