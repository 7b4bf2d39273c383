"""A night's report as one HTML page that needs nothing but itself: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from itertools import zip_longest
from typing import Final

from monitord.core.blocks import Section
from monitord.core.report.model import Report
from monitord.reporting.charts.axes import TimeSpan
from monitord.reporting.charts.plots import growth_bars, memory_plot, seal_plot, strip
from monitord.reporting.charts.svg import Markup, tag
from monitord.reporting.components import block_html, figure, grid, mark
from monitord.reporting.report import sections
from monitord.reporting.report_sections import seal_grid
from monitord.reporting.wording import blindness, dated, length, sentence, style_of

_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# A list of services longer than this has the hours under every so many bands.
_HOURS_EVERY: Final = 8


def report_html(night: Report) -> str:
    """The whole report as a page to open, to send or to print."""
    title = f"{night.headline}: the night to {dated(night.until)}"
    css = files("monitord.reporting").joinpath("report.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_CSP),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(css)),
    )
    body = tag(
        "body",
        report_head(night),
        tag("main", *report_sections(night)),
        tag("footer", tag("p", f"monitord: the night of {length(night)}. All times are UTC.")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def report_head(night: Report) -> Markup:
    """The verdict, its sentence, and what time it is about."""
    style = style_of(night)
    return tag(
        "header",
        tag("p", "The morning verdict", class_="kicker"),
        tag("h1", mark(style, word=False), tag("span", night.headline), class_="verdict"),
        tag("p", sentence(night.sentence), class_="sentence"),
        tag("p", f"{length(night)}. {blindness(night)}", class_="span"),
        class_=f"is-{style}",
    )


def report_sections(night: Report) -> list[Markup]:
    """Everything below the verdict."""
    return [section_html(section, night) for section in sections(night)]


def section_html(section: Section, night: Report, anchors: Sequence[str] = ()) -> Markup:
    """One section with its parts and pictures. `anchors` are ids for its parts, where something links to them."""
    ident = f"h-{section.key}"
    before, after = _figures(section.key, night)
    return tag(
        "section",
        tag("h2", section.title, id=ident),
        *before,
        *(block_html(block) for block in section.blocks),
        *(_part(part, night, anchor) for part, anchor in zip_longest(section.parts, anchors[: len(section.parts)])),
        *after,
        aria_labelledby=ident,
        class_=section.key,
    )


def _part(part: Section, night: Report, anchor: str | None = None) -> Markup:
    ident = f"h-{part.key}"
    before, after = _figures(part.key, night)
    return tag(
        "article",
        tag("h3", mark(part.style) if part.style else None, tag("span", part.title), id=ident),
        *before,
        *(block_html(block) for block in part.blocks),
        *after,
        id=anchor,
        aria_labelledby=ident,
        class_=f"part is-{part.style}" if part.style else "part",
    )


def _figures(key: str, night: Report) -> tuple[list[Markup], list[Markup]]:
    """The pictures of one section: those before its words, and those after."""
    span = TimeSpan(night.since, night.until)
    if key == "services" and night.services:
        return [_strips(night, span)], [
            tag("p", "Memory of each service's largest instance. Dotted: not running, or not seen.", class_="key"),
            tag(
                "div",
                *(
                    figure(f"{service.name}: memory", memory_plot(f"memory-{n}", service, span))
                    for n, service in enumerate(night.services, 1)
                ),
                class_="plots",
            ),
        ]
    if key == "growth":
        plots = [
            figure(f"{table.name}: rows per hour", growth_bars(f"growth-{n}", table, span))
            for n, table in enumerate(night.tables, 1)
        ]
        return plots, []
    name, _, number = key.partition("-")
    if name == "sealing" and number:
        group = night.groups[int(number) - 1]
        told = "Delay from each label's due time to its seal, by label (UTC). "
        plot = figure(told + _SEAL_KEY, seal_plot(f"seals-{number}", group))
        every = tag(
            "details",
            tag("summary", f"Every label of {group.group}"),
            grid(seal_grid(f"{group.group}: every label", list(group.seals))),
            class_="every",
        )
        return [plot], [every] if group.seals else []
    return [], []


_SEAL_KEY: Final = (
    "Disc: in time. Triangle: late. Ring: unusual. Cross on hatching: missed. Dash: nobody took part. "
    "Question mark on dots: unknown."
)


def _strips(night: Report, span: TimeSpan) -> Markup:
    last = len(night.services)
    bands = [
        tag(
            "div",
            tag("p", service.name, class_="name"),
            strip(f"strip-{n}", service, span, axis=n == last or n % _HOURS_EVERY == 0),
            class_="band",
        )
        for n, service in enumerate(night.services, 1)
    ]
    told = (
        "The night of each service. Thin: as expected. High and hatched: not as expected. Dotted: unknown. "
        "Arrow: a restart."
    )
    return tag("figure", tag("figcaption", told), *bands, class_="strips")
