"""Judgement of who takes part, by the system's own recent past: an epoch unusually incomplete, a channel silent.

Nothing is judged before the habit is known, nor where the orders want none of it: nobody set these limits.
"""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core import words
from monitord.core.clocks import DISAGREE, disagree, judged_at
from monitord.core.completeness import KEEP_LABELS, habit, incomplete
from monitord.core.epochs import calendar
from monitord.core.history import History
from monitord.core.learned import Learned
from monitord.core.model import Clear, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.rules.base import Rule

UNTOLD = "too little of its past is known"


def said_label(label: int) -> str:
    """A label, with the time of day that it is."""
    return f"{label} ({words.clock(label)})"


def _plural(number: int, word: str) -> str:
    return f"{words.count(number)} {word}" + ("" if number == 1 else "s")


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
                    f"{group} sealed {said_label(newest)} without {unsealed} of the {_plural(took, 'channel')} "
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


SEALING_INCOMPLETE = Rule("sealing_incomplete", "epochs", ("warning",), sealing_incomplete)
CHANNEL_SILENT = Rule("channel_silent", "epochs", ("warning",), channel_silent)
RULES = (SEALING_INCOMPLETE, CHANNEL_SILENT)
