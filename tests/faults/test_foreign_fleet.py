"""A fleet that is not the one the defaults are of, from `init` to a GO, with no word of the other in what is said.

Other names, `orders` for a table, no epochs, and two queues under a prefix of their own.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from monitord.core.status import read_status
from monitord.reporting.pm2_answers import metrics
from monitord.testing.sandbox import free_port
from monitord.testing.servers.pm2 import Pm2Server
from tests.cli.program import monitord

from .watched import Watched

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

SERVICES = ("shop-api", "mail-worker", "web")
# What belongs to another fleet: its services, its table, its groups, and what is done with epochs.
FOREIGN = re.compile(
    r"milo|\bcls\b|seal|epoch|claim|user_signals|gateway|tree.?builder|aggregator|listener|discovery|collection|merkle",
    re.IGNORECASE,
)
# The contract's own names of what is off: they stay in JSON, empty.
KEYS = frozenset({"epochs", "current_epoch"})


def foreign(text: str) -> set[str]:
    return {match.lower() for match in FOREIGN.findall(text)}


def without_keys(value: Any) -> Any:
    """A document without the fields that are empty here by contract; that they are empty is checked."""
    if isinstance(value, dict):
        assert value.get("epochs", {}) in ({}, {"status": "off", "duration_ms": None})
        assert value.get("current_epoch") is None
        return {name: without_keys(part) for name, part in value.items() if name not in KEYS}
    return [without_keys(part) for part in value] if isinstance(value, list) else value


class Shop:
    """The fleet's writer of orders, and where the fleet is."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.open = asyncio.Event()
        self.open.set()

    async def sell(self) -> None:
        """Orders come as long as the shop is open."""
        connection = await asyncpg.connect(self._dsn, timeout=10)
        try:
            while True:
                await self.open.wait()
                await connection.execute("INSERT INTO orders (placed_at) VALUES (now())")
                await connection.execute("SELECT pg_stat_force_next_flush()")
                await asyncio.sleep(0.05)
        finally:
            await connection.close(timeout=5)


@pytest.fixture
async def shop(
    empty_pm2: Pm2Server, empty_database: str, empty_valkey: str, tmp_path: Path
) -> AsyncIterator[tuple[Shop, dict[str, str]]]:
    """The fleet, and the settings that an operator has by heart: where its servers are."""
    program = tmp_path / "service.py"
    program.write_text("import time\nwhile True: time.sleep(60)\n")
    common = {"interpreter": "/usr/bin/env", "interpreter_args": "python3", "cwd": str(tmp_path)}
    await empty_pm2.start_apps({"apps": [common | {"name": name, "script": str(program)} for name in SERVICES]})
    connection = await asyncpg.connect(empty_database, timeout=10)
    try:
        await connection.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, placed_at timestamptz)")
    finally:
        await connection.close(timeout=5)
    async with Redis.from_url(empty_valkey, socket_timeout=10) as redis:
        for queue in ("emails", "invoices"):
            await redis.hset(f"myapp:{queue}:meta", "opts.maxLenEvents", "10000")
            await redis.rpush(f"myapp:{queue}:wait", "1")
    shop = Shop(empty_database)
    selling = asyncio.create_task(shop.sell())
    yield (
        shop,
        {
            "MONITORD_PM2__HOME": str(empty_pm2.home),
            "DATABASE_URL": empty_database,
            "REDIS_URL": empty_valkey,
        },
    )
    selling.cancel()
    with suppress(asyncio.CancelledError):
        await selling


def fetched(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as response:
        return str(response.read().decode())


async def test_a_foreign_fleet_is_watched_from_init_to_a_go_without_a_word_of_another(
    shop: tuple[Shop, dict[str, str]], empty_pm2: Pm2Server, tmp_path: Path, eventually: Eventually
) -> None:
    seller, known = shop
    home = tmp_path / "cwd"
    home.mkdir()
    port = free_port()
    quick = {
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
        "MONITORD_CHECK_INTERVAL": "500ms",
        "MONITORD_ORDERS__CONFIRM_EVERY": "200ms",
        "MONITORD_ORDERS__FLOW_STALL": "3s",
        "MONITORD_ORDERS__DISK_WARNING": "99.9%",
        "MONITORD_ORDERS__DISK_CRITICAL": "100%",
        "MONITORD_ORDERS__GROWTH_STEADY": "100000000",
        "MONITORD_HTTP__LISTEN": f"127.0.0.1:{port}",
    }

    async def run(*arguments: str) -> str:
        done = await asyncio.to_thread(monitord, *arguments, directory=home, settings=known | quick)
        return done.stdout + done.stderr

    async def fields(*arguments: str) -> dict[str, Any]:
        done = await asyncio.to_thread(monitord, *arguments, directory=home, settings=known | quick)
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    # init finds what is there, and proposes nothing else.
    done = await asyncio.to_thread(monitord, "init", directory=home, settings=known)
    assert done.returncode == 0
    (home / ".env").write_text(done.stdout, encoding="utf-8")
    for word in (*SERVICES, '["orders"]', "emails", "invoices", "myapp"):
        assert word in done.stdout, done.stdout
    said = {"init": done.stdout + done.stderr, "config": await run("config")}
    said["config"] = "\n".join(
        line for line in said["config"].splitlines() if not re.match(r"\s*MONITORD_(EPOCHS__|ORDERS__SEAL)", line)
    )

    async with Watched(known | quick, home) as watched:

        async def go() -> bool:
            report = await fields("report", "--since", "4s", "--format", "json")
            return bool(report["verdict"] == "GO")

        await eventually(go)
        check = await watched.check()
        assert (check["status"], check["probes"]["epochs"]["status"]) == ("ok", "off")
        assert set(check["growth"]) == {"orders"}
        assert check["growth"]["orders"]["rows"] is not None
        assert {name: queue["waiting"] for name, queue in check["redis"]["queues"].items()} == {
            "emails": 1,
            "invoices": 1,
        }

        async def look(when: str) -> None:
            for command in ("check", "status"):
                for style in ("text", "json") + (("nagios",) if command == "check" else ()):
                    said[f"{command} {style} {when}"] = await run(command, "--format", style)
            for style in ("text", "markdown", "html", "json"):
                said[f"report {style} {when}"] = await run("report", "--since", "4s", "--format", style)
            for style in ("text", "json"):
                said[f"alerts {style} {when}"] = await run("alerts", "--format", style)
                said[f"backtest {style} {when}"] = await run("backtest", "--since", "1m", "--format", style)
            for page in ("", "alerts", "report", "silences", "metrics", "api/status"):
                said[f"/{page} {when}"] = await asyncio.to_thread(fetched, f"http://127.0.0.1:{port}/{page}")

        await look("well")
        # A stopped mail worker explains nothing of the orders: nobody declared that it writes them.
        mark = len(watched.lines)
        await empty_pm2("stop", "mail-worker")
        seller.open.clear()
        await watched.until("alert_firing", mark, rule="service_down", subject="mail-worker")
        await watched.until("alert_firing", mark, rule="table_flow_stalled", subject="orders")
        await look("broken")
        seller.open.set()
        await empty_pm2("start", "mail-worker")
        await watched.until("alert_resolved", mark, rule="service_down", subject="mail-worker")
        await watched.until("alert_resolved", mark, rule="table_flow_stalled", subject="orders")

    lines = watched.lines
    (off,) = [line for line in lines if line["event"] == "probe_off" and line["what"] == "epochs"]
    assert off["variable"] == "MONITORD_EPOCHS__GROUPS"
    said["log"] = "\n".join(json.dumps(without_keys(line)) for line in lines if line is not off)
    shown = metrics(read_status(check), datetime.now(UTC), 1.0, "heard")
    said["pm2 describe"] = " ".join(f"{name} {metric}" for name, metric in shown.items())
    for name, text in said.items():
        if text.startswith("{"):
            with suppress(ValueError):
                said[name] = json.dumps(without_keys(json.loads(text)))
    found = {name: words for name, text in said.items() if (words := foreign(text))}
    assert found == {}, "\n".join(line for name in found for line in said[name].splitlines() if foreign(line))[:4000]


@pytest.mark.parametrize("style", ["text", "nagios", "json"])
def test_while_nobody_could_be_asked_what_is_there_it_is_unknown_and_no_other_fleet_is_named(
    style: str, tmp_path: Path
) -> None:
    settings = {
        "MONITORD_POSTGRES__DSN": f"postgresql://watch@127.0.0.1:{free_port()}/shop",
        "MONITORD_POSTGRES__TABLES": '["orders"]',
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
    }
    done = monitord("check", "--format", style, directory=tmp_path, settings=settings)
    assert done.returncode == 2, done.stdout  # the server itself cannot be reached
    if style == "json":
        document = json.loads(done.stdout)
        assert document["probes"]["epochs"]["status"] == "failed"
        assert document["epochs"] == {}
        assert "orders" in document["growth"]
        return
    assert foreign(done.stdout + done.stderr) == set()
