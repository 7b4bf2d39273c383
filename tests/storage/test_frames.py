"""Recorded cycles in the file: small, each resting on the one before, and those of a monitord of before among them."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from monitord.core.engine import State, decide
from monitord.storage.frames import Unpacker, packed
from monitord.storage.reader import CheckRun, read_history
from monitord.storage.schema import FILE
from monitord.storage.store import CycleRecord, Store
from tests.core.nights import ORDERS, Night

WAIT = 10.0
NAMES = [f"{n * 7919 % 1000003:x}" for n in range(40)]
TEXTS = [json.dumps({"at": at, "memory": dict.fromkeys(NAMES, 0) | {NAMES[at]: 1}}) for at in range(5)]


def written() -> list[bytes]:
    texts = [text.encode() for text in TEXTS]
    return [packed(text, before) for text, before in zip(texts, [b"", *texts], strict=False)]


def test_what_a_frame_has_in_common_with_the_one_before_is_not_written_again() -> None:
    first, *others = written()
    assert all(len(other) < len(first) / 2 for other in others)


def test_frames_come_back_in_their_order_and_again_from_the_next_that_stands_by_itself() -> None:
    unpacker = Unpacker()
    assert [unpacker.text(body).decode() for body in written() + written()] == TEXTS + TEXTS


def test_frames_that_a_monitord_of_before_wrote_each_by_itself_are_read_among_the_others() -> None:
    unpacker = Unpacker()
    older = [zlib.compress(text.encode()) for text in TEXTS]
    assert [unpacker.text(body).decode() for body in older + written()] == TEXTS + TEXTS


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param([written()[0], written()[2]], id="one between is missing"),
        pytest.param([written()[1]], id="the first does not stand by itself"),
        pytest.param([written()[0], written()[1][:-6]], id="its end is missing"),
        pytest.param([written()[0], written()[1][:-1] + b"\0"], id="a byte is another"),
        pytest.param([b""], id="it is empty"),
    ],
)
def test_a_frame_that_cannot_be_had_again_is_damaged_and_never_guessed(bodies: list[bytes]) -> None:
    unpacker = Unpacker()
    *whole, last = bodies
    for body in whole:
        unpacker.text(body)
    with pytest.raises(zlib.error):
        unpacker.text(last)


async def test_two_and_more_quiet_cycles_of_seven_services_fit_into_one_page(tmp_path: Path) -> None:
    night = Night(ORDERS)
    night.passes(seconds=30 * 40)
    store, state = Store(tmp_path), State()
    await store.load(WAIT)
    for look in night.looks:
        decision = decide(state, look.observation, ORDERS)
        check = CheckRun("schedule", look.observation.now, 0.0, decision.orders)
        await store.save(CycleRecord(decision.state, look.observation, check, decision.transitions), WAIT)
        state = decision.state
    await store.close(WAIT)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        sizes = [size for (size,) in connection.execute("SELECT length(body) FROM frames WHERE NOT whole ORDER BY seq")]
    assert sorted(sizes)[len(sizes) // 2] < page / 3
    assert [one.now for one in read_history(tmp_path, night.looks[0].observation.now)] == [
        look.observation.now for look in night.looks
    ]
