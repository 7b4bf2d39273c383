"""Judgement of the machine: disks that fill, memory that runs out."""

from functools import partial
from shlex import quote
from typing import Final

from monitord.core import humanize
from monitord.core.anomalies import forecasts, trends
from monitord.core.copying import replace
from monitord.core.history.model import DiskFull, History
from monitord.core.history.mounts import unmounted
from monitord.core.model import Alert, Finding, Observation, Reading, Severity
from monitord.core.orders import StandingOrders
from monitord.core.subjects import base, busy, host_status
from monitord.core.subjects.servers import unmeasured

# A disk past its limit still takes rows; one as full as this does not.
DISK_FULL_PERCENT = 98.0


def update_full(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> History:
    """The history after one good reading of the host, the last of which was at `before`: which disks take no more."""
    full = {}
    for path in orders.disks:
        used = (reading.number("disk_used", path=path), reading.number("disk_inodes_used", path=path))
        known = [percent for percent in used if percent is not None]
        was = history.full.get(path)
        if known and max(known) >= DISK_FULL_PERCENT:
            full[path] = DiskFull(now if before is None else before, now) if was is None else replace(was, room_at=None)
        elif was is not None:
            room_at = was.room_at if was.room_at is not None else now if known else None
            if room_at is None or now - room_at <= orders.late_after.total_seconds():
                full[path] = replace(was, room_at=room_at)
    return history if full == history.full else replace(history, full=full)


@base.of_each(lambda orders: orders.disks)
def disk_high(path: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A disk past the limits, by space (percent, as df counts it) or by inodes, whichever is worse."""
    reading = observation.readings["host"]
    space, inodes = reading.number("disk_used", path=path), reading.number("disk_inodes_used", path=path)
    if space is None and inodes is None:
        return "it cannot be measured"
    of_space, of_inodes = round(space or 0.0, 2), round(inodes or 0.0, 2)
    is_of_inodes = space is None or (inodes is not None and of_inodes > of_space)
    used, what = (of_inodes, "inodes") if is_of_inodes else (of_space, "space")
    warning, critical = orders.disk_limits(path)
    if used <= warning:  # without inodes there are none that could run out; space there always is
        return "its space is not told" if space is None else None
    free = reading.number("disk_free", path=path)
    is_critical = used > critical
    limit = critical if is_critical else warning
    left = "" if free is None else f"; {humanize.size(free)} are left"
    phrases = {
        "space": f"The disk at {path} is {used:.1f}% full, past {limit:g}%{left}.",
        "inodes": f"The disk at {path} has used {used:.1f}% of its inodes, past {limit:g}%: when they are gone no "
        f"file can be made, whatever space is left{left}.",
    }
    remedy = {
        "space": f"Free space on {path} now: old logs, old rows, backups."
        if is_critical
        else f"Plan to free space on {path}.",
        "inodes": f"Find the directories with the most files on {path} and delete what is not needed: "
        f"du --inodes -x {quote(path)} | sort -n | tail",
    }
    evidence = {"free_bytes": free} | (
        {} if inodes is None else {"full_of": what, "used_percent": space, "inodes_used_percent": inodes}
    )
    severity: Severity = "critical" if is_critical else "warning"
    return Finding("disk_high", path, severity, used, limit, "percent", phrases[what], evidence, remedy[what])


@base.of_each(lambda orders: orders.disks)
def disk_filling(path: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A disk that fills so steadily that it will be full."""
    now, reading = observation.now.timestamp(), observation.readings["host"]
    terms = forecasts.disk_terms(orders, path)
    used, series = reading.number("disk_used", path=path), history.trends.get(forecasts.disk_key(path))
    if used is None or series is None:
        return "it cannot be measured"
    fast = history.trends.get(forecasts.fast_disk_key(path))
    if series.trend is None and (fast is None or fast.trend is None):  # nearly always
        return None
    outlook = forecasts.disk_outlook(path, series, fast, used, now, orders)
    if outlook is None:
        fast_terms = forecasts.fast_disk_terms(orders, path)
        past = trends.is_past(series, terms)
        past = past or (fast is not None and fast_terms is not None and trends.is_past(fast, fast_terms))
        return forecasts.PAST if past else None
    is_critical = outlook.seconds <= forecasts.SOON * terms.horizon and used - outlook.lowest >= forecasts.FULL - used
    free = reading.number("disk_free", path=path)
    summary = (
        f"The disk at {path} fills by {outlook.per_hour:.3g}% an hour ({forecasts.seen_for(outlook)}) and would be "
        f"full {forecasts.reached(outlook)}; it is {used:.1f}% full now."
    )
    evidence = {
        "used_percent": round(used, 2),
        "limit_percent": forecasts.FULL,
        "free_bytes": free,
        "percent_per_hour": round(outlook.per_hour, 3),
    } | forecasts.outlook_evidence(outlook)
    advice = (
        f"Find what grows on {path} (du -x --max-depth=2 {quote(path)}): logs first, then the database's "
        f"tables and WAL, then dumps and backups. Stop it or free space {forecasts.deadline(outlook)}."
    )
    severity: Severity = "critical" if is_critical else "warning"
    return Finding(
        "disk_filling", path, severity, round(outlook.per_hour, 2), None, "percent/h", summary, evidence, advice
    )


@base.of_one("host")
def host_memory_low(observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """Less memory available than ordered."""
    reading = observation.readings["host"]
    available = reading.number("memory_available")
    if available is None:
        return "the kernel did not report it"
    if available >= orders.host_memory:
        return None
    hungriest = sorted(
        (
            (process.memory, name)
            for name, s in history.services.items()
            for process in s.lives.values()
            if process.memory
        ),
        reverse=True,
    )[:3]
    is_group = reading.word("memory_available_of") == "cgroup"
    limit = reading.number("memory_limit")
    where = "in monitord's container (its control group's limit" if is_group else "on the host"
    if is_group:
        where += f" is {humanize.size(limit)})" if limit is not None else ")"
    summary = (
        f"Only {humanize.size(available)} of memory is available {where}, "
        f"under the limit of {humanize.size(orders.host_memory)}."
    )
    evidence = {"largest_services": {name: memory for memory, name in hungriest}} | (
        {"available_of": "cgroup", "limit_bytes": limit} if is_group else {}
    )
    advice = "Find what took the memory before the kernel chooses a process to kill."
    value = int(available)
    return Finding("host_memory_low", "host", "critical", value, orders.host_memory, "bytes", summary, evidence, advice)


def _used_now(alert: Alert, at: base.RecoveryContext, steady: str = "") -> str | None:
    disk = at.report.of(host_status.STATUS).disks.get(alert.subject)
    if disk is None or disk.used_percent is None:
        return None
    left = "" if disk.free_bytes is None else f", {humanize.size(disk.free_bytes)} are left"
    limit, _ = at.orders.disk_limits(alert.subject)
    return f"The disk at {alert.subject} is {disk.used_percent:.1f}% full now{steady}{left}; the limit is {limit:g}%."


def _available_now(alert: Alert, at: base.RecoveryContext) -> str | None:
    available = at.report.of(host_status.STATUS).memory_available_bytes
    if available is None:
        return None
    limit = humanize.size(at.orders.host_memory)
    return f"{humanize.size(available)} of memory is available on the host now; the limit is {limit}."


_AT_RISK: Final = "at risk: the kernel may end any process"
_STOPS: Final = "stops when the disk is full"
_DISK: Final = base.Impact("what writes to this disk stops when it is full", (_STOPS, _STOPS, base.NONE))
_DISK_RUNBOOK: Final = (
    "df -h {name}",
    "du -xh --max-depth=2 {name} 2>/dev/null | sort -h | tail -n 20",
    "SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' "
    "ORDER BY pg_total_relation_size(oid) DESC LIMIT 5",
)

_rule = partial(base.Rule, probe="host", criterion=host_status.HOST_HEALTHY.name)
HOST_MEMORY_LOW = _rule(
    severities=("critical",),
    evaluate=host_memory_low,
    roles=frozenset({"no_memory"}),
    inhibits_firing=True,
    runbook=("free -m", "ps aux --sort=-rss | head -n 10", "dmesg --ctime | grep -i 'out of memory' | tail -n 5"),
    impact=base.Impact(_AT_RISK, (_AT_RISK, _AT_RISK, _AT_RISK)),
    recovered=_available_now,
)
DISK_FILLING = _rule(
    severities=("warning", "critical"),
    evaluate=disk_filling,
    runbook=_DISK_RUNBOOK,
    impact=_DISK,
    recovered=lambda alert, at: _used_now(alert, at, " and no longer fills steadily"),
)
DISK_HIGH = _rule(
    severities=("warning", "critical"),
    evaluate=disk_high,
    replaces=(base.Replaces(DISK_FILLING, when=lambda stronger, _: stronger.severity == "critical"),),
    roles=frozenset({"full_disk"}),
    inhibits_firing=True,
    recommend=lambda alert: "free_disk" if alert.severity == "critical" else None,
    runbook=_DISK_RUNBOOK,
    impact=_DISK,
    blocking=lambda *_: ("everything that writes to this disk",),
    recovered=_used_now,
)
UNMEASURED = unmeasured(
    "host",
    "the host",
    "There is no such path: is the file system mounted, is the name in MONITORD_HOST__DISKS right?",
    judges_failure=True,
)
RULES = (HOST_MEMORY_LOW, DISK_HIGH, DISK_FILLING, *busy.MACHINE)


def _update(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> base.Updated:
    history = busy.update_machine(update_full(history, reading, before, now, orders), reading, now, orders)
    return base.Updated(forecasts.update_disks(history, reading, now, orders))


HOST = base.Subject(
    "host",
    "the host",
    beneath_all=True,
    rules=(*RULES, UNMEASURED),
    update_for_rules=_update,
    members="disks",
    member="disk",
    in_fleet=False,
    member_sample=("disk_used", "path"),
    status=(host_status.STATUS,),
    metrics=host_status.METRICS,
    perfdata=host_status.perfdata,
    section=host_status.section,
    heading="Host",
    forget=unmounted,
    criteria=(host_status.HOST_HEALTHY,),
    limits={
        "disk_warning": "how full a disk may be, past which is a warning",
        "disk_critical": "the same, past which is critical",
        "fill_span": "how long a disk must have been seen to fill",
        "host_memory": "the least memory that must be available",
        "host_cpu": "how busy the processors may be",
        "host_load": "the most load a core",
        "host_swap": "how much of swap may be used",
        "busy_for": "how long the host may be busier than its limits",
    },
    levels=host_status.LEVELS,
    rollups=host_status.ROLLUPS,
)
