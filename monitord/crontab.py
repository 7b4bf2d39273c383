"""Cron schedules as people write them, made into what APScheduler means by the same words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def normal(written: str) -> str:
    """The five fields, the days of the week by name: cron numbers them from Sunday, APScheduler from Monday.

    Raises:
        ValueError: it is no such schedule, or one that never comes; half a sentence.
    """
    from apscheduler.triggers.cron import CronTrigger  # with all its expressions: only for who sets a schedule

    try:
        fields = written.lower().split()
        if len(fields) != 5:
            raise ValueError(f"it has {len(fields)} fields")
        crontab = " ".join((*fields[:4], _weekdays(fields[4])))
        if CronTrigger.from_crontab(crontab, timezone=UTC).get_next_fire_time(None, datetime.now(UTC)) is None:
            raise ValueError("it never comes")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{written!r} is no cron schedule like 0 */2 * * *: {error}") from None
    return crontab


def _weekdays(field: str) -> str:
    """The days a crontab's fifth field names, Sunday being 0 and 7 and before Monday; `*` for all."""
    found: set[int] = set()
    for part in field.split(","):
        days, slash, step = part.partition("/")
        first, dash, last = ("0", "-", "6") if days == "*" else days.partition("-")
        start = _weekday(first)
        end = _weekday(last) if dash else start
        if slash and not (step.isdecimal() and 0 < int(step) <= 7):
            raise ValueError(f"{step!r} is no step")
        end = end if end >= start else end + 7  # fri-mon
        found |= {day % 7 for day in range(start, end + 1, int(step or 1))}
    return "*" if len(found) == 7 else ",".join(_DAYS[day] for day in sorted(found))


def _weekday(word: str) -> int:
    if word in _DAYS:
        return _DAYS.index(word)
    if word.isdecimal() and int(word) <= 7:
        return int(word)
    raise ValueError(f"{word!r} is no day of the week")
