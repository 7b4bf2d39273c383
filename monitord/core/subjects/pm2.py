"""Judgement of PM2 itself: away, or come back without its list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from monitord.core import humanize
from monitord.core.anomalies.forecasts import update_memory
from monitord.core.history.model import History
from monitord.core.history.periodic import expected
from monitord.core.history.process_states import standing
from monitord.core.history.processes import recent_restarts, update_fleet
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Reading
from monitord.core.orders import Expected, StandingOrders
from monitord.core.subjects import services
from monitord.core.subjects.base import (
    MetricFamily,
    MetricGroup,
    PerfDatum,
    RecoveryContext,
    Replaces,
    Rule,
    StatusSection,
    Subject,
    Updated,
    ratio,
)
from monitord.core.subjects.fleet import PM2_LOG
from monitord.core.subjects.servers import unreachable


def pm2_empty(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """PM2 itself was restarted and nothing of the fleet is in its list."""
    last = history.fleet_restart
    if last is None or not last.is_empty or not last.left_behind:
        yield Clear("pm2_empty", "pm2")
        return
    names = humanize.listed(list(last.left_behind), most=8)
    what, when = humanize.plural(len(last.left_behind), "service"), humanize.clock(last.at)
    lost = f"it runs none of the {what} it is expected to run ({names})"
    is_deleted = last.kind == "deleted"
    yield Finding(
        rule="pm2_empty",
        subject="pm2",
        severity="critical",
        value="empty",
        limit=None,
        unit="",
        summary=(
            f"Everything was deleted from PM2's list, by {when}: {lost}."
            if is_deleted
            else f"PM2 was restarted with an empty list, at {when}: {lost}. Nobody deleted them."
        ),
        began=last.at,
        evidence={"left_behind": list(last.left_behind), "at": when, "kind": last.kind},
        recommendation=(
            "If that was a mistake, run pm2 resurrect, or start the services from their ecosystem file."
            if is_deleted
            else "Run pm2 resurrect, and pm2 save once all is back. Where PM2 was killed, the processes of before may "
            "still run without it: end those first, or they run twice."
        ),
    )


def _has_lost_its_list(history: History) -> str:
    last = history.fleet_restart
    return "it answers, and has lost its list" if last is not None and last.is_empty else ""


def _left_behind(alert: Alert) -> tuple[str, ...]:
    """All that a PM2 without its list runs no more."""
    names = alert.finding.evidence.get("left_behind")
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def _as_expected(at: RecoveryContext) -> str:
    services = at.report.services
    well = sum(1 for service in services.values() if service["ok"])
    return f"{well} of {len(services)} services are as expected."


def _answers_now(alert: Alert, at: RecoveryContext) -> str:
    return f"PM2 answers again: {_as_expected(at)}"


def _listed_now(alert: Alert, at: RecoveryContext) -> str:
    return f"PM2 has its list again: {_as_expected(at)}"


PM2_UNREACHABLE = unreachable(
    "pm2_unreachable",
    "pm2",
    "PM2",
    blocks=lambda _: "whether the services run",
    not_there="There is no PM2 in the home that is watched: does it run, as the same user, is MONITORD_PM2__HOME "
    "right? Do not ask it by pm2 ls, which would start an empty one.",
    is_lost=_has_lost_its_list,
    # `pm2 status` would start a PM2 where none runs, and hide what happened.
    runbook=(PM2_LOG, "pgrep -af 'PM2 v'", "ls -l {home}"),
    recovered=_answers_now,
)
PM2_EMPTY = Rule(
    name="pm2_empty",
    probe="pm2",
    severities=("critical",),
    evaluate=pm2_empty,
    of_server=True,
    replaces=(Replaces(PM2_UNREACHABLE, continues=True),),
    dead_services=_left_behind,
    runbook=("{pm2} status", PM2_LOG, "ls -l {home}/dump.pm2"),
    recovered=_listed_now,
    criterion="services_online",
)
RULES = (PM2_EMPTY, PM2_UNREACHABLE)


def _update(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    history, events = update_fleet(history, reading, before if history.services else None, now, orders)
    return Updated(update_memory(history, now, orders), tuple(events))


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service. `ok` is whether it is as expected (None: it cannot be told)."""

    state: str | None
    expected: str | None
    memory_bytes: int | None
    cpu_percent: float | None
    uptime_seconds: float | None
    restarts_recent: int | None
    ok: bool | None
    instances: int | None


def _status(history: History, orders: StandingOrders, now: float) -> Mapping[str, ServiceStatus]:
    if "pm2" not in orders.probes:
        return {}  # the snapshot may know of services; nobody asked for them here
    roster = expected(history, orders)
    is_known = history.reading("pm2") is not None
    return {
        name: _service(name, roster.get(name), history, orders, now, is_known=is_known)
        for name in sorted(roster.keys() | {n for n, s in history.services.items() if s.lives})
    }


def _service(
    name: str, wanted: Expected | None, history: History, orders: StandingOrders, now: float, *, is_known: bool
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
    )


def _watched(fields: Mapping[str, Any]) -> Any:
    return None if fields["probes"].get("pm2", {}).get("status") == "off" else fields["services"]


def _as_ordered(services: Mapping[str, Any]) -> Mapping[str, float | None]:
    words = {"true": True, "false": False, "unknown": None}
    return {word: sum(service["ok"] is ok for service in services.values()) for word, ok in words.items()}


METRICS = (
    MetricGroup(
        _watched,
        (
            MetricFamily(
                "services", "How many services are as expected, are not, and are unknown.", _as_ordered, "as_ordered"
            ),
        ),
    ),
    MetricGroup(
        _watched,
        (
            MetricFamily(
                "service_up",
                "Whether a service is online.",
                lambda service: None if service["state"] is None else service["state"] == "online",
            ),
            MetricFamily(
                "service_as_ordered",
                "Whether a service is as the standing orders want it.",
                lambda service: service["ok"],
            ),
            MetricFamily(
                "service_memory_bytes",
                "Memory of a service's biggest instance.",
                lambda service: service["memory_bytes"],
            ),
            MetricFamily(
                "service_cpu_ratio",
                "CPU of all instances of a service; 1 is one core.",
                lambda service: ratio(service["cpu_percent"]),
            ),
            MetricFamily(
                "service_uptime_seconds",
                "How long a service's youngest instance has been online.",
                lambda service: service["uptime_seconds"],
            ),
            MetricFamily(
                "service_restarts_recent",
                "Automatic restarts within RESTARTS_WINDOW.",
                lambda service: service["restarts_recent"],
            ),
        ),
        label="service",
    ),
)


def _perfdata(fields: Mapping[str, Any], orders: StandingOrders) -> Iterator[PerfDatum]:
    found = fields["services"]
    known = [service["ok"] for service in found.values() if service["ok"] is not None]
    well = sum(known) if fields["probes"]["pm2"]["status"] == "ok" else None
    yield PerfDatum("services_ok", well, minimum="0", maximum=str(len(found)))
    for name, service in found.items():
        yield PerfDatum(f"{name} memory", service["memory_bytes"], "B", f"{orders.memory_limit(name)};", "0")
        limits = f"{orders.restarts_warning};{orders.restarts_critical}"
        yield PerfDatum(f"{name} restarts", service["restarts_recent"], limits=limits, minimum="0")


PM2 = Subject(
    "pm2",
    "PM2",
    server="pm2",
    rules=(*RULES, *services.RULES),
    update=_update,
    members="services",
    member="service",
    readings="the services under PM2",
    status=(StatusSection("services", Mapping[str, ServiceStatus], _status),),
    metrics=METRICS,
    perfdata=_perfdata,
    hint="Not watched: there is no PM2 home. MONITORD_PM2__HOME (or PM2_HOME) would add it.",
)
