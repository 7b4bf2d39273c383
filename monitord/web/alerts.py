"""What is wrong, on the page: what fires and what to do about it, what that explains, what is being confirmed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from monitord.core import humanize
from monitord.core.alerting.escalation import annotations_of, escalation
from monitord.core.alerting.incidents import Incident
from monitord.core.humanize import sentence
from monitord.core.model import Alert
from monitord.core.report.model import Report
from monitord.core.report.wording import evidence
from monitord.reporting.blocks import incidents as incidents_section
from monitord.reporting.html import IllustratedSection, illustrated
from monitord.web.async_cache import value_of
from monitord.web.context import PageContext

# So many are shown in full; of a whole fleet that is out of order the rest is a list.
_MOST_CARDS: Final = 8
# So many incidents stand on the overview.
_MOST_INCIDENTS: Final = 6
# What was read longer ago says when.
_JUST_NOW: Final = timedelta(minutes=1)
_STATES: Final = {
    "firing": "It fires.",
    "suppressed": "It is explained or silenced, and pages nobody.",
    "pending": "It is not confirmed yet.",
}


@dataclass(frozen=True, slots=True)
class AlertCard:
    """An alert shown in full. `silencing`: where the form to silence it is."""

    alert: Alert
    evidence: str
    annotations: tuple[tuple[str, str], ...]
    silencing: str


@dataclass(frozen=True, slots=True)
class AlertLine:
    alert: Alert
    why: str = ""


@dataclass(frozen=True, slots=True)
class FiringAlerts:
    """The worst shown in full, the rest in a line each."""

    cards: tuple[AlertCard, ...]
    rest: tuple[AlertLine, ...]


@dataclass(frozen=True, slots=True)
class RecentIncidents:
    """The latest of `total` incidents; `trouble`: why they are not known. `as_of`: when they were read, if not now."""

    is_read: bool
    trouble: str = ""
    rows: tuple[Incident, ...] = ()
    total: int = 0
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertsPage:
    """Every incident of `span`; None where they are still being read, or are unknown for the given `trouble`."""

    span: str
    waiting: tuple[AlertLine, ...]
    incidents: IllustratedSection | None
    trouble: str


@dataclass(frozen=True, slots=True)
class AlertPage:
    """One alert and its incident; None where that is still being read, or for the given `trouble`."""

    id: str
    name: str
    state: str
    acknowledge: bool
    incident: IllustratedSection | None
    trouble: str


def firing(view: PageContext) -> FiringAlerts:
    found = view.alerts("firing")
    return FiringAlerts(
        tuple(_card(alert, view) for alert in found[:_MOST_CARDS]), tuple(map(AlertLine, found[_MOST_CARDS:]))
    )


def _card(alert: Alert, view: PageContext) -> AlertCard:
    return AlertCard(
        alert,
        "; ".join(f"{name}: {value}" for name, value in evidence(alert.finding, view)),
        annotations_of(alert.finding),
        f"/silences?{urlencode({'subject': alert.subject, 'rule': alert.rule})}",
    )


def named(alert: Alert) -> str:
    return f"{alert.rule}: {alert.subject}"


def waiting(view: PageContext) -> tuple[AlertLine, ...]:
    """What is explained by something else, and what is not confirmed yet: known, and paging nobody."""
    firing_now = {alert.incident_id: alert for alert in view.alerts("firing")}
    items: list[AlertLine] = []
    for alert in view.alerts("suppressed"):
        cause = firing_now.get(alert.incident_id)
        items.append(AlertLine(alert, f"explained by {named(cause)}" if cause else "explained by what is over"))
    return (*items, *(AlertLine(alert, "not confirmed yet") for alert in view.alerts("pending")))


def recent(view: PageContext) -> RecentIncidents:
    kept = view.incidents
    if kept is None:
        return RecentIncidents(is_read=False)
    if kept.value is None:
        return RecentIncidents(is_read=False, trouble=sentence(f"Unknown: {kept.trouble}"))
    rows = tuple(newest(kept.value)[:_MOST_INCIDENTS])
    is_old = view.now - kept.at > _JUST_NOW
    return RecentIncidents(True, "", rows, len(kept.value), kept.at if is_old else None)


def newest(found: Iterable[Incident]) -> list[Incident]:
    """The open ones first, then the latest."""
    return sorted(found, key=lambda one: (one.ended_at is not None, -one.first_sign.timestamp()))


def alerts_page(view: PageContext, back: timedelta) -> AlertsPage:
    kept = view.incidents
    span, here = humanize.duration(back.total_seconds()), waiting(view)
    if kept is None:
        return AlertsPage(span, here, None, "")
    if kept.value is None:
        return AlertsPage(span, here, None, sentence(f"The record is unknown: {kept.trouble}"))
    found = newest(kept.value)
    return AlertsPage(span, here, _drawn(found, back, view), "")


def alert_page(alert_id: str, view: PageContext) -> AlertPage | None:
    living = next((one for one in view.seen.decision.state.alerts.values() if one.id == alert_id), None)
    kept = view.incidents
    found = value_of(kept)
    own = next((one for one in found or () if any(part.alert.id == alert_id for part in one.parts)), None)
    parts = own.parts if own is not None else ()
    known = living or next((part.alert for part in parts if part.alert.id == alert_id), None)
    if known is None:
        if found is not None:
            return None
        return AlertPage(alert_id, f"Alert {alert_id}", "", False, None, kept.trouble if kept is not None else "")
    state = _STATES[living.state] if living is not None else "It is over."
    may_ack = view.has_token and living is not None and living.is_confirmed and living.acked_at is None
    if living is not None and living.acked_at is not None:
        state = f"{state} It was acknowledged at {humanize.moment(living.acked_at.timestamp(), view.until)}."
    drawn = _drawn((own,), timedelta(0), view) if own is not None else None
    return AlertPage(alert_id, named(known), state, may_ack, drawn, sentence(known.finding.summary))


def _drawn(found: Sequence[Incident], back: timedelta, view: PageContext) -> IllustratedSection:
    report = Report(
        since=view.until - back.total_seconds(), until=view.until, verdict="UNKNOWN", sentence="", blind_minutes=0.0,
        criteria=(), incidents=tuple(found), blind=(),
        escalations={
            one.id: escalation(one.cause, view.seen.decision.orders, view.now, one.ended_at, one.severity)
            for one in found
            if one.severity == "critical"
        },
    )  # fmt: skip
    return illustrated(incidents_section(report), anchors=[f"i-{one.id}" for one in found])
