"""The fleet on the page: a row for each service, and each service's own night."""

from __future__ import annotations

from typing import Any, Final

from monitord.core import humanize
from monitord.core.blocks import Grid, Style
from monitord.core.report.model import Report, ServiceReport
from monitord.reporting.charts.axes import Scale, TimeSpan, percent
from monitord.reporting.charts.downsample import thinned
from monitord.reporting.charts.plots import memory_plot, runs_of, strip
from monitord.reporting.charts.svg import Markup, joined, tag
from monitord.reporting.components import block_html, figure, grid, mark
from monitord.reporting.report_sections import services as services_section
from monitord.reporting.wording import dated, restarts, said, sentence
from monitord.web.alerts import anchor, newest
from monitord.web.context import NOTHING, UNKNOWN, PageContext, service_address, when

_SPARK_WIDTH: Final = 120.0
_SPARK_HEIGHT: Final = 26.0
_SPARK_POINTS: Final = 72
_ROOM: Final = 1.15
_LOW: Final = _SPARK_HEIGHT - 2.0


def fleet(view: PageContext) -> Markup:
    """Every service: how it stands, its memory now and through the night, its restarts."""
    services = view.seen.report.services
    if not services:
        return tag("p", "PM2 runs no services.")
    sparks = view.night.value.sparks if view.night is not None and view.night.value is not None else {}
    rows: list[tuple[Style | None, tuple[str, ...]]] = []
    for name, found in services.items():
        many = found["instances"]
        shown = tag("a", name, href=service_address(name))
        rows.append(
            (
                service_style(view, name),
                (
                    joined(shown, f" ×{many}") if many and many > 1 else shown,
                    _state(found),
                    said(humanize.size, found["memory_bytes"], NOTHING),
                    sparks.get(name, Markup(NOTHING)),
                    said(humanize.count, found["restarts_recent"], NOTHING),
                    said(humanize.duration, found["uptime_seconds"], NOTHING),
                    said(lambda value: f"{value:.0f}%", found["cpu_percent"], NOTHING),
                ),
            )
        )
    window = humanize.duration(view.seen.decision.orders.restarts_window.total_seconds())
    header = ("Service", "State", "Memory", _span_words(view), f"Restarts in {window}", "Up for", "CPU")
    caption = "Memory is that of the largest instance; a mark under its line is a restart"
    return grid(Grid(caption, header, tuple(rows), frozenset({2, 4, 5, 6})))


def _span_words(view: PageContext) -> str:
    if view.night is None or view.night.value is None:
        return "The night"
    night = view.night.value.night
    return f"Its last {humanize.duration(round((night.until - night.since) / 60) * 60)}"


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
        return Markup(NOTHING)
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


def service_page(name: str, view: PageContext) -> Markup:
    """One service: how it stands, its night, and the alerts there were about it."""
    found = view.seen.report.services.get(name)
    title = tag("h1", mark(service_style(view, name)) if found else None, tag("span", name), class_="subject")
    return joined(title, _facts(found, name, view) if found else None, _night(name, view), _alerts(name, view))


def _facts(found: dict[str, Any], name: str, view: PageContext) -> Markup:
    orders = view.seen.decision.orders
    window = humanize.duration(orders.restarts_window.total_seconds())
    told = (
        ("State", _state(found)),
        ("Expected", found["expected"] or "nothing is ordered of it"),
        ("Instances", said(humanize.count, found["instances"])),
        ("Memory", f"{said(humanize.size, found['memory_bytes'])}, limit {humanize.size(orders.memory_limit(name))}"),
        ("CPU", said(lambda value: f"{value:.1f}%", found["cpu_percent"])),
        ("Up for", said(humanize.duration, found["uptime_seconds"])),
        ("Restarts", f"{said(humanize.count, found['restarts_recent'])} automatic in {window}"),
    )
    return tag("dl", *(tag("div", tag("dt", key), tag("dd", value)) for key, value in told), class_="facts")


def _night(name: str, view: PageContext) -> Markup:
    heading = tag("h2", "Last 12 h", id="h-night")
    kept = view.night
    if kept is None:
        return tag("section", heading, tag("p", "The record is being read: reload in a moment."))
    if kept.value is None:
        return tag("section", heading, tag("p", sentence(f"Unknown: {kept.trouble}"), class_="is-unknown"))
    night = kept.value.night
    service = next((one for one in night.services if one.name == name), None)
    if service is None:
        return tag("section", heading, tag("p", "Nothing is recorded of it."), aria_labelledby="h-night")
    span = TimeSpan(night.since, night.until)
    told = f"{dated(night.since)} to {dated(night.until)}. Restarts: {restarts(service)}."
    return tag(
        "section",
        heading,
        tag("p", told),
        figure(
            "Thin: as expected. High and hatched: not as expected. Dotted: unknown. Arrow: a restart.",
            strip("strip", service, span),
        ),
        figure(
            "Memory of its largest instance. Dotted: not running, or not seen.", memory_plot("memory", service, span)
        ),
        *(block_html(block) for block in _apart(service, night)),
        aria_labelledby="h-night",
    )


def _apart(service: ServiceReport, night: Report) -> list[Any]:
    """The sentences of a report on what was not as expected, of this service alone."""
    from dataclasses import replace

    alone = services_section(replace(night, services=(service,)))
    return [block for block in alone.blocks if not isinstance(block, Grid)]


def _alerts(name: str, view: PageContext) -> Markup:
    kept = view.incidents
    found = [
        one
        for one in newest(kept.value if kept is not None and kept.value is not None else ())
        if any(part.alert.subject == name for part in one.parts)
    ]
    if not found:
        return joined()
    return tag(
        "section",
        tag("h2", "Alerts about it", id="h-about"),
        tag(
            "ul",
            *(
                tag(
                    "li",
                    mark(one.severity),
                    tag(
                        "span",
                        tag("a", f"{one.cause.rule}: {one.cause.subject}", href=f"/alerts#{anchor(one)}"),
                        " since ",
                        when(one.first_sign, view.until),
                        ", still open" if one.ended_at is None else joined(", ended ", when(one.ended_at, view.until)),
                    ),
                )
                for one in found
            ),
            class_="marked",
        ),
        aria_labelledby="h-about",
    )
