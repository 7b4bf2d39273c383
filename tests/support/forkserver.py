"""Runs the program as a child that need not import it first: a server that has imported it forks for each command.

Four fifths of what a command takes is importing, and making the models of its settings. What is run this way is a
process of its own all the same, with the arguments, directory, environment and descriptors that it is given, and ends
as any Python does. Where the arguments begin with -c, it is the program that follows that is run, as Python would.
Run as `python -m tests.support.forkserver DESCRIPTOR`: a stream socket, on which a request is its length, its JSON, and
the descriptors of stdin, stdout, stderr and of a socket for the answer: the pid, and then the exit code.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

HEADER = 4  # bytes of a request's length
DESCRIPTORS = 4


def main() -> None:
    """Fork for each request, until nobody can ask any more. A child returns from `serve` and becomes the program."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()  # what is imported leaves no garbage
    preload()
    gc.freeze()
    gc.enable()
    if not serve(asked):
        return
    try:
        if sys.argv[1:2] == ["-c"]:
            program, sys.argv[:] = sys.argv[2], sys.argv[1:2] + sys.argv[3:]
            exec(program, {"__name__": "__main__"})  # noqa: S102 - a program of the tests
            sys.exit(0)
        runpy.run_module("monitord", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int) or any(not one.daemon for one in threading.enumerate()[1:]):
            raise
        code = end.code
    leave(code)


def leave(code: int) -> NoReturn:
    """End as Python does, but for the taking apart of every module, which are copied for that from the server's."""
    atexit._run_exitfuncs()
    gc.collect()  # and so what a destructor has to say is said
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # Python has an exit code for it
        sys.exit(code)
    os._exit(code & 0xFF)


def preload() -> None:
    """Import what commands import, but for what has a process of its own, and make the models of the settings."""
    import monitord

    for module in pkgutil.walk_packages(monitord.__path__, "monitord."):
        if not module.name.startswith(("monitord.__main__", "monitord.demo", "monitord.testing")):
            with contextlib.suppress(ImportError):  # a channel whose library is not installed
                importlib.import_module(module.name)
    settings_class = importlib.import_module("monitord.config.schema").settings_class
    settings_class()
    # A daemon has its settings read by a new Python. Where none can be had it reads them itself: all of it is here.
    vars(importlib.import_module("monitord.config.apart"))["_process"] = lambda: None


def serve(asked: socket.socket) -> bool:
    """Whether this is a child that is to run a command now; False at the end of the server."""
    while True:
        header, descriptors, *_ = socket.recv_fds(asked, HEADER, DESCRIPTORS)
        if not header:
            return False
        length = int.from_bytes(header)
        request: dict[str, Any] = json.loads(asked.recv(length, socket.MSG_WAITALL))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        asked.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        *streams, answer = descriptors
        if (child := os.fork()) != 0:
            _tell_of(child, socket.socket(fileno=answer), streams)
        os.close(answer)
        _become(request, streams)
        return True


def _tell_of(child: int, answer: socket.socket, streams: list[int]) -> None:
    for stream in (*streams, 0, 1, 2):
        with contextlib.suppress(OSError):
            os.close(stream)
    with contextlib.suppress(OSError):  # whoever asked has gone
        answer.sendall(array.array("i", [child]).tobytes())
        _, status = os.waitpid(child, 0)
        answer.sendall(array.array("i", [os.waitstatus_to_exitcode(status)]).tobytes())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.path[:0] = filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))
    importlib.invalidate_caches()
    sys.argv = ["monitord", *request["arguments"]]
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
