"""What the criteria are judged by, with the most and the least of each number of the subjects."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from monitord.core import humanize
from monitord.core.alerting.incidents import Incident, IncidentPart
from monitord.core.history.model import History
from monitord.core.model import Alert, Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.report.blind_spots import blind_seconds
from monitord.core.report.criterion import BLIND_SHARE, Level, LevelFamily, ReportPart
from monitord.core.report.model import Blind
from monitord.core.subjects import declared
from monitord.core.subjects.base import Rule, Subject
from monitord.core.subjects.registry import registered


@dataclass(slots=True)
class _Followed:
    """One subject's numbers; `last` is when its probe was last taken (Unix seconds, None: never)."""

    subject: Subject
    levels: dict[LevelFamily, dict[str, Level]] = field(default_factory=dict)
    last: float | None = None


class Levels:
    """Follows every number that a watched subject declares, between `since` and `until` (Unix seconds)."""

    def __init__(self, orders: StandingOrders, since: float, until: float) -> None:
        self._since, self._until = since, until
        self._late = orders.late_after.total_seconds()
        self._followed = [
            _Followed(subject, {family: {n: Level(n) for n in _names(family, subject, orders)} for family in families})
            for subject in registered()
            if subject.name in orders.probes and (families := subject.levels)
        ]

    def observe(self, observation: Observation) -> None:
        at = observation.now.timestamp()
        for followed in self._followed:
            reading = observation.readings.get(followed.subject.name)
            if reading is None:
                continue
            before, followed.last = followed.last, at
            if reading.failure is None:
                self._read(followed, reading, before, at)

    def of(self, criterion: str) -> list[tuple[LevelFamily, Level]]:
        """The numbers that are evidence for a criterion, in the order in which they are declared."""
        return [
            (family, level)
            for followed in self._followed
            for family, levels in followed.levels.items()
            if family.criterion == criterion
            for level in levels.values()
        ]

    def _read(self, followed: _Followed, reading: Reading, before: float | None, at: float) -> None:
        for family, levels in followed.levels.items():
            values = family.values(reading)
            if family.names is None and not followed.subject.members:  # it learns them
                levels.update({name: Level(name) for name in values if name not in levels})
            for name, level in levels.items():
                self._told(level, values.get(name), before, at)

    def _told(self, level: Level, value: float | None, before: float | None, at: float) -> None:
        # A longer silence than this was blind, and is counted as that.
        if level.is_unmeasured and before is not None and at - before <= self._late:
            level.unmeasured += max(0.0, min(at, self._until) - max(before, self._since))
        level.is_unmeasured = value is None
        if value is None or at < self._since:
            return
        if level.most is None or value > level.most:
            level.most, level.most_at = value, at
        if level.least is None or value < level.least:
            level.least, level.least_at = value, at


def _names(family: LevelFamily, subject: Subject, orders: StandingOrders) -> Iterable[str]:
    return family.names(orders) if family.names is not None else subject.named(orders)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a window is judged by. `history` is as of its last observation, with what subjects keep of their own."""

    orders: StandingOrders
    since: float
    until: float
    results: Mapping[str, object]
    incidents: tuple[Incident, ...]
    blind: tuple[Blind, ...]
    levels: Levels
    history: History

    def of(self, part: ReportPart[T]) -> T:
        return cast("T", self.results[part.name])

    def parts(self) -> Iterator[IncidentPart]:
        """Every alert of the window that was confirmed, notified or explained, and when it ended.

        An alert is of the window when it was confirmed in it or is open, and else when it lasted into it: one whose end
        was confirmed in its first moments, no later than a cycle may come, was over when the window began.
        """
        return (part for incident in self.incidents for part in incident.parts if self._is_in_window(part))

    def against(self, criterion: str) -> tuple[IncidentPart, ...]:
        return tuple(part for part in self.parts() if self.rule_of(part.alert).criterion == criterion)

    def rule_of(self, alert: Alert) -> Rule:
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
