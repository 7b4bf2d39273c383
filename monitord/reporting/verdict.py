"""What a report comes to on a terminal: its status in a word and an exit code, and the alerts behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.status import Fields
from monitord.core.verdict import verdict
from monitord.reporting.terminal import Style, Terminal

EXIT_CODES: Final[dict[str, int]] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
MARKS: Final[dict[Style | None, str]] = {"ok": "ok", "warning": "warn", "critical": "CRIT", "unknown": "?", None: ""}


def verdict_lines(fields: Fields, screen: Terminal) -> Iterator[str]:
    """The status with every alert that fires and what to do about it."""
    status: Style = fields["status"]
    several = len(fields["alerts"]["firing"]) > 1
    for line in screen.wrapped(f"{status.upper()}: {verdict(fields)}", indent=""):
        yield screen.paint(line, status)
    for alert in fields["alerts"]["firing"]:
        severity: Style = alert["severity"]
        if several:
            mark = f"  {MARKS[severity]:4}  "
            first, *more = screen.wrapped(str(alert["summary"]), indent=mark, hanging=" " * len(mark)) or [mark]
            yield from ("", screen.paint(mark, severity) + first[len(mark) :], *more)
        indent = " " * 8 if several else "  "
        if alert["recommendation"]:
            yield from screen.wrapped(str(alert["recommendation"]), indent=indent)
        if (acked := alert.get("acked_at")) is not None:  # a report that an older monitord saved has none
            yield from screen.wrapped(f"Acknowledged at {humanize.clock(acked.timestamp())}.", indent=indent)
    for alert in fields["alerts"]["suppressed"]:
        by = alert.get("silenced_by")
        why = f"Silenced by {by}, and not told" if by else "Explained, and not told by itself"
        yield from screen.wrapped(f"{why}: {alert['summary']}")
