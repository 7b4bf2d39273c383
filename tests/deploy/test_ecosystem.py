"""monitord under a real PM2, started by the file that is shipped for it."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitord.pm2 import client, process_list
from monitord.testing.sandbox import StackError, package_root
from monitord.testing.servers.pm2 import Pm2Server

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
Line = dict[str, Any]

WATCHED = {
    "MONITORD_CHECK_INTERVAL": "200ms",
    "MONITORD_ORDERS__CONFIRM_EVERY": "0s",
    "MONITORD_HTTP__LISTEN": "",
    # Nobody in it is monitord: whoever else PM2 has is unexpected.
    "MONITORD_ORDERS__SERVICES": '{"gateway": "online"}',
}


class Checkout:
    """A checkout as PM2 sees it, with the ecosystem file in its place; and what PM2 has of monitord."""

    def __init__(self, directory: Path, pm2: Pm2Server, eventually: Eventually) -> None:
        self.directory = directory
        self.pm2 = pm2
        self._eventually = eventually
        (directory / "deploy").mkdir(parents=True)
        shutil.copy(package_root() / "deploy" / "ecosystem.config.js", directory / "deploy")
        (directory / ".venv").symlink_to(sys.prefix)

    def settle(self, **more: str) -> None:
        """Write its .env."""
        settings = {"MONITORD_STATE_DIR": str(self.directory / "state"), **WATCHED, **more}
        (self.directory / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))

    async def start(self) -> None:
        await self.pm2("start", self.directory / "deploy" / "ecosystem.config.js")

    async def process(self) -> process_list.ListedProcess | None:
        """What PM2 says of monitord."""
        listed = await client.processes(self.pm2.home, timeout=5)
        return next((process for process in listed if process.name == "monitord"), None)

    async def status(self) -> str:
        process = await self.process()
        return "" if process is None else process.status

    def raw(self, which: str = "out") -> list[str]:
        """The lines of PM2's own log file."""
        with suppress(FileNotFoundError):
            whole, _, _ = (self.pm2.home / "logs" / f"monitord-{which}.log").read_text().rpartition("\n")
            return whole.split("\n") if whole else []
        return []

    @property
    def lines(self) -> list[Line]:
        """Everything in PM2's log files, stderr's last; each must be a JSON object with the fields every line has."""
        lines = [json.loads(raw) for raw in (*self.raw(), *self.raw("error"))]
        for line in lines:
            assert {"timestamp", "level", "event", "message"} <= line.keys()
        return lines

    def of(self, event: str, **fields: object) -> list[Line]:
        return [line for line in self.lines if line["event"] == event and fields.items() <= line.items()]

    async def said(self, event: str, *, times: int = 1, **fields: object) -> Line:
        """Wait until PM2's log has an event so many times; the latest of them."""

        async def so_often() -> list[Line]:
            found = self.of(event, **fields)
            return found if len(found) >= times else []

        latest: Line = (await self._eventually(so_often))[-1]
        return latest

    def exits(self) -> list[tuple[int, str]]:
        """With what code, and by what signal, PM2 saw monitord end each time."""
        log = (self.pm2.home / "pm2.log").read_text()
        found = re.findall(r"App \[monitord:\d+\] exited with code \[(\d+)\] via signal \[(\w+)\]", log)
        return [(int(code), by) for code, by in found]


@pytest.fixture
async def checkout(tmp_path: Path, empty_pm2: Pm2Server, eventually: Eventually) -> AsyncIterator[Checkout]:
    for log in (empty_pm2.home / "logs").glob("monitord-*.log"):
        log.unlink()
    checkout = Checkout(tmp_path / "checkout", empty_pm2, eventually)
    checkout.settle()
    (empty_pm2.home / "pm2.log").write_text("")
    yield checkout
    with suppress(StackError):
        await empty_pm2("delete", "monitord")


async def sleeper(pm2: Pm2Server, directory: Path, name: str) -> None:
    """A service that does nothing, under a name."""
    script = directory / "sleeper.py"
    script.write_text("import time\ntime.sleep(600)\n")
    await pm2.start_apps({"apps": [{"name": name, "script": str(script), "interpreter": sys.executable}]})


async def test_pm2_calls_it_online_only_once_its_first_check_is_done(checkout: Checkout) -> None:
    checkout.settle(MONITORD_LOG_LEVEL="debug")
    starting = asyncio.create_task(checkout.start())
    seen: list[str] = []
    while not seen or seen[-1] != "online":
        assert not (starting.done() and seen and seen[-1] == "errored"), checkout.raw("error")
        seen.append(await checkout.status())
        await asyncio.sleep(0.005)
    online_at = datetime.now(UTC)
    await starting
    assert "launching" in seen
    # Log files are written a little later than the word is said to PM2: what counts is when it was said.
    ready = await checkout.said("monitord_ready")
    first = await checkout.said("check_completed", trigger="startup")
    assert first["timestamp"] <= ready["timestamp"]
    assert datetime.fromisoformat(ready["timestamp"]) <= online_at
    assert checkout.raw("error") == []


async def test_sigusr1_through_pm2_is_a_check_and_many_at_once_are_few(checkout: Checkout) -> None:
    checkout.settle(MONITORD_LOG_LEVEL="debug")
    await checkout.start()
    await checkout.pm2("sendSignal", "SIGUSR1", "monitord")
    check = await checkout.said("check_completed", trigger="signal")
    assert check["probes"]["pm2"]["status"] == "ok"
    assert "gateway" in check["services"]
    before = len(checkout.of("check_completed", trigger="signal"))
    process = await checkout.process()
    assert process is not None
    assert process.pid is not None
    for _ in range(200):
        os.kill(process.pid, signal.SIGUSR1)
    await checkout.said("check_completed", trigger="signal", times=before + 1)
    cycles = len(checkout.of("cycle_completed"))
    await checkout.said("cycle_completed", times=cycles + 2)
    assert 1 <= len(checkout.of("check_completed", trigger="signal")) - before < 20
    assert await checkout.status() == "online"
    assert checkout.exits() == []


async def test_it_does_not_judge_itself_and_judges_whoever_else_is_not_in_the_roster(
    checkout: Checkout, tmp_path: Path
) -> None:
    await checkout.start()
    await sleeper(checkout.pm2, tmp_path, "stranger")
    await checkout.said("alert_firing", rule="service_unexpected", subject="stranger")
    await checkout.said("alert_firing", rule="service_missing", subject="gateway")
    await checkout.pm2("sendSignal", "SIGUSR1", "monitord")
    check = await checkout.said("check_completed", trigger="signal")
    assert set(check["services"]) == {"gateway", "stranger"}
    assert "monitord" not in {line["subject"] for line in checkout.of("alert_pending")}


async def test_a_restart_is_orderly_and_what_fires_goes_on_under_its_id_without_a_word(checkout: Checkout) -> None:
    await checkout.start()
    fired = await checkout.said("alert_firing", rule="service_missing", subject="gateway")
    first = await checkout.process()
    await checkout.pm2("restart", "monitord")
    await checkout.said("monitord_ready", times=2)
    second = await checkout.process()
    assert first is not None
    assert second is not None
    assert first.pid != second.pid
    assert [line["pid"] for line in checkout.of("monitord_stopped")] == [first.pid]
    await checkout.pm2("sendSignal", "SIGUSR1", "monitord")
    check = await checkout.said("check_completed", trigger="signal")
    assert [alert["alert_id"] for alert in check["alerts"]["firing"]] == [fired["alert_id"]]
    assert len(checkout.of("alert_firing")) == len(checkout.of("alert_pending")) == 1
    assert [code for code, _ in checkout.exits()] == [0]


async def test_a_stop_is_exit_code_0_without_a_sigkill(checkout: Checkout) -> None:
    await checkout.start()
    process = await checkout.process()
    await checkout.pm2("stop", "monitord")
    assert process is not None
    await checkout.said("monitord_stopped", pid=process.pid)
    assert await checkout.status() == "stopped"
    assert checkout.exits() == [(0, "SIGINT")]  # PM2 writes SIGINT where no signal ended it
    assert "SIGKILL" not in (checkout.pm2.home / "pm2.log").read_text()
    assert not psutil.pid_exists(process.pid or 0) or psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE


async def test_sigusr1_before_python_runs_its_first_line_does_not_end_it(
    checkout: Checkout, tmp_path: Path, eventually: Eventually
) -> None:
    # A machine so slow that it takes a second from the start of the program to its first line.
    born = tmp_path / "born"
    programs = checkout.directory / ".venv" / "bin"
    (checkout.directory / ".venv").unlink()
    programs.mkdir(parents=True)
    for name in ("monitord", "monitord-python"):
        shutil.copy(Path(sys.prefix) / "bin" / name, programs / name)
    python = programs / "python"
    python.write_text(f'#!/bin/sh\necho $$ > {born}.new && mv {born}.new {born}\nsleep 1\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    starting = asyncio.create_task(checkout.start())

    async def pid() -> int:
        return int(born.read_text()) if born.exists() else 0

    process = await eventually(pid)
    while not checkout.of("monitord_ready"):
        os.kill(process, signal.SIGUSR1)  # ProcessLookupError: it has died of it
        await asyncio.sleep(0.002)
    await starting
    assert checkout.exits() == []
    assert await checkout.status() == "online"
    os.kill(process, signal.SIGUSR1)  # all others may have come before it had a handler
    await checkout.said("check_completed", trigger="signal")


async def test_pm2_goes_on_trying_while_the_settings_are_wrong_and_one_day_they_are_right(
    checkout: Checkout, eventually: Eventually
) -> None:
    checkout.settle(MONITORD_CHECK_INTERVAL="often")
    starting = asyncio.create_task(checkout.start())

    async def twice() -> bool:
        return len(checkout.exits()) >= 2

    await eventually(twice)
    assert {code for code, _ in checkout.exits()} == {2}
    assert {line["event"] for line in checkout.lines} == {"settings_rejected"}
    assert len(checkout.raw("error")) >= 2
    assert checkout.raw() == []
    checkout.settle()
    await checkout.said("monitord_ready")
    with suppress(StackError):
        await starting


# What PM2 shows of it, and what it may be asked


async def test_pm2_describe_shows_what_monitord_sees(checkout: Checkout, eventually: Eventually) -> None:
    await checkout.start()
    await checkout.said("alert_firing", rule="service_missing", subject="gateway")

    async def shown() -> str:
        described = await checkout.pm2("describe", "monitord")
        return described if re.search(r"Alerts firing +│ 1 ", described) else ""

    described = await eventually(shown)
    assert re.search(r"Status +│ critical ", described)
    assert re.search(r"Last check +│ \d\d:\d\d:\d\d UTC ", described)
    assert re.search(r"Cycle +│ [0-9.]+ ms ", described)
    assert re.search(r"PM2 bus +│ heard ", described)
    for action in ("check", "report", "status"):
        assert re.search(rf"│ {action} +│", described)


@pytest.mark.parametrize("action", ["check", "status", "report"])
async def test_pm2_trigger_prints_the_answer(checkout: Checkout, action: str) -> None:
    await checkout.start()
    await checkout.said("alert_firing", rule="service_missing", subject="gateway")
    answer = _answer(await checkout.pm2("trigger", "monitord", action))
    assert answer["action"] == action
    if action == "report":
        assert answer["verdict"] in {"GO", "NO-GO", "UNKNOWN"}
        assert answer["criteria"]["services_online"]
    else:
        assert answer["status"] == "critical"
        assert [(alert["rule"], alert["subject"]) for alert in answer["firing"]] == [("service_missing", "gateway")]
    if action == "check":
        await checkout.said("check_completed", trigger="pm2")


async def test_a_trigger_by_id_and_with_a_parameter_is_answered_too(checkout: Checkout) -> None:
    await checkout.start()
    process = await checkout.process()
    assert process is not None
    printed = await checkout.pm2("trigger", str(process.pm_id), "status", "now")
    assert _answer(printed)["action"] == "status"


def _answer(printed: str) -> dict[str, Any]:
    line = next(line for line in printed.splitlines() if line.startswith("[monitord:"))
    answer: dict[str, Any] = json.loads(line.partition("=")[2])
    return answer


async def test_a_stop_by_message_is_as_orderly_as_one_by_signal(checkout: Checkout) -> None:
    file = checkout.directory / "deploy" / "ecosystem.config.js"
    file.write_text(file.read_text().replace("wait_ready: true,", "wait_ready: true, shutdown_with_message: true,"))
    await checkout.start()
    await checkout.pm2("stop", "monitord")
    stopping = await checkout.said("monitord_stopping")
    assert stopping["reason"] == "PM2 asked for it"
    await checkout.said("monitord_stopped")
    assert [code for code, _ in checkout.exits()] == [0]


async def test_it_notices_on_its_channel_that_pm2_was_killed_and_goes_on(
    checkout: Checkout, eventually: Eventually
) -> None:
    checkout.settle(MONITORD_CHECK_INTERVAL="5m", MONITORD_LOG_LEVEL="debug")
    await checkout.start()
    process = await checkout.process()
    assert process is not None
    assert process.pid is not None
    try:
        await checkout.pm2.kill()

        # PM2 wrote its log: what is said after it is in the files monitord keeps itself.
        async def noticed() -> list[Line]:
            found = [
                line for line in _kept(checkout.directory / "state" / "logs") if line["event"] == "check_completed"
            ]
            return [line for line in found if line["trigger"] == "pm2"]

        (check, *_) = await eventually(noticed)
        assert check["probes"]["pm2"]["status"] == "failed"
        said = [line["event"] for line in _kept(checkout.directory / "state" / "logs")]
        assert said.count("pm2_channel_closed") == 1
        assert psutil.pid_exists(process.pid)
    finally:
        os.kill(process.pid, signal.SIGTERM)

    async def ended() -> bool:
        return "monitord_stopped" in [line["event"] for line in _kept(checkout.directory / "state" / "logs")]

    await eventually(ended)


def _kept(logs: Path) -> list[Line]:
    whole = [path.read_text().rpartition("\n")[0] for path in sorted(logs.glob("*.jsonl"))]
    return [json.loads(raw) for text in whole for raw in text.split("\n") if raw]
