# SPDX-License-Identifier: Apache-2.0
"""Ranks that torch.distributed connects: by gloo on CPUs, and by NCCL on GPUs."""

import atexit
import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from adapters.ranks import LAUNCHED, LOST, Place, RanksError, SeveralRanks

TOLD, ASKED = "told", "asked"  # keys of the store: who told why it ended, who asked about it


class TorchRanks(SeveralRanks):
    """Connects by the addresses that a launcher gave, `MASTER_ADDR` and `MASTER_PORT`.

    Arrays of NumPy go by gloo, tensors by gloo or NCCL, as their device asks for.

    Args:
        place: Where this process stands.

    Raises:
        RanksError: the others do not come in time, or there is no coordinator.
    """

    def __init__(self, place: Place):
        super().__init__(place)
        self._failed = False
        if torch.cuda.is_available():
            torch.cuda.set_device(place.local_rank % torch.cuda.device_count())
        where = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
        timeout = timedelta(seconds=self.timeout)
        try:
            meeting = rendezvous("env://", place.rank, place.size, timeout=timeout)
            self._store, _, _ = next(iter(meeting))
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=self._store,
                rank=place.rank,
                world_size=place.size,
                timeout=timeout,
            )
            atexit.register(self.close)
        except (RuntimeError, ValueError) as error:
            raise self.not_met(where) from error

    def fail(self) -> None:
        self._failed = True
        with contextlib.suppress(RuntimeError):
            self._store.set(TOLD, str(self.rank))

    def close(self) -> None:
        if distributed.is_initialized():
            if not self._failed:  # who leaves while another still waits for it, ends it by SIGABRT
                with contextlib.suppress(RuntimeError):
                    distributed.barrier()
            distributed.destroy_process_group()
            del self._store

    def stacked(self, array: Any) -> np.ndarray:
        tensor = array.cpu() if torch.is_tensor(array) else torch.from_numpy(np.array(array))
        tensor = tensor.contiguous()
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        with self._in_touch():
            distributed.all_gather(found, tensor)
        return np.stack([part.numpy() for part in found])

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replaces tensors by their means over the ranks, all in one message."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with self._in_touch():
            distributed.all_reduce(flat)
        parts = flat.div_(self.size).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    @contextlib.contextmanager
    def _in_touch(self) -> Iterator[None]:
        """Turns the errors of a connection into one that says what happened, in one rank only."""
        try:
            yield
        except RuntimeError as error:
            self._failed = True  # there is nobody to wait for in the end
            late = "timed out" in str(error).lower()
            what = f"did not answer for {self.timeout:g} s" if late else LOST
            raise RanksError("" if self._is_told() else f"another rank {what}") from error

    def _is_told(self) -> bool:
        """Whether the launcher or another rank tells why the training ended."""
        if LAUNCHED in os.environ:
            return True
        try:
            self._store.set_timeout(timedelta(seconds=2))
            with contextlib.suppress(distributed.DistStoreError):  # it was not told in that time
                self._store.wait([TOLD])
                return True
            return self._store.add(ASKED, 1) > 1
        except RuntimeError:  # the first rank, which keeps the store, is gone
            return self.rank > 1 and self.place.local_rank > 0
