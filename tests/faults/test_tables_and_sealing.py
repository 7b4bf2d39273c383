"""One fault at a time of the real fleet's tables and seals: the right alert fires, alone, and resolves."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import asyncpg

from monitord.demo.stack import Stack
from tests.faults.watched import PATIENCE, Watched


async def test_a_dead_listener_is_one_page_and_the_flow_it_explains_is_not(
    environment: dict[str, str], stack: Stack, tmp_path: Path
) -> None:
    narrow = {"MONITORD_ORDERS__FLOW_STALL": "8s", "MONITORD_ORDERS__FED_BY": '{"user_signals": ["*listener*"]}'}
    async with Watched(environment | narrow, tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        await stack.pm2("stop", "stream-listener")
        try:
            down = await watched.until("alert_firing", mark, rule="service_down", subject="stream-listener")
            unsaid = await watched.until("alert_suppressed", mark, rule="table_flow_stalled")
            assert unsaid["suppressed_by"] == down["alert_id"]
            assert unsaid["incident_id"] == down["alert_id"]
            check = await watched.check()
            assert [alert["rule"] for alert in check["alerts"]["suppressed"]] == ["table_flow_stalled"]
        finally:
            await stack.pm2("start", "stream-listener")
        await watched.until("alert_resolved", mark, rule="service_down", subject="stream-listener")
        await watched.until("alert_resolved", mark, rule="table_flow_stalled")


async def test_a_flood_of_rows_fires_after_an_exact_count_and_a_rolled_back_one_never_does(
    watched: Watched, stack: Stack
) -> None:
    mark = len(watched.lines)
    connection: asyncpg.Connection = await asyncpg.connect(stack.dsn, timeout=10)
    label = int(time.time()) // 5 * 5
    flood = "INSERT INTO user_signals SELECT $1, 'flood', md5(n::text), $2, 1, n FROM generate_series(1, 30000) n"
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(flood, label, "never")
        await transaction.rollback()
        for _ in range(4):
            await watched.check()
        assert watched.fired(mark) == set()
        await connection.execute(flood, label, "real")
        firing = await watched.until("alert_firing", mark, rule="table_growth_high", subject="user_signals")
        assert firing["value"] > firing["limit"] == 10000
        assert firing["evidence"]["counted"] == "exactly"
        await watched.until("alert_resolved", mark, rule="table_growth_high")
    finally:
        await connection.execute("DELETE FROM user_signals WHERE channel = 'flood'")
        await connection.close(timeout=5)
    assert watched.fired(mark) == {("table_growth_high", "user_signals")}


async def test_statistics_that_are_reset_are_rebased_and_said_and_alarm_nobody(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    await stack.postgres.execute("SELECT pg_stat_reset()", database="fleet")
    note = await watched.until("history_rebased", mark)
    assert "user_signals" in note["message"]
    for _ in range(3):
        assert (await watched.check())["growth"]["user_signals"]["window_rows"] >= 0
    assert watched.fired(mark) == set()


async def test_a_group_that_stops_sealing_is_out_of_step_then_late_then_stuck(
    environment: dict[str, str], stack: Stack, tmp_path: Path
) -> None:
    narrow = {
        "MONITORD_EPOCHS__GRACE": "4s",
        "MONITORD_ORDERS__SEAL_WARNING": "12s",
        "MONITORD_ORDERS__SEAL_CRITICAL": "20s",
    }
    async with Watched(environment | narrow, tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        stack.faults.set("no-seal", "CLS")
        try:
            apart = await watched.until("alert_firing", mark, rule="groups_out_of_sync")
            assert "CLS" in apart["summary"]
            late = await watched.until("alert_firing", mark, rule="sealing_late", subject="CLS")
            assert late["value"] > late["limit"]
            stuck = await watched.until("alert_firing", mark, rule="sealing_stuck", subject="CLS")
            assert stuck["severity"] == "critical"
            replaced = await watched.until("alert_resolved", mark, rule="sealing_late", subject="CLS")
            assert replaced["reason"] == "replaced_by sealing_stuck"
            action = await watched.until("action_recommended", mark, target="CLS")
            assert (action["action"], action["blocking"]) == ("restart_service", "epoch sealing")
        finally:
            stack.faults.clear("no-seal", "CLS")
        await watched.until("alert_resolved", mark, rule="sealing_stuck", subject="CLS")
        await watched.until("alert_resolved", mark, rule="groups_out_of_sync")
        assert {subject for _, subject in watched.fired(mark)} <= {"CLS", "epochs"}


async def test_inserts_that_are_all_rolled_back_are_a_stalled_flow(
    environment: dict[str, str], stack: Stack, tmp_path: Path
) -> None:
    """The counters move all the time; no row ever comes."""
    stack_environment = environment | {
        "MONITORD_POSTGRES__TABLES": json.dumps(["l2_tree_cache", "quiet_signals"]),
        "MONITORD_ORDERS__FLOW_STALL": "6s",
    }
    connection: asyncpg.Connection = await asyncpg.connect(stack.dsn, timeout=10)
    try:
        await connection.execute("CREATE TABLE quiet_signals (epoch bigint, note text)")
        await connection.execute("CREATE INDEX ON quiet_signals (epoch)")
        await connection.execute("INSERT INTO quiet_signals VALUES ($1, 'first')", int(time.time()))
        async with Watched(stack_environment, tmp_path / "cwd") as watched:
            async with asyncio.timeout(PATIENCE):
                while not watched.said("alert_firing", rule="table_flow_stalled", subject="quiet_signals"):
                    transaction = connection.transaction()
                    await transaction.start()
                    await connection.execute("INSERT INTO quiet_signals VALUES ($1, 'never')", int(time.time()))
                    await transaction.rollback()
                    await watched.check()
            firing = watched.said("alert_firing", rule="table_flow_stalled", subject="quiet_signals")
            assert len(firing) == 1
            mark = len(watched.lines)
            await connection.execute("INSERT INTO quiet_signals VALUES ($1, 'second')", int(time.time()))
            await watched.until("alert_resolved", mark, rule="table_flow_stalled", subject="quiet_signals")
    finally:
        await connection.execute("DROP TABLE IF EXISTS quiet_signals")
        await connection.close(timeout=5)


async def test_a_table_that_is_missing_is_its_own_finding_and_all_else_is_measured(
    environment: dict[str, str], tmp_path: Path
) -> None:
    tables = environment | {"MONITORD_POSTGRES__TABLES": json.dumps(["user_signals", "no_such_table"])}
    async with Watched(tables, tmp_path / "cwd") as watched:
        firing = await watched.until("alert_firing", rule="subject_unmeasured", subject="no_such_table")
        assert firing["evidence"]["kind"] == "missing"
        check = await watched.check()
        assert check["growth"]["no_such_table"]["rows"] is None
        assert check["growth"]["user_signals"]["rows"] is not None
        assert check["probes"]["postgres"]["status"] == "ok"
