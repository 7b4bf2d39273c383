"""What passes between monitord and what it watches, counted on the way: Postgres' messages, PM2's frames."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from monitord.pm2 import wire


class Counted(Counter[str]):
    """How often each thing has happened since it was last taken."""

    def one(self, what: str) -> None:
        self[what] += 1

    def taken(self) -> dict[str, int]:
        """What has been counted, which is then forgotten."""
        found = dict(self)
        self.clear()
        return found


class _Messages:
    """Takes a stream of Postgres' messages apart: a letter, a length and the rest. A client's first has no letter."""

    def __init__(self, heard: Callable[[bytes], None], *, starts: bool) -> None:
        self._heard, self._starts, self._buffer = heard, starts, b""

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while True:
            letters = 0 if self._starts else 1
            if len(self._buffer) < letters + 4:
                return
            length = letters + int.from_bytes(self._buffer[letters : letters + 4])
            if len(self._buffer) < length:
                return
            if letters:
                self._heard(self._buffer[:1])
            self._starts, self._buffer = False, self._buffer[length:]


@asynccontextmanager
async def counted_postgres(port: int, counted: Counted) -> AsyncIterator[int]:
    """A port that leads to a Postgres; counts statements, round trips, rows that came back and connections."""

    def asked(letter: bytes) -> None:
        if letter in (b"E", b"Q"):  # Execute, Query
            counted.one("statements")
        if letter in (b"S", b"Q"):  # Sync, Query
            counted.one("round trips")

    def answered(letter: bytes) -> None:
        if letter == b"D":  # DataRow
            counted.one("rows received")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counted.one("connections to Postgres")
        there, back = await asyncio.open_connection("127.0.0.1", port)
        ways = (
            _passed(reader, back, _Messages(asked, starts=True)),
            _passed(there, writer, _Messages(answered, starts=False)),
        )
        await asyncio.gather(*ways)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, messages: _Messages) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            messages.feed(data)
            writer.write(data)
            await writer.drain()
    writer.close()


def counted_pm2(home: Path, reply: bytes, counted: Counted) -> AbstractAsyncContextManager[None]:
    """A PM2 that always answers the same; counts what it is asked, and the connections for that."""
    return answering_pm2(home, [reply], counted)


@asynccontextmanager
async def answering_pm2(home: Path, replies: Sequence[bytes], counted: Counted | None = None) -> AsyncIterator[None]:
    """A PM2 that gives these answers by turns, counted where it is to be."""
    counted, turns = Counted() if counted is None else counted, itertools.cycle(replies)

    async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counted.one("connections to PM2")
        decoder = wire.Decoder()
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                for frame in decoder.feed(chunk):
                    counted.one("frames of PM2")
                    writer.write(wire.encode([next(turns), wire.unpack(frame[1])]))
        writer.close()

    server = await asyncio.start_unix_server(asked, home / "rpc.sock")
    try:
        yield
    finally:
        server.close()
        (home / "rpc.sock").unlink()
