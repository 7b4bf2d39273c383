"""The epoch calendar: which labels are due, which are missing, and how old a group's newest seal is.

A label is the start of its epoch, `floor(t / length) * length`; a label E covers [E, E + length) and is
due at E + length.
A healthy newest label is therefore one to two lengths old, so what is judged is the seal age, never the label's age.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from monitord.core.model import Reading
from monitord.core.orders import StandingOrders

# Group -> (label, channels sealed) pairs.
Sealed = Mapping[str, tuple[tuple[int, int | None], ...]]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Labels for one epoch length and grace, both in seconds."""

    length: int
    grace: float

    def current(self, now: float) -> int:
        """The label of the epoch that `now` lies in."""
        return int(now // self.length) * self.length

    def expected(self, now: float) -> int:
        """The newest label with label + length + grace <= now: the newest that ought to be sealed whole."""
        return int((now - self.grace) // self.length) * self.length - self.length

    def due_at(self, label: int) -> int:
        """When the epoch of `label` ends and its seal falls due (Unix seconds)."""
        return label + self.length


@dataclass(frozen=True, slots=True)
class Seals:
    """What one group's seals in the window amount to. Labels are Unix seconds; None where nothing is sealed."""

    group: str
    expected: int
    latest: int | None
    latest_due: int | None
    missed: tuple[int, ...]
    channels_sealed: int | None
    age_seconds: float | None

    @property
    def gaps(self) -> tuple[int, ...]:
        """The missed labels that a later seal has overtaken."""
        return tuple(label for label in self.missed if self.latest is not None and label < self.latest)


def calendar(orders: StandingOrders) -> Calendar:
    """The calendar of these orders."""
    return Calendar(int(orders.epoch_length.total_seconds()), orders.epoch_grace.total_seconds())


def window_seconds(orders: StandingOrders) -> float:
    """How far back seals are looked at: the larger of 24 labels and the critical age plus two labels."""
    length = orders.epoch_length.total_seconds()
    return max(24 * length, orders.seal_critical.total_seconds() + 2 * length)


def sealed_labels(reading: Reading) -> Sealed:
    """Every group's labels in the window and how many channels each sealed, from a reading of the epochs probe."""
    groups: dict[str, list[tuple[int, int | None]]] = {}
    for s in reading.samples:
        if s.name == "seal_channels":
            (_, epoch), (_, group) = s.labels  # labels are sorted by name
            groups.setdefault(group, []).append((int(epoch), s.value if isinstance(s.value, int) else None))
    return {group: tuple(labels) for group, labels in groups.items()}


def seals(sealed: Sealed, group: str, now: float, orders: StandingOrders) -> Seals:
    """What has been sealed of `group` as of `now` (Unix seconds). Labels of the future are nobody's."""
    return _seals(sealed.get(group, ()), group, now, calendar(orders))


@lru_cache(maxsize=16)  # four rules and the report ask for the same in one cycle
def _seals(labels: tuple[tuple[int, int | None], ...], group: str, now: float, days: Calendar) -> Seals:
    expected = days.expected(now)
    channels = {label: count for label, count in labels if label <= now}
    if not channels:
        return Seals(group, expected, None, None, (), None, None)
    latest = max(channels)
    due = [label for label in channels if label <= expected]
    missed = tuple(
        label for label in range(min(channels) + days.length, expected + 1, days.length) if label not in channels
    )
    return Seals(
        group, expected, latest, max(due, default=None), missed, channels[latest], max(0.0, now - days.due_at(latest))
    )
