"""What is true once an alert is over: the value now, the limit, and since when. For the message of its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from monitord.core import words
from monitord.core.fleet import expected
from monitord.core.history import History
from monitord.core.loops import CALM_WINDOWS
from monitord.core.model import Alert
from monitord.core.orders import StandingOrders
from monitord.core.report import Report
from monitord.core.rules.sealing import left_unsealed, unaligned_over
from monitord.core.states import fits

_NAMES: Final = {"pm2": "PM2", "postgres": "Postgres", "redis": "Redis", "epochs": "epoch sealing", "host": "the host"}


class _Now:
    """What is known as of the cycle in which alerts ended."""

    def __init__(self, report: Report, history: History, orders: StandingOrders, now: datetime) -> None:
        self.report, self.history, self.orders, self.now = report, history, orders, now.timestamp()


def now_true(alert: Alert, report: Report, history: History, orders: StandingOrders, now: datetime) -> str:
    """One sentence on how the alert's subject is now; where no number says it, that it is as expected again."""
    say, told = _SAY.get(alert.rule), None
    if say is not None:
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # the end is told all the same
            told = say(alert, _Now(report, history, orders, now))
    return told or f"{_NAMES.get(alert.subject, alert.subject)} is as expected again."


def _service(alert: Alert, at: _Now) -> str | None:
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
    again = " again" if alert.rule != "service_unexpected" else ""
    return f"{name} is {words.listed(states)}{again}{since}{many}."


def _loop(alert: Alert, at: _Now) -> str | None:
    found = at.report.services.get(alert.subject) or {}
    restarts, window = found.get("restarts_recent"), words.duration(at.orders.restarts_window.total_seconds())
    state = _service(alert, at)
    if restarts is None or state is None:
        return state
    limit = at.orders.restarts_warning
    return f"{state.rstrip('.')}; {words.plural(restarts, 'restart')} in the last {window}, up to {limit} are expected."


def _unstable(alert: Alert, at: _Now) -> str | None:
    state = _service(alert, at)
    calm = words.duration(CALM_WINDOWS * at.orders.restarts_window.total_seconds())
    return None if state is None else f"{state.rstrip('.')}; PM2 did not restart it for {calm}, or not often any more."


def _frozen(alert: Alert, at: _Now) -> str | None:
    state = _service(alert, at)
    return None if state is None else f"{state.rstrip('.')}, and its process runs."


def _memory(alert: Alert, at: _Now) -> str | None:
    used = (at.report.services.get(alert.subject) or {}).get("memory_bytes")
    if used is None:
        return _service(alert, at)
    limit = words.size(at.orders.memory_limit(alert.subject))
    steady = ", and no longer rises steadily" if alert.rule == "service_memory_leak" else ""
    return f"{alert.subject} uses {words.size(used)} of memory now{steady}; the limit is {limit}."


def _server(alert: Alert, at: _Now) -> str | None:
    services = at.report.services
    if alert.subject == "pm2":
        well = sum(1 for service in services.values() if service["ok"])
        how = "PM2 has its list again" if alert.rule == "pm2_empty" else "PM2 answers again"
        return f"{how}: {well} of {len(services)} services are as expected."
    took = at.report.database.get("response_ms") if alert.subject == "postgres" else at.report.redis.get("latency_ms")
    quick = f", within {words.duration(took / 1000.0)}" if isinstance(took, int | float) and took >= 1 else ""
    return f"{_NAMES.get(alert.subject, alert.subject)} answers again{quick}."


def _growth(alert: Alert, at: _Now) -> str | None:
    rows = (at.report.growth.get(alert.subject) or {}).get("window_rows")
    if rows is None:
        return None
    window = words.duration(at.orders.growth_window.total_seconds())
    limit = words.count(at.orders.growth_limit)
    return f"{alert.subject} gained {words.count(rows)} rows within the last {window}; the limit is {limit}."


def _flow(alert: Alert, at: _Now) -> str | None:
    table = at.history.tables.get(alert.subject)
    rate = (at.report.growth.get(alert.subject) or {}).get("rows_per_hour")
    if table is None:
        return None
    last = words.moment(max(table.flow_at, table.verified_at), at.now)
    pace = f", {words.count(rate)} an hour" if rate else ""
    return f"Rows come into {alert.subject} again{pace}; the last one seen at {last}."


def _sealing(alert: Alert, at: _Now) -> str | None:
    group = at.report.epochs.get(alert.subject) or {}
    latest, age = group.get("latest"), group.get("seal_age_seconds")
    if latest is None or age is None:
        return None
    missed = group.get("missed") or ()
    lacks = f"; {words.plural(len(missed), 'label')} still missing" if missed else ""
    limit = words.duration(at.orders.seal_warning.total_seconds())
    newest = f"{latest} ({words.moment(latest, at.now)})"
    return f"{alert.subject} has sealed {newest}; its seal age is {words.duration(age)}, the limit {limit}{lacks}."


def _gap(alert: Alert, at: _Now) -> str | None:
    lost = left_unsealed(alert, at.history)
    if not lost:
        return _sealing(alert, at)
    labels = words.listed([f"{label} ({words.moment(label, at.now)})" for label in lost])
    return (
        f"{alert.subject} never sealed {labels}: {'it has' if len(lost) == 1 else 'they have'} left the window that is "
        "looked at, unsealed."
    )


def _caught_up(alert: Alert, at: _Now) -> str | None:  # noqa: ARG001 - one shape for all
    return "Postgres is read as it is again: a primary, or a standby that has caught up with its own."


def _aligned(alert: Alert, at: _Now) -> str | None:
    if unaligned_over(alert, at.history, at.orders):
        label = alert.finding.evidence["label"]
        return (
            f"The seals of {alert.subject} whose labels are no start of an epoch have left the window that is looked "
            f"at, as they were; the newest was {label}."
        )
    return f"Every label of {alert.subject} in the window is the start of an epoch again."


def _complete(alert: Alert, at: _Now) -> str | None:
    seen = at.history.learned[alert.subject].completeness
    newest = seen.participating.newest
    if newest is None:
        return None
    took, unsealed = seen.participating.get(newest), seen.unsealed.get(newest)
    if not took or unsealed is None:
        return None
    label = f"{newest} ({words.moment(newest, at.now)})"
    return f"{alert.subject} has sealed {took - unsealed} of the {words.plural(took, 'channel')} of {label}."


def _heard(alert: Alert, at: _Now) -> str | None:
    group, _, channel = alert.subject.partition("/")
    label = at.history.learned[group].silence.label
    if label is None:
        return None
    return f"{channel} of {group} takes part again, in {label} ({words.moment(label, at.now)})."


def _in_step(alert: Alert, at: _Now) -> str | None:  # noqa: ARG001 - one shape for all
    newest = {name: group.get("latest") for name, group in at.report.epochs.items()}
    if not newest or None in newest.values():
        return None
    each = [f"{name} at {label} ({words.clock(label)})" for name, label in newest.items() if label is not None]
    return f"The groups are in step again: {words.listed(each)}."


def _queue(alert: Alert, at: _Now) -> str | None:
    queue: Any = (at.report.redis.get("queues") or {}).get(alert.subject) or {}
    waiting = queue.get("waiting")
    if waiting is None:
        return None
    limit = words.count(at.orders.queue_waiting)
    wait = f"{words.plural(waiting, 'job')} wait{'s' if waiting == 1 else ''}"
    return f"{wait} in {alert.subject} now; the limit is {limit}."


def _disk(alert: Alert, at: _Now) -> str | None:
    disk: Any = (at.report.host.get("disks") or {}).get(alert.subject) or {}
    used, free = disk.get("used_percent"), disk.get("free_bytes")
    if used is None:
        return None
    left = "" if free is None else f", {words.size(free)} are left"
    steady = " and no longer fills steadily" if alert.rule == "disk_filling" else ""
    limit = at.orders.disk_warning
    return f"The disk at {alert.subject} is {used:.1f}% full now{steady}{left}; the limit is {limit:g}%."


def _host_memory(alert: Alert, at: _Now) -> str | None:  # noqa: ARG001 - one shape for all
    available = at.report.host.get("memory_available_bytes")
    if available is None:
        return None
    limit = words.size(at.orders.host_memory)
    return f"{words.size(available)} of memory is available on the host now; the limit is {limit}."


def _measured(alert: Alert, at: _Now) -> str | None:  # noqa: ARG001 - one shape for all
    name = _NAMES.get(alert.subject, alert.subject)
    return f"{name[:1].upper() + name[1:] if name != alert.subject else name} can be measured again."


def _database(alert: Alert, at: _Now) -> str | None:  # noqa: ARG001 - one shape for all
    known = at.history.identity
    return None if known is None else f"The database that is read is the known one: {known}."


def _serves(alert: Alert, at: _Now) -> str | None:  # noqa: ARG001 - one shape for all
    return f"{_NAMES.get(alert.subject, alert.subject)} accepts writes and connections again."


def _monitor(alert: Alert, at: _Now) -> str | None:  # noqa: ARG001 - one shape for all
    return "monitord works as expected again: cycles on time, the snapshot written, every channel accepting."


_SAY: Final[dict[str, Callable[[Alert, _Now], str | None]]] = {
    "database_changed": _database,
    "service_down": _service,
    "service_missing": _service,
    "service_overdue": _service,
    "service_unstable": _unstable,
    "service_unexpected": _service,
    "service_restart_loop": _loop,
    "service_frozen": _frozen,
    "service_memory_high": _memory,
    "service_memory_leak": _memory,
    "pm2_unreachable": _server,
    "pm2_empty": _server,
    "postgres_unreachable": _server,
    "redis_unreachable": _server,
    "postgres_full": _serves,
    "redis_not_writable": _serves,
    "table_growth_high": _growth,
    "table_flow_stalled": _flow,
    "sealing_late": _sealing,
    "sealing_stuck": _sealing,
    "replica_lagging": _caught_up,
    "sealing_gap": _gap,
    "labels_unaligned": _aligned,
    "sealing_slow": _sealing,
    "sealing_incomplete": _complete,
    "channel_silent": _heard,
    "groups_out_of_sync": _in_step,
    "redis_queue_backlog": _queue,
    "disk_high": _disk,
    "disk_filling": _disk,
    "host_memory_low": _host_memory,
    "subject_unmeasured": _measured,
    "monitor_degraded": _monitor,
}
