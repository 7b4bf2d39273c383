"""Where a test writes what need not be on a disk: SQLite waits for a disk in each cycle that is saved."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SHARED_MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2**30  # a container has 64 MB there


@cache
def memory_directory() -> Path | None:
    """A directory in memory; None where there is none, or little room."""
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ENOUGH_BYTES:
        return SHARED_MEMORY
    return None


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory, for the tests below a conftest that imports this."""
    if (memory := memory_directory()) is None:
        yield tmp_path
    else:
        with tempfile.TemporaryDirectory(dir=memory) as made:
            yield Path(made)
