"""One probe of all checks that are due, each with its deadline; a file here and an entry each, imported if used."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Final

from monitord.core.model import Failure, Sample, Unmeasured, sample
from monitord.core.subjects.check_rules import KEPT, PROBE, VALUE
from monitord.failures import FailureError
from monitord.probes.base import Measured, Request
from monitord.probes.checks.base import CheckClient, CheckResult, ScheduledCheck

if TYPE_CHECKING:
    from monitord.probes import ProbeContext

# So many run at the same time; the rest follow as those end.
AT_ONCE: Final = 100
# Of those that are processes, so many for each core: they begin with work, and then mostly wait for an answer.
PROCESSES_A_CORE: Final = 4
# Of the reading's deadline: what runs longer than that is read with a later reading.
_SHARE: Final = 0.9
# A check begins its turn this much early, since a cycle does not begin at the very moment.
_EARLY_SECONDS, _EARLY_SHARE = 1.0, 0.1
# A check has a sentence of its own for its deadline; whoever does not keep it is ended so much later.
_BACKSTOP: Final = 1.1
_CLOSE_SECONDS: Final = 2.0


def _class(place: str) -> Callable[..., CheckClient]:
    found: Callable[..., CheckClient] = resolve_name(f"{__name__}.{place}")
    return found


# Type -> what makes a check of its settings: its name, what is set of it, its deadline in seconds, what probes share.
MAKERS: Final[Mapping[str, Callable[[str, Any, float, ProbeContext], CheckClient]]] = {
    "http": lambda name, check, timeout, _: _class("http:HttpCheck")(name, check, timeout),
    "tcp": lambda name, check, timeout, _: _class("tcp:TcpCheck")(name, check, timeout),
    "sql": lambda name, check, timeout, context: _class("sql:SqlCheck")(
        name, context.shared, check.query, check.unit, timeout
    ),
    "freshness": lambda name, check, timeout, context: _class("sql:FreshnessCheck")(
        name, context.shared, check.table, check.column, check.query, timeout
    ),
    "checkin": lambda name, _, timeout, context: _class("checkin:CheckinCheck")(name, context.reports, timeout),
    "command": lambda name, check, timeout, _: _class("command:CommandCheck")(name, check.command, timeout),
}


def made(context: ProbeContext) -> list[ScheduledCheck]:
    settings, found = context.settings, []
    for name, check in settings.checks.items():
        timeout = (check.timeout or settings.probe_timeout).total_seconds()
        # One that may take as long as the reading says itself that it took too long, before the reading ends.
        own = (
            min(timeout, settings.probe_timeout.total_seconds() * _SHARE * _SHARE) if check.timeout is None else timeout
        )
        client = MAKERS[check.type](name, check, own, context)
        found.append(ScheduledCheck(client, check.every, own, is_process=check.type == "command"))
    return found


def processes_at_once() -> int:
    """How many checks may be processes at the same time, by the cores that monitord may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(AT_ONCE, PROCESSES_A_CORE * (cores or 1))


@dataclass(frozen=True, slots=True)
class _Last:
    """The result of a check, and when it was first reported (Unix seconds)."""

    samples: tuple[Sample, ...]
    gap: Unmeasured | None
    at: float


class ChecksProbe:
    """Runs the checks that are due, and gives of each what is known: of those that are not due their last result."""

    name = PROBE

    def __init__(self, checks: Sequence[ScheduledCheck]) -> None:
        self._checks = {check.client.name: check for check in checks}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._processes = asyncio.Semaphore(processes_at_once())
        self._running: dict[str, asyncio.Task[CheckResult | Failure]] = {}
        self._began: dict[str, float] = {}
        self._took: dict[str, float] = {}  # seconds
        self._last: dict[str, _Last] = {}

    @property
    def patience(self) -> float:
        return max((check.timeout for check in self._checks.values()), default=0.0) * _BACKSTOP / _SHARE

    async def measure(self, request: Request) -> Measured:
        """Begin what is due, and wait for it as long as this reading may take. What runs on is in a later one.

        Nor is what took longer than that the last time waited for: it would not be done, and only hold the cycle.
        """
        loop = asyncio.get_running_loop()
        now, share = loop.time(), request.timeout * _SHARE
        deadline = now + share
        begun = []
        for name, check in self._checks.items():
            if name not in self._running and self._is_due(check, request, now):
                self._began[name] = now
                self._running[name] = loop.create_task(self._run(check), name=f"check {name}")
                if name in request.awaited or self._took.get(name, 0.0) <= share:
                    begun.append(self._running[name])
        if begun:  # what runs since an earlier reading may end in this one, and is not waited for again
            await asyncio.wait(begun, timeout=max(0.0, deadline - loop.time()))
        fresh = [name for name, task in self._running.items() if task.done()]
        for name in fresh:
            self._last[name] = _told(name, self._running.pop(name), request.now)
        return self._measured(frozenset(fresh))

    async def close(self) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=_CLOSE_SECONDS)
        self._running.clear()

    def _is_due(self, check: ScheduledCheck, request: Request, now: float) -> bool:
        name = check.client.name
        if name in request.awaited or name not in self._began:
            return True
        if not request.whole or check.every is None:
            return request.whole
        every = check.every.total_seconds()
        return now - self._began[name] >= every - min(_EARLY_SECONDS, every * _EARLY_SHARE)

    async def _run(self, check: ScheduledCheck) -> CheckResult | Failure:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await self._result(check)
        finally:
            self._took[check.client.name] = loop.time() - began

    async def _result(self, check: ScheduledCheck) -> CheckResult | Failure:
        async with self._processes if check.is_process else nullcontext(), self._slots:
            try:
                async with asyncio.timeout(check.timeout * _BACKSTOP):
                    return await check.client.run()
            except FailureError as error:
                return Failure(error.kind, error.error)
            except TimeoutError:
                return Failure("timeout", f"{check.client.name} took longer than {check.timeout:g} s")
            except Exception as error:  # noqa: BLE001 - a bug in a check must cost that check, not the others
                # The type only: the text of an unforeseen error may carry an address.
                return Failure("internal", f"the check {check.client.name} failed inside: {type(error).__name__}")

    def _measured(self, fresh: frozenset[str]) -> Measured:
        samples: list[Sample] = []
        gaps: list[Unmeasured] = []
        for name in self._checks:
            last = self._last.get(name)
            if last is None:
                gaps.append(Unmeasured(name, "timeout", f"{name} has not answered yet", alone=True))
                continue
            samples += last.samples
            samples.append(sample(KEPT, None if name in fresh else last.at, "timestamp", check=name))
            if last.gap is not None:
                gaps.append(last.gap)
        return Measured(tuple(samples), tuple(gaps))


def _told(name: str, task: asyncio.Task[CheckResult | Failure], now: float) -> _Last:
    cancelled = Failure("internal", f"the check {name} was cancelled by its own driver")
    came = cancelled if task.cancelled() else task.result()
    if isinstance(came, Failure):
        return _Last((sample(VALUE, None, check=name),), Unmeasured(name, came.kind, came.error, alone=True), now)
    return _Last(came.samples, None, now)
