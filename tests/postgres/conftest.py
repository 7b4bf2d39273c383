"""What a DSN may lead to other than a plain Postgres: TLS, a pool, something else entirely, or nothing at all."""

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from monitord.postgres.session import Session
from monitord.testing.sandbox import free_port
from monitord.testing.servers.postgres import PostgresServer

PATIENCE = 30.0  # seconds; a test that waits this long has failed

OpenSession = Callable[..., Session]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listen = Callable[..., Awaitable[int]]

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@pytest.fixture
async def open_session() -> AsyncIterator[OpenSession]:
    """Makes sessions and closes them at the end of the test."""
    opened: list[Session] = []

    def make(dsn: str, ca_file: Path | None = None) -> Session:
        opened.append(Session(dsn, ca_file))
        return opened[-1]

    yield make
    for session in opened:
        await session.close()


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Serves connections on a free port of this machine, and says which; with TLS from the first byte if asked to."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(serve: Serve, tls: ssl.SSLContext | None = None) -> int:
        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await serve(reader, writer)
            except (asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
                pass  # the test is over, or the guest has left or does not trust us
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


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose backlog is full: the kernel drops every further attempt to connect, unanswered."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(8):
            guest = waiting.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(("127.0.0.1", port))
        yield port


class Authority:
    """A CA that only its own file vouches for, and a certificate of its for the host name localhost."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "ca.pem"
        self.certificate, self.key = directory / "server.pem", directory / "server.key"
        self._make("ca", "-addext", "basicConstraints=critical,CA:TRUE", days="2")
        self._make(
            "server", "-addext", "subjectAltName=DNS:localhost", "-CA", str(self.file), "-CAkey", str(self._ca_key)
        )

    @property
    def _ca_key(self) -> Path:
        return self.file.with_name("ca.key")

    def _make(self, name: str, *more: str, days: str = "1") -> None:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", days, "-subj", f"/CN=monitord test {name}", *more),
                *("-keyout", self.file.with_name(f"{name}.key"), "-out", self.file.with_name(f"{name}.pem")),
            ],
            check=True,
            capture_output=True,
            timeout=30,
        )


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl program to make certificates with")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Authority:
    """Who has nothing to do with the server's certificate."""
    return Authority(tmp_path_factory.mktemp("other"))


class TlsFront:
    """TLS before a Postgres built without it; its certificate is for localhost, not for 127.0.0.1."""

    def __init__(self, authority: Authority, postgres: PostgresServer) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(authority.certificate, authority.key)
        self.context.set_alpn_protocols(["postgresql"])
        self._postgres = postgres
        self.port = self.direct_port = 0
        self.encrypted: bool | None = None  # of the last guest who was let in

    def dsn(self, host: str, query: str, *, direct: bool = False) -> str:
        port = self.direct_port if direct else self.port
        return f"postgresql://postgres:{self._postgres.password}@{host}:{port}/postgres?{query}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.encrypted = None
        opening = await reader.readexactly(8)
        if opening == SSL_REQUEST:
            writer.write(b"S")
            await writer.start_tls(self.context)
            opening = b""
        await self._relay(reader, writer, opening, encrypted=not opening)

    async def serve_direct(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._relay(reader, writer, b"", encrypted=True)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opening: bytes, *, encrypted: bool
    ) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._postgres.port)
        back.write(opening)

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                self.encrypted = encrypted
                sink.write(data)

        try:
            await asyncio.wait(
                [asyncio.ensure_future(carry(reader, back)), asyncio.ensure_future(carry(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            back.transport.abort()


@pytest.fixture
async def encrypted(authority: Authority, postgres: PostgresServer, listen: Listen) -> TlsFront:
    front = TlsFront(authority, postgres)
    front.port = await listen(front.serve)
    front.direct_port = await listen(front.serve_direct, front.context)
    return front


class Pool:
    """A PgBouncer in transaction mode before a Postgres, as a managed database has it."""

    def __init__(self, postgres: PostgresServer, directory: Path, program: str) -> None:
        self._postgres, self._directory, self._program = postgres, directory, program
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self._behind = free_port(), postgres.port

    def dsn(self, database: str, *, user: str = "postgres", password: str | None = None, query: str = "") -> str:
        return f"postgresql://{user}:{password or self._postgres.password}@127.0.0.1:{self.port}/{database}" + (
            f"?{query}" if query else ""
        )

    def leads_to(self, port: int) -> None:
        """From its next start on it is before another server, of the same password."""
        self._behind = port

    async def start(self, **settings: str) -> None:
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self._directory / "users"),
            "pool_mode": "transaction",
            "default_pool_size": "1",
            **settings,
        }
        lines = ["[databases]", f"nowhere = host=127.0.0.1 port={free_port()}"]
        lines += [f"* = host=127.0.0.1 port={self._behind}"] if "only" not in settings else []
        options.pop("only", None)
        lines += ["[pgbouncer]", *(f"{name} = {value}" for name, value in options.items())]
        (self._directory / "ini").write_text("\n".join(lines))
        (self._directory / "users").write_text(f'"postgres" "{self._postgres.password}"\n')
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        with (self._directory / "log").open("ab") as log:
            self._process = await asyncio.to_thread(
                subprocess.Popen,
                [self._program, str(self._directory / "ini")],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                user=None if nobody is None else nobody.pw_uid,
                group=None if nobody is None else nobody.pw_gid,
                extra_groups=None if nobody is None else [],
            )
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    assert self._process.poll() is None, (self._directory / "log").read_text()
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None


@pytest.fixture
def pool(postgres: PostgresServer) -> Iterator[Pool]:
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("there is no pgbouncer program here")
    # Not tmp_path: PgBouncer will not run as root, and nobody else may enter there.
    directory = Path(tempfile.mkdtemp(prefix="monitord-pool-"))
    directory.chmod(0o755)
    pool = Pool(postgres, directory, program)
    yield pool
    pool.kill()
    shutil.rmtree(directory)


@pytest.fixture
async def admin(empty_database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A superuser's connection to the test's own database."""
    connection = await asyncpg.connect(empty_database, timeout=10, command_timeout=PATIENCE)
    yield connection
    await connection.close(timeout=5)
