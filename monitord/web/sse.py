"""Server-sent events: each cycle is sent to every open page, and a reader too slow for it is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from starlette.types import Receive, Scope, Send

MOST_READERS: Final = 24
_WAITING: Final = 8
# A page that receives nothing for three of these knows that nobody is there any more.
BEAT_SECONDS: Final = 15.0
_SEND_SECONDS: Final = 5.0
_RETRY_MS: Final = 3000
# Whether a reader still reads cannot be seen while what is sent fits into the system's buffers: a stream ends after so
# long, and a browser opens it again by itself.
LONGEST_SECONDS: Final = 3600.0


class TooManyStreams(Exception):  # noqa: N818 - it names a state of the hub
    """As many are listening as may."""


class Hub:
    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False

    @property
    def readers(self) -> int:
        return len(self._queues)

    def publish(self, event: str, fields: Mapping[str, object]) -> None:
        """Sends to every stream. Returns at once."""
        message = f"event: {event}\ndata: {json.dumps(dict(fields))}\n\n".encode()
        for queue in tuple(self._queues):
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                self.end(queue)

    def close(self) -> None:
        self._closed = True
        for queue in tuple(self._queues):
            self.end(queue)

    def listen(self) -> asyncio.Queue[bytes | None]:
        """A queue of messages that ends with None. TooManyStreams where as many are listening as may."""
        if self._closed or len(self._queues) >= MOST_READERS:
            raise TooManyStreams
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._queues.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._queues.discard(queue)

    def end(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._queues.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


class EventStream:
    """The response that never ends by itself: what the hub sends, and a beat where there is nothing."""

    def __init__(self, hub: Hub, queue: asyncio.Queue[bytes | None]) -> None:
        self._hub = hub
        self._queue = queue

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Sends until the reader is gone, is too slow, or the hub is closed."""
        speaking = asyncio.create_task(self._speak(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({speaking, leaving}, timeout=LONGEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not speaking.done() and not leaving.done():
                self._hub.end(self._queue)
                await asyncio.wait({speaking, leaving}, timeout=_SEND_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(self._queue)
            for task in (speaking, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError, TimeoutError, OSError):
                    await task

    async def _speak(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        message: bytes | None = f"retry: {_RETRY_MS}\nevent: beat\ndata: {{}}\n\n".encode()
        while message is not None:
            async with asyncio.timeout(_SEND_SECONDS):
                await send({"type": "http.response.body", "body": message, "more_body": True})
            message = b"event: beat\ndata: {}\n\n"
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    message = await self._queue.get()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
