"""Judgement of sealing, group by group: late, stuck, with gaps, or out of step with one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from monitord.core import humanize
from monitord.core.anomalies.sealing_delays import slow_past, usual
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED, SealingHabits
from monitord.core.copying import replace
from monitord.core.history.clocks import DISAGREE, disagree, judged_at
from monitord.core.history.epochs import Seals, calendar, seals, window_seconds
from monitord.core.history.model import History
from monitord.core.model import Alert, Clear, Evidence, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.report.model import Usual
from monitord.core.subjects.base import NONE, Impact, RecoveryContext, Replaces, Role, Rule
from monitord.core.subjects.participation import UNTOLD, not_sealed, said_label, sealed_by

# Of the grace: for so long after the first group's seal of a label the others are not behind.
FOLLOW_SHARE = 1 / 3
# Why a gap ends that nobody filled: its label can be read no longer.
LEFT_WINDOW: Final = "left_window"
MOST_LEFT_OUT = 100


def _groups(observation: Observation, history: History, orders: StandingOrders) -> Iterator[tuple[Seals, float | None]]:
    """Each group's seals, and the age they are judged by.

    While Postgres itself was away nobody could seal: that time counts towards no limit. A query that failed, or
    monitord's own absence, kept nobody from sealing.
    """
    now = observation.now.timestamp()
    at = judged_at(history, now)
    for group in orders.groups:
        found = seals(history.sealed, group, at, orders, history.empty)
        age = found.judged_seconds
        if age is not None:
            age -= history.absent_seconds("postgres", now - age, now)
        yield found, age


def _evidence(found: Seals) -> Evidence:
    return {
        "latest": found.latest,
        "expected": found.expected,
        "missed": list(found.missed),
        "seal_age_seconds": None if found.age_seconds is None else round(found.age_seconds, 3),
    }


def _value(found: Seals) -> float | None:
    return None if found.judged_seconds is None else round(found.judged_seconds, 3)


def _passed_over(found: Seals, length: int) -> str:
    """The lateness of a group that had nothing to seal before what it has not sealed."""
    overdue = humanize.duration(max(0.0, (found.judged_seconds or 0.0) - length))
    nobodys = humanize.plural(found.passed_over, "epoch")
    return (
        f"{found.group} has not sealed {found.waiting} ({humanize.clock(found.waiting or 0)}) "
        f"{overdue} after it was due; "
        f"in the {nobodys} before it nobody took part."
    )


def _newest(found: Seals) -> str:
    return f"its newest label is {found.latest} ({humanize.clock(found.latest or 0)})"


def sealing_stuck(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A group whose seal age is past the critical limit, or that sealed nothing in the whole window."""
    if disagree(history):
        yield from (Unknown("sealing_stuck", group, DISAGREE) for group in orders.groups)
        return
    limit = orders.seal_critical.total_seconds()
    for found, age in _groups(observation, history, orders):
        if age is not None and age <= limit:
            yield Clear("sealing_stuck", found.group)
            continue
        if found.passed_over:
            summary = _passed_over(found, calendar(orders).length)
        elif age is None:
            summary = f"{found.group} has sealed no epoch in the last {humanize.duration(window_seconds(orders))}."
        else:
            summary = (
                f"{found.group} has sealed no epoch for {humanize.duration(found.age_seconds or age)}: "
                f"{_newest(found)}."
            )
        yield Finding(
            rule="sealing_stuck",
            subject=found.group,
            severity="critical",
            value=_value(found),
            limit=limit,
            unit="seconds",
            summary=summary,
            evidence=_evidence(found),
            recommendation=f"Look at the service that seals {found.group} and at its log; restart it if it hangs.",
        )


def sealing_late(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A group whose seal age is past the warning limit."""
    if disagree(history):
        yield from (Unknown("sealing_late", group, DISAGREE) for group in orders.groups)
        return
    limit = orders.seal_warning.total_seconds()
    for found, age in _groups(observation, history, orders):
        if age is not None and age <= limit:
            yield Clear("sealing_late", found.group)
            continue
        yield Finding(
            rule="sealing_late",
            subject=found.group,
            severity="warning",
            value=_value(found),
            limit=limit,
            unit="seconds",
            summary=(
                _passed_over(found, calendar(orders).length)
                if found.passed_over
                else f"{found.group} is late: no epoch sealed for {humanize.duration(found.age_seconds or 0)}; "
                f"{_newest(found)}."
            ),
            evidence=_evidence(found),
            recommendation=f"Look at the service that seals {found.group}: is it alive, what does its log say?",
        )


def sealing_gap(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A group that left a label out although it sealed a later one."""
    if disagree(history):
        yield from (Unknown("sealing_gap", group, DISAGREE) for group in orders.groups)
        return
    for found, _ in _groups(observation, history, orders):
        if not found.gaps:
            yield Clear("sealing_gap", found.group)
            continue
        labels = [f"{label} ({humanize.clock(label)})" for label in found.gaps]
        yield Finding(
            rule="sealing_gap",
            subject=found.group,
            severity="warning",
            value=len(found.gaps),
            limit=0,
            unit="labels",
            summary=f"{found.group} never sealed {humanize.listed(labels)}, though later epochs are sealed.",
            evidence={"labels": list(found.gaps), "latest": found.latest, "expected": found.expected},
            recommendation=f"Have {found.group} seal the missing labels; their participants cannot claim until then.",
        )


def update_left_out(history: History, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of the seals: the labels left out, also those that are out of the window."""
    kept: dict[str, tuple[tuple[int, float | None], ...]] = {}
    for group in orders.groups:
        gaps = seals(history.sealed, group, judged_at(history, now), orders, history.empty).gaps
        known = dict(history.left_out.get(group, ()))
        if not known and not gaps:  # nearly always
            continue
        labels = [label for label, _ in history.sealed.get(group, ())]
        oldest = min(labels, default=None)
        gone = {
            label: now if left_at is None else left_at
            for label, left_at in known.items()
            if left_at is not None or oldest is None or label < oldest
        }
        found: dict[int, float | None] = dict.fromkeys(gaps)
        if both := sorted({**gone, **found}.items()):
            kept[group] = tuple(both[-MOST_LEFT_OUT:])
    return history if kept == history.left_out else replace(history, left_out=kept)


def left_unsealed(alert: Alert, history: History) -> tuple[int, ...]:
    """The labels of an alert's group that left the window unsealed while it fired."""
    since = alert.since.timestamp()
    return tuple(
        label for label, left_at in history.left_out.get(alert.subject, ()) if left_at is not None and left_at > since
    )


def gap_over(alert: Alert, history: History, orders: StandingOrders) -> str:
    """Why a gap is over where its labels were not sealed after all."""
    return LEFT_WINDOW if left_unsealed(alert, history) else ""


def labels_unaligned(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A group of which seals in the window carry labels that are no start of an epoch: nobody finds them by theirs."""
    reading, length = observation.readings["epochs"], calendar(orders).length
    found, newest = reading.values("unaligned_seals", "group"), reading.values("unaligned_newest", "group")
    for group in orders.groups:
        many, label = found.get(group), newest.get(group)
        if not many or not isinstance(many, int) or not isinstance(label, int):
            yield Clear("labels_unaligned", group)
            continue
        off = label % length
        yield Finding(
            rule="labels_unaligned",
            subject=group,
            severity="warning",
            value=many,
            limit=0,
            unit="seals",
            summary=(
                f"{humanize.plural(many, 'seal')} of {group} {'carries' if many == 1 else 'carry'} a label that is no "
                f"start of an epoch, the newest {label} ({humanize.clock(label)}), {humanize.duration(off)} past one."
            ),
            evidence={"label": label, "seconds_past": off, "epoch_seconds": length},
            recommendation=(
                f"Look at how what seals {group} makes its labels, at its clock, and for test scripts; if its epochs "
                "are of another length, correct MONITORD_EPOCHS__LENGTH."
            ),
        )


def unaligned_over(alert: Alert, history: History, orders: StandingOrders) -> str:
    """Why seals off the grid are over where nobody put them right: their labels are out of the window."""
    label = alert.finding.evidence.get("label")
    at = judged_at(history, history.at or 0.0)
    return LEFT_WINDOW if isinstance(label, int) and label < at - window_seconds(orders) else ""


def groups_out_of_sync(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """Groups whose newest due labels differ: two groups of a healthy system move together.

    On a slow night each seals a label after the grace, and none in the same moment: the others have a share of the
    grace from the first one's seal on.
    """
    if disagree(history):
        yield from (Unknown("groups_out_of_sync", group, DISAGREE) for group in ("epochs",))
        return
    found = [group for group, _ in _groups(observation, history, orders)]
    newest = {group.group: group.latest_due for group in found}
    if newest and not any(newest.values()):
        yield Unknown("groups_out_of_sync", "epochs", "no group has sealed anything that can be compared")
        return
    if len(set(newest.values())) <= 1 or _follow(newest, observation, history, orders):
        yield Clear("groups_out_of_sync", "epochs")
        return
    known = [label for label in newest.values() if label is not None]
    behind = [group for group, label in newest.items() if label is None or label < max(known)]
    ahead = [group for group, label in newest.items() if label == max(known)]
    apart = None if None in newest.values() else (max(known) - min(known)) // calendar(orders).length
    how_far = "" if apart is None else f" by {apart} epoch{'s' if apart != 1 else ''}"
    yield Finding(
        rule="groups_out_of_sync",
        subject="epochs",
        severity="warning",
        value=apart,
        limit=0,
        unit="labels",
        summary=f"{humanize.listed(behind)} {'is' if len(behind) == 1 else 'are'} behind "
        f"{humanize.listed(ahead)}{how_far}.",
        evidence={"newest_due": newest, "expected": found[0].expected},
        recommendation=f"Look at what seals {humanize.listed(behind)}: the other group shows that the rest works.",
    )


def _follow(
    newest: Mapping[str, int | None], observation: Observation, history: History, orders: StandingOrders
) -> bool:
    """Whether the groups that are behind may yet follow: by one label only, which the first has only just sealed."""
    days = calendar(orders)
    labels = [label for label in newest.values() if label is not None]
    first = max(labels)
    if len(labels) < len(newest) or first - min(labels) > days.length:
        return False
    delays = [
        delay
        for group, label in newest.items()
        if label == first and (delay := history.learned.get(group, NOTHING_LEARNED).delays.get(first)) is not None
    ]
    now = judged_at(history, observation.now.timestamp())
    return bool(delays) and now - days.due_at(first) - min(delays) <= days.grace * FOLLOW_SHARE


def sealing_slow(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A group that takes longer to seal than 99% of its own seals of the last days did.

    A label that is due and not sealed is judged as soon as it is later than that; the newest seal until the next.
    Within a quarter of an epoch none is slow: in a month some are slower than all of the week before.
    """
    if not orders.learned_warnings:
        return
    if disagree(history):
        yield from (Unknown("sealing_slow", group, DISAGREE) for group in orders.groups)
        return
    now, length = observation.now.timestamp(), calendar(orders).length
    for group in orders.groups:
        found = seals(history.sealed, group, judged_at(history, now), orders, history.empty)
        learned = history.learned.get(group, NOTHING_LEARNED)
        answer: Judgement = Unknown("sealing_slow", group, UNTOLD)
        for label, late, is_sealed in _lateness(found, learned, history, now, orders):
            past = usual(learned.usual, before=label)
            limit = slow_past(past, length)
            if limit is None:
                continue
            if late > limit:
                answer = _slow(group, label, late, past, limit, is_sealed=is_sealed)
                break
            if is_sealed:
                answer = Clear("sealing_slow", group)
        yield answer


def _lateness(
    found: Seals, learned: SealingHabits, history: History, now: float, orders: StandingOrders
) -> Iterator[tuple[int, float, bool]]:
    """(label, seconds late, sealed) of the oldest label due and not done after the newest seal, and of that seal.

    While Postgres itself was away nobody could seal: that time is nobody's lateness.
    """
    days, ahead = calendar(orders), judged_at(history, now) - now
    if found.waiting is not None:
        due = days.due_at(found.waiting) - ahead
        yield found.waiting, now - due - history.absent_seconds("postgres", due, now), False
    if found.latest is None:
        return
    delay = learned.delays.get(found.latest)
    if delay is not None:
        before = learned.delays.get(found.latest - days.length)
        if before is not None and before > days.length:
            delay = 0  # it waited for the label before it, which came after this one was due, and that was told
        due = days.due_at(found.latest) - ahead
        yield found.latest, delay - history.absent_seconds("postgres", due, due + delay), True


def _slow(group: str, label: int, late: float, past: Usual, limit: float, *, is_sealed: bool) -> Finding:
    so_far = (
        f"{group} took {humanize.duration(round(late))} to seal {said_label(label)}"
        if is_sealed
        else f"{group} has not sealed {said_label(label)} {humanize.duration(round(late))} after it was due"
    )
    return Finding(
        rule="sealing_slow",
        subject=group,
        severity="warning",
        value=round(late),
        limit=round(limit),
        unit="seconds",
        summary=f"{so_far}: later than 99% of its {past.count} seals "
        f"of the last {humanize.duration(past.days * 86_400)}.",
        evidence={
            "label": label,
            "sealed": is_sealed,
            "delay_seconds": round(late),
            "median_seconds": past.median,
            "p99_seconds": past.most,
            "seals": past.count,
            "days": round(past.days, 1),
        },
        recommendation=f"Look at what seals {group}: more to seal than usual, a slow database, a failing process?",
    )


def _sealed_now(alert: Alert, at: RecoveryContext) -> str | None:
    group = at.report.epochs.get(alert.subject) or {}
    latest, age = group.get("latest"), group.get("seal_age_seconds")
    if latest is None or age is None:
        return None
    missed = group.get("missed") or ()
    lacks = f"; {humanize.plural(len(missed), 'label')} still missing" if missed else ""
    limit = humanize.duration(at.orders.seal_warning.total_seconds())
    newest = f"{latest} ({humanize.moment(latest, at.now)})"
    return f"{alert.subject} has sealed {newest}; its seal age is {humanize.duration(age)}, the limit {limit}{lacks}."


def _gap_now(alert: Alert, at: RecoveryContext) -> str | None:
    lost = left_unsealed(alert, at.history)
    if not lost:
        return _sealed_now(alert, at)
    labels = humanize.listed([f"{label} ({humanize.moment(label, at.now)})" for label in lost])
    return (
        f"{alert.subject} never sealed {labels}: {'it has' if len(lost) == 1 else 'they have'} left the window that is "
        "looked at, unsealed."
    )


def _aligned_now(alert: Alert, at: RecoveryContext) -> str | None:
    if unaligned_over(alert, at.history, at.orders):
        label = alert.finding.evidence["label"]
        return (
            f"The seals of {alert.subject} whose labels are no start of an epoch have left the window that is looked "
            f"at, as they were; the newest was {label}."
        )
    return f"Every label of {alert.subject} in the window is the start of an epoch again."


def _in_step_now(alert: Alert, at: RecoveryContext) -> str | None:
    newest = {name: group.get("latest") for name, group in at.report.epochs.items()}
    if not newest or None in newest.values():
        return None
    each = [f"{name} at {label} ({humanize.clock(label)})" for name, label in newest.items() if label is not None]
    return f"The groups are in step again: {humanize.listed(each)}."


def _blocking(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    return ("epoch sealing",)


_RUNBOOK: Final = (
    "{pm2} logs {sealer} --lines 50 --nostream",
    "SELECT token_group, epoch, to_timestamp(epoch), count(*), to_timestamp(max(sealed_at)) FROM sealed_epochs "
    "GROUP BY 1, 2 ORDER BY epoch DESC LIMIT 10",
    "{pm2} status",
)
_IMPACT: Final = Impact(on_epochs=lambda alert, _: not_sealed(alert.subject))
_SEALING: Final[frozenset[Role]] = frozenset({"sealing"})

SEALING_SLOW = Rule(
    name="sealing_slow",
    probe="epochs",
    severities=("warning",),
    evaluate=sealing_slow,
    roles=frozenset({"sealing", "slow_seal"}),
    workers=sealed_by,
    runbook=_RUNBOOK,
    impact=_IMPACT,
    blocking=_blocking,
    recovered=_sealed_now,
)
SEALING_LATE = Rule(
    name="sealing_late",
    probe="epochs",
    severities=("warning",),
    evaluate=sealing_late,
    replaces=(Replaces(SEALING_SLOW),),
    roles=_SEALING,
    workers=sealed_by,
    runbook=_RUNBOOK,
    impact=_IMPACT,
    blocking=_blocking,
    recovered=_sealed_now,
    criterion="epochs_sealed",
)
SEALING_STUCK = Rule(
    name="sealing_stuck",
    probe="epochs",
    severities=("critical",),
    evaluate=sealing_stuck,
    replaces=(Replaces(SEALING_LATE), Replaces(SEALING_SLOW)),
    roles=_SEALING,
    workers=sealed_by,
    recommend=lambda _: "restart_service",
    target="what seals {}",
    runbook=_RUNBOOK,
    impact=_IMPACT,
    blocking=_blocking,
    recovered=_sealed_now,
    criterion="epochs_sealed",
)
SEALING_GAP = Rule(
    name="sealing_gap",
    probe="epochs",
    severities=("warning",),
    evaluate=sealing_gap,
    over=gap_over,
    succeeds=(SEALING_SLOW,),
    roles=_SEALING,
    workers=sealed_by,
    runbook=_RUNBOOK,
    impact=_IMPACT,
    blocking=_blocking,
    recovered=_gap_now,
)
LABELS_UNALIGNED = Rule(
    name="labels_unaligned",
    probe="epochs",
    severities=("warning",),
    evaluate=labels_unaligned,
    over=unaligned_over,
    runbook=_RUNBOOK,
    impact=Impact(
        on_epochs=lambda alert, _: (
            NONE,
            f"seals of {alert.subject} carry labels that nobody looks for",
            "what carries such a label may not be claimed",
        )
    ),
    recovered=_aligned_now,
)
GROUPS_OUT_OF_SYNC = Rule(
    name="groups_out_of_sync",
    probe="epochs",
    severities=("warning",),
    evaluate=groups_out_of_sync,
    roles=frozenset({"sealing", "behind"}),
    workers=sealed_by,
    runbook=_RUNBOOK,
    impact=Impact(on_epochs=not_sealed("the group that is behind")),
    blocking=_blocking,
    recovered=_in_step_now,
)
RULES = (SEALING_STUCK, SEALING_LATE, SEALING_GAP, LABELS_UNALIGNED, GROUPS_OUT_OF_SYNC, SEALING_SLOW)
