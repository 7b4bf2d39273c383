"""Judgement of Postgres: away or refusing, another database than it was, a standby behind, and its tables."""

from collections.abc import Callable, Mapping
from typing import Final

from monitord.core.copying import replace
from monitord.core.history.clocks import disagree, update_lag
from monitord.core.history.database import forgotten, update_identity
from monitord.core.history.growth import update_doubling, update_tables
from monitord.core.history.model import History
from monitord.core.model import Alert, Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects import postgres_report, postgres_status, sessions, tables
from monitord.core.subjects.base import Defaults, Impact, Replaces, Subject, Updated
from monitord.core.subjects.database import DATABASE_CHANGED, REPLICA_LAGGING
from monitord.core.subjects.refusals import refusing, update_refusals
from monitord.core.subjects.servers import unmeasured, unreachable

_BY_LABEL: Final = frozenset({"table_recent", "table_newest"})


def _blocks(orders: StandingOrders) -> str:
    """What is unknown while it cannot be measured, by what is watched of it."""
    parts = (("growth", orders.tables), ("sealing", orders.groups))
    return " and ".join(what for what, subjects in parts if subjects) or "what it holds"


POSTGRES_UNREACHABLE = unreachable(
    "postgres_unreachable",
    "postgres",
    "Postgres",
    blocks=_blocks,
    not_there="The server answers, and has no such database: correct its name in MONITORD_POSTGRES__DSN, or find out "
    "who dropped it.",
    response=lambda report: report.of(postgres_status.DATABASE).response_ms,
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
    inhibits=frozenset({"sealing", "flow", "lag", "errors"}),
    replaces=(Replaces(sessions.POSTGRES_CONNECTIONS_HIGH),),
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


def _update(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    history, notes = update_identity(update_lag(history, reading), reading)
    history, of_tables = update_tables(history, _countable(history, reading), before, now, orders)
    return Updated(history, notes=(*notes, *of_tables))


def _update_for_rules(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> Updated:
    history = sessions.update_sessions(update_refusals(history, reading), reading, now, orders)
    return Updated(update_doubling(history, reading, now, orders))


def _countable(history: History, reading: Reading) -> Reading:
    """The reading without its counts by label where the clock that bounds their labels was set."""
    if not disagree(history):
        return reading
    return replace(reading, samples=tuple(s for s in reading.samples if s.name not in _BY_LABEL))


def _runbook_words(alert: Alert, orders: StandingOrders) -> Mapping[str, str]:
    return {
        "sql": f"{orders.places.get('postgres', 'psql')} -c",
        "literal": "'" + alert.subject.rpartition(".")[2].replace("'", "''") + "'",
    }


def table_shown(observation: Observation, table: str) -> bool | None:
    """Whether an observation shows that a table is there; None where it does not show."""
    reading = observation.readings.get("postgres")
    if reading is None or reading.failure is not None:
        return None
    answer = reading.values("there", "table").get(table)
    if answer is not None:
        return answer == 1
    if table in reading.values("table_size", "table"):
        return True
    # Recordings from before this was asked say so where it was a table.
    return False if any(gap.subject == table and gap.kind == "missing" for gap in reading.gaps) else None


def _applied(orders: StandingOrders, seen: Callable[[str], bool | None]) -> StandingOrders:
    tables = orders.tables if "postgres" in orders.probes else ()
    if "tables" in orders.unnamed:
        tables = tuple(name for name in tables if seen(name) is not False)
    return replace(orders, tables=tables)


POSTGRES = Subject(
    "postgres",
    "Postgres",
    server="postgres",
    rules=(
        POSTGRES_FULL,
        POSTGRES_UNREACHABLE,
        REPLICA_LAGGING,
        DATABASE_CHANGED,
        *sessions.RULES,
        *tables.RULES,
        UNMEASURED,
    ),
    update=_update,
    update_for_rules=_update_for_rules,
    members="tables",
    member="table",
    in_fleet=False,
    member_sample=("table_size", "table"),
    status=(postgres_status.GROWTH, postgres_status.DATABASE),
    metrics=postgres_status.METRICS,
    perfdata=postgres_status.perfdata,
    section=postgres_status.section,
    report=postgres_report.growth,
    report_parts=(postgres_report.TABLE_REPORTS,),
    criteria=(postgres_report.GROWTH_STEADY,),
    rollups=postgres_status.ROLLUPS,
    heading="Database growth",
    exact=tables.wants_exact,
    forget=forgotten,
    forgotten="The known database was forgotten: the one that is read next is the known one.",
    defaults=Defaults(
        asked=lambda orders: orders.tables if "tables" in orders.unnamed else (),
        shown=table_shown,
        known=lambda history, table: table in history.tables,
        applied=_applied,
    ),
    off_by_default=lambda orders: None if orders.tables else ("growth", "MONITORD_POSTGRES__TABLES"),
    runbook_words=_runbook_words,
    limits={
        "growth_limit": "the most rows a table may gain within the window",
        "growth_window": "the window in which growth is counted",
        "growth_steady": "rows an hour that still count as steady",
        "flow_stall": "how long no new row may come into a table",
        "learned_quiet_hours": "whether hours that are quiet by a table's own past have a longer limit",
        "fed_by": "the services whose death explains that no rows come",
        "connections": "how much of Postgres' connections may be used",
        "transaction": "how long a transaction may take",
        "idle_transaction": "how long a transaction may be idle",
        "lock_wait": "how long a session may wait for a lock",
        "standby_lag": "how far a standby may be behind",
        "xid_warning": "how much of the transaction ids may be used, past which is a warning",
        "xid_critical": "the same, past which is critical",
    },
    learned=postgres_status.learned,
    hint="Not watched. MONITORD_POSTGRES__DSN (or DATABASE_URL) would add it.",
)
