"""What keeps the page up to date: the hub, the streams, what is made once for many, and the server in the loop."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from monitord.web.app import Page
from monitord.web.async_cache import AsyncCache
from monitord.web.backend import BackendUnavailable
from monitord.web.records import Busy, Records
from monitord.web.server import PageServer
from monitord.web.sse import MOST_READERS, EventStream, Hub, TooManyStreams
from tests.web.made import Source, night, publish, recorded

PATIENCE = 60.0


class Asked:
    """Something to make, that is made when the test says so."""

    def __init__(self) -> None:
        self.times = 0
        self.may = asyncio.Event()
        self.fails = ""

    async def make(self) -> int:
        self.times += 1
        await self.may.wait()
        if self.fails:
            raise BackendUnavailable(self.fails)
        return self.times


# Made once for many


async def test_many_askers_are_answered_by_one_making() -> None:
    asked = Asked()
    cache = AsyncCache(asked.make, keep=3600.0)
    asking = [asyncio.create_task(cache.get(PATIENCE)) for _ in range(20)]
    await asyncio.sleep(0)
    asked.may.set()
    found = await asyncio.gather(*asking)
    assert {kept.value for kept in found if kept is not None} == {1}
    assert asked.times == 1


async def test_who_will_not_wait_gets_nothing_and_later_what_was_made_meanwhile() -> None:
    asked, ready = Asked(), asyncio.Event()
    cache = AsyncCache(asked.make, keep=3600.0, ready=ready.set)
    assert await cache.get(0.0) is None
    asked.may.set()
    async with asyncio.timeout(PATIENCE):
        await ready.wait()
    kept = await cache.get(0.0)
    assert kept is not None
    assert kept.value == 1


async def test_what_no_longer_holds_is_shown_only_to_whoever_cannot_wait_for_a_new_one() -> None:
    asked, ready = Asked(), asyncio.Event()
    asked.may.set()
    cache = AsyncCache(asked.make, keep=3600.0, ready=ready.set)
    await cache.get(PATIENCE)
    cache.expire()
    asked.may.clear()
    old = await cache.get(0.0)
    assert old is not None
    assert old.value == 1
    asking = [asyncio.create_task(cache.get(PATIENCE)) for _ in range(10)]
    await asyncio.sleep(0)
    asked.may.set()
    assert [found.value for found in await asyncio.gather(*asking) if found is not None] == [2] * 10
    assert asked.times == 2


async def test_what_nobody_has_asked_for_since_long_is_not_shown_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitord.web.async_cache._COST_TO_AGE", 0.0)
    asked = Asked()
    asked.may.set()
    cache = AsyncCache(asked.make, keep=0.0)
    first = await cache.get(PATIENCE)
    second = await cache.get(PATIENCE)
    assert first is not None
    assert second is not None
    assert (first.value, second.value) == (1, 2)


async def test_why_it_could_not_be_made_is_kept_for_a_while() -> None:
    asked = Asked()
    asked.may.set()
    asked.fails = "the disk hangs"
    cache = AsyncCache(asked.make, keep=0.0)
    found = [await cache.get(PATIENCE) for _ in range(5)]
    assert {(kept.value, kept.trouble) for kept in found if kept is not None} == {(None, "the disk hangs")}
    assert asked.times == 1


async def test_what_fails_inside_is_told_once_and_kept_like_any_other_reason() -> None:
    times, told = 0, []

    async def fail() -> int:
        nonlocal times
        times += 1
        raise RuntimeError("inside")

    cache = AsyncCache(fail, keep=0.0, fault=lambda what, error: told.append((what, str(error))))
    found = [await cache.get(PATIENCE) for _ in range(5)]
    assert {kept.trouble for kept in found if kept is not None} == {"it failed inside, the log says what"}
    assert told == [("what the page keeps could not be made", "inside")]
    assert times == 1


async def test_different_reports_at_once_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    asked = Asked()
    source = await recorded(tmp_path, night(0.1))
    monkeypatch.setattr(source, "report", lambda _: asked.make())
    records = Records(source)
    for hours in range(1, 5):
        assert await records.report(timedelta(hours=hours), 0.0) is None
    with pytest.raises(Busy):
        await records.report(timedelta(hours=9), 0.0)
    asked.may.set()
    assert await records.report(timedelta(hours=1), PATIENCE) is not None
    await records.close()


# Streams


async def test_open_pages_hear_that_what_is_recorded_was_read(tmp_path: Path) -> None:
    records = Records(await recorded(tmp_path, night(0.1)))
    listening = records.hub.listen()
    async with asyncio.timeout(PATIENCE):
        await records.recorded(timedelta(hours=1), wait=0.0)
        assert await listening.get() == b"event: report\ndata: {}\n\n"
    await records.close()


async def test_everybody_is_told_and_whoever_does_not_read_is_let_go() -> None:
    hub = Hub()
    quick, slow = hub.listen(), hub.listen()
    for number in range(50):
        hub.publish("cycle", {"number": number})
        while not quick.empty():
            assert await quick.get() is not None
    assert hub.readers == 1
    assert [slow.get_nowait(), slow.empty()] == [None, True]


async def test_no_more_may_listen_than_that_and_none_once_it_is_closed() -> None:
    hub = Hub()
    queues = [hub.listen() for _ in range(MOST_READERS)]
    with pytest.raises(TooManyStreams):
        hub.listen()
    hub.leave(queues[0])
    hub.listen()
    hub.close()
    assert hub.readers == 0
    with pytest.raises(TooManyStreams):
        hub.listen()


async def test_a_reader_that_is_gone_ends_its_stream() -> None:
    hub = Hub()
    sent: list[dict[str, Any]] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        gone.set()

    async with asyncio.timeout(PATIENCE):
        await EventStream(hub, hub.listen())({"type": "http"}, receive, send)
    assert hub.readers == 0
    assert sent[0]["status"] == 200


# The server


class Served:
    """A page at a free port, in the test's loop."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.records = Records(source)
        self.server = PageServer(Page(self.records, "127.0.0.1", None).app, "127.0.0.1", 0)

    async def start(self) -> None:
        await self.server.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def close(self) -> None:
        await self.records.close()
        await self.server.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(await recorded(tmp_path, night(0.1)))
    await served.start()
    yield served
    await served.close()


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_each_cycle_comes_down_an_open_stream_and_closing_ends_it(served: Served) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(base_url=served.address) as page,
        page.stream("GET", "/events") as answer,
    ):
        told = events(answer)
        assert await anext(told) == ("beat", {})
        assert served.source.seen is not None
        served.records.publish(served.source.seen)
        name, fields = await anext(told)
        assert (name, fields["status"]) == ("cycle", "ok")
        assert answer.headers["content-type"].startswith("text/event-stream")
        await served.close()
        assert [one async for one in told] == []


async def test_the_signals_stay_as_they_were(served: Served) -> None:
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    async with httpx.AsyncClient(base_url=served.address) as page:
        assert (await page.get("/healthz")).status_code == 200
    assert {number: signal.getsignal(number) for number in before} == before


async def test_a_port_in_use_is_said_and_nothing_is_left_open(served: Served) -> None:
    other = PageServer(Page(served.records, "127.0.0.1", None).app, "127.0.0.1", served.server.port)
    with pytest.raises(OSError, match="in use"):
        await other.start()
    await other.close()


async def test_nonsense_and_silence_on_the_line_hold_nothing_up(served: Served) -> None:
    loop = asyncio.get_running_loop()
    lines = (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 100_000, b"\x16\x03\x01" * 9)
    for line in lines:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        writer.write(line)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400")
        writer.close()
    idle = [socket.create_connection(("127.0.0.1", served.server.port)) for _ in range(40)]
    async with httpx.AsyncClient(base_url=served.address) as page:
        assert (await page.get("/healthz")).status_code == 200
    for one in idle:
        one.close()
    began = loop.time()
    await served.close()
    assert loop.time() - began < PATIENCE


async def test_an_app_that_fails_after_it_began_costs_its_answer_alone() -> None:
    async def broken(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("inside")

    server = PageServer(broken, "127.0.0.1", 0)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as page:
        with pytest.raises(httpx.RemoteProtocolError):
            await page.get("/")
    await server.close()


async def test_a_cycle_with_an_edge_makes_the_incidents_anew(tmp_path: Path) -> None:
    made = night(0.2, begun=lambda made: made["gateway"].stops())
    source = await recorded(tmp_path, made)
    records = Records(source)
    before = await records.incidents(wait=PATIENCE)
    assert before is not None
    edge = next(look.decision for look in made.looks if look.decision.transitions)
    made.looks.append(type(made.looks[-1])(made.looks[-1].observation, edge, made.now))
    records.publish(publish(source, made))
    await records.incidents(wait=PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while (after := await records.incidents(wait=PATIENCE)) is before:  # noqa: ASYNC110 - the memo tells nobody
            await asyncio.sleep(0)
    assert after is not None
    assert [one.id for one in after.value or ()] == [one.id for one in before.value or ()] != []
    await records.close()
