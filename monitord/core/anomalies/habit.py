"""What is usual of a group's labels: numbers of those that were no incident, kept while an incident lasts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelHabit:
    """(label, number) pairs of the last labels that were as ever, oldest first; `judged` is the newest considered.

    It is not kept by time: the labels of an incident are not in it, and do not push out those before.
    """

    length: int = 0
    pairs: tuple[tuple[int, int], ...] = ()
    judged: int = 0

    def items(self) -> Iterator[tuple[int, int]]:
        """(label, number) of every label in it."""
        return iter(self.pairs)

    def until(self, last: float) -> LabelHabit:
        """Without the labels after `last`."""
        if self.judged <= last:
            return self
        return LabelHabit(self.length, tuple(pair for pair in self.pairs if pair[0] <= last), int(last))
