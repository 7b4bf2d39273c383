"""shop-api: answers whether orders can be placed; as a fault, it answers 500 though PM2 calls it online."""

import asyncio
import json
import os
from contextlib import suppress

from monitord.demo.apps.service import DemoService

REQUEST_SECONDS = 5.0


class ShopApi:
    """A tiny HTTP server, and its one connection to the database."""

    def __init__(self, service: DemoService) -> None:
        self._service = service
        self._server: asyncio.Server | None = None
        self._orders = 0

    async def turn(self) -> None:
        """Listen if not listening, and see how many orders there are."""
        if self._server is None:
            self._server = await asyncio.start_server(self._answer, "127.0.0.1", int(os.environ["SHOP_API_PORT"]))
        postgres = await self._service.postgres()
        self._orders = await postgres.fetchval("SELECT max(id) FROM orders") or 0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(REQUEST_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                broken = self._service.faults.amount("error", self._service.name)
                status = "500 Internal Server Error" if broken else "200 OK"
                body = json.dumps({"status": "error" if broken else "ok", "orders": self._orders}).encode()
                head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
                await writer.drain()
        writer.close()


if __name__ == "__main__":
    service = DemoService("shop-api")
    asyncio.run(service.run(ShopApi(service).turn, every=1.0))
