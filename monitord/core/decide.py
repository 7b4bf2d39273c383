"""One cycle of judgement as one function: State and Observation in, Decision out. No clock, no I/O, no surprise.

A night is a fold of `decide` over its observations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitord.core import alerts, causes
from monitord.core.actions import advise
from monitord.core.epochs import sealed_labels
from monitord.core.fleet import absorb_fleet
from monitord.core.growth import absorb_tables
from monitord.core.history import History, absorb_readings, without_future
from monitord.core.learned import absorb_epochs
from monitord.core.model import (
    Action,
    Alert,
    Clear,
    Finding,
    Judgement,
    Observation,
    Recheck,
    ServiceEvent,
    Transition,
    Unknown,
)
from monitord.core.orders import StandingOrders
from monitord.core.report import Report, build_report
from monitord.core.restarts import absorb_exits
from monitord.core.rules import REPLACES, RULES, Spec
from monitord.core.rules.growth import wants_exact
from monitord.core.rules.redis import absorb_queues
from monitord.core.rules.trends import absorb_trends

# Readings that are always taken: the monitor looks at itself in every cycle.
ALWAYS = frozenset({"monitord"})


@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives a cycle: the history and the alert book. Its SQLite form is the snapshot.

    `fired` is when each alert has lately fired (Unix seconds, by its place in the book), `advised` what has been
    recommended of each living incident: the targets by the incident's id.
    """

    history: History = field(default_factory=History)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    fired: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    advised: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeEdge:
    """A probe that began to fail, fails in another way, or measures again. `kind` is "" when it recovered."""

    probe: str
    kind: str
    error: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What one cycle amounts to."""

    state: State
    transitions: tuple[Transition, ...]
    at: datetime
    orders: StandingOrders
    rechecks: tuple[Recheck, ...]
    events: tuple[ServiceEvent, ...] = ()
    actions: tuple[Action, ...] = ()
    probe_edges: tuple[ProbeEdge, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def report(self) -> Report:
        """What is known as of this cycle. Built when asked for: whoever judges a night again needs none."""
        return build_report(self.state.history, self.state.alerts, self.orders, self.at)


def decide(state: State, observation: Observation, orders: StandingOrders) -> Decision:
    """The next state, and what there is to say about it."""
    now = observation.now
    history, events, notes = absorb(state.history, observation, orders)
    book = dict(state.alerts)
    transitions: list[Transition] = []
    judged: dict[str, dict[str, Judgement]] = {}
    faults: list[str] = []
    for spec in RULES:
        if spec.probe not in orders.probes | ALWAYS:
            transitions += _drop(book, _of(book, spec), now)
        elif spec.probe in observation.readings:
            try:
                judgements = _judge(spec, book, observation, history, orders)
            except Exception as error:  # noqa: BLE001 - a bug in one rule must not blind all the others
                faults.append(f"the rule {spec.name} failed inside ({type(error).__name__})")
                judgements = _unknown(spec, book)
            judged.setdefault(spec.name, {}).update(judgements)
            _replaced(spec.name, judgements, judged, book)
            transitions += _advance(spec, judgements, book, observation, orders)
    transitions = _superseded(book, transitions, now)
    transitions, fired = _flapping(transitions, book, state.fired, orders, now)
    actions, advised = advise(transitions, book, state.advised, orders, now)
    following = State(history, book, fired, advised)
    return Decision(
        state=following,
        transitions=tuple(transitions),
        at=now,
        orders=orders,
        rechecks=_rechecks(following, orders, now),
        events=tuple(events),
        actions=actions,
        probe_edges=_probe_edges(state.history, observation),
        notes=tuple(notes),
        faults=tuple(faults),
    )


def absorb(
    history: History, observation: Observation, orders: StandingOrders
) -> tuple[History, list[ServiceEvent], list[str]]:
    """The history with this cycle's readings in it, what happened to services, and what there is to note."""
    now = observation.now.timestamp()
    events: list[ServiceEvent] = []
    notes: list[str] = []
    if history.at is not None and now < history.at:
        notes.append(f"the wall clock was set back by {history.at - now:.1f} s: rates start anew")
        history = without_future(history, now)
    before = history.taken_at.get("pm2") if history.services else None
    measured = history.taken_at.get("postgres")
    history = absorb_readings(history, observation, orders)
    good = {name: r for name, r in observation.readings.items() if r.failure is None}
    if observation.exits:
        history = absorb_exits(history, observation.exits, now, orders.restarts_window.total_seconds())
    if "pm2" in good:
        history, events = absorb_fleet(history, good["pm2"], before, now, orders)
    if "postgres" in good:
        history, notes_of_tables = absorb_tables(history, good["postgres"], measured, now, orders)
        notes += notes_of_tables
    if "epochs" in good:
        history = replace(history, sealed=sealed_labels(good["epochs"]))
        history = replace(history, learned=absorb_epochs(history.learned, good["epochs"], now, orders))
    if "redis" in good:
        history = absorb_queues(history, good["redis"], now)
    history = absorb_trends(history, good, now, orders)
    return history, events, notes


def _of(book: Mapping[str, Alert], spec: Spec) -> list[Alert]:
    return [alert for alert in book.values() if alert.rule == spec.name and alert.probe == spec.probe]


def _unknown(spec: Spec, book: Mapping[str, Alert]) -> dict[str, Judgement]:
    """The answer of a rule that cannot judge: its alerts stay as they are."""
    return {a.subject: Unknown(spec.name, a.subject, "it could not be judged") for a in _of(book, spec)}


def _judge(
    spec: Spec, book: Mapping[str, Alert], observation: Observation, history: History, orders: StandingOrders
) -> dict[str, Judgement]:
    """One rule's answers by subject; subjects of existing alerts it is silent about are answered for."""
    own = _of(book, spec)
    failed = observation.readings[spec.probe].failure is not None
    away = causes.server_away(spec.probe, history, book) if not spec.name.endswith("_unreachable") else False
    if away or (failed and not spec.judges_failure):
        return {alert.subject: Unknown(spec.name, alert.subject, "its probe cannot measure") for alert in own}
    answers = {judgement.subject: judgement for judgement in spec.judge(observation, history, orders)}
    if spec.absent == "clear":
        for alert in own:
            if alert.subject not in answers:
                silent: Judgement = (
                    Unknown(spec.name, alert.subject, "its probe cannot measure")
                    if failed
                    else Clear(spec.name, alert.subject)
                )
                answers[alert.subject] = silent
    return answers


def _replaced(
    rule: str,
    judgements: dict[str, Judgement],
    judged: Mapping[str, Mapping[str, Judgement]],
    book: Mapping[str, Alert],
) -> None:
    """Leave to the stronger rule what it says too, unless the weaker one has spoken already and must be ended first."""
    for stronger, weaker in REPLACES:
        if weaker != rule:
            continue
        for subject, judgement in judged.get(stronger, {}).items():
            speaking = book.get(alerts.key(weaker, subject))
            if isinstance(judgement, Finding) and (speaking is None or not speaking.speaks):
                judgements[subject] = Clear(weaker, subject)


def _advance(
    spec: Spec,
    judgements: Mapping[str, Judgement],
    book: dict[str, Alert],
    observation: Observation,
    orders: StandingOrders,
) -> list[Transition]:
    """The book after one rule's judgements, and the edges crossed."""
    now = observation.now
    # A reading that hung was taken when that was over, and the next must be apart from there; of one that came at once
    # the beginning is as good, and lets cycles that are CONFIRM_EVERY apart count.
    took = timedelta(milliseconds=observation.readings[spec.probe].duration_ms)
    taken = now + took if took > orders.confirm_every / 10 else now
    transitions = _drop(book, [alert for alert in _of(book, spec) if alert.subject not in judgements], now)
    for subject, judgement in judgements.items():
        place = alerts.key(spec.name, subject)
        alert = book.get(place)
        if alert is None and not isinstance(judgement, Finding):
            continue  # nothing was wrong and nothing is: nearly all there ever is
        if isinstance(judgement, Finding) and _spoken_for(spec.name, subject, book):
            continue
        following, transition = alerts.step(
            alert, judgement, spec.probe, now, orders, _explanation(alert, judgement, book, orders, now)
        )
        if following is None:
            book.pop(place, None)
        else:
            counted_now = following.counted_at == now
            book[place] = replace(following, counted_at=taken) if counted_now else following
        if transition is not None:
            transitions.append(transition)
    return transitions


def _explanation(
    alert: Alert | None, judgement: Judgement, book: Mapping[str, Alert], orders: StandingOrders, now: datetime
) -> Alert | None:
    """What explains a finding that does not fire yet."""
    if not isinstance(judgement, Finding) or (alert is not None and alert.state == "firing"):
        return None
    return causes.explanation(judgement, alert.since if alert is not None else now, book, orders, now)


def _flapping(
    transitions: Sequence[Transition],
    book: dict[str, Alert],
    before: Mapping[str, tuple[float, ...]],
    orders: StandingOrders,
    now: datetime,
) -> tuple[list[Transition], dict[str, tuple[float, ...]]]:
    """The edges with those that begin a flapping alert marked as that, and when each alert has lately fired."""
    at, window = now.timestamp(), orders.flapping_window.total_seconds()
    fired = {
        place: kept for place, times in before.items() if (kept := tuple(t for t in times if at - window < t <= at))
    }
    told = []
    for edge in transitions:
        place = alerts.key(edge.alert.rule, edge.alert.subject)
        if edge.edge == "firing" and edge.reason != "severity":
            times = fired[place] = (*fired.get(place, ()), at)
            if len(times) >= max(2, orders.flapping_times):
                edge = replace(edge, alert=alerts.flapping(edge.alert, times, orders), reason="flapping")
                book[place] = alerts.flapping(book[place], times, orders)
        elif edge.edge == "resolved" and edge.alert.flaps:
            fired.pop(place, None)  # it has been calm: the next time is a first time
        told.append(edge)
    return told, fired


def _spoken_for(rule: str, subject: str, book: Mapping[str, Alert]) -> bool:
    """Whether a stronger rule's alert already fires for this subject."""
    return any(
        (alert := book.get(alerts.key(stronger, subject))) is not None and alert.speaks
        for stronger, weaker in REPLACES
        if weaker == rule
    )


def _superseded(book: dict[str, Alert], transitions: list[Transition], now: datetime) -> list[Transition]:
    """The edges, with the weaker alert ended once the stronger one speaks: one subject, one alert, one incident."""
    told = list(transitions)
    for stronger, weaker in REPLACES:
        for alert in [a for a in book.values() if a.rule == weaker]:
            place = alerts.key(stronger, alert.subject)
            winner = book.get(place)
            if winner is not None and winner.speaks:
                del book[alerts.key(weaker, alert.subject)]
                if (ended := alerts.not_watched(alert, now, reason=f"replaced_by {stronger}")) is not None:
                    book[place] = replace(winner, incident=winner.incident or alert.incident_id)
                    told = [_of_incident(t, book[place]) for t in told]
                    told.append(ended)
    return told


def _of_incident(transition: Transition, alert: Alert) -> Transition:
    if transition.alert.id != alert.id:
        return transition
    return replace(transition, alert=replace(transition.alert, incident=alert.incident))


def _drop(book: dict[str, Alert], gone: Iterable[Alert], now: datetime) -> list[Transition]:
    """End alerts whose subject is no longer watched."""
    transitions = []
    for alert in gone:
        del book[alerts.key(alert.rule, alert.subject)]
        if (ended := alerts.not_watched(alert, now)) is not None:
            transitions.append(ended)
    return transitions


def _rechecks(state: State, orders: StandingOrders, now: datetime) -> tuple[Recheck, ...]:
    """What to look at again before the next cycle, how soon, and what to count exactly when it is next looked at."""
    soon: dict[str, float] = {}
    exact: set[str] = set(wants_exact(state.history, orders, now.timestamp()))
    for alert in state.alerts.values():
        exact.update(alert.finding.needs_exact)
        if alert.state == "pending" and alert.subject in orders.tables:
            exact.add(alert.subject)  # each reading that is to confirm it counts
        after = alerts.waiting_seconds(alert, now, orders)
        if after is None or alert.probe in ALWAYS:
            continue
        for probe in causes.companions(alert.probe):
            soon[probe] = min(after, soon.get(probe, after))
    rechecks = [
        Recheck(probe, after, frozenset(exact) if probe == "postgres" else frozenset())
        for probe, after in sorted(soon.items())
    ]
    if exact and "postgres" not in soon:
        rechecks.append(Recheck("postgres", None, frozenset(exact)))
    return tuple(rechecks)


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
