"""Asks between cycles, over the connections that probes keep, whether their servers still answer.

A server that is frozen closes nothing: only a question shows it. What does not answer in time is a sign, and no more:
the check that follows finds out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from monitord.probes.base import PING_SECONDS, PingedProbe, answers

# Between two pings.
EVERY_SECONDS: Final = 4.0
# Cycles that are no further apart ask often enough.
SHORT_SECONDS: Final = 10.0


class Keepalives:
    """Pings servers, as long as cycles are further apart than SHORT_SECONDS.

    Args:
        heard: takes a sign: the probe's name, and a sentence without its full stop.
    """

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
        """Stop, and wait until that is done."""
        task = self._task
        self.stop()
        if task is not None:
            with suppress(asyncio.CancelledError):
                await task

    async def _go_on(self, probes: Sequence[PingedProbe]) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await asyncio.gather(*map(self._ask, probes))

    async def _ask(self, probe: PingedProbe) -> None:
        if not await answers(probe):
            self._heard(probe.name, f"a ping of {probe.name} was not answered within {PING_SECONDS:g} s")
