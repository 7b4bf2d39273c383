"""What the server's sessions do, by one statement: how many there are, what they hold up, who follows.

A role without pg_read_all_stats sees of other roles' sessions that they are there, and not what they do: they are
counted as hidden, once, and what the others show is a lower bound.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from monitord.core.model import Sample, sample

from . import queries

# Column -> its unit. Of these only the longest is reported, so that no session is.
_COLUMNS: Final = {
    "sessions_used": "1",
    "sessions_most": "1",
    "sessions_hidden": "1",
    "sessions_active": "1",
    "sessions_idle_in_transaction": "1",
    "transaction_longest": "seconds",
    "idle_transaction_longest": "seconds",
    "lock_waits": "1",
    "lock_wait_longest": "seconds",
    "standbys": "1",
    "standby_lag": "seconds",
    "xid_used": "percent",
}


async def sessions(connection: asyncpg.Connection[asyncpg.Record]) -> list[Sample]:
    """The samples of one statement, the last of its transaction; none where the server does not know what it asks."""
    try:
        row = await connection.fetchrow(queries.SESSIONS)
    except asyncpg.PostgresError:
        return []
    assert row is not None  # noqa: S101 - it aggregates
    return [
        sample(name, None if row[name] is None else round(float(row[name]), 3) if unit != "1" else row[name], unit)
        for name, unit in _COLUMNS.items()
    ]
