"""The program run by the fork server, as `subprocess` would run it: see `forkserver`."""

from __future__ import annotations

import array
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
    if any(name.startswith("PYTHON") for name in env):  # what Python itself goes by when it starts
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
    told = answer.recv(NUMBER, socket.MSG_WAITALL)
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
