"""The same month with faults planted in it, one after the other: each is found in time, and nothing else is said.

They are those of the servers, the machine, the queues and the apps' own numbers. Limits that no default can be right
for are set here as an operator of this fleet would set them: past what its nights are like.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from bench.month import PROBES as MONTHS
from bench.month import Living
from tests.core.fleet import HOUR, MB

DAY = 24 * HOUR
# It is healthy for so long first; then a fault begins every so often, at another hour each time.
HEALTHY_FOR, APART = DAY, 19 * HOUR
# Between the end of one and the beginning of the next there is so much time at least.
RESTS = 1.5 * HOUR
MINUTE = 60.0
Holds = Callable[["Faulty"], object]


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault: what holds before each check while it lasts, and when it is due.

    `within`: so long after it began it fires at the latest, beside what finding it takes: two checks.
    """

    rule: str
    subject: str
    holds: Holds
    within: float = 0.0
    lasts: float = 2 * HOUR
    over: Holds | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one: seconds from its beginning to its alert (None: it was not found)."""

    planted: Planted
    seconds: float | None
    is_in_time: bool


def _sets(what: Callable[[Faulty], object], **fields: object) -> Holds:
    def holds(month: Faulty) -> None:
        for name, value in fields.items():
            setattr(what(month), name, value)

    return holds


def _sessions(**fields: object) -> Holds:
    return _sets(lambda month: month.sessions, **fields)


def _lasts(name: str) -> Holds:
    """What began with the fault."""
    return lambda month: setattr(month.sessions, name, month.began)


def _falls_behind(month: Faulty) -> None:
    month.sessions.standby_lag = month.clock.now - month.began


def _evicts(month: Faulty) -> None:
    month.keyspace.evicted += 40


def _fails(month: Faulty) -> None:
    month.queues[QUEUE].fails(30)


def _hangs(month: Faulty) -> None:
    month.queues[QUEUE].moves, month.queues[QUEUE].waiting = False, 40.0


def _gets_old(month: Faulty) -> None:
    month.queues[QUEUE].oldest, month.queues[QUEUE].waiting = month.clock.now - month.began, 40


def _heap_swept(month: Faulty) -> None:
    heap = (month["gateway"].heap_limit or 0.0) / 2**20
    month["gateway"].heap_sawtooth = (0.4 * heap, 0.95 * heap, 420.0)


def _heap_full(month: Faulty) -> None:
    heap = (month["gateway"].heap_limit or 0.0) / 2**20
    month["gateway"].heap_sawtooth, month["gateway"].heap = None, 0.97 * heap


QUEUE = "tree-builder"
PLANTED = (
    Planted("postgres_connections_high", "postgres", _sessions(used=95), 2 * MINUTE),
    Planted("postgres_transaction_long", "postgres", _lasts("transaction_since"), 6 * HOUR, 8 * HOUR),
    Planted("postgres_idle_in_transaction", "postgres", _lasts("idle_since"), 30 * MINUTE),
    Planted("postgres_lock_waiting", "postgres", _lasts("lock_since"), 5 * MINUTE),
    Planted("postgres_standby_lagging", "postgres", _falls_behind, 10 * MINUTE),
    Planted("postgres_xid_age", "postgres", _sessions(xid_used=55.0)),
    Planted("redis_evicting", "redis", _evicts),
    Planted("redis_memory_high", "redis", _sets(lambda month: month.keyspace, memory=960.0 * MB)),
    Planted("redis_emptied", "redis", _sets(lambda month: month.keyspace, keys=0)),
    Planted("queue_failing", QUEUE, _fails, HOUR),
    Planted(
        "queue_stalled", QUEUE, _sets(lambda month: month.queues[QUEUE], moves=False, waiting=40.0), HOUR, 3 * HOUR
    ),
    Planted("queue_job_old", QUEUE, _gets_old, 30 * MINUTE),
    Planted("host_cpu_high", "host", _sets(lambda month: month.host, cpu=100.0), 90 * MINUTE, 3 * HOUR),
    Planted("host_load_high", "host", _sets(lambda month: month.host, load=60.0), 90 * MINUTE, 3 * HOUR),
    Planted("host_swap_high", "host", _sets(lambda month: month.host, swap=97.0), 90 * MINUTE, 3 * HOUR),
    Planted("service_cpu_high", "gateway", _sets(lambda month: month["gateway"], cpu=100.0), 90 * MINUTE, 3 * HOUR),
    Planted("event_loop_blocked", "cls-worker", _sets(lambda month: month["cls-worker"], loop_ms=1900.0)),
    Planted("heap_nearly_full", "gateway", _heap_full, 10 * MINUTE, over=_heap_swept),
)


class Faulty(Living):
    """A month that is healthy but for what is planted."""

    def __init__(self, every: float, seed: int, probes: frozenset[str] = MONTHS) -> None:
        self.planted: Planted | None = None
        self.began = 0.0
        super().__init__(every, seed, probes)
        self.orders = replace(
            self.orders,
            host_cpu=97.0,
            host_load=6.0,
            host_swap=85.0,
            service_cpu_by_name={"gateway": 90.0, "tree-builder": 250.0},
            busy_for=timedelta(minutes=90),
            queue_oldest=timedelta(minutes=30),
        )

    def goes_on(self) -> None:
        super().goes_on()
        if self.planted is not None:
            self.planted.holds(self)

    def lives_for(self, seconds: float) -> None:
        """So much time goes by, healthy or not."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.goes_on()
            self.passes(seconds=min(self.every, until - self.clock.now))


def planted(
    every: float,
    seed: int,
    faults: tuple[Planted, ...] = PLANTED,
    apart: float = APART,
    probes: frozenset[str] = MONTHS,
) -> tuple[list[Found], list[str]]:
    """What came of each, and what was said that is none of them. They begin `apart` seconds apart, or later."""
    month, found, beside = Faulty(every, seed, probes), [], []
    month.lives_for(HEALTHY_FOR)
    for fault in faults:
        began = month.began = month.clock.now
        month.planted = fault
        month.lives_for(fault.lasts)
        month.planted = None
        if fault.over is not None:
            fault.over(month)
        month.lives_for(max(apart - fault.lasts, RESTS))
        own = (fault.rule, fault.subject)
        at = next((at for at, *of in month.firings if tuple(of) == own), None)
        seconds = None if at is None else at - began
        found.append(Found(fault, seconds, seconds is not None and seconds <= fault.within + 2 * every + 10))
        beside += [f"{rule}/{subject}" for _, rule, subject in month.firings if (rule, subject) != own]
        month.firings.clear()
    return found, beside
