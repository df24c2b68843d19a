# SPDX-License-Identifier: Apache-2.0
"""Training from Python, in cells as in a notebook: train, measure, and film the policy."""

# %% Train. The run's folder is in ./runs; keyword arguments are those of `motrix train --set`.
import sys

import gymnasium
import imageio.v3 as imageio

import rl_zoo

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
run = rl_zoo.train("Motrix/CartPole-v0", seed=0, max_env_steps=STEPS)

# %% Measure: means, intervals and goals over whole episodes.
print(run.evaluate(episodes=200))

# %% The policy is NumPy in, NumPy out.
policy = run.policy()
envs = gymnasium.make_vec(
    "Motrix/CartPole-v0", num_envs=4, render_mode="rgb_array_tiled", render_size=(320, 240)
)
observations, _ = envs.reset(seed=0)

# %% Film four of them for a second: a picture every fourth step of 10 ms.
pictures = []
for step in range(100):
    observations, *_ = envs.step(policy(observations))
    if step % 4 == 0:
        pictures.append(envs.render()[0])
imageio.imwrite("cartpole.gif", pictures, duration=40, loop=0)  # 40 ms each, for ever
envs.close()

# %% Or train one update at a time, to watch the progress or to stop early.
for progress in rl_zoo.session("Motrix/CartPole-v0", seed=1):
    print(progress)
    if progress.steps > STEPS / 10:
        break
