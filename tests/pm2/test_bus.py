"""PM2's bus: what one message says, how its halves become exits, a server that misbehaves, and a real PM2."""

import asyncio
import contextlib
import gc
import json
import os
import pickle
import subprocess
import types
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from monitord.core.model import ProcessExit
from monitord.pm2 import bus as bus_module
from monitord.pm2 import exits as exits_module
from monitord.pm2 import wire
from monitord.pm2.bus import MAX_EXITS, Bus
from monitord.pm2.bus_events import (
    ExitEvent,
    ExitLine,
    ExitRetracted,
    MemoryLimitHit,
    Online,
    OperatorDone,
    Stopping,
    WatchedFileChanged,
    read,
)
from monitord.pm2.exits import HOLD_SECONDS, ExitAssembler
from monitord.pm2.process_list import MAX_NAME_CHARACTERS

from .conftest import DEADLINE, SECRET, RealPm2

AT = 1762315020.5
BEGAN = 1762315000.0
SLEEPER = "import signal; signal.pause()"


def event(
    name: object = "worker",
    pm_id: object = 3,
    *,
    kind: str = "exit",
    manually: bool = False,
    at: object = AT,
    **env: object,
) -> list[object]:
    process = {
        "name": name,
        "pm_id": pm_id,
        "status": "stopped",
        "restart_time": 567,
        "exit_code": 0,
        "pm_uptime": BEGAN * 1000,
        "PASSWORD": SECRET,
        "event": SECRET,
        "process": SECRET,
        "at": SECRET,
        "data": SECRET,
        "env": {"PASSWORD": SECRET, "name": SECRET, "process": {"pm_id": SECRET}},
        **env,
    }
    milliseconds = at * 1000 if isinstance(at, float) else at
    return ["process:event", {"event": kind, "manually": manually, "process": process, "at": milliseconds}]


def said(text: str, *, by: object = "PM2", at: object = AT * 1000) -> list[object]:
    return ["log:PM2", {"process": {"pm_id": by, "name": by, "rev": None}, "at": at, "data": text}]


def line(signal: str = "SIGKILL", *, name: str = "worker", pm_id: object = 3, code: object = 0) -> list[object]:
    return said(f"App [{name}:{pm_id}] exited with code [{code}] via signal [{signal}]\n")


def frame(message: list[object]) -> wire.Frame:
    (decoded,) = wire.Decoder().feed(wire.encode(message))
    return decoded


KILLED = ProcessExit("worker", "3", AT, code=0, signal="SIGKILL", restarts=567, began=BEGAN)


# One message


def test_the_line_of_an_exit_tells_the_signal() -> None:
    assert read(frame(line())) == ExitLine("3", "worker", AT, 0, "SIGKILL")


def test_sigint_stands_for_no_signal_too_and_so_says_nothing() -> None:
    assert read(frame(line("SIGINT", code=3))) == ExitLine("3", "worker", AT, 3, "")


def test_an_app_named_like_an_exit_is_not_taken_at_its_word() -> None:
    name = "x:9] exited with code [1] via signal [SIGSEGV]\n"
    found = read(frame(line(name=name)))
    assert isinstance(found, ExitLine)
    assert (found.process, found.code, found.signal) == ("3", 0, "SIGKILL")
    assert found.service.isprintable()


@pytest.mark.parametrize("by", [3, "3", None, {}, "pm2"])
def test_an_app_that_talks_as_if_it_were_pm2_is_not_listened_to(by: object) -> None:
    assert read(frame(said("App [worker:3] exited with code [0] via signal [SIGKILL]\n", by=by))) is None
    assert read(frame(["process:event", {"at": 1, "data": event()[1], "process": {"pm_id": 3, "name": "x"}}])) is None


def test_the_event_of_an_exit_is_read_without_its_environment() -> None:
    found = read(frame(event()))
    assert found == ExitEvent("3", "worker", AT, 0, ordered=False, restarts=567, began=BEGAN)
    assert SECRET.encode() not in pickle.dumps(found)


def test_what_pm2_was_ending_was_ordered() -> None:
    found = read(frame(event(status="stopping")))
    assert isinstance(found, ExitEvent)
    assert found.ordered


def test_numbers_that_an_environment_turned_into_text_still_count_and_nonsense_is_unknown() -> None:
    assert read(frame(event(restart_time="567", exit_code="3", pm_uptime=SECRET, at=None))) == ExitEvent(
        "3", "worker", None, 3, ordered=False, restarts=567, began=None
    )


def test_names_are_bounded_and_fit_to_print() -> None:
    found = read(frame(event("evil\x1b[2J\n\u202e\ud800" + "x" * 1000)))
    assert isinstance(found, ExitEvent)
    assert found.service.startswith("evil\ufffd[2J\ufffd\ufffd\ufffdx")
    assert len(found.service) == MAX_NAME_CHARACTERS


@pytest.mark.parametrize(
    "message",
    [
        event(kind="restart overlimit"),
        event(None),
        event("  "),
        event(pm_id="rm -rf"),
        event(pm_id=-1),
        event(pm_id={}),
        event(pm_id=None),
        ["process:event", {"event": "exit"}],
        ["process:event", {"event": "exit", "process": [SECRET]}],
        ["process:event", [event()[1]]],
        ["process:event", "exit"],
        ["process:event"],
        ["process:event", {}, {}],
        ["process:exception", event()[1]],
        said("App [worker:3] online\n"),
        said("worker wrote: App [worker:3] exited with code [0] via signal [SIGKILL]\n"),
        said("App [worker:x] exited with code [0] via signal [SIGKILL]\n"),
        said("App [:3] exited with code [0] via signal [SIGKILL]\n"),
        ["log:PM2", {"data": {" exited with code [": 1}, "process": {"pm_id": "PM2"}}],
        ["log:PM2", " exited with code ["],
    ],
)
def test_all_else_says_nothing(message: list[object]) -> None:
    assert read(frame(message)) is None


def test_of_a_process_that_begins_nothing_is_read_but_that_it_does() -> None:
    assert read(frame(event(kind="online"))) == Online()


@pytest.mark.parametrize("topic", [b"s:log:out", b"s:log:err", b"s:axm:monitor", b"s:pm2:kill", b"j:{", b""])
def test_other_topics_are_passed_over_without_a_look_at_what_they_hold(topic: bytes) -> None:
    broken = b'j:{"event":"exit" exited with code ['
    assert read((topic, broken)) is None
    with pytest.raises(wire.WireError):
        read((b"s:process:event", broken))


def test_the_other_things_that_matter_are_read() -> None:
    hungry = (
        "[PM2][WORKER] Process 3 restarted because it exceeds --max-memory-restart value "
        "(current_memory=76828672 max_memory_limit=41943040 [octets])\n"
    )
    assert read(frame(said(hungry))) == MemoryLimitHit("3", AT)
    changed = "Change detected on path for app x/data.json for app shop for app 2 - restarting\n"
    assert read(frame(said(changed))) == WatchedFileChanged("2", AT)
    assert read(frame(said(changed, by=3))) is None  # an app's own line
    assert read(frame(event(kind="restart", manually=True, created_at=BEGAN * 1000))) == OperatorDone(
        "3", "worker", "restart", AT, 567, BEGAN
    )
    assert read(frame(said("Stopping app:shop id:9 id:3\n"))) == Stopping("3", "shop id:9", AT)
    assert read(frame(said("Stopping app:shop id:3\n", by=3))) is None
    assert read(frame(said("App [worker:3] stale exit event ignored (pid 42)\n"))) == ExitRetracted("3")
    assert read(frame(said("Process undefined ? with process id  3\n"))) == ExitRetracted("3")


# The halves


def joined(*messages: list[object], joiner: ExitAssembler | None = None) -> tuple[ProcessExit, ...]:
    """The exits that these messages complete, told one after another and at once."""
    joiner = joiner or ExitAssembler()
    out: tuple[ProcessExit, ...] = ()
    for message in messages:
        fact = read(frame(message))
        assert fact is not None
        out += joiner.take(fact, arrived=AT + 1, now=100.0)
    return out


ECHO = event(at=AT + 0.1)


def test_a_line_and_its_event_are_one_exit_whichever_comes_first() -> None:
    assert joined(line(), event()) == (KILLED,)
    assert joined(event(), line()) == (KILLED,)


def test_the_echo_of_an_exit_is_no_second_one() -> None:
    assert joined(line("SIGINT"), event(status="stopping"), ECHO, event(kind="stop", manually=True)) == (
        ProcessExit("worker", "3", AT, code=0, manually=True, restarts=567, began=BEGAN),
    )


def test_an_echo_is_no_second_one_either_when_the_line_was_lost() -> None:
    joiner = ExitAssembler()
    assert joined(event(status="stopping"), ECHO, joiner=joiner) == ()
    assert [found.at for found in joiner.rest()] == [AT]


def test_each_life_ends_once_more() -> None:
    again = event(pm_uptime=(BEGAN + 21) * 1000, restart_time=568, at=AT + 5)
    assert [found.restarts for found in joined(line(), event(), line(), again)] == [567, 568]


def test_an_exit_of_which_only_half_came_waits_and_is_then_given_as_it_is() -> None:
    joiner = ExitAssembler()
    assert joined(event(), joiner=joiner) == ()
    assert joiner.due(100.0 + HOLD_SECONDS / 2) == ()
    assert joiner.due(100.0 + HOLD_SECONDS) == (ProcessExit("worker", "3", AT, code=0, restarts=567, began=BEGAN),)
    assert joiner.due(100.0 + HOLD_SECONDS) == ()

    assert joined(line(code=3), joiner=joiner) == ()
    assert joiner.due(100.0 + HOLD_SECONDS) == (ProcessExit("worker", "3", AT, code=3, signal="SIGKILL"),)


def test_a_half_does_not_take_the_other_half_of_somebody_elses_exit() -> None:
    joiner = ExitAssembler()
    assert joined(line(), event("gateway", 0), joiner=joiner) == ()
    assert {(found.service, found.signal) for found in joiner.rest()} == {("worker", "SIGKILL"), ("gateway", "")}


def test_a_line_about_a_process_pm2_no_longer_keeps_is_no_exit() -> None:
    joiner = ExitAssembler()
    assert joined(line(), said("App [worker:3] stale exit event ignored (pid 42)\n"), joiner=joiner) == ()
    assert not joiner.waiting


def test_an_echo_whose_original_was_not_heard_is_the_operators_once_he_is_named() -> None:
    joiner = ExitAssembler()
    assert joined(ECHO, event(kind="restart", manually=True), joiner=joiner) == ()
    assert [found.manually for found in joiner.rest()] == [True]


HUNGRY = said("[PM2][WORKER] Process 3 restarted because it exceeds --max-memory-restart value (current_memory=2)\n")


def test_what_pm2_ended_for_its_memory_no_operator_did() -> None:
    assert joined(HUNGRY, line("SIGINT"), event(status="stopping"), ECHO) == (
        ProcessExit("worker", "3", AT, code=0, memory=True, restarts=567, began=BEGAN),
    )


def test_one_restart_for_memory_explains_one_exit() -> None:
    again = event(status="stopping", pm_uptime=(BEGAN + 21) * 1000)
    both = joined(HUNGRY, line(), event(status="stopping"), line(), again)
    assert [(found.memory, found.manually) for found in both] == [(True, False), (False, True)]


def test_a_restart_for_memory_that_never_came_explains_nothing_an_hour_later() -> None:
    late = event(status="stopping", at=AT + 3600)
    assert [found.memory for found in joined(HUNGRY, line(), late)] == [False]


CHANGED = said("Change detected on path src/a.js for app worker - restarting\n")


def test_a_changed_file_explains_one_end_of_each_process_and_not_the_next() -> None:
    other = event(pm_id=4, status="stopping")
    again = event(status="stopping", pm_uptime=(BEGAN + 21) * 1000)
    found = joined(
        CHANGED,
        line(),
        event(status="stopping"),
        ECHO,
        line(pm_id=4),
        other,
        line(),
        again,
        line(),
        event("gateway", 0),
    )
    told = [(one.service, one.instance, one.watch, one.manually) for one in found]
    assert told == [("worker", "3", True, False), ("worker", "4", True, False), ("worker", "3", False, True)]


def test_a_change_that_came_before_a_crash_is_not_what_ended_it() -> None:
    crash = joined(CHANGED, line(), event())
    assert [(one.watch, one.manually) for one in crash] == [(False, False)]


def test_in_a_reload_the_old_process_is_the_same_instance() -> None:
    old = event(pm_id="_old_3", status="stopping")
    crash_of_the_new = event(pm_uptime=(BEGAN + 10) * 1000, exit_code=1)
    both = joined(HUNGRY, line("SIGINT", code=1), crash_of_the_new, line("SIGINT", pm_id="_old_3"), old)
    assert [(found.instance, found.code, found.memory) for found in both] == [("3", 1, False), ("3", 0, True)]


def test_without_a_time_of_its_own_an_exit_has_the_time_it_came() -> None:
    assert [found.at for found in joined(line(), event(at="yesterday"))] == [AT + 1]


def test_halves_that_never_meet_do_not_pile_up() -> None:
    joiner = ExitAssembler()
    given = joined(*(event(pm_id=number) for number in range(5000)), joiner=joiner)
    assert [found.instance for found in (*given, *joiner.rest())] == [str(number) for number in range(5000)]
    assert len(given) == 3000


# A server that misbehaves


class Pretender:
    """Something that publishes where PM2 should."""

    def __init__(self, home: Path) -> None:
        self.connections = 0
        self._path = home / "pub.sock"
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)

    async def connected(self, number: int = 1) -> None:
        await until(lambda: self.connections >= number)

    async def say(self, *messages: list[object] | bytes) -> None:
        raw = b"".join(part if isinstance(part, bytes) else wire.encode(part) for part in messages)
        for writer in self._writers:
            writer.write(raw)
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    async def leave(self) -> None:
        """Stop as PM2 does: the connections end and the socket is gone."""
        assert self._server is not None
        self._server.close()
        self._path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def until(condition: Callable[[], bool]) -> None:
    """Of the other side of a socket, which tells this one nothing."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


async def heard(bus: Bus, number: int) -> tuple[ProcessExit, ...]:
    """The next exits, as many as that, once they can be drained."""
    exits: tuple[ProcessExit, ...] = ()
    async with asyncio.timeout(DEADLINE):
        while len(exits) < number:
            exits += bus.drain()
            await asyncio.sleep(0.005)
    return exits


@contextlib.asynccontextmanager
async def listening(
    home: Path,
    on_exit: Callable[[], object] = tuple,
    *,
    say: Callable[[Sequence[ProcessExit]], Sequence[ProcessExit]] = tuple,
    on_edge: Callable[[bool], object] = bool,
    on_link: Callable[[bool], object] = bool,
    on_act: Callable[[], object] = tuple,
) -> AsyncIterator[Bus]:
    bus = Bus(home, on_exit, say=say, on_act=on_act, on_edge=on_edge, on_link=on_link)
    bus.start()
    try:
        yield bus
    finally:
        await bus.close()


@pytest.fixture
async def pretender(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pretender]:
    monkeypatch.setattr(bus_module, "_FIRST_DELAY_SECONDS", 0.02)  # each connection that ends is waited for
    pretender = Pretender(home)
    await pretender.listen()
    yield pretender
    await pretender.leave()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half of an exit waits for the other for a fiftieth of a second."""
    monkeypatch.setattr(bus_module, "HOLD_SECONDS", 0.02)
    monkeypatch.setattr(exits_module, "HOLD_SECONDS", 0.02)


async def test_exits_are_heard_wherever_the_stream_is_cut(home: Path, pretender: Pretender) -> None:
    raw = wire.encode(line()) + wire.encode(["log:out", {"data": "x" * 5000}]) + wire.encode(event())
    async with listening(home) as bus:
        await pretender.connected()
        for begin in range(0, len(raw), 1000):
            await pretender.say(raw[begin : begin + 1000])
        assert await heard(bus, 1) == (KILLED,)
        assert bus.drain() == ()
        assert bus.connected
    assert not bus.connected


@pytest.mark.usefixtures("hasty")
async def test_an_exit_without_its_line_comes_a_little_later(home: Path, pretender: Pretender) -> None:
    async with listening(home) as bus:
        await pretender.connected()
        await pretender.say(event())
        assert await heard(bus, 1) == (ProcessExit("worker", "3", AT, code=0, restarts=567, began=BEGAN),)


async def test_exits_come_out_oldest_first(home: Path, pretender: Pretender) -> None:
    async with listening(home) as bus:
        await pretender.connected()
        late = [event("b", 2, at=AT + 2), line(name="b", pm_id=2), event("a", 1, at=AT + 1), line(name="a", pm_id=1)]
        await pretender.say(*late)
        assert [found.service for found in await heard(bus, 2)] == ["a", "b"]


async def test_the_daemon_is_told_of_a_crash_and_not_of_an_operators_doing(home: Path, pretender: Pretender) -> None:
    told = asyncio.Event()
    async with listening(home, told.set) as bus:
        await pretender.connected()
        await pretender.say(line("SIGINT", name="a", pm_id=1), event("a", 1, status="stopping"))
        assert [found.manually for found in await heard(bus, 1)] == [True]
        assert not told.is_set()
        await pretender.say(line(), event())
        async with asyncio.timeout(DEADLINE):
            await told.wait()
        assert bus.drain() == (KILLED,)


async def test_whoever_is_told_and_fails_does_not_end_the_listening(home: Path, pretender: Pretender) -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> None:
        raise LookupError

    async with listening(home, fail) as bus:
        await pretender.connected()
        await pretender.say(line(), event())
        await until(lambda: bool(failures))
        await pretender.say(line(name="gateway", pm_id=0), event("gateway", 0))
        assert [found.service for found in await heard(bus, 2)] == ["worker", "gateway"]
    assert pretender.connections == 1


async def test_of_a_storm_the_newest_exits_stay_and_the_others_are_counted(home: Path, pretender: Pretender) -> None:
    number = 3 * MAX_EXITS
    async with listening(home) as bus:
        await pretender.connected()
        for one in range(number):
            at, began = AT + one, (BEGAN + one) * 1000
            await pretender.say(["log:out", {"data": "x" * 1000}], line(), event(at=at, pm_uptime=began))
        await until(lambda: bus.dropped == number - MAX_EXITS)
        assert [found.at for found in bus.drain()] == [AT + one for one in range(number - MAX_EXITS, number)]
        assert bus.drain() == ()


async def test_a_message_that_is_none_costs_that_message_only(home: Path, pretender: Pretender) -> None:
    async with listening(home) as bus:
        await pretender.connected()
        broken = wire.encode(["process:event", b'j:{"event":"exit",' + SECRET.encode()])
        deep = wire.encode(["process:event", b'j:{"event":"exit","process":' + b"[" * 100_000])
        await pretender.say(broken, deep, wire.encode([]), wire.encode([b"\xff", b"\xff"]), line(), event())
        assert await heard(bus, 1) == (KILLED,)
    assert pretender.connections == 1


@pytest.mark.parametrize(
    "raw",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x12\xff\xff\xff\xff"],
    ids=["not PM2", "huge"],
)
async def test_after_garbage_it_connects_anew(home: Path, pretender: Pretender, raw: bytes) -> None:
    async with listening(home) as bus:
        await pretender.connected()
        await pretender.say(raw)
        await pretender.connected(2)
        await pretender.say(line(), event())
        assert await heard(bus, 1) == (KILLED,)


@pytest.mark.usefixtures("hasty")
async def test_a_socket_that_vanishes_and_comes_back_is_found_again(home: Path, pretender: Pretender) -> None:
    async with listening(home) as bus:
        await pretender.connected()
        await pretender.say(line())
        await pretender.leave()
        await until(lambda: not bus.connected)
        await pretender.listen()
        await pretender.connected(2)
        await pretender.say(line(name="gateway", pm_id=0), event("gateway", 0))
        # The line alone waits for its event, and the connection may be back before that is over.
        assert {found.service for found in await heard(bus, 2)} == {"worker", "gateway"}


async def test_a_pm2_that_took_the_place_of_a_frozen_one_is_heard(
    home: Path, pretender: Pretender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "_LOOK_SECONDS", 0.02)
    async with listening(home) as bus:
        await pretender.connected()
        (home / "pub.sock").unlink()
        successor = Pretender(home)
        await successor.listen()
        await successor.connected()
        await successor.say(line(), event())
        assert await heard(bus, 1) == (KILLED,)
        await successor.leave()


async def test_a_socket_file_that_only_went_missing_costs_no_connection(
    home: Path, pretender: Pretender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "_LOOK_SECONDS", 0.002)
    async with listening(home) as bus:
        await pretender.connected()
        (home / "pub.sock").unlink()
        for _ in range(10):
            await asyncio.sleep(0.002)
        await pretender.say(line(), event())
        assert await heard(bus, 1) == (KILLED,)


# What is said as it comes


async def test_exits_are_said_as_they_come_and_carry_that_they_were(home: Path, pretender: Pretender) -> None:
    seen: list[ProcessExit] = []

    def say(exits: Sequence[ProcessExit]) -> tuple[ProcessExit, ...]:
        seen.extend(exits)
        return tuple(replace(each, said=1) for each in exits)

    async with listening(home, say=say) as bus:
        await pretender.connected()
        await pretender.say(line(), event())
        assert await heard(bus, 1) == (replace(KILLED, said=1),)
    assert seen == [KILLED]


@pytest.mark.usefixtures("hasty")
async def test_an_end_of_which_only_half_was_told_is_not_spoken_of(home: Path, pretender: Pretender) -> None:
    seen: list[ProcessExit] = []

    def say(exits: Sequence[ProcessExit]) -> Sequence[ProcessExit]:
        seen.extend(exits)
        return exits

    async with listening(home, say=say) as bus:
        await pretender.connected()
        await pretender.say(event(), line(name="gateway", pm_id=0))
        assert {found.service for found in await heard(bus, 2)} == {"worker", "gateway"}
    assert seen == []


async def test_whoever_says_and_fails_costs_the_words_and_not_the_exits(home: Path, pretender: Pretender) -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail(_: Sequence[ProcessExit]) -> tuple[ProcessExit, ...]:
        raise LookupError

    async with listening(home, say=fail) as bus:
        await pretender.connected()
        await pretender.say(line(), event())
        assert await heard(bus, 1) == (KILLED,)
    assert [type(failure) for failure in failures] == [LookupError]
    assert pretender.connections == 1


async def test_what_was_said_of_exits_that_were_dropped_stays_said(home: Path, pretender: Pretender) -> None:
    number = 3 * MAX_EXITS
    async with listening(home, say=lambda exits: [replace(each, said=1) for each in exits]) as bus:
        await pretender.connected()
        for one in range(number):
            at, began = AT + one, (BEGAN + one) * 1000
            await pretender.say(line(), event(at=at, pm_uptime=began))
        await until(lambda: bus.dropped == number - MAX_EXITS)
        exits = bus.drain()
        assert sum(found.said for found in exits) == bus.heard == number
        assert bus.drain() == ()


async def test_a_bus_that_is_lost_is_told_once_and_so_is_its_return(
    home: Path, pretender: Pretender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "LOST_SECONDS", 0.02)
    edges: list[bool] = []
    async with listening(home, on_edge=edges.append):
        await pretender.connected()
        await pretender.leave()
        await until(lambda: edges == [False])
        await pretender.listen()
        await until(lambda: edges == [False, True])
    assert edges == [False, True]


async def test_a_bus_that_is_back_at_once_is_no_news(home: Path, pretender: Pretender) -> None:
    edges: list[bool] = []
    async with listening(home, on_edge=edges.append) as bus:
        await pretender.connected()
        await pretender.say(b"\x00 no frame")
        await pretender.connected(2)
        await until(lambda: bus.connected)
    assert edges == []


async def test_a_process_that_begins_is_a_reason_to_look_and_nothing_to_drain(home: Path, pretender: Pretender) -> None:
    begun: list[None] = []
    async with listening(home, on_act=lambda: begun.append(None)) as bus:
        await pretender.connected()
        await pretender.say(event(kind="online"))
        await until(lambda: len(begun) == 1)
        assert (bus.drain(), bus.drain_acts()) == ((), ())


async def test_a_connection_that_ends_is_told_at_once_and_so_is_the_next_one(home: Path, pretender: Pretender) -> None:
    links: list[bool] = []
    async with listening(home, on_link=links.append) as bus:
        await pretender.connected()
        await until(lambda: bus.connected)
        assert links == []  # it had none before
        await pretender.leave()
        await until(lambda: links == [False])
        await pretender.listen()
        await until(lambda: links == [False, True])
    assert links == [False, True]  # who listens no more has lost nothing


# Beginning and end


async def test_where_there_is_no_pm2_it_says_nothing_and_leaves_at_once(home: Path) -> None:
    for place in (home, home / "nowhere", home / ("x" * 200)):
        async with listening(place) as bus:
            await asyncio.sleep(0)
            assert (bus.drain(), bus.connected, bus.dropped) == ((), False, 0)


async def test_what_still_waits_at_the_end_can_be_drained(home: Path, pretender: Pretender) -> None:
    async with listening(home) as bus:
        await pretender.connected()
        await pretender.say(line(name="gateway", pm_id=0), event("gateway", 0), line())
        assert [found.service for found in await heard(bus, 1)] == ["gateway"]
    assert [found.service for found in bus.drain()] == ["worker"]
    await bus.close()


async def test_a_bus_that_was_never_started_can_be_closed(home: Path) -> None:
    await Bus(home).close()


def reachable(root: object) -> set[str]:
    """Whatever holds text among all that `root` holds, directly or not."""
    seen: set[int] = set()
    found: set[str] = set()
    waiting = [root]
    code = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, (*code, asyncio.AbstractEventLoop)):
            continue
        seen.add(id(thing))
        if isinstance(thing, str | bytes | bytearray):
            found.add(repr(thing))
        waiting += gc.get_referents(thing)
    return found


async def test_when_a_message_has_been_read_nothing_of_an_environment_is_left(home: Path, pretender: Pretender) -> None:
    async with listening(home) as bus:
        await pretender.connected()
        await pretender.say(line(), event(), line(), event("other", 4), event(kind="start", manually=True))
        await until(lambda: len(bus._exits) == 1)
        held = reachable(bus)
        assert any("SIGKILL" in text for text in held)
        assert [text for text in held if SECRET in text] == []


# A real PM2


@contextlib.asynccontextmanager
async def real_bus(pm2: RealPm2) -> AsyncIterator[Bus]:
    async with listening(pm2.home) as bus:
        await until(lambda: bus.connected)
        yield bus


async def kill(pm2: RealPm2, name: str, signal: int) -> None:
    process = await pm2.until(lambda seen: seen.status == "online" and seen.pid is not None, name)
    assert process.pid is not None
    os.kill(process.pid, signal)


@pytest.mark.servers
async def test_a_real_pm2_tells_who_ended_a_process_and_how_and_each_end_once(real_pm2: RealPm2) -> None:
    real_pm2.run("start", real_pm2.app("worker", SLEEPER))
    async with real_bus(real_pm2) as bus:
        await kill(real_pm2, "worker", 9)
        (killed,) = await heard(bus, 1)
        await kill(real_pm2, "worker", 15)
        (terminated,) = await heard(bus, 1)
        assert (killed.service, killed.instance, killed.code, killed.restarts) == ("worker", "0", 0, 0)
        assert (killed.signal, killed.manually, killed.memory) == ("SIGKILL", False, False)
        assert (terminated.signal, terminated.manually, terminated.restarts) == ("SIGTERM", False, 1)

        await real_pm2.until(lambda seen: seen.status == "online", "worker")
        real_pm2.run("restart", "worker")
        real_pm2.run("reload", "worker")
        real_pm2.run("stop", "worker")
        real_pm2.run("restart", "worker")
        real_pm2.run("delete", "worker")
        real_pm2.run(
            "start", real_pm2.app("last", "import time; time.sleep(0.5); raise SystemExit(3)", autorestart=False)
        )
        *by_hand, last = await heard(bus, 5)
        assert [(found.service, found.manually, found.restarts) for found in by_hand] == [
            ("worker", True, 2),
            ("worker", True, 3),
            ("worker", True, 4),
            ("worker", True, 4),
        ]
        assert (last.service, last.code, last.signal, last.manually) == ("last", 3, "", False)
        assert SECRET.encode() not in pickle.dumps((killed, terminated, *by_hand, last))
        assert [text for text in reachable(bus) if SECRET in text] == []
        assert bus.drain() == ()


@pytest.mark.servers
async def test_every_end_of_a_crash_loop_is_told_up_to_the_one_pm2_gives_up_after(real_pm2: RealPm2) -> None:
    async with real_bus(real_pm2) as bus:
        real_pm2.run("start", real_pm2.app("broken", "raise SystemExit(4)", max_restarts=5, min_uptime=20_000))
        await real_pm2.until(lambda seen: seen.status == "errored", "broken")
        exits = await heard(bus, 5)
        assert [(found.code, found.signal, found.manually) for found in exits] == [(4, "", False)] * 5
        assert [found.restarts for found in exits] == [0, 1, 2, 3, 4]
        assert bus.drain() == ()


@pytest.mark.servers
async def test_a_restart_for_memory_and_one_by_the_clock_are_told_apart(real_pm2: RealPm2) -> None:
    hungry = "import signal; ballast = bytearray(64 * 1024 * 1024); signal.pause()"
    async with real_bus(real_pm2) as bus:
        real_pm2.run("start", real_pm2.app("hungry", hungry, max_memory_restart="40M"))
        (first, *_) = await heard(bus, 1)
        assert (first.service, first.memory, first.manually) == ("hungry", True, False)
        real_pm2.run("delete", "hungry")
        real_pm2.run("start", real_pm2.app("clockwork", SLEEPER, cron_restart="* * * * * *"))
        exits = [found for found in await heard(bus, 3) if found.service == "clockwork"]
        while not exits:
            exits += [found for found in await heard(bus, 1) if found.service == "clockwork"]
        assert (exits[0].memory, exits[0].manually) == (False, True)


@pytest.mark.servers
async def test_the_old_process_of_a_reload_in_cluster_mode_is_the_same_instance(real_pm2: RealPm2) -> None:
    script = real_pm2.apps / "served.js"
    script.write_text("require('net').createServer().listen(0); process.on('message', () => process.exit(0))")
    ecosystem = real_pm2.apps / "served.config.json"
    ecosystem.write_text(json.dumps({"apps": [{"name": "served", "script": str(script), "exec_mode": "cluster"}]}))
    real_pm2.run("start", str(ecosystem))
    async with real_bus(real_pm2) as bus:
        await real_pm2.until(lambda seen: seen.status == "online", "served")
        real_pm2.run("reload", "served")
        (found,) = await heard(bus, 1)
        assert (found.service, found.instance, found.restarts) == ("served", "0", 0)


@pytest.mark.servers
async def test_a_frozen_pm2_tells_late_and_one_that_was_shut_down_is_heard_again(real_pm2: RealPm2) -> None:
    real_pm2.run("start", real_pm2.app("worker", SLEEPER))
    async with real_bus(real_pm2) as bus:
        process = await real_pm2.until(lambda seen: seen.status == "online" and seen.pid is not None, "worker")
        assert process.pid is not None
        real_pm2.freeze()
        os.kill(process.pid, 9)
        assert bus.drain() == ()
        real_pm2.thaw()
        assert [found.signal for found in await heard(bus, 1)] == ["SIGKILL"]

        await real_pm2.until(lambda seen: seen.status == "online" and seen.pid != process.pid, "worker")
        daemon = real_pm2.daemon
        with contextlib.suppress(subprocess.CalledProcessError):
            real_pm2.run("kill")
        daemon.wait(DEADLINE)
        assert [found.manually for found in await heard(bus, 1)] == [True]
        await until(lambda: not bus.connected)

        real_pm2.run("start", str(real_pm2.apps / "worker.config.json"))
        await until(lambda: bus.connected)
        await kill(real_pm2, "worker", 9)
        assert [(found.signal, found.manually) for found in await heard(bus, 1)] == [("SIGKILL", False)]
