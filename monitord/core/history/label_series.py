"""Whole numbers by epoch label: what is remembered of a group's recent labels, and which of them are usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from monitord.core.copying import slot_by_slot


@slot_by_slot
@dataclass(frozen=True, slots=True)
class LabelSeries:
    """Numbers of consecutive labels from `first` (Unix seconds) on, `length` apart; None: there is none."""

    length: int = 0
    first: int = 0
    numbers: tuple[int | None, ...] = ()

    @property
    def newest(self) -> int | None:
        """The last label that has a number (it always has one); None of an empty series."""
        return self.first + (len(self.numbers) - 1) * self.length if self.numbers else None

    def get(self, label: int) -> int | None:
        if not self.numbers:
            return None
        place, rest = divmod(label - self.first, self.length)
        return self.numbers[place] if rest == 0 and 0 <= place < len(self.numbers) else None

    def items(self) -> Iterator[tuple[int, int]]:
        for place, number in enumerate(self.numbers):
            if number is not None:
                yield self.first + place * self.length, number

    def after(self, label: int) -> Iterator[tuple[int, int]]:
        """(label, number) of every label after this one that has a number."""
        begin = max(0, (label - self.first) // self.length + 1) if self.numbers else 0
        for place, number in enumerate(self.numbers[begin:], begin):
            if number is not None:
                yield self.first + place * self.length, number

    def merged(self, found: Mapping[int, int], length: int, keep: int) -> LabelSeries:
        """The series with these numbers in it, the newest `keep` labels. One of another epoch length is let go of."""
        mine = self if self.length == length else LabelSeries(length)
        fresh = {label: number for label, number in found.items() if mine.get(label) != number and label % length == 0}
        if not fresh:
            return mine
        newest = mine.newest
        if newest is None or min(fresh) < mine.first or max(fresh) - newest > keep * length:
            known = dict(mine.items()) | fresh
            newest = max(known)
            oldest = min(label for label in known if label > newest - keep * length)
            labels = range(oldest, newest + length, length)
            return LabelSeries(length, oldest, tuple(known.get(label) for label in labels))
        numbers = list(mine.numbers)  # nearly always: the newest labels, and those behind them
        numbers += [None] * ((max(fresh) - newest) // length)
        for label, number in fresh.items():
            numbers[(label - mine.first) // length] = number
        gone = max(0, len(numbers) - keep)
        while numbers[gone] is None:
            gone += 1
        return LabelSeries(length, mine.first + gone * length, tuple(numbers[gone:]))

    def until(self, last: float) -> LabelSeries:
        if self.newest is None or self.newest <= last:
            return self
        known = {label: number for label, number in self.items() if label <= last}
        return LabelSeries(self.length).merged(known, self.length, len(self.numbers))


@slot_by_slot
@dataclass(frozen=True, slots=True)
class LabelHabit:
    """(label, number) pairs of the last labels that were as ever, oldest first; `judged` is the newest considered.

    It is not kept by time: the labels of an incident are not in it, and do not push out those before.
    """

    length: int = 0
    pairs: tuple[tuple[int, int], ...] = ()
    judged: int = 0

    def items(self) -> Iterator[tuple[int, int]]:
        return iter(self.pairs)

    def until(self, last: float) -> LabelHabit:
        if self.judged <= last:
            return self
        return LabelHabit(self.length, tuple(pair for pair in self.pairs if pair[0] <= last), int(last))
