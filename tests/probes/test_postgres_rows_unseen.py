"""Rows that Postgres' counters do not see, and names that are no tables: read from a real server, judged as in life."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from monitord.core.engine import Decision, State, decide
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from monitord.postgres import queries
from monitord.postgres.session import Session
from monitord.probes import count_cap
from monitord.probes.base import Request, take
from monitord.probes.postgres import PostgresProbe
from monitord.testing.servers.postgres import PostgresServer

NOON = 1_762_300_800.0
ORDERS = StandingOrders(
    probes=frozenset({"postgres"}),
    growth_limit=1000,
    growth_window=timedelta(seconds=20),
    flow_stall=timedelta(seconds=5),
    late_after=timedelta(seconds=30),
    confirm_every=timedelta(seconds=1),
)


class Watch:
    """A real database whose rows come by the second of a made-up clock, watched once a second."""

    def __init__(self, dsn: str, admin: Any, orders: StandingOrders = ORDERS, reader: str = "") -> None:
        self.admin, self.orders, self.now, self.state = admin, orders, NOON + 60, State()
        self.session = Session(reader or dsn)
        length, window = orders.epoch_length.total_seconds(), orders.growth_window.total_seconds() + 15
        self.probe = PostgresProbe(self.session, orders.tables, length, window, count_cap(orders.tables[0], orders))
        self.exact: frozenset[str] = frozenset()
        self.fired: list[tuple[str, str]] = []
        self.made = 0

    async def look(self) -> Decision:
        reading = await take(self.probe, Request(self.now, 20.0, self.exact))
        assert reading.failure is None, reading.failure
        observation = Observation(datetime.fromtimestamp(self.now, UTC), {"postgres": reading})
        decision = decide(self.state, observation, self.orders)
        self.state = decision.state
        self.exact = frozenset().union(*(recheck.exact for recheck in decision.rechecks))
        self.fired += [(t.alert.rule, t.alert.subject) for t in decision.transitions if t.edge == "firing"]
        return decision

    async def goes_on(self, seconds: int, rows: int, statement: str = "") -> Decision:
        for _ in range(seconds):
            self.now += 1
            if statement:
                await self.admin.execute(statement)
            elif rows:
                await self.admin.execute(
                    "INSERT INTO user_signals SELECT $1, 'c', i::text, 'chat', 1, i "
                    "FROM generate_series($2::int, $3::int) i",
                    int(self.now // 3600 * 3600),
                    self.made,
                    self.made + rows - 1,
                )
            self.made += rows
            await self.admin.execute("SELECT pg_stat_force_next_flush()")
            decision = await self.look()
        return decision

    def growth(self, decision: Decision) -> dict[str, Any]:
        found: dict[str, Any] = decision.report.as_fields()["growth"]["user_signals"]
        return found


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=30)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def counters_off(admin: Any) -> None:
    """track_counts is off in this database, for whoever connects from now on and for the writer."""
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f'ALTER DATABASE "{name}" SET track_counts = off; SET track_counts = off')


async def test_a_flood_behind_track_counts_off_is_found_and_is_no_stall(
    fleet_database: str, admin: Any, counters_off: None
) -> None:
    watch = Watch(fleet_database, admin)
    first = await watch.look()
    assert watch.growth(first)["rows_per_hour"] is None
    decision = await watch.goes_on(25, 250)
    assert ("table_growth_high", "user_signals") in watch.fired
    assert ("table_flow_stalled", "user_signals") not in watch.fired
    assert watch.growth(decision)["rows_per_hour"] == pytest.approx(900_000, rel=0.05)
    await watch.session.close()


async def test_a_flood_too_large_to_be_counted_is_no_stall(fleet_database: str, admin: Any, counters_off: None) -> None:
    watch = Watch(fleet_database, admin)
    watch.probe = PostgresProbe(watch.session, ("user_signals",), 3600, 35.0, cap=5000)
    await watch.look()
    decision = await watch.goes_on(12, 4600)
    assert watch.fired == [("table_growth_high", "user_signals")]
    (alert,) = decision.state.alerts.values()
    assert isinstance(alert.finding.value, int)
    assert alert.finding.value > 1000
    await watch.session.close()


async def test_rows_that_a_writer_without_counters_brings_are_found_by_two_counts(
    fleet_database: str, admin: Any
) -> None:
    # The server says that it counts; the writer's own sessions do not, as with rows that go past the counters.
    await admin.execute("SET track_counts = off")
    watch = Watch(fleet_database, admin)
    await watch.look()
    decision = await watch.goes_on(25, 250)
    assert watch.fired == [("table_growth_high", "user_signals")]
    assert watch.growth(decision)["rows_per_hour"] == pytest.approx(900_000, rel=0.1)
    await watch.session.close()


async def test_a_flow_that_stops_behind_track_counts_off_is_a_stall(
    fleet_database: str, admin: Any, counters_off: None
) -> None:
    watch = Watch(fleet_database, admin)
    await watch.look()
    await watch.goes_on(5, 10)
    assert watch.fired == []
    await watch.goes_on(9, 0)
    assert watch.fired == [("table_flow_stalled", "user_signals")]
    await watch.session.close()


async def test_a_count_that_does_not_finish_where_no_counter_tells_is_unknown_with_its_reason(
    fleet_database: str, admin: Any, counters_off: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(fleet_database, admin)
    await watch.look()
    slow = "SELECT $1::int8 AS rows, $2::int8 AS later_rows FROM pg_sleep(600) WHERE $3::int8 > 0"
    with monkeypatch.context() as patched:
        patched.setattr(queries, "recent", lambda _: slow)
        reading = await take(watch.probe, Request(watch.now, 2.0))
    assert reading.failure is None, reading.failure
    (gap,) = reading.gaps
    assert (gap.subject, gap.kind) == ("user_signals", "timeout")
    assert "track_counts is off, and its exact count did not finish in time" in gap.error
    assert (await take(watch.probe, Request(watch.now, 20.0))).gaps == ()
    await watch.session.close()


async def test_a_table_that_nothing_can_count_is_unknown_with_its_reason(
    fleet_database: str, admin: Any, counters_off: None
) -> None:
    await admin.execute("CREATE TABLE orders (id uuid PRIMARY KEY, note text)")
    watch = Watch(fleet_database, admin, replace(ORDERS, tables=("orders",)))
    decision = await watch.goes_on(10, 0)
    (gap,) = decision.state.history.readings["postgres"].gaps
    assert gap.subject == "orders"
    assert "track_counts is off" in gap.error
    assert decision.report.as_fields()["growth"]["orders"]["rows_per_hour"] is None
    assert decision.report.status != "ok"
    assert watch.fired == [("subject_unmeasured", "orders")]
    await watch.session.close()


SIGNALS = "INSERT INTO user_signals SELECT 1762300800, 'c', i::text, 'chat', 1, i FROM generate_series(1, 250) i"
ORDER = "INSERT INTO orders (note) SELECT 'x' FROM generate_series(1, 250)"


async def test_a_table_without_epochs_is_counted_by_its_serial_key(
    fleet_database: str, admin: Any, counters_off: None
) -> None:
    await admin.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, note text)")
    watch = Watch(fleet_database, admin, replace(ORDERS, tables=("orders",)))
    await watch.goes_on(3, 0)
    decision = await watch.goes_on(24, 0, ORDER)
    assert watch.fired == [("table_growth_high", "orders")]
    assert decision.report.as_fields()["growth"]["orders"]["rows_per_hour"] == pytest.approx(900_000, rel=0.1)
    await admin.execute("TRUNCATE orders RESTART IDENTITY")
    decision = await watch.goes_on(24, 0, ORDER)
    assert decision.report.as_fields()["growth"]["orders"]["rows_per_hour"] == pytest.approx(900_000, rel=0.15)
    await watch.goes_on(9, 0)
    assert watch.fired[1:] == [("table_flow_stalled", "orders")]
    await watch.session.close()


@pytest.mark.parametrize("name", ["orders", "user_signals"])
async def test_inserts_that_are_rolled_back_are_no_growth_by_either_way_of_counting(
    fleet_database: str, admin: Any, name: str
) -> None:
    await admin.execute("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)")
    what = ORDER if name == "orders" else SIGNALS
    watch = Watch(fleet_database, admin, replace(ORDERS, tables=(name,)))
    await watch.goes_on(2, 0)
    await watch.goes_on(12, 0, f"BEGIN; {what}; ROLLBACK")
    assert watch.fired == [("table_flow_stalled", name)]
    await watch.session.close()


async def test_a_key_is_moved_on_before_the_count_after_it_grows_dear(
    fleet_database: str, admin: Any, counters_off: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord.probes.postgres._KEYS_MOVE_AFTER", 1000)
    await admin.execute("CREATE TABLE orders (id serial PRIMARY KEY, note text)")
    watch = Watch(fleet_database, admin, replace(ORDERS, tables=("orders",), growth_limit=100_000))
    decision = await watch.goes_on(24, 0, ORDER)
    counts = list(decision.state.history.readings["postgres"].named("table_arrived"))
    assert all(isinstance(s.value, int) and s.value < 1300 for s in counts)
    assert decision.report.as_fields()["growth"]["orders"]["rows_per_hour"] == pytest.approx(900_000, rel=0.1)
    assert watch.fired == []
    await watch.session.close()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        ("CREATE VIEW thing AS SELECT * FROM user_signals", "view"),
        ("CREATE SEQUENCE thing", "sequence"),
        ("CREATE MATERIALIZED VIEW thing AS SELECT epoch FROM user_signals", "materialized view"),
        (
            "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;"
            "CREATE FOREIGN TABLE thing (epoch bigint) SERVER far",
            "foreign table",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;"
            "CREATE TABLE thing (epoch bigint) PARTITION BY RANGE (epoch);"
            "CREATE FOREIGN TABLE thing_old PARTITION OF thing FOR VALUES FROM (0) TO (10) SERVER far;"
            "CREATE TABLE thing_new PARTITION OF thing FOR VALUES FROM (10) TO (9999999999)",
            "foreign table",
        ),
        ("CREATE SCHEMA shop; CREATE TABLE shop.thing (x int)", "shop.thing"),
        ('CREATE TABLE "Thing" (x int)', "Thing"),
    ],
)
async def test_what_is_no_table_to_follow_is_null_with_a_true_reason_and_never_still(
    fleet_database: str, admin: Any, make: str, word: str
) -> None:
    await admin.execute(make)
    watch = Watch(fleet_database, admin, replace(ORDERS, tables=("thing",)))
    decision = await watch.goes_on(10, 0)
    (gap,) = decision.state.history.readings["postgres"].gaps
    assert word in gap.error
    growth = decision.report.as_fields()["growth"]["thing"]
    assert (growth["rows_per_hour"], growth["window_rows"]) == (None, None)
    if "MATERIALIZED" not in make:
        assert growth["rows"] is None
    assert watch.fired == [("subject_unmeasured", "thing")]
    assert decision.report.status != "ok"
    await watch.session.close()


async def test_a_partitioned_and_an_unlogged_table_are_followed(fleet_database: str, admin: Any) -> None:
    await admin.execute(
        "ALTER TABLE user_signals RENAME TO old;"
        "CREATE TABLE user_signals (LIKE old) PARTITION BY LIST (signal_type);"
        "CREATE UNLOGGED TABLE chats PARTITION OF user_signals FOR VALUES IN ('chat');"
        "CREATE TABLE others PARTITION OF user_signals DEFAULT"
    )
    watch = Watch(fleet_database, admin)
    await watch.look()
    decision = await watch.goes_on(25, 250)
    assert watch.fired == [("table_growth_high", "user_signals")]
    assert watch.growth(decision)["rows_per_hour"] == pytest.approx(900_000, rel=0.1)
    await watch.session.close()


async def test_a_role_that_may_read_little_is_told_the_same(
    fleet_database: str, admin: Any, postgres: PostgresServer
) -> None:
    await admin.execute(
        f"CREATE ROLE guest LOGIN PASSWORD '{postgres.password}'; GRANT SELECT ON user_signals TO guest"
    )
    reader = postgres.dsn(await admin.fetchval("SELECT current_database()"), user="guest")
    watch = Watch(fleet_database, admin, reader=reader)
    try:
        await watch.look()
        decision = await watch.goes_on(5, 100)
        assert watch.growth(decision)["rows_per_hour"] == pytest.approx(360_000, rel=0.1)
    finally:
        await watch.session.close()
        await admin.execute("DROP OWNED BY guest; DROP ROLE guest")
