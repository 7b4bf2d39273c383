"""How long something may last, by the hour of the day (UTC): nights are quieter than days."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final

# In a limit by hours: all those that no span names.
OTHERWISE: Final = "*"
_HOUR: Final = 3600.0
_DAY: Final = 24
# Further back the hours are not searched for those in which a limit was passed.
_LOOK_BACK: Final = 7 * _DAY * _HOUR


@dataclass(frozen=True, slots=True)
class Overrun:
    lasted: float
    limit: float


@dataclass(frozen=True, slots=True)
class HourlyLimit:
    """The most seconds that something may last, one for each hour of the day."""

    by_hour: tuple[float, ...]

    def at(self, now: float) -> float:
        return self.by_hour[int(now // _HOUR) % _DAY]

    @property
    def varies(self) -> bool:
        return self.by_hour.count(self.by_hour[0]) < len(self.by_hour)

    def overrun(
        self, since: float, now: float, watched: Callable[[float, float], float], share: float = 1.0
    ) -> Overrun | None:
        """What is past its limit, or past this share of it, of what has lasted since then; None where nothing is.

        It is past its limit when it has lasted longer than any of the hours it lasted through allows; and where the
        hours of one limit alone took longer than that: what may well be a quiet night counts for nothing by day, and
        what began late in the evening is not over because the night begins. `watched` are the seconds between two
        moments in which it could be seen.
        """
        whole = round(watched(since, now), 3)
        if not self.varies:
            limit = self.at(now)
            return Overrun(whole, limit) if whole > limit * share else None
        spells = self._spells(max(since, now - _LOOK_BACK), now)
        for began, ended, limit in spells:
            if round(watched(began, ended), 3) > limit * share:
                return Overrun(round(watched(began, now), 3), limit)
        longest = max(limit for _, _, limit in spells)
        return Overrun(whole, longest) if whole > longest * share else None

    def _spells(self, since: float, now: float) -> list[tuple[float, float, float]]:
        found = [(since, now, self.at(since))]
        turn = (since // _HOUR + 1) * _HOUR
        while turn <= now:
            began, _, limit = found[-1]
            if self.at(turn) != limit:
                found[-1] = (began, turn, limit)
                found.append((turn, now, self.at(turn)))
            turn += _HOUR
        return found


def hours_of(span: str) -> frozenset[int]:
    """The hours of `00-06`, or over midnight of `22-06`; `*`: none. ValueError with half a sentence for all else."""
    if span.strip() == OTHERWISE:
        return frozenset()
    first, dash, last = (part.strip() for part in span.partition("-"))
    is_hours = dash and all(part.isascii() and part.isdecimal() and int(part) <= _DAY for part in (first, last))
    if not is_hours or int(first) % _DAY == int(last) % _DAY:
        raise ValueError(f'{span!r} names no hours of the day; write "00-06", or "*" for all others')
    start, end = int(first) % _DAY, int(last) % _DAY
    return frozenset(hour % _DAY for hour in range(start, end if end > start else end + _DAY))


def hourly(limits: Mapping[str, timedelta], general: timedelta) -> HourlyLimit:
    """Limits by spans of hours as one for each hour: those that none names have that of `*`, or the general one."""
    return _hourly(tuple(limits.items()), general)


@lru_cache(maxsize=256)
def _hourly(limits: tuple[tuple[str, timedelta], ...], general: timedelta) -> HourlyLimit:
    otherwise = dict(limits).get(OTHERWISE, general)
    named = {hour: limit for span, limit in limits for hour in hours_of(span)}
    return HourlyLimit(tuple(named.get(hour, otherwise).total_seconds() for hour in range(_DAY)))
