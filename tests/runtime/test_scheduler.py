"""Whoever asks for a check is told what it came to, whatever it came to."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from monitord.config.settings import Settings
from monitord.core.engine import Decision, State
from monitord.core.orders import StandingOrders
from monitord.logging.logger import JsonLog
from monitord.notify.dispatcher import Dispatcher
from monitord.runtime import scheduler
from monitord.runtime.cycle import Monitor
from monitord.runtime.scheduler import MAX_ANSWERS, Scheduler
from monitord.runtime.signs import Sign
from monitord.storage.store import Store

PATIENCE = 60.0
APART = 0.04
"""In place of the second between two checks on demand."""


class Conducted:
    """A scheduler at work on a monitor without probes, and what it has been told to tell."""

    def __init__(self, directory: Path) -> None:
        log = JsonLog(io.StringIO())
        self.reload_fails = False
        self.reloads = 0
        self.store = Store(directory)
        dispatcher = Dispatcher(Settings(instance="box-1"), self.store, log)
        self.watch = Monitor((), StandingOrders(probes=frozenset()), State(), self.store, dispatcher, 1.0)
        self.seen: list[Decision] = []
        self.scheduler = Scheduler(log, self._nothing, lambda: None, lambda decision, _: self.seen.append(decision))
        self.told: asyncio.Queue[Decision | None] = asyncio.Queue()

    async def _nothing(self) -> None:
        """Nothing is read again here, and that may fail."""
        self.reloads += 1
        if self.reload_fails:
            raise LookupError

    async def begin(self) -> None:
        await self.store.load(PATIENCE)
        await self.scheduler.first(self.watch)
        self.scheduler.paced(3600.0)
        self.conducting = asyncio.create_task(self.scheduler.conduct())

    async def end(self) -> None:
        self.conducting.cancel()
        with suppress(asyncio.CancelledError):
            await self.conducting
        await self.store.close(PATIENCE)

    def ask(self) -> None:
        self.scheduler.ask_check("http", self.told.put_nowait)

    async def answer(self) -> Decision | None:
        async with asyncio.timeout(PATIENCE):
            return await self.told.get()


@pytest.fixture
async def conducted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Conducted]:
    monkeypatch.setattr(scheduler, "ON_DEMAND_EVERY_SECONDS", APART)
    conducted = Conducted(tmp_path)
    await conducted.begin()
    yield conducted
    await conducted.end()


async def test_all_who_ask_at_once_are_told_of_the_same_check(conducted: Conducted) -> None:
    for _ in range(3):
        conducted.ask()
    first, second, third = [await conducted.answer() for _ in range(3)]
    assert first is not None
    assert first is second is third


async def test_a_check_that_fails_inside_is_told_as_that_and_the_next_one_is_made(conducted: Conducted) -> None:
    orders, conducted.watch.orders = conducted.watch.orders, None  # type: ignore[assignment] # what a bug may leave
    conducted.ask()
    assert await conducted.answer() is None
    conducted.watch.orders = orders
    conducted.ask()
    assert await conducted.answer() is not None


async def test_a_reload_that_fails_inside_does_not_end_the_watch(conducted: Conducted) -> None:
    conducted.reload_fails = True
    conducted.scheduler.ask_reload()
    conducted.ask()
    assert await conducted.answer() is not None


async def test_who_asks_and_then_fails_costs_nobody_else_an_answer(conducted: Conducted) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    def fail(_: Decision | None) -> None:
        raise LookupError

    conducted.scheduler.ask_check("http", fail)
    conducted.ask()
    assert await conducted.answer() is not None


async def test_those_who_wait_are_not_without_number(conducted: Conducted) -> None:
    for _ in range(2 * MAX_ANSWERS):
        conducted.ask()
    for _ in range(MAX_ANSWERS):
        await conducted.answer()
    conducted.ask()
    await conducted.answer()
    assert conducted.told.empty()


async def test_every_cycle_is_seen_with_how_long_it_took(conducted: Conducted) -> None:
    conducted.ask()
    decision = await conducted.answer()
    assert conducted.seen[-1] is decision


async def test_a_storm_of_demands_makes_a_check_now_and_one_when_its_time_is_over(conducted: Conducted) -> None:
    loop = asyncio.get_running_loop()
    checks = 0

    async def ask_all_the_time() -> None:
        while True:
            conducted.scheduler.ask_check("signal")
            conducted.scheduler.ask_reload()
            await asyncio.sleep(0)

    began, seen = loop.time(), len(conducted.seen)
    storm = asyncio.create_task(ask_all_the_time())
    while checks < 2:
        await asyncio.sleep(0.002)
        checks = len(conducted.seen) - seen
    storm.cancel()
    second = loop.time()
    assert second - began >= APART
    conducted.scheduler.ask_reload()
    conducted.ask()  # the last of a storm is not lost
    assert await conducted.answer() is not None
    passed = loop.time() - began
    assert passed >= 2 * APART
    assert len(conducted.seen) - seen <= 1 + passed / APART
    assert 2 <= conducted.reloads <= 1 + passed / APART


async def test_what_waits_its_time_holds_up_neither_the_due_cycle_nor_the_loop(conducted: Conducted) -> None:
    conducted.ask()
    await conducted.answer()
    conducted.ask()  # waits
    conducted.scheduler.paced(APART / 4)
    seen = len(conducted.seen)
    async with asyncio.timeout(PATIENCE):
        while len(conducted.seen) == seen:
            conducted.scheduler.ask_cycle()
            await asyncio.sleep(0.002)
    assert await conducted.answer() is not None


async def test_a_thousand_signs_at_once_are_one_check_and_what_is_checked_by_then_serves_them(
    conducted: Conducted,
) -> None:
    before = len(conducted.seen)
    for _ in range(1000):
        conducted.scheduler.hear(Sign("redis", "Redis closed the kept connection"))
    async with asyncio.timeout(PATIENCE):
        while len(conducted.seen) == before:  # noqa: ASYNC110 - a cycle is seen, and sets no event
            await asyncio.sleep(0.002)
    conducted.scheduler.hear(Sign("redis", "Redis closed the kept connection"))
    conducted.ask()  # a whole check, which takes Redis too
    assert await conducted.answer() is not None
    conducted.ask()
    assert await conducted.answer() is not None
    assert len(conducted.seen) == before + 3
