"""PM2's bus, `$PM2_HOME/pub.sock`: listens, sends nothing, and keeps the exits it received until drained.

What is missed is missed: PM2 repeats nothing. The process list is what monitord
judges by; the bus only says sooner and better how a process ended.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from monitord.core.model import OperatorAction, ProcessExit, Sample

from . import bus_events, wire
from .bus_frames import BusDecoder
from .client import connect, identity
from .error_lines import ErrorLines
from .exits import HOLD_SECONDS, ExitAssembler

MAX_EXITS = 500
LOST_SECONDS = 5.0
"""How long the bus may be lost before that is logged: a PM2 that is updated is away for less."""
_CHUNK_BYTES = 64 * 1024
_MAX_FRAME_BYTES = 16 * 2**20  # an app may put anything on the bus; past this the stream is not worth its memory
_CONNECT_SECONDS = 5.0
_LOOK_SECONDS = 30.0
_FIRST_DELAY_SECONDS = 0.5
_LAST_DELAY_SECONDS = 30.0


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    """Report to the loop what fails here: it costs the words, and what was heard is judged all the same."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - as above
        asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})


class Bus:
    """The exits that PM2 reports; how many were `heard`, and how many `dropped`, as nobody drained them."""

    def __init__(
        self,
        home: Path,
        on_exit: Callable[[], object] = tuple,
        *,
        say: Callable[[Sequence[ProcessExit]], Sequence[ProcessExit]] = tuple,
        say_act: Callable[[OperatorAction], bool] = lambda _: False,
        on_act: Callable[[], object] = tuple,
        on_edge: Callable[[bool], object] = bool,
        on_link: Callable[[bool], object] = bool,
    ) -> None:
        """A listener to the PM2 of this home. The functions are called on the loop, and must not block.

        `on_exit`: an exit that no operator made can be drained, once for all that came together. `say` receives
        complete exits before they can be, `say_act` what an operator did; they return what they have logged. `on_act`:
        an operator's doing, or an end that was asked for, is over, or a process has begun. `on_edge`: the bus is lost
        for LOST_SECONDS, or (True) back. `on_link`: a connection ends, or (True) there is another.
        """
        self.heard = 0
        self.dropped = 0
        self._socket = home / "pub.sock"
        self._on_exit = on_exit
        self._say = say
        self._say_act = say_act
        self._on_act = on_act
        self._acts: dict[tuple[str, str, str], OperatorAction] = {}  # the last of each kind, by process
        self._on_edge = on_edge
        self._on_link = on_link
        self._ended = False  # a connection, since the last one began
        self._lost = False
        self._losing: asyncio.TimerHandle | None = None
        self._logged_of_dropped: Counter[str] = Counter()
        self._assembler = ExitAssembler()
        self._exits: deque[ProcessExit] = deque()
        self._errors = ErrorLines()
        self._connected_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._connected = False
        self._heard = False

    @property
    def connected(self) -> bool:
        """There is a connection. Whether PM2 still sends on it cannot be known: there may be nothing to send."""
        return self._connected

    def start(self) -> None:
        """Begin to listen, on the running loop. It connects again, for ever, whatever happens."""
        if self._task is None:
            self._deaf()
            self._task = asyncio.get_running_loop().create_task(self._listen(), name="pm2-bus")

    def drain(self) -> tuple[ProcessExit, ...]:
        """The exits since the last call, oldest first: the newest 500 of them."""
        exits = sorted(self._exits, key=attrgetter("at"))
        self._exits.clear()
        # What was logged of those that were dropped is news no more, either.
        for place in range(len(exits) - 1, -1, -1):
            if said := self._logged_of_dropped.pop(exits[place].service, 0):
                exits[place] = replace(exits[place], said=exits[place].said + said)
        self._logged_of_dropped.clear()
        return tuple(exits)

    def drain_acts(self) -> tuple[OperatorAction, ...]:
        """The operators' actions received since the last call, oldest first: the last of each kind, by process."""
        acts, self._acts = self._acts, {}
        return tuple(sorted(acts.values(), key=attrgetter("at")))

    def error_lines(self) -> tuple[Sample, ...]:
        """The lines that services have written to stderr, as far as they were heard; nothing while it is not heard."""
        return tuple(self._errors.samples(self._connected_at)) if self._connected else ()

    async def close(self) -> None:
        """Stops listening. What was received can still be drained."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CONNECT_SECONDS)
            self._task = None
        for timer in (self._timer, self._losing):
            if timer is not None:
                timer.cancel()
        self._timer = self._losing = None
        self._keep(self._assembler.rest())

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY_SECONDS
        while True:
            began, self._heard, linked_at = loop.time(), False, self._connected_at
            # Whatever it is, it costs this connection and not the listening. Nothing of it is logged: an error here
            # may have an environment in its frames.
            with contextlib.suppress(Exception):
                await self._hear()
            if self._connected_at != linked_at:
                self._ended = True
                loop.call_soon(self._on_link, False)
            if self._heard or loop.time() - began >= _LAST_DELAY_SECONDS:
                delay = _FIRST_DELAY_SECONDS
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter needs no secrecy
            delay = min(delay * 2, _LAST_DELAY_SECONDS)

    async def _hear(self) -> None:
        socket_file = identity(self._socket)
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(sock=await connect(self._socket), limit=_CHUNK_BYTES)
        decoder = BusDecoder(_MAX_FRAME_BYTES, self._errors)
        self._hearing()
        try:
            # Now and then, a check whether another listens there by now: a PM2 that was frozen and replaced
            # keeps its connections for as long as it is frozen.
            while identity(self._socket) in {socket_file, None}:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        while await self._receive_some(reader, decoder):
                            pass
                        return
        finally:
            self._deaf()
            # Not close() and wait_closed(): nothing is left to flush, and a frozen peer must not delay closing.
            writer.transport.abort()

    def _hearing(self) -> None:
        self._connected, self._connected_at = True, round(time.time(), 3)
        if self._losing is not None:
            self._losing.cancel()
            self._losing = None
        if self._lost:
            self._tell_edge(heard=True)
        if self._ended:
            self._ended = False
            asyncio.get_running_loop().call_soon(self._on_link, True)

    def _deaf(self) -> None:
        self._connected = False
        if not self._lost and self._losing is None:
            self._losing = asyncio.get_running_loop().call_later(LOST_SECONDS, self._tell_edge, False)

    def _tell_edge(self, heard: bool) -> None:
        self._lost, self._losing = not heard, None
        asyncio.get_running_loop().call_soon(self._on_edge, heard)

    async def _receive_some(self, reader: asyncio.StreamReader, decoder: BusDecoder) -> bool:
        """One chunk. What was read is gone when this returns: no frame outlives its parsing. False at the end."""
        chunk = await reader.read(_CHUNK_BYTES)
        arrived, now = time.time(), asyncio.get_running_loop().time()
        exits: list[ProcessExit] = []
        frames = decoder.feed(chunk, now)
        self._heard = self._heard or decoder.has_passed
        for frame in frames:
            with contextlib.suppress(wire.WireError):  # one message that is none; the stream is still in step
                if (fact := bus_events.read(frame)) is not None:
                    given = self._assembler.take(fact, arrived=arrived, now=now)
                    exits += given
                    # What is reported once more has gone by now: stopped, deleted, or about to be begun anew.
                    is_echo = isinstance(fact, bus_events.ExitEvent) and not fact.ordered and not given
                    is_done = isinstance(fact, bus_events.OperatorDone | bus_events.Online)
                    self._receive_action(fact, arrived, is_over=is_echo or is_done)
        self._keep(self._marked(exits))
        self._wake_for(exits)
        self._wait_for_halves()
        return bool(chunk)

    def _receive_action(self, fact: bus_events.Fact, arrived: float, *, is_over: bool) -> None:
        """The operator action in this fact, kept, and reported where it is new."""
        if is_over:
            asyncio.get_running_loop().call_soon(self._on_act)
        if (act := bus_events.act_of(fact, arrived)) is None:
            return
        key = (act.service, act.instance, act.what)
        before = self._acts.pop(key, None)
        announced = before is not None and before.said
        with _reported("an operator's action could not be logged"):
            announced = self._say_act(act) or announced
        if len(self._acts) < MAX_EXITS:
            self._acts[key] = replace(act, said=announced)

    def _wake_for(self, exits: Sequence[ProcessExit]) -> None:
        if any(not each.manually for each in exits):
            # Not called from here: what goes wrong in it is no end of this connection.
            asyncio.get_running_loop().call_soon(self._on_exit)

    def _keep(self, exits: Sequence[ProcessExit]) -> None:
        self.heard += len(exits)
        for each in exits:
            if len(self._exits) == MAX_EXITS:
                dropped = self._exits.popleft()
                self.dropped += 1
                if dropped.said and (
                    dropped.service in self._logged_of_dropped or len(self._logged_of_dropped) < MAX_EXITS
                ):
                    self._logged_of_dropped[dropped.service] += dropped.said
            self._exits.append(each)

    def _marked(self, exits: Sequence[ProcessExit]) -> Sequence[ProcessExit]:
        if exits:
            with _reported("an end could not be logged"):
                exits = self._say(exits)
        return exits

    def _wait_for_halves(self) -> None:
        if self._timer is None and self._assembler.waiting:
            self._timer = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._give_out_halves)

    def _give_out_halves(self) -> None:
        self._timer = None
        # Half of what PM2 sends may be the echo of an older end, or does not show who did it: nothing is logged before
        # the list has been read.
        halves = self._assembler.due(asyncio.get_running_loop().time())
        self._keep(halves)
        self._wake_for(halves)
        self._wait_for_halves()
