"""The scheduler: one thing at a time, in the order in which it is urgent, for ever.

Signals, jobs, PM2 and the monitor itself ask it for things, at any time and any number of times; it does each once. It
keeps the time of the next cycle by the monotonic clock: APScheduler's is a wall clock that can be set back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from monitord.core.engine import Decision
from monitord.logging.logger import JsonLog
from monitord.runtime.cycle import CycleRequest, Monitor
from monitord.runtime.signs import Sign, Signs

# How far past its time a cycle may be before whoever makes them due is considered to have lost the clock.
OVERDUE_SECONDS: Final = 1.0
# Checks on demand, and readings of the settings, begin at least so far apart: whoever asks in between is served then.
ON_DEMAND_EVERY_SECONDS: Final = 1.0
# Whoever asks for more answers than this before the first is there is not waiting for them.
MAX_ANSWERS: Final = 100

Answer = Callable[[Decision | None], None]


@dataclass(slots=True)
class _Asked:
    """What has been asked for and not been done yet. Times are the loop's (monotonic) seconds."""

    check: str = ""
    answers: list[Answer] = field(default_factory=list)
    due_at: float | None = None
    reload: bool = False
    rechecks: dict[str, float] = field(default_factory=dict)
    exact: frozenset[str] = frozenset()
    awaited: frozenset[str] = frozenset()

    def times(self, check_from: float, reload_from: float) -> list[float]:
        """When what was asked for may be done: checks and reloads no sooner than this, the due cycle at once."""
        found = [] if self.due_at is None else [float("-inf")]
        found += [check_from] if self.check else []
        found += [reload_from] if self.reload else []
        return [*found, *self.rechecks.values()]


class Scheduler:
    """Runs the cycles of one monitor; it may be asked before that has begun.

    `reload` reads the settings again; `overdue` is called when a cycle that was due did not come; `decided` sees what
    each cycle came to and how many milliseconds it took.
    """

    def __init__(
        self,
        log: JsonLog,
        reload: Callable[[], Awaitable[None]],
        overdue: Callable[[], None],
        decided: Callable[[Decision, float], None] | None = None,
    ) -> None:
        self._monitor: Monitor | None = None
        self._log = log
        self._every = 0.0
        self._reload = reload
        self._overdue = overdue
        self._decided = decided
        self._asked = _Asked()
        self._wake = asyncio.Event()
        self._next_due = 0.0
        self._signs = Signs()
        self._check_from = self._reload_from = float("-inf")  # no sooner than then, by the loop's time

    # What may be requested, at any time

    def ask_check(self, trigger: str, answer: Answer | None = None) -> None:
        """A full check for `trigger`: now, or a second after the last one began; several make one.

        `answer` is called with its result, or None where it failed inside, if no more than MAX_ANSWERS wait.
        """
        self._asked.check = trigger
        if answer is not None and len(self._asked.answers) < MAX_ANSWERS:
            self._asked.answers.append(answer)
        self._wake.set()

    def ask_cycle(self) -> None:
        if self._asked.due_at is None:
            self._asked.due_at = self._next_due
        self._wake.set()

    def ask_reload(self) -> None:
        """The settings, read again: now, or a second after they last were."""
        self._asked.reload = True
        self._wake.set()

    def hear(self, sign: Sign) -> None:
        """Something was heard that makes a check due at once, as often as signs may."""
        if self._signs.hear(sign, asyncio.get_running_loop().time()):
            self._log.emit("sign_heard", "debug", f"{sign.what}: checked at once.", probe=sign.probe or None)
            self._wake.set()

    def paced(self, every: float) -> None:
        """From now on a cycle is due every so many seconds."""
        self._every = self._signs.every = every
        self._next_due = asyncio.get_running_loop().time() + every

    def due_now(self) -> None:
        """A cycle is due at once: what is ordered now is checked now."""
        self._asked.due_at = asyncio.get_running_loop().time()

    # One thing at a time

    async def first(self, monitor: Monitor) -> None:
        """Begin with this monitor: the check at the start, before anything is due."""
        self._monitor = monitor
        await self._cycle(CycleRequest(trigger="startup", late_seconds=0.0))

    async def conduct(self) -> None:
        """Do what is asked for, for ever; after `first` and `paced`."""
        while True:
            await self._something_to_do()
            now = asyncio.get_running_loop().time()
            if self._asked.reload and now >= self._reload_from:
                self._asked.reload = False
                self._reload_from = now + ON_DEMAND_EVERY_SECONDS
                try:
                    await self._reload()
                except Exception as error:  # noqa: BLE001 - as of a cycle: monitoring goes on
                    self._log.internal("reading the settings again failed inside; monitoring goes on", error)
            elif self._asked.check and now >= self._check_from:
                self._check_from = now + ON_DEMAND_EVERY_SECONDS
                await self._full_check()
            elif self._asked.due_at is not None:
                late = self._take_turn(self._asked.due_at)
                asked = self._asked
                await self._cycle(CycleRequest(exact=asked.exact, awaited=asked.awaited, late_seconds=late))
            else:
                await self._recheck()

    async def _something_to_do(self) -> None:
        """Until something that was asked for may be done, or the scheduler is plainly late."""
        loop = asyncio.get_running_loop()
        overdue_at = self._next_due + OVERDUE_SECONDS
        until = min([*self._asked.times(self._check_from, self._reload_from), *self._signs.times(), overdue_at])
        if until > loop.time():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
        self._wake.clear()
        if self._asked.due_at is None and loop.time() >= overdue_at:
            self._asked.due_at = self._next_due
            self._overdue()

    async def _full_check(self) -> None:
        """A check for whoever asked, any number of times since the last: one is enough for all of them."""
        trigger, self._asked.check = self._asked.check, ""
        answers, self._asked.answers = self._asked.answers, []
        if self._asked.due_at is not None:  # it is the cycle that was due, too
            self._take_turn(self._asked.due_at)
        decision = await self._cycle(CycleRequest(trigger, None, self._asked.exact, self._asked.awaited))
        for answer in answers:
            # From the loop: what goes wrong in it is no end of the conducting.
            asyncio.get_running_loop().call_soon(answer, decision)

    def _take_turn(self, due_at: float) -> float:
        """Count the due cycle as begun; returns how late it is, in seconds."""
        now = asyncio.get_running_loop().time()
        self._asked.due_at = None
        self._next_due = max(due_at, now - self._every) + self._every
        return max(0.0, now - due_at)

    async def _recheck(self) -> None:
        now = asyncio.get_running_loop().time()
        due = {probe for probe, at in self._asked.rechecks.items() if at <= now}
        heard = self._signs.due(now)
        due |= heard or set()
        if due or heard is not None:
            await self._cycle(CycleRequest(probes=due, exact=self._asked.exact, awaited=self._asked.awaited))

    async def _cycle(self, request: CycleRequest) -> Decision | None:
        assert self._monitor is not None  # noqa: S101 - `first` brings it
        began = asyncio.get_running_loop().time()
        self._asked.rechecks = {}
        members = self._signs.begin(request.probes, began)
        try:
            decision = await self._monitor.cycle(replace(request, awaited=request.awaited | members))
            rechecks = decision.rechecks
        except Exception as error:  # noqa: BLE001 - a bug costs this cycle; a daemon that ends costs the window
            self._log.internal("a cycle failed inside; monitoring goes on", error)
            self._signs.end(None)
            return None
        self._signs.end(decision)
        self._asked.rechecks = {r.probe: began + r.after for r in rechecks if r.after is not None}
        self._asked.exact = frozenset().union(*(r.exact for r in rechecks))
        self._asked.awaited = frozenset().union(*(r.awaited for r in rechecks))
        if self._decided is not None:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._decided, decision, (loop.time() - began) * 1000.0)
        return decision
