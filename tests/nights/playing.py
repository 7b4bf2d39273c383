"""A night of the library is played, and what was said is held against what its file says."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from monitord.core.alerting.escalation import annotations_of
from monitord.core.alerting.lifecycle import key
from monitord.core.codec import decode, encode
from monitord.core.engine import State, decide
from monitord.core.model import Action, Observation, ServiceEvent, Transition
from monitord.core.orders import StandingOrders
from monitord.core.recording import Recorder, replay
from tests.core.habits import has_habits, looked_at_again, looked_at_seldom
from tests.core.nights import Night, restored

from .files import NightError, Said, Step, Story
from .mornings import differences, morning
from .vocabulary import happens

# A frame in so many stands by itself.
WHOLE_EVERY = 25
# So many cycles before and after all that is written in a night, monitord looks as often as ever, where it is `calm`
# between. What happens is judged for longer than what is about to; before the start nothing has happened yet.
BEFORE, AFTER = 2, 6


@dataclass(frozen=True, slots=True)
class Played:
    """A night that has passed: what was seen under which orders, and what was said when (seconds since the start)."""

    story: Story
    night: Night
    orders: tuple[StandingOrders, ...]
    edges: tuple[tuple[float, Transition], ...]
    complaints: tuple[str, ...]

    @property
    def observations(self) -> list[Observation]:
        return [look.observation for look in self.night.looks]

    @property
    def actions(self) -> list[tuple[float, Action]]:
        """What was recommended, and when (seconds since the start)."""
        begin = self.story.start.timestamp()
        return [(look.at - begin, action) for look in self.night.looks for action in look.decision.actions]

    @property
    def transitions(self) -> list[Transition]:
        return [transition for _, transition in self.edges]


def play(story: Story) -> Played:
    """Play a night. NightError where a step cannot happen."""
    begin, night = story.start.timestamp(), _night(story)
    orders: list[StandingOrders] = []
    complaints: list[str] = []

    stretches = tuple(_stretches(story))

    def passes(until: float) -> None:
        for since, every in stretches:
            if night.clock.now <= begin + since < begin + until:
                _passes(night, begin + since)
                night.every = every
                night.is_due()
        _passes(night, begin + until)
        orders.extend([night.orders] * (len(night.looks) - len(orders)))

    def goes_on(steps: Iterable[Step]) -> None:
        for step in steps:
            passes(step.at)
            if step.status and night.status != step.status:
                complaints.append(f"{step.where}: the status is {night.status}, not {step.status}")
            _does(night, step, story)

    if story.past:
        goes_on(step for step in story.steps if step.at < 0)
        passes(0)
        looked_at_again(night, story.every, story.orders.late_after)
    goes_on(step for step in story.steps if step.at >= 0)
    passes(story.end)
    edges = tuple((look.at - begin, t) for look in night.looks for t in look.decision.transitions)
    return Played(story, night, tuple(orders), edges, tuple(complaints))


def _stretches(story: Story) -> Iterator[tuple[float, float]]:
    """From when on monitord looks how often: seldom where nothing is written, neither lately nor soon."""
    if story.calm is None:
        return
    spans = [said.between for said in story.said] + [said.advised_at for said in story.said if said.advised_at]
    marks = {0.0, *(step.at for step in story.steps if step.at >= 0), *(at for span in spans for at in span)}
    marks |= {at for wanted in story.mornings for at in (wanted.since, wanted.at)}
    # As many cycles before the next as fit, so that it is met in the rhythm of the whole night.
    begins = {at: max(0.0, at // story.every - BEFORE) * story.every for at in marks}
    ends = {at: (at // story.every + (AFTER if at else BEFORE)) * story.every for at in marks}
    for before, after in itertools.pairwise(sorted(marks)):
        if begins[after] - ends[before] > story.every:
            yield ends[before], story.calm
            yield begins[after], story.every
    if ends[max(marks)] < story.end:
        yield ends[max(marks)], story.calm


def _night(story: Story) -> Night:
    """The night as it begins: with the start, or as long before it as monitord has watched."""
    since = story.start - timedelta(seconds=story.past)
    night = Night(story.orders, start=since, every=story.every, services=story.fleet)
    if story.past:
        has_habits(night)
        looked_at_seldom(night)
    return night


def _passes(night: Night, until: float) -> None:
    if until > night.clock.now:  # an absence of monitord may have taken longer than the next step allows
        night.passes(seconds=until - night.clock.now)


def _does(night: Night, step: Step, story: Story) -> None:
    try:
        for phrase in step.what:
            happens(night, phrase)
        if step.orders is not None:
            night.orders = replace(night.orders, **step.orders)  # type: ignore[arg-type] # read by their own types
    except ValueError as error:
        raise NightError(f"{story.name}.toml: {step.where}: {error}") from error
    for sample, value in (step.readings or {}).items():
        if value == "measured":
            night.instead.pop(sample, None)
        else:
            night.instead[sample] = value


def judged(
    observations: Iterable[Observation], orders: Iterable[StandingOrders], cuts: Iterable[int] = ()
) -> tuple[State, list[Transition]]:
    """A recorded night judged again. After each of `cuts` the state goes through its snapshot."""
    state, cut = State(), set(cuts)
    edges: list[Transition] = []
    for number, (observation, under) in enumerate(zip(observations, orders, strict=True)):
        decision = decide(state, observation, under)
        state = restored(decision.state) if number in cut else decision.state
        edges += decision.transitions
    return state, edges


def comes_back(state: State) -> None:
    """A snapshot of the state gives it back as it was, in the same order; that a number was whole is not kept."""
    written = json.dumps(encode(state))
    back = decode(State, json.loads(written))
    again = json.dumps(encode(back))
    # Not compared by pytest: it would explain at length how two whole states differ.
    same = back == state and (again == written or any(of(again) == of(written) for of in (_as_whole, _as_floats)))
    assert same, "a snapshot does not give this state back"


def _as_whole(written: str) -> str:
    """The text without the fractions that are none. What else may end so is compared by the states themselves."""
    return written.replace(".0,", ",").replace(".0]", "]").replace(".0}", "}")


def _as_floats(written: str) -> str:
    return json.dumps(json.loads(written, parse_int=float))


def cuts(played: Played) -> list[int]:
    """Where to cut a night: here and there, and wherever something had just been said or suspected."""
    looks = played.night.looks
    return [n for n, look in enumerate(looks) if n % 29 == 5 or look.decision.transitions]


def through_frames(observations: Iterable[Observation]) -> Iterator[Observation]:
    """The observations as their recorded frames give them back, through text."""
    recorder = Recorder()
    frames = (
        json.loads(json.dumps(recorder.frame(observation, whole=number % WHOLE_EVERY == 0)))
        for number, observation in enumerate(observations)
    )
    return replay(frames)


def complaints(played: Played) -> list[str]:
    """Everything in which a night and its file differ, one line each."""
    story, night = played.story, played.night
    told = list(played.complaints)
    spoken = [(at, t) for at, t in played.edges if t.edge != "pending"]
    advice = {(a.alert_id, at): a for at, a in played.actions}
    for said in story.said:
        of = [(at, t) for at, t in spoken if (t.edge, t.alert.rule, t.alert.subject) == _of(said)]
        if not of:
            told.append(f"{said.where}: {said.edge} {said.rule}/{said.subject} was never said")
            continue
        spoken.remove(of[0])
        unlike = [*_unlike(said, *of[0], played), *_unadvised(said, _advice(said, *of[0], advice))]
        told += [f"{said.where}: {said.edge} {said.rule}/{said.subject} {how}" for how in unlike]
    told += [f"not in the file: {_line(at, t)}" for at, t in spoken]
    told += [f"not in the file: {_time(at)} {a.action} {a.target}" for (_, at), a in advice.items()]
    told += _unspoken(played)
    if night.status != story.status:
        told.append(f"the night ends {night.status}, not {story.status}")
    events = [_event(event) for event in night.events]
    if story.events is not None and events != list(story.events):
        told.append(f"events were {events}, not {list(story.events)}")
    if story.noted is not None and not _each_in(story.noted, night.notes):
        told.append(f"notes were {night.notes}, not {list(story.noted)}")
    begin = story.start.timestamp()
    for wanted in story.mornings:
        report = morning(night, since=begin + wanted.since, until=begin + wanted.at)
        told += [f"{wanted.where}: {how}" for how in differences(wanted, report)]
    return told


def _event(event: ServiceEvent) -> str:
    kind = f" ({event.kind})" if event.kind is not None else ""
    return f"{event.service} {event.change} by {event.by}{kind}"


def _of(said: Said) -> tuple[str, str, str]:
    return said.edge, said.rule, said.subject


def _each_in(fragments: Iterable[str], notes: list[str]) -> bool:
    wanted = list(fragments)
    return len(wanted) == len(notes) and all(part in note for part, note in zip(wanted, notes, strict=True))


def _unlike(said: Said, at: float, transition: Transition, played: Played) -> Iterator[str]:
    """In what a transition is not what was to be said."""
    alert, finding = transition.alert, transition.alert.finding
    if not said.between[0] <= at <= said.between[1]:
        yield f"was said at {_time(at)}, not between {_time(said.between[0])} and {_time(said.between[1])}"
    since = alert.since.timestamp() - played.story.start.timestamp()
    if said.since is not None and not said.since[0] <= since <= said.since[1]:
        yield f"is since {_time(since)}, not between {_time(said.since[0])} and {_time(said.since[1])}"
    if said.severity is not None and alert.severity != said.severity:
        yield f"is {alert.severity}, not {said.severity}"
    for name, found, wanted in (("value", finding.value, said.value), ("limit", finding.limit, said.limit)):
        if wanted is not None and not _fits(found, wanted):
            yield f"has the {name} {found!r}, not {wanted!r}"
    ordered = " ".join(f"{name}: {text}" for name, text in annotations_of(finding))
    spoken = f"{finding.summary} {finding.recommendation} {ordered} {transition.now}"
    yield from (f"does not say {part!r}: {spoken}" for part in said.text if part not in spoken)
    if transition.reason != said.reason:
        yield f"has the reason {transition.reason!r}, not {said.reason!r}"
    if said.suppressed_by:
        places = {t.alert.id: key(t.alert.rule, t.alert.subject) for t in played.transitions}
        by = places.get(transition.suppressed_by, transition.suppressed_by)
        if by != said.suppressed_by:
            yield f"is suppressed by {by!r}, not {said.suppressed_by!r}"


def _advice(said: Said, at: float, edge: Transition, advice: dict[tuple[str, float], Action]) -> Action | None:
    """What is recommended with an edge, or about its alert in the span that the file gives; taken out of `advice`."""
    first, last = said.advised_at or (at, at)
    due = next((moment for alert, moment in advice if alert == edge.alert.id and first <= moment <= last), None)
    return None if due is None else advice.pop((edge.alert.id, due))


def _unadvised(said: Said, action: Action | None) -> Iterator[str]:
    """In what the action that is recommended with an edge is not the one that was to be."""
    found = "" if action is None else action.action
    if found != said.advised:
        yield f"comes with the advice {found!r}, not {said.advised!r}"
    elif action is not None:
        if action.target != said.subject:
            yield f"comes with advice on {action.target!r}"
        if action.blocking != said.blocking:
            yield f"is said to block {action.blocking!r}, not {said.blocking!r}"


def _fits(found: object, wanted: object) -> bool:
    """A value, or one within [least, most]."""
    if isinstance(wanted, list):
        return isinstance(found, int | float) and wanted[0] <= found <= wanted[1]
    return found == wanted


def _unspoken(played: Played) -> Iterator[str]:
    """What was to stay unsaid and was not, and what was to be suspected and was not."""
    pending = {key(t.alert.rule, t.alert.subject) for t in played.transitions if t.edge == "pending"}
    fired = {key(t.alert.rule, t.alert.subject) for t in played.transitions if t.edge == "firing"}
    for place in played.story.never:
        yield from (f"{one} was suspected, and never should be" for one in sorted(pending | fired) if _is(one, place))
    for place in played.story.suspected:
        if not any(_is(one, place) for one in pending):
            yield f"{place} was never suspected"
        yield from (f"{one} fired, and should only be suspected" for one in sorted(fired) if _is(one, place))


def _is(place: str, wanted: str) -> bool:
    """Whether `service_down/gateway` is meant by `service_down/gateway` or by `service_down`."""
    return place == wanted or ("/" not in wanted and place.startswith(f"{wanted}/"))


def _line(at: float, transition: Transition) -> str:
    alert = transition.alert
    reason = f" ({transition.reason})" if transition.reason else ""
    value, limit = alert.finding.value, alert.finding.limit
    what = f"{transition.edge} {alert.rule}/{alert.subject}{reason}, {alert.severity}, {value!r} of {limit!r}"
    return f"{_time(at)} {what}: {alert.finding.summary}"


def _time(at: float) -> str:
    minutes, seconds = divmod(round(abs(at)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if at < 0 else '+'}{hours}h{minutes:02}m{seconds:02}s"


def transcript(played: Played) -> str:
    """All that was said, as an author reads it back."""
    lines = [_line(at, t) for at, t in played.edges]
    events = [
        f"{_time(look.at - played.story.start.timestamp())} event: {_event(e)}"
        for look in played.night.looks
        for e in look.decision.events
    ]
    notes = [f"note: {note}" for note in played.night.notes]
    actions = [f"{_time(at)} action: {a.action} {a.target}, blocking {a.blocking!r}" for at, a in played.actions]
    end = datetime.fromtimestamp(played.night.clock.now, UTC)
    return "\n".join([*lines, *events, *actions, *notes, f"{end:%H:%M} {played.night.status}"])
