"""The tables over the window: how many rows came, hour by hour."""

from monitord.core.anomalies.regression import value_at
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import FoldedCycle, FoldedWindow
from monitord.core.report.model import Hour, TableReport

HOUR = 3600.0
# A window of minutes is shown in so many parts instead of hours.
PARTS = 12
# An hour of which the window holds less than this does not say how busy it was.
WHOLE_ENOUGH = 0.5


class TableTracker:
    """Follows every table between `since` and `until` (Unix seconds), and how long it could not be measured."""

    def __init__(self, orders: StandingOrders, since: float, until: float) -> None:
        self._orders = orders
        self._since, self._until = since, until
        self._gained: dict[str, list[tuple[float, float]]] = {name: [] for name in orders.tables}
        self._late = orders.late_after.total_seconds()
        self._last: float | None = None
        self._gaps: frozenset[str] = frozenset()
        self._unmeasured: dict[str, float] = dict.fromkeys(orders.tables, 0.0)

    def observe(self, cycle: FoldedCycle) -> None:
        observation, history = cycle.observation, cycle.history
        reading = observation.readings.get("postgres")
        if reading is None:
            return
        at = observation.now.timestamp()
        if self._last is not None and at - self._last <= self._late:  # a longer silence was blind
            seen = max(0.0, min(at, self._until) - max(self._last, self._since))
            for name in self._gaps & self._unmeasured.keys():
                self._unmeasured[name] += seen
        self._last, self._gaps = at, frozenset(gap.subject for gap in reading.gaps)
        if reading.failure is not None:
            return
        present = reading.values("table_size", "table")
        for name, points in self._gained.items():
            table = history.tables.get(name)
            if table is None or name not in present or not table.known:
                continue
            while points and points[-1][0] > at:  # the clock was set back: that time is counted anew
                points.pop()
            # An exact count may have found fewer rows than the counters claimed, and takes them back.
            while points and points[-1][1] > table.gained and len(points) > 1:
                points.pop()
            points.append((at, max(table.gained, points[-1][1]) if points else table.gained))

    def result(self, _: FoldedWindow) -> tuple[TableReport, ...]:
        return tuple(self._table(name, points) for name, points in self._gained.items())

    def _table(self, name: str, points: list[tuple[float, float]]) -> TableReport:
        span = self._until - self._since
        width = HOUR if span > HOUR else max(span / PARTS, 1e-9)
        hours = []
        start = self._since
        while start < self._until - 1e-6:
            end = min(self._until, (start // width + 1) * width if span > HOUR else start + width)
            hours.append(Hour(start, end, self._between(points, start, end)))
            start = end
        first = max(self._since, points[0][0]) if points else self._until
        last = min(self._until, points[-1][0]) if points else self._since
        gained = self._between(points, first, last) if last > first else None
        # An hour of which the window holds little had at least so many rows as came in that little.
        whole = [hour.per_hour if hour.end - hour.start >= width * WHOLE_ENOUGH else hour.rows for hour in hours]
        rates = [rate for rate in whole if rate is not None]
        return TableReport(
            name=name,
            hours=tuple(hours),
            gained=gained,
            per_hour=None if gained is None else gained / (last - first) * HOUR,
            # The rate of a few seconds is noise: the counters are flushed seconds late.
            most=max(rates, default=None) if span > HOUR else None,
            limit=self._orders.growth_steady_of(name),
            unmeasured=self._unmeasured[name],
        )

    def _between(self, points: list[tuple[float, float]], start: float, end: float) -> float | None:
        """Rows gained in [start, end]; None where the readings do not reach around it."""
        slack = self._orders.late_after.total_seconds()
        if not points or points[0][0] > start + slack or points[-1][0] < end - slack:
            return None
        return max(0.0, value_at(points, end) - value_at(points, start))
