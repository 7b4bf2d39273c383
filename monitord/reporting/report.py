"""The outline of a night's report, and its sections on what stands around monitoring: recap, blind spells, baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, FactTable, Grid, Paragraph, Section, Style
from monitord.core.report.model import Recap, Report
from monitord.reporting.blocks import criteria, incidents, still_open
from monitord.reporting.report_sections import MOST, growth, sealing, services
from monitord.reporting.status import added_sections
from monitord.reporting.wording import UNKNOWN, WHY_BLIND, dated, label, said, sentence, span, within


def sections(night: Report) -> tuple[Section, ...]:
    """The whole report below its verdict."""
    found = (
        criteria(night),
        *((still_open(night),) if night.open_warnings else ()),
        incidents(night),
        services(night),
        *((growth(night),) if night.tables else ()),
        # Where no epochs are watched there is nothing to say of them, either.
        *((sealing(night), recap(night)) if night.groups else ()),
        blind(night),
        baseline(night),
        *_added(night),
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
    found = night.baseline
    if found is None:
        return Section("baseline", title, (Paragraph("Unknown: no check is recorded.", "unknown"),))
    when = "at an unknown time" if night.baseline_at is None else f"at {dated(night.baseline_at)}"
    return Section("baseline", title, (Paragraph(f"As recorded {when}."), FactTable(tuple(_baseline(found)))))


def _baseline(found: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield "Status", str(found.get("status") or UNKNOWN)
    fleet = within(found, "services") or {}
    named = [
        f"{name} {within(service, 'state') or UNKNOWN} ({said(humanize.size, within(service, 'memory_bytes'))}, "
        f"up {said(humanize.duration, within(service, 'uptime_seconds'))})"
        if within(service, "memory_bytes") is not None
        else f"{name} {within(service, 'state') or UNKNOWN}"
        for name, service in fleet.items()
    ]
    yield "Services", "; ".join(named) or UNKNOWN
    size = said(humanize.size, within(found, "database", "bytes"))
    tables = [
        f"{name} {said(humanize.count, within(table, 'rows'))} rows "
        f"({said(humanize.size, within(table, 'total_bytes'))})"
        for name, table in (within(found, "growth") or {}).items()
    ]
    yield "Database", "; ".join([f"size {size}", *tables])
    sealed = [
        f"{name} {_newest(within(group, 'latest'))}, seal age "
        f"{said(humanize.duration, within(group, 'seal_age_seconds'))}"
        for name, group in (within(found, "epochs") or {}).items()
    ]
    if sealed:
        yield "Sealed", "; ".join(sealed)
        yield "Next epoch", _newest(within(found, "current_epoch", "next"))
    if within(found, "probes", "redis", "status") != "off":
        yield "Redis", said(lambda value: f"{humanize.count(value)} keys", within(found, "redis", "keys"))
    disks = [
        f"{path} {said(lambda value: f'{value:.1f}% used', within(disk, 'used_percent'))}"
        for path, disk in (within(found, "host", "disks") or {}).items()
    ]
    yield "Disks", "; ".join(disks) or UNKNOWN
    yield (
        "Memory",
        said(lambda value: f"{humanize.size(value)} available", within(found, "host", "memory_available_bytes")),
    )


def _added(night: Report) -> Iterator[Section]:
    """Those sections that their subjects say themselves, as last recorded."""
    if night.baseline is not None and "probes" in night.baseline:
        for subject, blocks in added_sections(dict(night.baseline)):
            state = night.baseline["probes"][subject.name]
            if state["status"] == "failed":
                why = state.get("error") or "it could not be measured"
                blocks = (Paragraph(sentence(f"Unknown: {why}"), "unknown"), *blocks)
            if state["status"] != "off":
                yield Section(subject.name, subject.heading, blocks)


def _newest(epoch: object) -> str:
    return label(epoch) if isinstance(epoch, int) else UNKNOWN
