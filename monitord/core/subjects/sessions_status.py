"""What Postgres' sessions do: the status, and what is shown and counted of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from monitord.core import humanize
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import MetricFamily, PerfDatum, metrics_of, whole


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


def status(reading: Reading) -> SessionsStatus:
    """What the last good reading has of them."""
    return SessionsStatus(
        used=whole(reading.number("sessions_used")),
        most=whole(reading.number("sessions_most")),
        hidden=whole(reading.number("sessions_hidden")),
        transaction_seconds=reading.number("transaction_longest"),
        idle_transaction_seconds=reading.number("idle_transaction_longest"),
        lock_waits=whole(reading.number("lock_waits")),
        lock_wait_seconds=reading.number("lock_wait_longest"),
        standbys=whole(reading.number("standbys")),
        standby_lag_seconds=reading.number("standby_lag"),
        xid_used_percent=reading.number("xid_used"),
    )


METRICS: Final[tuple[MetricFamily[SessionsStatus], ...]] = metrics_of(
    SessionsStatus,
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
    ("database_xid_used_ratio", "How many of the transaction ids are used before wraparound.", "xid_used_percent"),
)


def perfdata(found: SessionsStatus, orders: StandingOrders) -> Iterator[PerfDatum]:
    """The same for Nagios."""
    used, most = found.used, found.most
    limit = "" if most is None else f"{round(most * orders.connections / 100)}"
    yield PerfDatum("postgres_connections_used", used, limits=f"{limit};", minimum="0", maximum=f"{most or ''}")
    for name, seconds, longest in (
        ("postgres_transaction", found.transaction_seconds, orders.transaction),
        ("postgres_idle_transaction", found.idle_transaction_seconds, orders.idle_transaction),
        ("postgres_lock_wait", found.lock_wait_seconds, orders.lock_wait),
        ("postgres_standby_lag", found.standby_lag_seconds, orders.standby_lag),
    ):
        yield PerfDatum(name, seconds, "s", f"{longest.total_seconds():g};", "0")
    limits = f"{orders.xid_warning:g};{orders.xid_critical:g}"
    yield PerfDatum("postgres_xid", found.xid_used_percent, "%", limits, "0", "100")


def facts(found: SessionsStatus) -> Iterator[tuple[str, str]]:
    """What there is to say of them, beside how many there are."""
    if found.most is not None and found.used is not None:
        yield "Of all that fit", f"{humanize.count(found.used)} of {humanize.count(found.most)}"
    for name, seconds in (
        ("Oldest transaction", found.transaction_seconds),
        ("Idle in one", found.idle_transaction_seconds),
        ("Waits for a lock", found.lock_wait_seconds),
        ("Standby behind", found.standby_lag_seconds),
    ):
        if seconds is not None:
            yield name, humanize.duration(seconds)
    if found.xid_used_percent is not None:
        yield "Transaction ids used", f"{found.xid_used_percent:.1f}%"
