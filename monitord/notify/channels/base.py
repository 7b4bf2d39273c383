"""What a channel is to whoever sends through it: a name, what it takes, and one way to fail."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from monitord.core.model import Kind, Severity
from monitord.failures import FailureError
from monitord.notify.message import Message


class SendError(FailureError):
    """A channel did not accept what it was given.

    `status` is the HTTP status, where there was one. `retry_after`: the receiver asks to be left alone for so many
    seconds (it limits its rate, or is being maintained). `final`: it will never accept this message, however often it
    is tried.
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
        super().__init__(kind, error)
        self.status = status
        self.retry_after = retry_after
        self.final = final


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How a channel wants to be delivered to.

    `least` is the least severity that is sent there. `deadline` is how long one sending may take, in seconds.
    `coalesces`: a long queue is sent as one digest; otherwise messages go out each as it is, up to `batch` of them
    together. `quiet`: it keeps the quiet hours and is reminded; otherwise its receiver has its own ways of that.
    `resend_every`: what fires is sent again, every so many seconds, as its receiver forgets what it does not
    receive. `incidents`: its receiver keeps what fires open, and pages, until it receives the end; a silence is sent
    as of an end, and of nothing that has none. `acknowledges`: acknowledgements are sent there. `receiver` tells one
    receiver from another under the same name ("" where there is only ever one): a short digest of the address, and no
    secret.
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


class Channel(Protocol):
    """One channel. `name` is how the log, the settings and the outbox call it; it says nothing secret."""

    name: str
    policy: DeliveryPolicy

    async def send(self, messages: Sequence[Message], now: datetime) -> None:
        """Hand these over, all of them or none; `now` is for their age. The caller holds the deadline.

        Raises:
            SendError: they were not accepted.
        """
        ...

    async def close(self) -> None: ...


@runtime_checkable
class DescribesChannel(Protocol):
    """A channel to which it depends on the service whether an alert's end closes what its beginning opened."""

    async def closes(self) -> bool:
        """Whether it does. SendError where that is not known."""
        ...


def receiver_of(address: str) -> str:
    """What identifies this receiver in the snapshot: too short to reveal anything of the address."""
    return hashlib.sha256(f"receiver|{address}".encode()).hexdigest()[:8]
