"""monitord at its end of PM2's channel: what is shown, what is answered, and that somebody always gets an answer."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from monitord.core.engine import Decision
from monitord.core.report.model import Report as Report
from monitord.logging.logger import JsonLog
from monitord.pm2.axm import ACTIONS
from monitord.pm2.ipc import IpcChannel
from monitord.runtime.pm2_agent import Pm2Agent
from tests.core.nights import Night

PATIENCE = 60.0
Message = dict[str, Any]


def decided(night: Night) -> Decision:
    return night.look()


class Peer:
    """PM2's end of the channel, and a monitord at the other that is made up but for its manners."""

    def __init__(self) -> None:
        self.socket, ours = socket.socketpair()
        self.socket.setblocking(False)
        self.ipc = IpcChannel(ours)
        self.log = JsonLog(io.StringIO())
        self.waiting: list[Callable[[Decision | None], None]] = []
        self.report: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self.bus = "heard"
        self.app = Pm2Agent(self.ipc, self.waiting.append, self._night, lambda: self.bus, self.log)
        self.ipc.attach(on_shutdown=self._nothing, on_orphaned=self._nothing, on_action=self.app.asked)
        self._rest = b""

    async def _night(self) -> Report:
        return await self.report

    def _nothing(self) -> None:
        """Not of these tests."""

    async def trigger(self, message: object) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, json.dumps(message).encode() + b"\n")

    async def said(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            while b"\n" not in self._rest:
                self._rest += await asyncio.get_running_loop().sock_recv(self.socket, 65536)
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    async def answer(self) -> Message:
        message = await self.said()
        assert message["type"] == "axm:reply"
        assert message["data"].keys() == {"action_name", "return"}
        answer: Message = message["data"]["return"]
        assert answer["action"] == message["data"]["action_name"]
        return answer

    def silent(self) -> bool:
        try:
            self._rest += self.socket.recv(65536)
        except BlockingIOError:
            return not self._rest
        return False

    async def until_asked(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.waiting:  # noqa: ASYNC110 - the other side of a socket
                await asyncio.sleep(0.005)


@pytest.fixture
async def peer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Peer]:
    monkeypatch.setattr("monitord.runtime.pm2_agent.ANSWER_AFTER_SECONDS", 0.01)
    peer = Peer()
    yield peer
    await peer.app.close()
    peer.ipc.close()
    peer.socket.close()


@pytest.fixture
def night() -> Night:
    night = Night()
    night.passes(minutes=5)
    return night


async def test_what_may_be_asked_is_registered(peer: Peer) -> None:
    peer.app.register()
    registered = [await peer.said() for _ in ACTIONS]
    assert {message["type"] for message in registered} == {"axm:action"}
    assert [message["data"]["action_name"] for message in registered] == ["check", "report", "status"]


async def test_a_cycle_is_shown_by_names_with_values_and_units(peer: Peer, night: Night) -> None:
    decision = decided(night)
    peer.app.decided(decision, 12.34)
    shown = (await peer.said())["data"]
    lines = {name: f"{metric['value']} {metric['unit']}".strip() for name, metric in shown.items()}
    assert lines == {
        "Status": "ok",
        "Alerts firing": "0",
        "Last check": f"{decision.at:%H:%M:%S} UTC",
        "Cycle": "12.3 ms",
        "PM2 bus": "heard",
        "Services as expected": "7 of 7",
        "Rows user_signals": lines["Rows user_signals"],
        "Seal age MILO": lines["Seal age MILO"],
        "Seal age CLS": lines["Seal age CLS"],
    }
    assert lines["Rows user_signals"].endswith(" rows/h")
    assert lines["Seal age CLS"].endswith(" min")


async def test_what_is_not_known_is_shown_as_unknown_and_what_is_watched_no_more_does_not_stay(
    peer: Peer, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord.runtime.pm2_agent.METRICS_EVERY_SECONDS", 0.0)
    peer.app.decided(decided(night), 1.0)
    await peer.said()
    night.postgres.fails("timeout")
    night.epochs.fails("timeout")
    night.passes(seconds=30)
    night.orders = replace(night.orders, groups=("MILO",))
    peer.app.decided(decided(night), 1.0)
    shown = (await peer.said())["data"]
    assert {shown[name]["value"] for name in ("Rows user_signals", "Seal age MILO", "Seal age CLS")} == {"-"}
    assert "Cycle" not in shown  # as it was: not said again


async def test_metrics_are_shown_once_a_second_at_most(peer: Peer, night: Night) -> None:
    for _ in range(100):
        peer.app.decided(decided(night), 1.0)
    await peer.said()
    assert peer.silent()


async def test_a_pm2_that_reads_nothing_costs_nothing_and_is_shown_the_latest_later(
    peer: Peer, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord.runtime.pm2_agent.METRICS_EVERY_SECONDS", 0.0)
    unread = 0
    for filler in ("x" * 10_000, ""):
        while peer.ipc.send(filler):
            unread += 1
    decision = decided(night)
    peer.app.decided(decision, 1.0)
    for _ in range(unread):
        assert isinstance(await peer.said(), str)
    peer.app.decided(decision, 1.0)
    assert (await peer.said())["data"]["Status"]["value"] == "ok"


async def test_check_is_answered_with_what_the_check_came_to(peer: Peer, night: Night) -> None:
    night["gateway"].stops(exit_code=1)
    night.passes(minutes=1)
    await peer.trigger("check")
    await peer.until_asked()
    peer.waiting.pop()(decided(night))
    answer = await peer.answer()
    assert answer["status"] == "critical"
    assert [(a["rule"], a["subject"], a["severity"]) for a in answer["firing"]] == [
        ("service_down", "gateway", "critical")
    ]
    assert answer["firing"][0]["summary"] == answer["says"]
    assert datetime.fromisoformat(answer["checked_at"]).tzinfo is UTC


async def test_a_check_that_fails_inside_is_answered_too(peer: Peer) -> None:
    await peer.trigger({"msg": "check", "opts": "now"})
    await peer.until_asked()
    peer.waiting.pop()(None)
    answer = await peer.answer()
    assert answer["status"] == "unknown"
    assert "failed inside" in answer["says"]


async def test_many_who_ask_at_once_get_one_check_and_one_answer(peer: Peer, night: Night) -> None:
    for _ in range(50):
        await peer.trigger("check")
    await peer.until_asked()
    await peer.trigger("status")
    assert (await peer.answer())["action"] == "status"  # all before it has been read
    assert len(peer.waiting) == 1
    peer.waiting.pop()(decided(night))
    assert (await peer.answer())["action"] == "check"
    assert peer.silent()


async def test_status_is_what_the_last_cycle_said_and_unknown_before_the_first(peer: Peer, night: Night) -> None:
    await peer.trigger("status")
    assert (await peer.answer())["status"] == "unknown"
    peer.app.decided(decided(night), 7.0)
    await peer.said()
    await peer.trigger("status")
    answer = await peer.answer()
    assert (answer["status"], answer["duration_ms"], answer["firing"]) == ("ok", 7.0, [])


async def test_a_report_that_cannot_be_made_is_answered_with_that(peer: Peer) -> None:
    await peer.trigger("report")
    peer.report.set_exception(OSError("a disk that is gone"))
    answer = await peer.answer()
    assert answer["status"] == "unknown"
    assert "disk" not in answer["says"]


async def test_a_report_that_takes_too_long_is_answered_with_that(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitord.runtime.pm2_agent.REPORT_SECONDS", 0.01)
    await peer.trigger("report")
    assert "takes longer" in (await peer.answer())["says"]


async def test_who_still_waits_when_monitord_stops_is_told_so(peer: Peer) -> None:
    await peer.trigger("report")
    await peer.trigger("check")
    await peer.until_asked()
    await peer.app.close()
    answers = [await peer.answer() for _ in range(2)]
    assert {answer["action"] for answer in answers} == {"report", "check"}
    assert {answer["says"] for answer in answers} == {"monitord is stopping."}


@pytest.mark.parametrize(
    "noise", ["Check", {"msg": 7}, ["check"], {"opts": "check"}, None, 12, {"msg": "x" * 10_000}], ids=str
)
async def test_what_is_no_question_is_passed_over(peer: Peer, noise: object) -> None:
    await peer.trigger(noise)
    await peer.trigger("status")
    assert (await peer.answer())["action"] == "status"
    assert peer.silent()
    assert peer.waiting == []


async def test_secrets_are_masked_on_this_way_out_too(peer: Peer, night: Night) -> None:
    peer.log.hide({"a-secret-name"})
    night["gateway"].name = "a-secret-name"
    night.passes(minutes=2)
    await peer.trigger("check")
    await peer.until_asked()
    decision = decided(night)
    assert "a-secret-name" in str(decision.report.as_fields()["alerts"])
    peer.waiting.pop()(decision)
    assert "a-secret-name" not in str(await peer.answer())
