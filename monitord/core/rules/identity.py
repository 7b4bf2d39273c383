"""Judgement of which database it is that is watched."""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core.history import History
from monitord.core.model import Clear, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.recognizing import unlike
from monitord.core.rules.base import Rule

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
    yield Finding(
        rule="database_changed",
        subject=_SUBJECT,
        severity="critical",
        value=str(present),
        limit=str(known),
        unit="",
        summary=f"Postgres is not the database that it was: {'; '.join(found)}.",
        evidence={"known": str(known), "found": str(present), "differences": list(found)},
        recommendation=(
            "Check what MONITORD_POSTGRES__DSN and the pooler point to: the fleet may write to the wrong database. "
            "If the change is meant, acknowledge this alert or run `monitord forget postgres`: the new one is then "
            "the known one."
        ),
    )


DATABASE_CHANGED = Rule(
    "database_changed", _SUBJECT, ("critical",), database_changed, adopted_by_ack=True, criterion="servers_reachable"
)
