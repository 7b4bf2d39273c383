"""A service is killed while monitord waits for a server that does not answer: it is said before the wait is over."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from monitord.testing.sandbox import StackError
from monitord.testing.servers.pm2 import Pm2Server
from tests.faults.watched import PATIENCE, Line, Watched

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Mute:
    """A server that accepts and never says a word, where Postgres should be."""

    def __init__(self) -> None:
        self._connections: list[asyncio.StreamWriter] = []
        self._came = asyncio.Condition()

    async def __aenter__(self) -> Mute:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._connections:
            writer.transport.abort()

    @property
    def dsn(self) -> str:
        return f"postgresql://watcher@127.0.0.1:{self._server.sockets[0].getsockname()[1]}/fleet?sslmode=disable"

    async def _accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._came:
            self._connections.append(writer)
            self._came.notify_all()

    async def asked_after(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: len(self._connections) > number)

    @property
    def asked(self) -> int:
        return len(self._connections)


@pytest.fixture
async def mute() -> AsyncIterator[Mute]:
    async with Mute() as mute:
        yield mute


@pytest.fixture
async def fleet(empty_pm2: Pm2Server, tmp_path: Path) -> AsyncIterator[Pm2Server]:
    """Two services that only wait, and one that is done once it has run."""
    script = tmp_path / "sleeper.py"
    script.write_text("import signal\nsignal.pause()\n")
    once = tmp_path / "once.py"
    once.write_text("import signal, sys\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))\nsignal.pause()\n")
    app = {"interpreter": sys.executable, "script": str(script)}
    await empty_pm2.start_apps(
        {
            "apps": [
                {"name": "gateway", **app},
                {"name": "worker", **app},
                {"name": "once", **app, "script": str(once), "autorestart": False},
            ]
        }
    )
    yield empty_pm2
    with suppress(StackError):
        await empty_pm2("delete", "all")


def settings(pm2: Pm2Server, directory: Path, **more: str) -> dict[str, str]:
    return {
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_PM2__HOME": str(pm2.home),
        "MONITORD_CHECK_INTERVAL": "30s",
        "MONITORD_HTTP__LISTEN": "",
        "MONITORD_ORDERS__CONFIRM_EVERY": "200ms",
        **more,
    }


def kill(pm2: Pm2Server, service: str, number: signal.Signals = signal.SIGKILL) -> None:
    pid = pm2.app_pid(service)
    assert pid is not None
    os.kill(pid, number)


def events(lines: list[Line], **fields: object) -> list[Line]:
    return [line for line in lines if line["event"] == "service_event" and fields.items() <= line.items()]


async def test_a_kill_is_said_while_a_cycle_waits_for_a_server_that_does_not_answer(
    fleet: Pm2Server, mute: Mute, tmp_path: Path
) -> None:
    environment = settings(
        fleet, tmp_path, MONITORD_POSTGRES__DSN=mute.dsn, MONITORD_PROBE_TIMEOUT="5s", MONITORD_CHECK_INTERVAL="5m"
    )
    async with Watched(environment, tmp_path / "cwd") as watched:
        # A full check hangs on Postgres from here on.
        mark, asked = len(watched.lines), mute.asked
        watched.process.send_signal(signal.SIGUSR1)
        await mute.asked_after(asked)
        kill(fleet, "gateway")
        first = await watched.until("service_event", mark, service="gateway")
        kill(fleet, "worker")  # within the same second
        second = await watched.until("service_event", mark, service="worker")
        check = await watched.until("check_completed", mark, trigger="signal")
        order = [line for line in watched.lines[mark:] if line in (first, second, check)]
        assert order == [first, second, check]
        for event in (first, second):
            assert (event["change"], event["by"]) == ("crashed", "pm2")
            assert "SIGKILL" in event["detail"]
        # Both have been counted by now, and the list has no more to say than that one it saw down is up again.
        later = await watched.check()
        assert {later["services"][name]["restarts_recent"] for name in ("gateway", "worker")} == {1}
        assert len(events(watched.lines[mark:], change="crashed")) == 2


async def test_deaths_that_follow_within_the_second_are_one_line_and_all_are_counted(
    fleet: Pm2Server, tmp_path: Path, eventually: Eventually
) -> None:
    async with Watched(settings(fleet, tmp_path), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        before = fleet.app_pid("gateway")
        kill(fleet, "gateway")

        async def up_again() -> bool:
            return fleet.app_pid("gateway") not in {None, before}

        await eventually(up_again)
        kill(fleet, "gateway")
        await watched.until("service_event", mark, service="gateway", change="crashed")
        check = await watched.check()
        while check["services"]["gateway"]["restarts_recent"] < 2:
            check = await watched.check()
        # One line of two deaths, or one of each: it depends on how long PM2 takes to start a process.
        said = events(watched.lines[mark:], service="gateway", change="crashed")
        while len(said) < 2:
            await watched.check()
            said = events(watched.lines[mark:], service="gateway", change="crashed")
        assert len(said) == 2
        assert all("SIGKILL" in line["detail"] for line in said)


async def test_what_is_ordered_or_ends_well_is_no_crash_at_once_either(fleet: Pm2Server, tmp_path: Path) -> None:
    async with Watched(settings(fleet, tmp_path), tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        kill(fleet, "once", signal.SIGUSR1)
        stopped = await watched.until("service_event", mark, service="once")
        assert (stopped["change"], stopped["by"]) == ("stopped", "pm2")
        await fleet("restart", "gateway")
        await watched.check()
        restarted = await watched.until("service_event", mark, service="gateway")
        assert (restarted["change"], restarted["by"]) == ("restarted", "operator")
        await fleet("stop", "worker")
        await watched.check()
        await watched.until("service_event", mark, service="worker", change="stopped", by="operator")
        assert events(watched.lines[mark:], change="crashed") == []


async def test_a_bus_that_goes_with_its_pm2_is_said_to_be_lost_and_heard_again(
    fleet: Pm2Server, tmp_path: Path
) -> None:
    environment = settings(fleet, tmp_path, MONITORD_CHECK_INTERVAL="200ms", MONITORD_LOG_LEVEL="debug")
    async with Watched(environment, tmp_path / "cwd") as watched:
        mark = len(watched.lines)
        await fleet.kill()
        await watched.until("bus_lost", mark)
        lost = len(watched.lines)
        for _ in range(3):  # polling goes on
            assert (await watched.check())["probes"]["pm2"]["status"] == "failed"
        await fleet.start()
        await watched.until("bus_heard", lost)
        assert (await watched.check())["probes"]["pm2"]["status"] == "ok"
        assert len(watched.said("bus_lost", mark)) == len(watched.said("bus_heard", mark)) == 1
