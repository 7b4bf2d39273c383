"""Finds damage in the snapshot file and its write-ahead log. Reads only.

SQLite notices damage when it happens to read the damaged place, and passes over a write-ahead log that is damaged: what
stood behind the damage is then gone without a word. The log's format is as https://sqlite.org/walformat.html has it.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Final

from monitord.storage.frames import Unpacker

# At least so many frames are unpacked, from the whole one before them on (one of FRAMES_PER_WHOLE is).
NEWEST_FRAMES: Final = 60
_NEWEST: Final = """
    SELECT body FROM frames WHERE seq >= coalesce(
        (SELECT max(seq) FROM frames WHERE whole AND seq <= (SELECT max(seq) FROM frames) - ?),
        (SELECT min(seq) FROM frames WHERE whole)
    ) ORDER BY seq
    """
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_MAGIC: Final = 0x377F0682  # its last bit set: the checksums are of big-endian words
# A log of this size and more is not checked: its checksums are computed in Python (about 20 MB a second).
_WAL_BYTES_AT_MOST: Final = 32 * 1024 * 1024


def damage(path: Path) -> str | None:
    """What is wrong with the snapshot at `path`: its structure, the saved state, the newest history.

    None where it is whole, where there is none, and where the disk does not let it be read: saving reports that.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=1.0)) as connection:
            if (word := structure(connection)) is not None:
                return word
            for name, body in connection.execute("SELECT name, body FROM state"):
                if not _is_json(body):
                    return f"its saved {name} is no JSON"
            if (whole := written_state(connection)) is not None and not _is_json(whole[1]):
                return "its saved state is no JSON"
            unpacker = Unpacker()
            for (body,) in connection.execute(_NEWEST, (NEWEST_FRAMES,)):
                unpacker.text(body)
    except sqlite3.OperationalError:
        return None
    except (sqlite3.Error, zlib.error, TypeError, ValueError) as error:
        return str(error)
    return None


def written_state(connection: sqlite3.Connection) -> tuple[int, str] | None:
    """The state in an open file as JSON, and the number of its cycle; None where there is none, or zlib.error."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'whole_state'").fetchone() is None:
        return None  # a monitord of before made the file
    row = connection.execute("SELECT seq, body FROM whole_state").fetchone()
    return None if row is None else (int(row[0]), zlib.decompress(row[1]).decode())


def structure(connection: sqlite3.Connection) -> str | None:
    """What SQLite's own quick check finds wrong first, in one line; None where nothing is."""
    (word,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return None if word == "ok" else " ".join(str(word).removeprefix("*** in database main ***").split())


def wal_damage(path: Path) -> str | None:
    """What is wrong with the write-ahead log at `path`, or None. To be called while nobody has the file open.

    Frames of an earlier round behind the valid ones are no damage, nor is a last frame that was being written when the
    process was killed.
    """
    try:
        if path.stat().st_size > _WAL_BYTES_AT_MOST:
            return None
        log = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(log) <= _WAL_HEADER:
        return None
    magic, _, page, _, *salts, first, second = struct.unpack(">8I", log[:_WAL_HEADER])
    order = ">" if magic & 1 else "<"
    sums = _checksum(log[: _WAL_HEADER - 8], order, (0, 0))
    if magic & ~1 != _MAGIC or sums != (first, second) or not 512 <= page <= 65536:
        return "the header of its write-ahead log is damaged"
    size = _FRAME_HEADER + page
    starts = range(_WAL_HEADER, len(log) - size + 1, size)
    for start in starts:
        frame = log[start : start + size]
        _, _, salt1, salt2, sum1, sum2 = struct.unpack(">6I", frame[:_FRAME_HEADER])
        sums = _checksum(frame[_FRAME_HEADER:], order, _checksum(frame[:8], order, sums))
        if [salt1, salt2] != salts or sums != (sum1, sum2):
            key = struct.pack(">2I", *salts)
            follows = any(log[later + 8 : later + 16] == key for later in starts if later > start)
            return "its write-ahead log is damaged" if follows else None
    return None


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    for one, other in struct.iter_unpack(order + "2I", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


def _is_json(body: object) -> bool:
    try:
        json.loads(str(body))
    except ValueError:
        return False
    return True
