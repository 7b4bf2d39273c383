"""What the operator asks of Postgres: a number, or the newest moment; and what is said of anything else."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg
import pytest

from monitord.failures import FailureError
from monitord.postgres import queries
from monitord.postgres.session import Session
from monitord.postgres.shared import SharedSessions
from monitord.postgres.statements import newest_by_statement, newest_in_table, number
from monitord.testing.servers.postgres import PostgresServer

from .conftest import OpenSession, Pool

if TYPE_CHECKING:
    Admin = asyncpg.Connection[asyncpg.Record]
Eventually = Callable[[Callable[[], Awaitable[object]]], Awaitable[object]]

TABLES = """
CREATE TABLE orders (id int, total numeric, note text, at timestamptz, plain timestamp, day date, seconds bigint,
                     millis bigint, "createdAt" timestamptz, flag jsonb);
CREATE SEQUENCE tickets;
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Odd.Table" (id int, "at ""it"" now" timestamptz);
INSERT INTO "Shop"."Odd.Table" VALUES (1, now() - interval '1 hour');
"""
AGO = 600
ROWS = """
INSERT INTO orders (at, plain, day, seconds, millis, "createdAt")
SELECT t, t AT TIME ZONE 'UTC', t::date, extract(epoch FROM t), extract(epoch FROM t) * 1000, t
FROM (SELECT clock_timestamp() - $1::int * interval '1 second') AS a(t)
"""


@pytest.fixture
async def admin(empty_database: str) -> AsyncIterator[Admin]:
    connection = await asyncpg.connect(empty_database, timeout=10)
    await connection.execute(TABLES)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
def session(admin: object, empty_database: str, open_session: OpenSession) -> Session:
    return open_session(empty_database)


_SLEEPER = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid() LIMIT 1"


async def _nobody_sleeps(admin: Admin) -> bool:
    return await admin.fetchval(_SLEEPER + " -- any more") is None


async def failure(asked: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(FailureError) as caught:
        await asked
    return caught.value.kind, caught.value.error


async def test_the_first_column_of_the_only_row_is_the_number(session: Session) -> None:
    for statement, value in (
        ("SELECT 42", 42.0),
        ("SELECT 1.5::numeric, 'wide', now(); ", 1.5),
        ("SELECT -2.5::float4 -- a comment", -2.5),
        ("SELECT 7 AS a, 8 AS a -- with two names alike", 7.0),
        ("WITH late AS (SELECT 3::int2 AS n) SELECT n FROM late", 3.0),
        ("SELECT count(*) FROM orders WHERE at < now() - interval '1 hour'", 0.0),
        ("SELECT NOT pg_is_in_recovery()", 1.0),
        ("VALUES (9)", 9.0),
    ):
        assert await number(session, "late", statement, 10.0) == value, statement


async def test_what_is_no_number_is_said_and_costs_no_connection(session: Session, admin: Admin) -> None:
    before = await number(session, "late", "SELECT pg_backend_pid()", 10.0)
    for statement, kind, said in (
        ("SELECT NULL::int", "missing", "the statement of late finds no value (NULL)"),
        ("SELECT sum(total) FROM orders", "missing", "the statement of late finds no value (NULL)"),
        ("SELECT 1 WHERE false", "missing", "the statement of late returns no row"),
        ("SELECT generate_series(1, 1000000000)", "protocol", "the statement of late returns more than one row"),
        ("SELECT 'five'", "protocol", "the statement of late finds text, which is not a number"),
        ("SELECT now() - now()", "protocol", "the statement of late finds interval, which is not a number"),
        ("SELECT 'NaN'::float8", "protocol", "the statement of late finds what is no number (NaN, or without an end)"),
        ("SELECT 'Infinity'::numeric", "protocol", "no number (NaN"),
        ("SELECT FROM orders", "protocol", "returns nothing: it is no SELECT"),
        ("COMMIT", "protocol", "returns nothing: it is no SELECT"),
        ("SHOW max_connections", "protocol", "finds text, which is not a number"),
        ("SELECT 1; DELETE FROM orders", "protocol", "is not one statement that Postgres understands"),
        ("SELECT 1) AS q(value); DELETE FROM orders --", "protocol", "is not one statement that Postgres understands"),
        ("SELEKT 1", "protocol", "is not one statement that Postgres understands"),
        ("", "protocol", "returns nothing: it is no SELECT"),
        ("SELECT count(*) FROM ordres", "missing", "names a table that is not there"),
        ("SELECT max(totl) FROM orders", "missing", "names a column that is not there"),
        ("SELECT median(total) FROM orders", "missing", "names a function or an operator that is not there"),
        ("SELECT 1 / (random() * 0)::int", "protocol", "divides by zero"),
        ("SELECT 'secret@example.org'::text::int", "protocol", "a value that it cannot compute with (error 22P02)"),
        ("SELECT total, count(*) FROM orders", "protocol", "is not one that Postgres can run (error 42803)"),
    ):
        found = await failure(number(session, "late", statement, 10.0))
        assert found[0] == kind, statement
        assert said in found[1], statement
        assert "secret" not in found[1]
    assert await number(session, "late", "SELECT pg_backend_pid()", 10.0) == before


async def test_a_write_is_refused_and_said(session: Session, admin: Admin) -> None:
    for statement in (
        "SELECT nextval('tickets')",
        "INSERT INTO orders (id) VALUES (1) RETURNING id",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone",
    ):
        kind, said = await failure(number(session, "late", statement, 10.0))
        assert (kind, said) == ("protocol", "the statement of late would write, and monitord only reads")
    assert await admin.fetchval("SELECT count(*) FROM orders") == 0


async def test_one_that_takes_too_long_is_ended_in_the_server(
    session: Session, admin: Admin, eventually: Eventually
) -> None:
    kind, said = await failure(number(session, "late", "SELECT count(*), pg_sleep(60) FROM orders", 0.5))
    assert (kind, said) == ("timeout", "the statement of late was not done in time")
    await eventually(lambda: _nobody_sleeps(admin))
    assert await number(session, "late", "SELECT 1", 10.0) == 1.0


async def test_one_that_the_server_cannot_end_is_said_in_the_same_words(
    session: Session, admin: Admin, eventually: Eventually
) -> None:
    asked = asyncio.create_task(failure(number(session, "late", "SELECT 1, pg_sleep(60)", 3.0)))
    backend = int(str(await eventually(lambda: admin.fetchval(_SLEEPER))))
    os.kill(backend, signal.SIGSTOP)
    try:
        assert await asked == ("timeout", "the statement of late was not done in time")
    finally:
        os.kill(backend, signal.SIGCONT)
    await eventually(lambda: _nobody_sleeps(admin))
    assert await number(session, "late", "SELECT 1", 10.0) == 1.0


async def test_the_age_of_the_newest_is_by_the_servers_clock(session: Session, admin: Admin) -> None:
    await admin.execute("SET timezone = 'Asia/Kathmandu'")
    for ago in (AGO, 3 * AGO):
        await admin.execute(ROWS, ago)
    for column in ("at", "plain", "seconds", "millis", "createdAt"):
        newest = await newest_in_table(session, "public.orders", column, 10.0)
        assert newest.age == pytest.approx(AGO, abs=5), column
        assert newest.ahead is None


async def test_a_day_is_as_old_as_its_beginning_in_utc(session: Session, admin: Admin) -> None:
    await admin.execute("INSERT INTO orders (day) SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date - 2")
    assert 2 * 86400 <= (await newest_in_table(session, "orders", "day", 10.0)).age < 3 * 86400 + 5
    await admin.execute("INSERT INTO orders (day) SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date + 1")
    assert (await newest_in_table(session, "orders", "day", 10.0)).age == 0.0  # it has begun elsewhere


async def test_a_moment_of_the_future_blinds_nobody(session: Session, admin: Admin) -> None:
    for column, future in (
        ("seconds", "9999999999"),
        ("millis", "9999999999999"),
        ("seconds", "9223372036854775807"),
        ("at", "'infinity'"),
        ("at", "now() + interval '2 minutes'"),
        ("plain", "'9999-12-31'"),
        ("day", "'infinity'"),
    ):
        await admin.execute("TRUNCATE orders")
        await admin.execute(ROWS, AGO)
        await admin.execute(f"INSERT INTO orders ({column}) VALUES ({future})")  # noqa: S608 - of the list above
        newest = await newest_in_table(session, "orders", column, 10.0)
        assert newest.age < 2 * 86400
        assert column == "day" or newest.age == pytest.approx(AGO, abs=5)
        assert newest.ahead is not None
        assert newest.ahead > 100
        largest = f"SELECT max({column}) FROM orders"  # noqa: S608 - as above
        kind, said = await failure(newest_by_statement(session, "late", largest, 10.0))
        assert kind == "protocol"
        assert "the statement of late finds a moment of the future" in said


async def test_what_holds_no_moment_is_said(session: Session, admin: Admin) -> None:
    for table, column, kind, said in (
        ("orders", "at", "missing", "at of orders finds no value (NULL)"),
        ("ordres", "at", "missing", "there is no table ordres in this database"),
        ("shop.orders", "at", "missing", "there is no table shop.orders in this database"),
        ("Orders", "at", "missing", "there is no table Orders in this database"),
        ("orders", "created", "missing", "orders has no column created"),
        ("orders", "note", "protocol", "note of orders finds text, which is not a moment"),
        ("orders", "flag", "protocol", "flag of orders is of a type that has no newest value"),
        ('orders"; DROP TABLE orders; --', "at", "missing", "there is no table"),
    ):
        found = await failure(newest_in_table(session, table, column, 10.0))
        assert found[0] == kind, found
        assert said in found[1]
    await admin.execute("INSERT INTO orders (seconds) VALUES (9999999999)")
    assert await failure(newest_in_table(session, "orders", "seconds", 10.0)) == (
        "missing",
        "seconds of orders finds no value (NULL)",
    )


async def test_names_are_as_they_are_called_and_may_be_quoted(session: Session) -> None:
    newest = await newest_in_table(session, '"Shop"."Odd.Table"', '"at ""it"" now"', 10.0)
    assert newest.age == pytest.approx(3600, abs=5)
    assert queries.quoted("Shop.orders") == '"Shop"."orders"'
    assert queries.quoted('a"b') == '"a""b"'
    assert queries.quoted('"a.b".c"d') == '"a.b"."c""d"'
    assert queries.quoted("a.b.c") == '"a"."b.c"'
    assert queries.name_parts('"Shop 2"."t.dot"') == ("Shop 2", "t.dot")
    assert queries.quoted('"open') == '"""open"'


async def test_a_statement_finds_the_newest_moment(session: Session) -> None:
    newest = await newest_by_statement(session, "late", "SELECT now() - interval '90 seconds', 'and more'", 10.0)
    assert newest.age == pytest.approx(90, abs=5)
    assert (await newest_by_statement(session, "late", "SELECT now() + interval '5 seconds'", 10.0)).age == 0.0
    said = await failure(newest_by_statement(session, "late", "SELECT true", 10.0))
    assert said == ("protocol", "the statement of late finds bool, which is not a moment")


async def test_statements_live_behind_a_transaction_pool_of_one_and_leave_nothing(
    pool: Pool, open_session: OpenSession, postgres: PostgresServer
) -> None:
    await pool.start()
    first, second = open_session(pool.dsn("postgres")), open_session(pool.dsn("postgres"))
    for _ in range(3):
        both = await asyncio.gather(*(number(s, "late", "SELECT 1, 'two'", 10.0) for s in (first, second)))
        assert both == [1.0, 1.0]
    guest = await asyncpg.connect(pool.dsn("postgres"), statement_cache_size=0, timeout=10)
    try:
        assert await guest.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0
    finally:
        await guest.close(timeout=5)


async def test_all_statements_share_one_connection_and_a_second_while_it_is_held_up(
    admin: Admin, empty_database: str, eventually: Eventually
) -> None:
    async def are(many: int) -> bool:
        return await connections() == many

    async def connections() -> int:
        return int(await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")) - 1

    shared = SharedSessions(lambda: Session(empty_database))

    async def asked(name: str, statement: str, timeout: float = 5.0) -> float:
        async with shared.borrowed(name, timeout) as (session, left):
            return await number(session, name, statement, left)

    try:
        assert await asyncio.gather(*(asked(f"n{n}", f"SELECT {n}") for n in range(20))) == list(range(20))
        assert await connections() == 1
        hung = asyncio.create_task(asked("hung", "SELECT 1 FROM pg_sleep(60)", 1.5))
        await asyncio.sleep(0)
        others = await asyncio.gather(*(asked(f"n{n}", "SELECT pg_backend_pid()") for n in range(5)))
        assert len(set(others)) == 1  # the other connection served them in turn
        assert await connections() <= 2
        assert (await failure(hung))[0] == "timeout"
        # What hung is not let near the one connection again before it is done in time.
        hung = asyncio.create_task(asked("hung", "SELECT 1 FROM pg_sleep(60)", 1.0))
        await asyncio.sleep(0)
        async with asyncio.timeout(0.4):
            assert await asked("n1", "SELECT 1") == 1.0
        assert (await failure(hung))[0] == "timeout"
        assert await asked("hung", "SELECT 1") == 1.0
        assert await asked("n1", "SELECT 1") == 1.0
        await eventually(lambda: are(1))
    finally:
        await shared.close()
    await eventually(lambda: are(0))


async def test_who_gets_no_turn_in_time_says_so(open_session: OpenSession, black_hole: int) -> None:
    shared = SharedSessions(lambda: open_session(f"postgres://a:b@127.0.0.1:{black_hole}/x"))

    async def asked(name: str, timeout: float) -> float:
        async with shared.borrowed(name, timeout) as (session, left):
            return await number(session, name, "SELECT 1", left)

    # The last gives up before those that connect do: a connection has a little less than the time of who makes it.
    found = await asyncio.gather(*(failure(asked(f"n{n}", timeout)) for n, timeout in enumerate((0.1, 0.1, 0.1, 0.05))))
    assert [kind for kind, _ in found] == ["timeout"] * 4
    assert "n3 could not be queried in time: other statements hold both connections" in [said for _, said in found]
