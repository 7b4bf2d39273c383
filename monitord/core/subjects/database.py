"""Judgement of which database is read: another than it was, or a standby that is far behind its primary."""

from typing import Final

from monitord.core import humanize
from monitord.core.history.database import adopted, unlike
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding, Observation, Reading, Severity
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import SERVERS
from monitord.core.subjects.base import UNKNOWN, Answer, Impact, RecoveryContext, Rule, of_one

_SUBJECT = "postgres"


@of_one(_SUBJECT)
def database_changed(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """It is not the database that it was: the pool or the DSN points elsewhere, or it was restored from a copy."""
    known, present = history.identity, history.present
    if known is None or present is None:
        return "it does not say which database it is"
    found = unlike(history)
    if not found:
        return None
    summary = f"Postgres is not the database that it was: {'; '.join(found)}."
    evidence = {"known": str(known), "found": str(present), "differences": list(found)}
    advice = (
        "Check what MONITORD_POSTGRES__DSN and the pooler point to: the fleet may write to the wrong database. "
        "If the change is meant, acknowledge this alert or run `monitord forget postgres`: the new one is then "
        "the known one."
    )
    return Finding("database_changed", _SUBJECT, "critical", str(present), str(known), "", summary, evidence, advice)


def _known_now(alert: Alert, at: RecoveryContext) -> str | None:
    known = at.history.identity
    return None if known is None else f"The database that is read is the known one: {known}."


DATABASE_CHANGED = Rule(
    probe=_SUBJECT,
    severities=("critical",),
    evaluate=database_changed,
    adopt=lambda history, _: adopted(history),
    inhibits=frozenset({"sealing", "flow", "growth"}),
    inhibits_missing=True,
    runbook=(
        "SELECT current_database(), inet_server_addr(), inet_server_port()",
        "SELECT system_identifier FROM pg_control_system()",
        "monitord config",
    ),
    impact=Impact(on_epochs=("may be stored in the wrong database", "may be sealed in the wrong database", UNKNOWN)),
    recovered=_known_now,
    criterion=SERVERS,
)


# From this part of FLOW_STALL on, rows that are not there yet would soon look like a stall.
LAG_SHARE: Final = 0.5
LAGS: Final = "it is read from a standby that lags behind its primary"


def lag_limit(orders: StandingOrders) -> float:
    """The most seconds that a standby may be behind before what is read of it is no news."""
    soonest = (min(orders.flow_stall_of(table).by_hour) for table in orders.tables)
    return LAG_SHARE * min(soonest, default=orders.flow_stall.total_seconds())


def lags(reading: Reading, orders: StandingOrders) -> bool:
    lag = reading.number("replica_lag") if reading.number("replica") else None
    return lag is not None and lag > lag_limit(orders)


@of_one("postgres")
def replica_lagging(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """A standby that has replayed nothing newer than so long ago."""
    reading = observation.readings["postgres"]
    if not reading.number("replica"):
        return None
    lag, limit = reading.number("replica_lag"), lag_limit(orders)
    if lag is None:
        return "the server does not report how far it has replayed"
    if lag <= limit:
        return None
    hides = bool(orders.groups) and lag > orders.seal_critical.total_seconds()
    waits = (
        " and ".join(what for what, so in (("rows", orders.tables), ("seals", orders.groups)) if so) or "what it holds"
    )
    summary = (
        f"Postgres is a standby {humanize.duration(lag)} behind its primary: {waits} are known as of then, "
        "and nothing newer."
    )
    evidence = {"lag_seconds": round(lag), "sealing_unknown": hides}
    advice = (
        "Check its replication: is the WAL receiver connected, is replay paused, does a long query hold it up? "
        "Until it has caught up, watch the primary (MONITORD_POSTGRES__DSN)."
    )
    severity: Severity = "critical" if hides else "warning"
    return Finding("replica_lagging", "postgres", severity, round(lag), limit, "seconds", summary, evidence, advice)


REPLICA_LAGGING = Rule(
    probe="postgres",
    severities=("warning", "critical"),
    evaluate=replica_lagging,
    roles=frozenset({"lag"}),
    runbook=(
        "SELECT pg_is_in_recovery(), pg_is_wal_replay_paused(), pg_last_xact_replay_timestamp()",
        "SELECT status, sender_host, latest_end_time FROM pg_stat_wal_receiver",
        "SELECT pid, state, xact_start, left(query, 80) FROM pg_stat_activity WHERE state <> 'idle' ORDER BY 3 LIMIT 5",
    ),
    impact=Impact(on_epochs=("not known since", "not known since", UNKNOWN)),
    recovered=lambda *_: "Postgres is read as it is again: a primary, or a standby that has caught up with its own.",
)
