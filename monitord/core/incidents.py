"""Incidents: an alert that fired and what it explains, from first sign to resolution, made of the edges of alerts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from monitord.core.model import Alert, Transition


@dataclass(frozen=True, slots=True)
class Part:
    """One alert of an incident: as it last was, when it fired (None: it was suppressed throughout), when it ended."""

    alert: Alert
    fired_at: datetime | None
    suppressed_at: datetime | None
    ended_at: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """A root alert and what it explains."""

    root: Part
    explained: tuple[Part, ...] = ()

    @property
    def id(self) -> str:
        """The root alert's id."""
        return self.root.alert.id

    @property
    def first_sign(self) -> datetime:
        """The earliest sign of any of its alerts."""
        return min(part.alert.since for part in (self.root, *self.explained))

    @property
    def ended_at(self) -> datetime | None:
        """When the last of its alerts ended; None while one lives."""
        ends = [part.ended_at for part in (self.root, *self.explained)]
        return None if None in ends else max(end for end in ends if end is not None)

    def duration_seconds(self, now: datetime) -> float:
        """From first sign to end, or to `now` while it lasts."""
        return max(0.0, ((self.ended_at or now) - self.first_sign).total_seconds())


def incidents(transitions: Iterable[Transition]) -> tuple[Incident, ...]:
    """The incidents that a run of edges amounts to, in the order of their first signs."""
    raise NotImplementedError
