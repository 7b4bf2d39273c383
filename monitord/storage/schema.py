"""The snapshot file that one room writes and others read: its name, its tables, and what makes it unusable."""

from __future__ import annotations

import sqlite3
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
    -- What is still to be told, by the way out it goes through; `due` (Unix seconds): not before.
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY, channel TEXT NOT NULL, message_id TEXT NOT NULL, due REAL NOT NULL,
        body TEXT NOT NULL, UNIQUE (channel, message_id)
    );
    -- What operators have asked of the watch, until it has heard it: the one table that others write to.
    CREATE TABLE commands (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
    """,
)


class UnusableSnapshot(Exception):  # noqa: N818 - it names what the file is
    """The file is there and is not a snapshot this monitord can use."""


def version(connection: sqlite3.Connection) -> int:
    """How many of the migrations the file has seen; 0 for one that was just made."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)
