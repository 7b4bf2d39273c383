"""The processes of a test that hangs."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import psutil

CLOCK_TICK = 0.02  # seconds; the start of a process is told that coarsely


class EndedLate:
    """After so many seconds inside, kill the processes that were started inside and still run.

    Who waits for one of them waits on otherwise, also once the test has failed for its time: at the end of a `with`,
    for the end of a pipe, in a thread that is joined. Every test is inside once: one thread watches them all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = 0.0
        self._until: float | None = None
        self._watches = False

    def __enter__(self) -> None:
        self._begun, self._until = _since_boot(), time.monotonic() + self._seconds
        if not self._watches:
            self._watches = True
            threading.Thread(target=self._watch, name="ended late", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._until = None

    def _watch(self) -> None:
        ended: float | None = None
        while True:
            until = self._until
            if until is None or until == ended:
                time.sleep(self._seconds)  # what begins meanwhile is not over before this
            elif (left := until - time.monotonic()) > 0:
                time.sleep(left)
            else:
                self._end(self._begun)
                ended = until

    def _end(self, begun: float) -> None:
        moment = _boot() + begun - CLOCK_TICK
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if child.create_time() >= moment:
                    child.kill()


def _since_boot() -> float:
    """The moment on the clock by which psutil tells when a process was started; seconds since the boot, on Linux."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time()


def _boot() -> float:
    # Linux counts from the boot, whose own moment is told in whole seconds.
    return float(psutil.boot_time()) if hasattr(time, "CLOCK_BOOTTIME") else 0.0
