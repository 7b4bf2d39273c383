"""The plots of a report by their names, as the blocks ask for them."""

from collections.abc import Callable
from functools import partial
from typing import Final

from markupsafe import Markup

from monitord.core.blocks import Plot, PlotName
from monitord.core.report.model import Report
from monitord.core.subjects.checks_report import CHECK_REPORTS
from monitord.core.subjects.epochs_report import SEALING_REPORT
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.core.subjects.postgres_report import TABLE_REPORTS
from monitord.reporting.charts.axes import TimeSpan
from monitord.reporting.charts.plots import growth_bars, memory_plot, seal_plot, strip, value_plot
from monitord.reporting.charts.spark import spark, value_spark

# A list of services longer than this has the hours under every so many bands.
_HOURS_EVERY: Final = 8


def report_plots(report: Report) -> Callable[[Plot], Markup | None]:
    """None of a plot of which nothing is recorded."""
    span, last = TimeSpan(report.since, report.until), len(report.of(SERVICE_REPORTS))
    plots: dict[tuple[PlotName, str], Callable[[], Markup]] = {}
    for n, service in enumerate(report.of(SERVICE_REPORTS), 1):
        axis = n == last or n % _HOURS_EVERY == 0
        plots["states", service.name] = partial(strip, f"strip-{n}", service, span, axis=axis)
        plots["memory", service.name] = partial(memory_plot, f"memory-{n}", service, span)
        plots["memory_small", service.name] = partial(spark, service, span)
    for n, table in enumerate(report.of(TABLE_REPORTS), 1):
        plots["growth", table.name] = partial(growth_bars, f"growth-{n}", table, span)
    for n, check in enumerate(report.of(CHECK_REPORTS), 1):
        plots["value", check.name] = partial(value_plot, f"check-{n}", check, span)
        plots["value_small", check.name] = partial(value_spark, check, span)
    for n, group in enumerate(report.of(SEALING_REPORT).groups, 1):
        plots["delays", group.group] = partial(seal_plot, f"seals-{n}", group)
    return lambda it: plots[it.plot, it.of]() if (it.plot, it.of) in plots else None
