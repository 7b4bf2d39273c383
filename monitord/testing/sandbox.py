"""The sandbox of the embedded servers: a directory whose processes and files all go away together.

Everything started inside carries the directory in its environment and works inside it. That is how a sweep finds
what is left when a server has forked, when PM2's daemon died and orphaned its apps, or when a process rewrote its
environment to show a title. The sweep is done by a watchdog process that waits for the end of a pipe: whether the
owner closes the sandbox, is interrupted, or is killed with SIGKILL, the pipe ends and the same code tears down.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from monitord.failures import FailureError

# The environment variable every process of a sandbox carries: the sandbox's directory.
MARKER = "DEMO_SANDBOX"
# Written first: a directory without it is not a sandbox and is never swept.
OWNER_FILE = "owner.pid"
# The longest path, in bytes, that leaves room for the names of Unix sockets inside (about 100 in all).
NAME_LIMIT = 60
CLOSE_SECONDS = 30.0


class StackError(FailureError):
    """The embedded stack could not do what it was asked."""


class Sandbox:
    """A directory, the processes started in it, and the watchdog that ends both. Use as a context manager."""

    def __init__(self, directory: Path | None = None) -> None:
        """`directory` must be empty or absent, and is removed at the end. Default: a new one."""
        self._wanted = directory
        self._directory: Path | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def directory(self) -> Path:
        if self._directory is None:
            raise StackError("internal", "the sandbox is not open")
        return self._directory

    def open(self) -> None:
        """StackError where the directory is in use, has too long a name for Unix sockets, or cannot be made."""
        directory = _make_directory(self._wanted)
        try:
            (directory / OWNER_FILE).write_text(str(os.getpid()))
            self._watchdog = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                [sys.executable, "-P", "-m", "monitord.testing.watchdog", str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment(PYTHONPATH=str(package_root())),
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise StackError("permission", f"the stack's watchdog cannot be started: {error.strerror}") from error
        self._directory = directory

    def spawn(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path | None = None,
        user: tuple[int, int] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """In the sandbox and as its owner, if not told otherwise; `log` is appended to. StackError: it cannot start."""
        with log.open("ab") as output:
            try:
                child = subprocess.Popen(  # noqa: S603 - starting the servers is what this is for
                    [str(word) for word in argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    **self._given(cwd, user, env),
                )
            except OSError as error:
                raise StackError("missing", f"{Path(argv[0]).name} cannot be started: {error.strerror}") from error
        self._children.append(child)
        return child

    async def run(
        self,
        argv: Sequence[str | Path],
        *,
        timeout: float,
        cwd: Path | None = None,
        user: tuple[int, int] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Its stdout; past `timeout` seconds it is killed. StackError: `missing`, `timeout`, `internal`: it failed."""
        name = Path(argv[0]).name if len(argv) < 2 else f"{Path(argv[0]).name} {Path(str(argv[1])).name}"
        try:
            process = await asyncio.create_subprocess_exec(
                *[str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                **self._given(cwd, user, env),
            )
        except OSError as error:
            raise StackError("missing", f"{name} cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(timeout):
                out, err = await process.communicate()
        except TimeoutError:
            raise StackError("timeout", f"{name} did not finish within {timeout:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.communicate(), 5)
        if process.returncode != 0:
            raise StackError("internal", f"{name} failed with status {process.returncode}: {_gist(err) or _gist(out)}")
        return out.decode(errors="replace")

    def _given(self, cwd: Path | None, user: tuple[int, int] | None, env: Mapping[str, str] | None) -> dict[str, Any]:
        """How a child starts: marked, and in a session of its own, so that Ctrl-C does not reach it first."""
        uid, gid = user or (None, None)
        return {
            "cwd": cwd or self.directory,
            "env": environment(**{MARKER: str(self.directory)}, **(env or {})),
            "start_new_session": True,
            "user": uid,
            "group": gid,
            "extra_groups": None if user is None else [],
        }

    def processes(self) -> list[psutil.Process]:
        return processes_of(self.directory)

    async def close(self) -> None:
        """Safe to call twice, and when opening failed. StackError: something would not go away within 30 s."""
        if (left := self._let_go()) is not None:
            await asyncio.shield(asyncio.to_thread(self._await_end, *left))

    def _let_go(self) -> tuple[subprocess.Popen[bytes], Path] | None:
        watchdog, directory = self._watchdog, self._directory
        self._watchdog = self._directory = None
        if watchdog is None or watchdog.stdin is None or directory is None:
            return None
        watchdog.stdin.close()  # from here on the watchdog works, whatever becomes of this process
        return watchdog, directory

    def _await_end(self, watchdog: subprocess.Popen[bytes], directory: Path) -> None:
        try:
            status = watchdog.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            watchdog.kill()
            status = watchdog.wait()
        if status != 0 and directory.exists():
            # The watchdog was killed or got stuck: do its work here.
            from monitord.testing.watchdog import sweep

            sweep(directory)
        for child in self._children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(5)
        self._children.clear()
        if directory.exists():
            raise StackError("timeout", f"the embedded stack in {directory} could not be removed")

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (left := self._let_go()) is not None:
            self._await_end(*left)


def environment(**more: str) -> dict[str, str]:
    """A small environment for a child: no secrets of the owner's, only what programs need to start at all."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    return {"HOME": "/", "LANG": "C.UTF-8", **kept, **more}


def package_root() -> Path:
    return Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _make_directory(wanted: Path | None) -> Path:
    try:
        if wanted is None:
            base = Path(tempfile.gettempdir()).resolve()
            if len(os.fsencode(base)) > NAME_LIMIT - 12:
                base = Path("/tmp").resolve()  # noqa: S108 - mkdtemp makes the name; only the length matters here
            directory = Path(tempfile.mkdtemp(prefix="stack-", dir=base))
        else:
            directory = wanted.resolve()
            if len(os.fsencode(directory)) > NAME_LIMIT:
                raise StackError("permission", f"{directory} is too long a name: Unix sockets inside would not fit")
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise StackError("permission", f"{directory} is not empty, and everything in it would be removed")
    except OSError as error:
        raise StackError("permission", f"no directory for the embedded stack: {error.strerror}") from error
    if os.geteuid() == 0:
        # Postgres refuses to run as root, and the user it runs as must pass through.
        directory.chmod(0o711)
    return directory


def _gist(output: bytes) -> str:
    """What a failed command reports: the first lines about an error, else the last line."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return "; ".join(errors[:3] or lines[-1:])[:400]


def processes_of(directory: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if _belongs(process, directory):
                found.append(process)
    return found


def await_end(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended after so many seconds. A zombie has: collecting it is not ours to wait for."""
    deadline = time.monotonic() + seconds
    alive = list(processes)
    while alive := [process for process in alive if not _has_ended(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return alive


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _belongs(process: psutil.Process, directory: Path) -> bool:
    with suppress(psutil.Error, OSError):
        if f"{process.cwd()}/".startswith(f"{directory}/"):
            return True
    with suppress(psutil.Error, OSError):
        return bool(process.environ().get(MARKER) == str(directory))
    return False
