"""Questions to PM2 over `$PM2_HOME/rpc.sock`: its process list, and whether it answers, each with a deadline.

The same socket takes orders to stop and kill, and whoever may write to it may give them: nothing else is ever sent.
"""

import asyncio
import itertools
import socket
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal, NoReturn

from monitord.threads import WorkerBusy, WorkerThread

from . import Pm2Error, process_list, wire
from .process_list import ListedProcess

Method = Literal["getMonitorData", "ping"]

_CHUNK_BYTES = 256 * 1024
_LARGE_BYTES = 1024 * 1024  # parsed in 5 ms or so: past that, beside the event loop
_FULL_QUEUE_SECONDS = 0.05
_PARSING_SECONDS = 60.0
_ids = itertools.count(1)
_parsing = WorkerThread("PM2's answer")  # a thread of its own: nothing that may hang stands before it


class Pm2Client:
    """Questions to one PM2, over a connection that is kept from one to the next as long as nothing is wrong with it.

    An answer belongs to its question by the question's id. A question that was given up (its deadline, a cancellation)
    takes its connection with it, so that an answer which comes late finds nobody.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lists = process_list.ProcessLists()
        self._idle: _Connection | None = None

    async def processes(self, *, timeout: float) -> tuple[ListedProcess, ...]:
        """PM2's process list; `timeout` is the seconds for everything. Pm2Error: see its kinds."""
        home = self._home
        try:
            async with asyncio.timeout(timeout):
                return await self._listed(await self._answer("getMonitorData"))
        except wire.WireError as error:
            raise Pm2Error("protocol", f"PM2 at {home} does not speak its protocol: {error}") from None
        except TimeoutError:
            raise Pm2Error("timeout", f"PM2 at {home} did not answer getMonitorData within {timeout:g} s") from None
        except OSError as error:
            _explain(home, error)

    async def _listed(self, body: wire.Argument) -> tuple[ListedProcess, ...]:
        if len(body) <= _LARGE_BYTES:
            return self._lists.read(body)
        # The thread gives the interpreter up between apps, and the loop keeps turning. The deadline is the caller's.
        try:
            return await _parsing.run(self._lists.read, body, timeout=_PARSING_SECONDS)
        except WorkerBusy as error:
            raise Pm2Error("timeout", f"PM2 at {self._home} answers more than can be read in time: {error}") from None

    async def ping(self) -> None:
        """Whether anybody answers on the kept connection. Pm2Error, WireError, OSError: nobody that is PM2."""
        kept, self._idle = self._idle, None
        if kept is None:
            return
        if kept.leads_to(self._home / "rpc.sock"):
            await self._ask(kept, "ping")
        else:
            kept.abort()

    def close(self) -> None:
        """Leave the connection that is kept. The next question makes another one."""
        self._keep(None)

    async def _answer(self, method: Method) -> wire.Argument:
        kept, self._idle = self._idle, None
        if kept is not None:
            if kept.leads_to(self._home / "rpc.sock"):
                # Whether PM2 has ended since, a new connection shows.
                with suppress(Pm2Error, wire.WireError, ConnectionError):
                    return await self._ask(kept, method)
            kept.abort()
        return await self._ask(await _Connection.made(self._home), method)

    async def _ask(self, connection: "_Connection", method: Method) -> wire.Argument:
        try:
            answer = await connection.ask(method)
        except BaseException:
            connection.abort()
            raise
        self._keep(connection if connection.is_clean else None)
        if not connection.is_clean:
            connection.abort()
        return answer

    def _keep(self, connection: "_Connection | None") -> None:
        before, self._idle = self._idle, connection
        if before is not None:
            before.abort()


class _Connection:
    """One connection to `rpc.sock`, for one question after the other."""

    def __init__(
        self, home: Path, socket_file: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._home, self._socket_file = home, socket_file
        self._reader, self._writer = reader, writer
        self._decoder = wire.Decoder()
        self.is_clean = True  # nothing came but the answers

    @classmethod
    async def made(cls, home: Path) -> "_Connection":
        path = home / "rpc.sock"
        socket_file = identity(path)  # before: of a socket that takes its place meanwhile, the next question learns
        reader, writer = await asyncio.open_unix_connection(sock=await connect(path), limit=_CHUNK_BYTES)
        return cls(home, socket_file, reader, writer)

    def leads_to(self, path: Path) -> bool:
        """Whether whoever connects to `path` now would reach the same PM2: one that was replaced may live on."""
        return not (self._reader.at_eof() or self._writer.is_closing()) and self._socket_file == identity(path)

    async def ask(self, method: Method) -> wire.Argument:
        call_id = f"monitord:{next(_ids)}"
        self._writer.write(wire.encode([{"type": "call", "method": method, "args": [{}]}, call_id]))
        await self._writer.drain()
        frames: list[wire.Frame] = []
        while not frames:
            if not (chunk := await self._reader.read(_CHUNK_BYTES)):
                how_far = "in the middle of its answer" if self._decoder.mid_frame else "without an answer"
                raise Pm2Error("protocol", f"PM2 at {self._home} closed the connection {how_far}")
            frames = self._decoder.feed(chunk)
        self.is_clean = len(frames) == 1 and not self._decoder.mid_frame
        match frames[0]:
            case [body, answered_id] if wire.unpack(answered_id) == call_id:
                return body
            case [_, _]:
                raise Pm2Error("protocol", f"PM2 at {self._home} answered another question than {method}")
            case frame:
                raise Pm2Error("protocol", f"PM2 at {self._home} answered {method} with {len(frame)} arguments, not 2")

    def abort(self) -> None:
        # Not close() and wait_closed(): nothing is left to flush, and a frozen peer must not delay closing.
        self._writer.transport.abort()


async def processes(home: Path, *, timeout: float) -> tuple[ListedProcess, ...]:
    """PM2's process list over a connection of its own, as `Pm2Client.processes` has it."""
    with closing(Pm2Client(home)) as client:
        return await client.processes(timeout=timeout)


def identity(path: Path) -> tuple[int, int, int] | None:
    """Which file is there now; None where there is none that can be seen. An inode alone is soon used again."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


async def connect(path: Path) -> socket.socket:
    """A connected Unix socket, once there is room; the deadline is the caller's. OSError: nobody listens.

    By hand, because asyncio takes the EAGAIN of a Unix socket whose queue is full for a connection under way. A frozen
    PM2 accepts nothing, and closed connections keep their place in that queue: after 511 polls it is full, and must
    still appear as what it is, a peer that does not answer.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        while True:
            try:
                sock.connect(str(path))
            except BlockingIOError:
                await asyncio.sleep(_FULL_QUEUE_SECONDS)
            else:
                return sock
    except BaseException:
        sock.close()
        raise


def _explain(home: Path, error: OSError) -> NoReturn:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            what = f"has no rpc.sock in {home}: it is not running" if home.is_dir() else f"has no home at {home}"
            raise Pm2Error("missing", f"PM2 {what}") from None
        case ConnectionRefusedError():
            raise Pm2Error("refused", f"PM2 left a socket in {home} and nobody listens on it") from None
        case PermissionError():
            raise Pm2Error("permission", f"the socket of PM2 at {home} belongs to another user") from None
        case OSError(errno=None):  # raised by Python itself; PM2 could not have listened there either
            raise Pm2Error("missing", f"no Unix socket can be at {home}: {error}") from None
        case ConnectionError():
            raise Pm2Error("protocol", f"PM2 at {home} broke the connection off") from None
        case _:
            raise Pm2Error("refused", f"PM2 at {home} takes no connection: {error.strerror}") from None
