"""What the epochs probe learns of participation: once an epoch, by leaps through indexes, and never at others' cost."""

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from monitord.core.anomalies.completeness import KEEP_LABELS
from monitord.core.model import Reading
from monitord.postgres import queries
from monitord.postgres.session import Session
from monitord.probes.base import Request, take
from monitord.probes.epochs import EpochsProbe
from monitord.testing.servers.postgres import PostgresServer

HOUR = 3600
NOON = 1_762_300_800
GRACE = 900.0
COMPLETE = NOON - HOUR  # the newest label whose grace is over
LOOK_AT = NOON + GRACE + 10
PATIENCE = 30.0  # seconds; a test that waits this long has failed

Admin = Any


class CountingSession(Session):
    """A session that says how many transactions have been opened on it."""

    transactions = 0

    def read_only(self, timeout: float) -> Any:
        self.transactions += 1
        return super().read_only(timeout)


class Probe:
    """The probe under test, and what it has asked."""

    def __init__(self, dsn: str) -> None:
        self.session = CountingSession(dsn)
        self._probe = EpochsProbe(self.session, ("MILO", "CLS"), HOUR, 24 * HOUR, GRACE, ("milo",))

    async def look(self, now: float = LOOK_AT) -> Reading:
        reading = await take(self._probe, Request(now, 20.0))
        assert reading.failure is None
        assert all(gap.kind == "missing" for gap in reading.gaps)
        return reading

    async def asked(self, now: float) -> int:
        """How many transactions a reading cost."""
        before = self.session.transactions
        await self.look(now)
        return self.session.transactions - before


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Admin]:
    """A superuser's connection to the test's own database."""
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=PATIENCE)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def probe(fleet_database: str) -> AsyncIterator[Probe]:
    probe = Probe(fleet_database)
    yield probe
    await probe.session.close()


async def takes_part(admin: Admin, group: str, epoch: int, *channels: str, viewers: int = 2) -> None:
    await admin.executemany(
        "INSERT INTO channel_participation "
        "SELECT $1::int8, $2, 'viewer' || n, 1, $3, 'c' FROM generate_series(1, $4::int) n",
        [(epoch, channel, group, viewers) for channel in channels],
    )


async def seal(admin: Admin, group: str, epoch: int, *channels: str) -> None:
    await admin.executemany(
        "INSERT INTO sealed_epochs (epoch, channel, root, sealed_at, token_group) "
        "VALUES ($1::int8, $2, 'r', $1::int8 + 3700, $3)",
        [(epoch, channel, group) for channel in channels],
    )


def counts(reading: Reading, label: int = COMPLETE) -> dict[str, tuple[float | None, float | None]]:
    """(participating, unsealed) by group."""
    return {
        group: (
            reading.number("seal_participating", group=group, epoch=str(label)),
            reading.number("seal_unsealed", group=group, epoch=str(label)),
        )
        for group in ("MILO", "CLS")
    }


def unsealed(reading: Reading) -> list[tuple[str, ...]]:
    return [tuple(value for _, value in s.labels) for s in reading.named("unsealed_channel")]


def silent(reading: Reading) -> dict[tuple[str, str], Any]:
    return {(s.label("group"), s.label("channel")): s.value for s in reading.named("channel_silent")}


async def test_who_took_part_and_was_not_sealed_is_counted_and_named(probe: Probe, admin: Admin) -> None:
    await takes_part(admin, "MILO", COMPLETE, "a", "b", "c")
    await takes_part(admin, "CLS", COMPLETE, *(f"x{n}" for n in range(9)))
    await takes_part(admin, "OTHER", COMPLETE, "nobody's")
    await takes_part(admin, "MILO", NOON, "not yet complete")
    await seal(admin, "MILO", COMPLETE, "a", "b", "sealed without anybody")
    await seal(admin, "MILO", COMPLETE - HOUR, "c")
    await seal(admin, "CLS", COMPLETE, "x0")
    reading = await probe.look()
    assert counts(reading) == {"MILO": (3, 1), "CLS": (9, 8)}
    label = str(COMPLETE)
    assert unsealed(reading) == [("c", label, "MILO"), *((f"x{n}", label, "CLS") for n in range(1, 6))]
    assert reading.number("seal_channels", group="MILO", epoch=label) == 3


async def test_a_channel_of_two_groups_is_asked_for_in_each(probe: Probe, admin: Admin) -> None:
    await takes_part(admin, "MILO", COMPLETE, "both", viewers=1)
    await admin.execute("UPDATE channel_participation SET user_hash = 'another'")
    await takes_part(admin, "CLS", COMPLETE, "both")
    await seal(admin, "CLS", COMPLETE, "both")
    assert counts(await probe.look()) == {"MILO": (1, 1), "CLS": (1, 0)}


async def test_groups_are_compared_in_upper_and_lower_case(probe: Probe, admin: Admin) -> None:
    await takes_part(admin, "milo", COMPLETE, "a")
    await takes_part(admin, "MILO", COMPLETE, "b")
    await seal(admin, "milo", COMPLETE, "a")
    await seal(admin, "milo", COMPLETE, "b")
    assert counts(await probe.look())["MILO"] == (2, 0)


async def test_an_epoch_nobody_took_part_in_is_zero_and_not_unknown(probe: Probe) -> None:
    assert counts(await probe.look()) == {"MILO": (0, 0), "CLS": (0, 0)}


async def test_it_is_asked_once_an_epoch_and_answered_from_memory_in_between(probe: Probe, admin: Admin) -> None:
    await seal(admin, "CLS", COMPLETE - 1000 * HOUR, "x")  # it is idle, and known
    await takes_part(admin, "MILO", COMPLETE, "a")
    await seal(admin, "MILO", COMPLETE, "a")
    first = await probe.look()
    assert await probe.asked(LOOK_AT + 30) == 1  # the seals
    await takes_part(admin, "MILO", COMPLETE + HOUR, "a", "b")
    assert await probe.asked(LOOK_AT + HOUR - 60) == 2  # whether anybody took part in what has fallen due since
    later = await probe.look(LOOK_AT + HOUR - 60)
    assert counts(later) == counts(first) == {"MILO": (1, 0), "CLS": (0, 0)}
    assert await probe.asked(LOOK_AT + HOUR) == 3  # the seals, participation, the cemented channels
    assert counts(await probe.look(LOOK_AT + HOUR), COMPLETE + HOUR)["MILO"] == (2, 2)


async def test_what_is_unsealed_is_asked_for_again_and_seen_when_it_is_sealed_late(probe: Probe, admin: Admin) -> None:
    await takes_part(admin, "MILO", COMPLETE, "a", "b")
    await seal(admin, "MILO", COMPLETE, "a")
    await seal(admin, "CLS", COMPLETE, "a")
    assert counts(await probe.look())["MILO"] == (2, 1)
    assert await probe.asked(LOOK_AT + 299) == 1
    await seal(admin, "MILO", COMPLETE, "b")
    assert counts(await probe.look(LOOK_AT + 299))["MILO"] == (2, 1)
    assert counts(await probe.look(LOOK_AT + 300))["MILO"] == (2, 0)
    assert await probe.asked(LOOK_AT + 900) == 1


async def test_an_epoch_left_open_is_still_seen_when_it_is_sealed_after_the_next(probe: Probe, admin: Admin) -> None:
    await takes_part(admin, "MILO", COMPLETE, "a", "b")
    await seal(admin, "MILO", COMPLETE, "a")
    await probe.look()
    both = await probe.look(LOOK_AT + HOUR)
    assert counts(both)["MILO"] == (2, 1)
    assert counts(both, COMPLETE + HOUR)["MILO"] == (0, 0)
    await seal(admin, "MILO", COMPLETE, "b")
    assert counts(await probe.look(LOOK_AT + HOUR + 300))["MILO"] == (2, 0)


@pytest.mark.parametrize(
    "harm",
    [
        "DROP TABLE channel_participation",
        "ALTER TABLE channel_participation RENAME token_group TO tokens",
        "REVOKE SELECT ON channel_participation FROM participation_reader",
    ],
)
async def test_participation_that_cannot_be_read_leaves_the_seals_whole(
    fleet_database: str, admin: Admin, postgres: PostgresServer, harm: str
) -> None:
    await seal(admin, "MILO", COMPLETE, "a")
    await takes_part(admin, "MILO", COMPLETE, "a")
    await admin.execute(f"CREATE ROLE participation_reader LOGIN PASSWORD '{postgres.password}'")
    await admin.execute("GRANT SELECT ON sealed_epochs, channel_participation TO participation_reader")
    probe = Probe(postgres.dsn(await admin.fetchval("SELECT current_database()"), user="participation_reader"))
    try:
        assert counts(await probe.look())["MILO"] == (1, 0)
        await admin.execute(harm)
        reading = await probe.look(LOOK_AT + HOUR)
        assert {s.name for s in reading.samples} == {"seal_channels", "seal_at", "unaligned_labels", "seals_read"}
        assert await probe.asked(LOOK_AT + HOUR + 30) == 1  # it is not asked for again at once
    finally:
        await probe.session.close()
        await admin.execute("DROP OWNED BY participation_reader; DROP ROLE participation_reader")


async def test_participation_that_takes_too_long_leaves_the_seals_whole_and_is_tried_again(
    probe: Probe, admin: Admin
) -> None:
    await seal(admin, "MILO", COMPLETE, "a")
    await takes_part(admin, "MILO", COMPLETE, "a")
    async with admin.transaction():
        await admin.execute("LOCK TABLE channel_participation IN ACCESS EXCLUSIVE MODE")
        reading = await probe.look()
        assert reading.number("seal_channels", group="MILO", epoch=str(COMPLETE)) == 1
        assert counts(reading)["MILO"] == (None, None)
    assert counts(await probe.look(LOOK_AT + 300))["MILO"] == (1, 0)


async def test_a_cemented_channel_that_stays_away_is_silent_and_others_may_come_and_go(
    probe: Probe, admin: Admin
) -> None:
    for back in range(KEEP_LABELS):
        label = COMPLETE - back * HOUR
        here = ["every hour", *(["missed"] if back >= 4 else []), *(["now and then"] if back % 3 == 2 else [])]
        await takes_part(admin, "MILO", label, *here, viewers=1)
        await seal(admin, "MILO", label, *here)
        await takes_part(admin, "CLS", label, "elsewhere" if back >= 4 else "another", viewers=1)
        await seal(admin, "CLS", label, "elsewhere" if back >= 4 else "another")
    reading = await probe.look()
    assert silent(reading) == {("MILO", "missed"): 4}
    assert reading.number("channels_known", group="MILO") == 3
    assert await probe.asked(LOOK_AT + 30) == 1


async def test_names_are_printable_and_short_and_stay_as_many_as_they_are(probe: Probe, admin: Admin) -> None:
    await takes_part(admin, "MILO", COMPLETE, "a\x1b[31mb", "a\x1c[31mb", "y" * 1000, "y" * 999 + "z")
    names = [s.label("channel") for s in (await probe.look()).named("unsealed_channel")]
    assert len(set(names)) == 4
    assert all(name.isprintable() and len(name) <= 200 for name in names)
    assert names[0].startswith("a\N{REPLACEMENT CHARACTER}[31mb~")
    assert names[2].startswith("y" * 191 + "~")


async def test_a_clock_that_is_set_back_has_it_asked_again(probe: Probe, admin: Admin) -> None:
    await takes_part(admin, "MILO", COMPLETE - HOUR, "a")
    await takes_part(admin, "MILO", COMPLETE, "a", "b")
    assert counts(await probe.look())["MILO"] == (2, 2)
    assert counts(await probe.look(LOOK_AT - HOUR), COMPLETE - HOUR)["MILO"] == (1, 1)


def nothing(reading: Reading) -> set[tuple[str, int]]:
    return {(s.label("group"), int(s.label("epoch"))) for s in reading.named("nothing_to_seal") if s.value == 1}


async def test_a_due_label_that_is_not_sealed_is_nobodys_only_where_nobody_took_part(
    probe: Probe, admin: Admin
) -> None:
    """In whatever case the group is written; not before its oldest seal, and not what is sealed or not due."""
    await seal(admin, "MILO", COMPLETE - 5 * HOUR, "a")
    await seal(admin, "CLS", COMPLETE - 3 * HOUR, "x")
    await takes_part(admin, "MILO", COMPLETE - 5 * HOUR, "a")
    await takes_part(admin, "milo", COMPLETE - 4 * HOUR, "a", viewers=1)
    await takes_part(admin, "CLS", COMPLETE - 2 * HOUR, "x")
    await takes_part(admin, "OTHER", COMPLETE, "x")
    hours = {"MILO": (3, 2, 1, 0), "CLS": (1, 0)}
    assert nothing(await probe.look()) == {
        (group, COMPLETE - back * HOUR) for group, found in hours.items() for back in found
    }
    await seal(admin, "MILO", COMPLETE - 2 * HOUR, "a")
    assert ("MILO", COMPLETE - 2 * HOUR) not in nothing(await probe.look(LOOK_AT + 30))


async def test_of_a_group_that_has_sealed_nothing_every_due_label_of_the_window_is_asked(
    probe: Probe, admin: Admin
) -> None:
    await takes_part(admin, "CLS", COMPLETE - 3 * HOUR, "x")
    labels = {int(label) for group, label in nothing(await probe.look()) if group == "CLS"}
    assert labels == {COMPLETE - back * HOUR for back in range(23)} - {COMPLETE - 3 * HOUR}


async def test_a_group_that_was_never_seen_is_missed_and_one_that_is_idle_is_not(probe: Probe, admin: Admin) -> None:
    await seal(admin, "milo", COMPLETE - 1000 * HOUR, "a")
    (gap,) = (await probe.look()).gaps
    assert (gap.subject, gap.kind) == ("CLS", "missing")
    assert gap.error == "nothing was ever sealed of CLS in this database, and nobody ever took part in it"
    before = await probe.asked(LOOK_AT + 5)
    assert before == 1  # the seals: what is known is asked again for another label only
    await takes_part(admin, "cls", COMPLETE - 900 * HOUR, "x")
    assert (await probe.look(LOOK_AT + HOUR)).gaps == ()


async def test_whether_anybody_took_part_is_asked_once_a_label_and_again_while_nobody_has(
    probe: Probe, admin: Admin
) -> None:
    for group in ("MILO", "CLS"):
        await seal(admin, group, COMPLETE, group)
        await takes_part(admin, group, COMPLETE, group)
    await takes_part(admin, "MILO", NOON, "a")
    await probe.look()
    due = NOON + HOUR
    assert await probe.asked(due - 1) == 1  # the seals
    assert await probe.asked(due + 5) == 2
    assert nothing(await probe.look(due + 5)) == {("CLS", NOON)}
    assert await probe.asked(due + 35) == 1
    await takes_part(admin, "CLS", NOON, "came late")
    assert nothing(await probe.look(due + 35)) == {("CLS", NOON)}
    assert await probe.asked(due + 305) == 2
    assert nothing(await probe.look(due + 305)) == set()
    assert await probe.asked(due + 700) == 1  # somebody took part in all that is absent, and that is never asked again


@pytest.mark.parametrize("over", [False, True])
async def test_a_label_that_could_not_be_asked_of_is_not_said_to_be_nobodys(
    probe: Probe, admin: Admin, over: bool
) -> None:
    """What was found of one that was long over still holds; soon after its end rows may be on their way."""
    for group in ("MILO", "CLS"):
        await seal(admin, group, COMPLETE - HOUR, group)
        await takes_part(admin, group, COMPLETE - HOUR, group)
    await takes_part(admin, "MILO", COMPLETE, "a")
    first = LOOK_AT if over else NOON + 60
    assert nothing(await probe.look(first)) == {("CLS", COMPLETE)}
    async with admin.transaction():
        await admin.execute("LOCK TABLE channel_participation IN ACCESS EXCLUSIVE MODE")
        assert nothing(await probe.look(first + 300)) == ({("CLS", COMPLETE)} if over else set())
    assert nothing(await probe.look(first + 600)) == {("CLS", COMPLETE)}


async def test_whether_anybody_took_part_is_found_by_a_leap_among_hundreds_of_thousands(admin: Admin) -> None:
    """A group that is nearly everywhere in the table, and in the labels asked for nowhere: the planner is misled."""
    await admin.execute(
        "INSERT INTO channel_participation "
        "SELECT $1::int8 - 3600 * (i / 8000), 'c' || i % 100, 'u' || i, 1, "
        "CASE WHEN i < 120000 THEN 'CLS' ELSE 'MILO' END "
        "FROM generate_series(1, 400000) i",
        COMPLETE,
    )
    labels = [COMPLETE - back * HOUR for back in range(24)]
    cases = (["MILO"] * 24, ["MILO"] * 24, ["milo"] * 24, labels)
    for analyzed in (False, True):
        if analyzed:
            await admin.execute("ANALYZE channel_participation")
        plan = await admin.fetch("EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) " + queries.TOOK_PART, *cases)
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan" not in text
        assert "channel_participation_group_epoch" in text, text
        buffers = max(int(word) for word in re.findall(r"shared hit=(\d+)", text))
        assert buffers < 24 * 3 * 8  # three levels of an index and a row for each of them
    rows = await admin.fetch(queries.TOOK_PART, *cases)
    assert [row["position"] for row in rows] == list(range(16, 25))
    assert len(await admin.fetch(queries.TOOK_PART, ["CLS"] * 24, ["CLS"] * 24, ["cls"] * 24, labels)) == 15


async def test_participation_is_found_by_leaps_through_indexes_among_hundreds_of_thousands(admin: Admin) -> None:
    await admin.execute(
        "INSERT INTO channel_participation "
        "SELECT $1::int8 - 3600 * (i / 2000), 'c' || i % 100, 'u' || i, 1, (ARRAY['MILO', 'CLS'])[1 + i % 2] "
        "FROM generate_series(1, 200000) i",
        COMPLETE,
    )
    await admin.execute(
        "INSERT INTO sealed_epochs SELECT DISTINCT epoch, channel, 'r', 1, 0, token_group FROM channel_participation"
    )
    await admin.execute(
        "INSERT INTO sealed_epochs (epoch, channel, root, token_group) "
        "SELECT $1::int8 - 3600 * (200 + i / 100), 'c' || i % 100, 'r', 'MILO' FROM generate_series(1, 50000) i",
        COMPLETE,
    )
    cases = (["MILO", "CLS"], ["MILO", "CLS"], ["milo", "cls"])
    first = COMPLETE - (KEEP_LABELS - 1) * HOUR
    for analyzed in (False, True):  # the plan must hold without statistics too
        if analyzed:
            await admin.execute("ANALYZE")
        for query, rest in (
            (queries.PARTICIPATION, ([COMPLETE, COMPLETE - HOUR], 5)),
            (queries.LIVES, (first, COMPLETE, HOUR, 101)),
        ):
            text = "\n".join(row[0] for row in await admin.fetch("EXPLAIN " + query, *cases, *rest))
            assert "Seq Scan" not in text
            assert "Bitmap Heap Scan on channel_participation" not in text  # which would read all rows of a channel
            assert "(token_group = v.name) AND (channel = " in text
    rows = await admin.fetch(queries.PARTICIPATION, *cases, [COMPLETE], 5)
    assert [(row["position"], row["participating"], row["unsealed"]) for row in rows] == [(1, 50, 0), (2, 50, 0)]
