"""The night's recap: counts of who took part, in bounds, and never a hash."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from monitord.core.report.model import Recap
from monitord.postgres import queries
from monitord.postgres.errors import PostgresError
from monitord.postgres.recap import recap
from monitord.postgres.session import Session

from .conftest import PATIENCE, OpenSession

HOUR = 3600
NOON = 1_762_300_800
SINCE, UNTIL = NOON - 12 * HOUR, NOON

Admin = Any


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Admin]:
    """A superuser's connection to the test's own database."""
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=PATIENCE)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
def session(fleet_database: str, open_session: OpenSession) -> Session:
    return open_session(fleet_database)


async def took_part(
    admin: Admin, group: str, epoch: int, channel: str, viewers: str, category: str = "default"
) -> None:
    await admin.executemany(
        "INSERT INTO channel_participation VALUES ($1, $2, $3, 1, $4, $5)",
        [(epoch, channel, f"hash-of-{viewer}", group, category) for viewer in viewers],
    )


async def test_each_group_is_counted_over_the_labels_of_the_night(session: Session, admin: Admin) -> None:
    await took_part(admin, "MILO", SINCE, "marlon", "abc")
    await took_part(admin, "milo", SINCE + HOUR, "marlon", "cd", "music")
    await took_part(admin, "MILO", SINCE + HOUR, "fanfan", "ab")
    await took_part(admin, "CLS", UNTIL - HOUR, "other", "z")
    await took_part(admin, "MILO", SINCE - HOUR, "yesterday", "pq")
    await took_part(admin, "MILO", UNTIL, "today", "pq")
    assert await recap(session, ("MILO", "CLS"), SINCE, UNTIL, PATIENCE) == (
        Recap("MILO", 2, 7, 4, 2, "marlon", 4),
        Recap("CLS", 1, 1, 1, 1, "other", 1),
    )


async def test_a_night_without_anybody_is_zero_and_has_no_leader(session: Session) -> None:
    assert await recap(session, ("MILO",), SINCE, UNTIL, PATIENCE) == (Recap("MILO", 0, 0, 0, 0, None, None),)


async def test_of_equals_the_first_by_name_leads(session: Session, admin: Admin) -> None:
    await took_part(admin, "MILO", SINCE, "b", "xy")
    await took_part(admin, "MILO", SINCE, "a", "xz")
    (found,) = await recap(session, ("MILO",), SINCE, UNTIL, PATIENCE)
    assert (found.leader, found.leader_viewers) == ("a", 2)


async def test_past_the_cap_there_are_at_least_so_many_and_nobody_is_said_to_lead(
    session: Session, admin: Admin
) -> None:
    await took_part(admin, "MILO", SINCE, "a", "uvwxyz")
    (found,) = await recap(session, ("MILO",), SINCE, UNTIL, PATIENCE, cap=5)
    assert (found.participant_records, found.capped, found.leader) == (5, True, None)
    (found,) = await recap(session, ("MILO",), SINCE, UNTIL, PATIENCE, cap=6)
    assert (found.participant_records, found.capped, found.leader) == (6, False, "a")


async def test_a_part_that_does_not_finish_is_none_and_the_others_are_told(
    session: Session, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await took_part(admin, "MILO", SINCE, "a", "uv")
    slow = queries.VIEWERS.replace("GROUP BY user_hash", ", pg_sleep(60) GROUP BY user_hash")
    monkeypatch.setattr("monitord.postgres.recap._PARTS", (queries.RECORDS, slow, queries.LEADER))
    assert await recap(session, ("MILO",), SINCE, UNTIL, 3.0) == (Recap("MILO", 1, 2, None, 1, "a", 2),)


async def test_a_database_without_the_table_says_so(session: Session, admin: Admin) -> None:
    await admin.execute("DROP TABLE channel_participation")
    with pytest.raises(PostgresError) as caught:
        await recap(session, ("MILO", "CLS"), SINCE, UNTIL, PATIENCE)
    assert caught.value.kind == "missing"


async def test_the_labels_are_found_through_an_index(admin: Admin) -> None:
    await admin.execute(
        "INSERT INTO channel_participation "
        "SELECT $1::int8 - 3600 * (i / 500), 'c' || i % 100, 'u' || i, 1, CASE i % 2 WHEN 0 THEN 'MILO' ELSE 'CLS' END "
        "FROM generate_series(1, 100000) i",
        NOON,
    )
    for analyzed in (False, True):
        if analyzed:
            await admin.execute("ANALYZE channel_participation")
        for query in (queries.RECORDS, queries.VIEWERS, queries.LEADER):
            plan = await admin.fetch("EXPLAIN " + query, ["MILO", "MILO", "milo"], SINCE, UNTIL, 2_000_001)
            assert "Seq Scan" not in "\n".join(row[0] for row in plan)
