"""What the criteria are judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from monitord.core import humanize
from monitord.core.alerting.incidents import Incident, IncidentPart
from monitord.core.history.model import History
from monitord.core.model import Alert
from monitord.core.orders import StandingOrders
from monitord.core.report.blind_spots import blind_seconds
from monitord.core.report.criterion import BLIND_SHARE, ReportPart
from monitord.core.report.levels import Levels
from monitord.core.report.model import Blind
from monitord.core.subjects import declared
from monitord.core.subjects.base import Rule

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a window is judged by: `results` are the parts of the report, of which `of` gives one back.

    `history` is the one after the last observation: what a subject keeps of its own is in it.
    """

    orders: StandingOrders
    since: float
    until: float
    results: Mapping[str, object]
    incidents: tuple[Incident, ...]
    blind: tuple[Blind, ...]
    levels: Levels
    history: History

    def of(self, part: ReportPart[T]) -> T:
        """What a part of the report came to."""
        return cast("T", self.results[part.name])

    def parts(self) -> Iterator[IncidentPart]:
        """Every alert of the window that was confirmed, notified or explained, and when it ended.

        An alert is of the window when it was confirmed in it or is open, and else when it lasted into it: one whose end
        was confirmed in its first moments, no later than a cycle may come, was over when the window began.
        """
        return (part for incident in self.incidents for part in incident.parts if self._is_in_window(part))

    def against(self, criterion: str) -> tuple[IncidentPart, ...]:
        """The alerts of the window that a criterion is judged by."""
        return tuple(part for part in self.parts() if self.rule_of(part.alert).criterion == criterion)

    def rule_of(self, alert: Alert) -> Rule:
        """All that is known of an alert's rule."""
        return declared(alert.rule, alert.probe)

    def critical(self) -> tuple[IncidentPart, ...]:
        """The alerts that were critical in the window, open or over, notified or silenced on purpose.

        What another alert explains is a part of that one's incident. One that had been critical and was less when the
        window began is not among them.
        """
        return tuple(part for part in self.parts() if part.stands_alone and self.was_critical(part.alert))

    def open_warnings(self) -> tuple[IncidentPart, ...]:
        """The warnings that fire as the window ends, notified or silenced on purpose, the oldest first."""
        found = (part for part in self.parts() if part.ended_at is None and part.stands_alone)
        return tuple(sorted((p for p in found if p.alert.severity == "warning"), key=lambda p: p.alert.since))

    def _is_in_window(self, part: IncidentPart) -> bool:
        alert = part.alert
        if part.ended_at is None:
            return True
        confirmed = part.fired_at or part.suppressed_at
        if confirmed is not None and confirmed.timestamp() >= self.since:
            return True
        over = alert.calm_since or part.ended_at  # one that flapped had been calm for a while
        return over.timestamp() >= self.since + self.orders.late_after.total_seconds()

    def was_critical(self, alert: Alert) -> bool:
        if alert.severity == "critical":
            return True
        return alert.was_critical and (alert.eased_at is None or alert.eased_at.timestamp() >= self.since)

    def blind_for(self, *probes: str) -> float:
        """How long one of these probes was blind, in seconds."""
        return blind_seconds(self.blind, probes)

    def blind_probes(self) -> tuple[str, ...]:
        """The configured probes, each of which was blind for more of the window than the verdict bears."""
        limit = BLIND_SHARE * (self.until - self.since)
        return tuple(name for name in sorted(self.orders.probes) if self.blind_for(name) > limit)

    def too_blind(self, *probes: str) -> str:
        """Why the moment is not known, as a sentence; "" where it can."""
        unseen = self.blind_for(*probes)
        if unseen <= BLIND_SHARE * (self.until - self.since):
            return ""
        blind = blind_seconds([spell for spell in self.blind if spell.why != "unrecorded"], probes)
        if unseen - blind > blind:
            rest = humanize.duration(unseen - blind)
            return f"Of {humanize.duration(self.until - self.since)}, {rest} are not recorded."
        return f"monitord was blind for {humanize.duration(blind)} of {humanize.duration(self.until - self.since)}."
