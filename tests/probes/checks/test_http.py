"""One check over HTTP, whatever is at the other end: what is wrong with an endpoint is measured, never raised."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import time
from collections.abc import Mapping
from typing import Any, cast

import pytest

from monitord import connections
from monitord.config.check_types import MODELS
from monitord.config.checks import HttpCheckSettings
from monitord.core.model import Value
from monitord.failures import FailureError
from monitord.probes.checks.http import MOST_READ, MOST_REDIRECTS, HttpCheck
from tests.notify.conftest import Receive
from tests.notify.receivers import OK, Authority, status

TOKEN = "planted-token-5f0c"
DEADLINE = 60.0


def read(written: Mapping[str, Any]) -> HttpCheckSettings:
    return cast("HttpCheckSettings", MODELS["http"].model_validate(written).plain())


async def ask(url: str, timeout: float = DEADLINE, **settings: Any) -> Mapping[str, Value]:
    """The samples of one run, by their name."""
    check = HttpCheck("shop", read({"url": url, **settings}), timeout)
    found = (await check.run()).samples
    assert all(s.labels == (("check", "shop"),) for s in found)
    assert TOKEN not in repr(found)
    return {s.name: s.value for s in found}


async def problem(url: str, timeout: float = DEADLINE, **settings: Any) -> tuple[Value, str]:
    """What is wrong with the endpoint: the word, and the sentence after the address."""
    found = await ask(url, timeout, **settings)
    return found["check_problem"], str(found["check_error"]).partition(" ")[2]


def body(text: bytes, *headers: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", f"Content-Length: {len(text)}", *headers, "", "")).encode() + text


async def test_what_answers_as_it_should_has_a_latency_and_no_problem(receive: Receive) -> None:
    receiver = await receive()
    found = await ask(f"{receiver.url}/health?full=1")
    assert (found["check_problem"], found["check_error"], found["check_status"]) == (None, None, 200)
    assert isinstance(took := found["check_value"], float)
    assert 0 < took < 30_000
    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("GET", "/health?full=1", b"")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["user-agent"].startswith("monitord/")


async def test_the_method_and_headers_are_those_that_are_set_and_are_never_shown(receive: Receive) -> None:
    receiver = await receive()
    await ask(
        f"http://me:{TOKEN}@127.0.0.1:{receiver.port}/{TOKEN}",
        method="post",
        headers={"X-Token": TOKEN, "Host": "shop.example.com", "User-Agent": "a browser"},
    )
    (request,) = receiver.requests
    assert (request.method, request.headers["content-length"]) == ("POST", "0")
    assert request.headers["x-token"] == TOKEN
    assert request.headers["authorization"].startswith("Basic ")
    assert (request.headers["host"], request.headers["user-agent"]) == ("shop.example.com", "a browser")


@pytest.mark.parametrize(
    ("line", "expected", "is_well"),
    [
        ("204 No Content", "2xx", True),
        ("200 OK", 200, True),
        ("201 Created", 200, False),
        ("418 I'm a teapot", [200, "4xx"], True),
        ("302 Found", "200-399", True),
        ("400 Bad Request", "200-399", False),
        ("500 Internal Server Error", "2xx", False),
        ("599 Whatever", "2xx", False),
    ],
)
async def test_the_status_is_held_against_what_is_expected(
    receive: Receive, line: str, expected: object, is_well: bool
) -> None:
    receiver = await receive(status(line))
    found = await ask(receiver.url, status=expected)
    assert found["check_status"] == int(line[:3])
    if is_well:
        assert found["check_problem"] is None
    else:
        assert found["check_problem"] == "status"
        named = "599" if line.startswith("599") else line
        assert f"127.0.0.1:{receiver.port} answers {named}, not {expected}" == found["check_error"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_text_is_found_in_the_body_however_that_is_sent(receive: Receive, chunked: bool) -> None:
    answer = body("all systems grün".encode())
    if chunked:
        answer = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nall syst\r\n9\r\nems gr\xc3\xbcn\r\n0\r\n\r\n"
        )
    receiver = await receive(answer)
    assert (await ask(receiver.url, contains="systems grün"))["check_problem"] is None
    assert await problem(receiver.url, contains="maintenance") == ("content", "answers 200 without 'maintenance'")


async def test_a_body_without_a_length_ends_with_its_connection(receive: Receive) -> None:
    async def until_closed(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nwell")
        writer.close()

    receiver = await receive(until_closed)
    assert (await ask(receiver.url, contains="well"))["check_problem"] is None


JSON = {"status": "ok", "db": {"ok": True, "lag": 0}, "queues": [{"name": "emails", "waiting": 3}]}


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        ({"status": "ok", "db.ok": True, "queues.0.waiting": 3}, None),
        ({"db": {"ok": True, "lag": 0}}, None),
        ({"db.ok": False}, "answers 200 with a db.ok that is not false"),
        ({"db.ok": 1}, "answers 200 with a db.ok that is not 1"),
        ({"db.lag": False}, "answers 200 with a db.lag that is not false"),
        ({"db.name": "x"}, "answers 200 without db.name"),
        ({"queues.7.name": "x"}, "answers 200 without queues.7.name"),
        ({"status.deeper": "x"}, "answers 200 without status.deeper"),
    ],
)
async def test_a_value_of_json_is_held_against_what_is_expected(
    receive: Receive, wanted: dict[str, object], what: str | None
) -> None:
    receiver = await receive(body(json.dumps(JSON).encode()))
    found = await ask(receiver.url, json=wanted)
    assert found["check_problem"] == (None if what is None else "content")
    if what is not None:
        assert found["check_error"] == f"127.0.0.1:{receiver.port} {what}"


@pytest.mark.parametrize("text", [b"<html>", b"[" * 60_000, b'{"a": ' + b"1" * 9_000 + b"}", b"\xff\xfe\x00", b""])
async def test_what_is_no_json_is_said_to_be_none(receive: Receive, text: bytes) -> None:
    receiver = await receive(body(text))
    kind, what = await problem(receiver.url, json={"a": "b"})
    assert (kind, what) == ("content", "answers 200 with something that is not JSON")


async def test_no_more_than_64_kb_of_a_body_are_read(receive: Receive) -> None:
    sent = 0

    async def without_end(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 4096)
                await writer.drain()
                sent += 4096

    receiver = await receive(without_end)
    kind, what = await problem(receiver.url, contains="the end")
    assert (kind, what) == ("content", "answers 200 without 'the end' in its first 66 kB")
    assert await problem(receiver.url, json={"a": 1}) == ("content", "answers with more than 66 kB of JSON")
    assert sent < MOST_READ * 400  # what the kernel has taken off the server's hands is not much


async def test_a_body_that_nobody_asked_for_is_not_waited_for(receive: Receive) -> None:
    async def never_ends(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await asyncio.sleep(2 * DEADLINE)

    receiver = await receive(never_ends)
    assert (await ask(receiver.url))["check_problem"] is None  # a timeout, where it were waited for


async def test_a_body_that_drips_costs_its_deadline_and_no_more(receive: Receive) -> None:
    async def drips(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    receiver = await receive(drips)
    async with asyncio.timeout(20):  # a body of 100,000 bytes takes a quarter of an hour
        assert await problem(receiver.url, 0.03, contains="y") == ("timeout", "did not answer in time")


async def test_what_does_not_answer_is_a_timeout(receive: Receive, black_hole: int) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(DEADLINE)

    receiver = await receive(silent)
    assert await problem(receiver.url, 0.03) == ("timeout", "did not answer in time")
    assert await problem(f"http://127.0.0.1:{black_hole}/", 0.03) == ("timeout", "did not answer in time")


async def test_what_nobody_listens_at_refuses() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert await problem(url) == ("refused", "refuses the connection: nothing listens there")


async def test_a_name_that_is_none_cannot_be_resolved() -> None:
    assert (await problem("http://shop.invalid/"))[0] == "dns"


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\x01\x02" * 100 + b"\r\n\r\n", b"", b"HTTP/1.1 abc OK\r\n\r\n", b"{}\r\n\r\n"],
)
async def test_what_is_not_http_is_said_to_be_none(receive: Receive, answer: bytes) -> None:
    async def says(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    receiver = await receive(says)
    assert await problem(receiver.url) == ("protocol", "answers something that is not HTTP, or nothing")


async def test_an_answer_that_breaks_off_is_no_answer(receive: Receive) -> None:
    async def breaks_off(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nwell")
        writer.close()

    receiver = await receive(breaks_off)
    assert await problem(receiver.url, contains="well") == ("protocol", "breaks its answer off")


async def test_headers_without_end_are_not_read_to_it(receive: Receive) -> None:
    huge = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(200)) + b"\r\n"
    receiver = await receive(huge)
    assert (await problem(receiver.url))[0] == "protocol"


async def test_what_comes_compressed_unasked_is_not_what_was_asked_for(receive: Receive) -> None:
    receiver = await receive(body(gzip.compress(b"well"), "Content-Encoding: gzip"))
    assert (await problem(receiver.url, contains="well"))[0] == "content"
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


async def test_redirects_are_not_followed_unless_asked_and_that_is_said(receive: Receive) -> None:
    receiver = await receive(status("302 Found", "Location: /there"), OK)
    assert await problem(receiver.url) == ("status", "answers 302 Found, not 2xx; redirects are not followed")
    assert len(receiver.requests) == 1


async def test_redirects_that_are_followed_lead_to_the_answer(receive: Receive) -> None:
    receiver = await receive(
        status("301 Moved Permanently", "Location: /a"), status("307 Temporary Redirect", "Location: b?c=1"), OK
    )
    assert (await ask(f"{receiver.url}/x", follow=True, contains="OK"))["check_problem"] is None
    assert [request.target for request in receiver.requests] == ["/x", "/a", "/b?c=1"]


async def test_a_post_that_is_redirected_elsewhere_becomes_a_get(receive: Receive) -> None:
    receiver = await receive(status("303 See Other", "Location: /done"), OK)
    assert (await ask(receiver.url, follow=True, method="POST"))["check_problem"] is None
    assert [request.method for request in receiver.requests] == ["POST", "GET"]


async def test_redirects_without_end_end(receive: Receive) -> None:
    receiver = await receive(status("302 Found", "Location: /again"))
    assert await problem(receiver.url, follow=True) == ("protocol", f"redirects more than {MOST_REDIRECTS} times")
    assert len(receiver.requests) == MOST_REDIRECTS + 1


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "http://[", "http://127.0.0.1:99999/", "file:///etc"])
async def test_a_redirect_to_what_is_no_http_address_is_not_followed(receive: Receive, location: str) -> None:
    receiver = await receive(status("302 Found", f"Location: {location}"))
    kind, what = await problem(receiver.url, follow=True)
    assert (kind, what) == ("protocol", "redirects to something that is no HTTP address")


async def test_what_was_to_be_said_to_one_server_is_not_said_to_another(receive: Receive) -> None:
    other = await receive()
    receiver = await receive(status("302 Found", f"Location: {other.url}/"))
    await ask(f"http://me:{TOKEN}@127.0.0.1:{receiver.port}/", follow=True, headers={"X-Token": TOKEN})
    assert receiver.requests[0].headers["x-token"] == TOKEN
    assert not {"x-token", "authorization"} & set(other.requests[0].headers)


async def test_a_cookie_is_not_brought_back(receive: Receive) -> None:
    receiver = await receive(body(b"", "Set-Cookie: session=1; Path=/"))
    check = HttpCheck("shop", read({"url": receiver.url}), DEADLINE)
    await check.run()
    await check.run()
    assert "cookie" not in receiver.requests[1].headers


async def test_no_proxy_stands_between(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    receiver = await receive()
    assert (await ask(receiver.url))["check_problem"] is None


async def test_an_address_of_ipv6_is_asked(receive: Receive) -> None:
    receiver = await receive()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.serve(reader, writer)
        writer.close()

    try:
        forward = await asyncio.start_server(serve, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with forward:
        port = forward.sockets[0].getsockname()[1]
        assert (await ask(f"http://[::1]:{port}/"))["check_problem"] is None
    assert receiver.requests[0].headers["host"] == f"[::1]:{port}"


async def test_a_certificate_nobody_vouches_for_is_a_problem_of_the_endpoint(
    receive: Receive, authority: Authority
) -> None:
    receiver = await receive(tls=authority.server_side())
    found = await ask(f"https://127.0.0.1:{receiver.port}/")
    assert (found["check_problem"], found["check_certificate"]) == ("tls", None)
    assert "cannot be trusted" in str(found["check_error"])


async def test_a_private_ca_is_trusted_by_the_check_that_names_it(receive: Receive, authority: Authority) -> None:
    receiver = await receive(tls=authority.server_side())
    found = await ask(f"https://127.0.0.1:{receiver.port}/", ca_file=str(authority.certificate))
    assert found["check_problem"] is None
    assert found["check_certificate"] is not None


async def test_a_valid_certificate_says_when_it_expires(receive: Receive, authority: Authority, trusting: None) -> None:
    receiver = await receive(tls=authority.server_side())
    found = await ask(f"https://127.0.0.1:{receiver.port}/")
    assert found["check_problem"] is None
    assert isinstance(expires := found["check_certificate"], float | int)
    assert 1 < (expires - time.time()) / 86400 < 3


async def test_a_certificate_for_another_name_is_a_problem(
    receive: Receive, authority: Authority, trusting: None
) -> None:
    receiver = await receive(tls=authority.server_side())
    assert (await problem(f"https://localhost:{receiver.port}/"))[0] == "tls"


async def test_a_wrong_answer_over_tls_tells_of_the_certificate_all_the_same(
    receive: Receive, authority: Authority, trusting: None
) -> None:
    receiver = await receive(status("500 Internal Server Error"), tls=authority.server_side())
    found = await ask(f"https://127.0.0.1:{receiver.port}/")
    assert found["check_problem"] == "status"
    assert found["check_certificate"] is not None


async def test_tls_where_there_is_none_is_a_problem() -> None:
    async def greets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(greets, "127.0.0.1", 0) as server:
        kind, _ = await problem(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert kind == "tls"


async def test_that_monitord_has_no_socket_left_says_nothing_of_the_endpoint(
    receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "open_connection", refused)
    with pytest.raises(FailureError, match="no file or socket left"):
        await ask("http://127.0.0.1:1/")


async def test_every_connection_is_gone_after_its_run(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[connections.Connection] = []
    made = connections.connected

    @contextlib.asynccontextmanager
    async def noted(*args: Any, **kwargs: Any) -> Any:
        async with made(*args, **kwargs) as one:
            opened.append(one)
            yield one

    monkeypatch.setattr("monitord.probes.checks.http.connected", noted)
    receiver = await receive(status("302 Found", "Location: /there"), status("500 Internal Server Error"))
    await ask(receiver.url, follow=True)
    assert len(opened) == 2
    assert all(one.writer.transport.is_closing() for one in opened)


async def test_an_address_of_other_letters_is_asked_for_as_the_web_writes_it(receive: Receive) -> None:
    receiver = await receive()
    await ask(f"{receiver.url}/füße/%C3%9F?größe=1&q=a%20b")
    assert receiver.requests[0].target == "/f%C3%BC%C3%9Fe/%C3%9F?gr%C3%B6%C3%9Fe=1&q=a%20b"
    assert "xn--" in str((await ask("http://grüße.invalid/"))["check_error"])
