"""The one table: what monitord costs, and how soon it tells, beside what each is to be. No figure is measured twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import apps, beside, browsers, bus_latency, postgres_cost, readings, recorded, signs, written
from bench.figures import Figure


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rows: int
    seconds: float
    scripts: int
    cycles_of_postgres: int
    cycles_of_apps: int
    cycles_written: tuple[int, int]
    recorded: int
    kills: int
    storm: float
    rounds: int
    browsing: float
    readings: int


def sizes(rows: int, seconds: float, *, quick: bool) -> Sizes:
    """As much as is usual, or little. `seconds` are those beside each other."""
    if quick:
        return Sizes(rows, min(seconds, 40.0), 2, 60, 4, (120, 24), 1000, 4, 3, 2, 9.0, 10)
    return Sizes(rows, seconds, 7, 240, 20, (written.CYCLES, 240), recorded.CYCLES, 20, 10, 7, 45.0, 60)


@dataclass(frozen=True, slots=True)
class Measured:
    """What each part has found."""

    beside: beside.Beside
    postgres: postgres_cost.Costs
    apps: apps.Apps
    written: list[written.Written]
    recorded: recorded.Recorded
    bus: bus_latency.BusLatency
    signs: dict[str, list[float]]
    browsers: list[browsers.Open]
    readings: readings.Readings

    @property
    def figures(self) -> list[Figure]:
        """The rows of the table."""
        return [
            *beside.figures(self.beside),
            *postgres_cost.figures(self.postgres),
            *apps.figures(self.apps),
            *written.figures(self.written),
            *recorded.figures(self.recorded),
            *bus_latency.figures(self.bus),
            *signs.figures(self.signs),
            *browsers.figures(self.browsers),
            *readings.figures(self.readings),
        ]


async def measure(size: Sizes, *, full: bool, say: Callable[[str], None]) -> Measured:
    """Every part, one after the other."""
    few, many = size.cycles_written
    return Measured(
        await beside.measure(rows=size.rows, seconds=size.seconds, full=full, scripts=size.scripts, say=say),
        await postgres_cost.measure((postgres_cost.SMALL, postgres_cost.WIDE), size.cycles_of_postgres, say),
        await apps.measure(size.cycles_of_apps),
        [await written.measure(7, few), await written.measure(apps.APPS, many)],
        await recorded.measure(size.recorded, say),
        await bus_latency.measure_bus(kills=size.kills, seconds=size.storm, say=say),
        await signs.measure_signs(rounds=size.rounds, say=say),
        await browsers.measure(size.browsing, say),
        await readings.measure(size.readings, say),
    )
