"""monitord and the old script on the demonstration's servers: time, CPU and memory."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import baseline
from bench.measure import Memory, Run, bare_interpreter, memory, run
from monitord.demo.stack import Stack
from monitord.storage.schema import FILE
from monitord.testing.sandbox import package_root
from monitord.testing.servers.pm2_install import install_pm2
from monitord.testing.servers.postgres import postgres_binaries, unprivileged_user

CYCLE_SECONDS = 600.0
READY_SECONDS = 60.0
STOP_SECONDS = 10.0
CHECK_CODES = (0, 1, 2, 3)


@dataclass(slots=True)
class Footprint:
    """What was measured. `cycles` are seconds of each cycle in the daemon, `cycle_cpu` CPU seconds a cycle."""

    old: list[Run] = field(default_factory=list)
    checks: list[Run] = field(default_factory=list)
    cycles: list[float] = field(default_factory=list)
    cycle_cpu: float = 0.0
    cycles_of_cpu: int = 0
    daemon: Memory = field(default_factory=lambda: Memory(0, None))
    bare: Memory = field(default_factory=lambda: Memory(0, None))


async def measure_footprint(stack: Stack, *, runs: int, cycles: int, say: Callable[[str], None]) -> Footprint:
    """Measure on a stack that runs.

    Args:
        stack: With its fleet, started.
        runs: How often the old script and the check are run, by turns.
        cycles: How many cycles of the daemon are measured.
        say: Told what is being done.
    """
    found = Footprint()
    say(f"the daemon: {cycles} cycles, their lines read")
    await _durations(stack, cycles, found)
    say(f"the daemon: {cycles} cycles, its CPU and memory read")
    await _cpu_and_memory(stack, cycles, found)
    found.bare = await asyncio.to_thread(bare_interpreter, stack.sandbox)
    say(f"the old script and `monitord check`, {runs} times each, by turns")
    await _by_turns(stack, runs, found)
    return found


def _settings(stack: Stack, **more: str) -> dict[str, str]:
    return stack.environment() | {"PYTHONPATH": str(package_root()), "MONITORD_CHECK_INTERVAL": "1s"} | more


class _Daemon:
    """A `monitord run` on the stack, from here to there."""

    def __init__(self, stack: Stack, **settings: str) -> None:
        self._stack = stack
        self._settings = _settings(stack, **settings)
        self.log = stack.sandbox.directory / f"daemon-{settings['MONITORD_LOG_LEVEL']}.jsonl"

    async def __aenter__(self) -> "_Daemon":
        argv = [sys.executable, "-m", "monitord", "run"]
        self.child = self._stack.sandbox.spawn(argv, log=self.log, env=self._settings)
        async with asyncio.timeout(READY_SECONDS):
            while b'"monitord_ready"' not in self.log.read_bytes():
                if self.child.poll() is not None:
                    raise RuntimeError(f"the daemon ended: {self.log.read_text()[-500:]}")
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.child.terminate()
        await asyncio.to_thread(self.child.wait, STOP_SECONDS)

    def lines(self, event: str) -> list[dict[str, object]]:
        """The whole lines of one event so far."""
        whole = self.log.read_bytes().rpartition(b"\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if line["event"] == event]

    def saved(self) -> int:
        """How many cycles it has saved: it is not asked for a line each, which would cost it CPU."""
        path = Path(self._settings["MONITORD_STATE_DIR"]) / FILE
        with closing(sqlite3.connect(path.as_uri() + "?mode=ro", uri=True, timeout=5)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM frames").fetchone()
        return int(count)


async def _durations(stack: Stack, cycles: int, found: Footprint) -> None:
    async with asyncio.timeout(CYCLE_SECONDS), _Daemon(stack, MONITORD_LOG_LEVEL="debug") as daemon:
        while len(lines := daemon.lines("cycle_completed")) < cycles:  # noqa: ASYNC110 - another process, no event
            await asyncio.sleep(0.5)
    found.cycles = [float(str(line["duration_ms"])) / 1000 for line in lines]


async def _cpu_and_memory(stack: Stack, cycles: int, found: Footprint) -> None:
    async with asyncio.timeout(CYCLE_SECONDS), _Daemon(stack, MONITORD_LOG_LEVEL="info") as daemon:
        process = psutil.Process(daemon.child.pid)
        saved, before = daemon.saved(), _cpu(process)
        while (more := daemon.saved() - saved) < cycles:  # noqa: ASYNC110 - another process, no event
            await asyncio.sleep(0.5)
        found.cycle_cpu, found.cycles_of_cpu = (_cpu(process) - before) / more, more
        found.daemon = memory(daemon.child.pid)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


async def _by_turns(stack: Stack, runs: int, found: Footprint) -> None:
    """By turns, so that whatever else the machine does burdens both alike. The first of each warms the caches."""
    script, env = await old_script(stack)
    log = stack.sandbox.directory
    old_log, check_log = log / "old.log", log / "check.log"
    argv = [sys.executable, "-m", "monitord", "check", "--format", "json"]
    check_env = _settings(stack)
    for turn in range(runs + 1):
        old_log.unlink(missing_ok=True)
        check_log.unlink(missing_ok=True)
        old = await asyncio.to_thread(run, stack.sandbox, ["bash", script], old_log, env)
        check = await asyncio.to_thread(run, stack.sandbox, argv, check_log, check_env)
        _both_did_their_work(old_log.read_text(), check, check_log.read_text())
        if turn:
            found.old.append(old)
            found.checks.append(check)


def _both_did_their_work(old: str, check: Run, said: str) -> None:
    """A program that fails at once is fast: what was not done is not measured."""
    if "online: 6" not in old and "online: 7" not in old:
        raise RuntimeError(f"the old script did not see the fleet: {old[-500:]}")
    if "+PONG" not in old or len([line for line in old.splitlines() if line.isdigit()]) < 4:
        raise RuntimeError(f"the old script did not reach its servers: {old[-500:]}")
    if check.code not in CHECK_CODES:
        raise RuntimeError(f"monitord check failed with status {check.code}: {said[-500:]}")
    probes = json.loads(said)["probes"]
    # Nobody has checks of their own here: these are off.
    if failed := [name for name, probe in probes.items() if probe["status"] not in ("ok", "off")]:
        raise RuntimeError(f"monitord check could not measure {', '.join(failed)}: {said[-500:]}")


async def old_script(stack: Stack) -> tuple[Path, dict[str, str]]:
    program = await install_pm2(stack.sandbox, lambda _: None)
    directory = stack.sandbox.directory / "old"
    script = baseline.write(directory, program.node, program.script)
    bundled = postgres_binaries(stack.sandbox, unprivileged_user()) / "psql"
    psql = str(bundled) if bundled.exists() else shutil.which("psql")
    if psql is None:
        raise RuntimeError("there is no psql, neither in the wheel nor on this machine: the old script needs it")
    return script, {
        "PATH": f"{directory}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PSQL": psql,
        "DSN": stack.dsn,
        "REDIS_PORT": str(stack.valkey.port),
        "REDIS_PASSWORD": stack.valkey.password or "",
        "HOME": str(stack.pm2.home),
        "PM2_HOME": str(stack.pm2.home),
        "PM2_DISCRETE_MODE": "true",
        "PM2_DISABLE_VERSION_CHECK": "true",
        "NO_COLOR": "1",
    }
