"""State directories in memory, where there is room for them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.memory import memory_directory


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    if (memory := memory_directory()) is None:
        yield tmp_path
    else:
        with tempfile.TemporaryDirectory(dir=memory) as made:
            yield Path(made)
