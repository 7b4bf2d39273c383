"""The checks in a report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core.blocks import Grid, Plot, Plots, Section, Style
from monitord.core.humanize import UNKNOWN
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import ReportPart, Tracker
from monitord.core.report.model import CheckReport, Report
from monitord.core.subjects.check_rules import in_words
from monitord.core.subjects.check_rules import said as number


def _track(orders: StandingOrders, since: float, until: float) -> Tracker[tuple[CheckReport, ...]]:
    from monitord.core.subjects.checks_tracker import CheckTracker  # only whoever makes a report needs it

    return CheckTracker(orders, since, until)


CHECK_REPORTS: Final = ReportPart("checks", _track)


def checks(report: Report) -> Iterator[Section]:
    """Each check's numbers against its limits."""
    if not report.of(CHECK_REPORTS):
        return
    rows: list[tuple[Style | None, tuple[str, ...]]] = []
    for check in report.of(CHECK_REPORTS):
        known = [value for _, value in check.values if value is not None]
        least, most = (number(end(known), check.unit) if known else UNKNOWN for end in (min, max))
        limits = (("warning", check.warning), ("critical", check.critical))
        limits_text = ", ".join(f"{name} {in_words(limit, check.unit)}" for name, limit in limits if limit is not None)
        rows.append((None, (check.name, check.type, least, most, limits_text)))
    header = ("Check", "Type", "Least", "Most", "Limits")
    grid = Grid("The number of each check", header, tuple(rows), frozenset({2, 3}), (0, 4))
    plots = tuple(
        Plot("value", check.name, f"{check.name}: {check.unit or 'its number'}") for check in report.of(CHECK_REPORTS)
    )
    key = "The number of each check against its limits. Dotted: there was none."
    yield Section("checks", "Checks", (grid, Plots(plots, key)))
