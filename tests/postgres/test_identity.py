"""Which database it is, asked of real servers: through a pool that is turned elsewhere, by roles that may do little."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from monitord.core.engine import State, decide
from monitord.core.identity import Identity, differences, identity, made_anew
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from monitord.postgres.session import Session
from monitord.probes.base import Request, take
from monitord.probes.postgres import PostgresProbe
from monitord.testing.sandbox import Sandbox
from monitord.testing.servers.postgres import PostgresServer

from .conftest import Pool

NOON = 1_762_300_800.0
ORDERS = StandingOrders(probes=frozenset({"postgres"}), tables=("orders",), confirm_every=timedelta(seconds=1))


async def read(dsn: str, *tables: str) -> Identity:
    session = Session(dsn)
    try:
        reading = await take(PostgresProbe(session, tables, 3600), Request(NOON, 20.0))
    finally:
        await session.close()
    assert reading.failure is None, reading.failure
    found = identity(reading)
    assert found is not None
    return found


@pytest.fixture
async def other() -> AsyncIterator[PostgresServer]:
    """Another server, which has nothing to do with the first."""
    with Sandbox() as sandbox:
        server = PostgresServer(sandbox)
        await server.start()
        yield server
        await server.stop()


async def make(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)


async def test_a_pool_that_is_turned_to_another_live_copy_is_another_database(
    pool: Pool, postgres: PostgresServer, other: PostgresServer, empty_database: str
) -> None:
    name = empty_database.rpartition("/")[2]
    await other.create_database(name)
    for server in (postgres, other):
        await make(server.dsn(name), "CREATE TABLE orders (id bigserial PRIMARY KEY)")
    await make(other.dsn(), f"ALTER ROLE postgres PASSWORD '{postgres.password}'")
    await pool.start()
    dsn = pool.dsn(name)
    session = Session(dsn)
    probe = PostgresProbe(session, ("orders",), 3600)
    state, now, fired = State(), NOON, []
    try:
        for turn in range(10):
            if turn == 4:
                pool.kill()
                pool.leads_to(other.port)
                await pool.start()
            now += 5
            reading = await take(probe, Request(now, 20.0))
            assert reading.failure is None, (turn, reading.failure)
            decision = decide(state, Observation(datetime.fromtimestamp(now, UTC), {"postgres": reading}), ORDERS)
            state = decision.state
            fired += [(turn, t.alert.rule) for t in decision.transitions if t.edge == "firing"]
    finally:
        await session.close()
    assert [rule for _, rule in fired] == ["database_changed"]
    assert fired[0][0] >= 5  # two readings agree


async def test_another_database_of_the_same_server_is_another_and_the_same_one_is_the_same(
    postgres: PostgresServer, empty_database: str
) -> None:
    known = await read(empty_database)
    assert known.system is not None
    assert differences(known, await read(empty_database)) == ()
    assert differences(known, await read(postgres.dsn())) != ()


async def test_a_truncation_keeps_a_table_and_a_table_made_anew_is_noticed(empty_database: str) -> None:
    await make(empty_database, "CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)")
    known = await read(empty_database, "orders")
    await make(empty_database, "TRUNCATE orders")
    found = await read(empty_database, "orders")
    assert (differences(known, found), made_anew(known, found)) == ((), ())
    await make(empty_database, "DROP TABLE orders; CREATE TABLE orders (id int)")
    found = await read(empty_database, "orders")
    assert (differences(known, found), made_anew(known, found)) == ((), ("orders",))


async def test_a_role_that_may_not_ask_for_the_system_identifier_goes_by_the_rest(
    postgres: PostgresServer, empty_database: str
) -> None:
    name = empty_database.rpartition("/")[2]
    await make(
        empty_database,
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC;"
        f"CREATE ROLE guest LOGIN PASSWORD '{postgres.password}'",
    )
    try:
        known, found = await read(empty_database), await read(postgres.dsn(name, user="guest"))
        assert found.system is None
        assert differences(known, found) == ()
        assert differences(found, await read(postgres.dsn())) != ()
    finally:
        await make(
            empty_database,
            "DROP OWNED BY guest; DROP ROLE guest; GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC",
        )
