"""What a way out is to whoever sends through it: a name, what it takes, and one way to fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from monitord.core.model import Kind, Severity
from monitord.notify.message import Message


class SendError(Exception):
    """A way out did not take what it was given: a kind to sort by and a sentence to read, free of secrets."""

    def __init__(self, kind: Kind, error: str) -> None:
        super().__init__(error)
        self.kind: Kind = kind
        self.error = error


@dataclass(frozen=True, slots=True)
class Manners:
    """How a way out wants to be talked to.

    `least` is the least severity that is told there. `deadline` is how long one sending may take, in seconds.
    `coalesces`: a long queue is told as one digest; otherwise many messages go out together, each as it is.
    `quiet`: it keeps the quiet hours and is reminded; otherwise its receiver has its own ways of that. `resend_every`:
    what fires is told again and again, every so many seconds, as its receiver forgets what it does not hear of.
    """

    least: Severity = "warning"
    deadline: float = 10.0
    coalesces: bool = True
    quiet: bool = True
    resend_every: float | None = None


class Channel(Protocol):
    """One way out. `name` is how the log, the settings and the outbox call it; it says nothing secret."""

    name: str
    manners: Manners

    async def send(self, messages: Sequence[Message], now: datetime) -> None:
        """Hand these over, all of them or none; `now` is for their age. The caller holds the deadline.

        Raises:
            SendError: they were not taken.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and children."""
        ...
