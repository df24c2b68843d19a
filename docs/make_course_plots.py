# SPDX-License-Identifier: Apache-2.0
"""Draws the ways of shipped policies over the course: ``python docs/make_course_plots.py``.

Writes paths.png beside this file: 50 episodes of each section from above, over the heights of its
ground. Needs the zoo extra.
"""

from pathlib import Path

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from motrix_gym import MotrixVectorEnv, registration
from motrix_gym.policy import Policy
from motrix_gym.tasks.navigation.course import Course
from motrix_gym.tasks.navigation.scene import VOID, Scene
from rl_zoo.policies import pretrained

SECTIONS = ("011", "012", "013")
EPISODES, SEED = 50, 0
SPACING = 0.05  # of the heights that are drawn (m)
COLOURS = {True: "tab:blue", False: "tab:red"}  # of ways that reach the goal, and of others


def paths(env_id: str, policy: Policy) -> list[tuple[np.ndarray, bool]]:
    """Places (steps, 2) of the base (m) in each episode, and whether it succeeded."""
    envs = gymnasium.make_vec(env_id, num_envs=EPISODES)
    env = envs.unwrapped
    assert isinstance(env, MotrixVectorEnv)
    observations, _ = envs.reset(seed=SEED)
    places, found = [], {}
    while len(found) < EPISODES:
        places.append(env.simulation.fields["qpos"][:, :2].copy())
        observations, _, terminated, truncated, info = envs.step(policy(observations))
        for row in np.flatnonzero(terminated | truncated):
            way = np.array(places)[:, row], bool(info["final_info"]["success"][row])
            found.setdefault(int(row), way)
    envs.close()
    return list(found.values())


def heights(task: Course) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Heights of a section's ground, walls aside, and its extent (m); NaN where there is none."""
    scene = task.terrain
    ground = Scene([box for box in scene.boxes if box.kind != "wall"], scene.spheres, scene.bumps)
    (left, low), (right, high) = ground.bounds
    x, y = (np.arange(a, b, SPACING) + SPACING / 2 for a, b in ((left, right), (low, high)))
    found = ground.top(*np.meshgrid(x, y, indexing="ij"))
    return np.where(found > VOID, found, np.nan), (low, high, left, right)


def draw(axes: Axes, section: str) -> AxesImage:
    """Draws the ground of a section, and the ways over it; the course leads to the right."""
    env_id = f"Motrix/VBotSection{section}-v0"
    task, policy = registration.make_task(env_id), pretrained(env_id)
    assert isinstance(task, Course)
    ground, extent = heights(task)
    image = axes.imshow(ground, origin="lower", extent=extent, cmap="gray", vmin=-0.2, vmax=3.0)
    config = task.config
    for x, y, mark in (
        (config.start_x, config.start_y, "o"),
        (config.goal_x, config.goal_y, "*"),
    ):
        axes.plot(np.mean(y), np.mean(x), mark, color="tab:orange", markersize=7, zorder=3)
    title = f"{section}: no policy yet"
    if policy:
        found = paths(env_id, policy)
        for way, succeeded in found:
            axes.plot(way[:, 1], way[:, 0], color=COLOURS[succeeded], linewidth=0.5)
        title = f"{section}: {sum(succeeded for _, succeeded in found)} of {EPISODES}"
    axes.text((extent[0] + extent[1]) / 2, 5.8, title, ha="center", fontsize=9)
    return image


def main() -> None:
    """Writes the picture."""
    figure, axes = plt.subplots(figsize=(11, 3.6), layout="constrained")
    images = [draw(axes, section) for section in SECTIONS]
    axes.set_facecolor("lightsteelblue")
    axes.set(xlim=(-4.2, 35), ylim=(-5.7, 7.0), xlabel="y (m), along the course", ylabel="x (m)")
    figure.colorbar(images[0], ax=axes, label="height (m)", shrink=0.8)
    figure.savefig(Path(__file__).with_name("paths.png"), dpi=100)


if __name__ == "__main__":
    main()
