"""A small plot for a cell of a table: a service's memory over the window, and how full something is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from monitord.core import humanize
from monitord.core.blocks import Meter
from monitord.core.humanize import NOTHING, UNKNOWN
from monitord.core.report.model import CheckReport, ServiceReport
from monitord.core.subjects.check_rules import with_unit
from monitord.reporting.charts.axes import Scale, TimeSpan, across, percent, stretched, traced
from monitord.reporting.charts.plots import blanks_of, runs_of, stretch_words
from monitord.reporting.charts.points import Point, readout, spoken, thinned, unknown
from monitord.reporting.charts.svg import joined, tag, text

_SPARK_WIDTH: Final = 120.0
_SPARK_HEIGHT: Final = 26.0
_SPARK_POINTS: Final = 72
_BAR_HEIGHT: Final = 10
_ROOM: Final = 1.15
_LOW: Final = _SPARK_HEIGHT - 2.0


def spark(service: ServiceReport, span: TimeSpan) -> Markup:
    """From nothing up, so that what is level looks level."""
    peak = service.memory_peak
    if peak is None and all(part.state == "ok" for part in service.stretches):
        return text(NOTHING)
    scale = Scale(max(peak or 0.0, 1.0) * _ROOM, 2.0, _LOW)
    parts: list[Markup] = []
    for part in service.stretches:
        start, end = span.place(part.start), span.place(part.end)
        if part.state in ("wrong", "unknown"):
            parts.append(_stretch(start, end, part.state))
    line = _line(service.memory, span, scale)
    marks = [
        tag("rect", x=percent(span.place(part.start)), y=_LOW - 5, width=2, height=7, class_="restarted")
        for part in service.stretches
        if part.state == "restarted"
    ]
    states = stretch_words(service.stretches)

    def state_at(at: float) -> str:
        return next((word for start, word in reversed(states) if start <= at), UNKNOWN)

    values = readout(spoken(service.memory, humanize.size, state_at), span.since, span.until)
    return _whole(_spark_words(service), *parts, line, *marks, values=values)


def value_spark(check: CheckReport, span: TimeSpan) -> Markup:
    known = [value for _, value in check.values if value is not None]
    if not known:
        return text(NOTHING)
    base = min([*known, 0.0])
    points = [(at, None if value is None else value - base) for at, value in check.values]
    scale = Scale(max(max(known) - base, 1e-9) * _ROOM, 2.0, _LOW)
    blanks = [(span.place(start), span.place(end)) for start, end in blanks_of(points, span)]
    parts = [_stretch(start, end, "unknown") for start, end in blanks]
    words = f"{with_unit(min(known), check.unit)} to {with_unit(max(known), check.unit)}"
    values = readout(spoken(check.values, lambda value: with_unit(value, check.unit), unknown), span.since, span.until)
    return _whole(words + (", with gaps" if blanks else ""), *parts, _line(points, span, scale), values=values)


def _stretch(start: float, end: float, kind: str) -> Markup:
    return tag("rect", **across(start, max(start + 0.8, end)), y=0, height=_SPARK_HEIGHT, class_=kind)


def _whole(words: str, *parts: Markup, values: Mapping[str, object]) -> Markup:
    # It stands beside a name, and that is where the keyboard stops.
    attributes = {name: value for name, value in values.items() if name != "tabindex"}
    return tag("svg", *parts, class_="spark", role="img", aria_label=words, height=f"{_SPARK_HEIGHT:g}", **attributes)


def _line(points: Sequence[Point], span: TimeSpan, scale: Scale) -> Markup:
    runs = [
        _without_repeats(
            [(f"{span.place(at) / 100 * _SPARK_WIDTH:.1f}", f"{scale.place(value):.1f}") for at, value in run]
        )
        for run in runs_of(thinned(points, _SPARK_POINTS))
    ]
    ends = [(run[0].partition(" ")[0], run[-1].partition(" ")[0]) for run in runs]
    area = "".join(
        f"M{first} {_LOW}L{'L'.join(run)}L{last} {_LOW}Z" for run, (first, last) in zip(runs, ends, strict=True)
    )
    path = "".join(map(traced, runs))
    lines = (tag("path", d=area, class_="area"), tag("path", d=path, class_="line"))
    return stretched(_SPARK_WIDTH, _SPARK_HEIGHT, *lines)


def _without_repeats(places: Sequence[tuple[str, str]]) -> list[str]:
    """Of places on one level the first and the last."""
    inner = range(1, len(places) - 1)
    same = {n for n in inner if places[n - 1][1] == places[n][1] == places[n + 1][1]}
    return [f"{x} {y}" for n, (x, y) in enumerate(places) if n not in same]


def _spark_words(service: ServiceReport) -> str:
    known = [value for _, value in service.memory if value is not None]
    if not known:
        return "memory unknown"
    text = f"memory {humanize.size(min(known))} to {humanize.size(max(known))}"
    number = sum(service.restarts.values())
    wrong = sum(part.end - part.start for part in service.stretches if part.state == "wrong")
    return (
        text
        + (f", {humanize.plural(number, 'restart')}" if number else "")
        + (f", not as expected for {humanize.duration(wrong)}" if wrong else "")
    )


def meter(it: Meter) -> Markup:
    ticks = [
        tag("line", x1=percent(limit), x2=percent(limit), y1=0, y2=_BAR_HEIGHT, class_="tick") for limit in it.limits
    ]
    track = tag("rect", width="100%", height=_BAR_HEIGHT, rx=2, class_="track")
    full = tag("rect", width=percent(min(100.0, max(0.0, it.percent))), height=_BAR_HEIGHT, rx=2, class_="full")
    bar = tag("svg", track, full, *ticks, class_="usage", height=_BAR_HEIGHT, aria_hidden="true")
    return joined(bar, " ", it.words)
