"""The numbers of the checks, as they are drawn: few points, with every peak, trough and gap in them."""

from dataclasses import dataclass, field
from typing import Final

from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import FoldedCycle, FoldedWindow
from monitord.core.report.model import CheckReport
from monitord.core.subjects.check_rules import PROBE, UNIT, VALUE

# Into so many parts the window is divided, of each of which a gap, the least and the most are kept.
_PARTS: Final = 240

_Point = tuple[float, float | None]


@dataclass(slots=True)
class _Series:
    """One check's numbers: those of the parts that are over, and those of the open one."""

    points: list[_Point] = field(default_factory=list)
    part: int = 0
    open: list[_Point] = field(default_factory=list)
    unit: str = ""

    def observe(self, part: int, at: float, value: float | None) -> None:
        if part != self.part:
            self.points += self._kept()
            self.part, self.open = part, []
        self.open.append((at, value))

    def all(self) -> tuple[_Point, ...]:
        return (*self.points, *self._kept())

    def _kept(self) -> list[_Point]:
        known = [(value, at) for at, value in self.open if value is not None]
        kept: set[_Point] = {(at, value) for value, at in (min(known), max(known))} if known else set()
        gap = next((point for point in self.open if point[1] is None), None)
        # Of one moment, if the clock was set back, the gap comes last.
        return sorted(kept | {gap} if gap else kept, key=lambda point: (point[0], point[1] is None))


class CheckTracker:
    """Follows the number of every check between `since` and `until` (Unix seconds)."""

    def __init__(self, orders: StandingOrders, since: float, until: float) -> None:
        self._orders = orders.checks if PROBE in orders.probes else {}
        self._since, self._width = since, max(1e-9, (until - since) / _PARTS)
        self._series = {name: _Series() for name in self._orders}

    def observe(self, cycle: FoldedCycle) -> None:
        observation = cycle.observation
        reading, at = observation.readings.get(PROBE), observation.now.timestamp()
        if reading is None or at < self._since or not self._series:
            return
        values, units = reading.values(VALUE, "check"), reading.values(UNIT, "check")
        part = int((at - self._since) / self._width)
        for name, series in self._series.items():
            value = values.get(name)
            series.observe(part, at, float(value) if isinstance(value, int | float) else None)
            series.unit = str(units.get(name) or series.unit)

    def result(self, _: FoldedWindow) -> tuple[CheckReport, ...]:
        return tuple(
            CheckReport(
                name, order.type, order.unit or self._series[name].unit, order.warning, order.critical,
                self._series[name].all(),
            )
            for name, order in self._orders.items()
        )  # fmt: skip
