"""What the page reads, as one interface: it asks whoever watches for what it shows, and touches nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, Protocol, TypeVar

from monitord.config.settings import Settings
from monitord.core.alerting.incidents import Incident
from monitord.core.engine import Decision
from monitord.core.model import Alert, Command, Silence
from monitord.core.report.model import KeptWindow, Report
from monitord.core.status import Fields, FleetStatus
from monitord.core.subjects.registry import ALWAYS
from monitord.storage.ack_tokens import Standing

T = TypeVar("T")


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


class WebBackend(Protocol):
    """Called from the event loop. What is awaited raises BackendUnavailable where it cannot be had, or kept, now."""

    @property
    def settings(self) -> Settings: ...

    @property
    def seen(self) -> PublishedCycle | None:
        """None before the first cycle."""

    @property
    def whole_age_seconds(self) -> float | None:
        """None before the first whole cycle."""

    @property
    def silences(self) -> Sequence[Silence]:
        """What is quiet on purpose, over or not."""

    def ask_check(self) -> None: ...

    async def leave(self, command: Command) -> None: ...

    async def ack_standing(self, token: str) -> tuple[Standing, str]:
        """What a token that acknowledges is worth now, and its alert's id ("" where it is none of monitord's)."""

    async def use_ack(self, token: str) -> None: ...

    async def report_job(self, job: str, report: Literal["start", "success", "failure"], code: int | None) -> bool:
        """Keep what a job reports now, on the disk before this returns. False where no such check waits for it."""

    async def recorded(self, back: timedelta) -> Report:
        """What is recorded of the time since, or of as much of it as there is. Asks no server."""

    async def report(self, back: timedelta) -> Report:
        """The whole report, with the recap that only the database can give."""

    async def incidents(self, back: timedelta) -> tuple[Incident, ...]:
        """The incidents that lived since then, in the order of their first signs."""

    async def last_day(self) -> KeptWindow:
        """What the roll-ups hold of the last 24 h, the hour that runs among them."""

    async def aside(self, work: Callable[[], T]) -> T:
        """Do what takes longer than the loop should wait, on the thread that reads the record."""

    async def metrics(self) -> tuple[bytes, str]: ...

    def fault(self, what: str, error: BaseException) -> None: ...
