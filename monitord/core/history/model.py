"""What is remembered between cycles; nothing here judges. Times are Unix seconds of the cycles that saw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from monitord.core.anomalies.quiet_hours import QuietHours
from monitord.core.anomalies.sealing_habits import SealingHabits
from monitord.core.anomalies.trends import TrendSeries
from monitord.core.copying import replace, slot_by_slot
from monitord.core.history.arrivals import Counters
from monitord.core.history.checkins import Job
from monitord.core.history.epochs import Empty, Sealed
from monitord.core.history.error_lines import ErrorHistory
from monitord.core.history.mounts import Mount
from monitord.core.history.process_model import FleetRestart, ServiceHistory
from monitord.core.identity import Identity
from monitord.core.model import Reading
from monitord.core.moments import Moment
from monitord.core.orders import Expected


@dataclass(frozen=True, slots=True)
class BlindSpan:
    """A spell in which a probe saw nothing; `end` is None while it lasts.

    `failed`: the probe ran and failed. `away`: it did not run (monitord was down, or the clock jumped).
    `answered`: the server was there, and refused monitord (its password, its rights), or monitord itself failed.
    """

    start: Moment
    end: Moment | None
    why: Literal["failed", "away"]
    answered: bool = False


@slot_by_slot
@dataclass(frozen=True, slots=True)
class TableHistory:
    """A watched table's counters and what they add up to.

    `gained` adds up committed rows over resets of the counters; `points` are (time, gained).
    `flow_at` is when rows last came in by the counters, `verified_at` when that was last proven; `refuted` says that
    the exact counts stood still while the counters of inserts moved and nothing proved a commit, `undone` that the
    counters prove themselves that the last inserts were rolled back.

    `counters` are those of the last reading (None: some are missing), `share` is the part of the inserts that
    was committed when that was last known. Of what was gained since the last exact count, `doubt` rows may have
    been rolled back after all, of what was gained before it `doubt_before`, until the growth window has passed
    `doubt_until`. `late` rows of the growth window before the last exact count carry labels from before `late_before`
    (None: not known).

    `seen`: the server says that its counters see every insert (track_counts, no foreign partitions). `missed`: two
    exact counts found rows that the counters did not see. `proven_at` is when a source that can be trusted last showed
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
    points: tuple[tuple[Moment, float], ...] = ()
    flow_at: Moment = 0.0
    verified_at: Moment = 0.0
    refuted: bool = False
    exact_at: Moment | None = None
    exact: Mapping[str, int] = field(default_factory=dict)
    compared_at: Moment | None = None
    countable: bool = True
    indexed: bool = True
    seen: bool = True
    missed: bool = False
    proven_at: Moment | None = None
    at_least: float | None = None
    gained_then: float = 0.0
    told: float = 0.0
    rebased: bool = False
    owed: float = 0.0
    owed_at: Moment = 0.0
    deleted: float | None = None
    deleted_then: float | None = None
    heap: float | None = None
    written: float | None = None
    unexplained: bool = False
    counters: Counters | None = None
    share: float = 1.0
    doubt: float = 0.0
    doubt_before: float = 0.0
    doubt_until: Moment = 0.0
    undone: bool = False
    late: float | None = None
    late_before: int = 0
    doubling: bool = False
    peaks: tuple[tuple[Moment, float], ...] = ()
    # Of what hours it is usual that no row comes for a while.
    quiet: QuietHours = field(default_factory=QuietHours)

    @property
    def last_row_at(self) -> float:
        return self.verified_at if self.refuted else self.flow_at

    @property
    def trusted(self) -> bool:
        """Whether the counters alone show how many rows come."""
        return self.inserted is not None and self.seen and not self.missed

    @property
    def rolled_back(self) -> bool:
        """Whether inserts are tried and none of them is committed."""
        return self.refuted or self.undone

    @property
    def known(self) -> bool:
        """Whether any source that can be trusted shows how many rows come."""
        if self.unexplained and not self.indexed:
            return False
        return self.proven_at is not None or (self.trusted and not self.indexed)


@slot_by_slot
@dataclass(frozen=True, slots=True)
class QueueHistory:
    """A queue's present rise without a fall: since when, from what depth, to what depth.

    `deep_since`: deep without a fall (None: it is not). `thirds`: lowest and highest readings of thirds of a stall,
    oldest first, the last open since `third_at`. `still_since`: jobs, none of them started or finished (None: some
    were). `failures`: (time, how many more failed), `failures_total`: by what its workers count.
    """

    since: Moment
    first: float
    last: float
    deep_since: Moment | None = None
    third_at: Moment = 0.0
    thirds: tuple[tuple[float, float], ...] = ()
    still_since: Moment | None = None
    failures: tuple[tuple[Moment, float], ...] = ()
    failures_total: float | None = None


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Measure:
    """One number: since when it is followed, or past its limit; what it was last, and (time, by how much it moved)."""

    since: Moment
    last: float | None = None
    points: tuple[tuple[Moment, float], ...] = ()


@dataclass(frozen=True, slots=True)
class DiskFull:
    """A disk that takes no more: not so `after`, found `seen_at`; `room_at`: free again, kept until rows come, too."""

    after: Moment
    seen_at: Moment
    room_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """The processes of another manager than PM2; `used` seconds of CPU time each, by "<service>/<instance>"."""

    services: Mapping[str, ServiceHistory] = field(default_factory=dict)
    roster: Mapping[str, Expected] = field(default_factory=dict)
    fleet_restart: FleetRestart | None = None
    daemon: str = ""
    trends: Mapping[str, TrendSeries] = field(default_factory=dict)
    measures: Mapping[str, Measure] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangedRoots:
    """The roots of a label that are not those remembered. Both are a count and a hash over them (`9:00ff…`)."""

    label: int
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class PipelineHistory:
    """What is kept of the pipeline between cycles; channels are `GROUP/channel`, times labels of the database.

    `tables` are those that were there, `roots` by group what each label's roots came to when it was first whole,
    `changed` what they came to since. `roster` are the channels of groups whose channels are set, `shared` those of
    them that are in another group, too, `strangers` groups that nobody watches; each as it was first found, or as an
    operator has acknowledged it. `treed` are the groups that have had trees. `mismatched` are seals (`label/channel`)
    that were recomputed to another root, until they are not or leave the window. `names`: names were found beside
    hashes. `newest` is by group the newest whole label of which it was read who took part, `missed` are labels before
    it that fell due while nobody read, as long as they are in the window and not read since.
    """

    tables: tuple[str, ...] = ()
    roots: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    changed: Mapping[str, tuple[ChangedRoots, ...]] = field(default_factory=dict)
    roster: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    strangers: tuple[str, ...] | None = None
    treed: tuple[str, ...] = ()
    mismatched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: bool = False
    newest: Mapping[str, int] = field(default_factory=dict)
    missed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


NOTHING_KEPT = PipelineHistory()


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock was set by `seconds` (below 0: back) at `at`; it has been reported in `cycles` whole cycles."""

    seconds: float
    at: float
    cycles: int = 0


@slot_by_slot
@dataclass(frozen=True, slots=True)
class History:
    """All that is kept between cycles besides the alerts.

    `readings` are the last of each probe, good or failed; `taken_at` is when the last good one was taken. `set_back`
    counts how often the wall clock was set back. `seen` is when each default subject was first there (None: asked for,
    and not there).

    `lived` is the seconds since the boot `boot` as of `at` (None: not known), `moved` by how much all that is kept was
    moved with steps of the wall clock, `step` the last step as long as it is reported. `ahead` is by how many seconds
    the database's clock was ahead of the wall clock (None: never known). `off` is by how much the clock that seals are
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
    taken_at: Mapping[str, Moment] = field(default_factory=dict)
    blind: Mapping[str, tuple[BlindSpan, ...]] = field(default_factory=dict)
    services: Mapping[str, ServiceHistory] = field(default_factory=dict)
    roster: Mapping[str, Expected] = field(default_factory=dict)
    fleet_restart: FleetRestart | None = None
    errors: ErrorHistory = field(default_factory=ErrorHistory)
    # Which PM2 daemon answered last, "" where that is not known.
    daemon: str = ""
    tables: Mapping[str, TableHistory] = field(default_factory=dict)
    queues: Mapping[str, QueueHistory] = field(default_factory=dict)
    # Single numbers by what they are of: core/history/measures.py.
    measures: Mapping[str, Measure] = field(default_factory=dict)
    # The watched disks that are full, or have no inode left, by path.
    full: Mapping[str, DiskFull] = field(default_factory=dict)
    # Why each server refused the fleet's next write or connection when that was last known.
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # The servers that were seen to be primaries.
    primaries: frozenset[str] = frozenset()
    # "memory/<service>/<pm_id>" and "disk/<path>".
    trends: Mapping[str, TrendSeries] = field(default_factory=dict)
    sealed: Sealed = field(default_factory=dict)
    # The labels that nobody took part in, by group.
    empty: Empty = field(default_factory=dict)
    # Group -> the labels that it left out though it sealed later ones, and when each left the window unsealed.
    left_out: Mapping[str, tuple[tuple[int, Moment | None], ...]] = field(default_factory=dict)
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
    # The jobs that report by themselves, by the names of their checks.
    jobs: Mapping[str, Job] = field(default_factory=dict)
    pipeline: PipelineHistory = NOTHING_KEPT
    # What subjects that are no part of monitord keep, as JSON: a subject's own in `update`, by its name.
    by_subject: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # The processes of other managers than PM2, by the subject's name.
    fleets: Mapping[str, Fleet] = field(default_factory=dict)
    # What of judgement failed inside when a subject was last judged, a sentence by its name: it is unknown meanwhile.
    broken: Mapping[str, str] = field(default_factory=dict)

    def reading(self, probe: str) -> Reading | None:
        """The last good reading of a probe; None where the last one failed, or there was none."""
        last = self.readings.get(probe)
        return last if last is not None and last.failure is None else None

    def kept(self, subject: str) -> Mapping[str, Any]:
        return self.by_subject.get(subject, {})

    def keeping(self, subject: str, what: Mapping[str, Any]) -> History:
        return replace(self, by_subject={**self.by_subject, subject: what})

    def blind_seconds(self, probe: str, start: float, end: float) -> float:
        spans = self.blind.get(probe)
        return _seconds(_after(spans, start), start, end) if spans else 0  # nearly always

    def failed_seconds(self, probe: str, now: float) -> float:
        """For how long the probe has failed since it last measured."""
        since = self.taken_at.get(probe, 0.0)
        return _seconds([s for s in _after(self.blind.get(probe, ()), since) if s.why == "failed"], since, now)

    def absent_seconds(self, server: str, start: float, end: float) -> float:
        """How much of [start, end] the server was away: what was not seen, or was refused, is no absence."""
        spans = self.blind.get(server)
        if not spans:  # nearly always
            return 0
        return _seconds([s for s in _after(spans, start) if s.why == "failed" and not s.answered], start, end)

    def watched_seconds(self, probe: str, start: float, end: float) -> float:
        return max(0.0, end - start - self.blind_seconds(probe, start, end))


def _after(spans: tuple[BlindSpan, ...], moment: float) -> tuple[BlindSpan, ...]:
    """Those that were not over by then: of many, which are in order of time, few are asked about."""
    first = len(spans)
    while first and ((end := spans[first - 1].end) is None or end > moment):
        first -= 1
    return spans[first:]


def _seconds(spans: Iterable[BlindSpan], start: float, end: float) -> float:
    return sum([max(0.0, min(end, end if s.end is None else s.end) - max(start, s.start)) for s in spans], 0.0)
