"""What a stranger writes into a request decides nothing: not who is let through, and not whether there is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from monitord.web.app import Page
from monitord.web.middleware import CSP
from monitord.web.records import Records
from monitord.web.server import PageServer
from tests.conftest import finish
from tests.web.made import TOKEN, Source, night, recorded

PATIENCE = 60.0
# What made `request.url.path` another path than the one that is answered.
HOSTS = (
    "x/healthz?",
    "x/healthz#",
    "x/static/?",
    "x/login?",
    "x#",
    "x?",
    "x@y",
    "x@y/healthz?",
    "x\\healthz",
    "[",
    "x:y",
    "x:99999999",
    "//healthz",
    "",
    " ",
)
READ = ("/api/status", "/api/alerts", "/api/report", "/api/openapi.json", "/metrics", "/events", "/", "/alerts")
FORMS = ("/check", "/api/check", "/silences", "/api/silences", "/alerts/x/ack", "/silences/x/end")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return finish(recorded(tmp_path_factory.mktemp("page"), night(0.2)))


@pytest.fixture
async def port(kept: Source) -> AsyncIterator[int]:
    """The page as it is for others: the token is asked for; what it listens at is this machine's all the same."""
    kept.forget()
    server = PageServer(Page(Records(kept), "0.0.0.0", TOKEN, 0.0).app, "127.0.0.1", 0)  # noqa: S104 - see above
    await server.start()
    yield server.port
    await server.close()


async def answered(port: int, request: bytes) -> tuple[int, str]:
    """The status of the answer to what is written, and its text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split()[1])
        length = next((int(line.split(b":")[1]) for line in head.splitlines() if b"content-length:" in line), 0)
        text = (await reader.readexactly(length)).decode()
    writer.close()
    return status, head.decode() + text


@pytest.mark.parametrize("host", HOSTS)
async def test_no_host_header_lets_anybody_read_or_act(kept: Source, port: int, host: str) -> None:
    for method, paths in (("GET", READ), ("POST", FORMS)):
        for path in paths:
            line = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
            status, text = await answered(port, line.encode())
            assert status in (303, 400, 401, 403), (path, status)
            assert status != 303 or "location: /login?" in text
            assert "gateway" not in text
    assert kept.checks == []
    assert kept.left == []


@pytest.mark.parametrize(
    "head",
    [
        "GET http://x/healthz?/api/status HTTP/1.1\r\nHost: x",
        "GET http://127.0.0.1/api/status HTTP/1.1\r\nHost: x",
        "GET http://127.0.0.1/healthz HTTP/1.1\r\nHost: x/healthz?",
        "GET /api/status HTTP/1.1\r\nHost: x/healthz?\r\nHost: y",
        "GET /api/status HTTP/1.1\r\nHost: x, x/healthz?",
        "GET /api/status HTTP/1.0",
        "GET /api/status HTTP/1.0\r\nHost: x/healthz?",
        "OPTIONS * HTTP/1.1\r\nHost: x/healthz?",
        "GET healthz/../api/status HTTP/1.1\r\nHost: x",
        "GET //healthz/api/status HTTP/1.1\r\nHost: x",
        "GET /healthz/../api/status HTTP/1.1\r\nHost: x",
        "GET /static/..%2f..%2fapi/status HTTP/1.1\r\nHost: x",
        "GET /static/%2e%2e/api/status HTTP/1.1\r\nHost: x",
        "GET /api/status HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: 127.0.0.1",
        "GET /api/status HTTP/1.1\r\nHost: x\r\nX-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz",
    ],
)
async def test_no_form_of_the_request_line_reads_without_the_token(port: int, head: str) -> None:
    status, text = await answered(port, f"{head}\r\nContent-Length: 0\r\n\r\n".encode())
    assert status in (303, 400, 401, 404), status
    assert "gateway" not in text


async def test_the_token_still_reads_whatever_the_host(port: int) -> None:
    for host in ("box-1.example:8844", "x/healthz?"):
        line = f"GET /api/status HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        assert (await answered(port, line.encode()))[0] == 200


def ask(page: Page, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> Message:
    """The beginning of the answer to a request as uvicorn hands it on. Raises what the app raises."""
    said: list[Message] = []
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return left.pop() if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        said.append(message)

    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "server": ("127.0.0.1", 8844),
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    asyncio.run(asyncio.wait_for(page.app(scope, receive, send), PATIENCE))
    return said[0]


NAMES = (
    b"origin", b"referer", b"host", b"content-length", b"cookie", b"authorization", b"accept", b"last-event-id",
    b"sec-fetch-site", b"content-type", b"x-forwarded-for", b"transfer-encoding",
)  # fmt: skip
WORDS = (
    b"http://[", b"http://[::1", b"//[", b"null", b"127.0.0.1:8844", b"localhost", b"http://127.0.0.1:8844", b"Bearer ",
    b"Bearer " + TOKEN.encode(), b"Basic eDp5", b"monitord_session=", b"monitord_session=9.9", b"9" * 5000, b"-1",
    "\u0661".encode(), b"application/json", b"*/*;q=", b"same-origin", b"; ; =", b'monitord_session="\\777', b"1e400",
)  # fmt: skip
# As h11 lets it through: no line end, no NUL.
VALUE = st.one_of(st.sampled_from(WORDS), st.binary(max_size=60)).map(
    lambda value: bytes(byte for byte in value if byte >= 32 and byte != 127).strip()
)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUE), max_size=5)
FIELDS = ("since", "subject", "rule", "for", "every", "reason", "token", "to", "done", "x")
ODD = (
    "12h",
    "1e999h",
    "-1h",
    "0",
    "9" * 400 + "h",
    "١h",
    "nan",
    "inf",
    "* * * * *",
    "*/0 * * * *",
    "\ud800",
    "%00",
    "[",
)
QUERY = st.lists(
    st.tuples(st.sampled_from(FIELDS), st.one_of(st.sampled_from(ODD), st.text(max_size=30))), max_size=4
).map(lambda pairs: "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in pairs).encode())
PATHS = st.one_of(
    st.sampled_from(
        (*READ, *FORMS, "/login", "/logout", "/silences", "/report", "/service/gateway", "/static/page.css")
    ),
    st.text(max_size=20).map(lambda text: f"/{text}"),
).filter(lambda path: path != "/events")
METHODS = st.sampled_from(("GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"))


@pytest.fixture(scope="module")
def two(kept: Source) -> tuple[Page, Page]:
    """The page where nobody else can reach it, and where others can."""
    here, there = (Page(Records(kept), host, TOKEN, 0.0) for host in ("127.0.0.1", "10.0.0.5"))
    return here, there


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(METHODS, PATHS, QUERY, HEADERS, st.one_of(QUERY, st.sampled_from((b"{", b"[" * 5000, b"{}", b"null"))))
@example("GET", "/", b"", [(b"origin", b"http://[")], b"")
@example("POST", "/check", b"", [(b"origin", b"http://[")], b"")
@example("POST", "/login", b"", [(b"origin", b"http://[::1"), (b"host", b"[::1")], b"token=x")
def test_whatever_a_request_says_the_answer_is_a_guarded_one(
    two: tuple[Page, Page], method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    for page in two:
        given_host = [(b"host", b"127.0.0.1:8844")] if all(name != b"host" for name, _ in headers) else []
        begun = ask(page, method, path, query, [*given_host, *headers], body)
        assert begun["type"] == "http.response.start"
        assert begun["status"] < 500, (method, path, query, headers, body)
        assert (b"content-security-policy", CSP.encode()) in begun["headers"]


async def test_what_fails_in_the_guard_itself_is_answered_like_any_other_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("a secret of the inside")

    source = await recorded(tmp_path, night(0.1))
    monkeypatch.setattr("monitord.web.middleware.same_origin", fail)
    server = PageServer(Page(Records(source), "127.0.0.1", None).app, "127.0.0.1", 0)
    await server.start()
    status, text = await answered(server.port, b"POST /check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
    await server.close()
    assert status == 500
    assert "content-security-policy" in text
    assert "secret" not in text
