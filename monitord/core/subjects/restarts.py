"""Judgement of services that PM2 restarts again and again: in a loop, or now and then for days."""

from collections.abc import Iterator

from monitord.core import humanize
from monitord.core.copying import replace
from monitord.core.history import restart_loops
from monitord.core.history.model import History
from monitord.core.history.processes import recent_restarts
from monitord.core.model import Alert, Finding, Judgement, Observation, RestartKind, Severity, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects import fleet, pm2_status
from monitord.core.subjects.base import Impact, RecoveryContext, always
from monitord.core.subjects.pm2_report import NO_RESTARTS

_LOOP_ADVICE: dict[RestartKind | None, str] = {
    None: "Read the end of {name}'s error log: restarting it again is what PM2 already does.",
    "memory": "Find out what {name} needs its memory for: it leaks, or its max_memory_restart is below what it needs.",
    "watch": "Find out what writes into the files that PM2 watches for {name}: its own logs or data are to be ignored "
    "(ignore_watch), and watch is not for production.",
}


def service_restart_loop(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """More automatic restarts within the window than the orders allow.

    An operator's restarts do not count, nor what went before PM2 gave up and somebody took it up again.
    """
    now, window = observation.now.timestamp(), orders.restarts_window.total_seconds()
    for name, _, processes in fleet.unsettled(history, orders):
        known = history.services.get(name)
        if known is None or not known.batches or not processes:  # what is gone dies no more
            continue
        service = restart_loops.since_given_up_ended(known)
        restarts = recent_restarts(service, now, window)
        warning, critical = orders.restart_limits(name)
        if restarts <= warning:
            continue
        loop = restart_loops.restart_loop_of(service, now, window)
        is_critical = restarts > critical
        summary = (
            f"{name} keeps {'being restarted' if loop.rule else 'dying'}: PM2 restarted it {restarts} times in the "
            f"last {humanize.duration(window)}, since {humanize.clock(loop.since)}{loop.why()}{loop.said()}."
        )
        lifetime = sum(process.restarts or 0 for process in processes.values())
        evidence = loop.evidence() | {"window_seconds": window, "lifetime_restarts": lifetime}
        advice = _LOOP_ADVICE.get(loop.rule, _LOOP_ADVICE[None]).format(name=name)
        severity: Severity = "critical" if is_critical else "warning"
        limit = critical if is_critical else warning
        yield Finding("service_restart_loop", name, severity, restarts, limit, "restarts", summary, evidence, advice)


def service_unstable(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that dies now and then, never often enough for a loop, and over a day too often: news once a day."""
    now, window = observation.now.timestamp(), orders.restarts_window.total_seconds()
    day = restart_loops.DAY_WINDOWS * window
    for name, _, processes in fleet.unsettled(history, orders):
        service = history.services.get(name)
        if service is None or not service.tallies or not processes:
            continue
        warning, _ = orders.restart_limits(name)
        limit = restart_loops.QUARTER_WINDOWS * warning
        found = restart_loops.unrest(service, now, window, warning)
        if found is None or found.apart <= limit:
            continue
        if recent_restarts(service, now, window) > warning:
            yield Unknown("service_unstable", name, "it dies so often now that it is a loop")
            continue
        loop = replace(restart_loops.restart_loop_of(service, now, window), kinds=found.kinds)
        loop = loop if loop.told else replace(loop, lifetimes=())  # of the last few they are not known
        summary = (
            f"{name} is restarted by PM2 again and again: {found.count} times "
            f"in the last {humanize.duration(day)}, "
            f"every {humanize.duration(found.every)} or so{loop.why()}{loop.said()}."
        )
        evidence = loop.evidence() | {"first_at": humanize.clock(found.first), "window_seconds": day}
        advice = _LOOP_ADVICE.get(loop.rule, _LOOP_ADVICE[None]).format(name=name)
        value = found.count
        yield Finding(
            "service_unstable", name, "warning", value, limit, "restarts", summary, evidence, advice, remind_every=day
        )


def _restarts_now(alert: Alert, at: RecoveryContext) -> str | None:
    service, state = at.report.of(pm2_status.STATUS).get(alert.subject), fleet.state_now(alert, at)
    restarts = None if service is None else service.restarts_recent
    window = humanize.duration(at.orders.restarts_window.total_seconds())
    if restarts is None or state is None:
        return state
    limit, _ = at.orders.restart_limits(alert.subject)
    return (
        f"{state.rstrip('.')}; {humanize.plural(restarts, 'restart')} in the last {window}, up to {limit} are expected."
    )


def _calm_now(alert: Alert, at: RecoveryContext) -> str | None:
    state = fleet.state_now(alert, at)
    calm = humanize.duration(restart_loops.CALM_WINDOWS * at.orders.restarts_window.total_seconds())
    return None if state is None else f"{state.rstrip('.')}; PM2 did not restart it for {calm}, or not often any more."


SERVICE_UNSTABLE = fleet.of_service(
    evaluate=service_unstable,
    members=fleet.all_of_them,
    host_may_cause=always,
    impact=Impact(
        lambda alert, _: f"{alert.subject} is away for a moment each time, and loses what it was at",
        fleet.epoch_impact_of_dead,
    ),
    recovered=_calm_now,
    criterion=NO_RESTARTS.name,
)
SERVICE_RESTART_LOOP = fleet.of_service(
    severities=("warning", "critical"),
    evaluate=service_restart_loop,
    members=fleet.all_of_them,
    roles=frozenset({"service", "restart_loop"}),
    dead_services=fleet.itself,
    host_may_cause=always,
    impact=fleet.DEAD,
    blocking=fleet.blocks_work,
    recovered=_restarts_now,
    criterion=NO_RESTARTS.name,
)
