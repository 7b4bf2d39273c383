"""One service on the page: how it stands, its last hours, and its alerts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from monitord.core import humanize
from monitord.core.alerting.incidents import Incident
from monitord.core.blocks import Block, Bullets, Paragraph, Style
from monitord.core.humanize import UNKNOWN, dated, sentence, worded
from monitord.core.report.model import Report, ServiceReport
from monitord.core.report.wording import restarts
from monitord.core.subjects import pm2_status
from monitord.core.subjects.app_limits import limits_said, value_said
from monitord.core.subjects.errors import rate
from monitord.core.subjects.pm2 import PM2
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.core.subjects.pm2_report import services as service_sections
from monitord.core.subjects.pm2_status import ServiceStatus
from monitord.reporting.charts.axes import TimeSpan
from monitord.reporting.charts.plots import errors_plot, event_loop_plot, heap_plot, memory_plot, strip
from monitord.reporting.html import Figure
from monitord.web.alerts import newest
from monitord.web.async_cache import value_of
from monitord.web.context import PageContext, Range, ranges


@dataclass(frozen=True, slots=True)
class RecordedHours:
    sentence: str
    is_unknown: bool = False
    figures: tuple[Figure, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class ServicePage:
    """One service; without a style and facts where only its past is known."""

    name: str
    style: Style | None
    facts: tuple[tuple[str, str], ...]
    span: str
    ranges: tuple[Range, ...]
    recorded: RecordedHours
    incidents: tuple[Incident, ...]


def service_page(name: str, view: PageContext) -> ServicePage:
    found = view.seen.report.of(pm2_status.STATUS).get(name)
    kept = value_of(view.incidents)
    about = (one for one in newest(kept or ()) if any(part.alert.subject == name for part in one.parts))
    return ServicePage(
        name,
        view.severity(PM2, name) or pm2_status.style_of(found) if found else None,
        tuple(_facts(found, name, view)) if found else (),
        view.span_words,
        ranges(view, f"/service/{quote(name, safe='')}"),
        _recorded(name, view),
        tuple(about),
    )


def _facts(found: ServiceStatus, name: str, view: PageContext) -> Iterator[tuple[str, str]]:
    orders = view.seen.decision.orders
    window = humanize.duration(orders.restarts_window.total_seconds())
    yield "State", found.state or UNKNOWN
    yield "Expected", found.expected or "nothing is ordered of it"
    yield "Instances", worded(humanize.count, found.instances)
    yield "Memory", f"{worded(humanize.size, found.memory_bytes)}, limit {humanize.size(orders.memory_limit(name))}"
    yield "CPU", worded("{:.1f}%".format, found.cpu_percent)
    yield "Up for", worded(humanize.duration, found.uptime_seconds)
    yield "Restarts", f"{worded(humanize.count, found.restarts_recent)} automatic in {window}"
    if found.errors is not None:
        limit = "" if found.errors.limit is None else f", limit {found.errors.limit:g}"
        yield "Error lines", f"{rate(found.errors)}{limit}"
    if (app := found.app) is not None:
        yield "Event loop", f"{_milliseconds(app.event_loop_p95_ms)} late at the 95th percentile"
        limit = "" if app.heap_limit_bytes is None else f", limit {humanize.size(app.heap_limit_bytes)}"
        yield "Heap", f"{worded(humanize.size, app.heap_used_bytes)}{limit}"
        if app.http_p95_ms is not None:
            yield "HTTP", f"{_milliseconds(app.http_p95_ms)} at the 95th percentile"
        for number, shown in app.numbers.items():
            if number in found.limits:
                continue
            yield number, f"{shown.value:g} {shown.unit}".rstrip()
    for number, limited in found.limits.items():
        yield number, f"{value_said(limited)}, limit {limits_said(limited)}"


def _milliseconds(value: float | None) -> str:
    return worded(lambda known: humanize.duration(known / 1000), value)


def _recorded(name: str, view: PageContext) -> RecordedHours:
    kept = view.recorded
    if kept is None:
        return RecordedHours("The record is being read: reload in a moment.")
    if kept.value is None:
        return RecordedHours(sentence(f"Unknown: {kept.trouble}"), is_unknown=True)
    report = kept.value.report
    service = next((one for one in report.of(SERVICE_REPORTS) if one.name == name), None)
    if service is None:
        return RecordedHours("Nothing is recorded of it.")
    span = TimeSpan(report.since, report.until)
    return RecordedHours(
        f"{dated(report.since)} to {dated(report.until)}. Restarts: {restarts(service)}.",
        figures=(
            Figure(
                "Thin: as expected. High and hatched: not as expected. Dotted: unknown. Arrow: a restart.",
                strip("strip", service, span),
            ),
            Figure(
                "Memory of its largest instance. Dotted: not running, or not seen.",
                memory_plot("memory", service, span),
            ),
            *_app_figures(service, span, view),
            *_error_figures(
                service, span, view.seen.decision.state.history.errors.limit(name, view.seen.decision.orders)
            ),
        ),
        blocks=tuple(_apart(service, report)),
    )


def _app_figures(service: ServiceReport, span: TimeSpan, view: PageContext) -> Iterator[Figure]:
    if service.event_loop:
        limit = view.seen.decision.orders.event_loop_latency_of(service.name)
        yield Figure(
            "How late its event loop is, at the 95th percentile. Dotted: it reported nothing.",
            event_loop_plot("event-loop", service, span, limit),
        )
    if service.heap:
        yield Figure("Heap of its largest instance. Dotted: it reported nothing.", heap_plot("heap", service, span))


def _error_figures(service: ServiceReport, span: TimeSpan, limit: float | None) -> Iterator[Figure]:
    if any(value for _, value in service.errors):
        caption = "Lines that it wrote to stderr, a minute. Dotted: nobody counted."
        yield Figure(caption, errors_plot("errors", service, span, limit))


def _apart(service: ServiceReport, report: Report) -> list[Block]:
    alone = report.having(SERVICE_REPORTS, (service,))
    return [
        block
        for section in service_sections(alone)
        for block in section.blocks
        if isinstance(block, Paragraph | Bullets)
    ]
