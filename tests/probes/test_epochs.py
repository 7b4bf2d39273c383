from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from monitord.core.model import Failure, Reading
from monitord.postgres import queries
from monitord.postgres.session import Session
from monitord.probes.base import Request, take
from monitord.probes.epochs import EpochsProbe
from monitord.testing.servers.postgres import PostgresServer

HOUR = 3600
NOON = 1_762_300_800
PATIENCE = 30.0  # seconds; a test that waits this long has failed

Admin = Any
LookAt = Callable[..., Awaitable[Reading]]


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Admin]:
    """A superuser's connection to the test's own database."""
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=PATIENCE)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def look_at(fleet_database: str) -> AsyncIterator[LookAt]:
    """Takes one reading of the groups named."""
    sessions: list[Session] = []

    async def look(*groups: str, now: float = NOON + 10, window: float = 24 * HOUR, dsn: str = "") -> Reading:
        sessions.append(Session(dsn or fleet_database))
        return await take(EpochsProbe(sessions[-1], groups, HOUR, window), Request(now, 20.0))

    yield look
    for session in sessions:
        await session.close()


async def seal(admin: Admin, group: str, epoch: int, *channels: str, sealed_at: int | None = None) -> None:
    rows = [(epoch, channel, "root", sealed_at, group) for channel in channels]
    await admin.executemany(
        "INSERT INTO sealed_epochs (epoch, channel, root, sealed_at, token_group) VALUES ($1, $2, $3, $4, $5)", rows
    )


def seals(reading: Reading) -> dict[tuple[str, str], Any]:
    assert reading.failure is None
    return {(s.label("group"), s.label("epoch")): s.value for s in reading.named("seal_channels")}


def failure(reading: Reading) -> Failure:
    assert reading.failure is not None
    assert not reading.samples
    return reading.failure


async def test_each_label_has_its_channels_and_the_last_time_of_sealing(look_at: LookAt, admin: Admin) -> None:
    await seal(admin, "MILO", NOON - HOUR, "a", sealed_at=NOON + 100)
    await seal(admin, "MILO", NOON - HOUR, "b", sealed_at=NOON + 300)
    await seal(admin, "CLS", NOON - HOUR, "a", sealed_at=NOON + 200)
    await seal(admin, "CLS", NOON - 2 * HOUR, "c")
    await seal(admin, "OTHER", NOON - HOUR, "d")
    reading = await look_at("MILO", "CLS")
    newest, before = str(NOON - HOUR), str(NOON - 2 * HOUR)
    assert seals(reading) == {("MILO", newest): 2, ("CLS", newest): 1, ("CLS", before): 1}
    assert reading.number("seal_at", group="MILO", epoch=newest) == NOON + 300
    assert [s.value for s in reading.named("seal_at") if s.label("epoch") == before] == [None]
    assert reading.number("unaligned_labels") == 0


Kept = Callable[[float], Awaitable[Reading]]


@pytest.fixture
async def look_again(fleet_database: str) -> AsyncIterator[Kept]:
    """Takes readings by one probe, as the daemon does."""
    session = Session(fleet_database)
    probe = EpochsProbe(session, ("MILO", "CLS"), HOUR, 24 * HOUR)

    async def look(now: float) -> Reading:
        return await take(probe, Request(now, 20.0))

    yield look
    await session.close()


async def test_what_falls_due_is_seen_in_the_reading_after_it_was_sealed(look_again: Kept, admin: Admin) -> None:
    for group in ("MILO", "CLS"):
        await seal(admin, group, NOON - 2 * HOUR, "a")
    assert ("MILO", str(NOON - HOUR)) not in seals(await look_again(NOON + 30))
    await seal(admin, "milo", NOON - HOUR, "a", sealed_at=NOON + 40)  # in whichever case
    reading = await look_again(NOON + 60)
    assert seals(reading)["MILO", str(NOON - HOUR)] == 1
    assert reading.number("seal_at", group="MILO", epoch=str(NOON - HOUR)) == NOON + 40
    assert reading.number("seals_read") == NOON + 30  # all of the window was not read for that
    await seal(admin, "MILO", NOON - HOUR, "b", "c", sealed_at=NOON + 70)
    await admin.execute("SELECT pg_stat_force_next_flush()")
    assert seals(await look_again(NOON + 90))["MILO", str(NOON - HOUR)] == 3


async def test_a_late_seal_of_an_absent_label_is_seen_in_the_next_reading(look_again: Kept, admin: Admin) -> None:
    for ago in (1, 2, 4, 9):
        await seal(admin, "MILO", NOON - ago * HOUR, "a")
    await look_again(NOON + 930)
    await seal(admin, "MILO", NOON - 7 * HOUR, "a")
    assert seals(await look_again(NOON + 960))["MILO", str(NOON - 7 * HOUR)] == 1


async def test_a_channel_that_is_added_to_an_old_label_or_taken_from_it_is_seen_within_a_twelfth_of_an_epoch(
    look_again: Kept, admin: Admin
) -> None:
    for ago in (1, 2, 3, 4):
        await seal(admin, "MILO", NOON - ago * HOUR, "a", "b")
    await look_again(NOON + 930)
    await seal(admin, "MILO", NOON - 3 * HOUR, "c")
    await admin.execute("DELETE FROM sealed_epochs WHERE epoch = $1", NOON - 2 * HOUR)
    await admin.execute("SELECT pg_stat_force_next_flush()")
    reading = await look_again(NOON + 1229)
    assert (reading.number("seals_read"), len(seals(reading))) == (NOON + 930, 4)  # as of then, and it says so
    reading = await look_again(NOON + 1230)
    assert reading.number("seals_read") == NOON + 1230
    assert [seals(reading).get(("MILO", str(NOON - ago * HOUR))) for ago in (1, 2, 3, 4)] == [2, None, 3, 2]


async def test_a_table_that_was_made_anew_is_read_whole_at_once(look_again: Kept, admin: Admin) -> None:
    for ago in (1, 2, 3):
        await seal(admin, "MILO", NOON - ago * HOUR, "a")
    await look_again(NOON + 930)
    await admin.execute("CREATE TABLE anew (LIKE sealed_epochs INCLUDING ALL)")
    await admin.execute("DROP TABLE sealed_epochs")
    await admin.execute("ALTER TABLE anew RENAME TO sealed_epochs")
    await seal(admin, "MILO", NOON - 5 * HOUR, "a")
    assert seals(await look_again(NOON + 960)) == {("MILO", str(NOON - 5 * HOUR)): 1}


async def test_a_channel_sealed_in_two_categories_is_one_channel(look_at: LookAt, admin: Admin) -> None:
    await seal(admin, "MILO", NOON - HOUR, "a")
    await admin.execute(
        "INSERT INTO sealed_epochs SELECT epoch, channel, root, 1, 0, token_group, 'x' FROM sealed_epochs"
    )
    assert seals(await look_at("MILO")) == {("MILO", str(NOON - HOUR)): 1}


async def test_groups_are_compared_without_case_and_labelled_as_configured(look_at: LookAt, admin: Admin) -> None:
    await seal(admin, "milo", NOON - HOUR, "a", "b")
    await seal(admin, "MILO", NOON - HOUR, "b", "c")
    await seal(admin, "Cls", NOON - HOUR, "d")
    label = str(NOON - HOUR)
    assert seals(await look_at("MILO", "cLS")) == {("MILO", label): 3, ("cLS", label): 1}


async def test_nothing_sealed_is_an_empty_reading_and_no_failure(look_at: LookAt) -> None:
    reading = await look_at("MILO", "CLS")
    assert seals(reading) == {}
    assert reading.number("unaligned_labels") == 0


async def test_labels_of_the_far_future_and_the_far_past_are_out_of_the_window(look_at: LookAt, admin: Admin) -> None:
    await seal(admin, "MILO", 9_999_999_999, "test")
    await seal(admin, "MILO", 9_999_999_600 - 9_999_999_600 % HOUR, "test")
    await seal(admin, "MILO", NOON + HOUR, "ahead")
    await seal(admin, "MILO", NOON, "now")
    await seal(admin, "MILO", NOON - 24 * HOUR, "yesterday")
    reading = await look_at("MILO", now=NOON)
    assert seals(reading) == {("MILO", str(NOON)): 1, ("MILO", str(NOON - 24 * HOUR)): 1}
    assert seals(await look_at("MILO", now=NOON + 1)) == {("MILO", str(NOON)): 1}  # yesterday's has left the window
    assert reading.number("unaligned_labels") == 0


async def test_labels_that_are_not_aligned_are_counted_and_not_taken_for_epochs(look_at: LookAt, admin: Admin) -> None:
    await seal(admin, "MILO", NOON - HOUR, "a")
    for odd in range(1, 8):
        await seal(admin, "MILO", NOON - odd, "a")
    await seal(admin, "OTHER", NOON - 9, "a")
    reading = await look_at("MILO")
    assert seals(reading) == {("MILO", str(NOON - HOUR)): 1}
    assert reading.number("unaligned_labels") == 8
    assert reading.values("unaligned_seals", "group") == {"MILO": 7}  # of the groups that are watched
    assert reading.values("unaligned_newest", "group") == {"MILO": NOON - 1}


async def test_a_missing_table_is_missing_and_named(look_at: LookAt, admin: Admin) -> None:
    await admin.execute("DROP TABLE sealed_epochs")
    found = failure(await look_at("MILO"))
    assert found.kind == "missing"
    assert "sealed_epochs" in found.error


async def test_a_table_without_its_columns_is_missing_and_named(look_at: LookAt, admin: Admin) -> None:
    await admin.execute("ALTER TABLE sealed_epochs RENAME token_group TO tokens")
    found = failure(await look_at("MILO"))
    assert found.kind == "missing"
    assert "sealed_epochs" in found.error


async def test_a_role_that_may_not_read_or_not_all_is_permission(
    look_at: LookAt, admin: Admin, postgres: PostgresServer
) -> None:
    await seal(admin, "MILO", NOON - HOUR, "a")
    await admin.execute(f"CREATE ROLE seals_reader LOGIN PASSWORD '{postgres.password}'")
    try:
        dsn = postgres.dsn(await admin.fetchval("SELECT current_database()"), user="seals_reader")
        found = failure(await look_at("MILO", dsn=dsn))
        assert found.kind == "permission"
        assert "sealed_epochs" in found.error
        await admin.execute("GRANT SELECT ON sealed_epochs TO seals_reader")
        assert seals(await look_at("MILO", dsn=dsn)) == {("MILO", str(NOON - HOUR)): 1}
        # A policy that hides rows must not look like a night in which nothing was sealed.
        await admin.execute("ALTER TABLE sealed_epochs ENABLE ROW LEVEL SECURITY")
        assert failure(await look_at("MILO", dsn=dsn)).kind == "permission"
    finally:
        await admin.execute("DROP OWNED BY seals_reader; DROP ROLE seals_reader")


async def test_a_locked_table_is_a_timeout(look_at: LookAt, admin: Admin) -> None:
    async with admin.transaction():
        await admin.execute("LOCK TABLE sealed_epochs IN ACCESS EXCLUSIVE MODE")
        assert failure(await look_at("MILO")).kind == "timeout"
    assert seals(await look_at("MILO")) == {}


async def test_seals_are_found_through_an_index_among_hundreds_of_thousands(admin: Admin) -> None:
    await admin.execute(
        "INSERT INTO sealed_epochs (epoch, channel, root, token_group) "
        "SELECT $1 - 3600 * (i / 170), 'c' || i % 170, 'r', CASE i % 2 WHEN 0 THEN 'MILO' ELSE 'CLS' END "
        "FROM generate_series(1, 200000) i",
        NOON,
    )
    for analyzed in (False, True):  # the plan must hold without statistics too
        if analyzed:
            await admin.execute("ANALYZE sealed_epochs")
        labels = [NOON - ago * HOUR for ago in range(25)]
        asked = queries.EPOCHS, labels, HOUR, NOON - 24 * HOUR, NOON, ["MILO", "CLS"]
        text = "\n".join([row[0] for row in await admin.fetch("EXPLAIN " + asked[0], *asked[1:])])
        assert "Index Cond: (epoch = e.label)" in text
        assert "Index Cond: ((epoch >" in text
        assert "Seq Scan" not in text
        counted = ["MILO"] * 3, labels[:3], 256
        text = "\n".join([row[0] for row in await admin.fetch("EXPLAIN " + queries.SEALED_ROWS, *counted)])
        assert "Seq Scan" not in text
