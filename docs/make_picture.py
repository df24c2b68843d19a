# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures of shipped policies: ``python docs/make_picture.py``; needs the video extra.

go1.png is one cycle of Go1's gait, asked for 1 m/s forward; stairs.png is Go1 on steps of 15 cm.
"""

from pathlib import Path
from typing import Any

import gymnasium
import imageio.v3 as imageio

from motrix_gym.commands import VelocityCommands
from motrix_gym.policy import Policy
from motrix_gym.rendering import tile
from rl_zoo.policies import PRETRAINED

PICTURES = 4
FORWARD = VelocityCommands((1.0, 1.0), (0.0, 0.0), (0.0, 0.0), 0.0, (60.0, 60.0))
STEPS_UP = {"terrain": "stairs_up", "terrain_levels": 1, "terrain_measure": (0.15, 0.15)}


def draw(file: str, task: str, seed: int, first: int, apart: int, **settings: Any) -> None:
    """Write pictures in a row, beside this file.

    Args:
        file: The file's name.
        task: Name of the environment, whose shipped policy acts.
        seed: Of the episode.
        first: Step of the first picture.
        apart: Steps from one picture to the next.
        **settings: Of the task.
    """
    policy = Policy.load(PRETRAINED / task)
    envs = gymnasium.make_vec(
        f"motrix_gym:Motrix/{task}",
        num_envs=1,
        render_mode="rgb_array",
        render_size=(480, 360),
        **settings,
    )
    observations, _ = envs.reset(seed=seed)
    frames = []
    while len(frames) < PICTURES:
        for _ in range(apart if frames else first):
            observations = envs.step(policy(observations))[0]
        frames += envs.render() or ()
    envs.close()
    imageio.imwrite(Path(__file__).with_name(file), tile(frames, columns=PICTURES))


if __name__ == "__main__":
    # The gait's 2.5 Hz are 20 steps of 20 ms.
    draw("go1.png", "Go1-v0", seed=0, first=150, apart=5, commands=FORWARD)
    draw("stairs.png", "Go1Stairs-v0", seed=7, first=60, apart=60, **STEPS_UP)
