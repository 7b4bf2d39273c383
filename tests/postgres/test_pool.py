import asyncio

import asyncpg

from monitord.testing.servers.postgres import PostgresServer

from .conftest import OpenSession, Pool
from .test_session import ask, failure


async def test_a_session_lives_behind_a_transaction_pool_of_one(
    open_session: OpenSession, pool: Pool, postgres: PostgresServer
) -> None:
    await pool.start()
    orm = "pgbouncer=true&connection_limit=1&schema=app&options=-c%20work_mem%3D1MB&channel_binding=prefer"
    first, second = open_session(pool.dsn("postgres", query=orm)), open_session(pool.dsn("postgres"))
    for _ in range(3):
        both = await asyncio.gather(*(ask(s, "SELECT pg_backend_pid()") for s in (first, second)))
        assert both[0] == both[1]  # the one server connection served them in turn
    assert await ask(first, "SHOW search_path") == "app, public"
    # Nothing that was set in a transaction is left for the next guest of the server connection.
    guest = await asyncpg.connect(pool.dsn("postgres"), statement_cache_size=0, timeout=10)
    try:
        for setting, default in (("statement_timeout", "0"), ("row_security", "on"), ("transaction_read_only", "off")):
            assert await guest.fetchval(f"SHOW {setting}") == default
        assert "app" not in await guest.fetchval("SHOW search_path")
    finally:
        await guest.close(timeout=5)


async def test_a_pool_that_was_restarted_costs_no_reading(open_session: OpenSession, pool: Pool) -> None:
    await pool.start()
    session = open_session(pool.dsn("postgres"))
    await ask(session)
    pool.kill()
    assert (await failure(session)).kind == "refused"
    await pool.start()
    assert await ask(session) == 1
    pool.kill()
    await pool.start()
    assert await ask(session) == 1


async def test_a_server_connection_that_died_in_the_pool_costs_no_reading(
    open_session: OpenSession, pool: Pool, postgres: PostgresServer
) -> None:
    await pool.start()
    session = open_session(pool.dsn("postgres"))
    backend = await ask(session, "SELECT pg_backend_pid()")
    await postgres.execute(f"SELECT pg_terminate_backend({backend}, 10000)")
    assert await ask(session, "SELECT pg_backend_pid()") != backend


async def test_the_pools_own_complaints_have_a_kind(open_session: OpenSession, pool: Pool) -> None:
    await pool.start(only="", query_wait_timeout="1", server_login_retry="1", max_client_conn="20")
    assert (await failure(open_session(pool.dsn("nothing")))).kind == "missing"
    assert (await failure(open_session(pool.dsn("nowhere", password="hunter2")))).kind == "auth"
    down = await failure(open_session(pool.dsn("nowhere")))
    assert down.kind in ("refused", "timeout")


async def test_a_pool_without_a_free_server_connection_is_a_timeout(open_session: OpenSession, pool: Pool) -> None:
    await pool.start(query_wait_timeout="1")
    holder = await asyncpg.connect(pool.dsn("postgres"), statement_cache_size=0, timeout=10)
    try:
        await holder.execute("BEGIN")
        error = await failure(open_session(pool.dsn("postgres")), timeout=15.0)
    finally:
        await holder.close(timeout=5)
    assert error.kind == "timeout"


async def test_a_full_pool_is_refused(open_session: OpenSession, pool: Pool) -> None:
    await pool.start(max_client_conn="1")
    holder = await asyncpg.connect(pool.dsn("postgres"), statement_cache_size=0, timeout=10)
    try:
        error = await failure(open_session(pool.dsn("postgres")))
    finally:
        await holder.close(timeout=5)
    assert error.kind == "refused"
    assert "too many connections" in error.error
