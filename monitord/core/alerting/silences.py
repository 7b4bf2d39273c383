"""Quiet on purpose: what operators ask of monitord, and what a silence keeps from being notified.

A silence lies over the book of alerts like a sheet. Underneath, each alert lives as if there were none: it is judged,
explains others, flaps, ends. Only what would fire is put down as suppressed, and fires when the silence ends.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from monitord.core import cron, names
from monitord.core.alerting import book
from monitord.core.copying import replace
from monitord.core.history.model import History
from monitord.core.model import Alert, Command, Observation, Silence, Transition
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import registered

Silences = Mapping[str, Silence]


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """A command's outcome, or a silence's end (`expired`, `removed`); of a name a sentence for each thing so called."""

    kind: Literal["silence_added", "silence_ended", "alert_acknowledged", "subject_forgotten"]
    silence: Silence | None = None
    alert: Alert | None = None
    subject: str = ""
    reason: str = ""
    forgotten: tuple[str, ...] = ()


# Silences

# So many windows that each begin within the one before are taken for quiet without an end.
_MOST_WINDOWS: Final = 500


def silence_id(subject: str, rule: str, every: str, since: datetime) -> str:
    return "s" + hashlib.sha256(f"{subject}|{rule}|{every}|{since.isoformat()}".encode()).hexdigest()[:8]


def quiet_until(silence: Silence, now: datetime) -> datetime | None:
    """When the silence that is in force at `now` is over, for good or until its next window; None: not in force."""
    if not silence.every:
        return silence.until if silence.until is not None and now < silence.until else None
    lasts = timedelta(seconds=silence.lasts)
    try:
        began = cron.schedule(silence.every).latest(now, lasts)
    except ValueError:
        return None  # no schedule that this monitord knows: notify rather than not
    return None if began is None else _unbroken(cron.schedule(silence.every), began, lasts)[0]


def never_ends(every: str, lasts: timedelta, now: datetime) -> bool:
    """Whether each window of a schedule begins before the one before it is over. ValueError for what is no schedule."""
    found = cron.schedule(every)
    began = found.following(now)
    return began is not None and not _unbroken(found, began, lasts)[1]


def _unbroken(schedule: cron.Schedule, began: datetime, lasts: timedelta) -> tuple[datetime, bool]:
    """When a window is over together with those that begin within it; and whether that end was found."""
    for _ in range(_MOST_WINDOWS):
        following = schedule.following(began)
        if following is None or following > began + lasts:
            return began + lasts, True
        began = following
    return began + lasts, False


def next_window(silence: Silence, now: datetime) -> datetime | None:
    """When the next window of a silence by the clock begins, after `now`; None of all others."""
    try:
        return cron.schedule(silence.every).following(now) if silence.every else None
    except ValueError:
        return None


def in_force(silences: Silences, now: datetime) -> tuple[Silence, ...]:
    """In the order in which they were made."""
    return tuple(silence for silence in silences.values() if quiet_until(silence, now) is not None)


def covers(silence: Silence, rule: str, subject: str) -> bool:
    known = (silence.subject,) if silence.exact else ()
    return names.means(silence.subject, subject, known) and silence.rule in ("", rule)


def known_subjects(history: History, alerts: Mapping[str, Alert], orders: StandingOrders) -> frozenset[str]:
    things = {subject.name for subject in registered() if not subject.is_server or subject.name in orders.probes}
    services = {*orders.services, *history.roster, *history.services}
    services |= {name for fleet in history.fleets.values() for name in (*fleet.roster, *fleet.services)}
    edges_out = {alert.subject for alert in alerts.values()}
    named = {*orders.tables, *orders.queues, *orders.groups, *orders.disks}
    return frozenset({*things, *services, *edges_out, *named})


def settle(silences: dict[str, Silence], known: Container[str]) -> None:
    """Remember of each silence that a subject is called exactly as it is written. Changes `silences` in place.

    It stays so when that subject is gone: what was meant then does not begin to cover its neighbours.
    """
    for name, silence in silences.items():
        if not silence.exact and names.is_pattern(silence.subject) and names.is_exact(silence.subject, known):
            silences[name] = replace(silence, exact=True)


def silence_of(alert: Alert, forces: Sequence[Silence]) -> Silence | None:
    """The one of these silences that covers an alert: the one that does already, else the first."""
    found = [silence for silence in forces if covers(silence, alert.rule, alert.subject)]
    return next((silence for silence in found if silence.id == alert.silenced_by), found[0] if found else None)


def set_back(silences: Silences, by: timedelta) -> dict[str, Silence]:
    """The silences after the wall clock was set back: two hours of quiet stay two hours."""
    return {
        name: replace(one, since=one.since - by, until=None if one.until is None else one.until - by)
        for name, one in silences.items()
    }


# Commands


def apply_commands(
    commands: Iterable[Command],
    silences: dict[str, Silence],
    alerts: dict[str, Alert],
    history: History,
    orders: StandingOrders,
    now: datetime,
) -> tuple[list[Transition], list[CommandOutcome]]:
    """Do what operators ask, and end what is over. `silences` and `alerts` are changed in place.

    What is asked twice, or of what is gone, changes nothing. What the history forgets, `update` has it forget.
    """
    edges: list[Transition] = []
    outcomes: list[CommandOutcome] = []
    for command in commands:
        match command.kind:
            case "silence":
                if (new := command.silence) is not None and new.id not in silences:
                    silences[new.id] = new
                    outcomes.append(CommandOutcome("silence_added", silence=new))
            case "unsilence":
                if (old := silences.pop(command.target, None)) is not None:
                    outcomes.append(CommandOutcome("silence_ended", silence=old, reason="removed"))
            case "ack":
                for place, alert in alerts.items():
                    if alert.id == command.target and alert.is_confirmed and alert.acked_at is None:
                        alerts[place] = replace(alert, acked_at=now)
                        outcomes.append(CommandOutcome("alert_acknowledged", alert=alerts[place]))
            case "forget":
                if lines := forgotten(command.target, history, orders):
                    edges += book.drop(
                        alerts, ended_by_forgetting(command.target, alerts, history, orders), now, reason="forgotten"
                    )
                    outcomes.append(CommandOutcome("subject_forgotten", subject=command.target, forgotten=lines))
    if any(names.is_pattern(silence.subject) and not silence.exact for silence in silences.values()):
        settle(silences, known_subjects(history, alerts, orders))
    for name, silence in list(silences.items()):
        if not silence.every and (silence.until is None or silence.until <= now):
            del silences[name]
            outcomes.append(CommandOutcome("silence_ended", silence=silence, reason="expired"))
    return edges, outcomes


def forgotten(name: str, history: History, orders: StandingOrders) -> tuple[str, ...]:
    """What is true, a sentence each, once all of this name is forgotten that was only learned by being seen."""
    found = _forgetting(name, history, orders)
    return tuple(
        one.forgotten or f"{f'The {one.member} {name}' if len(found) > 1 else name} is not expected any more."
        for one in found
    )


def ended_by_forgetting(
    name: str, alerts: Mapping[str, Alert], history: History, orders: StandingOrders
) -> list[Alert]:
    rules = {rule.name: rule for one in _forgetting(name, history, orders) for rule in one.rules}
    return [
        a
        for a in alerts.values()
        if a.subject == name
        and (rule := rules.get(a.rule)) is not None
        and ("service" in rule.roles or rule.adopt is not None)
    ]


def _forgetting(name: str, history: History, orders: StandingOrders) -> list[Subject]:
    return [subject for subject in registered() if subject.forget(name, history, orders) is not None]


def forget(history: History, gone: Iterable[str], orders: StandingOrders) -> History:
    """The history without these, as far as they were only learned. What the orders name is expected still."""
    for name in gone:
        for subject in registered():
            history = subject.forget(name, history, orders) or history
    return history


def unhushed(observation: Observation) -> Observation:
    """The observation without silences, for a backtest or a report; what was forgotten or adopted stays so."""
    if not observation.commands:
        return observation
    return replace(observation, commands=tuple(c for c in observation.commands if c.kind in ("forget", "ack")))


# The sheet


def uncovered(alerts: Mapping[str, Alert]) -> dict[str, Alert]:
    """The alerts as they live under the silences: what one keeps quiet fires."""
    return {place: replace(a, state="firing") if a.silenced_by else a for place, a in alerts.items()}


def covered(
    edges: Iterable[Transition],
    alerts: dict[str, Alert],
    before: Mapping[str, Alert],
    silences: Silences,
    history: History,
    orders: StandingOrders,
    now: datetime,
) -> list[Transition]:
    """The edges as reported; `alerts` change in place. What a silence covers no more fires if it still stands."""
    forces = in_force(silences, now)
    fired_at = {alert.id: alert.fired_at for alert in before.values()}
    edges_out: list[Transition] = []
    crossed: set[str] = set()
    for edge in edges:
        alert = edge.alert
        if edge.edge == "firing":
            crossed.add(alert.id)
            if (by := silence_of(alert, forces)) is not None:
                quiet = _hushed(alert, by.id, fired_at)
                edges_out.append(replace(edge, edge="suppressed", alert=quiet, suppressed_by=by.id))
            else:
                edges_out.append(replace(edge, alert=_loud(alert, now)))
        elif alert.silenced_by:
            edges_out.append(replace(edge, alert=replace(alert, state="suppressed")))
        else:
            edges_out.append(edge)
    for place, alert in list(alerts.items()):
        if alert.state != "firing":
            continue
        by = silence_of(alert, forces)
        if by is not None:
            alerts[place] = _hushed(alert, by.id, fired_at)
            if alert.silenced_by != by.id and alert.id not in crossed:
                edges_out.append(Transition("suppressed", alerts[place], now, suppressed_by=by.id))
        elif alert.silenced_by and alert.id not in crossed and not _stands(alert, history, alerts, orders):
            alerts[place] = replace(alert, state="suppressed")
        elif alert.silenced_by:
            alerts[place] = _loud(alert, now)
            if alert.id not in crossed:
                edges_out.append(Transition("firing", alerts[place], now, reason="silence_ended"))
    return edges_out


def _hushed(alert: Alert, by: str, fired_at: Mapping[str, datetime | None]) -> Alert:
    return replace(alert, state="suppressed", silenced_by=by, fired_at=fired_at.get(alert.id))


def _loud(alert: Alert, now: datetime) -> Alert:
    return replace(alert, silenced_by="", fired_at=alert.fired_at or now)


def _stands(alert: Alert, history: History, alerts: Mapping[str, Alert], orders: StandingOrders) -> bool:
    return alert.toward != "resolve" and not book.frozen(alert, history, alerts, orders)
