"""A daemon under test, as a child or in the test's own process, and everything it says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import TextIOBase
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO, cast

import pytest

from monitord.config.loader import load
from monitord.config.settings import Settings
from monitord.logging.logger import JsonLog
from monitord.pm2.ipc import IpcChannel
from monitord.runtime import scheduler, signs
from monitord.runtime.daemon import Daemon
from tests.support import forked

PATIENCE = 60.0
Line = dict[str, Any]


class Saying(ABC):
    """A daemon, of which `lines` is everything it has said so far, parsed.

    A line that is not a JSON object fails the test that reads it.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **environment}
        self._directory = directory
        self._news = asyncio.Event()
        self.lines: list[Line] = []
        self.unreadable: list[str] = []

    @abstractmethod
    def signal(self, number: signal.Signals) -> None: ...

    def _hear(self, raw: str) -> None:
        try:
            self.lines.append(json.loads(raw))
        except ValueError:
            self.unreadable.append(raw)
        self._news.set()

    def said(self, event: str, after: int = 0, **fields: object) -> list[Line]:
        """The lines of an event with these fields, from the `after`th line on."""
        return [
            line
            for line in self.lines[after:]
            if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
        ]

    async def until(self, event: str, after: int = 0, **fields: object) -> Line:
        """The first such line, waited for. Fails after a minute, with what was said instead."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := self.said(event, after, **fields)):
                    self._news.clear()
                    await self._news.wait()
                return found[0]
        except TimeoutError:
            told = "\n".join(f"{line['event']}: {line['message']}" for line in self.lines[after:])
            raise AssertionError(f"never said {event} {fields}; said instead:\n{told}\n{self.unreadable}") from None

    async def check(self) -> Line:
        """A full check now, by SIGUSR1."""
        mark = len(self.lines)
        self.signal(signal.SIGUSR1)
        return await self.until("check_completed", mark, trigger="signal")

    def fired(self, after: int = 0) -> set[tuple[str, str]]:
        """(rule, subject) of every alert that fired."""
        return {(line["rule"], line["subject"]) for line in self.said("alert_firing", after)}


class Watched(Saying):
    """`monitord run` with exactly the settings given; an async context manager that ends it."""

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self.process = await forked.start(["run"], cwd=self._directory, env=self._environment, limit=2**22)
        self._reader = asyncio.create_task(self._read())
        await self.until("monitord_ready")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            async with asyncio.timeout(10):
                await self.process.wait()
                await self._reader
        finally:
            self.process.kill()
        assert self.unreadable == []

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def _read(self) -> None:
        async for raw in self.process.stdout:
            self._hear(raw.decode(errors="replace"))


class Hosted(Saying):
    """A daemon in the test's own process and loop, where what is asked is no process; it takes the process's signals.

    What it does on demand, and upon signs, it does as often as once in `pace` seconds, not once a second.
    """

    def __init__(
        self, environment: Mapping[str, str], directory: Path, monkeypatch: pytest.MonkeyPatch, *, pace: float
    ) -> None:
        super().__init__(environment, directory)
        monkeypatch.setattr(scheduler, "ON_DEMAND_EVERY_SECONDS", pace)
        monkeypatch.setattr(signs, "PACE_SECONDS", pace)

    async def __aenter__(self) -> Self:
        said = cast("TextIO", _Ear(self._hear))
        settings = self._settings()
        self._log = JsonLog(said, settings.log_level)
        self._running = asyncio.create_task(Daemon(settings, self._settings, self._log, IpcChannel()).run())
        await self.until("monitord_ready")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._running.done():
            self.signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await self._running
            await self.until("monitord_stopped")
        assert self.unreadable == []

    def signal(self, number: signal.Signals) -> None:
        os.kill(os.getpid(), number)

    def _settings(self) -> Settings:
        return load(self._environment, self._directory)


class _Ear(TextIOBase):
    """Where a log writes, from a thread of its own; each line is handed on in the loop."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear, self._loop = hear, asyncio.get_running_loop()

    def write(self, line: str) -> int:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._hear, line)
        return len(line)
