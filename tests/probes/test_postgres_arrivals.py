"""What Postgres' counters tell of arrivals: rows count when they are committed, whatever label they carry."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from monitord.core.history.arrivals import Arrived, Counters, arrived, numbers_of
from monitord.postgres.session import Session
from monitord.probes.base import Request, take
from monitord.probes.postgres import PostgresProbe

NOON = 1_762_300_800.0
Step = Callable[..., Awaitable[Arrived]]
WEEK_OLD = int(NOON) - 7 * 86400
ROWS = "INSERT INTO t SELECT i, {label} FROM generate_series({first}, {last}) i"


def rows(first: int, last: int, label: int = WEEK_OLD) -> str:
    return ROWS.format(first=first, last=last, label=label)


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=30)
    await connection.execute(
        "CREATE TABLE t (id int PRIMARY KEY, epoch bigint, note text) WITH (autovacuum_enabled = false)"
    )
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def step(fleet_database: str, admin: Any) -> AsyncIterator[Step]:
    """Runs statements between two readings of the probe, and says what the two tell came in."""
    session = Session(fleet_database)
    probe = PostgresProbe(session, ("t",), 3600)

    async def counters() -> Counters:
        await admin.execute("SELECT pg_stat_force_next_flush()")
        reading = await take(probe, Request(NOON, 20.0))
        assert reading.failure is None
        found = Counters.of(numbers_of(reading)["t"], reading.number("server_started"))
        assert found is not None
        return found

    async def run(*statements: str, fails: bool = False, share: float = 1.0) -> Arrived:
        before = await counters()
        for statement in statements:
            if fails:
                with pytest.raises(asyncpg.PostgresError):
                    await admin.execute(statement)
            else:
                await admin.execute(statement)
            # ANALYZE adds what its own session has not told yet to what it counts.
            await admin.execute("SELECT pg_stat_force_next_flush()")
        after = await counters()
        return arrived(before, after, after.inserted - before.inserted, share)

    yield run
    await session.close()


async def test_committed_rows_of_any_label_came_and_rolled_back_ones_did_not(step: Step) -> None:
    assert await step(rows(1, 1000)) == Arrived(1000, 0, tells_share=True)
    assert await step(f"BEGIN; {rows(2001, 2500)}; ROLLBACK") == Arrived(0, 0, tells_share=True)
    assert (await step(rows(3001, 3100), f"BEGIN; {rows(4001, 4500)}; ROLLBACK")).rows == 100
    # A statement that fails has inserted what came before its failure.
    assert (await step("INSERT INTO t VALUES (90000, 1), (1, 1)", fails=True)).rows == 0


async def test_deletes_and_updates_committed_or_not_are_no_arrivals_and_hide_none(step: Step) -> None:
    await step(rows(1, 1000))
    assert (await step("DELETE FROM t WHERE id <= 100")).rows == 0
    assert (await step("BEGIN; DELETE FROM t WHERE id <= 300; ROLLBACK")).rows == 0
    assert (await step("UPDATE t SET note = 'x' WHERE id <= 200")).rows == 0
    assert (await step("BEGIN; UPDATE t SET note = 'y'; ROLLBACK")).rows == 0
    assert (await step("DELETE FROM t WHERE id <= 200", rows(1, 50), "UPDATE t SET note = 'z'")).rows == 50
    # Rolled-back deletes beside rolled-back inserts: still none.
    assert (
        await step("BEGIN; DELETE FROM t WHERE id <= 300; ROLLBACK", f"BEGIN; {rows(5001, 5400)}; ROLLBACK")
    ).rows == 0
    assert (await step(rows(6001, 6010), "DELETE FROM t WHERE id > 6000")) == Arrived(10, 0, tells_share=True)


async def test_subtransactions_conflicts_and_copies_count_what_is_committed(step: Step) -> None:
    inner = f"BEGIN; {rows(1, 10)}; SAVEPOINT a; {rows(11, 30)}; ROLLBACK TO a; {rows(41, 45)}; COMMIT"
    assert (await step(inner)).rows == 15
    assert (await step(rows(1, 10) + " ON CONFLICT DO NOTHING")).rows == 0
    assert (await step(rows(1, 10) + " ON CONFLICT (id) DO UPDATE SET note = 'again'")).rows == 0
    assert (await step(rows(6, 14) + " ON CONFLICT DO NOTHING")).rows == 4
    assert (await step("COPY t (id) FROM PROGRAM 'seq 101 140'")).rows == 40


async def test_truncate_takes_no_arrival_back(step: Step) -> None:
    await step(rows(1, 1000))
    assert (await step("TRUNCATE t")).rows == 0
    await step(rows(1, 1000))
    assert (await step("TRUNCATE t", rows(1, 40))).rows == 40
    await step(rows(1001, 2000))
    assert (await step(f"BEGIN; {rows(5001, 5005)}; TRUNCATE t; {rows(1, 7)}; COMMIT")).rows <= 12
    await step(rows(1001, 2000))
    assert (await step(f"BEGIN; TRUNCATE t; {rows(1, 30)}; ROLLBACK")).rows == 0


async def test_vacuum_and_analyze_are_no_arrivals(step: Step) -> None:
    await step(rows(1, 5000))
    await step("DELETE FROM t WHERE id <= 2000", f"BEGIN; {rows(9001, 9500)}; ROLLBACK")
    assert (await step("VACUUM t")).rows == 0
    assert (await step("ANALYZE t")).rows == 0
    assert (await step("VACUUM FULL t")).rows == 0
    assert (await step("ALTER TABLE t ALTER COLUMN epoch TYPE numeric")).rows == 0
    # With a VACUUM in the step the changes still tell what was committed.
    assert (await step(f"BEGIN; {rows(9001, 9500)}; ROLLBACK", "VACUUM t")).rows == 0
    assert (await step(rows(10001, 10100), "VACUUM t")) == Arrived(100, 0)
    # With an ANALYZE a bulk of rows can be read off its estimate, and little ones off what was usual.
    assert (await step(rows(20001, 25000), "ANALYZE t")).rows == pytest.approx(5000, rel=0.1)
    assert (await step(f"BEGIN; {rows(30001, 39000)}; ROLLBACK", "ANALYZE t")).rows <= 900
    assert (await step(rows(40001, 40010), "ANALYZE t")).rows == 10
    assert (await step(f"BEGIN; {rows(50001, 50010)}; ROLLBACK", "ANALYZE t", share=0.0)).rows == 0


async def test_partitions_add_up_and_a_reset_tells_nothing(step: Step, admin: Any) -> None:
    await admin.execute(
        "DROP TABLE t; CREATE TABLE t (id int, epoch bigint) PARTITION BY RANGE (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (500);"
        "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (500) TO (100000)"
    )
    assert (await step(rows(1, 1000))).rows == 1000
    assert (await step(f"BEGIN; {rows(1, 1000)}; ROLLBACK")).rows == 0
    assert (await step("UPDATE t SET id = id + 500 WHERE id < 10")).rows <= 9  # a row that moves is inserted anew
    assert (await step("ANALYZE t", rows(1, 20))).rows == 20
    moved = await step("SELECT pg_stat_reset()")
    assert moved.rows == 0 or moved.doubt == moved.rows
