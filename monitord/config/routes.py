"""Which alerts a channel takes: by severity, rule and subject, within which hours, and after how long."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from monitord.config.quiet_hours import quiet_hours
from monitord.core import humanize
from monitord.core.model import RANK, Alert, Severity
from monitord.core.names import any_means

_NAMED: Final = 6


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
        """Whether the time has come to notify of it here."""
        if self.after > timedelta(0):
            lasted = now - (alert.fired_at or now)
            if alert.acked_at is not None or lasted < self.after:
                return False
        return self.is_open(now)

    def is_open(self, now: datetime) -> bool:
        """Whether `now` is within its hours."""
        return not self.hours or quiet_hours(self.hours).ending(now) is not None


def unheard(routes: Collection[Route], rules: Mapping[str, Collection[Severity]], day: datetime) -> Iterator[str]:
    """Of which alerts nobody is notified by these routes, all channels' together; a sentence for each reason.

    `rules` are the severities that each rule may have, `day` the day whose hours are looked through.
    """
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
    """Whether one of them is open at each minute of a day."""
    if any(not one.hours for one in routes):
        return True
    begin = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    moments = (begin + timedelta(minutes=minute) for minute in range(24 * 60))
    return all(any(one.is_open(moment) for one in routes) for moment in moments)
