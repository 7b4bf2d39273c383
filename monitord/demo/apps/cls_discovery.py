"""cls-discovery, the Scout: notes the general channels it found in Redis and stops; PM2 starts it again by cron."""

import asyncio

from monitord.demo.apps.audience import CLS, category
from monitord.demo.apps.service import DemoService


async def main() -> None:
    """With a deadline. A Redis that is away is no failure: the next run will report it."""
    service = DemoService("cls-discovery")
    try:
        async with asyncio.timeout(5):
            redis = await service.redis()
            for channel in CLS:
                await redis.hset(f"cls:channel:{channel}", mapping={"category": category(channel)})
            await redis.aclose()
    except Exception as error:  # noqa: BLE001 - whatever went wrong, it is the next run's turn
        service.say("discovery_postponed", f"cls-discovery found no Redis to write to: {type(error).__name__}")
    else:
        service.say("channels_discovered", f"cls-discovery found {len(CLS)} channels", channels=len(CLS))


if __name__ == "__main__":
    asyncio.run(main())
