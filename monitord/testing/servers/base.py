"""What every embedded server does: it is started, frozen, killed and started again, each with a deadline."""

import asyncio
import importlib.util
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ClassVar

import psutil

from monitord.testing.sandbox import Sandbox, StackError, await_end, free_port

_PATIENCE_SECONDS = 0.02


class EmbeddedServer(ABC):
    """One server in a sandbox. `title` is what sentences call it, `folder` its directory there."""

    title: ClassVar[str]
    folder: ClassVar[str]
    stop_seconds: ClassVar[float] = 10.0

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @property
    def directory(self) -> Path:
        return self._sandbox.directory / self.folder

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """None while it is not running."""

    @abstractmethod
    async def start(self) -> None:
        """Until it answers. StackError: not installed (`missing`), ended (`internal`), silent (`timeout`)."""

    def processes(self) -> list[psutil.Process]:
        """The server, first, and everything it started; empty while it is not running."""
        if self.pid is None:
            return []
        with suppress(psutil.Error):
            server = psutil.Process(self.pid)
            return [server, *server.children(recursive=True)]
        return []

    def _own(self) -> list[psutil.Process]:
        return self.processes()

    def pause(self) -> None:
        """Freeze the server with SIGSTOP: its sockets stay open and nothing answers."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGSTOP)  # first, so that it starts no more
        for process in self._own():
            with suppress(psutil.Error):
                process.suspend()

    def resume(self) -> None:
        for process in reversed(self._own()):
            with suppress(psutil.Error):
                process.resume()

    async def kill(self) -> None:
        """As the kernel does when memory runs out; `start` brings it back. StackError where it did not end in time."""
        doomed = self._own()
        for process in doomed:
            with suppress(psutil.Error):
                process.kill()
        await self._await_end(doomed)

    async def _await_end(self, doomed: list[psutil.Process]) -> None:
        if await asyncio.to_thread(await_end, doomed, self.stop_seconds):
            raise StackError("timeout", f"{self.title} did not end within {self.stop_seconds:g} s")


class PortServer(EmbeddedServer):
    """A server that is a child of ours and listens on a free TCP port of 127.0.0.1."""

    start_seconds: ClassVar[float]
    # What its log says where another program had the port already.
    port_taken: ClassVar[str]

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def pid(self) -> int | None:
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    @abstractmethod
    async def _ask(self) -> None:
        """One question. OSError or StackError while the server is not ready to serve."""

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                yield reader, writer
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _start(self, spawn: Callable[[], subprocess.Popen[bytes]]) -> None:
        """On the port it has had, or on a free one."""
        attempts = 3 if self.port == 0 else 1
        for attempt in range(attempts):
            self.port = self.port if attempts == 1 else free_port()
            self._process = spawn()
            try:
                await self._await_answer()
            except StackError as error:
                # Another program may have taken the port between the choice and the bind.
                if error.kind != "refused" or attempt == attempts - 1:
                    raise
            else:
                return

    async def _await_answer(self) -> None:
        try:
            async with asyncio.timeout(self.start_seconds):
                while True:
                    if self.pid is None:
                        raise self._why_it_ended((self.directory / "log").read_text(errors="replace"))
                    try:
                        await self._ask()
                    except (OSError, StackError):
                        await asyncio.sleep(_PATIENCE_SECONDS)
                    else:
                        return
        except TimeoutError:
            raise StackError("timeout", f"{self.title} did not answer within {self.start_seconds:g} s") from None

    def _why_it_ended(self, log: str) -> StackError:
        if self.port_taken in log:
            return StackError("refused", f"port {self.port} was taken before {self.title} could listen on it")
        reasons = [line for line in log.splitlines() if "FATAL" in line or "ERROR" in line] or log.splitlines()
        return StackError("internal", f"{self.title} ended at once: {reasons[-1] if reasons else 'it wrote nothing'}")

    async def _await_end(self, doomed: list[psutil.Process]) -> None:
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, self.stop_seconds)
        await super()._await_end(doomed)


def wheel_directory(module: str, distribution: str) -> Path:
    """Where a package keeps its files, without importing it. StackError where it is not installed (`missing`)."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise StackError("missing", f"{distribution} is not installed: pip install 'monitord[demo]'")
    return Path(spec.submodule_search_locations[0])
