"""Looks at a Redis or Valkey server and the BullMQ queues in it: one PING, then one pipeline of counts."""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from monitord.core.model import Gap, Kind, Sample, sample

from .base import Measured, ProbeError, Request

_STEP_SECONDS = 2.0  # for connecting, for the PING, for the counts
_SHARE = 0.9  # of the reading's deadline, so that the sentence is ours and not the runner's
_PLACE = ("host", "port", "path", "db", "username", "password")
_TLS = (
    *("ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_ca_path", "ssl_min_version"),
    *("ssl_certfile", "ssl_keyfile", "ssl_password"),
)
# How many jobs wait in each state: `bull:<queue>:<state>`.
_QUEUE = (
    *(("LLEN", "wait"), ("LLEN", "paused"), ("LLEN", "active")),
    *(("ZCARD", "prioritized"), ("ZCARD", "delayed"), ("ZCARD", "failed")),
)
_ABOUT = {"DBSIZE": "redis_keys", "INFO memory": "redis_memory", "INFO stats": "redis_evicted"}


class RedisProbe:
    """Latency, keys, memory, evictions and queue depths of one server, over one kept connection.

    It asks PING, DBSIZE, INFO, LLEN and ZCARD, and AUTH and SELECT where the URL says so: nothing that walks the
    keys, nothing that writes, no HELLO and no CLIENT, which old servers and narrow users refuse.
    """

    name = "redis"

    def __init__(self, url: str, queues: Sequence[str], ca_file: str | None = None) -> None:
        """A probe that has not connected yet.

        Args:
            url: `redis://`, `rediss://` (certificates are verified unless it says `?ssl_cert_reqs=none`) or
                `unix://`, with user, password and database where there are any.
            queues: names of BullMQ queues.
            ca_file: certificates to trust beside the system's; `?ssl_ca_certs=` in the URL does the same.

        Raises:
            ValueError: the URL is none of these. Its text is not in the message.
        """
        self._class, self._options = _options(url, ca_file)
        self._queues = tuple(dict.fromkeys(queues))
        self._connection: AbstractConnection | None = None
        path = self._options.get("path")
        place = path if path is not None else f"{self._options['host']}:{self._options['port']}"
        self._where = f"Redis at {place}"
        self._connect_options()  # a wrong option in the URL is found here, not in the night

    async def measure(self, request: Request) -> Measured:
        """One PING, timed, then every count in one round trip.

        Raises:
            ProbeError: with the kind and what to read about it. A queue that cannot be counted is a gap instead.
        """
        deadline = asyncio.get_running_loop().time() + request.timeout * _SHARE
        settled = False
        try:
            connection, latency = await self._ping(deadline)
            async with asyncio.timeout_at(_soon(deadline)):
                replies = await self._count(connection)
            settled = True
        except (exceptions.RedisError, OSError) as error:
            # The sentence never quotes the server, who may echo what it was sent, passwords included.
            kind, what = _explain(error)
            raise ProbeError(kind, f"{self._where} {what}") from None
        finally:
            if not settled:  # a cancelled turn leaves answers on the way that the next would take for its own
                await self.close()
        gaps: list[Gap] = []
        samples = [sample("redis_latency", latency, "ms"), *self._server(replies, gaps)]
        for queue in self._queues:
            samples += self._queue(queue, replies, gaps)
        return Measured(tuple(samples), tuple(gaps))

    async def close(self) -> None:
        """Let go of the connection, without waiting for the other side."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _ping(self, deadline: float) -> tuple[AbstractConnection, float]:
        """The milliseconds of a PING over the kept connection, or over a new one where that has been closed."""
        if self._connection is not None:
            try:
                return self._connection, await self._ping_over(self._connection, deadline)
            except exceptions.ConnectionError:
                await self.close()  # closed since the last reading: idle too long, or the server was restarted
        connection = self._connection = self._class(**self._connect_options())
        if isinstance(connection, SSLConnection):
            self._load_certificates(connection)
        async with asyncio.timeout_at(_soon(deadline)):
            await connection.connect()  # type: ignore[no-untyped-call]
        return connection, await self._ping_over(connection, deadline)

    async def _ping_over(self, connection: AbstractConnection, deadline: float) -> float:
        began = time.perf_counter()
        async with asyncio.timeout_at(_soon(deadline)):
            await connection.send_command("PING", check_health=False)
            try:
                reply = await connection.read_response()
            except exceptions.ResponseError as error:
                # The answer while it cannot save its data set, and so takes no writes: it can still be read.
                if _code(error) != "MISCONF":
                    raise
                reply = b"PONG"
        if reply != b"PONG":
            raise ProbeError("protocol", f"{self._where} answers a PING with something else than PONG")
        return round((time.perf_counter() - began) * 1000.0, 3)

    async def _count(self, connection: AbstractConnection) -> dict[str, object]:
        """What was said to each command, by its text; a refusal stands as the error it is."""
        commands: list[tuple[str, ...]] = [("DBSIZE",), ("INFO", "memory"), ("INFO", "stats")]
        commands += [(verb, _key(queue, state)) for queue in self._queues for verb, state in _QUEUE]
        packed = connection.pack_commands(commands)
        await connection.send_packed_command(packed, check_health=False)
        replies: dict[str, object] = {}
        for command in commands:
            try:
                reply = await connection.read_response()
            except (exceptions.AskError, exceptions.ClusterDownError):  # and MOVED, and MASTERDOWN: not this server
                raise
            except exceptions.ResponseError as error:
                reply = error
            replies[" ".join(command)] = reply
        return replies

    def _server(self, replies: dict[str, object], gaps: list[Gap]) -> Iterator[Sample]:
        for command, name in _ABOUT.items():
            reply = replies[command]
            if isinstance(reply, exceptions.ResponseError):
                kind, why = _refusal(reply)
                gaps.append(Gap(name, kind, f"{self._where} does not answer {command}: {why}"))
        keys = replies["DBSIZE"]
        yield sample("redis_keys", keys if isinstance(keys, int) else None)
        yield sample("redis_memory", _info(replies["INFO memory"], b"used_memory"), "bytes")
        yield sample("redis_evicted", _info(replies["INFO stats"], b"evicted_keys"))

    def _queue(self, queue: str, replies: dict[str, object], gaps: list[Gap]) -> list[Sample]:
        """The samples of one queue, all of them or, with a gap, none."""
        counts: dict[str, int] = {}
        for verb, state in _QUEUE:
            reply = replies[f"{verb} {_key(queue, state)}"]
            if isinstance(reply, int):
                counts[state] = reply
                continue
            kind, why = _refusal(reply)
            gaps.append(Gap(queue, kind, f"{_key(queue, state)} cannot be counted: {why}"))
            return []
        waiting = counts["wait"] + counts["prioritized"] + counts["paused"]
        return [
            sample("queue_waiting", waiting, queue=queue),
            *(sample(f"queue_{state}", count, queue=queue) for state, count in counts.items()),
        ]

    def _connect_options(self) -> dict[str, Any]:
        options = {
            "socket_timeout": _STEP_SECONDS,
            "socket_connect_timeout": _STEP_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "driver_info": None,
        }
        return self._options | options

    def _load_certificates(self, connection: SSLConnection) -> None:
        try:
            connection.ssl_context.get()
        except (OSError, ValueError):
            raise ProbeError("tls", f"{self._where}: the certificate files it is given cannot be loaded") from None


def _options(url: str, ca_file: str | None) -> tuple[type[AbstractConnection], dict[str, Any]]:
    """Where to connect and how, as redis-py reads it, without the options that are not the URL's to choose."""
    try:
        parsed: dict[str, Any] = dict(parse_url(url))
    except (ValueError, exceptions.RedisError):
        # `from None`: the original quotes what it took for a port, which can be half a password.
        raise ValueError("not a redis://, rediss:// or unix:// URL") from None
    chosen: type[AbstractConnection] = parsed.get("connection_class", Connection)
    options = {name: parsed[name] for name in _PLACE if name in parsed}
    if issubclass(chosen, SSLConnection):
        options |= {name: parsed[name] for name in _TLS if name in parsed}
        if options.get("ssl_cert_reqs", "required") not in {"none", "optional", "required"}:
            raise ValueError("ssl_cert_reqs in the Redis URL is none, optional or required")
        if ca_file is not None:
            options["ssl_ca_certs"] = ca_file
    if issubclass(chosen, UnixDomainSocketConnection):
        if not options.get("path"):
            raise ValueError("a unix:// URL names the path of a socket")
        return chosen, options
    return chosen, {"host": "localhost", "port": 6379} | options


def _soon(deadline: float) -> float:
    return min(asyncio.get_running_loop().time() + _STEP_SECONDS, deadline)


def _key(queue: str, state: str) -> str:
    return f"bull:{queue}:{state}"


def _info(reply: object, field: bytes) -> int | None:
    if not isinstance(reply, bytes):
        return None
    found = re.search(rb"^" + field + rb":(\d{1,18})\r?$", reply, re.MULTILINE)
    return int(found[1]) if found else None


def _code(error: Exception) -> str:
    """The word a Redis error begins with, such as NOAUTH or WRONGTYPE."""
    word = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return word if re.fullmatch(r"[A-Z]{2,20}", word) else "ERR"


def _refusal(reply: object) -> tuple[Kind, str]:
    if not isinstance(reply, exceptions.ResponseError):
        return "protocol", "the answer is no number"
    code = _code(reply)
    if code == "NOPERM":
        return "permission", "the user is not allowed to"
    return "protocol", "the key holds something else" if code == "WRONGTYPE" else f"the server says {code}"


def _explain(error: Exception) -> tuple[Kind, str]:
    for cause in _causes(error):
        match cause:
            case exceptions.TimeoutError() | TimeoutError():
                return "timeout", "did not answer in time"
            case exceptions.AuthenticationError() if _code(cause) == "NOAUTH":
                return "auth", "wants a password and was given none"
            case exceptions.AuthenticationError() | exceptions.ExternalAuthProviderError():
                return "auth", "refuses the user or password it was given"
            case exceptions.BusyLoadingError():
                return "refused", "is still loading its data and answers nothing yet"
            case exceptions.MasterDownError():
                return "refused", "is a replica without its primary and does not serve old data"
            case exceptions.AskError() | exceptions.ClusterDownError():
                return "protocol", f"is a node of a cluster and does not hold all keys ({_code(cause)})"
            case exceptions.NoPermissionError():
                return "permission", "does not allow this user to ask"
            case exceptions.ResponseError() if _code(cause) == "DENIED":
                return "refused", "is in protected mode and talks to its own machine only"
            case exceptions.ResponseError():
                return "protocol", f"answers with an error ({_code(cause)})"
            case exceptions.InvalidResponse():
                return "protocol", "does not answer in the Redis protocol"
            case ssl.SSLCertVerificationError():
                return "tls", f"shows a certificate that cannot be trusted: {cause.verify_message}"
            case ssl.SSLError():
                return "tls", f"cannot be talked to over TLS: {cause.reason or 'the handshake failed'}"
            case socket.gaierror():
                return "dns", "has a name that cannot be resolved"
            case FileNotFoundError():
                return "missing", "has no socket there"
            case PermissionError():
                return "permission", "has a socket that this user may not use"
            case exceptions.ConnectionError() if "max number of clients" in str(cause):
                return "refused", "has reached its maximum number of clients"
            case ConnectionRefusedError():
                return "refused", "refuses the connection: nothing listens there"
            case OSError():
                return "refused", f"cannot be reached: {cause.strerror or 'no address of it answers'}"
            case _:
                pass  # redis-py's ConnectionError over the error that says more
    return "refused", "closed the connection without an answer"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
