"""The queue `tree-builder`, with the keys BullMQ uses for it in Redis."""

import json
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "bull:tree-builder:"
KEPT_COMPLETED = 20


class TreeJob(NamedTuple):
    id: str
    epoch: int
    channel: str
    token_group: str


class TreeQueue:
    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def open(self) -> None:
        """As BullMQ does when anybody opens a queue: this key distinguishes an empty queue from none."""
        await self._redis.hset(f"{PREFIX}meta", "opts.maxLenEvents", 10000)

    async def add(self, epoch: int, channel: str, token_group: str) -> None:
        number = await self._redis.incr(f"{PREFIX}id")
        data = {"epoch": epoch, "channel": channel, "group": token_group}
        async with self._redis.pipeline() as pipe:
            pipe.hset(
                f"{PREFIX}{number}",
                mapping={"name": "build", "data": json.dumps(data), "timestamp": int(time.time() * 1000)},
            )
            pipe.hset(f"{PREFIX}meta", "opts.maxLenEvents", 10000)
            pipe.lpush(f"{PREFIX}wait", number)
            await pipe.execute()

    async def take(self) -> TreeJob | None:
        """Move the oldest waiting job to the active ones; None when nothing waits."""
        moved = await self._redis.lmove(f"{PREFIX}wait", f"{PREFIX}active", "RIGHT", "LEFT")
        if moved is None:
            return None
        number = str(moved)
        data = json.loads(await self._redis.hget(f"{PREFIX}{number}", "data") or "{}")
        if not data:
            await self._redis.lrem(f"{PREFIX}active", 1, number)
            return None
        return TreeJob(number, data["epoch"], data["channel"], data["group"])

    async def finish(self, job: TreeJob, *, built: bool) -> None:
        """Only the last few completed are kept."""
        async with self._redis.pipeline() as pipe:
            pipe.lrem(f"{PREFIX}active", 1, job.id)
            pipe.zadd(f"{PREFIX}{'completed' if built else 'failed'}", {job.id: time.time() * 1000})
            await pipe.execute()
        for old in await self._redis.zrange(f"{PREFIX}completed", 0, -KEPT_COMPLETED - 1):
            number = str(old)
            async with self._redis.pipeline() as pipe:
                pipe.delete(f"{PREFIX}{number}")
                pipe.zrem(f"{PREFIX}completed", number)
                await pipe.execute()

    async def put_back_stalled(self) -> None:
        """Return jobs that a builder held when it died. For the only builder, at its start."""
        while await self._redis.lmove(f"{PREFIX}active", f"{PREFIX}wait", "LEFT", "RIGHT"):
            pass

    async def is_empty(self) -> bool:
        return int(await self._redis.llen(f"{PREFIX}wait")) == 0
