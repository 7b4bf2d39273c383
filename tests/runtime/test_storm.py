"""A storm on PM2's bus: nothing grows, every end is counted once, and monitoring goes on."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.storm import SERVICES, Storm
from monitord.config.loader import load
from monitord.core.history.restarts import KEEP_DEATHS
from monitord.logging.logger import JsonLog
from monitord.pm2.bus import MAX_EXITS
from monitord.pm2.ipc import IpcChannel
from monitord.runtime.daemon import Daemon
from monitord.storage.reader import read_snapshot

PATIENCE = 60.0
SECONDS = 0.3

Line = dict[str, Any]


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
            await asyncio.sleep(0.005)


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
        "MONITORD_CHECK_INTERVAL": "20ms",
        "MONITORD_LOG_LEVEL": "debug",
        "MONITORD_PM2__HOME": str(home),
        "MONITORD_HTTP__LISTEN": "",
    }
    said = io.StringIO()
    daemon = Daemon(
        load(environment, tmp_path), lambda: load(environment, tmp_path), JsonLog(said, "debug"), IpcChannel()
    )

    def cycles() -> int:
        return said.getvalue().count("cycle_completed")

    async with Storm(home) as storm:
        running = asyncio.create_task(daemon.run())
        try:
            await until(lambda: "monitord_ready" in said.getvalue())
            await storm.heard.wait()
            before = cycles()
            ends = await storm.breaks(SECONDS)
            during = cycles() - before
            bus = daemon.bus
            assert bus is not None
            await until(lambda: bus.heard == ends)
            after = cycles() + 3  # by then everybody has been spoken of
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
    assert sum(map(counted, told)) == ends
    assert len({line["service"] for line in told}) == len(SERVICES)
    assert all(line["service"].isprintable() and len(line["service"]) <= 200 for line in told)
    assert len(told) < 100
