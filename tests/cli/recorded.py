"""State directories as the daemon leaves them, of nights that were made up."""

from __future__ import annotations

import json
from pathlib import Path

from monitord.storage.reader import Check
from monitord.storage.store import CycleRecord, Store
from tests.core.nights import ORDERS, Night

from .program import PATIENCE

SETTINGS = {
    "MONITORD_ORDERS__SERVICES": json.dumps(dict(ORDERS.services)),
    "MONITORD_REDIS__QUEUES": '["tree-builder"]',
    "MONITORD_PIPELINE__WATCH": "false",
}


async def leave(directory: Path, night: Night) -> None:
    """What the daemon leaves of a night in its state directory."""
    store = Store(directory)
    await store.load(PATIENCE)
    for look in night.looks:
        decision = look.decision
        check = Check("schedule", look.observation.now, 1.0, decision.orders)
        await store.save(CycleRecord(decision.state, look.observation, check, decision.transitions), PATIENCE)
        assert store.problem is None
    await store.close(PATIENCE)
