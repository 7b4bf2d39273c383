"""The last answer of a pure function, for those who ask the same again within one cycle, or in the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")


def latest(answer: Callable[[A, B], R]) -> Callable[[A, B], R]:
    """The function, which gives its last answer again when asked of the very same two things.

    They are compared by identity, not by value: a history cannot be hashed, and is never changed.
    """
    last: tuple[A, B, R] | None = None

    def asked(first: A, second: B) -> R:
        nonlocal last
        known = last
        if known is None or known[0] is not first or known[1] is not second:
            known = last = first, second, answer(first, second)
        return known[2]

    return asked


def latest_equal(answer: Callable[[A], R]) -> Callable[[A], R]:
    """The function, which gives its last answer again when its arguments are equal: what a reading repeats."""
    last: tuple[A, R] | None = None

    def asked(of: A) -> R:
        nonlocal last
        known = last
        if known is None or known[0] != of:
            known = last = of, answer(of)
        return known[1]

    return asked
