"""A report as one HTML page that needs nothing but itself: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from typing import ClassVar

from jinja2 import Environment
from markupsafe import Markup

from monitord.core.blocks import Block, Cell, FoldedGrid, Grid, Member, Meter, Plot, Plots, Section, Style, in_words
from monitord.core.humanize import NOTHING, dated, sentence
from monitord.core.report.model import Report
from monitord.core.report.wording import blindness, length, style_of
from monitord.reporting.charts.report_plots import report_plots
from monitord.reporting.charts.spark import meter
from monitord.reporting.charts.svg import joined, tag
from monitord.reporting.report import sections
from monitord.reporting.templating import environment


@dataclass(frozen=True, slots=True)
class Figure:
    kind: ClassVar[str] = "figure"
    caption: str
    plot: Markup


@dataclass(frozen=True, slots=True)
class FigureSet:
    kind: ClassVar[str] = "figures"
    key: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Strips:
    kind: ClassVar[str] = "strips"
    caption: str
    bands: tuple[Figure, ...]


Picture = Figure | FigureSet | Strips


@dataclass(frozen=True, slots=True)
class IllustratedSection:
    """`anchor`: its id, where it is linked to."""

    key: str
    title: str
    style: Style | None
    blocks: tuple[Block | Picture, ...]
    parts: tuple[IllustratedSection, ...] = ()
    anchor: str | None = None
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class ReportHead:
    style: Style
    headline: str
    sentence: str
    span: str


def report_html(report: Report) -> str:
    css = files("monitord.reporting").joinpath("report.css").read_text(encoding="utf-8")
    template = _templates().get_template("standalone.html")
    return template.render(
        title=f"{report.headline}: the report to {dated(report.until)}",
        css=Markup(css),  # noqa: S704 - the package's own
        head=report_head(report),
        sections=report_sections(report),
        length=length(report),
    )


@cache
def _templates() -> Environment:
    return environment("monitord.reporting")


@dataclass(frozen=True, slots=True)
class Pictures:
    """What can be drawn on a page: its plots (None: nothing is recorded of it yet), of what time, and links."""

    plot: Callable[[Plot], Markup | None]
    span: str = ""
    address: Callable[[Member], str] | None = None


def drawn(blocks: Iterable[Block], pictures: Pictures | None = None) -> Iterator[Block | Picture]:
    """Blocks with what is drawn of them; where there are no `pictures`, that is what needs no record and no page."""
    for block in blocks:
        match block:
            case Plot(caption=caption):
                if pictures is not None and (plot := pictures.plot(block)) is not None:
                    yield Figure(caption, plot)
            case Plots(plots, key, are_bands):
                figures = tuple(figure for figure in drawn(plots, pictures) if isinstance(figure, Figure))
                if figures:
                    yield Strips(key, figures) if are_bands else FigureSet(key, figures)
            case FoldedGrid(title, table):
                yield FoldedGrid(title, _drawn_grid(table, pictures))
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
        case Member(name, _, remark) if pictures is not None and pictures.address is not None:
            return joined(tag("a", name, href=pictures.address(cell)), remark)
    return in_words(cell)


def report_head(report: Report) -> ReportHead:
    return ReportHead(
        style_of(report), report.headline, sentence(report.sentence), f"{length(report)}. {blindness(report)}"
    )


def report_sections(report: Report) -> list[IllustratedSection]:
    pictures = Pictures(report_plots(report))
    return [illustrated(section, pictures) for section in sections(report)]


def illustrated(
    section: Section, pictures: Pictures | None = None, anchors: Sequence[str] = (), anchor: str | None = None
) -> IllustratedSection:
    """`anchors` are ids for its parts, `anchor` one for itself."""
    parts = zip_longest(section.parts, anchors[: len(section.parts)])
    return IllustratedSection(
        section.key,
        section.title,
        section.style,
        tuple(drawn(section.blocks, pictures)),
        tuple(illustrated(part, pictures, anchor=ident) for part, ident in parts),
        anchor,
        section.is_over,
    )
