"""What is remembered between cycles: last readings, blind spells, counters and series, who belongs to the fleet.

All times are Unix seconds of the cycles that saw them. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from monitord.core.anomalies.sealing_habits import SealingHabits
from monitord.core.anomalies.trends import TrendSeries, shifted
from monitord.core.copying import replace, slot_by_slot
from monitord.core.history.arrivals import Counters
from monitord.core.history.epochs import Empty, Sealed
from monitord.core.history.mounts import Mount
from monitord.core.history.rhythms import Runs
from monitord.core.identity import Identity
from monitord.core.model import Kind, Observation, OperatorAction, Reading, RestartKind
from monitord.core.orders import Expected, StandingOrders

KEEP_BLIND_SECONDS = 48 * 3600.0
# A probe that flaps for days must not make the state grow with it.
KEEP_BLIND_SPANS = 500
# What these measure is kept in another form below: the fleet, and the labels sealed.
KEPT_OTHERWISE = frozenset({"pm2", "epochs"})
# Failures that show the server to be there, or are monitord's own: no absence of the server.
ANSWERED: frozenset[Kind] = frozenset({"auth", "permission", "internal"})


@dataclass(frozen=True, slots=True)
class BlindSpan:
    """A spell in which a probe saw nothing; `end` is None while it lasts.

    `failed`: the probe was taken and failed. `away`: nobody took it (monitord was down, or the clock jumped).
    `answered`: the server was there, and refused monitord (its password, its rights), or monitord itself failed.
    """

    start: float
    end: float | None
    why: Literal["failed", "away"]
    answered: bool = False


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Process:
    """One process as PM2 and the kernel last told of it.

    `memory_limit` (bytes) and `watch` are rules by which PM2 restarts it: past that much memory, when its files change.
    `backoff`: PM2 waits before it restarts it after a death, longer each time. `kill_timeout` and `listen_timeout` are
    how long PM2 lets it stop and start (seconds, None: PM2's own). `since` is when its state as it is began.

    `last_started_at` is when its last run began, `restart_delay` how long PM2 waits after each end before it restarts
    it (seconds, None: not at all), `may_end` that PM2 leaves it stopped after the exit code it has (stop_exit_codes).
    `signal` is the one that ended its last run, where PM2's bus has told; `given_up`: PM2 will not restart it any
    more and calls it waiting all the same.
    """

    state: str
    restarts: int | None = None
    created_at: float | None = None
    process: str | None = None
    memory: float | None = None
    cpu: float | None = None
    started_at: float | None = None
    exit_code: int | None = None
    schedule: str | None = None
    cron: str | None = None
    autorestart: bool = True
    module: bool = False
    own: bool = False
    memory_limit: float | None = None
    watch: bool = False
    backoff: bool = False
    kill_timeout: float | None = None
    listen_timeout: float | None = None
    since: float | None = None
    last_started_at: float | None = None
    restart_delay: float | None = None
    may_end: bool = False
    signal: str = ""
    given_up: bool = False

    @property
    def began(self) -> float | None:
        """When its last run began (Unix seconds), though it is on its way down or up; None where PM2 does not say."""
        return self.last_started_at if self.started_at is None else self.started_at


@dataclass(frozen=True, slots=True)
class Batch:
    """`count` automatic restarts of one kind that happened somewhere between two readings."""

    start: float
    end: float
    count: int
    kind: RestartKind = "automatic"


@dataclass(frozen=True, slots=True)
class RestartTally:
    """Automatic restarts in the window of the orders that began at `start`, by kind; between `first` and `last`."""

    start: float
    first: float
    last: float
    kinds: Mapping[RestartKind, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.kinds.values())


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of one process, as PM2's bus told of it: how, and after how many seconds of life (None: not known).

    `memory`: PM2 itself ended it, for using more than its max_memory_restart; `watch`: as a file it watches changed.
    """

    at: float
    instance: str
    code: int | None = None
    signal: str = ""
    lived: float | None = None
    memory: bool = False
    watch: bool = False

    @property
    def kind(self) -> RestartKind:
        """By which rule of PM2's own it ended, or that it ended by itself."""
        return "memory" if self.memory else "watch" if self.watch else "automatic"


@slot_by_slot
@dataclass(frozen=True, slots=True)
class ServiceHistory:
    """One name in PM2: its processes by pm_id (none when it is gone), its automatic restarts, and its last deaths.

    `taken_up_at` is when somebody last began it anew after PM2 had given up on it (None: never).
    `said` is how many of its ends were said as they came and have not been seen in PM2's list yet, the last of them
    at `said_at`. `by_hand_at` is when the bus last told that somebody had one of its processes ended. `settled_at` is
    when it was last seen without a process on its way down (None: at the last reading): what ended since then is
    counted when the new process is seen. `acts` are what the bus has told of operators' doing that no reading has shown
    yet, and `by_hand` says that what is down or gone of it is so by an operator's hand.
    `gone_at` is when it was deleted, where the bus has told. `periodic`: it comes and goes, as expected of it.
    `runs` are the runs of what is, or may be, periodic. `tallies` count its automatic restarts of the last day.
    """

    lives: Mapping[str, Process] = field(default_factory=dict)
    batches: tuple[Batch, ...] = ()
    deaths: tuple[ProcessEnd, ...] = ()
    taken_up_at: float | None = None
    said: int = 0
    said_at: float = 0.0
    by_hand_at: float | None = None
    settled_at: float | None = None
    acts: tuple[OperatorAction, ...] = ()
    by_hand: bool = False
    gone_at: float | None = None
    periodic: bool = False
    runs: Runs | None = None
    tallies: tuple[RestartTally, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetRestart:
    """The whole fleet beginning anew between two readings. `left_behind` were there before and have not come back.

    `is_empty`: nothing has, and nothing of the fleet is in PM2's list: PM2 itself was restarted, and `at` is when its
    new daemon began; or (`deleted`) somebody took all of it out. `unknown`: who did it, or what, cannot be told.
    `seen_at` is the reading that showed it first.
    """

    at: float
    kind: Literal["deployment", "reboot", "resurrected", "deleted", "unknown"]
    left_behind: tuple[str, ...] = ()
    is_empty: bool = False
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class TableHistory:
    """A watched table's counters and what they add up to.

    `gained` adds up committed rows over resets of the counters; `points` are (time, gained).
    `flow_at` is when rows last came in by the counters, `verified_at` when that was last proven; `refuted` says that
    the exact counts stood still while the counters of inserts moved and nothing proved a commit, `undone` that the
    counters prove themselves that the last inserts were rolled back.

    `counters` are those of the last reading (None: not all of them were told), `share` is the part of the inserts that
    was committed when that could last be told. Of what was gained since the last exact count, `doubt` rows may have
    been rolled back after all, of what was gained before it `doubt_before`, until the growth window has passed
    `doubt_until`. `late` rows of the growth window before the last exact count carry labels from before `late_before`
    (None: not known).

    `seen`: the server says that its counters see every insert (track_counts, no foreign partitions). `missed`: two
    exact counts found rows that the counters did not see. `proven_at` is when a source that can be trusted last told
    how many rows came (None: none has yet, and a rate of 0 would be a guess). `indexed`: exact counts can be had;
    `countable`: and the last one settled something. `at_least` is the rate (rows a second) that a count proved which
    stopped at its cap.

    Since the last exact count: `gained_then` is what had been gained by it, `told` how many rows the counters have
    told of, `rebased` that they fell meanwhile. `owed` rows were counted before the counters told of them, last at
    `owed_at`: they may still tell. `heap` is the size of the rows on disk, `written` all that the counters count,
    `deleted` the deletes; `unexplained`: the size rose though no counter moved.
    """

    inserted: float | None = None
    gained: float = 0.0
    points: tuple[tuple[float, float], ...] = ()
    flow_at: float = 0.0
    verified_at: float = 0.0
    refuted: bool = False
    exact_at: float | None = None
    exact: Mapping[str, int] = field(default_factory=dict)
    compared_at: float | None = None
    countable: bool = True
    indexed: bool = True
    seen: bool = True
    missed: bool = False
    proven_at: float | None = None
    at_least: float | None = None
    gained_then: float = 0.0
    told: float = 0.0
    rebased: bool = False
    owed: float = 0.0
    owed_at: float = 0.0
    deleted: float | None = None
    deleted_then: float | None = None
    heap: float | None = None
    written: float | None = None
    unexplained: bool = False
    counters: Counters | None = None
    share: float = 1.0
    doubt: float = 0.0
    doubt_before: float = 0.0
    doubt_until: float = 0.0
    undone: bool = False
    late: float | None = None
    late_before: int = 0
    doubling: bool = False
    peaks: tuple[tuple[float, float], ...] = ()

    @property
    def last_row_at(self) -> float:
        """When a row last came in, as far as that is known."""
        return self.verified_at if self.refuted else self.flow_at

    @property
    def trusted(self) -> bool:
        """Whether the counters alone can tell how many rows come."""
        return self.inserted is not None and self.seen and not self.missed

    @property
    def rolled_back(self) -> bool:
        """Whether inserts are tried and none of them is committed."""
        return self.refuted or self.undone

    @property
    def known(self) -> bool:
        """Whether anything that can be trusted tells how many rows come."""
        if self.unexplained and not self.indexed:
            return False
        return self.proven_at is not None or (self.trusted and not self.indexed)


@dataclass(frozen=True, slots=True)
class QueueHistory:
    """A queue's present rise without a fall: since when, from what depth, to what depth.

    `deep_since` is since when it has been deep without a fall (None: it is not). `thirds` are the lowest and highest
    readings of stretches of a third of a stall, oldest first, the last of them open since `third_at`.

    `still_since` is since when there are jobs and none of them was taken or finished (None: some were). `failures` are
    (time, how many more had failed), `failures_total` what its workers had counted by the last reading.
    """

    since: float
    first: float
    last: float
    deep_since: float | None = None
    third_at: float = 0.0
    thirds: tuple[tuple[float, float], ...] = ()
    still_since: float | None = None
    failures: tuple[tuple[float, float], ...] = ()
    failures_total: float | None = None


@dataclass(frozen=True, slots=True)
class DiskFull:
    """A disk that takes no more: it was first found so at `seen_at`, and the reading before that was at `after`.

    `room_at` is when it was found to have room again: until rows come, too, that is not forgotten.
    """

    after: float
    seen_at: float
    room_at: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock was set by `seconds` (below 0: back) at `at`; it has been said in `cycles` whole cycles."""

    seconds: float
    at: float
    cycles: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """All that is kept between cycles besides the alerts.

    `readings` are the last of each probe, good or failed; `taken_at` is when the last good one was taken. `set_back`
    counts how often the wall clock was set back. `seen` is when each default subject was first there (None: asked for,
    and not there).

    `lived` is the seconds since the boot `boot` as of `at` (None: not told), `moved` by how much all that is kept was
    moved with steps of the wall clock, `step` the last step as long as it is said. `ahead` is by how many seconds the
    database's clock was ahead of the wall clock (None: never told). `off` is by how much the clock that seals are
    judged by has been set since `off_at`.
    """

    at: float | None = None
    set_back: int = 0
    lived: float | None = None
    boot: str = ""
    moved: float = 0.0
    step: Step | None = None
    ahead: float | None = None
    # By how many seconds what was last read of the database is old: it is a standby that lags behind its primary.
    behind: float = 0.0
    off: float = 0.0
    off_at: float | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    taken_at: Mapping[str, float] = field(default_factory=dict)
    blind: Mapping[str, tuple[BlindSpan, ...]] = field(default_factory=dict)
    services: Mapping[str, ServiceHistory] = field(default_factory=dict)
    roster: Mapping[str, Expected] = field(default_factory=dict)
    fleet_restart: FleetRestart | None = None
    # Which PM2 daemon answered last, "" where that cannot be told.
    daemon: str = ""
    tables: Mapping[str, TableHistory] = field(default_factory=dict)
    queues: Mapping[str, QueueHistory] = field(default_factory=dict)
    # The watched disks that are full, or have no inode left, by path.
    full: Mapping[str, DiskFull] = field(default_factory=dict)
    # Why each server refused the fleet's next write or connection when that could last be told.
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # The servers that were seen to be primaries.
    primaries: frozenset[str] = frozenset()
    # "memory/<service>/<pm_id>" and "disk/<path>".
    trends: Mapping[str, TrendSeries] = field(default_factory=dict)
    sealed: Sealed = field(default_factory=dict)
    # The labels that nobody took part in, by group.
    empty: Empty = field(default_factory=dict)
    # Group -> the labels that it left out though it sealed later ones, and when each left the window unsealed.
    left_out: Mapping[str, tuple[tuple[int, float | None], ...]] = field(default_factory=dict)
    # The database that is known, and the one that was last read; the known newest seals that are gone from it, in so
    # many readings in a row.
    identity: Identity | None = None
    present: Identity | None = None
    vanished: tuple[str, ...] = ()
    vanished_times: int = 0
    learned: Mapping[str, SealingHabits] = field(default_factory=dict)
    seen: Mapping[str, float | None] = field(default_factory=dict)
    # Where each watched path lay when it was last whole.
    mounts: Mapping[str, Mount] = field(default_factory=dict)
    # What subjects that are no part of monitord keep, as JSON: a subject's own in `update`, by its name.
    by_subject: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def reading(self, probe: str) -> Reading | None:
        """The last good reading of a probe, or None when the last one failed or none was taken."""
        last = self.readings.get(probe)
        return last if last is not None and last.failure is None else None

    def kept(self, subject: str) -> Mapping[str, Any]:
        """What a subject that is no part of monitord keeps between cycles."""
        return self.by_subject.get(subject, {})

    def keeping(self, subject: str, what: Mapping[str, Any]) -> History:
        """The history in which a subject keeps this, in the place of what it kept."""
        return replace(self, by_subject={**self.by_subject, subject: what})

    def blind_seconds(self, probe: str, start: float, end: float) -> float:
        """How much of [start, end] the probe was blind."""
        return _seconds(self.blind.get(probe, ()), start, end)

    def failed_seconds(self, probe: str, now: float) -> float:
        """For how long the probe has failed since it last measured."""
        failed = (s for s in self.blind.get(probe, ()) if s.why == "failed")
        return _seconds(failed, self.taken_at.get(probe, 0.0), now)

    def absent_seconds(self, server: str, start: float, end: float) -> float:
        """How much of [start, end] the server itself was away, as far as its probe could tell.

        What monitord did not see, and what a server that answers refused it, is no absence.
        """
        spans = self.blind.get(server)
        if not spans:  # nearly always
            return 0
        absent = (s for s in spans if s.why == "failed" and not s.answered)
        return _seconds(absent, start, end)

    def watched_seconds(self, probe: str, start: float, end: float) -> float:
        """How much of [start, end] the probe could see."""
        return max(0.0, end - start - self.blind_seconds(probe, start, end))


def _seconds(spans: Iterable[BlindSpan], start: float, end: float) -> float:
    """How much of [start, end] lies in these spans."""
    return sum(max(0.0, min(end, end if s.end is None else s.end) - max(start, s.start)) for s in spans)


def update_readings(history: History, observation: Observation, orders: StandingOrders) -> History:
    """The readings kept, and each probe's blind spells brought up to date."""
    now = observation.now.timestamp()
    readings, taken, blind = dict(history.readings), dict(history.taken_at), dict(history.blind)
    for name, reading in observation.readings.items():
        blind[name] = _spells(blind.get(name, ()), taken.get(name), history.at, reading, now, orders)
        readings[name] = replace(reading, samples=()) if name in KEPT_OTHERWISE else reading
        if reading.failure is None:
            taken[name] = now
    return replace(history, at=now, readings=readings, taken_at=taken, blind=blind)


def _spells(
    spans: tuple[BlindSpan, ...],
    last: float | None,
    seen: float | None,
    reading: Reading,
    now: float,
    orders: StandingOrders,
) -> tuple[BlindSpan, ...]:
    """One probe's blind spells after one more reading: a failure opens one, a good reading closes it.

    `last` is when it was last taken and good, `seen` when anything was last taken: since then monitord did not run.
    What failed before that and fails after it in the same way is held to have failed all along.
    """
    limit = orders.late_after.total_seconds()
    kept = [s for s in spans if s.end is None or s.end > now - KEEP_BLIND_SECONDS][-KEEP_BLIND_SPANS:]
    is_open = bool(kept) and kept[-1].end is None
    failure = reading.failure
    answered = failure is not None and (failure.full or failure.kind in ANSWERED)
    goes_on = is_open and failure is not None and kept[-1].answered == answered
    if is_open and not goes_on and seen is not None and now - seen > limit:  # until when it failed nobody knows
        kept[-1] = replace(kept[-1], end=max(seen, kept[-1].start))
        kept.append(BlindSpan(seen, now, "away"))
        is_open = False
    elif is_open and failure is not None and not goes_on:
        kept[-1] = replace(kept[-1], end=now)
        is_open = False
    elif not is_open and last is not None and now - last > limit:
        kept.append(BlindSpan(last, now, "away"))
    if failure is not None and not is_open:
        kept.append(BlindSpan(now, None, "failed", answered=answered))
    elif failure is None and is_open:
        kept[-1] = replace(kept[-1], end=now)
    return tuple(kept)


def without_future(history: History, now: float) -> History:
    """The history with no time after `now`: the wall clock was set back, and nobody knows by how much.

    What it said then cannot be compared.
    """
    if history.at is None or history.at <= now:
        return history
    by = now - history.at
    return replace(
        _with_times(history, lambda at: min(at, now)),
        at=now,
        set_back=history.set_back + 1,
        moved=round(history.moved + by, 3),
        tables={
            name: replace(_table(table, lambda at: min(at, now)), points=((now, table.gained),))
            for name, table in history.tables.items()
        },
        learned={group: past.until(now) for group, past in history.learned.items()},
        trends={name: shifted(series, -by) for name, series in history.trends.items()},
    )


def moved(history: History, by: float) -> History:
    """The history as a wall clock tells it that was set by so many seconds: what was lived through keeps its age.

    What other clocks told stays as it is: PM2's creation times, and all that is known by label.
    """

    def later(at: float) -> float:
        return at + by

    return replace(
        _with_times(history, later),
        at=None if history.at is None else history.at + by,
        moved=round(history.moved + by, 3),
        step=history.step and replace(history.step, at=history.step.at + by),
        off_at=None if history.off_at is None else history.off_at + by,
        tables={
            name: replace(_table(table, later), points=tuple((at + by, gained) for at, gained in table.points))
            for name, table in history.tables.items()
        },
        trends={name: shifted(series, -by) for name, series in history.trends.items()},
    )


def _table(table: TableHistory, to: Callable[[float], float]) -> TableHistory:
    return replace(
        table,
        flow_at=to(table.flow_at),
        verified_at=to(table.verified_at),
        exact_at=None if table.exact_at is None else to(table.exact_at),
        compared_at=None if table.compared_at is None else to(table.compared_at),
        proven_at=None if table.proven_at is None else to(table.proven_at),
        owed_at=to(table.owed_at),
        doubt_until=to(table.doubt_until),
        peaks=tuple((to(at), rows) for at, rows in table.peaks),
    )


def _with_times(history: History, to: Callable[[float], float]) -> History:
    """The history with each time of the wall clock that is kept of readings and services put `to` another."""

    def maybe(at: float | None) -> float | None:
        return None if at is None else to(at)

    return replace(
        history,
        taken_at={name: to(at) for name, at in history.taken_at.items()},
        blind={
            name: tuple(replace(span, start=to(span.start), end=maybe(span.end)) for span in spans)
            for name, spans in history.blind.items()
        },
        services={
            name: replace(
                service,
                lives={key: replace(process, since=maybe(process.since)) for key, process in service.lives.items()},
                batches=tuple(replace(b, start=to(b.start), end=to(b.end)) for b in service.batches),
                deaths=tuple(replace(d, at=to(d.at)) for d in service.deaths),
                taken_up_at=maybe(service.taken_up_at),
                said_at=to(service.said_at),
                by_hand_at=maybe(service.by_hand_at),
                gone_at=maybe(service.gone_at),
                acts=tuple(replace(act, at=to(act.at)) for act in service.acts),
                settled_at=maybe(service.settled_at),
                tallies=tuple(
                    replace(t, start=to(t.start), first=to(t.first), last=to(t.last)) for t in service.tallies
                ),
                runs=service.runs
                and replace(
                    service.runs,
                    since=to(service.runs.since),
                    last=maybe(service.runs.last),
                    up_at=maybe(service.runs.up_at),
                    first=maybe(service.runs.first),
                ),
            )
            for name, service in history.services.items()
        },
        fleet_restart=history.fleet_restart
        and replace(history.fleet_restart, at=to(history.fleet_restart.at), seen_at=to(history.fleet_restart.seen_at)),
        full={
            path: DiskFull(to(full.after), to(full.seen_at), maybe(full.room_at)) for path, full in history.full.items()
        },
        queues={
            name: replace(
                queue,
                since=to(queue.since),
                deep_since=maybe(queue.deep_since),
                third_at=to(queue.third_at),
                still_since=maybe(queue.still_since),
                failures=tuple((to(at), count) for at, count in queue.failures),
            )
            for name, queue in history.queues.items()
        },
        left_out={
            group: tuple((label, maybe(left_at)) for label, left_at in labels)
            for group, labels in history.left_out.items()
        },
    )
