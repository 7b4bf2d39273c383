"""A daemon that watches the real fleet, and is quick about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitord.demo.stack import Stack

from .watched import Watched

FAST = {
    "MONITORD_CHECK_INTERVAL": "1s",
    "MONITORD_PROBE_TIMEOUT": "1500ms",
    "MONITORD_ORDERS__CONFIRM_EVERY": "500ms",
    # Wide enough for a busy machine; each test that is about sealing or flow narrows them.
    "MONITORD_EPOCHS__GRACE": "8s",
    "MONITORD_ORDERS__SEAL_WARNING": "60s",
    "MONITORD_ORDERS__SEAL_CRITICAL": "120s",
    "MONITORD_ORDERS__FLOW_STALL": "60s",
    "MONITORD_ORDERS__GROWTH_WINDOW": "10s",
    "MONITORD_HTTP__LISTEN": "",
    # A node is asked once a second at most: the first answers would be awaited by every test.
    "MONITORD_CHAIN__RPC_URLS": "[]",
    # Trees of epochs of five seconds are behind on a busy machine, and that is true; the demonstration's tour has them.
    "MONITORD_PIPELINE__WATCH": "false",
}


@pytest.fixture
def environment(stack: Stack, tmp_path: Path) -> dict[str, str]:
    return stack.environment() | FAST | {"MONITORD_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
async def watched(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[Watched]:
    async with Watched(environment, tmp_path / "cwd") as watched:
        check = await watched.check()
        assert check["status"] == "ok", (check["message"], check["probes"], check["alerts"])
        yield watched
