"""How much of the past the snapshot keeps, and what goes when there is more."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

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
