"""What is kept of numbers between readings: what a counter rose by, since when one is past its limit, queues' jobs."""

from monitord.core.copying import replace
from monitord.core.history.model import History, Measure, QueueHistory
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders

POINTS_PER_WINDOW = 120
Points = tuple[tuple[float, float], ...]


def update_counter(history: History, name: str, total: float | None, now: float, window: float) -> History:
    """The history after one more reading of a counter, which falls to 0 when its server begins anew."""
    if total is None:
        return history
    was = history.measures.get(name)
    if was is None:
        return _with(history, name, Measure(since=now, last=total))
    if total == was.last and not was.points:  # nearly always
        return history
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
    """A number that may fall at once from `least` to such a share; what from is kept until it is at half of that."""
    if value is None:
        return history
    was = history.measures.get(name) or Measure(since=now)
    if value == was.last and not was.points:
        return history
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


def update_jobs(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> History:
    """The history after one good reading of the redis probe, the last of which was at `before`."""
    window = orders.queue_window.total_seconds()
    queues = {}
    for name in reading.values("queue_waiting", "queue"):
        run = history.queues.get(name)
        if run is not None:
            following = _failures(_still(run, reading, name, before, now), reading, name, now, window)
            if following is not run:
                queues[name] = following
    return replace(history, queues={**history.queues, **queues}) if queues else history


def failures(run: QueueHistory, reading: Reading, name: str, now: float, window: float) -> int | None:
    """How many jobs failed within the window, those removed since included; None where no reading shows it."""
    kept = reading.number("queue_failed_recently", queue=name)
    seen = sum(count for at, count in run.failures if at > now - window)
    if kept is None and run.failures_total is None:
        return None
    return round(max(kept or 0, seen))


def _still(run: QueueHistory, reading: Reading, name: str, before: float | None, now: float) -> QueueHistory:
    """Since when there are jobs and none was started or finished: at the earliest since the reading before."""
    moved = reading.number("queue_moved", queue=name)
    is_empty = not (reading.number("queue_waiting", queue=name) or reading.number("queue_active", queue=name))
    if moved == 1 or is_empty or reading.number("queue_is_paused", queue=name) == 1:
        return run if run.still_since is None else replace(run, still_since=None)
    if moved == 0 and run.still_since is None:
        return replace(run, still_since=now if before is None else before)
    return run


def _failures(run: QueueHistory, reading: Reading, name: str, now: float, window: float) -> QueueHistory:
    """The failures since the reading before, by the kept jobs or by what the workers count, whichever are more."""
    since, total = reading.number("queue_failed_since", queue=name), reading.number("queue_failures_total", queue=name)
    counted = 0.0
    if total is not None and run.failures_total is not None:
        counted = max(0.0, total - run.failures_total)
    new = max(since or 0.0, counted)
    points = with_rise(run.failures, new, now, window) if new > 0 or run.failures else ()
    total = run.failures_total if total is None else total
    if points == run.failures and total == run.failures_total:  # nearly always
        return run
    return replace(run, failures=points, failures_total=total)
