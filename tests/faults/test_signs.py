"""Every sign is used the moment it is heard: with cycles an hour apart, what happens to the servers is found as soon.

An alert here can come of nothing but a sign and the check that confirms it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from monitord.testing.sandbox import StackError
from monitord.testing.servers.pm2 import Pm2Server
from monitord.testing.servers.postgres import PostgresServer
from monitord.testing.servers.valkey import ValkeyServer
from tests.faults.watched import PATIENCE, Line, Watched

# A service takes its time to stop, as one does that finishes what it has begun.
SERVICE = """
import signal, sys, time
def end(*_):
    time.sleep(1)
    sys.exit(0)
signal.signal(signal.SIGINT, end)
while True:
    signal.pause()
"""


def settings(directory: Path, **more: str) -> dict[str, str]:
    return {
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_CHECK_INTERVAL": "1h",
        "MONITORD_PROBE_TIMEOUT": "2s",
        "MONITORD_ORDERS__CONFIRM_EVERY": "200ms",
        "MONITORD_PM2__HOME": "",
        "MONITORD_HTTP__LISTEN": "",
        "MONITORD_LOG_LEVEL": "debug",
        **more,
    }


def edges(lines: list[Line]) -> list[Line]:
    """What was found, or feared."""
    return [line for line in lines if line["event"] in ("alert_pending", "alert_firing", "probe_failed")]


async def mended(watched: Watched, rule: str) -> None:
    """Checks until it is over: two that agree."""
    mark = len(watched.lines)
    while not watched.said("alert_resolved", mark, rule=rule):
        await watched.check()


@pytest.fixture
async def fleet(empty_pm2: Pm2Server, tmp_path: Path) -> AsyncIterator[Pm2Server]:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    app = {"interpreter": sys.executable, "script": str(script), "kill_timeout": 5000}
    await empty_pm2.start_apps({"apps": [{"name": name, **app} for name in ("gateway", "worker")]})
    yield empty_pm2
    with suppress(StackError):
        await empty_pm2("delete", "all")


async def test_a_redis_that_is_killed_is_found_by_its_connection(valkey: ValkeyServer, tmp_path: Path) -> None:
    async with Watched(settings(tmp_path, MONITORD_REDIS__URL=valkey.url()), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        await valkey.kill()
        try:
            fired = await watched.until("alert_firing", mark, rule="redis_unreachable")
        finally:
            await valkey.start()
        heard = watched.said("sign_heard", mark, probe="redis")
        failed = watched.said("probe_failed", mark, probe="redis")
        assert len(failed) == 1
        assert watched.lines.index(heard[0]) < watched.lines.index(failed[0]) < watched.lines.index(fired)
        await mended(watched, "redis_unreachable")
        assert watched.fired(mark) == {("redis_unreachable", "redis")}


async def test_a_postgres_that_is_killed_is_found_by_its_connection(postgres: PostgresServer, tmp_path: Path) -> None:
    environment = settings(tmp_path, MONITORD_POSTGRES__DSN=postgres.dsn())
    async with Watched(environment, tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        await postgres.kill()
        try:
            await watched.until("alert_firing", mark, rule="postgres_unreachable")
        finally:
            await postgres.start()
        assert watched.said("sign_heard", mark, probe="postgres")
        await mended(watched, "postgres_unreachable")


async def test_servers_that_are_frozen_are_found_by_a_ping(
    postgres: PostgresServer, valkey: ValkeyServer, fleet: Pm2Server, tmp_path: Path
) -> None:
    addresses = {"MONITORD_POSTGRES__DSN": postgres.dsn(), "MONITORD_REDIS__URL": valkey.url()}
    environment = settings(tmp_path, **addresses, MONITORD_PM2__HOME=str(fleet.home), MONITORD_PROBE_TIMEOUT="1s")
    servers = {"postgres": postgres, "redis": valkey, "pm2": fleet}
    async with Watched(environment, tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        for server in servers.values():
            server.pause()
        try:
            for name in servers:
                heard = await watched.until("sign_heard", mark, probe=name)
                assert "was not answered" in heard["message"]
                fired = await watched.until("alert_firing", mark, rule=f"{name}_unreachable")
                assert fired["value"] == "timeout"
        finally:
            for server in servers.values():
                server.resume()
        await mended(watched, "postgres_unreachable")


async def test_a_pm2_that_is_killed_is_found_by_its_bus(fleet: Pm2Server, tmp_path: Path) -> None:
    async with Watched(settings(tmp_path, MONITORD_PM2__HOME=str(fleet.home)), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        await fleet.kill()
        await watched.until("alert_firing", mark, rule="pm2_unreachable")
        assert watched.said("sign_heard", mark, probe="pm2")


async def test_a_stop_by_hand_is_found_at_once_and_a_restart_in_mid_flight_says_nothing(
    fleet: Pm2Server, tmp_path: Path
) -> None:
    async with Watched(settings(tmp_path, MONITORD_PM2__HOME=str(fleet.home)), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        await fleet("restart", "gateway")
        await fleet("reload", "worker")
        await fleet("restart", "all")
        for name in ("gateway", "worker"):
            await watched.until("service_event", mark, service=name, change="restarted")
        assert (await watched.check())["status"] == "ok"
        assert watched.said("sign_heard", mark, probe="pm2")
        assert edges(watched.lines[mark:]) == []
        mark = len(watched.lines)
        await fleet("stop", "gateway")
        fired = await watched.until("alert_firing", mark, rule="service_down")
        assert fired["subject"] == "gateway"
        assert watched.fired(mark) == {("service_down", "gateway")}


async def test_a_service_that_comes_back_is_well_again_without_a_cycle(empty_pm2: Pm2Server, tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    app = {"name": "gateway", "interpreter": sys.executable, "script": str(script), "restart_delay": 3000}
    await empty_pm2.start_apps({"apps": [app]})
    async with Watched(settings(tmp_path, MONITORD_PM2__HOME=str(empty_pm2.home)), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        pid = empty_pm2.app_pid("gateway")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await watched.until("alert_firing", mark, rule="service_down", subject="gateway")
        await watched.until("alert_resolved", mark, rule="service_down", subject="gateway")
        assert watched.said("check_completed", mark) == [], "nobody asked for a check, and no cycle was due"


async def test_connections_that_a_server_ends_for_its_own_reasons_are_checked_at_once_and_say_nothing(
    postgres: PostgresServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    environment = settings(tmp_path, MONITORD_POSTGRES__DSN=postgres.dsn(), MONITORD_REDIS__URL=valkey.url())
    async with Watched(environment, tmp_path / "cwd") as watched:
        check = await watched.check()
        mark = len(watched.lines)
        async with Redis.from_url(valkey.url(), socket_timeout=PATIENCE) as redis:
            await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
        admin = await asyncpg.connect(postgres.dsn(), timeout=PATIENCE)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'monitord' AND pid <> pg_backend_pid()"
        )
        await admin.close(timeout=PATIENCE)
        for name in ("postgres", "redis"):
            heard = await watched.until("sign_heard", mark, probe=name)
            await watched.until("cycle_completed", watched.lines.index(heard))
        after = await watched.check()
        assert edges(watched.lines[mark:]) == []
        assert after["status"] == check["status"]
        # The check of each, and those that were asked for: what is healthy is not checked again.
        assert len(watched.said("cycle_completed", mark)) <= 2
