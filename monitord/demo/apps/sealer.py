"""The sealer of one group: seals each epoch soon after it is over, and the ones it missed when it comes back."""

import time
from collections import deque

from monitord.demo.apps.bull_queue import BullQueue
from monitord.demo.apps.sealing import TREES, NewSeal, labels_due, seal
from monitord.demo.apps.service import DemoService

SETTLE_SECONDS = 1.5

UNSEALED = """
    SELECT label FROM unnest($1::bigint[]) AS label
    WHERE NOT EXISTS (SELECT FROM sealed_epochs WHERE token_group = $2 AND epoch = label)
      AND EXISTS (SELECT FROM channel_participation WHERE token_group = $2 AND epoch = label)
    ORDER BY label
"""
PARTICIPANTS = """
    SELECT channel, array_agg(user_hash ORDER BY first_seen, user_hash) AS user_hashes
    FROM channel_participation WHERE token_group = $1 AND epoch = $2 GROUP BY channel ORDER BY channel
"""
INSERT_SEAL = """
    INSERT INTO sealed_epochs (epoch, channel, root, sealed_at, token_group, category)
    VALUES ($1, $2, $3, $4, $5, $6)
"""


class Sealer:
    def __init__(self, service: DemoService, token_group: str) -> None:
        self._service = service
        self._group = token_group
        # Seals whose job is not in the queue yet: Redis may be away while Postgres is not.
        self._jobs: deque[tuple[int, str]] = deque(maxlen=2_000)

    async def turn(self) -> None:
        if not self._service.faults.amount("no-seal", self._group):
            postgres = await self._service.postgres()
            due = labels_due(time.time(), self._service.epoch_seconds, SETTLE_SECONDS)
            for record in await postgres.fetch(UNSEALED, due, self._group):
                await self._seal(record["label"])
        if self._jobs:
            queue = BullQueue(await self._service.redis(), TREES)
            while self._jobs:
                epoch, channel = self._jobs[0]
                await queue.add("build", {"epoch": epoch, "channel": channel, "group": self._group})
                self._jobs.popleft()

    async def _seal(self, epoch: int) -> None:
        postgres = await self._service.postgres()
        async with postgres.transaction():
            sealed: list[NewSeal] = [
                seal(epoch, record["channel"], self._group, record["user_hashes"])
                for record in await postgres.fetch(PARTICIPANTS, self._group, epoch)
            ]
            await postgres.copy_records_to_table(
                "sealed_participants", records=[row for one in sealed for row in one.participants]
            )
            await postgres.executemany(
                INSERT_SEAL,
                [
                    (epoch, one.channel, one.root, int(time.time()), self._group, one.participants[0].category)
                    for one in sealed
                ],
            )
        self._jobs.extend((epoch, one.channel) for one in sealed)
        self._service.say(
            "epoch_sealed", f"sealed {self._group} {epoch}", epoch=epoch, group=self._group, channels=len(sealed)
        )
