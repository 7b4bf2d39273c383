"""The rhythm of what comes and goes: when its runs began, how far apart, and when one is overdue.

A rhythm is named in the orders, as a time or as a schedule, or PM2 is configured with it (cron_restart, restart_delay),
or it is learned from the runs that were seen. Runs come unevenly: what is usual is the longest time between two
beginnings, of the days that are kept. A time that was overdue is no habit, unless there were two such.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from statistics import median
from typing import Final

from monitord.core.copying import replace
from monitord.core.cron import schedule
from monitord.core.moments import Moment

# So many days on which runs began are kept: two weeks of what runs daily, a year of what runs monthly.
KEEP_DAYS: Final = 14
# A rhythm is known once so many times between runs were seen.
LEAST_GAPS: Final = 4
DAY: Final = 86400.0
# A named or scheduled run is overdue when it has not come twice; a learned one after thrice the longest usual time.
TIMES_NAMED: Final = 2.0
TIMES_LEARNED: Final = 3.0
# A learned rhythm counts as no finer than this; nor as finer than a day before it was observed for one.
LEAST_LEARNED: Final = 900.0
# What nobody called periodic is one only where it is regular: seen to run on so many days, and no day's longest time
# between two runs so many times the usual day's. What is run by hand, or with each deployment, has no rhythm.
UNDECLARED_DAYS: Final = 4
UNDECLARED_TIMES: Final = 5.0
# PM2 begins what it runs by the clock itself; one turn or more that it leaves out is no reason to wake anybody.
LEAST_SCHEDULED: Final = 7200.0
_MOST_TURNS: Final = 3000
# A run of a schedule that the orders name is overdue half the time to the next one after its moment, an hour at most.
# One that began so shortly before its moment is the run of that moment: clocks differ.
LONGEST_GRACE: Final = 3600.0
_EARLY: Final = 60.0
# Any Monday: how far apart the times of a schedule are does not depend on it.
_REFERENCE: Final = datetime(2025, 1, 6, tzinfo=UTC)
_SHORT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Day:
    """The times between runs that ended with one that began on this day (days since 1970, UTC), in seconds.

    `gaps` of them, up to `longest`; those that were overdue are not among them, and `late` is the longest of those.
    """

    day: int
    gaps: int = 0
    longest: float = 0.0
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Runs:
    """A service's runs, as they were seen (Unix seconds).

    `since` is when it was first seen, `last` when its last run began (None: not known), `up_at` when it was last seen
    to run. `blind` is for how many seconds there was no reading since then, and `unseen` that runs since the last may
    have been missed. `first` is the beginning that the times between runs are counted from, `days` what they were.
    """

    since: Moment
    last: Moment | None = None
    up_at: Moment | None = None
    blind: float = 0.0
    unseen: bool = False
    first: Moment | None = None
    days: tuple[Day, ...] = ()

    @property
    def rests_since(self) -> float:
        """Since when it has not run, as far as it was seen."""
        return max(self.since, self.last or self.since, self.up_at or self.since)

    def rested(self, now: float) -> float:
        return max(0.0, now - self.rests_since - self.blind)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is usual: a run `every` so many seconds at most, overdue after `limit`; `source` says so."""

    every: float
    limit: float
    source: str
    is_uneven: bool = False


def seen(
    runs: Runs | None, began: Iterable[float], *, is_up: bool, now: float, dark: float, limit: float | None
) -> Runs:
    """The runs after a reading with these beginnings; `dark`: seconds without one; `limit`: of rest, until overdue."""
    starts = sorted(at for at in began if at <= now + _SHORT)
    if runs is None:
        return Runs(now, last=starts[-1] if starts else None, up_at=now if is_up else None)
    following = replace(runs, blind=runs.blind + dark, unseen=True) if dark > 0 else runs
    for at in starts:
        if following.last is not None and at <= following.last + _SHORT:
            continue
        following = _begun(following, at, limit)
        following = replace(following, blind=max(0.0, min(dark, now - at)), unseen=False)
    return replace(following, up_at=now, blind=0.0) if is_up else following


def _begun(runs: Runs, at: float, limit: float | None) -> Runs:
    if runs.last is None or runs.unseen:
        return replace(runs, last=at, first=runs.first if runs.first is not None else at)
    gap, day = at - runs.last, int(at // DAY)
    days = [*runs.days] if runs.days and runs.days[-1].day == day else [*runs.days, Day(day)]
    if limit is not None and gap > limit:
        days[-1] = replace(days[-1], late=max(days[-1].late, gap))
    else:
        days[-1] = replace(days[-1], gaps=days[-1].gaps + 1, longest=max(days[-1].longest, gap))
    first = runs.first if runs.first is not None else runs.last
    return replace(runs, last=at, first=first, days=tuple(days[-KEEP_DAYS:]))


def rhythm(
    runs: Runs | None,
    named: float | None = None,
    schedules: Collection[str] = (),
    delay: float | None = None,
    *,
    declared: bool = True,
    ordered: str = "",
) -> Rhythm | None:
    """The rhythm of a service, or None while it is not known.

    By the orders it is `declared` periodic, runs as often as `named` (seconds), or `ordered` (cron, UTC; "": not said);
    `schedules` are PM2's cron_restarts, `delay` for how long PM2 waits from now on.
    """
    if ordered:
        return _ordered(runs, ordered)
    if named is not None:
        return Rhythm(named, TIMES_NAMED * named, "the orders")
    apart = [found for written in schedules if (found := _apart(written)) is not None]
    if apart:
        return Rhythm(max(apart), max(TIMES_NAMED * max(apart), LEAST_SCHEDULED), "PM2's cron_restart")
    if delay is not None:
        return Rhythm(delay, TIMES_NAMED * delay + LEAST_LEARNED, "PM2's restart_delay")
    return None if runs is None or not (declared or _is_regular(runs)) else _learned(runs)


def _ordered(runs: Runs | None, written: str) -> Rhythm | None:
    """By a schedule of the orders: the first run that was due since the last one, with its grace, is the limit."""
    every = _apart(written)
    if runs is None or every is None:
        return None
    # What nobody watched counts as rest that was not: a run that was due then may have been.
    rests_from = runs.rests_since + runs.blind
    times = schedule(written)
    due = times.following(datetime.fromtimestamp(rests_from + _EARLY, UTC))
    following = None if due is None else times.following(due)
    if due is None or following is None:
        return None
    grace = min(LONGEST_GRACE, (following - due).total_seconds() / 2)
    return Rhythm(every, due.timestamp() + grace - rests_from, f"its schedule {written}", True)


def _is_regular(runs: Runs) -> bool:
    longest = [day.longest for day in runs.days if day.gaps]
    return len(longest) >= UNDECLARED_DAYS and max(longest) <= UNDECLARED_TIMES * median(longest)


def _learned(runs: Runs) -> Rhythm | None:
    if sum(day.gaps for day in runs.days) < LEAST_GAPS or runs.first is None or runs.last is None:
        return None
    late = sorted(day.late for day in runs.days if day.late)
    usual = max([day.longest for day in runs.days] + late[-2:-1])
    is_short = runs.last - runs.first < DAY
    return Rhythm(usual, max(TIMES_LEARNED * usual, DAY if is_short else LEAST_LEARNED), "its past", True)


@lru_cache(maxsize=256)
def _apart(written: str) -> float | None:
    """The longest time between two moments of a schedule (seconds); None of one that cannot be read.

    PM2 keeps it by its own clock's zone, and takes a field of seconds before the five.
    """
    fields = written.split()
    try:
        times = schedule(" ".join(fields[1:] if len(fields) == 6 else fields))
    except ValueError:
        return None
    at, longest = times.following(_REFERENCE), 0.0
    for _ in range(_MOST_TURNS):
        if at is None or (following := times.following(at)) is None:
            break
        longest = max(longest, (following - at).total_seconds())
        at = following
        if (at - _REFERENCE).days > 370:
            break
    return longest or None
