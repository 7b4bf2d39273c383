"""The heartbeat: what a Healthchecks server gets, and that nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from monitord.core.model import Gap
from monitord.notify.channel import SendError
from monitord.notify.heartbeat import Heartbeat, address

from .conftest import Receive
from .receivers import OK, Receiver, status

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
KEY = "planted-ping-key"


def paths(receiver: Receiver) -> list[str]:
    return [urlsplit(request.target).path for request in receiver.requests]


def runs(receiver: Receiver) -> list[str]:
    return [parse_qs(urlsplit(request.target).query)["rid"][0] for request in receiver.requests]


def trouble_of(heart: Heartbeat) -> Gap | None:
    """As it is now; to the type checker it would stay as it was seen first."""
    return heart.trouble


async def reached(eventually: Eventually, receiver: Receiver, count: int) -> None:
    async def enough() -> bool:
        return len(receiver.requests) >= count

    await eventually(enough)


@pytest.mark.parametrize(
    ("url", "path", "pinged"),
    [
        ("https://hc/ping/u", "/start", "https://hc/ping/u/start?rid=r"),
        ("https://hc/ping/u/", "", "https://hc/ping/u?rid=r"),
        ("https://hc/ping/key/slug?create=1", "/fail", "https://hc/ping/key/slug/fail?create=1&rid=r"),
    ],
)
def test_the_path_is_appended_and_the_query_kept(url: str, path: str, pinged: str) -> None:
    assert address(url, path, "r") == pinged


async def test_a_cycle_is_told_with_its_start_and_its_end_as_one_run(receive: Receive, eventually: Eventually) -> None:
    receiver = await receive()
    heart = Heartbeat(f"{receiver.url}/{KEY}")
    heart.begin()
    await reached(eventually, receiver, 1)
    heart.end(True, "OK: all is well.")
    await reached(eventually, receiver, 2)
    await heart.close()
    assert paths(receiver) == [f"/{KEY}/start", f"/{KEY}"]
    assert len(set(runs(receiver))) == 1
    assert [request.body for request in receiver.requests] == [b"", b"OK: all is well."]
    assert {request.method for request in receiver.requests} == {"POST"}


async def test_soon_after_one_run_the_next_is_not_told_unless_it_ends_otherwise(
    receive: Receive, eventually: Eventually
) -> None:
    receiver = await receive()
    heart = Heartbeat(f"{receiver.url}/{KEY}", every=3600.0)
    heart.begin()
    await reached(eventually, receiver, 1)
    heart.end(True, "well")
    await reached(eventually, receiver, 2)
    heart.begin()
    heart.end(True, "still well")
    heart.begin()
    heart.end(False, "the snapshot cannot be written")
    await reached(eventually, receiver, 3)
    heart.begin()
    heart.end(False, "still")
    heart.begin()
    heart.end(True, "well again")
    await reached(eventually, receiver, 4)
    await heart.close()
    assert paths(receiver) == [f"/{KEY}/start", f"/{KEY}", f"/{KEY}/fail", f"/{KEY}"]
    assert [r.body for r in receiver.requests[2:]] == [b"the snapshot cannot be written", b"well again"]


async def test_one_is_on_its_way_and_the_newest_end_follows_it(receive: Receive, eventually: Eventually) -> None:
    answer = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        await answer.wait()
        writer.write(OK)
        await writer.drain()

    receiver = await receive(slow, OK)
    heart = Heartbeat(receiver.url, every=0.0)
    heart.begin()
    await reached(eventually, receiver, 1)
    for number in range(3):
        heart.end(True, f"cycle {number}")
        heart.begin()
    answer.set()
    await reached(eventually, receiver, 2)
    await heart.close()
    assert [request.body for request in receiver.requests] == [b"", b"cycle 2"]


async def test_no_more_than_five_go_out_in_a_minute(receive: Receive, eventually: Eventually) -> None:
    receiver = await receive()
    heart = Heartbeat(receiver.url, every=0.0)
    for number in range(5):
        heart.end(number % 2 == 0, "")
        await reached(eventually, receiver, number + 1)
    for number in range(5, 9):
        heart.end(number % 2 == 0, "")
    await heart.check("a line, beside them")
    await heart.close()
    assert len(receiver.requests) == 6


async def test_what_fails_is_told_on_the_edge_and_is_trouble_while_it_lasts(
    receive: Receive, eventually: Eventually
) -> None:
    refusal = status("404 Not Found")
    receiver = await receive(refusal, refusal, OK)
    edges: list[tuple[bool, str]] = []
    heart = Heartbeat(f"{receiver.url}/{KEY}", lambda ok, error: edges.append((ok, error)), every=0.0)
    assert trouble_of(heart) is None

    async def cycle(count: int) -> None:
        heart.end(count % 2 == 0, "")
        await reached(eventually, receiver, count)

        async def settled() -> bool:
            return len(edges) >= (1 if count < 3 else 2)

        await eventually(settled)

    await cycle(1)
    trouble = trouble_of(heart)
    assert trouble is not None
    assert (trouble.subject, trouble.kind) == ("heartbeat", "missing")
    await cycle(2)
    await cycle(3)
    await heart.close()
    assert trouble_of(heart) is None
    assert [ok for ok, _ in edges] == [False, True]
    assert f"127.0.0.1:{receiver.port} answers 404 Not Found" in edges[0][1]
    assert KEY not in edges[0][1]


async def test_closing_does_not_wait_for_a_server_that_is_silent(receive: Receive, eventually: Eventually) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    receiver = await receive(silent)
    heart = Heartbeat(receiver.url)
    heart.begin()
    await reached(eventually, receiver, 1)
    await heart.close()
    assert heart.trouble is None


async def test_a_check_leaves_a_line_and_raises_what_is_wrong(receive: Receive) -> None:
    receiver = await receive(OK, status("403 Forbidden"))
    heart = Heartbeat(receiver.url)
    await heart.check("This is a test.")
    assert (paths(receiver), receiver.requests[0].body) == (["/log"], b"This is a test.")
    with pytest.raises(SendError):
        await heart.check("This is a test.")
    await heart.close()
