from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from monitord.core import merkle
from monitord.core.history.epochs import window_seconds
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects.pipeline_settings import PipelineSettings
from monitord.keccak import load_keccak256
from monitord.postgres import queries
from monitord.postgres.pipeline import TABLES
from monitord.postgres.session import Session
from monitord.probes.base import Request, take
from monitord.probes.pipeline import PipelineProbe
from monitord.testing.servers.postgres import PostgresServer

HOUR = 3600
NOON = 1_762_300_800
NEWEST = NOON - HOUR
ORDERS = StandingOrders()
SETTINGS = PipelineSettings()
PATIENCE = 30.0
KECCAK = load_keccak256()

Admin = Any


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Admin]:
    """A superuser's connection to the test's own database."""
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=PATIENCE)
    yield connection
    await connection.close(timeout=5)


class Watched:
    """One probe, and when it looks."""

    def __init__(self, dsn: str, orders: StandingOrders = ORDERS, settings: PipelineSettings = SETTINGS) -> None:
        self.session = Session(dsn)
        self.probe = PipelineProbe(self.session, settings, orders, window_seconds(orders))

    async def look(self, now: float = NOON + 1200) -> Reading:
        reading = await take(self.probe, Request(now, 20.0))
        assert reading.failure is None, reading.failure
        return reading

    async def close(self) -> None:
        await self.probe.close()
        await self.session.close()


@pytest.fixture
async def watched(fleet_database: str) -> AsyncIterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(dsn: str = "", **changes: Any) -> Watched:
        made.append(Watched(dsn or fleet_database, replace(ORDERS, **changes)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def hashes(channel: str, many: int) -> list[str]:
    return [merkle.user_hash(f"{channel}_{n}", KECCAK).hex() for n in range(many)]


def root_of(channel: str, label: int, users: Sequence[str]) -> str:
    return merkle.root([merkle.leaf(bytes.fromhex(u), channel, label, KECCAK) for u in users], KECCAK).hex()


async def seal(
    admin: Admin,
    group: str,
    channel: str,
    label: int = NEWEST,
    many: int = 3,
    *,
    tree: bool = True,
    published: int | None = 1,
    category: str = "default",
    root: str | None = None,
) -> str:
    """Seal a channel as the fleet does: participants, root, tree and the publisher's flag."""
    users = hashes(channel, many)
    true = root_of(channel, label, users)
    await admin.executemany(
        "INSERT INTO sealed_participants VALUES ($1, $2, $3, $4, NULL, $5, $6) ON CONFLICT DO NOTHING",
        [(label, channel, n, user, group, category) for n, user in enumerate(users)],
    )
    await admin.execute(
        "INSERT INTO sealed_epochs VALUES ($1, $2, $3, $4::bigint, $5, $6, $7, "
        "CASE WHEN $5 = 1 THEN to_timestamp($4::bigint) END)",
        *(label, channel, true if root is None else root, label + HOUR + 180, published, group, category),
    )
    if tree:
        await admin.execute(
            "INSERT INTO l2_tree_cache VALUES ($1, $2, $3, '[]', $4, $5) ON CONFLICT DO NOTHING",
            *(label, channel, true, many, label + HOUR + 240),
        )
    return true


async def seal_window(admin: Admin, labels: int = 6) -> None:
    for ago in range(labels):
        for group, channel in (("MILO", "jason"), ("MILO", "marlon"), ("CLS", "jynxzi")):
            await seal(admin, group, channel, NEWEST - ago * HOUR)


def troubles(reading: Reading) -> dict[tuple[str, str], Any]:
    return {(s.label("kind"), s.label("group")): s.value for s in reading.named("trouble") if s.value}


def named(reading: Reading, kind: str) -> set[tuple[str, int, str]]:
    return {
        (s.label("group"), int(s.label("epoch")), s.label("channel"))
        for s in reading.named("trouble_seal")
        if s.label("kind") == kind
    }


def words(reading: Reading, group: str) -> dict[int, Any]:
    return {int(s.label("epoch")): s.value for s in reading.named("roots") if s.label("group") == group}


Make = Callable[..., Watched]


async def test_a_healthy_fleet_has_no_trouble_and_a_signature_for_each_whole_label(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    reading = await watched().look()
    assert troubles(reading) == {}
    assert not reading.gaps
    assert sorted(words(reading, "MILO")) == [NEWEST - ago * HOUR for ago in range(5, -1, -1)]
    assert reading.number("trees_behind", group="CLS") == 0
    assert reading.number("eligible") == 0
    assert reading.values("there", "table") == dict.fromkeys(TABLES, 1)


async def test_a_label_within_its_grace_is_not_signed_yet(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    assert NEWEST not in words(await watched().look(NOON + 300), "MILO")


async def test_a_rewritten_root_of_a_new_label_is_seen_in_the_next_reading(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    probe = watched()
    before = words(await probe.look(), "MILO")
    await rewrite(admin, "jason", NEWEST)
    reading = await probe.look(NOON + 1230)
    assert words(reading, "MILO")[NEWEST] != before[NEWEST]
    assert troubles(reading) == {("unlike", "MILO"): 1}
    assert named(reading, "unlike") == {("MILO", NEWEST, "jason")}


async def test_a_rewritten_root_of_an_old_label_is_seen_within_a_twelfth_of_an_epoch(
    watched: Make, admin: Admin
) -> None:
    await seal_window(admin)
    probe, old = watched(), NEWEST - 5 * HOUR
    before = words(await probe.look(), "MILO")
    await rewrite(admin, "jason", old)
    assert old not in words(await probe.look(NOON + 1230), "MILO")  # it is not asked for again yet
    reading = await probe.look(NOON + 1501)
    assert words(reading, "MILO")[old] != before[old]
    assert named(reading, "unlike") == {("MILO", old, "jason")}
    assert old in words(await probe.look(NOON + 1531), "MILO")  # what is wrong is asked for in each reading
    assert before[old].split(":")[0] == words(reading, "MILO")[old].split(":")[0]


@pytest.mark.parametrize("root", ["", "0" * 64, "0x" + "0" * 64])
async def test_an_empty_root_with_participants_is_told_and_one_without_is_not(
    watched: Make, admin: Admin, root: str
) -> None:
    await seal_window(admin)
    await seal(admin, "CLS", "hollow", NEWEST, root=root)
    await admin.execute("INSERT INTO sealed_epochs VALUES ($1, 'nobody', $2, 1, 0, 'CLS')", NEWEST, root)
    reading = await watched().look()
    assert troubles(reading) == {("empty", "CLS"): 1}
    assert named(reading, "empty") == {("CLS", NEWEST, "hollow")}


async def test_one_root_of_two_labels_or_channels_is_told(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    root = await seal(admin, "MILO", "okaribo", NEWEST)
    await seal(admin, "CLS", "okaribo", NEWEST - HOUR, root="0x" + root.upper(), tree=False)
    reading = await watched().look()
    assert {place: many for place, many in troubles(reading).items() if place[0] == "duplicate"} == {
        ("duplicate", "CLS"): 1,
        ("duplicate", "MILO"): 1,
    }
    assert ("MILO", NEWEST - HOUR, "okaribo") in named(reading, "duplicate")


async def test_a_channel_of_two_groups_has_one_tree_and_no_mismatch(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await seal(admin, "MILO", "both", NEWEST, many=4)
    await seal(admin, "CLS", "both", NEWEST, root=root_of("both", NEWEST, hashes("both", 2)))
    assert troubles(await watched().look()) == {}


async def test_a_tree_of_other_participants_or_of_too_many_is_told(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await admin.execute(
        "UPDATE l2_tree_cache SET participant_count = 2 WHERE channel = 'jynxzi' AND epoch = $1", NEWEST
    )
    await admin.execute(
        "UPDATE l2_tree_cache SET participant_count = 8193 WHERE channel = 'jason' AND epoch = $1", NEWEST
    )
    found = troubles(await watched().look())
    assert found == {("miscounted", "CLS"): 1, ("miscounted", "MILO"): 1, ("oversized", "MILO"): 1}


async def test_trees_are_behind_where_the_newest_labels_have_none(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await admin.execute("DELETE FROM l2_tree_cache WHERE channel = 'jynxzi' AND epoch >= $1", NEWEST - 2 * HOUR)
    reading = await watched().look()
    assert reading.values("trees_behind", "group") == {"MILO": 0, "CLS": 2}  # the newest has an hour for its tree
    assert reading.number("trees_label", group="CLS") == NEWEST - 2 * HOUR
    assert [s.label("channel") for s in reading.named("untreed")] == ["jynxzi"]


async def test_a_backlog_without_trees_is_not_eligible_and_what_has_one_waits_since_it_was_built(
    watched: Make, admin: Admin
) -> None:
    await seal_window(admin)
    await admin.executemany(
        "INSERT INTO sealed_epochs VALUES ($1, $2, 'ab', 1, $3, 'CLS')",
        [(NEWEST - 500 * HOUR, f"old{n}", 0 if n % 2 else None) for n in range(1131)],
    )
    await seal(admin, "CLS", "waits", NEWEST - 2 * HOUR, published=0)
    await seal(admin, "CLS", "waits", 9_999_999_900 - 9_999_999_900 % HOUR, published=0)
    reading = await watched().look()
    assert (reading.number("unpublished"), reading.number("eligible")) == (1132, 1)
    assert reading.number("eligible_since") == NEWEST - HOUR + 240
    assert reading.number("published_lately") == 3
    assert reading.number("published_last") == NEWEST + HOUR + 180


async def backlog(admin: Admin, labels: int, each: int, *, oldest: int = 600, published: int = 0) -> None:
    """So many labels of the past, the oldest so many hours ago: nothing of them has a tree."""
    await admin.execute(
        "INSERT INTO sealed_epochs SELECT $1::int8 + n * 3600, 'old' || c, md5(c || '/' || n), 1, $4, 'CLS' "
        "FROM generate_series(0, $2::int8 - 1) AS n, generate_series(1, $3::int8) AS c",
        *(NEWEST - oldest * HOUR, labels, each, published),
    )


async def test_a_backlog_of_any_length_is_counted_whole_and_a_part_of_it_is_said_to_be_one(
    watched: Make, admin: Admin
) -> None:
    await seal_window(admin)
    await backlog(admin, labels=120, each=100)
    probe = watched()
    first = await probe.look()
    assert (first.number("unpublished_capped"), first.number("backlog_seen")) == (1, 0)
    assert 0 < (first.number("unpublished") or 0) < 12_000
    for _ in range(2):
        reading = await probe.look()
    assert (reading.number("unpublished"), reading.number("unpublished_capped")) == (12_000, 0)
    assert (reading.number("eligible"), reading.number("backlog_seen")) == (0, 1)


async def test_a_single_look_goes_through_the_backlog_at_once(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await backlog(admin, labels=120, each=100)
    reading = await take(watched().probe, Request(NOON + 1200, 20.0, once=True))
    assert (reading.number("unpublished"), reading.number("backlog_seen")) == (12_000, 1)


async def test_what_is_drained_of_the_past_is_seen_and_what_gets_a_tree_in_its_turn(
    watched: Make, admin: Admin
) -> None:
    await seal_window(admin)
    await backlog(admin, labels=30, each=100)
    old, older = NEWEST - 575 * HOUR, NEWEST - 599 * HOUR
    tree = (
        "INSERT INTO l2_tree_cache SELECT epoch, channel, root, '[]', 1, epoch + 7200 FROM sealed_epochs "
        "WHERE epoch = $1"
    )
    await admin.execute(tree, old)
    probe = watched()
    reading = await probe.look()
    assert (reading.number("eligible"), reading.number("eligible_since")) == (100, old + 7200)
    await admin.execute("UPDATE sealed_epochs SET published = 1 WHERE epoch = $1 AND channel < 'old5'", old)
    await admin.execute(tree, older)
    await counted(admin)
    reading = await probe.look(NOON + 1501)
    assert reading.number("eligible") in (55, 155)
    reading = await probe.look(NOON + 1802)
    assert (reading.number("eligible"), reading.number("unpublished")) == (155, 2955)
    await admin.execute("DELETE FROM sealed_epochs WHERE epoch < $1", NEWEST - 500 * HOUR)
    await counted(admin)
    for ago in range(3):
        reading = await probe.look(NOON + 2103 + ago * 301)
    assert (reading.number("eligible"), reading.number("unpublished")) == (0, 0)


async def test_a_label_that_leaves_the_window_goes_on_waiting(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    label = NEWEST - 23 * HOUR
    await seal(admin, "CLS", "waits", label, published=0)
    probe = watched()
    assert (await probe.look()).number("eligible") == 1
    reading = await probe.look(NOON + 3 * HOUR)
    assert (reading.number("eligible"), reading.number("eligible_since")) == (1, label + HOUR + 240)


async def test_what_was_published_of_a_label_is_not_read_again_until_more_is(fleet_database: str, admin: Admin) -> None:
    await seal_window(admin)
    probe = Watched(fleet_database, settings=PipelineSettings(verify="off"))
    sent: list[tuple[Any, ...]] = []
    try:
        await probe.look()
        async with probe.session.read_only(5) as connection:
            connection.add_query_logger(
                lambda record: sent.append(tuple(record.args)) if record.query == queries.PUBLISHED else None
            )
        await probe.look(NOON + 1501)
        late = NEWEST - 4 * HOUR
        await admin.execute(
            "UPDATE sealed_epochs SET published = 1, published_at = to_timestamp($2) WHERE epoch = $1",
            late,
            NOON + 1600,
        )
        await seal(admin, "CLS", "late", late)
        await counted(admin)
        reading = await probe.look(NOON + 1802)
    finally:
        await probe.close()
    labels = [set(arguments[0]) for arguments in sent]
    assert labels == [{NEWEST}, {NEWEST, late}]
    assert reading.number("published_last") == NOON + 1600
    assert reading.number("published_lately") == 6


async def test_the_tree_cache_is_read_without_an_index_while_it_is_small(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await seal(admin, "CLS", "waits", NEWEST, published=None)
    await admin.execute("ALTER TABLE l2_tree_cache DROP CONSTRAINT l2_tree_cache_pkey")
    reading = await watched().look()
    assert (troubles(reading), reading.number("eligible"), reading.gaps) == ({}, 1, ())
    await admin.execute("UPDATE pg_class SET relpages = 100000 WHERE relname = 'l2_tree_cache'")
    reading = await watched().look()
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("trees", "missing")]
    assert next(reading.named("eligible"), None) is None
    assert next(reading.named("trees_behind"), None) is None


async def test_a_table_that_is_not_there_is_told_as_such_and_takes_nothing_else_with_it(
    watched: Make, admin: Admin
) -> None:
    await seal_window(admin)
    await admin.execute("DROP TABLE l2_tree_cache, user_signals, channel_participation")
    reading = await watched().look()
    assert not reading.gaps
    assert reading.number("there", table="l2_tree_cache") == 0
    assert len(words(reading, "MILO")) == 6
    assert next(reading.named("newest_signal"), None) is None
    await admin.execute("DROP TABLE sealed_epochs")
    assert {s.name for s in (await watched().look()).samples} == {"there"}


async def test_what_may_not_be_read_is_unknown_with_its_reason(
    watched: Make, admin: Admin, postgres: PostgresServer
) -> None:
    await seal_window(admin)
    await admin.execute(f"CREATE ROLE half_reader LOGIN PASSWORD '{postgres.password}'")
    try:
        await admin.execute("GRANT SELECT ON sealed_epochs TO half_reader")
        reading = await watched(
            postgres.dsn(await admin.fetchval("SELECT current_database()"), user="half_reader")
        ).look()
    finally:
        await admin.execute("DROP OWNED BY half_reader; DROP ROLE half_reader")
    assert {(gap.subject, gap.kind) for gap in reading.gaps} == {
        (part, "permission") for part in ("collection", "participation", "sealed participants", "trees")
    }
    assert "l2_tree_cache" in " ".join(gap.error for gap in reading.gaps)
    assert len(words(reading, "MILO")) == 6
    assert ("unlike", "MILO") not in {(s.label("kind"), s.label("group")) for s in reading.named("trouble")}


async def test_a_missing_column_costs_its_part_alone(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await admin.execute('ALTER TABLE user_signals DROP COLUMN "timestamp"')
    reading = await watched().look()
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("collection", "missing")]
    assert len(words(reading, "MILO")) == 6


async def test_the_newest_signal_is_of_this_epoch_or_the_last_in_seconds_or_milliseconds(
    watched: Make, admin: Admin
) -> None:
    signal = "INSERT INTO user_signals VALUES ($1, 'jason', 'h', 'chat', 1, $2)"
    await admin.execute(signal, NEWEST, NEWEST + 3590)
    assert (await watched().look()).number("newest_signal") == NEWEST + 3590
    await admin.execute(signal, NOON, (NOON + 600) * 1000)
    await admin.execute(signal, NOON, NOON + 90_000)  # a clock that is wrong: nothing was sent after now
    assert (await watched().look()).number("newest_signal") == NOON + 600


async def test_who_joins_is_compared_with_the_same_hour_of_the_days_before(watched: Make, admin: Admin) -> None:
    joins = []
    for ago in range(8):
        for label in (NOON - ago * 24 * HOUR, NEWEST - ago * 24 * HOUR):
            many = 30 + ago if ago else 12
            joins += [(label, "jynxzi", f"u{n}", label + n * 100, "cls", "x") for n in range(many)]
    await admin.copy_records_to_table("channel_participation", records=joins)
    probe = watched()
    for _ in range(6):  # so many labels a reading
        reading = await probe.look()
    assert reading.number("took_part", group="CLS") == 12
    assert reading.number("took_part_least", group="CLS") == 31
    assert reading.number("took_part_usual", group="CLS") == 34
    assert reading.number("took_part_days", group="CLS") == 7
    # A third of the epoch has passed: those whose first signal came in its first 20 minutes.
    assert reading.number("joined", group="CLS") == 12
    assert reading.number("joined_usual", group="CLS") == 12


async def test_a_single_look_compares_who_joins_with_all_of_the_days_before(watched: Make, admin: Admin) -> None:
    joins = [
        (label - ago * 24 * HOUR, "jynxzi", f"u{n}", label - ago * 24 * HOUR, "CLS", "x")
        for ago in range(8)
        for label in (NOON, NEWEST)
        for n in range(30 + ago)
    ]
    await admin.copy_records_to_table("channel_participation", records=joins)
    reading = await take(watched().probe, Request(NOON + 1200, 20.0, once=True))
    assert (reading.number("joined", group="CLS"), reading.number("joined_usual", group="CLS")) == (30, 34)
    assert (reading.number("took_part", group="CLS"), reading.number("took_part_days", group="CLS")) == (30, 7)


async def test_a_viewer_of_several_channels_is_one_viewer_and_a_participant_of_each(
    watched: Make, admin: Admin
) -> None:
    joins = [(NEWEST, channel, f"u{n}", NEWEST, "cls", "x") for channel in ("jynxzi", "lacy") for n in range(5)]
    joins += [(NEWEST, "jason", "u0", NEWEST, "MILO", "x"), (NOON, "jason", "u9", NOON, "MILO", "x")]
    await admin.copy_records_to_table("channel_participation", records=joins)
    reading = await watched().look()
    assert reading.values("took_part", "group") == {"MILO": 1, "CLS": 10}
    assert reading.values("viewers", "group") == {"MILO": 1, "CLS": 5}
    assert reading.values("took_part_label", "group") == {"MILO": NEWEST, "CLS": NEWEST}


async def test_who_took_part_in_labels_that_nobody_read_then_is_read_when_it_is_wanted(
    watched: Make, admin: Admin
) -> None:
    joins = [(NEWEST - ago * HOUR, "jynxzi", f"u{n}", NEWEST, "CLS", "x") for ago in range(4) for n in range(10 + ago)]
    await admin.copy_records_to_table("channel_participation", records=joins)
    probe = watched()
    lacking = frozenset(str(NEWEST - ago * HOUR) for ago in (2, 3))
    for _ in range(6):  # so many labels a reading
        reading = await take(probe.probe, Request(NOON + 1200, 20.0, lacking=lacking))
    late = {(s.label("group"), int(s.label("epoch"))): s.value for s in reading.named("took_part_late")}
    assert late == {
        ("CLS", NEWEST - 2 * HOUR): 12,
        ("CLS", NEWEST - 3 * HOUR): 13,
        ("MILO", NEWEST - 2 * HOUR): 0,
        ("MILO", NEWEST - 3 * HOUR): 0,
    }
    assert next((await probe.look()).named("took_part_late"), None) is None


async def test_the_channels_of_a_cemented_group_are_those_of_all_time_and_who_else_has_them(
    watched: Make, admin: Admin
) -> None:
    rows = [(NEWEST - 900 * HOUR, "marlon", "MILO"), (NEWEST, "jason", "milo"), (NEWEST, "jason", "CLS")]
    await admin.executemany(
        "INSERT INTO channel_participation VALUES ($1, $2, md5($3), 1, $3, 'x')", [*rows, (NEWEST, "jynxzi", "CLS")]
    )
    reading = await watched().look()
    assert {(s.label("group"), s.label("channel")): s.value for s in reading.named("roster")} == {
        ("MILO", "jason"): 1,
        ("MILO", "marlon"): 0,
    }
    assert [(s.label("channel"), s.label("other")) for s in reading.named("shared")] == [("jason", "CLS")]


async def test_a_group_that_nobody_watches_is_told_with_its_seals(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await seal(admin, "millo", "typo", NEWEST)
    await seal(admin, "", "typo", NEWEST - HOUR)
    reading = await watched().look()
    # Of strangers of one label the first is named: a writer gone wrong must not make the answer long.
    assert reading.values("group_unknown", "group") == {"MILLO": 1, "-": 1}


async def test_seals_without_a_category_are_counted_of_the_newest_whole_label(watched: Make, admin: Admin) -> None:
    for ago in range(5):
        for n in range(4):
            await seal(admin, "CLS", f"c{n}", NEWEST - ago * HOUR, category="Chess" if ago else "default")
    await seal(admin, "CLS", "none", NEWEST, category="")
    reading = await watched().look()
    assert reading.number("uncategorised", group="CLS") == 1
    assert (reading.number("categorised", group="CLS"), reading.number("categorised_usual", group="CLS")) == (0, 100)


async def test_the_channels_sealed_last_are_named_with_their_newest_labels(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await seal(admin, "MILO", "sleeps", NEWEST - 5 * HOUR)
    found = {s.label("channel"): s.value for s in (await watched().look()).named("channel_latest")}
    assert found == {"jason": NEWEST, "marlon": NEWEST, "jynxzi": NEWEST, "sleeps": NEWEST - 5 * HOUR}


async def test_that_names_are_kept_is_told_and_no_name_is(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    assert (await watched().look()).number("names_kept") == 0
    await admin.execute("UPDATE sealed_participants SET username = 'planted_name'")
    reading = await watched().look()
    assert reading.number("names_kept") == 1
    assert "planted" not in repr(reading)


async def test_labels_of_the_far_future_change_nothing(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    await admin.execute("INSERT INTO sealed_epochs VALUES (9999999999, 'test', '', 1, 0, 'MILO')")
    reading = await watched().look()
    assert (troubles(reading), reading.number("unpublished")) == ({}, 0)


async def test_what_does_not_change_is_not_read_again(fleet_database: str, admin: Admin) -> None:
    await seal_window(admin)
    probe = Watched(fleet_database, settings=PipelineSettings(verify="off"))
    sent: list[str] = []
    try:
        for _ in range(6):  # so many labels of the days before a reading
            await probe.look()
        async with probe.session.read_only(5) as connection:
            connection.add_query_logger(lambda record: sent.append(record.query))
        await probe.look(NOON + 1230)
    finally:
        await probe.close()
    assert [query for query in sent if "SELECT" in query] == [queries.COUNTERS]


async def test_what_the_server_does_not_count_is_looked_at_in_each_reading(watched: Make, admin: Admin) -> None:
    await seal_window(admin)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f'ALTER DATABASE "{name}" SET track_counts = off')
    probe = watched()
    before = words(await probe.look(), "MILO")
    await rewrite(admin, "jason", NEWEST)
    reading = await probe.look(NOON + 1230)
    assert words(reading, "MILO")[NEWEST] != before[NEWEST]


async def rewrite(admin: Admin, channel: str, label: int) -> None:
    await admin.execute("UPDATE sealed_epochs SET root = md5(root) WHERE channel = $1 AND epoch = $2", channel, label)
    await counted(admin)


async def counted(admin: Admin) -> None:
    """What a session has changed is counted at once, and not some seconds later."""
    await admin.execute("SELECT pg_stat_force_next_flush()")
