"""Judgement of the memory of services: past its limit, or rising towards it."""

import math
from collections.abc import Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.anomalies import forecasts, trends
from monitord.core.anomalies.trends import Outlook
from monitord.core.history.model import History
from monitord.core.latest import latest, latest_by
from monitord.core.model import Alert, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects import pm2_status
from monitord.core.subjects.base import NONE, EpochImpact, Impact, RecoveryContext, Replaces
from monitord.core.subjects.fleet import Member, all_of_them, faces_users, fleet, of_service, state_now
from monitord.core.subjects.pm2_report import MEMORY_STABLE

_UNTOLD: Final = "PM2 did not report its memory"
_latest_limit: Final = latest_by(StandingOrders.memory_limit)


def service_memory_high(observation: Observation, history: History, orders: StandingOrders) -> list[Judgement]:
    """A service of which an instance uses more memory than ordered."""
    return _past_limits(fleet(history, orders), orders)


@latest
def _past_limits(members: list[Member], orders: StandingOrders) -> list[Judgement]:
    found: list[Judgement] = []
    for name, _, processes in members:
        most = -math.inf
        for process in processes.values():
            memory = process.memory
            if memory is not None and memory > most:
                most = memory
        if most == -math.inf and any(process.state == "online" for process in processes.values()):
            found.append(Unknown("service_memory_high", name, _UNTOLD))
            continue
        limit = _latest_limit(orders, name)
        if most <= limit:
            continue
        summary = f"{name} uses {humanize.size(most)} of memory, past its limit of {humanize.size(limit)}."
        evidence = {"instances": {key: process.memory for key, process in processes.items()}}
        advice = f"A leak is possible: restart {name} if its memory keeps rising."
        found.append(
            Finding("service_memory_high", name, "warning", int(most), limit, "bytes", summary, evidence, advice)
        )
    return found


def service_memory_leak(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service of which an instance's memory rises so steadily that it will reach its limit."""
    now = observation.now.timestamp()
    members = fleet(history, orders)
    is_any = any(series.trend is not None for series in history.trends.values())
    for name, _, processes in members if is_any else _untold(members, orders):
        soonest: tuple[Outlook, float] | None = None
        unknown = is_past = False
        for instance, process in processes.items():
            if process.memory is None:
                unknown = unknown or process.state == "online"
                continue
            series = history.trends.get(forecasts.memory_key(name, instance)) if is_any else None
            if series is None or series.trend is None:
                continue
            terms = forecasts.memory_terms(orders, name)
            is_past = is_past or trends.is_past(series, terms)
            outlook = trends.outlook(series, now, terms)
            if outlook is not None and (soonest is None or outlook.seconds < soonest[0].seconds):
                soonest = outlook, process.memory
        if soonest is not None:
            yield _leak(name, *soonest, orders)
        elif is_past:
            yield Unknown("service_memory_leak", name, forecasts.PAST)
        elif unknown:
            yield Unknown("service_memory_leak", name, _UNTOLD)


@latest
def _untold(members: list[Member], orders: StandingOrders) -> list[Member]:
    """Those of which PM2 does not report the memory of every process."""
    return [member for member in members if any(process.memory is None for process in member[2].values())]


def _leak(name: str, outlook: Outlook, memory: float, orders: StandingOrders) -> Finding:
    limit = orders.memory_limit(name)
    summary = (
        f"{name}'s memory rises by {humanize.size(outlook.per_hour)} an hour ({forecasts.seen_for(outlook)}) "
        f"and would reach its limit of {humanize.size(limit)} {forecasts.reached(outlook)}."
    )
    value = round(outlook.per_hour)
    known = {"memory_bytes": int(memory), "limit_bytes": limit, "bytes_per_hour": value}
    advice = (
        f"Search {name}'s log first for what grew since the rise began, then check its queues, caches and open "
        f"connections, then take a heap snapshot. If the cause is not found, plan a restart of {name} "
        f"{forecasts.deadline(outlook)}."
    )
    evidence = known | forecasts.outlook_evidence(outlook)
    # Of a slope there is no limit: that of what rises is in the evidence.
    return Finding("service_memory_leak", name, "warning", value, None, "bytes/h", summary, evidence, advice)


def _on_epochs_of_memory(alert: Alert, orders: StandingOrders) -> EpochImpact:
    at_risk = "at risk when the process is ended for its memory"
    return NONE, NONE, at_risk if faces_users(alert.subject, orders) else NONE


def _memory_now(alert: Alert, at: RecoveryContext, steady: str = "") -> str | None:
    service = at.report.of(pm2_status.STATUS).get(alert.subject)
    if service is None or service.memory_bytes is None:
        return state_now(alert, at)
    used = service.memory_bytes
    limit = humanize.size(at.orders.memory_limit(alert.subject))
    return f"{alert.subject} uses {humanize.size(used)} of memory now{steady}; the limit is {limit}."


_MEMORY_RUNBOOK: Final = ("{pm2} describe {name}", "{pm2} logs {name} --lines 50 --nostream", "free -m")
_MEMORY: Final = Impact(
    lambda alert, _: f"{alert.subject} is at risk of being ended for its memory", _on_epochs_of_memory
)

SERVICE_MEMORY_LEAK = of_service(
    evaluate=service_memory_leak,
    members=all_of_them,
    runbook=_MEMORY_RUNBOOK,
    impact=_MEMORY,
    recovered=lambda alert, at: _memory_now(alert, at, ", and no longer rises steadily"),
    criterion=MEMORY_STABLE.name,
)
SERVICE_MEMORY_HIGH = of_service(
    evaluate=service_memory_high,
    members=all_of_them,
    replaces=(Replaces(SERVICE_MEMORY_LEAK),),
    recommend=lambda _: "restart_service",
    lasting=True,
    runbook=_MEMORY_RUNBOOK,
    impact=_MEMORY,
    recovered=_memory_now,
)
