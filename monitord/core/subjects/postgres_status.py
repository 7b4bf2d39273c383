"""How the database, its sessions and its watched tables stand: the status, and what is shown and counted of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.anomalies import quiet_hours
from monitord.core.blocks import Block, FactTable, Grid, Paragraph, Plot
from monitord.core.history.growth_rates import flow_limit, late_rows, learns, rows_per_hour, window_rows
from monitord.core.history.model import History, TableHistory
from monitord.core.humanize import UNKNOWN, worded
from monitord.core.model import Reading, Value
from monitord.core.orders import StandingOrders
from monitord.core.series import RollupContext, RollupFamily, Values, metric
from monitord.core.subjects import base

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus


@dataclass(frozen=True, slots=True)
class SessionsStatus:
    """What the sessions do. `hidden` of them show that they are there, and no more; the longest is of the others."""

    used: int | None = None
    most: int | None = None
    hidden: int | None = None
    transaction_seconds: float | None = None
    idle_transaction_seconds: float | None = None
    lock_waits: int | None = None
    lock_wait_seconds: float | None = None
    standbys: int | None = None
    standby_lag_seconds: float | None = None
    xid_used_percent: float | None = None


def _sessions(reading: Reading) -> SessionsStatus:
    return SessionsStatus(
        used=base.whole(reading.number("sessions_used")),
        most=base.whole(reading.number("sessions_most")),
        hidden=base.whole(reading.number("sessions_hidden")),
        transaction_seconds=reading.number("transaction_longest"),
        idle_transaction_seconds=reading.number("idle_transaction_longest"),
        lock_waits=base.whole(reading.number("lock_waits")),
        lock_wait_seconds=reading.number("lock_wait_longest"),
        standbys=base.whole(reading.number("standbys")),
        standby_lag_seconds=reading.number("standby_lag"),
        xid_used_percent=reading.number("xid_used"),
    )


def _of_sessions(found: SessionsStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    used, most = found.used, found.most
    limit = "" if most is None else f"{round(most * orders.connections / 100)}"
    yield base.PerfDatum("postgres_connections_used", used, limits=f"{limit};", minimum="0", maximum=f"{most or ''}")
    for name, seconds, longest in (
        ("postgres_transaction", found.transaction_seconds, orders.transaction),
        ("postgres_idle_transaction", found.idle_transaction_seconds, orders.idle_transaction),
        ("postgres_lock_wait", found.lock_wait_seconds, orders.lock_wait),
        ("postgres_standby_lag", found.standby_lag_seconds, orders.standby_lag),
    ):
        yield base.PerfDatum(name, seconds, "s", f"{longest.total_seconds():g};", "0")
    limits = f"{orders.xid_warning:g};{orders.xid_critical:g}"
    yield base.PerfDatum("postgres_xid", found.xid_used_percent, "%", limits, "0", "100")


def _facts(found: SessionsStatus) -> Iterator[tuple[str, str]]:
    if found.most is not None and found.used is not None:
        yield "Server's connections", f"{humanize.count(found.used)} of {humanize.count(found.most)}"
    for name, seconds in (
        ("Oldest transaction", found.transaction_seconds),
        ("Idle in transaction", found.idle_transaction_seconds),
        ("Waiting for a lock", found.lock_wait_seconds),
        ("Standby behind", found.standby_lag_seconds),
    ):
        if seconds is not None:
            yield name, humanize.duration(seconds)
    if found.xid_used_percent is not None:
        yield "Transaction ids used", f"{found.xid_used_percent:.1f}%"


@dataclass(frozen=True, slots=True)
class TableStatus:
    """A watched table, its rows estimated. `flow_stall_seconds`: of this hour; `flow_stall_learned`: which hours."""

    rows: int | None
    exact: bool
    rows_per_hour: float | None
    window_rows: int | None
    late_rows: int | None
    total_bytes: int | None
    flow_stall_seconds: float | None
    flow_stall_learned: str = ""


@dataclass(frozen=True, slots=True)
class LargestTable:
    table: str
    bytes: float | None


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """The database around the watched tables. `sizes_age_seconds` is the age of all sizes, the tables' too."""

    bytes: int | None
    largest_tables: tuple[LargestTable, ...] | None
    connections: int | None
    response_ms: float | None
    sessions: SessionsStatus
    sizes_age_seconds: float | None = None


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
        rows=base.whole(reading.number("table_rows", table=name)) if reading else None,
        exact=False,
        rows_per_hour=None if rate is None else round(rate, 1),
        window_rows=base.whole(window_rows(table, now, window)) if table else None,
        late_rows=base.whole(late_rows(table, now, window)) if table else None,
        total_bytes=base.whole(size),
        flow_stall_seconds=flow_limit(name, table, orders).at(now),
        flow_stall_learned=_learned(name, table, orders),
    )


def _learned(name: str, table: TableHistory | None, orders: StandingOrders) -> str:
    if table is None or not learns(name, orders):
        return ""
    return quiet_hours.in_words(table.quiet, orders.flow_stall_of(name))


def _database(history: History, orders: StandingOrders, now: float) -> DatabaseStatus:
    reading = base.asked("postgres", history, orders)
    if reading is None:
        return DatabaseStatus(None, None, None, None, SessionsStatus())
    largest = {name: _amount(value) for name, value in reading.values("largest_table", "table").items()}
    ordered = sorted(largest, key=lambda name: -(largest[name] or 0.0))
    return DatabaseStatus(
        bytes=base.whole(reading.number("database_size")),
        largest_tables=tuple(LargestTable(name, largest[name]) for name in ordered),
        connections=base.whole(reading.number("connections")),
        response_ms=reading.number("response"),
        sessions=_sessions(reading),
        sizes_age_seconds=base.age(reading.number("sizes_read"), now),
    )


def _amount(value: Value) -> float | None:
    return value if isinstance(value, int | float) else None


GROWTH: Final = base.StatusSection("growth", Mapping[str, TableStatus], _growth)
DATABASE: Final = base.StatusSection("database", DatabaseStatus, _database)


def _sizes(report: FleetStatus) -> Mapping[str, float | None]:
    """The watched tables, and the largest ones."""
    largest = {one.table: one.bytes for one in report.of(DATABASE).largest_tables or ()}
    return largest | {name: table.total_bytes for name, table in report.of(GROWTH).items()}


METRICS: Final = (
    base.metric_group(
        TableStatus,
        lambda report: report.of(GROWTH),
        ("table_rows", "Rows of a watched table, as Postgres estimates them.", "rows"),
        base.MetricFamily(
            "table_rows_per_hour",
            "Growth of a watched table over GROWTH_WINDOW.",
            lambda table: table.rows_per_hour,
            line=base.MetricLine("Rows", "rows/h"),
        ),
        label="table",
    ),
    base.MetricGroup[float | None](
        _sizes,
        (base.MetricFamily("table_size_bytes", "Size of a table with its indexes.", lambda size: size),),
        label="table",
    ),
    base.metric_group(
        DatabaseStatus,
        lambda report: {"": report.of(DATABASE)},
        ("database_size_bytes", "Size of the whole database.", "bytes"),
        ("database_connections", "Connections to the database.", "connections"),
        ("database_response_seconds", "How long Postgres took to answer.", "response_ms", base.seconds),
    ),
    base.metric_group(
        SessionsStatus,
        lambda report: {"": report.of(DATABASE).sessions},
        ("database_connections_max", "Connections that Postgres accepts, less those it reserves.", "most"),
        ("database_connections_used", "Connections to any database of the server.", "used"),
        ("database_transaction_seconds", "For how long the oldest transaction is open.", "transaction_seconds"),
        (
            "database_idle_transaction_seconds",
            "For how long a session has been idle in a transaction.",
            "idle_transaction_seconds",
        ),
        ("database_lock_waits", "Locks that are waited for.", "lock_waits"),
        ("database_lock_wait_seconds", "For how long a lock has been waited for.", "lock_wait_seconds"),
        ("database_standby_lag_seconds", "By how much the slowest standby is behind.", "standby_lag_seconds"),
        (
            "database_xid_used_ratio",
            "How many of the transaction ids are used before wraparound.",
            "xid_used_percent",
            base.ratio,
        ),
    ),
)


def _arrived(context: RollupContext) -> Values:
    """The rows that a cycle has found to have arrived; fewer than none where a count takes back what counters told."""
    found: dict[str, float | None] = {}
    for name, table in context.report.of(GROWTH).items():
        was, now = context.before.tables.get(name), context.history.tables.get(name)
        if table.total_bytes is None or was is None or now is None:
            found[name] = None
        else:  # one that is followed anew begins at 0
            found[name] = now.gained - was.gained if now.gained else 0.0
    return found


ROLLUPS: Final = (
    RollupFamily("rows", "rows", "increase", _arrived),
    RollupFamily("size", "database", "level", metric(METRICS, "database_size_bytes"), humanize.size),
    RollupFamily("connections", "connections", "level", metric(METRICS, "database_connections")),
)


def perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    database = report.of(DATABASE)
    yield base.PerfDatum("postgres_response", database.response_ms, "ms", minimum="0")
    yield base.PerfDatum("postgres_connections", database.connections, minimum="0")
    yield from _of_sessions(database.sessions, orders)
    yield base.PerfDatum("database_size", database.bytes, "B", minimum="0")
    for name, found in report.of(GROWTH).items():
        yield base.PerfDatum(f"{name} rows", found.rows, minimum="0")
        yield base.PerfDatum(
            f"{name} window_rows", found.window_rows, limits=f"{orders.growth_limit_of(name)};", minimum="0"
        )
        yield base.PerfDatum(f"{name} size", found.total_bytes, "B", minimum="0")


def section(context: base.SectionContext) -> Iterator[Block]:
    tables, database = context.report.of(GROWTH), context.report.of(DATABASE)
    is_measured = context.report.probes["postgres"].status == "ok"
    known = {name for name, found in tables.items() if is_measured and found.total_bytes is not None}
    windows = {name: context.orders.growth_window_of(name) for name in tables}
    common = set(windows.values())
    rows = tuple(
        (
            context.severity(name) or ("ok" if name in known else "unknown"),
            (
                name,
                UNKNOWN if found.rows is None else ("" if found.exact else "~") + humanize.count(found.rows),
                worded(humanize.count, found.rows_per_hour, "not yet" if name in known else UNKNOWN),
                worded(humanize.count, found.window_rows, "not yet" if name in known else UNKNOWN)
                + ("" if len(common) == 1 else f" in {humanize.duration(windows[name])}"),
                worded(humanize.size, found.total_bytes),
            ),
        )
        for name, found in tables.items()
    )
    if rows:
        window = f"In {humanize.duration(common.pop())}" if len(common) == 1 else "In its window"
        header = ("Table", "Rows", "Per hour", window, "Size")
        yield Grid("Rows, and what came in", header, rows, frozenset({1, 2, 3, 4}))
    if any(tables[name].rows_per_hour is None for name in known):
        yield Paragraph("A rate needs two readings; the daemon (monitord run) takes and keeps them.")
    for name, found in tables.items():
        if found.flow_stall_learned:
            yield Paragraph(
                f"FLOW_STALL of {name} was learned from its last days: {found.flow_stall_learned} (UTC), "
                f"{humanize.duration(context.orders.flow_stall.total_seconds())} else."
            )
    for name in tables:
        yield Plot("growth", name, f"{name}: rows an hour")
    facts = [
        ("Database", worded(humanize.size, database.bytes) + _read(database.sizes_age_seconds)),
        ("Connections", worded(humanize.count, database.connections)),
        ("Answered in", worded(humanize.milliseconds, database.response_ms)),
        *_facts(database.sessions),
    ]
    if largest := database.largest_tables:
        facts.append(("Largest", ", ".join(f"{one.table} {worded(humanize.size, one.bytes)}" for one in largest)))
    yield FactTable(tuple(facts))


def _read(ago: float | None) -> str:
    return f" (read {humanize.duration(ago)} ago)" if ago is not None and ago >= 1 else ""


def learned(report: FleetStatus, orders: StandingOrders) -> Iterator[base.LearnedLimit]:
    """How long no row may come into a table in the hours in which it is quieter by its own past."""
    for name, table in report.of(GROWTH).items():
        if table.flow_stall_learned:
            yield base.LearnedLimit(name, "how long no new row may come in quiet hours (UTC)", table.flow_stall_learned)
