"""The snapshot: what survives, what is put aside, and what only degrades."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import zlib
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitord.core.codec import encode
from monitord.core.engine import State, decide
from monitord.core.model import Failure, Observation, Reading
from monitord.storage.reader import read_history, read_snapshot, read_transitions
from monitord.storage.schema import FILE, MIGRATIONS, UnusableSnapshot
from monitord.storage.store import FRAMES_PER_WHOLE, Store
from tests.storage.cycles import NOON, ORDERS, host, record
from tests.support import forked

WAIT = 10.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path)
    yield store
    await store.close(WAIT)


async def fill(store: Store, cycles: int, used: float = 90.0) -> State:
    (snapshot, _) = await store.load(WAIT)
    state = snapshot.state
    for number in range(cycles):
        saved = record(state, host(used, number * 30))
        await store.save(saved, WAIT)
        assert store.problem is None
        state = saved.state
    return state


async def test_a_saved_state_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    state = await fill(store, 3)
    assert any(alert.state == "firing" for alert in state.alerts.values())
    snapshot, aside = await Store(tmp_path).load(WAIT)
    assert aside is None
    assert snapshot.state == state
    report = snapshot.report()
    assert report is not None
    assert report["status"] == "critical"


async def test_a_first_start_has_an_empty_state_and_no_complaint(store: Store) -> None:
    snapshot, aside = await store.load(WAIT)
    assert (snapshot.state, snapshot.report(), aside, store.problem) == (State(), None, None, None)


async def test_recorded_history_replays_to_the_same_readings(store: Store, tmp_path: Path) -> None:
    await store.load(WAIT)
    observations = [host(20 + number % 3, number * 30) for number in range(300)]
    observations[7] = Observation(observations[7].now, {"host": Reading("host", failure=Failure("timeout", "hung"))})
    state = State()
    for observation in observations:
        saved = record(state, observation)
        state = saved.state
        await store.save(saved, WAIT)
    assert list(read_history(tmp_path, NOON)) == observations
    later = list(read_history(tmp_path, NOON + timedelta(minutes=100)))
    assert later == observations[-len(later) :]
    assert later[0].now <= NOON + timedelta(minutes=100)


async def test_history_replays_in_the_order_it_was_made_though_the_clock_was_set_back(
    store: Store, tmp_path: Path
) -> None:
    await store.load(WAIT)
    observations = [host(20.0 + number, number * 30 - (3600 if number >= 5 else 0)) for number in range(10)]
    for observation in observations:
        await store.save(record(State(), observation), WAIT)
    assert list(read_history(tmp_path, NOON)) == observations


class Machine:
    """A store on a machine whose wall clock and lived time are handed in."""

    def __init__(self, directory: Path) -> None:
        self.lived = 0.0
        self.ahead = 0.0
        self.wall = 0.0
        self.directory = directory
        self.state = State()

    async def __aenter__(self) -> Machine:
        self.store = Store(self.directory, lived=lambda: self.lived)
        await self.store.load(WAIT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close(WAIT)

    async def live(self, cycles: int, each: float) -> None:
        for _ in range(cycles):
            self.lived += each
            self.wall += each
            saved = record(self.state, host(20.0, self.wall + self.ahead))
            self.state = saved.state
            await self.store.save(saved, WAIT)
            assert self.store.problem is None

    def oldest(self) -> datetime:
        with closing(sqlite3.connect(self.directory / FILE)) as connection:
            (at,) = connection.execute("SELECT min(at) FROM frames").fetchone()
        return datetime.fromtimestamp(at, UTC)


THREE_DAYS = 3 * 86400.0


async def test_history_older_than_48_hours_is_dropped_and_the_rest_still_replays(tmp_path: Path) -> None:
    async with Machine(tmp_path) as machine:
        await machine.live(300, 3600)  # an hour apart: twelve days
    kept = list(read_history(tmp_path, NOON - timedelta(days=9)))
    assert kept[-1].now - kept[0].now >= timedelta(hours=20)
    assert kept[0].now > NOON + timedelta(hours=2)


async def test_a_clock_three_days_ahead_for_a_while_deletes_no_history(tmp_path: Path) -> None:
    async with Machine(tmp_path) as machine:
        await machine.live(FRAMES_PER_WHOLE + 10, 15)
        begin = machine.oldest()
        machine.ahead = THREE_DAYS
        await machine.live(FRAMES_PER_WHOLE + 2, 15)  # a whole frame is among them: the moment to delete
        assert machine.oldest() == begin
        machine.ahead = 0.0
        await machine.live(2 * FRAMES_PER_WHOLE, 15)
        assert machine.oldest() == begin


async def test_a_start_while_the_clock_is_ahead_deletes_no_history(tmp_path: Path) -> None:
    async with Machine(tmp_path) as machine:
        await machine.live(FRAMES_PER_WHOLE + 10, 30)
        begin = machine.oldest()
        machine.ahead = THREE_DAYS
        await machine.live(10, 15)
    for _ in range(3):  # each start writes a whole frame first
        async with machine:
            await machine.live(3, 15)
            assert machine.oldest() == begin


async def test_an_hour_lived_at_the_new_time_deletes_what_is_too_old_by_it(tmp_path: Path) -> None:
    async with Machine(tmp_path) as machine:
        await machine.live(FRAMES_PER_WHOLE + 10, 15)
    begin = machine.oldest()
    machine.wall += THREE_DAYS  # it was off
    async with machine:
        await machine.live(2 * FRAMES_PER_WHOLE - 5, 15)
        assert machine.oldest() == begin
        await machine.live(FRAMES_PER_WHOLE + 10, 15)
        assert machine.oldest() > begin


async def test_a_corrupt_file_is_put_aside_and_the_watch_goes_on(store: Store, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database, and long enough to be looked at" * 100)
    snapshot, aside = await store.load(WAIT)
    assert snapshot.state == State()
    assert aside is not None
    assert aside.kept_as.startswith("snapshot.db.corrupt-")
    assert (tmp_path / aside.kept_as).read_bytes().startswith(b"this is no database")
    await fill(store, 2)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE state",
        "UPDATE whole_state SET body = x'ff22fe'",
        "DROP TABLE frames; CREATE TABLE frames (something_else)",
    ],
)
async def test_a_snapshot_damaged_inside_is_put_aside_and_the_watch_goes_on(tmp_path: Path, damage: str) -> None:
    before = Store(tmp_path)
    await fill(before, 2)
    await before.close(WAIT)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript(damage)
    store = Store(tmp_path)
    _, first = await store.load(WAIT)
    second = await store.save(record(State(), host(20.0, 900)), WAIT)
    assert store.problem is None
    aside = first or second
    assert aside is not None
    assert (tmp_path / aside.kept_as).exists()
    await store.close(WAIT)


async def test_a_snapshot_that_could_not_be_read_at_the_start_is_kept_and_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord.storage.file.BUSY_SECONDS", 0.05)
    before = Store(tmp_path)
    state = await fill(before, 2)
    await before.close(WAIT)
    store = Store(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE state SET body = body")
        await store.load(WAIT)
        unread = store.problem
        other.execute("ROLLBACK")
    aside = await store.save(record(State(), host(20.0, 900)), WAIT)
    assert unread is not None
    assert store.problem is None
    assert aside is not None
    (tmp_path / "kept").mkdir()
    (tmp_path / aside.kept_as).rename(tmp_path / "kept" / FILE)
    kept = read_snapshot(tmp_path / "kept")
    assert kept is not None
    assert kept.state == state
    await store.close(WAIT)


async def test_a_file_of_a_newer_monitord_is_put_aside_untouched(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    _, aside = await store.load(WAIT)
    assert aside is not None
    assert "newer" in aside.reason
    with closing(sqlite3.connect(tmp_path / aside.kept_as)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


async def test_a_state_that_makes_no_sense_is_put_aside(store: Store, tmp_path: Path) -> None:
    await fill(store, 1)
    await store.close(WAIT)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        written = zlib.compress(b'{"state": {"alerts": 7}}')
        connection.execute("UPDATE whole_state SET body = ?", (written,))
    _, aside = await Store(tmp_path).load(WAIT)
    assert aside is not None
    assert "does not fit" in aside.reason


async def test_an_older_schema_is_upgraded_with_what_it_holds(tmp_path: Path) -> None:
    old = Store(tmp_path, migrations=MIGRATIONS[:1])
    await old.load(WAIT)
    await old.close(WAIT)
    state = decide(State(), host(90.0), ORDERS).state
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        for name, part in (("history", state.history), ("alerts", state.alerts)):
            connection.execute("INSERT INTO state VALUES (?, ?)", (name, json.dumps(encode(part))))
    new = Store(tmp_path)
    snapshot, aside = await new.load(WAIT)
    assert aside is None
    assert snapshot.state == state
    await new.save(record(state, host(90.0, 30)), WAIT)
    assert new.problem is None
    await new.close(WAIT)


async def test_a_file_that_is_deleted_under_the_daemon_is_made_anew(store: Store, tmp_path: Path) -> None:
    state = await fill(store, 2)
    for path in tmp_path.glob("snapshot.db*"):
        path.unlink()
    saved = record(state, host(90.0, 90))
    await store.save(saved, WAIT)
    assert store.problem is None
    kept = read_snapshot(tmp_path)
    assert kept is not None
    assert kept.state == saved.state
    assert len(list(read_history(tmp_path, NOON))) == 1


async def test_a_file_overwritten_under_the_daemon_is_put_aside_and_the_state_is_saved_from_memory(
    store: Store, tmp_path: Path
) -> None:
    state = await fill(store, 2)
    await store.close(WAIT)
    again = Store(tmp_path)
    await again.load(WAIT)
    for path in tmp_path.glob("snapshot.db-*"):
        path.unlink()
    with (tmp_path / FILE).open("r+b") as file:  # the same inode: nothing but its content tells
        file.write(os.urandom(65536))
        file.truncate(65536)
    saved = record(state, host(90.0, 90))
    aside = await again.save(saved, WAIT)
    if again.problem is not None:  # SQLite may still answer from its cache once
        aside = await again.save(saved, WAIT)
    assert again.problem is None
    kept = read_snapshot(tmp_path)
    assert kept is not None
    assert kept.state == saved.state
    assert aside is None or (tmp_path / aside.kept_as).exists()
    await again.close(WAIT)


async def test_a_directory_that_cannot_be_made_degrades_and_does_not_raise(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    store = Store(tmp_path / "file" / "state")
    snapshot, aside = await store.load(WAIT)
    assert snapshot.state == State()
    assert aside is None
    problems = [store.problem]
    await store.save(record(State(), host(20.0)), WAIT)
    problems.append(store.problem)
    (tmp_path / "file").unlink()
    await store.save(record(State(), host(20.0)), WAIT)
    assert all(problem is not None and "snapshot" in problem for problem in problems)
    assert store.problem is None
    await store.close(WAIT)


async def test_an_edge_that_could_not_be_saved_is_saved_with_the_next_cycle_and_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    store = Store(tmp_path / "file" / "state")
    await store.load(WAIT)
    first = record(State(), host(90.0))
    fires = record(first.state, host(90.0, 30))
    assert [t.edge for t in fires.transitions] == ["firing"]
    for unsaved in (first, fires):
        await store.save(unsaved, WAIT)
        assert store.problem is not None
    (tmp_path / "file").unlink()
    following = record(fires.state, host(90.0, 60))
    for saved in (following, fires, following):
        await store.save(saved, WAIT)
    edges = read_transitions(store.path.parent, NOON)
    assert [(t.edge, t.at) for t in edges] == [("pending", NOON), ("firing", NOON + timedelta(seconds=30))]
    await store.close(WAIT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
async def test_a_full_disk_degrades_until_there_is_room_again(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)], capture_output=True, timeout=10, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system takes root")
    store = Store(mount)
    try:
        state = await fill(store, 2)
        ballast = mount / "ballast"
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(b"x" * 1_000_000)
        problems = []
        for number in range(40):
            await store.save(record(state, host(90.0 + number / 100, 100 + number)), WAIT)
            problems.append(store.problem)
        assert any(problem is not None and "full" in problem for problem in problems)
        ballast.unlink()
        await store.save(record(state, host(20.0, 900)), WAIT)
        assert store.problem is None
    finally:
        await store.close(WAIT)
        subprocess.run(["umount", "--lazy", str(mount)], capture_output=True, timeout=10, check=True)


def test_reading_a_snapshot_writes_nothing_and_finds_nothing_where_there_is_none(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nonsense" * 4096)
    with pytest.raises(UnusableSnapshot, match="cannot be read"):
        read_snapshot(tmp_path)


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.storage.cycles import host, record
from monitord.core.engine import State
from monitord.storage.store import Store

async def main():
    store = Store(Path(sys.argv[1]))
    await store.load(10)
    state, number = State(), 0
    while True:
        saved = record(state, host(90.0, number * 30))
        await store.save(saved, 10)
        state, number = saved.state, number + 1
        print(number, flush=True)

asyncio.run(main())
"""


def test_a_kill_at_any_moment_loses_at_most_the_cycle_in_progress(tmp_path: Path) -> None:
    for turn in range(2):
        directory = tmp_path / str(turn)
        with forked.Popen(["-c", KILLED, str(directory)], cwd=tmp_path, env={}, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            said = 0
            for line in process.stdout:
                said = int(line)
                if said >= 20 + 17 * turn:
                    process.send_signal(signal.SIGKILL)
                    break
            said = max(said, *map(int, process.stdout.read().split()), 0)
        kept = read_snapshot(directory)
        assert kept is not None
        assert kept.state.history.at is not None
        saved = (kept.state.history.at - NOON.timestamp()) / 30 + 1
        assert said <= saved <= said + 1
        recorded = list(read_history(directory, NOON))
        assert len(recorded) == saved
        state = State()
        for observation in recorded:
            state = decide(state, observation, ORDERS).state
        assert kept.state == state
