"""One request to somebody else's server: bounded in time and memory, following nobody, and every failure a SendError.

Addresses may hold tokens anywhere, so that a sentence names the host and the port and nothing else of them. What the
server says beside its status is not quoted: it may echo what it was sent.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from monitord import __version__
from monitord.connections import PORTS, place_of, trust
from monitord.core.model import Kind
from monitord.failures import Phrases, classify, classify_cause
from monitord.imports import without
from monitord.notify.channels.base import SendError, retry_after

# What httpx has for its own command line, for other loops and protocols, and to unpack what nobody here asks for.
with without("brotli", "brotlicffi", "click", "h2", "pygments", "rich", "trio", "zstandard"):
    import httpcore  # noqa: F401 - which httpx imports with its first client
    import httpx

JSON: Final = {"Content-Type": "application/json"}
MOST_READ: Final = 64 * 1024
_READ_SECONDS: Final = 1.0
# For the connection, and again for its TLS: a client that is cancelled in the midst of a handshake leaves the socket
# open, so that its own time must be up before ours.
_CONNECT_SHARE: Final = 0.4
# Of the channel's deadline: the sentence is to be ours, not that of whoever holds the deadline.
_SHARE: Final = 0.8
# What the library's errors mean, where none below them says more.
_PHRASES: Final[Phrases] = {
    httpx.ConnectTimeout: ("timeout", "cannot be connected to in time"),
    httpx.TimeoutException: ("timeout", "did not answer in time"),
    TimeoutError: ("timeout", "did not answer in time"),
    httpx.ProxyError: ("refused", "cannot be reached through the proxy that the environment names"),
    httpx.ConnectError: ("refused", "cannot be reached"),
    httpx.RemoteProtocolError: (
        "protocol",
        "closed the connection without an answer, or answered something that is not HTTP",
    ),
    httpx.NetworkError: ("refused", "broke off the connection"),
    **dict.fromkeys(
        (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError),
        ("protocol", "cannot be reached: the address is no HTTP address"),
    ),
}


class HttpClient:
    """A client for one address; one sending may take `deadline` seconds in all.

    Connections are not kept: messages are rare, and a connection that has died in the meantime costs a message its
    first try. Proxies are those of the environment.
    """

    def __init__(self, url: str, deadline: float) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            port = 0
        self.place = place_of(parts.hostname or "", port)
        self._seconds = deadline * _SHARE
        self._client = httpx.AsyncClient(
            verify=trust() if parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=httpx.Timeout(self._seconds, connect=self._seconds * _CONNECT_SHARE),
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=0),
            follow_redirects=False,
            headers={"User-Agent": f"monitord/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"},
        )

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        """Send it once. SendError where it was not accepted by a status of 2xx, or nobody knows."""
        await self._request("POST", url, content, headers)

    async def get(self, url: str) -> None:
        """Ask for exactly this address once. SendError as of `post`."""
        await self._request("GET", url, None, {})

    async def _request(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(method, url, content, headers)
        except SendError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a hostile server makes of the library costs that message
            kind, what = _explained(error, tls=url.startswith("https"))
            raise SendError(kind, f"{self.place} {what}") from None
        finally:
            self._client.cookies.clear()

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> None:
        async with self._client.stream(method, url, content=content, headers=headers) as response:
            refusal = _refusal(response.status_code)
            wait = retry_after(response.status_code, response.headers)
            # The status is the answer. The rest is read a little, so that a small server is not cut off, and dropped.
            with suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(_READ_SECONDS):
                    read = 0
                    async for chunk in response.aiter_raw():
                        if (read := read + len(chunk)) > MOST_READ:
                            break
        if refusal is not None:
            kind, what = refusal
            raise SendError(kind, f"{self.place} {what}", status=response.status_code, retry_after=wait)


def json_body(value: object) -> bytes:
    """A value as a body of JSON; half a character, as a name of bytes may hold, is replaced."""
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def _refusal(status: int) -> tuple[Kind, str] | None:
    if 200 <= status < 300:
        return None
    try:
        named = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        named = str(status)
    if 300 <= status < 400:
        return "protocol", f"redirects ({named}), and redirects are not followed: set the address it points to"
    kinds: dict[int, Kind] = {401: "auth", 403: "auth", 407: "auth", 404: "missing", 410: "missing"}
    kinds |= {408: "timeout", 504: "timeout"}
    return kinds.get(status, "refused"), f"answers {named}"


def _explained(error: BaseException, *, tls: bool) -> tuple[Kind, str]:
    """Kind and half a sentence. The most specific error may lie below the library's own, or in a group of them."""
    if tls and isinstance(error, httpx.ConnectTimeout):
        return "timeout", "cannot be connected to over TLS in time"
    # The type only: the text of an unforeseen error may carry the address.
    inside: tuple[Kind, str] = "internal", f"delivery failed for a reason inside monitord: {type(error).__name__}"
    return classify_cause(error) or classify(error, _PHRASES) or inside
