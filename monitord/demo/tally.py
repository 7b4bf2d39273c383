"""The tally of a tour: which faults were detected and cleared, how soon, and what else was reported."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from monitord.core import humanize
from monitord.demo.child import FiredAlert
from monitord.demo.scenario import Fault
from monitord.reporting.terminal import Terminal, cells


@dataclass(frozen=True, slots=True)
class FaultOutcome:
    """Seconds to the alert, and from mending to the end of all such alerts (None: not all ended)."""

    fault: Fault
    alert: FiredAlert | None
    detected_after: float | None
    cleared_after: float | None
    besides: tuple[FiredAlert, ...] = ()

    @property
    def is_good(self) -> bool:
        return self.detected_after is not None and self.cleared_after is not None


@dataclass(slots=True)
class TourTally:
    """`verdict` is what `monitord report` makes of it all; "" where nobody asked."""

    outcomes: list[FaultOutcome] = field(default_factory=list)
    left_out: list[Fault] = field(default_factory=list)
    alerts: Sequence[FiredAlert] = ()
    verdict: str = ""

    @property
    def is_good(self) -> bool:
        return all(outcome.is_good for outcome in self.outcomes)

    @property
    def closing(self) -> str:
        total = len(self.outcomes)
        good = sum(outcome.is_good for outcome in self.outcomes)
        if not total:
            return "Nothing was broken"
        if good < total:
            return f"Only {good} of {total} faults were detected and cleared"
        return {1: "The fault was", 2: "Both faults were"}.get(
            total, f"All {total} faults were"
        ) + " detected and cleared"


def tally_lines(tally: TourTally, screen: Terminal) -> list[str]:
    """Nothing when nothing was injected or left out."""
    lines: list[str] = []
    if tally.outcomes:
        lines += ["", *_table(tally.outcomes, screen), ""]
    for outcome in tally.outcomes:
        for alert in outcome.besides:
            lines += screen.wrapped(
                f"Besides, after it {outcome.fault.broke}: {alert.rule}: {alert.summary}", indent=""
            )
    known = {alert.alert_id for outcome in tally.outcomes for alert in (*outcome.besides, outcome.alert) if alert}
    expected = {key for outcome in tally.outcomes for key in outcome.fault.expected}
    for alert in tally.alerts:
        if alert.alert_id not in known and alert.key not in expected:
            lines += screen.wrapped(f"With nothing broken: {alert.rule}: {alert.summary}", indent="")
    if tally.left_out:
        names = humanize.listed([fault.name for fault in tally.left_out], most=99)
        lines += screen.wrapped(f"Left out: {names}.", indent="")
    if tally.verdict:
        lines += ["", *screen.wrapped(f"The verdict over all of it (monitord report): {tally.verdict}", indent=""), ""]
    return lines


def _table(outcomes: Sequence[FaultOutcome], screen: Terminal) -> list[str]:
    """A row for each fault, never cut: what is in it is the tour's own and fits 80 columns."""
    rows = [("FAULT", "ALERT", "DETECTED", "CLEARED")]
    for outcome in outcomes:
        alert = "none" if outcome.alert is None else f"{outcome.alert.rule} {outcome.alert.subject}"
        rows.append((outcome.fault.broke, alert, _took(outcome.detected_after), _took(outcome.cleared_after)))
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = [screen.paint(f"  {texts[0]}", "dim")]
    for outcome, text in zip(outcomes, texts[1:], strict=True):
        mark = screen.paint("✔", "ok") if outcome.is_good else screen.paint("✗", "critical")
        lines.append(f"{mark} {text}")
    return lines


def _took(seconds: float | None) -> str:
    return "never" if seconds is None else f"in {humanize.duration(seconds)}"
