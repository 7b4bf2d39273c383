"""How far a backtest can be believed: what the recording did not hold, in sentences."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitord.core import humanize
from monitord.core.backtest.fired import Comparison
from monitord.core.history.epochs import window_seconds
from monitord.core.model import Alert, Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects.registry import SUBJECTS, readings_of

# What orders name, by the field that they name it in, of what a recording shows to be there or not.
_NAMED = {thing.members: (thing.name, thing.member_sample) for thing in SUBJECTS if thing.member_sample is not None}


@dataclass(frozen=True, slots=True)
class Known:
    """What a recording turned out to hold: from when, of which probes, what of the orders never.

    `refuted` is how many alerts the counters would have fired and an exact count took back, `faults` what failed
    inside while judging, `pending` what was not confirmed when it ended.
    """

    first: datetime
    probes: frozenset[str]
    unrecorded: Mapping[str, frozenset[str]]
    refuted: int
    faults: tuple[str, ...]
    pending: tuple[Alert, ...]


def added(orders: StandingOrders, as_recorded: StandingOrders) -> dict[str, frozenset[str]]:
    """By kind, the subjects that `orders` name and the others do not."""
    return {kind: frozenset(getattr(orders, kind)) - frozenset(getattr(as_recorded, kind)) for kind in _NAMED}


def recorded_now(
    unrecorded: Mapping[str, frozenset[str]], readings: Mapping[str, Reading]
) -> dict[str, frozenset[str]]:
    """Those of `unrecorded` that are not in these readings either."""
    rest = {}
    for kind, (probe, (name, label)) in _NAMED.items():
        missing = unrecorded[kind]
        if missing and probe in readings:
            reading = readings[probe]
            missing = missing - reading.values(name, label).keys() - {gap.subject for gap in reading.gaps}
        rest[kind] = missing
    return rest


def caveats(
    known: Known,
    orders: StandingOrders,
    as_recorded: StandingOrders,
    since: datetime,
    warm_up: timedelta,
    comparison: Comparison,
) -> Iterator[str]:
    """Every sentence there is to say. `since` is where the account begins, at the earliest with the recording."""
    if known.first > since - warm_up:
        windows = sorted({orders.growth_window_of(name) for name in orders.tables})
        windows = windows or [orders.growth_window.total_seconds()]
        yield (
            f"The recording begins at {_moment(known.first)}, and what needs a past begins there without one: "
            f"rows per {humanize.listed([humanize.duration(window) for window in windows])}, restarts per "
            f"{humanize.duration(orders.restarts_window.total_seconds())}, trends up to "
            f"{humanize.duration(warm_up.total_seconds())}."
        )
        if not orders.services:
            yield "There is no roster: of a service that was away before the recording only its alert of then is known."
    by_counters = [
        spell
        for spell in (*(pair.found for pair in comparison.same), *comparison.only_found)
        if spell.counted == "by the counters"
    ]
    if by_counters:
        named = [f"{f.rule} {f.subject} ({_moment(f.fired_at)})" for f in by_counters]
        yield (
            f"{humanize.listed(named)} would have fired by the counters (marked ~); not counted exactly then, "
            "and a count could have refuted it."
        )
    if known.refuted:
        yield (
            f"{_times(known.refuted)} the counters alone would have fired an alert that an exact count of then "
            "refutes: left out."
        )
    if comparison.only_found:
        yield "Where nothing was suspected then, no check followed at once: a new alert is confirmed a cycle later."
    for probe in sorted(as_recorded.probes - known.probes):
        name = readings_of(probe)
        yield f"{name[0].upper()}{name[1:]}: never measured in the recording, so nothing of it is judged."
    for kind, missing in known.unrecorded.items():
        for name in sorted(missing):
            yield f"{name} (of the {kind}) is not in the recording: nothing of it is judged."
    for name in counted_longer(orders, as_recorded):
        window = humanize.duration(as_recorded.growth_window_of(name))
        yield (
            f"Rows of {name} were counted exactly over {window} only: over the longer window the counters are believed."
        )
    if orders.groups and window_seconds(orders) > window_seconds(as_recorded):
        yield (
            f"Seals were read {humanize.duration(window_seconds(as_recorded))} back only: a group that sealed "
            "nothing for so long counts as stuck."
        )
    if known.pending:
        named = [f"{alert.rule} {alert.subject}" for alert in known.pending]
        yield f"Not confirmed yet when the recording ends: {humanize.listed(named)}."
    for fault in known.faults:
        yield f"In judging, {fault}."


def counted_longer(orders: StandingOrders, as_recorded: StandingOrders) -> tuple[str, ...]:
    """The tables whose growth these orders judge over a longer window than was counted exactly."""
    both = (name for name in orders.tables if name in as_recorded.tables)
    return tuple(name for name in both if orders.growth_window_of(name) > as_recorded.growth_window_of(name))


def _moment(at: datetime) -> str:
    return f"{at:%b} {at.day}, {humanize.clock(at.timestamp())}"


def _times(number: int) -> str:
    return "Once" if number == 1 else f"{number} times"
