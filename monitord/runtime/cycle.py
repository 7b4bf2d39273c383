"""One cycle: observe, decide, save, deliver. Nothing downstream reaches back up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psutil

from monitord.clocks import BOOT, both_clocks
from monitord.core.engine import Decision, State, decide
from monitord.core.folding import announces, context_of
from monitord.core.history import clocks
from monitord.core.history.model import History
from monitord.core.model import Observation, OperatorAction, ProcessExit, Reading, Unmeasured, sample
from monitord.core.orders import StandingOrders
from monitord.core.rollups import RunningHour
from monitord.core.series import Rollup
from monitord.core.subjects.monitord import MONITORD
from monitord.core.subjects.registry import lacking_of
from monitord.probes.base import Probe, Request, take_all
from monitord.storage.file import SetAside
from monitord.storage.reader import CheckRun
from monitord.storage.store import CycleRecord, Store

if TYPE_CHECKING:
    from monitord.notify.dispatcher import Dispatcher

# A snapshot on a hung disk must not delay monitoring.
SAVE_TIMEOUT_SECONDS = 2.0
COMMANDS_TIMEOUT_SECONDS = 1.0
# For so long monitord counts as degraded after it has lost a part of what it knew: long enough to be read of.
LOSS_REPORTED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class CycleRequest:
    """What to do in one cycle: who asked for a full check ("": nobody did), and which probes to take (None: all).

    `exact` is what they are to count exactly, `awaited` what is not to wait for its turn, `late_seconds` how long after
    it was due it began (None: it was due at no set time); `once`: no other cycle follows.
    """

    trigger: str = ""
    probes: Collection[str] | None = None
    exact: frozenset[str] = frozenset()
    awaited: frozenset[str] = frozenset()
    late_seconds: float | None = None
    once: bool = False


class Monitor:
    """The state between cycles, and the one place that moves it on."""

    def __init__(
        self,
        probes: Sequence[Probe],
        orders: StandingOrders,
        state: State,
        store: Store,
        dispatcher: Dispatcher,
        timeout: float,
        received: Callable[[], tuple[ProcessExit | OperatorAction, ...]] = tuple,
        hour: Mapping[str, object] | None = None,
    ) -> None:
        """`received` gives what PM2's bus has reported since its last call; `hour` ran when it was last saved."""
        self.probes = probes
        self.orders = orders
        self.state = state
        self.timeout = timeout
        self._store = store
        self._dispatcher = dispatcher
        self._received = received
        self._hour = RunningHour(hour)
        self._fault = ""
        self._lived: float | None = None  # as of the last cycle
        self._took: float | None = None  # the last whole cycle, in seconds
        self._loss: tuple[str, float] | None = None  # what was lost, and until when (loop time) it is reported

    def hour_so_far(self) -> tuple[Rollup, ...]:
        return self._hour.so_far()

    def aside(self, aside: SetAside) -> None:
        """Say that the snapshot had to be put aside, or was not whole, and keep saying what was lost for an hour."""
        self._dispatcher.events.aside(aside)
        kept = f" and is kept as {aside.kept_as}" if aside.kept_as else ""
        loss = f"its snapshot was damaged ({aside.reason}){kept}; lost: {aside.lost}"
        self._loss = loss, asyncio.get_running_loop().time() + LOSS_REPORTED_SECONDS

    async def cycle(self, request: CycleRequest) -> Decision:
        if request.probes is not None:
            return await self._cycle(request)
        self._dispatcher.begin()
        try:
            decision = await self._cycle(request)
        except Exception:
            self._dispatcher.end(None, self._fault or "a cycle failed inside")
            raise
        self._dispatcher.end(decision, self._store.problem or self._fault)
        return decision

    async def _cycle(self, request: CycleRequest) -> Decision:
        began = asyncio.get_running_loop().time()
        observation, asked = await asyncio.gather(
            observe(self.probes, request, self.timeout, self._own_reading(request), self.state.history),
            self._store.hear(COMMANDS_TIMEOUT_SECONDS),
        )
        gap, self._lived = self._gap(observation.lived), observation.lived
        received = self._received()
        observation = replace(
            observation,
            exits=tuple(one for one in received if isinstance(one, ProcessExit)),
            acts=tuple(one for one in received if isinstance(one, OperatorAction)),
            commands=asked.commands,
        )
        try:
            decision = replace(decide(self.state, observation, self.orders), gap=gap)
        except Exception as error:
            self._fault = f"a cycle could not be judged ({type(error).__name__})"
            raise
        before, self.state = self.state, decision.state
        over = self._hour.saw(context_of(decision, before), observation.now.timestamp(), whole=request.probes is None)
        self._fault = "; ".join(filter(None, (*decision.faults, self._hour.fault)))
        duration_ms = (asyncio.get_running_loop().time() - began) * 1000.0
        if request.probes is None:
            self._took = round(duration_ms / 1000.0, 3)
        queued, notified = self._dispatcher.outbox.plan(decision)
        record = CycleRecord(
            decision.state,
            observation,
            CheckRun(request.trigger or "schedule", observation.now, round(duration_ms, 3), decision.orders),
            decision.transitions,
            queued,
            notified,
            heard_through=asked.through,
            hour=self._hour.fields,
            rollups=over,
            before=before,
            orders=self.orders,
            announces=announces(decision),
        )
        if (aside := await self._store.save(record, SAVE_TIMEOUT_SECONDS)) is not None:
            self.aside(aside)
        self._dispatcher.deliver(decision, request.trigger, duration_ms)
        return decision

    def _gap(self, lived: float | None) -> float:
        """For how many seconds this process has not run up to now, where that is longer than a cycle may be late."""
        since = 0.0 if lived is None or self._lived is None else lived - self._lived
        return since if since > self.orders.late_after.total_seconds() else 0.0

    def _own_reading(self, request: CycleRequest) -> Mapping[str, Reading]:
        """What monitord sees of itself, once per due cycle: a recheck in between says nothing new of it."""
        if request.probes is not None:
            return {}
        gaps = list(self._dispatcher.troubles())
        if self._store.problem is not None:
            gaps.insert(0, Unmeasured("snapshot", "internal", self._store.problem))
        if self._loss is not None:
            loss, until = self._loss
            if asyncio.get_running_loop().time() < until:
                gaps.append(Unmeasured("snapshot damage", "internal", loss))
            else:
                self._loss = None
        if self._fault:
            gaps.append(Unmeasured("judgement", "internal", self._fault))
        own = (
            sample("cycle_late", request.late_seconds, "seconds"),
            sample("cycle_took", self._took, "seconds"),
            sample("memory", _memory(), "bytes"),
        )
        return {MONITORD.name: Reading(MONITORD.name, own, gaps=tuple(gaps))}


def _memory() -> int | None:
    """The memory of this process, to the MiB: what changes less is recorded less."""
    try:
        rss: int = psutil.Process().memory_info().rss
    except psutil.Error:
        return None
    return rss >> 20 << 20


async def observe(
    probes: Sequence[Probe],
    request: CycleRequest,
    timeout: float,
    extra: Mapping[str, Reading] | None = None,
    history: History | None = None,
) -> Observation:
    """Every probe of this turn, taken at once, under one `now`. `timeout` is each probe's deadline in seconds."""
    now, lived = both_clocks()
    ahead = 0.0 if history is None else clocks.ahead(history, now.timestamp(), lived, BOOT)
    requests = {
        probe.name: Request(
            now.timestamp(),
            timeout,
            request.exact,
            ahead,
            request.awaited,
            whole=request.probes is None,
            once=request.once,
            lacking=frozenset() if history is None else lacking_of(probe.name, history),
        )
        for probe in probes
        if request.probes is None or probe.name in request.probes
    }
    readings = {**await take_all(probes, requests), **(extra or {})}
    return Observation(now, readings, lived=lived, boot=BOOT)
