"""What every request passes and every answer carries: the right host, the same origin, a bounded body, the headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitord.config.listening import is_loopback

LARGEST_BODY: Final = 64 * 1024
_BODY_SECONDS: Final = 5.0
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MOST_FIELDS: Final = 20
# Whoever acts there shows a token in the address, which no other page knows: an app's button has an origin of its own.
BY_LINK: Final = "/a/"
CSP: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: with that a browser calls the origin of the page's own forms `null`.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_RAW: Final = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

FAILED_INSIDE: Final = "Something failed inside; the log says what. Monitoring goes on."
# Status, and the reason as a sentence.
Refuse = Callable[[Request, int, str], Response]


class SecurityMiddleware:
    """Stands before the app. `refuse` answers what is not let through; `fault` is called with what failed."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        refuse: Refuse,
        fault: Callable[[str, BaseException], None],
        unread: Mapping[str, int] = MappingProxyType({}),
        public: str = "",
    ) -> None:
        """`host` is where the page listens; only this machine's own names are answered to on a loopback address.

        `unread` are places where a body is passed over, and how large one may be there. `public` is the host by which
        others find the page ("": none).
        """
        self._unread = unread
        self._app = app
        self._names = _NAMES | {host.lower(), public} - {""} if is_loopback(host) else None
        self._refuse = refuse
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = {name for name, _ in message.get("headers", [])}
                message["headers"] = [
                    *message.get("headers", []),
                    *((name, value) for name, value in _RAW if name not in given),
                ]
            await send(message)

        request = Request(scope, receive)
        trouble = 500, FAILED_INSIDE
        try:
            refused = self._refused(request)
            answer = self._app if refused is None else self._refuse(request, *refused)
            await answer(scope, receive, send_with_headers)
        except (ClientDisconnect, ConnectionError):
            return  # whoever asked is gone
        except TimeoutError:
            trouble = 503, "This took too long: ask again in a moment."
        except Exception as error:  # noqa: BLE001 - a page that fails costs the page
            self._fault("a page failed inside", error)
        else:
            return
        if not started:
            await self._refuse(request, *trouble)(scope, receive, send_with_headers)

    def _refused(self, request: Request) -> tuple[int, str] | None:
        headers = request.headers
        path: str = request.scope["path"]
        if not path.startswith("/"):  # `GET http://elsewhere/ HTTP/1.1`, `OPTIONS *`
            return 400, "A request names a path of this address."
        if self._names is not None and host_of(headers) not in self._names:
            return 421, "This address answers to localhost only."
        if len(headers.getlist("host")) != 1:
            return 400, "A request names one host."
        if request.method not in _SAFE and not path.startswith(BY_LINK) and not same_origin(headers):
            return 403, "This must be requested from the page itself."
        length = headers.get("content-length", "0")
        most = next((bytes_ for place, bytes_ in self._unread.items() if path.startswith(place)), LARGEST_BODY)
        if not (length.isascii() and length.isdecimal()) or int(length[:20]) > most:
            return 413, f"A request may bring {most} bytes at most."
        return None


def same_origin(headers: Headers) -> bool:
    """Whether a request comes from a page of this address, or from no page at all."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:  # it is no address at all: `http://[`
        return False


async def body_of(request: Request) -> bytes:
    """ValueError, a sentence, where it is too large or takes too long."""
    found = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                found += part
                if len(found) > LARGEST_BODY:
                    raise ValueError(f"A request may bring {LARGEST_BODY} bytes at most.")
    except TimeoutError:
        raise ValueError("The request took too long to arrive.") from None
    return bytes(found)


async def form_of(request: Request) -> dict[str, str]:
    """The first field of each name. ValueError, a sentence, where it is no form."""
    text = (await body_of(request)).decode("utf-8", "replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise ValueError("The form has too many fields.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def host_of(headers: Headers) -> str:
    """Without its port and brackets."""
    text = headers.get("host", "").lower()
    host, colon, port = text.rpartition(":")
    bare = host if colon and port.isdecimal() else text
    return bare.removeprefix("[").removesuffix("]").removesuffix(".")


def host_of_url(url: str | None) -> str:
    """As a Host header names it; "" where there is none, or only this machine has the name."""
    host = (urlsplit(url).hostname or "") if url else ""
    return "" if is_loopback(host) else host
