"""What the subjects' numbers came to over the report's window: the most and the least of each, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from monitord.core.model import Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import Level, LevelFamily
from monitord.core.subjects.base import Subject
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
    if family.names is not None:
        return family.names(orders)
    return getattr(orders, subject.members) if subject.members else ()
