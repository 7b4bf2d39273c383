"""What is heard between cycles: a sign makes the check of what it is about due at once, within bounds.

A sign proves nothing: the check finds out, and what it finds is confirmed by another one, as ever. That signs come all
the time, from a connection that is closed again and again, makes no more checks than there would be cycles. A server
that is frozen closes nothing: it is pinged over the connection that its probe keeps, and no answer is a sign.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from monitord.core.engine import Decision
from monitord.probes.base import PING_SECONDS, PingedProbe, answers

# After a death PM2 has a new process within milliseconds; a loop that dies ten times a second is checked once.
SETTLE_SECONDS: Final = 0.05
# A sign makes a check due no sooner than so long after the one before began.
PACE_SECONDS: Final = 1.0
# After so many checks in a row that came to nothing, each more doubles the wait, up to the interval of cycles.
MOST_IN_VAIN: Final = 3
# Whatever was heard in vain is forgotten after so long without a sign.
CALM_SECONDS: Final = 600.0
# Between two pings.
PING_EVERY_SECONDS: Final = 4.0
# Cycles that are no further apart ask often enough.
SHORT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sign:
    """Something was heard of what a probe measures: `what` is a sentence without its full stop.

    `member` is the one of its members that it is about ("": all of it). Without a `probe` nothing need be measured:
    there is something to decide.
    """

    probe: str
    what: str
    member: str = ""


@dataclass(slots=True)
class _Kind:
    """Signs of one probe and member: until when a check waits (None: none is due), and how the last ones came out."""

    due: float | None = None
    heard: float = float("-inf")
    checked: float = float("-inf")
    in_vain: int = 0


class Signs:
    """Which probes are to be taken sooner than they are due. All times are one monotonic clock's seconds."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._taken: list[_Kind] = []
        self.every = PACE_SECONDS

    def hear(self, sign: Sign, now: float) -> bool:
        """Whether a check is due because of this sign that was not due before."""
        kind = self._kinds.setdefault((sign.probe, sign.member), _Kind())
        if kind.due is not None:
            return False
        if now - kind.heard >= CALM_SECONDS:
            kind.in_vain = 0
        kind.heard = now
        kind.due = max(now + SETTLE_SECONDS, kind.checked + self._apart(kind))
        return True

    def times(self) -> Iterator[float]:
        return (kind.due for kind in self._kinds.values() if kind.due is not None)

    def due(self, now: float) -> frozenset[str] | None:
        """The probes that are to be taken by now, none where something is only to be decided; None: nothing is due."""
        due = [probe for (probe, _), kind in self._kinds.items() if kind.due is not None and kind.due <= now]
        return frozenset(filter(None, due)) if due else None

    def begin(self, probes: Collection[str] | None, now: float) -> frozenset[str]:
        """A cycle begins that takes these probes (None: all): the members that it is to take because of a sign."""
        self._taken, members = [], set()
        for (probe, member), kind in self._kinds.items():
            if probes is not None and probe and probe not in probes:
                continue
            if kind.due is not None:
                self._taken.append(kind)
                members |= {member}
            if not member or kind.due is not None:
                kind.due, kind.checked = None, now
        return frozenset(filter(None, members))

    def end(self, decision: Decision | None) -> None:
        """That cycle is over; without a decision, it failed inside."""
        came = decision is not None and bool(
            decision.transitions or decision.events or decision.probe_edges or decision.outcomes
        )
        for kind in self._taken:
            kind.in_vain = 0 if came else kind.in_vain + 1
        self._taken = []

    def _apart(self, kind: _Kind) -> float:
        doubled = PACE_SECONDS * 2.0 ** min(32, max(0, kind.in_vain - MOST_IN_VAIN))
        return min(doubled, max(PACE_SECONDS, self.every))


class Keepalives:
    """Pings servers while cycles are further apart than SHORT_SECONDS; `heard` takes a name and a sentence."""

    def __init__(self, heard: Callable[[str, str], None]) -> None:
        self._heard = heard
        self._task: asyncio.Task[None] | None = None

    def start(self, probes: Sequence[PingedProbe], cycle_seconds: float) -> None:
        """Ping these from now on, and no others."""
        self.stop()
        if probes and cycle_seconds > SHORT_SECONDS:
            self._task = asyncio.get_running_loop().create_task(self._go_on(probes), name="pings")

    def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        task = self._task
        self.stop()
        if task is not None:
            with suppress(asyncio.CancelledError):
                await task

    async def _go_on(self, probes: Sequence[PingedProbe]) -> None:
        while True:
            await asyncio.sleep(PING_EVERY_SECONDS)
            await asyncio.gather(*map(self._ask, probes))

    async def _ask(self, probe: PingedProbe) -> None:
        if not await answers(probe):
            self._heard(probe.name, f"a ping of {probe.name} was not answered within {PING_SECONDS:g} s")
