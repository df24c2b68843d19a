# SPDX-License-Identifier: Apache-2.0
"""A view: the fields of an engine's rows, as a task reads and writes them.

A view of all rows has the live arrays. A view of some rows, such as those that were just reset, has
copies under the same names. So a task's functions work on both.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from motrix_gym.names import nearest, shown
from motrix_gym.settings import is_list

if TYPE_CHECKING:
    from motrix_gym.engine import Engine

# (kind of object, attribute) -> the field that holds it, where that has another name.
_ELEMENT_FIELDS = {
    ("site", "xpos"): "site_xpos",
    ("site", "xmat"): "site_xmat",
    ("geom", "xpos"): "geom_xpos",
    ("geom", "xmat"): "geom_xmat",
    ("actuator", "force"): "actuator_force",
    ("actuator", "ctrl"): "ctrl",
}
_COUNTS = {"joint": "njnt", "body": "nbody", "site": "nsite", "geom": "ngeom", "actuator": "nu"}
_JOINT_SIZES = {  # entries in qpos and in qvel
    mujoco.mjtJoint.mjJNT_FREE: (7, 6),
    mujoco.mjtJoint.mjJNT_BALL: (4, 3),
    mujoco.mjtJoint.mjJNT_SLIDE: (1, 1),
    mujoco.mjtJoint.mjJNT_HINGE: (1, 1),
}


class View:
    """The fields of some rows of an engine, as attributes; row axis first.

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

    def __init__(self, engine: "Engine", ids: np.ndarray | None = None):
        """View the rows ``ids`` of ``engine``, or all of them."""
        own = self.__dict__  # direct, because attributes of a view are fields
        own["_engine"] = engine
        own["ids"] = ids
        own["n"] = engine.num_envs if ids is None else len(ids)
        own["model"] = engine.model
        if ids is None:
            own.update(engine.fields)

    def __getattr__(self, name: str) -> np.ndarray:
        """The rows of field ``name``, on its first use in a view of a subset."""
        if name.startswith("__"):
            raise AttributeError(name)
        engine: Engine = self.__dict__["_engine"]
        if name not in engine.fields:
            raise AttributeError(engine.missing(name))
        array = engine.fields[name][self.ids]
        array.flags.writeable = name in engine.writable
        self.__dict__[name] = array
        return array

    def __setattr__(self, name: str, value: Any) -> None:
        """Write ``value`` to every row of field ``name``."""
        getattr(self, name)[...] = value

    def commit(self) -> None:
        """Write the copies of a view of a subset back into the engine."""
        if self.ids is not None:
            for name, target in self.__dict__["_engine"].writable.items():
                if name in self.__dict__:
                    target[self.ids] = self.__dict__[name]

    def cached(self, quantity: Callable[["View"], Any]) -> Any:
        """``quantity(view)``, an array or a tuple of arrays: computed once, kept, and read-only.

        In a step, a task's functions get the same view, so that rewards and channels share what
        both need. The quantity must not read a buffer that ``advance`` changes.
        """
        kept = self.__dict__.setdefault("_kept", {})
        if quantity not in kept:
            value = quantity(self)
            kept[quantity] = tuple(map(_read_only, value)) if is_list(value) else _read_only(value)
        return kept[quantity]

    def sensor(self, name: str) -> np.ndarray:
        """(n, dim) readings of a sensor.

        Raises:
            AttributeError: if there is no such sensor; the message has the nearest name.
        """
        return self.sensordata[:, self.__dict__["_engine"].sensor(name)]

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
        places = view.__dict__["_engine"].places
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
        names = [getattr(model, kind)(i).name for i in range(getattr(model, _COUNTS[kind]))]
        raise AttributeError(unknown(kind, name, names)) from None
    if kind != "joint":
        return accessor.id
    nq, nv = _JOINT_SIZES[mujoco.mjtJoint(model.jnt_type[accessor.id])]
    qpos, qvel = accessor.qposadr[0], accessor.dofadr[0]
    return {"qpos": slice(qpos, qpos + nq), "qvel": slice(qvel, qvel + nv)}


def unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    """A message for a name that does not exist, with the nearest one, or with all.

    Args:
        what: the kind of thing, such as "geom".
        name: what was given.
        allowed: the names that there are; empty ones are left out.
    """
    names = sorted(a for a in allowed if a)  # "" is one without a name
    near = nearest(name, names)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(names[:40]) or 'none'}"
    return f"no {what} {shown(name)}: {hint}"
