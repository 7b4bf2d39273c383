"""Small files: one put in the place of another, whole or not at all, and one read whole as far as it is small."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def put_whole(path: Path, content: bytes, *, synced: bool = False) -> None:
    """Write `content` beside `path`, and put it there at once, for its owner alone. On OSError, what was there stays.

    `synced`: it is on the disk before this returns.
    """
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        if synced:
            out.flush()
            os.fsync(handle)
    beside.replace(path)


def read_small(path: Path, most: int) -> bytes:
    """All of a file that has no more than `most` bytes; OSError where it cannot be read, or is larger."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", str(path))
    return content
