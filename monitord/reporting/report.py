"""The outline of a report, and its sections on monitoring itself: blind spells, baseline."""

from __future__ import annotations

from dataclasses import replace

from monitord.core.blocks import Bullets, FactTable, Paragraph, Section, Style, without_plots
from monitord.core.report.model import Report
from monitord.core.report.wording import MOST, WHY_BLIND, dated, sentence, span
from monitord.core.status import read_status
from monitord.core.subjects.registry import registered
from monitord.reporting import kept
from monitord.reporting.blocks import criteria, incidents, preparation, still_open
from monitord.reporting.sections import StatusView, subject_sections


def sections(night: Report) -> tuple[Section, ...]:
    """The whole report below its verdict."""
    found = (
        criteria(night),
        *((preparation(night),) if night.preparation else ()),
        *((still_open(night),) if night.open_warnings else ()),
        incidents(night),
        *(section for subject in registered() for section in subject.report(night)),
        *kept.sections(night),
        blind(night),
        baseline(night),
    )
    notes = Section("notes", "Notes", (Bullets(tuple((None, sentence(note)) for note in night.notes)),))
    return (*found, notes) if night.notes else found


def blind(night: Report) -> Section:
    """What the monitor itself could not see."""
    title = "What the monitor could not see"
    if not night.blind:
        nothing = "Nothing: every probe was seen throughout." if night.blind_minutes <= 0 else "No spell is recorded."
        return Section("blind", title, (Paragraph(nothing),))
    items: list[tuple[Style | None, str]] = []
    for found in night.blind[:MOST]:
        why = WHY_BLIND.get(found.why, found.why) + (f": {found.error}" if found.error else "")
        items.append(("unknown", sentence(f"{found.probe} {span(found.start, found.end, night)}: {why}")))
    if len(night.blind) > MOST:
        items.append(("unknown", f"And {len(night.blind) - MOST} spells more."))
    return Section("blind", title, (Bullets(tuple(items)),))


def baseline(night: Report) -> Section:
    """How things stand now, as last recorded."""
    title = "Baseline of now"
    if night.baseline is None:
        return Section("baseline", title, (Paragraph("Unknown: no check is recorded.", "unknown"),))
    when = "at an unknown time" if night.baseline_at is None else f"at {dated(night.baseline_at)}"
    try:
        found = read_status(night.baseline)
    except (ValueError, TypeError, KeyError):  # another monitord wrote it
        return Section("baseline", title, (Paragraph(f"Unknown: what is recorded {when} cannot be read.", "unknown"),))
    view = StatusView(found, night.orders, night.baseline_at or night.until)
    facts = FactTable((("Status", found.status),))
    parts = tuple(
        replace(part, key=f"now-{part.key}", blocks=tuple(without_plots(part.blocks)))
        for part in subject_sections(view)
    )
    return Section("baseline", title, (Paragraph(f"As recorded {when}."), facts), parts)
