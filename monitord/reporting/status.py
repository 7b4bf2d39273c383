"""The status as text: what was measured, subject by subject, and the verdict. What is not known says so, and why."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final, Protocol

from monitord.core import humanize
from monitord.core.blocks import Style
from monitord.core.status import FleetStatus, verdict
from monitord.reporting.sections import StatusView, subject_sections
from monitord.reporting.terminal import MARKS, Terminal, section_lines, with_mark


def text(view: StatusView, heading: str, screen: Terminal, notes: tuple[str, ...] = ()) -> str:
    """`heading` says whose status this is, and of when; `notes` are sentences to say before the verdict."""
    lines = screen.wrapped(heading, indent="")
    for section in subject_sections(view):
        lines += ["", *section_lines(section, screen)]
    for note in notes:
        lines += ["", *screen.wrapped(note, indent="")]
    lines += ["", *verdict_lines(view.report, screen)]
    return "\n".join(lines) + "\n"


EXIT_CODES: Final[dict[str, int]] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}


def verdict_lines(report: FleetStatus, screen: Terminal) -> Iterator[str]:
    style: Style = report.status
    several = len(report.alerts.firing) > 1
    for line in screen.wrapped(f"{report.status.upper()}: {verdict(report)}", indent=""):
        yield screen.paint(line, style)
    for alert in report.alerts.firing:
        severity: Style = alert.severity
        if several:
            yield from ("", *with_mark(alert.summary, f"  {MARKS[severity]:4}  ", severity, screen))
        indent = " " * 8 if several else "  "
        if alert.recommendation:
            yield from screen.wrapped(alert.recommendation, indent=indent)
        for name, text in (("Runbook", alert.runbook), ("Contact", alert.contact)):
            if text:
                yield from screen.wrapped(f"{name}: {text}", indent=indent)
        if alert.acked_at is not None:
            yield from screen.wrapped(f"Acknowledged at {humanize.clock(alert.acked_at.timestamp())}.", indent=indent)
    for alert in report.alerts.suppressed:
        by = alert.silenced_by
        why = f"Silenced by {by}, and not notified" if by else "Explained, and not notified by itself"
        yield from screen.wrapped(f"{why}: {alert.summary}")


class CheckRhythm(Protocol):
    """Of the settings, or of a daemon's record of them."""

    @property
    def check_interval(self) -> timedelta: ...

    @property
    def probe_timeout(self) -> timedelta: ...


def stale_after(rhythm: CheckRhythm) -> timedelta:
    """A late cycle, and one interval more."""
    return max(3 * rhythm.check_interval, 2 * rhythm.probe_timeout) + rhythm.check_interval


def stale(age: timedelta, rhythm: CheckRhythm) -> str | None:
    """Why a report of this age is not of the present, None where it is. A sentence without its full stop."""
    if age <= stale_after(rhythm):
        return None
    old, every = (humanize.duration(length.total_seconds()) for length in (age, rhythm.check_interval))
    return f"the last report is {old} old, and one is due every {every}"
