"""Commands in the snapshot: left by others, heard by the daemon, taken out with the state that came of them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitord.core.engine import State, decide
from monitord.core.model import Command, Observation, Silence
from monitord.core.orders import StandingOrders
from monitord.core.recording import Recorder, replay
from monitord.storage.inbox import MOST_WAITING, ask, read_waiting
from monitord.storage.reader import CheckRun, read_history, read_snapshot
from monitord.storage.schema import FILE, MIGRATIONS, SnapshotUnavailable
from monitord.storage.store import CycleRecord, Store

ORDERS = StandingOrders(probes=frozenset())
NOON = datetime(2025, 11, 5, 12, tzinfo=UTC)
WAIT = 10.0
SILENCE = Silence("s1", "*", NOON, None, every="0 2 * * *", lasts=60.0, reason="ünïcode")
ASKED = Command("silence", NOON, silence=SILENCE)


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


async def cycle(store: Store, state: State | None = None) -> State:
    """Hear, decide, save."""
    heard = await store.hear(WAIT)
    decision = decide(state or State(), Observation(NOON, {}, commands=heard.commands), ORDERS)
    observation = Observation(NOON, {}, commands=heard.commands)
    check = CheckRun("", observation.now, 0.0, decision.orders)
    await store.save(
        CycleRecord(
            decision.state,
            observation,
            check,
            decision.transitions,
            heard_through=heard.through,
        ),
        WAIT,
    )
    return decision.state


async def test_what_is_asked_is_heard_once_and_is_in_the_state_that_is_saved(store: Store, tmp_path: Path) -> None:
    ask(tmp_path, ASKED)
    assert read_waiting(tmp_path) == (ASKED,)
    state = await cycle(store)
    assert dict(state.silences) == {"s1": SILENCE}
    assert read_waiting(tmp_path) == ()
    assert (await store.hear(WAIT)).commands == ()
    snapshot = read_snapshot(tmp_path)
    assert snapshot is not None
    assert dict(snapshot.state.silences) == {"s1": SILENCE}
    assert [seen.commands for seen in read_history(tmp_path, NOON)] == [(ASKED,)]


async def test_what_was_heard_and_not_saved_is_heard_again_by_the_next_daemon(store: Store, tmp_path: Path) -> None:
    await cycle(store)
    ask(tmp_path, ASKED)
    assert (await store.hear(WAIT)).commands == (ASKED,)  # and then it is killed
    successor = Store(tmp_path)
    await successor.load(WAIT)
    assert (await successor.hear(WAIT)).commands == (ASKED,)
    await successor.close(WAIT)


async def test_a_state_that_could_not_be_saved_has_heard_it_all_the_same(store: Store, tmp_path: Path) -> None:
    await cycle(store)
    ask(tmp_path, ASKED)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        state = await cycle(store)
        assert store.problem is not None
        other.execute("ROLLBACK")
    assert read_waiting(tmp_path) == (ASKED,)  # it stands in no state on the disk
    ask(tmp_path, Command("unsilence", NOON, "s1"))
    state = await cycle(store, state)  # opens the file again
    assert dict(state.silences) == {"s1": SILENCE}
    assert [asked.kind for asked in read_waiting(tmp_path)] == ["unsilence"]
    assert dict((await cycle(store, state)).silences) == {}
    assert read_waiting(tmp_path) == ()


async def test_a_new_file_numbers_its_commands_anew(store: Store, tmp_path: Path) -> None:
    for _ in range(3):
        ask(tmp_path, ASKED)
    state = await cycle(store)
    (tmp_path / FILE).unlink()
    for suffix in ("-wal", "-shm"):
        (tmp_path / (FILE + suffix)).unlink(missing_ok=True)
    state = await cycle(store, state)
    ask(tmp_path, Command("unsilence", NOON, "s1"))
    assert dict((await cycle(store, state)).silences) == {}


async def test_what_is_no_command_of_this_version_is_passed_over(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        for body in ("{", "[]", '{"kind": "restart", "at": "2025-11-05T12:00:00+00:00"}', '{"kind": "ack"}'):
            other.execute("INSERT INTO commands (body) VALUES (?)", (body,))
    ask(tmp_path, ASKED)
    assert dict((await cycle(store)).silences) == {"s1": SILENCE}
    assert read_waiting(tmp_path) == ()


async def test_a_snapshot_that_is_away_is_heard_of_later(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert (await store.hear(WAIT)).commands == ()
    await store.close(WAIT)


def test_where_no_daemon_has_run_nothing_can_be_asked_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(SnapshotUnavailable, match="no monitord has run"):
        ask(tmp_path, ASKED)
    assert read_waiting(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "why"), [(2, "an older monitord's"), (len(MIGRATIONS) + 1, "a newer monitord")])
def test_a_snapshot_of_another_version_is_left_as_it_is(tmp_path: Path, number: int, why: str) -> None:
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        for script in MIGRATIONS[:2]:
            other.executescript(script)
        other.execute(f"PRAGMA user_version = {number}")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(SnapshotUnavailable, match=why):
        ask(tmp_path, ASKED)
    assert (tmp_path / FILE).read_bytes() == before


async def test_nobody_fills_the_disk_with_what_nobody_hears(store: Store, tmp_path: Path) -> None:
    await cycle(store)
    with closing(sqlite3.connect(tmp_path / FILE)) as other, other:
        other.executemany("INSERT INTO commands (body) VALUES (?)", [("{}",)] * MOST_WAITING)
    with pytest.raises(SnapshotUnavailable, match="wait on"):
        ask(tmp_path, ASKED)


def test_commands_come_back_from_frames() -> None:
    recorder = Recorder()
    seen = [Observation(NOON, {}, commands=(ASKED, Command("forget", NOON, "gateway"))), Observation(NOON, {})]
    frames = [recorder.frame(observation, whole=number == 0) for number, observation in enumerate(seen)]
    assert list(replay(frames)) == seen
    assert replace(seen[0], commands=()) == seen[1]
