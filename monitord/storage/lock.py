"""One daemon per state directory: a lock on the directory itself, which the kernel drops however its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from monitord.files import read_small

PID_FILE = "monitord.pid"
_PID_BYTES = 32
TRIES, TRY_AGAIN_SECONDS = 6, 0.05


class DirectoryInUse(Exception):  # noqa: N818 - it names a state of the directory
    """Another daemon holds the directory; `pid` is its process where it could say so."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        holder = "another monitord" if pid is None else f"another monitord (pid {pid})"
        super().__init__(f"{holder} already runs on the state directory {directory}")
        self.pid = pid


class DirectoryLock:
    """Held from `acquire` until `release` or the end of the process, whichever comes first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and leave our pid beside it, or DirectoryInUse. On OSError monitord can go on without."""
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        for _ in range(TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(TRY_AGAIN_SECONDS)  # `check` and `status` hold it for an instant when they ask who does
            except OSError:
                os.close(descriptor)
                raise
        else:
            os.close(descriptor)
            raise DirectoryInUse(self.directory, _pid(self.directory))
        self._descriptor = descriptor
        # Only for people and for `status`: the lock is what counts, and a full disk must not stop monitoring.
        with suppress(OSError):
            (self.directory / PID_FILE).write_text(f"{os.getpid()}\n", encoding="ascii")

    def release(self) -> None:
        if self._descriptor is None:
            return
        with suppress(OSError):
            (self.directory / PID_FILE).unlink()
        os.close(self._descriptor)
        self._descriptor = None


def holder(directory: Path) -> int | None:
    """The pid of the daemon that runs on `directory`: 0 where it could not write its pid, None where none runs."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(directory) or 0
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _pid(directory: Path) -> int | None:
    try:
        return int(read_small(directory / PID_FILE, _PID_BYTES))
    except (OSError, ValueError):
        return None
