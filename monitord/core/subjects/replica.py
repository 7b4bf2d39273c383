"""Judgement of a standby that is read: how far it is behind its primary, and so how old what is read of it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.history.model import History
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Reading, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import UNKNOWN, Impact, RecoveryContext, Rule

# From this part of FLOW_STALL on, rows that are not there yet would soon look like a stall.
LAG_SHARE: Final = 0.5
LAGS: Final = "it is read from a standby that lags behind its primary"


def lag_limit(orders: StandingOrders) -> float:
    """The most seconds that a standby may be behind before what is read of it is no news."""
    soonest = (min(orders.flow_stall_of(table).by_hour) for table in orders.tables)
    return LAG_SHARE * min(soonest, default=orders.flow_stall.total_seconds())


def lags(reading: Reading, orders: StandingOrders) -> bool:
    """Whether this reading is of a standby too far behind."""
    lag = reading.number("replica_lag") if reading.number("replica") else None
    return lag is not None and lag > lag_limit(orders)


def replica_lagging(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A standby that has replayed nothing newer than so long ago."""
    reading, limit = observation.readings["postgres"], lag_limit(orders)
    if not reading.number("replica"):
        yield Clear("replica_lagging", "postgres")
        return
    lag = reading.number("replica_lag")
    if lag is None:
        yield Unknown("replica_lagging", "postgres", "the server does not report how far it has replayed")
        return
    if lag <= limit:
        yield Clear("replica_lagging", "postgres")
        return
    hides = bool(orders.groups) and lag > orders.seal_critical.total_seconds()
    waits = (
        " and ".join(what for what, so in (("rows", orders.tables), ("seals", orders.groups)) if so) or "what it holds"
    )
    yield Finding(
        rule="replica_lagging",
        subject="postgres",
        severity="critical" if hides else "warning",
        value=round(lag),
        limit=limit,
        unit="seconds",
        summary=(
            f"Postgres is a standby {humanize.duration(lag)} behind its primary: {waits} are known as of then, "
            "and nothing newer."
        ),
        evidence={"lag_seconds": round(lag), "sealing_unknown": hides},
        recommendation=(
            "Check its replication: is the WAL receiver connected, is replay paused, does a long query hold it up? "
            "Until it has caught up, watch the primary (MONITORD_POSTGRES__DSN)."
        ),
    )


def _caught_up_now(alert: Alert, at: RecoveryContext) -> str:
    return "Postgres is read as it is again: a primary, or a standby that has caught up with its own."


REPLICA_LAGGING = Rule(
    name="replica_lagging",
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
    recovered=_caught_up_now,
)
