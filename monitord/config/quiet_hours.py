"""Hours of the day as people write them: `22:00-07:00`, in UTC, or `22:00-07:00 Europe/Berlin`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

_WRITTEN: Final = re.compile(r"(\d{1,2}):(\d{2}) *- *(\d{1,2}):(\d{2})(?: +(\S+))?")


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` to `end` of each day in `zone`, over midnight where `end` is not after `start`."""

    start: time
    end: time
    zone: tzinfo

    def ending(self, at: datetime) -> datetime | None:
        """When the hours that hold the aware moment `at` are over (aware, UTC); None where it is outside them."""
        here = at.astimezone(self.zone)
        for day in (here.date() - timedelta(days=1), here.date()):
            begins = datetime.combine(day, self.start, self.zone)
            ends = datetime.combine(day if self.end > self.start else day + timedelta(days=1), self.end, self.zone)
            # Compared in UTC: two moments of one zone are compared by the clock on the wall, an hour off some nights.
            if begins.astimezone(UTC) <= at.astimezone(UTC) < ends.astimezone(UTC):
                return ends.astimezone(UTC)
        return None


@cache
def quiet_hours(written: str) -> Hours:
    """The hours that were written. Raises ValueError: it is none; half a sentence."""
    match = _WRITTEN.fullmatch(written.strip())
    try:
        if match is None:
            raise ValueError(written)
        first, second = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    except ValueError:
        raise ValueError(f"{written!r} is not written like 22:00-07:00 or 22:00-07:00 Europe/Berlin") from None
    if first == second:
        raise ValueError(f"{written!r} is all day or never; write two different times")
    return Hours(first, second, _zone(match[5]) if match[5] else UTC)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"no time zone is called {name!r} on this machine") from None
