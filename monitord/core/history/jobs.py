"""What a queue's jobs do between readings: whether they move, and how many of them fail."""

from __future__ import annotations

from monitord.core.copying import replace
from monitord.core.history.measures import with_rise
from monitord.core.history.model import History, QueueHistory
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders


def update_jobs(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> History:
    """The history after one good reading of the redis probe, the last of which was at `before`."""
    window = orders.queue_window.total_seconds()
    queues = {}
    for name in reading.values("queue_waiting", "queue"):
        run = history.queues.get(name)
        if run is not None:
            queues[name] = _failures(_still(run, reading, name, before, now), reading, name, now, window)
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
    counts = [reading.number(f"queue_{state}", queue=name) for state in ("waiting", "active")]
    moved, paused = reading.number("queue_moved", queue=name), reading.number("queue_is_paused", queue=name)
    if moved == 1 or paused == 1 or not any(counts):
        return replace(run, still_since=None)
    if moved == 0 and run.still_since is None:
        return replace(run, still_since=now if before is None else before)
    return run


def _failures(run: QueueHistory, reading: Reading, name: str, now: float, window: float) -> QueueHistory:
    """The failures since the reading before, by the kept jobs or by what the workers count, whichever are more."""
    since, total = (reading.number(f"queue_{what}", queue=name) for what in ("failed_since", "failures_total"))
    counted = 0.0
    if total is not None and run.failures_total is not None:
        counted = max(0.0, total - run.failures_total)
    new = max(since or 0.0, counted)
    points = with_rise(run.failures, new, now, window)
    return replace(run, failures=points, failures_total=run.failures_total if total is None else total)
