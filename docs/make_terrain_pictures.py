# SPDX-License-Identifier: Apache-2.0
"""Draw each kind of ground, with Go1 on it: ``python docs/make_terrain_pictures.py``.

Needs the plot and video extras. Each picture is of one tile, 8.1 m wide, at the hardest level.
"""

from pathlib import Path

import motrix_gym  # noqa: F401, before MuJoCo, whose OpenGL back end it picks

# isort: split
import matplotlib.pyplot as plt
import mujoco
import numpy as np

from motrix_gym.rendering import Renderer
from motrix_gym.tasks.locomotion.go1 import Go1Rough
from motrix_gym.tasks.locomotion.rough import ROUGH
from motrix_gym.terrain import KINDS, TILE

WIDTH, HEIGHT, COLUMNS = 480, 300, 3


def picture(kind: str) -> np.ndarray:
    """(300, 480, 3) uint8 of a tile of a kind of ground."""
    task = Go1Rough(ROUGH.override(terrain=kind, terrain_levels=2))
    model = task.build_picture_model()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    middle = np.array([1.5 * TILE, 0.5 * TILE])
    data.qpos[:2] = middle
    data.qpos[2] += task.terrain.height(middle)
    mujoco.mj_forward(model, data)
    camera = model.vis.global_
    camera.azimuth, camera.elevation = 125, -32
    model.stat.center[:] = [*middle, 0.0]
    model.stat.extent = 4.6
    renderer = Renderer(model, WIDTH, HEIGHT)
    frame = renderer.draw(data)
    renderer.close()
    return frame


def main() -> None:
    """Write terrains.png beside this file."""
    rows = -(-len(KINDS) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(9, 2.15 * rows), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, kind in zip(axes.flat, KINDS, strict=False):
        axis.imshow(picture(kind))
        axis.set_title(kind, fontsize=9)
    figure.savefig(Path(__file__).with_name("terrains.png"), dpi=110)


if __name__ == "__main__":
    main()
