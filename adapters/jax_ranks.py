# SPDX-License-Identifier: Apache-2.0
"""Ranks that JAX's distributed runtime connects: by gloo on CPUs, and by NCCL on GPUs."""

import atexit
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from adapters.ranks import LAUNCHED, LOST, Place, RanksError, SeveralRanks

PATIENCE = 600.0  # seconds that the first update may take, compilation included
AXIS = "ranks"  # of the arrays of all ranks
# Bytes of a message; longer ones are padded to a power of 2, so few sizes are compiled.
LEAST = 4096


class JaxRanks(SeveralRanks):
    """Connects at `JAX_COORDINATOR_ADDRESS`, or else where a launcher said that the ranks meet.

    It must be made before JAX computes anything. On a GPU each rank has one, by its local number.

    Args:
        place: Where this process stands.

    Raises:
        RanksError: the others do not come in time, or there is no coordinator.
    """

    def __init__(self, place: Place):
        super().__init__(place)
        # Without the first, JAX would take SIGTERM for itself; without the second, it would end the
        # process by SIGABRT when another one is lost.
        jax.config.update("jax_enable_preemption_service", False)
        jax.config.update("jax_enable_recoverability", True)
        address = coordinator()
        try:
            self._lines = self._meet(address)
            jax.distributed.initialize(
                address,
                place.size,
                place.rank,
                place.local_rank,
                cluster_detection_method="deactivate",
                initialization_timeout=round(self.timeout),
                heartbeat_timeout_seconds=max(round(self.timeout / 2), 1),
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise self.not_met(address) from error
        firsts = {device.process_index: device for device in reversed(jax.devices())}
        mesh = Mesh([firsts[rank] for rank in range(place.size)], (AXIS,))
        self._rows = NamedSharding(mesh, PartitionSpec(AXIS))
        self._failed = False
        self._gather = self.spread(lambda x: jax.lax.all_gather(x, AXIS), patience=0.0)
        atexit.register(self.close)

    def _meet(self, address: str) -> list[socket.socket]:
        """Returns connections between the first rank and the others, once all have come.

        JAX would end a process by SIGABRT where another does not come. The connections stay until a
        process ends: the first rank serves the others, which must not outlive it.
        """
        host, _, port = address.rpartition(":")
        end = time.monotonic() + self.timeout
        if self.rank == 0:
            with socket.create_server(("", int(port)), backlog=self.size) as server:
                lines = []
                while len(lines) < self.size - 1:
                    server.settimeout(max(end - time.monotonic(), 0.001))
                    lines.append(server.accept()[0])
            for line in lines:
                line.sendall(b"!")
            return lines
        while True:
            try:
                line = socket.create_connection((host, int(port)), self.timeout)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        line.settimeout(max(end - time.monotonic(), 0.001))
        if not line.recv(1):
            raise TimeoutError("the first rank has ended")
        return [line]

    def fail(self) -> None:
        self._failed = True

    def close(self) -> None:
        if self.rank == 0 and not self._failed:
            for line in self._lines:
                line.settimeout(self.timeout)
                with contextlib.suppress(OSError):
                    line.recv(1)  # returns when the other process has left
        jax.distributed.shutdown()
        for line in self._lines:
            line.close()
        self._lines = []

    def stacked(self, array: Any) -> np.ndarray:
        array = np.asarray(array)
        data = np.frombuffer(array.tobytes(), np.uint8)  # JAX would shorten 64-bit numbers
        size = max(LEAST, 1 << (len(data) - 1).bit_length())
        found = self._gather(np.pad(data, (0, size - len(data))))
        rows = np.ascontiguousarray(np.asarray(found)[:, : len(data)])
        return rows.view(array.dtype).reshape(self.size, *array.shape)

    def spread(
        self, function: Callable[..., Any], patience: float = PATIENCE
    ) -> Callable[..., Any]:
        """Returns a compiled function that all ranks call at once, each with its own arrays.

        In it, `tree_mean` works, and so do JAX's collectives over `AXIS`. The arrays of its first
        argument are lost.

        Args:
            function: Of trees of arrays.
            patience: Seconds that the first call may take beside waiting for other ranks; later
                ones may take twice as long as the one before.
        """

        def part(*arguments: Any) -> Any:
            results = function(*jax.tree.map(lambda x: x[0], arguments))
            return jax.tree.map(lambda x: x[None], results)

        spec = self._rows.spec
        mapped = jax.shard_map(
            part, mesh=self._rows.mesh, in_specs=spec, out_specs=spec, check_vma=False
        )
        compiled = jax.jit(mapped, donate_argnums=0)
        as_rows = jax.jit(lambda tree: jax.tree.map(lambda x: x[None], tree))

        def whole(x: jax.Array) -> jax.Array:
            shape = (self.size, *x.shape[1:])
            return jax.make_array_from_single_device_arrays(shape, self._rows, [x])

        def call(*arguments: Any) -> Any:
            nonlocal patience
            start = time.monotonic()
            with self._in_touch(self.timeout + patience):
                results = compiled(*jax.tree.map(whole, as_rows(arguments)))
                mine = jax.tree.map(lambda x: x.addressable_data(0)[0], results)
                jax.block_until_ready(mine)
            patience = 2.0 * (time.monotonic() - start)
            return mine

        return call

    def tree_mean(self, tree: Any) -> Any:
        """Returns the mean of a tree of arrays over the ranks, in a function that is `spread`."""
        flat, unravel = ravel_pytree(tree)
        return unravel(jax.lax.pmean(flat, AXIS))

    @contextlib.contextmanager
    def _in_touch(self, limit: float) -> Iterator[None]:
        """Turns the errors of a connection into one that says what happened.

        JAX waits for ever for a rank that hangs, so this process ends after `limit` seconds.
        """
        alarm = threading.Timer(limit, self._give_up)
        alarm.daemon = True
        alarm.start()
        try:
            yield
        except (jax.errors.JaxRuntimeError, ValueError) as error:  # JAX raises either
            raise RanksError("" if self._is_told() else f"another rank {LOST}") from error
        finally:
            alarm.cancel()

    def _give_up(self) -> None:
        if not self._is_told():
            os.write(2, f"error: another rank did not answer for {self.timeout:g} s\n".encode())
        os._exit(1)

    def _is_told(self) -> bool:
        """Whether the launcher or the first rank tells; if that is the lost one, the second."""
        return LAUNCHED in os.environ or self.rank > 1


def coordinator() -> str:
    """Returns the address, with the port, at which the ranks meet.

    torchrun listens at the port that it gives to the ranks, so they meet at the next one.
    """
    if address := os.environ.get("JAX_COORDINATOR_ADDRESS"):
        return address
    port = int(os.environ.get("MASTER_PORT", "0")) + ("TORCHELASTIC_RUN_ID" in os.environ)
    return f"{os.environ.get('MASTER_ADDR', '127.0.0.1')}:{port}"
