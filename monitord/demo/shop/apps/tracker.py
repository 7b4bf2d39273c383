"""tracker: writes what visitors look at, each second."""

import asyncio

from monitord.demo.apps.service import DemoService

PATHS = ["/", "/sale", "/shoes", "/cart", "/checkout"]


async def turn(service: DemoService) -> None:
    postgres = await service.postgres()
    await postgres.execute("INSERT INTO page_views (path) SELECT unnest($1::text[])", PATHS)


if __name__ == "__main__":
    service = DemoService("tracker")
    asyncio.run(service.run(lambda: turn(service), every=0.5))
