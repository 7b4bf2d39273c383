"""A night's report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core.blocks import Block, Bullets, Checklist, FactTable, Grid, Paragraph, Section, Verbatim
from monitord.core.report.model import Report
from monitord.reporting.report import sections
from monitord.reporting.status import MARKS
from monitord.reporting.terminal import Terminal, cells, clean, table
from monitord.reporting.wording import blindness, length, sentence, style_of

# The widths that marks and answers are given, so that what follows them lines up.
_MARK: Final = 4
_ANSWER: Final = 7


def report_text(night: Report, screen: Terminal) -> str:
    """The whole report for people at a terminal."""
    style = style_of(night)
    lines = [screen.paint(line, style) for line in screen.wrapped(f"{night.headline}: {sentence(night.sentence)}", "")]
    lines += screen.wrapped(f"{length(night)}. {blindness(night)}", indent="")
    for section in sections(night):
        lines += ["", screen.paint(clean(section.title), "bold"), *_blocks(section, screen, "  ")]
        for number, part in enumerate(section.parts):
            lines += ["", *_part(part, screen)] if number else _part(part, screen)
    return "\n".join(lines) + "\n"


def _part(part: Section, screen: Terminal) -> list[str]:
    if part.style is None:
        return [screen.paint(line, "bold") for line in screen.wrapped(part.title)] + _blocks(part, screen, "    ")
    mark = f"  {MARKS[part.style]:{_MARK}}  "
    first, *more = screen.wrapped(part.title, indent=mark, hanging=" " * len(mark))
    title = screen.paint(mark, part.style) + screen.paint(first[len(mark) :], "bold")
    return [title, *(screen.paint(line, "bold") for line in more), *_blocks(part, screen, " " * len(mark))]


def _blocks(section: Section, screen: Terminal, indent: str) -> list[str]:
    return [line for block in section.blocks for line in _block(block, screen, indent)]


def _block(block: Block, screen: Terminal, indent: str) -> Iterator[str]:
    match block:
        case Paragraph(text, style):
            yield from (screen.paint(line, style) for line in screen.wrapped(text, indent))
        case Bullets(items):
            for style, text in items:
                mark = f"{indent}{MARKS[style]:{_MARK}}  " if style else f"{indent}- "
                first, *more = screen.wrapped(text, mark, " " * len(mark)) or [mark]
                yield screen.paint(mark, style) + first[len(mark) :]
                yield from more
        case FactTable(pairs):
            width = max(cells(name) for name, _ in pairs)
            for name, text in pairs:
                head = f"{indent}{name:{width}}  "
                yield from screen.wrapped(text, head, " " * len(head)) or [head.rstrip()]
        case Checklist(items):
            for item in items:
                mark = f"{indent}{item.word:{_ANSWER}}  "
                first, *more = screen.wrapped(item.title, mark, " " * len(mark)) or [mark]
                yield screen.paint(mark, item.style) + first[len(mark) :]
                yield from more
                for reason in item.sentences:
                    yield from screen.wrapped(reason, " " * len(mark), " " * (len(mark) + 2))
        case Grid(_, header, rows, right, flexible):
            inner = Terminal(screen.width - len(indent) + 2, screen.colour)
            titles = ("", *(name.upper() for name in header))
            cleaned = [(style, [MARKS[style], *row]) for style, row in rows]
            numbers = frozenset(column + 1 for column in right)
            for line in table(inner, titles, cleaned, right=numbers, flexible=[column + 1 for column in flexible]):
                yield indent[2:] + line
        case Verbatim(title, text):
            yield from screen.wrapped(f"{title}:", indent)
            for said in text.splitlines():
                inside = f"{indent}| "
                yield from screen.wrapped(said, inside, inside) or [inside.rstrip()]
