"""A recording judged again under other orders: what would have fired, beside what did, and how far that is known.

What was never recorded is judged by what was, and named. An alert about a table waits for an exact count, which was
taken only where the orders of then asked for one: here the counters fire it, and a count that comes while it fires
confirms it or takes it back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from monitord.core.alerting import lifecycle as alerts
from monitord.core.alerting.silences import unhushed
from monitord.core.backtest.caveats import Known, added, caveats, counted_longer, recorded_now
from monitord.core.backtest.fired import Comparison, Counted, Fired, Ledger, between, compared, fired
from monitord.core.copying import replace
from monitord.core.engine import State, decide
from monitord.core.history import defaults
from monitord.core.history.model import History
from monitord.core.model import Alert, Observation, Transition, sample
from monitord.core.orders import Expected, StandingOrders
from monitord.core.report.blind_spots import covered
from monitord.core.subjects import declared
from monitord.core.subjects.registry import ALWAYS


@dataclass(frozen=True, slots=True)
class Backtest:
    """A recording's outcome under other orders. `since` is never before it; `blind_seconds`: of at least one probe."""

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
        *(timedelta(seconds=orders.growth_window_of(name)) for name in orders.tables),
        *(timedelta(seconds=max(orders.flow_stall_of(name).by_hour)) for name in orders.tables),
        orders.growth_window,
        orders.restarts_window,
        orders.flapping_window,
        orders.flow_stall,
        *(timedelta(seconds=orders.startup_grace_of(name)) for name in ("", *orders.service_by_name)),
        orders.seal_critical + 2 * orders.epoch_length,
        # A trend takes a warm-up and a span, and needs more than the least span to be sure.
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

    `recorded` are the edges of then, with the firing of every alert that lived at `since`; `as_recorded` the orders of
    then, as far as they are known. None: nothing is recorded from `since` on.
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
    # What is off by default is no part of the recording that is missing.
    history = fold.state.history
    tried, present = defaults.found(orders, history), defaults.found(as_recorded or orders, history)
    return Backtest(
        since=since,
        until=fold.until,
        cycles=fold.cycles,
        alerts=found,
        compared=comparison,
        blind_seconds=blind_seconds(fold.state.history, since.timestamp(), fold.until.timestamp()),
        caveats=tuple(caveats(fold.known(), tried, present, since, warm_up(orders), comparison)),
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
        self._longer = counted_longer(orders, as_recorded)
        # Subjects that only the new orders know: of what the recording does not hold nothing is known.
        self._unrecorded = added(orders, as_recorded)
        self._seen: dict[str, datetime] = {}
        self._uncounted: set[str] = set()
        self._refuted = 0
        self._faults: set[str] = set()

    def look(self, observation: Observation, *, counts: bool) -> None:
        """Judge one more observation; `counts` when it is of the time that is asked about."""
        now, observation = observation.now, unhushed(observation)
        if self.first is None:
            self.first = now
        if counts:
            self.cycles += 1
            self.until = now if self.until is None else max(self.until, now)
        self._fit(observation)
        before = self.state
        decision = decide(before, observation, self._orders)
        self._faults.update(decision.faults)
        state, transitions = decision.state, decision.transitions
        if waiting := waiting_for_count(state, self._orders):
            by_counters = decide(before, uncountable(observation, waiting), self._orders)
            # Only what is judged of it rests on the counters: what is remembered of the table stays as it was read.
            state, transitions = replace(by_counters.state, history=state.history), by_counters.transitions
        exact = counted_tables(observation) if self._uncounted else frozenset()
        struck = self._refuted_by(exact, before, state, observation)
        for place in struck:
            self.ledger.strike(place)
        self._refuted += len(struck)
        for transition in transitions:
            place = alerts.key(transition.alert.rule, transition.alert.subject)
            if place not in struck:
                self._take(transition, self._how_counted(transition.alert))
            if transition.edge == "firing" and transition.alert.subject in waiting:
                self._uncounted.add(place)
        self.state = replace(state, alerts={place: a for place, a in state.alerts.items() if place not in struck})
        self._count(exact)

    def known(self) -> Known:
        assert self.first is not None  # noqa: S101 - nobody asks before the first check
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
        counted = alert.finding.evidence.get("counted")
        if counted is None:
            return None
        # Counts were taken over the window of then: what a longer one holds is not known.
        is_short = alert.subject in self._longer and "growth" in declared(alert.rule).roles
        return "exactly" if counted == "exactly" and not is_short else "by the counters"

    def _count(self, exact: frozenset[str]) -> None:
        """Keep those that the counters fired and that still are to be counted; note what this count confirms."""
        for place in tuple(self._uncounted):
            alert = self.state.alerts.get(place)
            if alert is None:
                self._uncounted.discard(place)
            elif alert.subject in exact:
                self._uncounted.discard(place)
                if alert.toward == "":
                    self.ledger.change(place, self._how_counted(alert))

    def _refuted_by(
        self, exact: frozenset[str], before: State, after: State, observation: Observation
    ) -> frozenset[str]:
        """What the counters fired and this observation's count takes back: without the count it would fire on."""
        doubted = [
            place
            for place in sorted(self._uncounted)
            if before.alerts[place].subject in exact and _clears(after.alerts.get(place))
        ]
        if not doubted:
            return frozenset()
        without = decide(before, uncounted(observation), self._orders).state.alerts
        return frozenset(place for place in doubted if not _clears(without.get(place)))


def _clears(alert: Alert | None) -> bool:
    """Whether what fired a reading ago does no longer, or is on its way there."""
    return alert is None or alert.toward == "resolve"


def _roster(recorded: Iterable[Transition], at: datetime, orders: StandingOrders) -> State:
    """The state to begin from: empty, but for services whose absence was known already when the recording begins.

    Without a roster, whoever was seen online is expected to be; those that were away then are in no reading.
    """
    if orders.services:
        return State()
    away: dict[str, Expected] = {}
    for spell in fired(recorded):
        is_of_roster = "roster" in declared(spell.rule).roles
        if is_of_roster and spell.since <= at and (spell.resolved_at is None or spell.resolved_at > at):
            for wanted in get_args(Expected):
                if spell.limit == wanted:
                    away[spell.subject] = wanted
    return State(History(roster=away))


def blind_seconds(history: History, since: float, until: float) -> float:
    """How much of [since, until] (Unix seconds) at least one probe was blind."""
    return covered(
        (max(since, span.start), min(until, until if span.end is None else span.end))
        for spans in history.blind.values()
        for span in spans
    )


def waiting_for_count(state: State, orders: StandingOrders) -> frozenset[str]:
    """The tables with an alert that only a count that was not taken keeps from firing."""
    return frozenset(
        alert.subject
        for alert in state.alerts.values()
        if alert.finding.needs_exact and alert.toward == "fire" and alert.count >= orders.confirmations
    )


_COUNT, _COUNTABLE = "table_recent", "table_countable"


def uncountable(observation: Observation, tables: frozenset[str]) -> Observation:
    """The observation as it would have been if these tables could not be counted: the counters stand for themselves."""
    reading = observation.readings["postgres"]
    kept = tuple(s for s in reading.samples if s.name != _COUNTABLE or s.label("table") not in tables)
    counts = tuple(sample(_COUNTABLE, 0, table=table) for table in sorted(tables))
    return replace(observation, readings={**observation.readings, "postgres": replace(reading, samples=kept + counts)})


def uncounted(observation: Observation) -> Observation:
    reading = observation.readings["postgres"]
    kept = tuple(s for s in reading.samples if s.name != _COUNT)
    return replace(observation, readings={**observation.readings, "postgres": replace(reading, samples=kept)})


def counted_tables(observation: Observation) -> frozenset[str]:
    """The tables that this observation counted to the end: a count that stopped at its cap comes with one bound."""
    reading = observation.readings.get("postgres")
    if reading is None or reading.failure is not None:
        return frozenset()
    bounds = [s.label("table") for s in reading.named(_COUNT) if isinstance(s.value, int)]
    return frozenset(table for table in bounds if bounds.count(table) > 1)
