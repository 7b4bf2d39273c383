"""The criterion of the report that the epochs must meet: every due one sealed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from monitord.core import humanize
from monitord.core.report.criterion import CriterionResult, SuccessCriterion, described
from monitord.core.report.model import GroupReport, SealReport
from monitord.core.subjects.epochs_report import SEALING_REPORT

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts


def _title(facts: ReportFacts) -> str:
    length = facts.orders.epoch_length.total_seconds()
    return f"New epochs sealed every {'hour' if length == 3600 else humanize.duration(length)}"


def _epochs_sealed(facts: ReportFacts) -> CriterionResult:
    """Every due epoch sealed, for each group; late ones named; groups in step."""
    length, sealing = facts.orders.epoch_length.total_seconds(), facts.of(SEALING_REPORT)
    details, missed, open_, late, sealed = [], 0, 0, 0, 0
    for group in sealing.groups:
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
