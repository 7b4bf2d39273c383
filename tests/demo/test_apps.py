"""The miniature fleet does what the real one does: signals, seals, trees, a queue; and has the faults it is told to."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from Crypto.Hash import keccak
from redis.asyncio import Redis

from monitord.chain.channels import account_of, placed
from monitord.chain.nodes import Nodes
from monitord.core import merkle
from monitord.core.channel_account import compared
from monitord.core.subjects.chain_facts import ChainSettings
from monitord.demo.apps.audience import CLS, MILO, SIGNALS_PER_SECOND, on_air, signals, viewers
from monitord.demo.apps.sealing import labels_due, seal
from monitord.demo.fleet import PERIODIC, SERVICES
from monitord.demo.seed import seed_old_signals, seed_window
from monitord.demo.stack import Stack

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
WAIT = "bull:tree-builder:wait"


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


async def fetch(dsn: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=10)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close(timeout=5)


async def labels(stack: Stack, group: str, after: int) -> list[int]:
    rows = await fetch(
        stack.dsn,
        "SELECT DISTINCT epoch FROM sealed_epochs WHERE token_group = $1 AND epoch > $2 ORDER BY 1",
        group,
        after,
    )
    return [row["epoch"] for row in rows]


async def newest(stack: Stack, group: str) -> int:
    return max(await labels(stack, group, 0))


async def assert_roots_recompute(dsn: str, after: int) -> int:
    seals = await fetch(dsn, "SELECT epoch, channel, root FROM sealed_epochs WHERE epoch > $1", after)
    for one in seals:
        rows = await fetch(
            dsn,
            "SELECT idx, user_hash FROM sealed_participants WHERE epoch = $1 AND channel = $2 ORDER BY idx",
            one["epoch"],
            one["channel"],
        )
        assert [row["idx"] for row in rows] == list(range(len(rows)))
        leaves = [merkle.leaf(bytes.fromhex(row["user_hash"]), one["channel"], one["epoch"], keccak256) for row in rows]
        assert merkle.root(leaves, keccak256).hex() == one["root"]
    return len(seals)


def test_the_audience_of_a_second_is_always_the_same_and_carries_true_hashes() -> None:
    rows = signals(1_762_308_003, 10)
    assert rows == signals(1_762_308_003, 10)
    assert len(rows) == SIGNALS_PER_SECOND
    assert {row.epoch for row in rows} == {1_762_308_000}
    for row in rows:
        assert row.channel in on_air(row.epoch)
        assert row.user_hash == keccak256(viewers(row.channel)[row.user_hash].lower().encode()).hex()
    assert len(MILO) == 12
    assert not set(MILO) & set(CLS)


def test_a_label_is_due_once_its_epoch_is_over_and_settled() -> None:
    assert labels_due(100.0, 10, 0, count=2) == [80, 90]
    assert labels_due(101.4, 10, 1.5, count=2) == [70, 80]
    assert labels_due(101.5, 10, 1.5, count=2) == [80, 90]


def test_a_channel_without_participants_has_no_seal() -> None:
    with pytest.raises(ValueError, match="no root"):
        seal(10, MILO[0], "MILO", [])


async def test_the_seeded_past_is_a_window_of_healthy_seals(fleet_database: str) -> None:
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=60)
    try:
        now = time.time()
        await seed_window(connection, 10, now)
    finally:
        await connection.close(timeout=5)
    for group in ("MILO", "CLS"):
        rows = await fetch(
            fleet_database,
            "SELECT DISTINCT epoch FROM sealed_epochs WHERE token_group = $1 AND published = 1 ORDER BY 1",
            group,
        )
        assert [row["epoch"] for row in rows] == labels_due(now, 10, 0)
    assert await assert_roots_recompute(fleet_database, labels_due(now, 10, 0)[-3]) > 20


async def test_old_signals_are_exactly_as_many_as_asked_for_and_older_than_the_window(fleet_database: str) -> None:
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=60)
    try:
        await seed_old_signals(connection, 10_007, 10)
    finally:
        await connection.close(timeout=5)
    sql = "SELECT count(*) AS n, max(epoch) AS e, count(DISTINCT epoch) AS k FROM user_signals"
    row = (await fetch(fleet_database, sql))[0]
    assert row["n"] == 10_007
    assert row["e"] < labels_due(time.time(), 10, 0)[0]
    assert row["k"] == 48
    indexes = await fetch(fleet_database, "SELECT indexname FROM pg_indexes WHERE tablename = 'user_signals'")
    assert {row["indexname"] for row in indexes} == {"user_signals_pkey", "user_signals_epoch"}


async def test_the_fleet_seals_consecutive_epochs_of_both_groups_with_roots_that_recompute(
    stack: Stack, eventually: Eventually
) -> None:
    start = max(await newest(stack, "MILO"), await newest(stack, "CLS"))

    async def both_sealed_two_more() -> bool:
        return all([len(await labels(stack, group, start)) >= 2 for group in ("MILO", "CLS")])

    await eventually(both_sealed_two_more)
    for group in ("MILO", "CLS"):
        first, second = (await labels(stack, group, start))[:2]
        assert (first, second) == (start + stack.epoch_seconds, start + 2 * stack.epoch_seconds)
    assert await assert_roots_recompute(stack.dsn, start) > 20

    async def published_with_their_trees() -> bool:
        rows = await fetch(
            stack.dsn,
            "SELECT s.published, t.root = s.root AS same FROM sealed_epochs s "
            "LEFT JOIN l2_tree_cache t USING (epoch, channel) WHERE s.epoch = $1",
            start + stack.epoch_seconds,
        )
        return bool(rows) and all(row["published"] == 1 and row["same"] for row in rows)

    await eventually(published_with_their_trees)


async def test_a_group_told_not_to_seal_falls_behind_and_mends_its_gap(stack: Stack, eventually: Eventually) -> None:
    stack.faults.set("no-seal", "MILO")
    try:
        start = await newest(stack, "MILO")

        async def cls_is_two_ahead() -> bool:
            return await newest(stack, "CLS") >= await newest(stack, "MILO") + 2 * stack.epoch_seconds

        await eventually(cls_is_two_ahead)
    finally:
        stack.faults.clear("no-seal", "MILO")
    there = await newest(stack, "CLS")

    async def caught_up() -> bool:
        return await newest(stack, "MILO") >= there

    await eventually(caught_up)
    assert [label for label in await labels(stack, "MILO", start) if label <= there] == list(
        range(start + stack.epoch_seconds, there + 1, stack.epoch_seconds)
    )


async def test_a_flood_writes_as_many_rows_as_it_was_told_and_ends(stack: Stack, eventually: Eventually) -> None:
    flooded = "SELECT count(*) AS n FROM user_signals WHERE channel = 'raid-night'"
    before = (await fetch(stack.dsn, flooded))[0]["n"]
    stack.faults.set("flood", "stream-listener", 30_000)

    async def over() -> bool:
        return stack.faults.amount("flood", "stream-listener") == 0

    await eventually(over)
    assert (await fetch(stack.dsn, flooded))[0]["n"] == before + 30_000


async def test_a_service_told_to_crash_is_restarted_by_pm2_again_and_again(
    stack: Stack, eventually: Eventually
) -> None:
    pids: set[int] = set()

    async def four_lives() -> bool:
        pid = stack.pm2.app_pid("gateway")
        if pid is not None:
            pids.add(pid)
        return len(pids) >= 4

    stack.faults.set("crash", "gateway")
    try:
        await eventually(four_lives)
    finally:
        stack.faults.clear("crash", "gateway")

    async def answers() -> bool:
        def ask() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/", timeout=2) as response:
                    return bool(json.load(response)["newest"].keys() == {"MILO", "CLS"})
            except OSError:
                return False

        return await asyncio.to_thread(ask)

    await eventually(answers)


async def test_jobs_wait_while_the_tree_builder_is_stopped_and_drain_when_it_is_back(
    stack: Stack, eventually: Eventually
) -> None:
    async with Redis.from_url(stack.valkey.url(), socket_timeout=5) as redis:
        await stack.pm2("stop", "tree-builder")
        try:

            async def backlog() -> bool:
                return bool(await redis.llen(WAIT) > 20)

            await eventually(backlog)
        finally:
            await stack.pm2("start", "tree-builder")

        async def drained() -> bool:
            return await redis.llen(WAIT) == 0 and await redis.llen("bull:tree-builder:active") == 0

        await eventually(drained)
        assert await redis.zcard("bull:tree-builder:failed") == 0
        assert await redis.zcard("bull:tree-builder:completed") > 0


async def test_every_service_outlives_a_killed_postgres_and_a_killed_valkey_and_no_label_is_missing(
    stack: Stack, eventually: Eventually
) -> None:
    always_on = [name for name in SERVICES if name != PERIODIC]
    before = {name: stack.pm2.app_pid(name) for name in always_on}
    start = min(await newest(stack, "MILO"), await newest(stack, "CLS"))
    await stack.valkey.kill()
    await stack.postgres.kill()
    missed = int(time.time()) // stack.epoch_seconds * stack.epoch_seconds + stack.epoch_seconds

    async def an_epoch_fell_due_in_the_outage() -> bool:
        return time.time() > missed + 2

    await eventually(an_epoch_fell_due_in_the_outage)
    await stack.postgres.start()
    await stack.valkey.start()
    there = int(time.time()) // stack.epoch_seconds * stack.epoch_seconds

    async def sealed_past_the_outage() -> bool:
        return all([await newest(stack, group) >= there for group in ("MILO", "CLS")])

    await eventually(sealed_past_the_outage)
    for group in ("MILO", "CLS"):
        sealed = [label for label in await labels(stack, group, start) if label <= there]
        assert sealed == list(range(start + stack.epoch_seconds, there + 1, stack.epoch_seconds))
    assert {name: stack.pm2.app_pid(name) for name in always_on} == before

    async def keys_are_back() -> bool:
        async with Redis.from_url(stack.valkey.url(), socket_timeout=5) as redis:
            return bool(await redis.dbsize() > 60)

    await eventually(keys_are_back)


async def test_the_scout_runs_stops_and_is_started_again_by_cron(stack: Stack, eventually: Eventually) -> None:
    log = stack.pm2.home / "logs" / f"{PERIODIC}-out.log"
    runs = log.read_text().count("channels_discovered")

    async def another_run() -> bool:
        return log.read_text().count("channels_discovered") > runs

    await eventually(another_run)

    async def stopped() -> bool:
        return stack.pm2.app_pid(PERIODIC) is None

    await eventually(stopped)


async def test_what_monitord_is_told_to_watch_is_what_runs(stack: Stack) -> None:
    told = stack.environment()
    assert all(name.startswith("MONITORD_") for name in told)
    assert set(json.loads(told["MONITORD_ORDERS__SERVICES"])) == set(SERVICES)
    assert told["MONITORD_EPOCHS__LENGTH"] == f"{stack.epoch_seconds}s"
    watcher = told["MONITORD_POSTGRES__DSN"]
    assert (await fetch(watcher, "SELECT count(*) AS n FROM sealed_epochs"))[0]["n"] > 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(watcher, "DELETE FROM sealed_epochs")
    async with Redis.from_url(told["MONITORD_REDIS__URL"], socket_timeout=5) as redis:
        assert await redis.ping()
    assert (stack.pm2.home / "rpc.sock").is_socket()


async def state_of(stack: Stack, epoch: int, channel: str, root: str) -> str:
    """How a seal of MILO stands on the fleet's chain."""
    place = placed(ChainSettings(), "MILO", channel, keccak256)
    account = await account_of(Nodes([stack.chain.url], pace=0.0), place)
    return "MISSING" if account is None else compared(epoch, root, account.latest, account.ring)


NEWEST_PUBLISHED = """
    SELECT epoch, channel, root FROM sealed_epochs WHERE token_group = 'MILO' AND published = 1 AND epoch > $1
    ORDER BY epoch DESC LIMIT 1
"""


@pytest.mark.servers
async def test_what_is_marked_as_published_is_on_chain_unless_the_publisher_pretends(
    stack: Stack, eventually: Eventually
) -> None:
    before = await newest(stack, "MILO")

    async def is_there() -> bool:
        rows = await fetch(stack.dsn, NEWEST_PUBLISHED, before)
        return bool(rows) and await state_of(stack, *rows[0]) == "OK"

    await eventually(is_there)
    stack.faults.set("pretend", "tree-builder")
    before = await newest(stack, "MILO")

    async def is_claimed_and_not_there() -> bool:
        rows = await fetch(stack.dsn, NEWEST_PUBLISHED, before + stack.epoch_seconds)
        return bool(rows) and await state_of(stack, *rows[0]) == "BEHIND"

    try:
        await eventually(is_claimed_and_not_there)
    finally:
        stack.faults.clear("pretend", "tree-builder")
