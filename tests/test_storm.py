"""A storm on PM2's bus: nothing grows, every end is counted once, and the watch goes on."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from monitord.core.restarts import KEEP_DEATHS
from monitord.daemon import Daemon
from monitord.logs import Log
from monitord.pm2 import wire
from monitord.pm2.bus import MAX_EXITS
from monitord.pm2.citizen import Citizen
from monitord.settings import load
from monitord.store_reading import read_snapshot

PATIENCE = 60.0
PER_SECOND = 1000
SECONDS = 3
SERVICES = ("gateway", "worker", "evil\x1b[2J\n" + "\N{PILE OF POO}" * 2500)
ENVIRONMENT = {f"VARIABLE_{number}": "x" * 100 for number in range(20)}

Line = dict[str, Any]


class Storm:
    """A PM2 whose apps die a thousand times a second: its list over one socket, its bus over the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.restarts = dict.fromkeys(SERVICES, 0)
        self.ears: list[asyncio.StreamWriter] = []
        self.heard = asyncio.Event()
        self._began = time.time()

    async def __aenter__(self) -> Storm:
        self._bus = await asyncio.start_unix_server(self._listened_to, self.home / "pub.sock")
        self._rpc = await asyncio.start_unix_server(self._asked, self.home / "rpc.sock")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._bus.close()
        self._rpc.close()
        for ear in self.ears:
            ear.transport.abort()

    async def _listened_to(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ears.append(writer)
        self.heard.set()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = wire.Decoder()
        while chunk := await reader.read(65536):
            for frame in decoder.feed(chunk):
                writer.write(wire.encode([{"args": [self._list()]}, wire.unpack(frame[1])]))
        writer.close()

    def _list(self) -> list[Line]:
        return [
            {"pid": 1, "name": name, "pm_id": number, "pm2_env": self._env(name), "monit": {"memory": 1, "cpu": 0}}
            for number, name in enumerate(SERVICES)
        ]

    def _env(self, name: str) -> Line:
        return {
            **ENVIRONMENT,
            "name": name,
            "status": "online",
            "restart_time": self.restarts[name],
            "created_at": self._began * 1000,
            "pm_uptime": (self._began + self.restarts[name] / 1000) * 1000,
        }

    async def breaks(self) -> None:
        """So many ends a second, for so many seconds; the services die by turns."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(PER_SECOND * SECONDS):
            pm_id = number % len(SERVICES)
            name = SERVICES[pm_id]
            at = time.time() * 1000
            said = f"App [{name}:{pm_id}] exited with code [0] via signal [SIGKILL]\n"
            process = {**self._env(name), "pm_id": pm_id, "status": "stopped", "exit_code": 0}
            line = {"process": {"pm_id": "PM2", "name": "PM2"}, "at": at, "data": said}
            messages = (
                ["log:PM2", line],
                ["process:event", {"event": "exit", "manually": False, "process": process, "at": at}],
            )
            for ear in self.ears:
                ear.writelines(map(wire.encode, messages))
            self.restarts[name] += 1
            if number % 10 == 9:
                await asyncio.sleep(max(0.0, began + number / PER_SECOND - loop.time()))
                for ear in self.ears:
                    await ear.drain()


@pytest.fixture
def home() -> Iterator[Path]:
    """PM2's home; not `tmp_path`, whose name is too long for a socket."""
    directory = Path(tempfile.mkdtemp(prefix="monitord-"))
    yield directory
    shutil.rmtree(directory)


async def until(condition: Callable[[], bool]) -> None:
    """Of what happens on other threads and behind sockets."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


def counted(line: Line) -> int:
    """How many ends a line stands for."""
    often = re.search(r"ended (\d+) times more|restarted by PM2 (\d+) times", line["detail"])
    return int(next(filter(None, often.groups()))) if often else 1


async def test_a_storm_grows_nothing_delays_no_cycle_for_good_and_is_counted_to_the_last(
    home: Path, tmp_path: Path
) -> None:
    environment = {
        "HOME": str(tmp_path),
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
        "MONITORD_CHECK_INTERVAL": "200ms",
        "MONITORD_LOG_LEVEL": "debug",
        "MONITORD_PM2__HOME": str(home),
        "MONITORD_HTTP__LISTEN": "",
    }
    said = io.StringIO()
    daemon = Daemon(load(environment, tmp_path), lambda: load(environment, tmp_path), Log(said, "debug"), Citizen())

    def cycles() -> int:
        return said.getvalue().count("cycle_completed")

    async with Storm(home) as storm:
        running = asyncio.create_task(daemon.run())
        try:
            await until(lambda: "monitord_ready" in said.getvalue())
            await storm.heard.wait()
            before = cycles()
            await storm.breaks()
            during = cycles() - before
            bus = daemon.bus
            assert bus is not None
            await until(lambda: bus.heard == PER_SECOND * SECONDS)
            after = cycles() + 10  # by then everybody has been spoken of
            await until(lambda: cycles() >= after)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    assert during > 0
    assert len(bus.drain()) <= MAX_EXITS
    snapshot = read_snapshot(tmp_path / "state")
    assert snapshot is not None
    services = snapshot.state.history.services
    assert len(services) == len(SERVICES)
    assert all(len(service.deaths) <= KEEP_DEATHS for service in services.values())
    lines = [json.loads(raw) for raw in said.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "service_event"]
    assert {line["change"] for line in told} == {"crashed"}
    assert sum(map(counted, told)) == PER_SECOND * SECONDS
    assert len({line["service"] for line in told}) == len(SERVICES)
    assert all(line["service"].isprintable() and len(line["service"]) <= 200 for line in told)
    assert len(told) < 100
