# SPDX-License-Identifier: Apache-2.0
"""Scripted grasps and pulls by the thousand; ``python -m tests.benchmarks.grasps``."""

from collections.abc import Callable

import mujoco
import numpy as np

from tests.grasping import CABINET_SCENE, LIFT_SCENE, Grasps, grasp, pull

_GRIPPING = ("left_pad", "right_pad", "cube", "table")


def main() -> None:
    """Print what became of 1,000 grasps, of 1,000 pulls, and of 100 grasps with other settings."""
    for align, hand in ((True, "turned with the cube"), (False, "straight ahead")):
        print(f"hand {hand}: {_figures(grasp(_model(), 1000, align=align))}", flush=True)
    drawers = pull(mujoco.MjModel.from_xml_path(str(CABINET_SCENE)), 1000)
    print(
        f"drawers: {(drawers.opening >= 0.30).sum()} of 1000 opened; "
        f"slip {1e3 * np.median(drawers.slip):.1f} mm, at most {1e3 * drawers.slip.max():.1f} mm",
        flush=True,
    )
    for name, change in _CHANGES.items():
        print(f"{name}: {_figures(grasp(_model(change), 100))}", flush=True)


def _model(change: Callable[[mujoco.MjSpec], None] | None = None) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_file(str(LIFT_SCENE))
    if change:
        change(spec)
    return spec.compile()


def _option(**values: float) -> Callable[[mujoco.MjSpec], None]:
    def change(spec: mujoco.MjSpec) -> None:
        for name, value in values.items():
            setattr(spec.option, name, value)

    return change


def _contact(**values: object) -> Callable[[mujoco.MjSpec], None]:
    def change(spec: mujoco.MjSpec) -> None:
        for geom in _GRIPPING:
            for name, value in values.items():
                setattr(spec.geom(geom), name, value)

    return change


_CHANGES = {
    "10 iterations of the line search": _option(ls_iterations=10),
    "10 iterations": _option(iterations=10),
    "steps of 10 ms": _option(timestep=0.01),
    "pyramidal cone": _option(cone=int(mujoco.mjtCone.mjCONE_PYRAMIDAL), impratio=1),
    "impratio 1": _option(impratio=1),
    "MuJoCo's default solref and solimp": _contact(
        solref=[0.02, 1], solimp=[0.9, 0.95, 0.001, 0.5, 2]
    ),
}


def _figures(found: Grasps) -> str:
    held = found.held
    text = f"{held.sum()} of {len(held)} held"
    if held.any():
        slip, turn = 1e3 * found.slip[held], np.degrees(found.turn[held])
        text += (
            f"; slip {np.median(slip):.1f} mm, at most {slip.max():.1f} mm"
            f"; turn {np.median(turn):.1f}, at most {turn.max():.1f} degrees"
            f"; penetration at most {1e3 * found.penetration[held].max():.2f} mm"
        )
    return text


if __name__ == "__main__":
    main()
