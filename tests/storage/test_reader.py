"""What others read of the snapshot: the history's span, and the edges of the alerts that a time has to do with."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitord.core.engine import decide
from monitord.core.model import Observation, Reading, Transition, sample
from monitord.core.orders import StandingOrders
from monitord.storage import schema
from monitord.storage.reader import CheckRun, read_history, read_snapshot, read_transitions, recorded_span
from monitord.storage.schema import FILE, MIGRATIONS, UnusableSnapshot
from monitord.storage.store import CycleRecord, Store

ORDERS = StandingOrders(probes=frozenset({"host"}), confirmations=1)
NOON = datetime(2025, 11, 5, 12, tzinfo=UTC)
WAIT = 10.0
HIGH, LOW = 90.0, 20.0


def host(minutes: float, used: float, path: str = "/") -> Observation:
    samples = (sample("disk_used", used, "percent", path=path), sample("memory_available", 8 * 10**9, "bytes"))
    return Observation(NOON + timedelta(minutes=minutes), {"host": Reading("host", samples)})


async def record(directory: Path, looks: Sequence[Observation]) -> list[Transition]:
    """A recording of these looks, and every edge in it."""
    lived = NOON.timestamp()
    store = Store(directory, lived=lambda: lived)
    snapshot, _ = await store.load(WAIT)
    state = snapshot.state
    edges: list[Transition] = []
    for observation in looks:
        lived = observation.now.timestamp()
        decision = decide(state, observation, ORDERS)
        state = decision.state
        edges += decision.transitions
        check = CheckRun("", observation.now, 0.0, decision.orders)
        await store.save(
            CycleRecord(state, observation, check, decision.transitions),
            WAIT,
        )
        assert store.problem is None
    await store.close(WAIT)
    return edges


async def test_edges_come_back_as_they_were_in_order(tmp_path: Path) -> None:
    edges = await record(tmp_path, [host(0, HIGH), host(1, LOW), host(2, HIGH)])
    assert [edge.edge for edge in edges] == ["firing", "resolved", "firing"]
    assert read_transitions(tmp_path, NOON) == edges


async def test_of_alerts_that_ended_before_nothing_is_told_and_of_those_that_lived_their_firing_too(
    tmp_path: Path,
) -> None:
    edges = await record(tmp_path, [host(0, HIGH), host(1, LOW), host(2, HIGH), host(5, HIGH), host(9, LOW)])
    assert read_transitions(tmp_path, NOON + timedelta(minutes=3)) == edges[2:]
    assert read_transitions(tmp_path, NOON + timedelta(minutes=10)) == []


async def test_the_firing_of_an_alert_that_still_fires_is_told_however_long_ago_it_was(tmp_path: Path) -> None:
    edges = await record(tmp_path, [host(0, HIGH), host(600, HIGH)])
    assert read_transitions(tmp_path, NOON + timedelta(minutes=599)) == edges


async def test_a_moment_within_a_second_is_told_apart(tmp_path: Path) -> None:
    edges = await record(tmp_path, [host(0, HIGH), host(0.01, LOW)])  # at 12:00:00 and 12:00:00.6
    assert read_transitions(tmp_path, NOON + timedelta(seconds=0.5)) == edges
    assert read_transitions(tmp_path, NOON + timedelta(seconds=0.7)) == []


async def test_an_edge_that_cannot_be_read_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    await record(tmp_path, [host(0, HIGH), host(1, LOW)])
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE transitions SET body = '{\"edge\": \"firing\"}' WHERE edge = 'firing'")
    with pytest.raises(UnusableSnapshot, match=f"record of alerts at {tmp_path / FILE} cannot be read"):
        read_transitions(tmp_path, NOON)


async def test_a_frame_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    await record(tmp_path, [host(0, HIGH), host(1, LOW)])
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE frames SET body = x'00' WHERE NOT whole")
    with pytest.raises(UnusableSnapshot, match=r"history at .* cannot be read"):
        list(read_history(tmp_path, NOON))


def test_where_there_is_no_file_there_is_nothing_to_read_and_none_is_made(tmp_path: Path) -> None:
    assert list(read_history(tmp_path, NOON)) == []
    assert read_transitions(tmp_path, NOON) == []
    assert recorded_span(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("known", [0, 1, len(MIGRATIONS)])
async def test_a_file_that_holds_no_cycle_yet_holds_nothing(tmp_path: Path, known: int) -> None:
    store = Store(tmp_path, migrations=MIGRATIONS[:known])
    await store.load(WAIT)
    await store.close(WAIT)
    assert list(read_history(tmp_path, NOON)) == []
    assert read_transitions(tmp_path, NOON) == []
    assert recorded_span(tmp_path) is None


def test_a_file_of_a_newer_monitord_is_not_guessed_at(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    for read in (
        lambda: read_snapshot(tmp_path),
        lambda: list(read_history(tmp_path, NOON)),
        lambda: read_transitions(tmp_path, NOON),
        lambda: recorded_span(tmp_path),
    ):
        with pytest.raises(UnusableSnapshot, match="newer monitord"):
            read()


async def test_the_span_of_the_history_is_from_its_first_cycle_to_its_last(tmp_path: Path) -> None:
    await record(tmp_path, [host(number, LOW) for number in range(5)])
    assert recorded_span(tmp_path) == (NOON, NOON + timedelta(minutes=4))


async def test_edges_are_kept_as_long_as_the_history_they_belong_to_and_older_ones_up_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "KEEP_TRANSITIONS", 5)
    monkeypatch.setattr("monitord.storage.store.FRAMES_PER_WHOLE", 30)
    turns = 2 * (30 + 1)  # to the third whole frame, at which the oldest go
    looks = [host(number * 120, HIGH if number % 2 else LOW) for number in range(turns + 1)]
    edges = await record(tmp_path, looks)
    kept = read_transitions(tmp_path, NOON)
    span = recorded_span(tmp_path)
    assert span is not None
    assert span[0] > NOON
    assert kept == [edge for edge in edges if edge.at >= span[0]]
    assert len(kept) > 5


async def test_edges_never_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "KEEP_TRANSITIONS", 5)
    monkeypatch.setattr(schema, "TRANSITIONS_AT_MOST", 20)
    monkeypatch.setattr("monitord.storage.store.FRAMES_PER_WHOLE", 60)
    # Far enough apart not to flap.
    looks = [host(number * 31, HIGH if number % 2 else LOW) for number in range(60 + 2)]
    edges = await record(tmp_path, looks)
    assert len(edges) > 50
    assert read_transitions(tmp_path, NOON) == edges[-20:]
