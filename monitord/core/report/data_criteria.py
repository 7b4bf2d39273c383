"""The criteria that the fleet's work must meet: every epoch sealed, and rows coming at a steady rate."""

from __future__ import annotations

from collections.abc import Iterable

from monitord.core import humanize
from monitord.core.report.facts import BLIND_SHARE, ReportFacts, told
from monitord.core.report.model import Criterion, GroupReport, SealReport


def epochs_sealed(facts: ReportFacts) -> Criterion:
    """Every due epoch sealed, for each group; late ones named; groups in step."""
    name, title = "epochs_sealed", "New epochs sealed every hour"
    length = facts.orders.epoch_length.total_seconds()
    if length != 3600:
        title = f"New epochs sealed every {humanize.duration(length)}"
    details, missed, open_, late, sealed = [], 0, 0, 0, 0
    for group in facts.groups:
        absent = [seal for seal in group.seals if seal.state == "missed"]
        unknown = [seal for seal in group.seals if seal.state == "unknown"]
        slow = [seal for seal in group.seals if seal.state == "late"]
        done = [seal for seal in group.seals if seal.state in ("sealed", "late")]
        missed += len(absent) + sum(1 for seal in slow if (seal.delay or 0.0) > length)
        open_ += len(unknown)
        late += len(slow)
        sealed += len(done)
        nothing = [seal for seal in group.seals if seal.state == "nothing"]
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
    stuck = facts.against(name)
    details += [told(part, facts) for part in stuck]
    if facts.groups_in_step is False:
        details.append("The groups are not in step.")
    if missed or stuck or facts.groups_in_step is False:
        what = (
            f"{humanize.plural(missed, 'due epoch')} {'was' if missed == 1 else 'were'} missed or came after the next"
        )
        what = f"{what} was due" if missed else "Sealing was late"
        what = what if missed or stuck else "The groups are not in step"
        return Criterion(name, title, False, f"{what}.", tuple(details))
    partial = [group for group in facts.groups if any(seal.incomplete for seal in group.seals)]
    if partial:
        what = f"{humanize.listed([_left_out(group) for group in partial])}, more than is usual"
        return Criterion(name, title, False, f"{what}.", tuple(details))
    is_stale = facts.seals_read_at is None or (
        facts.until - facts.seals_read_at > max(facts.orders.late_after.total_seconds(), length)
    )
    if open_ or is_stale:
        return Criterion(name, title, None, "The epochs could not be read at the end of the night.", tuple(details))
    if doubtful := [group.group for group in facts.groups if any(seal.incomplete is None for seal in group.seals)]:
        why = f"{humanize.listed(doubtful)} left many channels out, and whether that is usual is not known yet."
        return Criterion(name, title, None, why, tuple(details))
    if not sealed:
        nobody = any(seal.state == "nothing" for group in facts.groups for seal in group.seals)
        why = "Nobody took part in any epoch that fell due." if nobody else "No epoch fell due in this time."
        return Criterion(name, title, None, why, tuple(details))
    some_late = f", {late} of them after the grace" if late else ""
    all_ = f"All {sealed} due seals are" if sealed != 1 else "The one due seal is"
    return Criterion(name, title, True, f"{all_} there{some_late}; groups in step.", tuple(details))


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


def growth_steady(facts: ReportFacts) -> Criterion:
    """Growth per hour against the limit of the orders, and not none at all."""
    limits = sorted({facts.orders.growth_steady_of(table) for table in facts.orders.tables})
    below = humanize.listed([f"<{humanize.count(limit)}" for limit in limits or [facts.orders.growth_steady]])
    name, title = "growth_steady", f"Database growth steady ({below} rows/hour)"
    details, bad, unknown = [], [], []
    unsteady = facts.against(name)
    for table in facts.tables:
        rate = table.most if table.most is not None else table.per_hour
        holes = sum(1 for hour in table.hours if hour.rows is None)
        if rate is not None and table.gained is not None and table.per_hour is not None:
            details.append(
                f"{table.name} gained {humanize.plural(table.gained, 'row')}, {humanize.count(table.per_hour)} an hour"
                + (f", {humanize.count(table.most)} in its busiest." if table.most is not None else ".")
            )
        if rate is not None and rate >= table.limit:
            bad.append(table.name)
        if rate is None or holes:
            unknown.append(table.name)
            details.append(f"{table.name}: not known for a part of the night.")
        elif table.unmeasured > BLIND_SHARE * (facts.until - facts.since):
            unknown.append(table.name)
            details.append(f"{table.name} could not be measured for {humanize.duration(table.unmeasured)}.")
    for part in unsteady:
        bad.append(part.alert.subject)
        details.append(told(part, facts))
    if bad:
        return Criterion(name, title, False, f"Not steady: {humanize.listed(sorted(set(bad)))}.", tuple(details))
    if unknown:
        return Criterion(name, title, None, facts.too_blind("postgres") or "Not known all night.", tuple(details))
    return Criterion(name, title, True, details[0] if details else "Steady.", tuple(details[1:]))


def _labels(seals: Iterable[SealReport]) -> str:
    return humanize.listed([f"{seal.label} ({humanize.clock(seal.label)})" for seal in seals])


def _delays(seals: Iterable[SealReport]) -> str:
    return humanize.listed([f"{seal.label} after {humanize.duration(seal.delay or 0.0)}" for seal in seals])
