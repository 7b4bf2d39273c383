"""Judgement of what an app reports of itself: an event loop that is blocked, a heap that is nearly full."""

from collections.abc import Iterator, Mapping
from typing import Final

from monitord.core import humanize
from monitord.core.app_numbers import HEAP_USED, LOOP_P95, as_word, figure, milliseconds_of, size
from monitord.core.history.model import History
from monitord.core.history.process_model import Process
from monitord.core.latest import latest, latest_by
from monitord.core.model import Alert, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.app_status import WARM_UP_SECONDS, AppStatus, app_status
from monitord.core.subjects.base import NONE, EpochImpact, Impact, RecoveryContext
from monitord.core.subjects.fleet import Member, faces_users, fleet, of_service, state_now

# The numbers come once a second; so long without one is no hiccup.
STILL_SECONDS: Final = 10.0
_YOUNG: Final = "it has only just begun"
_latest_allowed: Final = latest_by(StandingOrders.event_loop_latency_of)


@latest
def _telling(members: list[Member], orders: StandingOrders) -> list[Member]:
    """Those of which an app tells anything of itself, or did while its heap was full."""
    return [
        member
        for member in members
        if any(process.app_values or process.heap_full_since is not None for process in member[2].values())
    ]


def event_loop_blocked(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service of which an instance's event loop stands still: often, or for good."""
    now = observation.now.timestamp()
    for name, _, processes in _telling(fleet(history, orders), orders):
        still: dict[str, float] = {}
        slow: dict[str, float] = {}
        for key, process in processes.items():
            if not process.app_values or process.state != "online":
                continue
            if process.still_since is not None and now - process.still_since >= STILL_SECONDS:
                still[key] = process.still_since
            else:
                latency = milliseconds_of(process.app_form, process.app_values, LOOP_P95)
                if latency is not None and latency > _latest_allowed(orders, name):
                    slow[key] = latency
        if still:
            yield _stands_still(name, min(still.values()), now, processes, list(still))
        elif slow and all(_is_young(processes[key], now) for key in slow):
            yield Unknown("event_loop_blocked", name, _YOUNG)
        elif slow:
            yield _is_slow(name, max(slow.values()), _latest_allowed(orders, name), slow)


def _is_young(process: Process, now: float) -> bool:
    return process.started_at is not None and 0 <= now - process.started_at < WARM_UP_SECONDS


def _stands_still(
    name: str, since: float, now: float, processes: Mapping[str, Process], instances: list[str]
) -> Finding:
    many = f" (instance {humanize.listed(instances)} of {len(processes)})" if len(processes) > 1 else ""
    return Finding(
        rule="event_loop_blocked",
        subject=name,
        severity="warning",
        value=round(now - since),
        limit=STILL_SECONDS,
        unit="seconds",
        summary=(
            f"{name}{many} is online for PM2, and has reported nothing to PM2 for "
            f"{humanize.duration(round(now - since))}, which it does every second: its event loop is blocked."
        ),
        began=since,
        evidence={"instances": {key: as_word(processes[key].app_form, processes[key].app_values) for key in instances}},
        recommendation=(
            f"Find out what {name} is at (a loop without an end, a synchronous call that waits, or it has disconnected "
            f"from PM2): check its CPU, then restart it."
        ),
    )


def _is_slow(name: str, latency: float, limit: float, latencies: Mapping[str, float]) -> Finding:
    return Finding(
        rule="event_loop_blocked",
        subject=name,
        severity="warning",
        value=round(latency, 2),
        limit=round(limit, 2),
        unit="ms",
        summary=(
            f"{name} blocks its event loop again and again: one second in twenty it is held up for "
            f"{humanize.duration(latency / 1000)} or longer, past the limit of {humanize.duration(limit / 1000)}."
        ),
        evidence={"instances": {key: round(one, 2) for key, one in latencies.items()}},
        recommendation=(
            f"Look for synchronous work in {name}: large JSON, a regular expression that backtracks, crypto or file "
            "calls that wait, or a machine without CPU to spare."
        ),
    )


def heap_nearly_full(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service of which an instance has used nearly all of the heap that Node may use, for a while.

    What a garbage collector frees again is not lasting. Where Node has no limit there is none to compare with.
    """
    now = observation.now.timestamp()
    for name, _, processes in _telling(fleet(history, orders), orders):
        full = {key: one for key, one in processes.items() if one.heap_full_since is not None}
        if not full:
            continue
        limit_percent, span = orders.heap_limits(name)
        full = {key: one for key, one in full.items() if now - (one.heap_full_since or now) >= span}
        if not full:
            continue
        fullest = max(full.values(), key=_share)
        since = min(process.heap_full_since or now for process in full.values())
        limit, used = fullest.heap_limit or 0.0, size(figure(fullest.app_form, fullest.app_values, HEAP_USED)) or 0.0
        yield Finding(
            rule="heap_nearly_full",
            subject=name,
            severity="warning",
            value=round(_share(fullest), 1),
            limit=limit_percent,
            unit="percent",
            summary=(
                f"{name} uses {humanize.size(used)} of the {humanize.size(limit)} of heap that Node may use, and has "
                f"used more than {limit_percent:g}% of it for {humanize.duration(round(now - since))}: its garbage "
                "collector finds nothing to free."
            ),
            began=since,
            evidence={"heap_used_bytes": round(used), "heap_limit_bytes": round(limit), "instances": sorted(full)},
            recommendation=(
                f"Take a heap snapshot of {name} and look for what grows; restart it before Node ends it, or raise "
                "--max-old-space-size if it needs that much."
            ),
        )


def _share(process: Process) -> float:
    used = size(figure(process.app_form, process.app_values, HEAP_USED))
    return 0.0 if used is None or not process.heap_limit else used / process.heap_limit * 100


def _turns_now(alert: Alert, at: RecoveryContext) -> str | None:
    app = _told(alert, at)
    if app is None or app.event_loop_p95_ms is None:
        return state_now(alert, at)
    return f"{alert.subject}'s event loop turns: its latency is {app.event_loop_p95_ms:g} ms at the 95th percentile."


def _has_heap_now(alert: Alert, at: RecoveryContext) -> str | None:
    app = _told(alert, at)
    if app is None or app.heap_used_bytes is None or app.heap_limit_bytes is None:
        return state_now(alert, at)
    used, limit = humanize.size(app.heap_used_bytes), humanize.size(app.heap_limit_bytes)
    return f"{alert.subject} uses {used} of heap now; Node may use {limit}."


def _told(alert: Alert, at: RecoveryContext) -> AppStatus | None:
    service = at.history.services.get(alert.subject)
    return None if service is None else app_status(list(service.lives.values()))


def _blocked(alert: Alert) -> tuple[str, ...]:
    """The service, where it does nothing at all."""
    return (alert.subject,) if alert.finding.unit == "seconds" else ()


def _on_epochs_of_slow(alert: Alert, orders: StandingOrders) -> EpochImpact:
    return NONE, NONE, "people wait for it" if faces_users(alert.subject, orders) else NONE


_RUNBOOK: Final = (
    "{pm2} describe {name}",
    "{pm2} logs {name} --lines 50 --nostream",
    'top -b -n 1 -H -p "$({pm2} pid {name})" | head -n 20',
)
EVENT_LOOP_BLOCKED = of_service(
    name="event_loop_blocked",
    evaluate=event_loop_blocked,
    absent="clear",
    dead_services=_blocked,
    runbook=_RUNBOOK,
    impact=Impact(lambda alert, _: f"{alert.subject} answers late or not at all", _on_epochs_of_slow),
    recovered=_turns_now,
)
HEAP_NEARLY_FULL = of_service(
    name="heap_nearly_full",
    evaluate=heap_nearly_full,
    absent="clear",
    runbook=_RUNBOOK,
    impact=Impact(
        lambda alert, _: f"{alert.subject} slows down, and is ended when its heap is full", _on_epochs_of_slow
    ),
    recovered=_has_heap_now,
)
RULES = (EVENT_LOOP_BLOCKED, HEAP_NEARLY_FULL)
