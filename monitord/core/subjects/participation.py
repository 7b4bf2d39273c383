"""Judgement of who takes part by the habit, once known: an epoch unusually incomplete, a channel silent."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.anomalies.completeness import KEEP_LABELS, habit, incomplete
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED
from monitord.core.dependencies import sealers, unsealed
from monitord.core.history.clocks import DISAGREE, disagree, judged_at
from monitord.core.history.epochs import calendar
from monitord.core.history.model import History
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import NONE, NOT_JUDGED, Answer, EpochImpact, Impact, RecoveryContext, Rule, of_each
from monitord.core.subjects.tables import NO_FLOW, fed_by

UNTOLD = "too little of its past is known"


@of_each(lambda orders: orders.groups)
def sealing_incomplete(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """Channels took part in the newest complete label and were not sealed for it, more of them than is its habit."""
    if not orders.learned_warnings:
        return NOT_JUDGED
    if disagree(history):
        return DISAGREE
    days = calendar(orders)
    expected = days.expected(judged_at(history, observation.now.timestamp()))
    seen = history.learned.get(group, NOTHING_LEARNED).completeness
    newest = seen.participating.newest
    if newest is None or newest < expected - KEEP_LABELS * days.length:
        return NOT_JUDGED  # nobody counts who takes part, or not any more
    judged = incomplete(seen) if newest >= expected else None
    if not judged:
        return UNTOLD if judged is None else None
    newest = seen.newest or newest
    took, unsealed = seen.participating.get(newest) or 0, seen.unsealed.get(newest) or 0
    more = unsealed - len(seen.channels)
    names = ", ".join(seen.channels) + (f" and {more} more" if seen.channels and more > 0 else "")
    summary = (
        f"{group} sealed {humanize.label_at(newest)} without {unsealed} of the "
        f"{humanize.plural(took, 'channel')} that took part{': ' if names else ''}{names}."
    )
    evidence = {
        "label": newest,
        "participating": took,
        "unsealed": unsealed,
        "channels": list(seen.channels),
        "labels_before": len(habit(seen).pairs),
    }
    advice = f"Have {group} seal the channels that are left out; their participants cannot claim until then."
    return Finding("sealing_incomplete", group, "warning", unsealed, 0, "channels", summary, evidence, advice)


def channel_silent(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A channel of a cemented group that takes no part for longer than it ever did lately, while its group lives."""
    if not orders.learned_warnings:
        return
    days = calendar(orders)
    expected = days.expected(judged_at(history, observation.now.timestamp()))
    for group in orders.groups:
        silence = history.learned.get(group, NOTHING_LEARNED).silence
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
                yield Unknown("channel_silent", subject, "who takes part could not be determined lately")
                continue
            summary = (
                f"{channel} of {group} has taken part in none of the last {labels} epochs that its group lived, "
                f"longer than ever in the last {KEEP_LABELS}."
            )
            evidence = {"group": group, "channel": channel, "silent_labels": labels, "label": silence.label}
            advice = (
                f"See whether {channel} is still on the air; if it is, check what listens to it, "
                f"else take it off {group}'s list."
            )
            yield Finding("channel_silent", subject, "warning", labels, None, "labels", summary, evidence, advice)


def _complete_now(alert: Alert, at: RecoveryContext) -> str | None:
    seen = at.history.learned[alert.subject].completeness
    newest = seen.participating.newest
    if newest is None:
        return None
    took, left_out = seen.participating.get(newest), seen.unsealed.get(newest)
    if not took or left_out is None:
        return None
    label = f"{newest} ({humanize.moment(newest, at.now)})"
    return f"{alert.subject} has sealed {took - left_out} of the {humanize.plural(took, 'channel')} of {label}."


def _heard_now(alert: Alert, at: RecoveryContext) -> str | None:
    group, _, channel = alert.subject.partition("/")
    label = at.history.learned[group].silence.label
    if label is None:
        return None
    return f"{channel} of {group} takes part again, in {label} ({humanize.moment(label, at.now)})."


def sealed_by(finding: Finding, orders: StandingOrders) -> tuple[tuple[str, ...], ...]:
    """Patterns of the services that seal each of the groups that a finding is about."""
    return tuple(sealers(group, orders) for group in unsealed(finding))


def not_sealed(group: str) -> EpochImpact:
    return (NONE, f"epochs of {group} are unsealed or incomplete", f"what is not sealed for {group} cannot be claimed")


_RUNBOOK: Final = (
    "{pm2} logs {feeder} --lines 50 --nostream",
    "SELECT epoch, to_timestamp(epoch), token_group, count(DISTINCT channel) FROM channel_participation "
    "WHERE epoch > extract(epoch FROM now()) - 86400 GROUP BY 1, 2, 3 ORDER BY epoch DESC LIMIT 10",
    "{pm2} status",
)

_rule = partial(Rule, probe="epochs", runbook=_RUNBOOK)
SEALING_INCOMPLETE = _rule(
    evaluate=sealing_incomplete,
    roles=frozenset({"sealing"}),
    workers=sealed_by,
    impact=Impact(on_epochs=lambda alert, _: not_sealed(alert.subject)),
    blocking=lambda *_: ("epoch sealing",),
    recovered=_complete_now,
)
CHANNEL_SILENT = _rule(
    evaluate=channel_silent, roles=frozenset({"flow"}), workers=fed_by, impact=NO_FLOW, recovered=_heard_now
)
RULES = (SEALING_INCOMPLETE, CHANNEL_SILENT)
