"""Incidents as a list: on a terminal, and as JSON wherever they are shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from monitord.core import humanize
from monitord.core.alerting.escalation import annotations_of
from monitord.core.alerting.incidents import Incident, IncidentPart
from monitord.core.blocks import Style
from monitord.reporting.terminal import MARKS, Terminal, table

_OPEN: Final = "open"


def incident_fields(found: Incident, now: datetime) -> dict[str, object]:
    """JSON-ready but for its times."""
    alert = found.cause
    return {
        "incident_id": found.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": found.severity,
        "cause": alert.finding.summary,
        **{name: getattr(found, name) for name in ("first_sign", "fired_at", "ended_at")},
        "duration_seconds": round(found.duration_seconds(now), 3),
        "open": found.ended_at is None,
        "reason": found.root.reason,
        "flapping": alert.flaps or None,
        "silenced_by": found.silenced_by or None,
        "recommendation": alert.finding.recommendation,
        "evidence": dict(alert.finding.evidence),
        **{name.lower(): text for name, text in annotations_of(alert.finding)},
        "explains": [_part(part) for part in found.parts if part.alert.id != alert.id],
    }


def _part(part: IncidentPart) -> Mapping[str, object]:
    alert = part.alert
    return {
        "alert_id": alert.id,
        **{name: getattr(alert, name) for name in ("rule", "subject", "severity", "since")},
        **{name: getattr(part, name) for name in ("fired_at", "suppressed_at", "ended_at")},
        "silenced_by": part.silenced_by or None,
        "summary": alert.finding.summary,
    }


def incidents_text(found: Sequence[Incident], since: datetime, now: datetime, screen: Terminal) -> str:
    lines = screen.wrapped(f"Incidents since {humanize.moment(since.timestamp(), now.timestamp())}", indent="")
    if not found:
        return "\n".join([*lines, "", *screen.wrapped("None.")]) + "\n"
    ordered = sorted(found, key=lambda one: (one.ended_at is not None, one.first_sign))
    rows: list[tuple[Style | None, list[str]]] = []
    for one in ordered:
        alert = one.cause
        style: Style = one.severity if one.ended_at is None else "dim"
        rows.append(
            (
                style,
                [
                    MARKS[one.severity],
                    f"{alert.rule} {alert.subject}",
                    humanize.moment(one.first_sign.timestamp(), now.timestamp()),
                    _OPEN if one.ended_at is None else humanize.moment(one.ended_at.timestamp(), now.timestamp()),
                    humanize.duration(round(one.duration_seconds(now))),
                ],
            )
        )
    lines += ["", *table(screen, ("", "INCIDENT", "FIRST SIGN", "END", "LASTED"), rows, right=frozenset({4}))]
    for one in ordered:
        state = "open" if one.ended_at is None else "ended"
        flaps = f" It came {one.cause.flaps} times." if one.cause.flaps else ""
        quiet = f" It was silenced by {one.silenced_by}." if one.silenced_by else ""
        quiet = quiet.replace(" was ", " is ") if one.cause.silenced_by and one.ended_at is None else quiet
        lines += ["", *screen.wrapped(f"{one.id} ({state}): {one.cause.finding.summary}{flaps}{quiet}")]
        for part in one.parts:
            if part.alert.id != one.cause.id:
                lines += screen.wrapped(f"{_role(part)}: {part.alert.finding.summary}", indent=" " * 6, hanging=" " * 8)
        if one.ended_at is None and one.cause.finding.recommendation:
            lines += screen.wrapped(one.cause.finding.recommendation, indent=" " * 6, hanging=" " * 6)
        if one.ended_at is None:
            for name, text in annotations_of(one.cause.finding):
                lines += screen.wrapped(f"{name}: {text}", indent=" " * 6, hanging=" " * 8)
    open_ = sum(1 for one in found if one.ended_at is None)
    many = humanize.plural(len(found), "incident")
    which = ("open" if open_ else "over") if len(found) == 1 else f"{open_} of them open"
    lines += ["", *screen.wrapped(f"{many}, {which}.", indent="")]
    return "\n".join(lines) + "\n"


def _role(part: IncidentPart) -> str:
    return "before that" if part.reason.startswith("replaced_by") else "explained by it"
