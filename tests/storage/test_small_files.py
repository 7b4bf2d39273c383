"""Files that only monitord writes, of a size that it never writes: nothing is read of them, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitord.config.record import FILE as RECORD
from monitord.config.record import read_record
from monitord.files import read_small
from monitord.storage.ack_tokens import KEY_FILE, USED_FILE, AckTokens, key_of
from monitord.storage.copy import COPY, read_copy
from monitord.storage.go_windows import GO_WINDOWS, last_go
from monitord.storage.lock import PID_FILE, DirectoryLock, holder

_HUGE = 2**40  # with nothing in it: it takes no room


def _used(directory: Path) -> object:
    return AckTokens(directory)._used


def _holder(directory: Path) -> object:
    lock = DirectoryLock(directory)
    lock.acquire()
    with (directory / PID_FILE).open("r+b") as file:
        file.truncate(_HUGE)
    try:
        return holder(directory)
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("name", "read", "found"),
    [
        (GO_WINDOWS, lambda directory: last_go(directory, 1.0, 2.0), None),
        (USED_FILE, _used, {}),
        (PID_FILE, _holder, 0),
        (COPY, read_copy, None),
        (RECORD, read_record, None),
    ],
)
def test_one_that_is_too_large_counts_as_none(
    tmp_path: Path, name: str, read: Callable[[Path], object], found: object
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(_HUGE)
    assert read(tmp_path) == found


def test_a_key_that_is_too_large_is_no_key(tmp_path: Path) -> None:
    with (tmp_path / KEY_FILE).open("wb") as file:
        file.truncate(_HUGE)
    with pytest.raises(ValueError, match="is no key"):
        key_of(tmp_path)


def test_a_small_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"12345678")
    assert read_small(path, 8) == b"12345678"
    with pytest.raises(OSError, match="larger than 7 bytes"):
        read_small(path, 7)
