"""The snapshot file that one room writes and others read: its name, its tables, and what makes it unusable."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

FILE: Final = "snapshot.db"

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


KEEP_HISTORY: Final = timedelta(hours=48)
# Past this the oldest history goes even if it is younger than 48 h: a short interval must not fill a disk.
HISTORY_BYTES_AT_MOST: Final = 256 * 1024 * 1024
# Edges are kept at least as long as the history they belong to; these many even when they are older, and no more than
# those however young they are: a fault that makes one at every cycle must not fill a disk either.
KEEP_TRANSITIONS: Final = 10_000
TRANSITIONS_AT_MOST: Final = 100_000


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Drop history past its age or size as of `now` (Unix seconds), up to a whole frame so that the rest still stands.

    Old transitions too. In the caller's transaction.
    """
    before = now - KEEP_HISTORY.total_seconds()
    connection.execute(
        "DELETE FROM frames WHERE seq < (SELECT max(seq) FROM frames WHERE whole AND at <= ?)",
        (before,),
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
