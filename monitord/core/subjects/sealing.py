"""Judgement of when each group seals: late, stuck, or slower than it ever was."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.anomalies.sealing_delays import ENOUGH_SEALS, slow_past, usual
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED, SealingHabits
from monitord.core.history.clocks import DISAGREE, disagree, judged_at
from monitord.core.history.epochs import Seals, calendar, seals, window_seconds
from monitord.core.history.model import History
from monitord.core.latest import latest
from monitord.core.model import Alert, Evidence, Finding, Observation
from monitord.core.orders import StandingOrders
from monitord.core.report.model import Usual
from monitord.core.subjects import epochs_status
from monitord.core.subjects.base import NOT_JUDGED, Answer, Impact, RecoveryContext, Replaces, Rule, of_each
from monitord.core.subjects.epochs_report import EPOCHS_SEALED
from monitord.core.subjects.participation import UNTOLD, not_sealed, sealed_by


@latest  # several rules ask for them in one cycle
def groups(history: History, orders: StandingOrders) -> dict[str, tuple[Seals, float | None]]:
    """Each group's seals as of the last cycle, and the age they are judged by.

    While Postgres itself was away nobody could seal: that time counts towards no limit. A query that failed, or
    monitord's own absence, kept nobody from sealing.
    """
    now = history.at or 0.0
    at = judged_at(history, now)
    found: dict[str, tuple[Seals, float | None]] = {}
    for group in orders.groups:
        of_group = seals(history.sealed, group, at, orders, history.empty)
        age = of_group.judged_seconds
        found[group] = of_group, None if age is None else age - history.absent_seconds("postgres", now - age, now)
    return found


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


@of_each(lambda orders: orders.groups)
def sealing_stuck(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """A group whose seal age is past the critical limit, or that sealed nothing in the whole window."""
    if disagree(history):
        return DISAGREE
    limit, (found, age) = orders.seal_critical.total_seconds(), groups(history, orders)[group]
    if age is not None and age <= limit:
        return None
    if found.passed_over:
        summary = _passed_over(found, calendar(orders).length)
    elif age is None:
        summary = f"{group} has sealed no epoch in the last {humanize.duration(window_seconds(orders))}."
    else:
        summary = f"{group} has sealed no epoch for {humanize.duration(found.age_seconds or age)}: {_newest(found)}."
    advice = f"Check the service that seals {group} and its log; restart it if it hangs."
    value, evidence = _value(found), _evidence(found)
    return Finding("sealing_stuck", group, "critical", value, limit, "seconds", summary, evidence, advice)


@of_each(lambda orders: orders.groups)
def sealing_late(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """A group whose seal age is past the warning limit."""
    if disagree(history):
        return DISAGREE
    limit, (found, age) = orders.seal_warning.total_seconds(), groups(history, orders)[group]
    if age is not None and age <= limit:
        return None
    late = f"{group} is late: no epoch sealed for {humanize.duration(found.age_seconds or 0)}; {_newest(found)}."
    summary = _passed_over(found, calendar(orders).length) if found.passed_over else late
    advice = f"Check the service that seals {group}: is it alive, what does its log say?"
    value, evidence = _value(found), _evidence(found)
    return Finding("sealing_late", group, "warning", value, limit, "seconds", summary, evidence, advice)


@of_each(lambda orders: orders.groups)
def sealing_slow(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """A group that takes longer to seal than 99% of its own seals of the last days did.

    A label that is due and not sealed is judged as soon as it is later than that; the newest seal until the next.
    Within a quarter of an epoch none is slow: in a month some are slower than all of the week before.
    """
    if not orders.learned_warnings:
        return NOT_JUDGED
    if disagree(history):
        return DISAGREE
    now, length = observation.now.timestamp(), calendar(orders).length
    learned = history.learned.get(group, NOTHING_LEARNED)
    if len(learned.usual.pairs) < ENOUGH_SEALS:
        return UNTOLD
    found = seals(history.sealed, group, judged_at(history, now), orders, history.empty)
    answer: Answer = UNTOLD
    for label, late, is_sealed in _lateness(found, learned, history, now, orders):
        past = usual(learned.usual, before=label)
        limit = slow_past(past, length)
        if limit is None:
            continue
        if late > limit:
            return _slow(group, label, late, past, limit, is_sealed=is_sealed)
        if is_sealed:
            answer = None
    return answer


def _lateness(
    found: Seals, learned: SealingHabits, history: History, now: float, orders: StandingOrders
) -> Iterator[tuple[int, float, bool]]:
    """(label, seconds late but for Postgres's absence, sealed) of the oldest due and not done, and the newest seal."""
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
            delay = 0  # it waited for the label before it, which came after this one was due, and that was reported
        due = days.due_at(found.latest) - ahead
        yield found.latest, delay - history.absent_seconds("postgres", due, due + delay), True


def _slow(group: str, label: int, late: float, past: Usual, limit: float, *, is_sealed: bool) -> Finding:
    so_far = (
        f"{group} took {humanize.duration(round(late))} to seal {humanize.label_at(label)}"
        if is_sealed
        else f"{group} has not sealed {humanize.label_at(label)} {humanize.duration(round(late))} after it was due"
    )
    summary = f"{so_far}: later than 99% of its {past.count} seals of the last {humanize.duration(past.days * 86_400)}."
    evidence = {
        "label": label,
        "sealed": is_sealed,
        "delay_seconds": round(late),
        "median_seconds": past.median,
        "p99_seconds": past.most,
        "seals": past.count,
        "days": round(past.days, 1),
    }
    advice = f"Check what seals {group}: more to seal than usual, a slow database, a failing process?"
    return Finding("sealing_slow", group, "warning", round(late), round(limit), "seconds", summary, evidence, advice)


def sealed_now(alert: Alert, at: RecoveryContext) -> str | None:
    group = at.report.of(epochs_status.GROUPS).get(alert.subject)
    if group is None or group.latest is None or group.seal_age_seconds is None:
        return None
    latest, age = group.latest, group.seal_age_seconds
    lacks = f"; {humanize.plural(len(group.missed), 'label')} still missing" if group.missed else ""
    limit = humanize.duration(at.orders.seal_warning.total_seconds())
    newest = f"{latest} ({humanize.moment(latest, at.now)})"
    return f"{alert.subject} has sealed {newest}; its seal age is {humanize.duration(age)}, the limit {limit}{lacks}."


RUNBOOK: Final = (
    "{pm2} logs {sealer} --lines 50 --nostream",
    "SELECT token_group, epoch, to_timestamp(epoch), count(*), to_timestamp(max(sealed_at)) FROM sealed_epochs "
    "GROUP BY 1, 2 ORDER BY epoch DESC LIMIT 10",
    "{pm2} status",
)
# What the rules on sealing have in common.
of_sealing = partial(
    Rule,
    probe="epochs",
    roles=frozenset({"sealing"}),
    workers=sealed_by,
    runbook=RUNBOOK,
    impact=Impact(on_epochs=lambda alert, _: not_sealed(alert.subject)),
    blocking=lambda *_: ("epoch sealing",),
    recovered=sealed_now,
)
SEALING_SLOW = of_sealing(evaluate=sealing_slow, roles=frozenset({"sealing", "slow_seal"}))
SEALING_LATE = of_sealing(evaluate=sealing_late, replaces=(Replaces(SEALING_SLOW),), criterion=EPOCHS_SEALED.name)
SEALING_STUCK = of_sealing(
    severities=("critical",),
    evaluate=sealing_stuck,
    replaces=(Replaces(SEALING_LATE), Replaces(SEALING_SLOW)),
    recommend=lambda _: "restart_service",
    target="what seals {}",
    criterion=EPOCHS_SEALED.name,
)
