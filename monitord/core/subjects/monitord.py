"""Judgement of monitord itself: late cycles, a snapshot that cannot be written, messages that cannot be delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.blocks import Block, FactTable, Grid, Paragraph, Style
from monitord.core.history import clocks
from monitord.core.history.model import History
from monitord.core.model import Finding, Observation
from monitord.core.orders import StandingOrders
from monitord.core.subjects import base

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus


_DEGRADED: Final = "monitor_degraded"


@base.of_one("monitord")
def monitor_degraded(observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """Whatever degrades monitord itself."""
    reading = observation.readings["monitord"]
    late, limit = reading.number("cycle_late"), orders.late_after.total_seconds()
    troubles = [gap.error for gap in reading.gaps]
    is_late = late is not None and late > limit
    of_clocks = clocks.troubles(history)
    troubles = [*of_clocks, *troubles]
    if late is not None and is_late:
        troubles.insert(0, f"its cycle began {humanize.duration(late)} late")
    if not troubles:
        is_untold = late is None
        return "the reading does not tell" if is_untold else None
    evidence = {
        "troubles": troubles,
        "parts": [*(["clock"] if of_clocks else []), *(gap.subject for gap in reading.gaps)],
    }
    advice = _advice([gap.subject for gap in reading.gaps], is_late=is_late, is_clock=bool(of_clocks))
    value, unit = (round(late, 3), "seconds") if late is not None and is_late else (len(troubles), "troubles")
    summary, most = f"monitord itself is degraded: {'; '.join(troubles)}.", limit if is_late else 0
    return Finding(_DEGRADED, "monitord", "warning", value, most, unit, summary, evidence, advice)


def _advice(parts: list[str], *, is_late: bool, is_clock: bool) -> str:
    ways = [part for part in parts if part.startswith("notify ") or part == "heartbeat"]
    advice = ["Test the channels: monitord notify test."] if ways else []
    if is_late or len(ways) < len(parts):
        advice.insert(0, "Check the machine monitord runs on: its disk, its load, its permissions.")
    if is_clock:
        advice.insert(0, "Check the time synchronisation of this machine and the database's: timedatectl, chronyc.")
    return " ".join(advice)


MONITOR_DEGRADED = base.Rule(
    probe="monitord",
    evaluate=monitor_degraded,
    roles=frozenset({"monitor"}),
    recovered=lambda *_: (
        "monitord works as expected again: cycles on time, the snapshot written, every channel accepting."
    ),
)


@dataclass(frozen=True, slots=True)
class MonitordStatus:
    """monitord's own work in the last whole cycle, `cycle_seconds` of the one before; None: no daemon has said."""

    cycle_late_seconds: float | None
    cycle_seconds: float | None
    memory_bytes: int | None
    probes_failing: int
    failing: Mapping[str, str] | None


def _status(history: History, orders: StandingOrders, now: float) -> MonitordStatus:
    own = history.readings.get("monitord")
    last = (history.readings.get(name) for name in orders.probes)
    return MonitordStatus(
        cycle_late_seconds=None if own is None else own.number("cycle_late"),
        cycle_seconds=None if own is None else own.number("cycle_took"),
        memory_bytes=None if own is None else base.whole(own.number("memory")),
        probes_failing=sum(one is None or one.failure is not None for one in last),
        failing=None if own is None else {gap.subject: gap.error for gap in own.gaps},
    )


STATUS = base.StatusSection("monitord", MonitordStatus, _status)


def _own(report: FleetStatus) -> MonitordStatus | None:
    """Monitord's own work, where the status has it: one that an older monitord has saved does not."""
    return report.of(STATUS) if STATUS.name in report.sections else None


METRICS = (
    base.metric_group(
        MonitordStatus,
        lambda report: {"": own} if (own := _own(report)) is not None else {},
        ("cycle_late_seconds", "How long after it was due the last whole cycle began.", "cycle_late_seconds"),
        ("memory_bytes", "The memory that monitord itself uses.", "memory_bytes"),
        base.MetricFamily(
            "parts_failing",
            "How many parts of monitord fail: the snapshot, a channel, a log output.",
            lambda own: None if own.failing is None else len(own.failing),
        ),
    ),
)
_STYLES: Final[dict[str, Style | None]] = {"ok": "ok", "failed": "unknown", "off": None}


def section(context: base.SectionContext) -> Iterator[Block]:
    rows = tuple(
        (
            _STYLES[probe.status],
            (
                readings,
                "measured" if probe.status == "ok" else probe.status,
                humanize.worded(humanize.milliseconds, probe.duration_ms, humanize.NOTHING),
            ),
        )
        for readings, probe in context.probes
    )
    yield Grid("Probes of the last check", ("Probe", "State", "Took"), rows, frozenset({2}))
    own = _own(context.report)
    if facts := (*context.monitor, *(() if own is None else _facts(own))):
        yield FactTable(facts)
    for error in () if own is None or own.failing is None else own.failing.values():
        yield Paragraph(humanize.sentence(f"monitord is degraded: {error}"), "warning")


def _facts(own: MonitordStatus) -> Iterator[tuple[str, str]]:
    for title, value, words in (
        ("Began late", own.cycle_late_seconds, humanize.duration),
        ("Whole cycle took", own.cycle_seconds, humanize.duration),
        ("Memory of monitord", own.memory_bytes, humanize.size),
    ):
        if value is not None:
            yield title, words(value)


MONITORD = base.Subject(
    "monitord",
    "monitord",
    rules=(MONITOR_DEGRADED,),
    status=(STATUS,),
    metrics=METRICS,
    section=section,
    heading="Monitoring",
    always=True,
    limits={
        "confirmations": "how many readings must agree before an alert fires or resolves",
        "confirm_every": "how far apart those readings are at least",
        "flapping_times": "how often an alert may fire within the window before it flaps",
        "flapping_window": "the window in which that is counted",
    },
)
