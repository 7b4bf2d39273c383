"""What a cycle costs the server that is watched, counted and not timed: statements, rows, buffers, temporary files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from monitord.core.history.epochs import window_seconds
from monitord.core.orders import StandingOrders
from monitord.core.subjects.pipeline_settings import PipelineSettings
from monitord.postgres import queries
from monitord.postgres.session import Session
from monitord.probes.base import Probe, Request, take
from monitord.probes.epochs import EpochsProbe
from monitord.probes.pipeline import PipelineProbe
from monitord.probes.postgres import PostgresProbe

HOUR = 3600
NOON = 1_762_300_800
INTERVAL = 30.0
FIRST = 6  # readings in which each day before is read once
ORDERS = StandingOrders()
SECONDS = 120.0
QUIET = [queries.now(0), queries.COUNTERS, queries.SESSIONS]

Admin = Any


class Watched:
    """The probes of Postgres over one session, as the daemon has them, and what they send."""

    def __init__(self, dsn: str) -> None:
        self.session = Session(dsn)
        window, grace = window_seconds(ORDERS), ORDERS.epoch_grace.total_seconds()
        self.probes: list[Probe] = [
            PostgresProbe(self.session, ("user_signals",), HOUR),
            EpochsProbe(self.session, ORDERS.groups, HOUR, window, grace, ORDERS.cemented),
            PipelineProbe(self.session, PipelineSettings(verify="off"), ORDERS, window),
        ]
        self.now = NOON + 1000.0
        self.sent: list[tuple[str, tuple[Any, ...]]] = []

    async def cycle(self) -> list[tuple[str, tuple[Any, ...]]]:
        """One cycle; the statements of it."""
        self.sent.clear()
        readings = await asyncio.gather(*(take(probe, Request(self.now, SECONDS)) for probe in self.probes))
        assert [one.failure for one in readings] == [None] * len(self.probes)
        self.now += INTERVAL
        await asyncio.sleep(0)  # what was sent is told by a callback
        return list(self.sent)

    async def settled(self) -> None:
        """Read what is read once; what is sent from then on is kept."""
        for _ in range(FIRST):
            await self.cycle()
        connection = self.session._connection
        assert connection is not None
        connection.add_query_logger(lambda record: self.sent.append((record.query, tuple(record.args or ()))))

    async def close(self) -> None:
        for probe in self.probes:
            await probe.close()
        await self.session.close()


@pytest.fixture
async def watched(fleet_database: str) -> AsyncIterator[Watched]:
    one = Watched(fleet_database)
    yield one
    await one.close()


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Admin]:
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=SECONDS)
    yield connection
    await connection.close(timeout=5)


async def sealed(admin: Admin, channels: int, labels: int) -> None:
    """Labels of so many channels each, with their trees, the newest of which is whole; and a signal of each channel."""
    seals = (
        f"SELECT {NOON - HOUR}::int8 - n * {HOUR} AS epoch, 'channel' || c AS channel, md5(c || '/' || n) AS root, "  # noqa: S608
        "CASE WHEN c < 12 THEN 'MILO' ELSE 'CLS' END AS name "
        f"FROM generate_series(0, {labels - 1}) AS n, generate_series(0, {channels - 1}) AS c"
    )
    await admin.execute(
        f"INSERT INTO sealed_epochs SELECT epoch, channel, root || root, epoch + 3780, 1, name, 'x' FROM ({seals}) s"  # noqa: S608
    )
    await admin.execute(
        f"INSERT INTO l2_tree_cache SELECT epoch, channel, root || root, '[]', 1, epoch + 3800 FROM ({seals}) s"  # noqa: S608
    )
    await admin.execute(
        "INSERT INTO user_signals SELECT epoch, channel, 'u', 'chat', 1, $1 FROM sealed_epochs WHERE epoch = $2",
        *(NOON + 990, NOON - HOUR),
    )
    await admin.execute("VACUUM ANALYZE")
    await admin.execute("SELECT pg_stat_force_next_flush()")


async def rows_read(admin: Admin, watched: Watched) -> int:
    """Rows of tables that the server has read for anybody so far, the probes' session told."""
    async with watched.session.read_only(SECONDS) as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
    await admin.execute("SELECT pg_stat_clear_snapshot()")
    return int(await admin.fetchval("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"))


async def buffers(admin: Admin, sent: list[tuple[str, tuple[Any, ...]]]) -> int:
    """Pages that these statements read."""
    found = 0
    for query, arguments in sent:
        if query.lstrip().startswith(("SELECT", "WITH")):
            text = await admin.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *arguments)
            plan = json.loads(text)[0]["Plan"]
            found += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return found


async def temp_files(admin: Admin, watched: Watched) -> int:
    await rows_read(admin, watched)
    return int(await admin.fetchval("SELECT temp_files FROM pg_stat_database WHERE datname = current_database()"))


async def test_a_quiet_cycle_is_one_transaction_of_three_statements_that_reads_no_row_of_the_past(
    watched: Watched, admin: Admin
) -> None:
    await sealed(admin, 172, 24)
    await watched.settled()
    before = await rows_read(admin, watched)
    for _ in range(3):
        sent = await watched.cycle()
        assert [query for query, _ in sent][1:-1] == QUIET
        assert (sent[0][0].split()[0], sent[-1][0]) == ("BEGIN", "ROLLBACK")
    assert await rows_read(admin, watched) == before
    assert await buffers(admin, sent) <= 20  # pages of catalogues


async def test_changes_are_looked_at_in_the_newest_labels_and_not_in_the_past(watched: Watched, admin: Admin) -> None:
    await sealed(admin, 172, 24)
    await watched.settled()
    before = await rows_read(admin, watched)
    await admin.execute("UPDATE sealed_epochs SET published = published WHERE epoch = $1", NOON - 20 * HOUR)
    await admin.execute("SELECT pg_stat_force_next_flush()")
    own = 172  # of the update itself
    await watched.cycle()
    # Three labels' seals and trees, the newest one's seals counted.
    assert 0 < await rows_read(admin, watched) - before - own <= 3 * 2 * 172 + 172


async def test_with_ten_thousand_channels_a_quiet_cycle_is_the_same_and_no_reading_needs_a_temporary_file(
    watched: Watched, admin: Admin
) -> None:
    await sealed(admin, 10_000, 12)
    before = await temp_files(admin, watched)
    await watched.settled()
    for _ in range(12):  # one root for several seals is looked for a label at a time
        sent = await watched.cycle()
    read = await rows_read(admin, watched)
    sent = await watched.cycle()
    assert [query for query, _ in sent][1:-1] == QUIET
    assert await rows_read(admin, watched) == read
    assert await buffers(admin, sent) <= 20
    watched.now += HOUR  # a label falls due: all of the window is read
    await watched.cycle()
    assert await temp_files(admin, watched) == before
