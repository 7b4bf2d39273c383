"""What PM2 says of a fleet and what the kernel says of it are both there, also where they disagree."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitord.core.model import Reading, Value
from monitord.pm2 import wire
from monitord.probes.base import Request, take
from monitord.probes.pm2 import Pm2Probe
from monitord.testing.servers.pm2 import Pm2Server

from .conftest import PATIENCE

ASK = Request(now=1_762_308_000.0, timeout=20.0)
IN_A_HURRY = Request(now=1_762_308_000.0, timeout=0.3)
SECRET = "hunter2-in-the-environment"


_made: list[Pm2Probe] = []


@pytest.fixture(autouse=True)
async def connections_are_left() -> AsyncIterator[None]:
    yield
    await leave()


async def leave() -> None:
    while _made:
        await _made.pop().close()


def probe_of(home: Path, *own: int) -> Pm2Probe:
    _made.append(probe := Pm2Probe(home, lambda: frozenset(own)))
    return probe


def said(reading: Reading, service: str, instance: str | None = None) -> dict[str, Value]:
    """The samples of one service (or of one instance of it) by name."""
    assert reading.failure is None, reading.failure
    return {
        s.name: s.value
        for s in reading.samples
        if s.labels and s.label("service") == service and instance in {None, s.label("instance")}
    }


def failed(reading: Reading) -> str:
    assert reading.failure is not None
    assert reading.samples == ()
    assert SECRET not in repr(reading)
    return reading.failure.kind


# A real fleet


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    script = tmp_path / "sleeper.py"
    script.write_text("import time\nwhile True:\n    time.sleep(3600)\n")
    return script


def app(name: str, script: Path, **options: Any) -> dict[str, Any]:
    return {"name": name, "script": str(script), "interpreter": sys.executable, "env": {"KEY": SECRET}, **options}


async def reading_when(probe: Pm2Probe, condition: Callable[[Reading], bool]) -> Reading:
    """A reading in which it is so; PM2 and the kernel take their time, and tell nobody when they have."""
    async with asyncio.timeout(PATIENCE):
        while not condition(reading := await take(probe, ASK)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return reading


async def test_an_empty_fleet_is_measured_and_is_no_failure(empty_pm2: Pm2Server) -> None:
    reading = await take(probe_of(empty_pm2.home), ASK)
    assert reading.failure is None
    assert [s.name for s in reading.samples] == ["pm2_latency"]
    latency = reading.number("pm2_latency")
    assert latency is not None
    assert 0 < latency <= reading.duration_ms


async def test_a_service_that_runs_is_measured_and_its_environment_is_not(empty_pm2: Pm2Server, sleeper: Path) -> None:
    await empty_pm2.start_apps({"apps": [app("gateway", sleeper)]})
    probe = probe_of(empty_pm2.home)
    reading = await reading_when(probe, lambda r: said(r, "gateway")["service_memory"] is not None)
    pid = empty_pm2.app_pid("gateway")
    assert pid is not None
    of = said(reading, "gateway")
    assert (of["service_state"], of["service_process"]) == ("online", "running")
    assert (of["service_restarts"], of["service_exit_code"]) == (0, None)
    memory, started, created = of["service_memory"], of["service_started_at"], of["service_created_at"]
    assert isinstance(memory, int)
    assert abs(memory - psutil.Process(pid).memory_info().rss) < 8 * 2**20
    assert isinstance(started, float)
    assert abs(started - psutil.Process(pid).create_time()) < 5
    assert isinstance(created, float)
    assert abs(created - started) < 5
    assert isinstance(of["service_cpu"], int | float)
    assert not {"service_module", "service_schedule", "service_self"} & of.keys()
    assert SECRET not in repr(reading)


async def test_a_frozen_process_is_online_for_pm2_and_stopped_for_the_kernel(
    empty_pm2: Pm2Server, sleeper: Path
) -> None:
    await empty_pm2.start_apps({"apps": [app("gateway", sleeper), app("tree-builder", sleeper)]})
    probe = probe_of(empty_pm2.home)
    pid = empty_pm2.app_pid("gateway")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        reading = await reading_when(probe, lambda r: said(r, "gateway")["service_process"] == "stopped")
        assert said(reading, "gateway")["service_state"] == "online"
        assert said(reading, "tree-builder")["service_process"] == "running"
    finally:
        os.kill(pid, signal.SIGCONT)
    await reading_when(probe, lambda r: said(r, "gateway")["service_process"] == "running")


async def test_a_stopped_service_has_no_process_no_memory_and_no_start(empty_pm2: Pm2Server, sleeper: Path) -> None:
    await empty_pm2.start_apps({"apps": [app("cls-discovery", sleeper)]})
    await empty_pm2("stop", "cls-discovery")
    of = said(await take(probe_of(empty_pm2.home), ASK), "cls-discovery")
    assert of["service_state"] == "stopped"
    for name in ("service_process", "service_memory", "service_cpu", "service_started_at"):
        assert of[name] is None


async def test_a_crash_shows_as_a_restart_and_a_new_start(empty_pm2: Pm2Server, sleeper: Path) -> None:
    await empty_pm2.start_apps({"apps": [app("gateway", sleeper)]})
    probe = probe_of(empty_pm2.home)
    before = said(await take(probe, ASK), "gateway")
    pid = empty_pm2.app_pid("gateway")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    def is_back(reading: Reading) -> bool:
        of = said(reading, "gateway")
        return of["service_restarts"] == 1 and of["service_state"] == "online"

    after = said(await reading_when(probe, is_back), "gateway")
    assert after["service_created_at"] == before["service_created_at"]
    assert isinstance(after["service_started_at"], float)
    assert isinstance(before["service_started_at"], float)
    assert after["service_started_at"] > before["service_started_at"]


async def test_two_instances_of_one_name_are_told_apart(empty_pm2: Pm2Server, sleeper: Path) -> None:
    await empty_pm2.start_apps({"apps": [app("cls-worker", sleeper, instances=2)]})
    reading = await take(probe_of(empty_pm2.home), ASK)
    instances = [s.label("instance") for s in reading.named("service_state")]
    assert len(set(instances)) == 2
    assert len(reading.samples) == len({(s.name, s.labels) for s in reading.samples})
    for instance in instances:
        assert said(reading, "cls-worker", instance)["service_state"] == "online"


async def test_a_job_that_cron_starts_carries_its_schedule(empty_pm2: Pm2Server, sleeper: Path) -> None:
    yearly = {"autorestart": False, "cron_restart": "0 0 1 1 *"}
    restarted = {"autorestart": True, "cron_restart": "0 0 1 1 *"}
    await empty_pm2.start_apps({"apps": [app("job", sleeper, **yearly), app("worker", sleeper, **restarted)]})
    reading = await take(probe_of(empty_pm2.home), ASK)
    assert said(reading, "job")["service_schedule"] == "0 0 1 1 *"
    assert "service_schedule" not in said(reading, "worker")


async def test_the_process_that_is_monitord_itself_is_marked_and_no_other(empty_pm2: Pm2Server, sleeper: Path) -> None:
    await empty_pm2.start_apps({"apps": [app("monitord", sleeper), app("gateway", sleeper)]})
    pid = empty_pm2.app_pid("monitord")
    assert pid is not None
    reading = await take(probe_of(empty_pm2.home, pid, os.getpid()), ASK)
    assert [(s.label("service"), s.value) for s in reading.named("service_self")] == [("monitord", 1)]


async def test_a_frozen_pm2_is_a_timeout_and_is_measured_again_once_it_runs(empty_pm2: Pm2Server) -> None:
    probe = probe_of(empty_pm2.home)
    empty_pm2.pause()
    try:
        reading = await take(probe, IN_A_HURRY)
        assert failed(reading) == "timeout"
        assert "PM2" in repr(reading.failure), "PM2's sentence, not the runner's"
    finally:
        empty_pm2.resume()
    assert (await take(probe, ASK)).failure is None


async def test_a_killed_pm2_is_refused_and_is_measured_again_once_it_is_back(
    empty_pm2: Pm2Server, sleeper: Path
) -> None:
    await empty_pm2.start_apps({"apps": [app("gateway", sleeper)]})
    probe = probe_of(empty_pm2.home)
    orphans = [process for process in empty_pm2.processes() if process.pid != empty_pm2.pid]
    await empty_pm2.kill()
    try:
        # Its last threads hold the socket a moment longer than it lives: a connection is made and dropped.
        await reading_when(probe, lambda r: failed(r) == "refused")
    finally:
        for orphan in orphans:
            orphan.kill()
        await empty_pm2.start()
    assert (await take(probe, ASK)).failure is None


# Homes without a PM2, and lists that a real one is not easily brought to give


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: its name is longer than a Unix socket's path may be.
    with tempfile.TemporaryDirectory(prefix="monitord-") as directory:
        yield Path(directory)


Fake = Callable[[object], Awaitable[None]]


@pytest.fixture
async def answer_with(home: Path) -> AsyncIterator[Fake]:
    """A PM2 in `home` that answers with this list."""
    servers: list[asyncio.Server] = []

    async def start(result: object) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            decoder = wire.Decoder()
            frames: list[wire.Frame] = []
            while not frames:
                frames = decoder.feed(await reader.read(65536))
            _, call_id = frames[0]
            writer.write(wire.encode([{"args": [result]}, wire.unpack(call_id)]))
            await writer.drain()
            await reader.read()  # until the other side has what it wants
            writer.transport.abort()

        servers.append(await asyncio.start_unix_server(serve, home / "rpc.sock"))

    yield start
    await leave()
    for server in servers:
        server.close()


def listed(name: str, pm_id: int, pid: int, **env: Any) -> dict[str, Any]:
    env = {"status": "online", "restart_time": 0, "created_at": 1, "pm_uptime": 1, "KEY": SECRET, **env}
    return {"name": name, "pm_id": pm_id, "pid": pid, "monit": {"memory": 1, "cpu": 0}, "pm2_env": env}


@pytest.fixture
def gone_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


@pytest.fixture
def zombie_pid() -> Iterator[int]:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
        yield process.pid


@pytest.fixture
def misleading_pid(tmp_path: Path) -> Iterator[int]:
    """A process whose name reads like the rest of its line in /proc."""
    trap = tmp_path / "x) T 1 (Z"
    trap.symlink_to(shutil.which("sleep") or "/bin/sleep")
    with subprocess.Popen([trap, "60"]) as process:  # returns once the program has taken the fork's place
        yield process.pid
        process.kill()


async def test_a_zombie_and_a_process_that_is_gone_are_told_from_one_that_runs(
    home: Path, answer_with: Fake, zombie_pid: int, gone_pid: int
) -> None:
    await answer_with([listed("z", 0, zombie_pid), listed("g", 1, gone_pid), listed("r", 2, os.getpid())])
    reading = await take(probe_of(home), ASK)
    assert reading.values("service_process", "service") == {"z": "zombie", "g": "gone", "r": "running"}
    assert reading.values("service_state", "service") == {"z": "online", "g": "online", "r": "online"}


async def test_a_command_with_brackets_in_its_name_does_not_mislead(
    home: Path, answer_with: Fake, misleading_pid: int
) -> None:
    assert psutil.Process(misleading_pid).name() == "x) T 1 (Z"
    await answer_with([listed("trap", 0, misleading_pid)])
    assert (await take(probe_of(home), ASK)).values("service_process", "service") == {"trap": "running"}


async def test_a_module_is_marked_and_an_app_is_not(home: Path, answer_with: Fake) -> None:
    await answer_with([listed("pm2-logrotate", 0, os.getpid(), pmx_module=True), listed("gateway", 1, os.getpid())])
    reading = await take(probe_of(home), ASK)
    assert reading.values("service_module", "service") == {"pm2-logrotate": 1}
    assert SECRET not in repr(reading)


async def test_a_process_id_that_no_system_has_is_unknown_to_the_kernel_and_hides_nobody(
    home: Path, answer_with: Fake
) -> None:
    await answer_with([listed("odd", 0, 2**40), listed("r", 1, os.getpid())])
    reading = await take(probe_of(home), ASK)
    assert reading.values("service_process", "service") == {"odd": None, "r": "running"}


async def test_an_answer_that_is_no_list_is_protocol(home: Path, answer_with: Fake) -> None:
    await answer_with({"KEY": SECRET})
    assert failed(await take(probe_of(home), ASK)) == "protocol"


async def test_a_home_without_a_pm2_is_missing(home: Path) -> None:
    assert failed(await take(probe_of(home), ASK)) == "missing"
    assert failed(await take(probe_of(home / "nowhere"), ASK)) == "missing"


async def test_a_socket_that_nobody_listens_on_is_refused(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(home / "rpc.sock"))
    assert failed(await take(probe_of(home), ASK)) == "refused"


@pytest.fixture
def not_root() -> Iterator[None]:
    """Root may use every socket: be somebody else meanwhile."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    if was == 0:
        os.seteuid(was)


@pytest.fixture
def locked_home(home: Path) -> Path:
    home.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as somebodys:
        somebodys.bind(str(home / "rpc.sock"))
    (home / "rpc.sock").chmod(0)
    return home


async def test_the_pm2_of_another_user_is_permission(locked_home: Path, not_root: None) -> None:
    assert failed(await take(probe_of(locked_home), ASK)) == "permission"
