"""stream-listener: writes what the audience does into user_signals, and what it missed while it was away."""

import asyncio
import secrets
import time

from monitord.demo.apps.audience import signals
from monitord.demo.apps.service import DemoService

CATCH_UP_EPOCHS = 24
CATCH_UP_SECONDS = 600
CATCH_UP_SECONDS_A_TURN = 60
FLOOD_ROWS_A_TURN = 20_000

INSERT = """
    INSERT INTO user_signals (epoch, channel, user_hash, signal_type, value, "timestamp")
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::real[], $6::bigint[])
    ON CONFLICT DO NOTHING
"""
FLOOD = """
    INSERT INTO user_signals (epoch, channel, user_hash, signal_type, value, "timestamp")
    SELECT $1, 'raid-night', encode(sha256(convert_to($2 || i, 'UTF8')), 'hex'), 'raid', 1, $3
    FROM generate_series(1, $4::int) AS i
"""


class StreamListener:
    def __init__(self, service: DemoService) -> None:
        self._service = service
        self._written: int | None = None

    async def turn(self) -> None:
        """Write every second that is over and not written yet, then as much of a flood as one turn takes."""
        postgres = await self._service.postgres()
        length = self._service.epoch_seconds
        now = int(time.time())
        if self._written is None:
            oldest = now - min(CATCH_UP_EPOCHS * length, CATCH_UP_SECONDS)
            self._written = await postgres.fetchval(
                'SELECT max("timestamp") FROM user_signals WHERE epoch >= $1 AND "timestamp" < $2', oldest, now
            )
            # An empty table is a fresh fleet: there is nothing to catch up with.
            self._written = now - 2 if self._written is None else max(self._written, oldest)
        until = min(now, self._written + 1 + CATCH_UP_SECONDS_A_TURN)
        rows = [row for second in range(self._written + 1, until) for row in signals(second, length)]
        if rows:
            await postgres.execute(INSERT, *map(list, zip(*rows, strict=True)))
        self._written = max(self._written, until - 1)
        await self._flood(now - now % length, now)

    async def _flood(self, epoch: int, now: int) -> None:
        faults = self._service.faults
        wanted = faults.amount("flood", self._service.name)
        if wanted <= 0:
            return
        rows = min(wanted, FLOOD_ROWS_A_TURN)
        await (await self._service.postgres()).execute(FLOOD, epoch, secrets.token_hex(8), now, rows)
        if wanted > rows:
            faults.set("flood", self._service.name, wanted - rows)
        else:
            faults.clear("flood", self._service.name)


if __name__ == "__main__":
    service = DemoService("stream-listener")
    asyncio.run(service.run(StreamListener(service).turn, every=0.5))
