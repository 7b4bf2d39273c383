import asyncio
import os
import pwd
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from monitord.core.model import Reading, Unmeasured
from monitord.demo.seed import apply_schema
from monitord.postgres import queries
from monitord.postgres.relations import TableReading, estimate_rows
from monitord.postgres.session import Session
from monitord.probes.base import Request, take
from monitord.probes.postgres import PostgresProbe
from monitord.testing.sandbox import Sandbox, free_port
from monitord.testing.servers.postgres import PostgresServer

HOUR = 3600
NOON = 1_762_300_800.0  # a label, so that what is before and after it is plain to see
PATIENCE = 30.0  # seconds; a test that waits this long has failed

Admin = Any
Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
LookAt = Callable[..., Awaitable[Reading]]


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Admin]:
    """A superuser's connection to the test's own database."""
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=PATIENCE)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def look_at(fleet_database: str) -> AsyncIterator[LookAt]:
    """Takes one reading of the tables named; `exact` counts them all, `dsn` looks elsewhere."""
    sessions: dict[str, Session] = {}

    async def look(
        *tables: str, exact: bool = False, now: float = NOON, timeout: float = 20.0, cap: int = 10_000, dsn: str = ""
    ) -> Reading:
        session = sessions.setdefault(dsn, Session(dsn or fleet_database))
        probe = PostgresProbe(session, tables, HOUR, 2 * HOUR, cap)
        return await take(probe, Request(now, timeout, frozenset(tables) if exact else frozenset()))

    yield look
    for session in sessions.values():
        await session.close()


async def signals(admin: Admin, epoch: int, rows: int) -> None:
    await admin.execute(
        "INSERT INTO user_signals SELECT $1, 'c', md5(i::text), 'chat', 1, nextval('ticks') "
        "FROM generate_series(1, $2::int) i",
        epoch,
        rows,
    )


@pytest.fixture
async def ticks(admin: Admin) -> None:
    await admin.execute("CREATE SEQUENCE ticks")


async def flushed(admin: Admin) -> None:
    """Brings the counters of the admin's connection to where others see them."""
    await admin.execute("SELECT pg_stat_force_next_flush()")


def gap(reading: Reading) -> Unmeasured:
    assert reading.failure is None
    assert len(reading.gaps) == 1, reading.gaps
    return reading.gaps[0]


def recent(reading: Reading) -> dict[str, Any]:
    return reading.values("table_recent", "since")


async def test_a_reading_says_all_about_the_database_and_its_tables(look_at: LookAt, admin: Admin, ticks: None) -> None:
    await signals(admin, int(NOON), 500)
    await admin.execute('DELETE FROM user_signals WHERE "timestamp" <= 50')
    await flushed(admin)
    await admin.execute("ANALYZE user_signals")
    await flushed(admin)
    reading = await look_at("user_signals")
    assert reading.failure is None
    assert not reading.gaps
    assert reading.number("table_rows", table="user_signals") == 450
    assert reading.number("table_inserted", table="user_signals") == 500
    assert reading.number("table_deleted", table="user_signals") == 50
    assert reading.number("table_countable", table="user_signals") == 1
    assert reading.number("table_size", table="user_signals") == await admin.fetchval(
        "SELECT pg_total_relation_size('user_signals')"
    )
    assert reading.number("replica") == 0
    assert reading.number("server_version") == int(await admin.fetchval("SHOW server_version_num"))
    assert (reading.number("connections") or 0) >= 2
    assert (reading.number("database_size") or 0) > 1_000_000
    assert (reading.number("response") or 0) > 0
    assert not recent(reading)  # nobody asked for an exact count
    largest = list(reading.values("largest_table", "table"))
    assert largest[0] == "user_signals"
    assert len(largest) == 5


async def test_the_largest_tables_are_the_largest_with_their_toast_and_indexes(look_at: LookAt, admin: Admin) -> None:
    await admin.execute("CREATE SCHEMA attic")
    await admin.execute("CREATE TABLE attic.letters (body text)")
    await admin.execute("ALTER TABLE attic.letters ALTER COLUMN body SET STORAGE EXTERNAL")
    await admin.execute("INSERT INTO attic.letters SELECT repeat(i::text, 50000) FROM generate_series(1, 20) i")
    for number in range(60):  # more tables than are looked at
        await admin.execute(f"CREATE TABLE small_{number} AS SELECT 1 AS x")
    await admin.execute("VACUUM ANALYZE")
    largest = (await look_at("user_signals")).values("largest_table", "table")
    assert next(iter(largest.items())) == (
        "attic.letters",
        await admin.fetchval("SELECT pg_total_relation_size('attic.letters')"),
    )
    assert len(largest) == 5


async def test_an_exact_count_begins_at_a_label_and_sees_what_is_committed(
    look_at: LookAt, admin: Admin, ticks: None
) -> None:
    for hours, rows in ((-3, 1), (-2, 10), (-1, 100), (0, 500)):
        await signals(admin, int(NOON) + hours * HOUR, rows)
    # Up to the turn of an hour the window reaches back to the label that its start lies in, and then to the next.
    before = await look_at("user_signals", exact=True, now=NOON - 1)
    after = await look_at("user_signals", exact=True, now=NOON)
    labels = {hours: str(int(NOON) + hours * HOUR) for hours in (-3, -2, -1)}
    assert recent(before) == {labels[-3]: 611, labels[-2]: 610}
    assert recent(after) == {labels[-2]: 610, labels[-1]: 600}


async def test_rolled_back_inserts_move_the_counters_and_not_the_exact_count(
    look_at: LookAt, admin: Admin, ticks: None
) -> None:
    await signals(admin, int(NOON), 5)
    transaction = admin.transaction()
    await transaction.start()
    await signals(admin, int(NOON), 70)
    await transaction.rollback()
    await flushed(admin)
    reading = await look_at("user_signals", exact=True)
    assert reading.number("table_inserted", table="user_signals") == 75
    assert set(recent(reading).values()) == {5}


async def test_an_exact_count_stops_at_its_cap(look_at: LookAt, admin: Admin, ticks: None) -> None:
    await signals(admin, int(NOON), 500)
    assert recent(await look_at("user_signals", exact=True, cap=100)) == {str(int(NOON) - 2 * HOUR): 100}


async def test_an_exact_count_that_is_never_answered_has_no_value_and_the_rest_stands(
    look_at: LookAt, fleet_database: str, postgres: PostgresServer
) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", postgres.port)

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while (data := await source.read(65536)) and b"AS bounded" not in data:
                sink.write(data)
            await source.read(-1 if data else 0)  # whoever asks for the count waits until they give up

        carriers = [asyncio.ensure_future(carry(reader, back)), asyncio.ensure_future(carry(there, writer))]
        await asyncio.wait(carriers, return_when=asyncio.FIRST_COMPLETED)
        back.transport.abort()
        writer.transport.abort()
        await asyncio.wait(carriers)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reading = await look_at(
        "user_signals", exact=True, timeout=4.0, dsn=fleet_database.replace(f":{postgres.port}/", f":{port}/")
    )
    server.close()
    assert reading.failure is None
    assert not reading.gaps
    assert reading.number("table_countable", table="user_signals") == 1
    assert set(recent(reading).values()) == {None}  # asked for, and not answered


@pytest.mark.parametrize(
    ("definition", "countable"),
    [
        ("CREATE INDEX ON counted (epoch)", 1),
        ("CREATE INDEX ON counted (epoch DESC, channel)", 1),
        ("CREATE INDEX ON counted (channel, epoch)", 0),
        ("CREATE INDEX ON counted (epoch) WHERE epoch > 5", 0),
        ("CREATE INDEX ON counted ((epoch + 1))", 0),
        ("CREATE INDEX ON counted USING brin (epoch)", 0),
        ("CREATE INDEX ON counted USING hash (epoch)", 0),
        ("ALTER TABLE counted ALTER epoch TYPE text; CREATE INDEX ON counted (epoch)", 0),
        ("ALTER TABLE counted ALTER epoch TYPE int; CREATE INDEX ON counted (epoch)", 1),
        ("ALTER TABLE counted ALTER epoch TYPE numeric; CREATE INDEX ON counted (epoch)", 1),
        (
            "CREATE INDEX counted_epoch ON counted (epoch);"
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'counted_epoch'::regclass",
            0,
        ),
        ("SELECT 1", 0),
    ],
)
async def test_only_an_index_led_by_epoch_makes_a_table_countable(
    look_at: LookAt, admin: Admin, definition: str, countable: int
) -> None:
    await admin.execute("CREATE TABLE counted (epoch bigint, channel text)")
    await admin.execute("INSERT INTO counted SELECT $1, 'c' FROM generate_series(1, 3)", int(NOON))
    await admin.execute(definition)
    reading = await look_at("counted", exact=True)
    assert not reading.gaps
    assert reading.number("table_countable", table="counted") == countable
    assert bool(recent(reading)) is bool(countable)


async def test_a_table_made_anew_is_noticed_at_the_next_reading(look_at: LookAt, admin: Admin) -> None:
    await admin.execute("CREATE TABLE t (epoch bigint PRIMARY KEY)")
    assert (await look_at("t")).number("table_countable", table="t") == 1
    await admin.execute("DROP TABLE t")
    assert gap(await look_at("t")).kind == "missing"
    await admin.execute("CREATE TABLE t (epoch bigint)")
    assert (await look_at("t")).number("table_countable", table="t") == 0


async def test_a_missing_table_is_a_gap_and_the_others_are_measured(look_at: LookAt) -> None:
    reading = await look_at("user_signals", "nowhere", "no_schema.user_signals")
    assert [(g.subject, g.kind) for g in reading.gaps] == [
        ("nowhere", "missing"),
        ("no_schema.user_signals", "missing"),
    ]
    assert set(reading.values("table_size", "table")) == {"user_signals"}


@pytest.mark.parametrize(
    "name",
    [
        "user_signals; DROP TABLE user_signals",
        "'; DROP TABLE user_signals; --",
        '"',
        "",
        ".",
        "a.b.c.d",
        "\0",
        "\udcff",
        "x" * 5000,
        "%s",
        "$1",
        "public.",
    ],
)
async def test_a_hostile_name_is_only_a_name_that_is_not_there(look_at: LookAt, admin: Admin, name: str) -> None:
    reading = await look_at(name, "user_signals", exact=True)
    assert gap(reading).kind == "missing"
    assert await admin.fetchval("SELECT to_regclass('user_signals') IS NOT NULL")


async def test_names_are_found_as_people_write_them(look_at: LookAt, admin: Admin) -> None:
    await admin.execute('CREATE SCHEMA "App"; CREATE TABLE "App"."UserSignals" (epoch bigint PRIMARY KEY)')
    await admin.execute('CREATE TABLE "it\'s; -- odd" (epoch bigint PRIMARY KEY)')
    await admin.execute('CREATE SCHEMA "a b"; CREATE TABLE "a b"."t.dot" (epoch bigint PRIMARY KEY)')
    names = (
        "App.UserSignals",
        '"App"."UserSignals"',
        '"a b"."t.dot"',
        "a b.t.dot",
        "public.user_signals",
        "USER_SIGNALS",
        "it's; -- odd",
    )
    reading = await look_at(*names, exact=True)
    assert not reading.gaps
    assert set(reading.values("table_size", "table")) == set(names)
    assert set(reading.values("table_recent", "table")) == set(names)


async def test_the_search_path_decides_between_tables_of_one_name(look_at: LookAt, admin: Admin, postgres: Any) -> None:
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute("CREATE SCHEMA app; CREATE TABLE app.user_signals (x int)")
    assert (await look_at("user_signals")).number("table_countable", table="user_signals") == 1
    reading = await look_at("user_signals", dsn=postgres.dsn(name) + "?schema=app")
    assert reading.number("table_countable", table="user_signals") == 0


@pytest.fixture
async def reader(admin: Admin, postgres: PostgresServer) -> AsyncIterator[str]:
    """The DSN of a role that may do nothing yet."""
    await admin.execute(f"CREATE ROLE reader LOGIN PASSWORD '{postgres.password}'")
    yield postgres.dsn(await admin.fetchval("SELECT current_database()"), user="reader")
    await admin.execute("DROP OWNED BY reader; DROP ROLE reader")


async def test_a_role_with_select_on_one_table_measures_that_and_says_what_it_lacks(
    look_at: LookAt, admin: Admin, reader: str, ticks: None
) -> None:
    await signals(admin, int(NOON), 7)
    await admin.execute("GRANT SELECT ON user_signals TO reader")
    reading = await look_at("user_signals", "sealed_participants", exact=True, dsn=reader)
    lacking = gap(reading)
    assert (lacking.subject, lacking.kind) == ("sealed_participants", "permission")
    assert set(reading.values("table_size", "table")) == {"user_signals"}
    assert set(recent(reading).values()) == {7}
    assert (reading.number("database_size") or 0) > 0


async def test_a_schema_one_may_not_use_is_a_permission_too(look_at: LookAt, admin: Admin, reader: str) -> None:
    await admin.execute("CREATE SCHEMA vault; CREATE TABLE vault.gold (epoch bigint PRIMARY KEY)")
    await admin.execute("GRANT SELECT ON vault.gold TO reader")
    assert gap(await look_at("vault.gold", exact=True, dsn=reader)).kind == "permission"


async def test_a_policy_that_hides_rows_makes_no_count_too_low(
    look_at: LookAt, admin: Admin, reader: str, ticks: None
) -> None:
    await signals(admin, int(NOON), 7)
    await admin.execute("GRANT SELECT ON user_signals TO reader")
    await admin.execute("ALTER TABLE user_signals ENABLE ROW LEVEL SECURITY")
    reading = await look_at("user_signals", exact=True, dsn=reader)
    assert reading.failure is None
    assert reading.number("table_countable", table="user_signals") == 0
    assert not recent(reading)


@pytest.mark.parametrize(
    "lock",
    [
        "LOCK TABLE user_signals IN ACCESS EXCLUSIVE MODE",
        "REINDEX INDEX user_signals_epoch",
        "TRUNCATE user_signals",
    ],
)
async def test_a_table_that_is_locked_is_a_gap_and_the_others_are_measured(
    look_at: LookAt, admin: Admin, fleet_database: str, lock: str
) -> None:
    async with admin.transaction():
        await admin.execute(lock)
        reading = await look_at("user_signals", "sealed_epochs", exact=True)
    locked = gap(reading)
    assert (locked.subject, locked.kind) == ("user_signals", "timeout")
    assert reading.number("table_size", table="user_signals") is None
    assert reading.number("table_inserted", table="user_signals") == 0  # statistics take no lock
    assert (reading.number("table_size", table="sealed_epochs") or 0) > 0
    assert set(reading.values("table_recent", "table")) == {"sealed_epochs"}
    assert not (await look_at("user_signals")).gaps


async def test_a_lock_that_is_still_waited_for_stands_in_the_way_too(
    look_at: LookAt, admin: Admin, fleet_database: str, eventually: Eventually
) -> None:
    waiting = await asyncpg.connect(fleet_database, timeout=10, command_timeout=PATIENCE)
    try:
        async with admin.transaction():
            await admin.execute("LOCK TABLE user_signals IN ACCESS SHARE MODE")
            truncating = asyncio.create_task(waiting.execute("TRUNCATE user_signals"))
            await eventually(lambda: admin.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            assert gap(await look_at("user_signals", "sealed_epochs")).kind == "timeout"
        await truncating
    finally:
        await waiting.close(timeout=5)


@pytest.mark.parametrize("watched", ["orders", "user_signals"])
@pytest.mark.parametrize("key", ["bigserial", "bigint DEFAULT nextval('numbers')"])
async def test_a_lock_on_a_table_whose_key_is_drawn_from_a_sequence_stands_in_no_ones_way(
    look_at: LookAt, admin: Admin, key: str, watched: str
) -> None:
    await admin.execute(f"CREATE SEQUENCE numbers; CREATE TABLE orders (id {key} PRIMARY KEY, note text)")
    async with admin.transaction():
        await admin.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        reading = await look_at(watched)
    assert reading.failure is None
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("orders", "timeout")] * (watched == "orders")
    assert (await look_at("orders")).number("table_countable", table="orders") == 1


async def test_a_locked_catalogue_is_the_readings_failure(fleet_database: str, admin: Admin) -> None:
    session = Session(fleet_database)
    probe = PostgresProbe(session, ("user_signals",), HOUR)
    try:
        async with admin.transaction():
            await admin.execute("LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE")
            failure = (await take(probe, Request(NOON, 2.0))).failure
        assert failure is not None
        assert failure.kind == "timeout"
        assert (await take(probe, Request(NOON, 20.0))).failure is None
    finally:
        await session.close()


async def test_partitions_count_as_their_table(look_at: LookAt, admin: Admin) -> None:
    await admin.execute("CREATE TABLE parted (epoch bigint, x int) PARTITION BY RANGE (epoch)")
    assert (await look_at("parted")).number("table_rows", table="parted") == 0
    await admin.execute(
        f"CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM (0) TO ({int(NOON)});"
        f"CREATE TABLE parted_new PARTITION OF parted FOR VALUES FROM ({int(NOON)}) TO (9999999999)"
    )
    await admin.execute("INSERT INTO parted SELECT $1 - 100 + i, i FROM generate_series(1, 200) i", int(NOON))
    await admin.execute("CREATE INDEX ON parted_old (epoch)")
    await flushed(admin)
    half = await look_at("parted", exact=True)
    assert (half.number("table_countable", table="parted"), recent(half)) == (0, {})
    await admin.execute("CREATE INDEX ON parted_new (epoch)")
    reading = await look_at("parted", exact=True)
    assert reading.number("table_rows", table="parted") == 200
    assert reading.number("table_inserted", table="parted") == 200
    assert set(recent(reading).values()) == {200}
    size = "SELECT pg_total_relation_size('parted_old') + pg_total_relation_size('parted_new')"
    assert reading.number("table_size", table="parted") == await admin.fetchval(size)


async def test_truncate_leaves_no_rows_and_a_counter_that_only_rises(
    look_at: LookAt, admin: Admin, ticks: None
) -> None:
    await signals(admin, int(NOON), 300)
    await admin.execute("TRUNCATE user_signals")
    await flushed(admin)
    reading = await look_at("user_signals", exact=True)
    assert reading.number("table_rows", table="user_signals") == 0
    assert reading.number("table_inserted", table="user_signals") == 300
    assert set(recent(reading).values()) == {0}


async def test_after_a_statistics_reset_the_last_analyze_is_what_is_known(
    look_at: LookAt, admin: Admin, ticks: None
) -> None:
    await signals(admin, int(NOON), 3000)
    await flushed(admin)
    await admin.execute("ANALYZE user_signals")
    await admin.execute("SELECT pg_stat_reset()")
    await signals(admin, int(NOON), 5)
    await flushed(admin)
    reading = await look_at("user_signals")
    assert reading.number("table_inserted", table="user_signals") == 5
    assert reading.number("table_rows", table="user_signals") == pytest.approx(3000, rel=0.1)


async def test_rows_nobody_has_ever_counted_are_unknown_and_not_none_at_all(look_at: LookAt, admin: Admin) -> None:
    await admin.execute("CREATE TABLE dark (x int) WITH (autovacuum_enabled = false)")
    await admin.execute("INSERT INTO dark SELECT generate_series(1, 20000)")
    await flushed(admin)
    assert (await look_at("dark")).number("table_rows", table="dark") == 20000
    await admin.execute("SELECT pg_stat_reset()")
    reading = await look_at("dark")
    assert [s.value for s in reading.named("table_rows")] == [None]
    assert (reading.number("table_size", table="dark") or 0) > 0


def relation(**facts: Any) -> TableReading:
    blank = {
        "kind": "r",
        "updated": 0,
        "stored": True,
        "barred": False,
        "bytes": 80_000,
        "pages": 10,
        "pages_then": 0,
        "rows_then": -1.0,
    }
    blank |= {"inserted": 0, "deleted": 0, "live": 0, "dead": 0, "surveyed": False, "indexed": True}
    blank |= {"changed": 0, "vacuums": 0, "analyses": 0}
    return TableReading(**{**blank, **facts})


@pytest.mark.parametrize(
    ("facts", "rows"),
    [
        ({"pages": 0}, 0),
        ({"live": 500, "surveyed": True}, 500),
        ({"live": 0, "surveyed": True, "rows_then": 0.0}, 0),
        ({"live": 500}, 500),
        ({}, None),
        ({"rows_then": 0.0}, None),
        ({"live": 3}, None),  # three rows do not fill ten pages
        ({"live": 3, "dead": 30}, 3),
        ({"rows_then": 1000.0, "pages_then": 10}, 1000),
        ({"rows_then": 1000.0, "pages_then": 5}, 2000),  # as dense as it was, and twice as large
        ({"rows_then": 1000.0, "pages_then": 10, "live": 7}, 1000),
        ({"rows_then": 1000.0, "pages_then": 10, "live": 900}, 900),
        ({"rows_then": 1000.0, "pages_then": 10, "pages": None}, 1000),
        ({"pages": None}, None),
        ({"pages": None, "live": 7}, 7),
        ({"stored": False}, 0),
    ],
)
def test_an_estimate_is_believed_while_it_can_be_right(facts: dict[str, Any], rows: int | None) -> None:
    assert estimate_rows(relation(**facts)) == rows


async def test_the_exact_count_reads_the_index_and_stops_at_its_limit(admin: Admin) -> None:
    await admin.execute(
        "INSERT INTO user_signals SELECT $1 - 3600 * (i % 48), 'c', i::text, 'chat', 1, i "
        "FROM generate_series(1, 200000) i",
        int(NOON),
    )
    await admin.execute("VACUUM ANALYZE user_signals")
    async with admin.transaction():
        await admin.execute(queries.begin(60000, 1000, 60000, ()).partition("; ")[2])
        plan = await admin.fetch("EXPLAIN " + queries.recent("public.user_signals"), int(NOON) - 7200, int(NOON), 1000)
    text = "\n".join(row[0] for row in plan)
    assert "Index Only Scan using" in text
    assert "Seq Scan" not in text
    assert "Limit" in text


async def test_a_server_that_is_gone_is_the_readings_failure_with_its_kind(
    look_at: LookAt, postgres: PostgresServer
) -> None:
    assert (await look_at("user_signals")).failure is None
    postgres.pause()
    try:
        failure = (await look_at("user_signals", timeout=1.0)).failure
    finally:
        postgres.resume()
    assert failure is not None
    assert failure.kind == "timeout"
    assert failure.error.startswith("Postgres at ")  # our own sentence, said before the runner gave up
    assert (await look_at("user_signals")).failure is None


async def test_a_crash_of_the_server_resets_its_statistics_and_costs_no_reading(
    look_at: LookAt, admin: Admin, postgres: PostgresServer, fleet_database: str, ticks: None
) -> None:
    await signals(admin, int(NOON), 2000)
    await admin.execute("ANALYZE user_signals")
    await flushed(admin)
    assert (await look_at("user_signals")).number("table_inserted", table="user_signals") == 2000
    await postgres.kill()
    await postgres.start()
    reading = await look_at("user_signals", exact=True)
    assert reading.failure is None
    assert reading.number("table_inserted", table="user_signals") == 0
    assert reading.number("table_rows", table="user_signals") == 2000
    assert set(recent(reading).values()) == {2000}


@pytest.fixture
async def pair(postgres: PostgresServer) -> AsyncIterator[tuple[str, str]]:
    """The DSNs of a primary and of the replica that streams from it."""
    binaries = Path(psutil.Process(postgres.pid).exe()).parent
    nobody = pwd.getpwnam("nobody")
    user = (nobody.pw_uid, nobody.pw_gid) if os.geteuid() == 0 else None
    with Sandbox() as sandbox:
        home = sandbox.directory / "pair"
        home.mkdir(mode=0o711)
        if user is not None:
            os.chown(home, *user)

        async def start(data: Path) -> str:
            port = free_port()
            options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": home, "fsync": "off"}
            options |= {"dynamic_shared_memory_type": "mmap", "max_connections": 30, "wal_level": "replica"}
            arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
            sandbox.spawn([binaries / "postgres", "-D", data, *arguments], log=home / "log", cwd=home, user=user)
            dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        await (await asyncpg.connect(dsn, timeout=5)).close(timeout=5)
                    except (OSError, asyncpg.CannotConnectNowError):
                        await asyncio.sleep(0.05)
                    else:
                        return dsn

        async def run(program: str, *arguments: str | Path) -> None:
            await sandbox.run([binaries / program, *arguments], timeout=60, cwd=home, user=user)

        await run("initdb", "-D", home / "primary", "-U", "postgres", "--auth=trust", "--no-sync")
        primary = await start(home / "primary")
        await run("pg_basebackup", "-d", primary, "-D", home / "replica", "-R", "-X", "stream", "-c", "fast")
        yield primary, await start(home / "replica")


async def test_a_replica_says_so_and_counts_instead_of_trusting_its_statistics(
    look_at: LookAt, pair: tuple[str, str], eventually: Eventually
) -> None:
    primary, replica = pair
    admin = await asyncpg.connect(primary, timeout=10, command_timeout=PATIENCE)
    try:
        await apply_schema(admin)
        await admin.execute("CREATE SEQUENCE ticks")
        await signals(admin, int(NOON), 2000)
        await admin.execute("ANALYZE user_signals")
    finally:
        await admin.close(timeout=5)

    async def replayed() -> Reading | None:
        reading = await look_at("user_signals", dsn=replica)
        return reading if reading.number("table_rows", table="user_signals") else None  # the ANALYZE has come over

    reading: Reading = await eventually(replayed)
    assert reading.number("replica") == 1
    assert [s.value for s in reading.named("table_inserted")] == [None]
    assert [s.value for s in reading.named("table_deleted")] == [None]
    assert reading.number("table_rows", table="user_signals") == 2000  # as of the ANALYZE on the primary
    assert set(recent(reading).values()) == {2000}  # though nobody asked for it
    assert (await look_at("user_signals", dsn=primary)).number("replica") == 0


async def test_a_replica_says_how_far_it_is_behind_and_a_primary_says_nothing_of_it(
    look_at: LookAt, pair: tuple[str, str], eventually: Eventually
) -> None:
    primary, replica = pair
    assert (await look_at(dsn=primary)).number("replica_lag") is None

    async def lag(wanted: Callable[[float], bool]) -> bool | None:
        told = (await look_at(dsn=replica)).number("replica_lag")
        return True if told is not None and wanted(told) else None

    async def write() -> None:
        admin = await asyncpg.connect(primary, timeout=10, command_timeout=PATIENCE)
        await admin.execute("CREATE TABLE IF NOT EXISTS written (at timestamptz); INSERT INTO written VALUES (now())")
        await admin.close(timeout=5)

    standby = await asyncpg.connect(replica, timeout=10, command_timeout=PATIENCE)
    try:
        await standby.execute("SELECT pg_wal_replay_pause()")
        await write()

        async def waits() -> bool:
            return (await look_at(dsn=replica)).number("replica_lag") is None

        assert await eventually(waits), "nothing was replayed yet: how old what waits is is not known, and not 0"
        await standby.execute("SELECT pg_wal_replay_resume()")
        assert await eventually(lambda: standby.fetchval("SELECT to_regclass('written') IS NOT NULL"))
        assert await eventually(lambda: lag(lambda seconds: seconds == 0.0))
        await standby.execute("SELECT pg_wal_replay_pause()")
        await write()
        assert await eventually(lambda: lag(lambda seconds: seconds > 0.5))
        await standby.execute("SELECT pg_wal_replay_resume()")
    finally:
        await standby.close(timeout=5)
    assert await eventually(lambda: lag(lambda seconds: seconds == 0.0))


async def test_the_servers_clock_is_told_as_of_the_moment_the_reading_began(look_at: LookAt) -> None:
    before = time.time()
    reading = await look_at()
    told = reading.number("server_clock")
    assert told is not None
    assert before - 0.5 <= told <= time.time() + 0.5, "the server of the tests has this machine's clock"


def refused(reading: Reading) -> dict[str, Any]:
    assert reading.failure is None
    return {why: said for why, said in reading.values("postgres_refusal", "why").items() if said}


async def test_a_database_that_is_read_only_for_all_refuses_writes_and_one_for_monitord_alone_does_not(
    look_at: LookAt, admin: Admin, fleet_database: str
) -> None:
    assert refused(await look_at()) == {}
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert list(refused(await look_at())) == ["readonly"]
    await admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    assert refused(await look_at()) == {}


async def test_a_database_whose_connections_are_all_in_use_refuses_the_next(look_at: LookAt, admin: Admin) -> None:
    await look_at()
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 2')  # the admin's and monitord's
    assert list(refused(await look_at())) == ["connections"]
    await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 3')
    assert refused(await look_at()) == {}
