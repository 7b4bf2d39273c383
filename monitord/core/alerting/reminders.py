"""What fires and has not been said for a while is said again: an alert that nobody heard of twice is soon forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from monitord.core.alerting.lifecycle import key
from monitord.core.copying import replace
from monitord.core.model import Alert, Transition
from monitord.core.orders import StandingOrders


def remind(
    book: dict[str, Alert], transitions: Iterable[Transition], orders: StandingOrders, now: datetime
) -> tuple[Alert, ...]:
    """The firing alerts to be said again now. In the book, each alert then has the time at which it was last said.

    An acknowledged alert is not said again, nor is one that something explains or silences.
    """
    said = {edge.alert.id for edge in transitions if edge.edge == "firing"}
    again = []
    for alert in list(book.values()):
        if alert.state != "firing":
            continue
        place = key(alert.rule, alert.subject)
        since = alert.said_at or alert.fired_at or now
        if alert.id in said or now < since:  # said just now; or the clock was set back, and the wait begins here
            book[place] = replace(alert, said_at=now)
        elif alert.acked_at is None and now - since >= max(orders.remind_every, _at_least(alert)):
            book[place] = replace(alert, said_at=now)
            again.append(book[place])
    return tuple(again)


def _at_least(alert: Alert) -> timedelta:
    return timedelta(seconds=alert.finding.remind_every)
