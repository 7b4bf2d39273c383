"""Judgement of which database it is that is watched."""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core.history.database import adopted, unlike
from monitord.core.history.model import History
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import SERVERS
from monitord.core.subjects.base import UNKNOWN, Impact, RecoveryContext, Rule

_SUBJECT = "postgres"


def database_changed(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """It is not the database that it was: the pool or the DSN points elsewhere, or it was restored from a copy."""
    known, present = history.identity, history.present
    if known is None or present is None:
        yield Unknown("database_changed", _SUBJECT, "it does not say which database it is")
        return
    found = unlike(history)
    if not found:
        yield Clear("database_changed", _SUBJECT)
        return
    summary = f"Postgres is not the database that it was: {'; '.join(found)}."
    evidence = {"known": str(known), "found": str(present), "differences": list(found)}
    advice = (
        "Check what MONITORD_POSTGRES__DSN and the pooler point to: the fleet may write to the wrong database. "
        "If the change is meant, acknowledge this alert or run `monitord forget postgres`: the new one is then "
        "the known one."
    )
    yield Finding("database_changed", _SUBJECT, "critical", str(present), str(known), "", summary, evidence, advice)


def _known_now(alert: Alert, at: RecoveryContext) -> str | None:
    known = at.history.identity
    return None if known is None else f"The database that is read is the known one: {known}."


DATABASE_CHANGED = Rule(
    name="database_changed",
    probe=_SUBJECT,
    severities=("critical",),
    evaluate=database_changed,
    adopt=lambda history, _: adopted(history),
    inhibits=frozenset({"sealing", "flow", "growth"}),
    runbook=(
        "SELECT current_database(), inet_server_addr(), inet_server_port()",
        "SELECT system_identifier FROM pg_control_system()",
        "monitord config",
    ),
    impact=Impact(on_epochs=("may be stored in the wrong database", "may be sealed in the wrong database", UNKNOWN)),
    recovered=_known_now,
    criterion=SERVERS,
)
