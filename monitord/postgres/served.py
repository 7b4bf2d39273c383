"""Whether Postgres would serve the fleet's next client: a connection more, and a transaction that writes.

By what a reading shows of the sessions. A role that may not see what others' sessions are does not show their clients
from their parallel workers: where that matters, one more connection is asked for, and closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from monitord.core.model import Sample, sample
from monitord.postgres.catalogue import Catalogue
from monitord.postgres.sessions import Sessions

if TYPE_CHECKING:
    import asyncpg

# Where default_transaction_read_only holds for the fleet as for monitord; elsewhere it is set for this role alone.
_FOR_ALL: Final = frozenset({"configuration file", "command line", "environment variable", "global", "database"})


async def refusals(
    found: Catalogue,
    sessions: Sessions,
    source: str | None,
    pid_told: int,
    accepted: Callable[[], Awaitable[bool | None]],
) -> list[Sample]:
    """Why the next client would not be served, as `postgres_refusal`: "" where a reason does not hold, None: unknown.

    Args:
        found: what is known of the server.
        sessions: all that there are.
        source: where default_transaction_read_only comes from, where it is on.
        pid_told: the pid of the connection when it was made; a pool says something else than the server behind it.
        accepted: tries one more connection; None where that does not show it.
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
