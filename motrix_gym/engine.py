# SPDX-License-Identifier: Apache-2.0
"""The interface of an engine: all that tasks, the vector environment and the commands use of one.

An engine holds ``num_envs`` worlds of one MuJoCo model and steps them together. Its arrays have
one row per world. ``simulation.Simulation``, on ``mujoco.batch``, is the engine of the suite. Any
class that passes the tests in ``tests/engine`` can take its place.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import mujoco
import numpy as np

from motrix_gym.rendering import Draw
from motrix_gym.view import View


class Engine(Protocol):
    """``num_envs`` worlds of one model.

    Attributes:
        model: the MjModel that all worlds share.
        num_envs: number of worlds.
        fields: every array that a view can show, by MuJoCo's name or a buffer's, each
            (num_envs, ...). State, model fields and buffers can be written; derived fields are
            computed from the state and read-only.
        writable: those of ``fields`` that can be written.
        buffers: the task's own arrays, also in ``fields``.
        per_world: names of the model fields that differ between worlds.
    """

    model: mujoco.MjModel
    num_envs: int
    fields: dict[str, np.ndarray]
    buffers: dict[str, np.ndarray]
    per_world: tuple[str, ...]

    @property
    def writable(self) -> Mapping[str, np.ndarray]:
        """The fields that can be written."""
        ...

    @property
    def all(self) -> View:
        """The view of all rows, whose arrays are the live ones."""
        ...

    def rows(self, ids: np.ndarray) -> View:
        """A view of the rows ``ids`` (sorted, unique), whose arrays are copies.

        ``View.commit`` writes them back.
        """
        ...

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
            None, or the (num_envs,) mask of the worlds that diverged. The others are not affected.
        """
        ...

    def reset(self, ids: np.ndarray) -> None:
        """Put the worlds ``ids`` into the model's default state, at time 0."""
        ...

    def reset_time(self, ids: np.ndarray) -> None:
        """Set the time of the worlds ``ids`` to 0."""
        ...

    def refresh(self, ids: np.ndarray) -> None:
        """Compute derived constants and fields of the worlds ``ids`` from what was written."""
        ...

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of everything that decides the worlds' future, by name."""
        ...

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Return to a ``snapshot``.

        Raises:
            ValueError: if it does not fit; nothing is changed then.
        """
        ...

    def data(self, row: int, data: mujoco.MjData | None = None) -> mujoco.MjData:
        """A world's state as an MjData, which is made if none is given."""
        ...

    @property
    def picture_model(self) -> mujoco.MjModel:
        """The model that pictures show: the worlds', or another one with the same joints."""
        ...

    def picture(self, row: int, data: mujoco.MjData) -> mujoco.MjData:
        """A world's state as ``data`` of the ``picture_model``, with positions derived."""
        ...

    def render(
        self,
        rows: Iterable[int],
        width: int,
        height: int,
        camera: int | str = -1,
        draw: Draw | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Pictures of some worlds, (height, width, 3) uint8 each."""
        ...

    def close(self) -> None:
        """Free the renderer."""
        ...

    def sensor(self, name: str) -> slice:
        """Where a sensor lies in the columns of the field ``sensordata``.

        Raises:
            AttributeError: if there is no such sensor; the message has the nearest name.
        """
        ...

    def missing(self, name: str) -> str:
        """Why ``fields`` has no such name: an error message."""
        ...


def copy_into(targets: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]) -> None:
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
