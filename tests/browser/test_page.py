"""The page in a real browser: its width, its colours, its keyboard, what it does when a cycle comes or none does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from monitord.core.model import Silence
from monitord.core.orders import CheckOrder
from monitord.web.app import Page
from monitord.web.params import DEFAULT_SPAN
from monitord.web.records import Records
from monitord.web.server import PageServer
from tests.browser.chrome import BROWSER, Chrome
from tests.core.nights import ORDERS, Night
from tests.web.made import TOKEN, Source, night, publish, recorded

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="needs chromium, chromium-browser or google-chrome on PATH"),
    pytest.mark.timeout(150),
]

PATHS: Final = ("/", "/alerts", "/report", "/service/gateway", "/silences", "/login", "/nowhere")
LONG: Final = "worker-with-a-name-that-has-no-end-and-no-space-in-it-" * 3
TOO_WIDE: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# The worst contrast of any text with what is painted behind it, and what it says.
CONTRAST: Final = """
(() => {
  const parse = (colour) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  let worst = [99, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || element.closest("svg, script, noscript, .vh, .skip, [hidden]") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    if (parseFloat(style.fontSize) === 0) continue;
    const [a, b] = [light(parse(style.color)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, text.slice(0, 60)];
  }
  return worst;
})()
"""
FOCUSED: Final = """
(() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return [at.tagName, (at.textContent || at.name || "").trim(), outlined];
})()
"""


@dataclass
class Served:
    source: Source
    made: Night
    records: Records
    server: PageServer

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def looks(self) -> None:
        """monitord looks again."""
        self.made.look()
        self.records.publish(publish(self.source, self.made))


def trouble(made: Night) -> None:
    made.appears(LONG)
    made.passes(hours=1)
    made.host.disk_used = 76.0
    made.passes(minutes=30)
    made["gateway"].stops()
    made.postgres.fails()
    made.epochs.fails()


async def serve(directory: Path, made: Night) -> Served:
    source = await recorded(directory, made)
    now = datetime.now(UTC)
    source.quiet = [Silence("s1", LONG, now, now + timedelta(hours=1), reason=LONG)]
    records = Records(source)
    server = PageServer(Page(records, "127.0.0.1", TOKEN, guess_seconds=0.0).app, "127.0.0.1", 0)
    await server.start()
    await records.recorded(DEFAULT_SPAN, 60.0)
    return Served(source, made, records, server)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    served = await serve(tmp_path, night(2, begun=trouble))
    yield served
    await served.records.close()
    await served.server.close()


@pytest.fixture
async def chrome(tmp_path: Path) -> AsyncIterator[Chrome]:
    async with Chrome(tmp_path / "profile") as chrome:
        yield chrome


async def test_no_page_is_wider_than_its_window_nor_hard_to_read_nor_refused_anything(
    served: Served, chrome: Chrome
) -> None:
    wide: dict[str, Any] = {}
    faint: dict[str, Any] = {}
    for width, dark in ((360, False), (390, True), (800, False), (1280, True), (1920, False)):
        await chrome.look(width, dark=dark)
        for path in PATHS:
            await chrome.open(served.address + path)
            await chrome.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
            if (excess := await chrome.evaluate(TOO_WIDE)) > 0:
                wide[f"{path} at {width}"] = excess
            ratio, text = await chrome.evaluate(CONTRAST)
            if ratio < 4.5:
                faint[f"{path}, dark: {dark}"] = (ratio, text)
    assert wide == {}
    assert faint == {}
    assert [one for one in chrome.complaints if "404" not in one] == []


async def test_a_cycle_renews_the_page_where_it_stands(served: Served, chrome: Chrome) -> None:
    await chrome.look(1280)
    await chrome.open(served.address)
    await chrome.until("document.getElementById('sentence').textContent.includes('4 alerts')")
    await chrome.evaluate(
        "window.mark = document.getElementById('p-redis').firstChild; scrollTo(0, 120);"
        "document.querySelector('#p-fleet a.name').focus({ preventScroll: true })"
    )
    focused = await chrome.evaluate("document.activeElement.textContent")
    served.made.machine.recovers()
    served.made.host.disk_used = 20.0
    served.made.passes(minutes=3)
    served.looks()

    await chrome.until("document.getElementById('sentence').textContent.includes('3 alerts')")
    assert await chrome.evaluate("document.activeElement.textContent") == focused
    assert await chrome.evaluate("scrollY") == 120
    assert await chrome.evaluate("document.getElementById('p-redis').firstChild === window.mark")
    heading = await chrome.evaluate("document.querySelector('h1 .worst').firstChild.textContent.trim()")
    assert await chrome.evaluate("document.title") == f"CRITICAL {heading}, 2 more · box-1"
    assert chrome.complaints == []


async def test_what_was_opened_stays_open_when_a_cycle_comes(served: Served, chrome: Chrome) -> None:
    await chrome.look(1280)
    await chrome.open(f"{served.address}/alerts")
    ends = "[...document.querySelectorAll('details')].map(d => d.open)"
    before = await chrome.evaluate(ends)
    await chrome.evaluate("for (const d of document.querySelectorAll('details')) d.open = !d.open")
    told = await chrome.evaluate("document.getElementById('main').textContent")
    served.made.passes(minutes=2)
    served.looks()
    await chrome.until(f"document.getElementById('main').textContent !== {told!r}")
    assert before
    assert await chrome.evaluate(ends) == [not open_ for open_ in before]


async def test_a_page_that_hears_nothing_any_more_says_since_when(served: Served, chrome: Chrome) -> None:
    await chrome.look(390)
    await chrome.open(served.address)
    assert await chrome.evaluate("document.getElementById('stale').hidden")
    port = served.server.port
    served.records.hub.close()
    await served.server.close()
    await chrome.until("!document.getElementById('stale').hidden")
    told = await chrome.evaluate("document.getElementById('stale').textContent")
    assert told.startswith("Nothing new since ")
    assert told.endswith(" UTC: monitord does not answer. What you see is of then.")
    assert (await chrome.evaluate("document.querySelector('h1').textContent")).startswith("CRITICAL")

    again = Records(served.source)
    server = PageServer(Page(again, "127.0.0.1", TOKEN).app, "127.0.0.1", port)
    await server.start()
    await chrome.until("document.getElementById('stale').hidden")
    again.hub.close()
    await server.close()
    await again.close()


async def test_the_keyboard_alone_gets_everywhere_and_sees_where_it_is(served: Served, chrome: Chrome) -> None:
    await chrome.look(1280)
    await chrome.open(served.address)
    met = []
    for _ in range(40):
        await chrome.press("Tab", 9)
        met.append(await chrome.evaluate(FOCUSED))
    assert [text for _, text, _ in met[:6]] == [
        "Skip to the content", "monitord", "Overview", "Alerts", "Report", "Silences",
    ]  # fmt: skip
    assert all(outlined for _, _, outlined in met)
    assert ["BUTTON", "Check now", True] in met
    assert any(tag == "BUTTON" and text.startswith("Acknowledge") for tag, text, _ in met)


async def test_the_token_is_shown_once_and_then_a_silence_takes_a_form(served: Served, chrome: Chrome) -> None:
    await chrome.look(390)
    await chrome.open(f"{served.address}/login?to=/silences")
    await chrome.evaluate(
        f"document.getElementById('token').value = {TOKEN!r}; document.getElementById('token').focus()"
    )
    await chrome.press("Enter", 13)
    await chrome.until("location.pathname === '/silences' && document.getElementById('subject') !== null")
    await chrome.evaluate(
        "document.getElementById('subject').value = 'gateway'; document.getElementById('reason').focus()"
    )
    await chrome.press("Enter", 13)
    await chrome.until("location.search === '?done=silence'")

    assert [command.silence.subject for command in served.source.left if command.silence is not None] == ["gateway"]
    assert await chrome.evaluate("document.cookie") == ""
    await chrome.open(served.address)
    acknowledge = "document.querySelector('form[action$=\"/ack\"] button').click()"
    await chrome.evaluate(acknowledge)
    await chrome.until("document.querySelector('.done')?.textContent === 'Acknowledged with the next check.'")
    await chrome.until("location.search === ''")
    assert served.source.left[-1].kind == "ack"
    assert chrome.complaints == []


async def test_without_a_script_the_page_is_whole(served: Served, chrome: Chrome) -> None:
    await chrome.call("Emulation.setScriptExecutionDisabled", value=True)
    await chrome.look(1280)
    await chrome.open(served.address)
    document = await chrome.call("DOM.getDocument")
    found = await chrome.call("DOM.querySelectorAll", nodeId=document["root"]["nodeId"], selector="#p-pm2 tbody tr")
    assert len(found["nodeIds"]) == 8
    # Where there is room the style sheet unfolds what the script would.
    section = await chrome.call("DOM.querySelector", nodeId=document["root"]["nodeId"], selector="#d-pm2")
    unfolded = (await chrome.call("DOM.getBoxModel", nodeId=section["nodeId"]))["model"]["height"]
    await chrome.look(390)
    folded = (await chrome.call("DOM.getBoxModel", nodeId=section["nodeId"]))["model"]["height"]
    assert folded < 100 < 200 < unfolded


async def test_the_fleet_comes_first_and_the_worst_alert_is_in_the_headline(served: Served, chrome: Chrome) -> None:
    await chrome.look(1280)
    await chrome.open(served.address)
    order = "[...document.querySelectorAll('main [data-part]')].map(part => part.id)"
    assert (await chrome.evaluate(order))[:4] == ["p-state", "p-check", "p-fleet", "p-firing"]
    tiles = "[...document.querySelectorAll('.tile')].map(tile => tile.querySelector('.name').textContent.trim())"
    assert await chrome.evaluate(tiles) == await chrome.evaluate(
        "[...document.querySelectorAll('#p-pm2 tbody th')].map(one => one.textContent.trim())"
    )
    firing = served.source.seen.report.alerts.firing if served.source.seen else ()
    headline = await chrome.evaluate("document.querySelector('h1').textContent")
    assert f"{firing[0].rule}: {firing[0].subject}" in headline
    marks = "[...document.querySelectorAll('.tile')].every(tile => tile.querySelector('.sign path, .how strong'))"
    assert await chrome.evaluate(marks)


async def test_on_a_phone_a_fleet_of_seven_is_read_on_three_screens(tmp_path: Path, chrome: Chrome) -> None:
    served = await serve(tmp_path, night(1))
    try:
        await chrome.look(390, 844)
        await chrome.open(served.address)
        assert await chrome.evaluate("document.querySelectorAll('.tile').length") == 7
        assert await chrome.evaluate("document.documentElement.scrollHeight") < 3 * 844
        # What is folded is one touch away.
        await chrome.evaluate("document.querySelector('#p-pm2 summary').click()")
        assert await chrome.evaluate("document.querySelector('#p-pm2 tbody').checkVisibility()")
        await chrome.look(1280)
        await chrome.open(served.address)
        assert await chrome.evaluate("document.querySelector('#p-pm2 tbody').checkVisibility()")
    finally:
        await served.records.close()
        await served.server.close()


async def test_a_plot_says_its_values_under_the_pointer_and_to_the_keyboard(served: Served, chrome: Chrome) -> None:
    await chrome.look(1280)
    await chrome.open(served.address)
    said = "document.querySelector('.value:not([hidden])')?.textContent ?? ''"
    await chrome.until("document.querySelector('.tile .spark') !== null")
    await chrome.evaluate("document.querySelector('a[href=\"/service/gateway\"].name').focus({ focusVisible: true })")
    await chrome.until(f"({said}) !== ''")
    assert await chrome.evaluate(said) == await chrome.evaluate(
        "(() => { const plot = document.querySelector('a[href=\"/service/gateway\"].name').closest('.tile')"
        ".querySelector('.spark').dataset; const [at, ...words] = plot.points.split('|').at(-1).split(' ');"
        "return new Date((Number(plot.since) + Number(at)) * 1000).toISOString().slice(11, 16) + ' UTC: ' + "
        "words.join(' '); })()"
    )
    last = await chrome.evaluate(said)
    await chrome.press("Home", 36)
    assert await chrome.evaluate(said) != last
    assert await chrome.evaluate(said)
    await chrome.press("Escape", 27)
    assert await chrome.evaluate(said) == ""
    place = await chrome.evaluate(
        "(() => { const box = document.querySelector('#p-postgres .plot').getBoundingClientRect();"
        "scrollTo(0, box.top - 300); const at = document.querySelector('#p-postgres .plot').getBoundingClientRect();"
        "return [at.left + 20, at.top + 60]; })()"
    )
    await chrome.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    await chrome.until(f"({said}).includes('rows an hour')")
    assert chrome.complaints == []


async def test_the_time_range_is_a_link_and_stays_when_a_cycle_comes(served: Served, chrome: Chrome) -> None:
    await chrome.look(1280)
    await chrome.open(served.address)
    assert await chrome.evaluate("document.querySelector('.ranges [aria-current]').textContent") == "12 h"
    await chrome.evaluate("document.querySelector('.ranges a[href=\"/?since=1h\"]').click()")
    await chrome.until("location.search === '?since=1h' && document.querySelector('.spark') !== null")
    spans = "[...document.querySelectorAll('.spark')].every(plot => Number(plot.dataset.span) <= 3600)"
    assert await chrome.evaluate(spans)
    served.made.passes(minutes=2)
    served.looks()
    await chrome.until(f"({spans}) && location.search === '?since=1h'")
    assert await chrome.evaluate("document.querySelector('.ranges [aria-current]').textContent") == "1 h"
    link = "document.querySelector('.tile .name').getAttribute('href')"
    assert (await chrome.evaluate(link)).endswith("?since=1h")


async def test_a_page_that_the_browser_brings_back_is_read_again(served: Served, chrome: Chrome) -> None:
    await chrome.look(1280)
    await chrome.open(served.address)
    await chrome.evaluate(
        "window.isOld = true;"
        "setTimeout(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })), 0)"
    )
    await chrome.until("!window.isOld && document.readyState === 'complete'")
    assert await chrome.evaluate("document.getElementById('stale').hidden")
    assert chrome.complaints == []


async def test_a_page_that_has_slept_says_of_when_it_is_until_it_is_read_again(served: Served, chrome: Chrome) -> None:
    await chrome.look(1280)
    await chrome.open(served.address)
    # The tab's timers stood still for five minutes, and now nobody answers at once.
    await chrome.evaluate(
        "(() => { const [real, fetched] = [Date.now, fetch]; Date.now = () => real() + 300000;"
        "const held = new Promise((go) => { window.answer = go; });"
        "window.fetch = (...asked) => held.then(() => fetched(...asked)); })()"
    )
    await chrome.until("!document.getElementById('stale').hidden")
    told = await chrome.evaluate("document.getElementById('stale').textContent")
    assert re.fullmatch(r"What you see is of \d\d:\d\d:\d\d UTC: it is being read again\.", told)
    await chrome.evaluate("window.answer()")
    await chrome.until("document.getElementById('stale').hidden")


async def test_a_page_that_cannot_be_read_says_so_though_its_stream_goes_on(
    served: Served, chrome: Chrome, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chrome.look(1280)
    await chrome.open(served.address)

    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("inside")

    monkeypatch.setattr("monitord.web.pages.overview", broken)
    served.made.passes(minutes=2)
    served.looks()
    await chrome.until("document.getElementById('stale').textContent.includes('it answers with 500')")
    monkeypatch.undo()
    served.made.passes(minutes=1)
    served.looks()
    await chrome.until("document.getElementById('stale').hidden")


async def test_a_fleet_of_hundreds_is_folded_and_fits(tmp_path: Path, chrome: Chrome) -> None:
    def many(made: Night) -> None:
        for number in range(53):
            made.appears(f"worker-{number:02}")
        made.passes(minutes=4)
        made["worker-07"].stops()
        next(iter(made.checks.values())).answers(502)

    checks = {f"site-{number:03}": CheckOrder("http", unit="ms") for number in range(200)}
    served = await serve(
        tmp_path, night(0.2, begun=many, services={}, checks=checks, probes=ORDERS.probes | {"checks"})
    )
    try:
        for width in (390, 1920):
            await chrome.look(width)
            await chrome.open(served.address)
            assert await chrome.evaluate(TOO_WIDE) <= 0
            visible = "[...document.querySelectorAll('.tile')].filter(tile => tile.checkVisibility()).length"
            assert await chrome.evaluate(visible) == 2
            await chrome.evaluate("for (const d of document.querySelectorAll('.fleet details')) d.open = true")
            assert await chrome.evaluate(visible) == 260
            assert await chrome.evaluate(TOO_WIDE) <= 0
    finally:
        await served.records.close()
        await served.server.close()
