"""A night's report as one HTML page that needs nothing but itself: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from monitord.core.night import Night
from monitord.present.axes import Span
from monitord.present.charts import growth_bars, memory_plot, seal_plot, strip
from monitord.present.markup import Markup, joined, lines, tag
from monitord.present.night_outline import sections
from monitord.present.night_sections import Block, Bullets, Checklist, Facts, Grid, Says, Section, Verbatim
from monitord.present.night_watched import seal_grid
from monitord.present.night_words import STYLES, blindness, dated, length, sentence
from monitord.present.terminal import Style

_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_WORDS: Final[dict[Style | None, str]] = {
    "ok": "ok",
    "warning": "warning",
    "critical": "critical",
    "unknown": "unknown",
    None: "",
}
# What tells the marks apart without their colours, drawn in 16 x 16.
_SHAPES: Final[dict[Style | None, str]] = {
    "ok": "M8 1a7 7 0 1 0 0 14a7 7 0 1 0 0 -14ZM4.5 8.2l2.4 2.4L11.6 5.6",
    "warning": "M8 1.5L15 14.5H1ZM8 6v4M8 12.2v.1",
    "critical": "M5 1H11L15 5V11L11 15H5L1 11V5ZM5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4",
    "unknown": "M8 .8L15.2 8L8 15.2L.8 8ZM6.2 6.6a1.8 1.8 0 1 1 2.6 1.6q-.8 .4 -.8 1.2M8 11.4v.1",
}
# A list of services longer than this has the hours under every so many bands.
_HOURS_EVERY: Final = 8
_LONG: Final = 24


def report_html(night: Night) -> str:
    """The whole report as a page to open, to send or to print."""
    title = f"{night.verdict}: the night to {dated(night.until)}"
    css = files("monitord.present").joinpath("report.css").read_text(encoding="utf-8")
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
        _head(night),
        tag("main", *(_section(section, night) for section in sections(night))),
        tag("footer", tag("p", f"monitord: the night of {length(night)}. All times are UTC.")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _head(night: Night) -> Markup:
    style = STYLES[night.verdict]
    return tag(
        "header",
        tag("p", "The morning verdict", class_="kicker"),
        tag("h1", _mark(style, word=False), tag("span", night.verdict), class_="verdict"),
        tag("p", sentence(night.sentence), class_="sentence"),
        tag("p", f"{length(night)}. {blindness(night)}", class_="span"),
        class_=f"is-{style}",
    )


def _section(section: Section, night: Night) -> Markup:
    ident = f"h-{section.key}"
    before, after = _figures(section.key, night)
    return tag(
        "section",
        tag("h2", section.title, id=ident),
        *before,
        *(_block(block) for block in section.blocks),
        *(_part(part, night) for part in section.parts),
        *after,
        aria_labelledby=ident,
        class_=section.key,
    )


def _part(part: Section, night: Night) -> Markup:
    ident = f"h-{part.key}"
    before, after = _figures(part.key, night)
    return tag(
        "article",
        tag("h3", _mark(part.style) if part.style else None, tag("span", part.title), id=ident),
        *before,
        *(_block(block) for block in part.blocks),
        *after,
        aria_labelledby=ident,
        class_=f"part is-{part.style}" if part.style else "part",
    )


def _figures(key: str, night: Night) -> tuple[list[Markup], list[Markup]]:
    """The pictures of one section: those before its words, and those after."""
    span = Span(night.since, night.until)
    if key == "services" and night.services:
        return [_strips(night, span)], [
            tag("p", "Memory of each service's largest instance. Dotted: not running, or not seen.", class_="key"),
            tag(
                "div",
                *(
                    _figure(f"{service.name}: memory", memory_plot(f"memory-{n}", service, span))
                    for n, service in enumerate(night.services, 1)
                ),
                class_="plots",
            ),
        ]
    if key == "growth":
        plots = [
            _figure(f"{table.name}: rows per hour", growth_bars(f"growth-{n}", table, span))
            for n, table in enumerate(night.tables, 1)
        ]
        return plots, []
    name, _, number = key.partition("-")
    if name == "sealing" and number:
        group = night.groups[int(number) - 1]
        told = "Delay from each label's due time to its seal, by label (UTC). "
        plot = _figure(told + _SEAL_KEY, seal_plot(f"seals-{number}", group))
        every = tag(
            "details",
            tag("summary", f"Every label of {group.group}"),
            _grid(seal_grid(f"{group.group}: every label", list(group.seals))),
            class_="every",
        )
        return [plot], [every] if group.seals else []
    return [], []


_SEAL_KEY: Final = (
    "Disc: in time. Triangle: late. Ring: unusual. Cross on hatching: missed. Question mark on dots: unknown."
)


def _figure(caption: str, plot: Markup) -> Markup:
    return tag("figure", tag("figcaption", caption), plot)


def _strips(night: Night, span: Span) -> Markup:
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


def _block(block: Block) -> Markup:
    match block:
        case Says(words, style):
            return tag("p", words, class_=f"is-{style}" if style else None)
        case Bullets(bullets):
            return tag(
                "ul",
                *(tag("li", _mark(style) if style else None, tag("span", words)) for style, words in bullets),
                class_="marked" if any(style for style, _ in bullets) else None,
            )
        case Facts(pairs):
            return tag("dl", *(tag("div", tag("dt", name), tag("dd", words)) for name, words in pairs))
        case Checklist(items):
            return tag(
                "ul",
                *(
                    tag(
                        "li",
                        _mark(item.style, told=item.word),
                        tag("div", tag("h3", item.title), *(tag("p", reason) for reason in item.sentences)),
                    )
                    for item in items
                ),
                class_="checklist",
            )
        case Grid():
            return _grid(block)
        case Verbatim(title, words, urgent):
            return tag("details", tag("summary", title), tag("pre", lines(words)), open=urgent)


def _grid(grid: Grid) -> Markup:
    """A table; on a phone each row becomes a small list, and the roles keep it a table to those who listen."""
    marked = any(style for style, _ in grid.rows)
    header = [tag("th", "Mark", scope="col", role="columnheader")] if marked else []
    header += [
        tag("th", name, scope="col", role="columnheader", class_="number" if column in grid.right else None)
        for column, name in enumerate(grid.header)
    ]
    rows = [
        tag(
            "tr",
            tag("td", _mark(style), role="cell", class_="mark") if marked else None,
            *_cells(grid, row),
            role="row",
        )
        for style, row in grid.rows
    ]
    return tag(
        "table",
        tag("caption", grid.caption),
        tag("thead", tag("tr", *header, role="row"), role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        role="table",
    )


def _cells(grid: Grid, row: tuple[str, ...]) -> list[Markup]:
    first, *others = row
    cells = [tag("th", first, scope="row", role="rowheader", class_=_width(first))]
    for column, words in enumerate(others, 1):
        kind = "number" if column in grid.right else _width(words)
        cells.append(tag("td", words, role="cell", class_=kind, data_label=grid.header[column]))
    return cells


def _width(words: str) -> str | None:
    """The class of a cell with a word so long that it has to be broken anywhere; others are left whole."""
    return "long" if max(map(len, words.split()), default=0) > _LONG else None


def _mark(style: Style | None, *, word: bool = True, told: str = "") -> Markup:
    """A shape and a word; the colour only repeats them."""
    if style not in _SHAPES:
        return joined()
    sign = tag("svg", tag("path", d=_SHAPES[style]), viewBox="0 0 16 16", aria_hidden="true", class_="sign")
    return tag("span", sign, (told or _WORDS[style]) if word else None, class_=f"chip is-{style}")
