"""Faults that can be broken and mended at any moment: of sessions, memory, jobs, processors, apps and checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from monitord.core.orders import CheckOrder, StandingOrders
from monitord.core.thresholds import Threshold
from tests.core.nights import ORDERS, Night

from .vocabulary import happens

EVERY: Final = 300
HOUR: Final = 3600.0
PATIENT: Final = replace(ORDERS, late_after=timedelta(seconds=3 * EVERY))


@dataclass(frozen=True)
class Fault:
    """A way to break one thing and to mend it.

    `limit`: how many seconds it must last before it is one. `over`: how many seconds after it was mended it may still
    be told of. `also`: what follows from it, and may be said too. `habits`: it is one only by the system's own past.
    `standby`: what is read is one from the beginning. `orders`: limits without which it is none. `counts`: it is made
    of what has happened, which nothing mends.
    """

    rule: str
    subject: str
    breaks: Callable[[Night], object]
    mends: Callable[[Night], object]
    limit: float = 0.0
    over: float = 0.0
    also: frozenset[str] = field(default_factory=frozenset)
    habits: bool = False
    standby: bool = False
    orders: StandingOrders = PATIENT
    counts: bool = False

    def __repr__(self) -> str:
        return f"{self.rule}/{self.subject}"


def to_set(what: Callable[[Night], object], **fields: object) -> Callable[[Night], None]:
    """A way to break or mend by setting fields of a part of the night."""

    def set_them(night: Night) -> None:
        thing = what(night)
        for name, value in fields.items():
            setattr(thing, name, value)

    return set_them


def that(*phrases: str) -> Callable[[Night], None]:
    """A way to break or mend by phrases of the vocabulary."""

    def does(night: Night) -> None:
        for phrase in phrases:
            happens(night, phrase)

    return does


def queue(night: Night) -> object:
    return night.queues["tree-builder"]


def _of_sessions(rule: str, broken: float | None, well: float | None, name: str, limit: float = 0.0) -> Fault:
    """`broken` None: since it was broken."""

    def breaks(night: Night) -> None:
        setattr(night.sessions, name, night.clock.now if broken is None else broken)

    return Fault(rule, "postgres", breaks, to_set(lambda n: n.sessions, **{name: well}), limit)


def _busy(rule: str, name: str, value: float, **limit: float) -> Fault:
    well = {"cpu": 12.0, "load": 0.5, "swap": 0.0}
    orders = replace(PATIENT, **limit)  # type: ignore[arg-type]
    breaks, mends = to_set(lambda n: n.host, **{name: value}), to_set(lambda n: n.host, **{name: well[name]})
    return Fault(rule, "host", breaks, mends, 900.0 + EVERY, orders=orders)


def _checked(rule: str, order: CheckOrder, breaks: str, mends: str, limit: float = 0.0) -> Fault:
    orders = replace(PATIENT, probes=PATIENT.probes | {"checks"}, checks={"own": order})
    return Fault(rule, "own", that(breaks), that(mends), limit, orders=orders)


_HOURLY: Final = CheckOrder("checkin", period=timedelta(days=3), max_runtime=timedelta(minutes=20))
_GATEWAY: Final = replace(PATIENT, service_cpu_by_name={"gateway": 90.0})
_TELLS: Final = "gateway tells of itself"
_STILL: Final = "Used Heap Size: 40.00 MiB | Event Loop Latency p95: 2.50 ms"
LASTING: Final = (
    _of_sessions("postgres_connections_high", 95, 45, "used", EVERY),
    _of_sessions("postgres_idle_in_transaction", None, None, "idle_since", 1800.0),
    _of_sessions("postgres_lock_waiting", None, None, "lock_since", 300.0),
    _of_sessions("postgres_standby_lagging", 700.0, 0.01, "standby_lag"),
    _of_sessions("postgres_xid_age", 55.0, 6.2, "xid_used"),
    Fault(
        "redis_evicting",
        "redis",
        that("Redis gives up 40 keys"),
        lambda n: None,
        over=HOUR + EVERY,
        counts=True,
    ),
    Fault(
        "redis_memory_high",
        "redis",
        to_set(lambda n: n.keyspace, memory=96e6, limit=100e6),
        to_set(lambda n: n.keyspace, memory=3e6),
    ),
    Fault("redis_emptied", "redis", that("Redis holds 0 keys"), that("Redis holds 125 keys")),
    Fault(
        "queue_failing",
        "tree-builder",
        that("80 jobs of tree-builder fail"),
        lambda n: None,
        over=HOUR + EVERY,
        counts=True,
    ),
    Fault(
        "queue_stalled",
        "tree-builder",
        that("no job of tree-builder is taken or finished", "40 jobs wait in tree-builder"),
        that("jobs of tree-builder are taken and finished again"),
        HOUR + EVERY,
    ),
    Fault(
        "queue_job_old",
        "tree-builder",
        to_set(queue, oldest=1200.0),
        to_set(queue, oldest=2.0),
        orders=replace(PATIENT, queue_oldest=timedelta(minutes=10)),
    ),
    _busy("host_cpu_high", "cpu", 99.0, host_cpu=95.0),
    _busy("host_load_high", "load", 40.0, host_load=2.0),
    _busy("host_swap_high", "swap", 97.0, host_swap=80.0),
    Fault(
        "service_cpu_high",
        "gateway",
        to_set(lambda n: n["gateway"], cpu=120.0),
        to_set(lambda n: n["gateway"], cpu=1.5),
        900.0 + EVERY,
        orders=_GATEWAY,
    ),
    Fault(
        "event_loop_blocked",
        "gateway",
        that(_TELLS, "the event loop of gateway is 2s late"),
        that(_TELLS),
    ),
    Fault(
        "event_loop_blocked",
        "gateway",
        to_set(lambda n: n["gateway"], told=_STILL, loop_ms=2.5, blocked=True),
        that("the event loop of gateway turns again"),
        EVERY,
    ),
    Fault(
        "heap_nearly_full",
        "gateway",
        that("Node may use 100MB of heap for gateway", "heap of gateway is 97MB"),
        that("heap of gateway is 40MB"),
        600.0 + EVERY,
    ),
    _checked(
        "endpoint_down",
        CheckOrder("http", warning=Threshold(">", 500.0)),
        "the endpoint own answers 500",
        "the endpoint own answers 200",
    ),
    _checked(
        "endpoint_slow",
        CheckOrder("http", warning=Threshold(">", 500.0)),
        "the endpoint own takes 700ms to answer",
        "the endpoint own takes 90ms to answer",
    ),
    _checked(
        "certificate_expiring",
        CheckOrder("tcp", certificate_days=14),
        "the certificate of own expires in 9d",
        "the certificate of own expires in 90d",
    ),
    _checked(
        "value_out_of_range",
        CheckOrder("sql", warning=Threshold("outside", 10.0, 50.0)),
        "the statement own finds 51",
        "the statement own finds 50",
    ),
    _checked(
        "data_stale",
        CheckOrder("freshness", warning=Threshold(">", 3600.0)),
        "the newest data of own is 3700s old",
        "the newest data of own is 3600s old",
    ),
    _checked(
        "command_failed", CheckOrder("command"), "the plugin own says critical it expired", "the plugin own says ok x"
    ),
    _checked("checkin_failed", _HOURLY, "the job own fails with exit code 3", "the job own ends well"),
    _checked("checkin_overran", _HOURLY, "the job own begins", "the job own ends well", 1200.0),
)
HOURS_LONG: Final = (_of_sessions("postgres_transaction_long", None, None, "transaction_since", 6 * HOUR),)
