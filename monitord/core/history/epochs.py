"""The epoch calendar: which labels are due, which are missing, and how old a group's newest seal is.

A label is the start of its epoch, `floor(t / length) * length`; a label E covers [E, E + length) and is
due at E + length.
A healthy newest label is therefore one to two lengths old, so what is judged is the seal age, never the label's age.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from monitord.core.copying import slot_by_slot, with_these
from monitord.core.latest import latest, latest_equal
from monitord.core.model import Reading, Sample
from monitord.core.orders import StandingOrders

# Group -> (label, channels sealed) pairs.
Sealed = Mapping[str, tuple[tuple[int, int | None], ...]]
# Group -> labels that nobody took part in, as far as that is known: there is nothing to seal.
Empty = Mapping[str, tuple[int, ...]]


_MOST_ANSWERS: Final = 64


@dataclass(frozen=True, slots=True)
class Calendar:
    """Labels for one epoch length and grace, both in seconds."""

    length: int
    grace: float

    def current(self, now: float) -> int:
        return int(now // self.length) * self.length

    def expected(self, now: float) -> int:
        """The newest label with label + length + grace <= now: the newest that ought to be sealed whole."""
        return int((now - self.grace) // self.length) * self.length - self.length

    def due_at(self, label: int) -> int:
        """When the epoch of `label` ends and its seal falls due (Unix seconds)."""
        return label + self.length


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Seals:
    """What one group's seals in the window amount to. Labels are Unix seconds; None where nothing is sealed.

    A label that nobody took part in counts as done. `latest_due` is the newest due label up to which that is so after
    a seal, `waiting` the oldest label due and not done after the newest seal, and `judged_seconds` how long that has
    been so: where nothing was passed over, the seal age. None: nothing is done in the window.
    """

    group: str
    expected: int
    latest: int | None
    latest_due: int | None
    missed: tuple[int, ...]
    channels_sealed: int | None
    age_seconds: float | None
    judged_seconds: float | None = None
    waiting: int | None = None
    passed_over: int = 0

    @property
    def gaps(self) -> tuple[int, ...]:
        if not self.missed:  # nearly always
            return ()
        return tuple(label for label in self.missed if self.latest is not None and label < self.latest)


_aged: Final = with_these(Seals, "age_seconds", "judged_seconds")


def calendar(orders: StandingOrders) -> Calendar:
    return _calendar(orders.epoch_length, orders.epoch_grace)


@lru_cache(maxsize=16)  # the rules about epochs ask for the same a dozen times in one cycle
def _calendar(length: timedelta, grace: timedelta) -> Calendar:
    return Calendar(int(length.total_seconds()), grace.total_seconds())


def window_seconds(orders: StandingOrders) -> float:
    """How far back seals are read: the larger of 24 labels and the critical age plus two labels."""
    return _window_seconds(orders.epoch_length, orders.seal_critical)


@lru_cache(maxsize=16)
def _window_seconds(length: timedelta, critical: timedelta) -> float:
    return max(24 * length.total_seconds(), critical.total_seconds() + 2 * length.total_seconds())


def sealed_labels(reading: Reading) -> Sealed:
    """Every group's labels in the window and how many channels each sealed, from a reading of the epochs probe."""
    return _sealed(list(reading.named("seal_channels")))


@latest_equal  # for an epoch each reading is the same
def _sealed(samples: Sequence[Sample]) -> Sealed:
    groups: defaultdict[str, list[tuple[int, int | None]]] = defaultdict(list)
    for s in samples:
        (_, epoch), (_, group) = s.labels  # labels are sorted by name
        groups[group].append((int(epoch), s.value if isinstance(s.value, int) else None))
    return {group: tuple(labels) for group, labels in groups.items()}


def empty_labels(reading: Reading) -> Empty:
    """Every group's labels that nobody took part in, by a reading of the epochs probe; of others that is not known."""
    return _empty(list(reading.named("nothing_to_seal")))


@latest_equal
def _empty(samples: Sequence[Sample]) -> Empty:
    groups: dict[str, list[int]] = {}
    for s in samples:
        groups.setdefault(s.label("group"), []).append(int(s.label("epoch")))
    return {group: tuple(sorted(labels)) for group, labels in groups.items()}


def seals(sealed: Sealed, group: str, now: float, orders: StandingOrders, empty: Empty | None = None) -> Seals:
    """What has been sealed of `group` as of `now` (Unix seconds). Labels of the future are nobody's."""
    answers = _answers(sealed, empty)
    by = now, orders.epoch_length, orders.epoch_grace, orders.seal_critical
    if answers.by != by:
        answers.by, answers.found = by, {}
        answers.turns = turns_at(now, calendar(orders), window_seconds(orders))
    found = answers.found.get(group)
    if found is None:
        found = answers.found[group] = answers.seals(group, now)
    return found


@latest  # four rules and the report ask for the same in one cycle, and in the next
def _answers(sealed: Sealed, empty: Empty | None) -> _Answers:
    return _Answers(sealed, empty or {})


def passing_over(label: int, empty: Collection[int], last: int, length: int) -> int:
    """The newest label, `last` at most, that is done when `label` is: those after it that nobody took part in are."""
    while label < last and label + length in empty:
        label += length
    return label


class Turns(NamedTuple):
    """What of a moment the seals depend on but for their age; `before` is the last label before the window."""

    length: int
    expected: int
    current: int
    before: int


def turns_at(now: float, days: Calendar, window: float) -> Turns:
    """What holds of the seals for as long as it is equal, where no label is of the future."""
    length = days.length
    return Turns(length, days.expected(now), days.current(now), -int((window - now) // length) * length - length)


@slot_by_slot
@dataclass(frozen=True, slots=True)
class _Known:
    """One group's seals without their ages, begun at `latest_at` and `done_at`; `newest` may be a future label."""

    seals: Seals
    latest_at: int | None
    done_at: int | None
    newest: float

    def at(self, now: float) -> Seals:
        age = None if self.latest_at is None else max(0.0, now - self.latest_at)
        return _aged(self.seals, age, None if self.done_at is None else max(0.0, now - self.done_at))


class _Answers:
    def __init__(self, sealed: Sealed, empty: Empty) -> None:
        self.by: tuple[object, ...] = ()
        self.turns = Turns(0, 0, 0, 0)
        self.found: dict[str, Seals] = {}
        self._sealed, self._empty = sealed, empty
        self._known: dict[tuple[str, Turns], _Known] = {}

    def seals(self, group: str, now: float) -> Seals:
        place = group, self.turns
        known = self._known.get(place)
        if known is None or known.newest > now:
            known = _known(self._sealed.get(group, ()), self._empty.get(group, ()), group, now, self.turns)
            if known.newest <= now:  # labels of the future are other ones a moment later
                if len(self._known) >= _MOST_ANSWERS:  # nothing new is read for long
                    self._known.clear()
                self._known[place] = known
        return known.at(now)


def _known(
    labels: tuple[tuple[int, int | None], ...], nobodys: tuple[int, ...], group: str, now: float, turns: Turns
) -> _Known:
    length, expected, due_last = turns.length, turns.expected, turns.current - turns.length
    newest_label = max([label for label, _ in labels], default=-math.inf)
    channels = dict(labels) if newest_label <= now else {label: count for label, count in labels if label <= now}
    empty = frozenset(nobodys) - channels.keys() if nobodys else frozenset[int]()
    # Where nothing is sealed, what went before the window counts as done if its first labels are nobody's.
    before = turns.before
    latest = max(channels, default=None)
    begin = before if latest is None else latest
    done = begin if begin > due_last else passing_over(begin, empty, due_last, length)
    passed_over = max(0, (done - begin) // length)
    is_known = latest is not None or passed_over > 0
    last_due = max([label for label in channels if label <= expected], default=before if not channels else None)
    newest = None if last_due is None else passing_over(last_due, empty, expected, length)
    found = Seals(
        group=group,
        expected=expected,
        latest=latest,
        latest_due=newest if channels or newest != before else None,
        missed=tuple(
            [
                label
                for label in range(min(channels, default=expected) + length, expected + 1, length)
                if label not in channels and label not in empty
            ]
        ),
        channels_sealed=None if latest is None else channels[latest],
        age_seconds=None,
        waiting=done + length if is_known and done < due_last else None,
        passed_over=passed_over,
    )
    return _Known(
        found,
        None if latest is None else latest + length,
        done + length if is_known else None,
        newest_label,
    )
