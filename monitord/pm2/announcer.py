"""Says of ends as PM2's bus tells of them, whatever else is going on: the first at once, those that follow together.

A service is spoken of once a second at most, so a loop that dies a hundred times a second is a line a second with a
number in it. Who is not spoken of, since too many others are, is left to the next check of PM2's list: nothing is lost.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from monitord.core.history.process_events import act_heard, crash_heard, crashes_heard
from monitord.core.history.process_model import ServiceHistory
from monitord.core.model import OperatorAction, ProcessExit, ServiceEvent

PACE_SECONDS = 1.0
MAX_SERVICES = 200  # spoken of within a second; whose name it is does not matter, so names cannot grow memory


@dataclass(slots=True)
class _Burst:
    """One service that has been spoken of, and how many ends have followed. `due`: the loop's seconds."""

    due: float
    times: int = 0
    last: ProcessExit | None = None


class ExitAnnouncer:
    """Hears exits, says events, and marks on the exits what it has said."""

    def __init__(self, known: Callable[[str], ServiceHistory | None], say: Callable[[ServiceEvent], None]) -> None:
        """An announcer that has said nothing.

        Args:
            known: what monitord knows of a service by now.
            say: takes an event at once; it must not block.
        """
        self._known = known
        self._say = say
        self._bursts: dict[str, _Burst] = {}  # the one that is due first first: all wait equally long
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: set[str] = set()  # what was last said to be stopped; only names of the fleet

    @property
    def busy(self) -> bool:
        """Somebody has been spoken of within the last second."""
        return bool(self._bursts)

    def hear(self, exits: Sequence[ProcessExit]) -> tuple[ProcessExit, ...]:
        """The exits, each marked with how many ends of its service are said with it; on the running loop."""
        return tuple(map(self._hear, exits))

    def hear_act(self, act: OperatorAction) -> bool:
        """Say what an operator did, where it is news; whether it was said. Nobody does it often enough to be paced."""
        event = act_heard(act, self._known(act.service))
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
        """Say what was to be said later. What is heard from now on is said as before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        bursts, self._bursts = self._bursts, {}
        for burst in bursts.values():
            self._say_what_followed(burst)

    def _hear(self, told: ProcessExit) -> ProcessExit:
        event = crash_heard(told, self._known(told.service))
        if event is None:
            return told
        burst = self._bursts.get(told.service)
        if burst is not None:
            burst.times, burst.last = burst.times + 1, told
        elif len(self._bursts) >= MAX_SERVICES:
            return told
        else:
            self._say(event)
            self._begin_burst(told.service)
        return replace(told, said=1)

    def _begin_burst(self, service: str) -> None:
        loop = asyncio.get_running_loop()
        self._bursts[service] = _Burst(loop.time() + PACE_SECONDS)
        if self._timer is None:
            self._timer = loop.call_later(PACE_SECONDS, self._burst_over)

    def _burst_over(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        for service, burst in [(name, burst) for name, burst in self._bursts.items() if burst.due <= now]:
            del self._bursts[service]
            if burst.times:
                self._say_what_followed(burst)
                self._bursts[service] = _Burst(now + PACE_SECONDS)
        if self._bursts:
            self._timer = loop.call_at(next(iter(self._bursts.values())).due, self._burst_over)

    def _say_what_followed(self, burst: _Burst) -> None:
        if burst.last is not None:
            self._say(crashes_heard(burst.last, burst.times))
