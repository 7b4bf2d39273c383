"""A long series as few points as a plot can show, with every peak, trough and gap still in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Point = tuple[float, float | None]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about `most` points: of each run of neighbours the first gap, the lowest and the highest, in order."""
    if len(points) <= most:
        return list(points)
    per = -(-len(points) * 3 // most)
    return [point for start in range(0, len(points), per) for point in _kept(points[start : start + per])]


def _kept(run: Sequence[Point]) -> Iterator[Point]:
    known = [(value, at) for at, value in run if value is not None]
    kept: set[Point] = {(at, value) for value, at in (min(known), max(known))} if known else set()
    gap = next((point for point in run if point[1] is None), None)
    yield from sorted(kept | {gap} if gap else kept, key=lambda point: point[0])
