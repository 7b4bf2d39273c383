"""What open browsers cost the daemon: each has a stream, and reads the page again at each cycle, as its script does."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from bench.apps import kept_pm2
from bench.bus_latency import running
from bench.figures import Figure
from bench.measure import cpu_seconds
from monitord.testing.sandbox import free_port

READERS: Final = (0, 1, 10)
EVERY_SECONDS: Final = 3
APPS: Final = 7
_WARM_SECONDS: Final = 6.0
_READ_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Open:
    """With so many browsers: CPU seconds of the daemon a cycle, and how many pages they have read a cycle."""

    readers: int
    cycle: float
    pages: float


class _Browser:
    """One open page: at each cycle that its stream tells of, it is read again."""

    def __init__(self, address: str) -> None:
        self.read = 0
        self._address = address

    async def __call__(self) -> None:
        timeout = httpx.Timeout(_READ_SECONDS, read=None)
        async with (
            httpx.AsyncClient(base_url=self._address, timeout=timeout, trust_env=False) as client,
            client.stream("GET", "/events") as stream,
        ):
            async for line in stream.aiter_lines():
                if line == "event: cycle":
                    (await client.get("/", timeout=_READ_SECONDS)).raise_for_status()
                    self.read += 1


async def measure(seconds: float, say: Callable[[str], None]) -> list[Open]:
    """A daemon over a made-up PM2, with no browser, with one, with ten, for so many seconds each."""
    found = []
    with tempfile.TemporaryDirectory(prefix="monitord-") as place:
        home, port = Path(place), free_port()
        settings = {
            "MONITORD_PM2__HOME": place,
            "MONITORD_CHECK_INTERVAL": f"{EVERY_SECONDS}s",
            "MONITORD_HTTP__LISTEN": f"127.0.0.1:{port}",
        }
        async with kept_pm2(home, APPS), running(home, **settings) as (_, child):
            for readers in READERS:
                say(f"the page with {readers} open browsers")
                browsers = [_Browser(f"http://127.0.0.1:{port}") for _ in range(readers)]
                tasks = [asyncio.create_task(browser()) for browser in browsers]
                await asyncio.sleep(_WARM_SECONDS)
                read, spent, began = sum(one.read for one in browsers), cpu_seconds(child.pid), time.monotonic()
                await asyncio.sleep(seconds)
                cycles = (time.monotonic() - began) / EVERY_SECONDS
                spent, read = cpu_seconds(child.pid) - spent, sum(one.read for one in browsers) - read
                found.append(Open(readers, spent / cycles, read / cycles))
                for task in tasks:
                    if task.done():
                        task.result()
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
    return found


def figures(found: list[Open]) -> list[Figure]:
    """The rows of the table."""
    return [
        Figure(
            f"browsers_{one.readers}",
            f"CPU a cycle, {one.readers} open browsers",
            one.cycle * 1000,
            "ms",
            how=f"{APPS} apps and the host, a cycle every {EVERY_SECONDS} s; {one.pages:.1f} pages read a cycle",
        )
        for one in found
    ]
