"""Logs ends as PM2's bus reports them, whatever else is going on: the first at once, those that follow together.

A service is logged once a second at most, so a loop that dies a hundred times a second is a line a second with a
number in it. A service beyond MAX_SERVICES is left to the next check of PM2's list: nothing is lost.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from monitord.core.history.process_events import action_event, crash_event, repeated_crashes
from monitord.core.history.process_model import ServiceHistory
from monitord.core.model import OperatorAction, ProcessExit, ServiceEvent

PACE_SECONDS = 1.0
MAX_SERVICES = 200  # logged within a second; whose name it is does not matter, so names cannot grow memory


@dataclass(slots=True)
class _Burst:
    """One service that has been logged, and how many ends have followed. `due`: the loop's seconds."""

    due: float
    times: int = 0
    last: ProcessExit | None = None


class ExitAnnouncer:
    """Receives exits, logs events, and marks on the exits what it has logged."""

    def __init__(
        self,
        known: Callable[[str], ServiceHistory | None],
        say: Callable[[ServiceEvent], None],
        pace: float = PACE_SECONDS,
    ) -> None:
        """`known`: what is known of a service; `say` must not block; `pace`: seconds in which one is logged once."""
        self._known = known
        self._say = say
        self._pace = pace
        self._bursts: dict[str, _Burst] = {}  # the one that is due first first: all wait equally long
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: set[str] = set()  # what was last logged as stopped; only names of the fleet

    @property
    def busy(self) -> bool:
        return bool(self._bursts)

    def hear(self, exits: Sequence[ProcessExit]) -> tuple[ProcessExit, ...]:
        """The exits, each marked with how many ends of its service are logged with it; on the running loop."""
        return tuple(map(self._receive, exits))

    def hear_act(self, act: OperatorAction) -> bool:
        """Logs an operator's action that is news; whether it did. They are too rare to be paced."""
        event = action_event(act, self._known(act.service))
        if event is None:
            return False
        if event.change == "restarted" and act.service in self._stopped:  # the list has not shown the stop yet
            event = replace(event, change="started", detail="started by an operator", restarts=0, kind=None)
        self._stopped.discard(act.service)
        if event.change == "stopped":
            self._stopped.add(act.service)
        self._say(event)
        return True

    def close(self) -> None:
        """Logs what was to be logged later. What is received from now on is logged as before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        bursts, self._bursts = self._bursts, {}
        for burst in bursts.values():
            self._log_what_followed(burst)

    def _receive(self, end: ProcessExit) -> ProcessExit:
        event = crash_event(end, self._known(end.service))
        if event is None:
            return end
        burst = self._bursts.get(end.service)
        if burst is not None:
            burst.times, burst.last = burst.times + 1, end
        elif len(self._bursts) >= MAX_SERVICES:
            return end
        else:
            self._say(event)
            self._begin_burst(end.service)
        return replace(end, said=1)

    def _begin_burst(self, service: str) -> None:
        loop = asyncio.get_running_loop()
        self._bursts[service] = _Burst(loop.time() + self._pace)
        if self._timer is None:
            self._timer = loop.call_later(self._pace, self._burst_over)

    def _burst_over(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        for service, burst in [(name, burst) for name, burst in self._bursts.items() if burst.due <= now]:
            del self._bursts[service]
            if burst.times:
                self._log_what_followed(burst)
                self._bursts[service] = _Burst(now + self._pace)
        if self._bursts:
            self._timer = loop.call_at(next(iter(self._bursts.values())).due, self._burst_over)

    def _log_what_followed(self, burst: _Burst) -> None:
        if burst.last is not None:
            self._say(repeated_crashes(burst.last, burst.times))
