# SPDX-License-Identifier: Apache-2.0
"""The lock of a run folder, so that only one process writes it."""

import errno
from pathlib import Path

import filelock

# Errors of file systems without locks; runs there are not locked.
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class LockedError(Exception):
    """Another process, or another part of this one, holds the lock."""


def take(folder: Path) -> filelock.BaseFileLock:
    """Returns a lock that is held until its `release`, or until this process ends.

    Raises:
        LockedError: Another process or part of this one holds it.
        OSError: The lock's file cannot be opened; it must not be a link, which is not followed.
    """
    # Any thread may release it. A soft lock, a file that merely exists, would outlive a kill.
    lock = filelock.FileLock(folder / ".lock", thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise LockedError(f"{folder} is already being written to") from error
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return lock
