"""The sections of a night's report on what was watched: services, growth, sealing, recap, blind spells, baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from monitord.core import words
from monitord.core.night import GroupNight, Hour, Night, Recap, SealNight, ServiceNight, Stretch, TableNight
from monitord.present.night_sections import Block, Bullets, Facts, Grid, Says, Section, criteria, incidents
from monitord.present.night_words import (
    NOTHING,
    SEALS,
    UNKNOWN,
    WHY_BLIND,
    at,
    dated,
    is_ordinary,
    label,
    minute,
    restarts,
    said,
    seal_channels,
    seal_state,
    sentence,
    span,
    spells,
    within,
)
from monitord.present.terminal import Style

# A list longer than this is not read; the JSON form has all of it.
_MOST: Final = 12
# So many spells of one kind are named one by one.
_FEW: Final = 3


def sections(night: Night) -> tuple[Section, ...]:
    """The whole report below its verdict."""
    found = (
        criteria(night),
        incidents(night),
        services(night),
        growth(night),
        sealing(night),
        recap(night),
        blind(night),
        baseline(night),
    )
    notes = Section("notes", "Notes", (Bullets(tuple((None, sentence(note)) for note in night.notes)),))
    return (*found, notes) if night.notes else found


def services(night: Night) -> Section:
    """Each service: how it stands, its memory against the limit, its restarts, and what was not as expected."""
    if not night.services:
        return Section("services", "Services", (Says("No services were watched."),))
    rows = tuple(
        (
            told(service.ok),
            (
                service.name,
                service.word or UNKNOWN,
                service.expected or NOTHING,
                said(words.size, service.memory_peak),
                said(minute, service.memory_peak_at, NOTHING),
                words.count(sum(service.restarts.values())),
            ),
        )
        for service in night.services
    )
    header = ("Service", "State", "Expected", "Peak memory", "At (UTC)", "Restarts")
    blocks: list[Block] = [Grid("Services at the end of the night", header, rows, frozenset({3, 5}))]
    blocks.append(Says(_limits(night.services)))
    apart = tuple(_apart(night))
    if apart:
        blocks.append(Bullets(apart))
    return Section("services", "Services", tuple(blocks))


def told(ok: bool | None) -> Style:
    """The style of a thing that is as ordered, is not, or cannot be told."""
    return "unknown" if ok is None else "ok" if ok else "critical"


def _limits(found: tuple[ServiceNight, ...]) -> str:
    by_limit: dict[int, list[str]] = {}
    for service in found:
        by_limit.setdefault(service.memory_limit, []).append(service.name)
    common = max(by_limit, key=lambda limit: len(by_limit[limit]))
    others = [f"{words.listed(names)} {words.size(limit)}" for limit, names in by_limit.items() if limit != common]
    return f"Memory limit: {words.size(common)} a service" + (f"; {'; '.join(others)}." if others else ".")


def _apart(night: Night) -> Iterator[tuple[Style | None, str]]:
    """Sentences on what was not as expected, one for all services of which the same is true, and on restarts."""
    alike: dict[tuple[Style, str], list[str]] = {}
    for service in night.services:
        for key in _spells(service, night):
            alike.setdefault(key, []).append(service.name)
    for (style, what), names in alike.items():
        yield style, f"{words.listed(names, most=_MOST)} {'was' if len(names) == 1 else 'were'} {what}."
    for service in night.services:
        if any(service.restarts.values()):
            moments = [at(part.start, night) for part in service.stretches if part.state == "restarted"]
            when = f", at {words.listed(moments, most=_MOST)}" if moments else ""
            yield "warning", f"{service.name} restarted: {restarts(service)}{when}."


def _spells(service: ServiceNight, night: Night) -> Iterator[tuple[Style, str]]:
    styles: dict[str, Style] = {"wrong": "critical", "unknown": "unknown"}
    for state, style in styles.items():
        by_word: dict[str, list[Stretch]] = {}
        for part in service.stretches:
            if part.state == state:
                by_word.setdefault(part.word or UNKNOWN, []).append(part)
        for word, found in by_word.items():
            if len(found) <= _FEW:
                yield style, f"{word} {words.listed([span(part.start, part.end, night) for part in found])}"
            else:
                total = words.duration(sum(part.end - part.start for part in found))
                between = f"between {at(found[0].start, night)} and {at(found[-1].end, night)}"
                yield style, f"{word} {len(found)} times, {total} in all, {between}"


def growth(night: Night) -> Section:
    """Each watched table's rows against the limit."""
    if not night.tables:
        return Section("growth", "Database growth", (Says("No tables were watched."),))
    rows = tuple(
        (
            _growth_style(table),
            (
                table.name,
                said(words.count, table.gained),
                said(words.count, table.per_hour),
                said(words.count, table.most),
                words.count(table.limit),
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


def _growth_style(table: TableNight) -> Style:
    if table.most is not None and table.most > table.limit:
        return "warning"
    return "unknown" if table.per_hour is None else "ok"


def is_above(hour: Hour, table: TableNight) -> bool:
    """Whether a whole hour gained more than the limit. The ends of the night are parts of one, and say less."""
    whole = max(other.end - other.start for other in table.hours)
    rate = hour.per_hour
    return rate is not None and rate > table.limit and hour.end - hour.start > 0.99 * whole


def _hours(table: TableNight, night: Night) -> Iterator[tuple[Style | None, str]]:
    above = [
        f"{words.count(hour.per_hour)} {span(hour.start, hour.end, night)}"
        for hour in table.hours
        if is_above(hour, table) and hour.per_hour is not None
    ]
    if above:
        yield "warning", f"{table.name} was above its limit, in rows an hour: {words.listed(above, most=_MOST)}."
    blank = spells((hour.start, hour.end) for hour in table.hours if hour.rows is None)
    if blank:
        named = [span(start, end, night) for start, end in blank]
        yield "unknown", f"{table.name}: the growth is unknown {words.listed(named, most=_MOST)}."


def sealing(night: Night) -> Section:
    """Each group's labels: how they came, and by name the ones that did not come as they should."""
    if not night.groups:
        return Section("sealing", "Epoch sealing", (Says("No groups were watched."),))
    parts = tuple(
        Section(f"sealing-{number}", group.group, tuple(_group(group))) for number, group in enumerate(night.groups, 1)
    )
    return Section("sealing", "Epoch sealing", parts=parts)


def _group(group: GroupNight) -> Iterator[Block]:
    yield Says(f"{_summed(group.seals)} Grace: {words.duration(group.grace)}.")
    usual = group.usual
    half = said(words.duration, usual.median, "an unknown time")
    most = "too few to tell what nearly all come in" if usual.most is None else f"99% in {words.duration(usual.most)}"
    days = words.duration(usual.days * 86400.0)
    if usual.count:
        yield Says(f"Usual, by {words.count(usual.count)} seals of {days}: half come in {half}, {most}.")
    else:
        yield Says("What is usual is unknown: no seals are remembered.")
    named = [seal for seal in group.seals if not is_ordinary(seal)]
    if named:
        yield seal_grid(f"{group.group}: labels to look at", named)
    items: list[tuple[Style | None, str]] = [
        ("warning", f"{label(seal.label)} was not sealed for {words.listed(list(seal.unsealed_channels), most=_MOST)}.")
        for seal in named
        if seal.unsealed_channels
    ]
    if group.silent:
        silent = words.listed(list(group.silent), most=_MOST)
        items.append(("warning", f"Silent for longer than ever before: {silent}."))
    if items:
        yield Bullets(tuple(items))


def _summed(seals: tuple[SealNight, ...]) -> str:
    if not seals:
        return "No labels were due."
    counts = {state: sum(1 for seal in seals if seal.state == state) for state in SEALS}
    named = {"sealed": "sealed in time", "late": "late", "missed": "missed", "open": "not due yet", "unknown": UNKNOWN}
    told_of = ", ".join(f"{number} {named[state]}" for state, number in counts.items() if number)
    return f"{len(seals)} {'label' if len(seals) == 1 else 'labels'}: {told_of}."


def seal_grid(caption: str, seals: list[SealNight]) -> Grid:
    """Labels as a table."""
    rows = tuple(
        (
            "warning" if seal.state == "sealed" and not is_ordinary(seal) else SEALS[seal.state][0],
            (
                label(seal.label),
                seal_state(seal),
                said(words.duration, seal.delay, UNKNOWN if seal.state == "unknown" else NOTHING),
                seal_channels(seal) if seal.state in ("sealed", "late") else NOTHING,
            ),
        )
        for seal in seals
    )
    return Grid(caption, ("Label", "Seal", "Delay", "Channels"), rows, frozenset({2, 3}))


def recap(night: Night) -> Section:
    """The two tiers of the token distribution, as counts."""
    title = "Two-tier recap"
    if night.recap is None:
        why = f"Unknown: {night.recap_error}" if night.recap_error else "Unknown: the database was not asked."
        return Section("recap", title, (Says(sentence(why), "unknown"),))
    if not night.recap:
        return Section("recap", title, (Says("No groups are watched."),))
    header = ("Group", "Channels", "Records", "Viewers", "Categories", "Leader (viewers)")
    rows = tuple((None, tuple(_tier(tier))) for tier in night.recap)
    blocks: list[Block] = [
        Grid(
            "Channels, participant records, unique viewers and categories", header, rows, frozenset({1, 2, 3, 4}), (5,)
        )
    ]
    if any(tier.capped for tier in night.recap):
        blocks.append(Says("A + stands for at least so many: not all were counted."))
    return Section("recap", title, tuple(blocks))


def _tier(tier: Recap) -> Iterator[str]:
    more = "+" if tier.capped else ""
    yield tier.group
    for number in (tier.channels, tier.participant_records, tier.unique_viewers, tier.categories):
        yield UNKNOWN if number is None else words.count(number) + more
    if tier.leader is None:
        yield UNKNOWN
    else:
        yield f"{tier.leader} ({said(words.count, tier.leader_viewers)})"


def blind(night: Night) -> Section:
    """What the monitor itself could not see."""
    title = "What the monitor could not see"
    if not night.blind:
        nothing = "Nothing: every probe was seen throughout." if night.blind_minutes <= 0 else "No spell is recorded."
        return Section("blind", title, (Says(nothing),))
    items: list[tuple[Style | None, str]] = []
    for found in night.blind[:_MOST]:
        why = WHY_BLIND.get(found.why, found.why) + (f": {found.error}" if found.error else "")
        items.append(("unknown", sentence(f"{found.probe} {span(found.start, found.end, night)}: {why}")))
    if len(night.blind) > _MOST:
        items.append(("unknown", f"And {len(night.blind) - _MOST} spells more."))
    return Section("blind", title, (Bullets(tuple(items)),))


def baseline(night: Night) -> Section:
    """How things stand now, as last recorded."""
    title = "Baseline of now"
    found = night.baseline
    if found is None:
        return Section("baseline", title, (Says("Unknown: no check is recorded.", "unknown"),))
    when = "at an unknown time" if night.baseline_at is None else f"at {dated(night.baseline_at)}"
    return Section("baseline", title, (Says(f"As recorded {when}."), Facts(tuple(_baseline(found)))))


def _baseline(found: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield "Status", str(found.get("status") or UNKNOWN)
    fleet = within(found, "services") or {}
    named = [
        f"{name} {within(service, 'state') or UNKNOWN} ({said(words.size, within(service, 'memory_bytes'))}, "
        f"up {said(words.duration, within(service, 'uptime_seconds'))})"
        if within(service, "memory_bytes") is not None
        else f"{name} {within(service, 'state') or UNKNOWN}"
        for name, service in fleet.items()
    ]
    yield "Services", "; ".join(named) or UNKNOWN
    size = said(words.size, within(found, "database", "bytes"))
    tables = [
        f"{name} {said(words.count, within(table, 'rows'))} rows ({said(words.size, within(table, 'total_bytes'))})"
        for name, table in (within(found, "growth") or {}).items()
    ]
    yield "Database", "; ".join([f"size {size}", *tables])
    sealed = [
        f"{name} {_newest(within(group, 'latest'))}, seal age {said(words.duration, within(group, 'seal_age_seconds'))}"
        for name, group in (within(found, "epochs") or {}).items()
    ]
    yield "Sealed", "; ".join(sealed) or UNKNOWN
    yield "Next epoch", _newest(within(found, "current_epoch", "next"))
    yield "Redis", said(lambda value: f"{words.count(value)} keys", within(found, "redis", "keys"))
    disks = [
        f"{path} {said(lambda value: f'{value:.1f}% used', within(disk, 'used_percent'))}"
        for path, disk in (within(found, "host", "disks") or {}).items()
    ]
    yield "Disks", "; ".join(disks) or UNKNOWN
    yield (
        "Memory",
        said(lambda value: f"{words.size(value)} available", within(found, "host", "memory_available_bytes")),
    )


def _newest(epoch: object) -> str:
    return label(epoch) if isinstance(epoch, int) else UNKNOWN
