"""What is true once an alert is over: the value now, the limit, and since when. For the message of its end."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from monitord.core.history.model import History
from monitord.core.model import Alert
from monitord.core.orders import StandingOrders
from monitord.core.status import FleetStatus
from monitord.core.subjects import declared
from monitord.core.subjects.base import RecoveryContext
from monitord.core.subjects.registry import title_of


def now_true(alert: Alert, report: FleetStatus, history: History, orders: StandingOrders, now: datetime) -> str:
    """One sentence on how the alert's subject is now; where no number says it, that it is as expected again."""
    said, at = None, RecoveryContext(report, history, orders, now.timestamp())
    with suppress(KeyError, TypeError, ValueError, AttributeError):  # the end is told all the same
        said = declared(alert.rule, alert.probe).recovered(alert, at)
    return said or f"{title_of(alert.subject)} is as expected again."
