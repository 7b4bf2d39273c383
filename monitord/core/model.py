"""The nouns: what a probe says, what a rule answers, what an alert is. All frozen, none with behaviour of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from monitord.core.copying import slot_by_slot
from monitord.core.moments import Moment

Kind = Literal["refused", "timeout", "auth", "tls", "dns", "protocol", "permission", "missing", "internal"]
Severity = Literal["warning", "critical"]
Status = Literal["ok", "warning", "unknown", "critical"]
# From best to worst: what could not be measured is worse than a warning. "info" is of messages only.
RANK: Final[dict[Severity | Status | Literal["info"], int]] = {
    "info": 0,
    "ok": 0,
    "warning": 1,
    "unknown": 2,
    "critical": 3,
}
Value = float | int | str | None
Evidence = Mapping[str, object]
# Why a process was begun anew. "memory" and "watch" are PM2's own rules: max_memory_restart, and files that changed.
# "unknown": it may have been one of several, and PM2's bus, which alone distinguishes them, was not connected.
RestartKind = Literal[
    "automatic", "operator", "schedule", "memory", "watch", "deployment", "reboot", "resurrected", "unknown"
]
# What PM2 does by itself. Only these make a loop.
AUTOMATIC: frozenset[RestartKind] = frozenset({"automatic", "memory", "watch"})


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Sample:
    """One measured number or word.

    `labels` identify (sorted pairs); `value` is None where the server answered but could not say; `unit` is one of
    "" (a word), "1" (a count), "bytes", "seconds", "timestamp" (Unix seconds), "percent", "ms".
    """

    name: str
    labels: tuple[tuple[str, str], ...]
    value: Value
    unit: str

    def label(self, name: str) -> str:
        """The value of one label. KeyError where there is none of that name."""
        for key, value in self.labels:
            if key == name:
                return value
        raise KeyError(name)


def sample(name: str, value: Value, unit: str = "1", **labels: str) -> Sample:
    return Sample(name, tuple(sorted(labels.items())), value, unit)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a whole probe could not measure, in a sentence free of secrets. `full`: it accepts no further client."""

    kind: Kind
    error: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """One subject that could not be measured though its server answered. `alone`: it is reported by itself."""

    subject: str
    kind: Kind
    error: str
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """Which process of a server answered: what differs in the one after a restart, and since when it runs."""

    identity: str
    began_at: float | None = None


class _ByName:
    """Where a reading keeps its samples by their name once it was asked: it is, for dozens of names in a cycle."""

    __slots__ = ("_by_name",)
    _by_name: dict[str, list[Sample]]


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Reading(_ByName):
    """One probe's turn: samples or the failure in their place, how long it took, and `by` whom, if known."""

    probe: str
    samples: tuple[Sample, ...] = ()
    failure: Failure | None = None
    gaps: tuple[Unmeasured, ...] = ()
    duration_ms: float = 0.0
    by: Answered | None = None

    def named(self, name: str) -> Iterator[Sample]:
        return iter(self._of(name))

    def sort_as(self, other: Reading) -> None:
        """Take over how another reading of the very same samples has sorted them by their names, if it has."""
        known = getattr(other, "_by_name", None)
        if known is not None:
            object.__setattr__(self, "_by_name", known)

    def _of(self, name: str) -> list[Sample]:
        try:
            return self._by_name.get(name) or []
        except AttributeError:
            by_name: dict[str, list[Sample]] = {}
            for s in self.samples:
                if (found := by_name.get(s.name)) is None:
                    by_name[s.name] = [s]
                else:
                    found.append(s)
            object.__setattr__(self, "_by_name", by_name)
            return by_name.get(name) or []

    def values(self, name: str, label: str) -> dict[str, Value]:
        """Label value -> sample value, for samples of one name that differ in one label."""
        found = self._of(name)
        return {s.label(label): s.value for s in found} if found else {}

    def numbers(self, name: str, label: str) -> dict[str, float | None]:
        return {of: v if isinstance(v, int | float) else None for of, v in self.values(name, label).items()}

    def word(self, name: str, **labels: str) -> str | None:
        wanted = tuple(sorted(labels.items())) if len(labels) > 1 else tuple(labels.items())
        for s in self._of(name):
            if s.labels == wanted:
                return s.value if isinstance(s.value, str) else None
        return None

    def number(self, name: str, **labels: str) -> float | None:
        try:
            found = self._by_name.get(name)
        except AttributeError:  # nobody has asked it yet
            found = self._of(name)
        if not found:
            return None
        if labels:
            wanted = tuple(sorted(labels.items())) if len(labels) > 1 else tuple(labels.items())
            for s in found:
                if s.labels == wanted:
                    return s.value if isinstance(s.value, (int, float)) else None
            return None
        for s in found:
            if not s.labels:
                return s.value if isinstance(s.value, (int, float)) else None
        return None


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """The end of one process as PM2's bus reported it, at `at` (Unix seconds).

    `code` is its exit code (None: not known), `signal` the name of the signal that ended it ("": none, or not told),
    `manually` that an operator had it ended, `memory` that PM2 ended it for using too much, `watch` that PM2 ended it
    as a file it watches changed, `restarts` PM2's counter as the bus gave it, `began` when the life that ended had
    begun (Unix seconds, None: not known). `said` is how many ends of its service have been logged as they came and are
    not yet counted by an exit before it.
    """

    service: str
    instance: str
    at: float
    code: int | None = None
    signal: str = ""
    manually: bool = False
    memory: bool = False
    restarts: int | None = None
    began: float | None = None
    said: int = 0
    watch: bool = False


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """What PM2's bus reported, at `at` (Unix seconds), of a process that is stopped or restarted, by hand or by a rule.

    `what`: PM2 begins to end it (`stopping`), it has `ended`; or what an operator asked for is done: `restart`,
    `reload`, `stop`. `restarts` and `created_at` are PM2's as the bus gave them. `said`: it has been logged as it came.
    """

    service: str
    instance: str
    at: Moment
    what: Literal["stopping", "ended", "restart", "reload", "stop"]
    restarts: int | None = None
    created_at: float | None = None
    said: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Quiet on purpose, from `since` on: what it covers is watched, judged and recorded as ever, and pages nobody.

    `subject` is a shell pattern ("*": the whole host), `rule` one rule ("": any). It lasts until `until`; or, where
    `every` is a cron schedule (UTC), for `lasts` seconds from each of its times on: a maintenance window.
    `exact`: a subject was called exactly `subject` when it was made, or has been since: it covers that one only.
    """

    id: str
    subject: str
    since: datetime
    until: datetime | None
    rule: str = ""
    reason: str = ""
    every: str = ""
    lasts: float = 0.0
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator asks: the `target` to end, acknowledge or forget, or a new `silence`."""

    kind: Literal["silence", "unsilence", "ack", "forget"]
    at: datetime
    target: str = ""
    silence: Silence | None = None


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Observation:
    """The readings of one cycle, whichever were taken, and the one `now` of that cycle (aware, UTC).

    `exits` and `acts` are what PM2's bus reported since the last observation; without a connection it reports nothing.
    `commands` are what operators have asked of monitord since. `lived` is how many seconds had passed since the boot
    `boot` at `now`, however the wall clock was set meanwhile (None: not known).
    """

    now: datetime
    readings: Mapping[str, Reading]
    exits: tuple[ProcessExit, ...] = ()
    commands: tuple[Command, ...] = ()
    acts: tuple[OperatorAction, ...] = ()
    lived: float | None = None
    boot: str = ""


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's answer: something is wrong with this subject.

    `needs_exact` names what must be counted exactly before this finding may fire (a cheap counter is only a sign).
    `by_hand`: an operator did it, which is not flapping however often. `began` is when it began (Unix seconds), where
    that is known; None: when it was first found. `remind_every` is the least time between two reminders (seconds).
    `runbook` (an address, or a sentence) and `contact` are what the operator has configured to go with it.
    """

    rule: str
    subject: str
    severity: Severity
    value: Value
    limit: Value
    unit: str
    summary: str
    evidence: Evidence = field(default_factory=dict)
    recommendation: str = ""
    needs_exact: tuple[str, ...] = ()
    by_hand: bool = False
    began: float | None = None
    remind_every: float = 0.0
    runbook: str = ""
    contact: str = ""


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Clear:
    """A rule's answer: this subject was measured and is as expected."""

    rule: str
    subject: str


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Unknown:
    """A rule's answer: this subject could not be measured; neither wrong nor right."""

    rule: str
    subject: str
    reason: str


@slot_by_slot
@dataclass(frozen=True, slots=True)
class NotTaken:
    """A rule's answer: this subject was not measured again by this reading, which changes nothing of it."""

    rule: str
    subject: str


Judgement = Finding | Clear | Unknown | NotTaken


@dataclass(frozen=True, slots=True)
class Alert:
    """The life of (rule, subject): pending until confirmed, then firing until a confirmed clear.

    A confirmed alert that another one explains, or that a silence covers, is suppressed instead of firing: it lives on
    unsaid, and fires when it outlives its cause, or the silence. `incident` is the id of the root alert that explained
    it ("": it is its own root).

    `toward` is the edge that readings now agree on ("" when they agree with the state as it is), `count` how many
    have agreed, `counted_at` when the last of them was counted. `probe` is whose readings those are. `was_critical`
    means that it has been reported as critical before, `eased_at` when it last became less than that (None: it did
    not), `worst` is what was found when it was worst.

    `flaps` counts how often a flapping alert has come back (0: it does not flap); it resolves once it has been calm,
    from `calm_since` on, for `calm_for` seconds. `back_at` is when it last came back.

    `acked_at` is when an operator acknowledged it, `said_at` when it was last notified as firing.

    `silenced_by` is the silence that keeps it suppressed though it would fire; `fired_at` is None while it was never
    notified. `confirmed_at` is when it fired, or would have but for a silence. `seen_at` is when it was first found,
    where it is known to have begun before (`since`). `found_at` is when it was last found, if nothing else was since,
    and `lasted` for how many seconds it has been found again and again: time without readings is not in it.
    """

    id: str
    rule: str
    subject: str
    probe: str
    state: Literal["pending", "firing", "suppressed"]
    severity: Severity
    since: datetime
    finding: Finding
    toward: Literal["", "fire", "resolve", "step"] = "fire"
    count: int = 0
    counted_at: datetime | None = None
    fired_at: datetime | None = None
    was_critical: bool = False
    worst: Finding | None = None
    incident: str = ""
    flaps: int = 0
    flapping_since: datetime | None = None
    back_at: datetime | None = None
    calm_since: datetime | None = None
    calm_for: float = 0.0
    acked_at: datetime | None = None
    said_at: datetime | None = None
    silenced_by: str = ""
    confirmed_at: datetime | None = None
    seen_at: datetime | None = None
    found_at: datetime | None = None
    lasted: float = 0.0
    eased_at: datetime | None = None

    @property
    def first_seen(self) -> datetime:
        """When a reading first showed it: at its beginning, or some time later."""
        return self.seen_at or self.since

    @property
    def incident_id(self) -> str:
        return self.incident or self.id

    @property
    def is_confirmed(self) -> bool:
        """Whether it is confirmed: it fires, or would if nothing explained it."""
        return self.state != "pending"


@dataclass(frozen=True, slots=True)
class Aftermath:
    """A cause that ended at `at` and explains until `until`: what it kept back needs its time to come."""

    cause: Alert
    at: datetime
    until: datetime


Edge = Literal["pending", "firing", "resolved", "suppressed"]


@dataclass(frozen=True, slots=True)
class Transition:
    """An edge of an Alert and why it was crossed: what is saved, logged and delivered.

    `suppressed_by` is the id of the alert that explains it, or of the silence that covers it. `now`: of an alert that a
    reading ended, what is true since, as a sentence.
    """

    edge: Edge
    alert: Alert
    at: datetime
    reason: str = ""
    suppressed_by: str = ""
    now: str = ""


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """Something that happened to a service between two readings of PM2, and by whom.

    `restarts` is for how many, of which `kind`, it stands. `said`: it was logged when PM2's bus reported it. `at`: by
    the bus or PM2's list (Unix seconds, None: only known to lie between the readings).
    """

    service: str
    change: Literal["crashed", "restarted", "stopped", "started", "deleted", "appeared"]
    by: str  # "pm2", "operator", "unknown", or the name of another manager of processes
    detail: str
    restarts: int = 0
    kind: RestartKind | None = None
    said: bool = False
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """A recommendation for a person. `blocking`: what is held up ("": not known); `escalation`: what to pass on."""

    action: Literal["restart_service", "free_disk", "investigate"]
    target: str
    reason: str
    confirmations: int
    blocking: str
    alert_id: str
    rule: str
    incident_id: str
    look_at: tuple[str, ...] = ()
    escalation: str = ""


@dataclass(frozen=True, slots=True)
class Recheck:
    """A probe to take again `after` seconds (None: next cycle), counting `exact`, for its members `awaited`."""

    probe: str
    after: float | None
    exact: frozenset[str] = frozenset()
    awaited: frozenset[str] = frozenset()
