"""What sessions do, asked of a real server: by whom it may be asked, and at what cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from monitord.core.model import Reading
from monitord.postgres import queries
from monitord.postgres.session import Session
from monitord.probes.base import Request, take
from monitord.probes.postgres import PostgresProbe
from monitord.testing.servers.postgres import PostgresServer

from .conftest import Pool

ASK = Request(1_762_300_800.0, 20.0)


async def look(dsn: str) -> Reading:
    session = Session(dsn)
    try:
        reading = await take(PostgresProbe(session, (), 3600), ASK)
    finally:
        await session.close()
    assert reading.failure is None, reading.failure
    return reading


@pytest.fixture
async def client(empty_database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(empty_database, timeout=10)
    yield connection
    connection.terminate()


async def test_the_longest_of_each_kind_is_told_and_nothing_of_whose_it_is(
    empty_database: str, client: asyncpg.Connection[asyncpg.Record]
) -> None:
    await client.execute("CREATE TABLE held (id int)")
    await client.execute("BEGIN; LOCK TABLE held; SELECT 'hunter2'")
    other = await asyncpg.connect(empty_database, timeout=10)
    waits = asyncio.ensure_future(other.execute("BEGIN; LOCK TABLE held"))
    try:
        reading = await look(empty_database)
        while not (reading.number("lock_waits") or waits.done()):
            reading = await look(empty_database)
    finally:
        waits.cancel()
        other.terminate()
        await asyncio.gather(waits, return_exceptions=True)
    assert (reading.number("lock_waits"), reading.number("sessions_idle_in_transaction")) == (1, 1)
    longest = [reading.number(f"{what}_longest") for what in ("transaction", "idle_transaction", "lock_wait")]
    assert all(seconds is not None and 0 < seconds < 60 for seconds in longest), longest
    assert "hunter2" not in repr(reading)
    used, most = reading.number("sessions_used"), reading.number("sessions_most")
    assert used is not None
    assert most is not None
    assert 2 <= used < most
    assert reading.number("standbys") == 0
    age = reading.number("xid_used")
    assert age is not None
    assert 0 <= age < 1


async def test_of_a_quiet_database_there_is_no_longest(
    empty_database: str, client: asyncpg.Connection[asyncpg.Record]
) -> None:
    reading = await look(empty_database)
    assert reading.number("sessions_hidden") == 0
    assert reading.number("transaction_longest") is None
    assert reading.number("idle_transaction_longest") is None


async def test_a_role_that_may_do_nothing_sees_that_sessions_are_there_and_is_refused_nothing(
    empty_database: str, postgres: PostgresServer, client: asyncpg.Connection[asyncpg.Record]
) -> None:
    await client.execute(f"CREATE ROLE narrow LOGIN PASSWORD '{postgres.password}'")
    try:
        await client.execute("BEGIN")
        reading = await look(empty_database.replace("://postgres:", "://narrow:"))
        await client.execute("ROLLBACK")
    finally:
        await client.execute("DROP ROLE narrow")
    assert reading.gaps == ()
    assert (reading.number("sessions_hidden") or 0) >= 1
    assert (reading.number("sessions_used") or 0) >= 1
    assert reading.number("idle_transaction_longest") is None
    assert reading.number("lock_waits") == 0
    assert reading.number("xid_used") is not None


async def test_through_a_pool_the_same_is_told(pool: Pool, client: asyncpg.Connection[asyncpg.Record]) -> None:
    await pool.start()
    await client.execute("BEGIN")
    reading = await look(pool.dsn("postgres"))
    assert (reading.number("sessions_idle_in_transaction") or 0) >= 1
    assert reading.number("idle_transaction_longest") is None  # it is of another database


async def test_a_reading_is_one_transaction_of_two_statements_beside_the_catalogue(empty_database: str) -> None:
    session = Session(empty_database)
    said: list[str] = []
    try:
        probe = PostgresProbe(session, (), 3600)
        await take(probe, ASK)
        assert session._connection is not None
        session._connection.add_query_logger(lambda query: said.append(query.query))
        for later in (30.0, 299.0, 300.0):
            assert (await take(probe, replace(ASK, now=ASK.now + later))).failure is None
    finally:
        await session.close()
    assert sum(one.startswith("BEGIN") for one in said) == 3
    light = [queries.now(0), queries.SESSIONS, "ROLLBACK"]
    assert [one for one in said[:8] if not one.startswith("BEGIN")] == [*light, *light]
    whole = [queries.SERVER, queries.SYSTEM, queries.RELATIONS, queries.STANDBYS, queries.now(0), queries.SESSIONS]
    assert said[-7:] == [*whole, "ROLLBACK"]
