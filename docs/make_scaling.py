# SPDX-License-Identifier: Apache-2.0
"""Predicts how many steps per second PPO makes with more processes; writes the table of scaling.md.

    python docs/make_scaling.py

An update of N environments costs N x rollouts x STEP seconds of a core, shared by all cores, and
then a message of the size of the networks for each mini-batch. A ring of P processes sends it in
2 (P - 1) steps, in each of which 1 / P of it crosses a link.
"""

STEP = 90e-6  # s of a core per environment step of Go1, learning included; measured, see scaling.md
MESSAGE = 0.43e6  # bytes: the gradients of Go1's networks
MESSAGES = 20  # per update: 5 epochs of 4 mini-batches
OVERHEAD = 0.5e-3  # s of packing and unpacking a message; measured
LATENCY = 50e-6  # s of a step of the ring; assumed, as usual for TCP in a rack
ROLLOUT = 24


def rate(cores: int, processes: int, num_envs: int, gigabits: float) -> float:
    """Returns environment steps per second.

    Args:
        cores: Of all machines.
        processes: Of all machines; each takes an equal share of the cores.
        num_envs: Environments of all processes.
        gigabits: Per second, of the slowest link between two processes.
    """
    steps = num_envs * ROLLOUT
    seconds = steps * STEP / cores
    if processes > 1:
        ring = 2 * (processes - 1)
        transfer = ring / processes * MESSAGE / (gigabits * 1e9 / 8)
        seconds += MESSAGES * (OVERHEAD + ring * LATENCY + transfer)
    return steps / seconds


def main() -> None:
    """Prints the table."""
    print("| nodes x cores | processes | environments | 1 Gbit/s | 10 Gbit/s |")
    print("| --- | --- | --- | --- | --- |")
    for nodes, cores, processes, num_envs in (
        (1, 16, 2, 4096),
        (1, 64, 4, 8192),
        (4, 64, 8, 16384),
        (16, 64, 32, 65536),
        (16, 64, 1024, 65536),
    ):
        cells = []
        for gigabits in (1, 10):
            # Processes of one machine do not use the network.
            found = rate(nodes * cores, processes, num_envs, gigabits if nodes > 1 else 100)
            ideal = nodes * cores / STEP
            cells.append(f"{found / 1000:,.0f} k ({100 * found / ideal:.0f} %)")
        print(f"| {nodes} x {cores} | {processes} | {num_envs:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
