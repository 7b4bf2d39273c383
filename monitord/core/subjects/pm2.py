"""Judgement of PM2 itself: away, or come back without its list."""

from collections.abc import Mapping
from shlex import quote

from monitord.core import humanize
from monitord.core.anomalies.forecasts import update_memory
from monitord.core.copying import replace
from monitord.core.history.error_lines import update_errors
from monitord.core.history.model import History
from monitord.core.history.process_model import Process, ServiceHistory
from monitord.core.history.process_states import PASSING, next_settling
from monitord.core.history.processes import update_fleet
from monitord.core.latest import latest
from monitord.core.model import Alert, Finding, Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects import pm2_report, pm2_status, services
from monitord.core.subjects.app_limits import untold_numbers, update_told
from monitord.core.subjects.base import Answer, RecoveryContext, Replaces, Rule, Subject, Updated, of_one
from monitord.core.subjects.busy import update_services
from monitord.core.subjects.fleet import PM2_LOG
from monitord.core.subjects.named_limits import LIMITS_OF_NOTHING
from monitord.core.subjects.servers import unreachable


@of_one("pm2")
def pm2_empty(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """PM2 itself was restarted and nothing of the fleet is in its list."""
    last = history.fleet_restart
    if last is None or not last.is_empty or not last.left_behind:
        return None
    names = humanize.listed(list(last.left_behind), most=8)
    what, when = humanize.plural(len(last.left_behind), "service"), humanize.clock(last.at)
    lost = f"it runs none of the {what} it is expected to run ({names})"
    is_deleted = last.kind == "deleted"
    summary = (
        f"Everything was deleted from PM2's list, by {when}: {lost}."
        if is_deleted
        else f"PM2 was restarted with an empty list, at {when}: {lost}. Nobody deleted them."
    )
    evidence = {"left_behind": list(last.left_behind), "at": when, "kind": last.kind}
    advice = (
        "If that was a mistake, run pm2 resurrect, or start the services from their ecosystem file."
        if is_deleted
        else "Run pm2 resurrect, and pm2 save once all is back. Where PM2 was killed, the processes of before may "
        "still run without it: end those first, or they run twice."
    )
    return Finding("pm2_empty", "pm2", "critical", "empty", None, "", summary, evidence, advice, began=last.at)


def _has_lost_its_list(history: History) -> str:
    last = history.fleet_restart
    return "it answers, and has lost its list" if last is not None and last.is_empty else ""


def _left_behind(alert: Alert) -> tuple[str, ...]:
    """All that a PM2 without its list runs no more."""
    names = alert.finding.evidence.get("left_behind")
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def _as_expected(at: RecoveryContext) -> str:
    return f"{pm2_status.standing_of(at.report).words}."


PM2_UNREACHABLE = unreachable(
    "pm2_unreachable",
    "pm2",
    "PM2",
    blocks=lambda _: "the services",
    not_there="There is no PM2 in the home that is watched: does it run, as the same user, is MONITORD_PM2__HOME "
    "right? Do not ask it by pm2 ls, which would start an empty one.",
    is_lost=_has_lost_its_list,
    # `pm2 status` would start a PM2 where none runs, and hide what happened.
    runbook=(PM2_LOG, "pgrep -af 'PM2 v'", "ls -l {home}"),
    recovered=lambda _, at: f"PM2 answers again: {_as_expected(at)}",
)
PM2_EMPTY = Rule(
    probe="pm2",
    severities=("critical",),
    evaluate=pm2_empty,
    of_server=True,
    replaces=(Replaces(PM2_UNREACHABLE, continues=True),),
    dead_services=_left_behind,
    runbook=("{pm2} status", PM2_LOG, "ls -l {home}/dump.pm2"),
    recovered=lambda _, at: f"PM2 has its list again: {_as_expected(at)}",
    criterion=pm2_report.SERVICES_ONLINE.name,
)
RULES = (PM2_EMPTY, PM2_UNREACHABLE, LIMITS_OF_NOTHING)


def _update(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    history, events = update_fleet(history, reading, before if history.services else None, now, orders)
    if (errors := update_errors(history.errors, reading, now, orders, history.services)) is not history.errors:
        history = replace(history, errors=errors)
    return Updated(history, tuple(events))


def _update_for_rules(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> Updated:
    history = update_services(update_memory(history, now, orders), now, orders)
    return Updated(update_told(history, now, orders))


def _settles(history: History, orders: StandingOrders, now: float) -> float | None:
    """In how many seconds a process on its way up or down must have arrived (None: none is, or PM2 cannot be read)."""
    if history.reading("pm2") is None:
        return None
    passing = _passing(history.services, orders)
    return next_settling(passing, now) if passing else None


@latest
def _passing(services: Mapping[str, ServiceHistory], _: StandingOrders) -> list[Process]:
    return [p for service in services.values() for p in service.lives.values() if p.state in PASSING]


def _forget(name: str, history: History, orders: StandingOrders) -> History | None:
    """The history without a service that was learned; while it still runs it is remembered, and not expected."""
    if orders.services or name not in history.roster:
        return None
    kept = {other: service for other, service in history.services.items() if other != name or service.lives}
    roster = {other: wanted for other, wanted in history.roster.items() if other != name}
    last = history.fleet_restart
    if last is not None and name in last.left_behind:
        last = replace(last, left_behind=tuple(other for other in last.left_behind if other != name))
    return replace(history, services=kept, roster=roster, fleet_restart=last)


def _runbook_words(alert: Alert, orders: StandingOrders) -> Mapping[str, str]:
    home = orders.places.get("pm2")
    return {
        "home": "~/.pm2" if home is None else quote(home),
        "pm2": "pm2" if home is None else f"PM2_HOME={quote(home)} pm2",
    }


PM2 = Subject(
    "pm2",
    "PM2",
    server="pm2",
    rules=(*RULES, *services.RULES),
    update=_update,
    update_for_rules=_update_for_rules,
    members="services",
    member="service",
    readings="the services under PM2",
    undetermined=lambda history, orders, _: () if history.reading("pm2") is None else untold_numbers(history, orders),
    status=(pm2_status.STATUS,),
    metrics=pm2_status.METRICS,
    perfdata=pm2_status.perfdata,
    section=pm2_status.section,
    report=pm2_report.services,
    report_parts=(pm2_report.SERVICE_REPORTS,),
    criteria=pm2_report.CRITERIA,
    rollups=pm2_status.ROLLUPS,
    heading="Services",
    standing=pm2_status.standing_of,
    has_bus=True,
    settles=_settles,
    keeps_samples=False,  # the fleet is kept as processes
    learns=True,
    forget=_forget,
    runbook_words=_runbook_words,
    limits={
        "services": "what each service is to be",
        "user_facing": "the services that people notice at once",
        "startup_grace": "how long after a boot or a deployment a service may be down",
        "restarts_warning": "automatic restarts within the window, past which is a warning",
        "restarts_critical": "the same, past which is critical",
        "restarts_window": "the window in which restarts are counted",
        "service_memory": "the most memory a service may use",
        "service_memory_by_name": "the most memory one service may use",
        "leak_span": "how long memory must have been seen to rise",
        "service_cpu": "the most of a processor an instance may take",
        "service_cpu_by_name": "the most of a processor one service may take",
        "busy_for": "how long a processor may be busier than its limit",
        "event_loop_latency": "how late one tick in twenty of an event loop may be",
        "heap_full": "how much of its heap a Node app may use",
        "heap_span": "how long the heap may be fuller than that",
    },
    learned=pm2_status.learned,
    hint="Not watched: there is no PM2 home. MONITORD_PM2__HOME (or PM2_HOME) would add it.",
)
