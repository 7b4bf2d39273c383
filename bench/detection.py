"""How soon each fault is reported: from the fault to `alert_firing`, with the default settings, at every phase.

Nights are played in simulated time. Nothing is waited for and no server is asked.
"""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.faults import FAULTS, Fault
from bench.measure import table
from monitord.core.engine import Decision
from monitord.core.model import Reading
from monitord.probes.base import PING_SECONDS
from monitord.runtime.signs import PING_EVERY_SECONDS as PINGED_EVERY
from tests.core.habits import has_habits, looked_at_again, looked_at_seldom
from tests.core.nights import EVERY, ORDERS, Night
from tests.nights.vocabulary import happens

REFERENCE = Path(__file__).parents[1] / "docs" / "reference.md"
BEGIN, END = "<!-- how soon: made by `python -m bench --only detection --markdown` -->", "<!-- how soon: end -->"
HEADS = ("rule", "fault", "soonest", "median", "latest", "what it waits for")

HOUR = 3600.0
# Seals come so many seconds after the end of their epoch in the simulated fleet: a fault just before and just after.
SEALS_AT = 182.0
FIRST_HOUR = datetime(2025, 11, 5, 2, tzinfo=UTC)
QUIET_SECONDS = 600.0
PAST = timedelta(days=5)
AT_ONCE_MS = 1.5
SETTLE_SECONDS = 0.1
EDGE = 0.05
PHASES = 30
NEVER_SECONDS = 30 * HOUR
# How often a long wait is checked of which only the end is asked about, and after how long a cycle is late then.
SELDOM, LATE_AFTER = 300.0, timedelta(minutes=15)


class NotReportedError(Exception):
    """A fault that was not reported."""


@dataclass(frozen=True, slots=True)
class Detection:
    """How soon a fault was reported, in seconds, at each phase that was tried."""

    fault: Fault
    delays: tuple[float, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """The soonest, the median and the latest, as they are printed."""
        return tuple(shown(of(self.delays)) for of in (min, statistics.median, max))


class Waiting(Night):
    """A night that knows when its fault was reported (Unix seconds)."""

    def __init__(self, fault: Fault, start: datetime, probes: frozenset[str] | None = None) -> None:
        self.fault = fault
        self.reported_at: float | None = None
        declared = {"learned_warnings": fault.by_habit, **fault.orders}
        orders = replace(ORDERS, **declared)  # type: ignore[arg-type]
        taken = orders.probes if probes is None else orders.probes & probes
        super().__init__(replace(orders, probes=taken), start=start, keep=1)
        for phrase in fault.before:
            happens(self, phrase)

    def look(self, probes: Iterable[str] | None = None) -> Decision:
        """A check of the fleet, as ever."""
        decision = super().look(probes)
        for transition in decision.transitions:
            alert, fault = transition.alert, self.fault
            if (
                transition.edge in ("firing", "suppressed")  # what explains it was reported before
                and (alert.rule, alert.subject) == (fault.rule, fault.subject)
                and fault.severity in ("", alert.severity)
            ):
                took = decision.state.history.readings[alert.probe].duration_ms / 1000
                self.reported_at = self.reported_at or self.clock.now + took
        return decision

    def _readings(self, probes: Iterable[str] | None) -> dict[str, Reading]:
        """As the fleet has them, but that only what does not answer takes the whole of the probe's deadline."""
        return {
            name: reading
            if reading.failure is None or reading.failure.kind == "timeout"
            else replace(reading, duration_ms=AT_ONCE_MS)
            for name, reading in super()._readings(probes).items()
        }

    def goes_on(self) -> None:
        """A second or a cycle more; where PM2's bus is connected, its list is asked when something happened."""
        if not self.fault.bus:
            self.passes(seconds=self.every)
            return
        before = self._fleet()
        self.passes(seconds=1)
        if self._fleet() != before:
            self.hears()

    def hears(self) -> None:
        """The bus reports that something happened, and PM2 is checked."""
        self.passes(seconds=SETTLE_SECONDS)
        self.look(["pm2"])

    def _fleet(self) -> list[tuple[str, str, int]]:
        return [(service.name, service.state, service.restarts) for service in self.services]


def delay(
    fault: Fault,
    phase: float,
    waits: float = 0.0,
    seldom: float = SELDOM,
    quiet: float = QUIET_SECONDS,
    probes: frozenset[str] | None = None,
) -> float:
    """Seconds from a fault, so long after a cycle or an hour began, to its alert. NotReportedError where none comes.

    The first `waits` seconds after it are checked every `seldom` seconds only. `quiet`: seconds of quiet before it.
    `probes`: only these are taken (None: all that the orders have).
    """
    start = FIRST_HOUR - timedelta(seconds=quiet)
    late = phase
    if fault.over == "epoch":
        start, late = start + timedelta(seconds=phase // EVERY * EVERY), phase % EVERY
    night = Waiting(fault, start - PAST if fault.by_habit else start, probes)
    if fault.by_habit:
        has_habits(night)
        looked_at_seldom(night)
        night.passes(seconds=PAST.total_seconds())
        looked_at_again(night, EVERY, ORDERS.late_after)
    night.passes(seconds=quiet + late)
    _breaks(night, fault)
    began = night.clock.now
    if fault.from_end:
        began = (began // HOUR + 1) * HOUR
    if fault.bus:
        night.hears()
    if fault.kept:
        _heard(night, fault, phase)
    if waits:
        night.every, night.orders = seldom, replace(night.orders, late_after=LATE_AFTER)
        night.passes(seconds=waits)
        looked_at_again(night, EVERY, ORDERS.late_after)
    while night.reported_at is None:
        night.goes_on()
        if night.clock.now > began + NEVER_SECONDS:
            raise NotReportedError(f"{fault.rule} is not reported: {fault.title}")
    return night.reported_at - began


def _heard(night: Night, fault: Fault, phase: float) -> None:
    """What the connection that is kept to a server shows: that it is closed, or that a ping is not answered."""
    pinged_in = PINGED_EVERY - phase % PINGED_EVERY + PING_SECONDS
    night.passes(seconds=SETTLE_SECONDS if fault.kept == "closed" else pinged_in)
    night.look([fault.subject])


def _breaks(night: Night, fault: Fault) -> None:
    lasting = datetime.fromtimestamp(night.clock.now // HOUR * HOUR, UTC)
    for phrase in fault.happens:
        happens(night, phrase.format(hour=f"{lasting:%H:%M}"))
    for sample, value in fault.readings.items():
        name, *labels = sample.split(" ")
        night.instead[(name, tuple((key, of) for key, _, of in (label.partition("=") for label in labels)))] = value


def phases(fault: Fault, count: int) -> list[float]:
    """At least so many phases, the first and the last moment of the cycle or hour among them."""
    length = HOUR if fault.over == "epoch" else EVERY
    # Just before and just after a check, and where it is the hour that matters the seals too.
    around = [EDGE, length - EDGE]
    if fault.over == "epoch":
        around += [SEALS_AT - EDGE, SEALS_AT + EDGE]
    return sorted({*around, *(length * (number + 0.5) / count for number in range(count - 2))})


def detected(faults: Sequence[Fault] = FAULTS, count: int = PHASES) -> list[Detection]:
    """How soon each is reported at so many phases; of what takes hours the cycle's first, middle and last do."""
    return [Detection(fault, tuple(_delays(fault, phases(fault, count)))) for fault in faults]


def _delays(fault: Fault, tried: Sequence[float]) -> Iterator[float]:
    yield (first := delay(fault, tried[0]))
    few = fault.over == "cycle" and first > HOUR
    yield from (delay(fault, phase) for phase in ([tried[len(tried) // 2], tried[-1]] if few else tried[1:]))


def shown(seconds: float) -> str:
    """Seconds below two minutes, whole minutes above."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours and minutes else f"{hours} h" if hours else f"{minutes} min"


def text(found: Sequence[Detection]) -> str:
    """The table, for a terminal."""
    rows = [[f"{heading(one.fault).replace('`', '')}: {one.fault.title}", *one.cells] for one in found]
    title = "From the fault to alert_firing, default settings, every phase of the cycle or of the epoch"
    return table(title, HEADS[1:-1], rows)


def written(found: Sequence[Detection], path: Path = REFERENCE) -> None:
    """Put the table into the document, between its marks. What was not measured now keeps its figures there."""
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    table, after = rest.split(END)
    cells = {key: tuple(row[2:5]) for key, row in rows(table).items()}
    cells |= {(heading(one.fault), one.fault.title): one.cells for one in found}
    measured = [(fault, cells.get((heading(fault), fault.title))) for fault in FAULTS]
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    lines += [
        f"| {' | '.join((heading(fault), fault.title, *figures, fault.why))} |"
        for fault, figures in measured
        if figures
    ]
    path.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]), encoding="utf-8")


def rows(table: str) -> dict[tuple[str, str], list[str]]:
    """The cells of each row of the document's table, by its rule and its fault."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]
    return {(cells[0], cells[1]): cells for cells in lines}


def heading(fault: Fault) -> str:
    """The rule, and the severity that is waited for."""
    return f"`{fault.rule}`" + (f" ({fault.severity})" if fault.severity else "")
