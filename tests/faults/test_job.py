"""The daemon as a background job: signals that its shell has ignored for it are heard, and a storm of them is borne."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import environment
from tests.faults.watched import PATIENCE, Hosted
from tests.support import forked

STORM = 1000
APART = 0.05
"""In place of the second between two checks on demand."""


def quiet(directory: Path) -> dict[str, str]:
    return {
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_PM2__HOME": "",
        "MONITORD_HTTP__LISTEN": "",
        "MONITORD_CHECK_INTERVAL": "1h",
    }


def test_it_stops_in_good_order_though_it_was_started_with_interrupts_ignored(tmp_path: Path) -> None:
    ignored = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    env = environment(tmp_path, quiet(tmp_path))
    with forked.Popen(["run"], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL, ignored=ignored) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "monitord_ready":
                process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


async def test_a_thousand_signals_make_few_checks_and_the_last_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Hosted(quiet(tmp_path), tmp_path, monkeypatch, pace=APART) as daemon:
        loop, began, mark = asyncio.get_running_loop(), asyncio.get_running_loop().time(), len(daemon.lines)
        for _ in range(STORM):
            daemon.signal(signal.SIGUSR1)
            await asyncio.sleep(0)
        await daemon.until("check_completed", mark, trigger="signal")
        over = len(daemon.said("check_completed", mark, trigger="signal"))
        daemon.signal(signal.SIGUSR1)
        async with asyncio.timeout(PATIENCE):
            while len(daemon.said("check_completed", mark, trigger="signal")) <= over:  # noqa: ASYNC110 - lines come
                await asyncio.sleep(0.01)
        checks = len(daemon.said("check_completed", mark, trigger="signal"))
        assert 2 <= checks <= 2 + (loop.time() - began) / APART
