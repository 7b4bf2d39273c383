"""Every label that fell due in the window, by group: when it was sealed, and how that compares with what is usual."""

from dataclasses import dataclass
from typing import Final, Literal

from monitord.core.anomalies.completeness import falls_short, habit
from monitord.core.anomalies.sealing_delays import delay_of, is_unusual, usual
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED, SealingHabits
from monitord.core.copying import replace
from monitord.core.history.epochs import Calendar, Empty, Turns, calendar, empty_labels, seals, turns_at, window_seconds
from monitord.core.history.model import History
from monitord.core.model import Reading, Sample
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import FoldedCycle, FoldedWindow
from monitord.core.report.model import GroupReport, SealingReport, SealReport


@dataclass(frozen=True, slots=True)
class _Seal:
    """What was last read of one label of one group; `seen_at` is when it was first seen sealed."""

    seen_at: float
    channels: int | None = None
    sealed_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Counted:
    """Which channels took part in a label and were not sealed."""

    participating: int | None = None
    unsealed: int | None = None
    names: tuple[str, ...] = ()


# How many channels took part in a label, how many of these were not sealed, and which those are.
_COUNTS: Final = ("seal_participating", "seal_unsealed")
_WHO: Final = "unsealed_channel"


class SealTracker:
    """Follows both groups' seals; the labels that fall due between `since` and `until` (Unix seconds) are the report's.

    What is sealed is in the database: a label sealed between two readings is known from the next. A
    label is open until the next is due, and missed from then on: a slow seal makes the same verdict at every minute.
    """

    def __init__(self, orders: StandingOrders, since: float, until: float) -> None:
        self._orders = orders
        self._since, self._until = since, until
        self._days = calendar(orders)
        self._overdue = Calendar(self._days.length, max(self._days.grace, self._days.length))
        self._seals: dict[str, dict[int, _Seal]] = {group: {} for group in orders.groups}
        self._counted: dict[str, dict[int, _Counted]] = {group: {} for group in orders.groups}
        self._empty: dict[str, set[int]] = {group: set() for group in orders.groups}
        # As of when the seals were last followed, the labels that nobody took part in then, and the newest due one.
        self._as_of: tuple[float, Empty, int] | None = None
        # Of each name of the samples those that were last followed.
        self._followed: dict[str, list[Sample]] = {}
        self._looked_for: set[int] = set()
        self._unseen: frozenset[str] = frozenset()
        self._read: tuple[Sample, ...] | None = None
        self._turns: tuple[Turns, int] | None = None
        self._read_at: float | None = None

    def observe(self, cycle: FoldedCycle) -> None:
        observation = cycle.observation
        reading = observation.readings.get("epochs")
        if reading is None or reading.failure is not None:
            return
        self._unseen = frozenset(gap.subject for gap in reading.gaps)
        at, before = observation.now.timestamp(), self._read_at
        self._read_at = at
        expected = self._overdue.expected(at)
        turns = turns_at(at, self._days, window_seconds(self._orders)), expected
        if reading.samples == self._read and turns == self._turns and before is not None and at >= before:
            return  # nothing is new, and nothing has fallen due
        self._read, self._turns = reading.samples, turns
        if before is not None and at < before:
            self._followed = {}
        is_first = False
        for s in self._new(reading, "seal_channels"):
            group, label = s.label("group"), int(s.label("epoch"))
            if group not in self._seals:
                continue
            if label > at:
                self._read = None  # it may be its time at the next
                continue
            if (known := self._seals[group].get(label)) is None:
                known, is_first = _Seal(at), True
            channels = s.value if isinstance(s.value, int) else None
            self._seals[group][label] = replace(known, channels=channels)
        told = self._new(reading, "seal_at")
        for s in reading.named("seal_at") if is_first else told:  # its time may have been told before the seal itself
            group, label = s.label("group"), int(s.label("epoch"))
            if label in self._seals.get(group, {}) and isinstance(s.value, int | float):
                self._seals[group][label] = replace(self._seals[group][label], sealed_at=float(s.value))
        self._participation(reading)
        if self._read is None:
            self._followed = {}
        if before is not None and at < before:  # the clock was set back: what was due by then is not due yet
            self._looked_for = {label for label in self._looked_for if label <= expected}
        if expected not in self._looked_for:
            oldest = -int((window_seconds(self._orders) - at) // self._days.length) * self._days.length
            self._looked_for.update(range(oldest, expected + 1, self._days.length))
        empty = empty_labels(reading)
        oldest_read = at - window_seconds(self._orders)
        for group, labels in self._empty.items():
            # Of each label in the window it is recorded anew; what has left it stays as it was.
            self._empty[group] = {label for label in labels if label < oldest_read}
            self._empty[group].update(empty.get(group, ()))
        self._as_of = at, empty, expected

    def result(self, window: FoldedWindow) -> SealingReport:
        groups = tuple(self._group(group, window.kept) for group in self._orders.groups)  # who knows what is usual
        return SealingReport(groups, self._is_in_step(), self._read_at)

    def _is_in_step(self) -> bool | None:
        """Whether no group is behind another; None where none was read."""
        if self._as_of is None:
            return None
        at, empty, expected = self._as_of
        sealed = {group: tuple((label, None) for label in found) for group, found in self._seals.items()}
        newest = [seals(sealed, group, at, self._orders, empty).latest_due for group in self._orders.groups]
        # Who has sealed a label that is open for the others is not out of step with them.
        return len({None if label is None else min(label, expected) for label in newest}) <= 1

    def _new(self, reading: Reading, name: str) -> list[Sample]:
        """Those of the samples of a name that were not followed with the reading before: nearly always few."""
        before, now = self._followed.get(name, []), list(reading.named(name))
        self._followed[name] = now
        if len(before) != len(now):
            return now
        return [s for s, was in zip(now, before, strict=True) if s is not was]

    def _participation(self, reading: Reading) -> None:
        new = [self._new(reading, name) for name in (*_COUNTS, _WHO)]
        if not any(new):  # what is counted of a label is told by all of them together
            return
        for name in _COUNTS:
            for s in reading.named(name):
                group, label = s.label("group"), int(s.label("epoch"))
                if group in self._counted and isinstance(s.value, int):
                    known = self._counted[group].get(label, _Counted())
                    field = name.removeprefix("seal_")
                    self._counted[group][label] = replace(known, names=(), **{field: s.value})
        for s in reading.named(_WHO):
            group, label = s.label("group"), int(s.label("epoch"))
            if (counted := self._counted.get(group, {}).get(label)) is not None:
                self._counted[group][label] = replace(counted, names=(*counted.names, s.label("channel")))

    def _group(self, group: str, history: History) -> GroupReport:
        length = self._days.length
        learned = history.learned.get(group, NOTHING_LEARNED)
        first = int(-(-(self._since - length) // length)) * length
        seals = [
            self._seal(group, label, learned)
            for label in range(first, int(self._until), length)
            if self._since <= self._days.due_at(label) <= self._until and not self._before_the_first(group, label)
        ]
        silent = tuple(sorted(learned.silence.channels))
        return GroupReport(group, tuple(seals), usual(learned.usual), self._days.grace, silent, group in self._unseen)

    def _before_the_first(self, group: str, label: int) -> bool:
        """Whether the group had not begun to seal by then: what it never did it cannot have missed."""
        return bool(self._seals[group]) and label < min(self._seals[group])

    def _seal(self, group: str, label: int, learned: SealingHabits) -> SealReport:
        due_at = self._days.due_at(label)
        found = self._seals[group].get(label)
        counted = self._counted[group].get(label, _Counted())
        if found is None:
            return SealReport(label, due_at, "nothing" if label in self._empty[group] else self._absent(due_at))
        measured = delay_of(label, found.sealed_at, self._until, self._days.length)
        sealed_at = found.sealed_at if measured is not None else None
        delay = None if sealed_at is None else max(0.0, sealed_at - due_at)
        is_late = (found.seen_at - due_at if delay is None else delay) > self._days.grace
        if is_late and delay is None:
            delay = found.seen_at - due_at  # it came no later than that, and nothing shows that it came earlier
        return SealReport(
            label=label,
            due_at=due_at,
            state="late" if is_late else "sealed",
            sealed_at=sealed_at,
            delay=delay,
            channels=found.channels,
            unusual=measured is not None and is_unusual(measured, usual(learned.usual, label), self._days.length),
            participating=counted.participating,
            unsealed=counted.unsealed,
            unsealed_channels=counted.names,
            incomplete=falls_short(habit(learned.completeness), counted.participating, counted.unsealed),
        )

    def _absent(self, due_at: float) -> Literal["missed", "open", "unknown"]:
        if due_at - self._days.length in self._looked_for:
            return "missed"
        if self._read_at is not None and self._read_at >= due_at + self._overdue.grace:
            return "unknown"  # there was no reading for so long that it had left the window of seals
        # Before the next is due, as far as it was read: open, unless there was no reading for a while.
        is_fresh = self._read_at is not None and self._until - self._read_at <= self._orders.late_after.total_seconds()
        return "open" if is_fresh else "unknown"
