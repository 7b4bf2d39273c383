"""The heartbeat: what a Healthchecks server gets, and that nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from monitord.config.settings import HeartbeatStyle
from monitord.core.model import Unmeasured
from monitord.notify.channels.base import SendError
from monitord.notify.channels.heartbeat import Heartbeat, address

from .conftest import Receive
from .receivers import OK, Receiver, status

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
KEY = "planted-ping-key"


def paths(receiver: Receiver) -> list[str]:
    return [urlsplit(request.target).path for request in receiver.requests]


def runs(receiver: Receiver) -> list[str]:
    return [parse_qs(urlsplit(request.target).query)["rid"][0] for request in receiver.requests]


def trouble_of(heart: Heartbeat) -> Unmeasured | None:
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


# Addresses that want GET, exactly there


def by_path(accepted: str, methods: tuple[str, ...] = ("GET",)) -> Callable[[Receiver], None]:
    """A server that knows this one target, and answers 404 to every other."""

    def answer(receiver: Receiver) -> None:
        async def reply(writer: asyncio.StreamWriter) -> None:
            last = receiver.requests[-1]
            writer.write(OK if (last.target, last.method in methods) == (accepted, True) else status("404 Not Found"))
            await writer.drain()

        receiver.replies = [reply]

    return answer


def asked(receiver: Receiver) -> list[str]:
    return [f"{request.method} {request.target}" for request in receiver.requests]


PUSH = f"/kuma/api/push/{KEY}?status=up&msg=OK&ping="
PLAIN = f"/beat/{KEY}?a=%20b&c"


@pytest.mark.parametrize(("target", "style"), [(PUSH, "auto"), (PLAIN, "plain")])
async def test_a_plain_address_gets_a_get_at_exactly_there_for_each_cycle_that_ended_well(
    receive: Receive, eventually: Eventually, target: str, style: HeartbeatStyle
) -> None:
    receiver = await receive()
    by_path(target)(receiver)
    heart = Heartbeat(receiver.url + target, style=style)
    for _ in range(2):
        heart.begin()
        heart.end(True, "all is well")
        heart._last_run = None  # as if 25 s had gone by
        await reached(eventually, receiver, _ + 1)
    await heart.close()
    assert asked(receiver) == [f"GET {target}"] * 2
    assert trouble_of(heart) is None
    assert receiver.requests[0].body == b""


async def test_a_plain_address_is_not_asked_for_a_cycle_that_failed(receive: Receive, eventually: Eventually) -> None:
    receiver = await receive()
    heart = Heartbeat(f"{receiver.url}/api/push/{KEY}")
    heart.begin()
    heart.end(False, "the snapshot cannot be written")
    heart.begin()
    heart.end(True, "all is well")
    await reached(eventually, receiver, 1)
    await heart.close()
    assert asked(receiver) == [f"GET /api/push/{KEY}"]


async def test_an_address_that_knows_no_start_shows_itself_at_the_first_good_end_and_is_remembered(
    receive: Receive, eventually: Eventually
) -> None:
    receiver = await receive()
    by_path(PLAIN)(receiver)
    heart = Heartbeat(receiver.url + PLAIN)
    heart.begin()
    await reached(eventually, receiver, 1)
    heart.end(True, "all is well")
    await reached(eventually, receiver, 2)

    async def is_known() -> bool:
        return heart.style == "plain"

    await eventually(is_known)
    heart._last_run = None
    heart.begin()
    heart.end(True, "all is well")
    await reached(eventually, receiver, 3)
    await heart.close()
    assert [line.split("?")[0] for line in asked(receiver)] == [f"POST /beat/{KEY}/start", *[f"GET /beat/{KEY}"] * 2]
    assert receiver.requests[-1].target == PLAIN
    assert trouble_of(heart) is None


async def test_a_wrong_address_is_trouble_by_either_convention(receive: Receive, eventually: Eventually) -> None:
    receiver = await receive(status("404 Not Found"))
    heart = Heartbeat(f"{receiver.url}/{KEY}")
    heart.begin()
    heart.end(True, "all is well")

    async def troubled() -> bool:
        return trouble_of(heart) is not None

    await eventually(troubled)
    await heart.close()
    trouble = trouble_of(heart)
    assert trouble is not None
    assert trouble.kind == "missing"
    assert heart.style == "auto"


async def test_an_address_that_has_accepted_a_ping_stays_what_it_is_when_it_fails_once(
    receive: Receive, eventually: Eventually
) -> None:
    receiver = await receive(OK, status("404 Not Found"))
    heart = Heartbeat(f"{receiver.url}/{KEY}")
    heart.begin()
    await reached(eventually, receiver, 1)
    heart.end(True, "all is well")
    await reached(eventually, receiver, 2)
    await heart.close()
    assert (heart.style, {request.method for request in receiver.requests}) == ("healthchecks", {"POST"})


async def test_a_server_that_asks_to_be_left_alone_gets_no_ping_meanwhile(
    receive: Receive, eventually: Eventually
) -> None:
    receiver = await receive(status("429 Too Many Requests", "Retry-After: 600"), OK)
    heart = Heartbeat(f"{receiver.url}/{KEY}", every=0.0)
    heart.begin()

    async def troubled() -> bool:
        return trouble_of(heart) is not None

    await eventually(troubled)
    for _ in range(3):
        heart.end(True, "all is well")
        heart.begin()
    await asyncio.sleep(0)
    await heart.close()
    assert len(receiver.requests) == 1
