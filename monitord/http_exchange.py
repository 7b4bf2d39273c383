"""One request over HTTP on an open connection, and its answer as far as it is wanted: what http checks and chain share.

Nothing is kept: each request has a connection of its own, which whoever opened it closes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import h11

from monitord.connections import Connection, EndpointProblemError

_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: as much of the body as was wanted, and whether that is all of it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    is_whole: bool

    def header(self, name: bytes) -> str:
        """The first header of this name, which is in lower case; "" where there is none."""
        return next((value for given, value in self.headers if given == name), b"").decode("latin-1")


async def exchange(
    connection: Connection,
    request: h11.Request,
    body: bytes = b"",
    *,
    most: int,
    wants_body: Callable[[int], bool] = bool,
) -> HttpAnswer:
    """Send one request with its body, and read its answer: `most` bytes of it, where `wants_body` of its status.

    The connection is of no use afterwards. EndpointProblemError where what comes back is not HTTP, or breaks off.
    """
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_CHUNK)
    events = (request, h11.Data(data=body), h11.EndOfMessage())
    connection.writer.write(b"".join(client.send(event) or b"" for event in events))
    response: h11.Response | None = None
    received = bytearray()
    while True:
        try:
            event = client.next_event()
        except h11.RemoteProtocolError:
            what = "answers something that is not HTTP, or nothing" if response is None else "breaks its answer off"
            raise EndpointProblemError("protocol", what) from None
        match event:
            case h11.NEED_DATA:
                client.receive_data(await connection.reader.read(_CHUNK))
            case h11.Response():
                response = event
                if not wants_body(response.status_code):
                    return _answer(response, b"", is_whole=True)
            case h11.Data() if response is not None:
                received += event.data
                if len(received) > most:
                    return _answer(response, bytes(received[:most]), is_whole=False)
            case h11.EndOfMessage() if response is not None:
                return _answer(response, bytes(received), is_whole=True)
            case h11.InformationalResponse():
                pass
            case _:
                raise EndpointProblemError("protocol", "closed the connection without an answer")


def _answer(response: h11.Response, body: bytes, *, is_whole: bool) -> HttpAnswer:
    return HttpAnswer(response.status_code, tuple(response.headers), body, is_whole)
