"""The snapshot file that one room writes and others read: its name, its tables, and what makes it unusable."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

FILE: Final = "snapshot.db"
# What a part of the state is written with, in the place of the one before.
PUT_PART: Final = "INSERT INTO state (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body"
# What text that is no longer as it was written makes of the code that reads it.
DAMAGE: Final = (sqlite3.Error, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_READ_SECONDS: Final = 2.0

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE state (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE transitions (
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL, edge TEXT NOT NULL, alert_id TEXT NOT NULL, body TEXT NOT NULL
    );
    CREATE INDEX transitions_by_alert ON transitions (alert_id);
    """,
    """
    -- In the order they were made, which a clock that is set back does not change.
    CREATE TABLE frames (seq INTEGER PRIMARY KEY, at REAL NOT NULL, whole INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE INDEX whole_frames ON frames (at, seq) WHERE whole;
    """,
    """
    -- What is still to be delivered, by channel; `due` (Unix seconds): not before.
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY, channel TEXT NOT NULL, message_id TEXT NOT NULL, due REAL NOT NULL,
        body TEXT NOT NULL, UNIQUE (channel, message_id)
    );
    -- What operators have asked of monitord, until it has read it: the one table that others write to.
    CREATE TABLE commands (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
    """,
    """
    -- What jobs have last reported (Unix seconds): written by the page's thread, before a job is answered.
    CREATE TABLE checkins (
        job TEXT PRIMARY KEY, started REAL, succeeded REAL, failed REAL, code INTEGER, took REAL
    ) WITHOUT ROWID;
    """,
    """
    -- What each series came to in each hour (hours since 1970; seconds), and the last hour in which there was one.
    CREATE TABLE rollup_series (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, member TEXT NOT NULL, last INTEGER NOT NULL, UNIQUE (name, member)
    );
    CREATE TABLE rollups (
        hour INTEGER NOT NULL, series INTEGER NOT NULL, readings INTEGER NOT NULL, least, mean, most,
        up INTEGER NOT NULL, down INTEGER NOT NULL, blind INTEGER NOT NULL, gained, PRIMARY KEY (hour, series)
    ) WITHOUT ROWID;
    """,
)

# The state as of one cycle, compressed. No migration: a monitord of before passes over it and keeps the rest of the
# file, where it would put aside one whose version it does not know; it takes the second copy of the state.
WHOLE_STATE: Final = """
    CREATE TABLE IF NOT EXISTS whole_state (
        one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, body BLOB NOT NULL
    )
    """


class UnusableSnapshot(Exception):  # noqa: N818 - it names what the file is
    """The file is there and is not a snapshot this monitord can use."""


def version(connection: sqlite3.Connection) -> int:
    """How many of the migrations the file has seen; 0 for one that was just made."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


class DamagedSnapshot(UnusableSnapshot):
    """The file is there and is not, or not any more, what monitord writes."""


_DISK_TROUBLE: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR}
    | {sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL}
    | {sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


def is_disk_trouble(error: Exception) -> bool:
    """Whether an error is of the disk, its space or its permissions: time may mend it. All others are of the file."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DISK_TROUBLE


@contextmanager
def opened(directory: Path, what: str, form: int = 1) -> Iterator[sqlite3.Connection | None]:
    """The file in `directory`, read-only; None where there is none, or one of a form before this one (0: just made).

    Raises UnusableSnapshot: there is a file and it cannot be read, or is damaged where it was read.
    """
    path = directory / FILE
    if not path.exists():
        yield None
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_READ_SECONDS)) as found:
            number = version(found)
            if number > len(MIGRATIONS):
                raise UnusableSnapshot(f"the {what} at {path} was written by a newer monitord")
            yield found if number >= form else None
    except DAMAGE as error:
        kind = UnusableSnapshot if is_disk_trouble(error) else DamagedSnapshot
        raise kind(f"the {what} at {path} cannot be read: {error}") from None


class SnapshotUnavailable(Exception):  # noqa: N818 - it names what cannot be done
    """There is no snapshot to leave anything in, or not one of this monitord: a sentence without its full stop."""


@contextmanager
def left_in(directory: Path, seconds: float) -> Iterator[sqlite3.Connection]:
    """One transaction for whoever leaves something for the daemon on `directory`, on the disk at its end.

    It never makes a snapshot and never changes its form: SnapshotUnavailable where no daemon of this version has run.
    """
    path = directory / FILE
    if not path.exists():
        raise SnapshotUnavailable(f"no monitord has run on {directory} yet")
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=seconds, isolation_level=None)) as connection:
        number = version(connection)
        if number < len(MIGRATIONS):
            raise SnapshotUnavailable(
                f"the snapshot at {path} is an older monitord's; it is brought up to date by monitord run"
            )
        if number > len(MIGRATIONS):
            raise SnapshotUnavailable(f"the snapshot at {path} was written by a newer monitord")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")  # ended by COMMIT, or by the connection's end
        yield connection
        connection.execute("COMMIT")


KEEP_HISTORY: Final = timedelta(hours=48)
# Past this the oldest history goes even if it is younger than 48 h: a short interval must not fill a disk.
HISTORY_BYTES_AT_MOST: Final = 256 * 1024 * 1024
# Edges are kept at least as long as the history they belong to; these many even when they are older, and no more than
# those however young they are: a fault that makes one at every cycle must not fill a disk either.
KEEP_TRANSITIONS: Final = 10_000
TRANSITIONS_AT_MOST: Final = 100_000


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Drop old transitions and, up to a whole frame, history past its age or size as of `now` (Unix seconds)."""
    before = now - KEEP_HISTORY.total_seconds()
    connection.execute(
        "DELETE FROM frames WHERE seq < (SELECT max(seq) FROM frames WHERE whole AND at <= ?)", (before,)
    )
    (held,) = connection.execute("SELECT coalesce(sum(length(body)), 0) FROM frames").fetchone()
    if held > HISTORY_BYTES_AT_MOST:
        # A quarter at a time, so that this is seldom.
        connection.execute(
            "DELETE FROM frames WHERE seq < (SELECT min(seq) FROM frames WHERE whole AND seq >= "
            "(SELECT min(seq) + (max(seq) - min(seq)) / 4 FROM frames))"
        )
    (oldest,) = connection.execute("SELECT at FROM frames ORDER BY seq LIMIT 1").fetchone()
    connection.execute(
        "DELETE FROM transitions WHERE seq <= (SELECT max(seq) FROM transitions) - ? AND at < ?",
        (KEEP_TRANSITIONS, datetime.fromtimestamp(oldest, UTC).isoformat()),
    )
    connection.execute(
        "DELETE FROM transitions WHERE seq <= (SELECT max(seq) FROM transitions) - ?", (TRANSITIONS_AT_MOST,)
    )
