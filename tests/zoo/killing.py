# SPDX-License-Identifier: Apache-2.0
"""Trainings that are killed while they write."""

import os
import signal

from rl_zoo.commands import train


def killed_at_sync(at, words):
    """Trains in a child that is killed at its n-th sync; returns how it ended, as os.waitpid."""
    child = os.fork()
    if child == 0:
        calls, fsync = [], os.fsync

        def strike(descriptor):
            calls.append(descriptor)
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(descriptor)

        os.fsync = strike
        os._exit(train.main(words))
    return os.waitpid(child, 0)[1]
