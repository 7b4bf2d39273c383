"""The outline of a night's report, and its sections on what stands around monitoring: recap, blind spells, baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, FactTable, Grid, Paragraph, Section, Style
from monitord.core.report.model import Recap, Report
from monitord.core.status import read_status
from monitord.reporting.blocks import criteria, incidents, still_open
from monitord.reporting.report_sections import MOST, checks, growth, sealing, services
from monitord.reporting.sections import StatusView, subject_sections
from monitord.reporting.wording import UNKNOWN, WHY_BLIND, dated, said, sentence, span


def sections(night: Report) -> tuple[Section, ...]:
    """The whole report below its verdict."""
    found = (
        criteria(night),
        *((still_open(night),) if night.open_warnings else ()),
        incidents(night),
        services(night),
        *((growth(night),) if night.tables else ()),
        *((checks(night),) if night.checks else ()),
        # Where no epochs are watched there is nothing to say of them, either.
        *((sealing(night), recap(night)) if night.groups else ()),
        blind(night),
        baseline(night),
    )
    notes = Section("notes", "Notes", (Bullets(tuple((None, sentence(note)) for note in night.notes)),))
    return (*found, notes) if night.notes else found


def recap(night: Report) -> Section:
    """The two tiers of the token distribution, as counts."""
    title = "Two-tier recap"
    if night.recap is None:
        why = f"Unknown: {night.recap_error}" if night.recap_error else "Unknown: the database was not asked."
        return Section("recap", title, (Paragraph(sentence(why), "unknown"),))
    if not night.recap:
        return Section("recap", title, (Paragraph("No groups are watched."),))
    header = ("Group", "Channels", "Records", "Viewers", "Categories", "Leader (viewers)")
    rows = tuple((None, tuple(_tier(tier))) for tier in night.recap)
    blocks: list[Block] = [
        Grid(
            "Channels, participant records, unique viewers and categories",
            header,
            rows,
            frozenset({1, 2, 3, 4}),
            (5, 0),
        )
    ]
    if any(tier.capped for tier in night.recap):
        blocks.append(Paragraph("A + stands for at least so many: not all were counted."))
    return Section("recap", title, tuple(blocks))


def _tier(tier: Recap) -> Iterator[str]:
    more = "+" if tier.capped else ""
    yield tier.group
    for number in (tier.channels, tier.participant_records, tier.unique_viewers, tier.categories):
        yield UNKNOWN if number is None else humanize.count(number) + more
    if tier.leader is None:
        yield UNKNOWN
    else:
        yield f"{tier.leader} ({said(humanize.count, tier.leader_viewers)})"


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
    parts = tuple(replace(part, key=f"now-{part.key}") for part in subject_sections(view))
    return Section("baseline", title, (Paragraph(f"As recorded {when}."), facts), parts)
