"""A night's report as one HTML page that needs nothing but itself: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from typing import ClassVar, Final

from jinja2 import Environment
from markupsafe import Markup

from monitord.core.blocks import Block, Cell, Grid, Member, Meter, Plot, Section, Style, in_words
from monitord.core.humanize import NOTHING
from monitord.core.report.model import Report
from monitord.reporting.charts.axes import TimeSpan
from monitord.reporting.charts.plots import growth_bars, memory_plot, seal_plot, strip, value_plot
from monitord.reporting.charts.spark import meter
from monitord.reporting.charts.svg import joined, tag
from monitord.reporting.report import sections
from monitord.reporting.report_sections import seal_grid
from monitord.reporting.templating import environment
from monitord.reporting.wording import blindness, dated, length, sentence, style_of

# A list of services longer than this has the hours under every so many bands.
_HOURS_EVERY: Final = 8
_SEAL_KEY: Final = (
    "Disc: in time. Triangle: late. Ring: unusual. Cross on hatching: missed. Dash: nobody took part. "
    "Question mark on dots: unknown."
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with its caption."""

    kind: ClassVar[str] = "figure"
    caption: str
    plot: Markup


@dataclass(frozen=True, slots=True)
class FigureSet:
    """Plots beside one another, with one key to all of them."""

    kind: ClassVar[str] = "figures"
    key: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Strips:
    """Bands with their names, one under the other."""

    kind: ClassVar[str] = "strips"
    caption: str
    bands: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True, slots=True)
class FoldedGrid:
    """A table that is opened on request."""

    kind: ClassVar[str] = "folded"
    title: str
    table: Grid


Picture = Figure | FigureSet | Strips | FoldedGrid


@dataclass(frozen=True, slots=True)
class IllustratedSection:
    """A section and its pictures: those before its words, and those after. `anchor`: its id, where it is linked to."""

    key: str
    title: str
    style: Style | None
    before: tuple[Picture, ...]
    blocks: tuple[Block | Picture, ...]
    after: tuple[Picture, ...]
    parts: tuple[IllustratedSection, ...] = ()
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class ReportHead:
    """The verdict, its sentence, and what time it is about."""

    style: Style
    headline: str
    sentence: str
    span: str


def report_html(night: Report) -> str:
    """The whole report as a page to open, to send or to print."""
    css = files("monitord.reporting").joinpath("report.css").read_text(encoding="utf-8")
    template = _templates().get_template("standalone.html")
    return template.render(
        title=f"{night.headline}: the night to {dated(night.until)}",
        css=Markup(css),  # noqa: S704 - the package's own
        head=report_head(night),
        sections=report_sections(night),
        length=length(night),
    )


@cache
def _templates() -> Environment:
    return environment("monitord.reporting")


@dataclass(frozen=True, slots=True)
class Pictures:
    """What can be drawn on a page: its plots (None: nothing is recorded of it yet), of what time, and links."""

    plot: Callable[[Plot], Markup | None]
    span: str
    address: Callable[[Member], str]


def drawn(blocks: Iterable[Block], pictures: Pictures | None = None) -> Iterator[Block | Picture]:
    """Blocks with what is drawn of them; where there are no `pictures`, that is what needs no record and no page."""
    for block in blocks:
        match block:
            case Plot(caption=caption):
                if pictures is not None and (plot := pictures.plot(block)) is not None:
                    yield Figure(caption, plot)
            case Grid():
                yield _drawn_grid(block.without_plots() if pictures is None else block, pictures)
            case _:
                yield block


def _drawn_grid(grid: Grid, pictures: Pictures | None) -> Grid:
    rows = tuple((style, tuple(_drawn(cell, pictures) for cell in row)) for style, row in grid.rows)
    plots = {n: cell for _, row in grid.rows for n, cell in enumerate(row) if isinstance(cell, Plot)}
    if pictures is None or not plots:
        return replace(grid, rows=rows)
    keys = dict.fromkeys(plot.caption for plot in plots.values())
    header = tuple(pictures.span if n in plots else name for n, name in enumerate(grid.header))
    return replace(grid, caption="; ".join((grid.caption, *keys)), header=header, rows=rows)


def _drawn(cell: Cell, pictures: Pictures | None) -> str:
    match cell:
        case Meter():
            return meter(cell)
        case Plot() if pictures is not None:
            return pictures.plot(cell) or NOTHING
        case Member(name, _, remark) if pictures is not None:
            return joined(tag("a", name, href=pictures.address(cell)), remark)
    return in_words(cell)


def report_head(night: Report) -> ReportHead:
    """What a report begins with."""
    return ReportHead(style_of(night), night.headline, sentence(night.sentence), f"{length(night)}. {blindness(night)}")


def report_sections(night: Report) -> list[IllustratedSection]:
    """Everything below the verdict."""
    return [illustrated(section, night) for section in sections(night)]


def illustrated(
    section: Section, night: Report, anchors: Sequence[str] = (), anchor: str | None = None
) -> IllustratedSection:
    """A section with its pictures. `anchors` are ids for its parts, `anchor` one for itself."""
    before, after = _pictures(section.key, night)
    parts = zip_longest(section.parts, anchors[: len(section.parts)])
    return IllustratedSection(
        section.key,
        section.title,
        section.style,
        tuple(before),
        tuple(drawn(section.blocks)),
        tuple(after),
        tuple(illustrated(part, night, anchor=ident) for part, ident in parts),
        anchor,
    )


def _pictures(key: str, night: Report) -> tuple[list[Picture], list[Picture]]:
    span = TimeSpan(night.since, night.until)
    if key == "services" and night.services:
        plots = tuple(
            Figure(f"{service.name}: memory", memory_plot(f"memory-{n}", service, span))
            for n, service in enumerate(night.services, 1)
        )
        told = "Memory of each service's largest instance. Dotted: not running, or not seen."
        return [_strips(night, span)], [FigureSet(told, plots)]
    if key == "growth":
        return [
            Figure(f"{table.name}: rows per hour", growth_bars(f"growth-{n}", table, span))
            for n, table in enumerate(night.tables, 1)
        ], []
    if key == "checks" and night.checks:
        plots = tuple(
            Figure(f"{check.name}: {check.unit or 'its number'}", value_plot(f"check-{n}", check, span))
            for n, check in enumerate(night.checks, 1)
        )
        return [], [FigureSet("The number of each check against its limits. Dotted: there was none.", plots)]
    name, _, number = key.partition("-")
    if name == "sealing" and number:
        group = night.groups[int(number) - 1]
        told = "Delay from each label's due time to its seal, by label (UTC). "
        plot = Figure(told + _SEAL_KEY, seal_plot(f"seals-{number}", group))
        table = seal_grid(f"{group.group}: every label", list(group.seals))
        return [plot], [FoldedGrid(f"Every label of {group.group}", table)] if group.seals else []
    return [], []


def _strips(night: Report, span: TimeSpan) -> Strips:
    last = len(night.services)
    told = (
        "The night of each service. Thin: as expected. High and hatched: not as expected. Dotted: unknown. "
        "Arrow: a restart."
    )
    bands = (
        (service.name, strip(f"strip-{n}", service, span, axis=n == last or n % _HOURS_EVERY == 0))
        for n, service in enumerate(night.services, 1)
    )
    return Strips(told, tuple(bands))
