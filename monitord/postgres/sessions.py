"""What the server's sessions do: how many there are, what they hold up, who follows, and whether it serves one more.

A role without pg_read_all_stats sees of other roles' sessions that they are there, and not what they do: they are
counted as hidden, once, and what the others show is a lower bound. Where that matters for the fleet's next client, one
more connection is asked for, and closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from monitord.core.model import Sample, sample
from monitord.postgres import queries
from monitord.postgres.catalogue import Catalogue

_CLIENT = "client backend"
# Where default_transaction_read_only holds for the fleet as for monitord; elsewhere it is set for this role alone.
_FOR_ALL: Final = frozenset({"configuration file", "command line", "environment variable", "global", "database"})


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
    return [sample("standbys", row["standbys"]), sample("standby_lag", _rounded(row["lag"]), "seconds")]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


async def refusals(
    found: Catalogue,
    sessions: Sessions,
    source: str | None,
    pid_told: int,
    accepted: Callable[[], Awaitable[bool | None]],
) -> list[Sample]:
    """Why the next client would not be served, as `postgres_refusal`: "" where a reason does not hold, None: unknown.

    `source` is where default_transaction_read_only comes from, where it is on; `pid_told` the pid when the connection
    was made: a pool says another than its server; `accepted` tries one more (None: that does not show it).
    """
    crowded = _crowded(found, sessions, pooled=found.now["pid"] != pid_told)
    if crowded is None and (is_accepted := await accepted()) is not None:
        held = sessions.clients + sessions.hidden
        crowded = "" if is_accepted else f"a further connection is refused, with {held} open"
    return [
        sample("postgres_refusal", crowded, "", why="connections"),
        sample("postgres_refusal", _read_only(found.now, source), "", why="readonly"),
    ]


def _crowded(found: Catalogue, sessions: Sessions, *, pooled: bool) -> str | None:
    if pooled:  # a pool may hold every slot and serve each client: this one was
        return ""
    held, most, of_database = sessions.clients, found.most, found.server["of_database"]
    if held >= most:
        return f"{held} of its {most} connections are in use (max_connections less those reserved)"
    if 0 <= of_database <= sessions.here:
        return f"{sessions.here} of the {of_database} connections that its database may have are in use"
    limited = of_database >= 0 and sessions.here + sessions.hidden >= of_database
    return None if limited or held + sessions.hidden >= most else ""


def _read_only(row: asyncpg.Record, source: str | None) -> str | None:
    is_on = row["read_only"] == "on"
    if row["read_only_here"] or (is_on and source in _FOR_ALL):
        return "transactions are read-only by default (default_transaction_read_only)"
    return None if is_on else ""
