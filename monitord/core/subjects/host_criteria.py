"""The criterion of the report that the host must meet: disks below their critical limit, and memory above its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.model import Reading
from monitord.core.report.criterion import CriterionResult, Level, LevelFamily, SuccessCriterion, all_well

if TYPE_CHECKING:
    from monitord.core.model import Alert
    from monitord.core.report.facts import ReportFacts

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
    said = f" at {humanize.moment(when, facts.until)}"
    is_told = bool(facts.against(HOST_HEALTHY.name))
    return f"{said}, past the limit for too short a time to be confirmed" if moment and not is_told else said


HOST_HEALTHY = SuccessCriterion(
    "host_healthy",
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
