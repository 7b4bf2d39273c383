"""What a cycle writes to the disk: bytes handed to the system, and by how much the files grow."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.measure import milliseconds, size
from bench.nights import night
from monitord.core.engine import State, decide
from monitord.core.folding import context_of, is_whole, tells
from monitord.core.rollups import RunningHour
from monitord.storage.reader import Check, read_snapshot
from monitord.storage.store import CycleRecord, Store

SAVE_SECONDS = 30.0
# A frame in so many stands by itself and is large, and the state is written in one of twelve: whole numbers of both.
CYCLES = 360
_COUNTED = Path("/proc/self/io")


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes a cycle of so many services, by what the system counts; CPU seconds a cycle of saving and of reading."""

    services: int
    cycles: int
    written: float
    grown: float
    saving: float
    reading: float


async def measure(services: int, cycles: int = CYCLES) -> Written:
    """Save a healthy night's cycles as the daemon does."""
    observations, orders = night(services, cycles + 1)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        path = Path(directory)
        store = Store(path)
        await store.load(SAVE_SECONDS)
        state, hour, spent = State(), RunningHour(), 0.0
        before, grown = written_bytes(), 0
        for number, observation in enumerate(observations):
            decision = decide(state, observation, orders)
            over = hour.saw(context_of(decision, state), observation.now.timestamp(), whole=is_whole(observation))
            record = CycleRecord(
                decision.state,
                observation,
                Check("schedule", observation.now, 0.0, decision.orders),
                decision.transitions,
                hour=hour.fields,
                rollups=over,
                before=state,
                orders=orders,
                told_of=tells(decision),
            )
            began = time.process_time()
            await store.save(record, SAVE_SECONDS)
            spent += time.process_time() - began
            if store.problem is not None:
                raise RuntimeError(store.problem)
            state = decision.state
            if not number:  # the first makes the file
                before, grown, spent = written_bytes(), _size(path), 0.0
        written, grown = written_bytes() - before, _size(path) - grown
        began = time.process_time()
        kept = read_snapshot(path)
        reading = time.process_time() - began
        if kept is None or kept.state != state:
            raise RuntimeError("what was saved does not come back as it was")
        await store.close(SAVE_SECONDS)
    return Written(services, cycles, written / cycles, grown / cycles, spent / cycles, reading)


def written_bytes() -> int:
    """What this process has handed to the system to be written so far. 0 where the system does not count it."""
    try:
        lines = dict(line.split(": ") for line in _COUNTED.read_text(encoding="ascii").splitlines())
    except FileNotFoundError:
        return 0
    return int(lines["wchar"])


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def rows(found: list[Written]) -> list[list[str]]:
    """The rows of a table."""
    return [
        [
            f"{one.services:,} services",
            size(one.written),
            size(one.grown),
            milliseconds(one.saving),
            milliseconds(one.reading),
        ]
        for one in found
    ]
