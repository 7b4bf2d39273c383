"""The watched tables in a report, and its criterion: rows come at a steady rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, Grid, Plot, Section, Style
from monitord.core.humanize import worded
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import (
    BLIND_SHARE,
    CriterionResult,
    ReportPart,
    SuccessCriterion,
    Tracker,
    described,
)
from monitord.core.report.model import Report, TableReport
from monitord.core.report.wording import MOST, is_above, span, spells

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts


def _track(orders: StandingOrders, since: float, until: float) -> Tracker[tuple[TableReport, ...]]:
    from monitord.core.subjects.postgres_tracker import TableTracker  # only whoever makes a report needs it

    return TableTracker(orders, since, until)


TABLE_REPORTS: Final = ReportPart("tables", _track)


def growth(report: Report) -> Iterator[Section]:
    if not report.of(TABLE_REPORTS):
        return
    rows = tuple(
        (
            _growth_style(table),
            (
                table.name,
                worded(humanize.count, table.gained),
                worded(humanize.count, table.per_hour),
                worded(humanize.count, table.most),
                humanize.count(table.limit),
            ),
        )
        for table in report.of(TABLE_REPORTS)
    )
    header = ("Table", "Rows gained", "Per hour", "Busiest hour", "Limit")
    blocks: list[Block] = [
        Plot("growth", table.name, f"{table.name}: rows per hour") for table in report.of(TABLE_REPORTS)
    ]
    blocks.append(Grid("Rows gained, and per hour", header, rows, frozenset({1, 2, 3, 4})))
    apart = [item for table in report.of(TABLE_REPORTS) for item in _hours(table, report)]
    if apart:
        blocks.append(Bullets(tuple(apart)))
    yield Section("growth", "Database growth", tuple(blocks))


def _growth_style(table: TableReport) -> Style:
    if table.most is not None and table.most > table.limit:
        return "warning"
    return "unknown" if table.per_hour is None else "ok"


def _hours(table: TableReport, report: Report) -> Iterator[tuple[Style | None, str]]:
    above = [
        f"{humanize.count(hour.per_hour)} {span(hour.start, hour.end, report)}"
        for hour in table.hours
        if is_above(hour, table) and hour.per_hour is not None
    ]
    if above:
        yield "warning", f"{table.name} was above its limit, in rows an hour: {humanize.listed(above, most=MOST)}."
    blank = spells((hour.start, hour.end) for hour in table.hours if hour.rows is None)
    if blank:
        named = [span(start, end, report) for start, end in blank]
        yield "unknown", f"{table.name}: the growth is unknown {humanize.listed(named, most=MOST)}."


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
