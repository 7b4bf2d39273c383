"""What comes at its hour, and what goes on when the hours themselves go wrong.

The scheduler watches APScheduler: a wall clock that is set back must not mean an hour without a cycle.
"""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from monitord.config.loader import load
from monitord.logging.logger import JsonLog
from monitord.pm2.ipc import IpcChannel
from monitord.runtime import scheduler
from monitord.runtime.daemon import VERDICT_JOB, Daemon
from tests.notify.conftest import Receive, receive
from tests.notify.receivers import status

__all__ = ["receive"]

Line = dict[str, Any]


class Silent(AsyncIOScheduler):  # type: ignore[misc] # APScheduler comes without types
    """A scheduler whose jobs are an hour away, as after a wall clock that was set back by one."""

    def _process_jobs(self) -> float:
        return 3600.0


class AtOnce(AsyncIOScheduler):  # type: ignore[misc] # APScheduler comes without types
    """A scheduler that has the hour of the verdict come as soon as it starts."""

    def start(self, paused: bool = False) -> None:
        self.modify_job(VERDICT_JOB, next_run_time=datetime.now(UTC))
        super().start(paused)


def environment(directory: Path, **more: str) -> dict[str, str]:
    return {
        "HOME": str(directory),
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_CHECK_INTERVAL": "20ms",
        "MONITORD_LOG_LEVEL": "debug",
        "MONITORD_PM2__HOME": "",
        "MONITORD_HTTP__LISTEN": "",
    } | more


async def said_by(directory: Path, hours: AsyncIOScheduler, event: str, times: int, **more: str) -> list[Line]:
    """What a daemon whose hours come by this scheduler has said by the time it has said an event so often."""
    settings = environment(directory, **more)
    said = io.StringIO()
    daemon = Daemon(
        load(settings, directory), lambda: load(settings, directory), JsonLog(said, "debug"), IpcChannel(), hours
    )
    running = asyncio.create_task(daemon.run())
    try:
        async with asyncio.timeout(30):
            while said.getvalue().count(f'"{event}"') < times:
                await asyncio.sleep(0.005)
                assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return [json.loads(line) for line in said.getvalue().splitlines()]


async def test_the_morning_verdict_is_told_when_its_hour_comes_and_the_watch_goes_on(tmp_path: Path) -> None:
    lines = await said_by(
        tmp_path, AtOnce(timezone=UTC), "verdict_reported", 1, MONITORD_REPORT_VERDICT_SCHEDULE="0 7 * * *"
    )
    (told,) = [line for line in lines if line["event"] == "verdict_reported"]
    assert (told["verdict"], told["level"]) == ("UNKNOWN", "warning")
    assert told["blind_minutes"] < 700  # what was not recorded yet is no blind time
    assert {criterion["name"] for criterion in told["criteria"]} >= {"services_online", "nothing_critical"}
    assert all(criterion["evidence"] for criterion in told["criteria"])
    assert "internal_error" not in {line["event"] for line in lines}


async def test_no_verdict_is_told_unless_it_is_scheduled(tmp_path: Path) -> None:
    lines = await said_by(tmp_path, AsyncIOScheduler(timezone=UTC), "cycle_completed", 3)
    assert "verdict_reported" not in {line["event"] for line in lines}


async def test_cycles_go_on_when_the_scheduler_has_fallen_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "OVERDUE_SECONDS", 0.02)
    lines = await said_by(tmp_path, Silent(timezone=UTC), "cycle_completed", 2)
    assert "internal_error" not in {line["event"] for line in lines}


async def test_a_check_that_is_taken_once_an_hour_is_confirmed_at_once_and_leaves_no_secret(
    tmp_path: Path, receive: Receive
) -> None:
    receiver = await receive(status("500 Internal Server Error"))
    secret = "planted-token-77aa"
    of_shop = {
        "type": "http",
        "url": f"http://me:{secret}@127.0.0.1:{receiver.port}/{secret}",
        "headers": {"X-Token": secret},
        "every": "1h",
    }
    checks = {"shop": of_shop, "well": {**of_shop, "status": 500}}
    lines = await said_by(
        tmp_path,
        AsyncIOScheduler(timezone=UTC),
        "alert_firing",
        1,
        MONITORD_CHECKS=json.dumps(checks),
        MONITORD_CHECK_INTERVAL="1h",
        MONITORD_ORDERS__CONFIRM_EVERY="50ms",
    )
    (fired,) = [line for line in lines if line["event"] == "alert_firing"]
    assert (fired["rule"], fired["subject"], fired["value"]) == ("endpoint_down", "shop", 500)
    assert len(receiver.requests) == 3  # what is well was not asked again for the other's sake
    written = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert len(written) >= 1
    assert not [kept for kept in (json.dumps(lines).encode(), *written) if secret.encode() in kept]
