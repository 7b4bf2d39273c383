"""No user's hash or name is in anything that monitord writes, shows or sends; a proof that is asked for has its own."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from monitord.core.channel_account import streamer_key
from monitord.core.history.epochs import Calendar
from monitord.core.subjects.chain_facts import ChainSettings
from monitord.keccak import load_keccak256
from monitord.testing.servers.solana import WALLET, LocalChain
from tests.chain.conftest import serve
from tests.chain.test_nodes import Serve
from tests.cli.program import monitord
from tests.probes.test_pipeline import hashes, root_of

from .test_daemon import Start

__all__ = ["serve"]

HOUR = 3600
NAME = "planted_viewer"
PATIENCE = 30.0
SHOWN = ("/", "/alerts", "/report", "/api/status", "/api/report", "/api/alerts", "/metrics")
COMMANDS = (
    ("check",),
    ("check", "--format", "json"),
    ("check", "--format", "nagios"),
    ("status", "--format", "json"),
    ("report", "--since", "1h"),
    ("report", "--since", "1h", "--format", "html"),
    ("report", "--since", "1h", "--format", "json"),
    ("report", "--since", "1h", "--format", "markdown", "--compare"),
    ("alerts",),
    ("config",),
    ("logs", "--no-follow"),
    ("verify",),
    ("verify", "--format", "json"),
    ("check", "--explain"),
    ("backtest", "--since", "1h"),
    # What fails says no more.
    ("proof", "--channel", "nobody", "--epoch", "1762308000", "--user-hash", "ab" * 32),
)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts daemons, and ends them."""
    start = Start(tmp_path)
    yield start
    await start.close()


@pytest.fixture
async def planted(fleet_database: str) -> tuple[int, list[str], str]:
    """A label, the hashes that are everywhere in its tables, and a root that is not that of its participants."""
    label = Calendar(HOUR, 900.0).expected(time.time())
    users = hashes("marlon", 5)
    root = root_of("marlon", label, users)
    connection: Any = await asyncpg.connect(fleet_database, timeout=10)
    for channel, stored in (("marlon", root), ("jason", "ab" * 32), ("hollow", "0" * 64)):
        await connection.execute(
            "INSERT INTO sealed_epochs VALUES ($1, $2, $3, $4, 1, 'MILO')", label, channel, stored, label + HOUR + 60
        )
        rows = [(label, channel, n, user, f"{NAME}_{n}", "MILO", "default") for n, user in enumerate(users)]
        await connection.copy_records_to_table("sealed_participants", records=rows)
        joined = [(label, channel, user, label, "MILO", "default") for user in users]
        await connection.copy_records_to_table("channel_participation", records=joined)
        signals = [(label, channel, user, "chat", 1.0, label) for user in users]
        await connection.copy_records_to_table("user_signals", records=signals)
        levels = json.dumps([users])
        await connection.execute(
            "INSERT INTO l2_tree_cache VALUES ($1, $2, $3, $4, 4, 1)", label, channel, root, levels
        )
    await connection.close(timeout=5)
    return label, users, root


async def test_what_is_planted_is_in_no_log_page_snapshot_message_metric_or_error(
    start: Start, serve: Serve, fleet_database: str, planted: tuple[int, list[str], str], tmp_path: Path
) -> None:
    label, users, root = planted
    chain, own = LocalChain(), ChainSettings()
    chain.deploy(own.program, 377_000_001)
    for mint in own.tokens.values():
        chain.put_mint(mint, 5_000)
    chain.put_wallet(WALLET, 0.25)
    for channel, on_chain in (("marlon", root), ("jason", "ab" * 32), ("hollow", "cd" * 32)):
        key = streamer_key(channel, load_keccak256())
        chain.publish(own.program, own.tokens["MILO"], key, label, bytes.fromhex(on_chain))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    case = {"channel": "marlon", "epoch": label, "user_hash": users[2], "root": root, "participants": 5}
    settings = {
        "MONITORD_CHECK_INTERVAL": "1s",
        "MONITORD_POSTGRES__DSN": fleet_database,
        "MONITORD_PIPELINE__TEST_CASES": json.dumps([case]),
        "MONITORD_PIPELINE__VERIFY": "all",
        "MONITORD_HTTP__LISTEN": f"127.0.0.1:{port}",
        "MONITORD_CHAIN__RPC_URLS": json.dumps([await serve(chain)]),
        "MONITORD_CHAIN__WALLETS": json.dumps({WALLET: 1.0}),
    }
    daemon = await start(settings)
    await daemon.said("alert_firing", rule="root_mismatch")
    await daemon.said("alert_firing", rule="root_empty")
    await daemon.said("alert_firing", rule="chain_root_differs")
    await daemon.said("alert_firing", rule="wallet_low")
    written = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as page:
        known = (await page.get("/api/status")).json()["pipeline"]["test_cases"]
        (case_now,) = known.values()
        said = "Ready for the on-chain test: marlon"
        assert (case_now.pop("summary")[: len(said)], case_now.pop("ready")) == (said, True)
        assert case_now == {"root": True, "participants": True, "proof": True, "published": True, "chain": True}
        written += [(await page.get(path)).text for path in SHOWN]
    shell = start.environment(settings)
    shown = {}
    # In threads: the chain that they ask is served by this loop.
    commands = [asyncio.to_thread(monitord, *one, directory=tmp_path, settings=shell) for one in COMMANDS]
    for arguments, done in zip(COMMANDS, await asyncio.gather(*commands), strict=True):
        written += [done.stdout, done.stderr]
        shown[arguments[0], arguments[-1]] = done.stdout
    assert "Traceback" not in "".join(written)
    check = " ".join(shown["check", "check"].split())
    assert "recomputed roots: MILO M" in check, "a check has what the daemon recomputed"
    assert "test case: ready for the on-chain test: marlon" in check
    assert "Prepare the test wallets with SOL" in shown["report", "1h"]
    proof = await asyncio.to_thread(
        monitord,
        *("proof", "--channel", "marlon", "--epoch", str(label), "--user-hash", users[2]),
        directory=tmp_path,
        settings=shell,
    )
    assert (proof.returncode, users[2] in proof.stdout) == (0, True)
    assert await daemon.stop() == 0
    everything = daemon.everything_written().decode("utf-8", "replace") + "".join(written)
    assert "holds user names beside the hashes" in everything
    assert NAME not in everything
    assert "planted-key" not in everything
    assert [user for user in users if user in everything or user.upper() in everything] == []
