# SPDX-License-Identifier: Apache-2.0
"""The memory that environments add, in a fresh process."""

import subprocess
import sys

_PROGRAM = """
import sys, gymnasium, numpy, psutil, motrix_gym
def used():
    return psutil.Process().memory_info().rss / 2**20
env_id, num_envs = sys.argv[1], int(sys.argv[2])
small = gymnasium.make_vec(env_id, num_envs=1)  # pays for what is paid once
small.reset(seed=0)
small.step(numpy.zeros(small.action_space.shape, numpy.float32))
before = used()
env = gymnasium.make_vec(env_id, num_envs=num_envs)
env.reset(seed=0)
actions = numpy.random.default_rng(0).uniform(-1, 1, env.action_space.shape)
for _ in range(50):
    env.step(actions)
print(used() - before)
"""


def memory(env_id: str, num_envs: int) -> float:
    """Returns the MiB of memory that environments add, stepped a while; needs psutil."""
    command = [sys.executable, "-c", _PROGRAM, env_id, str(num_envs)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
