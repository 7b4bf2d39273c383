"""The page over nights that were made up: as the daemon would serve it, without the daemon."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from monitord.config.loader import Settings, load
from monitord.core.model import Command, Silence
from monitord.core.report.model import Report
from monitord.core.rollups import RunningHour
from monitord.logging.logger import JsonLog
from monitord.reporting.metric_families import Facts
from monitord.web.app import Page
from monitord.web.backend import DaemonBackend, PublishedCycle
from monitord.web.records import Records
from tests.cli.recorded import leave
from tests.core.nights import ORDERS, Night

TOKEN = "a-token-of-the-tests"
HOST = "127.0.0.1:8844"


def night(
    hours: float = 3.0, *, begun: Callable[[Night], None] = lambda *_: None, every: float = 120.0, **more: Any
) -> Night:
    """A night of the baseline's fleet that ends now; `begun` is what happens in it besides."""
    start = datetime.now(UTC) - timedelta(hours=hours)
    made = Night(replace(ORDERS, late_after=timedelta(minutes=5), **more), start=start, every=every)
    begun(made)
    end = datetime.now(UTC).timestamp()
    made.passes(seconds=max(0.0, end - made.now))
    return made


class Source(DaemonBackend):
    """The daemon's source, over a night's record; what is asked of monitord is kept here."""

    def __init__(self, settings: Settings, hour: RunningHour | None = None) -> None:
        self.said = io.StringIO()
        self.checks: list[str] = []
        self.left: list[Command] = []
        self.quiet: list[Silence] = []
        self.log = JsonLog(self.said)
        self._read: dict[timedelta, tuple[PublishedCycle | None, Report]] = {}
        super().__init__(
            self.log,
            settings,
            self.checks.append,
            lambda _, command: self.left.append(command),
            lambda settings: Facts("1", settings.instance, settings.fleet),
            (hour or RunningHour()).so_far,
            lambda *_: None,
        )

    def forget(self) -> None:
        """What was asked of monitord so far."""
        self.left.clear()
        self.checks.clear()

    async def recorded(self, back: timedelta) -> Report:
        """Read once for all clients of one cycle: a night that was made up does not grow."""
        if (read := self._read.get(back)) is None or read[0] is not self.seen:
            read = self._read[back] = (self.seen, await super().recorded(back))
        return read[1]

    @property
    def silences(self) -> list[Silence]:
        return self.quiet


async def recorded(directory: Path, made: Night, *, rolled_up: bool = False, **settings: str) -> Source:
    """What the page reads of a night that is kept in `directory`; `rolled_up`: with what is kept by the hour."""
    hour = await leave(directory / "state", made, rolled_up=rolled_up)
    source = Source(settings_for(directory, **settings), hour)
    publish(source, made)
    return source


def settings_for(directory: Path, **more: str) -> Settings:
    environ: Mapping[str, str] = {
        "HOME": str(directory),
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_INSTANCE": "box-1",
        "MONITORD_PM2__HOME": "",
    }
    return load({**environ, **more}, directory)


def publish(source: DaemonBackend, made: Night, trigger: str = "schedule") -> PublishedCycle:
    """The night's last cycle becomes what the page shows."""
    seen = PublishedCycle(made.looks[-1].decision, trigger, 12.5)
    source.saw(seen, time.monotonic())
    return seen


def client(source: Source, *, token: str | None = TOKEN, host: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
    """A client of the page at `host`, as a program is one; `headers` go with every request."""
    page = Page(Records(source), host, token, guess_seconds=0.0)
    transport = httpx.ASGITransport(app=page.app)
    return httpx.AsyncClient(
        transport=transport,
        base_url=f"http://{HOST}",
        headers={name.replace("_", "-"): v for name, v in headers.items()},
    )
