"""A real PM2: its daemon in a home inside the sandbox, driven through its command line, each call with a deadline."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from monitord.testing.sandbox import Sandbox, StackError
from monitord.testing.servers.base import EmbeddedServer
from monitord.testing.servers.pm2_install import Pm2Program, Progress, install_pm2

COMMAND_SECONDS = 30.0


class Pm2Server(EmbeddedServer):
    """Call it like the command: `await pm2("restart", "gateway")`. `progress` is called when PM2 must be installed."""

    title = "PM2"
    folder = "pm2"

    def __init__(self, sandbox: Sandbox, *, progress: Progress = lambda _: None) -> None:
        super().__init__(sandbox)
        self._progress = progress
        self._program: Pm2Program | None = None

    @property
    def home(self) -> Path:
        return self.directory

    @property
    def pid(self) -> int | None:
        daemon = self._daemon()
        return None if daemon is None else daemon.pid

    async def start(self) -> None:
        if self._program is None:
            self._program = await install_pm2(self._sandbox, self._progress)
        self.home.mkdir(mode=0o700, exist_ok=True)
        await self("ping")

    async def __call__(self, *arguments: str | Path, timeout: float = COMMAND_SECONDS) -> str:
        """What it printed. Most commands start a daemon where none runs. StackError: it failed, or was late."""
        if self._program is None:
            raise StackError("internal", "PM2 has not been started")
        quiet = {
            "PM2_HOME": str(self.home),
            "HOME": str(self.home),
            # PM2 reports installs and checks for updates over the network unless each way is closed.
            "PM2_DISCRETE_MODE": "true",
            "PM2_DISABLE_VERSION_CHECK": "true",
            "PM2_NO_INTERACTION": "true",
            "NO_COLOR": "1",
        }
        return await self._sandbox.run(
            [self._program.node, self._program.script, *arguments], timeout=timeout, env=quiet
        )

    async def start_apps(self, ecosystem: Mapping[str, object], *, timeout: float = COMMAND_SECONDS) -> None:
        """Start the apps of an ecosystem (`{"apps": [...]}`), or start again those that are there."""
        file = self.home / "ecosystem.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(ecosystem, indent=2))
        await self("start", file, timeout=timeout)

    def app_pid(self, name: str) -> int | None:
        """The pid of the one instance of an app, from PM2's own pid files; None while it is not running."""
        for file in (self.home / "pids").glob(f"{name}-[0-9]*.pid"):
            with suppress(OSError, ValueError, psutil.Error):
                return int(psutil.Process(int(file.read_text())).pid)
        return None

    def _own(self) -> list[psutil.Process]:
        """The daemon alone: its apps go on while it is frozen, and are orphans once it is killed."""
        daemon = self._daemon()
        return [] if daemon is None else [daemon]

    def _daemon(self) -> psutil.Process | None:
        with suppress(OSError, ValueError, psutil.Error):
            daemon = psutil.Process(int((self.home / "pm2.pid").read_text()))
            # The number may have been given to somebody else since the file was written.
            if daemon.status() != psutil.STATUS_ZOMBIE and str(self.home) in " ".join(daemon.cmdline()):
                return daemon
        return None
