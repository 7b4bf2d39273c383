"""How the machine stands: the status, what is shown and counted of it, and the criterion that it must meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from monitord.core import humanize
from monitord.core.blocks import Block, Cell, FactTable, Grid, Meter, Paragraph
from monitord.core.history import mounts
from monitord.core.history.model import History
from monitord.core.humanize import UNKNOWN, worded
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import CriterionResult, Level, LevelFamily, SuccessCriterion, all_well
from monitord.core.series import RollupFamily, metric
from monitord.core.subjects import base, busy

if TYPE_CHECKING:
    from monitord.core.model import Alert
    from monitord.core.report.facts import ReportFacts
    from monitord.core.status import FleetStatus


@dataclass(frozen=True, slots=True)
class DiskStatus:
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
    reading = base.asked("host", history, orders) or Reading("host")
    load = [reading.number(f"load{minutes}") for minutes in (1, 5, 15)]
    known = [value for value in load if value is not None]
    return HostStatus(
        disks={path: _disk(reading, path) for path in orders.disks},
        memory_available_bytes=base.whole(reading.number("memory_available")),
        memory_available_of=cast("Literal['host', 'cgroup'] | None", reading.word("memory_available_of")),
        swap_percent=reading.number("swap"),
        cpu_percent=reading.number("cpu"),
        cores=base.whole(reading.number("cores")),
        load=tuple(known) if len(known) == len(load) else None,
    )


def _disk(reading: Reading, path: str) -> DiskStatus:
    used, inodes = reading.number("disk_used", path=path), reading.number("disk_inodes_used", path=path)
    return DiskStatus(
        used_percent=None if used is None else round(used, 2),
        free_bytes=base.whole(reading.number("disk_free", path=path)),
        inodes_used_percent=None if inodes is None else round(inodes, 2),
        mount=reading.word("disk_mount", path=path),
    )


STATUS: Final = base.StatusSection("host", HostStatus, _status)

METRICS: Final = (
    base.metric_group(
        DiskStatus,
        lambda report: report.of(STATUS).disks,
        ("disk_used_ratio", "How full a file system is.", "used_percent", base.ratio),
        ("disk_free_bytes", "What is free on a file system.", "free_bytes"),
        ("disk_inodes_used_ratio", "How many of a file system's inodes are used.", "inodes_used_percent", base.ratio),
        label="path",
    ),
    base.metric_group(
        HostStatus,
        lambda report: {"": report.of(STATUS)},
        ("host_memory_available_bytes", "Memory the host has available.", "memory_available_bytes"),
        ("host_swap_used_ratio", "How much of the swap is in use.", "swap_percent", base.ratio),
        (
            "host_cpu_busy_ratio",
            "How much of the processors was busy since the check before.",
            "cpu_percent",
            base.ratio,
        ),
        ("host_cores", "Processors of the host.", "cores"),
        base.MetricFamily(
            "host_load",
            "Load average over 1, 5 and 15 minutes.",
            lambda host: dict(zip(("1", "5", "15"), host.load or (), strict=False)),
            by="minutes",
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


def perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    host = report.of(STATUS)
    for path, disk in host.disks.items():
        limits = "{:g};{:g}".format(*orders.disk_limits(path))
        yield base.PerfDatum(f"{path} used", disk.used_percent, "%", limits, "0", "100")
        if disk.inodes_used_percent is not None:
            yield base.PerfDatum(f"{path} inodes", disk.inodes_used_percent, "%", limits, "0", "100")
    yield base.PerfDatum("cpu", host.cpu_percent, "%", _range(orders.host_cpu), "0", "100")
    yield base.PerfDatum("swap", host.swap_percent, "%", _range(orders.host_swap), "0", "100")
    limit = None if orders.host_load is None or not host.cores else orders.host_load * host.cores
    yield base.PerfDatum("load5", host.load[1] if host.load else None, limits=_range(limit), minimum="0")
    yield base.PerfDatum("memory_available", host.memory_available_bytes, "B", f";{orders.host_memory}:", "0")


def section(context: base.SectionContext) -> Iterator[Block]:
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
            (available, worded(humanize.size, host.memory_available_bytes)),
            ("Swap used", worded("{:.0f}%".format, host.swap_percent)),
            ("Processors busy", worded("{:.0f}%".format, host.cpu_percent)),
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
    yield worded(humanize.size, disk.free_bytes)
    if has_inodes:
        yield worded("{:.1f}%".format, disk.inodes_used_percent, humanize.NOTHING)


_MEMORY: Final = "memory"


def _title(facts: ReportFacts) -> str:
    orders = facts.orders
    disks = sorted({orders.disk_limits(path)[1] for path in orders.disks}) or [orders.disk_critical]
    up_to = humanize.listed([f"{limit:g}%" for limit in disks])
    return f"Host healthy (disks up to {up_to}, {humanize.size(orders.host_memory)} of memory available)"


def _host_healthy(facts: ReportFacts) -> CriterionResult:
    def blamed(alert: Alert) -> str:
        is_memory = "no_memory" in facts.rule_of(alert).roles
        is_disk = alert.subject in facts.orders.disks
        return f"the disk at {alert.subject}" if is_disk else _MEMORY if is_memory else alert.subject

    unseen = facts.too_blind("host")
    return all_well(facts, HOST_HEALTHY.name, [unseen] if unseen else [], blamed=blamed)


def _fullest(reading: Reading) -> Mapping[str, float | None]:
    """Every disk in percent, by space or inodes, whichever is worse."""
    used, inodes = (reading.numbers(name, "path") for name in ("disk_used", "disk_inodes_used"))
    known = {path: [n for n in (used.get(path), inodes.get(path)) if n is not None] for path in used | inodes}
    return {path: max(numbers, default=None) for path, numbers in known.items()}


def _full(level: Level, facts: ReportFacts) -> str:
    most = level.most or 0.0
    past = most > facts.orders.disk_limits(level.name)[1]
    return f"The disk at {level.name} was at most {most:.1f}% full{_at(level.most_at, facts, moment=past)}."


def _available(level: Level, facts: ReportFacts) -> str:
    least = level.least or 0.0
    past = _at(level.least_at, facts, moment=least < facts.orders.host_memory)
    return f"At least {humanize.size(least)} of memory was available{past}."


def _at(when: float, facts: ReportFacts, *, moment: bool) -> str:
    """When it was; `moment`: it was past its limit then, and where no alert says so, not for long."""
    text = f" at {humanize.moment(when, facts.until)}"
    is_told = bool(facts.against(HOST_HEALTHY.name))
    return f"{text}, past the limit for too short a time to be confirmed" if moment and not is_told else text


HOST_HEALTHY = SuccessCriterion(
    busy.HEALTHY,
    _title,
    "no disk was past `DISK_CRITICAL`, and memory not below `HOST_MEMORY`, but for moments too short to be confirmed",
    judge=_host_healthy,
)
LEVELS = (
    LevelFamily(HOST_HEALTHY.name, _fullest, _full),
    LevelFamily(
        HOST_HEALTHY.name,
        lambda reading: {_MEMORY: reading.number("memory_available")},
        _available,
        names=lambda _: (_MEMORY,),
    ),
)
