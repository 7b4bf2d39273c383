"""One fault at a time of the real fleet's services: the right alert fires, alone, and resolves when it is mended."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from monitord.demo.stack import Stack
from tests.faults.watched import Watched


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
