"""What is wrong, on the page: what fires and what to do about it, what that explains, what is being confirmed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from monitord.core import humanize
from monitord.core.alerting.escalation import escalation
from monitord.core.alerting.incidents import Incident
from monitord.core.blocks import Grid, Style
from monitord.core.model import Alert
from monitord.core.report.model import Report
from monitord.reporting.blocks import incidents as incidents_section
from monitord.reporting.charts.svg import Markup, joined, tag
from monitord.reporting.components import grid, mark
from monitord.reporting.html import section_html
from monitord.reporting.wording import evidence, sentence
from monitord.web.context import PageContext, ago, when

# So many are told in full; of a whole fleet that is out of order the rest is a list.
_MOST_CARDS: Final = 8


def firing(view: PageContext) -> Markup:
    """The alerts that fire, each with its evidence and what to do; that there are none is said by the status."""
    found = view.alerts("firing")
    if not found:
        return joined()
    return tag(
        "section",
        tag("h2", f"Firing ({len(found)})", id="h-firing"),
        tag("div", *(_card(alert, view) for alert in found[:_MOST_CARDS]), class_="cards"),
        _list([("", alert) for alert in found[_MOST_CARDS:]], view) if len(found) > _MOST_CARDS else None,
        aria_labelledby="h-firing",
        class_="firing",
    )


def _card(alert: Alert, view: PageContext) -> Markup:
    finding = alert.finding
    told = "; ".join(f"{name}: {value}" for name, value in evidence(finding, view))
    facts: list[tuple[str, Markup | str]] = [
        ("Since", joined(when(alert.since, view.until), " (", ago(alert.since, view.until), ")")),
    ]
    if told:
        facts.append(("Evidence", told))
    if alert.flaps:
        facts.append(("Flapping", f"it came {alert.flaps} times"))
    facts.append(("To do", sentence(finding.recommendation) if finding.recommendation else "nothing is recommended"))
    if alert.acked_at is not None:
        facts.append(("Acknowledged", joined(ago(alert.acked_at, view.until))))
    ident = f"a-{alert.id}"
    return tag(
        "article",
        tag("h3", mark(alert.severity), tag("span", f"{alert.rule}: {alert.subject}"), id=ident),
        tag("p", sentence(finding.summary), class_="summary"),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)),
        _buttons(alert, view),
        aria_labelledby=ident,
        class_=f"part is-{alert.severity}",
    )


def _buttons(alert: Alert, view: PageContext) -> Markup | None:
    if not view.has_token:
        return None
    about = f"{alert.rule}: {alert.subject}"
    known = alert.acked_at is not None
    silencing = f"/silences?{urlencode({'subject': alert.subject, 'rule': alert.rule})}"
    return tag(
        "div",
        None
        if known
        else tag(
            "form",
            tag("button", "Acknowledge", tag("span", f" {about}", class_="vh"), type="submit"),
            method="post",
            action=f"/alerts/{alert.id}/ack",
        ),
        tag("a", "Silence…", tag("span", f" {about}", class_="vh"), href=silencing),
        class_="acts",
    )


def waiting(view: PageContext) -> Markup:
    """What is explained by something else, and what is not confirmed yet: known, and paging nobody."""
    explained, pending = view.alerts("suppressed"), view.alerts("pending")
    if not explained and not pending:
        return joined()
    firing_now = {alert.incident_id: alert for alert in view.alerts("firing")}
    items: list[tuple[str, Alert]] = []
    for alert in explained:
        cause = firing_now.get(alert.incident_id)
        items.append((f"explained by {cause.rule}: {cause.subject}" if cause else "explained by what is over", alert))
    items += [("not confirmed yet", alert) for alert in pending]
    return tag(
        "section",
        tag("h2", f"Known and not told ({len(items)})", id="h-waiting"),
        _list(items, view),
        aria_labelledby="h-waiting",
    )


def _list(items: Iterable[tuple[str, Alert]], view: PageContext) -> Markup:
    """Alerts in a line each, with why they are no more than that."""
    return tag(
        "ul",
        *(
            tag(
                "li",
                mark(alert.severity),
                tag(
                    "span",
                    sentence(alert.finding.summary),
                    tag(
                        "small",
                        f" {alert.rule}: {alert.subject}{f'; {why}' if why else ''}, since ",
                        when(alert.since, view.until),
                    ),
                ),
            )
            for why, alert in items
        ),
        class_="marked",
    )


def recent(view: PageContext, most: int = 6) -> Markup:
    """The latest incidents as a table, with the way to all of them."""
    kept = view.incidents
    content: list[Markup | None]
    if kept is None:
        content = [tag("p", "The record is being read.")]
    elif kept.value is None:
        content = [tag("p", sentence(f"Unknown: {kept.trouble}"), class_="is-unknown")]
    elif not kept.value:
        content = [tag("p", "None in the last 48 hours.")]
    else:
        content = [_table(newest(kept.value)[:most], view)]
        if len(kept.value) > most:
            content.append(tag("p", tag("a", f"All {len(kept.value)} incidents", href="/alerts")))
    return tag(
        "section",
        tag("h2", "Incidents", tag("small", " of 48 hours"), id="h-incidents"),
        *content,
        aria_labelledby="h-incidents",
    )


def newest(found: Iterable[Incident]) -> list[Incident]:
    """The open ones first, then the latest."""
    return sorted(found, key=lambda one: (one.ended_at is not None, -one.first_sign.timestamp()))


def _table(found: Sequence[Incident], view: PageContext) -> Markup:
    rows: list[tuple[Style | None, tuple[str, ...]]] = []
    for one in found:
        lasted = humanize.duration(round(one.duration_seconds(view.now)))
        link = tag("a", f"{one.cause.rule}: {one.cause.subject}", href=f"/alerts#{anchor(one)}")
        ended = Markup("still open") if one.ended_at is None else when(one.ended_at, view.until)
        rows.append((one.severity, (link, when(one.first_sign, view.until), ended, lasted)))
    return grid(
        Grid(
            "Open ones first, then the latest", ("Incident", "First sign", "End", "Lasted"), tuple(rows), frozenset({3})
        )
    )


def anchor(found: Incident) -> str:
    """Where on the page of alerts an incident stands."""
    return f"i-{found.id}"


def alerts_page(view: PageContext, back: timedelta) -> Markup:
    """Every incident of so long, with its cause, its evidence, and what it explains."""
    kept = view.incidents
    title = tag("h1", "Alerts", tag("small", f" of the last {humanize.duration(back.total_seconds())}"))
    here = waiting(view)
    if kept is None:
        return joined(title, here, tag("p", "The record is being read: reload in a moment."))
    if kept.value is None:
        return joined(title, here, tag("p", sentence(f"The record is unknown: {kept.trouble}"), class_="is-unknown"))
    found = newest(kept.value)
    told = Report(
        since=view.until - back.total_seconds(), until=view.until, verdict="UNKNOWN", sentence="", blind_minutes=0.0,
        criteria=(), services=(), tables=(), groups=(), incidents=tuple(found), blind=(),
        escalations={
            one.id: escalation(one.cause, view.seen.decision.orders, view.now, one.ended_at, one.severity)
            for one in found
            if one.severity == "critical"
        },
    )  # fmt: skip
    anchors = [anchor(one) for one in found]
    return joined(title, here, section_html(incidents_section(told), told, anchors))
