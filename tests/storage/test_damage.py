"""Damage to the snapshot: found while memory can still write a new file, said, and the roster outlives it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitord.core.engine import State
from monitord.core.model import Observation, Reading, sample
from monitord.core.orders import Expected, StandingOrders
from monitord.storage.copy import COPY, read_copy
from monitord.storage.damage import damage, wal_damage
from monitord.storage.file import SetAside
from monitord.storage.reader import read_snapshot
from monitord.storage.schema import FILE
from monitord.storage.store import SAVES_PER_COPY, SAVES_PER_EXAMINATION, SAVES_PER_STATE, CycleRecord, Store
from tests.storage.cycles import record_of

ORDERS = StandingOrders(probes=frozenset({"host"}))
NOON = datetime(2025, 11, 5, 12, tzinfo=UTC)
WAIT = 10.0
CYCLES = SAVES_PER_EXAMINATION + 5
ROSTER: dict[str, Expected] = {"checkout": "online", "mailer": "online"}


def host(used: float, seconds: float) -> Observation:
    samples = (sample("disk_used", used, "percent", path="/"), sample("disk_free", 10**9, "bytes", path="/"))
    return Observation(NOON + timedelta(seconds=seconds), {"host": Reading("host", samples)})


def record(state: State, observation: Observation) -> CycleRecord:
    return record_of(state, observation, ORDERS)


async def filled(store: Store, cycles: int = CYCLES) -> State:
    """A snapshot of so many cycles that knows a roster."""
    snapshot, _ = await store.load(WAIT)
    state = replace(snapshot.state, history=replace(snapshot.state.history, roster=ROSTER))
    for number in range(cycles):
        saved = record(state, host(20.0, number * 30))
        await store.save(saved, WAIT)
        assert store.problem is None
        state = saved.state
    return state


async def killed(tmp_path: Path, cycles: int = CYCLES) -> tuple[Path, State]:
    """What `kill -9` leaves of a directory after so many cycles: its files as they are while they are open."""
    store = Store(tmp_path / "alive")
    state = await filled(store, cycles)
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "alive", left)
    await store.close(WAIT)
    return left, state


def overwritten(path: Path, start: float, size: int = 16384) -> None:
    """So many random bytes from this part of the file on, in place."""
    at = int(path.stat().st_size * start) // 4096 * 4096
    with path.open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(min(size, path.stat().st_size - at)))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def each(left: Path, damage: Callable[[Path], None]) -> None:
    for path in left.glob(f"{FILE}*"):
        damage(path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "the header": lambda left: overwritten(left / FILE, 0.0),
    "the middle": lambda left: overwritten(left / FILE, 0.4),
    "all but the header": lambda left: overwritten(left / FILE, 0.1, 10**9),
    "half is cut off": lambda left: os.truncate(left / FILE, (left / FILE).stat().st_size // 2),
    "it is empty": lambda left: each(left, emptied),
    "it is gone": lambda left: each(left, removed),
    "the log's header": lambda left: overwritten(left / f"{FILE}-wal", 0.0, 4096),
    "the log's second frame": lambda left: overwritten(
        left / f"{FILE}-wal", 8000 / (left / f"{FILE}-wal").stat().st_size, 4096
    ),
    "the log is empty": lambda left: emptied(left / f"{FILE}-wal"),
}


async def started(directory: Path) -> tuple[State, SetAside | None]:
    store = Store(directory)
    snapshot, aside = await store.load(WAIT)
    assert store.problem is None
    await store.close(WAIT)
    return snapshot.state, aside


@pytest.mark.parametrize("where", DAMAGES)
async def test_after_a_kill_no_damage_costs_the_roster_and_what_is_lost_is_said(tmp_path: Path, where: str) -> None:
    left, _ = await killed(tmp_path)
    assert (left / f"{FILE}-wal").stat().st_size > 3 * 4096
    if where in ("all but the header", "the header", "the middle", "half is cut off"):
        with closing(sqlite3.connect(left / FILE)) as connection:  # into the file itself, as a checkpoint does
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    DAMAGES[where](left)
    state, aside = await started(left)
    assert state.history.roster == ROSTER
    if where == "the log is empty":
        # Nothing tells but the second copy, and only of what is older than it.
        assert aside is None
    else:
        assert aside is not None
        assert aside.reason
        assert "UTC" in aside.lost


async def test_a_snapshot_that_lost_its_last_cycles_without_a_trace_is_behind_its_second_copy(tmp_path: Path) -> None:
    store = Store(tmp_path / "alive")
    await filled(store, 3)
    early = tmp_path / "left"
    shutil.copytree(tmp_path / "alive", early)
    snapshot = read_snapshot(tmp_path / "alive")
    assert snapshot is not None
    state = snapshot.state
    for number in range(3, SAVES_PER_COPY + SAVES_PER_STATE + 3):
        saved = record(state, host(20.0, number * 30))
        await store.save(saved, WAIT)
        state = saved.state
    shutil.copy(tmp_path / "alive" / COPY, early / COPY)
    await store.close(WAIT)
    kept = read_copy(early)
    assert kept is not None
    found, aside = await started(early)
    assert found == kept.state
    assert aside is not None
    assert aside.reason == "its last cycles are missing"
    assert aside.kept_as == ""


async def test_a_kill_alone_is_no_damage(tmp_path: Path) -> None:
    left, state = await killed(tmp_path)
    assert await started(left) == (state, None)


async def test_a_torn_last_frame_of_the_log_is_no_damage(tmp_path: Path) -> None:
    left, _ = await killed(tmp_path)
    wal = left / f"{FILE}-wal"
    with wal.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(os.urandom(100))
    state, aside = await started(left)
    assert aside is None
    assert state.history.roster == ROSTER


async def test_damage_in_the_run_is_found_and_a_whole_new_file_is_written_from_memory(tmp_path: Path) -> None:
    store = Store(tmp_path)
    state = await filled(store, 2)
    asides = []
    for number in range(2, 3 * SAVES_PER_EXAMINATION):
        if number == 10:
            overwritten(tmp_path / FILE, 0.0, 10**9)
        saved = record(state, host(20.0, number * 30))
        asides.append(await store.save(saved, WAIT))
        if store._examination is not None:
            await store._examination
        assert store.problem is None
        state = saved.state
    (aside,) = [aside for aside in asides if aside is not None]
    assert (tmp_path / aside.kept_as).exists()
    assert damage(tmp_path / FILE) is None
    kept = read_snapshot(tmp_path)
    assert kept is not None
    assert kept.state == state
    await store.close(WAIT)


async def test_a_log_removed_under_the_daemon_costs_no_cycle(tmp_path: Path) -> None:
    store = Store(tmp_path / "alive")
    state = await filled(store, 4)
    (tmp_path / "alive" / f"{FILE}-wal").unlink()
    saved = record(state, host(20.0, 500))
    await store.save(saved, WAIT)
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "alive", left)
    assert (await started(left))[0] == saved.state
    await store.close(WAIT)


async def test_a_file_removed_under_the_daemon_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path)
    state = await filled(store, 2)
    for path in tmp_path.glob(f"{FILE}*"):
        path.unlink()
    aside = await store.save(record(state, host(20.0, 90)), WAIT)
    assert aside is not None
    assert aside.kept_as == ""
    assert "removed" in aside.reason
    await store.close(WAIT)


async def test_a_second_copy_that_is_damaged_too_leaves_an_empty_state_that_says_so(tmp_path: Path) -> None:
    left, _ = await killed(tmp_path)
    for path in left.glob(f"{FILE}*"):
        overwritten(path, 0.0, 10**9)
    overwritten(left / COPY, 0.0, 100)
    state, aside = await started(left)
    assert state == State()
    assert aside is not None
    assert "roster" in aside.lost


async def test_the_second_copy_is_written_with_every_edge_that_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    state = await filled(store, 3)
    pending = record(state, host(99.0, 500))
    await store.save(pending, WAIT)
    saved = record(pending.state, host(99.0, 530))
    assert [edge.edge for edge in saved.transitions] == ["firing"]
    await store.save(saved, WAIT)
    kept = read_copy(tmp_path)
    assert kept is not None
    assert kept.state == saved.state
    assert (tmp_path / COPY).stat().st_mode & 0o077 == 0
    await store.close(WAIT)


def test_where_there_is_no_log_there_is_no_damage(tmp_path: Path) -> None:
    assert wal_damage(tmp_path / f"{FILE}-wal") is None
    (tmp_path / f"{FILE}-wal").write_bytes(b"")
    assert wal_damage(tmp_path / f"{FILE}-wal") is None
    assert damage(tmp_path / FILE) is None
