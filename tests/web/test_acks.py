"""An alert acknowledged by a link of a message: by POST, once, without the page's token; and each alert's own page."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from monitord.core.model import Alert
from monitord.storage.ack_tokens import key_of, token
from monitord.web.app import Page
from monitord.web.records import Records
from tests.conftest import finish
from tests.core.nights import Night
from tests.web.made import TOKEN, Source, client, night, publish, recorded

ELSEWHERE = {"origin": "https://ntfy.example.com", "sec-fetch-site": "cross-site"}


def trouble(made: Night) -> None:
    made.passes(minutes=5)
    made.host.disk_used = 76.0
    made.passes(minutes=5)
    made.host.disk_used = 20.0
    made.passes(minutes=5)
    made["gateway"].stops()
    made.passes(minutes=5)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Night]:
    made = night(1, begun=trouble)
    return finish(recorded(tmp_path_factory.mktemp("acks"), made)), made


@pytest.fixture
def source(kept: tuple[Source, Night]) -> Source:
    kept[0].forget()
    publish(*kept)
    return kept[0]


@pytest.fixture
async def page(source: Source) -> AsyncIterator[httpx.AsyncClient]:
    async with client(source, host="10.0.0.5") as found:
        yield found


def down(source: Source) -> Alert:
    assert source.seen is not None
    return next(a for a in source.seen.decision.state.alerts.values() if a.subject == "gateway" and a.is_confirmed)


_spent = 0


def link(source: Source, alert_id: str, seconds: float = 3600.0) -> str:
    """A link that no test has used."""
    global _spent
    _spent += 1
    return f"/a/{token(key_of(source.settings.state_dir), alert_id, int(time.time() + seconds) + _spent)}"


async def test_reading_a_link_shows_a_button_and_does_nothing(source: Source, page: httpx.AsyncClient) -> None:
    where = link(source, down(source).id)
    for method in ("GET", "HEAD", "GET"):
        answer = await page.request(method, where)
        assert answer.status_code == 200
    assert answer.text.count("<form") == 1
    assert '<button type="submit">Acknowledge</button>' in answer.text
    assert down(source).finding.summary in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert source.left == []


async def test_posting_it_acknowledges_that_alert_once_without_the_token(
    source: Source, page: httpx.AsyncClient
) -> None:
    where = link(source, down(source).id)
    answer = await page.post(where, headers=ELSEWHERE)
    assert (answer.status_code, "is acknowledged with the next check" in answer.text) == (200, True)
    assert [(one.kind, one.target) for one in source.left] == [("ack", down(source).id)]
    again = await page.post(where)
    assert (again.status_code, "used already" in again.text, len(source.left)) == (410, True, 1)


async def test_it_opens_nothing_else(source: Source, page: httpx.AsyncClient) -> None:
    alert = down(source)
    written = link(source, alert.id).removeprefix("/a/")
    headers = {"authorization": f"Bearer {written}"}
    assert (await page.get("/api/status", headers=headers)).status_code == 401
    assert (await page.post(f"/alerts/{alert.id}/ack", headers=headers)).status_code == 303
    assert (await page.get("/")).status_code == 303
    assert source.left == []


async def test_an_old_link_and_one_of_an_alert_that_is_over_say_so(source: Source, page: httpx.AsyncClient) -> None:
    old = await page.post(link(source, down(source).id, -10.0))
    over = await page.post(link(source, "0123456789ab"))
    assert (old.status_code, "has expired" in old.text) == (410, True)
    assert (over.status_code, "has ended" in over.text) == (410, True)
    assert source.left == []


async def test_a_link_of_nobody_is_refused_and_guesses_are_slow(source: Source) -> None:
    async with client(source, host="10.0.0.5") as page:
        for method in ("GET", "POST"):
            answer = await page.request(method, "/a/0123456789ab.6900.AAAA")
            assert (answer.status_code, "acknowledges nothing" in answer.text) == (404, True)
    slow = Page(Records(source), "10.0.0.5", TOKEN, guess_seconds=60.0)
    slow._auth._guessing = 4
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=slow.app), base_url="http://h") as page:
        assert (await page.get("/a/x.1.y")).status_code == 429
    assert source.left == []


async def test_no_token_of_a_link_is_in_the_log(source: Source, page: httpx.AsyncClient) -> None:
    where = link(source, down(source).id)
    await page.post(where)
    await page.post(f"{where}x")
    assert isinstance(source.said, io.StringIO)
    assert where.rpartition(".")[2] not in source.said.getvalue()


async def test_a_link_works_where_the_page_has_no_token(source: Source) -> None:
    async with client(source, token=None) as page:
        assert (await page.post(link(source, down(source).id))).status_code == 200
    assert len(source.left) == 1


# Each alert's own page


async def test_an_alert_has_a_page_while_it_fires_and_when_it_is_over(source: Source) -> None:
    assert source.seen is not None
    async with client(source, authorization=f"Bearer {TOKEN}") as page:
        found = await page.get(f"/alerts/{down(source).id}")
        listed = (await page.get("/api/alerts")).json()["incidents"]
        ended = next(one for one in listed if not one["open"])
        over = await page.get(f"/alerts/{ended['incident_id']}")
        missing = await page.get("/alerts/0123456789ab")
    assert (found.status_code, "It fires." in found.text, "Escalation text" in found.text) == (200, True, True)
    assert f'action="/alerts/{down(source).id}/ack"' in found.text
    assert (over.status_code, "It is over." in over.text, "disk_high: /" in over.text) == (200, True, True)
    assert '<form method="post" action="/alerts' not in over.text
    assert missing.status_code == 404


async def test_behind_a_proxy_its_public_name_is_answered_and_reading_takes_the_token(source: Source) -> None:
    made = Page(Records(source), "127.0.0.1", TOKEN, guess_seconds=0.0, public_url="https://m.example.com/monitord")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=made.app), base_url="http://m.example.com") as page:
        assert (await page.get("/")).headers["location"].startswith("/login")
        where = f"/alerts/{down(source).id}"
        assert (await page.get(where)).headers["location"] == f"/login?to=%2Falerts%2F{down(source).id}"
        assert (await page.get(where, headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200
        assert (await page.get("/", headers={"host": "127.0.0.1:8844"})).status_code == 200
        assert (await page.get("/", headers={"host": "evil.example.com"})).status_code == 421
