"""The page in a real daemon: its signals, its stop, its reload, a port that is taken."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitord.storage.schema import FILE
from tests.faults.watched import PATIENCE, Hosted, Watched
from tests.notify.conftest import Receive, receive  # noqa: F401 - the fixture

TOKEN = "a-token-of-the-tests"
STOP_SECONDS = 5.0
PACE = 0.05
"""In place of the second between two reloads, and between two checks upon what was heard."""


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(directory: Path, port: int, **more: str) -> dict[str, str]:
    return {
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_PM2__HOME": "",
        "MONITORD_CHECK_INTERVAL": "50ms",
        "MONITORD_HTTP__LISTEN": f"127.0.0.1:{port}",
        **more,
    }


@pytest.fixture
async def page() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port()}", timeout=PATIENCE) as client:
        yield client


def port_of(page: httpx.AsyncClient) -> int:
    return int(page.base_url.port or 0)


async def told(answer: httpx.Response, event: str) -> Any:
    """The next event of this name."""
    async with asyncio.timeout(PATIENCE):
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: ") and name == event:
                return json.loads(line.removeprefix("data: "))
    raise AssertionError(f"the stream ended without {event}")


async def test_the_page_is_there_once_the_daemon_is_ready_and_the_daemons_signals_stay_its_own(
    tmp_path: Path, page: httpx.AsyncClient
) -> None:
    async with Watched(settings(tmp_path, port_of(page)), tmp_path) as daemon:
        await daemon.until("page_listening")
        assert (await page.get("/")).status_code == 200
        assert (await page.get("/healthz")).json()["status"] == "ok"
        await daemon.check()
        told_now = (await page.get("/api/status")).json()
        assert told_now["pid"] == daemon.process.pid
        assert told_now["probes"]["host"]["status"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_open_stream_does_not_hold_up_the_stop(
    tmp_path: Path, page: httpx.AsyncClient, number: signal.Signals
) -> None:
    async with Watched(settings(tmp_path, port_of(page)), tmp_path) as daemon:
        await daemon.until("page_listening")
        async with page.stream("GET", "/events") as stream:
            assert (await told(stream, "cycle"))["status"] in ("ok", "warning", "critical", "unknown")
            daemon.process.send_signal(number)
            async with asyncio.timeout(STOP_SECONDS):
                assert await daemon.process.wait() == 0
    assert daemon.said("monitord_stopped")
    assert daemon.said("internal_error") == []
    assert daemon.said("library_message") == []


async def test_a_port_that_is_taken_costs_the_page_and_a_reload_brings_it(
    tmp_path: Path, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        # What is in the file may change under a daemon; what is in its environment cannot.
        dotenv = tmp_path / ".env"
        given = settings(tmp_path, taken)
        address = given.pop("MONITORD_HTTP__LISTEN")
        dotenv.write_text(f"MONITORD_HTTP__LISTEN={address}\n")
        async with Hosted(given, tmp_path, monkeypatch, pace=PACE) as daemon:
            line = await daemon.until("page_unavailable")
            assert (line["level"], line["kind"]) == ("warning", "in_use")
            await daemon.check()

            dotenv.write_text(f"MONITORD_HTTP__LISTEN=127.0.0.1:{port_of(page)}\n")
            daemon.signal(signal.SIGHUP)
            await daemon.until("page_listening")
            assert (await page.get("/healthz")).status_code == 200
            assert len(daemon.said("page_unavailable")) == 1

            mark = len(daemon.lines)
            dotenv.write_text(f"MONITORD_HTTP__LISTEN=127.0.0.1:{port_of(page)}\nMONITORD_HTTP__TOKEN={TOKEN}\n")
            daemon.signal(signal.SIGHUP)
            await daemon.until("page_listening", mark)
            assert (await page.post("/api/check")).status_code == 401
            assert (await page.post("/api/check", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 202

            mark = len(daemon.lines)
            dotenv.write_text("MONITORD_HTTP__LISTEN=\n")
            daemon.signal(signal.SIGHUP)
            await daemon.until("settings_reloaded", mark)
            with pytest.raises(httpx.TransportError):
                await page.get("/healthz")
            await daemon.check()


async def test_a_check_is_made_at_once_and_a_silence_reaches_the_state_directory(
    tmp_path: Path, page: httpx.AsyncClient
) -> None:
    given = settings(tmp_path, port_of(page), MONITORD_HTTP__TOKEN=TOKEN)
    async with Watched(given, tmp_path) as daemon:
        await daemon.until("page_listening")
        by = {"authorization": f"Bearer {TOKEN}"}
        asked = len(daemon.lines)
        assert (await page.post("/api/check", headers=by)).status_code == 202
        await daemon.until("check_completed", asked, trigger="http")
        assert (await page.post("/api/silences", json={"subject": "gateway"}, headers=by)).status_code == 202
    assert TOKEN not in json.dumps(daemon.lines)
    assert (tmp_path / "state" / FILE).exists()


async def test_a_job_that_was_answered_is_judged_though_the_daemon_is_killed_at_that_moment(
    tmp_path: Path, page: httpx.AsyncClient
) -> None:
    checks = json.dumps({"backup": {"type": "checkin", "period": "1d", "depends_on": ["host"]}})
    more = {"MONITORD_CHECKS": checks, "MONITORD_CHECK_INTERVAL": "1h", "MONITORD_ORDERS__CONFIRM_EVERY": "100ms"}
    given = settings(tmp_path, port_of(page)) | more
    async with Watched(given, tmp_path) as daemon:
        await daemon.until("page_listening")
        assert (await page.get("/api/status")).json()["checks"]["backup"]["status"] == "unknown"
        assert (await page.post("/ping/backup/3", content=b"what it has logged")).status_code == 200
        daemon.process.kill()
        await daemon.process.wait()
    with pytest.raises(httpx.TransportError):  # nobody hears it, and the job is told so
        await page.post("/ping/backup")
    async with Watched({**given, "MONITORD_CHECK_INTERVAL": "50ms"}, tmp_path) as daemon:
        line = await daemon.until("alert_firing", rule="checkin_failed")
        assert (line["subject"], line["value"], line["severity"]) == ("backup", 3, "warning")
        await daemon.until("page_listening")
        assert (await page.get("/ping/backup")).status_code == 200
        resolved = await daemon.until("alert_resolved", rule="checkin_failed")
        assert "backup has reported that all went well" in resolved["message"]
        assert (await page.get("/api/status")).json()["checks"]["backup"]["status"] == "ok"
    assert daemon.said("internal_error") == []


async def test_what_comes_in_through_the_page_waits_for_no_cycle(
    tmp_path: Path, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = json.dumps({"backup": {"type": "checkin", "period": "1d"}})
    more = {"MONITORD_CHECKS": checks, "MONITORD_CHECK_INTERVAL": "1h", "MONITORD_ORDERS__CONFIRM_EVERY": "20ms"}
    given = settings(tmp_path, port_of(page), MONITORD_HTTP__TOKEN=TOKEN) | more
    by = {"authorization": f"Bearer {TOKEN}"}
    async with Hosted(given, tmp_path, monkeypatch, pace=PACE) as daemon:
        await daemon.until("page_listening")
        mark = len(daemon.lines)
        assert (await page.post("/ping/backup/fail", headers=by)).status_code == 200
        fired = await daemon.until("alert_firing", mark, rule="checkin_failed")
        assert (await page.post(f"/api/alerts/{fired['alert_id']}/ack", headers=by)).status_code == 202
        await daemon.until("alert_acknowledged", mark, subject="backup")
        assert (await page.post("/api/silences", json={"subject": "host"}, headers=by)).status_code == 202
        await daemon.until("silence_added", mark, subject="host")
        assert (await page.post("/ping/backup", headers=by)).status_code == 200
        await daemon.until("alert_resolved", mark, rule="checkin_failed")
        assert daemon.said("check_completed", mark) == [], "nobody asked for a whole check, and no cycle was due"
    assert daemon.said("internal_error") == []


async def test_a_link_of_a_message_acknowledges_its_alert_once_also_after_a_restart(
    tmp_path: Path,
    page: httpx.AsyncClient,
    receive: Receive,  # noqa: F811 - the fixture
) -> None:
    receiver = await receive()
    given = settings(
        tmp_path,
        port_of(page),
        MONITORD_HTTP__TOKEN=TOKEN,
        MONITORD_HTTP__PUBLIC_URL=str(page.base_url),
        MONITORD_NOTIFY__WEBHOOK_URL=receiver.url,
        MONITORD_ORDERS__DISK_WARNING="0%",
        MONITORD_ORDERS__DISK_CRITICAL="100%",
        MONITORD_ORDERS__CONFIRM_EVERY="0s",
    )
    async with Watched(given, tmp_path) as daemon:
        await daemon.until("notification_sent")
    data = receiver.requests[0].json()["data"]
    async with Watched(given, tmp_path) as daemon:
        await daemon.until("page_listening")
        assert (await page.get(data["url"])).status_code == 200
        assert '<form method="post">' in (await page.get(data["acknowledge_url"])).text
        assert daemon.said("alert_acknowledged") == []
        assert (await page.post(data["acknowledge_url"])).status_code == 200
        line = await daemon.until("alert_acknowledged")
        assert line["alert_id"] == data["alert"]["alert_id"]
        await daemon.check()
        again = await page.post(data["acknowledge_url"])
        assert (again.status_code, "acknowledged already" in again.text) == (200, True)
    written = "".join(path.read_text() for path in (tmp_path / "state" / "logs").iterdir())
    assert data["acknowledge_url"].rpartition(".")[2] not in written
