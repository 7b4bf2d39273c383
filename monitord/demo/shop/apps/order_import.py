"""order-import: takes over what was ordered since the last time, once an hour (here: an epoch of some seconds)."""

import asyncio

from monitord.demo.apps.service import DemoService

BATCH = 12


async def turn(service: DemoService) -> None:
    if service.faults.amount("hold", service.name):
        return
    postgres = await service.postgres()
    await postgres.execute("INSERT INTO orders (total) SELECT 19.90 + n FROM generate_series(1, $1::int) AS n", BATCH)


if __name__ == "__main__":
    service = DemoService("order-import")
    asyncio.run(service.run(lambda: turn(service), every=service.epoch_seconds / 2))
