"""A real PM2 with a home of its own, thrown away afterwards with everything it started."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from monitord.pm2.client import processes
from monitord.pm2.process_list import ListedProcess
from monitord.testing.sandbox import MARKER, Sandbox, await_end
from monitord.testing.servers.pm2_install import Pm2Program, install_pm2
from tests.conftest import finish

DEADLINE = 60.0  # seconds; a test that waits this long has failed
REPOSITORY = Path(__file__).parents[2]
SECRET = "hunter2-in-the-environment"


class RealPm2:
    def __init__(self, program: Pm2Program, home: Path, sandbox: Sandbox) -> None:
        self.home = home
        self.apps = home.parent / "apps"
        self.apps.mkdir()
        self._program = [str(program.node), str(program.script)]
        self._environment = {
            MARKER: str(sandbox.directory),  # of a worker that was killed, the sandbox's watchdog ends this too
            "HOME": str(home.parent),
            "PATH": f"{program.node.parent}{os.pathsep}{os.defpath}",
            "PM2_HOME": str(home),
            # ms between checks of max_memory_restart; a start takes less, even on a busy machine.
            "PM2_WORKER_INTERVAL": "1000",
            "PYTHONPATH": str(REPOSITORY),
            "PLANTED": SECRET,
        }
        self._started: set[psutil.Process] = set()

    @property
    def daemon(self) -> psutil.Process:
        return psutil.Process(int((self.home / "pm2.pid").read_text()))

    def run(self, *arguments: str) -> None:
        subprocess.run(
            [*self._program, *arguments],
            env=self._environment,
            check=True,
            capture_output=True,
            timeout=DEADLINE,
            cwd=self.apps,
        )
        self._remember()

    async def run_beside(self, *arguments: str) -> asyncio.subprocess.Process:
        started = await asyncio.create_subprocess_exec(
            *self._program,
            *arguments,
            env=self._environment,
            cwd=self.apps,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._started.add(psutil.Process(started.pid))
        return started

    def app(self, name: str, source: str, **options: object) -> str:
        """Write a Python app and its ecosystem file; the file's path is what `pm2 start` takes."""
        script = self.apps / f"{name}.py"
        script.write_text(source)
        ecosystem = self.apps / f"{name}.config.json"
        app = {"name": name, "script": str(script), "interpreter": sys.executable, **options}
        ecosystem.write_text(json.dumps({"apps": [app]}))
        return str(ecosystem)

    async def processes(self) -> tuple[ListedProcess, ...]:
        return await processes(self.home, timeout=DEADLINE)

    async def until(self, condition: Callable[[ListedProcess], bool], name: str) -> ListedProcess:
        """The process once it is as described; PM2 says so on no socket this test may use, so it is asked."""
        async with asyncio.timeout(DEADLINE):
            while True:
                for process in await self.processes():
                    if process.name == name and condition(process):
                        return process
                await asyncio.sleep(0.02)

    def kill_hard(self) -> None:
        """Kill PM2 as the kernel does when memory runs out; its apps live on."""
        self._remember()
        daemon = self.daemon
        daemon.kill()
        daemon.wait(DEADLINE)

    def freeze(self) -> None:
        os.kill(self.daemon.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.daemon.pid, signal.SIGCONT)

    def destroy(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            self.thaw()
            self._remember()
            self.daemon.kill()
        for process in self._started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await_end(list(self._started), DEADLINE)

    def _remember(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            daemon = self.daemon
            self._started |= {daemon, *daemon.children(recursive=True)}


@pytest.fixture(scope="session")
def pm2_program(sandbox: Sandbox) -> Pm2Program:
    return finish(install_pm2(sandbox, lambda _: None))


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory with a path short enough for a Unix socket."""
    directory = Path(tempfile.mkdtemp(prefix="monitord-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def real_pm2(pm2_program: Pm2Program, home: Path, sandbox: Sandbox) -> Iterator[RealPm2]:
    pm2 = RealPm2(pm2_program, home / "pm2", sandbox)
    try:
        pm2.run("ping")
        yield pm2
    finally:
        pm2.destroy()
