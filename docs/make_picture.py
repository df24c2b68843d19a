# SPDX-License-Identifier: Apache-2.0
"""Draw the README's picture: ``python docs/make_picture.py``; needs the video extra.

One cycle of Go1's gait under the shipped policy, asked for 1 m/s forward, seen from the side.
"""

from pathlib import Path

import gymnasium
import imageio.v3 as imageio

from motrix_gym.commands import VelocityCommands
from motrix_gym.policy import Policy
from motrix_gym.rendering import tile
from rl_zoo.policies import PRETRAINED

FORWARD = VelocityCommands((1.0, 1.0), (0.0, 0.0), (0.0, 0.0), 0.0, (60.0, 60.0))
START, CYCLE, PICTURES = 150, 20, 4  # steps; the gait's 2.5 Hz are 20 steps of 20 ms


def main() -> None:
    """Write go1.png beside this file."""
    policy = Policy.load(PRETRAINED / "Go1-v0")
    envs = gymnasium.make_vec(
        "motrix_gym:Motrix/Go1-v0",
        num_envs=1,
        commands=FORWARD,
        render_mode="rgb_array",
        render_size=(480, 360),
    )
    observations, _ = envs.reset(seed=0)
    frames = []
    for step in range(START + CYCLE):
        if step >= START and (step - START) % (CYCLE // PICTURES) == 0:
            frames += envs.render() or ()
        observations = envs.step(policy(observations))[0]
    envs.close()
    imageio.imwrite(Path(__file__).with_name("go1.png"), tile(frames, columns=PICTURES))


if __name__ == "__main__":
    main()
