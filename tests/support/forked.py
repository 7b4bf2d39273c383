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
from pathlib import Path

from tests.support import forkserver

REPOSITORY = Path(__file__).parents[2]
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
                os.kill(pid, signal.SIGKILL)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            ["monitord", *arguments], code, out.read().decode("utf-8"), err.read().decode("utf-8")
        )


class Process:
    """A command that goes on beside the test, as `asyncio` has it; stderr goes where stdout does."""

    def __init__(self, pid: int, answer: socket.socket, stdout: asyncio.StreamReader) -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._await_end(answer))

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

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


def ask(arguments: Sequence[str], cwd: Path, env: Mapping[str, str], streams: tuple[int, int, int]) -> socket.socket:
    """Have a command started; the socket on which the server answers."""
    request = json.dumps({"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}).encode()
    ours, theirs = socket.socketpair()
    with theirs, _turn:
        server = _server()
        socket.send_fds(server, [len(request).to_bytes(forkserver.HEADER)], [*streams, theirs.fileno()])
        server.sendall(request)
    return ours


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
