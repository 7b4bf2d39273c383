"""gateway: the user-facing service, a tiny HTTP server that answers with the newest sealed epochs."""

import asyncio
import os

from monitord.demo.apps.service import DemoService, answer_once

SESSIONS = 44

NEWEST = "SELECT token_group, max(epoch) AS newest FROM sealed_epochs WHERE token_group = ANY('{MILO,CLS}') GROUP BY 1"


class Gateway:
    def __init__(self, service: DemoService) -> None:
        self._service = service
        self._server: asyncio.Server | None = None
        self._newest: dict[str, int] = {}

    async def turn(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._answer, "127.0.0.1", int(os.environ["FLEET_PORT"]))
        postgres = await self._service.postgres()
        found = await postgres.fetch(NEWEST)
        self._newest = {row["token_group"]: row["newest"] for row in found}
        redis = await self._service.redis()
        await redis.mset({f"gateway:session:{number:03d}": "viewer" for number in range(SESSIONS)})

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer_once(reader, writer, {"status": "ok", "newest": self._newest})


if __name__ == "__main__":
    service = DemoService("gateway")
    asyncio.run(service.run(Gateway(service).turn, every=2.0))
