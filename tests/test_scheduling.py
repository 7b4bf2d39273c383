"""The conductor watches the scheduler itself: a wall clock that is set back must not mean an hour without a cycle."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC
from pathlib import Path

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from monitord.daemon import Daemon
from monitord.logs import Log
from monitord.pm2.citizen import Citizen
from monitord.settings import load


class Silent(AsyncIOScheduler):  # type: ignore[misc] # APScheduler comes without types
    """A scheduler whose jobs are an hour away, as after a wall clock that was set back by one."""

    def _process_jobs(self) -> float:
        return 3600.0


async def test_cycles_go_on_when_the_scheduler_has_fallen_silent(tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
        "MONITORD_CHECK_INTERVAL": "100ms",
        "MONITORD_LOG_LEVEL": "debug",
        "MONITORD_PM2__HOME": "",
    }
    said = io.StringIO()
    log = Log(said, "debug")
    daemon = Daemon(
        load(environment, tmp_path), lambda: load(environment, tmp_path), log, Citizen(), Silent(timezone=UTC)
    )
    running = asyncio.create_task(daemon.run())
    try:
        async with asyncio.timeout(30):
            while said.getvalue().count('"cycle_completed"') < 2:
                await asyncio.sleep(0.05)
                assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    events = [json.loads(line)["event"] for line in said.getvalue().splitlines()]
    assert "internal_error" not in events
