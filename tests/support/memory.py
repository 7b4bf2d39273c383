"""Where a test writes what need not be on a disk: SQLite waits for a disk in each cycle that is saved."""

from __future__ import annotations

import shutil
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2**30  # a container has 64 MB there


def memory_directory() -> Path | None:
    """A directory in memory; None where there is none, or little room."""
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ENOUGH_BYTES:
        return SHARED_MEMORY
    return None
