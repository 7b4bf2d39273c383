"""The Report: what one cycle knows, in the shape that log, page, metrics and text all render.

What could not be measured is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from monitord.core import humanize
from monitord.core.history.clocks import server_now
from monitord.core.history.defaults import effective
from monitord.core.history.epochs import calendar, seals
from monitord.core.history.growth import late_rows, rows_per_hour, window_rows
from monitord.core.history.model import History
from monitord.core.history.process_states import standing
from monitord.core.history.processes import expected, recent_restarts
from monitord.core.model import RANK, Alert, Reading, Status, Value
from monitord.core.orders import Expected, StandingOrders
from monitord.core.subjects import declared, servers
from monitord.core.subjects.registry import MEASURED, readings_of, server_of

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """Everything measured and judged as of one cycle, JSON-ready."""

    status: Status
    probes: Fields
    services: Fields
    growth: Fields
    database: Fields
    epochs: Fields
    current_epoch: Fields | None
    redis: Fields
    host: Fields
    alerts: Fields

    def as_fields(self) -> Fields:
        """The fields by name, as `check_completed` and `--format json` give them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def build_report(history: History, book: Mapping[str, Alert], orders: StandingOrders, now: datetime) -> FleetStatus:
    """What the history and the alert book amount to at `now`."""
    at = now.timestamp()
    orders = effective(orders, history)
    return FleetStatus(
        status=status(history, book, orders),
        probes={name: _probe(name, history, orders) for name in MEASURED},
        services=_services(history, orders, at),
        growth=_growth(history, orders, at),
        database=_database(_asked("postgres", history, orders)),
        epochs=_epochs(history, orders, at),
        current_epoch=_current_epoch(orders, at),
        redis=_redis(_asked("redis", history, orders), orders),
        host=_host(_asked("host", history, orders), orders),
        alerts={state: _alerts(book, state) for state in ("firing", "suppressed")},
    )


def _asked(probe: str, history: History, orders: StandingOrders) -> Reading | None:
    """The last good reading of a probe that is configured: what a snapshot holds of another one is not the present."""
    return history.reading(probe) if probe in orders.probes else None


def _alerts(book: Mapping[str, Alert], state: str) -> list[Fields]:
    chosen = [alert for alert in book.values() if alert.state == state]
    ordered = sorted(chosen, key=lambda a: (-RANK[a.severity], a.since, a.rule, a.subject))
    if state == "suppressed":
        return [alert_fields(alert) | {"suppressed_by": _cause_of(alert, book)} for alert in ordered]
    return [alert_fields(alert) for alert in ordered]


def _cause_of(alert: Alert, book: Mapping[str, Alert]) -> str:
    """The id of the silence that a suppressed alert waits for, or of the alert that explains it.

    That is its incident's, which is its own unless it took a place.
    """
    if alert.silenced_by:
        return alert.silenced_by
    firing = (a.id for a in book.values() if _lives(a) and a.incident_id == alert.incident_id)
    return next(firing, alert.incident_id)


def _lives(alert: Alert) -> bool:
    return alert.state == "firing" or bool(alert.silenced_by)


def status(history: History, book: Mapping[str, Alert], orders: StandingOrders) -> Status:
    """The worst of the firing alerts; unknown where a probe could not measure and nothing critical fires for that."""
    worst: Status = "ok"
    for alert in book.values():
        if alert.state == "firing" and RANK[alert.severity] > RANK[worst]:
            worst = alert.severity
    if RANK[worst] < RANK["unknown"] and any(_blind(name, history, book) for name in orders.probes):
        worst = "unknown"
    return worst


def _blind(probe: str, history: History, book: Mapping[str, Alert]) -> bool:
    """Whether a configured probe, or a part of what it looks at, could not be measured and no alert says so yet."""
    last = history.readings.get(probe)
    if last is None:
        return True
    if last.failure is not None:
        server = server_of(probe) or probe
        firing = (a for a in book.values() if a.subject == server and a.state == "firing")
        return all(declared(a.rule).roles.isdisjoint(("unreachable", "refusal")) for a in firing)
    firing = (alert for alert in book.values() if alert.state == "firing")
    told = {alert.subject for alert in firing if "unmeasured" in declared(alert.rule).roles}
    return any(subject not in told for subject, _, _ in servers.troubled(last))


def alert_fields(alert: Alert) -> Fields:
    """An alert as logs, pages and messages carry it."""
    finding = alert.finding
    return {
        "alert_id": alert.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity,
        "value": finding.value,
        "limit": finding.limit,
        "unit": finding.unit,
        "since": alert.since,
        "fired_at": alert.fired_at,
        "summary": finding.summary,
        "evidence": dict(finding.evidence),
        "recommendation": finding.recommendation,
        "incident_id": alert.incident_id,
        "acked_at": alert.acked_at,
        "silenced_by": alert.silenced_by or None,
        "flapping": None
        if not alert.flaps
        else {"times": alert.flaps, "since": alert.flapping_since, "calm_after_seconds": round(alert.calm_for, 3)},
    }


def _probe(name: str, history: History, orders: StandingOrders) -> Fields:
    if name not in orders.probes:
        return {"status": "off", "duration_ms": None}
    reading = history.readings.get(name)
    if reading is None:
        return {"status": "failed", "duration_ms": None, "error": "not taken yet"}
    if reading.failure is not None:
        return {
            "status": "failed",
            "duration_ms": reading.duration_ms,
            "kind": reading.failure.kind,
            "error": reading.failure.error,
        }
    unmeasured = {gap.subject: {"kind": gap.kind, "error": gap.error} for gap in reading.gaps}
    return {"status": "ok", "duration_ms": reading.duration_ms} | ({"unmeasured": unmeasured} if unmeasured else {})


def _services(history: History, orders: StandingOrders, now: float) -> Fields:
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
) -> Fields:
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
    return {
        "state": state,
        "expected": wanted,
        "memory_bytes": int(max(memory)) if memory else None,
        "cpu_percent": round(sum(cpu), 1) if cpu else None,
        "uptime_seconds": round(max(0.0, now - max(started)), 1) if started else None,
        "restarts_recent": recent_restarts(service, now, window) if service and is_known else None,
        "ok": ok,
        "instances": len(processes) if is_known else None,
    }


def _growth(history: History, orders: StandingOrders, now: float) -> Fields:
    if "postgres" not in orders.probes:
        return {}
    reading = history.reading("postgres")
    window = orders.growth_window.total_seconds()
    growth: Fields = {}
    for name in orders.tables:
        table = history.tables.get(name)
        size = reading.number("table_size", table=name) if reading else None
        readable = reading is not None and size is not None
        rate = rows_per_hour(table, now, window) if readable and table else None
        gained = window_rows(table, now, window) if readable and table else None
        growth[name] = {
            "rows": _whole(reading.number("table_rows", table=name)) if reading else None,
            "exact": False,
            "rows_per_hour": None if rate is None else round(rate, 1),
            "window_rows": _whole(gained),
            "late_rows": _whole(late_rows(table, now, window)) if readable and table else None,
            "total_bytes": _whole(size),
        }
    return growth


def _database(reading: Reading | None) -> Fields:
    if reading is None:
        return {"bytes": None, "largest_tables": None, "connections": None, "response_ms": None}
    largest = sorted(reading.values("largest_table", "table").items(), key=lambda item: -_amount(item[1]))
    return {
        "bytes": _whole(reading.number("database_size")),
        "largest_tables": [{"table": name, "bytes": value} for name, value in largest],
        "connections": _whole(reading.number("connections")),
        "response_ms": reading.number("response"),
    }


def _epochs(history: History, orders: StandingOrders, now: float) -> Fields:
    if "epochs" not in orders.probes:
        return {}
    is_known = history.reading("epochs") is not None
    now = server_now(history, now)
    groups: Fields = {}
    for group in orders.groups:
        found = seals(history.sealed, group, now, orders, history.empty) if is_known else None
        age = found.age_seconds if found else None
        groups[group] = {
            "latest": found.latest if found else None,
            "expected": calendar(orders).expected(now),
            "missed": list(found.missed) if found else None,
            "seal_age_seconds": None if age is None else round(age, 3),
            "channels_sealed": found.channels_sealed if found else None,
        }
    return groups


def _current_epoch(orders: StandingOrders, now: float) -> Fields | None:
    if "epochs" not in orders.probes:
        return None
    days = calendar(orders)
    epoch = days.current(now)
    return {
        "epoch": epoch,
        "next": epoch + days.length,
        "seconds_until_next": round(epoch + days.length - now, 3),
    }


def _redis(reading: Reading | None, orders: StandingOrders) -> Fields:
    queues: Fields = {}
    for name in orders.queues:
        parts = ("waiting", "active", "delayed", "failed")
        queues[name] = {
            part: _whole(reading.number(f"queue_{part}", queue=name)) if reading else None for part in parts
        }
    return {
        "keys": _whole(reading.number("redis_keys")) if reading else None,
        "latency_ms": reading.number("redis_latency") if reading else None,
        "memory_bytes": _whole(reading.number("redis_memory")) if reading else None,
        "evicted": _whole(reading.number("redis_evicted")) if reading else None,
        "queues": queues,
    }


def _host(reading: Reading | None, orders: StandingOrders) -> Fields:
    disks: Fields = {}
    for path in orders.disks:
        used = reading.number("disk_used", path=path) if reading else None
        free = reading.number("disk_free", path=path) if reading else None
        inodes = reading.number("disk_inodes_used", path=path) if reading else None
        disks[path] = {
            "used_percent": None if used is None else round(used, 2),
            "free_bytes": _whole(free),
            "inodes_used_percent": None if inodes is None else round(inodes, 2),
            "mount": reading.word("disk_mount", path=path) if reading else None,
        }
    load = [reading.number(f"load{minutes}") if reading else None for minutes in (1, 5, 15)]
    return {
        "disks": disks,
        "memory_available_bytes": _whole(reading.number("memory_available")) if reading else None,
        "memory_available_of": reading.word("memory_available_of") if reading else None,
        "swap_percent": reading.number("swap") if reading else None,
        "load": None if None in load else load,
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _amount(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def verdict(fields: Fields) -> str:
    """The status in one sentence, without its name."""
    firing = fields["alerts"]["firing"]
    if len(firing) == 1:
        return str(firing[0]["summary"])
    if firing:
        return f"{len(firing)} alerts fire, the worst: {firing[0]['summary']}"
    if fields.get("unasked"):
        return f"{fields['unasked']}."
    failed = [readings_of(name) for name, probe in fields["probes"].items() if _failed(name, probe, fields)]
    if failed:
        return f"{humanize.listed(failed)} could not be measured."
    if fields["status"] == "unknown":
        return "a part of what is watched could not be measured."
    services = fields["services"]
    well = sum(1 for service in services.values() if service["ok"])
    fleet = f"{well} of {len(services)} services are as ordered" if services else "no services are watched"
    return f"{'nothing is wrong' if well == len(services) else 'no alert fires'}; {fleet}."


def _failed(name: str, probe: Fields, fields: Fields) -> bool:
    """Whether a probe failed, and of something: while nobody could be asked what is there, the server says it."""
    asks_first = name == "epochs" and not fields["epochs"] and fields["probes"]["postgres"]["status"] == "failed"
    return probe["status"] == "failed" and not asks_first
