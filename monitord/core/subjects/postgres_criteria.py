"""The criterion of the report that the tables must meet: rows come at a steady rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitord.core import humanize
from monitord.core.report.criterion import BLIND_SHARE, CriterionResult, SuccessCriterion, described
from monitord.core.subjects.postgres_report import TABLE_REPORTS

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts


def _title(facts: ReportFacts) -> str:
    orders = facts.orders
    limits = sorted({orders.growth_steady_of(table) for table in orders.tables})
    below = humanize.listed([f"<{humanize.count(limit)}" for limit in limits or [orders.growth_steady]])
    return f"Database growth steady ({below} rows/hour)"


def _growth_steady(facts: ReportFacts) -> CriterionResult:
    """Growth per hour against the limit of the orders, and not none at all."""
    details, bad, unknown = [], [], []
    unsteady = facts.against(GROWTH_STEADY.name)
    for table in facts.of(TABLE_REPORTS):
        rate = table.most if table.most is not None else table.per_hour
        holes = sum(1 for hour in table.hours if hour.rows is None)
        if rate is not None and table.gained is not None and table.per_hour is not None:
            details.append(
                f"{table.name} gained {humanize.plural(table.gained, 'row')}, {humanize.count(table.per_hour)} an hour"
                + (f", {humanize.count(table.most)} in its busiest." if table.most is not None else ".")
            )
        if rate is not None and rate >= table.limit:
            bad.append(table.name)
        if rate is None or holes:
            unknown.append(table.name)
            details.append(f"{table.name}: not known for a part of the window.")
        elif table.unmeasured > BLIND_SHARE * (facts.until - facts.since):
            unknown.append(table.name)
            details.append(f"{table.name} could not be measured for {humanize.duration(table.unmeasured)}.")
    for part in unsteady:
        bad.append(part.alert.subject)
        details.append(described(part, facts))
    if bad:
        return CriterionResult(False, f"Not steady: {humanize.listed(sorted(set(bad)))}.", tuple(details))
    if unknown:
        return CriterionResult(None, facts.too_blind("postgres") or "Not known throughout.", tuple(details))
    return CriterionResult(True, details[0] if details else "Steady.", tuple(details[1:]))


GROWTH_STEADY = SuccessCriterion(
    "growth_steady",
    _title,
    "the busiest hour stays below `GROWTH_STEADY`, and rows kept coming",
    judge=_growth_steady,
    applies=lambda orders: "postgres" in orders.probes and orders.tables,
    place=3,
)
