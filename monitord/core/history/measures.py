"""What is kept of single numbers between readings: what a counter rose by, and since when one is past its limit."""

from __future__ import annotations

from monitord.core.copying import replace
from monitord.core.history.model import History, Measure

POINTS_PER_WINDOW = 120
Points = tuple[tuple[float, float], ...]


def update_counter(history: History, name: str, total: float | None, now: float, window: float) -> History:
    """The history after one more reading of a counter, which falls to 0 when its server begins anew."""
    if total is None:
        return history
    was = history.measures.get(name)
    if was is None:
        return _with(history, name, Measure(since=now, last=total))
    rise = total - was.last if was.last is not None and total >= was.last else total
    return _with(history, name, replace(was, last=total, points=with_rise(was.points, rise, now, window)))


def with_rise(points: Points, rise: float, now: float, window: float) -> Points:
    """The points of a window with what something rose by just now; those that are close together are one."""
    kept = [(at, count) for at, count in points if at > now - window]
    if rise > 0 and kept and now - kept[-1][0] < window / POINTS_PER_WINDOW:
        kept[-1] = (kept[-1][0], kept[-1][1] + rise)
    elif rise > 0:
        kept.append((now, rise))
    return tuple(kept)


def risen(history: History, name: str, now: float, window: float) -> int | None:
    """What a counter rose by within the window, as far as it was seen to; None until it was read twice."""
    measure = history.measures.get(name)
    if measure is None or measure.since == now:
        return None
    return round(sum(count for at, count in measure.points if at > now - window))


def update_past(history: History, name: str, now: float, *, is_past: bool) -> History:
    was = history.measures.get(name)
    if not is_past:
        return history if was is None else without(history, name)
    return history if was is not None else _with(history, name, Measure(since=now))


def past_seconds(history: History, name: str, probe: str, now: float) -> float | None:
    """For how long a number has been past its limit, as far as its probe could see; None where it is not."""
    measure = history.measures.get(name)
    return None if measure is None else round(history.watched_seconds(probe, measure.since, now), 3)


def update_fall(history: History, name: str, value: float | None, now: float, least: float, share: float) -> History:
    """The history after one more reading of a number that may fall at once, from `least` at least to so small a share.

    What it fell from is kept as the one point, until it is at half of that again.
    """
    if value is None:
        return history
    was = history.measures.get(name, Measure(since=now))
    fell = was.last is not None and was.last >= least and value <= was.last * share
    if fell and was.last is not None:
        return _with(history, name, replace(was, last=value, points=((now, was.last),)))
    is_back = bool(was.points) and value >= was.points[0][1] / 2
    return _with(history, name, replace(was, last=value, points=() if is_back else was.points))


def without(history: History, name: str) -> History:
    return replace(history, measures={other: found for other, found in history.measures.items() if other != name})


def _with(history: History, name: str, measure: Measure) -> History:
    if history.measures.get(name) == measure:
        return history
    return replace(history, measures={**history.measures, name: measure})
