"""One connection of the page: each of its phases has a deadline, and the one idle for longest makes room for a new one.

uvicorn bounds only the silence between two requests, and any byte ends that silence. Here a phase's time runs from its
beginning, whatever trickles in: the head of a request, its body, and the taking of an answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# Past so many connections, a new one takes the place of the one that has kept the server waiting longest.
MOST_CONNECTIONS: Final = 128


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long the other side may take, in seconds.

    `head` runs from the connection or the end of the answer before. `taking` has a second more for each `rate` bytes
    that still wait to be taken when the other side stops reading.
    """

    head: float = 10.0
    body: float = 10.0
    taking: float = 10.0
    rate: int = 64 * 1024


class ClientConnection(H11Protocol):
    """uvicorn's, with an end to its patience: a stranger can hold neither all descriptors nor one for ever."""

    deadlines = Deadlines()
    _phase: tuple[str, object] = ("", None)
    _since = 0.0
    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _unread_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Anything that the system does not take at once is an answer that is not being read: pause_writing reports it.
        transport.set_write_buffer_limits(high=0)
        self._enter()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._enter()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._enter()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._unread_since = self.loop.time()
            seconds = self.deadlines.taking + self.transport.get_write_buffer_size() / self.deadlines.rate
            self._writing = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread_since = None
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_for("nothing", None)
        if self._writing is not None:
            self._writing.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    @property
    def waits_since(self) -> float | None:
        """Since when the other side keeps the server waiting (the loop's time); None while it is the server's turn."""
        if self._phase[0] != "answer":
            return self._since
        return self._unread_since

    def _enter(self) -> None:
        if self.conn.their_state is h11.SEND_BODY:
            self._wait_for("body", self.deadlines.body)
        elif getattr(self.cycle, "response_complete", True):  # there is no cycle before the first request
            self._wait_for("head", self.deadlines.head)
        else:
            self._wait_for("answer", None)

    def _wait_for(self, name: str, seconds: float | None) -> None:
        # By the request that it follows or belongs to: the head of the next one is another phase.
        before, self._phase = self._phase, (name, self.cycle)
        if before[0] == name and before[1] is self.cycle:
            return
        self._since = self.loop.time()
        if self._reading is not None:
            self._reading.cancel()
        self._reading = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        """Cut the connection that has kept the server waiting longest. This one waits, too, if only since now."""
        waiting = [
            (since, one)
            for one in self.connections
            if isinstance(one, ClientConnection) and (since := one.waits_since) is not None
            if not one.transport.is_closing()
        ]
        if waiting:
            min(waiting, key=lambda pair: pair[0])[1].transport.abort()
