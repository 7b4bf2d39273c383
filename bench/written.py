"""What a cycle writes: bytes handed to the system, what of it the disk gets, and by how much the files grow."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure
from bench.measure import milliseconds, size
from bench.nights import night
from monitord.core.engine import State, decide
from monitord.core.folding import announces, context_of, is_whole
from monitord.core.rollups import RunningHour
from monitord.storage.reader import CheckRun, read_snapshot
from monitord.storage.store import CycleRecord, Store

SAVE_SECONDS = 30.0
# A frame in so many stands by itself and is large, and the state is written in one of twelve: whole numbers of both.
CYCLES = 360
_COUNTED = Path("/proc/self/io")


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes a cycle of so many services, by what the system counts; CPU seconds a cycle of saving and of reading.

    `stored` is what the disk gets of it, in whole blocks, where each cycle is flushed before the next begins.
    """

    services: int
    cycles: int
    written: float
    stored: float
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
        before, grown = counted(), 0
        for number, observation in enumerate(observations):
            decision = decide(state, observation, orders)
            over = hour.saw(context_of(decision, state), observation.now.timestamp(), whole=is_whole(observation))
            record = CycleRecord(
                decision.state,
                observation,
                CheckRun("schedule", observation.now, 0.0, decision.orders),
                decision.transitions,
                hour=hour.fields,
                rollups=over,
                before=state,
                orders=orders,
                announces=announces(decision),
            )
            began = time.process_time()
            await store.save(record, SAVE_SECONDS)
            spent += time.process_time() - began
            _flush(path)
            if store.problem is not None:
                raise RuntimeError(store.problem)
            state = decision.state
            if not number:  # the first makes the file
                before, grown, spent = counted(), _size(path), 0.0
        written, stored = (after - earlier for after, earlier in zip(counted(), before, strict=True))
        grown = _size(path) - grown
        began = time.process_time()
        kept = read_snapshot(path)
        reading = time.process_time() - began
        if kept is None or kept.state != state:
            raise RuntimeError("what was saved does not come back as it was")
        await store.close(SAVE_SECONDS)
    return Written(services, cycles, written / cycles, stored / cycles, grown / cycles, spent / cycles, reading)


def counted() -> tuple[int, int]:
    """What this process has handed to the system to be written so far, and what of it goes to a disk.

    0 where the system does not count it; nothing goes to a disk from a file system in memory.
    """
    try:
        lines = dict(line.split(": ") for line in _COUNTED.read_text(encoding="ascii").splitlines())
    except FileNotFoundError:
        return 0, 0
    return int(lines["wchar"]), int(lines["write_bytes"])


def _flush(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name.endswith("-shm"):  # never written by itself
            continue
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def rows(found: list[Written]) -> list[list[str]]:
    """The rows of a table."""
    return [
        [
            f"{one.services:,} services",
            size(one.written),
            size(one.stored),
            size(one.grown),
            milliseconds(one.saving),
            milliseconds(one.reading),
        ]
        for one in found
    ]


def figures(found: list[Written]) -> list[Figure]:
    """The rows of the table of the whole."""
    targets = {7: 6.0, 1000: 60.0}
    return [
        Figure(
            f"written_{one.services}",
            f"written to disk a cycle, {one.services:,} apps",
            one.written / 1000,
            "kB",
            targets.get(one.services),
            f"handed to the system in {one.cycles} cycles of a healthy night, SQLite's log and its copying included",
        )
        for one in found
    ]
