"""Signals for the event loop, all of them: none is lost between threads, none kills at the end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

SIGNALS: Final = (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class SignalHandlers:
    """Calls back on the running loop for each signal of SIGNALS, until `close`; from then on they are ignored.

    Made in the main thread. Not by the loop's own way: as a loop ends, it gives its signals back to the system, and a
    late one would kill a process that has stopped in good order. The interpreter writes each signal's number into a
    socket, whichever thread has it; a handler alone would wait until the main thread happens to wake up.
    """

    def __init__(self, heard: Callable[[signal.Signals], None]) -> None:
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._loop.add_reader(self._reader, self._read)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            for byte in self._reader.recv(4096):
                if byte in SIGNALS:
                    self._heard(signal.Signals(byte))

    def close(self) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self._loop.remove_reader(self._reader)
        self._reader.close()
        self._writer.close()
