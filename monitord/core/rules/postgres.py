"""Judgement of Postgres: away or refusing, another database than it was, a standby behind, and its tables."""

from __future__ import annotations

from monitord.core.orders import StandingOrders
from monitord.core.rules import growth
from monitord.core.rules.base import Subject
from monitord.core.rules.identity import DATABASE_CHANGED
from monitord.core.rules.replica import REPLICA_LAGGING
from monitord.core.rules.served import refusing
from monitord.core.rules.servers import unmeasured, unreachable


def _blocks(orders: StandingOrders) -> str:
    """What cannot be told while it cannot be measured, by what is watched of it."""
    parts = (("growth", orders.tables), ("sealing", orders.groups))
    return " and ".join(what for what, subjects in parts if subjects) or "what it holds"


POSTGRES_FULL = refusing("postgres_full", "postgres", "Postgres", criterion="servers_reachable")
POSTGRES_UNREACHABLE = unreachable(
    "postgres",
    "Postgres",
    blocks=_blocks,
    not_there="The server answers, and has no such database: correct its name in MONITORD_POSTGRES__DSN, or find out "
    "who dropped it.",
    criterion="servers_reachable",
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
)
