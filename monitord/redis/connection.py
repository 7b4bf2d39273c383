"""One connection to a Redis or Valkey, through which no more is read than what was asked for can take.

hiredis would make room for as many elements as a reply announces, and keep a bulk of any length: a reply of 500 MB took
3.7 GB. So redis-py's own parser reads, from a stream that ends the connection
once a budget of bytes, or of elements, is used up; depth is bounded by Python's own recursion.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from redis import exceptions
from redis._parsers import _AsyncRESP2Parser
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from monitord.failures import HANDSHAKE_SHARE

from .errors import ReplyTooLarge

STEP_SECONDS: Final = 2.0  # for each step: connecting, a PING, a pipeline
MOST_BYTES: Final = 2**20  # of one exchange: INFO's sections are a few kB each, the count of a key some ten bytes
MOST_LINES: Final = 20_000  # each element of a reply begins with one
_LONGEST_PONG: Final = 4096
_FIRST: Final = frozenset((b"+", b"-", b":", b"$", b"*"))
_PLACE: Final = ("host", "port", "path", "db", "username", "password")
_TLS: Final = (
    *("ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_ca_path", "ssl_min_version"),
    *("ssl_certfile", "ssl_keyfile", "ssl_password"),
)


class BoundedStream:
    """A stream that hands out at most `left` bytes more: past them it raises TooMuch, before it has read them."""

    def __init__(self, stream: asyncio.StreamReader, left: int) -> None:
        self.left = left
        self.lines = MOST_LINES
        self._stream = stream

    async def readexactly(self, size: int) -> bytes:
        """So many bytes. TooMuch where they are more than is left."""
        if not 0 <= size <= self.left:
            raise ReplyTooLarge
        return self._spent(await self._stream.readexactly(size))

    async def readline(self) -> bytes:
        """One line. TooMuch where nothing is left, InvalidResponse where it is longer than any (64 kB)."""
        self.lines -= 1
        if self.lines < 0:
            raise ReplyTooLarge
        try:
            first = await self.readexactly(1)
        except asyncio.IncompleteReadError:
            return b""
        if first not in _FIRST:  # an error at once: another protocol may never end its line
            raise exceptions.InvalidResponse
        try:
            return first + self._spent(await self._stream.readline())
        except ValueError:  # what a StreamReader raises for a line past its limit
            raise exceptions.InvalidResponse from None

    async def come(self) -> bytes:
        """What comes next, whatever it is; nothing at the end."""
        try:
            return await self._stream.read(_LONGEST_PONG)
        except OSError:
            return b""

    def at_eof(self) -> bool:
        """Whether the other side has ended, and nothing is left."""
        return self._stream.at_eof()

    def _spent(self, part: bytes) -> bytes:
        self.left -= len(part)
        return part


class BoundedParser(_AsyncRESP2Parser):
    """redis-py's own parser over a BoundedStream; what is not in the protocol is InvalidResponse, whatever it is."""

    def on_connect(self, connection: AbstractConnection) -> None:
        super().on_connect(connection)  # type: ignore[no-untyped-call]
        self._stream: Any = BoundedStream(self._stream, MOST_BYTES)

    def renew(self) -> None:
        self._stream.left, self._stream.lines = MOST_BYTES, MOST_LINES

    async def come(self) -> bytes:
        """What comes next, whatever it is; nothing at the end. It is no part of any reply then."""
        came: bytes = await self._stream.come()
        return came

    async def read_response(self, disable_decoding: bool = False) -> Any:
        """One reply. InvalidResponse where it is none, or is too large or too deep."""
        try:
            return await super().read_response(disable_decoding)
        except RecursionError:
            raise ReplyTooLarge from None
        except ValueError:  # a length or a number that is none
            raise exceptions.InvalidResponse from None


class _TlsConnection(SSLConnection):
    """One whose handshake is given up on before whoever waits for it gives up on all."""

    handshake_seconds = STEP_SECONDS * HANDSHAKE_SHARE

    def _connection_arguments(self) -> Any:
        return {**super()._connection_arguments(), "ssl_handshake_timeout": self.handshake_seconds}


class Server:
    """Where to connect and how, as redis-py reads a URL, without the options that are not the URL's to choose.

    `where` is what it is called in a sentence, never the password; `database` the number of the one that is meant.
    """

    def __init__(self, url: str) -> None:
        """ValueError: it is no redis://, rediss:// or unix:// URL. Its text is not in the message."""
        self._class, self._options = _options(url)
        path = self._options.get("path")
        place = path if path is not None else f"{self._options['host']}:{self._options['port']}"
        self.where = f"Redis at {place}"
        self.database = int(self._options.get("db") or 0)
        self._made()  # a wrong option in the URL is found here, not later

    def connection(self, within: float) -> AbstractConnection:
        """A connection that has not connected yet, for who waits so many seconds until it has.

        Raises:
            OSError, ValueError: its certificate files cannot be read.
        """
        made = self._made()
        if isinstance(made, _TlsConnection):
            made.ssl_context.get()
            made.handshake_seconds = max(0.01, min(STEP_SECONDS, within) * HANDSHAKE_SHARE)
        return made

    def _made(self) -> AbstractConnection:
        return self._class(
            **self._options,
            socket_timeout=STEP_SECONDS,
            socket_connect_timeout=STEP_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
            parser_class=BoundedParser,
        )


def renew(connection: AbstractConnection) -> None:
    parser = connection._parser
    if isinstance(parser, BoundedParser):
        parser.renew()


class IdleWatch:
    """Notices that the other side ends a connection while nothing is asked over it, and asks whether it is there."""

    def __init__(self, ended: Callable[[], Awaitable[None]]) -> None:
        """`ended` is awaited then. What was sent unasked is lost: the connection is of no use either way."""
        self._ended = ended
        self._connection: AbstractConnection | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._pong: asyncio.Future[None] | None = None

    def begin(self, connection: AbstractConnection) -> None:
        """Watch it until `stop`, which comes before anything is asked over it."""
        parser = connection._parser
        if isinstance(parser, BoundedParser):
            self._connection = connection
            self._waiting = asyncio.get_running_loop().create_task(self._wait(parser), name="idle connection")

    async def stop(self) -> None:
        """Watch no more. Nothing that arrived meanwhile is lost."""
        waiting, self._waiting, self._connection = self._waiting, None, None
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting], timeout=STEP_SECONDS)

    async def ping(self) -> None:
        """One PING over the connection that is watched, and any answer of a line. Nothing where none is.

        Raises:
            OSError, RedisError: it ended meanwhile. Cancelled, it leaves the connection out of step.
        """
        if self._connection is None:
            return
        self._pong = asyncio.get_running_loop().create_future()
        try:
            await self._connection.send_command("PING", check_health=False)
            await self._pong
        finally:
            self._pong = None

    async def _wait(self, parser: BoundedParser) -> None:
        received = b""
        while (came := await parser.come()) and self._pong is not None and len(received) < _LONGEST_PONG:
            received += came
            if received.endswith(b"\r\n"):
                if not self._pong.done():  # or nobody waits for it any more
                    self._pong.set_result(None)
                self._pong, received = None, b""
        self._waiting = self._connection = None
        if self._pong is not None and not self._pong.done():
            self._pong.set_exception(ConnectionAbortedError())
        await self._ended()


def _wrong(url: str) -> str | None:
    """What is wrong with a URL that redis-py would pass over, or cannot name. Nothing of it is quoted."""
    parts = urlsplit(url)
    try:
        is_port = parts.port != 0
    except ValueError:
        is_port = False
    if not is_port:
        return "the port in the Redis URL is not a number from 1 to 65535 (is the password percent-encoded?)"
    # Of a path that is no number redis-py would ask database 0.
    if parts.scheme != "unix" and not re.fullmatch(r"/*[0-9]*/*", parts.path):
        return "the database in the Redis URL is not a number (is the password percent-encoded?)"
    return None


def _options(url: str) -> tuple[type[AbstractConnection], dict[str, Any]]:
    try:
        parsed: dict[str, Any] = dict(parse_url(url))
    except (ValueError, exceptions.RedisError):
        # `from None`: the original quotes what it took for a port, which can be half a password.
        raise ValueError(_wrong(url) or "not a redis://, rediss:// or unix:// URL") from None
    chosen: type[AbstractConnection] = parsed.get("connection_class", Connection)
    options: dict[str, Any] = {name: parsed[name] for name in _PLACE if name in parsed}
    if (wrong := _wrong(url)) is not None:
        raise ValueError(wrong)
    if issubclass(chosen, SSLConnection):
        options |= {name: parsed[name] for name in _TLS if name in parsed}
        if options.get("ssl_cert_reqs", "required") not in {"none", "optional", "required"}:
            raise ValueError("ssl_cert_reqs in the Redis URL is none, optional or required")
        return _TlsConnection, {"host": "localhost", "port": 6379} | options
    if issubclass(chosen, UnixDomainSocketConnection):
        if not options.get("path"):
            raise ValueError("a unix:// URL names the path of a socket")
        return chosen, options
    return chosen, {"host": "localhost", "port": 6379} | options
