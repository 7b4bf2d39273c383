"""Judgement of the epochs: whether they can be read, whether they are sealed, and who takes part in them."""

from __future__ import annotations

from monitord.core.history import History
from monitord.core.rules import learned, sealing
from monitord.core.rules.base import Subject
from monitord.core.rules.servers import unmeasured


def _seals_unknown(history: History, now: float) -> float:
    """For how long the seals could not be read; while Postgres itself was away that was said by another rule."""
    since = history.taken_at.get("epochs", 0.0)
    return max(0.0, history.failed_seconds("epochs", now) - history.absent_seconds("postgres", since, now))


UNMEASURED = unmeasured(
    "epochs",
    "epoch sealing",
    "There is no such table in the database and schema that are watched: is it the right database?",
    noun="the epochs",
    judges_failure=True,
    unknown_for=_seals_unknown,
)

EPOCHS = Subject(
    "epochs",
    "epoch sealing",
    server="postgres",
    rules=(*sealing.RULES, *learned.RULES, UNMEASURED),
    members="groups",
    member="group",
    told_by=("seal_channels", "group"),
    noun="the epochs",
    component="token group",
)
