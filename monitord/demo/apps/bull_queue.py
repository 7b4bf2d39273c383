"""A queue with the keys BullMQ uses for it in Redis."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEPT_COMPLETED = 20


class QueueJob(NamedTuple):
    id: str
    data: dict[str, Any]


class BullQueue:
    def __init__(self, redis: "Redis", prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def open(self) -> None:
        """As BullMQ does when anybody opens a queue: this key distinguishes an empty queue from none."""
        await self._redis.hset(f"{self._prefix}meta", "opts.maxLenEvents", 10000)

    async def add(self, name: str, data: Mapping[str, object]) -> None:
        number = await self._redis.incr(f"{self._prefix}id")
        async with self._redis.pipeline() as pipe:
            pipe.hset(
                f"{self._prefix}{number}",
                mapping={"name": name, "data": json.dumps(data), "timestamp": int(time.time() * 1000)},
            )
            pipe.hset(f"{self._prefix}meta", "opts.maxLenEvents", 10000)
            pipe.lpush(f"{self._prefix}wait", number)
            await pipe.execute()

    async def take(self) -> QueueJob | None:
        """Move the oldest waiting job to the active ones; None when nothing waits."""
        moved = await self._redis.lmove(f"{self._prefix}wait", f"{self._prefix}active", "RIGHT", "LEFT")
        if moved is None:
            return None
        number = str(moved)
        data = await self._redis.hget(f"{self._prefix}{number}", "data")
        if data is None:
            await self._redis.lrem(f"{self._prefix}active", 1, number)
            return None
        return QueueJob(number, json.loads(data))

    async def finish(self, job: QueueJob, *, well: bool) -> None:
        """Only the last few completed are kept."""
        async with self._redis.pipeline() as pipe:
            pipe.lrem(f"{self._prefix}active", 1, job.id)
            pipe.zadd(f"{self._prefix}{'completed' if well else 'failed'}", {job.id: time.time() * 1000})
            await pipe.execute()
        for old in map(str, await self._redis.zrange(f"{self._prefix}completed", 0, -KEPT_COMPLETED - 1)):
            async with self._redis.pipeline() as pipe:
                pipe.delete(f"{self._prefix}{old}")
                pipe.zrem(f"{self._prefix}completed", old)
                await pipe.execute()

    async def put_back_stalled(self) -> None:
        """Return jobs that a worker held when it died. For the only worker, at its start."""
        while await self._redis.lmove(f"{self._prefix}active", f"{self._prefix}wait", "LEFT", "RIGHT"):
            pass

    async def is_empty(self) -> bool:
        return int(await self._redis.llen(f"{self._prefix}wait")) == 0
