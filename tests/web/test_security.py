"""Who may read the page, who may act through it, and what every answer carries."""

from __future__ import annotations

import httpx
import pytest

from monitord.web.auth import COOKIE, TokenAuth, TooManyGuesses
from monitord.web.middleware import CSP, LARGEST_BODY
from tests.conftest import finish
from tests.web.made import HOST, TOKEN, Source, client, night, recorded

PAGES = (
    "/",
    "/alerts",
    "/report",
    "/silences",
    "/login",
    "/service/gateway",
    "/service/nobody",
    "/nowhere",
    "/healthz",
)
PROGRAMS = ("/api/status", "/api/nowhere", "/api/openapi.json", "/static/page.css", "/static/live.js", "/metrics")
BEARER = f"Bearer {TOKEN}"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return finish(recorded(tmp_path_factory.mktemp("page"), night(0.2)))


@pytest.fixture
def source(kept: Source) -> Source:
    kept.forget()
    return kept


def begin(**more: str) -> dict[str, str]:
    return {"subject": "gateway", "for": "1h", **more}


@pytest.mark.parametrize("path", PAGES + PROGRAMS)
async def test_every_answer_carries_the_policy_and_says_nothing_of_the_server(source: Source, path: str) -> None:
    async with client(source) as page:
        answer = await page.get(path)

    assert answer.headers["content-security-policy"] == CSP
    assert "unsafe" not in CSP
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] in ("no-store", "no-cache")
    assert "server" not in answer.headers
    assert "Traceback" not in answer.text
    assert " style=" not in answer.text
    assert "<style" not in answer.text
    assert "onclick" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:8844", "LOCALHOST:8844", HOST])
async def test_the_names_of_this_machine_are_answered_to(source: Source, host: str) -> None:
    async with client(source, Host=host) as page:
        assert (await page.get("/api/status")).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8844", "", "[::2]", "localhost.x"]
)
async def test_a_name_that_was_bent_to_this_machine_is_not(source: Source, host: str) -> None:
    async with client(source, Host=host) as page:
        for path in ("/", "/api/status", "/healthz"):
            answer = await page.get(path)
            assert answer.status_code == 421
            assert "gateway" not in answer.text


async def test_reading_is_free_on_this_machine_alone(source: Source) -> None:
    async with client(source, host="10.0.0.5", Host="box-1.example:8844") as page:
        assert (await page.get("/healthz")).status_code == 200
        assert (await page.get("/static/page.css")).status_code == 200
        for path in ("/api/status", "/api/alerts", "/metrics", "/events", "/api/openapi.json"):
            answer = await page.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
        for path in ("/", "/alerts", "/report", "/service/gateway", "/silences"):
            answer = await page.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login?to=%2F")
        assert "box-1" not in (await page.get("/login")).text

        answer = await page.get("/api/status", headers={"authorization": BEARER})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/silences"),
        ("DELETE", "/api/silences/x"),
        ("POST", "/api/alerts/x/ack"),
        ("POST", "/silences"),
        ("POST", "/silences/x/end"),
        ("POST", "/alerts/x/ack"),
    ],
)
async def test_without_a_token_nobody_acts_and_the_answer_names_the_variable(
    source: Source, method: str, path: str
) -> None:
    async with client(source, token=None) as page:
        answer = await page.request(method, path, headers={"authorization": "Bearer "})

    assert answer.status_code == 403
    assert "MONITORD_HTTP__TOKEN" in answer.text
    assert source.left == []


async def test_a_wrong_token_is_refused_and_the_right_one_acts(source: Source) -> None:
    async with client(source) as page:
        for wrong in ({}, {"authorization": "Bearer nonsense"}, {"authorization": f"Basic {TOKEN}"}):
            answer = await page.post("/api/silences", json=begin(), headers=wrong)
            assert answer.status_code == 401
            assert TOKEN not in answer.text
        assert source.left == []

        answer = await page.post("/api/silences", json=begin(), headers={"authorization": BEARER})
        assert answer.status_code == 202
    assert [command.kind for command in source.left] == ["silence"]


@pytest.mark.parametrize(
    "foreign",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": f"http://{HOST}"},
    ],
)
async def test_another_site_cannot_act_even_with_the_token(source: Source, foreign: dict[str, str]) -> None:
    async with client(source) as page:
        for path in ("/api/silences", "/silences", "/login", "/check", "/api/check", "/logout"):
            answer = await page.post(path, headers={"authorization": BEARER, **foreign}, data={"token": TOKEN})
            assert answer.status_code == 403
    assert source.left == []
    assert source.checks == []


async def test_a_session_is_opened_by_the_token_and_cannot_be_made_up(source: Source) -> None:
    async with client(source, origin=f"http://{HOST}") as page:
        assert (await page.post("/login", data={"token": "nonsense"})).status_code == 401
        assert COOKIE not in page.cookies

        answer = await page.post("/login", data={"token": TOKEN, "to": "/silences"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/silences")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie

        assert (await page.post("/silences", data=begin())).headers["location"] == "/silences?done=silence"
        assert (await page.post("/logout")).status_code == 303
        assert (await page.post("/silences", data=begin())).headers["location"] == "/login?to=%2Fsilences"

        ends, signature = cookie.split("=", 1)[1].split(";")[0].split(".")
        for made_up in (f"{int(ends) + 1}.{signature}", f"{ends}.{'0' * 64}", ends, ".", "x.y", "9" * 5000, "é.é"):
            page.cookies.set(COOKIE, made_up) if made_up.isascii() else None
            assert (await page.post("/silences", data=begin())).headers["location"] == "/login?to=%2Fsilences"
    assert len(source.left) == 1


async def test_over_tls_the_session_stays_on_tls(source: Source) -> None:
    async with client(source, origin=f"https://{HOST}") as page:
        assert "Secure" in (await page.post("/login", data={"token": TOKEN})).headers["set-cookie"]


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
async def test_a_log_in_leads_to_a_page_of_this_address_only(source: Source, to: str) -> None:
    async with client(source) as page:
        answer = await page.post("/login", data={"token": TOKEN, "to": to})
    assert answer.headers["location"] == "/"


async def test_a_session_ends_with_its_token() -> None:
    session = TokenAuth("one").session()

    assert TokenAuth("one").knows({"cookie": f"{COOKIE}={session}"})
    assert not TokenAuth("two").knows({"cookie": f"{COOKIE}={session}"})
    assert not TokenAuth(None).knows({"cookie": f"{COOKIE}={session}"})
    assert not TokenAuth(None).knows({"authorization": "Bearer "})


async def test_guesses_are_slow_and_few_at_once() -> None:
    import asyncio

    keeper = TokenAuth("right", guess_seconds=3600.0)
    guessing = [asyncio.create_task(keeper.guess("wrong")) for _ in range(4)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyGuesses):
        await keeper.guess("wrong")
    assert await keeper.guess("right")
    for task in guessing:
        task.cancel()
    await asyncio.gather(*guessing, return_exceptions=True)


async def test_a_body_is_bounded_whatever_it_says_of_its_length(source: Source) -> None:
    async def parts() -> object:
        for _ in range(3):
            yield b"x" * LARGEST_BODY

    async with client(source, authorization=BEARER) as page:
        told = await page.post("/api/silences", content=b"x" * (LARGEST_BODY + 1))
        untold = await page.post("/api/silences", content=parts())  # type: ignore[arg-type]
        nonsense = await page.post("/api/silences", content=b"{}", headers={"content-length": "-1"})
    assert [told.status_code, untold.status_code, nonsense.status_code] == [413, 413, 413]
    assert source.left == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_what_cannot_be_done_is_said_in_the_form_that_was_asked_for(source: Source, method: str) -> None:
    async with client(source) as page:
        document = await page.request(method, "/api/status")
        text = await page.request(method, "/alerts")
    assert document.status_code == text.status_code == 405
    assert document.json() == {"error": "That cannot be done here."}
    assert text.headers["content-type"].startswith("text/html")


async def test_what_fails_inside_is_said_without_a_traceback(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(source, "ask_check", fail)
    async with client(source, token=None) as page:
        document, text = await page.post("/api/check"), await page.post("/check")

    assert document.status_code == text.status_code == 500
    for answer in (document, text):
        assert "secret of the inside" not in answer.text
        assert answer.headers["content-security-policy"] == CSP
    source.log.flush()
    assert source.said.getvalue().count('"event": "internal_error"') == 2


async def test_the_token_is_nowhere_on_the_page(source: Source) -> None:
    async with client(source, authorization=BEARER) as page:
        texts = [(await page.get(path)).text for path in PAGES + PROGRAMS]
    assert all(TOKEN not in text for text in texts)


async def test_a_page_that_is_not_there_is_a_page(source: Source) -> None:
    async with client(source) as page:
        assert (await page.get("/service/nobody")).status_code == 404
        assert (await page.get("/static/../app.py")).status_code == 404
        assert (await page.get("/static/%2e%2e/app.py")).status_code == 404
        assert (await page.get("/alerts/")).status_code == 404
        answer: httpx.Response = await page.get("/api/nothing")
    assert answer.json() == {"error": "There is nothing here."}
