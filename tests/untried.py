"""What a run of the suite did not try, and how to have it tried: told at the end, as a skipped test tells nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import pytest

# A word of the reason for which tests are skipped -> what brings them. The first that is found counts.
_BRINGS: Final = (
    ("alertmanager", "apt-get install prometheus-alertmanager"),
    ("promtool", "apt-get install prometheus"),
    ("prometheus", "apt-get install prometheus"),
    ("pgbouncer", "apt-get install pgbouncer"),
    ("openssl", "apt-get install openssl"),
    ("monitoring plugins", "apt-get install monitoring-plugins-basic"),
    ("chrom", "apt-get install chromium"),
    ("systemctl", "run on a machine with systemd"),
    ("systemd-analyze", "apt-get install systemd"),
    ("docker", "run where Docker runs"),
    ("node of the wheel", "make install (it is among the locked dependencies)"),
    ("apprise", "make install (it is among the locked dependencies)"),
    ("bash", "apt-get install bash"),
    ("root may", "run as another user than root"),
    ("root", "run as root, in a container of its own"),
    ("/proc", "run on Linux"),
    ("linux", "run on Linux"),
    ("/dev/full", "run on Linux"),
    ("boot id", "run on Linux"),
    ("ipv6", "run where IPv6 is on"),
)


def told(reasons: Iterable[str]) -> Iterator[str]:
    """A line for each reason: how many tests, why, and what brings them. None where every test was tried."""
    counted = Counter(reason.removeprefix("Skipped: ").strip() for reason in reasons)
    if not counted:
        return
    total = counted.total()
    yield "one test was not tried here:" if total == 1 else f"{total} tests were not tried here:"
    for reason, number in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        brings = next((what for word, what in _BRINGS if word in reason.lower()), "see the reason")
        yield f"{number:4}  {reason}  ->  {brings}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """At the end: what was not tried on this machine, and how to have it tried."""
    skipped = terminalreporter.stats.get("skipped", [])
    lines = list(told(report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)))
    if lines:
        terminalreporter.section("not tried")
        for line in lines:
            terminalreporter.line(line)
