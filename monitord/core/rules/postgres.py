"""Judgement of Postgres: away or refusing, another database than it was, a standby behind, and its tables."""

from __future__ import annotations

from monitord.core.orders import StandingOrders
from monitord.core.rules import growth
from monitord.core.rules.base import Impact, Subject
from monitord.core.rules.identity import DATABASE_CHANGED
from monitord.core.rules.replica import REPLICA_LAGGING
from monitord.core.rules.served import refusing
from monitord.core.rules.servers import unmeasured, unreachable


def _blocks(orders: StandingOrders) -> str:
    """What cannot be told while it cannot be measured, by what is watched of it."""
    parts = (("growth", orders.tables), ("sealing", orders.groups))
    return " and ".join(what for what, subjects in parts if subjects) or "what it holds"


POSTGRES_UNREACHABLE = unreachable(
    "postgres_unreachable",
    "postgres",
    "Postgres",
    blocks=_blocks,
    not_there="The server answers, and has no such database: correct its name in MONITORD_POSTGRES__DSN, or find out "
    "who dropped it.",
    response=lambda report: report.database.get("response_ms"),
    runbook=(
        "SELECT 1",
        "SELECT state, wait_event_type, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC",
        "df -h",
    ),
    impact=Impact(
        "nothing can be read from the database or stored in it",
        ("signals cannot be stored", "epochs cannot be sealed", "proofs cannot be read"),
    ),
    blocking=lambda _, orders: ("epoch sealing",) if orders.groups else (),
)
POSTGRES_FULL = refusing(
    "postgres_full",
    "Postgres",
    POSTGRES_UNREACHABLE,
    takes=frozenset({"sealing", "flow", "lag"}),
    runbook=(
        "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        "SELECT name, setting, source FROM pg_settings WHERE name ~ 'connections|read_only'",
        "df -h",
    ),
)
UNMEASURED = unmeasured(
    "postgres",
    "Postgres",
    "There is no such table in the database and schema that are watched: create it, or correct its name in "
    "MONITORD_POSTGRES__TABLES.",
)

POSTGRES = Subject(
    "postgres",
    "Postgres",
    server="postgres",
    rules=(POSTGRES_FULL, POSTGRES_UNREACHABLE, REPLICA_LAGGING, DATABASE_CHANGED, *growth.RULES, UNMEASURED),
    members="tables",
    member="table",
    told_by=("table_size", "table"),
)
