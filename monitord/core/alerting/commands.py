"""What an operator may ask of monitord, checked and made into a command. ValueError, a sentence, for what cannot be."""

from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from monitord.core import cron, units
from monitord.core.alerting.silences import Silences, forgotten, known_subjects, never_ends, silence_id
from monitord.core.engine import State
from monitord.core.history.defaults import defaults, effective, seen
from monitord.core.model import Alert, Command, Silence
from monitord.core.names import hint, is_exact, is_pattern
from monitord.core.orders import StandingOrders
from monitord.core.subjects import rule_names

DEFAULT_LENGTH: Final = "2h"
LONGEST: Final = timedelta(days=365)
LONGEST_TEXT: Final = 200
# A prefix that is shorter says too little of which alert is meant.
SHORTEST_PREFIX: Final = 4
# More silences than anybody keeps an eye on are no silences any more, but monitoring that is off.
MOST_SILENCES: Final = 200


def silence(
    now: datetime,
    subject: str,
    *,
    rule: str = "",
    lasts: str = DEFAULT_LENGTH,
    every: str = "",
    reason: str = "",
    known: Container[str] = (),
) -> Command:
    """A silence from `now` on, or at each time of a schedule (UTC). One of the `known` names is no pattern."""
    subject, reason = subject.strip(), " ".join(reason.split())
    if not subject:
        raise ValueError("SUBJECT is empty; '*' is the whole host")
    for name, text in (("SUBJECT", subject), ("--reason", reason)):
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"{name} is longer than {LONGEST_TEXT} characters")
        if not text.isprintable():
            raise ValueError(f"{name} has characters in it that cannot be shown")
    if rule and rule not in (names := rule_names()):
        raise ValueError(f"--rule: {rule!r} is no rule{hint(rule, names)}")
    length = _length(lasts)
    if every:
        try:
            cron.normal(every)
        except ValueError as error:
            raise ValueError(f"--every: {error}") from None
        every = " ".join(every.split())
        if never_ends(every, length, now):
            raise ValueError(
                f"--for: {lasts} is no shorter than what lies between two times of {every!r}: it would never end"
            )
    return Command(
        kind="silence",
        at=now,
        silence=Silence(
            id=silence_id(subject, rule, every, now),
            subject=subject,
            since=now,
            until=None if every else now + length,
            rule=rule,
            reason=reason,
            every=every,
            lasts=length.total_seconds() if every else 0.0,
            exact=is_pattern(subject) and is_exact(subject, known),
        ),
    )


def unsilence(now: datetime, prefix: str, silences: Silences) -> Command:
    """The end of the silence with this id, or the only one whose id begins so."""
    return Command("unsilence", now, target=_one_of(prefix, silences, "silence", shortest=1))


def ack(now: datetime, prefix: str, alerts: Iterable[Alert]) -> Command:
    """That an operator knows of the alert with this id, or of the only one whose id begins so."""
    by_id = {alert.id: alert for alert in alerts}
    found = by_id[_one_of(prefix, by_id, "alert that lives", shortest=SHORTEST_PREFIX)]
    if not found.is_confirmed:
        raise ValueError(f"{found.id} ({found.rule} of {found.subject}) is not confirmed yet: there is nothing to know")
    if found.acked_at is not None:
        at = f"{found.acked_at:%Y-%m-%d %H:%M} UTC"
        raise ValueError(f"{found.id} ({found.rule} of {found.subject}) has been acknowledged already, at {at}")
    return Command("ack", now, target=found.id)


def forget(now: datetime, name: str, state: State, orders: StandingOrders) -> Command:
    """That a service which was only learned by having been seen is not expected any more."""
    if not forgotten(name, state.history, orders):
        raise ValueError(_why_not(name, state, orders))
    return Command("forget", now, target=name)


def awaited(silences: Silences, commands: Iterable[Command]) -> dict[str, Silence]:
    found = dict(silences)
    for command in commands:
        if command.kind == "silence" and command.silence is not None:
            found[command.silence.id] = command.silence
        elif command.kind == "unsilence":
            found.pop(command.target, None)
    return found


def subjects(state: State, orders: StandingOrders) -> frozenset[str]:
    return known_subjects(state.history, state.alerts, effective(orders, state.history))


def _length(text: str) -> timedelta:
    try:
        found = units.duration(text)
    except ValueError as error:
        raise ValueError(f"--for: {error}") from None
    if not found:
        raise ValueError("--for: it must be longer than nothing")
    if found > LONGEST:
        raise ValueError(f"--for: {text!r} is longer than {LONGEST.days} days")
    return found


def _one_of(prefix: str, known: Mapping[str, object], what: str, shortest: int) -> str:
    if prefix in known:
        return prefix
    found = sorted(name for name in known if prefix and name.startswith(prefix))
    if not found:
        raise ValueError(f"there is no {what} with the id {prefix!r}{hint(prefix, known)}")
    if len(prefix) < shortest:
        raise ValueError(f"{prefix!r} is too short; give at least {shortest} characters of the id")
    if len(found) > 1:
        raise ValueError(f"{prefix!r} may be any of {', '.join(found[:5])}")
    return found[0]


def _why_not(name: str, state: State, orders: StandingOrders) -> str:
    if name in orders.services:
        return f"{name} is expected because MONITORD_ORDERS__SERVICES names it; take it out there"
    for variable, named in (
        ("MONITORD_POSTGRES__TABLES", orders.tables),
        ("MONITORD_REDIS__QUEUES", orders.queues),
        ("MONITORD_EPOCHS__GROUPS", orders.groups),
        ("MONITORD_HOST__DISKS", orders.disks),
    ):
        if name in named and name in defaults(orders) and seen(state.history, name):
            why = f"it was there and, not being set, {variable} names it"
            return f"{name} is watched because {why}; set that without it if it is gone for good"
        if name in named:
            return f"{name} is watched because {variable} names it; take it out there"
    if orders.services:
        return f"nothing is remembered of {name!r}: MONITORD_ORDERS__SERVICES says what is expected"
    return f"no service called {name!r} is expected: there is nothing to forget{hint(name, state.history.roster)}"
