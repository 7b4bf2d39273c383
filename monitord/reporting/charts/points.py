"""A long series as few points as a plot can show, and in words what the page shows under the pointer."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from monitord.core.humanize import UNKNOWN

# More points than these are said together, each group from its least to its most.
_GROUPS: Final = 60

Point = tuple[float, float | None]
Said = tuple[float, str]


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


def spoken(points: Sequence[Point], say: Callable[[float], str], otherwise: Callable[[float], str]) -> list[Said]:
    """A series in words from each moment on; `otherwise` says what was at one of which no value is known."""
    per = max(1, -(-len(points) // _GROUPS))
    found: list[Said] = []
    for start in range(0, len(points), per):
        group = points[start : start + per]
        known = [value for _, value in group if value is not None]
        least, most = (say(min(known)), say(max(known))) if known else ("", "")
        words = otherwise(group[0][0]) if not known else least if least == most else f"{least} to {most}"
        if not found or found[-1][1] != words:
            found.append((group[0][0], words))
    return found


def unknown(_: float) -> str:
    return UNKNOWN


def readout(shown: Iterable[Said], since: float, until: float, *, of_time: bool = True) -> dict[str, object]:
    """The attributes that carry it: `data-points` has seconds after `since`, or a place (not `of_time`), and words."""
    found = "|".join(f"{at - since:.0f} {words.replace('|', '/')}" for at, words in shown)
    if not found:
        return {}
    return {
        "data_points": found,
        "data_since": f"{since:.0f}" if of_time else None,
        "data_span": f"{until - since:.0f}",
        "tabindex": 0,
    }
