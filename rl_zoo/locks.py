# SPDX-License-Identifier: Apache-2.0
"""The lock of a run folder, by which one process alone writes it."""

import errno
from pathlib import Path

import filelock

# Of file systems that have no locks; a run there goes without.
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class LockedError(Exception):
    """Another process, or another part of this one, holds the lock."""


def take(folder: Path) -> filelock.BaseFileLock:
    """Returns a lock that is held until its `release`, or until this process ends.

    Raises:
        LockedError: It is held.
        OSError: The lock's file cannot be opened, such as a link, which is not followed.
    """
    # Released by whichever thread closes the run. A file that only exists, as a soft lock is, would
    # keep a run locked after a kill.
    lock = filelock.FileLock(folder / ".lock", thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise LockedError(f"{folder} is already being written to") from error
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return lock
