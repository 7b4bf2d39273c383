"""The checks in a report, and its criterion: none was critical, and the result of each is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.blocks import Grid, Plot, Plots, Section, Style
from monitord.core.humanize import UNKNOWN
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import CriterionResult, LevelFamily, ReportPart, SuccessCriterion, Tracker, all_well
from monitord.core.report.model import CheckReport, Report
from monitord.core.subjects.check_rules import KEPT, MET, PROBE, in_words, with_unit

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts


def _track(orders: StandingOrders, since: float, until: float) -> Tracker[tuple[CheckReport, ...]]:
    from monitord.core.subjects.checks_tracker import CheckTracker  # only whoever makes a report needs it

    return CheckTracker(orders, since, until)


CHECK_REPORTS: Final = ReportPart("checks", _track)


def checks(report: Report) -> Iterator[Section]:
    if not report.of(CHECK_REPORTS):
        return
    rows: list[tuple[Style | None, tuple[str, ...]]] = []
    for check in report.of(CHECK_REPORTS):
        known = [value for _, value in check.values if value is not None]
        least, most = (with_unit(end(known), check.unit) if known else UNKNOWN for end in (min, max))
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


def _checks_met(facts: ReportFacts) -> CriterionResult:
    unseen, many = facts.too_blind(PROBE), len(facts.orders.checks)
    well = f"{humanize.plural(many, 'check')} met throughout."
    return all_well(facts, MET, [unseen] if unseen else [], well=well)


def _came(reading: Reading) -> Mapping[str, float | None]:
    return dict.fromkeys(reading.values(KEPT, "check").keys() - {gap.subject for gap in reading.gaps}, 1.0)


CHECKS_MET = SuccessCriterion(
    MET,
    lambda facts: f"Checks of one's own met ({len(facts.orders.checks)})",
    "none was critical, notified or explained by what it depends on, and the result of each is known",
    judge=_checks_met,
)
LEVELS = (LevelFamily(MET, _came, unmeasured="No result is known of {}."),)
