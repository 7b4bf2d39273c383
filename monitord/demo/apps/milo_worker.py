"""milo-worker-v2: seals the premium channels."""

import asyncio

from monitord.demo.apps.sealer import Sealer
from monitord.demo.apps.service import DemoService

if __name__ == "__main__":
    service = DemoService("milo-worker-v2")
    asyncio.run(service.run(Sealer(service, "MILO").turn, every=0.5))
