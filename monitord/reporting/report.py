"""The outline of a report, its sections on monitoring itself (blind spells, baseline), and it all for a terminal."""

from dataclasses import replace

from monitord.core.blocks import Bullets, FactTable, Paragraph, Section, Style, without_plots
from monitord.core.humanize import dated, sentence
from monitord.core.report.model import Report
from monitord.core.report.wording import MOST, WHY_BLIND, blindness, length, span, style_of
from monitord.core.status import read_status
from monitord.core.subjects.registry import registered
from monitord.reporting import kept
from monitord.reporting.blocks import criteria, incidents, preparation, still_open
from monitord.reporting.sections import StatusView, subject_sections
from monitord.reporting.terminal import Terminal, section_lines


def sections(report: Report) -> tuple[Section, ...]:
    found = (
        criteria(report),
        *((preparation(report),) if report.preparation else ()),
        *((still_open(report),) if report.open_warnings else ()),
        incidents(report),
        *(section for subject in registered() for section in subject.report(report)),
        *kept.sections(report),
        blind(report),
        baseline(report),
    )
    notes = Section("notes", "Notes", (Bullets(tuple((None, sentence(note)) for note in report.notes)),))
    return (*found, notes) if report.notes else found


def blind(report: Report) -> Section:
    title = "What the monitor could not see"
    if not report.blind:
        nothing = "Nothing: every probe was seen throughout." if report.blind_minutes <= 0 else "No spell is recorded."
        return Section("blind", title, (Paragraph(nothing),))
    items: list[tuple[Style | None, str]] = []
    for found in report.blind[:MOST]:
        why = WHY_BLIND.get(found.why, found.why) + (f": {found.error}" if found.error else "")
        items.append(("unknown", sentence(f"{found.probe} {span(found.start, found.end, report)}: {why}")))
    if len(report.blind) > MOST:
        items.append(("unknown", f"And {len(report.blind) - MOST} spells more."))
    return Section("blind", title, (Bullets(tuple(items)),))


def baseline(report: Report) -> Section:
    title = "Baseline of now"
    if report.baseline is None:
        return Section("baseline", title, (Paragraph("Unknown: no check is recorded.", "unknown"),))
    when = "at an unknown time" if report.baseline_at is None else f"at {dated(report.baseline_at)}"
    try:
        found = read_status(report.baseline)
    except (ValueError, TypeError, KeyError):  # another monitord wrote it
        return Section("baseline", title, (Paragraph(f"Unknown: what is recorded {when} cannot be read.", "unknown"),))
    view = StatusView(found, report.orders, report.baseline_at or report.until)
    facts = FactTable((("Status", found.status),))
    parts = tuple(
        replace(part, key=f"now-{part.key}", blocks=tuple(without_plots(part.blocks)))
        for part in subject_sections(view)
    )
    return Section("baseline", title, (Paragraph(f"As recorded {when}."), facts), parts)


def report_text(report: Report, screen: Terminal) -> str:
    style = style_of(report)
    lines = [
        screen.paint(line, style) for line in screen.wrapped(f"{report.headline}: {sentence(report.sentence)}", "")
    ]
    lines += screen.wrapped(f"{length(report)}. {blindness(report)}", indent="")
    for section in sections(report):
        lines += ["", *section_lines(section, screen)]
    return "\n".join(lines) + "\n"
