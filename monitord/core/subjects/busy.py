"""Judgement of what is busy for long, the machine or a service: no fault unless somebody set a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from monitord.core import humanize
from monitord.core.history.measures import past_seconds, update_past, without
from monitord.core.history.model import History
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Reading, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import NOT_JUDGED, Answer, Impact, RecoveryContext, Rule, nothing, of_one
from monitord.core.subjects.fleet import fleet, of_service, state_now

_SERVICES: Final = "cpu/"
# The criterion of the report that the host is judged by.
HEALTHY: Final = "host_healthy"
UNTOLD: Final = "the kernel does not report it"


@dataclass(frozen=True, slots=True)
class _Busy:
    """One number of the host: how it is measured, its limit (None: not judged), and how it is written."""

    measure: Callable[[Reading], float | None]
    limit: Callable[[StandingOrders], float | None]
    said: Callable[[float], str]
    recommendation: str
    unit: str = "percent"


def load_per_core(load: float | None, cores: float | None) -> float | None:
    return None if load is None or not cores else round(load / cores, 2)


_MACHINE: Final = {
    "host_cpu_high": _Busy(
        lambda reading: reading.number("cpu"),
        lambda orders: orders.host_cpu,
        lambda value: f"The host's processors are {value:.0f}% busy",
        "Find which processes take them (top, pm2 monit), and whether there is more to do than usual.",
    ),
    "host_load_high": _Busy(
        lambda reading: load_per_core(reading.number("load5"), reading.number("cores")),
        lambda orders: orders.host_load,
        lambda value: f"The load of the host is {value:.2f} a core",
        "Find what runs or waits for disks (top, iostat -x): a high load with idle processors is slow storage.",
        unit="1",
    ),
    "host_swap_high": _Busy(
        lambda reading: reading.number("swap"),
        lambda orders: orders.host_swap,
        lambda value: f"The host's swap is {value:.0f}% used",
        "Find what was swapped out (smem, /proc/*/status: VmSwap), and give the host more memory or less to do.",
    ),
}


def update_machine(history: History, reading: Reading, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of the host: since when each is past its limit."""
    for name, busy in _MACHINE.items():
        limit = busy.limit(orders)
        value = None if limit is None else busy.measure(reading)
        if limit is None or value is not None:
            is_past = limit is not None and value is not None and value > limit
            history = update_past(history, name, now, is_past=is_past)
    return history


def update_services(history: History, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of PM2: since when each service takes more of a processor than it may."""
    known = [key for key in history.measures if key.startswith(_SERVICES)]
    if not known and not orders.limits_cpu:  # nearly always
        return history
    for name in known:
        if name.removeprefix(_SERVICES) not in history.services:
            history = without(history, name)
    for name, service in history.services.items():
        limit = orders.cpu_limit(name)
        used = [process.cpu for process in service.lives.values() if process.cpu is not None]
        is_past = limit is not None and max(used, default=0.0) > limit
        history = update_past(history, f"{_SERVICES}{name}", now, is_past=is_past)
    return history


def _of_machine(rule: str, busy: _Busy) -> Rule:
    @of_one("host", rule)
    def evaluate(observation: Observation, history: History, orders: StandingOrders) -> Answer:
        """Past a limit that somebody set, for as long as BUSY_FOR."""
        now, limit, reading = observation.now.timestamp(), busy.limit(orders), observation.readings["host"]
        if limit is None:
            return NOT_JUDGED
        value = busy.measure(reading)
        if value is None:
            return UNTOLD
        lasted = past_seconds(history, rule, "host", now)
        if value <= limit or lasted is None or lasted < orders.busy_for.total_seconds():
            return None
        summary = (
            f"{busy.said(value)}, past {limit:g}{'%' if busy.unit == 'percent' else ''}"
            f" for {humanize.duration(lasted)}."
        )
        evidence = {"lasted_seconds": lasted, "cores": reading.number("cores")}
        return Finding(rule, "host", "warning", value, limit, busy.unit, summary, evidence, busy.recommendation)

    def value_now(alert: Alert, at: RecoveryContext) -> str | None:
        reading = at.history.reading("host")
        value = None if reading is None else busy.measure(reading)
        return None if value is None else f"{busy.said(value)} now."

    return Rule(
        rule,
        "host",
        evaluate=evaluate,
        runbook=("top -b -n 1 | head -n 20", "uptime", "vmstat 1 5"),
        impact=Impact("what runs on this host is slower"),
        recovered=value_now,
        criterion=HEALTHY,
    )


def service_cpu_high(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service of which an instance takes more of a processor than somebody allowed, for as long as BUSY_FOR."""
    now = observation.now.timestamp()
    for name, _, processes in fleet(history, orders) if orders.limits_cpu else ():
        limit = orders.cpu_limit(name)
        if limit is None:
            continue
        used = [process.cpu for process in processes.values() if process.cpu is not None]
        if not used and any(process.state == "online" for process in processes.values()):
            yield Unknown("service_cpu_high", name, "PM2 did not report how busy it is")
            continue
        lasted = past_seconds(history, f"{_SERVICES}{name}", "pm2", now)
        if lasted is None or lasted < orders.busy_for_of(name):
            yield Clear("service_cpu_high", name)
            continue
        summary = (
            f"{name} has taken more than {limit:g}% of a processor for {humanize.duration(lasted)} "
            f"({max(used, default=0.0):.0f}% now)."
        )
        evidence = {"instances": {key: process.cpu for key, process in processes.items()}}
        advice = f"Check what {name} does: a loop that never waits, or more work than one process can do."
        value = round(max(used, default=0.0), 1)
        yield Finding("service_cpu_high", name, "warning", value, limit, "percent", summary, evidence, advice)


def _cpu_now(alert: Alert, at: RecoveryContext) -> str | None:
    service = at.history.services.get(alert.subject)
    used = [] if service is None else [process.cpu for process in service.lives.values() if process.cpu is not None]
    return f"{alert.subject} takes {max(used):.0f}% of a processor now." if used else state_now(alert, at)


MACHINE: Final = tuple(_of_machine(name, busy) for name, busy in _MACHINE.items())
SERVICE_CPU_HIGH = of_service(
    evaluate=service_cpu_high,
    runbook=("{pm2} describe {name}", "{pm2} logs {name} --lines 50 --nostream", "top -b -n 1 | head -n 20"),
    impact=Impact(lambda alert, _: f"{alert.subject} answers slower"),
    recovered=_cpu_now,
    blocking=nothing,
)
