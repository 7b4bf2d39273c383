"""The daemon as the operator has it: a process of its own, its settings in the environment, its words on stdout."""

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitord.core.engine import State
from monitord.core.subjects.registry import measured
from monitord.storage.frames import Unpacker
from monitord.storage.reader import read_history, read_snapshot
from monitord.storage.schema import FILE, UnusableSnapshot
from monitord.testing.sandbox import package_root
from monitord.testing.servers.pm2 import Pm2Server
from monitord.testing.servers.postgres import PostgresServer
from monitord.testing.servers.valkey import ValkeyServer

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
Line = dict[str, Any]

PATIENCE = 60.0
STOP_SECONDS = 5.0
"""By then a daemon that was told to stop has ended, whatever hangs."""

LONGEST_LINE = 4 * 2**20
FIRES = {"MONITORD_ORDERS__DISK_WARNING": "0%", "MONITORD_ORDERS__DISK_CRITICAL": "100%"}
"""Settings under which disk_high of / is found by every reading."""


@dataclass
class Daemon:
    """A `monitord run`, and every line it has printed so far."""

    process: asyncio.subprocess.Process
    state_dir: Path
    out: list[bytes] = field(default_factory=list)
    err: list[bytes] = field(default_factory=list)
    heard: asyncio.Condition = field(default_factory=asyncio.Condition)
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def read(self, stream: asyncio.StreamReader, into: list[bytes]) -> None:
        while line := await stream.readline():
            async with self.heard:
                into.append(line)
                self.heard.notify_all()
        async with self.heard:
            self.heard.notify_all()

    @property
    def lines(self) -> list[Line]:
        """Everything it said, stderr last; each must be a JSON object with the four fields every line has."""
        lines = [json.loads(raw) for raw in (*self.out, *self.err)]
        for line in lines:
            assert list(line)[:4] == ["timestamp", "level", "event", "message"]
            assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None
            assert line["level"] in {"debug", "info", "warning", "error"}
            assert line["message"]
        return lines

    def of(self, event: str, **fields: object) -> list[Line]:
        """The lines of one event that have these fields."""
        return [line for line in self.lines if line["event"] == event and fields.items() <= line.items()]

    async def said(self, event: str, *, times: int = 1, **fields: object) -> Line:
        """Wait until it has said an event so many times; the latest of them."""
        async with asyncio.timeout(PATIENCE), self.heard:
            while len(found := self.of(event, **fields)) < times:
                assert not all(reader.done() for reader in self.readers), f"it ended without {event}: {self.err}"
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.heard.wait(), 1)
        return found[-1]

    async def cycles(self, more: int = 2) -> None:
        """Wait until so many quiet cycles more are over (at level debug)."""
        await self.said("cycle_completed", times=len(self.of("cycle_completed")) + more)

    @property
    def done(self) -> int:
        """How many cycles are over."""
        return len(self.of("check_completed")) + len(self.of("cycle_completed"))

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within: float = PATIENCE) -> int:
        """Its exit code, once it has ended and all it said has been read."""
        async with asyncio.timeout(within):
            code = await self.process.wait()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self.readers)
        return code

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send(number)
        return await self.ended(STOP_SECONDS)

    async def crash(self) -> None:
        self.process.kill()
        assert await self.ended() == -signal.SIGKILL

    def state(self) -> State:
        """What it last saved."""
        snapshot = read_snapshot(self.state_dir)
        assert snapshot is not None
        return snapshot.state

    def everything_written(self) -> bytes:
        """All that it printed, logged and saved, the compressed history unpacked."""
        written = b"".join((*self.out, *self.err))
        for path in self.state_dir.rglob("*"):
            if path.is_file():
                written += path.read_bytes()
        with closing(sqlite3.connect(self.state_dir / FILE)) as connection:
            frames = connection.execute("SELECT body FROM frames ORDER BY seq").fetchall()
        assert frames
        unpacker = Unpacker()
        return written + b"".join(unpacker.text(body) for (body,) in frames)


class Start:
    """Starts daemons in one directory, with one state directory unless told otherwise."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.daemons: list[Daemon] = []

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """A small environment: nothing of this process's own settings."""
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(package_root()),
            "MONITORD_STATE_DIR": str(self.directory / "state"),
            "MONITORD_HTTP__LISTEN": "",
            "MONITORD_CHECK_INTERVAL": "100ms",
            "MONITORD_PROBE_TIMEOUT": "5s",
            "MONITORD_LOG_LEVEL": "debug",
            "MONITORD_ORDERS__CONFIRM_EVERY": "0s",
        } | dict(more)

    async def __call__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        before: tuple[str, ...] = (),
        stdout: int = asyncio.subprocess.PIPE,
    ) -> Daemon:
        environment = self.environment(settings or {})
        process = await asyncio.create_subprocess_exec(
            *before,
            *(sys.executable, "-m", "monitord", "run"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.directory,
            env=environment,
            limit=LONGEST_LINE,
        )
        daemon = Daemon(process, Path(environment.get("MONITORD_STATE_DIR", environment["HOME"])))
        for stream, into in ((process.stdout, daemon.out), (process.stderr, daemon.err)):
            if stream is not None:
                daemon.readers.append(asyncio.create_task(daemon.read(stream, into)))
        self.daemons.append(daemon)
        return daemon

    async def bare(self, settings: Mapping[str, str]) -> Daemon:
        """A daemon with these MONITORD_ settings and no others."""
        unset = [word for name in self.environment({}) if name.startswith("MONITORD_") for word in ("-u", name)]
        return await self(settings, before=("env", *unset))

    async def close(self) -> None:
        for daemon in self.daemons:
            if daemon.process.returncode is None:
                with suppress(ProcessLookupError):
                    daemon.process.kill()
            await daemon.ended()


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    start = Start(tmp_path)
    yield start
    await start.close()


@pytest.fixture
async def mute() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """The URL of a server that accepts and never says a word, and the connections it has."""
    connections: list[asyncio.StreamWriter] = []

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    for writer in connections:
        writer.close()
    server.close()


@pytest.fixture
def frozen_later(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A Postgres that the test may freeze."""
    yield postgres
    postgres.resume()


# Starting and stopping


async def test_it_says_that_it_starts_checks_is_ready_and_stops(start: Start) -> None:
    daemon = await start()
    await daemon.said("monitord_ready")
    assert await daemon.stop() == 0
    said = [line["event"] for line in daemon.lines if line["event"] in EDGES or line.get("trigger")]
    assert said == ["monitord_started", "check_completed", "monitord_ready", "monitord_stopping", "monitord_stopped"]
    assert daemon.err == []


EDGES = {"monitord_started", "monitord_ready", "monitord_stopping", "monitord_stopped"}


async def test_a_second_daemon_on_the_same_state_directory_refuses_in_one_line_on_stderr(start: Start) -> None:
    first = await start()
    await first.said("monitord_ready")
    second = await start()
    assert await second.ended() == 2
    assert second.out == []
    (line,) = second.lines
    assert line["level"] == "error"
    assert str(first.process.pid) in line["message"]
    await first.cycles()
    assert await first.stop() == 0
    third = await start()
    await third.said("monitord_ready")
    assert await third.stop() == 0


async def test_wrong_settings_are_one_line_each_on_stderr_and_nothing_on_stdout(start: Start) -> None:
    daemon = await start(
        {
            "MONITORD_CHECK_INTERVAL": "soon",
            "MONITORD_CHECK_INTERVALL": "1s",
            "MONITORD_POSTGRES__DSN": "mysql://root:hunter2hunter2@db/fleet",
        }
    )
    assert await daemon.ended() == 2
    assert daemon.out == []
    named = sorted(_variable(line["message"]) for line in daemon.lines)
    assert named == ["MONITORD_CHECK_INTERVAL", "MONITORD_CHECK_INTERVALL", "MONITORD_POSTGRES__DSN"]
    assert b"hunter2" not in b"".join(daemon.err)
    assert not (start.directory / "state").exists()


def _variable(mistake: str) -> str:
    return re.split(r"\W", mistake)[0]


async def test_with_nothing_configured_it_watches_the_host_and_says_once_what_is_off(start: Start) -> None:
    daemon = await start.bare({})
    await daemon.said("monitord_ready")
    daemon.send(signal.SIGUSR1)
    check = await daemon.said("check_completed", trigger="signal")
    off = {name for name, probe in check["probes"].items() if probe["status"] == "off"}
    assert off == {subject.name for subject in measured()} - {"host"}
    assert check["probes"]["host"]["status"] == "ok"
    assert check["host"]["memory_available_bytes"] > 0
    assert check["redis"]["keys"] is None
    assert check["monitord"]["memory_bytes"] > 2**20
    assert check["monitord"]["cycle_seconds"] > 0
    assert await daemon.stop() == 0
    assert [line["variable"] for line in daemon.of("probe_off")] == [
        "MONITORD_PM2__HOME",
        "MONITORD_POSTGRES__DSN",
        "MONITORD_REDIS__URL",
    ]
    assert (start.directory / "home/.local/state/monitord" / FILE).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_at_once_while_its_first_probe_hangs(
    number: signal.Signals, start: Start, frozen_later: PostgresServer, eventually: Eventually
) -> None:
    frozen_later.pause()
    daemon = await start({"MONITORD_POSTGRES__DSN": frozen_later.dsn(), "MONITORD_PROBE_TIMEOUT": "10m"})
    process = psutil.Process(daemon.process.pid)

    async def connected() -> bool:
        return any(c.raddr and c.raddr.port == frozen_later.port for c in process.net_connections("tcp"))

    await eventually(connected)
    assert await daemon.stop(number) == 0
    assert daemon.of("monitord_stopped")
    assert daemon.of("check_completed") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_with_its_last_cycle_saved_while_a_probe_hangs(
    number: signal.Signals, start: Start, frozen_later: PostgresServer, eventually: Eventually
) -> None:
    daemon = await start({"MONITORD_POSTGRES__DSN": frozen_later.dsn(), "MONITORD_PROBE_TIMEOUT": "10m"})
    await daemon.cycles()
    frozen_later.pause()
    before = -1

    async def no_cycle_ends() -> bool:
        nonlocal before
        await asyncio.sleep(1)  # ten intervals
        hangs, before = before == daemon.done, daemon.done
        return hangs

    await eventually(no_cycle_ends)
    done = daemon.done
    assert await daemon.stop(number) == 0
    assert daemon.of("monitord_stopped")
    saved = list(read_history(daemon.state_dir, datetime.fromisoformat(daemon.lines[0]["timestamp"])))
    assert len(saved) == done
    assert daemon.state().history.at == pytest.approx(saved[-1].now.timestamp())


# Signals


async def test_several_sigusr1_at_once_make_one_check_beside_the_one_in_progress(
    start: Start, mute: tuple[str, list[asyncio.StreamWriter]]
) -> None:
    url, _ = mute
    daemon = await start({"MONITORD_REDIS__URL": url, "MONITORD_PROBE_TIMEOUT": "1s"})
    await daemon.said("monitord_ready")
    for _ in range(5):
        daemon.send(signal.SIGUSR1)
        await asyncio.sleep(0.02)  # the kernel makes one of signals that nobody has seen yet
    await daemon.said("check_completed", trigger="signal")
    await daemon.cycles(1)  # a check that was asked for comes before it
    assert len(daemon.of("check_completed", trigger="signal")) in (1, 2)
    assert await daemon.stop() == 0


async def test_a_gap_in_its_own_life_is_said_in_one_line(start: Start) -> None:
    daemon = await start({"MONITORD_CHECK_INTERVAL": "1s", "MONITORD_PROBE_TIMEOUT": "1s"})
    await daemon.cycles()
    assert daemon.of("monitoring_gap") == []
    daemon.send(signal.SIGSTOP)
    await asyncio.sleep(5)  # it is the time itself that is missed: three intervals are not yet a gap
    daemon.send(signal.SIGCONT)
    gap = await daemon.said("monitoring_gap")
    await daemon.cycles()
    assert daemon.of("monitoring_gap") == [gap]
    assert gap["level"] == "warning"
    lasted = datetime.fromisoformat(gap["to"]) - datetime.fromisoformat(gap["from"])
    assert lasted.total_seconds() == pytest.approx(gap["seconds"], abs=0.2)
    assert gap["seconds"] >= 4.9
    assert await daemon.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here says what a process ignores")
async def test_sigusr1_does_not_end_it_before_it_can_answer_and_is_answered_once_it_can(start: Start) -> None:
    for _ in range(5):
        daemon = await start()
        status = Path(f"/proc/{daemon.process.pid}/status")
        # Before the package's first line Python has no say in it; the shell that the command begins as has.
        while not _ignores_or_handles(status, signal.SIGUSR1):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        while not daemon.of("monitord_ready"):
            daemon.send(signal.SIGUSR1)
            await asyncio.sleep(0.001)
            assert daemon.process.returncode is None, daemon.err
        daemon.send(signal.SIGUSR1)
        await daemon.said("check_completed", trigger="signal")
        assert await daemon.stop() == 0


def test_sigusr1_before_python_runs_its_first_line_does_not_end_the_installed_command(tmp_path: Path) -> None:
    for name in ("monitord", "monitord-python"):
        shutil.copy(Path(sys.prefix) / "bin" / name, tmp_path / name)
    python = tmp_path / "python"  # of a machine so slow that it says so first
    python.write_text(f'#!/bin/sh\necho starting\nread line\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with subprocess.Popen(
        [tmp_path / "monitord", "--version"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "starting\n"
        for _ in range(20):
            command.send_signal(signal.SIGUSR1)
        out, _ = command.communicate("go on\n", timeout=30)
        assert command.returncode == 0
        assert out.startswith("monitord ")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here says what a process ignores")
async def test_sigusr1_while_it_stops_does_not_spoil_its_exit_code(start: Start) -> None:
    daemon = await start()
    await daemon.said("monitord_ready")
    daemon.send(signal.SIGTERM)
    while daemon.process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(daemon.process.pid, signal.SIGUSR1)  # Process.send_signal may reap it, and lose its exit code
        await asyncio.sleep(0.0005)
    assert await daemon.ended() == 0


def _ignores_or_handles(status: Path, number: signal.Signals) -> bool:
    masks = dict(line.split(":", 1) for line in status.read_text().splitlines() if line.startswith("Sig"))
    return any(int(masks[name], 16) >> (number - 1) & 1 for name in ("SigIgn", "SigCgt"))


async def test_sighup_takes_new_settings_and_says_what_changed(start: Start) -> None:
    dotenv = start.directory / ".env"
    dotenv.write_text("MONITORD_ORDERS__DISK_CRITICAL=100%\n")
    daemon = await start()
    await daemon.cycles()
    assert daemon.of("alert_firing") == []
    dotenv.write_text("MONITORD_ORDERS__DISK_CRITICAL=100%\nMONITORD_ORDERS__DISK_WARNING=0%\n")
    daemon.send(signal.SIGHUP)
    reloaded = await daemon.said("settings_reloaded")
    assert reloaded["changed"] == ["MONITORD_ORDERS__DISK_WARNING"]
    await daemon.said("alert_firing", rule="disk_high", subject="/")
    assert await daemon.stop() == 0


async def test_sighup_in_a_directory_that_was_deleted_does_not_end_the_watch(start: Start) -> None:
    gone = start.directory / "gone"
    gone.mkdir()
    daemon = await start(before=("sh", "-c", f'cd {gone} && exec "$@"', "sh"))
    await daemon.said("monitord_ready")
    gone.rmdir()
    daemon.send(signal.SIGHUP)
    assert (await daemon.said("settings_reloaded"))["changed"] == []
    await daemon.cycles()
    assert await daemon.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here says what a process ignores")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_asked_to_stop_while_it_is_still_starting_it_ends_well_and_says_nothing_odd(
    number: signal.Signals, start: Start
) -> None:
    for delay in range(8):
        daemon = await start()
        status = Path(f"/proc/{daemon.process.pid}/status")
        while status.exists() and not _ignores_or_handles(status, signal.SIGHUP):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        await asyncio.sleep(delay * 0.05)  # somewhere on its way; wherever that is must not matter
        daemon.send(number)
        assert await daemon.ended() == 0
        assert daemon.err == []


async def test_sighup_keeps_the_old_settings_where_the_new_are_wrong_and_names_the_mistake(start: Start) -> None:
    dotenv = start.directory / ".env"
    right = "\n".join(f"{name}={value}" for name, value in FIRES.items())
    dotenv.write_text(right)
    daemon = await start()
    await daemon.said("alert_firing", rule="disk_high")
    dotenv.write_text("MONITORD_ORDERS__DISK_WARNING=plenty\nMONITORD_STATE_DIRR=/elsewhere\n")
    daemon.send(signal.SIGHUP)
    rejected = await daemon.said("settings_rejected")
    named = sorted(_variable(mistake) for mistake in rejected["mistakes"])
    assert named == ["MONITORD_ORDERS__DISK_WARNING", "MONITORD_STATE_DIRR"]
    await daemon.cycles()
    assert daemon.of("alert_resolved") == []
    dotenv.write_text(right)
    daemon.send(signal.SIGHUP)
    assert (await daemon.said("settings_reloaded"))["changed"] == []
    assert await daemon.stop() == 0


# Crashes


async def test_a_firing_alert_outlives_kill_9_with_its_id_and_is_not_said_again(start: Start) -> None:
    first = await start(FIRES)
    fired = await first.said("alert_firing", rule="disk_high")
    await first.cycles()
    await first.crash()
    second = await start(FIRES)
    await second.cycles(3)
    check = second.of("check_completed")[0]
    assert [alert["alert_id"] for alert in check["alerts"]["firing"]] == [fired["alert_id"]]
    assert check["status"] == "warning"
    assert second.of("alert_firing") + second.of("alert_pending") == []
    third_settings = FIRES | {"MONITORD_ORDERS__DISK_WARNING": "100%"}
    assert await second.stop() == 0
    third = await start(third_settings)
    resolved = await third.said("alert_resolved", rule="disk_high")
    assert resolved["alert_id"] == fired["alert_id"]
    assert resolved["fired_at"] == fired["fired_at"] if "fired_at" in fired else resolved["fired_at"]
    assert await third.stop() == 0


async def test_a_pending_alert_outlives_kill_9_with_its_count(start: Start) -> None:
    first = await start(FIRES | {"MONITORD_ORDERS__CONFIRMATIONS": "1000000"})
    pending = await first.said("alert_pending", rule="disk_high")
    await first.cycles(3)
    await first.crash()
    (alert,) = first.state().alerts.values()
    assert alert.state == "pending"
    assert alert.count >= 3
    # One reading more is all it takes.
    second = await start(
        FIRES | {"MONITORD_ORDERS__CONFIRMATIONS": str(alert.count + 1), "MONITORD_CHECK_INTERVAL": "1h"}
    )
    await second.said("monitord_ready")
    (fired,) = second.of("alert_firing", rule="disk_high")
    assert fired["alert_id"] == pending["alert_id"]
    assert second.of("alert_pending") == []
    assert await second.stop() == 0


# A state directory that is no good


async def test_a_corrupt_snapshot_is_set_aside_and_the_watch_goes_on(start: Start) -> None:
    state = start.directory / "state"
    state.mkdir()
    (state / FILE).write_bytes(b"this is no database" * 1000)
    daemon = await start()
    aside = await daemon.said("snapshot_set_aside")
    assert (state / aside["kept_as"]).read_bytes() == b"this is no database" * 1000
    await daemon.cycles(3)
    assert {line["rule"] for line in daemon.of("alert_firing")} <= {"monitor_degraded"}
    assert daemon.state().history.at is not None
    assert await daemon.stop() == 0


async def test_after_damage_and_a_kill_an_alert_says_what_was_lost_and_what_fired_still_fires(start: Start) -> None:
    first = await start(FIRES)
    fired = await first.said("alert_firing", rule="disk_high")
    await first.cycles(2)
    first.process.kill()
    await first.process.wait()
    for path in (start.directory / "state").glob(f"{FILE}*"):
        path.write_bytes(os.urandom(path.stat().st_size))
    second = await start(FIRES)
    aside = await second.said("snapshot_set_aside")
    lost = await second.said("alert_firing", rule="monitor_degraded")
    assert aside["kept_as"] in lost["summary"]
    assert "second copy" in lost["summary"]
    assert second.of("alert_firing", rule="disk_high") == []  # it has been said, and goes on with its id
    assert [alert.id for alert in second.state().alerts.values() if alert.rule == "disk_high"] == [fired["alert_id"]]
    assert await second.stop() == 0


async def test_a_state_directory_that_cannot_be_made_degrades_the_monitor_and_the_watch_goes_on(start: Start) -> None:
    (start.directory / "file").write_text("in the way")
    daemon = await start({"MONITORD_STATE_DIR": str(start.directory / "file" / "state")})
    fired = await daemon.said("alert_firing", rule="monitor_degraded")
    assert fired["subject"] == "monitord"
    assert "snapshot" in fired["summary"]
    assert daemon.done >= 1, "it fires once confirmed"
    await daemon.cycles(3)
    assert daemon.of("cycle_completed")[-1]["probes"]["host"]["status"] == "ok"
    assert len(daemon.of("alert_firing")) == 1
    assert await daemon.stop() == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_state_directory_degrades_the_monitor_until_it_can_be_written(start: Start) -> None:
    state = start.directory / "state"
    state.mkdir(mode=0o500)
    daemon = await start()
    await daemon.said("alert_firing", rule="monitor_degraded")
    await daemon.cycles(3)
    state.chmod(0o700)
    await daemon.said("alert_resolved", rule="monitor_degraded")
    assert daemon.state().history.at is not None
    assert await daemon.stop() == 0


async def test_a_disk_that_takes_no_more_degrades_the_monitor_and_the_watch_goes_on(start: Start) -> None:
    # No file of it may grow past 64 kB, which the system answers like a full disk: with an error in the middle of it.
    limited = ("bash", "-c", 'ulimit -f 64; exec "$@"', "limited")
    quiet = {"MONITORD_CHECK_INTERVAL": "20ms", "MONITORD_LOG_LEVEL": "info"}
    daemon = await start(quiet, before=limited)
    fired = await daemon.said("alert_firing", rule="monitor_degraded")
    assert "snapshot cannot be written" in fired["summary"]
    daemon.send(signal.SIGUSR1)
    check = await daemon.said("check_completed", trigger="signal")
    assert check["probes"]["host"]["status"] == "ok"
    assert check["status"] == "warning"
    assert await daemon.stop() == 0
    after = await start()
    await after.cycles(3)
    assert after.of("snapshot_set_aside") + after.of("alert_firing") == []
    assert await after.stop() == 0


async def test_a_state_directory_that_is_removed_under_it_is_made_anew(start: Start, eventually: Eventually) -> None:
    daemon = await start(FIRES)
    fired = await daemon.said("alert_firing", rule="disk_high")

    async def removed() -> bool:
        with suppress(OSError):  # the daemon may write into it meanwhile
            shutil.rmtree(daemon.state_dir)
            return True
        return False

    await eventually(removed)

    async def saved_again() -> bool:
        with suppress(Exception):
            return fired["alert_id"] in {alert.id for alert in daemon.state().alerts.values()}
        return False

    async def logged_again() -> bool:
        return any((daemon.state_dir / "logs").glob("*.jsonl"))

    await eventually(saved_again)
    daemon.send(signal.SIGUSR1)
    await daemon.said("check_completed", trigger="signal")
    await eventually(logged_again)
    assert await daemon.stop() == 0


# Nobody listens


async def test_the_watch_goes_on_when_the_reader_of_its_stdout_is_gone(start: Start, eventually: Eventually) -> None:
    reading, writing = os.pipe()
    daemon = await start(stdout=writing)
    os.close(writing)
    await asyncio.to_thread(os.read, reading, 100)
    os.close(reading)
    await _goes_on(daemon, eventually)
    assert await daemon.stop() == 0
    assert b"Traceback" not in b"".join(daemon.err)
    assert daemon.lines == [] or daemon.err


async def test_the_watch_goes_on_when_nobody_reads_its_stdout(start: Start, eventually: Eventually) -> None:
    reading, writing = os.pipe()
    try:
        os.set_blocking(reading, False)
        daemon = await start({"MONITORD_CHECK_INTERVAL": "20ms"}, stdout=writing)
        room = _room(writing)
        os.close(writing)
        await _goes_on(daemon, eventually, at_least_bytes=2 * room)
        await _goes_on(daemon, eventually)
        assert await daemon.stop() == 0
        whole = os.read(reading, room + 1)
        assert len(whole) > room / 2, "the pipe was full"
        assert all(json.loads(line) for line in whole.split(b"\n")[:-1])
    finally:
        os.close(reading)


def _room(pipe: int) -> int:
    """How many bytes fit into a pipe, made few where the system lets one choose."""
    with suppress(ImportError, OSError):
        import fcntl

        return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    return 65536


async def _goes_on(daemon: Daemon, eventually: Eventually, *, at_least_bytes: int = 0) -> None:
    """The snapshot moves on, and the log files grow."""

    def logged() -> int:
        return sum(path.stat().st_size for path in (daemon.state_dir / "logs").glob("*.jsonl"))

    async def saved() -> float:
        with suppress(UnusableSnapshot):  # not written for the first time yet
            if (snapshot := read_snapshot(daemon.state_dir)) is not None:
                return snapshot.state.history.at or 0.0
        return 0.0

    then, size = await eventually(saved), logged()

    async def moved_on() -> bool:
        return await saved() > then and logged() > max(size, at_least_bytes)

    await eventually(moved_on)


# Secrets


async def test_no_secret_is_printed_logged_or_saved(
    start: Start, empty_pm2: Pm2Server, frozen_later: PostgresServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    script = tmp_path / "sleeper.py"
    script.write_text("import time\ntime.sleep(600)\n")
    app = {"name": "sleeper", "script": str(script), "interpreter": sys.executable}
    await empty_pm2.start_apps({"apps": [app | {"env": {"API_KEY": "planted-in-the-app"}}]})
    assert valkey.password is not None
    dsn, url = frozen_later.dsn(), valkey.url()
    settings = {
        "MONITORD_PM2__HOME": str(empty_pm2.home),
        "MONITORD_POSTGRES__DSN": dsn,
        "MONITORD_REDIS__URL": url,
        "MONITORD_HTTP__TOKEN": "planted-as-a-token",
        "MONITORD_PROBE_TIMEOUT": "1s",
        "SOME_SECRET": "planted-in-the-environment",
    }
    dotenv = start.directory / ".env"
    dotenv.write_text("SIDE_SECRET=planted-in-the-file\n")
    daemon = await start(settings)
    ready = await daemon.said("check_completed", trigger="startup")
    assert "sleeper" in ready["services"]
    assert ready["probes"]["postgres"]["status"] == ready["probes"]["redis"]["status"] == "ok"
    frozen_later.pause()
    valkey.pause()
    try:
        await daemon.said("probe_failed", probe="postgres")
        await daemon.said("probe_failed", probe="redis")
        await daemon.said("alert_firing", rule="postgres_unreachable")
    finally:
        frozen_later.resume()
        valkey.resume()
    await daemon.said("alert_resolved", rule="postgres_unreachable")
    dotenv.write_text("MONITORD_HTTP__LISTEN=nowhere-planted\nMONITORD_NOTIFY__WEBHOOK_URL=ftp://u:planted-url@x\n")
    daemon.send(signal.SIGHUP)
    await daemon.said("settings_rejected")
    assert await daemon.stop() == 0

    # A password that is refused, and one that cannot be used: errors like to quote what they were given.
    refused = await start(
        settings
        | {
            "MONITORD_POSTGRES__DSN": dsn.replace(frozen_later.password, "planted-wrong-password"),
            "MONITORD_REDIS__URL": url.replace(valkey.password, "planted-wrong-password"),
        },
    )
    dotenv.unlink()
    kinds = {(await refused.said("probe_failed", probe=name))["kind"] for name in ("postgres", "redis")}
    assert kinds == {"auth"}
    await refused.cycles()
    assert await refused.stop() == 0

    written = daemon.everything_written() + refused.everything_written()
    assert b"sleeper" in written
    for secret in (frozen_later.password, valkey.password, "planted-"):
        place = written.replace(b"nowhere-planted", b"").find(secret.encode())
        assert place < 0, written[max(0, place - 200) : place + 50]
