"""What a channel is to whoever sends through it: a name, what it takes, and one way to fail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol, runtime_checkable

from monitord.config.routes import Route
from monitord.core import humanize
from monitord.core.model import RANK, Alert, Kind, Severity
from monitord.failures import FailureError
from monitord.notify.message import Message

# HTTP: the receiver limits how many messages it accepts.
TOO_MANY: Final = 429
# Whoever asks for more is tried again all the same: an alert that waits longer than that is of no use.
LONGEST_WAIT_SECONDS: Final = 3600.0
# Too many requests, and a service that is away for a while.
_LIMITED: Final = (TOO_MANY, 503)


class SendError(FailureError):
    """A channel did not accept what it was given.

    `status` is the HTTP status, where there was one. `retry_after`: the receiver asks to be left alone for so many
    seconds, and the sentence says so. `final`: it will never accept this message.
    """

    def __init__(
        self,
        kind: Kind,
        error: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        final: bool = False,
    ) -> None:
        asks = f", and asks to wait {humanize.duration(round(retry_after))}" if retry_after else ""
        super().__init__(kind, error + asks)
        self.status = status
        self.retry_after = retry_after
        self.final = final


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How a channel wants to be delivered to.

    `least` is the least severity that is sent there, `deadline` how many seconds one sending may take. `coalesces`: a
    long queue is sent as one digest; otherwise up to `batch` messages together. `quiet`: it keeps the quiet hours and
    is reminded; otherwise its receiver has its own ways of that. `resend_every`: what fires is sent again, every so
    many seconds, as its receiver forgets it. `incidents`: its receiver pages until it receives the end, which a silence
    is too. `acknowledges`: acknowledgements are sent there. `receiver` tells one from another under the same name: a
    short digest of the address, and no secret. `routes`: what it takes by rule, subject and time (none: everything).
    """

    least: Severity = "warning"
    deadline: float = 10.0
    coalesces: bool = True
    quiet: bool = True
    resend_every: float | None = None
    incidents: bool = False
    acknowledges: bool = False
    batch: int = 100
    receiver: str = ""
    routes: tuple[Route, ...] = ()

    def takes(self, alert: Alert) -> bool:
        """Whether such an alert belongs there, at whatever time."""
        if RANK[alert.severity] < RANK[self.least]:
            return False
        return not self.routes or any(self._own(alert))

    def takes_now(self, alert: Alert, now: datetime) -> bool:
        """Whether it belongs there, and its time has come."""
        return self.takes(alert) and (not self.routes or any(one.is_time(alert, now) for one in self._own(alert)))

    def is_open(self, alert: Alert, now: datetime) -> bool:
        """Whether what has been sent there of an alert may be followed by more now."""
        return not self.routes or any(one.is_open(now) for one in self._own(alert))

    def _own(self, alert: Alert) -> Iterator[Route]:
        return (one for one in self.routes if one.takes(alert.rule, alert.subject, alert.severity))


class Channel(Protocol):
    """One channel. `name` is how the log, the settings and the outbox call it; it says nothing secret."""

    name: str
    policy: DeliveryPolicy

    async def send(self, messages: Sequence[Message], now: datetime) -> None:
        """Hand these over, or raise SendError; `now` is for their age. The caller holds the deadline."""

    async def close(self) -> None: ...


@runtime_checkable
class DescribesChannel(Protocol):
    """A channel to which it depends on the service whether an alert's end closes what its beginning opened."""

    async def closes(self) -> bool:
        """Whether it does. SendError where that is not known."""


def receiver_of(address: str) -> str:
    """What identifies this receiver in the snapshot: too short to reveal anything of the address."""
    return hashlib.sha256(f"receiver|{address}".encode()).hexdigest()[:8]


def retry_after(status: int, headers: Mapping[str, str]) -> float | None:
    """For how many seconds the receiver asks to be left alone, at most an hour; None where it does not say.

    `Retry-After` is seconds or a date, which is taken against the receiver's own clock where it gives that.
    """
    if status not in _LIMITED:
        return None
    written = headers.get("Retry-After", "").strip()
    if written.isascii() and written.isdecimal():
        seconds = float(written[:10])
    else:
        until = _date(written)
        if until is None:
            return None
        seconds = (until - (_date(headers.get("Date", "")) or datetime.now(UTC))).total_seconds()
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS)


def _date(written: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(written)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
