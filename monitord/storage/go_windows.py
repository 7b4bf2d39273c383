"""The windows of which a report said GO, in a small file beside the snapshot: what later nights are held against."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from monitord.files import put_whole, read_small

GO_WINDOWS: Final = "go-windows.json"
# The newest ones: a report every morning for two months.
_KEEP: Final = 60
_BYTES_AT_MOST: Final = 64 * 1024
# Of a report over a shorter time than this share of another nothing is said of the other.
_LONG_ENOUGH: Final = 0.5


def remember_go(directory: Path, since: float, until: float) -> None:
    """Add a window (Unix seconds). Where the directory is another user's or cannot be written, nothing is added."""
    with suppress(OSError):
        if directory.stat().st_uid != os.geteuid():
            return
        kept = sorted({*_read(directory), (since, until)}, key=lambda window: window[1])[-_KEEP:]
        put_whole(directory / GO_WINDOWS, json.dumps(kept).encode())


def last_go(directory: Path, since: float, until: float) -> tuple[float, float] | None:
    """The newest window that ended by `since` and is at least half as long as the one from there to `until`."""
    least = (until - since) * _LONG_ENOUGH
    found = (window for window in _read(directory) if window[1] <= since and window[1] - window[0] >= least)
    return max(found, key=lambda window: window[1], default=None)


def _read(directory: Path) -> list[tuple[float, float]]:
    try:
        read = json.loads(read_small(directory / GO_WINDOWS, _BYTES_AT_MOST))
        return [(float(since), float(until)) for since, until in read]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
