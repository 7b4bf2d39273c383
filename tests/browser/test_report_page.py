"""The night's report in a real browser: nothing is wider than the window, from a desk down to a phone.

One page holds the report of every night once for each width, in frames, and says in its own text how wide each came.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from html import escape, unescape
from pathlib import Path

import pytest

from monitord.reporting.html import report_html
from tests.reporting.sample_nights import NIGHTS

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (360, 768, 769, 1280)
DEADLINE = 100.0
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip
MEASURE = """
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument;
    for (const details of page.querySelectorAll("details")) details.open = true;
    const sizes = [...page.querySelectorAll("svg text")].map(text => parseFloat(getComputedStyle(text).fontSize));
    found[frame.name] = {
      verdict: page.querySelector("h1").textContent,
      inside: page.documentElement.clientWidth,
      needed: page.documentElement.scrollWidth,
      smallest: Math.min(99, ...sizes),
    };
  }
  document.getElementById("found").textContent = JSON.stringify(found);
});
"""

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium, chromium-browser or google-chrome on PATH"),
]


@pytest.mark.timeout(150)
def test_no_report_is_wider_than_its_window_and_its_letters_keep_their_size(tmp_path: Path) -> None:
    nights = NIGHTS
    frames = [
        f'<iframe name="{name} at {width}" width="{width}" height="900" srcdoc="{escape(report_html(night))}"></iframe>'
        for name, night in nights.items()
        for width in WIDTHS
    ]
    page = tmp_path / "measure.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><style>iframe {{ border: 0 }}</style>{"".join(frames)}'
        f'<pre id="found"></pre><script>{MEASURE}</script>',
        encoding="utf-8",
    )
    found = json.loads(dumped(page, tmp_path / "profile"))

    assert len(found) == len(nights) * len(WIDTHS)
    for name, night in nights.items():
        assert {found[f"{name} at {width}"]["verdict"] for width in WIDTHS} == {night.verdict}
    assert {name: size for name, size in found.items() if size["needed"] > size["inside"]} == {}
    assert min(size["smallest"] for size in found.values()) >= 12


def dumped(page: Path, profile: Path) -> str:
    """What the page has written into itself; the browser and all it started are ended, whatever happens."""
    browser = subprocess.Popen(
        [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = browser.communicate(timeout=DEADLINE)
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself, and its children with it
            os.killpg(browser.pid, signal.SIGKILL)
        browser.wait(timeout=10)
    told = re.search(r'<pre id="found">(\{.*?\})</pre>', out.decode("utf-8", "replace"), re.DOTALL)
    assert told, f"the browser ended with {browser.returncode}: {err.decode('utf-8', 'replace')[-2000:]}"
    return unescape(told[1])
