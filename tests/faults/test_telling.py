"""Telling end to end: a daemon that is killed, receivers that are dead, and what comes through all the same."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .watched import Watched

PATIENCE = 60.0


class Hooks:
    """A receiver of webhooks. `answer` is what it says; "" means that it takes what comes and never answers."""

    def __init__(self) -> None:
        self.answer = "204 No Content"
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.came = asyncio.Condition()
        self._held: set[asyncio.StreamWriter] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((line for line in head.split("\r\n") if line.lower().startswith("content-length")), ":0")
            body = await reader.readexactly(int(length.partition(":")[2]))
            async with self.came:
                self.headers.append(head)
                if body.startswith(b"{"):
                    self.bodies.append(json.loads(body))
                self.came.notify_all()
            if not self.answer:
                self._held.add(writer)
                return
            writer.write(f"HTTP/1.1 {self.answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    async def until(self, **wanted: str) -> dict[str, Any]:
        """The first event of this type and rule; fails after a minute."""
        async with asyncio.timeout(PATIENCE), self.came:
            while not (found := self.found(**wanted)):
                await self.came.wait()
            return found[0]

    def found(self, type: str, rule: str = "") -> list[dict[str, Any]]:  # noqa: A002 - what CloudEvents calls it
        return [
            body for body in self.bodies if body["type"] == type and (not rule or body["data"]["alert"]["rule"] == rule)
        ]

    def leave(self) -> None:
        for writer in self._held:
            writer.close()


@pytest.fixture
async def hooks() -> AsyncIterator[tuple[Hooks, int]]:
    hooks = Hooks()
    server = await asyncio.start_server(hooks, "127.0.0.1", 0)
    yield hooks, server.sockets[0].getsockname()[1]
    hooks.leave()
    server.close()


def settings(directory: Path, port: int, **more: str) -> dict[str, str]:
    """A watch without a fleet, whose Redis refuses: an alert that fires in a second."""
    return {
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_PM2__HOME": "",
        "MONITORD_HTTP__LISTEN": "",
        "MONITORD_CHECK_INTERVAL": "500ms",
        "MONITORD_ORDERS__CONFIRM_EVERY": "200ms",
        "MONITORD_REDIS__URL": "redis://127.0.0.1:1/0",
        "MONITORD_HOST__DISKS": "[]",
        "MONITORD_ORDERS__HOST_MEMORY": "0B",
        "MONITORD_NOTIFY__WEBHOOK_URL": f"http://127.0.0.1:{port}/hook?key=not-for-the-log",
        **more,
    }


FIRING = "monitord.alert.firing"


async def test_killed_while_the_receiver_takes_it_the_next_run_sends_the_same_again(
    hooks: tuple[Hooks, int], tmp_path: Path
) -> None:
    receiver, port = hooks
    receiver.answer = ""
    async with Watched(settings(tmp_path, port), tmp_path) as watched:
        first = await receiver.until(type=FIRING, rule="redis_unreachable")
        watched.process.send_signal(signal.SIGKILL)
        await watched.process.wait()
    receiver.answer = "204 No Content"
    async with Watched(settings(tmp_path, port), tmp_path) as watched:
        sent = await watched.until("notification_sent", channel="webhook")
        assert watched.said("alert_firing") == []
    events = receiver.found(FIRING, "redis_unreachable")
    assert len(events) == 2
    assert {event["id"] for event in events} == {first["id"]} == {sent["message_id"]}
    assert "not-for-the-log" not in "".join(json.dumps(line) for line in watched.lines)


async def test_killed_while_nobody_listens_the_next_run_tells_it_at_once(
    hooks: tuple[Hooks, int], tmp_path: Path
) -> None:
    receiver, port = hooks
    receiver.answer = "503 Service Unavailable"
    async with Watched(settings(tmp_path, port), tmp_path) as watched:
        failed = await watched.until("notification_failed", channel="webhook")
        watched.process.send_signal(signal.SIGKILL)
        await watched.process.wait()
    receiver.answer = "204 No Content"
    async with Watched(settings(tmp_path, port), tmp_path) as watched:
        sent = await watched.until("notification_sent", channel="webhook")
    assert sent["message_id"] == failed["message_id"]
    assert failed["error"].startswith(f"127.0.0.1:{port} ")


async def test_a_dead_way_out_is_told_through_the_one_that_lives_and_the_heartbeat_goes_on(
    hooks: tuple[Hooks, int], tmp_path: Path
) -> None:
    receiver, port = hooks
    more = {
        "MONITORD_NOTIFY__URLS": json.dumps(["json://127.0.0.1:1/nobody"]),
        "MONITORD_NOTIFY__HEARTBEAT_URL": f"http://127.0.0.1:{port}/ping",
    }
    async with Watched(settings(tmp_path, port, **more), tmp_path) as watched:
        event = await receiver.until(type=FIRING, rule="monitor_degraded")
        assert "delivery to json fails" in event["data"]["text"]
        fired = await watched.until("alert_firing", rule="monitor_degraded")
        assert fired["evidence"]["parts"] == ["notify json"]
        json_told = {line["alert_id"] for line in watched.said("notification_failed", channel="json")}
        assert fired["alert_id"] not in json_told
    pings = [head.split()[1].partition("?")[0] for head in receiver.headers if head.split()[1].startswith("/ping")]
    assert pings[:2] == ["/ping/start", "/ping"]
    assert "/ping/fail" not in pings


async def test_while_nobody_at_all_can_be_told_the_heartbeat_says_fail(
    hooks: tuple[Hooks, int], tmp_path: Path
) -> None:
    receiver, port = hooks
    more = {
        "MONITORD_NOTIFY__WEBHOOK_URL": "http://127.0.0.1:1/nobody",
        "MONITORD_NOTIFY__HEARTBEAT_URL": f"http://127.0.0.1:{port}/ping",
    }
    async with Watched(settings(tmp_path, port, **more), tmp_path), asyncio.timeout(PATIENCE), receiver.came:
        await receiver.came.wait_for(lambda: any(" /ping/fail?" in head for head in receiver.headers))


async def test_settings_read_again_change_the_ways_out_and_keep_what_waits(
    hooks: tuple[Hooks, int], tmp_path: Path
) -> None:
    receiver, port = hooks
    where = settings(tmp_path, port)
    del where["MONITORD_NOTIFY__WEBHOOK_URL"]
    env = tmp_path / ".env"
    env.write_text("MONITORD_NOTIFY__WEBHOOK_URL=http://127.0.0.1:1/nobody\n")
    async with Watched(where, tmp_path) as watched:
        failed = await watched.until("notification_failed", channel="webhook")
        env.write_text(f"MONITORD_NOTIFY__WEBHOOK_URL=http://127.0.0.1:{port}/hook\n")
        watched.process.send_signal(signal.SIGHUP)
        reloaded = await watched.until("settings_reloaded")
        event = await receiver.until(type=FIRING, rule="redis_unreachable")
    assert reloaded["changed"] == ["MONITORD_NOTIFY__WEBHOOK_URL"]
    assert event["id"] == failed["message_id"]


async def test_a_channel_that_comes_while_something_fires_is_told_so_once_by_a_reload_and_by_a_start(
    hooks: tuple[Hooks, int], tmp_path: Path
) -> None:
    receiver, port = hooks
    where = settings(tmp_path, port)
    address = where.pop("MONITORD_NOTIFY__WEBHOOK_URL")
    async with Watched(where, tmp_path) as watched:
        fired = await watched.until("alert_firing", rule="redis_unreachable")
        (tmp_path / ".env").write_text(f"MONITORD_NOTIFY__WEBHOOK_URL={address}\n")
        watched.process.send_signal(signal.SIGHUP)
        event = await receiver.until(type=FIRING, rule="redis_unreachable")
        await watched.until("notification_sent", channel="webhook")
    assert event["data"]["alert"]["alert_id"] == fired["alert_id"]
    more = settings(tmp_path, port, MONITORD_NOTIFY__URLS=json.dumps([f"json://127.0.0.1:{port}/second"]))
    async with Watched(more, tmp_path) as watched:
        sent = await watched.until("notification_sent", channel="json")
        assert sent["alert_id"] == fired["alert_id"]
        said = await watched.until("channel_cannot_close")
        assert said["channel"] == "json"
        await watched.check()
    async with Watched(more, tmp_path) as watched:
        await watched.check()
        await watched.check()
        assert watched.said("notification_sent") == []
    assert len(receiver.found(FIRING, "redis_unreachable")) == 1


async def test_a_receiver_that_asks_for_it_hears_nothing_until_its_time_is_over_and_then_one_digest(
    hooks: tuple[Hooks, int], tmp_path: Path
) -> None:
    receiver, port = hooks
    receiver.answer = "429 Too Many Requests\r\nRetry-After: 6"
    more = {"MONITORD_POSTGRES__DSN": "postgresql://127.0.0.1:1/nothing"}
    async with Watched(settings(tmp_path, port, **more), tmp_path) as watched:
        failed = await watched.until("notification_failed", channel="webhook")
        assert "asks to wait 6 s" in failed["error"]
        receiver.answer = "204 No Content"
        for rule in ("redis_unreachable", "postgres_unreachable"):
            await watched.until("alert_firing", rule=rule)
        digest = await receiver.until(type="monitord.digest")
        sent = await watched.until("notification_sent", channel="webhook")
    rules = {part["alert"]["rule"] for part in digest["data"]["parts"]}
    assert rules == {"redis_unreachable", "postgres_unreachable"}
    assert len(receiver.bodies) == 2  # the one that was refused, and the digest
    waited = datetime.fromisoformat(sent["timestamp"]) - datetime.fromisoformat(failed["timestamp"])
    assert waited >= timedelta(seconds=5.9)
