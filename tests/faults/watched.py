"""A daemon under test: `monitord run` as a child, and everything it says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import forked

PATIENCE = 60.0
Line = dict[str, Any]


class Watched:
    """`monitord run` with exactly the settings given; an async context manager that ends it.

    `lines` is everything it has said so far, parsed: a line that is not a JSON object fails the test that reads it.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **environment}
        self._directory = directory
        self._said = asyncio.Condition()
        self.lines: list[Line] = []
        self.unreadable: list[str] = []

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

    async def _read(self) -> None:
        async for raw in self.process.stdout:
            async with self._said:
                try:
                    self.lines.append(json.loads(raw))
                except ValueError:
                    self.unreadable.append(raw.decode(errors="replace"))
                self._said.notify_all()

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
            async with asyncio.timeout(PATIENCE), self._said:
                while not (found := self.said(event, after, **fields)):
                    await self._said.wait()
                return found[0]
        except TimeoutError:
            told = "\n".join(f"{line['event']}: {line['message']}" for line in self.lines[after:])
            raise AssertionError(f"never said {event} {fields}; said instead:\n{told}\n{self.unreadable}") from None

    async def check(self) -> Line:
        """A full check now, by SIGUSR1."""
        mark = len(self.lines)
        self.process.send_signal(signal.SIGUSR1)
        return await self.until("check_completed", mark, trigger="signal")

    def fired(self, after: int = 0) -> set[tuple[str, str]]:
        """(rule, subject) of every alert that fired."""
        return {(line["rule"], line["subject"]) for line in self.said("alert_firing", after)}
