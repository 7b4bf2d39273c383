"""The pieces that every page is made of: marks, tables, figures, and the blocks of a report's sections."""

from __future__ import annotations

from typing import Final

from monitord.core.blocks import Block, Bullets, Checklist, FactTable, Grid, Paragraph, Style, Verbatim
from monitord.reporting.charts.svg import Markup, joined, lines, tag

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
# A word longer than this may be broken anywhere.
_LONG: Final = 24


def figure(caption: str, plot: Markup) -> Markup:
    """A plot with its caption."""
    return tag("figure", tag("figcaption", caption), plot)


def block_html(block: Block) -> Markup:
    """One block of a report's section."""
    match block:
        case Paragraph(words, style):
            return tag("p", words, class_=f"is-{style}" if style else None)
        case Bullets(bullets):
            return tag(
                "ul",
                *(tag("li", mark(style) if style else None, tag("span", words)) for style, words in bullets),
                class_="marked" if any(style for style, _ in bullets) else None,
            )
        case FactTable(pairs):
            return tag("dl", *(tag("div", tag("dt", name), tag("dd", words)) for name, words in pairs))
        case Checklist(items):
            return tag(
                "ul",
                *(
                    tag(
                        "li",
                        mark(item.style, told=item.word),
                        tag("div", tag("h3", item.title), *(tag("p", reason) for reason in item.sentences)),
                    )
                    for item in items
                ),
                class_="checklist",
            )
        case Grid():
            return grid(block)
        case Verbatim(title, words, urgent):
            return tag("details", tag("summary", title), tag("pre", lines(words)), open=urgent)


def grid(content: Grid) -> Markup:
    """A table; on a phone each row becomes a small list, and the roles keep it a table to those who listen."""
    marked = any(style for style, _ in content.rows)
    header = [tag("th", "Mark", scope="col", role="columnheader", class_="mark")] if marked else []
    header += [
        tag("th", name, scope="col", role="columnheader", class_="number" if column in content.right else None)
        for column, name in enumerate(content.header)
    ]
    rows = [
        tag(
            "tr",
            tag("td", mark(style), role="cell", class_="mark") if marked else None,
            *_cells(content, row),
            role="row",
        )
        for style, row in content.rows
    ]
    return tag(
        "table",
        tag("caption", content.caption),
        tag("thead", tag("tr", *header, role="row"), role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        role="table",
    )


def _cells(content: Grid, row: tuple[str, ...]) -> list[Markup]:
    first, *others = row
    cells = [tag("th", first, scope="row", role="rowheader", class_=_width(first))]
    for column, words in enumerate(others, 1):
        kind = "number" if column in content.right else _width(words)
        cells.append(tag("td", words, role="cell", class_=kind, data_label=content.header[column]))
    return cells


def _width(words: str) -> str | None:
    """The class of a cell with a word so long that it has to be broken anywhere; others are left whole."""
    if isinstance(words, Markup):
        return None
    return "long" if max(map(len, words.split()), default=0) > _LONG else None


def mark(style: Style | None, *, word: bool = True, told: str = "") -> Markup:
    """A shape and a word; the colour only repeats them."""
    if style not in _SHAPES:
        return joined()
    sign = tag("svg", tag("path", d=_SHAPES[style]), viewBox="0 0 16 16", aria_hidden="true", class_="sign")
    return tag("span", sign, (told or _WORDS[style]) if word else None, class_=f"chip is-{style}")
