"""The plots of a report as SVG: a service's states, its memory, a table's rows, a group's sealing delays."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from monitord.core import humanize
from monitord.core.humanize import UNKNOWN, dated, worded
from monitord.core.report.model import (
    CheckReport,
    GroupReport,
    SealReport,
    ServiceReport,
    State,
    StateStretch,
    TableReport,
)
from monitord.core.report.wording import is_above, seal_state
from monitord.core.subjects.check_rules import with_unit
from monitord.reporting.charts.axes import (
    Scale,
    TimeSpan,
    across,
    anchored,
    fill,
    frame,
    letters,
    level,
    patterns,
    percent,
    shape,
    stretched,
    ticks,
    time_axis,
    traced,
    upright,
)
from monitord.reporting.charts.points import Point, readout, spoken, thinned, unknown
from monitord.reporting.charts.svg import joined, tag

# A plot shows no more points than this, whatever it is given.
_POINTS: Final = 360
_HEIGHT: Final = 150.0
_UPPER: Final = 26.0
_LOWER: Final = 126.0
_HIGH: Final = {"y": _UPPER, "height": _LOWER - _UPPER}
_MIDDLE: Final = (_UPPER + _LOWER) / 2
_ROOM: Final = 1.12
# Width of the drawing inside a line plot, in units of its own; only their ratio to the width counts.
_UNITS: Final = 1000.0
_CROSS: Final = "M-5 -5L5 5M-5 5L5 -5"
_DOWN: Final = "M-5 -6H5L0 2Z"
_UP: Final = "M-5 4H5L0 -5Z"
_DISC: Final = "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z"
_PLATE: Final = "M-10 -10H10V10H-10Z"
_RING: Final = "M-7 0a7 7 0 1 0 14 0a7 7 0 1 0 -14 0Z"


def strip(ident: str, service: ServiceReport, span: TimeSpan, *, axis: bool = True) -> Markup:
    """Thin where it was as expected, high and hatched where not, dotted where unknown. `axis` adds the hours."""
    upper, lower = 8.0, 30.0
    order: tuple[State, ...] = ("ok", "unknown", "unconfirmed", "wrong", "restarted")
    stretches = service.stretches or (StateStretch(span.since, span.until, "unknown", ""),)
    parts = [part for state in order for part in stretches if part.state == state]
    rules = (
        time_axis(span, upper, lower)
        if axis
        else joined(*(upright(x, upper, lower, "rule") for x in map(span.place, ticks(span))))
    )
    return frame(
        ident,
        f"{service.name}: its states",
        _strip_words(service.stretches),
        lower + (22 if axis else 2),
        patterns(ident),
        rules,
        *(_stretch(ident, part, span, upper, lower) for part in parts),
        values=readout(stretch_words(stretches), span.since, span.until),
    )


def stretch_words(stretches: Sequence[StateStretch]) -> list[tuple[float, str]]:
    return [(part.start, part.word or UNKNOWN) for part in stretches if part.state != "restarted"]


def _stretch(ident: str, part: StateStretch, span: TimeSpan, upper: float, lower: float) -> Markup:
    start, end = span.place(part.start), span.place(part.end)
    where = {"x": percent(start), "width": percent(max(0.0, end - start))}
    high = {"y": f"{upper}", "height": f"{lower - upper}"}
    if part.state == "restarted":
        return shape(start, upper, _DOWN + f"M0 0V{lower - upper}", "restarted")
    if part.state == "ok":
        return tag("rect", **where, y=f"{lower - 14}", height="10", class_="ok")
    look = "unknown" if part.state == "unconfirmed" else part.state
    return tag("rect", **where, **high, fill=fill(ident, look), class_=f"edge {look}")


def _strip_words(stretches: Sequence[StateStretch]) -> str:
    if not stretches:
        return "Nothing is known of it."
    names: dict[State, str] = {
        "ok": "as expected",
        "wrong": "not as expected",
        "unconfirmed": "not as expected and not confirmed",
        "unknown": UNKNOWN,
    }
    texts = []
    for state, name in names.items():
        seconds = sum(part.end - part.start for part in stretches if part.state == state)
        if seconds:
            texts.append(f"{name} for {humanize.duration(seconds)}")
    restarts = sum(1 for part in stretches if part.state == "restarted")
    return "; ".join([*texts, f"{restarts} restarts" if restarts else "no restarts"]) + "."


def memory_plot(ident: str, service: ServiceReport, span: TimeSpan) -> Markup:
    peak, at = service.memory_peak, service.memory_peak_at
    line = PlottedLine("memory", service.memory, float(service.memory_limit), peak, at)
    return line_plot(ident, service.name, line, span, humanize.size)


def event_loop_plot(ident: str, service: ServiceReport, span: TimeSpan, limit: float) -> Markup:
    """At the 95th percentile, in ms."""
    line = PlottedLine("event loop latency", service.event_loop, limit)
    return line_plot(ident, service.name, line, span, lambda value: humanize.duration(value / 1000))


def heap_plot(ident: str, service: ServiceReport, span: TimeSpan) -> Markup:
    return line_plot(ident, service.name, PlottedLine("heap", service.heap, service.heap_limit), span, humanize.size)


def errors_plot(ident: str, service: ServiceReport, span: TimeSpan, limit: float | None) -> Markup:
    line = PlottedLine("error lines a minute", service.errors, limit)
    return line_plot(ident, service.name, line, span, "{:.3g}".format)


@dataclass(frozen=True, slots=True)
class PlottedLine:
    """What a line plot shows: None where nothing is known. Without a peak of its own it is the highest point."""

    what: str
    points: Sequence[Point]
    limit: float | None = None
    peak: float | None = None
    peak_at: float | None = None

    @property
    def highest(self) -> tuple[float | None, float | None]:
        if self.peak is not None:
            return self.peak, self.peak_at
        known = [(value, at) for at, value in self.points if value is not None]
        return max(known, default=(None, None))


def line_plot(ident: str, name: str, line: PlottedLine, span: TimeSpan, shown: Callable[[float], str]) -> Markup:
    """Broken and dotted where nothing is known. `shown` says a value in words."""
    (peak, at), limit = line.highest, line.limit
    top = max(limit or 0.0, peak or 0.0, *(value or 0.0 for _, value in line.points), 1.0) * _ROOM
    scale = Scale(top, _UPPER, _LOWER)
    runs = list(runs_of(thinned(line.points, _POINTS)))
    is_late = at is not None and span.place(at) > 50.0
    content = _ground(ident, line.points, span)
    if limit is not None:
        content += _limit(f"limit {shown(limit)}", scale.place(limit), is_left=is_late)
    content.append(_curve(runs, span, scale))
    if peak is not None and at is not None:
        x, y = span.place(at), scale.place(peak)
        content.append(shape(x, y, _DISC, "peak"))
        content.append(letters(f"peak {shown(peak)}", x, y - 8, kind="peak", anchor=anchored(x)))
    if not runs:
        content.append(letters(f"no {line.what} was measured", 50.0, _MIDDLE + 4, kind="unknown"))
    when = "" if at is None else f" at {dated(at)}"
    said_peak = "The peak is unknown." if peak is None else f"The peak is {shown(peak)}{when}."
    description = said_peak if limit is None else f"{said_peak} The limit is {shown(limit)}."
    values = readout(spoken(line.points, shown, unknown), span.since, span.until)
    return frame(ident, f"{name}: {line.what}", description, _HEIGHT, *content, values=values)


def runs_of(points: Sequence[Point]) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for at, value in points:
        if value is not None:
            run.append((at, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _ground(ident: str, points: Sequence[Point], span: TimeSpan) -> list[Markup]:
    """The frame's patterns, the axis and the base; dotted where nothing is known."""
    content: list[Markup] = [patterns(ident), time_axis(span, _UPPER, _LOWER), level(_LOWER, "base")]
    for start, end in blanks_of(points, span):
        where = across(span.place(start), span.place(end))
        content.append(tag("rect", **where, **_HIGH, fill=fill(ident, "idle"), class_="blank"))
    return content


def _limit(words: str, y: float, *, is_left: bool = False) -> list[Markup]:
    return [level(y, "limit"), letters(words, 0.0 if is_left else 100.0, y - 5, kind="limit")]


def _curve(runs: Iterable[Sequence[tuple[float, float]]], span: TimeSpan, scale: Scale) -> Markup:
    paths = (
        traced([f"{span.place(at) / 100 * _UNITS:.1f} {scale.place(value):.1f}" for at, value in run]) for run in runs
    )
    return stretched(_UNITS, _HEIGHT, tag("path", d="".join(paths), class_="line"))


def blanks_of(points: Sequence[Point], span: TimeSpan) -> Iterator[tuple[float, float]]:
    """From the last reading before a gap to the first after it."""
    start: float | None = None if points else span.since
    previous = span.since
    for at, value in points:
        if value is None:
            start = previous if start is None else start
        else:
            if start is not None:
                yield start, at
            start, previous = None, at
    if start is not None:
        yield start, span.until


def value_plot(ident: str, check: CheckReport, span: TimeSpan) -> Markup:
    known = [value for _, value in check.values if value is not None]
    limits = [limit for limit in (check.warning, check.critical) if limit is not None]
    levels = [at for limit in limits for at in limit.ends]
    base = min([*known, *levels, 0.0])
    top = (max([*known, *levels, 0.0]) - base or 1.0) * _ROOM
    scale = Scale(top, _UPPER, _LOWER)
    points = [(at, None if value is None else value - base) for at, value in check.values]
    content = _ground(ident, points, span)
    for at in dict.fromkeys(levels):
        content += _limit(f"limit {with_unit(at, check.unit)}", scale.place(at - base))
    content.append(_curve(runs_of(thinned(points, _POINTS)), span, scale))
    if not known:
        content.append(letters("no number was measured", 50.0, _MIDDLE + 4, kind="unknown"))
        return frame(ident, f"{check.name}: its number", "No number is known.", _HEIGHT, *content)
    least, most = with_unit(min(known), check.unit), with_unit(max(known), check.unit)
    against = f" The limits are {humanize.listed([str(limit) for limit in limits])}." if limits else ""
    description = f"Between {least} and {most}.{against}"
    values = readout(spoken(check.values, lambda value: with_unit(value, check.unit), unknown), span.since, span.until)
    return frame(ident, f"{check.name}: its number", description, _HEIGHT, *content, values=values)


def growth_bars(ident: str, table: TableReport, span: TimeSpan) -> Markup:
    """Rows per hour as bars against the limit; hatched above it, dotted where unknown. A falling count has no bar."""
    rates = [hour.per_hour for hour in table.hours]
    known = [rate for rate in rates if rate is not None]
    scale = Scale(max(float(table.limit), *known, 1.0) * _ROOM, _UPPER, _LOWER)
    content: list[Markup] = [patterns(ident), time_axis(span, _UPPER, _LOWER)]
    most: tuple[float, float] | None = None
    for hour, rate in zip(table.hours, rates, strict=True):
        start, end = span.place(hour.start), span.place(hour.end)
        gap = min(0.4, (end - start) / 8)
        where = {"x": percent(start + gap), "width": percent(max(0.1, end - start - 2 * gap))}
        middle = (start + end) / 2
        if rate is None:
            content.append(tag("rect", **where, **_HIGH, fill=fill(ident, "unknown"), class_="blank"))
            if known:
                content.append(letters("?", middle, _MIDDLE + 5, kind="unknown", anchor="middle"))
            continue
        # What is there is seen, however far below the limit.
        y = min(scale.place(rate), _LOWER - (1.5 if rate > 0 else 0.0))
        shown = {"fill": fill(ident, "wrong"), "class_": "edge wrong"} if is_above(hour, table) else {"class_": "bar"}
        content.append(tag("rect", **where, y=f"{y:.1f}", height=f"{_LOWER - y:.1f}", **shown))
        if most is None or rate > most[1]:
            most = (middle, rate)
    is_late = most is not None and most[0] > 50.0
    content += [
        level(_LOWER, "base"),
        *_limit(f"limit {humanize.count(table.limit)}", scale.place(table.limit), is_left=is_late),
    ]
    if most is not None:
        words, anchor = humanize.count(most[1]), anchored(most[0], 15.0)
        content.append(letters(words, most[0], scale.place(most[1]) - 5, kind="peak", anchor=anchor))
    else:
        content.append(letters("no growth was measured", 50.0, _MIDDLE + 4, kind="unknown"))
    description = (
        f"The most was {worded(humanize.count, max(known, default=None))} rows an hour, the limit is "
        f"{humanize.count(table.limit)}; {len(rates) - len(known)} of {len(rates)} hours are unknown."
    )
    texts = [(hour.start, f"{worded(humanize.count, hour.per_hour)} rows an hour") for hour in table.hours]
    values = readout(texts, span.since, span.until)
    return frame(ident, f"{table.name}: rows per hour", description, _HEIGHT, *content, values=values)


def seal_plot(ident: str, group: GroupReport) -> Markup:
    """The sealing delay of each label, at the hour the label stands for, against the grace.

    A disc is a seal in time, a triangle a late one, a ring around it one later than usual; a cross in a hatched gap is
    a label that is missed, a question mark one of which nothing is known.
    """
    delays = [seal.delay for seal in group.seals if seal.delay is not None]
    scale = Scale(max(group.grace, *delays, 1.0) * _ROOM, _UPPER, _LOWER)
    slots = TimeSpan(0.0, float(max(1, len(group.seals))))
    content: list[Markup] = [patterns(ident)]
    content += _labels(group.seals, slots)
    content += [_absent(ident, seal, slots, n) for n, seal in enumerate(group.seals) if seal.delay is None]
    latest = max((seal.delay or 0.0, n) for n, seal in enumerate(group.seals))[1] if delays else 0
    is_late = slots.place(latest + 0.5) > 50.0
    content += [
        level(_LOWER, "base"),
        *_limit(f"grace {humanize.duration(group.grace)}", scale.place(group.grace), is_left=is_late),
    ]
    content += [
        _seal(slots.place(n + 0.5), scale.place(seal.delay), seal)
        for n, seal in enumerate(group.seals)
        if seal.delay is not None
    ]
    if delays:
        x, slowest = slots.place(latest + 0.5), max(delays)
        words = humanize.duration(slowest)
        content.append(letters(words, x, scale.place(slowest) - 10, kind="peak", anchor=anchored(x)))
    else:
        content.append(letters("no delay is known", 50.0, _UPPER - 10, kind="unknown"))
    texts = [
        f"{dated(seal.label)} {seal_state(seal)} {worded(humanize.duration, seal.delay, '')}" for seal in group.seals
    ]
    description = "; ".join(part.strip() for part in texts) or "No labels were due."
    values = readout(((float(n), words.strip()) for n, words in enumerate(texts)), 0.0, slots.until, of_time=False)
    return frame(ident, f"{group.group}: sealing delay", description, _HEIGHT, *content, values=values)


def _labels(seals: Sequence[SealReport], slots: TimeSpan) -> Iterator[Markup]:
    every = max(1, -(-len(seals) // 5))
    for n, seal in enumerate(seals):
        if n % every == 0 and n + every / 3 <= len(seals):
            x = slots.place(n + 0.5)
            text = dated(seal.label).partition(", ")[2].removesuffix(" UTC")
            yield upright(x, _UPPER, _LOWER, "rule", aria_hidden="true")
            yield letters(text, x, _LOWER + 15, kind="tick", anchor="middle")


def _absent(ident: str, seal: SealReport, slots: TimeSpan, n: int) -> Markup:
    start, end, x = slots.place(n), slots.place(n + 1), slots.place(n + 0.5)
    if seal.state == "open":
        return letters("…", x, _LOWER - 4, kind="tick", anchor="middle")
    if seal.state == "nothing":
        return letters("–", x, _LOWER - 4, kind="tick", anchor="middle")
    where = {**across(start, end), **_HIGH}
    if seal.state == "missed":
        gap = tag("rect", **where, fill=fill(ident, "wrong"), class_="gap")
        return joined(gap, shape(x, _MIDDLE, _PLATE, "plate"), shape(x, _MIDDLE, _CROSS, "cross"))
    gap = tag("rect", **where, fill=fill(ident, "unknown"), class_="blank")
    return joined(gap, letters("?", x, _MIDDLE + 5, kind="unknown", anchor="middle"))


def _seal(x: float, y: float, seal: SealReport) -> Markup:
    stem = upright(x, y, _LOWER, "stem")
    late = seal.state == "late"
    mark = shape(x, y, _UP if late else _DISC, "late" if late else "disc")
    return joined(stem, shape(x, y, _RING, "unusual") if seal.unusual else None, mark)
