"""mail_worker 2: sends the confirmations that wait in the queue `emails`; as a fault, each of them fails."""

import asyncio

from monitord.demo.apps.bull_queue import BullQueue
from monitord.demo.apps.service import DemoService


async def turn(service: DemoService) -> None:
    queue = BullQueue(await service.redis(), "myapp:emails:")
    await queue.add("confirmation", {})
    if (job := await queue.take()) is not None:
        await queue.finish(job, well=not service.faults.amount("fail", service.name))


if __name__ == "__main__":
    service = DemoService("mail_worker 2")
    asyncio.run(service.run(lambda: turn(service), every=0.2))
