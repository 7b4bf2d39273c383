"""What the pages say and are made of: as a browser without a script reads them."""

from __future__ import annotations

import asyncio
import html
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from monitord.core.model import Silence
from monitord.web.backend import BackendUnavailable
from monitord.web.overview import overview
from tests.conftest import finish
from tests.core.nights import Night
from tests.reporting.page import Page, plots
from tests.web.made import TOKEN, Source, client, night, recorded

HOSTILE = "<script>alert(1)</script>\"'`\u202e\x1b]0;x\x07&lt;%2e"
LONG = "x" * 10_000
BEARER = f"Bearer {TOKEN}"
PM2 = frozenset({"pm2"})
ORDERED: dict[str, Any] = {
    "runbooks": {"gateway": "https://wiki.example.com/web"},
    "contacts": {"disk_*": "<b>the office</b>"},
}


def trouble(made: Night) -> None:
    current = int(made.now // 3600) * 3600
    made.groups["CLS"].skips = {current}
    made.groups["MILO"].delays = {current: 1574.0}
    made.passes(hours=2, minutes=10)
    made.host.disk_used = 76.0
    made.passes(minutes=20)
    made.queues["tree-builder"].waiting = 6400
    made["gateway"].stops()
    made.passes(minutes=10)
    made.postgres.fails("refused", "connection refused")
    made.epochs.fails("refused", "connection refused")


@pytest.fixture(scope="module")
def kept_bad(tmp_path_factory: pytest.TempPathFactory) -> Source:
    source = finish(recorded(tmp_path_factory.mktemp("bad"), night(3, begun=trouble, every=240, **ORDERED)))
    now = datetime.now(UTC)
    source.quiet = [Silence("s1", "tree-builder", now, now + timedelta(hours=1), reason="it is being moved")]
    return source


@pytest.fixture(scope="module")
def kept_good(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return finish(recorded(tmp_path_factory.mktemp("good"), night(3, every=240)))


@pytest.fixture
def bad(kept_bad: Source) -> Source:
    kept_bad.forget()
    return kept_bad


@pytest.fixture
def good(kept_good: Source) -> Source:
    kept_good.forget()
    return kept_good


async def text(source: Source, path: str, status: int = 200, **headers: str) -> str:
    async with client(source, **headers) as page:
        await page.get("/")  # what is read beside the loop has been read
        async with asyncio.timeout(60):  # a busy machine takes longer than a page waits
            answer = await page.get(path)
            while "being read" in answer.text:
                answer = await page.get(path)
    assert answer.status_code == status
    return answer.text


def said(source: str) -> str:
    """A page as it is read, without its marks and with single spaces."""
    body = re.sub(r"<(title|desc)\b.*?</\1>", "", source.split("<body", 1)[1], flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def test_a_good_night_says_so_first_and_then_everything_that_is_watched(good: Source) -> None:
    told = said(await text(good, "/"))

    assert "OK Check now Nothing is wrong; 7 of 7 services are as expected. Last check" in told
    order = ["Services", "Epoch sealing", "Database growth", "Redis and queues", "Host", "Monitoring", "Incidents"]
    assert [told.index(f" {word} ") for word in order] == sorted(told.index(f" {word} ") for word in order)
    for name in good.seen.report.as_fields()["services"] if good.seen else ():
        assert name in told
    assert "Firing" not in told
    assert "None in the last 48 hours." in told


async def test_a_bad_night_says_first_what_is_wrong_and_what_to_do(bad: Source) -> None:
    told = said(await text(bad, "/"))

    assert re.search(
        r"CRITICAL \w+: [\w-]+ , 4 more Check now 5 alerts fire: 2 critical, 3 warnings. The worst: ", told
    )
    assert "Firing (5)" in told
    assert "gateway is stopped; it is expected to be online." in told
    assert "To do Find out who or what left gateway stopped" in told
    assert "Evidence" in told
    assert told.index(" Services 7 ") < told.index("Firing (5)") < told.index(" Services in detail ")
    assert "Unknown (refused): connection refused." in told
    assert "Silences (1)" in told
    assert "it is being moved" in told


async def test_the_worst_alert_is_in_the_headline_and_in_the_title(bad: Source) -> None:
    found = await text(bad, "/")
    assert bad.seen is not None
    worst = bad.seen.report.alerts.firing[0]
    assert f"<title>CRITICAL {worst.rule}: {worst.subject}, 4 more · box-1</title>" in found
    assert f'<span class="worst">{worst.rule}: {worst.subject}<small>, 4 more</small></span></h1>' in found


async def test_incidents_that_are_over_are_muted(bad: Source) -> None:
    first, alerts = Page(await text(bad, "/")), Page(await text(bad, "/alerts"))
    over = [one for one in first.elements if "is-over" in (one.attributes.get("class") or "").split()]
    assert {one.name for one in over} == {"tr"}
    articles = [(one.attributes.get("class") or "").split() for one in alerts.all("article")]
    assert sum("is-over" in classes for classes in articles) == len(articles) - 5 > 0


async def test_the_plots_are_of_a_time_range_that_is_offered(bad: Source) -> None:
    for path in ("/", "/service/gateway"):
        page = Page(await text(bad, f"{path}?since=1h"))
        ranges = [one.attributes for one in page.all("a") if "since=" in (one.attributes.get("href") or "")]
        assert {f"{path}?since={hours}h" for hours in (1, 6, 24, 48)} <= {one["href"] for one in ranges}
        chosen = [one["href"] for one in ranges if one.get("aria-current") == "true"]
        assert chosen == [f"{path}?since=1h"]
        spans = [float(one.attributes["data-span"] or 0) for one in page.elements if "data-since" in one.attributes]
        assert spans
        assert max(spans) <= 3600
    assert "since: &#39;37m&#39; is none of 1h, 6h, 12h, 24h, 48h." in await text(bad, "/?since=37m", 400)
    assert "is none of" in await text(bad, "/service/gateway?since=" + "9" * 500, 400)


async def test_a_tile_has_the_uptime_of_a_day_with_the_blind_time_apart(tmp_path: Path) -> None:
    def away(made: Night) -> None:
        made.passes(minutes=60)
        made.pm2.fails()
        made.passes(minutes=20)
        made.pm2.recovers()
        made["gateway"].stops()

    source = await recorded(tmp_path, night(2, begun=away, probes=PM2), rolled_up=True)
    told = said(await text(source, "/"))
    assert re.search(r"gateway critical : stopped [67]\d\.\d\d% up (19|2\d) min( \d+ s)? blind", told)
    assert re.search(r"tree-builder ok: online · \d+ MB 100% up (19|2\d) min( \d+ s)? blind", told)
    assert re.search(r"Uptime of the last [12] h( \d+ min)?; blind time apart\.", told)


async def test_however_many_browsers_ask_after_a_cycle_it_is_drawn_and_read_once(
    good: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: dict[str, int] = {"overview": 0, "recorded": 0, "last_day": 0, "incidents": 0}

    def counting(name: str, real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            counted[name] += 1
            return real(*arguments, **named)

        return call

    monkeypatch.setattr("monitord.web.pages.overview", counting("overview", overview))
    for name in ("recorded", "last_day", "incidents"):
        monkeypatch.setattr(good, name, counting(name, getattr(good, name)))
    monkeypatch.setattr("monitord.web.pages._SHARED", timedelta(hours=1))
    async with client(good) as page:
        async with asyncio.timeout(60):
            while "being read" in (await page.get("/")).text:
                pass
        before = counted["overview"]
        await page.get("/")
        answers = await asyncio.gather(*(page.get("/") for _ in range(10)))
    assert len({answer.text for answer in answers}) == 1
    assert counted["overview"] - before <= 1
    assert (counted["recorded"], counted["last_day"], counted["incidents"]) == (1, 1, 1)


async def test_what_is_explained_names_what_explains_it(tmp_path: Path) -> None:
    def behind(made: Night) -> None:
        made.passes(hours=1)
        made["stream-listener"].stops()
        made.table.per_second = 0.0

    source = await recorded(tmp_path, night(2, begun=behind, every=240, probes=PM2 | {"postgres"}))
    told = said(await text(source, "/"))
    assert "Known and not told (1)" in told
    assert "explained by service_down: stream-listener" in told


async def test_every_page_is_in_order_for_those_who_listen(bad: Source) -> None:
    for path in ("/", "/alerts", "/report", "/silences", "/service/gateway", "/login"):
        page = Page(await text(bad, path, authorization=BEARER))
        assert page.faults == [], path
        assert len(page.ids()) == len(set(page.ids())), path
        headings = [int(element.name[1]) for element in page.elements if re.fullmatch(r"h[1-6]", element.name)]
        assert headings[0] == 1, path
        assert headings.count(1) == 1, path
        assert all(after <= before + 1 for before, after in pairwise(headings)), path
        for landmark in ("main", "nav", "header", "footer"):
            assert page.all(landmark), (path, landmark)
        (html_element,) = page.all("html")
        assert html_element.attributes["lang"] == "en"
        assert page.all("a")[0].attributes["href"] == "#main"
        assert all(table.attributes["role"] == "table" for table in page.all("table"))
        assert len(page.all("caption")) == len(page.all("table"))
        assert all(cell.attributes.get("scope") for cell in page.all("th"))
        named = {label.attributes["for"] for label in page.all("label")}
        shown = [*page.all("input"), *page.all("select")]
        assert {
            one.attributes.get("id")
            for one in shown
            if "hidden" not in one.attributes and one.attributes.get("type") != "hidden"
        } <= named
        for plot in plots(page.source):
            assert plot.attrib.get("role") == "img" or plot.attrib.get("aria-hidden") == "true"


async def test_only_the_sentence_is_read_aloud_when_it_changes(bad: Source) -> None:
    page = Page(await text(bad, "/"))
    live = [one.attributes.get("id") for one in page.elements if one.attributes.get("role") == "status"]
    assert live == ["stale", "sentence"]
    assert not [one for one in page.elements if "aria-live" in one.attributes]


async def test_without_a_script_a_page_asks_again_by_itself_and_a_form_does_not(good: Source) -> None:
    again = '<noscript><meta http-equiv="refresh" content="30"></noscript>'
    for path in ("/", "/alerts", "/service/gateway"):
        assert again in await text(good, path)
    for path in ("/silences", "/login"):
        found = await text(good, path)
        assert again not in found
        assert "<script" not in found


async def test_a_name_that_attacks_is_only_a_name(tmp_path: Path) -> None:
    def attacked(made: Night) -> None:
        for name in (HOSTILE, LONG):
            made.appears(name)

    source = await recorded(tmp_path, night(0.2, begun=attacked), MONITORD_INSTANCE="<b>box")
    now = datetime.now(UTC)
    source.quiet = [Silence("s", HOSTILE, now, now + timedelta(hours=1), HOSTILE, HOSTILE)]
    pages = [await text(source, path, authorization=BEARER) for path in ("/", "/alerts", "/report", "/silences")]
    async with client(source, authorization=BEARER) as page:
        own = await page.get("/service/" + "".join(f"%{byte:02x}" for byte in HOSTILE.encode()))
        form = await page.get("/silences", params={"subject": HOSTILE, "rule": HOSTILE, "reason": LONG})
        flash = await page.get("/", params={"done": HOSTILE})
    assert own.status_code == 200
    for found in (*pages, own.text, form.text, flash.text):
        assert "<script>alert" not in found
        assert "<b>" not in found
        assert "\u202e" not in found
        assert "\x1b" not in found
        assert Page(found).faults == []
    assert HOSTILE not in flash.text
    assert "&lt;script&gt;" in pages[0]


async def test_a_service_has_a_page_with_its_night(bad: Source) -> None:
    found = await text(bad, "/service/gateway")
    told = said(found)

    assert "critical gateway State stopped Expected online" in told
    assert "gateway was stopped from" in told
    assert "limit 500 MB" in told
    assert re.search(r"service_down: gateway since .* still open", told)
    assert len(plots(found)) >= 2


async def test_the_alerts_are_told_with_their_cause_and_evidence(bad: Source) -> None:
    found = await text(bad, "/alerts")
    told = said(found)

    assert told.count("(still open)") == 5
    assert "Cause Postgres cannot be measured: connection refused" in told
    assert "Escalation text" in told
    linked = set(re.findall(r'href="/alerts#([^"]+)"', await text(bad, "/")))
    assert linked
    assert linked <= set(Page(found).ids())


async def test_the_report_is_the_one_that_the_command_writes(bad: Source) -> None:
    found = await text(bad, "/report?since=2h")
    assert "NO-GO" in said(found)
    assert "Success criteria" in said(found)
    assert "<style" not in found
    assert " style=" not in found


async def test_what_is_still_being_read_is_said_and_comes_by_itself(
    good: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()

    async def wait(*_: object) -> None:
        await never.wait()

    for name in ("recorded", "report", "incidents"):
        monkeypatch.setattr(good, name, wait)
    monkeypatch.setattr("monitord.web.records.WAIT_SECONDS", 0.0)
    async with client(good) as page:
        overview, report = await page.get("/"), await page.get("/report")
    assert "The last 12 h are being read" in overview.text
    assert "The record is being read" in report.text
    assert report.headers["refresh"] == "2"


async def test_a_night_that_cannot_be_read_is_unknown_and_says_why(
    good: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise BackendUnavailable("the state directory does not answer")

    monkeypatch.setattr(good, "recorded", fail)
    told = said(await text(good, "/"))
    assert "The last 12 h are unknown: the state directory does not answer." in told
    assert "OK" in told


async def test_a_watch_that_has_stopped_looking_is_unknown(good: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    assert good.seen is not None
    monkeypatch.setattr(good.seen, "_published", good.seen._published - 3600.0)
    found = await text(good, "/")
    assert "UNKNOWN Check now monitord has not looked for 1 h" in said(found)
    assert "is-unknown" in found
    monkeypatch.undo()
    assert "OK Check now" in said(await text(good, "/"))


async def test_buttons_are_there_for_who_could_use_them(bad: Source) -> None:
    found = await text(bad, "/")
    assert "Acknowledge service_down: gateway" in said(found)
    assert 'href="/silences?subject=gateway&amp;rule=service_down"' in found
    async with client(bad, token=None) as page:
        assert "Acknowledge" not in (await page.get("/")).text
        assert "MONITORD_HTTP__TOKEN" in (await page.get("/silences")).text


async def test_a_form_that_is_wrong_comes_back_with_what_was_in_it(good: Source) -> None:
    async with client(good, authorization=BEARER) as page:
        answer = await page.post("/silences", data={"subject": "gateway", "for": "soon", "reason": "a release"})
        done = await page.get("/silences?done=silence")
    assert answer.status_code == 400
    assert "for: 'soon' is no duration" in html.unescape(answer.text)
    assert 'value="gateway"' in answer.text
    assert 'value="a release"' in answer.text
    assert "It will be quiet with the next check." in done.text
    assert good.left == []


async def test_a_silence_is_begun_and_ended_by_forms(bad: Source) -> None:
    async with client(bad, authorization=BEARER) as page:
        assert "End the silence of tree-builder" in said((await page.get("/silences")).text)
        begun = await page.post("/silences", data={"subject": "*", "rule": "", "for": "1h", "every": "", "reason": ""})
        ended = await page.post("/silences/s1/end")
        alert = next(one for one in bad.seen.decision.state.alerts.values() if one.is_confirmed) if bad.seen else None
        assert alert is not None
        acked = await page.post(f"/alerts/{alert.id}/ack")
        asked = await page.post("/check")
        unknown = await page.post("/silences/none/end")
    assert [answer.headers["location"] for answer in (begun, ended, acked, asked)] == [
        "/silences?done=silence", "/silences?done=unsilence", "/?done=ack", "/?done=check",
    ]  # fmt: skip
    assert unknown.status_code == 404
    assert [command.kind for command in bad.left] == ["silence", "unsilence", "ack"]
    assert bad.checks == ["http"]


async def test_a_single_alert_is_told_in_its_own_words(tmp_path: Path) -> None:
    source = await recorded(tmp_path, night(0.2, begun=lambda made: made["gateway"].stops(), probes=PM2))
    told = said(await text(source, "/"))
    assert "CRITICAL service_down: gateway Check now gateway is stopped; it is expected to be online." in told


async def test_of_a_whole_fleet_that_is_out_of_order_the_first_are_told_in_full(tmp_path: Path) -> None:
    def strangers(made: Night) -> None:
        for number in range(20):
            made.appears(f"stranger-{number:02}")

    page = Page(await text(await recorded(tmp_path, night(0.2, begun=strangers, probes=PM2)), "/"))
    assert len(page.all("article")) == 8
    told = said(page.source)
    assert "Firing (20)" in told
    assert all(f"stranger-{number:02} runs under PM2" in told for number in range(20))


async def test_what_an_app_tells_of_itself_is_on_its_page_and_on_no_others(tmp_path: Path) -> None:
    def telling(made: Night) -> None:
        made["gateway"].loop_ms, made["gateway"].heap_limit = 3.81, 512 * 2.0**20
        made.passes(minutes=30)
        made["gateway"].loop_ms = 1900.0

    source = await recorded(tmp_path, night(1, begun=telling, probes=PM2))
    page = await text(source, "/service/gateway")
    told = said(page)
    assert "Event loop 1.9 s late at the 95th percentile" in told
    assert "Jobs 3 jobs" in told
    assert re.search(r"Heap 4\d\.?\d* MB, limit 537 MB", told)
    titles = re.findall(r"<title[^>]*>([^<]*)</title>", page)
    assert "gateway: event loop latency" in titles
    assert "gateway: heap" in titles
    assert "event_loop_blocked: gateway" in told
    other = await text(source, "/service/tree-builder")
    assert "Event loop" not in said(other)
    assert "tree-builder: heap" not in other


async def test_an_alert_names_its_runbook_as_a_link_and_its_contact_as_text(bad: Source) -> None:
    async with client(bad) as page:
        text = (await page.get("/")).text
    link = '<a href="https://wiki.example.com/web" rel="noreferrer">https://wiki.example.com/web</a>'
    assert f"<dt>Runbook</dt><dd>{link}</dd>" in text
    assert "<dt>Contact</dt><dd>&lt;b&gt;the office&lt;/b&gt;</dd>" in text
