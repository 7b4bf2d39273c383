"""Hourly roll-ups: what a subject's numbers came to in each hour, kept long after the recorded cycles are gone.

A subject declares its series (`RollupFamily`). Each whole cycle adds to the running hour; when the wall clock is past
its end, its rows are written once. An hour is by wall time: a clock that is set back by less than an hour adds nothing
until it has caught up, and one that is set back by more begins that hour again, of which the row with more readings is
kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitord.core.series import HOUR, Rollup, RollupContext, RollupFamily, RollupKind, Values
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import registered

# More series than this are not kept: names that come and go must not fill a disk.
SERIES_AT_MOST: Final = 2_000


def series_of(subject: Subject, family: RollupFamily) -> str:
    return f"{subject.name}/{family.name}"


class RunningHour:
    """What the hour that runs has come to, in `most` series; `saved`: what `fields` gave before a restart."""

    def __init__(self, saved: object = None, most: int = SERIES_AT_MOST) -> None:
        self._most = most
        self._start: int | None = None
        self._through = 0.0  # up to when (Unix seconds) time is counted
        self._tallies: dict[str, dict[str, _Tally]] = {}
        self.fault = ""  # what failed inside in the last cycle
        if isinstance(saved, Mapping):
            try:
                self._start, self._through = int(saved["start"]), float(saved["through"])
                for series, members in saved["series"].items():
                    self._tallies[series] = {member: _Tally(*tally) for member, tally in members.items()}
            except (KeyError, TypeError, ValueError, AttributeError):  # another version wrote it
                self._start, self._tallies = None, {}

    def fields(self) -> dict[str, object]:
        return {
            "start": self._start,
            "through": self._through,
            "series": {
                series: {member: tally.fields() for member, tally in members.items()}
                for series, members in self._tallies.items()
            },
        }

    def so_far(self) -> tuple[Rollup, ...]:
        """The hour that runs as rows, as if it were over."""
        return () if self._start is None else self._rows()

    def saw(self, context: RollupContext, now: float, *, whole: bool) -> tuple[Rollup, ...]:
        """One more cycle, at `now` (Unix seconds); the rows of an hour that is over.

        Of a cycle that has not taken every probe only the increases count: the rest is measured in the next that has.
        """
        self.fault = ""
        found = list(self._values(context, whole=whole))
        hour = int(now // HOUR) * HOUR
        over: tuple[Rollup, ...] = ()
        late = context.orders.late_after.total_seconds()
        if self._start is None:
            self._start, self._through = hour, now
        is_blind = now - self._through > late
        if whole and (hour > self._start or self._through - now > HOUR):
            passed = max(0.0, min(now, self._start + HOUR) - self._through)
            for series, kind, values in found if passed else ():
                known = self._tallies.get(series, {})
                for member, value in values.items():
                    if (tally := known.get(member)) is not None:
                        tally.pass_in(kind, value, passed, is_blind=is_blind)
            over = self._rows()
            self._tallies = {}
            self._through = max(self._through, hour) if now >= self._through else now
            self._start = hour
        passed = max(0.0, now - self._through) if whole else 0.0
        for series, kind, values in found:
            self._add(series, kind, values, passed, is_blind=is_blind, whole=whole)
        if whole:
            self._through = max(self._through, now)
        return over

    def _values(self, context: RollupContext, *, whole: bool) -> list[tuple[str, RollupKind, Values]]:
        found: list[tuple[str, RollupKind, Values]] = []
        for subject in registered():
            if subject.name not in context.orders.probes:
                continue
            for family in subject.rollups:
                if not whole and family.kind != "increase":
                    continue
                try:
                    found.append((series_of(subject, family), family.kind, family.values(context)))
                except Exception as error:  # noqa: BLE001 - a bug in one series must not cost a cycle
                    self.fault = f"the roll-up {series_of(subject, family)} failed inside ({type(error).__name__})"
        return found

    def _add(
        self, series: str, kind: RollupKind, values: Values, passed: float, *, is_blind: bool, whole: bool
    ) -> None:
        """One cycle of a series: the time since the one before, if it is a whole one, and its values."""
        members = self._tallies.get(series, {})
        room: int | None = None
        for member, value in values.items():
            if value is None and not whole:
                continue
            tally = members.get(member)
            if tally is None:
                room = self._most - sum(map(len, self._tallies.values())) if room is None else room
                if room <= 0:
                    continue
                room, tally = room - 1, _Tally()
                members[member] = tally
                self._tallies[series] = members
            if whole:
                tally.pass_in(kind, value, passed, is_blind=is_blind)
            if value is not None:
                tally.measure(kind, value)

    def _rows(self) -> tuple[Rollup, ...]:
        start = self._start or 0
        return tuple(
            tally.row(start, series, member)
            for series, members in self._tallies.items()
            for member, tally in members.items()
        )


@dataclass(slots=True)
class _Tally:
    readings: int = 0
    least: float | None = None
    total: float = 0.0
    most: float | None = None
    up: float = 0.0
    down: float = 0.0
    blind: float = 0.0
    gained: float | None = None

    def pass_in(self, kind: RollupKind, value: float | None, passed: float, *, is_blind: bool) -> None:
        """The time since the cycle before: in the state that this one finds, or blind."""
        if is_blind or value is None:
            self.blind += passed
        elif kind == "state":
            if value:
                self.up += passed
            else:
                self.down += passed

    def measure(self, kind: RollupKind, value: float) -> None:
        self.readings += 1
        if kind == "increase":
            self.gained = (self.gained or 0.0) + value
        elif kind == "level":
            self.total += value
            self.least = value if self.least is None or value < self.least else self.least
            self.most = value if self.most is None or value > self.most else self.most

    def fields(self) -> list[float | None]:
        times = (round(seconds, 3) for seconds in (self.up, self.down, self.blind))
        return [self.readings, self.least, round(self.total, 3), self.most, *times, self.gained]

    def row(self, start: int, series: str, member: str) -> Rollup:
        mean = None if self.least is None else self.total / self.readings
        up, down, blind = round(self.up), round(self.down), round(self.blind)
        return Rollup(start, series, member, self.readings, self.least, mean, self.most, up, down, blind, self.gained)
