"""Which defaults are watched: a subject that nobody named is watched where it is there, or was seen before.

What the settings name is watched whatever becomes of it: its absence is a finding. A default that is not there and
never was is off, everywhere. Whether it is there the Postgres probe asks in every cycle, so one that appears later is
picked up, and one that was seen before and vanishes is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from monitord.core.copying import replace
from monitord.core.history.model import History
from monitord.core.latest import latest_equal
from monitord.core.model import Observation
from monitord.core.names import patterns
from monitord.core.orders import GROUPS, TABLES, StandingOrders
from monitord.core.subjects.registry import registered

# The table that the epochs' seals are read from.
SEALS: Final = "sealed_epochs"
# When a default was first seen, where that was before anybody kept count.
LONG_AGO: Final = 0.0


def defaults(orders: StandingOrders) -> tuple[str, ...]:
    """The tables that are watched by default only, as they are asked for."""
    tables = orders.tables if "tables" in orders.unnamed else ()
    return (*tables, SEALS) if "groups" in orders.unnamed else tables


def seen(history: History, subject: str) -> bool | None:
    """Whether a default has ever been there; None while no server could be asked."""
    if subject in history.seen:
        return history.seen[subject] is not None
    # A snapshot from before this was kept still holds what was measured of it.
    is_known = subject in history.tables or (subject == SEALS and "epochs" in history.taken_at)
    return True if is_known else None


def effective(orders: StandingOrders, history: History) -> StandingOrders:
    """The orders as far as they apply to what is there: everything downstream walks these.

    What could not be queried is not off but unknown: tables and groups stay, and are null. Only where other
    tables are named, which shows that it is another fleet, no group is named meanwhile; the epochs probe stays.
    """
    tables = orders.tables
    if "tables" in orders.unnamed:
        tables = tuple(name for name in tables if seen(history, name) is not False)
    names = [*orders.services, *history.roster, *history.services]
    return _effective((orders, tables, seen(history, SEALS), patterns(names)))


@partial(latest_equal, most=4)  # from cycle to cycle nearly always the same; of what is in force it is that itself
def _effective(asked: tuple[StandingOrders, tuple[str, ...], bool | None, frozenset[str]]) -> StandingOrders:
    """The orders for these tables, whether the seals' table was ever seen, and the names that look like patterns."""
    orders, tables, seals, exact_names = asked
    groups, probes = orders.groups, orders.probes
    is_open = "groups" in orders.unnamed and seals is None
    may_be_own = is_open and any(name in TABLES for name in orders.tables)
    if "groups" in orders.unnamed and not seals and not may_be_own:
        groups = ()
    if not groups and not is_open:
        probes -= {"epochs"}
    probes -= {subject.name for subject in registered() if subject.beside and subject.beside not in probes}
    if "epochs" not in probes:
        groups = ()
    if "postgres" not in probes:
        tables = ()
    # The default is one fleet's own: it does not apply to a fleet that is known to be another.
    is_own = any(name in TABLES for name in tables) or any(_named(group, GROUPS) for group in groups)
    is_known = "postgres" in probes and not is_open
    faces = () if "user_facing" in orders.unnamed and is_known and not is_own else orders.user_facing
    found = replace(
        orders,
        tables=tables,
        groups=groups,
        probes=probes,
        user_facing=faces,
        cemented=tuple(group for group in orders.cemented if _named(group, groups)),
        sealed_by={group: by for group, by in orders.sealed_by.items() if _named(group, groups)},
        fed_by={name: by for name, by in orders.fed_by.items() if name in tables or _named(name, groups)},
        exact_names=exact_names,
    )
    return orders if found == orders else found


def _named(group: str, groups: tuple[str, ...]) -> bool:
    """Whether this is one of the groups, which are the same in whatever case."""
    return group.upper() in {one.upper() for one in groups}


def settle(
    history: History, observation: Observation, orders: StandingOrders
) -> tuple[History, Observation, StandingOrders]:
    """What this observation shows of the defaults: remembered, taken out of it where they are off, and the orders."""
    now = observation.now.timestamp()
    known: dict[str, float | None] = dict(history.seen)
    for subject in defaults(orders):
        if seen(history, subject):
            known.setdefault(subject, LONG_AGO)
        elif (is_there := _told(observation, subject)) is not None:
            known[subject] = now if is_there else None
    if known != history.seen:
        history = replace(history, seen=known)
    applied = effective(orders, history)
    return history, _without(observation, orders, applied), applied


def _told(observation: Observation, subject: str) -> bool | None:
    """Whether this observation shows that a default is there; None where it does not show."""
    seals = observation.readings.get("epochs")
    if subject == SEALS and seals is not None and seals.failure is None:
        return True
    reading = observation.readings.get("postgres")
    if reading is None or reading.failure is not None:
        return None
    answer = reading.values("there", "table").get(subject)
    if answer is not None:
        return answer == 1
    if subject in reading.values("table_size", "table"):
        return True
    # Recordings from before this was asked say so where it was a table.
    return False if any(gap.subject == subject and gap.kind == "missing" for gap in reading.gaps) else None


def _without(observation: Observation, orders: StandingOrders, applied: StandingOrders) -> Observation:
    """The observation without what is not watched."""
    off = frozenset(orders.tables) - frozenset(applied.tables)
    readings = dict(observation.readings)
    for probe in orders.probes - applied.probes:
        readings.pop(probe, None)
    if off and (postgres := readings.get("postgres")) is not None and postgres.gaps:
        readings["postgres"] = replace(postgres, gaps=tuple(gap for gap in postgres.gaps if gap.subject not in off))
    return observation if readings == observation.readings else replace(observation, readings=readings)


def found(orders: StandingOrders, history: History) -> StandingOrders:
    """The orders for what is known to be there: a time that is over can no longer be queried."""
    known = dict(history.seen)
    for subject in defaults(orders):
        if seen(history, subject) is None:
            known[subject] = None
    return effective(orders, replace(history, seen=known))


def seen_by(known: Mapping[str, float | None], at: float) -> dict[str, float | None]:
    """What had been seen by then (Unix seconds), of what is known now."""
    return {subject: first for subject, first in known.items() if first is not None and first <= at}
