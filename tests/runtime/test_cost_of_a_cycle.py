"""What a cycle may cost: counts, which are the same on every machine, and no times.

A number in LIMITS is lowered whenever a cycle is made cheaper. Whoever has to raise one adds work to every cycle of
every fleet: it is measured (`make bench`) and told in docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from bench.apps import reply
from bench.written import counted as bytes_counted
from monitord.config.loader import load, standing_orders
from monitord.core.engine import State
from monitord.demo.seed import seed_old_signals, seed_window
from monitord.logging.logger import JsonLog
from monitord.notify.dispatcher import Dispatcher
from monitord.probes import Probes
from monitord.runtime.cycle import CycleRequest, Monitor
from monitord.storage.store import Store
from tests.support.counting import Counted, counted_pm2, counted_postgres

PATIENCE = 60.0
APPS = 7
OLD_ROWS = 20_000
HOUR = 3600
# The first read what is read once; the state is written with one of twelve.
FIRST, QUIET = 6, 24


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something.

    In a quiet cycle; in the first, which reads what is read once; in one after which a row is new and a seal published.
    """

    quiet: float
    first: float
    moved: float


LIMITS = {
    "statements": Limit(6, 54, 20),
    "round trips": Limit(6, 54, 20),
    "rows received": Limit(14, 450, 32),
    # How many the first reads is another number before and after an epoch's grace is over.
    "rows read by Postgres": Limit(20, 350_000, 600),
    "connections to Postgres": Limit(0, 1, 0),
    "Redis commands": Limit(26, 28, 26),
    "frames of PM2": Limit(1, 1, 1),
    "connections to PM2": Limit(0, 1, 0),
    "timers": Limit(56, 155, 84),
    "thread hops": Limit(3, 3, 3),
}
# The mean of two rounds of twelve, each with the state once.
BYTES_WRITTEN = 5_000
# A row that has come in, and a seal that has been published.
MOVES = (
    "INSERT INTO user_signals SELECT epoch, channel, 'new', signal_type, 1, timestamp FROM user_signals LIMIT 1",
    "UPDATE sealed_epochs SET published = 1 - published WHERE ctid = (SELECT max(ctid) FROM sealed_epochs)",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What each cycle cost, by what is counted, the first ones and quiet ones; the one after something has moved.

    `written` are the bytes of a quiet one, 0 where the system does not count them.
    """

    cycles: list[dict[str, int]]
    moved: dict[str, int]
    written: float

    def quiet(self, what: str) -> float:
        """Of the quiet cycles the fifth from above: what is read again by its age falls into one or two of them."""
        return sorted(cycle.get(what, 0) for cycle in self.cycles[FIRST:])[-5]


@pytest.fixture
async def cost(
    fleet_database: str,
    empty_valkey: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Cost]:
    """A fixed fleet with a past: seven apps, 20,000 old rows, a day of seals, a queue; one cycle after the other."""
    admin: asyncpg.Connection[Any] = await asyncpg.connect(fleet_database, timeout=10)
    await seed_old_signals(admin, OLD_ROWS, HOUR)
    await seed_window(admin, HOUR)
    counted, home = Counted(), tmp_path / "pm2"
    home.mkdir()
    port = int(fleet_database.rpartition(":")[2].partition("/")[0])
    async with (
        counted_postgres(port, counted) as to_postgres,
        counted_pm2(home, reply(0, tells=False, apps=APPS), counted),
        Redis.from_url(empty_valkey, socket_timeout=PATIENCE) as redis,
    ):
        settings = load(
            {
                "HOME": str(tmp_path),
                "MONITORD_STATE_DIR": str(tmp_path / "state"),
                "MONITORD_PM2__HOME": str(home),
                "MONITORD_POSTGRES__DSN": fleet_database.replace(f":{port}/", f":{to_postgres}/") + "?sslmode=disable",
                "MONITORD_REDIS__URL": empty_valkey,
                "MONITORD_REDIS__QUEUES": '["emails"]',
                "MONITORD_PIPELINE__VERIFY": "off",
                "MONITORD_PROBE_TIMEOUT": f"{PATIENCE:.0f}s",
            },
            tmp_path,
        )
        orders, log = standing_orders(settings), JsonLog(io.StringIO())
        probes, store = Probes(settings, orders, frozenset), Store(settings.state_dir)
        settings.state_dir.mkdir()
        await store.load(PATIENCE)
        dispatcher = Dispatcher(settings, store, log)
        monitor = Monitor(probes.all, orders, State(), store, dispatcher, PATIENCE)
        loop = asyncio.get_running_loop()
        for name, what in (("call_at", "timers"), ("call_soon_threadsafe", "thread hops")):
            monkeypatch.setattr(loop, name, _counting(getattr(loop, name), counted, what))
        cycles, written = [], 0

        async def cycle() -> dict[str, int]:
            commands, rows = await _commands(redis), await _rows_read(admin)
            counted.clear()
            decision = await monitor.cycle(CycleRequest())
            now = counted.taken()
            await _flushed(probes)
            # INFO is a command, too.
            now["Redis commands"] = await _commands(redis) - commands - 1
            now["rows read by Postgres"] = await _rows_read(admin) - rows
            assert decision.faults == ()
            assert {one.failure for one in decision.state.history.readings.values()} == {None}
            return now

        for number in range(FIRST + QUIET):
            if number == FIRST:
                written = bytes_counted()[0]
            cycles.append(await cycle())
        written = bytes_counted()[0] - written
        for statement in MOVES:
            await admin.execute(statement)
        await admin.execute("SELECT pg_stat_force_next_flush()")
        moved = await cycle()
        await probes.close()
        await store.close(PATIENCE)
        yield Cost(cycles, moved, written / QUIET)
    await admin.close(timeout=5)


def _counting(call: Callable[..., Any], counted: Counted, what: str) -> Callable[..., Any]:
    def called(*args: Any, **more: Any) -> Any:
        counted.one(what)
        return call(*args, **more)

    return called


async def _rows_read(admin: asyncpg.Connection[Any]) -> int:
    """Of the tables, by whom ever, up to now."""
    await admin.execute("SELECT pg_stat_clear_snapshot()")
    return int(
        await admin.fetchval(
            "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_stat_user_tables"
        )
    )


async def _flushed(probes: Probes) -> None:
    """Have the probes' session tell the server what it has read: by itself it does so within ten seconds."""
    session = probes._context.opened
    assert session is not None
    assert session._connection is not None
    await session._connection.execute("SELECT pg_stat_force_next_flush()")


async def _commands(redis: Redis) -> int:
    return int((await redis.info("stats"))["total_commands_processed"])


async def test_a_cycle_costs_no_more_than_it_may(cost: Cost) -> None:
    taken = {what: (cost.quiet(what), cost.cycles[0].get(what, 0), cost.moved.get(what, 0)) for what in LIMITS}
    limits = {what: (limit.quiet, limit.first, limit.moved) for what, limit in LIMITS.items()}
    over = {
        what: (now, limits[what])
        for what, now in taken.items()
        if any(one > most for one, most in zip(now, limits[what], strict=True))
    }
    assert over == {}, "what a quiet cycle, the first and one after a change took, and the most that each may take"
    assert cost.written <= BYTES_WRITTEN
