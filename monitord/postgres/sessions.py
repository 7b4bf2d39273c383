"""What the server's sessions do: how many there are, what they hold up, who follows.

A role without pg_read_all_stats sees of other roles' sessions that they are there, and not what they do: they are
counted as hidden, once, and what the others show is a lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from monitord.core.model import Sample, sample
from monitord.postgres import queries

_CLIENT = "client backend"


@dataclass(frozen=True, slots=True)
class Sessions:
    """All sessions, this one included. `hidden` of them may be parallel workers, too, which take no client's place.

    `clients` are to any database, `here` of them to this one. Of what lasts (seconds) it is the longest of this
    database's, without this session's own. `waiting` wait for a lock, as far as that is shown.
    """

    clients: int = 1
    here: int = 1
    hidden: int = 0
    active: int = 0
    idle_in_transaction: int = 0
    waiting: int = 0
    transaction: float | None = None
    idle_transaction: float | None = None


def summed(rows: Sequence[asyncpg.Record]) -> Sessions:
    """What rows of queries.SESSIONS come to."""
    clients = [row for row in rows if row["type"] == _CLIENT]
    here = [row for row in clients if row["here"]]
    idle = [row for row in clients if (row["state"] or "").startswith("idle in transaction")]
    return Sessions(
        clients=1 + sum(row["sessions"] for row in clients),
        here=1 + sum(row["sessions"] for row in here),
        hidden=sum(row["sessions"] for row in rows if row["type"] is None and not row["nobodys"]),
        active=sum(row["sessions"] for row in clients if row["state"] == "active"),
        idle_in_transaction=sum(row["sessions"] for row in idle),
        waiting=sum(row["waiting"] for row in rows),
        transaction=max((row["transaction"] for row in here if row["transaction"] is not None), default=None),
        idle_transaction=max(
            (row["unchanged"] for row in idle if row["here"] and row["unchanged"] is not None), default=None
        ),
    )


def samples(found: Sessions, most: int, xid_used: float | None) -> list[Sample]:
    """What they are told as; `most` is how many there may be."""
    return [
        sample("sessions_used", found.clients + found.hidden - 1),
        sample("sessions_most", most),
        sample("sessions_hidden", found.hidden),
        sample("sessions_active", found.active),
        sample("sessions_idle_in_transaction", found.idle_in_transaction),
        sample("transaction_longest", _rounded(found.transaction), "seconds"),
        sample("idle_transaction_longest", _rounded(found.idle_transaction), "seconds"),
        sample("xid_used", _rounded(xid_used), "percent"),
    ]


async def waits(connection: asyncpg.Connection[asyncpg.Record], found: Sessions) -> list[Sample]:
    """Who waits for locks; asked where the sessions show that somebody does, or hide it.

    None where the server does not know what it is asked: it is the last statement of its transaction.
    """
    many, longest = 0, None
    if found.waiting or found.hidden:
        try:
            row = await connection.fetchrow(queries.WAITS)
        except asyncpg.PostgresError:
            return []
        assert row is not None  # noqa: S101 - it aggregates
        many, longest = row["waits"], row["longest"]
    return [sample("lock_waits", many), sample("lock_wait_longest", _rounded(longest), "seconds")]


def standbys(row: asyncpg.Record) -> list[Sample]:
    """What a row of queries.STANDBYS says."""
    return [sample("standbys", row["standbys"]), sample("standby_lag", _rounded(row["lag"]), "seconds")]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
