"""Hours of the day (UTC) in which a table is quieter than its limit is made for, learned from its own past.

Kept are the longest times without a row of each hour, a few for each hour and none of a busy table. What is usual for
an hour is what was reached on several days; its limit is so many times that. A time that was past the limit of then was
a stall, and is never learned from, nor is one in which nobody looked: a limit grows by what was borne, not by what was
alerted. So hours that were past the limit from the first on are to be set by the operator.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from monitord.core import humanize
from monitord.core.copying import replace, with_these
from monitord.core.hours import HourlyLimit

HOUR: Final = 3600.0
DAY: Final = 86400.0
# Nothing is learned before so many seconds were watched.
LEAST_LIVED: Final = 7 * DAY
# A time without rows is usual for its hour once it was so long on so many days, of the last so many.
USUAL_DAYS: Final = 3
KEEP_DAYS: Final = 14
_KEEP_GAPS: Final = USUAL_DAYS + 1
# The limit of an hour is so many times what is usual, and at most so many times what is set.
TIMES: Final = 2.0
MOST_TIMES: Final = 12.0


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without a row of one hour of one day (days since 1970), in seconds."""

    hour: int
    day: int
    seconds: float


@dataclass(frozen=True, slots=True)
class QuietHours:
    """What is kept of one table: for how many seconds it was watched, and its longest times without a row."""

    lived: float = 0.0
    gaps: tuple[Gap, ...] = ()


_with: Final = with_these(QuietHours, "lived", "gaps")


def lived_on(quiet: QuietHours, seconds: float, now: float) -> QuietHours:
    """So many seconds more were watched; what is too old is forgotten."""
    gaps = quiet.gaps
    if gaps and min([gap.day for gap in gaps]) < (oldest := int(now // DAY) - KEEP_DAYS):
        gaps = tuple(gap for gap in gaps if gap.day >= oldest)
    lived = min(quiet.lived + seconds, LEAST_LIVED)
    return quiet if lived == quiet.lived and gaps is quiet.gaps else _with(quiet, lived, gaps)


def learned_from(quiet: QuietHours, began: float, ended: float, base: HourlyLimit) -> QuietHours:
    """A time without a row is over, which was watched and was no stall.

    Of an hour that it only touched, the part that lies in it counts: the day is not quiet because the night was.
    """
    whole, gaps = ended - began, quiet.gaps
    for hour, day, seconds in _parts(began, ended):
        borne = round(whole if seconds >= HOUR / 2 or seconds >= whole / 2 else seconds)
        if borne * TIMES > base.by_hour[hour]:
            gaps = _kept(gaps, Gap(hour, day, borne))
    return quiet if gaps is quiet.gaps else replace(quiet, gaps=gaps)


def _kept(gaps: tuple[Gap, ...], new: Gap) -> tuple[Gap, ...]:
    same = next((gap for gap in gaps if (gap.hour, gap.day) == (new.hour, new.day)), None)
    if same is not None and same.seconds >= new.seconds:
        return gaps
    of_hour = [gap for gap in gaps if gap.hour == new.hour and gap is not same]
    of_hour = sorted((*of_hour, new), key=lambda gap: (-gap.seconds, -gap.day))[:_KEEP_GAPS]
    return (*(gap for gap in gaps if gap.hour != new.hour), *of_hour)


def _parts(began: float, ended: float) -> Iterator[tuple[int, int, float]]:
    """The hours of a time: which hour of the day, which day, and how many seconds of it; a day's worth at most."""
    at = max(began, ended - DAY)
    while at < ended:
        turn = min(ended, (at // HOUR + 1) * HOUR)
        yield int(at // HOUR) % 24, int(at // DAY), turn - at
        at = turn


def learned(quiet: QuietHours, base: HourlyLimit) -> Mapping[int, float]:
    """The hours of which a longer limit than the one that is set was learned, and that limit in seconds."""
    if quiet.lived < LEAST_LIVED or not quiet.gaps:
        return {}
    found = {}
    for hour in sorted({gap.hour for gap in quiet.gaps}):
        longest = sorted((gap.seconds for gap in quiet.gaps if gap.hour == hour), reverse=True)
        if len(longest) < USUAL_DAYS:
            continue
        limit = min(TIMES * longest[USUAL_DAYS - 1], MOST_TIMES * base.by_hour[hour])
        if limit > base.by_hour[hour]:
            found[hour] = limit
    return found


def widened(quiet: QuietHours, base: HourlyLimit) -> HourlyLimit:
    """The limit that is set, with the hours of which a longer one was learned."""
    longer = learned(quiet, base)
    return HourlyLimit(tuple(longer.get(hour, limit) for hour, limit in enumerate(base.by_hour))) if longer else base


def in_words(quiet: QuietHours, base: HourlyLimit, shown: Callable[[float], str] = humanize.duration) -> str:
    """What was learned, as `24 min at 03–05 h, 40 min at 05–06 h`; "" where nothing was."""
    spans: list[tuple[int, int, float]] = []
    for hour, limit in learned(quiet, base).items():
        if spans and spans[-1][1] == hour and shown(spans[-1][2]) == shown(limit):
            spans[-1] = (spans[-1][0], hour + 1, limit)
        else:
            spans.append((hour, hour + 1, limit))
    return ", ".join(f"{shown(limit)} at {first:02}–{last:02} h" for first, last, limit in spans)
