"""The epochs in a report, and their recap in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, FoldedGrid, Grid, Paragraph, Plot, Section, Style
from monitord.core.humanize import NOTHING, UNKNOWN, dated, label, said, sentence
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import ReportPart, Tracker
from monitord.core.report.model import GroupReport, Recap, Report, SealingReport, SealReport
from monitord.core.report.wording import MOST, SEALS, is_ordinary, seal_channels, seal_state

_KEY: Final = (
    "Delay from each label's due time to its seal, by label (UTC). Disc: in time. Triangle: late. Ring: unusual. "
    "Cross on hatching: missed. Dash: nobody took part. Question mark on dots: unknown."
)


def _track(orders: StandingOrders, since: float, until: float) -> Tracker[SealingReport]:
    from monitord.core.subjects.epochs_tracker import SealTracker  # only whoever makes a report needs it

    return SealTracker(orders, since, until)


SEALING_REPORT: Final = ReportPart("groups", _track, shown=lambda found: found.groups)


def sealing(report: Report) -> Iterator[Section]:
    """Each group's labels: how they came, and by name the ones that did not come as they should."""
    if not report.of(SEALING_REPORT).groups:  # there is nothing to say of them, either
        return
    parts = tuple(
        Section(f"sealing-{number}", group.group, tuple(_group(group)))
        for number, group in enumerate(report.of(SEALING_REPORT).groups, 1)
    )
    yield Section("sealing", "Epoch sealing", parts=parts)
    yield _recap(report)


def _group(group: GroupReport) -> Iterator[Block]:
    yield Plot("delays", group.group, _KEY)
    yield Paragraph(f"{_summed(group.seals)} Grace: {humanize.duration(group.grace)}.")
    usual = group.usual
    half = said(humanize.duration, usual.median, "an unknown time")
    most = (
        "too few to know what nearly all come in" if usual.most is None else f"99% in {humanize.duration(usual.most)}"
    )
    days = humanize.duration(usual.days * 86400.0)
    if usual.count:
        yield Paragraph(f"Usual, by {humanize.count(usual.count)} seals of {days}: half come in {half}, {most}.")
    else:
        yield Paragraph("What is usual is unknown: no seals are remembered.")
    named = [seal for seal in group.seals if seal.state != "unknown" and not is_ordinary(seal)]
    if named:
        yield seal_grid(f"{group.group}: labels to check", named)
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
    if group.seals:
        table = seal_grid(f"{group.group}: every label", list(group.seals))
        yield FoldedGrid(f"Every label of {group.group}", table)


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
    return f"{humanize.plural(len(seals), 'label')}: {told_of}."


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


def _recap(report: Report) -> Section:
    """The two tiers of the token distribution, as counts."""
    title = "Two-tier recap"
    if report.recap is None:
        why = f"Unknown: {report.recap_error}" if report.recap_error else "Unknown: the database was not queried."
        return Section("recap", title, (Paragraph(sentence(why), "unknown"),))
    if not report.recap:
        return Section("recap", title, (Paragraph("No groups are watched."),))
    header = ("Group", "Channels", "Records", "Viewers", "Categories", "Leader (viewers)")
    rows = tuple((None, tuple(_tier(tier))) for tier in report.recap)
    blocks: list[Block] = [
        Grid(
            "Channels, participant records, unique viewers and categories",
            header,
            rows,
            frozenset({1, 2, 3, 4}),
            (5, 0),
        )
    ]
    if report.recap_before:
        blocks += _compared(report, report.recap)
    if any(tier.capped for tier in report.recap):
        blocks.append(Paragraph("A + stands for at least so many: not all were counted."))
    return Section("recap", title, tuple(blocks))


_COUNTS: Final[tuple[tuple[str, Callable[[Recap], int | None]], ...]] = (
    ("channels", lambda tier: tier.channels),
    ("records", lambda tier: tier.participant_records),
    ("viewers", lambda tier: tier.unique_viewers),
    ("categories", lambda tier: tier.categories),
)


def _compared(report: Report, recap: tuple[Recap, ...]) -> Iterator[Block]:
    """The counts beside those of earlier windows. None of an earlier one: the database holds nothing of it any more."""
    spans = "; ".join(f"{one.name}: {dated(one.since)} to {dated(one.until)}" for one in report.recap_before)
    yield Paragraph(
        f"As far as the database still holds it, {spans}. Unique viewers are those of the whole window: those "
        "of its hours cannot be added up, as most watch in several."
    )
    before = [{tier.group: tier for tier in one.recap or ()} for one in report.recap_before]
    rows = tuple(
        (None, (tier.group, name, _count(tier, of), *(_earlier(each.get(tier.group), of) for each in before)))
        for tier in recap
        for name, of in _COUNTS
    )
    header = ("Group", "What", "To date", *(one.name.capitalize() for one in report.recap_before))
    yield Grid("The recap beside earlier windows", header, rows, frozenset(range(2, len(header))), (0,))
    errors = [f"{one.name}: {one.error}" for one in report.recap_before if one.error]
    if errors:
        yield Paragraph(sentence(f"Unknown: {'; '.join(errors)}"), "unknown")


def _count(tier: Recap, of: Callable[[Recap], int | None]) -> str:
    number = of(tier)
    return UNKNOWN if number is None else humanize.count(number) + ("+" if tier.capped else "")


def _earlier(tier: Recap | None, of: Callable[[Recap], int | None]) -> str:
    """The count of an earlier window; of one of which nothing is held there is none."""
    return UNKNOWN if tier is None or not tier.participant_records else _count(tier, of)


def _tier(tier: Recap) -> Iterator[str]:
    yield tier.group
    for _, of in _COUNTS:
        yield _count(tier, of)
    if tier.leader is None:
        yield UNKNOWN
    else:
        yield f"{tier.leader} ({said(humanize.count, tier.leader_viewers)})"
