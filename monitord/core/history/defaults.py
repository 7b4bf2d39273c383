"""Which defaults are watched: a subject that nobody named is watched where it is there, or was seen before.

What the settings name is watched whatever becomes of it: its absence is a finding. A default that is not there and
never was is off, everywhere. Whether it is there the Postgres probe asks in every cycle, so one that appears later is
picked up, and one that was seen before and vanishes is missed.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from monitord.core.copying import replace
from monitord.core.history.model import History
from monitord.core.latest import latest, latest_equal
from monitord.core.model import Observation
from monitord.core.names import patterns
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import Defaults, Subject
from monitord.core.subjects.registry import registered

# When a default was first seen, where that was before anybody kept count.
LONG_AGO: Final = 0.0
# The defaults of one fleet.
_OWN: Final = StandingOrders()


def _declared() -> tuple[tuple[Subject, Defaults], ...]:
    return _of(registered())


@latest_equal
def _of(subjects: tuple[Subject, ...]) -> tuple[tuple[Subject, Defaults], ...]:
    return tuple((subject, subject.defaults) for subject in subjects if subject.defaults is not None)


@latest
def _asked(subjects: tuple[Subject, ...], orders: StandingOrders) -> tuple[tuple[str, Defaults], ...]:
    return tuple(
        (table, subject.defaults)
        for subject in subjects
        if subject.defaults is not None
        for table in subject.defaults.asked(orders)
    )


def defaults(orders: StandingOrders) -> tuple[str, ...]:
    """The tables that are watched by default only, as they are asked for."""
    return tuple(table for table, _ in _asked(registered(), orders))


def seen(history: History, table: str) -> bool | None:
    """Whether a default has ever been there; None while no server could be asked."""
    if table in history.seen:
        return history.seen[table] is not None
    return True if any(own.known(history, table) for _, own in _declared()) else None


def effective(orders: StandingOrders, history: History) -> StandingOrders:
    """The orders as far as they apply to what is there: everything downstream walks these."""
    # Nearly always each was seen.
    answers = tuple(
        [(table, history.seen.get(table) is not None or seen(history, table)) for table in defaults(orders)]
    )
    exact_names = patterns(orders.services) | _patterns(history.roster, history.services)
    return _effective((orders, answers, exact_names))


@latest
def _patterns(names: Iterable[str], others: Iterable[str]) -> frozenset[str]:
    return patterns([*names, *others])


@partial(latest_equal, most=4)  # from cycle to cycle nearly always the same; of what is in force it is that itself
def _effective(asked: tuple[StandingOrders, tuple[tuple[str, bool | None], ...], frozenset[str]]) -> StandingOrders:
    """The orders by what is known of each default, and by the names that look like patterns."""
    orders, answers, exact_names = asked
    found, declared = orders, _declared()
    for _, own in reversed(declared):  # a server after what is measured through it
        found = own.applied(found, dict(answers).get)
    tables, groups, probes = found.tables, found.groups, found.probes
    probes -= {subject.name for subject in registered() if subject.beside and subject.beside not in probes}
    # The default is one fleet's own: it does not apply to a fleet that is known to be another.
    members = [subject.members for subject, _ in declared]
    is_own = any(_named(name, getattr(_OWN, field)) for field in members for name in getattr(found, field))
    is_known = all(subject.server in probes for subject, _ in declared) and None not in dict(answers).values()
    faces = () if "user_facing" in orders.unnamed and is_known and not is_own else orders.user_facing
    found = replace(
        found,
        probes=probes,
        user_facing=faces,
        cemented=tuple(group for group in orders.cemented if _named(group, groups)),
        sealed_by={group: by for group, by in orders.sealed_by.items() if _named(group, groups)},
        fed_by={name: by for name, by in orders.fed_by.items() if name in tables or _named(name, groups)},
        exact_names=exact_names,
    )
    return orders if found == orders else found


def _named(name: str, names: tuple[str, ...]) -> bool:
    return name.upper() in {one.upper() for one in names}


def settle(
    history: History, observation: Observation, orders: StandingOrders
) -> tuple[History, Observation, StandingOrders]:
    """What this observation shows of the defaults: remembered, taken out of it where they are off, and the orders."""
    now = observation.now.timestamp()
    known: dict[str, float | None] = dict(history.seen)
    for table, own in _asked(registered(), orders):
        if history.seen.get(table) is not None:  # nearly always
            continue
        if seen(history, table):
            known.setdefault(table, LONG_AGO)
        elif (is_there := own.shown(observation, table)) is not None:
            known[table] = now if is_there else None
    if known != history.seen:
        history = replace(history, seen=known)
    applied = effective(orders, history)
    return history, _without(observation, orders, applied), applied


def _without(observation: Observation, orders: StandingOrders, applied: StandingOrders) -> Observation:
    if applied is orders:  # nearly always: nothing is off
        return observation
    probes, members = _off(orders, applied)
    readings = observation.readings
    if not probes.isdisjoint(readings):
        readings = {probe: reading for probe, reading in readings.items() if probe not in probes}
    for name, off in members.items():
        if (reading := readings.get(name)) is not None and any(gap.subject in off for gap in reading.gaps):
            gaps = tuple(gap for gap in reading.gaps if gap.subject not in off)
            readings = {**readings, name: replace(reading, gaps=gaps)}
    return observation if readings is observation.readings else replace(observation, readings=readings)


@latest
def _off(orders: StandingOrders, applied: StandingOrders) -> tuple[frozenset[str], Mapping[str, frozenset[str]]]:
    """The probes that do not apply, and of the subjects of the others the members that do not."""
    members = {
        subject.name: frozenset(subject.named(orders)) - frozenset(subject.named(applied)) for subject, _ in _declared()
    }
    return orders.probes - applied.probes, {name: off for name, off in members.items() if off}


def found(orders: StandingOrders, history: History) -> StandingOrders:
    """The orders for what is known to be there: a time that is over can no longer be queried."""
    known = dict(history.seen)
    for table in defaults(orders):
        if seen(history, table) is None:
            known[table] = None
    return effective(orders, replace(history, seen=known))


def seen_by(known: Mapping[str, float | None], at: float) -> dict[str, float | None]:
    """What had been seen by then (Unix seconds), of what is known now."""
    return {subject: first for subject, first in known.items() if first is not None and first <= at}
