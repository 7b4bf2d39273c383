"""A made-up night saved cycle by cycle as the daemon does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitord.core.engine import State, decide
from monitord.core.folding import announces, context_of, is_whole
from monitord.core.model import Observation, Reading, sample
from monitord.core.orders import StandingOrders
from monitord.core.rollups import RunningHour
from monitord.core.series import Rollup
from monitord.storage.reader import CheckRun
from monitord.storage.store import CycleRecord, Store

WAIT = 10.0
ORDERS = StandingOrders(probes=frozenset({"host"}))
NOON = datetime(2025, 11, 5, 12, tzinfo=UTC)


def record_of(
    before: State,
    observation: Observation,
    orders: StandingOrders,
    hour: Callable[[], Mapping[str, object]] | None = None,
    rollups: tuple[Rollup, ...] = (),
) -> CycleRecord:
    """What a cycle leaves behind that judges this in this state."""
    decision = decide(before, observation, orders)
    return CycleRecord(
        decision.state,
        observation,
        CheckRun("schedule", observation.now, 1.0, decision.orders),
        decision.transitions,
        hour=hour,
        rollups=rollups,
        before=before,
        orders=orders,
        announces=announces(decision),
    )


class Saving:
    """A store that is given one cycle after the other."""

    def __init__(self, directory: Path, orders: StandingOrders, state: State | None = None) -> None:
        self.store = Store(directory)
        self.orders = orders
        self.state = state or State()
        self.hour = RunningHour()

    async def begin(self) -> None:
        """Go on with what is saved."""
        snapshot, _ = await self.store.load(WAIT)
        self.state, self.hour = snapshot.state, RunningHour(snapshot.hour)

    async def save(self, observation: Observation) -> CycleRecord:
        before, decision = self.state, decide(self.state, observation, self.orders)
        context = context_of(decision, before)
        over = self.hour.saw(context, observation.now.timestamp(), whole=is_whole(observation))
        record = record_of(before, observation, self.orders, self.hour.fields, over)
        await self.store.save(record, WAIT)
        assert self.store.problem is None
        self.state = record.state
        return record


def host(used: float, seconds: float = 0) -> Observation:
    samples = (
        sample("disk_used", used, "percent", path="/"),
        sample("disk_free", 10**9, "bytes", path="/"),
        sample("memory_available", 8 * 10**9, "bytes"),
    )
    return Observation(NOON + timedelta(seconds=seconds), {"host": Reading("host", samples)})


def record(state: State, observation: Observation) -> CycleRecord:
    return record_of(state, observation, ORDERS)
