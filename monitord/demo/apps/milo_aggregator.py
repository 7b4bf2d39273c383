"""milo-aggregator: derives who took part in the premium channels."""

import asyncio

from monitord.demo.apps.sealing import Aggregator
from monitord.demo.apps.service import DemoService

if __name__ == "__main__":
    service = DemoService("milo-aggregator")
    asyncio.run(service.run(Aggregator(service, "MILO").turn, every=0.7))
