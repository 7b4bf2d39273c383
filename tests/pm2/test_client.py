"""The rpc client and the process list, against scripted servers that misbehave and a real PM2 that is mistreated."""

import asyncio
import contextlib
import json
import os
import pickle
import socket
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from monitord.pm2 import Pm2Error, app_numbers, wire
from monitord.pm2.client import Pm2Client, processes
from monitord.pm2.process_list import MAX_NAME_CHARACTERS, ListedProcess, ProcessLists, text

from .conftest import DEADLINE, REPOSITORY, SECRET, RealPm2

SLEEPER = "import signal; signal.pause()"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def pretender(home: Path, handler: Handler) -> AsyncIterator[None]:
    """Something that listens where PM2 should, and does what `handler` does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = asyncio.current_task()
        assert turn is not None
        turns.append(turn)
        with contextlib.suppress(ConnectionError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    turns: list[asyncio.Task[None]] = []
    server = await asyncio.start_unix_server(serve, home / "rpc.sock")
    try:
        yield
    finally:
        server.close()
        await asyncio.sleep(0)  # a connection just made becomes a turn
        if turns:
            async with asyncio.timeout(DEADLINE):
                await asyncio.wait(turns)


async def question(reader: asyncio.StreamReader) -> tuple[object, object]:
    """What the client asks, and under which id."""
    decoder = wire.Decoder()
    while chunk := await reader.read(65536):
        for frame in decoder.feed(chunk):
            asked, call_id = (wire.unpack(argument) for argument in frame)
            return asked, call_id
    raise ConnectionError("the client left without a question")


def replies(body: object, *, call_id: str | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, asked_id = await question(reader)
        writer.write(wire.encode([body, call_id or asked_id]))
        await writer.drain()
        await reader.read()  # until the client has what it wants

    return handler


def says(raw: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await question(reader)
        writer.write(raw)

    return handler


def entry(name: object = "gateway", pm_id: object = 0, **env: object) -> dict[str, object]:
    return {
        "name": name,
        "pm_id": pm_id,
        "pid": 4242,
        "pm2_env": {"status": "online", "restart_time": 3, **env},
        "monit": {"memory": 104857600, "cpu": 1.5},
    }


async def failure(home: Path, timeout: float = DEADLINE) -> Pm2Error:
    with pytest.raises(Pm2Error) as caught:
        await processes(home, timeout=timeout)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


# What may be asked


async def test_nothing_but_the_list_and_a_ping_is_ever_asked(home: Path) -> None:
    methods: list[object] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                asked, call_id = await question(reader)
                assert isinstance(asked, dict)
                methods.append(asked["method"])
                writer.write(wire.encode([{"args": [[]]}, call_id]))

    async with pretender(home, note):
        client = Pm2Client(home)
        for _ in range(2):
            assert await client.processes(timeout=DEADLINE) == ()
            await client.ping()
        client.close()
    assert methods == ["getMonitorData", "ping"] * 2


# Answers that are none


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + SECRET.encode(),
        b"\x12\xff\xff\xff\xff",
        b"\x10",
        wire.encode([b"j:{" + SECRET.encode(), "x"]),
        wire.encode(["one argument only"]),
        b"",
        b"\x12\x00\x00\x00\xffj:{",
        wire.encode([{"args": [[]]}, b"s:\xff"]),
    ],
    ids=["not PM2", "huge", "no arguments", "bad JSON", "one argument", "silence", "half a frame", "bad id"],
)
async def test_garbage_is_a_protocol_error(home: Path, raw: bytes) -> None:
    async with pretender(home, says(raw)):
        assert (await failure(home)).kind == "protocol"


@pytest.mark.parametrize(
    "body",
    [{"error": SECRET, "stack": SECRET}, {"error": SECRET}, {"args": []}, {"args": {}}, [], None, SECRET, 7],
    ids=str,
)
async def test_an_answer_without_a_result_is_a_protocol_error(home: Path, body: object) -> None:
    async with pretender(home, replies(body)):
        assert (await failure(home)).kind == "protocol"


async def test_an_answer_to_another_question_is_a_protocol_error(home: Path) -> None:
    async with pretender(home, replies({"args": [[]]}, call_id="somebody:else")):
        assert (await failure(home)).kind == "protocol"


async def test_half_a_frame_and_then_nothing_is_a_timeout(home: Path) -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await question(reader)
        writer.write(b"\x12\x00\x00\x00\xffj:{")
        await reader.read()

    async with pretender(home, stall):
        assert (await failure(home, timeout=0.05)).kind == "timeout"


async def test_an_answer_that_drips_for_ever_is_a_timeout(home: Path) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x12\x00\xff\xff\xff")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with pretender(home, drip):
        assert (await failure(home, timeout=0.05)).kind == "timeout"


async def test_a_cancelled_question_closes_its_connection(home: Path) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await question(reader)
        asked.set()
        await reader.read()
        left.set()

    async with pretender(home, wait), asyncio.timeout(DEADLINE):
        task = asyncio.create_task(processes(home, timeout=DEADLINE))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await left.wait()


# Nobody there


async def test_without_a_home_pm2_is_missing(home: Path) -> None:
    assert (await failure(home / "nowhere")).kind == "missing"


async def test_with_a_home_but_no_socket_pm2_is_missing_and_said_not_to_run(home: Path) -> None:
    error = await failure(home)
    assert error.kind == "missing"
    assert "not running" in str(error)


async def test_a_home_too_deep_for_any_socket_is_missing(home: Path) -> None:
    assert (await failure(home / ("x" * 120))).kind == "missing"


async def test_a_socket_whose_owner_died_is_refused(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(home / "rpc.sock"))
    assert (await failure(home)).kind == "refused"


async def test_a_peer_that_accepts_nothing_times_out_also_when_its_queue_is_full(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(home / "rpc.sock"))
        frozen.listen(0)
        assert [(await failure(home, timeout=0.03)).kind for _ in range(4)] == ["timeout"] * 4


def lock_strangers_out(home: Path) -> None:
    """The way to the socket is open, the socket is not; who is not root is a stranger to what has no mode bits."""
    home.chmod(0o755)
    (home / "rpc.sock").chmod(0o600 if os.getuid() == 0 else 0)


async def test_the_socket_of_another_user_is_a_matter_of_permission(home: Path) -> None:
    script = """
        import asyncio, os, sys
        from pathlib import Path
        from monitord.pm2 import Pm2Error
        from monitord.pm2.client import processes

        async def main():
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            try:
                await processes(Path(sys.argv[1]), timeout=30)
            except Pm2Error as error:
                print(error.kind)

        asyncio.run(main())
    """
    async with pretender(home, replies({"args": [{"msg": "pong"}]})):
        lock_strangers_out(home)
        stranger = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            textwrap.dedent(script),
            str(home),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        async with asyncio.timeout(DEADLINE):
            out, _ = await stranger.communicate()
    assert out.decode().strip() == "permission"


# The list


async def listed(home: Path, *entries: object) -> tuple[ListedProcess, ...]:
    async with pretender(home, replies({"args": [list(entries)]})):
        return await processes(home, timeout=DEADLINE)


def planted(number: int) -> dict[str, object]:
    """A process as PM2 lists it: its environment under env, spread over pm2_env, and its command line."""
    environment = {f"VARIABLE_{i}": f"{SECRET}-{number}-{i}" for i in range(20)}
    process = entry(f"service-{number}", number, **environment, env={**environment, "status": SECRET})
    env = process["pm2_env"]
    assert isinstance(env, dict)
    env |= {"args": [f"--password={SECRET}"], "node_args": [SECRET], "axm_options": {"error": SECRET}}
    # An environment may also use PM2's own names, for whatever it likes.
    env |= {"error": SECRET, "pm2_env": SECRET, "monit": {"PASSWORD": SECRET}, "cpu": {"PASSWORD": SECRET}}
    return process


async def test_of_a_thousand_processes_nothing_of_their_environments_is_kept(home: Path) -> None:
    body = {"args": [[planted(number) for number in range(1000)]]}
    assert len(json.dumps(body)) > 1024 * 1024  # so that it is parsed beside the event loop
    async with pretender(home, replies(body)):
        found = await processes(home, timeout=DEADLINE)
    assert [process.name for process in found] == [f"service-{number}" for number in range(1000)]
    assert SECRET.encode() not in pickle.dumps(found)


async def test_an_app_started_with_nothing_but_arguments_keeps_none_of_them(home: Path) -> None:
    body = {"args": [[{"name": "a", "pm_id": 0, "pm2_env": {"args": [SECRET]}, "monit": {"args": [SECRET]}}]]}
    async with pretender(home, replies(body)):
        found = await processes(home, timeout=DEADLINE)
    assert [process.name for process in found] == ["a"]
    assert SECRET not in repr(found)


async def test_what_pm2_does_not_say_is_none_and_never_zero(home: Path) -> None:
    (process,) = await listed(home, {"name": "bare", "pm_id": 0, "pm2_env": {}})
    assert process == ListedProcess(
        name="bare",
        pm_id=0,
        pid=None,
        status="unknown",
        memory_bytes=None,
        cpu_percent=None,
        restarts=None,
        created_at=None,
        started_at=None,
        exit_code=None,
        autorestart=True,
        cron_restart=None,
        memory_limit_bytes=None,
        module=False,
        watch=False,
        backoff=False,
        kill_timeout=None,
        listen_timeout=None,
        last_started_at=None,
        restart_delay=None,
        may_end=False,
    )


@pytest.mark.parametrize("status", ["stopped", "errored", "waiting restart"])
async def test_what_does_not_run_has_no_pid_no_memory_and_no_start(home: Path, status: str) -> None:
    (process,) = await listed(home, entry(status=status, pm_uptime=1762308000000))
    assert (process.pid, process.memory_bytes, process.cpu_percent, process.started_at) == (None, None, None, None)


async def test_online_without_a_measurement_is_not_zero_memory(home: Path) -> None:
    (process,) = await listed(home, entry() | {"monit": {"memory": 0, "cpu": 0}})
    assert (process.pid, process.memory_bytes, process.cpu_percent) == (4242, None, None)


async def test_times_are_epoch_seconds(home: Path) -> None:
    (process,) = await listed(home, entry(created_at=1762308000500, pm_uptime=1762308001250))
    assert (process.created_at, process.started_at) == (1762308000.5, 1762308001.25)


@pytest.mark.parametrize(
    "value", [None, True, [], {}, "", "many", "9" * 400, 10**400, "nan", "inf", "1e999", -(10**30), 1.5]
)
async def test_a_counter_that_is_no_number_is_unknown(home: Path, value: object) -> None:
    (process,) = await listed(home, entry(restart_time=value, created_at=value if value != 1.5 else None))
    assert (process.restarts, process.created_at) == (None, None)


async def test_numbers_that_an_environment_turned_into_text_still_count(home: Path) -> None:
    (process,) = await listed(home, entry(restart_time="567", created_at="1762308000500", autorestart="false"))
    assert (process.restarts, process.created_at, process.autorestart) == (567, 1762308000.5, False)


async def test_a_name_is_made_fit_to_print_and_to_store(home: Path) -> None:
    name = "evil\x1b[2J\n\u202e\ud800" + "x" * 1000
    (process,) = await listed(home, entry(name))
    assert process.name.startswith("evil\ufffd[2J\ufffd\ufffd\ufffdx")
    assert len(process.name) == MAX_NAME_CHARACTERS
    assert process.name.encode().decode().isprintable()


async def test_a_process_without_a_name_is_left_out_and_the_others_are_not(home: Path) -> None:
    found = await listed(home, entry(None), entry({}), entry("  "), entry("gateway", 3))
    assert [(process.name, process.pm_id) for process in found] == [("gateway", 3)]


FULL: dict[str, object] = {
    "created_at": 1762308000500,
    "pm_uptime": 1762308001250,
    "axm_monitor": {"Heap Size": {"value": "10.75", "unit": "MiB"}, "HTTP": {"value": 12}},
    "stop_exit_codes": [3, "4"],
    "exit_code": 4,
    "watch": ["src"],
    "node_args": ["--max-old-space-size=512"],
    "autorestart": False,
}


@pytest.mark.parametrize("field", [*FULL, "restart_time", "status", "max_memory_restart"])
@pytest.mark.parametrize("value", [{"PASSWORD": SECRET}, [{"PASSWORD": SECRET}], [[SECRET]]])
async def test_a_field_of_a_type_that_it_never_has_costs_itself(home: Path, field: str, value: object) -> None:
    # Of what is watched nothing is kept but that something is.
    without = isinstance(value, list) if field == "watch" else None
    odd, missing = (entry("odd", 1, **{**FULL, field: one}) for one in (value, without))
    found = await listed(home, entry("gateway", 0, **FULL), odd, entry("worker", 2, **FULL))
    assert SECRET not in repr(found)
    expected = await listed(home, entry("gateway", 0, **FULL), missing, entry("worker", 2, **FULL))
    assert found == expected
    assert app_numbers.told([(found[0].numbers_form, found[0].numbers)]) == (["Heap Size: MiB | HTTP: "], "10.75 12")
    assert (found[0].may_end, found[0].watch, found[0].heap_limit_bytes) == (True, True, 512 * 2**20)


@pytest.mark.parametrize("part", ["pm2_env", "monit"])
async def test_an_app_without_what_should_be_known_of_it_is_listed_by_its_name(home: Path, part: str) -> None:
    odd = entry("odd", 1) | {part: SECRET}
    found = await listed(home, entry(), odd, entry("worker", 2))
    assert [process.name for process in found] == ["gateway", "odd", "worker"]
    assert found[1].memory_bytes is None
    assert (found[1].status, found[1].restarts) == (("unknown", None) if part == "pm2_env" else ("online", 3))
    assert found[2].memory_bytes == 104857600


async def test_half_a_surrogate_pair_costs_nothing_wherever_it_is(home: Path) -> None:
    odd = entry("odd\ud83d", 1, VARIABLE="\udc00 and \\ud83d", OTHER="\N{PILE OF POO}", restart_time="\ud800")
    found = await listed(home, entry(), odd, entry("\N{PILE OF POO}", 2))
    assert [process.restarts for process in found] == [3, None, 3]
    assert found[1].name.startswith("odd\ufffd~")
    assert found[1].name == text("odd\ud83d") != text("odd\ud83c")
    assert found[2].name == "\N{PILE OF POO}"


def test_more_values_than_any_fleet_has_are_not_decoded() -> None:
    body = b'j:{"args":[[' + b"[]," * (wire.MAX_VALUES + 1) + b"[]]]}"
    with pytest.raises(wire.WireError, match="more than"):
        ProcessLists().read(body)


async def test_an_empty_list_is_an_answer(home: Path) -> None:
    assert await listed(home) == ()


@pytest.mark.parametrize("reply", [None, {}, "x", [None], [[]], [{"name": "a"}], [{"name": "a", "pm2_env": {}}]])
def test_what_is_no_process_list_is_a_protocol_error(reply: object) -> None:
    with pytest.raises(Pm2Error) as caught:
        ProcessLists().read(b"j:" + json.dumps({"args": [reply]}).encode())
    assert caught.value.kind == "protocol"


# A real PM2


@pytest.mark.servers
async def test_a_real_pm2_is_seen_as_it_is(real_pm2: RealPm2) -> None:
    assert await real_pm2.processes() == ()

    before = time.time()
    real_pm2.run("start", real_pm2.app("gateway", SLEEPER, cron_restart="0 3 * * *", max_memory_restart="300M"))
    process = await real_pm2.until(lambda seen: seen.memory_bytes is not None, "gateway")
    assert (process.status, process.restarts, process.exit_code) == ("online", 0, None)
    assert process.pid in {child.pid for child in real_pm2.daemon.children()}
    assert process.memory_bytes is not None
    assert process.memory_bytes > 1024 * 1024
    assert process.created_at is not None
    assert process.started_at is not None
    # PM2 takes the two from its clock one after the other, `started_at` first: they may be a millisecond apart.
    assert before - 1 < process.started_at <= process.created_at < process.started_at + 1
    assert process.created_at < time.time() + 1
    assert (process.cron_restart, process.memory_limit_bytes) == ("0 3 * * *", 300 * 1024 * 1024)
    assert (process.module, process.autorestart) == (False, True)
    assert SECRET not in repr(process)


@pytest.mark.servers
async def test_a_crash_and_an_operator_are_told_apart_by_the_counters(real_pm2: RealPm2) -> None:
    real_pm2.run("start", real_pm2.app("worker", SLEEPER))
    first = await real_pm2.until(lambda seen: seen.status == "online", "worker")

    assert first.pid is not None
    os.kill(first.pid, 9)
    crashed = await real_pm2.until(lambda seen: seen.status == "online" and seen.pid != first.pid, "worker")
    assert (crashed.restarts, crashed.created_at, crashed.exit_code) == (1, first.created_at, 0)
    assert crashed.started_at is not None
    assert first.started_at is not None
    assert crashed.started_at > first.started_at

    real_pm2.run("restart", "worker")
    restarted = await real_pm2.until(lambda seen: seen.status == "online", "worker")
    assert restarted.restarts == 2
    assert restarted.created_at is not None
    assert crashed.created_at is not None
    assert restarted.created_at > crashed.created_at

    real_pm2.run("stop", "worker")
    stopped = await real_pm2.until(lambda seen: seen.status == "stopped", "worker")
    assert (stopped.restarts, stopped.created_at, stopped.pid) == (2, restarted.created_at, None)

    real_pm2.run("start", "worker")
    started = await real_pm2.until(lambda seen: seen.status == "online", "worker")
    assert started.restarts == 2
    assert started.created_at is not None
    assert started.created_at > restarted.created_at

    real_pm2.run("reset", "worker")
    reset = await real_pm2.until(lambda seen: seen.status == "online", "worker")
    assert (reset.restarts, reset.pid, reset.started_at) == (0, started.pid, started.started_at)
    assert reset.created_at is not None
    assert reset.created_at > started.created_at

    real_pm2.run("delete", "worker")
    assert await real_pm2.processes() == ()


@pytest.mark.servers
async def test_what_pm2_gives_up_on_is_errored_and_has_no_creation_any_more(real_pm2: RealPm2) -> None:
    real_pm2.run("start", real_pm2.app("broken", "raise SystemExit(4)", max_restarts=3, min_uptime=20_000))
    errored = await real_pm2.until(lambda seen: seen.status == "errored", "broken")
    assert (errored.restarts, errored.exit_code, errored.created_at, errored.pid) == (2, 4, None, None)


@pytest.mark.servers
async def test_a_restart_for_too_much_memory_looks_like_an_operators(real_pm2: RealPm2) -> None:
    hungry = "import signal; ballast = bytearray(64 * 1024 * 1024); signal.pause()"
    real_pm2.run("start", real_pm2.app("hungry", hungry, max_memory_restart="40M"))
    first = await real_pm2.until(lambda seen: True, "hungry")
    # `created_at` moves first and `restarts` when the old process is gone: `first` may have been seen between the two.
    again = await real_pm2.until(
        lambda seen: (seen.restarts or 0) > (first.restarts or 0) and seen.created_at != first.created_at, "hungry"
    )
    assert again.memory_limit_bytes == 40 * 1024 * 1024


@pytest.mark.servers
async def test_a_killed_pm2_refuses(real_pm2: RealPm2) -> None:
    real_pm2.kill_hard()
    assert (await failure(real_pm2.home)).kind == "refused"


@pytest.mark.servers
async def test_a_frozen_pm2_times_out_and_answers_again_once_it_thaws(real_pm2: RealPm2) -> None:
    real_pm2.freeze()
    assert (await failure(real_pm2.home, timeout=0.3)).kind == "timeout"
    real_pm2.thaw()
    assert await real_pm2.processes() == ()


@pytest.mark.servers
async def test_a_pm2_that_was_shut_down_is_no_longer_there(real_pm2: RealPm2) -> None:
    daemon = real_pm2.daemon
    with contextlib.suppress(subprocess.CalledProcessError):
        real_pm2.run("kill")
    daemon.wait(DEADLINE)
    assert (await failure(real_pm2.home)).kind in {"missing", "refused"}
