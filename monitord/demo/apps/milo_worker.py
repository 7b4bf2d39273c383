"""milo-worker-v2: seals the premium channels."""

import asyncio

from monitord.demo.apps.sealer import Sealer
from monitord.demo.apps.service import Service

if __name__ == "__main__":
    service = Service("milo-worker-v2")
    asyncio.run(service.run(Sealer(service, "MILO").turn, every=0.5))
