"""The epochs in a report, their recap in numbers, and the criterion that they must meet: every due one sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, FoldedGrid, Grid, Paragraph, Plot, Section, Style
from monitord.core.humanize import NOTHING, UNKNOWN, dated, label, sentence, worded
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import CriterionResult, ReportPart, SuccessCriterion, Tracker, described
from monitord.core.report.model import GroupReport, Recap, Report, SealingReport, SealReport
from monitord.core.report.wording import MOST, SEALS, is_ordinary, seal_channels, seal_state

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts

_KEY: Final = (
    "Delay from each label's due time to its seal, by label (UTC). Disc: in time. Triangle: late. Ring: unusual. "
    "Cross on hatching: missed. Dash: nobody took part. Question mark on dots: unknown."
)


def _track(orders: StandingOrders, since: float, until: float) -> Tracker[SealingReport]:
    from monitord.core.subjects.epochs_tracker import SealTracker  # only whoever makes a report needs it

    return SealTracker(orders, since, until)


SEALING_REPORT: Final = ReportPart("groups", _track, shown=lambda found: found.groups)


def sealing(report: Report) -> Iterator[Section]:
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
    half = worded(humanize.duration, usual.median, "an unknown time")
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
    rows = tuple(
        (
            "warning" if seal.state == "sealed" and not is_ordinary(seal) else SEALS[seal.state][0],
            (
                label(seal.label),
                seal_state(seal),
                worded(humanize.duration, seal.delay, UNKNOWN if seal.state == "unknown" else NOTHING),
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
        yield f"{tier.leader} ({worded(humanize.count, tier.leader_viewers)})"


def _title(facts: ReportFacts) -> str:
    length = facts.orders.epoch_length.total_seconds()
    return f"New epochs sealed every {'hour' if length == 3600 else humanize.duration(length)}"


def _epochs_sealed(facts: ReportFacts) -> CriterionResult:
    """Every due epoch sealed, for each group; late ones named; groups in step."""
    length, sealing = facts.orders.epoch_length.total_seconds(), facts.of(SEALING_REPORT)
    details, missed, open_, late, sealed = [], 0, 0, 0, 0
    for group in sealing.groups:
        by_state = {state: [seal for seal in group.seals if seal.state == state] for state in SEALS}
        absent, unknown, slow, nothing = (by_state[state] for state in ("missed", "unknown", "late", "nothing"))
        done = [seal for seal in group.seals if seal.state in ("sealed", "late")]
        missed += len(absent) + sum(1 for seal in slow if (seal.delay or 0.0) > length)
        open_ += len(unknown)
        late += len(slow)
        sealed += len(done)
        due = sum(1 for seal in group.seals if seal.state not in ("open", "nothing"))
        known = "are known to be sealed" if unknown else "sealed"
        details.append(f"{group.group}: {len(done)} of {humanize.plural(due, 'due epoch')} {known}.")
        if absent:
            details.append(f"{group.group} has no seal of {_labels(absent)}.")
        if nothing:
            details.append(f"{group.group}: nobody took part in {_labels(nothing)}: nothing to seal.")
        if slow:
            details.append(f"{group.group} sealed late: {_delays(slow)}.")
        if unknown:
            details.append(f"{group.group}: not known of {_labels(unknown)}.")
        if unusual := [seal for seal in group.seals if seal.unusual]:
            past = f"99% of the last {humanize.duration(group.usual.days * 86400)}"
            details.append(f"{group.group} was later than {past}: {_delays(unusual)}.")
        details += [
            f"{group.group}: {seal.unsealed} of the {seal.participating} channels in {seal.label} were not sealed "
            f"when last counted{_some(seal)}."
            for seal in group.seals
            if seal.unsealed
        ]
        if group.silent:
            details.append(f"{group.group}: silent for longer than ever before: {humanize.listed(list(group.silent))}.")
    stuck = facts.against(EPOCHS_SEALED.name)
    details += [described(part, facts) for part in stuck]
    if sealing.in_step is False:
        details.append("The groups are not in step.")
    if missed or stuck or sealing.in_step is False:
        what = (
            f"{humanize.plural(missed, 'due epoch')} {'was' if missed == 1 else 'were'} missed or came after the next"
        )
        what = f"{what} was due" if missed else "Sealing was late"
        what = what if missed or stuck else "The groups are not in step"
        return CriterionResult(False, f"{what}.", tuple(details))
    partial = [group for group in sealing.groups if any(seal.incomplete for seal in group.seals)]
    if partial:
        what = f"{humanize.listed([_left_out(group) for group in partial])}, more than is usual"
        return CriterionResult(False, f"{what}.", tuple(details))
    is_stale = sealing.read_at is None or (
        facts.until - sealing.read_at > max(facts.orders.late_after.total_seconds(), length)
    )
    if open_ or is_stale:
        return CriterionResult(None, "The epochs could not be read at the end of the window.", tuple(details))
    if doubtful := [group.group for group in sealing.groups if any(seal.incomplete is None for seal in group.seals)]:
        why = f"{humanize.listed(doubtful)} left many channels out, and whether that is usual is not known yet."
        return CriterionResult(None, why, tuple(details))
    if unseen := [group.group for group in sealing.groups if group.unseen]:
        why = f"Nothing was ever sealed of {humanize.listed(unseen)}, and nobody ever took part: is the name right?"
        return CriterionResult(None, why, tuple(details))
    if not sealed:
        nobody = any(seal.state == "nothing" for group in sealing.groups for seal in group.seals)
        why = "Nobody took part in any epoch that fell due." if nobody else "No epoch fell due in this time."
        return CriterionResult(None, why, tuple(details))
    some_late = f", {late} of them after the grace" if late else ""
    all_ = f"All {sealed} due seals are" if sealed != 1 else "The one due seal is"
    return CriterionResult(True, f"{all_} there{some_late}; groups in step.", tuple(details))


def _left_out(group: GroupReport) -> str:
    """How many of the channels that took part were not sealed, of how many labels that lack more than ever."""
    lacking = [seal for seal in group.seals if seal.incomplete]
    worst = max(lacking, key=lambda seal: (seal.unsealed or 0) / (seal.participating or 1))
    up_to = "up to " if len({seal.unsealed for seal in lacking}) > 1 else ""
    return (
        f"{group.group} sealed {humanize.plural(len(lacking), 'epoch')} without {up_to}{worst.unsealed} of the "
        f"{humanize.plural(worst.participating or 0, 'channel')} that took part"
    )


def _some(seal: SealReport) -> str:
    """The unsealed channels that are known by name, to end a sentence."""
    names = list(seal.unsealed_channels)
    more = (seal.unsealed or 0) - len(names)
    if not names:
        return ""
    return f": {', '.join(names)} and {more} more" if more > 0 else f": {humanize.listed(names)}"


def _labels(seals: Iterable[SealReport]) -> str:
    return humanize.listed([humanize.label_at(seal.label) for seal in seals])


def _delays(seals: Iterable[SealReport]) -> str:
    return humanize.listed([f"{seal.label} after {humanize.duration(seal.delay or 0.0)}" for seal in seals])


EPOCHS_SEALED = SuccessCriterion(
    "epochs_sealed",
    _title,
    "every due label of each group is sealed before the next is due, no group was late or stuck, and they are in step",
    judge=_epochs_sealed,
    place=2,
)
