"""mail_worker 2: sends the confirmations that wait in the queue `emails`; as a fault, each of them fails.

The keys are BullMQ's, under the prefix `myapp`.
"""

import asyncio
import time

from monitord.demo.apps.service import DemoService

QUEUE = "myapp:emails:"
KEPT = 20


async def turn(service: DemoService) -> None:
    redis = await service.redis()
    await redis.hset(f"{QUEUE}meta", "opts.maxLenEvents", "10000")
    number = str(await redis.incr(f"{QUEUE}id"))
    now = int(time.time() * 1000)
    await redis.hset(f"{QUEUE}{number}", mapping={"name": "confirmation", "data": "{}", "timestamp": str(now)})
    await redis.lpush(f"{QUEUE}wait", number)
    taken = await redis.lmove(f"{QUEUE}wait", f"{QUEUE}active", "RIGHT", "LEFT")
    if taken is None:
        return
    failed = service.faults.amount("fail", service.name)
    kept = f"{QUEUE}{'failed' if failed else 'completed'}"
    async with redis.pipeline() as pipe:
        pipe.lrem(f"{QUEUE}active", 1, str(taken))
        pipe.zadd(kept, {str(taken): now})
        await pipe.execute()
    if not failed:
        for old in map(str, await redis.zrange(kept, 0, -KEPT - 1)):
            await redis.zrem(kept, old)
            await redis.delete(f"{QUEUE}{old}")


if __name__ == "__main__":
    service = DemoService("mail_worker 2")
    asyncio.run(service.run(lambda: turn(service), every=0.2))
