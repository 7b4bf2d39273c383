"""Text for a terminal: cleaned of what could command it, cut and wrapped by the cells it takes, coloured if wanted."""

import shutil
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from monitord.core.blocks import Block, Bullets, Checklist, FactTable, Grid, Paragraph, Section, Style, Verbatim

DEFAULT_WIDTH: Final = 80
_NARROWEST: Final = 40
_GAP: Final = "  "
_MARK_WIDTH: Final = 4
_ANSWER_WIDTH: Final = 7
MARKS: Final[dict[Style | None, str]] = {"ok": "ok", "warning": "warn", "critical": "CRIT", "unknown": "?", None: ""}

_CODES: Final[dict[Style, str]] = {
    "ok": "32",
    "warning": "33",
    "critical": "1;31",
    "unknown": "35",
    "bold": "1",
    "dim": "2",
}


@dataclass(frozen=True, slots=True)
class Terminal:
    """`width` in cells; whether colour is welcome."""

    width: int = DEFAULT_WIDTH
    colour: bool = False

    def paint(self, text: str, style: Style | None) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and style is not None and text else text

    def wrapped(self, text: str, indent: str = "  ", hanging: str | None = None) -> list[str]:
        cleaned = clean(text)
        wide = cells(cleaned) - len(cleaned)
        return textwrap.wrap(
            cleaned,
            # textwrap counts characters: where some take two cells, lines are made shorter by as many as there are.
            max(_NARROWEST // 2, self.width - max(0, wide)),
            initial_indent=indent,
            subsequent_indent=indent if hanging is None else hanging,
        )


def terminal(is_terminal: bool, environment: Mapping[str, str]) -> Terminal:
    """NO_COLOR and FORCE_COLOR have the last word on colour."""
    width = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns if is_terminal else DEFAULT_WIDTH
    if environment.get("COLUMNS", "").isdigit():
        width = int(environment["COLUMNS"]) or DEFAULT_WIDTH
    if environment.get("NO_COLOR"):
        colour = False
    elif environment.get("FORCE_COLOR"):
        colour = environment["FORCE_COLOR"] != "0"
    else:
        colour = is_terminal and environment.get("TERM") != "dumb"
    return Terminal(max(_NARROWEST, width), colour)


def clean(text: str) -> str:
    """`text` on one line and without anything that commands a terminal: escapes, controls, text direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\t\n\r" else "\N{REPLACEMENT CHARACTER}" for c in text)


def cells(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def clip(text: str, width: int) -> str:
    """`text`, cleaned, in at most `width` cells; an ellipsis stands for what is cut off."""
    text = clean(text)
    if cells(text) <= width and len(text) <= 4 * width:  # marks without a width of their own may pile up
        return text
    kept, used = [], 0
    for c in text[: 4 * width]:
        used += cells(c)
        if used > width - 1:
            break
        kept.append(c)
    return "".join(kept) + "…"


def table(
    screen: Terminal,
    header: Sequence[str],
    rows: Sequence[tuple[Style | None, Sequence[str]]],
    *,
    right: frozenset[int] = frozenset(),
    flexible: Sequence[int] = (1,),
    whole: bool = False,
) -> list[str]:
    """Columns that fit the screen: `flexible` ones give way, `right` ones hold numbers. A style is the first cell's.

    `whole`: what is cut off in a row that is not well stands in full below it.
    """
    cleaned = [[clip(cell, 4 * screen.width) for cell in row] for _, row in rows]
    widths = [max(cells(row[i]) for row in [list(header), *cleaned]) for i in range(len(header))]
    widths[0] = max(_MARK_WIDTH, widths[0])
    excess = 2 + sum(widths) + len(_GAP) * (len(widths) - 1) - screen.width
    for column in flexible:
        given = min(max(0, excess), max(0, widths[column] - 12))
        widths[column] -= given
        excess -= given
    lines = [screen.paint(_line(header, widths, right), "dim")]
    for (style, _), row in zip(rows, cleaned, strict=True):
        mark = _padded(row[0], widths[0], right=False)
        rest = _line(row[1:], widths[1:], frozenset(i - 1 for i in right), indent="")
        lines.append("  " + screen.paint(mark, style) + _GAP + rest)
        if whole and style not in (None, "ok"):
            cut = (cell for cell, width in zip(row, widths, strict=True) if cells(cell) > width)
            for cell in cut:
                lines += screen.wrapped(cell, " " * (_MARK_WIDTH + 4), " " * (_MARK_WIDTH + 4))
    return lines


def _line(row: Sequence[str], widths: Sequence[int], right: frozenset[int], indent: str = "  ") -> str:
    padded = [_padded(cell, width, right=i in right) for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
    return (indent + _GAP.join(padded)).rstrip()


def _padded(cell: str, width: int, *, right: bool) -> str:
    cell = clip(cell, width)
    space = " " * (width - cells(cell))
    return space + cell if right else cell + space


def section_lines(section: Section, screen: Terminal) -> Iterator[str]:
    yield screen.paint(clean(section.title), "bold")
    for block in section.blocks:
        yield from block_lines(block, screen, "  ")
    for number, part in enumerate(section.parts):
        yield from [""] if number else []
        yield from _part_lines(part, screen)


def _part_lines(part: Section, screen: Terminal) -> Iterator[str]:
    mark = f"  {MARKS[part.style]:{_MARK_WIDTH}}  " if part.style else "  "
    first, *more = screen.wrapped(part.title, mark, " " * len(mark))
    yield screen.paint(mark, part.style) + screen.paint(first[len(mark) :], "bold")
    yield from (screen.paint(line, "bold") for line in more)
    for block in part.blocks:
        yield from block_lines(block, screen, " " * len(mark) if part.style else "    ")


def with_mark(text: str, mark: str, style: Style | None, screen: Terminal) -> Iterator[str]:
    """A text behind its mark, which alone has the style."""
    first, *more = screen.wrapped(text, mark, " " * len(mark)) or [mark]
    yield screen.paint(mark, style) + first[len(mark) :]
    yield from more


def block_lines(block: Block, screen: Terminal, indent: str) -> Iterator[str]:
    match block:
        case Paragraph(text, style):
            yield from (screen.paint(line, style) for line in screen.wrapped(text, indent))
        case Bullets(items):
            for style, text in items:
                mark = f"{indent}{MARKS[style]:{_MARK_WIDTH}}  " if style else f"{indent}- "
                yield from with_mark(text, mark, style, screen)
        case FactTable(pairs, styles):
            width = max(cells(name) for name, _ in pairs)
            for name, text in pairs:
                head = f"{indent}{name:{width}}  "
                marked = f"{text}  {MARKS[style]}" if (style := styles.get(name)) else text
                for line in screen.wrapped(marked, head, " " * len(head)) or [head.rstrip()]:
                    yield screen.paint(line, style)
        case Checklist(items):
            width = max(_ANSWER_WIDTH, *(cells(item.word) for item in items))
            for item in items:
                mark = f"{indent}{item.word:{width}}  "
                yield from with_mark(item.title, mark, item.style, screen)
                for reason in item.sentences:
                    yield from screen.wrapped(reason, " " * len(mark), " " * (len(mark) + 2))
        case Grid():
            grid = block.without_plots()
            inner = Terminal(screen.width - len(indent) + 2, screen.colour)
            titles = ("", *(name.upper() for name in grid.header))
            rows = [(style, [MARKS[style], *row]) for style, row in grid.in_words()]
            numbers, flexible = frozenset(n + 1 for n in grid.right), [n + 1 for n in grid.flexible]
            for line in table(inner, titles, rows, right=numbers, flexible=flexible, whole=True):
                yield indent[2:] + line
        case Verbatim(title, text):
            yield from screen.wrapped(f"{title}:", indent)
            for row in text.splitlines():
                inside = f"{indent}| "
                yield from screen.wrapped(row, inside, inside) or [inside.rstrip()]
