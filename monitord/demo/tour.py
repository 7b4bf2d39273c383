"""The tour: the fleet is started and watched, one thing after another is broken and mended, and the tally is made.

Whatever happens meanwhile, the fleet and the monitord that watches it are ended and their files removed. A signal
only ever cancels the tour itself, never this ending.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitord.core import humanize
from monitord.core.units import duration, duration_text
from monitord.demo.child import ChildError, FiredAlert, MonitordChild
from monitord.demo.fleets import DemoFleet
from monitord.demo.scenario import Fault
from monitord.demo.scene import Kind, Scene, SceneEntry
from monitord.demo.stack import Stack
from monitord.demo.tally import FaultOutcome, TourTally, tally_lines
from monitord.demo.view import DemoView, view
from monitord.testing.sandbox import StackError

# How long monitord may take to say that a healthy fleet is well.
WELL_SECONDS = 30.0
DETECT_SECONDS = 60.0
CLEAR_SECONDS = 60.0
# How long a fault that was detected, and a fleet that is well again, is left to be seen.
HOLD_SECONDS = 1.5
# How far past a given duration a fault that was injected may still be waited for.
OVERRUN_SECONDS = 10.0

FAILED, MISSING, INTERRUPTED = 1, 2, 130


@dataclass(frozen=True, slots=True)
class Plan:
    """`duration` is from the moment the fleet is up (None: as long as the faults take), `port` may be None: any."""

    fleet: DemoFleet
    faults: tuple[Fault, ...]
    duration: timedelta | None = None
    port: int | None = None


class NotWellError(Exception):
    """monitord did not say that the fleet is well; the message is a sentence."""


class Tour:
    def __init__(self, stack: Stack, plan: Plan, view: DemoView) -> None:
        self._stack = stack
        self._plan = plan
        self._view = view
        self._child: MonitordChild | None = None
        self._story: list[SceneEntry] = []
        self._stage = ""
        self._ends = float("inf")
        self._fault: Fault | None = None
        self._broken_at = self._mended_at = 0.0
        self._growth_window = ""
        self.tally = TourTally()

    async def run(self) -> None:
        """StackError: the stack could not. ChildError: monitord ended. NotWellError: it never said that all is well."""
        await self._stack.start()
        if self._plan.duration is not None:
            self._ends = self._now() + self._plan.duration.total_seconds()
        settings = self._stack.environment() | {**self._plan.fleet.tour, "MONITORD_LOG_LEVEL": "debug"}
        page = settings["MONITORD_HTTP__LISTEN"] = f"127.0.0.1:{self._stack.page_port}"
        self._growth_window = humanize.duration(duration(settings["MONITORD_ORDERS__GROWTH_WINDOW"]).total_seconds())
        began = self._now()
        self._child = child = MonitordChild(self._stack.sandbox, settings, self)
        self._view.progress("starting monitord run")
        await child.start()
        self._view.open()
        self._note("note", f"the same as a page, while this lasts: http://{page}/")
        frames = asyncio.create_task(self._frames())
        try:
            await self._go(child)
            self.tally.verdict = await child.verdict(self._now() - began)
        finally:
            frames.cancel()
            with suppress(asyncio.CancelledError):
                await frames
            self.tally.alerts = child.alerts

    async def stop(self) -> None:
        try:
            if self._child is not None:
                await self._child.stop()
        finally:
            await self._stack.stop()

    # What monitord says, as it says it

    def fired(self, alert: FiredAlert) -> None:
        if self._fault is not None and alert.key in self._fault.expected:
            self._note("said", f"monitord, {_after(alert.at - self._broken_at)} later: {alert.summary} [{alert.rule}]")
        else:
            self._note("beside", f"monitord, besides: {alert.summary} [{alert.rule}]")

    def resolved(self, alert: FiredAlert) -> None:
        expected = self._fault is not None and alert.key in self._fault.expected
        if expected and self._mended_at and alert.resolved_at is not None:
            later = _after(alert.resolved_at - self._mended_at)
            self._note("cleared", f"monitord, {later} later: {alert.rule} of {alert.subject} is resolved")
        else:
            self._note("cleared" if expected else "beside", f"monitord: {alert.rule} of {alert.subject} is resolved")

    def warned(self, sentence: str) -> None:
        self._note("note", f"monitord: {sentence}")

    # The tour itself

    async def _go(self, child: MonitordChild) -> None:
        self._stage = "waiting until monitord says that all is well"
        if await child.until(lambda: child.is_well, min(WELL_SECONDS, self._left())):
            self._note("note", f"monitord: {(child.report or {})['message']}")
        elif self._left() > 0:
            last = "nothing yet" if child.report is None else str(child.report["message"])
            raise NotWellError(f"monitord did not find the fleet well within {WELL_SECONDS:g} s; it reports: {last}")
        total = len(self._plan.faults)
        for number, fault in enumerate(self._plan.faults, 1):
            if fault.seconds > self._left():
                self.tally.left_out.append(fault)
                continue
            self.tally.outcomes.append(await self._show(child, fault, f"{number} of {total}"))
            if not child.is_well:
                self.tally.left_out += self._plan.faults[number:]
                self._note("trouble", "monitord does not say that all is well again: nothing more is broken")
                break
            self._stage = f"{number} of {total}: {fault.mended}; all is well"
            await child.until(lambda: False, min(HOLD_SECONDS, self._left()))
        else:
            if self.tally.left_out:
                names = humanize.listed([fault.name for fault in self.tally.left_out], most=total)
                self._note("note", f"left out, as it could not clear in the time that is left: {names}")
        if self._plan.duration is not None:
            self._stage = f"watching until {duration_text(self._plan.duration)} are over"
            await child.until(lambda: False, self._left())

    async def _show(self, child: MonitordChild, fault: Fault, which: str) -> FaultOutcome:
        before = len(child.alerts)
        self._fault, self._broken_at, self._mended_at = fault, self._now(), 0.0
        self._stage = f"{which}: {fault.broke}; what does monitord say?"
        self._note("broke", fault.broke)

        def detecting() -> list[FiredAlert]:
            return [alert for alert in child.alerts[before:] if alert.key in fault.expected]

        await fault.breaks(self._stack)
        detected = await child.until(lambda: bool(detecting()), self._patience(DETECT_SECONDS))
        if detected:
            self._stage = f"{which}: {fault.broke}; monitord has reported it"
            await child.until(lambda: False, HOLD_SECONDS)
        else:
            self._note("trouble", f"monitord has not noticed after {_after(self._now() - self._broken_at)}")
        self._mended_at = self._now()
        self._stage = f"{which}: {fault.mended}; does monitord see it?"
        self._note("mended", fault.mended)
        await fault.mends(self._stack)
        await child.until(
            lambda: child.is_well and all(alert.resolved_at is not None for alert in child.alerts),
            self._patience(CLEAR_SECONDS),
        )
        self._fault = None
        found = detecting()
        resolved = [alert.resolved_at for alert in found if alert.resolved_at is not None]
        cleared = bool(found) and len(resolved) == len(found)
        return FaultOutcome(
            fault=fault,
            alert=found[0] if found else None,
            detected_after=found[0].at - self._broken_at if found else None,
            cleared_after=max(0.0, max(resolved) - self._mended_at) if cleared else None,
            besides=tuple(alert for alert in child.alerts[before:] if alert.key not in fault.expected),
        )

    async def _frames(self) -> None:
        while True:
            child = self._child
            self._view.frame(
                Scene(
                    now=time.time(),
                    stage=self._stage,
                    report=child.report if child is not None else None,
                    pending=child.pending if child is not None else (),
                    story=self._story,
                    growth_window=self._growth_window,
                )
            )
            await asyncio.sleep(self._view.every)

    def _note(self, kind: Kind, text: str) -> None:
        entry = SceneEntry(datetime.now(UTC), kind, text)
        self._story.append(entry)
        self._view.tell(entry)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _left(self) -> float:
        return max(0.0, self._ends - self._now())

    def _patience(self, seconds: float) -> float:
        return min(seconds, max(0.0, self._ends + OVERRUN_SECONDS - self._now()))


async def demonstrate(plan: Plan) -> int:
    """0: every fault was detected and cleared, 1: not, or something failed, 2: not installed, 130: interrupted."""
    interruption = _Interruption()
    shown = view(sys.stdout, os.environ, interruption.ask)
    stack = Stack(fleet=plan.fleet, page_port=plan.port, progress=shown.progress)
    tour = Tour(stack, plan, shown)
    shown.say(f"monitord demo: {plan.fleet.title}.", "Times are UTC; Ctrl-C ends it and leaves nothing behind.")
    work = asyncio.create_task(tour.run())
    interruption.ends(work)
    with interruption.by_signals():
        code, closing = await _outcome(work, tour, shown)
        shown.explain(*(["Ending the fleet."] if interruption.asked else []))
        try:
            await tour.stop()
            left = "no process and no file is left behind"
        except StackError as error:
            code, left = code or FAILED, f"not everything could be cleaned up: {error}"
        shown.explain(f"{closing}; {left}.")
    if code == 0:
        shown.say("")
        shown.explain('Where to go next: "Beside your fleet" in the README; monitord init scans it.')
    return INTERRUPTED if interruption.asked else code


async def _outcome(work: asyncio.Task[None], tour: Tour, shown: DemoView) -> tuple[int, str]:
    """The exit code and the closing sentence, with everything that stands before it already printed."""
    problem = ""
    lines: list[str] = []
    code = FAILED
    try:
        await work
    except asyncio.CancelledError:
        code, problem = INTERRUPTED, "Interrupted"
    except StackError as error:
        code, problem = (MISSING if error.kind == "missing" else FAILED), f"The demo cannot go on: {error}"
    except NotWellError as error:
        problem = str(error).rstrip(".")
    except ChildError as error:
        problem, lines = f"{error}", ["Its last lines:", *(f"  {line}" for line in error.lines)]
    finally:
        shown.close()
    shown.explain(*lines)
    shown.say(*tally_lines(tour.tally, shown.screen))
    if problem:
        return code, problem
    return (0 if tour.tally.is_good else FAILED), tour.tally.closing


class _Interruption:
    """Ctrl-C, SIGTERM, a closed terminal, a reader that has gone: each ends the tour, once."""

    def __init__(self) -> None:
        self.asked = False
        self._work: asyncio.Task[None] | None = None

    def ends(self, work: asyncio.Task[None]) -> None:
        self._work = work
        if self.asked:
            work.cancel()

    def ask(self) -> None:
        if not self.asked:
            self.asked = True
            if self._work is not None:
                self._work.cancel()

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        # Who started this with nohup wants it to outlive the terminal.
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        for number in numbers:
            loop.add_signal_handler(number, self.ask)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def _after(seconds: float) -> str:
    return humanize.duration(max(0.0, seconds))
