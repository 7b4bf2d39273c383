"""Judgement of monitord itself: late cycles, a snapshot that cannot be written, messages that cannot be delivered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.blocks import Block, FactTable, Grid, Style
from monitord.core.history import clocks
from monitord.core.history.model import History
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import RecoveryContext, Rule, SectionContext, Subject


def monitor_degraded(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
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
        yield Clear("monitor_degraded", "monitord")
        return
    yield Finding(
        rule="monitor_degraded",
        subject="monitord",
        severity="warning",
        value=round(late, 3) if late is not None and is_late else len(troubles),
        limit=limit if is_late else 0,
        unit="seconds" if is_late else "troubles",
        summary=f"monitord itself is degraded: {'; '.join(troubles)}.",
        evidence={
            "troubles": troubles,
            "parts": [*(["clock"] if of_clocks else []), *(gap.subject for gap in reading.gaps)],
        },
        recommendation=_advice([gap.subject for gap in reading.gaps], is_late=is_late, is_clock=bool(of_clocks)),
    )


def _advice(parts: list[str], *, is_late: bool, is_clock: bool) -> str:
    """What to look at: the machine, or whoever does not take what is told."""
    ways = [part for part in parts if part.startswith("notify ") or part == "heartbeat"]
    told = ["Test the channels: monitord notify test."] if ways else []
    if is_late or len(ways) < len(parts):
        told.insert(0, "Look at the machine monitord runs on: its disk, its load, its permissions.")
    if is_clock:
        told.insert(0, "Check the time synchronisation of this machine and the database's: timedatectl, chronyc.")
    return " ".join(told)


def _well_now(alert: Alert, at: RecoveryContext) -> str:
    return "monitord works as expected again: cycles on time, the snapshot written, every channel accepting."


MONITOR_DEGRADED = Rule(
    name="monitor_degraded",
    probe="monitord",
    severities=("warning",),
    evaluate=monitor_degraded,
    roles=frozenset({"monitor"}),
    recovered=_well_now,
)

_STYLES: Final[dict[str, Style | None]] = {"ok": "ok", "failed": "unknown", "off": None}


def section(context: SectionContext) -> Iterator[Block]:
    rows = tuple(
        (
            _STYLES[probe.status],
            (
                readings,
                "measured" if probe.status == "ok" else probe.status,
                humanize.said(humanize.milliseconds, probe.duration_ms, humanize.NOTHING),
            ),
        )
        for readings, probe in context.probes
    )
    yield Grid("Probes of the last check", ("Probe", "State", "Took"), rows, frozenset({2}))
    if context.monitor:
        yield FactTable(context.monitor)


MONITORD = Subject(
    "monitord", "monitord", rules=(MONITOR_DEGRADED,), section=section, heading="Monitoring", always=True
)
