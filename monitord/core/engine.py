"""One cycle of judgement as one function: State and Observation in, Decision out. No clock, no I/O."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitord.core.alerting import book, inhibition
from monitord.core.alerting import lifecycle as alerts
from monitord.core.alerting import silences as quiet
from monitord.core.alerting.lifecycle import remind
from monitord.core.alerting.recommendations import advise
from monitord.core.copying import replace, slot_by_slot
from monitord.core.history import mounts
from monitord.core.history.defaults import settle
from monitord.core.history.model import History
from monitord.core.history.update import update
from monitord.core.latest import latest
from monitord.core.model import (
    Action,
    Aftermath,
    Alert,
    Judgement,
    Observation,
    Recheck,
    ServiceEvent,
    Silence,
    Transition,
)
from monitord.core.orders import StandingOrders
from monitord.core.status import FleetStatus, build_report, known_faults, shows_packages
from monitord.core.subjects import catalogue, declared
from monitord.core.subjects.base import LEFT_WINDOW, RecoveryContext, Subject, none
from monitord.core.subjects.guard import why
from monitord.core.subjects.registry import ALWAYS, registered, title_of

# The reasons of an end that a reading brought: what is true since is known.
BY_READING = frozenset({"", LEFT_WINDOW})


@slot_by_slot
@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives a cycle: the history and the alert book. Its SQLite form is the snapshot.

    `fired` is when each alert has lately fired (Unix seconds, by its place in the book), `advised` what has been
    recommended of each living incident: the targets by the incident's id. `silences` are what is quiet on purpose.
    `aftermaths` are causes that have ended and explain still, by their places in the book.
    """

    history: History = field(default_factory=History)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    fired: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    advised: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    silences: Mapping[str, Silence] = field(default_factory=dict)
    aftermaths: Mapping[str, Aftermath] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeEdge:
    """A probe that began to fail, fails in another way, or measures again. `kind` is "" when it recovered."""

    probe: str
    kind: str
    error: str


class _Asked:
    """Where a decision keeps what is made of it only when somebody asks, once it was asked for."""

    __slots__ = ("_rechecks", "_report")
    _report: FleetStatus
    _rechecks: tuple[Recheck, ...]


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Decision(_Asked):
    """What one cycle amounts to. `gap`: the seconds up to now in which monitord itself did not run."""

    state: State
    transitions: tuple[Transition, ...]
    at: datetime
    orders: StandingOrders
    events: tuple[ServiceEvent, ...] = ()
    actions: tuple[Action, ...] = ()
    reminders: tuple[Alert, ...] = ()
    probe_edges: tuple[ProbeEdge, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    outcomes: tuple[quiet.CommandOutcome, ...] = ()
    gap: float = 0.0

    @property
    def report(self) -> FleetStatus:
        """What is known as of this cycle. Built when asked for: a backtest needs none."""
        try:
            return self._report
        except AttributeError:
            report = build_report(self.state.history, self.state.alerts, self.orders, self.at)
            object.__setattr__(self, "_report", report)
            return report

    @property
    def rechecks(self) -> tuple[Recheck, ...]:
        """What to check again before the next cycle. Made when asked for: what is recorded is not checked again."""
        try:
            return self._rechecks
        except AttributeError:
            rechecks = _rechecks(self.state, self.orders, self.at)
            object.__setattr__(self, "_rechecks", rechecks)
            return rechecks

    @property
    def internal_faults(self) -> tuple[str, ...]:
        """What has failed inside monitord or a package by now, a sentence each."""
        standing = self.report.faults if shows_packages(self.orders) else known_faults(self.state.history, self.orders)
        return tuple(dict.fromkeys((*self.faults, *standing)))


def decide(state: State, observation: Observation, orders: StandingOrders) -> Decision:
    """The next state, and what there is to say about it."""
    now = observation.now
    before, observation, orders = settle(state.history, observation, orders)
    remembered, observation, noted = mounts.checked(before.mounts, observation, orders)
    if remembered != before.mounts:
        before = replace(before, mounts=remembered)
    history, events, notes, faults = update(before, observation, orders)
    notes += noted
    held, silences = quiet.uncovered(state.alerts), dict(state.silences)
    fired_before, aftermaths = state.fired, dict(state.aftermaths)
    if history.moved != state.history.moved:
        silences = quiet.set_back(silences, timedelta(seconds=state.history.moved - history.moved))
        by = history.moved - state.history.moved
        held, fired_before = _moved(held, fired_before, by)
        aftermaths = {
            place: replace(after, until=after.until + timedelta(seconds=by)) for place, after in aftermaths.items()
        }
    transitions, outcomes = quiet.apply_commands(observation.commands, silences, held, state.history, orders, now)
    for one in outcomes:
        if one.kind == "alert_acknowledged" and one.alert and (adopt := declared(one.alert.rule).adopt) is not None:
            history = adopt(history, one.alert.subject)
    aftermaths = {place: after for place, after in aftermaths.items() if now < after.until}
    judged: dict[str, dict[str, Judgement]] = {}
    waiting: dict[str, frozenset[str]] = {}
    probes = orders.probes | ALWAYS
    known, alerted = catalogue(), {alert.rule for alert in held.values()}
    any_failed = any(reading.failure is not None for reading in history.readings.values())
    may_be_away = any_failed or not known.unreachable_rules.isdisjoint(alerted)
    is_all_watched = all(alert.probe in probes for alert in held.values())
    for rule in known.judging(probes.intersection(observation.readings)) if is_all_watched else known.rules:
        if rule.probe not in probes:
            if rule.name in alerted:
                transitions += book.drop(held, book.of_rule(held, rule), now)
            continue
        if rule.probe not in observation.readings:
            continue
        # Nearly all rules find nothing and have no alert, nearly always: nothing follows from that.
        is_known = rule.name in alerted or rule.name in judged
        try:
            is_unknown = may_be_away and book.is_unknown(rule, held, observation, history, orders)
            found = None if is_unknown else rule.evaluate(observation, history, orders)
            if found is not None and found.__class__ is not list and found.__class__ is not tuple:
                found = list(found)
            if not is_known and (not found or not book.finds(found)):
                continue
            judgements = book.judge(rule, found, held, observation, history, orders)
        except Exception as error:  # noqa: BLE001 - a bug in one rule must not blind all the others
            fault = f"the rule {rule.name} failed inside ({why(error)})"
            faults[rule.probe] = f"{faults[rule.probe]}; {fault}" if rule.probe in faults else fault
            judgements = book.unknown(rule, held)
        if rule.name not in alerted and not book.finds(judgements.values()):
            if rule.name in judged:
                judged[rule.name].update(judgements)
            continue
        judged.setdefault(rule.name, {}).update(judgements)
        waiting |= book.replaced(rule.name, judgements, judged, held)
        edges = book.advance(rule, judgements, held, observation, history, orders, aftermaths)
        alerted = {alert.rule for alert in held.values()}
        may_be_away = any_failed or not known.unreachable_rules.isdisjoint(alerted)
        transitions += edges
        for edge in edges:
            if edge.edge == "resolved" and (after := inhibition.aftermath(edge.alert, orders, now)) is not None:
                aftermaths[alerts.key(edge.alert.rule, edge.alert.subject)] = after
    broken = {name: fault for name, fault in before.broken.items() if name not in observation.readings} | faults
    if broken != history.broken:
        history = replace(history, broken=broken)
    fired: Mapping[str, tuple[float, ...]] = {}
    advised: Mapping[str, tuple[str, ...]] = {}
    actions: tuple[Action, ...] = ()
    reminders: tuple[Alert, ...] = ()
    if held or transitions or fired_before:  # nearly always there is no alert, and was none lately
        transitions = book.superseded(held, transitions, waiting, orders, now)
        transitions, fired = book.flapping(transitions, held, fired_before, orders, now)
        transitions = quiet.covered(transitions, held, state.alerts, silences, history, orders, now)
        transitions = _with_what_is_true(transitions, history, held, orders, now)
        actions, advised = advise(transitions, held, state.advised, orders, now)
        reminders = remind(held, transitions, orders, now)
    following = State(history, held, fired, advised, silences, aftermaths)
    return Decision(
        state=following,
        transitions=tuple(transitions),
        at=now,
        orders=orders,
        events=tuple(events),
        actions=actions,
        reminders=reminders,
        probe_edges=_probe_edges(state.history, observation),
        notes=tuple(notes),
        faults=tuple(faults.values()),
        outcomes=tuple(outcomes),
    )


def _moved(
    held: Mapping[str, Alert], fired: Mapping[str, tuple[float, ...]], seconds: float
) -> tuple[dict[str, Alert], dict[str, tuple[float, ...]]]:
    """The alerts, and when each fired lately, after the wall clock was set by so many seconds."""
    by = timedelta(seconds=seconds)
    return (
        {place: alerts.moved(alert, by) for place, alert in held.items()},
        {place: tuple(at + seconds for at in times) for place, times in fired.items()},
    )


def _with_what_is_true(
    transitions: list[Transition], history: History, book: Mapping[str, Alert], orders: StandingOrders, now: datetime
) -> list[Transition]:
    """The edges, those of alerts that a reading ended with how their subjects are now. There are few of them."""
    if not any(edge.edge == "resolved" and edge.reason in BY_READING for edge in transitions):
        return transitions
    report = build_report(history, book, orders, now)
    return [
        replace(edge, now=now_true(edge.alert, report, history, orders, now))
        if edge.edge == "resolved" and edge.reason in BY_READING
        else edge
        for edge in transitions
    ]


def now_true(alert: Alert, report: FleetStatus, history: History, orders: StandingOrders, now: datetime) -> str:
    """One sentence on how the alert's subject is now; where no number says it, that it is as expected again."""
    recovered, at = None, RecoveryContext(report, history, orders, now.timestamp())
    with suppress(KeyError, TypeError, ValueError, AttributeError):  # the end is reported all the same
        recovered = declared(alert.rule, alert.probe).recovered(alert, at)
    return recovered or f"{title_of(alert.subject)} is as expected again."


Wanted = Callable[[History, StandingOrders, float], frozenset[str]]
Settles = Callable[[History, StandingOrders, float], float | None]


@latest
def _asking(
    subjects: tuple[Subject, ...], orders: StandingOrders
) -> tuple[list[tuple[str, Wanted, Collection[str]]], list[tuple[str, Settles]]]:
    """Which subjects may want something counted exactly, with their members, and which may settle soon."""
    watched = [subject for subject in subjects if subject.name in orders.probes]
    return (
        [(one.name, one.exact, one.named(orders)) for one in watched if one.exact is not None],
        [(one.name, one.settles) for one in watched if one.settles is not none],
    )


def _rechecks(state: State, orders: StandingOrders, now: datetime) -> tuple[Recheck, ...]:
    """What to check again before the next cycle, how soon, and what to count exactly then."""
    soon: dict[str, float] = {}
    awaited: dict[str, set[str]] = {}
    at = now.timestamp()
    counting, settling = _asking(registered(), orders)
    # By probe: what it is to count exactly.
    exact = {name: set(wanted(state.history, orders, at)) for name, wanted, _ in counting}
    members = {name: own for name, _, own in counting}
    for alert in state.alerts.values():
        for probe, counted in exact.items():
            counted.update(alert.finding.needs_exact if alert.probe == probe else ())
            if alert.state == "pending" and alert.subject in members.get(probe, ()):
                counted.add(alert.subject)  # each reading that is to confirm it counts
        after = alerts.waiting_seconds(alert, now, orders)
        if after is None or alert.probe in ALWAYS:
            continue
        awaited.setdefault(alert.probe, set()).add(alert.subject)
        for probe in inhibition.companions(alert.probe, alert.subject, orders):
            soon[probe] = min(after, soon.get(probe, after))
    for name, settles in settling:
        if (settled := settles(state.history, orders, at)) is not None:
            soon[name] = min(settled, soon.get(name, settled))
    if not soon and not any(exact.values()):  # nearly always
        return ()
    rechecks = [
        Recheck(probe, after, frozenset(exact.get(probe, ())), frozenset(awaited.get(probe, ())))
        for probe, after in sorted(soon.items())
    ]
    later = {probe: counted for probe, counted in exact.items() if counted and probe not in soon}
    return (*rechecks, *(Recheck(probe, None, frozenset(counted)) for probe, counted in later.items()))


def _probe_edges(before: History, observation: Observation) -> tuple[ProbeEdge, ...]:
    """Probes that crossed between measuring and failing (or fail in another way) with this cycle's readings."""
    edges = []
    for name, reading in observation.readings.items():
        last = before.readings.get(name)
        was = last.failure.kind if last is not None and last.failure is not None else ""
        kind = reading.failure.kind if reading.failure is not None else ""
        if kind != was:
            edges.append(ProbeEdge(name, kind, reading.failure.error if reading.failure is not None else ""))
    return tuple(edges)
