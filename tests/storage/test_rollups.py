"""Roll-ups in the snapshot: written once, kept for 400 days, read by the day."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitord.core.engine import State, decide
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from monitord.core.series import HOUR, Rollup
from monitord.storage.reader import CheckRun, read_snapshot
from monitord.storage.rollups import KEEP_ROLLUPS, first_hour, prune_rollups, put_rollups, read_rollups
from monitord.storage.schema import FILE, MIGRATIONS, UnusableSnapshot
from monitord.storage.store import CycleRecord, Store

ORDERS = StandingOrders(probes=frozenset())
MIDNIGHT = datetime(2025, 11, 5, tzinfo=UTC)
START = int(MIDNIGHT.timestamp())
WAIT = 10.0


def hour(number: int, *, memory: float = 100.0, readings: int = 120, member: str = "gateway") -> Rollup:
    return Rollup(
        START + number * HOUR, "pm2/memory", member, readings, memory, memory, memory, 3000, 600, 0, float(number)
    )


def record(*rows: Rollup, running: dict[str, object] | None = None, at: datetime = MIDNIGHT) -> CycleRecord:
    observation = Observation(at, {})
    decision = decide(State(), observation, ORDERS)
    return CycleRecord(
        decision.state,
        observation,
        CheckRun("", at, 0.0, decision.orders),
        hour=None if running is None else lambda: running,
        rollups=rows,
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for another process that writes."""
    monkeypatch.setattr("monitord.storage.file.BUSY_SECONDS", 0.05)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path)
    await store.load(WAIT)
    yield store
    await store.close(WAIT)


def put(directory: Path, rows: Iterable[Rollup]) -> None:
    with closing(sqlite3.connect(directory / FILE)) as connection, connection:
        put_rollups(connection, list(rows))


async def test_hours_come_back_by_the_day(store: Store, tmp_path: Path) -> None:
    await store.save(record(*(hour(number, memory=100.0 + number) for number in range(48))), WAIT)
    assert store.problem is None
    first, second = read_rollups(tmp_path, MIDNIGHT, MIDNIGHT + timedelta(days=2))
    assert (first.start, first.least, first.mean, first.most) == (START, 100, 111.5, 123)
    assert (first.readings, first.up, first.down, first.blind) == (24 * 120, 24 * 3000, 24 * 600, 0)
    assert first.gained == sum(range(24))
    assert (second.start, second.least, second.most) == (START + 24 * HOUR, 124, 147)


async def test_only_hours_that_begin_in_the_time_asked_for_are_told(store: Store, tmp_path: Path) -> None:
    await store.save(record(*map(hour, range(5))), WAIT)
    (found,) = read_rollups(tmp_path, MIDNIGHT + timedelta(minutes=1), MIDNIGHT + timedelta(hours=3))
    assert (found.start, found.gained) == (START + HOUR, 1 + 2)
    assert first_hour(tmp_path) == START


async def test_the_hour_that_runs_is_saved_with_every_cycle(store: Store, tmp_path: Path) -> None:
    await store.save(record(running={"start": START}), WAIT)
    await store.save(record(running={"start": START, "through": 7}), WAIT)
    snapshot = read_snapshot(tmp_path)
    assert snapshot is not None
    assert snapshot.hour == {"start": START, "through": 7}
    assert read_rollups(tmp_path, MIDNIGHT, MIDNIGHT + timedelta(days=1)) == []


async def test_an_hour_that_a_clock_brings_again_is_counted_once(store: Store, tmp_path: Path) -> None:
    await store.save(record(hour(1, memory=7.0)), WAIT)
    await store.save(record(hour(1, memory=900.0, readings=3)), WAIT)
    (found,) = read_rollups(tmp_path, MIDNIGHT, MIDNIGHT + timedelta(days=1))
    assert (found.readings, found.most) == (120, 7)
    await store.save(record(hour(1, memory=900.0, readings=121)), WAIT)
    (found,) = read_rollups(tmp_path, MIDNIGHT, MIDNIGHT + timedelta(days=1))
    assert (found.readings, found.most, found.gained) == (121, 900, 1)


async def test_an_hour_that_could_not_be_written_is_written_with_the_next_cycle(store: Store, tmp_path: Path) -> None:
    await store.save(record(), WAIT)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await store.save(record(hour(1)), WAIT)
        problem = store.problem
        assert problem is not None
        other.execute("ROLLBACK")
    await store.save(record(hour(2)), WAIT)
    assert store.problem is None
    (found,) = read_rollups(tmp_path, MIDNIGHT, MIDNIGHT + timedelta(days=1))
    assert found.gained == 1 + 2


async def test_what_is_older_than_400_days_goes_and_its_names_with_it(store: Store, tmp_path: Path) -> None:
    put(tmp_path, [hour(0, member="long-gone"), hour(1), hour(2)])
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        prune_rollups(connection, START + KEEP_ROLLUPS.total_seconds() + HOUR)
        assert connection.execute("SELECT member FROM rollup_series").fetchall() == [("gateway",)]
    assert first_hour(tmp_path) == START + HOUR


async def test_a_clock_that_jumps_ahead_deletes_nothing(store: Store, tmp_path: Path) -> None:
    await store.save(record(hour(0)), WAIT)
    ahead = MIDNIGHT + KEEP_ROLLUPS + timedelta(days=1)
    late = replace(hour(1), start=int(ahead.timestamp()) - HOUR)
    await store.save(record(late, at=ahead), WAIT)
    assert first_hour(tmp_path) == START


async def test_a_snapshot_of_an_older_monitord_gets_its_tables(tmp_path: Path) -> None:
    older = Store(tmp_path, migrations=MIGRATIONS[:4])
    await older.load(WAIT)
    await older.close(WAIT)
    assert read_rollups(tmp_path, MIDNIGHT, MIDNIGHT + timedelta(days=1)) == []
    assert first_hour(tmp_path) is None
    store = Store(tmp_path)
    await store.load(WAIT)
    await store.save(record(hour(1)), WAIT)
    await store.close(WAIT)
    assert first_hour(tmp_path) == START + HOUR


def test_where_nothing_is_kept_nothing_is_told(tmp_path: Path) -> None:
    assert read_rollups(tmp_path, MIDNIGHT, MIDNIGHT + timedelta(days=1)) == []
    assert first_hour(tmp_path) is None


def test_a_file_that_cannot_be_read_is_no_empty_past(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(UnusableSnapshot, match="record by the hour"):
        read_rollups(tmp_path, MIDNIGHT, MIDNIGHT + timedelta(days=1))
