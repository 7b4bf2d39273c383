"""What the page reads of the daemon that it runs in: its last cycle from memory, its record on a thread of its own."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from monitord.config.judging import standing_orders
from monitord.config.settings import Settings
from monitord.core.alerting.incidents import Incident
from monitord.core.engine import Decision
from monitord.core.model import Alert, Command, Silence
from monitord.core.orders import StandingOrders
from monitord.core.report.builder import build_report
from monitord.core.report.kept import last_day
from monitord.core.report.model import KeptWindow, Report
from monitord.core.series import Rollup
from monitord.core.status import Fields, FleetStatus
from monitord.core.subjects.check_rules import PROBE as CHECKS
from monitord.core.subjects.registry import ALWAYS
from monitord.logging.logger import JsonLog
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.reporting.report_builder import recorded_cycles, report_from_recording
from monitord.storage.ack_tokens import AckTokens, Standing
from monitord.storage.inbox import JobReport, keep
from monitord.storage.reader import read_incidents, recorded_span
from monitord.storage.rollups import first_hour, read_rollups
from monitord.storage.schema import SnapshotUnavailable, UnusableSnapshot
from monitord.threads import WorkerBusy, WorkerThread

T = TypeVar("T")

# How long reading the record may take, what waits for it included; and how long leaving a command may.
READ_SECONDS: Final = 60.0
LEAVE_SECONDS: Final = 3.0
_NO_TOKENS: Final = "what acknowledges by a link cannot be read or kept"
_SHORTEST_NIGHT: Final = timedelta(minutes=1)


class BackendUnavailable(Exception):  # noqa: N818 - it names the state of what was asked for
    """The message is half a sentence for people, free of secrets."""


class PublishedCycle:
    def __init__(self, decision: Decision, trigger: str, duration_ms: float) -> None:
        """`trigger` is "" for a quiet cycle; `duration_ms` is how long observing and deciding took."""
        self.decision = decision
        self.trigger = trigger or "schedule"
        self.duration_ms = round(duration_ms, 3)
        self._published = time.monotonic()

    @property
    def at(self) -> datetime:
        return self.decision.at

    @property
    def age_seconds(self) -> float:
        """By a clock that nobody sets."""
        return time.monotonic() - self._published

    @property
    def is_whole(self) -> bool:
        """Only whole cycles check the monitor itself."""
        history = self.decision.state.history
        return all(history.taken_at.get(name) == history.at for name in ALWAYS)

    @property
    def confirmed(self) -> dict[str, Alert]:
        return {alert.id: alert for alert in self.decision.state.alerts.values() if alert.is_confirmed}

    @cached_property
    def report(self) -> FleetStatus:
        return self.decision.report

    @cached_property
    def fields(self) -> Fields:
        return {"at": self.at, "trigger": self.trigger, "duration_ms": self.duration_ms, **self.report.as_fields()}


class DaemonBackend:
    """What the page asks, answered by the daemon that it runs in.

    Called from the event loop. What is awaited raises BackendUnavailable where it cannot be had, or kept, now. `seen`
    is None before the first cycle.
    """

    def __init__(
        self,
        log: JsonLog,
        settings: Settings,
        ask_check: Callable[[str], None],
        leave: Callable[[Path, Command], None],
        facts: Callable[[Settings], Facts],
        running: Callable[[], tuple[Rollup, ...]],
        heard: Callable[[str, str, str], None],
    ) -> None:
        """`ask_check` asks for a full check for a trigger; `leave` leaves a command in a state directory (it blocks).

        `facts` is what the metrics say of monitord itself, `running` the rows of the hour that runs; `heard` takes what
        is to be acted on at once: a probe ("": none), a sentence without its full stop, the member that it is about.
        """
        self.settings = settings
        self._log, self._ask_check, self._leave = log, ask_check, leave
        self._facts, self._running, self._heard = facts, running, heard
        self.seen: PublishedCycle | None = None
        self._whole_at: float | None = None
        self._record = WorkerThread("the page's record")
        self._commands = WorkerThread("the page's commands")
        self._tokens: AckTokens | None = None

    def saw(self, seen: PublishedCycle, whole_at: float | None) -> None:
        """A cycle is over; the last whole one ended at `whole_at`, by the monotonic clock."""
        self.seen, self._whole_at = seen, whole_at

    @property
    def whole_age_seconds(self) -> float | None:
        """None before the first whole cycle."""
        return None if self._whole_at is None else time.monotonic() - self._whole_at

    @property
    def silences(self) -> Sequence[Silence]:
        """What is quiet on purpose, over or not."""
        return () if self.seen is None else tuple(self.seen.decision.state.silences.values())

    def ask_check(self) -> None:
        self._ask_check("http")

    async def leave(self, command: Command) -> None:
        with _unavailable("it could not be left for monitord: {}"):
            await self._commands.run(self._leave, self.settings.state_dir, command, timeout=LEAVE_SECONDS)
        self._heard("", "an operator's command was left on the page", "")

    async def ack_standing(self, token: str) -> tuple[Standing, str]:
        """What a token that acknowledges is worth now, and its alert's id ("" where it is none of monitord's)."""
        return await self._with_tokens(lambda tokens: tokens.standing(token, time.time()))

    async def use_ack(self, token: str) -> None:
        await self._with_tokens(lambda tokens: tokens.use(token, time.time()))

    async def _with_tokens(self, work: Callable[[AckTokens], T]) -> T:

        def done() -> T:
            if self._tokens is None:
                self._tokens = AckTokens(self.settings.state_dir)
            return work(self._tokens)

        with _unavailable(_NO_TOKENS):
            try:
                return await self._commands.run(done, timeout=LEAVE_SECONDS)
            except ValueError:
                raise BackendUnavailable(_NO_TOKENS) from None

    async def report_job(self, job: str, report: JobReport, code: int | None) -> bool:
        """Keep what a job reports now, on the disk before this returns. False where no such check waits for it."""
        check = self.settings.checks.get(job)
        if check is None or not check.is_reported:
            return False
        at = time.time()
        with _unavailable("the report could not be kept: {}"):
            await self._commands.run(keep, self.settings.state_dir, job, report, at, code, timeout=LEAVE_SECONDS)
        if report == "failure" or (report == "success" and self._is_alerted(job)):
            what = "a failure" if report == "failure" else "that it is done"
            self._heard(CHECKS, f"{job} reported {what}", job)
        return True

    def _is_alerted(self, job: str) -> bool:
        alerts = () if self.seen is None else self.seen.decision.state.alerts.values()
        return any(alert.probe == CHECKS and alert.subject == job for alert in alerts)

    async def recorded(self, back: timedelta) -> Report:
        """What is recorded of the time since, or of as much of it as there is. Asks no server."""
        return await self.aside(lambda: _night(self.settings.state_dir, self._orders(), back))

    async def report(self, back: timedelta) -> Report:
        """The whole report, with the recap that only the database can give."""
        until = datetime.now(UTC)
        with _unavailable():
            return await report_from_recording(self.settings, self._orders(), until - back, until)

    async def incidents(self, back: timedelta) -> tuple[Incident, ...]:
        seen = self.seen
        living = None if seen is None else tuple(seen.decision.state.alerts.values())
        return await self.aside(lambda: read_incidents(self.settings.state_dir, datetime.now(UTC) - back, living))

    async def last_day(self) -> KeptWindow:
        running = self._running()
        return await self.aside(lambda: _last_day(self.settings.state_dir, running))

    async def aside(self, work: Callable[[], T]) -> T:
        """Do what takes longer than the loop should wait, on the thread that reads the record."""
        with _unavailable():
            return await self._record.run(work, timeout=READ_SECONDS)

    async def metrics(self) -> tuple[bytes, str]:
        """The last cycle for Prometheus: milliseconds, even with thousands of services."""
        if (seen := self.seen) is None:
            raise BackendUnavailable("the first check is not over yet")
        facts = replace(
            self._facts(self.settings),
            at=seen.at,
            cycle_seconds=seen.duration_ms / 1000,
            whole_age_seconds=self.whole_age_seconds,
        )
        return exposition(seen.report, facts)

    def fault(self, what: str, error: BaseException) -> None:
        self._log.internal(what, error)

    def close(self) -> None:
        """Let both threads end once they have done what they do."""
        self._record.close()
        self._commands.close()

    def _orders(self) -> StandingOrders:
        return self.seen.decision.orders if self.seen is not None else standing_orders(self.settings)


@contextmanager
def _unavailable(sentence: str = "{}") -> Iterator[None]:
    """What keeps the state directory from being read or written, as the page says it (`{}`: the error)."""
    try:
        yield
    except (TimeoutError, WorkerBusy):
        raise BackendUnavailable("the state directory does not answer") from None
    except (UnusableSnapshot, SnapshotUnavailable, OSError, sqlite3.Error) as error:
        raise BackendUnavailable(sentence.format(error)) from None


def _night(directory: Path, orders: StandingOrders, back: timedelta) -> Report:
    """The report of the window that ends now; monitoring younger than that has a shorter one."""
    until = datetime.now(UTC)
    recorded = recorded_span(directory)
    begun = until - back if recorded is None else max(until - back, recorded[0])
    since = min(begun, until - _SHORTEST_NIGHT)
    return build_report(recorded_cycles(directory, orders, since), orders, since.timestamp(), until.timestamp())


def _last_day(directory: Path, running: Sequence[Rollup]) -> KeptWindow:
    """The roll-ups of the last 24 h, with those of the hour that runs."""
    now = datetime.now(UTC)
    days = read_rollups(directory, now - timedelta(days=1), now)
    return last_day(now.timestamp(), first_hour(directory), days, running)
