"""cls-worker: listens to the general channels all the time and seals them."""

import asyncio

from monitord.demo.apps.aggregating import Aggregator
from monitord.demo.apps.sealer import Sealer
from monitord.demo.apps.service import DemoService


class ClsWorker:
    """Both halves of the general ledger in one process."""

    def __init__(self, service: DemoService) -> None:
        self._aggregator = Aggregator(service, "CLS")
        self._sealer = Sealer(service, "CLS")

    async def turn(self) -> None:
        """Derive, then seal."""
        await self._aggregator.turn()
        await self._sealer.turn()


if __name__ == "__main__":
    service = DemoService("cls-worker")
    asyncio.run(service.run(ClsWorker(service).turn, every=0.7))
