"""The IPC protocol of an app that PM2 runs: it sends when it is ready, and receives when to stop and what is requested.

PM2 hands every app it forks one end of a socket pair, its number in NODE_CHANNEL_FD, and sends JSON lines on it.
"""

import asyncio
import json
import os
import socket
import stat
from collections.abc import Callable, MutableMapping

from . import axm

_CHUNK_BYTES = 64 * 1024
_MAX_LINE_BYTES = 1024 * 1024  # what PM2 says is short; more than this without an end is not PM2
_MAX_UNSENT_BYTES = 256 * 1024  # PM2 reads at once unless it is frozen; a frozen one must not fill our memory


class IpcChannel:
    """This process's side of PM2's channel. Without PM2, or once it is gone, every word goes nowhere.

    Nothing here blocks or raises: a monitor does not stop for what it watches. Not for several threads.
    """

    def __init__(self, channel: socket.socket | None = None) -> None:
        """The IPC channel of the PM2 at the other end of `channel`, made non-blocking and owned here; or of none."""
        if channel is not None:
            channel.setblocking(False)
            os.set_inheritable(channel.fileno(), False)
        self._channel = channel
        self._unsent = bytearray()
        self._line = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_shutdown: Callable[[], None] = _nothing
        self._on_orphaned: Callable[[], None] = _nothing
        self._on_action: Callable[[axm.Action], None] = _nothing

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> "IpcChannel":
        """The IPC channel that `environ` announces, once.

        The announcement is removed from `environ`, whatever it was: a child that inherited it would take some
        descriptor of its own for the channel. So is this object the only one there can be.
        """
        number = environ.pop("NODE_CHANNEL_FD", "")
        serialization = environ.pop("NODE_CHANNEL_SERIALIZATION_MODE", "json")
        if not number.isdecimal() or serialization != "json":
            return cls()
        try:
            fd = int(number)
            # The number may be a leftover of an environment passed on by hand: never adopt a file or a pipe.
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                return cls()
            return cls(socket.socket(fileno=fd))
        except (OSError, OverflowError):
            return cls()

    @property
    def present(self) -> bool:
        return self._channel is not None

    def attach(
        self,
        *,
        on_shutdown: Callable[[], None],
        on_orphaned: Callable[[], None],
        on_action: Callable[[axm.Action], None] | None = None,
    ) -> None:
        """Listen from now on, on the running event loop.

        `on_shutdown`: PM2 asks for a stop by message (`shutdown_with_message`). `on_orphaned`, once: PM2 itself is
        gone, and nobody restarts this process any more. `on_action`: asked for by `pm2 trigger`.
        """
        if self._channel is None:
            return
        self._on_shutdown, self._on_orphaned = on_shutdown, on_orphaned
        self._on_action = on_action or _nothing
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._channel.fileno(), self._receive)
        self._flush()

    def ready(self) -> bool:
        """Announces to PM2 that the work has begun: what `wait_ready` waits for. True when it is on its way."""
        return self.send("ready")

    def send(self, message: object) -> bool:
        """One JSON message to PM2, now or as soon as it reads. False when there is no PM2 or it reads nothing."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if self._channel is None or len(self._unsent) + len(line) > _MAX_UNSENT_BYTES:
            return False
        self._unsent += line
        self._flush()
        return self._channel is not None

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(channel.fileno())
            self._loop.remove_writer(channel.fileno())
        self._unsent.clear()
        self._line.clear()
        channel.close()

    def _flush(self) -> None:
        if self._channel is None:
            return
        try:
            while self._unsent:
                del self._unsent[: self._channel.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            if self._loop is not None:
                self._loop.add_writer(self._channel.fileno(), self._flush)
            return
        except OSError:
            self._orphan()
            return
        if self._loop is not None:
            self._loop.remove_writer(self._channel.fileno())

    def _receive(self) -> None:
        if self._channel is None:
            return
        try:
            data = self._channel.recv(_CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._orphan()
            return
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest if len(rest) <= _MAX_LINE_BYTES else bytearray()
        for line in lines:
            if self._channel is not None:  # one of them may have been the last that is wanted
                self._hear(line)

    def _hear(self, line: bytearray) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return  # not for us; Node's own messages are JSON too, and PM2 sends nothing else
        if message == "shutdown":
            self._on_shutdown()
        elif (action := axm.asked(message)) is not None:
            self._on_action(action)

    def _orphan(self) -> None:
        on_orphaned = self._on_orphaned
        self.close()
        on_orphaned()


def _nothing(*_: object) -> None:
    """Nobody is attached yet."""
