"""Judgement of Postgres: away or refusing, another database than it was, a standby behind, and its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitord.core.copying import replace
from monitord.core.history.clocks import disagree, update_lag
from monitord.core.history.database import update_identity
from monitord.core.history.growth import update_tables
from monitord.core.history.growth_rates import late_rows, rows_per_hour, window_rows
from monitord.core.history.model import History
from monitord.core.model import Reading, Value
from monitord.core.orders import StandingOrders
from monitord.core.subjects import sessions, tables
from monitord.core.subjects.base import (
    Impact,
    MetricFamily,
    MetricGroup,
    PerfDatum,
    Replaces,
    StatusSection,
    Subject,
    Updated,
    asked,
    seconds,
    whole,
)
from monitord.core.subjects.database import DATABASE_CHANGED
from monitord.core.subjects.refusals import refusing, update_refusals
from monitord.core.subjects.replica import REPLICA_LAGGING
from monitord.core.subjects.servers import unmeasured, unreachable
from monitord.core.subjects.sessions import SessionsStatus

_BY_LABEL: Final = frozenset({"table_recent", "table_newest"})


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
    inhibits=frozenset({"sealing", "flow", "lag"}),
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
    return Updated(update_refusals(history, reading), notes=(*notes, *of_tables))


def _countable(history: History, reading: Reading) -> Reading:
    """The reading without its counts by label where the clock that bounds their labels was set."""
    if not disagree(history):
        return reading
    return replace(reading, samples=tuple(s for s in reading.samples if s.name not in _BY_LABEL))


@dataclass(frozen=True, slots=True)
class TableStatus:
    """A watched table. The number of rows is an estimate."""

    rows: int | None
    exact: bool
    rows_per_hour: float | None
    window_rows: int | None
    late_rows: int | None
    total_bytes: int | None


@dataclass(frozen=True, slots=True)
class LargestTable:
    """One of the largest tables."""

    table: str
    bytes: float | None


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """The database around the watched tables."""

    bytes: int | None
    largest_tables: tuple[LargestTable, ...] | None
    connections: int | None
    response_ms: float | None
    sessions: SessionsStatus


def _growth(history: History, orders: StandingOrders, now: float) -> Mapping[str, TableStatus]:
    if "postgres" not in orders.probes:
        return {}
    return {name: _table(name, history, orders, now) for name in orders.tables}


def _table(name: str, history: History, orders: StandingOrders, now: float) -> TableStatus:
    reading, window = history.reading("postgres"), orders.growth_window_of(name)
    size = reading.number("table_size", table=name) if reading else None
    table = history.tables.get(name) if size is not None else None
    rate = rows_per_hour(table, now, window) if table else None
    return TableStatus(
        rows=whole(reading.number("table_rows", table=name)) if reading else None,
        exact=False,
        rows_per_hour=None if rate is None else round(rate, 1),
        window_rows=whole(window_rows(table, now, window)) if table else None,
        late_rows=whole(late_rows(table, now, window)) if table else None,
        total_bytes=whole(size),
    )


def _database(history: History, orders: StandingOrders, now: float) -> DatabaseStatus:
    reading = asked("postgres", history, orders)
    if reading is None:
        return DatabaseStatus(None, None, None, None, SessionsStatus())
    largest = {name: _amount(value) for name, value in reading.values("largest_table", "table").items()}
    ordered = sorted(largest, key=lambda name: -(largest[name] or 0.0))
    return DatabaseStatus(
        bytes=whole(reading.number("database_size")),
        largest_tables=tuple(LargestTable(name, largest[name]) for name in ordered),
        connections=whole(reading.number("connections")),
        response_ms=reading.number("response"),
        sessions=sessions.status(reading),
    )


def _amount(value: Value) -> float | None:
    return value if isinstance(value, int | float) else None


def _sizes(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The watched tables, and the largest ones."""
    largest: dict[str, Any] = {
        one["table"]: {"total_bytes": one["bytes"]} for one in fields["database"]["largest_tables"] or ()
    }
    growth: Mapping[str, Any] = fields["growth"]
    return {**largest, **growth}


METRICS = (
    MetricGroup(
        _sizes,
        (
            MetricFamily(
                "table_rows", "Rows of a watched table, as Postgres estimates them.", lambda table: table.get("rows")
            ),
            MetricFamily(
                "table_rows_per_hour",
                "Growth of a watched table over GROWTH_WINDOW.",
                lambda table: table.get("rows_per_hour"),
            ),
            MetricFamily("table_size_bytes", "Size of a table with its indexes.", lambda table: table["total_bytes"]),
        ),
        label="table",
    ),
    MetricGroup(
        lambda fields: fields["database"],
        (
            MetricFamily("database_size_bytes", "Size of the whole database.", lambda database: database["bytes"]),
            MetricFamily(
                "database_connections", "Connections to the database.", lambda database: database["connections"]
            ),
            MetricFamily(
                "database_response_seconds",
                "How long Postgres took to answer.",
                lambda database: seconds(database["response_ms"]),
            ),
            *sessions.METRICS,
        ),
    ),
)


def _perfdata(fields: Mapping[str, Any], orders: StandingOrders) -> Iterator[PerfDatum]:
    database = fields["database"]
    yield PerfDatum("postgres_response", database["response_ms"], "ms", minimum="0")
    yield PerfDatum("postgres_connections", database["connections"], minimum="0")
    yield from sessions.perfdata(database["sessions"], orders)
    yield PerfDatum("database_size", database["bytes"], "B", minimum="0")
    for name, found in fields["growth"].items():
        yield PerfDatum(f"{name} rows", found["rows"], minimum="0")
        yield PerfDatum(
            f"{name} window_rows", found["window_rows"], limits=f"{orders.growth_limit_of(name)};", minimum="0"
        )
        yield PerfDatum(f"{name} size", found["total_bytes"], "B", minimum="0")


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
    members="tables",
    member="table",
    member_sample=("table_size", "table"),
    status=(
        StatusSection("growth", Mapping[str, TableStatus], _growth),
        StatusSection("database", DatabaseStatus, _database),
    ),
    metrics=METRICS,
    perfdata=_perfdata,
    hint="Not watched. MONITORD_POSTGRES__DSN (or DATABASE_URL) would add it.",
)
