"""A report for a terminal."""

from __future__ import annotations

from monitord.core.report.model import Report
from monitord.core.report.wording import blindness, length, sentence, style_of
from monitord.reporting.report import sections
from monitord.reporting.terminal import Terminal, section_lines


def report_text(night: Report, screen: Terminal) -> str:
    """The whole report for people at a terminal."""
    style = style_of(night)
    lines = [screen.paint(line, style) for line in screen.wrapped(f"{night.headline}: {sentence(night.sentence)}", "")]
    lines += screen.wrapped(f"{length(night)}. {blindness(night)}", indent="")
    for section in sections(night):
        lines += ["", *section_lines(section, screen)]
    return "\n".join(lines) + "\n"
