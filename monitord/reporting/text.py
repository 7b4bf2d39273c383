"""A report for a terminal."""

from __future__ import annotations

from monitord.core.report.model import Report
from monitord.core.report.wording import blindness, length, sentence, style_of
from monitord.reporting.report import sections
from monitord.reporting.terminal import Terminal, section_lines


def report_text(report: Report, screen: Terminal) -> str:
    style = style_of(report)
    lines = [
        screen.paint(line, style) for line in screen.wrapped(f"{report.headline}: {sentence(report.sentence)}", "")
    ]
    lines += screen.wrapped(f"{length(report)}. {blindness(report)}", indent="")
    for section in sections(report):
        lines += ["", *section_lines(section, screen)]
    return "\n".join(lines) + "\n"
