"""A night's report for a terminal."""

from __future__ import annotations

from typing import Final

from monitord.core.blocks import Section
from monitord.core.report.model import Report
from monitord.reporting.report import sections
from monitord.reporting.terminal import MARKS, Terminal, block_lines, clean
from monitord.reporting.wording import blindness, length, sentence, style_of

# The width that a mark is given, so that what follows it lines up.
_MARK: Final = 4


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
    return [line for block in section.blocks for line in block_lines(block, screen, indent)]
