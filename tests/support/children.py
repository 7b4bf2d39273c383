"""The processes of a test that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

CLOCK_TICK = 0.02  # seconds; the start of a process is told that coarsely


@contextmanager
def ended_late(seconds: float) -> Iterator[None]:
    """After so many seconds, kill the processes that were started inside and still run.

    Who waits for one of them waits on otherwise, also once the test has failed for its time: at the end of a `with`,
    for the end of a pipe, in a thread that is joined.
    """
    begun = _now() - CLOCK_TICK

    def end() -> None:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if child.create_time() >= begun:
                    child.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _now() -> float:
    """The moment on the clock by which psutil tells when a process was started."""
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux counts from the boot, whose own moment is told in whole seconds
        return float(psutil.boot_time()) + time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time()
