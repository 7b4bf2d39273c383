"""The life of an alert: pending, firing, resolved. Readings must agree before any edge is crossed.

One alert goes through `step` at each judgement of its subject:

    nothing  + finding  -> pending, one reading counted
    pending  + finding  -> one more counted if CONFIRM_EVERY has passed; firing once CONFIRMATIONS agree
    pending  + clear    -> forgotten
    firing   + clear    -> counted the same way towards resolved
    firing   + finding  -> a change of severity is counted the same way
    anything + unknown  -> frozen: what was counted starts again, nothing else moves
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from monitord.core.model import Alert, Clear, Finding, Judgement, Transition, Unknown
from monitord.core.orders import StandingOrders

Book = Mapping[str, Alert]


def key(rule: str, subject: str) -> str:
    """Where an alert stands in the book: one per rule and subject."""
    return f"{rule}/{subject}"


def alert_id(rule: str, subject: str, since: datetime) -> str:
    """The same for the same incident however often it is told, and another for the next."""
    return hashlib.sha256(f"{rule}|{subject}|{since.isoformat()}".encode()).hexdigest()[:12]


def step(
    alert: Alert | None, judgement: Judgement, probe: str, now: datetime, orders: StandingOrders
) -> tuple[Alert | None, Transition | None]:
    """One judgement of one subject: the alert as it then stands (None: none), and the edge it crossed, if any."""
    match judgement:
        case Unknown():
            if alert is None:
                return None, None
            return replace(alert, toward="fire" if alert.state == "pending" else "", count=0, counted_at=None), None
        case Clear():
            if alert is None or alert.state == "pending":
                return None, None
            counted = _counted(alert, "resolve", now, orders)
            if counted.count >= orders.confirmations:
                return None, Transition("resolved", counted, now)
            return counted, None
        case Finding():
            if alert is None:
                alert = Alert(
                    id=alert_id(judgement.rule, judgement.subject, now),
                    rule=judgement.rule,
                    subject=judgement.subject,
                    probe=probe,
                    state="pending",
                    severity=judgement.severity,
                    since=now,
                    finding=judgement,
                )
                began = True
            else:
                began = False
            if alert.state == "pending":
                return _pending(alert, judgement, now, orders, began=began)
            return _firing(alert, judgement, now, orders)


def _pending(
    alert: Alert, finding: Finding, now: datetime, orders: StandingOrders, *, began: bool
) -> tuple[Alert, Transition | None]:
    counted = _counted(replace(alert, finding=finding, severity=finding.severity), "fire", now, orders)
    if counted.count >= orders.confirmations and not finding.needs_exact:
        fired = replace(counted, state="firing", fired_at=now, toward="")
        return _settled(fired), Transition("firing", fired, now)
    return counted, Transition("pending", counted, now) if began else None


def _firing(alert: Alert, finding: Finding, now: datetime, orders: StandingOrders) -> tuple[Alert, Transition | None]:
    if finding.severity == alert.severity:
        return replace(alert, finding=finding, toward="", count=0, counted_at=None), None
    counted = _counted(replace(alert, finding=finding), "step", now, orders)
    if counted.count < orders.confirmations:
        return counted, None
    stepped = replace(counted, severity=finding.severity, toward="")
    # Worse is news; better is not, until it is well.
    worse = Transition("firing", stepped, now, reason="severity") if finding.severity == "critical" else None
    return _settled(stepped), worse


def _settled(alert: Alert) -> Alert:
    """The alert after an edge: nothing counted towards the next one."""
    return replace(alert, count=0, counted_at=None, was_critical=alert.was_critical or alert.severity == "critical")


def _counted(alert: Alert, toward: Literal["fire", "resolve", "step"], now: datetime, orders: StandingOrders) -> Alert:
    """The alert with this reading counted towards an edge, unless it comes too soon after the last one counted."""
    if alert.toward != toward or alert.count == 0 or alert.counted_at is None:
        return replace(alert, toward=toward, count=1, counted_at=now)
    if now < alert.counted_at:  # the clock was set back: wait from here
        return replace(alert, counted_at=now)
    if now - alert.counted_at < orders.confirm_every:
        return alert
    return replace(alert, count=alert.count + 1, counted_at=now)


def not_watched(alert: Alert, now: datetime, reason: str = "not_watched") -> Transition | None:
    """The edge of an alert that ends without being cleared: its subject is gone from the orders, or it was replaced."""
    return Transition("resolved", alert, now, reason=reason) if alert.state == "firing" else None


def waiting_seconds(alert: Alert, now: datetime, orders: StandingOrders) -> float | None:
    """How long until another reading of its probe could count (0: at once), or None when none is awaited."""
    if alert.toward == "" or (alert.count >= orders.confirmations and not alert.finding.needs_exact):
        return None
    if alert.count > orders.confirmations:
        return None  # an exact count is asked for and does not come: trying at every cycle is enough
    if alert.count == 0 or alert.counted_at is None:
        return None  # its probe fails: the next cycle is soon enough
    return max(0.0, (alert.counted_at + orders.confirm_every - now).total_seconds())
