"""The criterion of the report for checks of one's own: none was critical, and the result of each is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from monitord.core import humanize
from monitord.core.model import Reading
from monitord.core.report.criterion import CriterionResult, LevelFamily, SuccessCriterion, all_well
from monitord.core.subjects.check_rules import KEPT, PROBE

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts


def _checks_met(facts: ReportFacts) -> CriterionResult:
    unseen, many = facts.too_blind(PROBE), len(facts.orders.checks)
    well = f"{humanize.plural(many, 'check')} met throughout."
    return all_well(facts, CHECKS_MET.name, [unseen] if unseen else [], well=well)


def _came(reading: Reading) -> Mapping[str, float | None]:
    """The checks whose result is known."""
    return dict.fromkeys(reading.values(KEPT, "check").keys() - {gap.subject for gap in reading.gaps}, 1.0)


CHECKS_MET = SuccessCriterion(
    "checks_met",
    lambda facts: f"Checks of one's own met ({len(facts.orders.checks)})",
    "none was critical, notified or explained by what it depends on, and the result of each is known",
    judge=_checks_met,
)
LEVELS = (LevelFamily(CHECKS_MET.name, _came, unmeasured="No result is known of {}."),)
