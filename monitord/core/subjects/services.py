"""Judgement of services: present, in their expected state, alive for the kernel, run as often as usual."""

from collections.abc import Iterator, Mapping
from shlex import quote
from typing import Final

from monitord.core import humanize
from monitord.core.dependencies import builds_trees, fed, sealed
from monitord.core.history.model import History
from monitord.core.history.periodic import expected, rhythm_of
from monitord.core.history.process_model import Process
from monitord.core.history.process_states import FROZEN, UP, WAITING, allowed, fits
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Severity, Unknown
from monitord.core.orders import Expected, StandingOrders
from monitord.core.subjects import apps, fleet
from monitord.core.subjects.app_limits import APP_NUMBER
from monitord.core.subjects.base import NONE, ActionKind, EpochImpact, Impact, RecoveryContext, Replaces, investigated
from monitord.core.subjects.busy import SERVICE_CPU_HIGH
from monitord.core.subjects.errors import ERRORS_RISING
from monitord.core.subjects.memory import SERVICE_MEMORY_HIGH, SERVICE_MEMORY_LEAK
from monitord.core.subjects.pm2_report import SERVICES_ONLINE
from monitord.core.subjects.restarts import SERVICE_RESTART_LOOP, SERVICE_UNSTABLE

_LOST = "PM2 has lost its whole list"
_STATE_WORDS = dict.fromkeys(WAITING, "waiting for PM2 to restart it")


def service_down(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that is not in its expected state."""
    now = observation.now.timestamp()
    for name, wanted, processes in fleet.unsettled(history, orders):
        if wanted is None and not _gave_up(processes, orders):
            continue
        if not processes and _is_lost(name, history, now):
            yield Unknown("service_down", name, _LOST)
            continue
        wanted = wanted or "online"
        judged = [(process, fits(process, wanted, now)) for process in processes.values()]
        wrong = [process for process, fit in judged if fit is False]
        if processes and not wrong:
            if any(fit is None for _, fit in judged):
                yield Unknown("service_down", name, "on its way from one state to another")
            continue
        if _starting(name, processes, history, orders, now):
            yield Unknown("service_down", name, "within the startup grace")
            continue
        another_lives = any(process.state == "online" for process in processes.values() if process not in wrong)
        faces_users = fleet.faces_users(name, orders)
        state = wrong[0].state if wrong else "missing"
        how_many = f" ({len(wrong)} of {len(processes)} instances)" if len(processes) > 1 else ""
        summary = (
            f"{name} is {_STATE_WORDS.get(state, state)}{how_many}; "
            f"it is expected to be {_wanted(wanted)}.{_why(wrong, now)}"
        )
        evidence = {
            "instances": {key: process.state for key, process in processes.items()},
            "exit_codes": [process.exit_code for process in wrong if process.exit_code is not None],
            "user_facing": faces_users,
        }
        severity: Severity = "warning" if another_lives and not faces_users else "critical"
        began = min((process.since for process in wrong if process.since is not None), default=None)
        advice, by_hand = _advice(name, state, wanted), _is_by_hand(name, history)
        yield Finding(
            "service_down", name, severity, state, wanted, "", summary, evidence, advice, by_hand=by_hand, began=began
        )


def _advice(name: str, state: str, wanted: Expected) -> str:
    if state == "errored":
        return f"PM2 has given up on {name}: read its error log, then restart it."
    if state in WAITING:
        return f"Read the end of {name}'s error log: it died, and PM2 restarts it after its restart delay."
    if state in ("stopping", "launching"):
        return f"PM2 does not get {name} out of {state}: check its log and its process, and PM2's own log."
    did = f"started {name} before stopping" if wanted == "stopped" else f"left {name} {state} before starting"
    return f"Find out who or what {did} it again (pm2 describe {quote(name)})."


def _is_by_hand(name: str, history: History) -> bool:
    service = history.services.get(name)
    return service is not None and service.by_hand


def _is_lost(name: str, history: History, now: float) -> bool:
    """Whether a service is gone with PM2's whole list, which has an alert of its own from the second check on."""
    last = history.fleet_restart
    return last is not None and last.is_empty and name in last.left_behind and now > last.seen_at


def _gave_up(processes: Mapping[str, Process], orders: StandingOrders) -> bool:
    """Whether PM2 had given up on a service before it was ever seen online: no roster is needed to call that wrong."""
    return not orders.services and any(process.state == "errored" for process in processes.values())


def _wanted(wanted: Expected) -> str:
    return "online or stopped" if wanted == "periodic" else wanted


def _why(wrong: list[Process], now: float) -> str:
    stuck = next(((process, limit) for process in wrong if (limit := allowed(process)) is not None), None)
    if stuck is not None:
        process, (setting, seconds) = stuck
        lasts = f" for {humanize.duration(now - process.since)}" if process.since is not None else ""
        return f" It has been {process.state}{lasts}; its {setting} is {humanize.duration(seconds)}."
    if any(process.state == "errored" for process in wrong):
        code = next((process.exit_code for process in wrong if process.exit_code is not None), None)
        return " PM2 has given up restarting it" + (f" (last exit code {code})." if code is not None else ".")
    if any(process.given_up for process in wrong):
        return " PM2 has given up restarting it, whatever it calls it."
    failed = next(
        (process for process in wrong if process.signal or (process.exit_code and not process.autorestart)), None
    )
    if failed is not None:
        return (
            f" Its last run ended {f'by {failed.signal}' if failed.signal else f'with exit code {failed.exit_code}'}."
        )
    return ""


def _starting(
    name: str, processes: Mapping[str, Process], history: History, orders: StandingOrders, now: float
) -> bool:
    """Whether a boot, a deployment or a start by hand is so recent that a service may still be on its way up."""
    grace = orders.startup_grace_of(name)
    if grace <= 0:
        return False
    host = history.reading("host")
    starts = [host.number("boot_at") if host else None, history.fleet_restart.at if history.fleet_restart else None]
    starts += [process.created_at for process in processes.values()]
    return any(at is not None and 0 <= now - at < grace for at in starts)


def service_missing(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service of the roster that PM2 does not know at all."""
    now = observation.now.timestamp()
    for name, wanted, processes in fleet.unsettled(history, orders):
        if wanted is None or processes:
            continue
        if _is_lost(name, history, now):
            yield Unknown("service_missing", name, _LOST)
            continue
        learned = "" if orders.services else " It was seen online before."
        last = history.fleet_restart
        is_left_behind = last is not None and name in last.left_behind and last.kind != "deleted"
        if last is not None and is_left_behind:
            back = "The machine came up" if last.kind == "reboot" else "PM2 came back"
            learned = f" {back} at {humanize.clock(last.at)} without it: PM2's saved list is incomplete."
        summary = f"{name} is not in PM2's list; it is expected to be {_wanted(wanted)}.{learned}"
        evidence = {
            "in_pm2": sorted(n for n, service in history.services.items() if service.lives),
            "left_behind": is_left_behind,
        }
        advice = (
            f"Start {name} from its ecosystem file, then run pm2 save, so that PM2 brings it back the next time."
            if is_left_behind
            else f"Start {name} again if it went by mistake (pm2 resurrect, or its ecosystem file); if it was "
            "retired or renamed, change the standing orders."
        )
        service, by_hand = history.services.get(name), _is_by_hand(name, history)
        gone = None if service is None else service.gone_at
        yield Finding(
            "service_missing", name, "critical", "missing", wanted, "", summary, evidence, advice, (), by_hand, gone
        )


def service_unexpected(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that PM2 runs and a roster does not name."""
    if not orders.services:
        return
    for name, wanted, processes in fleet.unsettled(history, orders):
        if wanted is None and processes:
            summary = f"{name} runs under PM2 and is not in the standing orders."
            evidence = {"instances": {key: process.state for key, process in processes.items()}}
            advice = f"Add {name} to MONITORD_ORDERS__SERVICES if it belongs, or find out who started it."
            value = next(iter(processes.values())).state
            yield Finding("service_unexpected", name, "warning", value, None, "", summary, evidence, advice)


def service_overdue(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that comes and goes, and has not come for far longer than usual."""
    now = observation.now.timestamp()
    for name, wanted, processes in fleet.unsettled(history, orders):
        service = history.services.get(name)
        if wanted != "periodic" or service is None:
            continue
        if any(process.state in UP for process in processes.values()):
            yield Clear("service_overdue", name)
            continue
        usual = rhythm_of(name, service, orders)
        if not processes or usual is None or service.runs is None:
            yield Unknown(
                "service_overdue", name, "not in PM2's list" if not processes else "its rhythm is not known yet"
            )
            continue
        rested = service.runs.rested(now)
        if rested <= usual.limit:
            yield Clear("service_overdue", name)
            continue
        state = next(iter(processes.values())).state
        last = service.runs.last
        began = f"its last run began at {humanize.moment(last, now)}" if last is not None else "no run of it was seen"
        summary = (
            f"{name} has not run for {humanize.duration(rested)}: {began}, and by {usual.source} it runs "
            f"every {humanize.duration(usual.every)}{' at the longest' if usual.is_uneven else ''}."
        )
        evidence = {
            "state": state,
            "last_began_at": humanize.clock(last) if last is not None else None,
            "rhythm_seconds": round(usual.every),
            "rhythm_by": usual.source,
            "runs_seen": sum(day.gaps for day in service.runs.days) + (last is not None),
        }
        advice = (
            f"Find out what begins {name}, and why it does not (pm2 describe {quote(name)}; whose cron, or "
            f"schedule?). If it is to rest, say so: monitord forget {quote(name)}, or stopped in the orders."
        )
        value = int(rested)
        yield Finding("service_overdue", name, "warning", value, int(usual.limit), "seconds", summary, evidence, advice)


def service_frozen(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that is online for PM2 while the kernel says its process does not run."""
    for name, _, processes in fleet.unsettled(history, orders):
        frozen = {
            key: process
            for key, process in processes.items()
            if process.state == "online" and process.process in FROZEN
        }
        if not frozen:
            unreadable = any(process.state == "online" and process.process is None for process in processes.values())
            if unreadable:
                yield Unknown("service_frozen", name, "the kernel's view of its process could not be read")
            continue
        kernel_state = next(iter(frozen.values())).process or ""
        summary = f"{name} is online for PM2, but its process is {FROZEN[kernel_state]} and does no work."
        evidence = {"instances": {key: process.process for key, process in frozen.items()}}
        advice = f"Find out who stopped {name}'s process; a SIGCONT wakes it, a restart replaces it."
        yield Finding("service_frozen", name, "critical", kernel_state, "running", "", summary, evidence, advice)


def _runs_in_part(alert: Alert) -> bool:
    instances = alert.finding.evidence.get("instances")
    return isinstance(instances, Mapping) and "online" in instances.values()


def _on_fleet_of_down(alert: Alert, orders: StandingOrders) -> str:
    if _runs_in_part(alert):
        return fleet.impact_of_dead(alert, orders, "may be missing in part: others of its instances live")
    return fleet.impact_of_dead(alert, orders)


def _on_epochs_of_down(alert: Alert, orders: StandingOrders) -> EpochImpact:
    if not _runs_in_part(alert):
        return fleet.epoch_impact_of_dead(alert, orders)
    service, late = alert.subject, "at most slower: others of its instances live"
    return (
        late if fed(service, orders) else NONE,
        late if sealed(service, orders) else NONE,
        late if fleet.faces_users(service, orders) or builds_trees(service, orders) else NONE,
    )


def _runs_now(alert: Alert, at: RecoveryContext) -> str | None:
    state = fleet.state_now(alert, at)
    return None if state is None else f"{state.rstrip('.')}, and its process runs."


def _is_given_up(stronger: Finding, weaker: Finding) -> bool:
    """Whether PM2 gave up: a loop that goes on consists of being down. A warning replaces nothing critical."""
    return stronger.value == "errored" and (stronger.severity == "critical" or weaker.severity == "warning")


def _restart_where_given_up(alert: Alert) -> ActionKind | None:
    """What to do about a service that is down: where PM2's own restart has failed, it is to be restarted."""
    return "restart_service" if alert.finding.value == "errored" else investigated(alert)


SERVICE_FROZEN = fleet.of_service(
    severities=("critical",),
    evaluate=service_frozen,
    members=fleet.all_of_them,
    replaces=(Replaces(apps.EVENT_LOOP_BLOCKED),),
    dead_services=fleet.itself,
    runbook=(
        'ps -o pid,stat,wchan:20,etime,args -p "$({pm2} pid {name})"',
        "{pm2} logs {name} --lines 50 --nostream",
        "dmesg --ctime | tail -n 20",
    ),
    impact=fleet.DEAD,
    blocking=fleet.blocks_work,
    recovered=_runs_now,
    criterion=SERVICES_ONLINE.name,
)
SERVICE_UNEXPECTED = fleet.of_service(
    evaluate=service_unexpected, absent="clear", recovered=lambda alert, at: fleet.state_now(alert, at, again="")
)
SERVICE_OVERDUE = fleet.of_service(
    evaluate=service_overdue,
    runbook=(
        "{pm2} describe {name}",
        "{pm2} logs {name} --lines 50 --nostream",
        "crontab -l; systemctl list-timers --all",
    ),
    impact=Impact(lambda alert, _: f"what {alert.subject} does in its runs is not done", fleet.epoch_impact_of_dead),
    recovered=fleet.state_now,
    criterion=SERVICES_ONLINE.name,
)
# While a service is gone or down nothing else is found of it.
_HIDDEN: Final = (
    SERVICE_FROZEN,
    SERVICE_MEMORY_HIGH,
    SERVICE_MEMORY_LEAK,
    SERVICE_RESTART_LOOP,
    *apps.RULES,
    APP_NUMBER,
)
SERVICE_DOWN = fleet.of_service(
    severities=("warning", "critical"),
    evaluate=service_down,
    members=expected,
    replaces=(Replaces(SERVICE_RESTART_LOOP, when=_is_given_up), Replaces(SERVICE_OVERDUE)),
    succeeds=_HIDDEN,
    roles=frozenset({"service", "roster"}),
    dead_services=fleet.itself,
    host_may_cause=lambda finding: finding.value == "errored",
    recommend=_restart_where_given_up,
    impact=Impact(_on_fleet_of_down, _on_epochs_of_down),
    blocking=fleet.blocks_work,
    recovered=fleet.state_now,
    criterion=SERVICES_ONLINE.name,
)
SERVICE_MISSING = fleet.of_service(
    severities=("critical",),
    evaluate=service_missing,
    members=expected,
    replaces=(Replaces(SERVICE_DOWN), Replaces(SERVICE_OVERDUE)),
    succeeds=_HIDDEN,
    roles=frozenset({"service", "roster"}),
    dead_services=fleet.itself,
    runbook=("{pm2} status", fleet.PM2_LOG, "ls -l {home}/dump.pm2"),
    impact=fleet.DEAD,
    blocking=fleet.blocks_work,
    recovered=fleet.state_now,
    criterion=SERVICES_ONLINE.name,
)
RULES = (
    SERVICE_MISSING,
    SERVICE_DOWN,
    SERVICE_OVERDUE,
    SERVICE_UNEXPECTED,
    SERVICE_RESTART_LOOP,
    SERVICE_UNSTABLE,
    SERVICE_FROZEN,
    SERVICE_MEMORY_HIGH,
    SERVICE_MEMORY_LEAK,
    SERVICE_CPU_HIGH,
    *apps.RULES,
    APP_NUMBER,
    ERRORS_RISING,
)
