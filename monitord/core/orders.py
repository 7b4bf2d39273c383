"""The standing orders: every threshold once, with the defaults the user's own orders gave."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, TypeVar

from monitord.core.app_numbers import same_number
from monitord.core.hours import OTHERWISE, HourlyLimit, hourly
from monitord.core.model import Severity
from monitord.core.names import EVERYTHING
from monitord.core.thresholds import Threshold

T = TypeVar("T")
Expected = Literal["online", "stopped", "periodic"]

# The fleet that these orders were first given for: what is watched of it by default, and what explains what there.
TABLES: tuple[str, ...] = ("user_signals",)
GROUPS: tuple[str, ...] = ("MILO", "CLS")
# The table that the epochs' seals are read from.
SEALS: Final = "sealed_epochs"
# The aggregator alone seals; trees are built and published from what is sealed.
SEALED_BY: Mapping[str, tuple[str, ...]] = {
    "MILO": ("milo-aggregator*",),
    "CLS": ("cls-aggregator*", "milo-aggregator*"),
}
FED_BY: Mapping[str, tuple[str, ...]] = {
    "user_signals": ("stream-listener*", "milo-worker*", "cls-worker*"),
    "MILO": ("stream-listener*", "milo-worker*"),
    "CLS": ("stream-listener*", "cls-worker*"),
}


@dataclass(frozen=True, slots=True)
class QueueOrders:
    """What is declared of one queue; None: as for any queue.

    `waiting` is the most jobs that may wait, `failed` the most that may fail within the window of the orders, `stall`
    how long none may finish, `oldest` how long a job may wait; `prefix` is what its keys begin with, `worker` shell
    patterns: the services that work it off, whose death explains its backlog.
    """

    waiting: int | None = None
    failed: int | None = None
    stall: timedelta | None = None
    oldest: timedelta | None = None
    prefix: str | None = None
    worker: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TableOrders:
    """What is declared of one table; None: as for any. `flow_stall` is by hours in UTC, as `00-06`; `*`: all others."""

    growth_limit: int | None = None
    growth_window: timedelta | None = None
    growth_steady: int | None = None
    flow_stall: Mapping[str, timedelta] | None = None


@dataclass(frozen=True, slots=True)
class DiskOrders:
    """What is declared of one disk, in percent; None: as for any disk."""

    warning: float | None = None
    critical: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceOrders:
    """What is declared of one service; None: as for any service. Each field is that of the orders of this name.

    `memory` is in bytes, `cpu` in percent of one processor, `heap_full` in percent. `errors` are lines a minute, which
    are judged by nothing else then.
    """

    memory: int | None = None
    cpu: float | None = None
    busy_for: timedelta | None = None
    restarts_warning: int | None = None
    restarts_critical: int | None = None
    startup_grace: timedelta | None = None
    event_loop_latency: timedelta | None = None
    heap_full: float | None = None
    heap_span: timedelta | None = None
    errors: float | Literal["off"] | None = None


@dataclass(frozen=True, slots=True)
class NumberOrders:
    """The limits of one number that an app tells of itself, in the unit that it is told in; none: it is not judged."""

    warning: Threshold | None = None
    critical: Threshold | None = None


CheckKind = Literal["http", "tcp", "sql", "freshness", "checkin", "command"]


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """What is ordered of one check of the operator's own, as far as it is judged by: nothing of it is secret.

    `every` is how often it is taken (None: in each cycle), `depends_on` whatever is named as what explains it:
    services, servers, tables, other checks. `severity` is the configured severity (None: nothing), `runbook` and
    `contact` go with its alerts. `target` is what it asks, as far as that may be shown. `warning` and `critical` are
    limits of its value, in `unit`.

    `certificate_days`: a certificate that expires sooner is warned of (0: none is). Of a job that reports, `period` or
    `schedule` (cron, UTC) says when it is expected, `grace` how much later is on time, `max_runtime` how long it may
    take.
    """

    type: CheckKind
    every: timedelta | None = None
    depends_on: tuple[str, ...] = ()
    user_facing: bool = False
    severity: Severity | None = None
    runbook: str = ""
    contact: str = ""
    target: str = ""
    unit: str = ""
    warning: Threshold | None = None
    critical: Threshold | None = None
    certificate_days: int = 0
    period: timedelta | None = None
    schedule: str = ""
    grace: timedelta = timedelta(0)
    max_runtime: timedelta | None = None


def _own(declared: T | None, general: T) -> T:
    """What is declared of one thing, or else what holds of all."""
    return general if declared is None else declared


_AS_ANY_SERVICE: Final = ServiceOrders()
_AS_ANY_TABLE: Final = TableOrders()
_AS_ANY_DISK: Final = DiskOrders()
_AS_ANY_QUEUE: Final = QueueOrders()
# The orders' own queue and who works it off, where nothing else is declared.
TREES: Final = "tree-builder"
SEED_WORKERS: Final[Mapping[str, tuple[str, ...]]] = {TREES: ("tree-builder", "tree-builder-*")}


@dataclass(frozen=True, slots=True)
class StandingOrders:
    """What is expected of the fleet and its servers.

    Durations are timedeltas, sizes bytes, percentages 0 to 100. `services` {} means: what was seen online must stay
    online. `probes` are the names of those configured; the others' rules are not judged.
    """

    services: Mapping[str, Expected] = field(default_factory=dict)
    # How often a periodic service is to run, where that is named.
    rhythms: Mapping[str, timedelta] = field(default_factory=dict)
    # When a periodic service is to run, where that is named: cron, UTC.
    run_schedules: Mapping[str, str] = field(default_factory=dict)
    user_facing: tuple[str, ...] = ("gateway",)
    # Subject -> shell patterns of the services whose death explains that nothing of it is sealed (a group), or that no
    # rows of it come (a table, a group's channels). Nothing else is explained by a name.
    sealed_by: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(SEALED_BY))
    fed_by: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(FED_BY))
    confirmations: int = 2
    confirm_every: timedelta = timedelta(seconds=5)
    # An alert that fires so often within the window flaps.
    flapping_times: int = 3
    flapping_window: timedelta = timedelta(hours=1)
    # A runbook, and whom to contact, by shell patterns of rules or subjects.
    runbooks: Mapping[str, str] = field(default_factory=dict)
    contacts: Mapping[str, str] = field(default_factory=dict)
    # How long after a notification what still fires is notified again.
    remind_every: timedelta = timedelta(hours=4)
    # What is declared of single services.
    service_by_name: Mapping[str, ServiceOrders] = field(default_factory=dict)
    startup_grace: timedelta = timedelta(0)
    service_memory: int = 500_000_000
    service_memory_by_name: Mapping[str, int] = field(default_factory=dict)
    # How late one tick in twenty of an app's event loop may be.
    event_loop_latency: timedelta = timedelta(milliseconds=500)
    # Service ("*": each of which nothing else is declared) -> number -> its limits.
    number_limits: Mapping[str, Mapping[str, NumberOrders]] = field(default_factory=dict)
    # How much of the heap that Node may use may be used for how long, in percent.
    heap_full: float = 90.0
    heap_span: timedelta = timedelta(minutes=10)
    # The least time that a trend must have been observed, after the warm-up, before anything is reported of it;
    # a disk that will be full within hours is reported sooner (core/anomalies/forecasts.py).
    leak_span: timedelta = timedelta(hours=3)
    fill_span: timedelta = timedelta(hours=6)
    restarts_warning: int = 5
    restarts_critical: int = 20
    restarts_window: timedelta = timedelta(hours=1)
    tables: tuple[str, ...] = TABLES
    # What is declared of single tables.
    table_by_name: Mapping[str, TableOrders] = field(default_factory=dict)
    growth_limit: int = 1_000_000
    growth_window: timedelta = timedelta(hours=2)
    growth_steady: int = 100_000
    flow_stall: timedelta = timedelta(minutes=15)
    # Whether hours in which a table is quieter by its own past have a longer limit, where it has none of its own.
    learned_quiet_hours: bool = True
    # Of Postgres' connections, and of its transaction ids, in percent; and how long one of its sessions may take.
    connections: float = 90.0
    transaction: timedelta = timedelta(hours=6)
    idle_transaction: timedelta = timedelta(minutes=30)
    lock_wait: timedelta = timedelta(minutes=5)
    standby_lag: timedelta = timedelta(minutes=10)
    xid_warning: float = 50.0
    xid_critical: float = 80.0
    groups: tuple[str, ...] = GROUPS
    # Groups whose channels are set: one that falls silent is missed. The others' channels come and go.
    cemented: tuple[str, ...] = ("MILO",)
    epoch_length: timedelta = timedelta(hours=1)
    epoch_grace: timedelta = timedelta(minutes=15)
    seal_warning: timedelta = timedelta(hours=2)
    seal_critical: timedelta = timedelta(hours=4)
    # Whether what is unusual by the system's own past is warned of, or only in the report.
    learned_warnings: bool = True
    disks: tuple[str, ...] = ("/",)
    # What is declared of single disks.
    disk_by_name: Mapping[str, DiskOrders] = field(default_factory=dict)
    disk_warning: float = 70.0
    disk_critical: float = 80.0
    host_memory: int = 200_000_000
    # How busy the host, and an instance of a service, may be for how long; None: not judged. Percent, and load a core.
    host_cpu: float | None = None
    host_load: float | None = None
    host_swap: float | None = None
    service_cpu: float | None = None
    service_cpu_by_name: Mapping[str, float] = field(default_factory=dict)
    busy_for: timedelta = timedelta(minutes=15)
    # Percent of maxmemory.
    redis_memory: float = 90.0
    queues: tuple[str, ...] = ()
    queue_waiting: int = 5000
    queue_failed: int = 50
    queue_window: timedelta = timedelta(hours=1)
    queue_stall: timedelta = timedelta(hours=1)
    # How long a job may wait; None: however long.
    queue_oldest: timedelta | None = None
    queue_prefix: str = "bull"
    # What is declared of single queues.
    queue_by_name: Mapping[str, QueueOrders] = field(default_factory=dict)
    # The checks of the operator's own, by name.
    checks: Mapping[str, CheckOrder] = field(default_factory=dict)
    # A cycle that begins later than this after it was due is late; a longer silence between readings was blind.
    late_after: timedelta = timedelta(seconds=90)
    # The settings of subjects that declare their own, without their secrets, as JSON (monitord/core/subjects/base.py).
    by_subject: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    probes: frozenset[str] = frozenset({"pm2", "postgres", "epochs", "redis", "host"})
    # How a person's shell gets there: "pm2" -> its home where that is not ~/.pm2, "postgres" and "redis" -> a command.
    places: Mapping[str, str] = field(default_factory=dict)
    # Services that are called what would otherwise be a shell pattern: written so, they alone are meant.
    exact_names: frozenset[str] = frozenset()
    # The fields above that hold a default which nobody named: it applies where it is there (history/defaults.py).
    unnamed: frozenset[str] = frozenset()

    def growth_limit_of(self, table: str) -> int:
        return _own(self._table(table).growth_limit, self.growth_limit)

    def growth_window_of(self, table: str) -> float:
        return (self._table(table).growth_window or self.growth_window).total_seconds()

    def growth_steady_of(self, table: str) -> int:
        return _own(self._table(table).growth_steady, self.growth_steady)

    def flow_stall_of(self, table: str) -> HourlyLimit:
        return hourly(self._table(table).flow_stall or {OTHERWISE: self.flow_stall}, self.flow_stall)

    def _table(self, name: str) -> TableOrders:
        return self.table_by_name.get(name, _AS_ANY_TABLE)

    def disk_limits(self, path: str) -> tuple[float, float]:
        declared = self.disk_by_name.get(path, _AS_ANY_DISK)
        return _own(declared.warning, self.disk_warning), _own(declared.critical, self.disk_critical)

    def queue_limit(self, queue: str) -> int:
        return _own(self._queue(queue).waiting, self.queue_waiting)

    def failed_limit(self, queue: str) -> int:
        return _own(self._queue(queue).failed, self.queue_failed)

    def stall_limit(self, queue: str) -> float:
        """For how many seconds none of a queue's jobs may finish, while there are any."""
        return (self._queue(queue).stall or self.queue_stall).total_seconds()

    def oldest_limit(self, queue: str) -> float | None:
        """For how many seconds a job may wait in a queue; None: however long."""
        limit = self._queue(queue).oldest or self.queue_oldest
        return None if limit is None else limit.total_seconds()

    def _queue(self, name: str) -> QueueOrders:
        return self.queue_by_name.get(name, _AS_ANY_QUEUE)

    def prefix_of(self, queue: str) -> str:
        return self._queue(queue).prefix or self.queue_prefix

    def workers_of(self, queue: str) -> tuple[str, ...]:
        """The services that work a queue off, as shell patterns; none where nobody declared any."""
        return _own(self._queue(queue).worker, SEED_WORKERS.get(queue, ()))

    def cpu_limit(self, service: str) -> float | None:
        """The most of a processor that an instance of `service` may take, in percent; None: not judged."""
        return _own(self._service(service).cpu, self.service_cpu_by_name.get(service, self.service_cpu))

    @property
    def limits_cpu(self) -> bool:
        if self.service_cpu is not None or self.service_cpu_by_name:
            return True
        return any(declared.cpu is not None for declared in self.service_by_name.values())

    def busy_for_of(self, service: str) -> float:
        return (self._service(service).busy_for or self.busy_for).total_seconds()

    def errors_of(self, service: str) -> float | Literal["off"] | None:
        """How many error lines a minute a service may write; None: as many as it is used to."""
        return self._service(service).errors

    def limits_of_numbers(self, service: str) -> Mapping[str, NumberOrders]:
        """The limits of the numbers that a service tells of itself; of those that are judged of every service, too."""
        own, every = self.number_limits.get(service), self.number_limits.get(EVERYTHING, {})
        if own is None:
            return every
        named = set(map(same_number, own)) if every else ()
        return {**own, **{name: limits for name, limits in every.items() if same_number(name) not in named}}

    def memory_limit(self, service: str) -> int:
        return _own(self._service(service).memory, self.service_memory_by_name.get(service, self.service_memory))

    def restart_limits(self, service: str) -> tuple[int, int]:
        """How many automatic restarts within `restarts_window` are warned of when passed, and how many are critical."""
        declared = self._service(service)
        own = declared.restarts_warning, declared.restarts_critical
        return _own(own[0], self.restarts_warning), _own(own[1], self.restarts_critical)

    def startup_grace_of(self, service: str) -> float:
        """For how many seconds after its start a service need not be up."""
        return _own(self._service(service).startup_grace, self.startup_grace).total_seconds()

    def event_loop_latency_of(self, service: str) -> float:
        """By how many milliseconds one tick in twenty of a service's event loop may be late."""
        return (self._service(service).event_loop_latency or self.event_loop_latency).total_seconds() * 1000

    def heap_limits(self, service: str) -> tuple[float, float]:
        """How much of its heap a service may use, in percent, and for how many seconds more than that."""
        declared = self._service(service)
        span = _own(declared.heap_span, self.heap_span)
        return _own(declared.heap_full, self.heap_full), span.total_seconds()

    def _service(self, name: str) -> ServiceOrders:
        return self.service_by_name.get(name, _AS_ANY_SERVICE)
