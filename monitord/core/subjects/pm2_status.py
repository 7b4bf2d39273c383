"""How the services under PM2 stand: the status, and what is shown and counted of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.blocks import Block, Grid, Member, Paragraph, Plot, Style
from monitord.core.history.model import History
from monitord.core.history.periodic import expected
from monitord.core.history.process_states import standing
from monitord.core.history.processes import recent_restarts
from monitord.core.humanize import NOTHING, UNKNOWN, worded
from monitord.core.model import AUTOMATIC
from monitord.core.orders import Expected, StandingOrders
from monitord.core.series import RollupContext, RollupFamily, Values
from monitord.core.subjects import base
from monitord.core.subjects.app_limits import LIMIT_METRICS, NumberStatus, limits_said, number_statuses, value_said
from monitord.core.subjects.app_status import APP_METRICS, AppStatus, app_status
from monitord.core.subjects.errors import ERROR_METRICS, ErrorsStatus, errors_status, rate
from monitord.core.subjects.fleet import fleet, unsettled
from monitord.core.thresholds import threshold

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service. `ok` None: unknown; `app` None: it reports nothing; `errors` None: PM2's bus is not connected."""

    state: str | None
    expected: str | None
    memory_bytes: int | None
    cpu_percent: float | None
    uptime_seconds: float | None
    restarts_recent: int | None
    ok: bool | None
    instances: int | None
    app: AppStatus | None = None
    limits: Mapping[str, NumberStatus] = field(default_factory=dict)
    errors: ErrorsStatus | None = None


def _status(history: History, orders: StandingOrders, now: float) -> Mapping[str, ServiceStatus]:
    if "pm2" not in orders.probes:
        return {}  # the snapshot may know of services; nobody asked for them here
    roster = expected(history, orders)
    is_known = history.reading("pm2") is not None
    limits = number_statuses(history, orders) if is_known else {}
    return {
        name: _service(name, roster.get(name), history, orders, now, limits.get(name, {}), is_known=is_known)
        for name in sorted(roster.keys() | {n for n, s in history.services.items() if s.lives})
    }


def _service(
    name: str,
    wanted: Expected | None,
    history: History,
    orders: StandingOrders,
    now: float,
    limits: Mapping[str, NumberStatus],
    *,
    is_known: bool,
) -> ServiceStatus:
    service = history.services.get(name)
    processes = list(service.lives.values()) if service and is_known else []
    state: str | None = None
    ok: bool | None = None
    if is_known:
        state, ok = standing(processes, wanted, now, ordered=bool(orders.services))
    memory = [process.memory for process in processes if process.memory is not None]
    cpu = [process.cpu for process in processes if process.cpu is not None]
    started = [
        process.started_at for process in processes if process.started_at is not None and process.state == "online"
    ]
    window = orders.restarts_window.total_seconds()
    return ServiceStatus(
        state=state,
        expected=wanted,
        memory_bytes=int(max(memory)) if memory else None,
        cpu_percent=round(sum(cpu), 1) if cpu else None,
        uptime_seconds=round(max(0.0, now - max(started)), 1) if started else None,
        restarts_recent=recent_restarts(service, now, window) if service and is_known else None,
        ok=ok,
        instances=len(processes) if is_known else None,
        app=app_status(processes),
        limits=limits,
        errors=errors_status(name, history, orders) if is_known else None,
    )


STATUS: Final = base.StatusSection("services", Mapping[str, ServiceStatus], _status)


def _as_ordered(services: Mapping[str, ServiceStatus]) -> Mapping[str, float | None]:
    words = {"true": True, "false": False, "unknown": None}
    return {word: sum(service.ok is ok for service in services.values()) for word, ok in words.items()}


METRICS: Final = (
    base.MetricGroup[Mapping[str, ServiceStatus]](
        lambda report: {} if report.probes["pm2"].status == "off" else {"": report.of(STATUS)},
        (
            base.MetricFamily(
                "services", "How many services are as expected, are not, and are unknown.", _as_ordered, "as_ordered"
            ),
        ),
    ),
    base.MetricGroup[AppStatus](
        lambda report: {name: service.app for name, service in report.of(STATUS).items() if service.app is not None},
        APP_METRICS,
        label="service",
    ),
    base.MetricGroup[Mapping[str, NumberStatus]](
        lambda report: {name: service.limits for name, service in report.of(STATUS).items() if service.limits},
        LIMIT_METRICS,
        label="service",
    ),
    base.MetricGroup[ErrorsStatus](
        lambda report: {
            name: service.errors for name, service in report.of(STATUS).items() if service.errors is not None
        },
        ERROR_METRICS,
        label="service",
    ),
    base.metric_group(
        ServiceStatus,
        lambda report: report.of(STATUS),
        base.MetricFamily(
            "service_up",
            "Whether a service is online.",
            lambda service: None if service.state is None else service.state == "online",
        ),
        ("service_as_ordered", "Whether a service is as the standing orders want it.", "ok"),
        ("service_memory_bytes", "Memory of a service's biggest instance.", "memory_bytes"),
        ("service_cpu_ratio", "CPU of all instances of a service; 1 is one core.", "cpu_percent", base.ratio),
        ("service_uptime_seconds", "How long a service's youngest instance has been online.", "uptime_seconds"),
        ("service_restarts_recent", "Automatic restarts within RESTARTS_WINDOW.", "restarts_recent"),
        label="service",
    ),
)


def _names(context: RollupContext) -> list[str]:
    if "pm2" not in context.orders.probes:
        return []
    roster = expected(context.history, context.orders)
    return [name for name, _, processes in fleet(context.history, context.orders) if processes or name in roster]


def _as_expected(context: RollupContext) -> Values:
    """Whether each service is as it is expected to be: what the status says of it, without making that."""
    history, orders = context.history, context.orders
    is_known = history.reading("pm2") is not None
    found: dict[str, float | None] = dict.fromkeys(_names(context), True if is_known else None)
    for name, wanted, processes in unsettled(history, orders) if is_known else ():
        if name in found:
            _, found[name] = standing(
                list(processes.values()), wanted, history.at or 0.0, ordered=bool(orders.services)
            )
    return found


def _memory(context: RollupContext) -> Values:
    services = context.history.services if context.history.reading("pm2") is not None else {}
    found: dict[str, float | None] = {}
    for name in _names(context):
        most: float | None = None
        service = services.get(name)
        for process in () if service is None else service.lives.values():
            if process.memory is not None and (most is None or process.memory > most):
                most = process.memory
        found[name] = None if most is None else int(most)
    return found


def restarts(by: str) -> Callable[[RollupContext], Values]:
    """The automatic restarts of each service in a cycle, as this manager of processes made them."""

    def counted(context: RollupContext) -> Values:
        found = dict.fromkeys(_names(context) if context.history.reading("pm2") is not None else (), 0)
        for event in context.events:
            if event.by == by and event.kind in AUTOMATIC and event.service in found:
                found[event.service] += max(1, event.restarts)
        return found

    return counted


ROLLUPS: Final = (
    RollupFamily("as_expected", "uptime", "state", _as_expected),
    RollupFamily("restarts", "automatic restarts", "increase", restarts("pm2")),
    RollupFamily("memory", "memory", "level", _memory, humanize.size),
)
_NAGIOS_UNITS: Final = frozenset({"ms", "s", "us", "%", "B", "KB", "MB", "GB"})


def perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    found = report.of(STATUS)
    known = [service.ok for service in found.values() if service.ok is not None]
    well = sum(known) if report.probes["pm2"].status == "ok" else None
    yield base.PerfDatum("services_ok", well, minimum="0", maximum=str(len(found)))
    for name, service in found.items():
        yield base.PerfDatum(f"{name} memory", service.memory_bytes, "B", f"{orders.memory_limit(name)};", "0")
        limits = "{};{}".format(*orders.restart_limits(name))
        yield base.PerfDatum(f"{name} restarts", service.restarts_recent, limits=limits, minimum="0")
        for number, found_of_it in service.limits.items():
            given = (found_of_it.warning, found_of_it.critical)
            ranges = ";".join("" if limit is None else threshold(limit).range for limit in given)
            unit = found_of_it.unit if found_of_it.unit in _NAGIOS_UNITS else ""
            yield base.PerfDatum(f"{name} {number}", found_of_it.value, unit, ranges)


def standing_of(report: FleetStatus) -> base.Standing:
    found = report.of(STATUS)
    well = sum(1 for service in found.values() if service.ok)
    words = f"{well} of {len(found)} services are as expected" if found else "no services are watched"
    return base.Standing(well, len(found), words)


def style_of(service: ServiceStatus) -> Style:
    """How one is marked that no alert is about."""
    if service.ok is not None and any(number.value is None for number in service.limits.values()):
        return "unknown" if service.ok else "warning"
    return "unknown" if service.ok is None else "ok" if service.ok else "warning"


def section(context: base.SectionContext) -> Iterator[Block]:
    found = context.report.of(STATUS)
    if not found:
        if context.report.probes["pm2"].status == "ok":
            yield Paragraph("PM2 runs no services.")
        return
    rows = tuple(
        (
            context.severity(name) or style_of(service),
            (
                Member(name, "service", f" ×{service.instances}" if (service.instances or 0) > 1 else ""),
                service.state or UNKNOWN,
                service.expected or NOTHING,
                worded(humanize.size, service.memory_bytes, NOTHING),
                Plot("memory_small", name, "a mark under its line is a restart"),
                worded(humanize.duration, service.uptime_seconds, NOTHING),
                worded(humanize.count, service.restarts_recent, NOTHING),
                worded("{:.0f}%".format, service.cpu_percent, NOTHING),
            ),
        )
        for name, service in found.items()
    )
    window = humanize.duration(context.orders.restarts_window.total_seconds())
    caption = f"Memory is that of the largest instance; restarts are the automatic ones within {window}"
    header = ("Service", "State", "Expected", "Memory", "Of late", "Up for", "Restarts", "CPU")
    yield Grid(caption, header, rows, frozenset({3, 5, 6, 7}), (0, 1), (1, 3))
    limited = tuple(
        (
            "ok" if number.status == "ok" else "unknown" if number.value is None else context.severity(name) or "ok",
            (Member(name, "service"), called, value_said(number), limits_said(number)),
        )
        for name, service in found.items()
        for called, number in service.limits.items()
    )
    if limited:
        caption = "Numbers that apps tell of themselves, by the limits set for them"
        yield Grid(caption, ("Service", "Number", "Value", "Limits"), limited, flexible=(0, 1))
    writing = tuple(
        (
            context.severity(name) or "ok",
            (Member(name, "service"), rate(errors), worded("{:g}".format, errors.limit, NOTHING)),
        )
        for name, service in found.items()
        if (errors := service.errors) is not None and errors.per_minute
    )
    if writing:
        yield Grid("Lines that services write to stderr", ("Service", "Error lines", "Limit"), writing, frozenset({2}))


def learned(report: FleetStatus, orders: StandingOrders) -> Iterator[base.LearnedLimit]:
    """What services that nobody named are to be: as they were seen."""
    for name, service in report.of(STATUS).items():
        if service.expected and name not in orders.services:
            yield base.LearnedLimit(name, "what it is to be, as it was seen", service.expected)
