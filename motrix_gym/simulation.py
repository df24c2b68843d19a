# SPDX-License-Identifier: Apache-2.0
"""The engine of the suite: many MuJoCo worlds of one model, stepped by ``mujoco.batch``.

Its fields are arrays with one row per world, of four kinds:

- state (``qpos``, ``qvel``, ``ctrl``, ...): live and writable;
- derived (``site_xpos``, ``sensordata``, ...): what MuJoCo computes from the state, read-only,
  and only those that were asked for, since each costs a copy per step;
- model fields that differ per world (``geom_friction``, ...): writable;
- buffers: a task's own per-environment arrays (last action, command, ...).

After ``step``, derived fields describe the state before the last physics step, as in MuJoCo.
``step`` can also bring positions and velocities among them up to date.

This is the only module that uses ``mujoco.batch``.
"""

import ctypes
import os
import weakref
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Any

import mujoco
import numpy as np
from mujoco import batch as mujoco_batch

from motrix_gym import rendering
from motrix_gym.engine import copy_into
from motrix_gym.rendering import Draw, Renderer
from motrix_gym.view import View, unknown

_STATE = ("qpos", "qvel", "act", "ctrl", "qfrc_applied", "xfrc_applied", "mocap_pos", "mocap_quat")
# Warnings after which MuJoCo has silently reset a world: BADQPOS, BADQVEL, BADQACC, BADCTRL.
_DIVERGED = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjNWARNING))
# What MuJoCo derives from the state at the end of a step.
_DERIVE_NOTHING = mujoco.mjtStage.mjSTAGE_NONE.value
_DERIVE = mujoco.mjtStage.mjSTAGE_VEL.value  # positions and velocities


class Simulation:
    """``num_envs`` worlds of ``model``.

    Attributes:
        model: the MjModel that all worlds share.
        batch: the ``mujoco.batch.Batch`` underneath.
        num_envs: number of worlds.
        per_world: names of the model fields that differ between worlds.
        fields: every array a view can show, by name, each (num_envs, ...).
        places: where named objects lie in the fields, filled as views are asked for them.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_envs: int,
        num_threads: int = 0,
        *,
        derived: Iterable[str] = (),
        per_world: Iterable[str] = (),
        without_constants: Iterable[str] = (),
        buffers: dict[str, np.ndarray] | None = None,
        build_picture_model: Callable[[], mujoco.MjModel] | None = None,
    ):
        """Create the worlds in the model's default state.

        Args:
            model: the model.
            num_envs: number of worlds.
            num_threads: threads that step them, the caller's included; 0 takes all cores.
            derived: MjData fields to read besides the state; sensors are always there.
            per_world: MjModel fields that differ between worlds.
            without_constants: those of ``per_world`` for which the constants that MuJoCo derives
                from the model (``mj_setConst``) need not be derived anew.
            buffers: the caller's own arrays, (num_envs, ...) each.
            build_picture_model: makes the model that pictures show, if that is another model with
                the same joints. It is called when the first picture is made.

        Raises:
            ValueError: if a field does not exist, or a buffer has a MuJoCo field's name.
        """
        self.model = model
        self.num_envs = num_envs
        self._num_threads = num_threads
        self.batch = mujoco_batch.Batch(model, num_envs, num_threads)
        self._default_state = self.batch.state[0].copy()
        self._time = self.batch.bind("time")
        self._writable = {name: self.batch.bind(name) for name in _STATE}
        self.per_world = tuple(per_world)
        for name in self.per_world:
            if name not in mujoco_batch.MODEL_FIELDS:
                raise ValueError(unknown("model field", name, mujoco_batch.MODEL_FIELDS))
            self._writable[name] = self.batch.expand(name)
        self._without_constants = tuple(without_constants)
        self._needs_set_const = bool(
            set(self.per_world).difference(self._without_constants)
            & set(mujoco.MjModel._setconst_inputs)  # noqa: SLF001
        )
        self.fields = dict(self._writable)
        sensors = ("sensordata",) if model.nsensordata else ()
        for name in dict.fromkeys((*sensors, *derived)):
            if name not in mujoco_batch.DATA_FIELDS:
                raise ValueError(unknown("derived field", name, mujoco_batch.DATA_FIELDS))
            self.fields[name] = self.batch.bind(name)
        self.buffers = buffers or {}
        for name, array in self.buffers.items():
            if name in self.fields or name in mujoco_batch.DATA_FIELDS:
                raise ValueError(f"buffer {name!r} has the name of a MuJoCo field: rename it")
            self.fields[name] = self._writable[name] = array
        self._sensors = {
            model.sensor(i).name: slice(model.sensor_adr[i], model.sensor_adr[i] + dim)
            for i, dim in enumerate(model.sensor_dim)
        }
        self.places: dict[tuple[str, str], Any] = {}
        self._build_picture_model = build_picture_model
        self._renderer: Renderer | None = None
        self._threads_lost = False
        _simulations.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle is made of; MuJoCo's batch and the renderer are made anew."""
        return {
            "model": self.model,
            "num_envs": self.num_envs,
            "num_threads": self._num_threads,
            "derived": tuple(self._derived()),
            "per_world": self.per_world,
            "without_constants": self._without_constants,
            "buffers": {name: array.copy() for name, array in self.buffers.items()},
            "build_picture_model": self._build_picture_model,
            "snapshot": self.snapshot(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        snapshot = state.pop("snapshot")
        self.__init__(**state)
        self.restore(snapshot)

    @property
    def all(self) -> "View":
        """The view of all rows (not kept: simulation and view would keep each other alive)."""
        return View(self)

    @property
    def writable(self) -> dict[str, np.ndarray]:
        """The fields that a view may write."""
        return self._writable

    def rows(self, ids: np.ndarray) -> "View":
        """A view of the rows ``ids`` (sorted, unique); ``commit()`` saves what is written."""
        return View(self, ids)

    def step(
        self, substeps: int, ids: np.ndarray | None = None, up_to_date: bool = False
    ) -> np.ndarray | None:
        """Advance worlds by ``substeps`` physics steps.

        Args:
            substeps: number of physics steps.
            ids: the worlds, sorted and unique; None for all.
            up_to_date: whether positions and velocities of derived fields describe the state
                after the last physics step; otherwise they describe the state before it.

        Returns:
            None if all went well, else the (num_envs,) mask of the worlds that diverged: an
            error in MuJoCo, a warning after which it resets the world, or a non-finite state.
        """
        self._check_threads()
        fault = np.zeros(self.num_envs, bool)
        try:
            self.batch.step(ids, substeps, _DERIVE if up_to_date else _DERIVE_NOTHING)
        except mujoco_batch.SimulationError as error:
            fault[error.ids] = True
        counters = self.batch.warning[:, _DIVERGED, 1]
        if counters.any():
            fault |= counters.any(axis=1)
            counters[...] = 0
        # A sum is finite only if all its terms are.
        qpos, qvel = self.fields["qpos"], self.fields["qvel"]
        if not np.isfinite(np.einsum("ij->", qpos) + np.einsum("ij->", qvel)):
            fault |= ~np.isfinite(qpos.sum(axis=1) + qvel.sum(axis=1))
        return fault if fault.any() else None

    def reset_time(self, ids: np.ndarray) -> None:
        """Set the time of the worlds ``ids`` to 0."""
        self._time[ids] = 0

    def reset(self, ids: np.ndarray) -> None:
        """Put the worlds ``ids`` back into the model's default state, derived fields aside."""
        self._check_threads()
        self.batch.state[ids] = self._default_state  # as Batch.reset, and much faster

    def refresh(self, ids: np.ndarray) -> None:
        """Make derived constants and fields of the worlds ``ids`` agree with what was written."""
        self._check_threads()
        if self._needs_set_const:
            self.batch.set_const(ids)
        if len(self.fields) > len(self._writable):
            # All stages: fields of one left out (touch sensors, forces) would hold another world's.
            self.batch.forward(ids)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of everything that decides the worlds' future, by flat names."""
        arrays = {"state": self.batch.state.copy()}
        arrays |= {f"model/{name}": self.fields[name].copy() for name in self.per_world}
        arrays |= {f"buffer/{name}": array.copy() for name, array in self.buffers.items()}
        # Derived fields are not a function of the state: after a step they lag by one substep.
        return arrays | {f"derived/{name}": array.copy() for name, array in self._derived().items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Return to a ``snapshot``.

        Raises:
            ValueError: if it is of another simulation (missing array, other shape or type).
        """
        self._check_threads()
        targets = {"state": self.batch.state}
        targets |= {f"model/{name}": self.fields[name] for name in self.per_world}
        targets |= {f"buffer/{name}": array for name, array in self.buffers.items()}
        derived = self._derived()
        targets |= {f"derived/{name}": array for name, array in derived.items()}
        for array in derived.values():
            array.flags.writeable = True
        try:
            copy_into(targets, arrays)
        finally:
            for array in derived.values():
                array.flags.writeable = False
        if self._needs_set_const:
            self.batch.set_const()

    def _derived(self) -> dict[str, np.ndarray]:
        """The fields that MuJoCo computes."""
        return {name: x for name, x in self.fields.items() if name not in self._writable}

    def missing(self, name: str) -> str:
        """Why ``fields`` has no such name: an error message."""
        if name in mujoco_batch.DATA_FIELDS:
            return f"{name!r} is not read by default: add it to Task.derived"
        return unknown("field", name, self.fields)

    def sensor(self, name: str) -> slice:
        """Where the sensor ``name`` lies in ``sensordata``."""
        if name not in self._sensors:
            raise AttributeError(unknown("sensor", name, self._sensors))
        return self._sensors[name]

    def data(self, row: int, data: mujoco.MjData | None = None) -> mujoco.MjData:
        """A world's state as an MjData, which is made if none is given; nothing is derived."""
        data = data or mujoco.MjData(self.model)
        self.batch.get_data(row, data)
        return data

    @cached_property
    def picture_model(self) -> mujoco.MjModel:
        """The model that pictures show; ``picture`` brings it to a world's values."""
        if self._build_picture_model is not None:
            return self._build_picture_model()
        return self.batch.get_model(0) if self.per_world else self.model

    def picture(self, row: int, data: mujoco.MjData) -> mujoco.MjData:
        """A world's state as ``data`` of the ``picture_model``, with positions derived."""
        model = self.picture_model
        if self._build_picture_model is not None:
            data.qpos, data.qvel = self.fields["qpos"][row], self.fields["qvel"][row]
        else:
            if self.per_world:
                self.batch.get_model(row, model)
            self.data(row, data)
        mujoco.mj_forward(model, data)
        return data

    def render(
        self,
        rows: Iterable[int],
        width: int,
        height: int,
        camera: int | str = -1,
        draw: Draw | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Pictures of some worlds.

        Args:
            rows: the worlds to draw.
            width: pixels.
            height: pixels.
            camera: a camera's name or number; -1 is the free camera.
            draw: ``draw(scene, row)`` adds to the ``mujoco.MjvScene`` of a row's picture.

        Returns:
            One (height, width, 3) uint8 array per row.

        Raises:
            RenderingError: if there is no OpenGL; the message says what to install.
        """
        if self._renderer is None or self._renderer.size != (width, height):
            self.close()
            self._picture_data = mujoco.MjData(self.picture_model)
            self._renderer = Renderer(self.picture_model, width, height)
        frames: list[np.ndarray] = []
        for row in rows:
            data = self.picture(row, self._picture_data)
            decorate = None if draw is None else partial(_draw_row, draw, row)
            frames.append(self._renderer.draw(data, camera, decorate))
        return tuple(frames)

    def close(self) -> None:
        """Free the renderer. The worlds are freed with the last reference to them."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def enter_fork(self) -> None:
        """Give up, in a forked process, what needs threads: a fork has only the one that forked.

        The batch or the renderer would wait for its threads for ever, when it is used and also when
        it is freed. So it is kept, and never freed, until the process ends.
        """
        if self.batch.nthread > 1:
            self._threads_lost = True
            _keep(self.batch)
        if self._renderer is not None:
            rendering.forbid_after_fork()
            _keep(self._renderer)
            self._renderer = None

    def _check_threads(self) -> None:
        if self._threads_lost:
            raise RuntimeError(
                "an environment with more than one thread cannot be used in a forked process: make "
                "the environment in the child process, or start the process with spawn"
            )


_simulations: weakref.WeakSet[Simulation] = weakref.WeakSet()


def _enter_fork() -> None:
    for simulation in _simulations:
        simulation.enter_fork()


def _draw_row(draw: Draw, row: int, scene: Any) -> None:
    draw(scene, row)


def _keep(thing: object) -> None:
    """Never free an object, not even when the interpreter ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_enter_fork)
