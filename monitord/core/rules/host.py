"""Judgement of the machine: disks that fill, memory that runs out."""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core import words
from monitord.core.history import History
from monitord.core.model import Clear, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders


def disk_high(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A disk used past the limits (percent, as df counts it)."""
    reading = observation.readings["host"]
    for path in orders.disks:
        used, free = reading.number("disk_used", path=path), reading.number("disk_free", path=path)
        if used is None:
            yield Unknown("disk_high", path, "it cannot be measured")
            continue
        used = round(used, 2)
        if used <= orders.disk_warning:
            yield Clear("disk_high", path)
            continue
        is_critical = used > orders.disk_critical
        limit = orders.disk_critical if is_critical else orders.disk_warning
        left = "" if free is None else f"; {words.size(free)} are left"
        yield Finding(
            rule="disk_high",
            subject=path,
            severity="critical" if is_critical else "warning",
            value=used,
            limit=limit,
            unit="percent",
            summary=f"The disk at {path} is {used:.1f}% full, past {limit:g}%{left}.",
            evidence={"free_bytes": free},
            recommendation=(
                f"Free space on {path} now: old logs, old rows, backups."
                if is_critical
                else f"Plan to free space on {path}."
            ),
        )


def host_memory_low(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """Less memory available than ordered."""
    reading = observation.readings["host"]
    available = reading.number("memory_available")
    if available is None:
        yield Unknown("host_memory_low", "host", "the kernel did not tell")
        return
    if available >= orders.host_memory:
        yield Clear("host_memory_low", "host")
        return
    hungriest = sorted(
        ((life.memory, name) for name, s in history.services.items() for life in s.lives.values() if life.memory),
        reverse=True,
    )[:3]
    yield Finding(
        rule="host_memory_low",
        subject="host",
        severity="critical",
        value=int(available),
        limit=orders.host_memory,
        unit="bytes",
        summary=(
            f"Only {words.size(available)} of memory is available on the host, "
            f"under the limit of {words.size(orders.host_memory)}."
        ),
        evidence={"largest_services": {name: memory for memory, name in hungriest}},
        recommendation="Find what took the memory before the kernel chooses a process to kill.",
    )
