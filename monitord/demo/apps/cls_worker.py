"""cls-worker: listens to the general channels all the time and seals them."""

import asyncio

from monitord.demo.apps.sealer import Sealer
from monitord.demo.apps.sealing import Aggregator
from monitord.demo.apps.service import DemoService

if __name__ == "__main__":
    service = DemoService("cls-worker")
    aggregator, sealer = Aggregator(service, "CLS"), Sealer(service, "CLS")

    async def turn() -> None:
        await aggregator.turn()
        await sealer.turn()

    asyncio.run(service.run(turn, every=0.7))
