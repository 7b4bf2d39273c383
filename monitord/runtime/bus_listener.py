"""Listens to PM2's bus: what it says is logged at once, kept for the next cycle, and a sign to check the fleet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from monitord.core.history.process_model import ServiceHistory
from monitord.core.model import OperatorAction, ProcessExit, Sample, ServiceEvent
from monitord.logging.logger import JsonLog

if TYPE_CHECKING:
    from monitord.pm2.announcer import ExitAnnouncer
    from monitord.pm2.bus import Bus


class BusListener:
    """The listener to the PM2 that is watched, where there is one.

    `known` is what is known of a service by its name, `say` reports an end as it happens, `heard` takes a sign of the
    fleet, as a sentence without its full stop. `bus` is what listens (None: there is no PM2).
    """

    def __init__(
        self,
        log: JsonLog,
        known: Callable[[str], ServiceHistory | None],
        say: Callable[[ServiceEvent], None],
        heard: Callable[[str], None],
    ) -> None:
        self._log = log
        self._known, self._say, self._heard = known, say, heard
        self.bus: Bus | None = None
        self._announcer: ExitAnnouncer | None = None

    @property
    def word(self) -> str:
        """`heard`, `lost`, or `off` where there is no PM2."""
        return "off" if self.bus is None else "heard" if self.bus.connected else "lost"

    def start(self, home: Path | None) -> None:
        """Listen to the PM2 of this home from now on; None: to nobody."""
        if home is not None:
            from monitord.pm2.announcer import ExitAnnouncer
            from monitord.pm2.bus import Bus  # only for who watches a PM2

            self._announcer = ExitAnnouncer(self._known, self._say)
            self.bus = Bus(
                home,
                partial(self._heard, "PM2's bus reports that a process ended"),
                say=self._announcer.hear,
                say_act=self._announcer.hear_act,
                on_act=partial(self._heard, "PM2's bus reports a process begun, stopped or deleted"),
                on_edge=self._edge,
                on_link=lambda is_there: self._heard(
                    f"the connection to PM2's bus {'is there again' if is_there else 'ended'}"
                ),
            )
            self.bus.start()

    def drain(self) -> tuple[ProcessExit | OperatorAction, ...]:
        """What was received since the last call."""
        return (*self.bus.drain(), *self.bus.drain_acts()) if self.bus is not None else ()

    def error_lines(self) -> tuple[Sample, ...]:
        """How many error lines each service has written, as the probe of PM2 has it in its reading."""
        return self.bus.error_lines() if self.bus is not None else ()

    async def close(self) -> None:
        bus, self.bus = self.bus, None
        if bus is not None:
            await bus.close()
        if self._announcer is not None:
            self._announcer.close()

    def _edge(self, heard: bool) -> None:
        if heard:
            self._log.emit("bus_heard", "info", "PM2's bus is connected again: exits are reported as they happen.")
        else:
            message = "PM2's bus is not connected: an exit is reported when PM2's list is next checked."
            self._log.emit("bus_lost", "info", message)
