"""One POST, whatever is at the other end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from monitord.config.loader import Settings
from monitord.notify.channels import channels, heartbeat_sender
from monitord.notify.channels.base import LONGEST_WAIT_SECONDS, SendError
from monitord.notify.channels.http import MOST_READ, HttpClient
from tests.support import forked

from .conftest import Receive
from .receivers import OK, Authority, status

TOKEN = "planted-token-5f0c"


async def post(url: str, deadline: float = 60.0) -> None:
    http = HttpClient(url, deadline)
    try:
        await http.post(url, b"{}", {"Content-Type": "application/json"})
    finally:
        await http.close()


async def failure(url: str, deadline: float = 60.0) -> SendError:
    with pytest.raises(SendError) as caught:
        await post(url, deadline)
    assert TOKEN not in caught.value.error
    return caught.value


async def test_what_is_answered_with_2xx_is_taken(receive: Receive) -> None:
    for answer in (OK, status("201 Created"), status("202 Accepted"), b"HTTP/1.1 204 No Content\r\n\r\n"):
        receiver = await receive(answer)
        await post(f"{receiver.url}/{TOKEN}")
        (request,) = receiver.requests
        assert (request.method, request.target, request.body) == ("POST", f"/{TOKEN}", b"{}")


async def test_user_and_password_of_the_address_are_sent_as_such(receive: Receive) -> None:
    receiver = await receive()
    await post(f"http://me:{TOKEN}@127.0.0.1:{receiver.port}/")
    assert receiver.requests[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("400 Bad Request", "refused"),
        ("401 Unauthorized", "auth"),
        ("403 Forbidden", "auth"),
        ("404 Not Found", "missing"),
        ("429 Too Many Requests", "refused"),
        ("500 Internal Server Error", "refused"),
        ("504 Gateway Timeout", "timeout"),
        ("599 Whatever", "refused"),
    ],
)
async def test_every_other_status_is_a_failure_that_names_it(receive: Receive, line: str, kind: str) -> None:
    receiver = await receive(status(line))
    error = await failure(f"{receiver.url}/{TOKEN}?token={TOKEN}")
    assert error.kind == kind
    assert error.error.startswith(f"127.0.0.1:{receiver.port} answers {line[:3]}")


async def test_a_redirect_is_a_failure_and_nobody_follows_it(receive: Receive) -> None:
    elsewhere = await receive()
    for line in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
        receiver = await receive(status(line, f"Location: {elsewhere.url}/{TOKEN}"))
        error = await failure(f"{receiver.url}/{TOKEN}")
        assert error.kind == "protocol"
        assert line in error.error
        assert "redirects are not followed" in error.error
    assert elsewhere.requests == []


async def test_an_endless_answer_is_left_once_its_status_is_known(receive: Receive) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    receiver = await receive(endless)
    await post(receiver.url)
    await asyncio.wait_for(receiver.left.wait(), 60)
    # What the kernel holds between the two is all that was sent beside it.
    assert sent < 100 * MOST_READ


async def test_an_answer_that_drips_holds_nobody_up_once_its_status_is_known(
    receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord.notify.channels.http._READ_SECONDS", 0.05)

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx")
        await asyncio.Event().wait()

    receiver = await receive(drip)
    await post(receiver.url)


async def test_a_status_line_that_drips_ends_at_the_deadline(receive: Receive) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    receiver = await receive(drip)
    error = await failure(f"{receiver.url}/{TOKEN}", deadline=0.1)
    assert (error.kind, error.error) == ("timeout", f"127.0.0.1:{receiver.port} did not answer in time")


async def test_silence_ends_at_the_deadline(receive: Receive) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    receiver = await receive(silent)
    assert (await failure(receiver.url, deadline=0.05)).kind == "timeout"


async def test_a_host_that_swallows_connections_is_a_timeout(black_hole: int) -> None:
    error = await failure(f"http://127.0.0.1:{black_hole}/{TOKEN}", deadline=0.05)
    assert error.kind == "timeout"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 200_000])
async def test_what_is_not_http_is_said_to_be(receive: Receive, answer: bytes) -> None:
    receiver = await receive(answer)
    error = await failure(f"{receiver.url}/{TOKEN}")
    assert error.kind in ("protocol", "refused")
    assert error.error.startswith(f"127.0.0.1:{receiver.port} ")


async def test_headers_without_end_cost_no_memory(receive: Receive) -> None:
    async def headers(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-Padding: " + b"x" * 1000 + b"\r\n")
            await writer.drain()

    receiver = await receive(headers)
    assert (await failure(receiver.url)).kind == "protocol"


async def test_nobody_listening_is_refused() -> None:
    error = await failure(f"http://me:{TOKEN}@127.0.0.1:1/{TOKEN}")
    assert (error.kind, error.error) == ("refused", "127.0.0.1:1 refuses the connection: nothing listens there")


async def test_a_name_that_nobody_knows_is_dns() -> None:
    error = await failure(f"https://nobody.invalid/{TOKEN}")
    assert (error.kind, error.error) == ("dns", "nobody.invalid:443 has a name that cannot be resolved")


async def test_a_certificate_nobody_vouches_for_is_tls(receive: Receive, authority: Authority) -> None:
    receiver = await receive(tls=authority.server_side())
    error = await failure(f"https://127.0.0.1:{receiver.port}/{TOKEN}")
    assert error.kind == "tls"
    assert "cannot be trusted" in error.error
    assert receiver.requests == []


async def test_plain_http_where_tls_is_wanted_is_tls(receive: Receive) -> None:
    receiver = await receive()
    assert (await failure(f"https://127.0.0.1:{receiver.port}/{TOKEN}", deadline=0.1)).kind in ("tls", "timeout")


async def test_cookies_are_not_kept(receive: Receive) -> None:
    receiver = await receive(status("200 OK", f"Set-Cookie: a={TOKEN}; Path=/"))
    http = HttpClient(receiver.url, 60.0)
    for _ in range(2):
        await http.post(receiver.url, b"", {})
    await http.close()
    assert [request.headers.get("cookie") for request in receiver.requests] == [None, None]


async def test_a_certificate_of_ones_own_is_trusted_where_the_environment_names_it(
    receive: Receive, authority: Authority
) -> None:
    receiver = await receive(tls=authority.server_side())
    program = (
        "import asyncio\nfrom monitord.notify.channels.http import HttpClient\n"
        f"u = 'https://127.0.0.1:{receiver.port}/'\nasyncio.run(HttpClient(u, 60.0).post(u, b'', {{}}))\n"
    )
    env = {"SSL_CERT_FILE": str(authority.certificate), "PATH": "/usr/bin:/bin"}
    done = await asyncio.to_thread(forked.run, ["-c", program], cwd=Path("/"), env=env, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(receiver.requests) == 1


def test_no_client_is_made_where_none_is_wanted() -> None:
    settings = Settings()
    assert (channels(settings), heartbeat_sender(settings)) == ((), None)


# Receivers that ask to be left alone


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (("Retry-After: 30",), 30.0),
        (("Retry-After: 0",), 0.0),
        (("Retry-After: 86400",), LONGEST_WAIT_SECONDS),
        (("Retry-After: 99999999999999999999999",), LONGEST_WAIT_SECONDS),
        (("Date: Wed, 05 Nov 2025 03:57:00 GMT", "Retry-After: Wed, 05 Nov 2025 03:59:00 GMT"), 120.0),
        (("Date: Wed, 05 Nov 2025 03:57:00 GMT", "Retry-After: Wed, 05 Nov 2025 03:50:00 GMT"), 0.0),
        (("Retry-After: Fri, 05 Nov 2100 03:57:00 GMT",), LONGEST_WAIT_SECONDS),
        (("Retry-After: -5",), None),
        (("Retry-After: soon",), None),
        ((), None),
    ],
)
@pytest.mark.parametrize("line", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_how_long_a_receiver_asks_to_be_left_alone_is_known_and_bounded(
    receive: Receive, line: str, headers: tuple[str, ...], seconds: float | None
) -> None:
    receiver = await receive(status(line, *headers))
    error = await failure(receiver.url)
    assert (error.retry_after, error.status, error.final) == (seconds, int(line[:3]), False)
    assert ("asks to wait" in error.error) is bool(seconds)


async def test_of_other_answers_the_header_means_nothing(receive: Receive) -> None:
    receiver = await receive(status("301 Moved Permanently", "Retry-After: 30"))
    assert (await failure(receiver.url)).retry_after is None


async def test_an_address_is_asked_for_as_it_is_written(receive: Receive) -> None:
    receiver = await receive()
    http = HttpClient(receiver.url, 60.0)
    await http.get(f"{receiver.url}/a%20b/?x=%7E&y&z=#part")
    await http.close()
    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("GET", "/a%20b/?x=%7E&y&z=", b"")
    assert "content-length" not in request.headers
