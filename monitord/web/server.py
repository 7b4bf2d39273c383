"""uvicorn inside the daemon's loop: its signals, its loop and its log stay the daemon's, and it ends when stopped."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.lifespan.off import LifespanOff
from uvicorn.server import Server

from monitord.threads import run_once
from monitord.web.connection import ClientConnection, Deadlines

_NAME_SECONDS: Final = 10.0
_LARGEST_HEAD: Final = 32 * 1024
_BACKLOG: Final = 64
_GRACE_SECONDS: Final = 0.5


class PageServer:
    def __init__(self, app: ASGIApp, host: str, port: int, deadlines: Deadlines | None = None) -> None:
        """`port` 0 is any that is free."""
        self._host, self._port = host, port
        allowed = deadlines or Deadlines()
        # What it says is for whoever runs uvicorn by itself: a stranger's nonsense is no news, and what fails inside is
        # answered by the app.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        self._config = Config(
            app,
            loop="none",
            http=type("_Connection", (ClientConnection,), {"deadlines": allowed}),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=math.ceil(allowed.head),
            h11_max_incomplete_event_size=_LARGEST_HEAD,
        )
        self._server: Server | None = None
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        return self._port if self._socket is None else int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """OSError where the address cannot be had."""
        self._socket = await _bound(self._host, self._port)
        self._config.load()
        server = Server(self._config)
        # `serve` would take over the signals and wake ten times a second to check whether it should stop. What it does
        # besides is to start up, and to shut down: that is done here when it is time.
        server.lifespan = LifespanOff(self._config)
        try:
            await server.startup(sockets=[self._socket])
        except BaseException:
            self._socket.close()
            raise
        self._server = server

    async def close(self) -> None:
        """Stop listening, and give what is being answered half a second. Streams are ended by whoever sends them."""
        server, self._server = self._server, None
        if server is None:
            return
        for listener in server.servers:
            listener.close()
        state = server.server_state
        for connection in tuple(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(tuple(state.tasks), timeout=_GRACE_SECONDS)
        for task in tuple(state.tasks):
            task.cancel()
        await asyncio.sleep(0)  # those that have nothing more to say are gone after this
        for connection in tuple(state.connections):
            transport: Any = connection.transport
            transport.abort()
        if self._socket is not None:
            self._socket.close()


async def _bound(host: str, port: int) -> socket.socket:
    """At the first address of `host` that can be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)  # asks nobody
    except socket.gaierror:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await run_once("the page's name", look_up, timeout=_NAME_SECONDS)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setblocking(False)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
