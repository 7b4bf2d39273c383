"""Incidents: an alert that fired and what it explains, from first sign to resolution, made of the edges of alerts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from monitord.core.copying import replace
from monitord.core.model import Alert, Severity, Transition


@dataclass(frozen=True, slots=True)
class IncidentPart:
    """One alert of an incident: as it last was, when it fired (None: it was suppressed throughout), when it ended.

    `reason` says why it ended where that was not a clear reading: `not_watched`, `forgotten`, or `replaced_by` another
    rule. `silenced_by` is the silence that last kept it from being notified ("": none ever did).
    """

    alert: Alert
    fired_at: datetime | None = None
    suppressed_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""
    silenced_by: str = ""

    @property
    def stands_alone(self) -> bool:
        """Whether it fired, or would have but for a silence: no other alert explains it."""
        return self.fired_at is not None or bool(self.silenced_by)


@dataclass(frozen=True, slots=True)
class Incident:
    """A root alert, and what it explains or has grown into."""

    root: IncidentPart
    explained: tuple[IncidentPart, ...] = ()

    @property
    def id(self) -> str:
        return self.root.alert.incident_id

    @property
    def parts(self) -> tuple[IncidentPart, ...]:
        return (self.root, *self.explained)

    @property
    def cause(self) -> Alert:
        """The alert that says what is wrong: the root, or the stronger one that has taken its place."""
        latest = self.root
        for part in self.explained:
            if latest.reason == f"replaced_by {part.alert.rule}" and latest.alert.subject == part.alert.subject:
                latest = part
        return latest.alert

    @property
    def severity(self) -> Severity:
        """The worst severity that was notified, or would have been but for a silence."""
        latest = [part.alert for part in self.parts if part.stands_alone]
        return "critical" if any(a.severity == "critical" or a.was_critical for a in latest) else "warning"

    @property
    def first_sign(self) -> datetime:
        return min(part.alert.since for part in self.parts)

    @property
    def fired_at(self) -> datetime | None:
        return min((part.fired_at for part in self.parts if part.fired_at is not None), default=None)

    @property
    def silenced_by(self) -> str:
        """The silence that last kept what is wrong from being notified; "" where none ever did."""
        cause = self.cause
        return next(part.silenced_by for part in self.parts if part.alert is cause)

    @property
    def ended_at(self) -> datetime | None:
        """When the last of its alerts ended; None while one lives."""
        ends = [part.ended_at for part in self.parts]
        return None if None in ends else max(end for end in ends if end is not None)

    def duration_seconds(self, now: datetime) -> float:
        return max(0.0, ((self.ended_at or now) - self.first_sign).total_seconds())


def incidents(transitions: Iterable[Transition], living: Iterable[Alert] = ()) -> tuple[Incident, ...]:
    """The incidents that edges amount to, by first sign; `living` are the alerts as they are by now."""
    parts: dict[str, IncidentPart] = {}
    for edge in transitions:
        part = _after(parts.get(edge.alert.id), edge)
        if part is not None:
            parts[edge.alert.id] = part
    for alert in living:
        if alert.is_confirmed:
            known = parts.get(alert.id, IncidentPart(alert))
            fired = known.fired_at or alert.fired_at
            silenced_by = alert.silenced_by or known.silenced_by
            parts[alert.id] = replace(known, alert=alert, fired_at=fired, ended_at=None, silenced_by=silenced_by)
    by_incident: dict[str, list[IncidentPart]] = {}
    for part in parts.values():
        by_incident.setdefault(part.alert.incident_id, []).append(part)
    found = [_incident(incident, members) for incident, members in by_incident.items()]
    return tuple(sorted(found, key=lambda one: (one.first_sign, one.id)))


def _incident(incident: str, members: list[IncidentPart]) -> Incident:
    # The root may have been reported before the edges at hand begin: then the earliest stands in its place.
    members = sorted(members, key=lambda part: (part.alert.id != incident, part.alert.since))
    return Incident(members[0], tuple(members[1:]))


def _after(part: IncidentPart | None, edge: Transition) -> IncidentPart | None:
    """The part after one more edge of its alert; None for one that has only been pending."""
    match edge.edge:
        case "firing":
            known = part or IncidentPart(edge.alert)
            return replace(known, alert=edge.alert, fired_at=known.fired_at or edge.alert.fired_at or edge.at)
        case "suppressed":
            known = part or IncidentPart(edge.alert)
            silenced_by = edge.alert.silenced_by or known.silenced_by
            return replace(known, alert=edge.alert, suppressed_at=edge.at, silenced_by=silenced_by)
        case "resolved":
            known = part or IncidentPart(edge.alert, fired_at=edge.alert.fired_at, silenced_by=edge.alert.silenced_by)
            # What is over is remembered by how bad it was, not by how it was when it was nearly over.
            ended = replace(edge.alert, finding=edge.alert.worst or edge.alert.finding)
            return replace(known, alert=ended, ended_at=edge.at, reason=edge.reason)
        case _:
            return part
