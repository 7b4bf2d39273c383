"""When the page listens and when it does not, beside a watch that does not wait for it."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitord.logging.logger import JsonLog
from monitord.runtime import web_service
from monitord.runtime.web_service import WebService
from tests.web.made import Source, night, settings_for

PATIENCE = 60.0


class Said(io.StringIO):
    """A stream that wakes whoever waits for a line."""

    def __init__(self) -> None:
        super().__init__()
        self.loop, self.came = asyncio.get_running_loop(), asyncio.Event()

    def write(self, text: str) -> int:
        number = super().write(text)
        self.loop.call_soon_threadsafe(self.came.set)
        return number

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for raw in self.getvalue().splitlines() if (line := json.loads(raw))["event"] == event]

    async def until(self, event: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while not (found := self.lines(event)):
                self.came.clear()
                await self.came.wait()
        return found[0]


async def test_a_port_that_becomes_free_is_taken_and_the_trouble_was_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_service, "RETRY_SECONDS", 0.01)
    said = Said()
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        page = WebService(JsonLog(said), settings_for(tmp_path, MONITORD_HTTP__LISTEN=address), Source)
        page.publish(night(0.1).looks[-1].decision, "startup", 1.0)
        page.start()
        assert (await said.until("page_unavailable"))["kind"] == "in_use"
    await said.until("page_listening")
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://{address}/healthz")).status_code == 200
    await page.close()
    assert len(said.lines("page_unavailable")) == 1


@pytest.mark.parametrize(("address", "kind"), [("192.0.2.1:8844", "address"), ("no-such-host.invalid:8844", "address")])
async def test_an_address_that_is_not_this_machines_is_said(tmp_path: Path, address: str, kind: str) -> None:
    said = Said()
    settings = settings_for(tmp_path, MONITORD_HTTP__LISTEN=address, MONITORD_HTTP__TOKEN="a-token-of-the-tests")
    page = WebService(JsonLog(said), settings, Source)
    page.start()
    assert (await said.until("page_unavailable"))["kind"] == kind
    await page.close()


async def test_off_is_off(tmp_path: Path) -> None:
    said = Said()
    page = WebService(JsonLog(said), settings_for(tmp_path, MONITORD_HTTP__LISTEN=""), Source)
    page.publish(night(0.1).looks[-1].decision, "startup", 1.0)
    page.start()
    await page.apply(settings_for(tmp_path, MONITORD_HTTP__LISTEN=""))
    await page.close()
    assert said.getvalue() == ""
