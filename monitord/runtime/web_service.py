"""The page beside monitoring: when it listens and where, and that it never delays monitoring.

Nothing that serves is loaded before it is wanted. A page that cannot be served costs the page, and is tried again.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from monitord.config.listening import listen_address
from monitord.config.settings import Settings
from monitord.core.engine import Decision
from monitord.logging.logger import JsonLog
from monitord.masking import revealed

if TYPE_CHECKING:
    from monitord.web.backend import DaemonBackend, PublishedCycle
    from monitord.web.records import Records
    from monitord.web.server import PageServer

CLOSE_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 60.0
_KINDS: Final = {
    errno.EADDRINUSE: "in_use",
    errno.EADDRNOTAVAIL: "address",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


class WebService:
    """Serves the page while MONITORD_HTTP__LISTEN is an address. `backend` makes what it reads, by the settings."""

    def __init__(self, log: JsonLog, settings: Settings, backend: Callable[[Settings], DaemonBackend]) -> None:
        self._log = log
        self._settings = settings
        self._backend = backend
        self._seen: PublishedCycle | None = None
        self._whole_at: float | None = None
        self._records: Records | None = None
        self._server: PageServer | None = None
        self._listening: asyncio.Task[None] | None = None
        self._trouble = ""

    def publish(self, decision: Decision, trigger: str, duration_ms: float) -> None:
        """What a cycle decided is what the page shows from now on. Never raises."""
        if not self._settings.http.listen:
            self._seen = None
            return
        from monitord.web.backend import PublishedCycle

        self._seen = seen = PublishedCycle(decision, trigger, duration_ms)
        if seen.is_whole:
            self._whole_at = time.monotonic()
        if self._records is not None:
            self._records.source.saw(seen, self._whole_at)
            try:
                self._records.publish(seen)
            except Exception as error:  # noqa: BLE001 - the page's trouble is not monitord's
                self._log.internal("a cycle could not be published to the page", error)

    def start(self) -> None:
        """Listen soon, if there is an address; where that fails, say so once and try again every minute."""
        if self._settings.http.listen:
            self._listening = asyncio.create_task(self._keep_trying(), name="page")

    async def apply(self, settings: Settings) -> None:
        """From here on these settings hold; another address or token begins the page anew."""
        before, self._settings = self._settings, settings
        if settings.http != before.http or self._server is None:
            await self._shut()
            self._trouble = ""
            self.start()
        elif self._records is not None:
            self._records.source.settings = settings
            self._records.expire()

    async def close(self) -> None:
        """Stop listening; open streams end. Takes about a second at the very most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._shut()

    async def _shut(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
        records, server = self._records, self._server
        self._records = self._server = None
        if records is not None and server is not None:
            await records.close()
            await server.close()
            records.source.close()

    async def _keep_trying(self) -> None:
        while not await self._listens():  # noqa: ASYNC110 - a port that is taken gives no sign when it is free
            await asyncio.sleep(RETRY_SECONDS)

    async def _listens(self) -> bool:
        """Whether the page now listens. Says so, and why not, when that is news."""
        address = self._settings.http.listen
        try:
            await self._listen(address)
        except Exception as error:  # noqa: BLE001 - whatever it is, monitoring goes on without a page
            kind, why = _reason(error)
            if why != self._trouble:
                message = f"The page cannot be served at {address}: {why}. monitord goes on without it."
                self._log.emit("page_unavailable", "warning", message, address=address, kind=kind, error=why)
            self._trouble = why
            return False
        self._trouble = ""
        self._log.emit("page_listening", "info", f"The page is at http://{address}/.", address=address)
        return True

    async def _listen(self, address: str) -> None:
        from monitord.web.app import Page
        from monitord.web.records import Records
        from monitord.web.server import PageServer

        host, port = listen_address(address)
        http = self._settings.http
        source = self._backend(self._settings)
        if self._seen is not None:
            source.saw(self._seen, self._whole_at)
        records = Records(source)
        page = Page(records, host, revealed(http.token), public_url=http.public_url)
        server = PageServer(page.app, host, port)
        await server.start()
        self._records, self._server = records, server


def _reason(error: Exception) -> tuple[str, str]:
    if isinstance(error, socket.gaierror):
        return "address", "its name is not known"
    if isinstance(error, TimeoutError):
        return "timeout", "its name was not found in time"
    if isinstance(error, OSError):
        return _KINDS.get(error.errno or 0, "internal"), (error.strerror or type(error).__name__).lower()
    if isinstance(error, ImportError):
        return "missing", f"{error.name or 'a part of it'} is not installed"
    return "internal", type(error).__name__
