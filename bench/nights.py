"""What a recording costs: the disk that its history takes, and the time in which it is judged again."""

import random
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from monitord.core.backtest import backtest
from monitord.core.engine import Decision, State, decide
from monitord.core.folding import announces
from monitord.core.model import Observation, Reading, Sample
from monitord.core.orders import StandingOrders
from monitord.storage.reader import CheckRun, read_history, read_transitions
from monitord.storage.schema import FILE
from monitord.storage.store import CycleRecord, Store
from tests.core.nights import BASELINE, MEMORY, ORDERS, Night

EVERY_SECONDS = 30
KEPT_HOURS = 48
KEPT_CYCLES = KEPT_HOURS * 3600 // EVERY_SECONDS
# A frame in so many stands by itself and is large: what is measured is whole numbers of such runs.
RUN_OF_FRAMES = 120
SAVE_SECONDS = 30.0

# Units of what never reads the same twice, and by how much of itself it sways.
SWAYS = {"bytes": 0.02, "percent": 0.3, "ms": 0.4}


@dataclass(frozen=True, slots=True)
class History:
    """Bytes a cycle takes: in its frame, and in the file with everything around it."""

    services: int
    frame: float
    file: float


@dataclass(frozen=True, slots=True)
class Fold:
    """A recording judged again: how many cycles, in how many seconds, and what it said."""

    cycles: int
    seconds: float
    edges: int


def night(
    services: int, cycles: int, *, every: float = EVERY_SECONDS, start: datetime = BASELINE
) -> tuple[list[Observation], StandingOrders]:
    """A healthy night of so many services, with readings that sway as real ones do."""
    if services == len(MEMORY):
        orders, names = ORDERS, list(MEMORY)
    else:
        orders = replace(ORDERS, services={})
        names = [f"service-{number}" for number in range(services)]
    passing = Night(orders, services=names, every=every, start=start)
    passing.passes(seconds=every * (cycles - 1))
    chance = random.Random(20251105)  # noqa: S311 - the same night each time
    return list(_swaying((look.observation for look in passing.looks), chance)), orders


def _swaying(observations: Iterable[Observation], chance: random.Random) -> Iterator[Observation]:
    for observation in observations:
        readings = {
            name: replace(
                reading,
                samples=tuple(_sways(sample, chance) for sample in reading.samples),
                duration_ms=round(chance.lognormvariate(1, 0.5), 3),
            )
            for name, reading in observation.readings.items()
        }
        yield Observation(observation.now, _plain(readings))


def _plain(readings: dict[str, Reading]) -> dict[str, Reading]:
    own = readings.get("monitord")
    return readings if own is None else readings | {"monitord": replace(own, duration_ms=0.0)}


def _sways(sample: Sample, chance: random.Random) -> Sample:
    by = SWAYS.get(sample.unit)
    if by is None or not isinstance(sample.value, int | float) or sample.name in ("memory_total", "disk_used"):
        return sample
    value = sample.value * (1 + chance.uniform(-by, by))
    return replace(sample, value=round(value) if sample.unit == "bytes" else round(value, 1))


async def history(services: int, runs: int) -> History:
    """Save a night's first cycles as the daemon does, and measure the file. `runs` of 120 cycles are counted."""
    observations, orders = night(services, RUN_OF_FRAMES * (runs + 1))
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        path = Path(directory)
        state, _ = await saved(path, observations[:RUN_OF_FRAMES], orders, State())
        before = (path / FILE).stat().st_size
        _, frames = await saved(path, observations[RUN_OF_FRAMES:], orders, state)
        after = (path / FILE).stat().st_size
    cycles = len(observations) - RUN_OF_FRAMES
    return History(services, frames / cycles, (after - before) / cycles)


async def saved(
    path: Path, observations: list[Observation], orders: StandingOrders, state: State
) -> tuple[State, float]:
    """Fold and save; the state after it and the bytes of the frames."""
    store = Store(path)
    await store.load(SAVE_SECONDS)
    try:
        for observation in observations:
            decision: Decision = decide(state, observation, orders)
            record = CycleRecord(
                decision.state,
                observation,
                CheckRun("schedule", observation.now, 0.0, decision.orders),
                decision.transitions,
                before=state,
                orders=orders,
                announces=announces(decision),
            )
            await store.save(record, SAVE_SECONDS)
            state = decision.state
            if store.problem is not None:
                raise RuntimeError(store.problem)
    finally:
        await store.close(SAVE_SECONDS)
    since = observations[0].now.timestamp()
    with closing(sqlite3.connect(path / FILE)) as connection:
        (held,) = connection.execute("SELECT sum(length(body)) FROM frames WHERE at >= ?", (since,)).fetchone()
    return state, float(held)


def judged_night(hours: int) -> tuple[list[Observation], StandingOrders]:
    """So many hours of a healthy night of seven services, every 30 s."""
    return night(len(MEMORY), hours * 3600 // EVERY_SECONDS)


def fold(observations: list[Observation], orders: StandingOrders) -> Fold:
    """Judge a night again."""
    state, edges = State(), 0
    began = time.perf_counter()
    for observation in observations:
        decision = decide(state, observation, orders)
        state, edges = decision.state, edges + len(decision.transitions)
    return Fold(len(observations), time.perf_counter() - began, edges)


async def replayed(observations: list[Observation], orders: StandingOrders) -> tuple[Fold, Fold]:
    """Record a night as the daemon does; then read it back, and then read it back and judge it as `backtest` does."""
    since = observations[0].now
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        path = Path(directory)
        await saved(path, observations, orders, State())
        began = time.perf_counter()
        cycles = sum(1 for _ in read_history(path, since))
        reading = Fold(cycles, time.perf_counter() - began, 0)
        began = time.perf_counter()
        found = backtest(read_history(path, since), orders, read_transitions(path, since), since)
        assert found is not None
        judging = Fold(found.cycles, time.perf_counter() - began, len(found.alerts))
    return reading, judging
