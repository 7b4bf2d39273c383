"""What the plots of a report share: a frame that a screen reader can name, a time axis, marks, places in percent.

A plot is as wide as the page lets it be and as high as it says. Places along it are percentages, heights and letters
pixels, so that letters are of one size on a phone and on paper. Colours are classes, which the style sheet fills in.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from monitord.reporting.charts.svg import joined, tag

_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 14400, 21600, 43200),
)
_DAY: Final = 86400
# So many labels fit beside one another on a phone.
_LABELS: Final = 5
_EDGE: Final = 6.0


@dataclass(frozen=True, slots=True)
class TimeSpan:
    since: float
    until: float

    def place(self, at: float) -> float:
        """In percent of the width; the ends hold what lies outside."""
        if self.until <= self.since:
            return 0.0
        return min(100.0, max(0.0, (at - self.since) / (self.until - self.since) * 100.0))


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from 0 to `top` as heights between two pixels, the lower value further down."""

    top: float
    upper: float
    lower: float

    def place(self, value: float) -> float:
        """In pixels from above; the ends hold what lies outside."""
        share = min(1.0, max(0.0, value / self.top)) if self.top > 0 else 0.0
        return self.lower - share * (self.lower - self.upper)


def frame(
    ident: str, title: str, description: str, height: float, *content: str, values: Mapping[str, object] | None = None
) -> Markup:
    """A plot with its name and its description in words. `ident` is unique on the page; `values`: a readout's."""
    return tag(
        "svg",
        tag("title", title, id=f"{ident}-title"),
        tag("desc", description, id=f"{ident}-desc"),
        *content,
        class_="plot",
        role="img",
        aria_labelledby=f"{ident}-title {ident}-desc",
        width="100%",
        height=f"{height:g}",
        **(values or {}),
    )


def patterns(ident: str) -> Markup:
    """Hatching for what is wrong, dots for what is unknown or idle, so that none differs by colour alone."""
    square = {"width": 8, "height": 8, "patternUnits": "userSpaceOnUse"}
    ground = tag("rect", width=8, height=8, class_="ground")
    stripes = tag("path", d="M-1 9L9 -1M-1 1L1 -1M7 9L9 7", class_="stripe")
    dots = joined(*(tag("circle", cx=at, cy=at, r=1.1, class_="dot") for at in (2, 6)))
    return tag(
        "defs",
        tag("pattern", ground, stripes, id=f"{ident}-wrong", class_="wrong", **square),
        tag("pattern", ground, dots, id=f"{ident}-unknown", class_="unknown", **square),
        tag("pattern", ground, dots, id=f"{ident}-idle", class_="idle", **square),
    )


def fill(ident: str, pattern: str) -> str:
    return f"url(#{ident}-{pattern})"


def percent(value: float) -> str:
    return f"{value:.2f}%"


def letters(words: str, x: float, y: float, *, kind: str = "", anchor: str = "") -> Markup:
    """Text at a place; near an end of the plot it turns inwards."""
    return tag("text", words, x=percent(x), y=f"{y:.1f}", text_anchor=anchor or anchored(x, _EDGE), class_=kind or None)


def shape(x: float, y: float, path: str, kind: str) -> Markup:
    """A small mark around a place. `path` is drawn in pixels around 0, 0."""
    return tag("svg", tag("path", d=path, class_=kind), x=percent(x), y=f"{y:.1f}", overflow="visible")


def level(y: float, kind: str) -> Markup:
    return tag("line", x1="0%", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_=kind)


def upright(x: float, upper: float, lower: float, kind: str, **more: object) -> Markup:
    return tag("line", x1=percent(x), x2=percent(x), y1=f"{upper:.1f}", y2=f"{lower:.1f}", class_=kind, **more)


def across(start: float, end: float) -> dict[str, str]:
    return {"x": percent(start), "width": percent(end - start)}


def stretched(width: float, height: float, *content: Markup) -> Markup:
    """What is drawn in units of its own, as wide as the plot."""
    return tag(
        "svg",
        *content,
        viewBox=f"0 0 {width:g} {height:g}",
        preserveAspectRatio="none",
        width="100%",
        height=f"{height:g}",
    )


def traced(places: Sequence[str]) -> str:
    """A path through these; a single one is drawn as a dot: a line of next to no length with round ends."""
    return f"M{'L'.join(places)}" if len(places) > 1 else f"M{places[0]}h.1"


def anchored(x: float, edge: float = 20.0) -> str:
    """How words over a place are to stand, so that they do not leave the plot."""
    return "start" if x < edge else "end" if x > 100.0 - edge else "middle"


def time_axis(span: TimeSpan, upper: float, lower: float) -> Markup:
    """Faint uprights from `upper` to `lower` at whole hours, and their clock times in UTC under them."""
    parts: list[Markup] = []
    for at in ticks(span):
        x = span.place(at)
        parts += [upright(x, upper, lower, "rule"), letters(_tick(at), x, lower + 15, kind="tick")]
    return tag("g", joined(*parts), aria_hidden="true")


def ticks(span: TimeSpan) -> list[float]:
    """Round moments, few enough to be labelled."""
    step = _step(span.until - span.since)
    first = math.ceil(span.since / step) * step
    return [at for n in range(_LABELS + 1) if (at := first + n * step) <= span.until]


def _step(seconds: float) -> int:
    for step in _STEPS:
        if seconds / step <= _LABELS - 1:
            return step
    return _DAY * math.ceil(seconds / _DAY / (_LABELS - 1))


def _tick(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    if at % _DAY == 0:
        return f"{moment:%b} {moment.day}"
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")
