"""What the kernel has of a process, whatever its manager says of it."""

from __future__ import annotations

import os
import sys
from typing import Final, Literal

ProcessState = Literal["running", "stopped", "zombie", "gone"]

_STATES: Final[dict[bytes, ProcessState]] = {b"T": "stopped", b"Z": "zombie", b"X": "gone", b"x": "gone"}


def process_state(pid: int) -> ProcessState | None:
    """What the kernel has of a process; None when this user may not read it."""
    return _state_in_proc(pid) if sys.platform == "linux" else _state_by_psutil(pid)


def _state_in_proc(pid: int) -> ProcessState | None:
    """Ten microseconds a process: a thousand of them need no thread.

    Held by a debugger ("t") is not stopped: strace does so to a healthy process, a thousand times a second.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            stat = os.read(descriptor, 512)
        finally:
            os.close(descriptor)
        # In a command's name anything may stand, brackets and spaces included: the state follows its last bracket.
        state = stat.rpartition(b")")[2].split(maxsplit=1)[0]
    except (FileNotFoundError, ProcessLookupError):
        return _gone_or_hidden(pid)
    except (OSError, IndexError):
        return None
    return _STATES.get(state, "running")


def _gone_or_hidden(pid: int) -> Literal["gone"] | None:
    """/proc mounted with hidepid shows a user none but his own processes; signal 0 asks and does nothing."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except (OSError, OverflowError):  # the latter: no system has a process of such a number
        return None
    return None


def _state_by_psutil(pid: int) -> ProcessState | None:
    import psutil  # not needed on Linux, where /proc says it at a fifth of the cost

    try:
        status = psutil.Process(pid).status()
    except psutil.ZombieProcess:
        return "zombie"
    except psutil.NoSuchProcess:
        return "gone"
    except psutil.Error:
        return None
    return "stopped" if status == psutil.STATUS_STOPPED else "zombie" if status == psutil.STATUS_ZOMBIE else "running"
