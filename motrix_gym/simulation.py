# SPDX-License-Identifier: Apache-2.0
"""Many MuJoCo worlds of one model, and views of their rows.

A ``Simulation`` holds ``num_envs`` worlds in one ``mujoco.batch.Batch``. Its fields are arrays
with one row per world, of four kinds:

- state (``qpos``, ``qvel``, ``ctrl``, ...): live and writable;
- derived (``site_xpos``, ``sensordata``, ...): what MuJoCo computes from the state, read-only,
  and only those that were asked for, since each costs a copy per step;
- model fields that differ per world (``geom_friction``, ...): writable;
- buffers: a task's own per-environment arrays (last action, command, ...).

A ``View`` gives the fields of all rows, or of a few rows that were just reset, under the same
names; so one function serves both. Derived fields lag the state by one substep after ``step``
(as in MuJoCo) unless it is told to compute a stage at the new state.

This is the only module that touches ``mujoco.batch``.
"""

import ctypes
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import mujoco
import numpy as np
from mujoco import batch as mujoco_batch

from motrix_gym.names import nearest, shown

_STATE = ("qpos", "qvel", "act", "ctrl", "qfrc_applied", "xfrc_applied", "mocap_pos", "mocap_quat")
# Warnings after which MuJoCo has silently reset a world: BADQPOS, BADQVEL, BADQACC, BADCTRL.
_DIVERGED = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjNWARNING))
# Under one object's name, the field that holds each attribute where it is not the plain name.
_ELEMENT_FIELDS = {
    ("site", "xpos"): "site_xpos",
    ("site", "xmat"): "site_xmat",
    ("geom", "xpos"): "geom_xpos",
    ("geom", "xmat"): "geom_xmat",
    ("actuator", "force"): "actuator_force",
    ("actuator", "ctrl"): "ctrl",
}


class RenderingError(RuntimeError):
    """Rendering is not possible here; the message says what is missing."""


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
        buffers: dict[str, np.ndarray] | None = None,
    ):
        """Create the worlds in the model's default state.

        Args:
            model: the model.
            num_envs: number of worlds.
            num_threads: threads that step them, the caller's included; 0 takes all cores.
            derived: MjData fields to read besides the state; sensors are always there.
            per_world: MjModel fields that differ between worlds.
            buffers: the caller's own arrays, (num_envs, ...) each.

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
                raise ValueError(_unknown("model field", name, mujoco_batch.MODEL_FIELDS))
            self._writable[name] = self.batch.expand(name)
        self._needs_set_const = bool(
            set(self.per_world) & set(mujoco.MjModel._setconst_inputs)  # noqa: SLF001
        )
        self.fields = dict(self._writable)
        sensors = ("sensordata",) if model.nsensordata else ()
        for name in dict.fromkeys((*sensors, *derived)):
            if name not in mujoco_batch.DATA_FIELDS:
                raise ValueError(_unknown("derived field", name, mujoco_batch.DATA_FIELDS))
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
        self._renderer: Any = None
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
            "buffers": {name: array.copy() for name, array in self.buffers.items()},
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
        self, substeps: int, ids: np.ndarray | None = None, stage: int | None = None
    ) -> np.ndarray | None:
        """Advance the worlds ``ids`` (all by default) by ``substeps`` physics steps.

        Args:
            substeps: number of physics steps.
            ids: sorted unique row numbers.
            stage: an mjtStage to compute at the new state, or None: derived fields then
                describe the state before the last substep.

        Returns:
            None if all went well, else the (num_envs,) mask of the worlds that diverged: an
            error in MuJoCo, a warning after which it resets the world, or a non-finite state.
        """
        self._check_threads()
        fault = np.zeros(self.num_envs, bool)
        try:
            self.batch.step(ids, substeps, stage or mujoco.mjtStage.mjSTAGE_NONE.value)
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

    def settle(self, substeps: int, ids: np.ndarray) -> np.ndarray | None:
        """As ``step``, of the worlds ``ids``, whose time is 0 afterwards."""
        fault = self.step(substeps, ids)
        self._time[ids] = 0
        return fault

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
        # They are not a function of the state alone: after a step they lag by one substep.
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

    def sensor(self, name: str) -> slice:
        """Where the sensor ``name`` lies in ``sensordata``."""
        if name not in self._sensors:
            raise AttributeError(_unknown("sensor", name, self._sensors))
        return self._sensors[name]

    def render(
        self, rows: Sequence[int], width: int, height: int, camera: int | str = -1
    ) -> tuple[np.ndarray, ...]:
        """Pictures of some worlds.

        Args:
            rows: the worlds to draw.
            width: pixels.
            height: pixels.
            camera: a camera's name or number; -1 is the free camera.

        Returns:
            One (height, width, 3) uint8 array per row.

        Raises:
            RenderingError: if OpenGL is not to be had, saying what to install.
        """
        size = (width, height)
        if self._renderer is None or (self._renderer.width, self._renderer.height) != size:
            self.close()
            self._render_data = mujoco.MjData(self.model)
            self._render_model = self.batch.get_model(0) if self.per_world else self.model
            self._renderer = _make_renderer(self._render_model, width, height)
        frames = []
        for row in rows:
            if self.per_world:
                self.batch.get_model(row, self._render_model)
            self.batch.get_data(row, self._render_data)
            mujoco.mj_forward(self._render_model, self._render_data)
            self._renderer.update_scene(self._render_data, camera)
            frames.append(self._renderer.render())
        return tuple(frames)

    def close(self) -> None:
        """Free the renderer. The worlds are freed with the last reference to them."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def enter_fork(self) -> None:
        """Give up, in a forked process, what needs threads: only the one that forked is there.

        The batch or the renderer would wait for its threads for ever when it is used, and also when
        it is freed. So it is kept until the process ends.
        """
        global _opengl_lost
        if self.batch.nthread > 1:
            self._threads_lost = True
            _keep(self.batch)
        if self._renderer is not None:
            _opengl_lost = True
            _keep(self._renderer)
            self._renderer = None

    def _check_threads(self) -> None:
        if self._threads_lost:
            raise RuntimeError(
                "an environment with more than one thread cannot be used in a forked process: make "
                "the environment in the child process, or start the process with spawn"
            )


_simulations: weakref.WeakSet[Simulation] = weakref.WeakSet()
_opengl_lost = False  # whether the process was forked from one that renders


def _enter_fork() -> None:
    for simulation in _simulations:
        simulation.enter_fork()


def _keep(thing: object) -> None:
    """Never free an object, not even when the interpreter ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_enter_fork)


class View:
    """The fields of some rows of a simulation, as attributes; row axis first.

    For all rows the arrays are the live ones. For a subset they are copies, made when first
    read, and ``commit`` writes back those that may be written. ``view.name = values`` and
    ``view.name[...] = values`` both write.

    Attributes:
        ids: (n,) row numbers, or None for all rows.
        n: number of rows.
        model: the MjModel.
    """

    ids: np.ndarray | None
    n: int
    model: mujoco.MjModel

    def __init__(self, simulation: Simulation, ids: np.ndarray | None = None):
        """View the rows ``ids`` of ``simulation``, or all of them."""
        own = self.__dict__  # direct, because attributes of a view are fields
        own["_simulation"] = simulation
        own["ids"] = ids
        own["n"] = simulation.num_envs if ids is None else len(ids)
        own["model"] = simulation.model
        if ids is None:
            own.update(simulation.fields)

    def __getattr__(self, name: str) -> np.ndarray:
        """The rows of field ``name``, on its first use in a view of a subset."""
        if name.startswith("__"):
            raise AttributeError(name)
        simulation: Simulation = self.__dict__["_simulation"]
        if name not in simulation.fields:
            if name in mujoco_batch.DATA_FIELDS:
                raise AttributeError(f"{name!r} is not read by default: add it to Task.derived")
            raise AttributeError(_unknown("field", name, simulation.fields))
        array = simulation.fields[name][self.ids]
        array.flags.writeable = name in simulation.writable
        self.__dict__[name] = array
        return array

    def __setattr__(self, name: str, value: Any) -> None:
        """Write ``value`` to every row of field ``name``."""
        getattr(self, name)[...] = value

    def commit(self) -> None:
        """Write the copies of a view of a subset back into the simulation."""
        if self.ids is not None:
            for name, target in self.__dict__["_simulation"].writable.items():
                if name in self.__dict__:
                    target[self.ids] = self.__dict__[name]

    def once(self, quantity: Callable[["View"], Any]) -> Any:
        """``quantity(view)``, an array or a tuple of some, computed once and kept, read-only.

        For what ``terminated``, ``rewards``, ``measure``, ``advance`` and ``observe`` share: they
        are given the same view. The quantity must not read a buffer that ``advance`` changes.
        """
        kept = self.__dict__.setdefault("_kept", {})
        if quantity not in kept:
            value = quantity(self)
            kept[quantity] = (
                tuple(map(_read_only, value)) if isinstance(value, tuple) else _read_only(value)
            )
        return kept[quantity]

    def sensor(self, name: str) -> np.ndarray:
        """(n, dim) readings of a sensor."""
        return self.sensordata[:, self.__dict__["_simulation"].sensor(name)]

    def joint(self, name: str) -> "_Element":
        """A joint: ``.qpos`` (n, 1 to 7) and ``.qvel`` (n, 1 to 6)."""
        return _Element(self, "joint", name)

    def body(self, name: str) -> "_Element":
        """A body: ``.xpos`` (n, 3), ``.xquat`` (n, 4), ... (world frame)."""
        return _Element(self, "body", name)

    def site(self, name: str) -> "_Element":
        """A site: ``.xpos`` (n, 3), ``.xmat`` (n, 9) (world frame)."""
        return _Element(self, "site", name)

    def geom(self, name: str) -> "_Element":
        """A geom: ``.xpos`` (n, 3), ``.xmat`` (n, 9) (world frame)."""
        return _Element(self, "geom", name)

    def actuator(self, name: str) -> "_Element":
        """An actuator: ``.ctrl`` (n,), ``.force`` (n,)."""
        return _Element(self, "actuator", name)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


class _Element:
    """One named object's part of a view's fields."""

    def __init__(self, view: View, kind: str, name: str):
        self._view, self._kind = view, kind
        places = view.__dict__["_simulation"].places
        if (kind, name) not in places:
            places[kind, name] = _place(view.model, kind, name)
        self._place = places[kind, name]

    def _part(self, attribute: str) -> tuple[np.ndarray, Any]:
        field = _ELEMENT_FIELDS.get((self._kind, attribute), attribute)
        index = self._place[attribute] if self._kind == "joint" else self._place
        return getattr(self._view, field), index

    def __getattr__(self, attribute: str) -> np.ndarray:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        array, index = self._part(attribute)
        return array[:, index]

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute.startswith("_"):
            object.__setattr__(self, attribute, value)
            return
        array, index = self._part(attribute)
        array[:, index] = value


def _place(model: mujoco.MjModel, kind: str, name: str) -> Any:
    """The number of a named object, or, for a joint, its slices of qpos and qvel."""
    try:
        accessor = getattr(model, kind)(name)
    except KeyError:
        names = [getattr(model, kind)(i).name for i in range(_count(model, kind))]
        raise AttributeError(_unknown(kind, name, names)) from None
    if kind != "joint":
        return accessor.id
    joint_type = mujoco.mjtJoint(model.jnt_type[accessor.id])
    return {
        "qpos": slice(accessor.qposadr[0], accessor.qposadr[0] + _NQ[joint_type]),
        "qvel": slice(accessor.dofadr[0], accessor.dofadr[0] + _NV[joint_type]),
    }


_NQ = {
    mujoco.mjtJoint.mjJNT_FREE: 7,
    mujoco.mjtJoint.mjJNT_BALL: 4,
    mujoco.mjtJoint.mjJNT_SLIDE: 1,
    mujoco.mjtJoint.mjJNT_HINGE: 1,
}
_NV = {
    mujoco.mjtJoint.mjJNT_FREE: 6,
    mujoco.mjtJoint.mjJNT_BALL: 3,
    mujoco.mjtJoint.mjJNT_SLIDE: 1,
    mujoco.mjtJoint.mjJNT_HINGE: 1,
}


def tile(frames: Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """Lay equal pictures (height, width, 3) out in a grid, as square as it goes; one picture."""
    columns = columns or int(np.ceil(np.sqrt(len(frames))))
    rows = -(-len(frames) // columns)
    height, width, channels = frames[0].shape
    sheet = np.zeros((rows * height, columns * width, channels), np.uint8)
    for i, frame in enumerate(frames):
        y, x = (i // columns) * height, (i % columns) * width
        sheet[y : y + height, x : x + width] = frame
    return sheet


def copy_into(targets: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> None:
    """Copy ``arrays`` into ``targets`` of the same names, all or none.

    Raises:
        ValueError: if one is missing, or has another shape or type.
    """
    for name, target in targets.items():
        if name not in arrays:
            raise ValueError(f"the snapshot has no {name!r}: it has {', '.join(sorted(arrays))}")
        given = arrays[name]
        if given.shape != target.shape or given.dtype != target.dtype:
            raise ValueError(
                f"snapshot {name!r} is {given.dtype} {given.shape}, this simulation needs "
                f"{target.dtype} {target.shape}: it comes from another environment or num_envs"
            )
    for name, target in targets.items():
        target[...] = arrays[name]


def _make_renderer(model: mujoco.MjModel, width: int, height: int) -> Any:
    for given, limit, side in (
        (width, model.vis.global_.offwidth, "width"),
        (height, model.vis.global_.offheight, "height"),
    ):
        if not 0 < given <= limit:
            raise ValueError(f"render {side} must be 1 to {limit} pixels, got {shown(given)}")
    if _opengl_lost:
        raise RenderingError(
            "OpenGL cannot be used in a process forked from one that renders: start it with spawn"
        )
    chosen = os.environ.get("MUJOCO_GL", "unset")
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # each OpenGL back end fails with errors of its own
        raise RenderingError(
            f"cannot create an OpenGL context with MUJOCO_GL={chosen} "
            f"({type(error).__name__}: {error}). On a machine "
            "without a display, install EGL (Debian: apt-get install libegl1 libegl-mesa0) and "
            "set MUJOCO_GL=egl before Python starts."
        ) from error


def _count(model: mujoco.MjModel, kind: str) -> int:
    return {
        "joint": model.njnt,
        "body": model.nbody,
        "site": model.nsite,
        "geom": model.ngeom,
        "actuator": model.nu,
    }[kind]


def _unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    names = sorted(str(a) for a in allowed)
    near = nearest(name, names)
    hint = f": did you mean {near!r}?" if near else f": there are {', '.join(names[:40])}"
    return f"no {what} {shown(name)}{hint}"
