"""Whether Postgres would serve the fleet's next client: a connection more, and a transaction that writes.

One statement that only reads, beside the probe's own. A role that may not see what others' sessions are does not show
their clients from their parallel workers: where that matters, one more connection is asked for, and closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from monitord.core.model import Sample, sample

if TYPE_CHECKING:
    import asyncpg

# Others' backend_type is hidden from a role without pg_read_all_stats; what is theirs at all is not. `hidden` counts
# parallel workers, too, which take none of the slots that are counted here.
SERVED: Final = """
SELECT pg_backend_pid() AS pid, d.datconnlimit::int8 AS of_database, a.known, a.hidden, a.here,
       current_setting('max_connections')::int8 AS most,
       current_setting('superuser_reserved_connections')::int8
         + coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int8 AS reserved,
       s.setting = 'on' AS read_only, s.source,
       EXISTS (SELECT FROM pg_db_role_setting r
               WHERE r.setrole = 0 AND r.setdatabase IN (0, d.oid)
                 AND 'default_transaction_read_only=on' = ANY (r.setconfig)) AS read_only_here
FROM pg_database d, pg_settings s,
     (SELECT count(*) FILTER (WHERE backend_type = 'client backend') AS known,
             count(*) FILTER (WHERE backend_type IS NULL AND usesysid IS NOT NULL) AS hidden,
             count(*) FILTER (WHERE backend_type = 'client backend' AND datname = current_database()) AS here
      FROM pg_stat_activity) a
WHERE d.datname = current_database() AND s.name = 'default_transaction_read_only'
"""
# Where default_transaction_read_only holds for the fleet as for monitord; elsewhere it is set for this role alone.
_FOR_ALL: Final = frozenset({"configuration file", "command line", "environment variable", "global", "database"})


async def refusals(row: asyncpg.Record, pid_told: int, accepted: Callable[[], Awaitable[bool | None]]) -> list[Sample]:
    """Why the next client would not be served, as `postgres_refusal`: "" where a reason does not hold, None: unknown.

    Args:
        row: of SERVED.
        pid_told: the pid of the connection when it was made; a pool says something else than the server behind it.
        accepted: tries one more connection; None where that does not show it.
    """
    crowded = _crowded(row, pooled=row["pid"] != pid_told)
    if crowded is None and (is_accepted := await accepted()) is not None:
        crowded = "" if is_accepted else f"a further connection is refused, with {row['known'] + row['hidden']} open"
    return [
        sample("postgres_refusal", crowded, "", why="connections"),
        sample("postgres_refusal", _read_only(row), "", why="readonly"),
    ]


def _crowded(row: asyncpg.Record, *, pooled: bool) -> str | None:
    if pooled:  # a pool may hold every slot and serve each client: this one was
        return ""
    held, most = row["known"], row["most"] - row["reserved"]
    if held >= most:
        return f"{held} of its {most} connections are in use (max_connections less those reserved)"
    if 0 <= row["of_database"] <= row["here"]:
        return f"{row['here']} of the {row['of_database']} connections that its database may have are in use"
    limited = row["of_database"] >= 0 and row["here"] + row["hidden"] >= row["of_database"]
    return None if limited or held + row["hidden"] >= most else ""


def _read_only(row: asyncpg.Record) -> str | None:
    if row["read_only_here"] or (row["read_only"] and row["source"] in _FOR_ALL):
        return "transactions are read-only by default (default_transaction_read_only)"
    return None if row["read_only"] else ""
