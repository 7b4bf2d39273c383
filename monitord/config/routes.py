"""Which alerts a channel takes: by severity, rule and subject, within which hours of the day, and after how long.

Hours are written `22:00-07:00`, in UTC, or `22:00-07:00 Europe/Berlin`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from monitord.core import humanize
from monitord.core.model import RANK, Alert, Severity
from monitord.core.names import any_means

_NAMED: Final = 6
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
    """The hours that were written, or ValueError with half a sentence."""
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


@dataclass(frozen=True, slots=True)
class Route:
    """What one route takes; no patterns: whatever they would be of. Several routes of a channel take what one takes.

    `hours`, as they were written: it takes what fires within them. `after`: it takes what has fired for so long and is
    not acknowledged.
    """

    severity: Severity = "warning"
    rules: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    hours: str = ""
    after: timedelta = timedelta(0)

    def takes(self, rule: str, subject: str, severity: Severity) -> bool:
        """Whether such an alert belongs here, at whatever time."""
        return (
            RANK[severity] >= RANK[self.severity]
            and (not self.rules or any_means(self.rules, rule))
            and (not self.subjects or any_means(self.subjects, subject))
        )

    def is_time(self, alert: Alert, now: datetime) -> bool:
        if self.after > timedelta(0):
            lasted = now - (alert.fired_at or now)
            if alert.acked_at is not None or lasted < self.after:
                return False
        return self.is_open(now)

    def is_open(self, now: datetime) -> bool:
        return not self.hours or quiet_hours(self.hours).ending(now) is not None


def unheard(routes: Collection[Route], rules: Mapping[str, Collection[Severity]], day: datetime) -> Iterator[str]:
    """Of which alerts nobody is notified by all channels' routes on `day`, a sentence for each reason."""
    never, other, away = list[str](), dict[str, list[str]](), list[str]()
    for rule, severities in rules.items():
        for severity in severities:
            taking = [one for one in routes if one.takes(rule, next(iter(one.subjects), ""), severity)]
            name = f"{rule} ({severity})"
            anything = [one for one in taking if not one.subjects or "*" in one.subjects]
            if not taking:
                never.append(name)
            elif not anything:
                patterns = dict.fromkeys(pattern for one in taking for pattern in one.subjects)
                other.setdefault(humanize.listed(list(patterns)), []).append(name)
            elif not _always(anything, day):
                away.append(name)
    if never:
        yield f"nobody is notified of {humanize.listed(never, most=_NAMED)}"
    for patterns_said, names in other.items():
        yield f"of subjects other than {patterns_said}, nobody is notified of {humanize.listed(names, most=_NAMED)}"
    if away:
        yield f"outside the hours of the routes, nobody is notified of {humanize.listed(away, most=_NAMED)}"


def _always(routes: Collection[Route], day: datetime) -> bool:
    if any(not one.hours for one in routes):
        return True
    begin = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    moments = (begin + timedelta(minutes=minute) for minute in range(24 * 60))
    return all(any(one.is_open(moment) for one in routes) for moment in moments)
