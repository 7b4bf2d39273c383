"""A connection to an endpoint, over TLS where that is asked for, and what is wrong where none comes about."""

from __future__ import annotations

import asyncio
import base64
import errno
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from monitord.core.model import Kind
from monitord.failures import HANDSHAKE_SHARE, FailureError, causes, classify, classify_cause

PORTS: Final = {"http": 80, "https": 443}
# What stands in a path or a query as it is; `%` too, since what is encoded stays so.
_AS_IT_IS: Final = "/%:@!$&'()*+,;=~-._?"
# What says nothing of the other side.
_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class EndpointProblemError(Exception):
    """What is wrong with an endpoint, which is what a check is to find: a word to sort by, and half a sentence."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection; `expires` is when the certificate that was shown does (Unix seconds; None: there is none)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    expires: float | None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request over HTTP goes. `place` may be shown; of the rest any part may be a secret."""

    scheme: str
    host: str
    port: int
    path: str
    headers: Mapping[str, str]

    @property
    def place(self) -> str:
        return place_of(self.host, self.port)

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def host_header(self) -> str:
        """The place, without a port that its scheme implies."""
        return self.place if self.port != PORTS[self.scheme] else self.place.rpartition(":")[0]


def place_of(host: str, port: int) -> str:
    """An address as it is written, an IPv6 one in brackets."""
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def target_of(url: str, headers: Mapping[str, str]) -> Target:
    """An address taken apart, with these headers; before its host stands a login. ValueError, KeyError: it is none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    if user or colon:
        login = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", **headers}
    query = f"?{quote(parts.query, _AS_IT_IS)}" if parts.query else ""
    path = (quote(parts.path, _AS_IT_IS) or "/") + query
    ascii_host = host if host.isascii() else host.encode("idna").decode()
    return Target(parts.scheme.lower(), ascii_host, parts.port or PORTS[parts.scheme.lower()], path, headers)


@lru_cache(maxsize=1)
def trust() -> ssl.SSLContext:
    """The system's certificates, or those that SSL_CERT_FILE and SSL_CERT_DIR name, read once for all."""
    return ssl.create_default_context()


def trust_in(ca_file: Path) -> ssl.SSLContext:
    """The certificates of this file in place of the system's, read again when it was changed, or FailureError."""
    try:
        return _trust_in(ca_file, ca_file.stat().st_mtime_ns)
    except OSError as error:  # ssl.SSLError is one
        kind: Kind = "missing" if isinstance(error, FileNotFoundError) else "permission"
        kind = "tls" if isinstance(error, ssl.SSLError) else kind
        why = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise FailureError(kind, f"the ca_file {ca_file} cannot be read: {why}") from None


@lru_cache(maxsize=32)
def _trust_in(ca_file: Path, changed: int) -> ssl.SSLContext:  # noqa: ARG001 - what is cached is of this moment
    return ssl.create_default_context(cafile=ca_file)


@asynccontextmanager
async def connected(
    host: str, port: int, *, tls: bool, within: float, limit: int = 2**16, ca_file: Path | None = None
) -> AsyncIterator[Connection]:
    """A connection that is gone at the end, whatever the other side does. `limit`: as of asyncio's streams.

    `within` is the deadline (seconds) that whoever asks holds for it, of which a handshake takes no more than a share.
    `ca_file` are certificates to trust in place of the system's (FailureError where it cannot be read). OSError where
    it cannot be made, ssl.SSLError where its certificate cannot be trusted.
    """
    reader, writer = await asyncio.open_connection(
        host,
        port,
        limit=limit,
        ssl=None if not tls else trust() if ca_file is None else trust_in(ca_file),
        server_hostname=host if tls else None,
        ssl_handshake_timeout=within * HANDSHAKE_SHARE if tls else None,
        happy_eyeballs_delay=0.25,
    )
    try:
        yield Connection(reader, writer, _expires(writer) if tls else None)
    finally:
        # Not closed in order: whoever does not answer would not take part in that either.
        writer.transport.abort()
        with suppress(Exception):
            await writer.wait_closed()


def _expires(writer: asyncio.StreamWriter) -> float | None:
    certificate = writer.get_extra_info("peercert") or {}
    ends = certificate.get("notAfter")
    return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None


def explained(error: BaseException) -> EndpointProblemError:
    """What an error of the connection means for the endpoint; raises FailureError where the trouble is on this side."""
    if isinstance(error, EndpointProblemError):
        return error
    chain = list(causes(error))
    if any(isinstance(cause, OSError) and cause.errno in _OWN for cause in chain):
        raise FailureError("internal", "monitord has no file or socket left to ask with") from None
    if (known := classify_cause(error) or next(filter(None, map(classify, chain)), None)) is not None:
        return EndpointProblemError(*known)
    if isinstance(error, ConnectionError | EOFError):
        return EndpointProblemError("protocol", "closed the connection without an answer")
    if isinstance(error, OSError):
        return EndpointProblemError("refused", "cannot be reached")
    raise error


def split(address: str) -> tuple[str, int]:
    """Host and port of an address, an IPv6 one in brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
