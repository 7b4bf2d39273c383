"""tree-builder: builds the tree of each seal, keeps it in l2_tree_cache, publishes its root and marks it published."""

import asyncio
import json
import os
import time

from monitord.core import merkle
from monitord.demo.apps.audience import keccak256
from monitord.demo.apps.bull_queue import BullQueue
from monitord.demo.apps.sealing import TREES, leaves, publish
from monitord.demo.apps.service import DemoService
from monitord.failures import FailureError

JOBS_A_TURN = 25
SWEEP_SECONDS = 5.0

PARTICIPANTS = """
    SELECT user_hash, channel, epoch FROM sealed_participants
    WHERE epoch = $1 AND channel = $2 AND token_group = $3 ORDER BY idx
"""
CACHE = """
    INSERT INTO l2_tree_cache (epoch, channel, root, levels_json, participant_count, built_at)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (epoch, channel) DO UPDATE SET built_at = excluded.built_at
"""
PUBLISH = """
    UPDATE sealed_epochs SET published = 1, published_at = now()
    WHERE epoch = $1 AND channel = $2 AND token_group = $3 AND root = $4
"""
FORGOTTEN = """
    SELECT epoch, channel, token_group FROM sealed_epochs
    WHERE published = 0 AND epoch >= $1 AND sealed_at < $2 ORDER BY epoch LIMIT 200
"""


class TreeBuilder:
    def __init__(self, service: DemoService) -> None:
        self._service = service
        self._chain = os.environ.get("FLEET_CHAIN_URL", "")
        self._started = False
        self._swept = time.monotonic()

    async def turn(self) -> None:
        redis = await self._service.redis()
        queue = BullQueue(redis, TREES)
        if not self._started:
            await queue.open()
            await queue.put_back_stalled()
            self._started = True
        for _ in range(JOBS_A_TURN):
            job = await queue.take()
            if job is None:
                break
            await queue.finish(job, well=await self._build(**job.data))
            await redis.hset(f"tree:root:{job.data['channel']}", mapping={"epoch": job.data["epoch"]})
        if time.monotonic() - self._swept > SWEEP_SECONDS and await queue.is_empty():
            await self._enqueue_forgotten(queue)
            self._swept = time.monotonic()

    async def _build(self, epoch: int, channel: str, group: str) -> bool:
        postgres = await self._service.postgres()
        participants = [tuple(row) for row in await postgres.fetch(PARTICIPANTS, epoch, channel, group)]
        if not participants:
            return False
        levels = merkle.levels(leaves(participants), keccak256)
        root = levels[-1][0].hex()
        levels_json = json.dumps([[node.hex() for node in level] for level in levels])
        await postgres.execute(CACHE, epoch, channel, root, levels_json, len(participants), int(time.time()))
        if self._chain and not self._service.faults.amount("pretend", self._service.name):
            try:
                await publish(self._chain, group, channel, epoch, root)
            except FailureError:
                return True  # it is built, and published once the chain takes it
        done = await postgres.execute(PUBLISH, epoch, channel, group, root)
        return bool(done == "UPDATE 1")

    async def _enqueue_forgotten(self, queue: BullQueue) -> None:
        now, length = int(time.time()), self._service.epoch_seconds
        postgres = await self._service.postgres()
        for row in await postgres.fetch(FORGOTTEN, now - 48 * length, now - 2 * length):
            await queue.add("build", {"epoch": row["epoch"], "channel": row["channel"], "group": row["token_group"]})


if __name__ == "__main__":
    service = DemoService("tree-builder")
    asyncio.run(service.run(TreeBuilder(service).turn, every=0.3))
