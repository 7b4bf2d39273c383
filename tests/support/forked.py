"""The program run by the fork server, as `subprocess` would run it: see `forkserver`."""

from __future__ import annotations

import array
import asyncio
import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Self, cast

from tests.support import forkserver

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 60.0
NUMBER = array.array("i").itemsize  # bytes of a pid and of an exit code
_turn = threading.Lock()


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `monitord` with these arguments to its end; past the deadline it is killed.

    Raises:
        subprocess.TimeoutExpired: It did not end in time.
    """
    # What Python itself goes by when it starts; of its path the server can make it a part.
    if any(name.startswith("PYTHON") and name != "PYTHONPATH" for name in env):
        return subprocess.run(
            [sys.executable, "-m", "monitord", *arguments], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, encoding="utf-8", timeout=timeout, check=False,
        )  # fmt: skip
    with (
        Path(os.devnull).open("rb") as nothing,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        ask(arguments, cwd, env, (nothing.fileno(), out.fileno(), err.fileno())) as answer,
    ):
        answer.settimeout(timeout)
        pid = _number(answer)
        try:
            code = _number(answer)
        except TimeoutError:
            raise subprocess.TimeoutExpired(["monitord", *arguments], timeout) from None
        finally:
            if "code" not in locals():
                _signal(pid, signal.SIGKILL)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            ["monitord", *arguments], code, out.read().decode("utf-8"), err.read().decode("utf-8")
        )


class Popen:
    """A command that goes on beside the test: of `subprocess.Popen` what tests use, in bytes."""

    def __init__(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str],
        stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE,
        ignored: Sequence[int] = (),
    ) -> None:  # fmt: skip
        assert not any(name.startswith("PYTHON") for name in env), "Python goes by these when it starts"
        self.stdin: BinaryIO | None = None
        self.stdout: BinaryIO | None = None
        self.stderr: BinaryIO | None = None
        self.returncode: int | None = None
        with ExitStack() as theirs:

            def pipe(mode: str) -> tuple[int, BinaryIO]:
                reads, writes = os.pipe()
                its, ours = (reads, writes) if mode == "wb" else (writes, reads)
                theirs.callback(os.close, its)
                return its, cast("BinaryIO", os.fdopen(ours, mode))

            nothing = theirs.enter_context(Path(os.devnull).open("r+b")).fileno()
            stdin, stdout, stderr = (
                nothing if each == subprocess.DEVNULL else each for each in (stdin, stdout, stderr)
            )
            if stdin == subprocess.PIPE:
                stdin, self.stdin = pipe("wb")
            if stdout == subprocess.PIPE:
                stdout, self.stdout = pipe("rb")
            if stderr == subprocess.PIPE:
                stderr, self.stderr = pipe("rb")
            self._answer = ask(arguments, cwd, env, (stdin, stdout, stderr), ignored)
        self._answer.settimeout(START_SECONDS)
        self.pid = _number(self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends what has not ended."""
        for stream in filter(None, (self.stdin, self.stdout, self.stderr)):
            stream.close()
        self.kill()
        self.wait(START_SECONDS)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            _signal(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """The exit code of a command that has ended."""
        with suppress(BlockingIOError):
            self._end(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        try:
            return self._end(timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(["monitord"], timeout) from None

    def communicate(self, data: bytes = b"", timeout: float = START_SECONDS) -> tuple[bytes, bytes]:
        """Tell it this, and await what it says to its end."""
        streams = [stream for stream in (self.stdin, self.stdout, self.stderr) if stream and not stream.closed]
        with ThreadPoolExecutor(3) as pool:
            if self.stdin in streams:
                pool.submit(self._tell, self.stdin, data)
            out, err = (
                pool.submit(stream.read) if stream in streams else None for stream in (self.stdout, self.stderr)
            )
            try:
                self.wait(timeout)
            finally:
                self.kill()
        for stream in streams:
            stream.close()
        return (out.result() if out else b""), (err.result() if err else b"")

    @staticmethod
    def _tell(stdin: BinaryIO, data: bytes) -> None:
        with suppress(BrokenPipeError), stdin:
            stdin.write(data)

    def _end(self, timeout: float) -> int:
        if self.returncode is None:
            self._answer.settimeout(timeout)
            self.returncode = _number(self._answer)
            self._answer.close()
        return self.returncode


class Process:
    """A command that goes on beside the test, as `asyncio` has it; stderr goes where stdout does."""

    def __init__(self, pid: int, answer: socket.socket, stdout: asyncio.StreamReader) -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._await_end(answer))

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            _signal(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def _await_end(self, answer: socket.socket) -> int:
        with answer:
            self.returncode = _value(await asyncio.get_running_loop().sock_recv(answer, NUMBER))
        return self.returncode


async def start(arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit: int) -> Process:
    """Start `monitord` with these arguments; `limit` is that of its longest line."""
    loop, stdout = asyncio.get_running_loop(), asyncio.StreamReader(limit)
    ours, its = os.pipe()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(ours, "rb", 0))
    try:
        with Path(os.devnull).open("rb") as nothing:
            answer = ask(arguments, cwd, env, (nothing.fileno(), its, its))
    finally:
        os.close(its)
    answer.setblocking(False)
    return Process(_value(await loop.sock_recv(answer, NUMBER)), answer, stdout)


def ask(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], streams: tuple[int, int, int],
    ignored: Sequence[int] = (),
) -> socket.socket:  # fmt: skip
    """Have a command started, with these signals ignored; the socket on which the server answers."""
    asked = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "ignored": list(ignored)}
    request = json.dumps(asked).encode()
    ours, theirs = socket.socketpair()
    with theirs, _turn:
        server = _server()
        socket.send_fds(server, [len(request).to_bytes(forkserver.HEADER)], [*streams, theirs.fileno()])
        server.sendall(request)
    return ours


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended, and that is about to be told
        os.kill(pid, number)


def _number(answer: socket.socket) -> int:
    return _value(answer.recv(NUMBER, socket.MSG_WAITALL))


def _value(told: bytes) -> int:
    if len(told) < NUMBER:
        raise RuntimeError("the fork server has died")
    return array.array("i", told)[0]


@functools.cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forkserver", str(theirs.fileno())],
            cwd=REPOSITORY, env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
        )  # fmt: skip

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours
