"""Judgement of services: present, in their expected state, alive for the kernel, not looping, within their memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from shlex import quote
from typing import Final

from monitord.core import trends, words
from monitord.core.dependencies import builds_trees, fed, sealed, worked_off
from monitord.core.fleet import expected, recent_restarts, rhythm_of
from monitord.core.history import History, Life
from monitord.core.loops import CALM_WINDOWS, DAY_WINDOWS, QUARTER_WINDOWS, look_into, since_taken_up, unrest
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, RestartKind, Unknown
from monitord.core.orders import Expected, StandingOrders
from monitord.core.rules.base import (
    NONE,
    UNKNOWN,
    Impact,
    Now,
    OnEpochs,
    Replaces,
    Role,
    Rule,
    What,
    always,
    investigated,
)
from monitord.core.rules.trends import (
    PAST,
    deadline,
    memory_key,
    memory_terms,
    outlook_evidence,
    reached,
    seen_for,
)
from monitord.core.states import FROZEN, UP, WAITING, allowed, fits
from monitord.core.trends import Outlook

_LOOP_ADVICE: dict[RestartKind | None, str] = {
    None: "Read the end of {name}'s error log: restarting it again is what PM2 already does.",
    "memory": "Find out what {name} needs its memory for: it leaks, or its max_memory_restart is below what it needs.",
    "watch": "Find out what writes into the files that PM2 watches for {name}: its own logs or data are to be ignored "
    "(ignore_watch), and watch is not for production.",
}
_LOST = "PM2 has lost its whole list"
_STATE_WORDS = dict.fromkeys(WAITING, "waiting for PM2 to restart it")


def _fleet(history: History, orders: StandingOrders) -> Iterator[tuple[str, Expected | None, dict[str, Life]]]:
    """Every subject: the roster first, then whatever else PM2 runs (nothing expected of it)."""
    roster = expected(history, orders)
    for name in sorted(roster.keys() | history.services.keys()):
        service = history.services.get(name)
        yield name, roster.get(name), dict(service.lives) if service else {}


def service_down(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that is not in its expected state."""
    now = observation.now.timestamp()
    for name, wanted, lives in _fleet(history, orders):
        if wanted is None and not _gave_up(lives, orders):
            continue
        if not lives and _is_lost(name, history, now):
            yield Unknown("service_down", name, _LOST)
            continue
        wanted = wanted or "online"
        judged = [(life, fits(life, wanted, now)) for life in lives.values()]
        wrong = [life for life, fit in judged if fit is False]
        if lives and not wrong:
            if any(fit is None for _, fit in judged):
                yield Unknown("service_down", name, "on its way from one state to another")
            else:
                yield Clear("service_down", name)
            continue
        if _starting(lives, history, orders, now):
            yield Unknown("service_down", name, "within the startup grace")
            continue
        another_lives = any(life.state == "online" for life in lives.values() if life not in wrong)
        faces_users = name in orders.user_facing
        state = wrong[0].state if wrong else "missing"
        how_many = f" ({len(wrong)} of {len(lives)} instances)" if len(lives) > 1 else ""
        yield Finding(
            rule="service_down",
            subject=name,
            severity="warning" if another_lives and not faces_users else "critical",
            value=state,
            limit=wanted,
            unit="",
            summary=(
                f"{name} is {_STATE_WORDS.get(state, state)}{how_many}; "
                f"it is expected to be {_wanted(wanted)}.{_why(wrong, now)}"
            ),
            by_hand=_is_by_hand(name, history),
            began=min((life.since for life in wrong if life.since is not None), default=None),
            evidence={
                "instances": {key: life.state for key, life in lives.items()},
                "exit_codes": [life.exit_code for life in wrong if life.exit_code is not None],
                "user_facing": faces_users,
            },
            recommendation=(
                f"PM2 has given up on {name}: read its error log, then restart it."
                if state == "errored"
                else f"Read the end of {name}'s error log: it died, and PM2 restarts it after its restart delay."
                if state in WAITING
                else f"PM2 does not get {name} out of {state}: look at its log and its process, and at PM2's own log."
                if state in ("stopping", "launching")
                else f"Find out who or what left {name} {state} before starting it again (pm2 describe {quote(name)})."
            ),
        )


def _is_by_hand(name: str, history: History) -> bool:
    """Whether what is down or gone of a service is so by an operator's hand."""
    service = history.services.get(name)
    return service is not None and service.by_hand


def _is_lost(name: str, history: History, now: float) -> bool:
    """Whether a service is gone with PM2's whole list, which has an alert of its own from the second look on."""
    last = history.fleet_restart
    return last is not None and last.is_empty and name in last.left_behind and now > last.seen_at


def _gave_up(lives: dict[str, Life], orders: StandingOrders) -> bool:
    """Whether PM2 had given up on a service before it was ever seen online: no roster is needed to call that wrong."""
    return not orders.services and any(life.state == "errored" for life in lives.values())


def _wanted(wanted: Expected) -> str:
    return "online or stopped" if wanted == "periodic" else wanted


def _why(wrong: list[Life], now: float) -> str:
    stuck = next(((life, limit) for life in wrong if (limit := allowed(life)) is not None), None)
    if stuck is not None:
        life, (setting, seconds) = stuck
        lasts = f" for {words.duration(now - life.since)}" if life.since is not None else ""
        return f" It has been {life.state}{lasts}; its {setting} is {words.duration(seconds)}."
    if any(life.state == "errored" for life in wrong):
        code = next((life.exit_code for life in wrong if life.exit_code is not None), None)
        return " PM2 has given up restarting it" + (f" (last exit code {code})." if code is not None else ".")
    if any(life.given_up for life in wrong):
        return " PM2 has given up restarting it, whatever it calls it."
    failed = next((life for life in wrong if life.signal or (life.exit_code and not life.autorestart)), None)
    if failed is not None:
        return (
            f" Its last run ended {f'by {failed.signal}' if failed.signal else f'with exit code {failed.exit_code}'}."
        )
    return ""


def _starting(lives: dict[str, Life], history: History, orders: StandingOrders, now: float) -> bool:
    """Whether a boot, a deployment or a start by hand is so recent that a service may still be on its way up."""
    grace = orders.startup_grace.total_seconds()
    if grace <= 0:
        return False
    host = history.reading("host")
    starts = [host.number("boot_at") if host else None, history.fleet_restart.at if history.fleet_restart else None]
    starts += [life.created_at for life in lives.values()]
    return any(at is not None and 0 <= now - at < grace for at in starts)


def service_missing(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service of the roster that PM2 does not know at all."""
    now = observation.now.timestamp()
    for name, wanted, lives in _fleet(history, orders):
        if wanted is None:
            continue
        if lives:
            yield Clear("service_missing", name)
            continue
        if _is_lost(name, history, now):
            yield Unknown("service_missing", name, _LOST)
            continue
        learned = "" if orders.services else " It was seen online before."
        last = history.fleet_restart
        is_left_behind = last is not None and name in last.left_behind and last.kind != "deleted"
        if last is not None and is_left_behind:
            back = "The machine came up" if last.kind == "reboot" else "PM2 came back"
            learned = f" {back} at {words.clock(last.at)} without it: PM2's saved list is incomplete."
        yield Finding(
            rule="service_missing",
            subject=name,
            severity="critical",
            value="missing",
            limit=wanted,
            unit="",
            summary=f"{name} is not in PM2's list; it is expected to be {_wanted(wanted)}.{learned}",
            by_hand=_is_by_hand(name, history),
            began=service.gone_at if (service := history.services.get(name)) is not None else None,
            evidence={
                "in_pm2": sorted(n for n, service in history.services.items() if service.lives),
                "left_behind": is_left_behind,
            },
            recommendation=(
                f"Start {name} from its ecosystem file, then run pm2 save, so that PM2 brings it back the next time."
                if is_left_behind
                else f"Start {name} again if it went by mistake (pm2 resurrect, or its ecosystem file); if it was "
                "retired or renamed, change the standing orders."
            ),
        )


def service_unexpected(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that PM2 runs and a roster does not name."""
    if not orders.services:
        return
    for name, wanted, lives in _fleet(history, orders):
        if wanted is None and lives:
            yield Finding(
                rule="service_unexpected",
                subject=name,
                severity="warning",
                value=next(iter(lives.values())).state,
                limit=None,
                unit="",
                summary=f"{name} runs under PM2 and is not in the standing orders.",
                evidence={"instances": {key: life.state for key, life in lives.items()}},
                recommendation=f"Add {name} to MONITORD_ORDERS__SERVICES if it belongs, or find out who started it.",
            )


def service_restart_loop(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """More automatic restarts within the window than the orders allow.

    An operator's restarts do not count, nor what went before PM2 gave up and somebody took it up again.
    """
    now, window = observation.now.timestamp(), orders.restarts_window.total_seconds()
    for name, _, lives in _fleet(history, orders):
        service = since_taken_up(history.services.get(name))
        restarts = recent_restarts(service, now, window) if service else 0
        if restarts <= orders.restarts_warning or not lives:  # what is gone dies no more
            yield Clear("service_restart_loop", name)
            continue
        assert service is not None  # noqa: S101 - it has restarts
        loop = look_into(service, now, window)
        is_critical = restarts > orders.restarts_critical
        yield Finding(
            rule="service_restart_loop",
            subject=name,
            severity="critical" if is_critical else "warning",
            value=restarts,
            limit=orders.restarts_critical if is_critical else orders.restarts_warning,
            unit="restarts",
            summary=(
                f"{name} keeps {'being restarted' if loop.rule else 'dying'}: PM2 restarted it {restarts} times in the "
                f"last {words.duration(window)}, since {words.clock(loop.since)}{loop.why()}{loop.said()}."
            ),
            evidence=loop.evidence()
            | {
                "window_seconds": window,
                "lifetime_restarts": sum(life.restarts or 0 for life in lives.values()),
            },
            recommendation=_LOOP_ADVICE.get(loop.rule, _LOOP_ADVICE[None]).format(name=name),
        )


def service_unstable(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that dies now and then, never often enough for a loop, and over a day too often: news once a day."""
    now, window = observation.now.timestamp(), orders.restarts_window.total_seconds()
    day, limit = DAY_WINDOWS * window, QUARTER_WINDOWS * orders.restarts_warning
    for name, _, lives in _fleet(history, orders):
        service = history.services.get(name)
        found = unrest(service, now, window, orders.restarts_warning) if service is not None else None
        if service is None or found is None or found.apart <= limit or not lives:
            yield Clear("service_unstable", name)
            continue
        if recent_restarts(service, now, window) > orders.restarts_warning:
            yield Unknown("service_unstable", name, "it dies so often now that it is a loop")
            continue
        loop = replace(look_into(service, now, window), kinds=found.kinds)
        loop = loop if loop.told else replace(loop, lives=())  # of the last few there is no telling
        yield Finding(
            rule="service_unstable",
            subject=name,
            severity="warning",
            value=found.count,
            limit=limit,
            unit="restarts",
            summary=(
                f"{name} is restarted by PM2 again and again: {found.count} times in the last {words.duration(day)}, "
                f"every {words.duration(found.every)} or so{loop.why()}{loop.said()}."
            ),
            evidence=loop.evidence() | {"first_at": words.clock(found.first), "window_seconds": day},
            recommendation=_LOOP_ADVICE.get(loop.rule, _LOOP_ADVICE[None]).format(name=name),
            remind_every=day,
        )


def service_overdue(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that comes and goes, and has not come for far longer than usual."""
    now = observation.now.timestamp()
    for name, wanted, lives in _fleet(history, orders):
        service = history.services.get(name)
        if wanted != "periodic" or service is None:
            continue
        if any(life.state in UP for life in lives.values()):
            yield Clear("service_overdue", name)
            continue
        usual = rhythm_of(name, service, orders)
        if not lives or usual is None or service.runs is None:
            yield Unknown("service_overdue", name, "not in PM2's list" if not lives else "its rhythm is not known yet")
            continue
        rested = service.runs.rested(now)
        if rested <= usual.limit:
            yield Clear("service_overdue", name)
            continue
        state = next(iter(lives.values())).state
        last = service.runs.last
        began = f"its last run began at {words.moment(last, now)}" if last is not None else "no run of it was seen"
        yield Finding(
            rule="service_overdue",
            subject=name,
            severity="warning",
            value=int(rested),
            limit=int(usual.limit),
            unit="seconds",
            summary=(
                f"{name} has not run for {words.duration(rested)}: {began}, and by {usual.source} it runs "
                f"every {words.duration(usual.every)}{' at the longest' if usual.source == 'its past' else ''}."
            ),
            evidence={
                "state": state,
                "last_began_at": words.clock(last) if last is not None else None,
                "rhythm_seconds": round(usual.every),
                "rhythm_by": usual.source,
                "runs_seen": sum(day.gaps for day in service.runs.days) + (last is not None),
            },
            recommendation=(
                f"Find out what begins {name}, and why it does not (pm2 describe {quote(name)}; whose cron, or "
                f"schedule?). If it is to rest, say so: monitord forget {quote(name)}, or stopped in the orders."
            ),
        )


def service_frozen(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service that is online for PM2 while the kernel says its process does not run."""
    for name, _, lives in _fleet(history, orders):
        frozen = {key: life for key, life in lives.items() if life.state == "online" and life.process in FROZEN}
        if not frozen:
            unreadable = any(life.state == "online" and life.process is None for life in lives.values())
            if unreadable:
                yield Unknown("service_frozen", name, "the kernel's view of its process could not be read")
            else:
                yield Clear("service_frozen", name)
            continue
        process = next(iter(frozen.values())).process or ""
        yield Finding(
            rule="service_frozen",
            subject=name,
            severity="critical",
            value=process,
            limit="running",
            unit="",
            summary=f"{name} is online for PM2, but its process is {FROZEN[process]} and does no work.",
            evidence={"instances": {key: life.process for key, life in frozen.items()}},
            recommendation=f"Find out who stopped {name}'s process; a SIGCONT wakes it, a restart replaces it.",
        )


def service_memory_high(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service of which an instance uses more memory than ordered."""
    for name, _, lives in _fleet(history, orders):
        used = [life.memory for life in lives.values() if life.memory is not None]
        if not used and any(life.state == "online" for life in lives.values()):
            yield Unknown("service_memory_high", name, "PM2 did not tell its memory")
            continue
        limit = orders.memory_limit(name)
        if max(used, default=0.0) <= limit:
            yield Clear("service_memory_high", name)
            continue
        yield Finding(
            rule="service_memory_high",
            subject=name,
            severity="warning",
            value=int(max(used)),
            limit=limit,
            unit="bytes",
            summary=f"{name} uses {words.size(max(used))} of memory, past its limit of {words.size(limit)}.",
            evidence={"instances": {key: life.memory for key, life in lives.items()}},
            recommendation=f"A leak is possible: restart {name} if its memory keeps rising.",
        )


def service_memory_leak(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service of which an instance's memory rises so steadily that it will reach its limit."""
    now = observation.now.timestamp()
    for name in sorted(expected(history, orders).keys() | history.services.keys()):
        soonest: tuple[Outlook, float] | None = None
        unknown = is_past = False
        service = history.services.get(name)
        for instance, life in () if service is None else service.lives.items():
            if life.memory is None:
                unknown = unknown or life.state == "online"
                continue
            series = history.trends.get(memory_key(name, instance))
            if series is None or series.trend is None:
                continue
            terms = memory_terms(orders, name)
            is_past = is_past or trends.is_past(series, terms)
            outlook = trends.outlook(series, now, terms)
            if outlook is not None and (soonest is None or outlook.seconds < soonest[0].seconds):
                soonest = outlook, life.memory
        if soonest is not None:
            yield _leak(name, *soonest, orders)
        elif is_past:
            yield Unknown("service_memory_leak", name, PAST)
        elif unknown:
            yield Unknown("service_memory_leak", name, "PM2 did not tell its memory")
        else:
            yield Clear("service_memory_leak", name)


def _leak(name: str, outlook: Outlook, memory: float, orders: StandingOrders) -> Finding:
    limit = orders.memory_limit(name)
    return Finding(
        rule="service_memory_leak",
        subject=name,
        severity="warning",
        value=round(outlook.per_hour),
        limit=None,  # of a slope there is none: the limit of what rises is in the evidence
        unit="bytes/h",
        summary=(
            f"{name}'s memory rises by {words.size(outlook.per_hour)} an hour ({seen_for(outlook)}) and would reach "
            f"its limit of {words.size(limit)} {reached(outlook)}."
        ),
        evidence={"memory_bytes": int(memory), "limit_bytes": limit, "bytes_per_hour": round(outlook.per_hour)}
        | outlook_evidence(outlook),
        recommendation=(
            f"Look first at {name}'s log for what has grown since the rise began, then at its queues, caches and open "
            f"connections, then at a heap snapshot. If the cause is not found, plan a restart of {name} "
            f"{deadline(outlook)}."
        ),
    )


def _itself(alert: Alert) -> tuple[str, ...]:
    return (alert.subject,)


def _faces_users(service: str, orders: StandingOrders) -> bool:
    return service in orders.user_facing


def _lacks_users(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    return ("users",) if _faces_users(alert.subject, orders) else ()


def _blocking(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    """What a service that does no work holds up: the orders' reasons to restart it."""
    seals = ("epoch sealing",) if sealed(alert.subject, orders) else ()
    trees = ("trees and publishing",) if builds_trees(alert.subject, orders) else ()
    return (*seals, *trees, *_lacks_users(alert, orders))


def _lives_in_part(alert: Alert) -> bool:
    """Whether others of a service's instances live."""
    instances = alert.finding.evidence.get("instances")
    return isinstance(instances, Mapping) and "online" in instances.values()


def _on_fleet_of_dead(alert: Alert, orders: StandingOrders, lacks: str = "is missing") -> str:
    service = alert.subject
    tables, queues = list(fed(service, orders)), list(worked_off(service, orders))
    brings = [f"what {service} brings into {words.listed(tables)} {lacks}"] if tables else []
    waits = [f"jobs of {words.listed(queues)} wait"] if queues else []
    faces = ["people cannot reach it"] if _faces_users(service, orders) else []
    return "; ".join([*brings, *waits, *faces]) or UNKNOWN


def _on_fleet_of_down(alert: Alert, orders: StandingOrders) -> str:
    if _lives_in_part(alert):
        return _on_fleet_of_dead(alert, orders, "may be missing in part: others of its instances live")
    return _on_fleet_of_dead(alert, orders)


def _on_epochs_of_dead(alert: Alert, orders: StandingOrders) -> OnEpochs:
    service = alert.subject
    seals, builds = bool(sealed(service, orders)), builds_trees(service, orders)
    claims = {
        "people cannot reach it": _faces_users(service, orders),
        "what is not sealed cannot be claimed": seals,
        "trees are not built and nothing new is published: what is sealed meanwhile cannot be claimed yet": builds,
    }
    return (
        f"what {service} collects is missing" if fed(service, orders) else NONE,
        "epochs are not sealed without it" if seals else NONE,
        next((impact for impact, so in claims.items() if so), NONE),
    )


def _on_epochs_of_down(alert: Alert, orders: StandingOrders) -> OnEpochs:
    if not _lives_in_part(alert):
        return _on_epochs_of_dead(alert, orders)
    service, late = alert.subject, "at most slower: others of its instances live"
    return (
        late if fed(service, orders) else NONE,
        late if sealed(service, orders) else NONE,
        late if _faces_users(service, orders) or builds_trees(service, orders) else NONE,
    )


def _on_epochs_of_memory(alert: Alert, orders: StandingOrders) -> OnEpochs:
    at_risk = "at risk when the process is ended for its memory"
    return NONE, NONE, at_risk if _faces_users(alert.subject, orders) else NONE


def _state_now(alert: Alert, at: Now, again: str = " again") -> str | None:
    name = alert.subject
    known = at.history.services.get(name)
    lives = list(known.lives.values()) if known is not None else []
    if not lives:
        return f"{name} is no longer in PM2's list."
    wanted = expected(at.history, at.orders).get(name) or "online"
    states = sorted({life.state for life in lives})
    well = sum(1 for life in lives if fits(life, wanted, at.now))
    online = [life.started_at for life in lives if life.state == "online"]
    many = f", {well} of {len(lives)} instances" if len(lives) > 1 else ""
    if not online:
        return f"{name} is {words.listed(states)}, as expected{many}."
    began = [moment for moment in online if moment is not None]
    since = f" since {words.moment(max(began), at.now)}" if began else ""
    return f"{name} is {words.listed(states)}{again}{since}{many}."


def _expected_now(alert: Alert, at: Now) -> str | None:
    return _state_now(alert, at, again="")


def _restarts_now(alert: Alert, at: Now) -> str | None:
    found = at.report.services.get(alert.subject) or {}
    restarts, window = found.get("restarts_recent"), words.duration(at.orders.restarts_window.total_seconds())
    state = _state_now(alert, at)
    if restarts is None or state is None:
        return state
    limit = at.orders.restarts_warning
    return f"{state.rstrip('.')}; {words.plural(restarts, 'restart')} in the last {window}, up to {limit} are expected."


def _calm_now(alert: Alert, at: Now) -> str | None:
    state = _state_now(alert, at)
    calm = words.duration(CALM_WINDOWS * at.orders.restarts_window.total_seconds())
    return None if state is None else f"{state.rstrip('.')}; PM2 did not restart it for {calm}, or not often any more."


def _runs_now(alert: Alert, at: Now) -> str | None:
    state = _state_now(alert, at)
    return None if state is None else f"{state.rstrip('.')}, and its process runs."


def _memory_now(alert: Alert, at: Now, steady: str = "") -> str | None:
    used = (at.report.services.get(alert.subject) or {}).get("memory_bytes")
    if used is None:
        return _state_now(alert, at)
    limit = words.size(at.orders.memory_limit(alert.subject))
    return f"{alert.subject} uses {words.size(used)} of memory now{steady}; the limit is {limit}."


def _no_leak_now(alert: Alert, at: Now) -> str | None:
    return _memory_now(alert, at, ", and no longer rises steadily")


def _is_given_up(stronger: Finding, weaker: Finding) -> bool:
    """Whether a loop is at its end: PM2 gave up. While it goes on, being down for a moment is what it consists of.

    What is critical is not replaced by a warning.
    """
    return stronger.value == "errored" and (stronger.severity == "critical" or weaker.severity == "warning")


def _restart_where_given_up(alert: Alert) -> What | None:
    """What to do about a service that is down: where PM2's own restart has failed, it is to be restarted."""
    return "restart_service" if alert.finding.value == "errored" else investigated(alert)


PM2_LOG: Final = "tail -n 50 {home}/pm2.log"
_RUNBOOK: Final = ("{pm2} logs {name} --err --lines 50 --nostream", "{pm2} describe {name}", PM2_LOG)
_MEMORY_RUNBOOK: Final = ("{pm2} describe {name}", "{pm2} logs {name} --lines 50 --nostream", "free -m")
_DEAD: Final = Impact(_on_fleet_of_dead, _on_epochs_of_dead)
_MEMORY: Final = Impact(
    lambda alert, _: f"{alert.subject} is at risk of being ended for its memory", _on_epochs_of_memory
)
_SERVICE: Final[frozenset[Role]] = frozenset({"service"})

SERVICE_MEMORY_LEAK = Rule(
    name="service_memory_leak",
    probe="pm2",
    severities=("warning",),
    evaluate=service_memory_leak,
    roles=_SERVICE,
    runbook=_MEMORY_RUNBOOK,
    impact=_MEMORY,
    blocking=_lacks_users,
    recovered=_no_leak_now,
    criterion="memory_stable",
)
SERVICE_MEMORY_HIGH = Rule(
    name="service_memory_high",
    probe="pm2",
    severities=("warning",),
    evaluate=service_memory_high,
    replaces=(Replaces(SERVICE_MEMORY_LEAK),),
    roles=_SERVICE,
    recommend=lambda _: "restart_service",
    lasting=True,
    runbook=_MEMORY_RUNBOOK,
    impact=_MEMORY,
    blocking=_lacks_users,
    recovered=_memory_now,
)
SERVICE_FROZEN = Rule(
    name="service_frozen",
    probe="pm2",
    severities=("critical",),
    evaluate=service_frozen,
    roles=_SERVICE,
    stops=_itself,
    runbook=(
        'ps -o pid,stat,wchan:20,etime,args -p "$({pm2} pid {name})"',
        "{pm2} logs {name} --lines 50 --nostream",
        "dmesg --ctime | tail -n 20",
    ),
    impact=_DEAD,
    blocking=_blocking,
    recovered=_runs_now,
    criterion="services_online",
)
SERVICE_UNSTABLE = Rule(
    name="service_unstable",
    probe="pm2",
    severities=("warning",),
    evaluate=service_unstable,
    roles=_SERVICE,
    dies=always,
    runbook=_RUNBOOK,
    impact=Impact(
        lambda alert, _: f"{alert.subject} is away for a moment each time, and loses what it was at",
        _on_epochs_of_dead,
    ),
    blocking=_lacks_users,
    recovered=_calm_now,
    criterion="no_restarts",
)
SERVICE_RESTART_LOOP = Rule(
    name="service_restart_loop",
    probe="pm2",
    severities=("warning", "critical"),
    evaluate=service_restart_loop,
    roles=frozenset({"service", "restart_loop"}),
    stops=_itself,
    dies=always,
    runbook=_RUNBOOK,
    impact=_DEAD,
    blocking=_blocking,
    recovered=_restarts_now,
    criterion="no_restarts",
)
SERVICE_UNEXPECTED = Rule(
    name="service_unexpected",
    probe="pm2",
    severities=("warning",),
    evaluate=service_unexpected,
    absent="clear",
    roles=_SERVICE,
    runbook=_RUNBOOK,
    blocking=_lacks_users,
    recovered=_expected_now,
)
SERVICE_OVERDUE = Rule(
    name="service_overdue",
    probe="pm2",
    severities=("warning",),
    evaluate=service_overdue,
    roles=_SERVICE,
    runbook=(
        "{pm2} describe {name}",
        "{pm2} logs {name} --lines 50 --nostream",
        "crontab -l; systemctl list-timers --all",
    ),
    impact=Impact(lambda alert, _: f"what {alert.subject} does in its runs is not done", _on_epochs_of_dead),
    blocking=_lacks_users,
    recovered=_state_now,
    criterion="services_online",
)
# While a service is gone or down nothing else is found of it.
_HIDDEN: Final = (SERVICE_FROZEN, SERVICE_MEMORY_HIGH, SERVICE_MEMORY_LEAK, SERVICE_RESTART_LOOP)
SERVICE_DOWN = Rule(
    name="service_down",
    probe="pm2",
    severities=("warning", "critical"),
    evaluate=service_down,
    replaces=(Replaces(SERVICE_RESTART_LOOP, when=_is_given_up), Replaces(SERVICE_OVERDUE)),
    succeeds=_HIDDEN,
    roles=frozenset({"service", "roster"}),
    stops=_itself,
    dies=lambda finding: finding.value == "errored",  # not what somebody stopped
    recommend=_restart_where_given_up,
    runbook=_RUNBOOK,
    impact=Impact(_on_fleet_of_down, _on_epochs_of_down),
    blocking=_blocking,
    recovered=_state_now,
    criterion="services_online",
)
SERVICE_MISSING = Rule(
    name="service_missing",
    probe="pm2",
    severities=("critical",),
    evaluate=service_missing,
    replaces=(Replaces(SERVICE_DOWN), Replaces(SERVICE_OVERDUE)),
    succeeds=_HIDDEN,
    roles=frozenset({"service", "roster"}),
    stops=_itself,
    runbook=("{pm2} status", PM2_LOG, "ls -l {home}/dump.pm2"),
    impact=_DEAD,
    blocking=_blocking,
    recovered=_state_now,
    criterion="services_online",
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
)
