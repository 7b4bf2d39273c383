"""The fleet on the page: a row for each service, and each service's own night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from markupsafe import Markup

from monitord.core import humanize
from monitord.core.blocks import Block, Grid, Style
from monitord.core.report.model import Report, ServiceReport
from monitord.reporting.charts.axes import Scale, TimeSpan, percent
from monitord.reporting.charts.downsample import thinned
from monitord.reporting.charts.plots import memory_plot, runs_of, strip
from monitord.reporting.charts.svg import tag, text
from monitord.reporting.html import Figure
from monitord.reporting.report_sections import services as services_section
from monitord.reporting.wording import dated, restarts, said, sentence
from monitord.web.alerts import IncidentRow, incident_row, newest
from monitord.web.context import NOTHING, UNKNOWN, PageContext, service_address
from monitord.web.panels import Panel, panel

_SPARK_WIDTH: Final = 120.0
_SPARK_HEIGHT: Final = 26.0
_SPARK_POINTS: Final = 72
_ROOM: Final = 1.15
_LOW: Final = _SPARK_HEIGHT - 2.0


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A service in a row."""

    style: Style
    name: str
    address: str
    instances: int
    state: str
    memory: str
    spark: str
    restarts: str
    uptime: str
    cpu: str


@dataclass(frozen=True, slots=True)
class FleetPanel:
    """Every service. `span`: what time the small plots are of; `window`: in which restarts are counted."""

    panel: Panel
    rows: tuple[FleetRow, ...]
    span: str
    window: str


@dataclass(frozen=True, slots=True)
class ServiceNight:
    """One service's night: a sentence, plots, and what was not as expected."""

    sentence: str
    is_unknown: bool = False
    figures: tuple[Figure, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class ServicePage:
    """One service; without a style and facts where only its night is known."""

    name: str
    style: Style | None
    facts: tuple[tuple[str, str], ...]
    night: ServiceNight
    incidents: tuple[IncidentRow, ...]


def fleet(view: PageContext) -> FleetPanel:
    """Every service: how it stands, its memory now and through the night, its restarts."""
    return FleetPanel(
        panel(view, "services", "Fleet", "pm2"),
        tuple(_row(name, found, view) for name, found in view.seen.report.services.items()),
        _span_words(view),
        humanize.duration(view.seen.decision.orders.restarts_window.total_seconds()),
    )


def _row(name: str, found: dict[str, Any], view: PageContext) -> FleetRow:
    sparks = view.night.value.sparks if view.night is not None and view.night.value is not None else {}
    return FleetRow(
        style=service_style(view, name),
        name=name,
        address=service_address(name),
        instances=found["instances"] or 0,
        state=_state(found),
        memory=said(humanize.size, found["memory_bytes"], NOTHING),
        spark=sparks.get(name, NOTHING),
        restarts=said(humanize.count, found["restarts_recent"], NOTHING),
        uptime=said(humanize.duration, found["uptime_seconds"], NOTHING),
        cpu=said(lambda value: f"{value:.0f}%", found["cpu_percent"], NOTHING),
    )


def _span_words(view: PageContext) -> str:
    if view.night is None or view.night.value is None:
        return "Last 12 h"
    night = view.night.value.night
    return f"Last {humanize.duration(round((night.until - night.since) / 60) * 60)}"


def service_style(view: PageContext, name: str) -> Style:
    """How one service is marked."""
    ok = view.seen.report.services[name]["ok"]
    return view.severity("services", name) or ("unknown" if ok is None else "ok" if ok else "warning")


def _state(found: dict[str, Any]) -> str:
    state, expected = found["state"] or UNKNOWN, found["expected"]
    if expected is None or expected == state:
        return state
    return f"{state} ({expected})" if found["ok"] else f"{state}, not {expected}"


def spark(service: ServiceReport, span: TimeSpan) -> Markup:
    """A service's memory through the night, small; from nothing up, so that what is level looks level."""
    peak = service.memory_peak
    if peak is None and all(part.state == "ok" for part in service.stretches):
        return text(NOTHING)
    scale = Scale(max(peak or 0.0, 1.0) * _ROOM, 2.0, _LOW)
    parts: list[Markup] = []
    for part in service.stretches:
        start, end = span.place(part.start), span.place(part.end)
        if part.state in ("wrong", "unknown"):
            width = max(0.8, end - start)
            parts.append(
                tag("rect", x=percent(start), width=percent(width), y=0, height=_SPARK_HEIGHT, class_=part.state)
            )
    runs = [
        [f"{span.place(at) / 100 * _SPARK_WIDTH:.1f} {scale.place(value):.1f}" for at, value in run]
        for run in runs_of(thinned(service.memory, _SPARK_POINTS))
    ]
    ends = [(run[0].partition(" ")[0], run[-1].partition(" ")[0]) for run in runs]
    area = "".join(
        f"M{first} {_LOW}L{'L'.join(run)}L{last} {_LOW}Z" for run, (first, last) in zip(runs, ends, strict=True)
    )
    path = "".join(f"M{'L'.join(run)}" if len(run) > 1 else f"M{run[0]}h.1" for run in runs)
    line = tag(
        "svg",
        tag("path", d=area, class_="area"),
        tag("path", d=path, class_="line"),
        viewBox=f"0 0 {_SPARK_WIDTH:g} {_SPARK_HEIGHT:g}",
        preserveAspectRatio="none",
        width="100%",
        height=f"{_SPARK_HEIGHT:g}",
    )
    marks = [
        tag("rect", x=percent(span.place(part.start)), y=_LOW - 5, width=2, height=7, class_="restarted")
        for part in service.stretches
        if part.state == "restarted"
    ]
    return tag(
        "svg",
        *parts,
        line,
        *marks,
        class_="spark",
        role="img",
        aria_label=_spark_words(service),
        height=f"{_SPARK_HEIGHT:g}",
    )


def _spark_words(service: ServiceReport) -> str:
    known = [value for _, value in service.memory if value is not None]
    if not known:
        return "memory unknown"
    told = f"memory {humanize.size(min(known))} to {humanize.size(max(known))}"
    number = sum(service.restarts.values())
    wrong = sum(part.end - part.start for part in service.stretches if part.state == "wrong")
    return (
        told
        + (f", {humanize.plural(number, 'restart')}" if number else "")
        + (f", not as expected for {humanize.duration(wrong)}" if wrong else "")
    )


def service_page(name: str, view: PageContext) -> ServicePage:
    """One service: how it stands, its night, and the alerts there were about it."""
    found = view.seen.report.services.get(name)
    kept = view.incidents
    about = (
        incident_row(one, view)
        for one in newest(kept.value if kept is not None and kept.value is not None else ())
        if any(part.alert.subject == name for part in one.parts)
    )
    return ServicePage(
        name,
        service_style(view, name) if found else None,
        tuple(_facts(found, name, view)) if found else (),
        _night(name, view),
        tuple(about),
    )


def _facts(found: dict[str, Any], name: str, view: PageContext) -> Iterator[tuple[str, str]]:
    orders = view.seen.decision.orders
    window = humanize.duration(orders.restarts_window.total_seconds())
    yield "State", _state(found)
    yield "Expected", found["expected"] or "nothing is ordered of it"
    yield "Instances", said(humanize.count, found["instances"])
    yield "Memory", f"{said(humanize.size, found['memory_bytes'])}, limit {humanize.size(orders.memory_limit(name))}"
    yield "CPU", said(lambda value: f"{value:.1f}%", found["cpu_percent"])
    yield "Up for", said(humanize.duration, found["uptime_seconds"])
    yield "Restarts", f"{said(humanize.count, found['restarts_recent'])} automatic in {window}"


def _night(name: str, view: PageContext) -> ServiceNight:
    kept = view.night
    if kept is None:
        return ServiceNight("The record is being read: reload in a moment.")
    if kept.value is None:
        return ServiceNight(sentence(f"Unknown: {kept.trouble}"), is_unknown=True)
    night = kept.value.night
    service = next((one for one in night.services if one.name == name), None)
    if service is None:
        return ServiceNight("Nothing is recorded of it.")
    span = TimeSpan(night.since, night.until)
    return ServiceNight(
        f"{dated(night.since)} to {dated(night.until)}. Restarts: {restarts(service)}.",
        figures=(
            Figure(
                "Thin: as expected. High and hatched: not as expected. Dotted: unknown. Arrow: a restart.",
                strip("strip", service, span),
            ),
            Figure(
                "Memory of its largest instance. Dotted: not running, or not seen.",
                memory_plot("memory", service, span),
            ),
        ),
        blocks=tuple(_apart(service, night)),
    )


def _apart(service: ServiceReport, night: Report) -> list[Block]:
    """The sentences of a report on what was not as expected, of this service alone."""
    alone = services_section(replace(night, services=(service,)))
    return [block for block in alone.blocks if not isinstance(block, Grid)]
