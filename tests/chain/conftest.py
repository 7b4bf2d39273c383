"""A local chain for the tests of its client: nodes that answer as the real ones do, however badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from monitord.testing.servers.solana import LocalChain


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[LocalChain], object]]:
    """Serves a node of the chain at an address of its own, which it returns."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(chain: LocalChain) -> str:
        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with suppress(asyncio.CancelledError):
                await chain.serve(reader, writer)
            writer.close()
            tasks.discard(task)

        server = await asyncio.start_server(one, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/?api-key=planted-key-5f0c81d2"

    yield start
    for server in servers:
        server.close()
    for task in tuple(tasks):
        task.cancel()
    if tasks:
        await asyncio.wait(tuple(tasks), timeout=30)
