"""How soon an end is logged, and what a storm of them does: a real PM2 beside a Postgres that hangs, and a fake."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.apps import LINES_A_SECOND, error_frame
from bench.figures import Figure, of
from bench.storm import PER_SECOND, Storm
from monitord.pm2.client import processes
from monitord.storage.reader import read_history
from monitord.testing.sandbox import Sandbox, package_root
from monitord.testing.servers.pm2 import Pm2Server

PATIENCE_SECONDS = 60.0
CALM_SECONDS = 5.0
LINES = f"storm of {LINES_A_SECOND:,} error lines a second"
PHASES = ("calm", "storm", LINES)
Line = dict[str, Any]


@dataclass(slots=True)
class BusLatency:
    """What was measured. `said` are seconds from each kill to its line; `late` those by which due cycles began late.

    `cpu` is CPU seconds a second, `memory` bytes at the end, each in the calm and in the storms.
    """

    said: list[float] = field(default_factory=list)
    late: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    ends: int = 0
    lines: int = 0


async def measure_bus(*, kills: int, seconds: float, say: Callable[[str], None]) -> BusLatency:
    """Measure `kills` deaths one by one, and a storm of `seconds`."""
    found = BusLatency()
    say(f"{kills} kills while a cycle waits for a Postgres that does not answer")
    await _kills(kills, found)
    say(f"{seconds:.0f} s of {PER_SECOND} deaths a second")
    await _storm(seconds, found)
    return found


class Daemon:
    """A `monitord run`, and when each of its lines came."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, Line]] = []
        self._came = asyncio.Condition()

    async def follow(self, stdout: asyncio.StreamReader) -> None:
        async for raw in stdout:
            at = time.time()
            async with self._came:
                self.lines.append((at, json.loads(raw)))
                self._came.notify_all()

    async def said(self, event: str, mark: int = 0, **fields: object) -> float:
        """When it said so, Unix seconds."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._came:
            while True:
                for at, line in self.lines[mark:]:
                    if line["event"] == event and fields.items() <= line.items():
                        return at
                await self._came.wait()


@asynccontextmanager
async def running(directory: Path, **settings: str) -> AsyncIterator[tuple[Daemon, asyncio.subprocess.Process]]:
    daemon = Daemon()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitord", "run"),
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "PYTHONPATH": str(package_root()),
            "MONITORD_STATE_DIR": str(directory / "state"),
            "MONITORD_HTTP__LISTEN": "",
            **settings,
        },
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    assert process.stdout is not None
    following = asyncio.create_task(daemon.follow(process.stdout))
    try:
        await daemon.said("monitord_ready")
        yield daemon, process
    finally:
        process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.wait()
            await following


async def _kills(kills: int, found: BusLatency) -> None:
    mute = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    with Sandbox() as sandbox:
        pm2 = Pm2Server(sandbox)
        await pm2.start()
        script = sandbox.directory / "sleeper.py"
        script.write_text("import signal\nsignal.pause()\n")
        names = [f"worker-{number}" for number in range(4)]
        app = {"script": str(script), "interpreter": sys.executable}
        await pm2.start_apps({"apps": [{"name": name, **app} for name in names]})
        settings = {
            "MONITORD_PM2__HOME": str(pm2.home),
            "MONITORD_POSTGRES__DSN": f"postgresql://watcher@127.0.0.1:{port}/fleet?sslmode=disable",
            "MONITORD_CHECK_INTERVAL": "30s",
            "MONITORD_PROBE_TIMEOUT": "10s",
        }
        async with running(sandbox.directory, **settings) as (daemon, process):
            for number in range(kills):
                process.send_signal(signal.SIGUSR1)  # a check that hangs, or is under way already
                await asyncio.sleep(1.1)
                name, mark = names[number % len(names)], len(daemon.lines)
                listed = await processes(pm2.home, timeout=PATIENCE_SECONDS)
                pid = next(process.pid for process in listed if process.name == name)
                assert pid is not None
                at = time.time()
                os.kill(pid, signal.SIGKILL)
                found.said.append(await daemon.said("service_event", mark, service=name, change="crashed") - at)
    mute.close()


async def _storm(seconds: float, found: BusLatency) -> None:
    with tempfile.TemporaryDirectory(prefix="monitord-") as place:
        directory = Path(place)
        settings = {"MONITORD_PM2__HOME": place, "MONITORD_CHECK_INTERVAL": "1s", "MONITORD_LOG_LEVEL": "info"}
        edges: list[float] = []
        async with Storm(directory) as storm, running(directory, **settings) as (daemon, child):
            process = psutil.Process(child.pid)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await storm.heard.wait()
            for what in PHASES:
                edges.append(time.time())
                used = _cpu(process)
                if what == "storm":
                    found.ends = await storm.breaks(seconds)
                elif what == LINES:
                    await storm.writes(seconds, [error_frame(number) for number in range(LINES_A_SECOND)])
                else:
                    await asyncio.sleep(CALM_SECONDS)
                found.cpu[what] = (_cpu(process) - used) / (time.time() - edges[-1])
                found.memory[what] = process.memory_info().rss
            edges.append(time.time())
            await asyncio.sleep(2)
            found.lines = sum(1 for _, line in daemon.lines if line["event"] == "service_event")
        for observation in read_history(directory / "state", datetime.fromtimestamp(edges[0], UTC)):
            own, at = observation.readings.get("monitord"), observation.now.timestamp()
            late = own.number("cycle_late") if own is not None else None
            for what, begin, end in zip(PHASES, edges, edges[1:], strict=False):
                if late is not None and begin <= at < end:
                    found.late.setdefault(what, []).append(late)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def summary(found: BusLatency) -> list[list[str]]:
    """The rows of the table."""
    said = [value * 1000 for value in found.said]
    rows = [
        [
            f"kill -9 to its line ({len(said)} kills, a cycle stuck)",
            f"{statistics.median(said):.0f} ms",
            f"{min(said):.0f} .. {max(said):.0f} ms",
        ]
    ]
    for what in PHASES:
        late = [value * 1000 for value in found.late.get(what, [])]
        if late:
            rows.append(
                [
                    f"cycles late in the {what} ({len(late)} cycles, CPU {found.cpu[what]:.0%}, "
                    f"{found.memory[what] / 1e6:.0f} MB)",
                    f"{statistics.median(late):.1f} ms",
                    f"{min(late):.1f} .. {max(late):.1f} ms",
                ]
            )
    return rows


def figures(found: BusLatency) -> list[Figure]:
    """The rows of the table of the whole."""
    said = [value * 1000 for value in found.said]
    how = f"{len(said)} kills of a real PM2's apps while a cycle waits for a Postgres that says nothing"
    return [of("kill_to_line", "kill -9 to its line", said, "ms", 10.0, how)]
