"""How Redis and its queues stand: the status, and what is shown and counted of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.blocks import Block, FactTable, Grid
from monitord.core.history.measures import failures, risen
from monitord.core.history.model import History
from monitord.core.humanize import NOTHING, worded
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.series import RollupFamily, metric
from monitord.core.subjects import base

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus


EVICTED: Final = "redis/evicted"
WINDOW: Final = 3600.0


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The jobs of one queue. `oldest_seconds`: the next one's wait; `still_seconds`: none moved (None: they move)."""

    waiting: int | None
    active: int | None
    delayed: int | None
    failed: int | None
    failed_recently: int | None
    oldest_seconds: float | None
    still_seconds: float | None
    paused: bool | None

    def by_state(self) -> dict[str, int | None]:
        return {"waiting": self.waiting, "active": self.active, "delayed": self.delayed, "failed": self.failed}


@dataclass(frozen=True, slots=True)
class RedisStatus:
    keys: int | None
    latency_ms: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    evicted: int | None
    evicted_recently: int | None
    queues: Mapping[str, QueueStatus]


def _status(history: History, orders: StandingOrders, now: float) -> RedisStatus:
    reading = base.asked("redis", history, orders) or Reading("redis")
    return RedisStatus(
        keys=base.whole(reading.number("redis_keys")),
        latency_ms=reading.number("redis_latency"),
        memory_bytes=base.whole(reading.number("redis_memory")),
        memory_limit_bytes=base.whole(reading.number("redis_memory_limit")),
        evicted=base.whole(reading.number("redis_evicted")),
        evicted_recently=None if reading.number("redis_evicted") is None else risen(history, EVICTED, now, WINDOW),
        queues={name: _queue(history, reading, name, orders, now) for name in orders.queues},
    )


def _queue(history: History, reading: Reading, name: str, orders: StandingOrders, now: float) -> QueueStatus:
    run, paused = history.queues.get(name), reading.number("queue_is_paused", queue=name)
    is_told = run is not None and reading.number("queue_waiting", queue=name) is not None
    window = orders.queue_window.total_seconds()
    still = run.still_since if run is not None and is_told else None
    return QueueStatus(
        waiting=base.whole(reading.number("queue_waiting", queue=name)),
        active=base.whole(reading.number("queue_active", queue=name)),
        delayed=base.whole(reading.number("queue_delayed", queue=name)),
        failed=base.whole(reading.number("queue_failed", queue=name)),
        failed_recently=failures(run, reading, name, now, window) if run is not None and is_told else None,
        oldest_seconds=reading.number("queue_oldest", queue=name),
        still_seconds=None if still is None else round(history.watched_seconds("redis", still, now), 3),
        paused=None if paused is None else bool(paused),
    )


STATUS: Final = base.StatusSection("redis", RedisStatus, _status)

METRICS: Final = (
    base.metric_group(
        RedisStatus,
        lambda report: {"": report.of(STATUS)},
        ("redis_keys", "Keys in Redis.", "keys"),
        ("redis_latency_seconds", "How long Redis took to answer.", "latency_ms", base.seconds),
        ("redis_memory_bytes", "Memory that Redis uses.", "memory_bytes"),
        (
            "redis_memory_limit_bytes",
            "Memory that Redis may use (maxmemory); 0: as much as there is.",
            "memory_limit_bytes",
        ),
        base.MetricFamily(
            "redis_evicted_keys_total",
            "Keys that Redis gave up for want of memory.",
            lambda redis: redis.evicted,
            kind="counter",
        ),
    ),
    base.metric_group(
        QueueStatus,
        lambda report: report.of(STATUS).queues,
        base.MetricFamily("queue_jobs", "Jobs of a queue by state.", QueueStatus.by_state, by="state"),
        ("queue_failed_recently", "Jobs of a queue that failed within QUEUE_WINDOW.", "failed_recently"),
        ("queue_oldest_seconds", "For how long the next job of a queue has waited.", "oldest_seconds"),
        (
            "queue_still_seconds",
            "For how long no job of a queue was started or finished, while there are any.",
            "still_seconds",
        ),
        label="queue",
    ),
)

ROLLUPS: Final = (
    RollupFamily(
        "waiting",
        "waiting jobs",
        "level",
        lambda context: {name: queue.waiting for name, queue in context.report.of(STATUS).queues.items()},
    ),
    RollupFamily("memory", "memory", "level", metric(METRICS, "redis_memory_bytes"), humanize.size),
)


def perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    redis = report.of(STATUS)
    yield base.PerfDatum("redis_keys", redis.keys, minimum="0")
    yield base.PerfDatum("redis_latency", redis.latency_ms, "ms", minimum="0")
    limit = redis.memory_limit_bytes
    ranges = f"{round(limit * orders.redis_memory / 100)};" if limit else ";"
    yield base.PerfDatum("redis_memory", redis.memory_bytes, "B", ranges, "0", f"{limit}" if limit else "")
    yield base.PerfDatum("redis_evicted", redis.evicted_recently, minimum="0")
    for name, queue in redis.queues.items():
        oldest = orders.oldest_limit(name)
        yield base.PerfDatum(f"{name} waiting", queue.waiting, limits=f"{orders.queue_limit(name)};", minimum="0")
        yield base.PerfDatum(
            f"{name} failed", queue.failed_recently, limits=f"{orders.failed_limit(name)};", minimum="0"
        )
        yield base.PerfDatum(
            f"{name} oldest", queue.oldest_seconds, "s", ";" if oldest is None else f"{oldest:g};", minimum="0"
        )
        yield base.PerfDatum(f"{name} still", queue.still_seconds, "s", f"{orders.stall_limit(name):g};", minimum="0")


def section(context: base.SectionContext) -> Iterator[Block]:
    redis = context.report.of(STATUS)
    rows = tuple(
        (
            context.severity(name) or ("unknown" if queue.waiting is None else "ok"),
            (
                f"{name} (paused)" if queue.paused else name,
                *(worded(humanize.count, jobs) for jobs in queue.by_state().values()),
                worded(humanize.count, queue.failed_recently, NOTHING),
                worded(humanize.duration, queue.oldest_seconds, NOTHING),
                worded(humanize.duration, queue.still_seconds, NOTHING),
            ),
        )
        for name, queue in redis.queues.items()
    )
    if rows:
        window = humanize.duration(context.orders.queue_window.total_seconds())
        caption = (
            f"Jobs in each queue; lately: failed within {window}; oldest: how long the next one waits; "
            "still: how long none was started or finished"
        )
        header = ("Queue", "Waiting", "Active", "Delayed", "Failed", "Lately", "Oldest", "Still")
        yield Grid(caption, header, rows, frozenset(range(1, 8)))
    limit = f" of {humanize.size(redis.memory_limit_bytes)}" if redis.memory_limit_bytes else ""
    lately = f", {humanize.count(redis.evicted_recently)} lately" if redis.evicted_recently else ""
    yield FactTable(
        (
            ("Keys", worded(humanize.count, redis.keys)),
            ("Memory", worded(humanize.size, redis.memory_bytes) + limit),
            ("Evicted", worded(humanize.count, redis.evicted) + lately),
            ("Answered in", worded(humanize.milliseconds, redis.latency_ms)),
        )
    )
