"""A daemon that watches a real PM2: who ended what, and when, as it is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.watched import Line, Watched

from .conftest import RealPm2

SLEEPER = "import signal; signal.pause()"


def settings(pm2: RealPm2, directory: Path, **more: str) -> Mapping[str, str]:
    return {
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_PM2__HOME": str(pm2.home),
        "MONITORD_CHECK_INTERVAL": "5m",  # whatever is told in time is not told by polling
        "MONITORD_HTTP__LISTEN": "",
        "MONITORD_ORDERS__CONFIRM_EVERY": "200ms",
        **more,
    }


def events(watched: Watched, mark: int, **fields: object) -> list[Line]:
    return watched.said("service_event", mark, **fields)


@pytest.mark.servers
async def test_a_loop_past_max_memory_restart_is_a_loop_and_says_why(real_pm2: RealPm2, tmp_path: Path) -> None:
    hungry = "import signal; ballast = bytearray(64 * 1024 * 1024); signal.pause()"
    real_pm2.run("start", real_pm2.app("hungry", hungry, max_memory_restart="40M"))
    orders = {"MONITORD_ORDERS__RESTARTS_WARNING": "2", "MONITORD_ORDERS__RESTARTS_CRITICAL": "3"}
    async with Watched(settings(real_pm2, tmp_path, **orders), tmp_path / "cwd") as watched:
        fired = await watched.until("alert_firing", rule="service_restart_loop", subject="hungry", severity="critical")
        assert "past its max_memory_restart" in fired["summary"]
        check = await watched.check()
        assert check["services"]["hungry"]["restarts_recent"] >= 4
        told = events(watched, 0, service="hungry", change="restarted")
        assert {line["by"] for line in told} == {"pm2"}
        assert all("max_memory_restart" in line["detail"] for line in told)


@pytest.mark.servers
async def test_what_watch_restarts_is_pm2s_doing_and_what_an_operator_restarts_is_not(
    real_pm2: RealPm2, tmp_path: Path
) -> None:
    files = real_pm2.apps / "files"
    files.mkdir()
    real_pm2.run("start", real_pm2.app("watched", SLEEPER, watch=[str(files)], cwd=str(files)))
    async with Watched(settings(real_pm2, tmp_path), tmp_path / "cwd") as watched:
        (files / "data.json").write_text("{}")
        told = await watched.until("service_event", service="watched", change="restarted")
        assert told["by"] == "pm2"
        assert "(watch)" in told["detail"]
        mark = len(watched.lines)
        real_pm2.run("restart", "watched")
        check = await watched.check()
        (by_hand,) = events(watched, mark, service="watched")
        assert (by_hand["change"], by_hand["by"]) == ("restarted", "operator")
        assert check["services"]["watched"]["restarts_recent"] == 1


GRACEFUL = """
import signal, sys, time

def leave(*_):
    time.sleep(4)
    sys.exit(0)

signal.signal(signal.SIGINT, leave)
while True:
    signal.pause()
"""


@pytest.mark.servers
async def test_a_graceful_restart_within_its_kill_timeout_pages_nobody(real_pm2: RealPm2, tmp_path: Path) -> None:
    real_pm2.run("start", real_pm2.app("graceful", GRACEFUL, kill_timeout=20_000))
    quick = {"MONITORD_CHECK_INTERVAL": "300ms", "MONITORD_LOG_LEVEL": "debug"}
    async with Watched(settings(real_pm2, tmp_path, **quick), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        real_pm2.run("restart", "graceful")
        await watched.until("service_event", mark, service="graceful", change="restarted")
        seen = [line["services"]["graceful"] for line in watched.said("cycle_completed", mark)]
        assert ("stopping", None) in {(one["state"], one["ok"]) for one in seen}
        assert watched.said("alert_pending", mark) == watched.said("alert_firing", mark) == []


@pytest.mark.servers
async def test_what_pm2_kills_past_its_kill_timeout_is_down_and_said_so(real_pm2: RealPm2, tmp_path: Path) -> None:
    real_pm2.run("start", real_pm2.app("stubborn", GRACEFUL, kill_timeout=500))
    quick = {"MONITORD_CHECK_INTERVAL": "300ms"}
    async with Watched(settings(real_pm2, tmp_path, **quick), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        stopping = await real_pm2.run_beside("stop", "stubborn")
        # PM2 kills it after half a second: it is stopped, and expected online.
        fired = await watched.until("alert_firing", mark, rule="service_down", subject="stubborn")
        assert fired["value"] == "stopped"
        await stopping.wait()


@pytest.mark.servers
@pytest.mark.parametrize("is_seen_away", [True, False], ids=["after it was seen away", "at once"])
async def test_a_pm2_that_comes_back_empty_is_one_page(real_pm2: RealPm2, tmp_path: Path, is_seen_away: bool) -> None:
    names = {"gateway", "worker", "listener", "builder", "sealer"}
    for name in names:
        real_pm2.run("start", real_pm2.app(name, SLEEPER))
    often = {"MONITORD_CHECK_INTERVAL": "1s"} if is_seen_away else {}
    async with Watched(settings(real_pm2, tmp_path, **often), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        real_pm2.kill_hard()
        if is_seen_away:
            away = await watched.until("alert_firing", mark, rule="pm2_unreachable")
        real_pm2.run("ls")
        await watched.check()
        empty = await watched.until("alert_firing", mark, rule="pm2_empty")
        assert "empty list" in empty["summary"]
        assert "pm2 resurrect" in empty["recommendation"]
        if is_seen_away:
            assert empty["alert_id"] == away["alert_id"]
        for _ in range(3):
            await watched.check()
        fired = {line["rule"]: line["alert_id"] for line in watched.said("alert_firing", mark)}
        assert set(fired.values()) == {empty["alert_id"]}
        # On a busy machine it may be away for so long that this is seen and confirmed.
        assert {"pm2_empty"} <= fired.keys() <= {"pm2_empty", "pm2_unreachable"}
        assert watched.said("alert_resolved", mark) == []
        assert events(watched, mark, change="deleted") == []
        for name in names:
            real_pm2.run("start", real_pm2.app(name, SLEEPER))
        back = len(watched.lines)
        await watched.check()
        ended = await watched.until("alert_resolved", back, alert_id=empty["alert_id"])
        assert ended["rule"] == "pm2_empty"


@pytest.mark.servers
async def test_what_an_operator_does_is_said_at_once_with_its_moment_and_once(
    real_pm2: RealPm2, tmp_path: Path
) -> None:
    real_pm2.run("start", real_pm2.app("gateway", SLEEPER), real_pm2.app("worker", SLEEPER))
    # The next cycle is five minutes away: nothing here is told by one.
    async with Watched(settings(real_pm2, tmp_path), tmp_path / "cwd") as watched:
        for command, change in [
            ("restart", "restarted"),
            ("reload", "restarted"),
            ("stop", "stopped"),
            ("start", "started"),
        ]:
            mark = len(watched.lines)
            before = datetime.now(UTC)
            real_pm2.run(command, "gateway")
            after = datetime.now(UTC)
            line = await watched.until("service_event", mark, service="gateway")
            assert (line["change"], line["by"]) == (change, "operator")
            said_at = datetime.fromisoformat(line["timestamp"])
            assert before <= datetime.fromisoformat(line["at"]) <= said_at
            assert said_at <= after + timedelta(seconds=5)
            await watched.check()
            assert len(events(watched, mark, service="gateway")) == 1
        mark = len(watched.lines)
        real_pm2.run("delete", "worker")
        deleted = await watched.until("service_event", mark, service="worker")
        assert (deleted["change"], deleted["by"]) == ("deleted", "operator")
        assert len(events(watched, mark, service="worker")) == 1


@pytest.mark.servers
async def test_three_stops_by_hand_are_three_alerts_and_no_flapping(real_pm2: RealPm2, tmp_path: Path) -> None:
    real_pm2.run("start", real_pm2.app("gateway", SLEEPER))
    async with Watched(settings(real_pm2, tmp_path), tmp_path / "cwd") as watched:
        for _ in range(3):
            mark = len(watched.lines)
            real_pm2.run("stop", "gateway")
            stopped = await watched.until("service_event", mark, service="gateway", change="stopped")
            fired = await watched.until("alert_firing", mark, rule="service_down", subject="gateway")
            assert fired.get("reason") != "flapping"
            assert fired["flapping"] is None
            moments = [datetime.fromisoformat(line) for line in (fired["since"], stopped["at"])]
            assert abs((moments[0] - moments[1]).total_seconds()) < 1
            real_pm2.run("start", "gateway")
            await watched.until("alert_resolved", mark, rule="service_down", subject="gateway")
