"""The services over the window: the states of each, its memory, how often it restarted and why."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from monitord.core.alerting.incidents import Incident
from monitord.core.app_numbers import HEAP_USED, LOOP_P95, figure, milliseconds_of, size
from monitord.core.copying import replace
from monitord.core.history.periodic import expected
from monitord.core.history.process_model import Process
from monitord.core.history.process_states import MISSING, standing
from monitord.core.model import RestartKind, ServiceEvent
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import FoldedCycle, FoldedWindow
from monitord.core.report.model import ServiceReport, State, StateStretch
from monitord.core.subjects import declared

# A plot is a few hundred pixels wide; more points than that are drawn over each other.
POINTS = 240
LEAST_SECONDS = 0.001


@dataclass(slots=True)
class _Track:
    """One service as it was followed.

    `processes` are its last: where the same ones run after a blind spell as before it, they were never away. `steady`
    is from when to when nothing happened to it, as far as that is not yet a part of its `stretches`.
    `unproven` are the seconds of which that is not known. `unmeasured` are those in which an instance ran whose
    memory was not reported, as it now is while `is_unmeasured`. `past` are the seconds seen past the memory limit in
    all, `past_longest` those of the longest spell and `past_spell` of the present one, as it is while `is_past`.
    """

    state: State = "unknown"
    word: str = "unknown"
    processes: Mapping[str, Process] = field(default_factory=dict)
    stretches: list[StateStretch] = field(default_factory=list)
    steady: tuple[float, float] | None = None
    memory_limit: int = 0
    unproven: float = 0.0
    restarts: Counter[RestartKind] = field(default_factory=Counter)
    memory: dict[int, float | None] = field(default_factory=dict)
    event_loop: dict[int, float | None] = field(default_factory=dict)
    heap: dict[int, float | None] = field(default_factory=dict)
    heap_limit: float | None = None
    errors: dict[int, float | None] = field(default_factory=dict)
    peak: float | None = None
    peak_at: float | None = None
    unmeasured: float = 0.0
    is_unmeasured: bool = False
    past: float = 0.0
    past_longest: float = 0.0
    past_spell: float = 0.0
    is_past: bool = False


class ServiceTracker:
    """Follows every service between `since` and `until` (Unix seconds)."""

    def __init__(self, orders: StandingOrders, since: float, until: float) -> None:
        self._orders = orders
        self._since, self._until = since, until
        self._late = orders.late_after.total_seconds()
        self._tracks: dict[str, _Track] = {}
        self._last: float | None = None
        self._dark_since: float | None = None

    def observe(self, cycle: FoldedCycle) -> None:
        observation, history = cycle.observation, cycle.history
        reading = observation.readings.get("pm2")
        if reading is None:
            return
        at = observation.now.timestamp()
        if reading.failure is not None:
            if self._dark_since is None and self._last is not None:
                was_away = at - self._last > self._late
                for track in self._tracks.values() if not was_away else ():
                    self._pass(track, self._last, at, track.state, track.word)
                self._dark_since = self._last if was_away else at
            self._last = at
            return
        if self._last is not None and self._dark_since is None and at - self._last > self._late:
            self._dark_since = self._last  # no readings
        happened: dict[str, list[ServiceEvent]] = {}
        for event in cycle.events:
            happened.setdefault(event.service, []).append(event)
        roster = expected(history, self._orders)
        is_ordered = bool(self._orders.services)
        seen = 0.0
        if self._last is not None and self._dark_since is None:
            seen = max(0.0, min(at, self._until) - max(self._last, self._since))
        place = self._place(at) if at >= self._since else None
        there = {name for name, service in history.services.items() if service.lives}
        for name in sorted(roster.keys() | there | self._tracks.keys()):
            service = history.services.get(name)
            processes = service.lives if service is not None else {}
            is_new = (known := self._tracks.get(name)) is None
            track = _Track(memory_limit=self._orders.memory_limit(name)) if known is None else known
            self._tracks[name] = track
            word, is_ok = standing(list(processes.values()), roster.get(name), at, ordered=is_ordered)
            state: State = "wrong" if is_ok is False else "ok"  # what is on its way is not wrong
            if not is_new:
                self._until_now(track, processes, at, happened.get(name, ()), (state, word))
            track.state, track.word, track.processes = state, word, processes
            self._memory(track, processes, seen)
            if place is not None:
                self._used(track, processes, at, place)
                _largest(track.errors, place, history.errors.of(name).per_minute)
        self._last, self._dark_since = at, None

    def result(self, window: FoldedWindow) -> tuple[ServiceReport, ...]:
        roster = expected(window.history, self._orders)
        dark = self._unproven()
        found = []
        for name, track in sorted(self._tracks.items()):
            self._settle(track)
            stretches = list(track.stretches)
            if self._last is not None and self._last < self._until:
                is_seen = self._dark_since is None and self._until - self._last <= self._late
                state, word = (track.state, track.word) if is_seen else ("unknown", "unknown")
                _add(stretches, max(self._last, self._since), self._until, state, word)
            is_known = self._dark_since is None and track.state != "unknown"
            found.append(
                ServiceReport(
                    name=name,
                    expected=roster.get(name),
                    word=track.word if is_known else "unknown",
                    ok=track.state == "ok" if is_known else None,
                    stretches=tuple(stretches),
                    restarts=dict(track.restarts),
                    memory=self._points(track.memory),
                    memory_peak=track.peak,
                    memory_peak_at=track.peak_at,
                    memory_limit=track.memory_limit,
                    unmeasured=track.unmeasured,
                    past_limit=track.past,
                    past_limit_longest=track.past_longest,
                    event_loop=self._points(track.event_loop),
                    heap=self._points(track.heap),
                    heap_limit=track.heap_limit,
                    errors=self._points(track.errors),
                    unproven=track.unproven + dark,
                )
            )
        return confirmed(found, window.incidents)

    def _unproven(self) -> float:
        """The seconds at the end of the window of which nothing is known."""
        open_since = self._dark_since if self._dark_since is not None else self._last
        if open_since is None or self._until - open_since <= self._late:
            return 0.0
        return self._until - max(open_since, self._since)

    def _until_now(
        self,
        track: _Track,
        processes: Mapping[str, Process],
        at: float,
        happened: Sequence[ServiceEvent],
        now: tuple[State, str],
    ) -> None:
        """What lies between the last reading and this one, a change at its moment if known. `now`: state and word."""
        assert self._last is not None  # noqa: S101 - a track was begun by a reading
        start = self._dark_since if self._dark_since is not None else self._last
        if not happened and self._dark_since is None and now == (track.state, track.word):  # nearly always
            began, until = track.steady or (start, start)
            if until == start <= at:
                track.steady = began, at
                return
            self._pass(track, start, at, *now)
            return
        kinds = [(event.kind, max(1, event.restarts)) for event in happened if event.kind is not None]
        before: tuple[State, str] = (track.state, track.word) if self._dark_since is None else ("unknown", "unknown")
        if kinds:
            if at >= self._since:
                for kind, restarts in kinds:
                    track.restarts[kind] += restarts
            moments = [event.at for event in happened if event.kind is not None and event.at is not None]
            # One that was over as the reading was made is counted as of then.
            began = min((min(moment, at - LEAST_SECONDS) for moment in moments if moment > start), default=start)
            self._pass(track, start, began, *before)
            self._pass(track, began, at, "restarted", f"restarted ({kinds[0][0]})")
        elif self._dark_since is not None:
            self._pass(track, start, at, "unknown", "unknown")
            if not (ran := _running(track.processes)) or ran != _running(processes):
                track.unproven += max(0.0, min(at, self._until) - max(start, self._since))
        else:
            changed = at if now == before else self._changed(processes, happened, start, at)
            self._pass(track, start, changed, *before)
            self._pass(track, changed, at, *now)

    def _changed(
        self, processes: Mapping[str, Process], happened: Sequence[ServiceEvent], start: float, at: float
    ) -> float:
        """When the state became what it now is, between two readings: by PM2's bus or its list, else at the second."""
        moments = [process.since for process in processes.values()] if processes else [event.at for event in happened]
        return max((moment for moment in moments if moment is not None and start < moment < at), default=at)

    def _settle(self, track: _Track) -> None:
        """What was steady for a while is one stretch."""
        if track.steady is not None:
            (start, end), track.steady = track.steady, None
            self._pass(track, start, end, track.state, track.word)

    def _pass(self, track: _Track, start: float, end: float, state: State, word: str) -> None:
        self._settle(track)
        _add(track.stretches, max(start, self._since), min(end, self._until), state, word)

    def _memory(self, track: _Track, processes: Mapping[str, Process], seen: float) -> None:
        """How long it has used too much, or nobody knew how much; `seen` are the seconds since the last reading."""
        if track.is_unmeasured:
            track.unmeasured += seen
        if track.is_past:
            track.past += seen
            track.past_spell += seen
            track.past_longest = max(track.past_longest, track.past_spell)
        track.is_past = track.is_unmeasured = False
        for process in processes.values():
            if process.memory is None:
                track.is_unmeasured |= process.state == "online"
            else:
                track.is_past |= process.memory > track.memory_limit
        track.past_spell = track.past_spell if track.is_past else 0.0

    def _used(self, track: _Track, processes: Mapping[str, Process], at: float, place: int) -> None:
        used = max([process.memory for process in processes.values() if process.memory is not None], default=None)
        _largest(track.memory, place, used)
        self._app(track, place, processes)
        if used is not None and (track.peak is None or used > track.peak):
            track.peak, track.peak_at = used, at

    def _place(self, at: float) -> int:
        return min(POINTS - 1, int((at - self._since) / max(1e-9, self._until - self._since) * POINTS))

    def _app(self, track: _Track, place: int, processes: Mapping[str, Process]) -> None:
        """What the app reports of itself; of one that never reported anything there is no series."""
        reporting = [process for process in processes.values() if process.app_values]
        if not reporting and not track.event_loop and not track.heap:
            return
        latencies = [milliseconds_of(process.app_form, process.app_values, LOOP_P95) for process in reporting]
        heaps = [size(figure(process.app_form, process.app_values, HEAP_USED)) for process in reporting]
        limits = [process.heap_limit for process in reporting if process.heap_limit is not None]
        _largest(track.event_loop, place, max((one for one in latencies if one is not None), default=None))
        _largest(track.heap, place, max((one for one in heaps if one is not None), default=None))
        track.heap_limit = min(limits, default=track.heap_limit)

    def _points(self, series: Mapping[int, float | None]) -> tuple[tuple[float, float | None], ...]:
        """A point a bucket, the largest in it; None where a bucket holds none between two that do."""
        if not any(value is not None for value in series.values()):
            return ()
        width = (self._until - self._since) / POINTS
        first, last = min(series), max(series)
        # Measured less often than there are buckets: a bucket without a reading is no gap until it is a late one.
        apart = max(1, int(self._late / width) if width > 0 else 1)
        points: list[tuple[float, float | None]] = []
        since_point = 0
        for place in range(first, last + 1):
            at = self._since + (place + 0.5) * width
            if place in series:
                points.append((at, series[place]))
                since_point = 0
            else:
                since_point += 1
                if since_point == apart + 1:
                    points.append((at, None))
        return tuple(points)


def confirmed(result: Iterable[ServiceReport], incidents: Iterable[Incident]) -> tuple[ServiceReport, ...]:
    """The services, with what no alert was ever confirmed for marked as that: it is neither wrong nor well."""
    lasted: dict[str, list[tuple[float, float]]] = {}
    for part in (part for incident in incidents for part in incident.parts):
        end = part.ended_at.timestamp() if part.ended_at is not None else math.inf
        for name in declared(part.alert.rule).services(part.alert):
            lasted.setdefault(name, []).append((part.alert.since.timestamp(), end))
    return tuple(_confirmed(one, lasted.get(one.name, [])) for one in result)


def _confirmed(one: ServiceReport, lasted: Sequence[tuple[float, float]]) -> ServiceReport:
    stretches = tuple(
        replace(part, state="unconfirmed")
        if part.state == "wrong" and not any(start < part.end and part.start < end for start, end in lasted)
        else part
        for part in one.stretches
    )
    is_doubtful = one.ok is False and not any(end == math.inf for _, end in lasted)
    return replace(one, stretches=_since_there(stretches), ok=None if is_doubtful else one.ok, unconfirmed=is_doubtful)


def _since_there(stretches: tuple[StateStretch, ...]) -> tuple[StateStretch, ...]:
    """Without what a service was missing before it was first there, and nobody missed it: it is new.

    A roster that was learned is kept without times, and names it for the whole window.
    """
    known = (place for place, part in enumerate(stretches) if part.state != "unknown" and part.word != MISSING)
    first = next(known, 0)
    return tuple(part for place, part in enumerate(stretches) if place >= first or part.state != "unconfirmed")


def _largest(series: dict[int, float | None], place: int, value: float | None) -> None:
    known = series.get(place)
    series[place] = value if known is None else known if value is None else max(known, value)


def _running(processes: Mapping[str, Process]) -> frozenset[tuple[str, float | None]]:
    return frozenset(
        (instance, process.started_at) for instance, process in processes.items() if process.state == "online"
    )


def _add(stretches: list[StateStretch], start: float, end: float, state: State, word: str) -> None:
    """One stretch more, joined to the one before where nothing changed. A clock set back says the same time anew."""
    if end <= start:
        return
    while stretches and stretches[-1].end > start:
        last = stretches.pop()
        if last.start < start:
            stretches.append(StateStretch(last.start, start, last.state, last.word))
    if stretches and (last := stretches[-1]).end == start and (last.state, last.word) == (state, word):
        stretches[-1] = StateStretch(last.start, end, state, word)
    else:
        stretches.append(StateStretch(start, end, state, word))
