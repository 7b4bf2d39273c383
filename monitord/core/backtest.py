"""A recorded night judged again under other orders: what would have fired, beside what did, and how far that is known.

What was never recorded is judged by what was, and said. An alert about a table waits for an exact count, which was
taken only where the orders of then asked for one: here the counters fire it, and a count that comes while it fires
confirms it or takes it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import get_args

from monitord.core import alerts
from monitord.core.backtest_caveats import Known, added, caveats, recorded_now
from monitord.core.decide import ALWAYS, State, decide
from monitord.core.fired import Comparison, Counted, Fired, Ledger, between, compared, fired
from monitord.core.history import History
from monitord.core.model import Alert, Observation, Transition
from monitord.core.orders import Expected, StandingOrders

_COUNT = "table_recent"
_OF_THE_ROSTER = ("service_missing", "service_down")


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a recorded night would have come to from `since` to `until`, in so many cycles.

    `since` is never before the recording. `blind_seconds` of that time at least one probe could not see. `caveats`
    are sentences.
    """

    since: datetime
    until: datetime
    cycles: int
    alerts: tuple[Fired, ...]
    compared: Comparison
    blind_seconds: float
    caveats: tuple[str, ...]


def warm_up(orders: StandingOrders) -> timedelta:
    """How long before the time that is asked about the fold has to begin, so that every window is full by then."""
    return max(
        orders.growth_window,
        orders.restarts_window,
        orders.flapping_window,
        orders.flow_stall,
        orders.startup_grace,
        orders.seal_critical + 2 * orders.epoch_length,
        # A trend is told from a warm-up and a span, and needs more than the least span to be sure.
        2 * orders.leak_span,
        2 * orders.fill_span,
    )


def backtest(
    observations: Iterable[Observation],
    orders: StandingOrders,
    recorded: Sequence[Transition],
    since: datetime,
    as_recorded: StandingOrders | None = None,
) -> Backtest | None:
    """Judge `observations` (from `warm_up` before `since` on, if they are there) by `orders`.

    Args:
        observations: As they were recorded, in order.
        orders: What to judge by. Which probes were configured the observations tell themselves.
        recorded: The edges of then, with the firing of every alert that lived at `since`.
        since: What ended before this is left out.
        as_recorded: The orders that the recording was made under, as far as they are known; `orders` if None.

    Returns:
        None when nothing is recorded from `since` on.
    """
    fold: _Fold | None = None
    for observation in observations:
        if fold is None:
            fold = _Fold(orders, as_recorded or orders, _roster(recorded, observation.now, orders))
        fold.look(observation, counts=observation.now >= since)
    if fold is None or fold.first is None or fold.until is None:
        return None
    since = max(since, fold.first)
    found = between(fold.ledger.spells(), since, fold.until)
    comparison = compared(found, between(fired(recorded), since, fold.until), fold.until)
    return Backtest(
        since=since,
        until=fold.until,
        cycles=fold.cycles,
        alerts=found,
        compared=comparison,
        blind_seconds=blind_seconds(fold.state.history, since.timestamp(), fold.until.timestamp()),
        caveats=tuple(caveats(fold.known(), orders, as_recorded or orders, since, warm_up(orders), comparison)),
    )


class _Fold:
    """One fold of `decide`, with what the recording lacks made up for."""

    def __init__(self, orders: StandingOrders, as_recorded: StandingOrders, state: State) -> None:
        self.state = state
        self.ledger = Ledger()
        self.first: datetime | None = None
        self.until: datetime | None = None
        self.cycles = 0
        self._orders = orders
        self._groups = orders.groups
        self._longer_window = orders.growth_window > as_recorded.growth_window
        # Subjects that only the new orders know: of what the recording does not hold nothing can be said.
        self._unrecorded = added(orders, as_recorded)
        self._seen: dict[str, datetime] = {}
        self._uncounted: set[str] = set()
        self._refuted = 0
        self._faults: set[str] = set()

    def look(self, observation: Observation, *, counts: bool) -> None:
        """Judge one more observation; `counts` when it is of the time that is asked about."""
        now = observation.now
        if self.first is None:
            self.first = now
        if counts:
            self.cycles += 1
            self.until = now if self.until is None else max(self.until, now)
        self._fit(observation)
        before = self.state
        decision = decide(before, observation, self._orders)
        self._faults.update(decision.faults)
        exact = _counted_tables(observation) if self._uncounted else frozenset()
        book = dict(decision.state.alerts)
        struck = self._refuted_by(exact, before, book, observation)
        for place in struck:
            self.ledger.strike(place)
            book.pop(place, None)
        self._refuted += len(struck)
        for transition in decision.transitions:
            if alerts.key(transition.alert.rule, transition.alert.subject) not in struck:
                self._take(transition, self._how_counted(transition.alert))
        self._count(book, exact)
        for place, alert in book.items():
            if _waits_for_count(alert, self._orders):
                book[place] = replace(alert, state="firing", fired_at=now, toward="", count=0, counted_at=None)
                self._uncounted.add(place)
                self._take(Transition("firing", book[place], now), "by the counters")
        self.state = State(decision.state.history, book)

    def known(self) -> Known:
        """What the recording turned out to hold."""
        assert self.first is not None  # noqa: S101 - nobody asks before the first look
        return Known(
            first=self.first,
            probes=frozenset(self._seen),
            unrecorded=self._unrecorded,
            refuted=self._refuted,
            faults=tuple(sorted(self._faults)),
            pending=tuple(a for a in self.state.alerts.values() if a.state == "pending"),
        )

    def _fit(self, observation: Observation) -> None:
        """The orders as far as the recording can be judged by them."""
        readings = observation.readings
        for name, reading in readings.items():
            if name not in self._seen and reading.failure is None:
                self._seen[name] = observation.now
        probes = self._orders.probes
        if readings.keys() >= ALWAYS:  # a whole cycle takes whatever was configured
            probes = frozenset(readings) - ALWAYS
        if any(self._unrecorded.values()):
            self._unrecorded = recorded_now(self._unrecorded, readings)
        groups = tuple(group for group in self._groups if group not in self._unrecorded.get("groups", ()))
        if probes != self._orders.probes or groups != self._orders.groups:
            self._orders = replace(self._orders, probes=probes, groups=groups)

    def _take(self, transition: Transition, counted: Counted | None) -> None:
        alert = transition.alert
        seen = self._seen.get(alert.probe)
        self.ledger.take(transition, counted, at_start=seen is None or alert.since <= seen)

    def _how_counted(self, alert: Alert) -> Counted | None:
        told = alert.finding.evidence.get("counted")
        if told is None:
            return None
        # Counts were taken over the window of then: they cannot tell what a longer one holds.
        is_short = self._longer_window and alert.rule == "table_growth_high"
        return "exactly" if told == "exactly" and not is_short else "by the counters"

    def _count(self, book: Mapping[str, Alert], exact: frozenset[str]) -> None:
        """Keep those that the counters fired and that still are to be counted; note what this count confirms."""
        for place in tuple(self._uncounted):
            alert = book.get(place)
            if alert is None:
                self._uncounted.discard(place)
            elif alert.subject in exact:
                self._uncounted.discard(place)
                if alert.toward == "":
                    self.ledger.change(place, self._how_counted(alert))

    def _refuted_by(
        self, exact: frozenset[str], before: State, book: Mapping[str, Alert], observation: Observation
    ) -> frozenset[str]:
        """What the counters fired and this observation's count takes back: without the count it would fire on."""
        doubted = [
            place
            for place in sorted(self._uncounted)
            if before.alerts[place].subject in exact and (place not in book or book[place].toward == "resolve")
        ]
        if not doubted:
            return frozenset()
        reading = observation.readings["postgres"]
        uncounted = replace(reading, samples=tuple(s for s in reading.samples if s.name != _COUNT))
        readings = {**observation.readings, "postgres": uncounted}
        without = decide(before, replace(observation, readings=readings), self._orders).state.alerts
        return frozenset(place for place in doubted if place in without and without[place].toward == "")


def _waits_for_count(alert: Alert, orders: StandingOrders) -> bool:
    """Whether all that keeps an alert from firing is a count that was not taken."""
    return alert.state == "pending" and bool(alert.finding.needs_exact) and alert.count >= orders.confirmations


def _counted_tables(observation: Observation) -> frozenset[str]:
    """The tables that this observation counted to the end: a count that stopped at its cap comes with one bound."""
    reading = observation.readings.get("postgres")
    if reading is None or reading.failure is not None:
        return frozenset()
    bounds = [s.label("table") for s in reading.named(_COUNT) if isinstance(s.value, int)]
    return frozenset(table for table in bounds if bounds.count(table) > 1)


def _roster(recorded: Iterable[Transition], at: datetime, orders: StandingOrders) -> State:
    """The state to begin from: empty, but for services whose absence was known already when the recording begins.

    Without a roster, whoever was seen online is expected to be; of those that were away then no reading tells.
    """
    if orders.services:
        return State()
    away: dict[str, Expected] = {}
    for spell in fired(recorded):
        if spell.rule in _OF_THE_ROSTER and spell.since <= at and (spell.resolved_at is None or spell.resolved_at > at):
            for wanted in get_args(Expected):
                if spell.limit == wanted:
                    away[spell.subject] = wanted
    return State(History(roster=away))


def blind_seconds(history: History, since: float, until: float) -> float:
    """How much of [since, until] (Unix seconds) at least one probe was blind."""
    spans = sorted(
        (max(since, span.start), min(until, span.end if span.end is not None else until))
        for spans in history.blind.values()
        for span in spans
    )
    total, reached = 0.0, since
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
