"""Lines through points: between two of them, or a slope that outliers cannot bend, and how well the points agree on it.

The slope is Theil and Sen's: the median of the slopes of all pairs. Its bounds are Sen's, from the ranks that the
Mann-Kendall statistic allows at 95%; they hold for noise that does not remember itself, and are narrow otherwise.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

# Times (seconds) and values, in order of time.
Points = Sequence[tuple[float, float]]

NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Slope:
    """The slope of a run of points, per second; its bounds at 95%; and the share of pairs that rise (0 to 1)."""

    middle: float
    low: float
    high: float
    agreement: float


def slope(points: Points) -> Slope:
    """The slope of at least two points. ValueError for fewer."""
    count = len(points)
    if count < 2:
        raise ValueError("a slope takes two points")
    pairs = sorted(
        (later[1] - value) / (later[0] - at)
        for number, (at, value) in enumerate(points)
        for later in points[number + 1 :]
    )
    spread = NORMAL_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(pairs) - spread) / 2))
    high = min(len(pairs) - 1, math.ceil((len(pairs) + spread) / 2))
    return Slope(
        middle=_middle(pairs), low=pairs[low], high=pairs[high], agreement=sum(1 for s in pairs if s > 0) / len(pairs)
    )


def value_at(points: Points, at: float) -> float:
    """The value at a moment on a line between the points around it, else that of the nearest; they are in order."""
    place = bisect_left(points, (at, -math.inf))
    if place == 0:
        return points[0][1]
    if place == len(points):
        return points[-1][1]
    (before, low), (after, high) = points[place - 1], points[place]
    return low + (high - low) * (at - before) / (after - before)


def median(values: Sequence[float]) -> float:
    return _middle(sorted(values))


def share(values: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of at least one value do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.floor(part * len(ordered)))]


def troughs(points: Points, most: int) -> list[tuple[float, float]]:
    """At most `most` points: the lowest of each run of neighbours, where there are more."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return list(points)
    # Runs are counted from the end: the newest is always whole.
    first = len(points) % size
    return [min(points[at : at + size], key=lambda point: point[1]) for at in range(first, len(points), size)]


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
