"""A cumulative series between its readings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

Point = tuple[float, float]


def value_at(points: Sequence[Point], at: float) -> float:
    """The value of (time, value) points at a moment, on a straight line between the two around it.

    Outside of what they span it is that of the nearest. `points` are in order of time, and not empty.
    """
    place = bisect_left(points, at, key=lambda point: point[0])
    if place == 0:
        return points[0][1]
    if place == len(points):
        return points[-1][1]
    (before, low), (after, high) = points[place - 1], points[place]
    return low + (high - low) * (at - before) / (after - before)
