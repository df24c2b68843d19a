# SPDX-License-Identifier: Apache-2.0
"""`motrix train --processes N`: starts a training's processes on this machine and waits for them.

It is torchrun's work for one machine: each process gets its place in the same environment
variables. When one ends with an error, the others are ended, and one line says why.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from adapters.ranks import LAUNCHED, cores

GRACE = 10.0  # seconds in which processes end by themselves once another has ended
INTERVAL = 0.05  # seconds between two looks at the processes


def run(command: Sequence[str], count: int) -> int:
    """Runs a command in several processes, and returns the exit status of all.

    Args:
        command: The program and its arguments.
        count: How many processes.
    """
    children: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _: Any) -> None:
        for child in children:
            child.send_signal(number)

    # Ctrl-C reaches the processes too, which end after their update.
    handlers = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: forward}
    old = {number: signal.getsignal(number) for number in handlers}
    port = str(free_port())
    common = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        LAUNCHED: "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(cores() // count, 1))),
    }
    try:
        for rank in range(count):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            children.append(subprocess.Popen(command, env={**os.environ, **common, **place}))
        for number, handler in handlers.items():
            signal.signal(number, handler)
        return _wait(children)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
        for number, handler in old.items():
            signal.signal(number, handler)


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int:
    """Waits until all have ended, or one badly; returns its status, or that of all."""
    while True:
        statuses = [child.poll() for child in children]
        if bad := [rank for rank, status in enumerate(statuses) if status]:
            break
        if None not in statuses:
            return 0
        time.sleep(INTERVAL)
    end = time.monotonic() + GRACE
    while time.monotonic() < end and any(child.poll() is None for child in children):
        time.sleep(INTERVAL)
    first, status = bad[0], children[bad[0]].returncode
    hanging = [rank for rank, child in enumerate(children) if child.poll() is None]
    why = ""
    if status < 0:
        why = f"rank {first} was ended by {signal.Signals(-status).name}"
    elif hanging:
        why = f"rank {hanging[0]} did not answer"
    if why:
        print(f"error: {why}, so all {len(children)} have stopped", file=sys.stderr)
    return 128 - status if status < 0 else status


def free_port() -> int:
    """Returns the number of a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
