"""Cron schedules as people write them, made into what APScheduler means by the same words."""

from __future__ import annotations

from datetime import UTC, datetime

from monitord.core.cron import DAYS, schedule


def normal(written: str) -> str:
    """The five fields, the days of the week by name: cron numbers them from Sunday, APScheduler from Monday.

    Raises:
        ValueError: it is no such schedule, or one that never comes; half a sentence.
    """
    from apscheduler.triggers.cron import CronTrigger  # with all its expressions: only for who sets a schedule

    try:
        weekdays = schedule(written).weekdays
        named = "*" if len(weekdays) == 7 else ",".join(DAYS[day] for day in sorted(weekdays))
        crontab = " ".join((*written.lower().split()[:4], named))
        if CronTrigger.from_crontab(crontab, timezone=UTC).get_next_fire_time(None, datetime.now(UTC)) is None:
            raise ValueError("it never comes")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{written!r} is no cron schedule like 0 */2 * * *: {error}") from None
    return crontab
