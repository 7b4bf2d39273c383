"""Questions to PM2 over `$PM2_HOME/rpc.sock`: the three that only read, each with a deadline.

The same socket takes orders to stop and kill, and whoever may write to it may give them. So what may be sent is
a list in the code, not a setting, and is checked before a byte is sent.
"""

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeVar, get_args

from monitord.threads import WorkerBusy, WorkerThread

from . import Pm2Error, process_list, wire
from .process_list import ListedProcess

Method = Literal["getVersion", "ping"]

_ALLOWED: Final = frozenset[str](get_args(Method))
_Read = TypeVar("_Read")
_CHUNK_BYTES = 256 * 1024
_LARGE_BYTES = 1024 * 1024  # parsed in 5 ms or so: past that, beside the event loop
_FULL_QUEUE_SECONDS = 0.05
_PARSING_SECONDS = 60.0
_ids = itertools.count(1)
_parsing = WorkerThread("PM2's answer")  # a thread of its own: nothing that may hang stands before it


async def processes(home: Path, *, timeout: float) -> tuple[ListedProcess, ...]:
    """PM2's process list.

    Args:
        home: PM2's home, the directory that holds `rpc.sock`.
        timeout: seconds for everything: connecting, asking, the whole answer, parsing it.

    Raises:
        Pm2Error: see its kinds.
    """
    return await _asked(home, "getMonitorData", partial(_listed, home), timeout)


async def call(home: Path, method: Method, *, timeout: float) -> object:
    """PM2's answer to `method`, over a connection of its own that is closed however this ends.

    Raises:
        Pm2Error: see its kinds.
        ValueError: the method is not one of those allowed; nothing was sent.
    """
    if method not in _ALLOWED:
        raise ValueError(f"monitord only reads: {method!r} is not among {', '.join(sorted(_ALLOWED))}")
    return await _asked(home, method, partial(_result, home, method), timeout)


async def _asked(home: Path, method: str, read: Callable[[wire.Argument], Awaitable[_Read]], timeout: float) -> _Read:
    try:
        async with asyncio.timeout(timeout):
            return await read(await _answer(home, method))
    except wire.WireError as error:
        raise Pm2Error("protocol", f"PM2 at {home} does not speak its protocol: {error}") from None
    except TimeoutError:
        raise Pm2Error("timeout", f"PM2 at {home} did not answer {method} within {timeout:g} s") from None
    except OSError as error:
        _explain(home, error)


async def _answer(home: Path, method: str) -> wire.Argument:
    call_id = f"monitord:{next(_ids)}"
    reader, writer = await asyncio.open_unix_connection(sock=await connect(home / "rpc.sock"), limit=_CHUNK_BYTES)
    try:
        writer.write(wire.encode([{"type": "call", "method": method, "args": [{}]}, call_id]))
        await writer.drain()
        frame = await _first_frame(home, reader)
    finally:
        # Not close() and wait_closed(): nothing is left to flush, and a frozen peer must not delay closing.
        writer.transport.abort()
    match frame:
        case [body, answered_id] if wire.unpack(answered_id) == call_id:
            return body
        case [_, _]:
            raise Pm2Error("protocol", f"PM2 at {home} answered another question than {method}")
        case _:
            raise Pm2Error("protocol", f"PM2 at {home} answered {method} with {len(frame)} arguments, not 2")


async def connect(path: Path) -> socket.socket:
    """A connected Unix socket, as soon as there is room for one: the deadline is the caller's.

    By hand, because asyncio takes the EAGAIN of a Unix socket whose queue is full for a connection under way.
    A frozen PM2 accepts nothing, and unaccepted connections keep their place in that queue though long closed:
    after 511 polls it is full, and must still appear as what it is, a peer that does not answer.

    Raises:
        OSError: nobody listens there, or it is not allowed.
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


async def _first_frame(home: Path, reader: asyncio.StreamReader) -> wire.Frame:
    decoder = wire.Decoder()
    while chunk := await reader.read(_CHUNK_BYTES):
        if frames := decoder.feed(chunk):
            return frames[0]
    how_far = "in the middle of its answer" if decoder.mid_frame else "without an answer"
    raise Pm2Error("protocol", f"PM2 at {home} closed the connection {how_far}")


async def _listed(home: Path, body: wire.Argument) -> tuple[ListedProcess, ...]:
    if len(body) <= _LARGE_BYTES:
        return process_list.parse(body)
    # The thread gives the interpreter up between apps, and the loop keeps turning. The deadline is the caller's.
    try:
        return await _parsing.run(process_list.parse, body, timeout=_PARSING_SECONDS)
    except WorkerBusy as error:
        raise Pm2Error("timeout", f"PM2 at {home} answers more than can be read in time: {error}") from None


async def _result(home: Path, method: str, body: wire.Argument) -> object:
    match wire.unpack(body):
        case {"error": _}:
            raise Pm2Error("protocol", f"PM2 at {home} answered {method} with an error")
        case {"args": [result, *_]}:
            return result
        case _:
            raise Pm2Error("protocol", f"PM2 at {home} answered {method} with something else than a result")


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
