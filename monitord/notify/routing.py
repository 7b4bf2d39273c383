"""What a cycle sends, and to whom: from edges to messages. Pure, so that planning it again is the same plan.

What is sent about an alert is sent where its severity is wanted; its end is sent where its beginning was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from monitord.core import humanize
from monitord.core.alerting import evidence
from monitord.core.alerting.escalation import annotations_of
from monitord.core.engine import Decision
from monitord.core.model import Action, Alert, Severity, Transition
from monitord.core.report.model import Report
from monitord.core.status import alert_fields
from monitord.core.subjects import declared
from monitord.jsonable import in_json
from monitord.masking import mask
from monitord.notify.channels.base import Channel
from monitord.notify.digest import TITLE_AT_MOST, digest
from monitord.notify.message import Kind, Message, Origin
from monitord.notify.wording import (
    edge_fields,
    edge_sentence,
    end_lines,
    end_sentence,
    lasted_words,
    verdict_fields,
    verdict_sentence,
)
from monitord.storage.outbox import NotifiedChannels

# What `monitor_degraded` calls a channel that fails: this, and the channel's name.
CHANNEL_PART: Final = "notify "
# Why a channel is sent alerts that fire already: it is new, or it is of its hours or of what nobody has acknowledged.
NEWCOMER: Final = "before this channel was set up"
LATER: Final = "before it was this channel's turn"
# The kinds of message about an alert that fires, and that somebody may say they know of.
_OPEN: Final[tuple[Kind, ...]] = ("firing", "reminder")
# No quiet hours last longer, summer time or not: what is due later still was held by a clock that was wrong.
_HELD_AT_MOST_SECONDS: Final = 25 * 3600.0

_VERDICTS: Final[dict[str, Severity | Literal["info"]]] = {"GO": "info", "NO-GO": "critical"}


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """One message for one channel, not to be sent before `due` (Unix seconds; 0: at once)."""

    channel: str
    message: Message
    due: float = 0.0

    def is_due(self, now: float) -> bool:
        return not now < self.due <= now + _HELD_AT_MOST_SECONDS


def plan(
    decision: Decision, notified: NotifiedChannels, channels: Sequence[Channel], sender: Origin
) -> tuple[list[PlannedMessage], dict[str, tuple[str, ...]]]:
    """The messages of a cycle, and which receiver has then been notified of which alert."""
    now, planned = decision.at, list[PlannedMessage]()
    current = {_address(channel) for channel in channels} | {channel.name for channel in channels}
    # A receiver that is gone, or is another by now, has to be brought up to date when it comes back.
    known = {alert_id: current.intersection(names) for alert_id, names in notified.items()}
    for edge in decision.transitions:
        alert = edge.alert
        if edge.edge == "firing":
            message = edge_message(edge, decision.actions, sender)
            names = known.get(alert.id, ())
            wanted = [channel for channel in channels if _wants(channel, alert, names, now)]
            known.setdefault(alert.id, set()).update(map(_address, wanted))
            if edge.reason == "silence_ended" and alert.acked_at is not None:
                continue  # back in the open, and somebody knows
        elif edge.edge == "resolved" and alert.id in known:
            message = edge_message(edge, (), sender)
            names = known.pop(alert.id)
            wanted = [channel for channel in channels if _knows(channel, names)]
        elif edge.edge == "suppressed" and alert.id in known:
            # An alert was silenced that had been sent. A receiver that is sent it repeatedly would go on paging.
            message = edge_message(replace(edge, edge="resolved", reason="silenced"), (), sender)
            wanted = [c for c in channels if _knows(c, known[alert.id]) and _keeps_open(c)]
            known[alert.id] -= {name for channel in wanted for name in (channel.name, _address(channel))}
        else:
            continue
        planned += [PlannedMessage(c.name, message, _due(c, alert, sender, now)) for c in wanted]
    for channel in channels:
        planned += _caught_up(decision, channel, known, sender)
    for outcome in decision.outcomes:
        if outcome.kind == "alert_acknowledged" and outcome.alert is not None and outcome.alert.id in known:
            wanted = [c for c in channels if c.policy.acknowledges and _knows(c, known[outcome.alert.id])]
            planned += [PlannedMessage(c.name, ack_message(outcome.alert, now, sender)) for c in wanted]
    planned_for = {(each.channel, part.alert_id) for each in planned for part in each.message.parts or (each.message,)}
    for alert in decision.reminders:
        names = known.get(alert.id, ())
        wanted = [
            c
            for c in channels
            if _is_reminded(c)
            and _knows(c, names)
            and _wants(c, alert, names, now)
            and c.policy.is_open(alert, now)
            and (c.name, alert.id) not in planned_for
        ]
        message = reminder_message(alert, now, sender)
        planned += [PlannedMessage(c.name, message, _due(c, alert, sender, now)) for c in wanted]
    living = {alert.id for alert in decision.state.alerts.values()}
    return planned, {key: tuple(sorted(names)) for key, names in known.items() if key in living and names}


def _caught_up(
    decision: Decision, channel: Channel, known: dict[str, set[str]], sender: Origin
) -> Iterator[PlannedMessage]:
    """What fires and was never sent there: the channel is new, or another receiver by now, or its turn has come.

    Once: `known` then has it. Many are one digest, where whole sentences are read.
    """
    missed = [
        alert
        for alert in decision.state.alerts.values()
        if alert.state == "firing"
        and alert.toward != "resolve"  # by the last reading it is over: that is confirmed, or it is sent next time
        and not _knows(channel, known.get(alert.id, ()))
        and _wants(channel, alert, (), decision.at)
    ]
    for alert in missed:
        known.setdefault(alert.id, set()).add(_address(channel))
    if channel.policy.resend_every is not None:
        return  # it is sent repeatedly as it is
    messages = [_standing(alert, sender) for alert in missed]
    dues = [_due(channel, alert, sender, decision.at) for alert in missed]
    if len(messages) > 1 and channel.policy.coalesces:
        why = LATER if channel.policy.routes else NEWCOMER
        yield PlannedMessage(channel.name, digest(messages, sender.place, why, sender.links.page("/alerts")), min(dues))
        return
    yield from (PlannedMessage(channel.name, message, due) for message, due in zip(messages, dues, strict=True))
    if channel.policy.acknowledges:
        known_of = (alert for alert in missed if alert.acked_at is not None)
        yield from (PlannedMessage(channel.name, ack_message(alert, decision.at, sender)) for alert in known_of)


def _standing(alert: Alert, sender: Origin) -> Message:
    """The message of an alert that fires already: the one that was sent when it began to."""
    return edge_message(Transition("firing", alert, alert.fired_at or alert.since), (), sender)


def still_firing(decision: Decision, channel: Channel, sender: Origin, notified: NotifiedChannels) -> list[Message]:
    """What fires now, for a channel that must be notified again and again."""
    return [
        _standing(alert, sender)
        for alert in decision.state.alerts.values()
        if alert.state == "firing" and _wants(channel, alert, notified.get(alert.id, ()), decision.at)
    ]


def edge_message(edge: Transition, actions: Sequence[Action], sender: Origin) -> Message:
    """The message of an alert that fires or is resolved, with what is recommended about it."""
    if edge.edge == "resolved":
        # What a reading did not end may go on: it is no longer watched, silenced, or another alert says more.
        head = "ENDED" if edge.reason else "RESOLVED"
        title = f"{head} {sender.place}: {end_sentence(edge)}"
        lasted = f"It fired for {lasted_words(edge)}."
        return _message(edge.alert, "resolved", edge.at, title, end_lines(edge), edge_fields(edge), sender, (lasted,))
    alert = edge.alert
    title = f"{alert.severity.upper()} {sender.place}: {edge_sentence(edge)}"
    looks = (line for action in actions if action.alert_id == alert.id for line in _runbook_lines(action))
    lines = (*_to_do(alert, edge.at), *looks)
    return _message(alert, "firing", edge.at, title, lines, edge_fields(edge), sender, _in_short(alert))


def reminder_message(alert: Alert, now: datetime, sender: Origin) -> Message:
    lasts = humanize.duration(max(0.0, (now - (alert.fired_at or alert.since)).total_seconds()))
    title = f"STILL {alert.severity.upper()} {sender.place}: {alert.finding.summary}"
    lines = (f"It has been firing for {lasts}.", *_to_do(alert, now))
    return _message(alert, "reminder", now, title, lines, alert_fields(alert), sender, (lines[0], *_in_short(alert)))


def ack_message(alert: Alert, now: datetime, sender: Origin) -> Message:
    title = f"ACKNOWLEDGED {sender.place}: {alert.finding.summary}"
    return _message(alert, "acknowledged", alert.acked_at or now, title, (), alert_fields(alert), sender)


def verdict_message(report: Report, sender: Origin) -> Message:
    at = datetime.fromtimestamp(report.until, UTC)
    sentence = verdict_sentence(report)
    marks = {True: "met", False: "NOT MET", None: "unknown"}
    title = f"{sender.place}: {sentence}"
    lines = [*_cut(title, sentence), *(f"{c.name}: {marks[c.met]}. {c.evidence}" for c in report.criteria)]
    return Message(
        id=_identity("verdict", sender.place, at.isoformat()),
        kind="verdict",
        at=at,
        severity="warning" if report.headline != report.verdict else _VERDICTS.get(report.verdict, "warning"),
        title=_line(title),
        text=mask("\n".join(lines)),
        fields=in_json({**verdict_fields(report), **sender.labels}, mask),
        link=sender.links.page("/report"),
    )


def _message(
    alert: Alert,
    kind: Kind,
    at: datetime,
    title: str,
    lines: Iterable[str],
    fields: Mapping[str, object],
    sender: Origin,
    short: Iterable[str] = (),
) -> Message:
    since = humanize.clock(alert.since.timestamp())
    last = f"{alert.rule} of {alert.subject} on {sender.place}, since {since}, alert {alert.id}."
    whole = _cut(title, title.partition(": ")[2])
    return Message(
        id=_identity(alert.id, kind, at.isoformat(), str(fields.get("reason", ""))),
        kind=kind,
        at=at,
        severity=alert.severity,
        title=_line(title),
        text=mask("\n".join([*whole, *(line for line in lines if line), last])),
        short=mask("\n".join([*(line for line in short if line), f"alert {alert.id}"])),
        alert_id=alert.id,
        rule=alert.rule,
        subject=alert.subject,
        fields=in_json({**fields, **sender.labels}, mask),
        link=sender.links.alert(alert.id),
        ack=sender.links.ack(alert.id, at) if kind in _OPEN and alert.acked_at is None else "",
    )


def _wants(channel: Channel, alert: Alert, names: Collection[str], now: datetime) -> bool:
    """Whether a route there takes an alert, and its time has come: who is in `names` is notified at any time.

    Never that this very channel fails.
    """
    policy = channel.policy
    if not (policy.takes(alert) if _knows(channel, names) else policy.takes_now(alert, now)):
        return False
    parts = alert.finding.evidence.get("parts") if "monitor" in declared(alert.rule).roles else None
    return not isinstance(parts, list | tuple) or f"{CHANNEL_PART}{channel.name}" not in parts


def _address(channel: Channel) -> str:
    """How it is remembered who was notified: by name, and by which receiver has it."""
    return f"{channel.name}#{channel.policy.receiver}" if channel.policy.receiver else channel.name


def _knows(channel: Channel, names: Collection[str]) -> bool:
    """Whether a channel is among those that were notified. An older monitord remembered names only."""
    return _address(channel) in names or channel.name in names


def _keeps_open(channel: Channel) -> bool:
    """Whether its receiver goes on paging for what it was sent, until it receives an end."""
    return channel.policy.resend_every is not None or channel.policy.incidents


def _is_reminded(channel: Channel) -> bool:
    """Whether it has no reminders of its own."""
    return channel.policy.quiet and not channel.policy.incidents


def _due(channel: Channel, alert: Alert, sender: Origin, now: datetime) -> float:
    """When a message of this alert may go: warnings wait until the quiet hours are over."""
    if alert.was_critical or alert.severity == "critical" or sender.quiet is None or not channel.policy.quiet:
        return 0.0
    end = sender.quiet.ending(now)
    return 0.0 if end is None else end.timestamp()


def _to_do(alert: Alert, now: datetime) -> Iterator[str]:
    """What to do about an alert, and what it rests on."""
    yield from _in_short(alert)
    if known := evidence.sentence(alert.finding, now.timestamp()):
        yield f"Evidence: {known}."


def _in_short(alert: Alert) -> Iterator[str]:
    """What to do about an alert, where little is read: the evidence and the commands are on its page."""
    yield alert.finding.recommendation
    yield from (f"{name}: {text}" for name, text in annotations_of(alert.finding))


def _runbook_lines(action: Action) -> Iterator[str]:
    """The first things to check, one command a line, so that each can be copied as it is."""
    for number, command in enumerate(action.look_at):
        yield f"Check: {command}" if number == 0 else f"       {command}"


def _identity(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:20]


def _cut(title: str, sentence: str) -> list[str]:
    """The sentence of a title that has to be cut: what stands there whole is not repeated."""
    return [] if _line(title) == _one_line(title) else [sentence]


def _one_line(title: str) -> str:
    return " ".join(mask(title).split())


def _line(title: str) -> str:
    return humanize.short(_one_line(title), TITLE_AT_MOST)
