"""Judgement of queues: too deep, or risen and not drained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from monitord.core import words
from monitord.core.history import History, Queue
from monitord.core.model import Clear, Finding, Judgement, Observation, Reading, Unknown
from monitord.core.orders import StandingOrders

# A queue that rose and never fell is not drained; it must have risen by this share of the limit to be worth a word.
RISE_SHARE = 0.1


def absorb_queues(history: History, reading: Reading, now: float) -> History:
    """The history after one good reading of the redis probe: each queue's rise without a fall."""
    queues = {}
    for name, depth in reading.values("queue_waiting", "queue").items():
        if not isinstance(depth, int | float):
            continue
        run = history.queues.get(name)
        if run is None or depth < run.last or depth <= run.first:  # it fell, or has not begun to rise
            queues[name] = Queue(now, float(depth), float(depth))
        else:
            queues[name] = replace(run, last=float(depth))
    return replace(history, queues={**{n: q for n, q in history.queues.items() if n not in queues}, **queues})


def redis_queue_backlog(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A queue deeper than ordered, or one that rose and has not been drained for as long as a stall lasts."""
    now = observation.now.timestamp()
    depths = observation.readings["redis"].values("queue_waiting", "queue")
    for name in orders.queues:
        limit = orders.queue_limit(name)
        depth, run = depths.get(name), history.queues.get(name)
        if not isinstance(depth, int | float) or run is None:
            yield Unknown("redis_queue_backlog", name, "it cannot be read")
            continue
        risen = run.last - run.first
        lasting = history.watched_seconds("redis", run.since, now)
        undrained = lasting > orders.flow_stall.total_seconds() and risen > limit * RISE_SHARE
        if depth <= limit and not undrained:
            yield Clear("redis_queue_backlog", name)
            continue
        how = (
            f"past the limit of {words.count(limit)}"
            if depth > limit
            else f"which rose by {words.count(risen)} and has not been drained for {words.duration(lasting)}"
        )
        yield Finding(
            rule="redis_queue_backlog",
            subject=name,
            severity="warning",
            value=int(depth),
            limit=limit if depth > limit else None,  # of a rise there is no depth to be past
            unit="jobs",
            summary=f"{words.count(depth)} jobs wait in the queue {name}, {how}.",
            evidence={"risen": int(risen), "undrained_seconds": round(lasting, 3)},
            recommendation=f"Look at the worker of {name}: is it alive, and does it finish what it takes?",
        )
