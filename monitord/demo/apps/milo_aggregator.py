"""milo-aggregator: derives who took part in the premium channels."""

import asyncio

from monitord.demo.apps.aggregating import Aggregator
from monitord.demo.apps.service import Service

if __name__ == "__main__":
    service = Service("milo-aggregator")
    asyncio.run(service.run(Aggregator(service, "MILO").turn, every=0.7))
