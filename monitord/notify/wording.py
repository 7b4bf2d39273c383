"""What an edge, a recommendation and a verdict are in words and in fields: the same in the log and in every message."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from monitord.core import humanize
from monitord.core.model import Action, Transition
from monitord.core.report.model import Report
from monitord.core.status import alert_fields
from monitord.core.subjects import declared

ACTIONS: Final = {"restart_service": "Restart", "free_disk": "Free space on", "investigate": "Investigate"}
_REPLACED: Final = "replaced_by "
_ENDS: Final = {
    "": "is resolved",
    "not_watched": "ends, as its subject is no longer watched",
    "forgotten": "ends, as it was forgotten on purpose",
    "silenced": "is silenced",
    "left_window": "ends, as its label left the window as it was",
}


def edge_fields(edge: Transition) -> dict[str, object]:
    """The alert as it was at this edge, and what the edge adds."""
    fields = alert_fields(edge.alert)
    if edge.edge == "resolved":
        fields["duration_seconds"] = round(_lasted(edge), 3)
        fields["now"] = edge.now or None
    elif edge.edge == "suppressed":
        fields["suppressed_by"] = edge.suppressed_by
    if edge.reason:
        fields["reason"] = edge.reason
    return fields


def end_sentence(edge: Transition) -> str:
    """What is true now that an alert is over; where no reading ended it, why it ends."""
    return edge.now or f"{edge.alert.rule} of {edge.alert.subject} {_how(edge)}."


def end_lines(edge: Transition) -> Iterator[str]:
    alert = edge.alert
    began = alert.fired_at or alert.since
    span = f"from {humanize.moment(began.timestamp(), edge.at.timestamp())} to {humanize.clock(edge.at.timestamp())}"
    was = (alert.worst or alert.finding).summary
    yield f"It fired for {lasted_words(edge)}, {span}. What it was: {was}"


def lasted_words(edge: Transition) -> str:
    return humanize.duration(_lasted(edge))


def edge_sentence(edge: Transition) -> str:
    alert = edge.alert
    if edge.edge == "resolved":
        how = _how(edge)
        how_quiet = f"silenced by {alert.silenced_by}" if alert.silenced_by else "explained throughout"
        unsaid = "" if alert.fired_at is not None else f" It was {how_quiet}, and never notified by itself."
        now = f" {edge.now}" if edge.now else ""
        return f"{alert.rule} of {alert.subject} {how} after {humanize.duration(_lasted(edge))}.{now}{unsaid}"
    if edge.edge == "suppressed":
        how_quiet = "silenced by" if alert.silenced_by else "explained by alert"
        return f"{alert.finding.summary} It is {how_quiet} {edge.suppressed_by} and not notified by itself."
    if edge.edge == "firing" and edge.reason == "silence_ended":
        since = humanize.clock(alert.since.timestamp())
        return f"{alert.finding.summary} It stands since {since}, and was silenced."
    if edge.edge == "firing" and edge.reason == "flapping" and alert.flapping_since is not None:
        return (
            f"{alert.finding.summary} It has come {alert.flaps} times since "
            f"{humanize.clock(alert.flapping_since.timestamp())}: "
            f"it is one flapping alert until it has been calm for {humanize.duration(alert.calm_for)}."
        )
    return alert.finding.summary


def action_sentence(action: Action) -> str:
    # Of a group: whatever seals it.
    whom = declared(action.rule).target.format(action.target)
    return f"{ACTIONS[action.action]} {whom}: {action.reason}"


def verdict_sentence(report: Report) -> str:
    return f"{report.headline}: {report.sentence}"


def verdict_fields(report: Report) -> dict[str, object]:
    return {
        "verdict": report.verdict,
        "since": datetime.fromtimestamp(report.since, UTC),
        "until": datetime.fromtimestamp(report.until, UTC),
        "blind_minutes": report.blind_minutes,
        "criteria": [{"name": c.name, "met": c.met, "evidence": c.evidence} for c in report.criteria],
        "open_warnings": [{"rule": w.rule, "subject": w.subject, "summary": w.summary} for w in report.open_warnings],
        "incidents": len(report.incidents),
    }


def _how(edge: Transition) -> str:
    if edge.reason.startswith(_REPLACED):
        return f"ends: {edge.reason.removeprefix(_REPLACED)} of {edge.alert.subject} takes its place"
    return _ENDS.get(edge.reason, f"ends ({edge.reason.replace('_', ' ')})")


def _lasted(edge: Transition) -> float:
    """For how long the alert fired, in seconds; one that never did, for how long it was known."""
    return max(0.0, (edge.at - (edge.alert.fired_at or edge.alert.since)).total_seconds())
