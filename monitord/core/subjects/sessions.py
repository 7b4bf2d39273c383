"""Judgement of what Postgres' sessions do: too many, too long in a transaction, waiting; and of what follows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from monitord.core import humanize
from monitord.core.history.measures import past_seconds, update_past
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding, Observation, Reading, Severity
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import Answer, Impact, RecoveryContext, Rule, of_one, whole
from monitord.core.subjects.postgres_status import DATABASE, SessionsStatus

UNTOLD: Final = "the server does not report it"
# A deployment opens the new version's connections before the old one's are closed: that is over by then.
CROWDED_SECONDS: Final = 120.0
_CROWDED: Final = "connections"
HIDDEN: Final = "what other roles' sessions do is hidden from this role (GRANT pg_read_all_stats)"


def _lasting(
    rule: str,
    measure: str,
    limit_of: Callable[[StandingOrders], float],
    said: Callable[[str, Reading], str],
    recommendation: str,
    *,
    hides: bool,
    counted: str = "sessions_used",
    is_timed: bool = False,
    **declared: Any,
) -> Rule:
    """The rule about something that must not last. `hides`: it may be a session's whose doing is hidden.

    `counted` is told wherever it was looked for; `is_timed`: of what is counted the longest is known.
    """

    @of_one("postgres", rule)
    def evaluate(observation: Observation, history: History, orders: StandingOrders) -> Answer:
        """Longer than the limit."""
        reading, limit = observation.readings["postgres"], limit_of(orders)
        lasted = reading.number(measure)
        if lasted is None or lasted <= limit:
            many = reading.number(counted)
            if many is None or (is_timed and many and lasted is None):
                return UNTOLD
            return HIDDEN if hides and reading.number("sessions_hidden") else None
        summary = said(humanize.duration(lasted), reading) + f", past the limit of {humanize.duration(limit)}."
        evidence = _evidence(reading)
        return Finding(rule, "postgres", "warning", lasted, limit, "seconds", summary, evidence, recommendation)

    return Rule(rule, "postgres", evaluate=evaluate, **declared)


def _evidence(reading: Reading) -> dict[str, object]:
    names = ("sessions_used", "sessions_active", "sessions_idle_in_transaction", "lock_waits")
    return {name: whole(reading.number(name)) for name in names}


def _share(
    rule: str,
    measure: Callable[[Reading], float | None],
    limits_of: Callable[[StandingOrders], tuple[tuple[float, Severity], ...]],
    said: Callable[[Reading], str],
    recommendation: str,
    *,
    lasts: Callable[[History, float], bool] | None = None,
    **declared: Any,
) -> Rule:
    """The rule about something of which there is only so much, once it lasts; of the limits the worst comes first."""

    @of_one("postgres", rule)
    def evaluate(observation: Observation, history: History, orders: StandingOrders) -> Answer:
        """More of it is used than the limit allows."""
        reading = observation.readings["postgres"]
        used = measure(reading)
        if used is None:
            return UNTOLD
        past = next(((limit, severity) for limit, severity in limits_of(orders) if used > limit), None)
        if past is None or (lasts is not None and not lasts(history, observation.now.timestamp())):
            return None
        summary = f"{said(reading)} ({used:.1f}%), past {past[0]:g}%."
        return Finding(rule, "postgres", past[1], used, past[0], "percent", summary, _evidence(reading), recommendation)

    return Rule(rule, "postgres", evaluate=evaluate, **declared)


def update_sessions(history: History, reading: Reading, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of Postgres: since when nearly all connections are in use."""
    used = _connections(reading)
    if used is None:
        return history
    return update_past(history, _CROWDED, now, is_past=used > orders.connections)


def _is_crowded(history: History, now: float) -> bool:
    lasted = past_seconds(history, _CROWDED, "postgres", now)
    return lasted is not None and lasted >= CROWDED_SECONDS


def _connections(reading: Reading) -> float | None:
    used, most = reading.number("sessions_used"), reading.number("sessions_most")
    return None if used is None or not most or most <= 0 else round(100 * used / most, 2)


def _now(of: Callable[[SessionsStatus], float | None], sentence: str) -> Callable[[Alert, RecoveryContext], str | None]:
    def recovered(alert: Alert, at: RecoveryContext) -> str | None:
        sessions = at.report.of(DATABASE).sessions
        if sessions.used is None:
            return None
        value = of(sessions)
        return f"No {sentence} now." if value is None else f"The longest {sentence} is {humanize.duration(value)} now."

    return recovered


def _connections_now(alert: Alert, at: RecoveryContext) -> str | None:
    used, most = at.report.of(DATABASE).sessions.used, at.report.of(DATABASE).sessions.most
    if used is None or most is None:
        return None
    return f"{humanize.count(used)} of {humanize.count(most)} connections to Postgres are in use now."


def _xid_now(alert: Alert, at: RecoveryContext) -> str | None:
    used = at.report.of(DATABASE).sessions.xid_used_percent
    return None if used is None else f"{used:.1f}% of the transaction ids are used now."


_SESSIONS: Final = (
    "SELECT pid, usename, application_name, state, now() - xact_start AS open, left(query, 60) FROM pg_stat_activity "
    "WHERE xact_start IS NOT NULL ORDER BY xact_start LIMIT 5"
)
_WAITS: Final = (
    "SELECT pid, pg_blocking_pids(pid) AS waits_for, now() - query_start AS since, left(query, 60) FROM "
    "pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 LIMIT 5"
)
_BY_STATE: Final = (
    "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC"
)
_AGES: Final = "SELECT datname, age(datfrozenxid), mxid_age(datminmxid) FROM pg_database ORDER BY 2 DESC"
_STANDBYS: Final = "SELECT application_name, state, replay_lag, sent_lsn, replay_lsn FROM pg_stat_replication"
_HOLDS: Final = Impact("what needs the same rows or tables waits, and old row versions are not cleaned up")

POSTGRES_CONNECTIONS_HIGH = _share(
    "postgres_connections_high",
    _connections,
    lambda orders: ((orders.connections, "warning"),),
    lambda reading: (
        f"{humanize.count(reading.number('sessions_used') or 0)} of "
        f"{humanize.count(reading.number('sessions_most') or 0)} connections to Postgres are in use"
    ),
    "Find who holds them: a pool that is too large, connections that are never closed. When they are all in use, "
    "the fleet's next one is refused.",
    lasts=_is_crowded,
    runbook=(_BY_STATE, _SESSIONS, "{pm2} status"),
    impact=Impact("soon no further connection is accepted"),
    recovered=_connections_now,
)
POSTGRES_TRANSACTION_LONG = _lasting(
    "postgres_transaction_long",
    "transaction_longest",
    lambda orders: orders.transaction.total_seconds(),
    lambda lasted, _: f"A transaction in Postgres has been open for {lasted}",
    "Find out whose it is (pg_stat_activity): a report, a dump, a migration, or a client that forgot it. While it "
    "is open no old row version is cleaned up.",
    hides=True,
    runbook=(_SESSIONS, _WAITS, _BY_STATE),
    impact=_HOLDS,
    recovered=_now(lambda found: found.transaction_seconds, "transaction"),
)
POSTGRES_IDLE_IN_TRANSACTION = _lasting(
    "postgres_idle_in_transaction",
    "idle_transaction_longest",
    lambda orders: orders.idle_transaction.total_seconds(),
    lambda lasted, _: f"A session of Postgres has been idle in a transaction for {lasted}",
    "Find the client (pg_stat_activity): it began a transaction and neither commits nor asks anything. "
    "idle_in_transaction_session_timeout ends such sessions.",
    hides=True,
    runbook=(_SESSIONS, _WAITS, _BY_STATE),
    impact=_HOLDS,
    recovered=_now(lambda found: found.idle_transaction_seconds, "idle transaction"),
)
POSTGRES_LOCK_WAITING = _lasting(
    "postgres_lock_waiting",
    "lock_wait_longest",
    lambda orders: orders.lock_wait.total_seconds(),
    lambda lasted, reading: (
        f"{humanize.plural(waits, 'lock')} in Postgres are waited for, one for {lasted}"
        if (waits := reading.number("lock_waits") or 1) > 1
        else f"A lock in Postgres is waited for, by now for {lasted}"
    ),
    "Find who holds it (pg_blocking_pids): a migration, a transaction that was left open.",
    hides=False,
    counted="lock_waits",
    is_timed=True,
    runbook=(_WAITS, _SESSIONS, _BY_STATE),
    impact=Impact("statements wait for each other"),
    recovered=_now(lambda found: found.lock_wait_seconds, "wait for a lock"),
)
POSTGRES_STANDBY_LAGGING = _lasting(
    "postgres_standby_lagging",
    "standby_lag",
    lambda orders: orders.standby_lag.total_seconds(),
    lambda lasted, _: f"A standby of Postgres is {lasted} behind",
    "Check the standby: is it connected, is its disk or network slow, does a long query hold up its replay?",
    hides=True,
    counted="standbys",
    runbook=(_STANDBYS, _SESSIONS, "df -h"),
    impact=Impact("what is read from the standby is old, and a failover would lose what it lacks"),
    recovered=_now(lambda found: found.standby_lag_seconds, "lag of a standby"),
)
POSTGRES_XID_AGE = _share(
    "postgres_xid_age",
    lambda reading: reading.number("xid_used"),
    lambda orders: ((orders.xid_critical, "critical"), (orders.xid_warning, "warning")),
    lambda _: "Transaction ids of Postgres are used up to a part of their wraparound",
    "Find what keeps VACUUM from freezing: a transaction, a replication slot or a prepared transaction that is "
    "left open, or autovacuum switched off. At 100% Postgres accepts no further write.",
    severities=("warning", "critical"),
    runbook=(_AGES, _SESSIONS, "SELECT slot_name, active, xmin, catalog_xmin FROM pg_replication_slots"),
    impact=Impact("when they are used up no further write is accepted"),
    recovered=_xid_now,
)
RULES: Final = (
    POSTGRES_CONNECTIONS_HIGH,
    POSTGRES_TRANSACTION_LONG,
    POSTGRES_IDLE_IN_TRANSACTION,
    POSTGRES_LOCK_WAITING,
    POSTGRES_STANDBY_LAGGING,
    POSTGRES_XID_AGE,
)
