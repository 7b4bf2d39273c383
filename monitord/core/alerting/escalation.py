"""The text that is handed on when an issue goes to somebody else, as operators write it by hand: filled in.

Severity, component, issue, duration, and the impact: where epochs are watched, what it does to collection, to sealing
and to claims. Where the rule does not say, the impact is given as not known, never as none.
"""

from __future__ import annotations

from datetime import datetime

from monitord.core import humanize
from monitord.core.alerting.contacts import annotations_of
from monitord.core.model import Alert, Severity
from monitord.core.orders import StandingOrders
from monitord.core.subjects import declared
from monitord.core.subjects.registry import subject_named


def escalation(
    alert: Alert,
    orders: StandingOrders,
    now: datetime,
    ended: datetime | None = None,
    severity: Severity | None = None,
) -> str:
    """A line a field. `ended` is when it was over; None while it lasts. `severity`: the worst it came to."""
    lasted = humanize.duration(max(0.0, ((ended or now) - alert.since).total_seconds()))
    since = alert.since.strftime("%Y-%m-%d %H:%M UTC")
    fields = (
        ("Severity", severity or alert.severity),
        ("Component", _component(alert)),
        ("Issue", alert.finding.summary),
        ("Duration", f"{lasted} (since {since}, {'over' if ended else 'ongoing'})"),
        *impact(alert, orders),
        *annotations_of(alert.finding),
    )
    return "\n".join(f"{name}: {value}" for name, value in fields)


def impact(alert: Alert, orders: StandingOrders) -> tuple[tuple[str, str], ...]:
    means = declared(alert.rule).impact
    if not orders.groups:
        plainly = means.plainly
        return (("Impact", plainly if isinstance(plainly, str) else plainly(alert, orders)),)
    on_epochs = means.on_epochs if isinstance(means.on_epochs, tuple) else means.on_epochs(alert, orders)
    return tuple(zip(("Impact on collection", "Impact on sealing", "Impact on claims"), on_epochs, strict=True))


def _component(alert: Alert) -> str:
    if (itself := subject_named(alert.subject)) is not None:
        return itself.title
    measured = subject_named(alert.probe)
    return f"{measured.component if measured is not None else ''} {alert.subject}".strip()
