"""The sections of a night's report on what was watched: services, growth, sealing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, Grid, Paragraph, Section, Style
from monitord.core.report.model import BlindSpell, GroupReport, Hour, Report, SealReport, ServiceReport, TableReport
from monitord.core.subjects.check_rules import in_words
from monitord.core.subjects.check_rules import said as number
from monitord.reporting.wording import (
    NOTHING,
    SEALS,
    UNKNOWN,
    at,
    is_ordinary,
    label,
    minute,
    restarts,
    said,
    seal_channels,
    seal_state,
    span,
    spells,
)

# A list longer than this is not read; the JSON form has all of it.
MOST: Final = 12
# So many spells of one kind are named one by one.
_FEW: Final = 3


def services(night: Report) -> Section:
    """Each service: how it stands, its memory against the limit, its restarts, and what was not as expected."""
    if not night.services:
        return Section("services", "Services", (Paragraph("No services were watched."),))
    rows = tuple(
        (
            told(service.ok),
            (
                service.name,
                service.word or UNKNOWN,
                service.expected or NOTHING,
                said(humanize.size, service.memory_peak),
                said(minute, service.memory_peak_at, NOTHING),
                _restarts(service),
            ),
        )
        for service in night.services
    )
    header = ("Service", "State", "Expected", "Peak memory", "At (UTC)", "Restarts")
    blocks: list[Block] = [Grid("Services at the end of the night", header, rows, frozenset({3, 5}), (0, 1, 2))]
    blocks.append(Paragraph(_limits(night.services)))
    apart = tuple(_apart(night))
    if apart:
        blocks.append(Bullets(apart))
    return Section("services", "Services", tuple(blocks))


def _restarts(service: ServiceReport) -> str:
    """How many there were; a service that was never seen may have had any number."""
    number = sum(service.restarts.values())
    is_seen = any(part.state != "unknown" for part in service.stretches)
    return humanize.count(number) if number or is_seen else UNKNOWN


def told(ok: bool | None) -> Style:
    """The style of a thing that is as expected, is not, or cannot be told."""
    return "unknown" if ok is None else "ok" if ok else "critical"


def _limits(found: tuple[ServiceReport, ...]) -> str:
    by_limit: dict[int, list[str]] = {}
    for service in found:
        by_limit.setdefault(service.memory_limit, []).append(service.name)
    common = max(by_limit, key=lambda limit: len(by_limit[limit]))
    others = [
        f"{humanize.listed(names)} {humanize.size(limit)}" for limit, names in by_limit.items() if limit != common
    ]
    return f"Memory limit: {humanize.size(common)} a service" + (f"; {'; '.join(others)}." if others else ".")


def _apart(night: Report) -> Iterator[tuple[Style | None, str]]:
    """Sentences on what was not as expected, one for all services of which the same is true, and on restarts."""
    alike: dict[tuple[Style, str], list[str]] = {}
    for service in night.services:
        for key in _spells(service, night):
            alike.setdefault(key, []).append(service.name)
    for (style, what), names in alike.items():
        yield style, f"{humanize.listed(names, most=MOST)} {'was' if len(names) == 1 else 'were'} {what}."
    for service in night.services:
        if any(service.restarts.values()):
            moments = [at(part.start, night) for part in service.stretches if part.state == "restarted"]
            when = f", at {humanize.listed(moments, most=MOST)}" if moments else ""
            yield "warning", f"{service.name} restarted: {restarts(service)}{when}."


def _spells(service: ServiceReport, night: Report) -> Iterator[tuple[Style, str]]:
    styles: dict[str, Style] = {"wrong": "critical", "unconfirmed": "warning", "unknown": "unknown"}
    for state, style in styles.items():
        doubt = ", not confirmed by a second check" if state == "unconfirmed" else ""
        by_word: dict[str, list[BlindSpell]] = {}
        for part in service.stretches:
            if part.state == state:
                by_word.setdefault(part.word or UNKNOWN, []).append(part)
        for word, found in by_word.items():
            if len(found) <= _FEW:
                yield style, f"{word} {humanize.listed([span(part.start, part.end, night) for part in found])}{doubt}"
            else:
                total = humanize.duration(sum(part.end - part.start for part in found))
                between = f"between {at(found[0].start, night)} and {at(found[-1].end, night)}"
                yield style, f"{word} {len(found)} times, {total} in all, {between}{doubt}"


def growth(night: Report) -> Section:
    """Each watched table's rows against the limit."""
    if not night.tables:
        return Section("growth", "Database growth", (Paragraph("No tables were watched."),))
    rows = tuple(
        (
            _growth_style(table),
            (
                table.name,
                said(humanize.count, table.gained),
                said(humanize.count, table.per_hour),
                said(humanize.count, table.most),
                humanize.count(table.limit),
            ),
        )
        for table in night.tables
    )
    header = ("Table", "Rows gained", "Per hour", "Busiest hour", "Limit")
    blocks: list[Block] = [Grid("Rows gained, and per hour", header, rows, frozenset({1, 2, 3, 4}))]
    apart = [item for table in night.tables for item in _hours(table, night)]
    if apart:
        blocks.append(Bullets(tuple(apart)))
    return Section("growth", "Database growth", tuple(blocks))


def checks(night: Report) -> Section:
    """Each check's numbers against its limits."""
    rows: list[tuple[Style | None, tuple[str, ...]]] = []
    for check in night.checks:
        known = [value for _, value in check.values if value is not None]
        least, most = (number(end(known), check.unit) if known else UNKNOWN for end in (min, max))
        limits = (("warning", check.warning), ("critical", check.critical))
        told = ", ".join(f"{name} {in_words(limit, check.unit)}" for name, limit in limits if limit is not None)
        rows.append((None, (check.name, check.type, least, most, told)))
    header = ("Check", "Type", "Least", "Most", "Limits")
    grid = Grid("The number of each check", header, tuple(rows), frozenset({2, 3}), (0, 4))
    return Section("checks", "Checks", (grid,))


def _growth_style(table: TableReport) -> Style:
    if table.most is not None and table.most > table.limit:
        return "warning"
    return "unknown" if table.per_hour is None else "ok"


def is_above(hour: Hour, table: TableReport) -> bool:
    """Whether a whole hour gained more than the limit. The ends of the night are parts of one, and say less."""
    whole = max(other.end - other.start for other in table.hours)
    rate = hour.per_hour
    return rate is not None and rate > table.limit and hour.end - hour.start > 0.99 * whole


def _hours(table: TableReport, night: Report) -> Iterator[tuple[Style | None, str]]:
    above = [
        f"{humanize.count(hour.per_hour)} {span(hour.start, hour.end, night)}"
        for hour in table.hours
        if is_above(hour, table) and hour.per_hour is not None
    ]
    if above:
        yield "warning", f"{table.name} was above its limit, in rows an hour: {humanize.listed(above, most=MOST)}."
    blank = spells((hour.start, hour.end) for hour in table.hours if hour.rows is None)
    if blank:
        named = [span(start, end, night) for start, end in blank]
        yield "unknown", f"{table.name}: the growth is unknown {humanize.listed(named, most=MOST)}."


def sealing(night: Report) -> Section:
    """Each group's labels: how they came, and by name the ones that did not come as they should."""
    if not night.groups:
        return Section("sealing", "Epoch sealing", (Paragraph("No groups were watched."),))
    parts = tuple(
        Section(f"sealing-{number}", group.group, tuple(_group(group))) for number, group in enumerate(night.groups, 1)
    )
    return Section("sealing", "Epoch sealing", parts=parts)


def _group(group: GroupReport) -> Iterator[Block]:
    yield Paragraph(f"{_summed(group.seals)} Grace: {humanize.duration(group.grace)}.")
    usual = group.usual
    half = said(humanize.duration, usual.median, "an unknown time")
    most = (
        "too few to tell what nearly all come in" if usual.most is None else f"99% in {humanize.duration(usual.most)}"
    )
    days = humanize.duration(usual.days * 86400.0)
    if usual.count:
        yield Paragraph(f"Usual, by {humanize.count(usual.count)} seals of {days}: half come in {half}, {most}.")
    else:
        yield Paragraph("What is usual is unknown: no seals are remembered.")
    named = [seal for seal in group.seals if seal.state != "unknown" and not is_ordinary(seal)]
    if named:
        yield seal_grid(f"{group.group}: labels to look at", named)
    unknown = [label(seal.label) for seal in group.seals if seal.state == "unknown"]
    items: list[tuple[Style | None, str]] = [
        (
            "warning",
            f"{label(seal.label)} was not sealed for {humanize.listed(list(seal.unsealed_channels), most=MOST)}.",
        )
        for seal in named
        if seal.unsealed_channels
    ]
    if unknown:
        items.append(("unknown", f"Nothing is known of {humanize.listed(unknown, most=MOST)}."))
    if group.silent:
        silent = humanize.listed(list(group.silent), most=MOST)
        items.append(("warning", f"Silent for longer than ever before: {silent}."))
    if items:
        yield Bullets(tuple(items))


def _summed(seals: tuple[SealReport, ...]) -> str:
    if not seals:
        return "No labels were due."
    counts = {state: sum(1 for seal in seals if seal.state == state) for state in SEALS}
    named = {
        "sealed": "sealed in time",
        "late": "late",
        "missed": "missed",
        "open": "not sealed yet",
        "nothing": "with nothing to seal",
        "unknown": UNKNOWN,
    }
    told_of = ", ".join(f"{number} {named[state]}" for state, number in counts.items() if number)
    return f"{len(seals)} {'label' if len(seals) == 1 else 'labels'}: {told_of}."


def seal_grid(caption: str, seals: list[SealReport]) -> Grid:
    """Labels as a table."""
    rows = tuple(
        (
            "warning" if seal.state == "sealed" and not is_ordinary(seal) else SEALS[seal.state][0],
            (
                label(seal.label),
                seal_state(seal),
                said(humanize.duration, seal.delay, UNKNOWN if seal.state == "unknown" else NOTHING),
                seal_channels(seal) if seal.state in ("sealed", "late") else NOTHING,
            ),
        )
        for seal in seals
    )
    return Grid(caption, ("Label", "Seal", "Delay", "Channels"), rows, frozenset({2, 3}))
