"""How the machine stands: the status, and what is shown and counted of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from monitord.core import humanize
from monitord.core.blocks import Block, Cell, FactTable, Grid, Meter, Paragraph
from monitord.core.history import mounts
from monitord.core.history.model import History
from monitord.core.humanize import UNKNOWN, said
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.series import RollupFamily, metric
from monitord.core.subjects import busy
from monitord.core.subjects.base import (
    MetricFamily,
    MetricGroup,
    PerfDatum,
    SectionContext,
    StatusSection,
    asked,
    metrics_of,
    whole,
)

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus


@dataclass(frozen=True, slots=True)
class DiskStatus:
    """One watched path."""

    used_percent: float | None
    free_bytes: int | None
    inodes_used_percent: float | None
    mount: str | None


@dataclass(frozen=True, slots=True)
class HostStatus:
    """The machine, or in a container the smaller of what it and the control group have."""

    disks: Mapping[str, DiskStatus]
    memory_available_bytes: int | None
    memory_available_of: Literal["host", "cgroup"] | None
    swap_percent: float | None
    cpu_percent: float | None
    cores: int | None
    load: tuple[float, ...] | None


def _status(history: History, orders: StandingOrders, now: float) -> HostStatus:
    reading = asked("host", history, orders) or Reading("host")
    load = [reading.number(f"load{minutes}") for minutes in (1, 5, 15)]
    known = [value for value in load if value is not None]
    return HostStatus(
        disks={path: _disk(reading, path) for path in orders.disks},
        memory_available_bytes=whole(reading.number("memory_available")),
        memory_available_of=cast("Literal['host', 'cgroup'] | None", reading.word("memory_available_of")),
        swap_percent=reading.number("swap"),
        cpu_percent=reading.number("cpu"),
        cores=whole(reading.number("cores")),
        load=tuple(known) if len(known) == len(load) else None,
    )


def _disk(reading: Reading, path: str) -> DiskStatus:
    used, inodes = reading.number("disk_used", path=path), reading.number("disk_inodes_used", path=path)
    return DiskStatus(
        used_percent=None if used is None else round(used, 2),
        free_bytes=whole(reading.number("disk_free", path=path)),
        inodes_used_percent=None if inodes is None else round(inodes, 2),
        mount=reading.word("disk_mount", path=path),
    )


STATUS: Final = StatusSection("host", HostStatus, _status)

METRICS: Final = (
    MetricGroup[DiskStatus](
        lambda report: report.of(STATUS).disks,
        metrics_of(
            DiskStatus,
            ("disk_used_ratio", "How full a file system is.", "used_percent"),
            ("disk_free_bytes", "What is free on a file system.", "free_bytes"),
            ("disk_inodes_used_ratio", "How many of a file system's inodes are used.", "inodes_used_percent"),
        ),
        label="path",
    ),
    MetricGroup[HostStatus](
        lambda report: {"": report.of(STATUS)},
        metrics_of(
            HostStatus,
            ("host_memory_available_bytes", "Memory the host has available.", "memory_available_bytes"),
            ("host_swap_used_ratio", "How much of the swap is in use.", "swap_percent"),
            ("host_cpu_busy_ratio", "How much of the processors was busy since the check before.", "cpu_percent"),
            ("host_cores", "Processors of the host.", "cores"),
            MetricFamily(
                "host_load",
                "Load average over 1, 5 and 15 minutes.",
                lambda host: dict(zip(("1", "5", "15"), host.load or (), strict=False)),
                by="minutes",
            ),
        ),
    ),
)


def _range(limit: float | None) -> str:
    return ";" if limit is None else f"{limit:g};"


ROLLUPS: Final = (
    RollupFamily("used", "used", "level", metric(METRICS, "disk_used_ratio"), "{:.0%}".format),
    RollupFamily(
        "available", "available memory", "level", metric(METRICS, "host_memory_available_bytes"), humanize.size
    ),
)


def perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[PerfDatum]:
    host = report.of(STATUS)
    for path, disk in host.disks.items():
        limits = "{:g};{:g}".format(*orders.disk_limits(path))
        yield PerfDatum(f"{path} used", disk.used_percent, "%", limits, "0", "100")
        if disk.inodes_used_percent is not None:
            yield PerfDatum(f"{path} inodes", disk.inodes_used_percent, "%", limits, "0", "100")
    yield PerfDatum("cpu", host.cpu_percent, "%", _range(orders.host_cpu), "0", "100")
    yield PerfDatum("swap", host.swap_percent, "%", _range(orders.host_swap), "0", "100")
    limit = None if orders.host_load is None or not host.cores else orders.host_load * host.cores
    yield PerfDatum("load5", host.load[1] if host.load else None, limits=_range(limit), minimum="0")
    yield PerfDatum("memory_available", host.memory_available_bytes, "B", f";{orders.host_memory}:", "0")


def section(context: SectionContext) -> Iterator[Block]:
    host = context.report.of(STATUS)
    has_inodes = any(disk.inodes_used_percent is not None for disk in host.disks.values())
    rows = tuple(
        (
            context.severity(path) or ("unknown" if disk.used_percent is None else "ok"),
            tuple(_cells(path, disk, context.orders, has_inodes=has_inodes)),
        )
        for path, disk in host.disks.items()
    )
    if rows:
        header = ("Disk", "Used", "Free", *(("Inodes used",) if has_inodes else ()))
        yield Grid("Disks; the ticks are the limits", header, rows, frozenset({1, 2, 3}))
    for sentence in mounts.shared_mounts({path: disk.mount for path, disk in host.disks.items()}):
        yield Paragraph(f"{sentence}.")
    available = "Memory available" + (" in the container" if host.memory_available_of == "cgroup" else "")
    found = context.severity("host")
    past = {
        available: _is_past(context.orders.host_memory, host.memory_available_bytes),
        "Swap used": _is_past(host.swap_percent, context.orders.host_swap),
        "Processors busy": _is_past(host.cpu_percent, context.orders.host_cpu),
        "Load": _is_past(busy.load_per_core(host.load[1], host.cores) if host.load else None, context.orders.host_load),
    }
    yield FactTable(
        (
            (available, said(humanize.size, host.memory_available_bytes)),
            ("Swap used", said("{:.0f}%".format, host.swap_percent)),
            ("Processors busy", said("{:.0f}%".format, host.cpu_percent)),
            ("Load", UNKNOWN if host.load is None else " ".join(f"{value:.2f}" for value in host.load)),
        ),
        {name: found for name, is_past in past.items() if is_past} if found else {},
    )


def _is_past(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit


def _cells(path: str, disk: DiskStatus, orders: StandingOrders, *, has_inodes: bool) -> Iterator[Cell]:
    used, limits = disk.used_percent, orders.disk_limits(path)
    yield path
    yield UNKNOWN if used is None else Meter(f"{used:.1f}%", used, limits)
    yield said(humanize.size, disk.free_bytes)
    if has_inodes:
        yield said("{:.1f}%".format, disk.inodes_used_percent, humanize.NOTHING)
