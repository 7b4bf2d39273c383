"""The state is written in one of twelve cycles, and what comes back after a kill is that of the last."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import sqlite3
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from monitord.core import folding
from monitord.core.codec import decode, encode
from monitord.core.engine import State, decide
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from monitord.storage import store as storing
from monitord.storage.copy import COPY, read_copy
from monitord.storage.reader import read_history, read_snapshot, saved_state
from monitord.storage.schema import FILE, UnusableSnapshot
from monitord.storage.store import SAVES_PER_STATE, Store, _json
from tests.core.nights import BASELINE, ORDERS, Night
from tests.storage.cycles import WAIT, Saving


@functools.cache
def troubled_night() -> list[Observation]:
    """Services stop, start, leak and are acknowledged; Postgres is away for a while."""
    night = Night()
    night.passes(minutes=5)
    night["gateway"].stops()
    night.passes(minutes=2)
    night.asks("ack", next(iter(night.state.alerts.values())).id)
    night.passes(minutes=1)
    night["gateway"].starts()
    night.passes(minutes=5)
    night["cls-worker"].crashes()
    night.passes(minutes=4)
    return [look.observation for look in night.looks]


def healthy_night(cycles: int) -> list[Observation]:
    night = Night(start=BASELINE + timedelta(minutes=10))  # no hour ends in it
    night.passes(seconds=30.0 * (cycles - 1))
    return [look.observation for look in night.looks]


async def kept(directory: Path) -> State:
    """What a start finds there."""
    store = Store(directory)
    snapshot, aside = await store.load(WAIT)
    assert aside is None
    assert store.problem is None
    await store.close(WAIT)
    return snapshot.state


def left(alive: Path, at: Path) -> Path:
    """What `kill -9` leaves: the files as they are while they are open."""
    shutil.copytree(alive, at)
    return at


def through(directory: Path) -> int | None:
    """The number of the cycle that the written state is of."""
    with closing(sqlite3.connect(directory / FILE)) as connection:
        row = connection.execute("SELECT seq FROM whole_state").fetchone()
        return None if row is None else int(row[0])


@pytest.fixture
async def saving(tmp_path: Path) -> AsyncIterator[Saving]:
    saving = Saving(tmp_path / "alive", ORDERS)
    await saving.begin()
    yield saving
    await saving.store.close(WAIT)


async def saved(saving: Saving, observations: Iterable[Observation]) -> None:
    for observation in observations:
        await saving.save(observation)


async def test_whenever_it_is_killed_the_state_is_that_of_the_last_saved_cycle(saving: Saving, tmp_path: Path) -> None:
    observations = troubled_night()
    drawn = random.Random(7).sample(range(len(observations)), 6)  # noqa: S311 - the same moments each time
    states = []
    for number, observation in enumerate(observations):
        states.append((await saving.save(observation)).state)
        if number in drawn:
            found = left(tmp_path / "alive", tmp_path / str(number))
            assert await kept(found) == states[number]
            read = read_snapshot(tmp_path / "alive")
            assert read is not None
            assert read.state == states[number]
    assert any(alert.is_confirmed for state in states for alert in state.alerts.values())


async def test_a_start_after_a_kill_says_nothing_again_and_goes_on_confirming(tmp_path: Path) -> None:
    observations = troubled_night()
    undisturbed = Saving(tmp_path / "undisturbed", ORDERS)
    await undisturbed.begin()
    said = [record.transitions for record in [await undisturbed.save(each) for each in observations]]
    await undisturbed.store.close(WAIT)
    killed = Saving(tmp_path / "killed", ORDERS)
    await killed.begin()
    heard = []
    for number, observation in enumerate(observations):
        if number % 9 == 4:
            place = left(killed.store.path.parent, tmp_path / f"killed-{number}")
            await killed.store.close(WAIT)
            killed = Saving(place, ORDERS)
            await killed.begin()
        heard.append((await killed.save(observation)).transitions)
    await killed.store.close(WAIT)
    assert heard == said
    assert killed.state == undisturbed.state


async def test_a_cycle_that_was_being_written_is_lost_and_the_one_before_it_is_not(
    saving: Saving, tmp_path: Path
) -> None:
    # As many as make the log longer than it was when it was last played into the file: behind its end nothing is left.
    observations = healthy_night(3 * SAVES_PER_STATE + 6)
    await saved(saving, observations[:-1])
    before = saving.state
    await saving.save(observations[-1])
    place = left(tmp_path / "alive", tmp_path / "left")
    wal = place / f"{FILE}-wal"
    os.truncate(wal, wal.stat().st_size - 100)
    assert await kept(place) == before


async def test_the_hour_that_runs_outlives_a_kill_as_it_was(saving: Saving, tmp_path: Path) -> None:
    await saved(saving, healthy_night(SAVES_PER_STATE + 5))
    store = Store(left(tmp_path / "alive", tmp_path / "left"))
    snapshot, _ = await store.load(WAIT)
    await store.close(WAIT)
    assert snapshot.hour is not None
    assert _rounded(snapshot.hour) == _rounded(saving.hour.fields())


def _rounded(part: object) -> object:
    if isinstance(part, dict):
        return {name: _rounded(each) for name, each in part.items()}
    if isinstance(part, list):
        return [_rounded(each) for each in part]
    return round(part, 1) if isinstance(part, float) else part


async def test_what_was_told_is_written_with_its_state_and_a_quiet_cycle_is_not(saving: Saving, tmp_path: Path) -> None:
    wrote = []
    for observation in troubled_night():
        before = through(tmp_path / "alive")
        record = await saving.save(observation)
        wrote.append((through(tmp_path / "alive") != before, record.announces))
    assert all(is_written for is_written, is_told in wrote if is_told)
    assert sum(is_written for is_written, _ in wrote) < len(wrote) / 2


async def test_no_cycle_that_was_written_without_its_state_had_anything_to_tell(saving: Saving) -> None:
    for observation in troubled_night():
        directory, state = saving.store.path.parent, saving.state
        before = through(directory)
        await saving.save(observation)
        decision = decide(state, observation, ORDERS)
        if through(directory) == before:
            assert [edge.edge for edge in decision.transitions] in ([], ["pending"])
            assert not decision.actions


async def test_a_stop_writes_the_state_so_that_nobody_has_to_judge_again(saving: Saving, tmp_path: Path) -> None:
    await saved(saving, healthy_night(5))
    await saving.store.close(WAIT)
    with closing(sqlite3.connect(tmp_path / "alive" / FILE)) as connection:
        (last,) = connection.execute("SELECT max(seq) FROM frames").fetchone()
        assert through(tmp_path / "alive") == last
        assert saved_state(connection).state == saving.state
    copy = read_copy(tmp_path / "alive")
    assert copy is not None
    assert copy.state == saving.state


async def test_other_orders_begin_with_the_state_written(saving: Saving, tmp_path: Path) -> None:
    first, second, third = healthy_night(3)
    await saving.save(first)
    saving.orders = replace(ORDERS, confirmations=5)
    await saving.save(second)
    await saving.save(third)
    assert await kept(left(tmp_path / "alive", tmp_path / "left")) == saving.state


async def test_a_state_that_is_not_the_one_that_was_saved_is_written(saving: Saving, tmp_path: Path) -> None:
    first, second, third = healthy_night(3)
    await saved(saving, [first, second])
    saving.state = replace(saving.state, advised={"an-incident": ("gateway",)})
    await saving.save(third)
    assert await kept(left(tmp_path / "alive", tmp_path / "left")) == saving.state


async def test_what_another_version_would_say_of_cycles_that_said_nothing_is_left_to_the_next_cycle(
    saving: Saving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observations = healthy_night(6)
    await saved(saving, observations[:4])
    before = saving.state
    await saved(saving, observations[4:])
    monkeypatch.setattr(folding, "announces", lambda decision: decision.at >= observations[4].now)
    assert await kept(left(tmp_path / "alive", tmp_path / "left")) == before


async def test_a_damaged_cycle_costs_itself_and_what_rests_on_it_and_that_is_said(
    saving: Saving, tmp_path: Path
) -> None:
    observations = healthy_night(8)
    await saved(saving, observations[:5])
    before = saving.state
    await saved(saving, observations[5:])
    place = left(tmp_path / "alive", tmp_path / "left")
    with closing(sqlite3.connect(place / FILE)) as connection, connection:
        connection.execute("UPDATE frames SET body = x'00' WHERE seq = 6")
    with pytest.raises(UnusableSnapshot, match="cycle 6 of its history is damaged"):
        read_snapshot(place)
    again = Saving(place, ORDERS)
    snapshot, aside = await again.store.load(WAIT)
    assert snapshot.state == before
    assert aside is not None
    assert "cycle 6" in aside.reason
    assert f"{observations[4].now:%H:%M:%S}" in aside.lost
    again.state = snapshot.state
    await again.save(observations[-1])
    assert [each.now for each in read_history(place, observations[0].now)] == [
        each.now for each in (*observations[:5], observations[-1])
    ]
    await again.store.close(WAIT)


async def test_the_form_of_before_is_read_and_then_replaced(saving: Saving, tmp_path: Path) -> None:
    observations = troubled_night()
    await saved(saving, observations[:-1])
    await saving.store.close(WAIT)
    _as_before(tmp_path / "alive", saving.state)
    again = Saving(tmp_path / "alive", ORDERS)
    await again.begin()
    assert again.state == saving.state
    await again.save(observations[-1])
    assert through(tmp_path / "alive") == len(observations)
    assert await kept(left(tmp_path / "alive", tmp_path / "left")) == again.state
    await again.store.close(WAIT)


async def test_a_monitord_of_before_finds_no_state_but_its_second_copy_in_a_file_that_it_knows(
    saving: Saving, tmp_path: Path
) -> None:
    await saved(saving, healthy_night(5))
    await saving.store.close(WAIT)
    with closing(sqlite3.connect(tmp_path / "alive" / FILE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
        rows = {name: json.loads(body) for name, body in connection.execute("SELECT name, body FROM state")}
    assert not rows.keys() & {"history", "alerts", "report"}
    _, _, body = (tmp_path / "alive" / COPY).read_bytes().partition(b"\n")
    assert decode(State, json.loads(body)["state"]) == saving.state


async def test_what_a_monitord_of_before_has_written_since_is_what_holds(saving: Saving, tmp_path: Path) -> None:
    observations = healthy_night(6)
    await saved(saving, observations)
    await saving.store.close(WAIT)
    later = decide(saving.state, replace(observations[-1], now=observations[-1].now + timedelta(seconds=30)), ORDERS)
    with closing(sqlite3.connect(tmp_path / "alive" / FILE)) as connection, connection:
        for name, text in _texts(later.state).items():
            connection.execute("INSERT INTO state VALUES (?, ?)", (name, text))
    assert await kept(tmp_path / "alive") == later.state


def _texts(state: State) -> dict[str, str]:
    return {name: _json(encode(getattr(state, name))) for name in ("history", "alerts", "fired", "advised")}


def _as_before(directory: Path, state: State) -> None:
    """The state as each cycle wrote it before: a text a part."""
    with closing(sqlite3.connect(directory / FILE)) as connection, connection:
        connection.execute("DROP TABLE whole_state")
        connection.executemany("INSERT INTO state VALUES (?, ?)", _texts(state).items())


async def test_a_save_that_failed_is_followed_by_one_with_its_state(
    saving: Saving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observations = healthy_night(6)
    await saved(saving, observations[:4])

    def no_room(*_: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(storing, "strike", no_room)
        with suppress(AssertionError):
            await saving.save(observations[4])
    assert saving.store.problem is not None
    saving.state = decide(saving.state, observations[4], ORDERS).state
    await saving.save(observations[5])
    assert await kept(left(tmp_path / "alive", tmp_path / "left")) == saving.state


async def test_orders_that_do_not_come_back_as_they_were_have_the_state_written_each_time(
    saving: Saving, tmp_path: Path
) -> None:
    class Others(StandingOrders):
        """Whatever is read is no such."""

        __slots__ = ()

    saving.orders = Others(services=ORDERS.services, queues=ORDERS.queues)
    for observation in healthy_night(3):
        await saving.save(observation)
        assert through(tmp_path / "alive") == len(list(read_history(tmp_path / "alive", observation.now)))


def _written() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="no /proc here counts what is written")
async def test_a_healthy_cycle_writes_a_few_thousand_bytes(saving: Saving) -> None:
    observations = healthy_night(3 * SAVES_PER_STATE + 1)
    await saving.save(observations[0])
    before = _written()
    await saved(saving, observations[1:])
    assert (_written() - before) / (3 * SAVES_PER_STATE) < 6_000


async def test_the_state_in_the_file_is_small(saving: Saving, tmp_path: Path) -> None:
    await saved(saving, healthy_night(2))
    with closing(sqlite3.connect(tmp_path / "alive" / FILE)) as connection:
        (whole,) = connection.execute("SELECT body FROM whole_state").fetchone()
    assert len(whole) < len(zlib.decompress(whole)) / 3
