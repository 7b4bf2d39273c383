"""State directories as the daemon leaves them, of nights that were made up."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from monitord.core.history.model import History
from monitord.core.rollups import RunningHour
from monitord.core.series import RollupContext
from monitord.storage.reader import CheckRun
from monitord.storage.store import CycleRecord, Store
from tests.core.nights import ORDERS, Night
from tests.support.memory import memory_directory

from .program import PATIENCE

SETTINGS = {
    "MONITORD_ORDERS__SERVICES": json.dumps(dict(ORDERS.services)),
    "MONITORD_REDIS__QUEUES": '["tree-builder"]',
    "MONITORD_PIPELINE__WATCH": "false",
}


async def leave(directory: Path, night: Night, *, rolled_up: bool = False) -> RunningHour:
    """What the daemon leaves of a night in its state directory; `rolled_up`: with what it keeps by the hour.

    It is written in memory, where there is such a directory: a disk makes each of the cycles wait.
    Returns the hour that runs.
    """
    with tempfile.TemporaryDirectory(dir=memory_directory()) as made:
        hour = await _leave(Path(made) / "state", night, rolled_up=rolled_up)
        shutil.copytree(Path(made) / "state", directory, dirs_exist_ok=True)
    return hour


async def _leave(directory: Path, night: Night, *, rolled_up: bool) -> RunningHour:
    store = Store(directory)
    await store.load(PATIENCE)
    hour, before = RunningHour(), History()
    for look in night.looks:
        decision = look.decision
        check = CheckRun("schedule", look.observation.now, 1.0, decision.orders)
        record = CycleRecord(decision.state, look.observation, check, decision.transitions)
        if rolled_up:
            history = decision.state.history
            context = RollupContext(decision.report, before, history, decision.events, decision.orders)
            is_whole = "monitord" in look.observation.readings
            rows = hour.saw(context, look.observation.now.timestamp(), whole=is_whole)
            record, before = replace(record, hour=hour.fields, rollups=rows), history
        await store.save(record, PATIENCE)
        assert store.problem is None
    await store.close(PATIENCE)
    return hour
