"""What a report comes to: its status in a word, a sentence and an exit code, and the alerts behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import words
from monitord.core.report import Fields
from monitord.present.terminal import Style, Terminal

EXIT_CODES: Final[dict[str, int]] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
UNKNOWN: Final = "unknown"
MARKS: Final[dict[Style | None, str]] = {"ok": "ok", "warning": "warn", "critical": "CRIT", "unknown": "?", None: ""}
NAMES: Final = {
    "pm2": "the services under PM2",
    "postgres": "Postgres",
    "epochs": "epoch sealing",
    "redis": "Redis",
    "host": "the host",
}


def verdict(fields: Fields) -> str:
    """The status in one sentence, without its name."""
    firing = fields["alerts"]["firing"]
    if len(firing) == 1:
        return str(firing[0]["summary"])
    if firing:
        return f"{len(firing)} alerts fire."
    failed = [NAMES.get(name, name) for name, probe in fields["probes"].items() if probe["status"] == "failed"]
    if failed:
        return f"{words.listed(failed)} could not be measured."
    if fields["status"] == UNKNOWN:
        return "a part of what is watched could not be measured."
    services = fields["services"]
    well = sum(1 for service in services.values() if service["ok"])
    fleet = f"{well} of {len(services)} services are as ordered" if services else "no services are watched"
    return f"{'nothing is wrong' if well == len(services) else 'no alert fires'}; {fleet}."


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
        if alert["recommendation"]:
            yield from screen.wrapped(str(alert["recommendation"]), indent=" " * 8 if several else "  ")
    for alert in fields["alerts"]["suppressed"]:
        yield from screen.wrapped(f"Quiet on purpose: {alert['summary']}")
