"""The page in a real browser: its width, its colours, its keyboard, what it does when a cycle comes or none does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from monitord.core.model import Silence
from monitord.web.app import Page
from monitord.web.records import Records
from monitord.web.server import PageServer
from tests.browser.chrome import BROWSER, Chrome
from tests.core.nights import Night
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
    await records.night(60.0)
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
    for width, dark in ((360, False), (768, False), (1280, True)):
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
        "window.mark = document.getElementById('p-redis').firstChild; scrollTo(0, 500);"
        "document.querySelector('#p-pm2 a').focus()"
    )
    focused = await chrome.evaluate("document.activeElement.textContent")
    served.made.machine.recovers()
    served.made.host.disk_used = 20.0
    served.made.passes(minutes=3)
    served.looks()

    await chrome.until("document.getElementById('sentence').textContent.includes('3 alerts')")
    assert await chrome.evaluate("document.activeElement.textContent") == focused
    assert await chrome.evaluate("scrollY") == 500
    assert await chrome.evaluate("document.getElementById('p-redis').firstChild === window.mark")
    assert await chrome.evaluate("document.title") == "CRITICAL: Overview · box-1"
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
    assert await chrome.evaluate("document.querySelector('h1').textContent") == "CRITICAL"

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
    for _ in range(12):
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
    await chrome.until("location.search === '?done=silenced'")

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
