"""Deadlines of a connection, over real sockets: whoever dribbles, does not read or only connects is cut, and health is
answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from monitord.web import app, sse
from monitord.web.app import Page
from monitord.web.connection import MOST_CONNECTIONS, Deadlines
from monitord.web.records import Records
from monitord.web.server import PageServer
from tests.web.made import TOKEN, Source, night, recorded

PATIENCE = 60.0
SHORT = Deadlines(head=0.04, body=0.04, taking=0.04, rate=1024**3)
LONG = Deadlines(head=3600, body=3600, taking=3600)
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST /api/silences HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n"


class Served:
    """A page at a free port of this machine."""

    def __init__(self, source: Source, deadlines: Deadlines) -> None:
        self.records = Records(source)
        self.server = PageServer(Page(self.records, "127.0.0.1", TOKEN, 0.0).app, "127.0.0.1", 0, deadlines)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def health(self) -> int:
        """The status that a newcomer gets."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.server.port}", timeout=PATIENCE) as page:
            return (await page.get("/healthz")).status_code

    async def close(self) -> None:
        await self.records.close()
        await self.server.close()


Serve = Callable[[Deadlines], Awaitable[Served]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    source = await recorded(tmp_path, night(0.1))
    opened: list[Served] = []

    async def begin(deadlines: Deadlines) -> Served:
        opened.append(Served(source, deadlines))
        await opened[-1].server.start()
        return opened[-1]

    yield begin
    for one in opened:
        await one.close()


async def dribble(writer: asyncio.StreamWriter, byte: bytes = b"x") -> None:
    """A byte every now and then, for as long as the other side bears it."""
    with suppress(ConnectionError):
        while True:
            writer.write(byte)
            await writer.drain()
            await asyncio.sleep(0.005)


async def cut(reader: asyncio.StreamReader) -> None:
    """Until the other side has ended the connection."""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HT",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        WHOLE,
        WHOLE + b"GET /healthz HTTP/1.1\r\nX-Slow: ",
        WHOLE + WHOLE + b"GET ",
        POST,
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 60000\r\n\r\n",
    ],
)
async def test_whoever_dribbles_is_cut_in_every_phase_of_a_connection(serve: Serve, begun: bytes) -> None:
    served = await serve(SHORT)
    reader, writer = await served.connect()
    writer.write(begun)
    dribbling = asyncio.create_task(dribble(writer))
    await cut(reader)
    dribbling.cancel()
    writer.close()


async def test_whoever_does_not_take_the_answer_is_cut(serve: Serve) -> None:
    served = await serve(SHORT)
    _, writer = await served.connect()
    # Requests without end, whose answers nobody reads.
    request = b"GET /static/report.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    asking = asyncio.create_task(dribble(writer, request * 100))
    async with asyncio.timeout(PATIENCE):
        await asking  # ends when the connection does
    writer.close()


async def test_a_stream_that_nobody_reads_is_let_go(serve: Serve) -> None:
    served = await serve(Deadlines(head=3600, body=3600, taking=0.04, rate=1024**3))
    _, writer = await served.connect()
    writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        while served.records.hub.readers == 0:  # noqa: ASYNC110 - the hub tells nobody
            await asyncio.sleep(0.01)
        while served.records.hub.readers:
            served.records.hub.publish("cycle", {"much": "x" * 500_000})
            await asyncio.sleep(0.01)
    writer.close()


async def test_a_stream_has_a_longest_life_and_ends_in_good_order(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "LONGEST_SECONDS", 0.03)
    served = await serve(LONG)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.server.port}", timeout=PATIENCE) as page:
        answer = await page.get("/events")
    assert answer.text.startswith("retry: ")
    assert served.records.hub.readers == 0


async def test_sixty_four_that_finish_one_request_and_dribble_hold_nothing_up_and_are_cut(serve: Serve) -> None:
    served = await serve(Deadlines(head=0.3))
    held, dribbling = [], []
    for _ in range(64):
        reader, writer = await served.connect()
        held.append((reader, writer))
        writer.write(WHOLE)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        dribbling.append(asyncio.create_task(dribble(writer)))
    assert await served.health() == 200
    await asyncio.gather(*(cut(reader) for reader, _ in held))
    assert await served.health() == 200
    for task in dribbling:
        task.cancel()
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize("begun", [b"", WHOLE, POST])
async def test_past_all_measure_the_one_that_waits_longest_makes_room(serve: Serve, begun: bytes) -> None:
    served = await serve(LONG)
    held = []
    for _ in range(MOST_CONNECTIONS):
        reader, writer = await served.connect()
        writer.write(begun)
        if begun == WHOLE:
            await reader.readuntil(b"}")
        held.append((reader, writer))
    for _ in range(3):
        assert await served.health() == 200
    await cut(held[0][0])
    assert not held[-1][0].at_eof()
    for _, writer in held:
        writer.close()


async def test_as_many_requests_as_may_be_are_answered_and_health_beside_them(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MOST_REQUESTS", 3)
    served = await serve(LONG)
    held = [await served.connect() for _ in range(3)]
    for _, writer in held:
        writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    for reader, _ in held:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.server.port}", timeout=PATIENCE) as page:
        answer = await page.get("/api/status")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert (await page.get("/healthz")).status_code == 200
    for _, writer in held:
        writer.close()


async def test_an_answer_that_takes_too_long_is_given_up_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "ANSWER_SECONDS", 0.05)
    served = await serve(LONG)

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(served.records.source, "metrics", never)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.server.port}", timeout=PATIENCE) as page:
        answer = await page.get("/metrics")
    assert answer.status_code == 503
    assert answer.headers["content-security-policy"]
