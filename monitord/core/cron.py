"""Cron schedules as people write them, in UTC: which moments they mean. Whoever asks says what time it is.

A day must fit both the day of the month and the day of the week: `0 4 1-7 * mon` is the first Monday. Where both are
set, the old cron takes a day that fits either; here, as for the schedules of reports, the narrower reading holds, and
what is quiet by a schedule is never quiet at a time that its author may not have meant.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# What has not come within forty years (29 February on one day of the week, over a century's end) never comes.
_AT_MOST_DAYS: Final = 40 * 366 + 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes, hours, days of the month, months, and days of the week (Sunday is 0) at which it comes."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def latest(self, at: datetime, back: timedelta) -> datetime | None:
        """The last moment after `at - back`, up to `at`, at which it comes; None where there is none."""
        day, earliest = at.replace(hour=0, minute=0, second=0, microsecond=0), at - back
        while day > earliest - timedelta(days=1):
            if self._has(day):
                for hour in reversed(self.hours):
                    for minute in reversed(self.minutes):
                        moment = day.replace(hour=hour, minute=minute)
                        if moment <= at:
                            return moment if moment > earliest else None
            day -= timedelta(days=1)
        return None

    def following(self, at: datetime) -> datetime | None:
        """The first moment after `at` at which it comes; None where it never does."""
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if self._has(day):
            for hour in self.hours[bisect_left(self.hours, at.hour) :]:
                for minute in self.minutes[bisect_right(self.minutes, at.minute) if hour == at.hour else 0 :]:
                    return day.replace(hour=hour, minute=minute)
        for _ in range(_AT_MOST_DAYS):
            day += timedelta(days=1)
            if self._has(day):
                return day.replace(hour=self.hours[0], minute=self.minutes[0])
        return None

    def _has(self, day: datetime) -> bool:
        return day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays


@lru_cache(maxsize=256)
def schedule(written: str) -> Schedule:
    """The five fields `minute hour day month weekday`; Sunday is 0 and 7. ValueError: none such; half a sentence."""
    fields = written.lower().split()
    if len(fields) != 5:
        raise ValueError(f"it has {len(fields)} fields")
    minute, hour, day, month, weekday = fields
    return Schedule(
        minutes=tuple(sorted(_numbers(minute, 0, 59, "minute"))),
        hours=tuple(sorted(_numbers(hour, 0, 23, "hour"))),
        days=frozenset(_numbers(day, 1, 31, "day of the month")),
        months=frozenset(_numbers(month, 1, 12, "month", dict(zip(_MONTHS, range(1, 13), strict=True)))),
        weekdays=frozenset(_weekdays(weekday)),
    )


def _numbers(field: str, least: int, most: int, what: str, names: dict[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        spread, slash, step = part.partition("/")
        if spread == "*":
            start, end = least, most
        else:
            first, dash, last = spread.partition("-")
            start = _number(first, least, most, what, names)
            # `5/15`: from 5 on, every 15.
            end = _number(last, least, most, what, names) if dash else most if slash else start
        if end < start:
            raise ValueError(f"{part!r} ends before it begins")
        found.update(range(start, end + 1, _step(step, end - start) if slash else 1))
    return found


def _weekdays(field: str) -> set[int]:
    """Sunday is 0, and 7; a range may go over the week's end (fri-mon)."""
    found: set[int] = set()
    names = dict(zip(DAYS, range(7), strict=True))
    for part in field.split(","):
        spread, slash, step = part.partition("/")
        first, dash, last = ("0", "-", "6") if spread == "*" else spread.partition("-")
        start = _number(first, 0, 7, "day of the week", names)
        end = _number(last, 0, 7, "day of the week", names) if dash else start
        end = end if end >= start else end + 7
        found.update(day % 7 for day in range(start, end + 1, _step(step, 7) if slash else 1))
    return found


def _number(word: str, least: int, most: int, what: str, names: dict[str, int] | None) -> int:
    if names and word in names:
        return names[word]
    # isdecimal() knows the digits of every script, and a long row of them is no number of a clock.
    if word.isascii() and word.isdecimal() and len(word) <= 4 and least <= int(word) <= most:
        return int(word)
    raise ValueError(f"{word!r} is no {what}")


def _step(word: str, most: int) -> int:
    if word.isascii() and word.isdecimal() and len(word) <= 4 and 0 < int(word) <= most:
        return int(word)
    raise ValueError(f"{word!r} is no step")


def normal(written: str) -> str:
    """The five fields as APScheduler takes them: weekdays by name. ValueError: no schedule, or one that never comes."""
    try:
        found = schedule(written)
        if found.following(datetime(2000, 1, 1, tzinfo=UTC)) is None:
            raise ValueError("it never comes")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{written!r} is no cron schedule like 0 */2 * * *: {error}") from None
    named = "*" if len(found.weekdays) == 7 else ",".join(DAYS[day] for day in sorted(found.weekdays))
    return " ".join((*written.lower().split()[:4], named))
