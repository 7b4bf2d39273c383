"""Judgement by the system's own recent past: a seal unusually slow, an epoch unusually incomplete, a channel silent.

Nothing is judged before the habit is known, nor where the orders want none of it: nobody set these limits.
"""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core import words
from monitord.core.clocks import DISAGREE, disagree, judged_at
from monitord.core.completeness import KEEP_LABELS, habit, incomplete
from monitord.core.epochs import Seals, calendar, seals
from monitord.core.history import History
from monitord.core.lateness import slow_past, usual
from monitord.core.learned import Learned
from monitord.core.model import Clear, Finding, Judgement, Observation, Unknown
from monitord.core.night import Usual
from monitord.core.orders import StandingOrders

UNTOLD = "too little of its past is known"


def _label(label: int) -> str:
    return f"{label} ({words.clock(label)})"


def _plural(number: int, word: str) -> str:
    return f"{words.count(number)} {word}" + ("" if number == 1 else "s")


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
        learned = history.learned.get(group, Learned())
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
    found: Seals, learned: Learned, history: History, now: float, orders: StandingOrders
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
        f"{group} took {words.duration(round(late))} to seal {_label(label)}"
        if is_sealed
        else f"{group} has not sealed {_label(label)} {words.duration(round(late))} after it was due"
    )
    return Finding(
        rule="sealing_slow",
        subject=group,
        severity="warning",
        value=round(late),
        limit=round(limit),
        unit="seconds",
        summary=f"{so_far}: later than 99% of its {past.count} seals of the last {words.duration(past.days * 86_400)}.",
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


def sealing_incomplete(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """Channels took part in the newest complete label and were not sealed for it, more of them than is its habit."""
    if not orders.learned_warnings:
        return
    if disagree(history):
        yield from (Unknown("sealing_incomplete", group, DISAGREE) for group in orders.groups)
        return
    days = calendar(orders)
    expected = days.expected(judged_at(history, observation.now.timestamp()))
    for group in orders.groups:
        seen = history.learned.get(group, Learned()).completeness
        newest = seen.participating.newest
        if newest is None or newest < expected - KEEP_LABELS * days.length:
            continue  # nobody counts who takes part, or not any more
        judged = incomplete(seen) if newest >= expected else None
        if judged is None:
            yield Unknown("sealing_incomplete", group, UNTOLD)
        elif not judged:
            yield Clear("sealing_incomplete", group)
        else:
            newest = seen.newest or newest
            took, unsealed = seen.participating.get(newest) or 0, seen.unsealed.get(newest) or 0
            more = unsealed - len(seen.channels)
            names = ", ".join(seen.channels) + (f" and {more} more" if seen.channels and more > 0 else "")
            yield Finding(
                rule="sealing_incomplete",
                subject=group,
                severity="warning",
                value=unsealed,
                limit=0,
                unit="channels",
                summary=(
                    f"{group} sealed {_label(newest)} without {unsealed} of the {_plural(took, 'channel')} "
                    f"that took part{': ' if names else ''}{names}."
                ),
                evidence={
                    "label": newest,
                    "participating": took,
                    "unsealed": unsealed,
                    "channels": list(seen.channels),
                    "labels_before": len(habit(seen).pairs),
                },
                recommendation=(
                    f"Have {group} seal the channels that are left out; their participants cannot claim until then."
                ),
            )


def channel_silent(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A channel of a cemented group that takes no part for longer than it ever did lately, while its group lives."""
    if not orders.learned_warnings:
        return
    days = calendar(orders)
    expected = days.expected(judged_at(history, observation.now.timestamp()))
    for group in orders.groups:
        silence = history.learned.get(group, Learned()).silence
        if disagree(history):
            yield from (Unknown("channel_silent", f"{group}/{channel}", DISAGREE) for channel in silence.channels)
            continue
        if silence.label is None or silence.label < expected - KEEP_LABELS * days.length:
            continue
        is_new = silence.label >= expected
        for channel in silence.ended if is_new else ():
            yield Clear("channel_silent", f"{group}/{channel}")
        for channel, labels in silence.channels.items():
            subject = f"{group}/{channel}"
            if not is_new:
                yield Unknown("channel_silent", subject, "who takes part could not be told lately")
                continue
            yield Finding(
                rule="channel_silent",
                subject=subject,
                severity="warning",
                value=labels,
                limit=None,
                unit="labels",
                summary=(
                    f"{channel} of {group} has taken part in none of the last {labels} epochs that its group lived, "
                    f"longer than ever in the last {KEEP_LABELS}."
                ),
                evidence={"group": group, "channel": channel, "silent_labels": labels, "label": silence.label},
                recommendation=(
                    f"See whether {channel} is still on the air; if it is, look at what listens to it, "
                    f"else take it off {group}'s list."
                ),
            )
