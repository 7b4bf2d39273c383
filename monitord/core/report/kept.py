"""What a report takes from the hourly roll-ups: the window by the day, beside earlier ones and the last GO."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from monitord.core.report.model import KeptWindow
from monitord.core.rollups import series_of
from monitord.core.series import HOUR, Rollup, RollupFamily
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import registered

_DAY: Final = 24 * HOUR


def whole_hours(since: float, until: float) -> tuple[float, float]:
    """The whole hours in a span: from the first that begins in it to the end of the last that ends in it."""
    return -(-since // HOUR) * HOUR, until // HOUR * HOUR


def earlier(since: float, until: float) -> tuple[tuple[str, float], ...]:
    """Windows to compare with, and how many seconds earlier; a day for one of a day or less: a night is no day."""
    length, week = until - since, 7 * _DAY
    if length <= _DAY:
        return ("a day before", _DAY), ("a week before", week)
    days = -(-length // _DAY) * _DAY
    return (("a week before", week),) if days == week else (("as long before", days), ("a week before", week))


def window(name: str, since: float, until: float, days: Sequence[Rollup]) -> KeptWindow:
    found: dict[tuple[str, str], Rollup] = {}
    first: dict[tuple[str, str], int] = {}
    last: dict[tuple[str, str], int] = {}
    ran: dict[int, int] = {}
    for row in days:
        place, day = (row.series, row.member), row.start // _DAY
        found[place] = row if place not in found else together(found[place], row)
        first[place] = min(day, first.get(place, day))
        last[place] = max(day, last.get(place, day))
        ran[day] = max(ran.get(day, 0), row.hours)
    lacking = {}
    begin, end = min(ran, default=0), max(ran, default=0)
    for day in range(begin, end + 1):
        hours = (min(until, (day + 1) * _DAY) - max(since, day * _DAY)) / HOUR
        lacking[day] = max(0.0, hours - ran.get(day, 0)) * HOUR
    totals = tuple(
        replace(row, blind=row.blind + sum(lacking[day] for day in range(first[place], last[place] + 1)))
        for place, row in found.items()
    )
    return KeptWindow(name, since, until, tuple(days), totals)


def last_day(now: float, begins: float | None, days: Sequence[Rollup], running: Sequence[Rollup]) -> KeptWindow:
    """What is kept of the 24 h up to `now`, and the running hour; `begins`: the first hour kept (None: none is)."""
    since, until = whole_hours(now - _DAY, now + HOUR)
    current = [row for row in running if since <= row.start < until]
    starts = [at for at in (begins, *(row.start for row in current)) if at is not None]
    merged = {(row.series, row.member, row.start // _DAY): row for row in days}
    for row in current:
        place = row.series, row.member, row.start // _DAY
        merged[place] = row if place not in merged else together(merged[place], row)
    since = min(until, max(since, min(starts, default=until)))
    return window("24 h", since, until, sorted(merged.values(), key=lambda row: row.start))


def up_times(kept: KeptWindow) -> Mapping[tuple[str, str], Rollup]:
    """For how long each member was as expected, was not and could not be seen, by its subject's name and its own."""
    named = {
        series: subject.name
        for subject, found in families(kept.totals)
        for series, family in found.items()
        if family.kind == "state"
    }
    return {(named[row.series], row.member): row for row in kept.totals if row.series in named}


def together(one: Rollup, other: Rollup) -> Rollup:
    """Two roll-ups of one series as one; their means count by their readings."""
    readings = one.readings + other.readings
    means = [(row.mean, row.readings) for row in (one, other) if row.mean is not None]
    weight = sum(many for _, many in means)
    return replace(
        one,
        start=min(one.start, other.start),
        readings=readings,
        least=min((v for v in (one.least, other.least) if v is not None), default=None),
        mean=sum(mean * many for mean, many in means) / weight if weight else None,
        most=max((v for v in (one.most, other.most) if v is not None), default=None),
        up=one.up + other.up,
        down=one.down + other.down,
        blind=one.blind + other.blind,
        gained=sum(v for v in (one.gained, other.gained) if v is not None)
        if one.gained is not None or other.gained is not None
        else None,
        hours=one.hours + other.hours,
    )


def uptime(row: Rollup) -> float | None:
    """The share of the time up of what was seen (0 to 1); None where nothing was."""
    seen = row.up + row.down
    return row.up / seen if seen > 0 else None


def families(rows: Iterable[Rollup]) -> Iterator[tuple[Subject, Mapping[str, RollupFamily]]]:
    """The subjects that these rows are of, each with its families by the names of their series, as declared."""
    there = {row.series for row in rows}
    for subject in registered():
        own = {series_of(subject, family): family for family in subject.rollups}
        if found := {name: family for name, family in own.items() if name in there}:
            yield subject, found
