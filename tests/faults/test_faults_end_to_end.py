"""One fault at a time on the real fleet: the right alert fires, alone, and resolves when the fault is mended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from monitord.demo.stack import Stack
from tests.faults.watched import PATIENCE, Watched

FAST = {
    "MONITORD_CHECK_INTERVAL": "1s",
    "MONITORD_PROBE_TIMEOUT": "1500ms",
    "MONITORD_ORDERS__CONFIRM_EVERY": "500ms",
    # Wide enough for a busy machine; each test that is about sealing or flow narrows them.
    "MONITORD_EPOCHS__GRACE": "8s",
    "MONITORD_ORDERS__SEAL_WARNING": "60s",
    "MONITORD_ORDERS__SEAL_CRITICAL": "120s",
    "MONITORD_ORDERS__FLOW_STALL": "60s",
    "MONITORD_ORDERS__GROWTH_WINDOW": "10s",
    "MONITORD_HTTP__LISTEN": "",
}


@pytest.fixture
def environment(stack: Stack, tmp_path: Path) -> dict[str, str]:
    return stack.environment() | FAST | {"MONITORD_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
async def watched(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[Watched]:
    async with Watched(environment, tmp_path / "cwd") as watched:
        check = await watched.check()
        assert check["status"] == "ok", (check["message"], check["probes"], check["alerts"])
        yield watched


async def test_a_stopped_service_is_down_until_it_is_started_again(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    await stack.pm2("stop", "gateway")
    firing = await watched.until("alert_firing", mark, rule="service_down", subject="gateway")
    assert (firing["severity"], firing["value"], firing["level"]) == ("critical", "stopped", "error")
    action = await watched.until("action_recommended", mark, target="gateway")
    assert (action["action"], action["blocking"]) == ("investigate", "users")
    assert (await watched.check())["status"] == "critical"
    await stack.pm2("start", "gateway")
    resolved = await watched.until("alert_resolved", mark, rule="service_down", subject="gateway")
    assert resolved["alert_id"] == firing["alert_id"]
    assert watched.fired(mark) == {("service_down", "gateway")}


async def test_an_operators_restart_is_an_event_and_no_alert(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    await stack.pm2("restart", "cls-worker")
    event = await watched.until("service_event", mark, service="cls-worker")
    assert event["by"] == "operator"
    for _ in range(3):
        check = await watched.check()
    assert check["services"]["cls-worker"]["restarts_recent"] == 0
    assert watched.fired(mark) == set()


async def test_a_crash_loop_is_told_by_its_automatic_restarts(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    stack.faults.set("crash", "milo-worker-v2")
    firing = await watched.until("alert_firing", mark, rule="service_restart_loop", subject="milo-worker-v2")
    assert firing["severity"] == "warning"
    assert firing["value"] > firing["limit"]
    assert watched.said("service_event", mark, service="milo-worker-v2", change="crashed", by="pm2")
    stack.faults.clear("crash", "milo-worker-v2")
    await watched.until("alert_resolved", mark, rule="service_restart_loop", subject="milo-worker-v2")
    told = {rule for rule, subject in watched.fired(mark) if subject == "milo-worker-v2"}
    assert told <= {"service_restart_loop", "service_down"}


async def test_a_killed_service_is_told_of_at_once_and_with_its_signal_however_seldom_the_watch_looks(
    environment: dict[str, str], stack: Stack, tmp_path: Path
) -> None:
    async with Watched(environment | {"MONITORD_CHECK_INTERVAL": "5m"}, tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        pid = stack.pm2.app_pid("cls-worker")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        event = await watched.until("service_event", mark, service="cls-worker", change="crashed")
        assert event["by"] == "pm2"
        assert "SIGKILL" in event["detail"]
        await watched.check()
        assert len(watched.said("service_event", mark, service="cls-worker")) == 1
        assert watched.fired(mark) == set()


async def test_a_crash_loop_says_how_long_each_life_lasts_and_how_it_ends(
    environment: dict[str, str], stack: Stack, tmp_path: Path
) -> None:
    async with Watched(environment | {"MONITORD_CHECK_INTERVAL": "5m"}, tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        stack.faults.set("crash", "milo-worker-v2")
        try:
            firing = await watched.until("alert_firing", mark, rule="service_restart_loop", subject="milo-worker-v2")
            assert "each life lasted" in firing["summary"] or "its lives lasted" in firing["summary"]
            assert firing["evidence"]["from_the_bus"] is True
            assert firing["evidence"]["exit_codes"] or firing["evidence"]["signals"]
        finally:
            stack.faults.clear("crash", "milo-worker-v2")


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


async def test_what_an_operator_stops_has_not_crashed_and_what_waits_for_its_restart_has(
    environment: dict[str, str], stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "ends.js").write_text("process.on('SIGINT', () => process.exit(3)); setInterval(() => {}, 1000)")
    (tmp_path / "dies.js").write_text("setTimeout(() => process.exit(4), 1500)")
    ends, dies = ({"name": name, "script": str(tmp_path / f"{name}.js")} for name in ("ends", "dies"))
    file = tmp_path / "apps.json"
    file.write_text(json.dumps({"apps": [ends, dies | {"restart_delay": 2500}]}))
    async with Watched(environment | {"MONITORD_ORDERS__SERVICES": "{}"}, tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        await stack.pm2("start", file)
        try:
            await watched.until("service_event", mark, service="ends", change="appeared")
            await stack.pm2("stop", "ends")
            await watched.until("alert_firing", mark, rule="service_down", subject="ends")
            stopped = watched.said("service_event", mark, service="ends")[1:]
            assert [(event["change"], event["by"]) for event in stopped] == [("stopped", "operator")]
            crashed = await watched.until("service_event", mark, service="dies", change="crashed")
            assert "exit code 4" in crashed["detail"]
            restarted = await watched.until("service_event", mark, service="dies", change="restarted")
            assert restarted["by"] == "pm2"
            assert watched.said("service_event", mark, service="dies", by="operator", change="started") == []
        finally:
            await stack.pm2("delete", "ends", "dies")


async def test_a_fleet_that_pm2_takes_down_and_brings_back_is_one_page(watched: Watched, stack: Stack) -> None:
    await stack.pm2("save")
    mark = len(watched.lines)
    await stack.pm2("kill")
    try:
        await watched.until("alert_firing", mark, rule="pm2_unreachable")
    finally:
        await stack.pm2("resurrect")
    await watched.until("alert_resolved", mark, rule="pm2_unreachable")
    assert (await watched.check())["status"] == "ok"
    assert watched.fired(mark) == {("pm2_unreachable", "pm2")}


async def test_a_process_stopped_by_a_signal_is_frozen_though_pm2_calls_it_online(
    watched: Watched, stack: Stack
) -> None:
    mark = len(watched.lines)
    pid = stack.pm2.app_pid("tree-builder")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        firing = await watched.until("alert_firing", mark, rule="service_frozen", subject="tree-builder")
        assert firing["severity"] == "critical"
    finally:
        os.kill(pid, signal.SIGCONT)
    await watched.until("alert_resolved", mark, rule="service_frozen", subject="tree-builder")
    assert watched.fired(mark) == {("service_frozen", "tree-builder")}


async def test_a_frozen_postgres_is_one_alert_and_what_rests_on_it_is_unknown(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    stack.postgres.pause()
    try:
        firing = await watched.until("alert_firing", mark, rule="postgres_unreachable")
        assert (firing["subject"], firing["severity"], firing["value"]) == ("postgres", "critical", "timeout")
        check = await watched.check()
        assert check["status"] == "critical"
        assert check["probes"]["epochs"]["status"] == "failed"
        assert check["growth"]["user_signals"]["rows"] is None
        assert check["epochs"]["MILO"]["latest"] is None
    finally:
        stack.postgres.resume()
    await watched.until("alert_resolved", mark, rule="postgres_unreachable")
    assert watched.fired(mark) == {("postgres_unreachable", "postgres")}
    assert len(watched.said("probe_failed", mark, probe="postgres")) == 1


async def test_a_killed_redis_is_told_with_its_kind(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    await stack.valkey.kill()
    try:
        firing = await watched.until("alert_firing", mark, rule="redis_unreachable")
        assert firing["evidence"]["kind"] == "refused"
    finally:
        await stack.valkey.start()
    await watched.until("alert_resolved", mark, rule="redis_unreachable")
    assert watched.fired(mark) == {("redis_unreachable", "redis")}
    # It kept nothing: the queue is there again with the first job of the next epoch.
    async with asyncio.timeout(PATIENCE):
        while (await watched.check())["status"] != "ok":
            pass


async def test_a_frozen_pm2_is_one_alert_and_its_services_are_unknown(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    stack.pm2.pause()
    try:
        await watched.until("alert_firing", mark, rule="pm2_unreachable")
        check = await watched.check()
        assert {service["state"] for service in check["services"].values()} == {None}
        assert {service["ok"] for service in check["services"].values()} == {None}
    finally:
        stack.pm2.resume()
    await watched.until("alert_resolved", mark, rule="pm2_unreachable")
    assert watched.fired(mark) == {("pm2_unreachable", "pm2")}


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
