"""A report as a monitoring plugin says it: one line, performance data, and the alerts as long output.

By the plugin guidelines: `'label'=value[UOM];warn;crit;min;max`, thresholds as ranges, `U` for what was not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core.orders import StandingOrders
from monitord.core.status import Fields, verdict
from monitord.reporting.terminal import clean, clip

# Nagios keeps 8 kB of what a plugin says: what is past that would be cut in the middle of a word.
_SUMMARY_CELLS: Final = 300
_BYTES: Final = 8000
_PERFDATA_BYTES: Final = 6000
_NOT_IN_TEXT: Final = str.maketrans({"|": "/"})
_NOT_IN_LABELS: Final = str.maketrans({"|": "_", "'": "_", "=": "_", '"': "_", ";": "_", "\\": "_"})


def nagios(fields: Fields, orders: StandingOrders) -> str:
    """The plugin output; whoever prints it exits 0, 1, 2 or 3 for OK, WARNING, CRITICAL or UNKNOWN."""
    first = f"MONITORD {fields['status'].upper()} - {_plain(_summary(fields))}"
    data: list[str] = []
    room = _PERFDATA_BYTES
    for datum in _perfdata(fields, orders):
        room -= len(datum.encode()) + 1
        if room < 0:  # a thousand services: the first ones matter more than half a number
            break
        data.append(datum)
    lines = [f"{first} | {' '.join(data)}"]
    room = _BYTES - len(lines[0].encode())
    for alert in fields["alerts"]["firing"]:
        line = _plain(f"{alert['severity'].upper()} {alert['rule']} {alert['subject']}: {alert['summary']}")
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def _summary(fields: Fields) -> str:
    firing = fields["alerts"]["firing"]
    return f"{firing[0]['summary']} (and {len(firing) - 1} more)" if len(firing) > 1 else verdict(fields)


def _plain(text: str) -> str:
    """On one line, and without the bar that would end the text."""
    return clip(text.translate(_NOT_IN_TEXT), _SUMMARY_CELLS)


def _perfdata(fields: Fields, orders: StandingOrders) -> Iterator[str]:
    """What a graph is worth drawing of, the servers and disks first, one service after another last."""
    probes = fields["probes"]
    yield _datum("alerts_firing", len(fields["alerts"]["firing"]), minimum="0")
    yield _datum("check_duration", fields["duration_ms"], "ms", minimum="0")
    host = fields["host"]
    for path, disk in host["disks"].items():
        limits = f"{orders.disk_warning:g};{orders.disk_critical:g}"
        yield _datum(f"{path} used", disk["used_percent"], "%", limits, "0", "100")
        if disk.get("inodes_used_percent") is not None:
            yield _datum(f"{path} inodes", disk["inodes_used_percent"], "%", limits, "0", "100")
    yield _datum("memory_available", host["memory_available_bytes"], "B", f";{orders.host_memory}:", "0")
    if probes["postgres"]["status"] != "off":
        yield from _of_postgres(fields, orders)
    if probes["redis"]["status"] != "off":
        redis = fields["redis"]
        yield _datum("redis_keys", redis["keys"], minimum="0")
        yield _datum("redis_latency", redis["latency_ms"], "ms", minimum="0")
        yield _datum("redis_memory", redis["memory_bytes"], "B", minimum="0")
        for name, queue in redis["queues"].items():
            yield _datum(f"{name} waiting", queue["waiting"], limits=f"{orders.queue_limit(name)};", minimum="0")
    if probes["pm2"]["status"] != "off":
        yield from _of_services(fields, orders)


def _of_postgres(fields: Fields, orders: StandingOrders) -> Iterator[str]:
    database = fields["database"]
    yield _datum("postgres_response", database["response_ms"], "ms", minimum="0")
    yield _datum("postgres_connections", database["connections"], minimum="0")
    yield _datum("database_size", database["bytes"], "B", minimum="0")
    for name, found in fields["growth"].items():
        yield _datum(f"{name} rows", found["rows"], minimum="0")
        yield _datum(f"{name} window_rows", found["window_rows"], limits=f"{orders.growth_limit};", minimum="0")
        yield _datum(f"{name} size", found["total_bytes"], "B", minimum="0")
    limits = f"{orders.seal_warning.total_seconds():g};{orders.seal_critical.total_seconds():g}"
    for name, group in fields["epochs"].items():
        yield _datum(f"{name} seal_age", group["seal_age_seconds"], "s", limits, "0")
        sealed = group["missed"] is not None and group["latest"] is not None
        yield _datum(f"{name} missed", len(group["missed"]) if sealed else None, minimum="0")


def _of_services(fields: Fields, orders: StandingOrders) -> Iterator[str]:
    services = fields["services"]
    known = [service["ok"] for service in services.values() if service["ok"] is not None]
    well = sum(known) if fields["probes"]["pm2"]["status"] == "ok" else None
    yield _datum("services_ok", well, minimum="0", maximum=str(len(services)))
    for name, service in services.items():
        limits = f"{orders.memory_limit(name)};"
        yield _datum(f"{name} memory", service["memory_bytes"], "B", limits, "0")
        limits = f"{orders.restarts_warning};{orders.restarts_critical}"
        yield _datum(f"{name} restarts", service["restarts_recent"], limits=limits, minimum="0")


def _datum(
    label: str, value: float | None, unit: str = "", limits: str = ";", minimum: str = "", maximum: str = ""
) -> str:
    """One `'label'=value[UOM];warn;crit;min;max`, without the semicolons that nothing follows."""
    subject, _, part = clean(label).translate(_NOT_IN_LABELS).rpartition(" ")
    name = f"{clip(subject, 80)} {part}" if subject else part
    measured = "U" if value is None else f"{_number(value)}{unit}"
    return f"'{name}'={measured};{limits};{minimum};{maximum}".rstrip(";")


def _number(value: float) -> str:
    """Digits and a point only: an exponent is no number to a plugin's reader."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
