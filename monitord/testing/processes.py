"""The processes of a sandbox: how they are recognised, and how their end is awaited."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

MARKER = "DEMO_SANDBOX"
"""The environment variable every process of a sandbox carries: the sandbox's directory."""


def processes_of(directory: Path) -> list[psutil.Process]:
    """Every live process that carries the sandbox's marker or works inside its directory."""
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
    """Return those processes that have not ended after so many seconds.

    A zombie has ended: whether its parent (or the container's first process) ever collects it is not ours to wait for.
    """
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
