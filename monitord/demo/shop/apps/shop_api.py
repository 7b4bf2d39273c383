"""shop-api: answers whether orders can be placed; as a fault, it answers 500 though PM2 calls it online."""

import asyncio
import os

from monitord.demo.apps.service import DemoService, answer_once


class ShopApi:
    def __init__(self, service: DemoService) -> None:
        self._service = service
        self._server: asyncio.Server | None = None
        self._orders = 0

    async def turn(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._answer, "127.0.0.1", int(os.environ["SHOP_API_PORT"]))
        postgres = await self._service.postgres()
        self._orders = await postgres.fetchval("SELECT max(id) FROM orders") or 0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broken = self._service.faults.amount("error", self._service.name)
        fields = {"status": "error" if broken else "ok", "orders": self._orders}
        await answer_once(reader, writer, fields, "500 Internal Server Error" if broken else "200 OK")


if __name__ == "__main__":
    service = DemoService("shop-api")
    asyncio.run(service.run(ShopApi(service).turn, every=1.0))
