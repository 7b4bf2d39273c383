import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from monitord.postgres.errors import PostgresError
from monitord.postgres.session import Session
from monitord.testing.servers.postgres import PostgresServer

from .conftest import PATIENCE, Listen, OpenSession

Admin = Any
Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def ask(session: Session, sql: str = "SELECT 1", timeout: float = 10.0) -> Any:
    async with session.read_only(timeout) as connection:
        return await connection.fetchval(sql)


async def failure(session: Session, sql: str = "SELECT 1", timeout: float = 10.0) -> PostgresError:
    with pytest.raises(PostgresError) as caught:
        await ask(session, sql, timeout)
    assert caught.value.error
    return caught.value


async def pid(session: Session) -> int:
    return int(await ask(session, "SELECT pg_backend_pid()"))


async def test_one_connection_serves_every_transaction(open_session: OpenSession, empty_database: str) -> None:
    session = open_session(empty_database)
    assert len({await pid(session) for _ in range(3)}) == 1


async def test_two_readers_at_once_take_turns_on_the_one_connection(
    open_session: OpenSession, empty_database: str
) -> None:
    session = open_session(empty_database)
    assert len(set(await asyncio.gather(*(pid(session) for _ in range(5))))) == 1


async def test_who_waits_goes_on_in_the_transaction_of_who_reads(
    open_session: OpenSession, empty_database: str
) -> None:
    session, said = open_session(empty_database), list[str]()
    async with session.read_only(10.0) as connection:
        connection.add_query_logger(lambda record: said.append(record.query))

    async def begun(timeout: float) -> Any:
        return await ask(session, "SELECT transaction_timestamp()", timeout)

    assert len(set(await asyncio.gather(*(begun(10.0) for _ in range(4))))) == 1
    assert [query.split()[0] for query in said] == ["ROLLBACK", "BEGIN", *4 * ["SELECT"], "ROLLBACK"]
    # One that has another deadline has limits of its own.
    assert len(set(await asyncio.gather(begun(10.0), begun(2.0)))) == 2


async def test_one_that_fails_ends_the_transaction_for_all_and_costs_nobody_else(
    open_session: OpenSession, empty_database: str
) -> None:
    session = open_session(empty_database)
    first, wrong, last = await asyncio.gather(pid(session), failure(session, "SELECT 1 / 0"), pid(session))
    assert first == last
    assert wrong.kind == "internal"


async def none_is_open(admin: Admin) -> Any:
    return await admin.fetchval(
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state LIKE 'idle in%' "
        "AND datname = current_database()"
    )


async def test_a_transaction_that_was_left_for_one_who_no_longer_waits_does_not_stay_open(
    open_session: OpenSession, empty_database: str, eventually: Eventually
) -> None:
    session = open_session(empty_database)
    admin = await asyncpg.connect(empty_database, timeout=10)
    waiting = None
    try:
        async with session.read_only(10.0):
            waiting = asyncio.ensure_future(pid(session))
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await eventually(lambda: none_is_open(admin))
        assert await pid(session)
    finally:
        await admin.close(timeout=5)


async def test_the_transaction_is_read_only_and_has_its_limits_and_nothing_stays_behind(
    open_session: OpenSession, empty_database: str
) -> None:
    session = open_session(empty_database)
    names = ("transaction_read_only", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    async with session.read_only(10.0) as connection:
        inside = [await connection.fetchval(f"SHOW {name}") for name in names]
    assert inside[0] == "on"
    assert "0" not in inside
    kept = session._connection
    assert kept is not None
    assert [await kept.fetchval(f"SHOW {name}") for name in names] == ["off", "0", "0", "0"]
    assert (await failure(session, "CREATE TABLE x ()")).kind == "internal"


async def test_a_statement_that_fails_leaves_the_connection_whole(
    open_session: OpenSession, empty_database: str
) -> None:
    session = open_session(empty_database)
    before = await pid(session)
    error = await failure(session, "SELECT * FROM nowhere")
    assert (error.kind, error.state) == ("missing", "42P01")
    assert await pid(session) == before


async def test_the_server_gives_up_on_a_slow_statement_before_we_do(
    open_session: OpenSession, empty_database: str
) -> None:
    error = await failure(open_session(empty_database), "SELECT pg_sleep(60)", timeout=3.0)
    assert (error.kind, error.state) == ("timeout", "57014")


async def test_a_reader_that_is_cancelled_costs_the_connection_and_nothing_else(
    open_session: OpenSession, empty_database: str, eventually: Eventually, admin: Admin
) -> None:
    session = open_session(empty_database)
    before = await pid(session)
    reader = asyncio.create_task(ask(session, "SELECT pg_sleep(60)"))
    await eventually(
        lambda: admin.fetchval(
            "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1 AND query ~ 'sleep'", before
        )
    )
    reader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reader
    assert await pid(session) != before


async def test_a_reader_that_fails_for_its_own_reasons_leaves_no_transaction_open(
    open_session: OpenSession, empty_database: str
) -> None:
    session = open_session(empty_database)
    with pytest.raises(ZeroDivisionError):
        async with session.read_only(10.0):
            raise ZeroDivisionError
    assert await ask(session) == 1


async def test_a_connection_that_the_server_ended_is_replaced_within_the_same_turn(
    open_session: OpenSession, empty_database: str, admin: Admin
) -> None:
    session = open_session(empty_database)
    before = await pid(session)
    assert await admin.fetchval("SELECT pg_terminate_backend($1, 10000)", before)
    assert await pid(session) != before


async def test_a_server_that_crashed_and_came_back_costs_no_reading(
    open_session: OpenSession, empty_database: str, postgres: PostgresServer
) -> None:
    session = open_session(empty_database)
    await ask(session)
    await postgres.kill()
    try:
        assert (await failure(session)).kind == "refused"
    finally:
        await postgres.start()
    assert await ask(session) == 1
    await postgres.kill()
    await postgres.start()
    assert await ask(session) == 1


async def test_a_frozen_server_is_a_timeout_and_a_thawed_one_is_met_anew(
    open_session: OpenSession, empty_database: str, postgres: PostgresServer
) -> None:
    session = open_session(empty_database)
    before = await pid(session)
    postgres.pause()
    try:
        assert (await failure(session, timeout=1.0)).kind == "timeout"
        assert (await failure(session, timeout=1.0)).kind == "timeout"
    finally:
        postgres.resume()
    assert await pid(session) != before


async def test_a_kept_connection_that_a_firewall_forgot_is_replaced_within_the_same_turn(
    open_session: OpenSession, postgres: PostgresServer, listen: Listen
) -> None:
    forgotten = asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", postgres.port)
        doomed = not forgotten.is_set()

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                if not (doomed and forgotten.is_set()):  # else the bytes vanish, and no one is told
                    sink.write(data)

        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(carry(reader, back))
                both.create_task(carry(there, writer))
        finally:
            back.transport.abort()

    port = await listen(relay)
    session = open_session(f"postgresql://postgres:{postgres.password}@127.0.0.1:{port}/postgres")
    before = await pid(session)
    forgotten.set()
    async with session.read_only(6.0) as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") != before


async def test_the_second_host_is_asked_when_the_first_is_dead_or_silent(
    open_session: OpenSession, postgres: PostgresServer, black_hole: int
) -> None:
    for first in (f"127.0.0.1:{black_hole}", "no-such-host.invalid:5432", "127.0.0.1:1"):
        session = open_session(f"postgresql://postgres:{postgres.password}@{first},127.0.0.1:{postgres.port}/postgres")
        assert await ask(session, timeout=6.0) == 1


@pytest.mark.parametrize(
    ("attributes", "kind"), [("read-write", None), ("prefer-standby", None), ("standby", "refused")]
)
async def test_only_a_server_of_the_wanted_kind_will_do(
    open_session: OpenSession, empty_database: str, attributes: str, kind: str | None
) -> None:
    session = open_session(f"{empty_database}?target_session_attrs={attributes}")
    if kind is None:
        assert await ask(session) == 1
    else:
        assert (await failure(session)).kind == kind


async def test_the_unix_socket_is_as_good_as_tcp(open_session: OpenSession, postgres: PostgresServer) -> None:
    assert await ask(open_session(postgres.dsn(unix_socket=True))) == 1


async def test_what_orms_put_into_dsns_does_not_keep_us_out(open_session: OpenSession, empty_database: str) -> None:
    session = open_session(f"{empty_database}?pgbouncer=true&connection_limit=1&schema=app&application_name=me")
    assert await ask(session, "SHOW search_path") == "app, public"
    assert await ask(session, "SHOW application_name") == "me"


async def test_a_wrong_password_is_auth_and_is_not_repeated(
    open_session: OpenSession, postgres: PostgresServer
) -> None:
    error = await failure(open_session(f"postgresql://postgres:hunter2@127.0.0.1:{postgres.port}/postgres"))
    assert error.kind == "auth"
    assert "hunter2" not in error.error


async def test_a_database_that_is_not_there_is_missing(open_session: OpenSession, postgres: PostgresServer) -> None:
    error = await failure(open_session(postgres.dsn("nowhere")))
    assert (error.kind, error.state) == ("missing", "")


async def test_a_database_one_may_not_enter_is_permission(
    open_session: OpenSession, empty_database: str, admin: Admin, postgres: PostgresServer
) -> None:
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
    await admin.execute(f"CREATE ROLE outsider LOGIN PASSWORD '{postgres.password}'")
    try:
        error = await failure(open_session(postgres.dsn(name, user="outsider")))
    finally:
        await admin.execute("DROP ROLE outsider")
    assert (error.kind, error.state) == ("permission", "")


async def test_too_many_connections_is_refused_and_said(
    open_session: OpenSession, empty_database: str, admin: Admin, postgres: PostgresServer
) -> None:
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"CREATE ROLE crowd LOGIN PASSWORD '{postgres.password}' CONNECTION LIMIT 1")
    first = await asyncpg.connect(postgres.dsn(name, user="crowd"), timeout=10)
    try:
        error = await failure(open_session(postgres.dsn(name, user="crowd")))
    finally:
        await first.close(timeout=5)
        await admin.execute("DROP ROLE crowd")
    assert error.kind == "refused"
    assert "too many connections" in error.error


async def test_nobody_listening_is_refused(open_session: OpenSession, unused_tcp_port: int) -> None:
    assert (await failure(open_session(f"postgresql://u@127.0.0.1:{unused_tcp_port}/d"))).kind == "refused"
    assert (await failure(open_session("postgresql:///d?host=/nowhere/at/all"))).kind == "refused"


async def test_a_name_that_does_not_resolve_is_dns(open_session: OpenSession) -> None:
    assert (await failure(open_session("postgresql://u@no-such-host.invalid/d"))).kind == "dns"
    assert (await failure(open_session(f"postgresql://u@{'x' * 70}.invalid/d"))).kind == "dns"


async def test_a_black_hole_is_a_timeout(open_session: OpenSession, black_hole: int) -> None:
    assert (await failure(open_session(f"postgresql://u@127.0.0.1:{black_hole}/d"), timeout=0.03)).kind == "timeout"


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
async def test_someone_who_accepts_and_says_nothing_is_a_timeout(
    open_session: OpenSession, listen: Listen, sslmode: str
) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    dsn = f"postgresql://u@127.0.0.1:{await listen(silence)}/d?sslmode={sslmode}"
    assert (await failure(open_session(dsn), timeout=0.03)).kind == "timeout"


@pytest.mark.parametrize(("sslmode", "kind"), [("disable", "protocol"), ("prefer", "protocol"), ("require", "tls")])
async def test_a_web_server_is_not_taken_for_postgres(
    open_session: OpenSession, listen: Listen, sslmode: str, kind: str
) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    dsn = f"postgresql://u@127.0.0.1:{await listen(web)}/d?sslmode={sslmode}"
    assert (await failure(open_session(dsn))).kind == kind


async def test_closing_is_never_wrong_and_never_final(open_session: OpenSession, empty_database: str) -> None:
    session = open_session(empty_database)
    await session.close()
    assert await ask(session) == 1
    await session.close()
    await session.close()
    assert await ask(session) == 1


async def test_closing_in_the_middle_of_a_reading_ends_it(
    open_session: OpenSession, empty_database: str, eventually: Eventually, admin: Admin
) -> None:
    session = open_session(empty_database)
    backend = await pid(session)
    reader = asyncio.create_task(failure(session, "SELECT pg_sleep(60)", timeout=30.0))
    await eventually(
        lambda: admin.fetchval(
            "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1 AND query ~ 'sleep'", backend
        )
    )
    await session.close()
    assert (await reader).kind in ("refused", "protocol")


# Between transactions


def heard_of(session: Session) -> asyncio.Queue[str]:
    signs: asyncio.Queue[str] = asyncio.Queue()
    session.listen(signs.put_nowait)
    return signs


async def test_a_kept_connection_that_the_server_ends_is_heard_of_and_replaced(
    open_session: OpenSession, empty_database: str, admin: Admin
) -> None:
    session = open_session(empty_database)
    signs = heard_of(session)
    for _ in range(2):
        first = await pid(session)
        await admin.execute("SELECT pg_terminate_backend($1)", first)
        async with asyncio.timeout(PATIENCE):
            assert "closed the kept connection" in await signs.get()
        assert await pid(session) != first
    await session.close()
    await asyncio.sleep(0)
    assert signs.empty()


WORKING = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'"


async def test_a_session_that_is_terminated_at_work_does_not_mean_that_the_server_shuts_down(
    open_session: OpenSession, empty_database: str, admin: Admin, eventually: Eventually
) -> None:
    session = open_session(empty_database)

    async def be_terminated() -> None:
        async with session.read_only(PATIENCE) as connection:
            at_work = asyncio.ensure_future(connection.execute("SELECT pg_sleep(60)"))
            number = connection.get_server_pid()
            await eventually(lambda: admin.fetchval(WORKING, number))
            await admin.execute("SELECT pg_terminate_backend($1)", number)
            await at_work

    with pytest.raises(PostgresError, match=r"ended this session: .* or somebody terminated the session") as raised:
        await be_terminated()
    assert raised.value.kind == "refused"


async def test_a_ping_uses_the_kept_connection_and_makes_none(open_session: OpenSession, empty_database: str) -> None:
    session = open_session(empty_database)
    await session.ping()
    assert session._connection is None
    first = await pid(session)
    await session.ping()
    assert await pid(session) == first
    async with session.read_only(10.0) as connection:
        await session.ping()  # a transaction is open: it asks nothing, and does not wait
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_ping_that_a_frozen_server_does_not_answer_costs_the_connection_and_is_no_sign_by_itself(
    open_session: OpenSession, empty_database: str, postgres: PostgresServer
) -> None:
    session = open_session(empty_database)
    signs = heard_of(session)
    first = await pid(session)
    postgres.pause()
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await session.ping()
        await session.ping()  # nothing is left to ask over
    finally:
        postgres.resume()
    assert await pid(session) != first
    assert signs.empty()
