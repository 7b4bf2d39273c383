"""The watched tables in a report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, Grid, Plot, Section, Style
from monitord.core.humanize import said
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import ReportPart, Tracker
from monitord.core.report.model import Report, TableReport
from monitord.core.report.wording import MOST, is_above, span, spells


def _track(orders: StandingOrders, since: float, until: float) -> Tracker[tuple[TableReport, ...]]:
    from monitord.core.subjects.postgres_tracker import TableTracker  # only whoever makes a report needs it

    return TableTracker(orders, since, until)


TABLE_REPORTS: Final = ReportPart("tables", _track)


def growth(report: Report) -> Iterator[Section]:
    """Each watched table's rows against the limit."""
    if not report.of(TABLE_REPORTS):
        return
    rows = tuple(
        (
            _growth_style(table),
            (
                table.name,
                said(humanize.count, table.gained),
                said(humanize.count, table.per_hour),
                said(humanize.count, table.most),
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
