"""The report: what was recorded of its window, folded once more."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from monitord.core import humanize
from monitord.core.alerting.escalation import escalation
from monitord.core.alerting.incidents import Incident, IncidentPart, incidents
from monitord.core.copying import replace
from monitord.core.engine import State
from monitord.core.history.defaults import found, seen_by, settle
from monitord.core.history.model import History
from monitord.core.history.update import update
from monitord.core.model import Observation, Transition
from monitord.core.orders import StandingOrders
from monitord.core.report.blind_spots import BlindSpots, blind_minutes
from monitord.core.report.criteria import judged, sentence, verdict
from monitord.core.report.criterion import FoldedCycle, FoldedWindow, prepared
from monitord.core.report.facts import Levels, ReportFacts
from monitord.core.report.model import OpenWarning, Recap, Report
from monitord.core.subjects.registry import registered


@dataclass(frozen=True, slots=True)
class RecordedCycle:
    """What was kept of a window, and from a while before it; the fields last reported, at `reported_at` (Unix)."""

    observations: Iterable[Observation]
    transitions: Iterable[Transition]
    state: State
    report: Mapping[str, object] | None = None
    reported_at: float | None = None


def build_report(
    recorded: RecordedCycle,
    orders: StandingOrders,
    since: float,
    until: float,
    recap: tuple[Recap, ...] | None = None,
    recap_error: str = "",
) -> Report:
    """The report of the window from `since` to `until` (Unix seconds)."""
    kept = recorded.state.history
    # Who belongs to the fleet, and what is there, may have been learned before what is recorded begins.
    history = History(roster=kept.roster, seen=seen_by(kept.seen, since))
    configured, orders = orders, found(orders, kept)
    blind_spots_seen = BlindSpots(orders, since, until)
    levels = Levels(orders, since, until)
    trackers = {
        part.name: part.track(orders, since, until) for subject in registered() for part in subject.report_parts
    }
    added = {subject.name for subject in registered() if subject.beside and subject.name not in kept.taken_at}
    for observation in _up_to(until, recorded.observations):
        history, observation, applied = settle(history, observation, configured)
        history, events, _, _ = update(history, observation, applied, for_rules=False)
        added -= observation.readings.keys()
        blind_spots_seen.observe(observation)
        levels.observe(observation)
        cycle = FoldedCycle(observation, history, events)
        for tracker in trackers.values():
            tracker.observe(cycle)
    now = datetime.fromtimestamp(until, UTC)
    incidents_found = _in_window(incidents(recorded.transitions, recorded.state.alerts.values()), since)
    # What nobody asked for, and the version that recorded this did not know, is no part of its verdict.
    orders = replace(orders, probes=orders.probes - added)
    blind = tuple(spell for spell in blind_spots_seen.spells(history, kept) if spell.probe not in added)
    window = FoldedWindow(history, kept, incidents_found)
    facts = ReportFacts(
        orders=orders,
        since=since,
        until=until,
        results={name: tracker.result(window) for name, tracker in trackers.items()},
        incidents=incidents_found,
        blind=blind,
        levels=levels,
        history=history,
    )
    criteria = judged(facts)
    word = verdict(criteria)
    minutes = blind_minutes(blind)
    warnings = tuple(_open(part) for part in facts.open_warnings())
    return Report(
        since=since,
        until=until,
        verdict=word,
        sentence=sentence(word, criteria, minutes, warnings),
        blind_minutes=minutes,
        criteria=criteria,
        results=facts.results,
        incidents=incidents_found,
        blind=blind,
        escalations={
            one.id: escalation(one.cause, orders, now, one.ended_at, one.severity)
            for one in incidents_found
            if one.severity == "critical"
        },
        orders=orders,
        baseline=recorded.report,
        baseline_at=recorded.reported_at,
        recap=recap,
        recap_error=recap_error,
        notes=(*blind_spots_seen.notes(), *_silenced(incidents_found)),
        open_warnings=warnings,
        preparation=prepared(history, orders),
    )


def _open(part: IncidentPart) -> OpenWarning:
    alert = part.alert
    since = alert.since.timestamp()
    return OpenWarning(alert.rule, alert.subject, since, alert.finding.summary, part.silenced_by)


def _silenced(found: Iterable[Incident]) -> Iterator[str]:
    """That nobody was notified, for a time or at all, does not make the window any better: it is only a note."""
    quiet = [f"{one.cause.rule} {one.cause.subject}" for one in found if one.silenced_by]
    if quiet:
        many = humanize.plural(len(quiet), "incident")
        yield f"{many} silenced on purpose, and judged all the same: {humanize.listed(quiet)}."


def _up_to(until: float, observations: Iterable[Observation]) -> Iterator[Observation]:
    """The observations made before `until`: also those that say they came later, if the clock was set back then."""
    ahead: list[Observation] = []
    for observation in observations:
        if observation.now.timestamp() > until:
            ahead.append(observation)
            continue
        yield from ahead
        ahead.clear()
        yield observation


def _in_window(found: Iterable[Incident], since: float) -> tuple[Incident, ...]:
    """The incidents that lived from `since` on and were notified, or are part of what was.

    One that says it began later than now was reported by a clock that was ahead, and has set in all the same.
    """
    return tuple(one for one in found if one.ended_at is None or one.ended_at.timestamp() >= since)
