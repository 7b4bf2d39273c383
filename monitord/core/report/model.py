"""The nouns of the report. Unknown is None, never 0. Times are Unix seconds, durations seconds, sizes bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from monitord.core.alerting.incidents import Incident
from monitord.core.copying import replace, slot_by_slot
from monitord.core.humanize import plural
from monitord.core.model import RestartKind
from monitord.core.orders import StandingOrders
from monitord.core.series import Rollup
from monitord.core.thresholds import Threshold

if TYPE_CHECKING:
    from monitord.core.report.criterion import ReportPart

T = TypeVar("T")
Verdict = Literal["GO", "NO-GO", "UNKNOWN"]
# "unconfirmed": not as expected, for too short a time to be confirmed by a second check.
State = Literal["ok", "wrong", "unconfirmed", "restarted", "unknown"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One success criterion, `title` in the orders' words: met or not (None: unknown), and why; `details` by parts."""

    name: str
    title: str
    met: bool | None
    evidence: str
    details: tuple[str, ...] = ()


PreparationState = Literal["done", "not done", "unknown", "not watched", "by hand"]


@dataclass(frozen=True, slots=True)
class PreparationLine:
    """One line of the checklist before the on-chain test, how it stands, and a sentence for each part of it.

    "not watched": no setting has it watched; "by hand": monitord cannot know it.
    """

    name: str
    title: str
    state: PreparationState
    sentences: tuple[str, ...]


@slot_by_slot
@dataclass(frozen=True, slots=True)
class StateStretch:
    """A stretch of one state of a service. `word` is the state in words: "online", "stopped", "frozen"."""

    start: float
    end: float
    state: State
    word: str


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """One service. `memory` is (time, bytes of its largest instance), None where it was not running or seen.

    `unmeasured` is for how long (seconds) it ran and PM2 did not report its memory, `past_limit` for how long it was
    past its limit, and `past_limit_longest` the longest of those spells. `unconfirmed`: it was not as expected at the
    last check, and no other has confirmed that. `event_loop` and `heap` are the same as `memory` of what the app
    reports of itself: how late its event loop is at the 95th percentile (ms), the heap it uses (bytes), and its limit.
    `errors` are the lines a minute that it writes to stderr, likewise. `unproven` are the seconds of which it is not
    known whether it ran.
    """

    name: str
    expected: str | None
    word: str
    ok: bool | None
    stretches: tuple[StateStretch, ...]
    restarts: Mapping[RestartKind, int]
    memory: tuple[tuple[float, float | None], ...]
    memory_peak: float | None
    memory_peak_at: float | None
    memory_limit: int
    unmeasured: float = 0.0
    past_limit: float = 0.0
    past_limit_longest: float = 0.0
    unconfirmed: bool = False
    event_loop: tuple[tuple[float, float | None], ...] = ()
    heap: tuple[tuple[float, float | None], ...] = ()
    heap_limit: float | None = None
    errors: tuple[tuple[float, float | None], ...] = ()
    unproven: float = 0.0


@dataclass(frozen=True, slots=True)
class Hour:
    """Rows that a table gained in one hour (or the part of it in the window); None where that is not known."""

    start: float
    end: float
    rows: float | None

    @property
    def per_hour(self) -> float | None:
        return None if self.rows is None or self.end <= self.start else self.rows / (self.end - self.start) * 3600.0


@dataclass(frozen=True, slots=True)
class TableReport:
    """One watched table over the window, against `limit` rows an hour.

    `most` is the busiest hour's rate; of an hour that the window holds little of, what came in that little.
    `unmeasured` is for how many seconds Postgres answered and the table could not be measured.
    """

    name: str
    hours: tuple[Hour, ...]
    gained: float | None
    per_hour: float | None
    most: float | None
    limit: int
    unmeasured: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check over the window: its number as (time, value), None where there was none, and its limits."""

    name: str
    type: str
    unit: str
    warning: Threshold | None = None
    critical: Threshold | None = None
    values: tuple[tuple[float, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class SealReport:
    """One label of one group. `delay` is from its due time to its (last channel's) seal.

    `state`: "sealed" in the grace; "late" after it; "missed": absent when the next fell due; "open": not sealed,
    and the next is not due yet; "nothing": nobody took part, so there is nothing to seal; "unknown": the epochs could
    not be read since. `unusual`: later than nearly all before. `participating` channels took part, `unsealed` of them
    were not sealed (None: not counted). `incomplete`: those are more than is the group's habit; None: a great part, and
    whether that is its habit is not known yet.
    """

    label: int
    due_at: float
    state: Literal["sealed", "late", "missed", "open", "nothing", "unknown"]
    sealed_at: float | None = None
    delay: float | None = None
    channels: int | None = None
    unusual: bool = False
    participating: int | None = None
    unsealed: int | None = None
    unsealed_channels: tuple[str, ...] = ()
    incomplete: bool | None = False


@dataclass(frozen=True, slots=True)
class Usual:
    """A group's usual sealing delay, by `count` seals in `days`: half in `median`, 99% in `most` (None: too few)."""

    count: int
    days: float
    median: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class GroupReport:
    """One token group. `silent`: cemented channels, for longer than ever; `unseen`: no seal and nobody, ever."""

    group: str
    seals: tuple[SealReport, ...]
    usual: Usual
    grace: float
    silent: tuple[str, ...] = ()
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class SealingReport:
    """Every group as last read at `read_at` (None: never). `in_step`: their newest due labels were the same then."""

    groups: tuple[GroupReport, ...] = ()
    in_step: bool | None = None
    read_at: float | None = None


@dataclass(frozen=True, slots=True)
class OpenWarning:
    """A warning that fires as the window ends: no NO-GO, and no plain GO. `silenced_by`: the silence over it."""

    rule: str
    subject: str
    since: float
    summary: str
    silenced_by: str = ""


@dataclass(frozen=True, slots=True)
class Blind:
    """A spell in which the monitor could not see: its probe failed, it was away, or nothing was recorded of then."""

    probe: str
    start: float
    end: float
    why: Literal["failed", "away", "unrecorded"]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Recap:
    """One tier of the distribution, as counts (None: not in time). `capped`: at least; `leader`: most viewers."""

    group: str
    channels: int | None
    participant_records: int | None
    unique_viewers: int | None
    categories: int | None
    leader: str | None
    leader_viewers: int | None
    capped: bool = False


@dataclass(frozen=True, slots=True)
class RecapBefore:
    """The recap of an earlier window (Unix seconds), called `name`; None, with the `error`: it was not counted."""

    name: str
    since: float
    until: float
    recap: tuple[Recap, ...] | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """The whole hours of a window, called `name`, by the day and in all; in `totals` hours not kept are blind."""

    name: str
    since: float
    until: float
    days: tuple[Rollup, ...]
    totals: tuple[Rollup, ...]

    def of(self, series: str, member: str) -> Rollup | None:
        """What one series came to in all of it, None where nothing is kept of it."""
        return next((row for row in self.totals if (row.series, row.member) == (series, member)), None)


@dataclass(frozen=True, slots=True)
class KeptPast:
    """What the roll-ups hold of the report's window, of those that it is `compared` with, and of the last `go`.

    `begins` is when the first hour that is kept began (Unix seconds, None: nothing is kept), `now` the last whole hour
    (None: it is not known).
    """

    begins: float | None
    window: KeptWindow | None = None
    compared: tuple[KeptWindow, ...] = ()
    go: KeptWindow | None = None
    now: KeptWindow | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report; `results` are its parts, of which `of` gives one back.

    `orders` are what it was judged by. `escalations` are the texts for escalation, by incident id. `baseline` are the
    fields of `check_completed` as last recorded, `baseline_at` when. `recap` is None where the database was not asked
    or did not answer; `recap_error` then says why, if it was. `recap_before` are those of the windows that it is
    compared with. `kept` is what the hourly roll-ups add where they were asked (None: they were not). `preparation` is
    the checklist before the on-chain test, empty where nothing of it is watched.
    """

    since: float
    until: float
    verdict: Verdict
    sentence: str
    blind_minutes: float
    criteria: tuple[Criterion, ...]
    incidents: tuple[Incident, ...]
    blind: tuple[Blind, ...]
    results: Mapping[str, object] = field(default_factory=dict)
    escalations: Mapping[str, str] = field(default_factory=dict)
    orders: StandingOrders = field(default_factory=StandingOrders)
    baseline: Mapping[str, object] | None = None
    baseline_at: float | None = None
    recap: tuple[Recap, ...] | None = None
    recap_error: str = ""
    recap_before: tuple[RecapBefore, ...] = ()
    notes: tuple[str, ...] = field(default=())
    open_warnings: tuple[OpenWarning, ...] = ()
    kept: KeptPast | None = None
    preparation: tuple[PreparationLine, ...] = ()

    def of(self, part: ReportPart[T]) -> T:
        return cast("T", self.results[part.name])

    def having(self, part: ReportPart[T], result: T) -> Report:
        return replace(self, results={**self.results, part.name: result})

    @property
    def headline(self) -> str:
        """The verdict, and whether a GO leaves something open: `GO, with 2 warnings open`."""
        if self.verdict != "GO" or not self.open_warnings:
            return self.verdict
        return f"GO, with {plural(len(self.open_warnings), 'warning')} open"
