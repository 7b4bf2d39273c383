"""What a real Valkey says is measured, and every way in which a server is not one has its kind and its sentence."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from redis.asyncio import Redis

from monitord.core.model import Failure, Reading
from monitord.probes.base import Request, answers, take
from monitord.probes.redis import RedisProbe

from .conftest import PATIENCE, Authority, RealValkey, Script, ScriptedRedis

ASK = Request(now=1_762_308_000.0, timeout=20.0)
IN_A_HURRY = Request(now=1_762_308_000.0, timeout=0.1)
# For a server that is frozen: the probe's own deadline is a tenth sooner, which must do on a busy machine.
SOON = Request(now=IN_A_HURRY.now, timeout=1.5)
SECRET = "hunter2"
INFO = b"# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nevicted_keys:7\r\n"

COUNTS = ("waiting", "wait", "paused", "prioritized", "active", "delayed", "failed")

StartValkey = Callable[..., Awaitable[RealValkey]]
Listen = Callable[..., Awaitable[int]]
ProbeOf = Callable[..., RedisProbe]


@pytest.fixture
async def probe_of() -> AsyncIterator[ProbeOf]:
    made: list[RedisProbe] = []

    def make(
        url: str, *queues: str, ca_file: str | None = None, prefixes: Mapping[str, str] | None = None
    ) -> RedisProbe:
        trusted = "" if ca_file is None else f"?ssl_ca_certs={ca_file}"
        made.append(RedisProbe(f"{url}{trusted}", queues, prefixes))
        return made[-1]

    yield make
    for probe in made:
        await probe.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe gives up after a four-hundredth of the runner's deadline: long before it, and soon."""
    monkeypatch.setattr("monitord.probes.redis._SHARE", 0.0025)


def healthy(command: list[bytes]) -> bytes:
    match command:
        case [b"PING"]:
            return b"+PONG\r\n"
        case [b"INFO", _]:
            return b"$%d\r\n%b\r\n" % (len(INFO), INFO)
        case [b"DBSIZE"]:
            return b":125\r\n"
        case [b"LLEN", key]:
            return b":%d\r\n" % (4 if key.endswith(b":wait") else 0)
        case [b"ZCARD", _]:
            return b":0\r\n"
        case _:
            return b"+OK\r\n"


def but(answers: dict[bytes, bytes | None]) -> Script:
    """A healthy server but for what it answers to some commands."""
    return lambda command: answers[command[0]] if command[0] in answers else healthy(command)


def measured(reading: Reading) -> Reading:
    assert reading.failure is None, reading.failure
    return reading


def failed(reading: Reading) -> Failure:
    assert reading.failure is not None
    assert reading.samples == ()
    assert SECRET not in repr(reading)
    return reading.failure


# A real server


@pytest.mark.servers
async def test_a_healthy_server_is_measured(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey()
    await server.say("MSET", "a", "1", "b", "2", "c", "3")
    reading = measured(await take(probe_of(server.url()), ASK))
    assert reading.gaps == ()
    assert reading.number("redis_keys") == 3
    assert reading.number("redis_evicted") == 0
    assert (reading.number("redis_memory_limit"), reading.word("redis_policy")) == (0, "noeviction")
    memory, latency = reading.number("redis_memory"), reading.number("redis_latency")
    assert memory is not None
    assert memory > 100_000
    assert latency is not None
    assert 0 < latency <= reading.duration_ms


@pytest.mark.servers
async def test_the_depths_of_a_queue_are_its_keys_lengths(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey()
    await server.say("RPUSH", "bull:tree-builder:wait", *map(str, range(5)))
    await server.say("RPUSH", "bull:tree-builder:paused", "p")
    await server.say("RPUSH", "bull:tree-builder:active", "a", "b")
    await server.say("ZADD", "bull:tree-builder:prioritized", "1", "x", "2", "y", "3", "z")
    await server.say("ZADD", "bull:tree-builder:delayed", "1", "d")
    await server.say("ZADD", "bull:tree-builder:failed", *(str(n) for n in range(8)))
    reading = measured(await take(probe_of(server.url(), "tree-builder"), ASK))
    found = {s.name: s.value for s in reading.samples if s.labels == (("queue", "tree-builder"),)}
    depths = {name: value for name, value in found.items() if name.removeprefix("queue_") in COUNTS}
    assert depths == {
        "queue_waiting": 9,
        "queue_wait": 5,
        "queue_paused": 1,
        "queue_prioritized": 3,
        "queue_active": 2,
        "queue_delayed": 1,
        "queue_failed": 4,
    }
    assert reading.gaps == ()


@pytest.mark.servers
async def test_a_queue_that_is_not_there_has_no_length_and_one_that_was_made_has_none_waiting(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    await server.say("RPUSH", "bull:tree-builder:wait", *map(str, range(9000)))
    await server.say("HSET", "bull:made:meta", "version", "bullmq:5.0.0")
    await server.say("SET", "bull:drained:id", "17")  # Bull before 4 writes no meta
    await server.say("ZADD", "bull:all-done:completed", "1", "1")
    reading = measured(await take(probe_of(server.url(), "tree-bulider", "made", "drained", "all-done"), ASK))
    assert reading.values("queue_waiting", "queue") == {"made": 0, "drained": 0, "all-done": 0}
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("tree-bulider", "missing")]
    assert "no key bull:tree-bulider:* of BullMQ's is in database 0" in reading.gaps[0].error


@pytest.mark.servers
async def test_a_queue_of_another_database_or_another_prefix_is_missing_until_that_is_said(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    await server.say("RPUSH", "myapp:emails:wait", "1", "2")
    await server.say("HSET", "myapp:emails:meta", "version", "bullmq:5.0.0")
    prefixed = {"prefixes": {"emails": "myapp"}}
    assert measured(await take(probe_of(server.url(), "emails"), ASK)).gaps[0].kind == "missing"
    (elsewhere,) = measured(await take(probe_of(server.url(db=2), "emails", **prefixed), ASK)).gaps
    assert (elsewhere.kind, "is in database 2" in elsewhere.error) == ("missing", True)
    reading = measured(await take(probe_of(server.url(), "emails", **prefixed), ASK))
    assert (reading.number("queue_waiting", queue="emails"), reading.gaps) == (2, ())


@pytest.mark.servers
async def test_a_user_who_may_not_ask_whether_a_key_is_there_is_told_it_by_its_length(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    await server.say("HSET", "bull:made:meta", "version", "bullmq:5.0.0")
    allowed = ("+ping", "+dbsize", "+info", "+llen", "+zcard", "+select", "~bull:*")
    await server.say("SET", "bull:tree-builder:id", "1")
    await server.say("ACL", "SETUSER", "watcher", "on", f">{SECRET}", "-@all", *allowed)
    reading = measured(await take(probe_of(server.url(f"watcher:{SECRET}@"), "made", "mistyped"), ASK))
    assert reading.values("queue_waiting", "queue") == {"made": 0}
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("mistyped", "missing")]


@pytest.mark.servers
async def test_a_queue_whose_key_is_something_else_is_a_gap_and_the_rest_is_measured(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    await server.say("SET", "bull:odd:delayed", "text")
    await server.say("RPUSH", "bull:even:wait", "1")
    reading = measured(await take(probe_of(server.url(), "odd", "even"), ASK))
    assert [(gap.subject, gap.kind, gap.error) for gap in reading.gaps] == [
        ("odd", "protocol", "bull:odd:delayed cannot be counted: the key holds something else")
    ]
    assert reading.values("queue_waiting", "queue") == {"even": 1}
    assert reading.number("redis_keys") == 2


@pytest.mark.servers
async def test_keys_are_counted_in_the_database_the_url_names(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey()
    await server.say("SET", "a", "1")
    assert measured(await take(probe_of(server.url(db=3)), ASK)).number("redis_keys") == 0
    assert measured(await take(probe_of(server.url(db=0)), ASK)).number("redis_keys") == 1
    assert failed(await take(probe_of(server.url(db=99)), ASK)).kind == "missing"


@pytest.mark.servers
async def test_a_password_is_given_and_one_that_is_wrong_or_missing_is_auth(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey("--requirepass", SECRET)
    measured(await take(probe_of(server.url(f":{SECRET}@")), ASK))
    where = f"Redis at 127.0.0.1:{server.port}"
    assert failed(await take(probe_of(server.url()), ASK)) == Failure(
        "auth", f"{where} wants a password and was given none"
    )
    assert failed(await take(probe_of(server.url(":not-it@")), ASK)) == Failure(
        "auth", f"{where} refuses the user or password it was given"
    )


@pytest.mark.servers
async def test_a_password_for_a_server_without_one_does_no_harm(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey()
    assert failed(await take(probe_of(server.url(f":{SECRET}@")), ASK)).kind == "auth"


@pytest.mark.servers
async def test_a_user_who_may_only_count_is_enough(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey()
    allowed = ("+ping", "+dbsize", "+info", "+llen", "+zcard", "+select", "~bull:*")
    await server.say("SET", "bull:tree-builder:id", "1")
    await server.say("ACL", "SETUSER", "watcher", "on", f">{SECRET}", "-@all", *allowed)
    reading = measured(await take(probe_of(server.url(f"watcher:{SECRET}@"), "tree-builder"), ASK))
    assert reading.gaps == ()
    assert reading.number("queue_waiting", queue="tree-builder") == 0


@pytest.mark.servers
async def test_what_a_user_may_not_see_is_unknown_with_its_kind_and_the_rest_is_measured(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    await server.say("ACL", "SETUSER", "narrow", "on", f">{SECRET}", "-@all", "+ping", "+dbsize", "+llen", "~other")
    reading = measured(await take(probe_of(server.url(f"narrow:{SECRET}@"), "tree-builder"), ASK))
    assert {gap.subject: gap.kind for gap in reading.gaps} == {
        "redis": "permission",
        "tree-builder": "permission",
    }
    assert [s.value for s in reading.named("redis_memory")] == [None]
    assert reading.number("redis_keys") == 0


@pytest.mark.servers
async def test_a_user_who_may_not_even_ping_is_permission(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey()
    await server.say("ACL", "SETUSER", "nobody", "on", f">{SECRET}", "-@all")
    assert failed(await take(probe_of(server.url(f"nobody:{SECRET}@")), ASK)).kind == "permission"


@pytest.mark.servers
async def test_a_frozen_server_is_a_timeout_and_is_measured_again_once_it_runs(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    probe = probe_of(server.url())
    measured(await take(probe, ASK))
    server.freeze()
    for _ in range(2):  # over the kept connection, then over a new one
        failure = failed(await take(probe, SOON))
        assert failure == Failure("timeout", f"Redis at 127.0.0.1:{server.port} did not answer in time")
    server.thaw()
    measured(await take(probe, ASK))


@pytest.mark.servers
async def test_a_killed_server_is_refused_and_is_measured_again_once_it_is_back(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    probe = probe_of(server.url())
    measured(await take(probe, ASK))
    server.kill()
    for _ in range(2):
        failure = failed(await take(probe, ASK))
        assert failure.kind == "refused"
        assert "nothing listens there" in failure.error
    await server.start()
    measured(await take(probe, ASK))


@pytest.mark.servers
async def test_a_restart_between_two_readings_costs_neither(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey()
    probe = probe_of(server.url())
    measured(await take(probe, ASK))
    server.kill()
    await server.start()
    measured(await take(probe, ASK))


@pytest.mark.servers
async def test_a_server_that_takes_no_more_clients_is_refused(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey("--maxclients", "1")
    _, held = await asyncio.open_unix_connection(server.socket)
    try:
        assert failed(await take(probe_of(server.url()), ASK)).kind == "refused"
    finally:
        held.close()
        await held.wait_closed()


@pytest.mark.servers
async def test_a_unix_socket_is_connected_to_and_one_that_is_not_there_is_missing(
    start_valkey: StartValkey, probe_of: ProbeOf, tmp_path: Path
) -> None:
    server = await start_valkey()
    measured(await take(probe_of(f"unix://{server.socket}?db=2"), ASK))
    assert failed(await take(probe_of("unix:///nowhere/redis.sock"), ASK)) == Failure(
        "missing", "Redis at /nowhere/redis.sock has no socket there"
    )


# Servers that say other things than they should


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (b"-NOAUTH Authentication required.\r\n", "auth", "wants a password"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "refused", "still loading its data"),
        (b"-MOVED 3999 10.0.0.7:6381\r\n", "protocol", "node of a cluster"),
        (b"-CLUSTERDOWN The cluster is down\r\n", "protocol", "node of a cluster"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", "refused", "replica without its primary"),
        (b"-NOPERM this user has no permissions\r\n", "permission", "does not allow this user"),
        (b"-DENIED Redis is running in protected mode\r\n", "refused", "protected mode"),
        (b"-ERR max number of clients reached\r\n", "refused", "maximum number of clients"),
        (b"-ERR DB index is out of range\r\n", "missing", "no database of the number"),
        (b"-ERR unknown command 'PING', with args beginning with: 'hunter2'\r\n", "protocol", "an error (ERR)"),
        (b"+PANG\r\n", "protocol", "something else than PONG"),
        (b"$-1\r\n", "protocol", "something else than PONG"),
        (b":1\r\n", "protocol", "something else than PONG"),
        (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "protocol", "does not answer in the Redis protocol"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "protocol", "does not answer in the Redis protocol"),
        (b"\x00" * 20_000_000, "protocol", "does not answer in the Redis protocol"),
    ],
)
async def test_a_wrong_answer_to_the_ping_is_a_failure_with_its_kind(
    listen: Listen, probe_of: ProbeOf, answer: bytes, kind: str, says: str
) -> None:
    server = ScriptedRedis(but({b"PING": answer}))
    port = await listen(server.serve)
    failure = failed(await take(probe_of(f"redis://127.0.0.1:{port}"), ASK))
    assert failure.kind == kind
    assert says in failure.error
    assert failure.error.startswith(f"Redis at 127.0.0.1:{port} ")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "refused"),
        (b"-MOVED 3999 10.0.0.7:6381\r\n", "protocol"),
        (b"-CLUSTERDOWN The cluster is down\r\n", "protocol"),
        (b"-NOAUTH Authentication required.\r\n", "auth"),
    ],
)
async def test_a_server_that_answers_the_ping_and_is_not_the_one_for_the_counts_is_a_failure(
    listen: Listen, probe_of: ProbeOf, answer: bytes, kind: str
) -> None:
    server = ScriptedRedis(but({b"LLEN": answer}))
    port = await listen(server.serve)
    probe = probe_of(f"redis://127.0.0.1:{port}", "tree-builder")
    assert failed(await take(probe, ASK)).kind == kind
    server.script = healthy
    reading = measured(await take(probe, ASK))
    assert reading.number("queue_waiting", queue="tree-builder") == 4, "no late answer is taken for another"


async def test_a_server_that_cannot_save_to_disk_is_still_read(listen: Listen, probe_of: ProbeOf) -> None:
    server = ScriptedRedis(but({b"PING": b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"}))
    port = await listen(server.serve)
    assert measured(await take(probe_of(f"redis://127.0.0.1:{port}"), ASK)).number("redis_keys") == 125


async def test_an_error_that_echoes_the_password_is_not_repeated(listen: Listen, probe_of: ProbeOf) -> None:
    echo = f"-ERR unknown command `AUTH`, with args beginning with: `{SECRET}`\r\n".encode()
    server = ScriptedRedis(but({b"AUTH": echo}))
    port = await listen(server.serve)
    assert failed(await take(probe_of(f"redis://:{SECRET}@127.0.0.1:{port}"), ASK)).kind == "protocol"
    assert [b"AUTH", SECRET.encode()] in server.asked


async def test_what_the_server_will_not_say_is_unknown_and_not_zero(listen: Listen, probe_of: ProbeOf) -> None:
    server = ScriptedRedis(but({b"INFO": b"$9\r\nversion:7\r\n", b"DBSIZE": b"-ERR unknown command\r\n"}))
    port = await listen(server.serve)
    reading = measured(await take(probe_of(f"redis://127.0.0.1:{port}"), ASK))
    assert {s.name: s.value for s in reading.samples if s.name != "redis_latency"} == {
        "redis_refusal": None,
        "redis_keys": None,
        "redis_memory": None,
        "redis_memory_limit": None,
        "redis_policy": None,
        "redis_evicted": None,
    }
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("redis", "protocol")]


@pytest.mark.parametrize("answer", [b"$3\r\nabc\r\n", b"$-1\r\n", b"*1\r\n:4\r\n"])
async def test_a_queue_whose_length_is_no_number_is_a_gap(listen: Listen, probe_of: ProbeOf, answer: bytes) -> None:
    server = ScriptedRedis(but({b"LLEN": answer}))
    port = await listen(server.serve)
    reading = measured(await take(probe_of(f"redis://127.0.0.1:{port}", "tree-builder"), ASK))
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("tree-builder", "protocol")]
    assert list(reading.named("queue_waiting")) == []


async def test_a_server_that_hangs_up_without_an_answer_is_refused(listen: Listen, probe_of: ProbeOf) -> None:
    server = ScriptedRedis(but({b"PING": None}), hang_up=True)
    port = await listen(server.serve)
    assert failed(await take(probe_of(f"redis://127.0.0.1:{port}"), ASK)).kind == "refused"


async def test_a_web_server_is_no_redis(listen: Listen, probe_of: ProbeOf) -> None:
    server = ScriptedRedis(healthy, greeting=b"HTTP/1.0 400 Bad Request\r\n\r\n", hang_up=True)
    port = await listen(server.serve)
    assert failed(await take(probe_of(f"redis://127.0.0.1:{port}"), ASK)).kind in {"protocol", "refused"}


@pytest.mark.usefixtures("hasty")
async def test_a_server_that_falls_silent_is_a_timeout_of_the_probes_own(listen: Listen, probe_of: ProbeOf) -> None:
    async def silent_after(half: bytes | None) -> tuple[Failure, Failure]:
        port = await listen(ScriptedRedis(but({b"PING": half})).serve)
        failure = failed(await take(probe_of(f"redis://127.0.0.1:{port}"), ASK))
        return failure, Failure("timeout", f"Redis at 127.0.0.1:{port} did not answer in time")

    halves = (None, b"+PO", b"$4\r\nPO", b"*2\r\n+PONG\r\n")
    for half, (failure, expected) in zip(halves, await asyncio.gather(*map(silent_after, halves)), strict=True):
        assert failure == expected, half


async def test_an_answer_that_never_ends_is_a_timeout(listen: Listen, probe_of: ProbeOf) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"+" + b"a" * 1024)
                await writer.drain()
                await asyncio.sleep(0.001)

    port = await listen(pour)
    assert failed(await take(probe_of(f"redis://127.0.0.1:{port}"), IN_A_HURRY)).kind in {"timeout", "protocol"}


@pytest.mark.usefixtures("hasty")
async def test_a_black_hole_is_a_timeout_of_the_probes_own(probe_of: ProbeOf) -> None:
    with socket.socket() as hole, contextlib.ExitStack() as knocking:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        for _ in range(4):  # until the kernel takes no more connections for it
            client = knocking.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        failure = failed(await take(probe_of(f"redis://127.0.0.1:{port}"), ASK))
        assert failure == Failure("timeout", f"Redis at 127.0.0.1:{port} did not answer in time")


async def test_a_name_that_does_not_resolve_is_dns(probe_of: ProbeOf) -> None:
    assert failed(await take(probe_of("redis://no-such-host.invalid"), ASK)).kind == "dns"


# The connection


async def test_one_connection_is_kept_and_nothing_is_asked_that_walks_keys_or_writes(
    listen: Listen, probe_of: ProbeOf
) -> None:
    server = ScriptedRedis(healthy)
    port = await listen(server.serve)
    probe = probe_of(f"redis://watcher:{SECRET}@127.0.0.1:{port}/3", "tree-builder")
    for _ in range(3):
        measured(await take(probe, ASK))
    assert server.connections == 1
    assert {command[0] for command in server.asked} == {
        *(b"AUTH", b"SELECT"),
        *(b"PING", b"DBSIZE", b"INFO", b"LLEN", b"ZCARD", b"EXISTS"),
        *(b"LINDEX", b"ZRANGE", b"ZREVRANGE", b"ZCOUNT", b"HGET"),
    }


async def test_a_connection_the_server_dropped_between_two_readings_is_made_anew(
    listen: Listen, probe_of: ProbeOf
) -> None:
    server = ScriptedRedis(healthy)
    port = await listen(server.serve)
    probe = probe_of(f"redis://127.0.0.1:{port}")
    measured(await take(probe, ASK))
    server.drop()
    measured(await take(probe, ASK))
    assert server.connections == 2


async def test_a_cancelled_turn_leaves_no_answer_for_the_next(listen: Listen, probe_of: ProbeOf) -> None:
    server = ScriptedRedis(but({b"LLEN": None}))
    port = await listen(server.serve)
    probe = probe_of(f"redis://127.0.0.1:{port}", "tree-builder")
    turn = asyncio.ensure_future(take(probe, ASK))
    await server.heard.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    server.script = healthy
    reading = measured(await take(probe, ASK))
    assert reading.number("redis_keys") == 125
    assert server.connections == 2


async def test_a_closed_probe_connects_again_when_it_is_asked(listen: Listen, probe_of: ProbeOf) -> None:
    server = ScriptedRedis(healthy)
    port = await listen(server.serve)
    probe = probe_of(f"redis://127.0.0.1:{port}")
    await probe.close()
    measured(await take(probe, ASK))
    await probe.close()
    await probe.close()
    measured(await take(probe, ASK))
    assert server.connections == 2


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@localhost",
        f"redis://:{SECRET}/half@localhost:6379",
        "unix://",
        f"rediss://:{SECRET}@localhost?ssl_cert_reqs=maybe",
        f"redis://:{SECRET}@localhost?db=x",
        f"redis://:{SECRET}@localhost/jobs",
        f"redis://user:12/{SECRET}@localhost",
        f"redis://:{SECRET}@localhost/1/2",
        f"redis://:{SECRET}@localhost:70000",
        f"redis://:{SECRET}@localhost:0",
        "",
    ],
)
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refused:
        RedisProbe(url, ())
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


# TLS


@pytest.fixture
async def over_tls(listen: Listen, authority: Authority) -> tuple[ScriptedRedis, int]:
    server = ScriptedRedis(healthy)
    return server, await listen(server.serve, authority.server_side())


async def test_a_certificate_nobody_vouches_for_is_refused(
    over_tls: tuple[ScriptedRedis, int], probe_of: ProbeOf
) -> None:
    server, port = over_tls
    failure = failed(await take(probe_of(f"rediss://:{SECRET}@127.0.0.1:{port}"), ASK))
    assert failure.kind == "tls"
    assert "self-signed certificate" in failure.error.replace("self signed", "self-signed")
    assert server.asked == [], "no password before the certificate is trusted"


async def test_a_private_authority_is_trusted_when_its_file_is_given(
    over_tls: tuple[ScriptedRedis, int], probe_of: ProbeOf, authority: Authority
) -> None:
    _, port = over_tls
    url = f"rediss://127.0.0.1:{port}"
    assert measured(await take(probe_of(url, ca_file=str(authority.certificate)), ASK)).number("redis_keys") == 125


async def test_a_url_that_asks_for_no_verification_gets_none(
    over_tls: tuple[ScriptedRedis, int], probe_of: ProbeOf
) -> None:
    measured(await take(probe_of(f"rediss://127.0.0.1:{over_tls[1]}?ssl_cert_reqs=none"), ASK))


async def test_a_certificate_for_another_name_is_refused(
    over_tls: tuple[ScriptedRedis, int], probe_of: ProbeOf, authority: Authority
) -> None:
    probe = probe_of(f"rediss://localhost:{over_tls[1]}", ca_file=str(authority.certificate))
    failure = failed(await take(probe, ASK))
    assert failure.kind == "tls"
    assert "localhost" in failure.error


async def test_tls_to_a_server_without_it_is_tls(
    listen: Listen, probe_of: ProbeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await listen(ScriptedRedis(healthy, greeting=b"-ERR what is this\r\n").serve)
    failure = failed(await take(probe_of(f"rediss://127.0.0.1:{port}"), ASK))
    assert failure == Failure(
        "tls", f"Redis at 127.0.0.1:{port} does not speak TLS: it answers the handshake in plain text"
    )
    monkeypatch.setattr("monitord.redis.connection.HANDSHAKE_SHARE", 0.02)
    port = await listen(ScriptedRedis(healthy).serve)  # which waits for the end of a line
    failure = failed(await take(probe_of(f"rediss://127.0.0.1:{port}"), ASK))
    assert failure == Failure(
        "timeout",
        f"Redis at 127.0.0.1:{port} did not answer the TLS handshake in time: it hangs, or does not speak TLS",
    )


async def test_a_server_that_wants_tls_and_gets_none_is_a_failure(
    over_tls: tuple[ScriptedRedis, int], probe_of: ProbeOf
) -> None:
    assert failed(await take(probe_of(f"redis://127.0.0.1:{over_tls[1]}"), ASK)).kind in {"protocol", "refused"}


async def test_a_file_of_certificates_that_cannot_be_read_is_tls(probe_of: ProbeOf, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for file in (tmp_path / "missing.pem", empty):
        assert failed(await take(probe_of("rediss://127.0.0.1:1", ca_file=str(file)), ASK)).kind == "tls"


@pytest.mark.servers
async def test_a_real_server_behind_tls_is_measured_and_a_frozen_one_times_out(
    start_valkey: StartValkey, listen: Listen, probe_of: ProbeOf, authority: Authority
) -> None:
    server = await start_valkey("--requirepass", SECRET)

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(server.socket)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while chunk := await source.read(65536):
                    sink.write(chunk)
                    await sink.drain()
            sink.transport.abort()

        try:
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            inner_writer.transport.abort()

    port = await listen(tunnel, authority.server_side())
    probe = probe_of(f"rediss://:{SECRET}@127.0.0.1:{port}", "tree-builder", ca_file=str(authority.certificate))
    for _ in range(3):
        measured(await take(probe, ASK))
    server.freeze()
    assert failed(await take(probe, IN_A_HURRY)).kind == "timeout"
    server.thaw()
    measured(await take(probe, ASK))


# Alive, and of use to nobody


def refused(reading: Reading) -> dict[str, object]:
    return {why: said for why, said in measured(reading).values("redis_refusal", "why").items() if said}


@pytest.mark.servers
async def test_a_server_whose_save_failed_refuses_writes_and_one_that_saves_again_does_not(
    start_valkey: StartValkey, probe_of: ProbeOf, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    server = await start_valkey("--dir", str(data), "--save", "900", "1")
    probe = probe_of(server.url())
    assert refused(await take(probe, ASK)) == {}
    data.rmdir()
    async with asyncio.timeout(PATIENCE):
        await server.say("BGSAVE")
        while not (await server.say("SET", "a", "1")).startswith(b"-MISCONF"):  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.02)
    assert refused(await take(probe, ASK)) == {"misconf": "its last save to disk failed (MISCONF)"}
    await server.say("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
    assert refused(await take(probe, ASK)) == {}


@pytest.mark.servers
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ((("maxmemory", "1mb"),), "oom"),
        ((("maxmemory-policy", "volatile-lru"), ("maxmemory", "1mb")), "oom"),
        ((("maxmemory-policy", "allkeys-lru"), ("maxmemory", "1mb")), None),
        ((("min-replicas-to-write", "1"),), "noreplicas"),
        ((("maxclients", "1"),), "connections"),
    ],
)
async def test_a_state_in_which_the_next_client_is_refused_is_told(
    start_valkey: StartValkey, probe_of: ProbeOf, settings: tuple[tuple[str, str], ...], why: str | None
) -> None:
    server = await start_valkey()
    await server.say("SET", "a", "1")
    for name, value in settings:
        await server.say("CONFIG", "SET", name, value)
    assert list(refused(await take(probe_of(server.url()), ASK))) == ([] if why is None else [why])


@pytest.mark.servers
async def test_a_read_only_replica_refuses_writes(start_valkey: StartValkey, probe_of: ProbeOf) -> None:
    server = await start_valkey()
    await server.say("REPLICAOF", "127.0.0.1", "1")
    assert refused(await take(probe_of(server.url()), ASK)) == {"replica": "it is a read-only replica of 127.0.0.1:1"}


@pytest.mark.servers
async def test_a_server_that_accepts_no_further_client_is_full_and_not_away(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    await server.say("CONFIG", "SET", "maxclients", "1")
    first = probe_of(server.url())
    measured(await take(first, ASK))
    assert failed(await take(probe_of(server.url()), ASK)).full


# How much is read


@pytest.mark.parametrize(
    "answer",
    [
        b"$500000000\r\n" + b"x" * 2_000_000,
        b"*4294967295\r\n" + b":1\r\n" * 500_000,
        b"*1\r\n" * 100_000,
        b"*1000000\r\n" + b"*0\r\n" * 500_000,
    ],
)
async def test_an_answer_that_is_too_large_or_too_deep_is_not_read_to_its_end(
    listen: Listen, probe_of: ProbeOf, answer: bytes
) -> None:
    for command in (b"PING", b"INFO"):
        port = await listen(ScriptedRedis(but({command: answer})).serve)
        assert failed(await take(probe_of(f"redis://127.0.0.1:{port}"), ASK)).kind == "protocol"


# What is asked of jobs

QUEUE = "bull:tree-builder"
NOW_MS = int(ASK.now * 1000)


def of_jobs(reading: Reading) -> dict[str, object]:
    """What was measured of the queue's jobs, without how many there are."""
    found = {s.name.removeprefix("queue_"): s.value for s in measured(reading).samples if s.name.startswith("queue_")}
    return {name: value for name, value in found.items() if name not in COUNTS}


@pytest.mark.servers
async def test_of_jobs_it_is_measured_whether_they_move_fail_and_wait(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    probe = probe_of(server.url(), "tree-builder")
    await server.say("RPUSH", f"{QUEUE}:wait", "3", "2", "1")
    await server.say("HSET", f"{QUEUE}:1", "timestamp", str(NOW_MS - 90_000), "data", "{}")
    await server.say("ZADD", f"{QUEUE}:failed", str(NOW_MS - 7_200_000), "x", str(NOW_MS - 60_000), "y")
    assert of_jobs(await take(probe, ASK)) == {"is_paused": 0, "failed_recently": 1, "oldest": 90.0}
    assert of_jobs(await take(probe, ASK))["moved"] == 0
    await server.say("RPOPLPUSH", f"{QUEUE}:wait", f"{QUEUE}:active")
    assert of_jobs(await take(probe, ASK))["moved"] == 1
    await server.say("HSET", f"{QUEUE}:meta", "paused", "1")
    found = of_jobs(await take(probe, ASK))
    assert (found["moved"], found["is_paused"], "oldest" in found) == (0, 1, False)  # the next one's hash is not there


@pytest.mark.servers
async def test_failed_jobs_that_are_removed_are_counted_by_what_came_since_and_by_the_workers_count(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    probe = probe_of(server.url(), "tree-builder")
    await server.say("SET", f"{QUEUE}:id", "9")
    await server.say("ZADD", f"{QUEUE}:failed", str(NOW_MS - 5000), "1", str(NOW_MS - 4000), "2")
    assert "failed_since" not in of_jobs(await take(probe, ASK))
    # Only the newest two are kept: two more failed, and two of before are gone.
    await server.say("ZADD", f"{QUEUE}:failed", str(NOW_MS - 3000), "3", str(NOW_MS - 2000), "4")
    await server.say("ZREM", f"{QUEUE}:failed", "1", "2")
    found = of_jobs(await take(probe, ASK))
    assert (found["failed_since"], found["failed_recently"]) == (2, 2)
    await server.say("DEL", f"{QUEUE}:failed")
    await server.say("HSET", f"{QUEUE}:metrics:failed", "count", "41", "prevTS", "1")
    found = of_jobs(await take(probe, ASK))
    assert (found["failed_since"], found["failed_recently"], found["failures_total"]) == (0, 0, 41)


@pytest.mark.servers
async def test_what_a_job_is_called_is_told_to_nobody_and_may_be_as_long_as_it_likes(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    probe = probe_of(server.url(), "tree-builder", "small")
    await server.say("RPUSH", f"{QUEUE}:wait", f"{SECRET}@example.com")
    await server.say("RPUSH", "bull:small:wait", "1")
    assert SECRET not in repr(await take(probe, ASK))
    await server.say("LPUSH", "bull:small:active", "x" * 2_000_000)
    reading = measured(await take(probe, ASK))
    assert reading.values("queue_waiting", "queue") == {"tree-builder": 1, "small": 1}
    assert of_jobs(reading) == {}
    await server.say("DEL", "bull:small:active")
    assert "is_paused" in of_jobs(await take(probe, ASK))


@pytest.mark.servers
async def test_a_user_who_may_only_count_jobs_costs_no_more_than_what_is_asked_of_them(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey()
    await server.say("RPUSH", f"{QUEUE}:wait", "1")
    await server.say(
        *("ACL", "SETUSER", "counter", "on", ">secret", "~*"),
        *("+ping", "+dbsize", "+info", "+exists", "+llen", "+zcard", "+select"),
    )
    probe = probe_of(server.url("counter:secret@"), "tree-builder")
    for _ in range(2):
        reading = measured(await take(probe, ASK))
        assert (reading.gaps, of_jobs(reading)) == ((), {})


async def test_a_reading_takes_few_commands_whatever_a_queue_holds(listen: Listen, probe_of: ProbeOf) -> None:
    asked: list[bytes] = []

    def answer(command: list[bytes]) -> bytes:
        asked.append(command[0])
        match command:
            case [b"EXISTS", *_] | [b"ZCOUNT", *_]:
                return b":1\r\n"
            case [b"LINDEX", *_] | [b"HGET", *_]:
                return b"$1\r\n7\r\n"
            case [b"ZRANGE" | b"ZREVRANGE", *_]:
                return b"*2\r\n$1\r\n7\r\n$1\r\n7\r\n"
            case _:
                return healthy(command)

    probe = probe_of(f"redis://127.0.0.1:{await listen(ScriptedRedis(answer).serve)}", "a", "b")
    measured(await take(probe, ASK))
    asked.clear()
    measured(await take(probe, ASK))
    per_server = 1 + 1 + 6  # PING, DBSIZE and the sections of INFO
    assert len(asked) == per_server + 2 * 18
    assert asked.count(b"PING") == 1


@pytest.mark.servers
async def test_what_a_server_may_use_and_what_it_gave_up_for_want_of_it_is_measured(
    start_valkey: StartValkey, probe_of: ProbeOf
) -> None:
    server = await start_valkey("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
    probe = probe_of(server.url())
    before = measured(await take(probe, ASK))
    assert (before.number("redis_memory_limit"), before.word("redis_policy")) == (3 * 2**20, "allkeys-lru")
    for name in range(40):
        await server.say("SET", f"k{name}", "x" * 100_000)
    after = measured(await take(probe, ASK))
    assert (after.number("redis_evicted") or 0) > 0
    assert (after.number("redis_keys") or 0) < 40


# Between readings


def heard_of(probe: RedisProbe) -> asyncio.Queue[str]:
    signs: asyncio.Queue[str] = asyncio.Queue()
    probe.listen(signs.put_nowait)
    return signs


async def test_a_kept_connection_that_the_server_closes_is_heard_of_and_the_next_reading_is_well(
    listen: Listen, probe_of: ProbeOf
) -> None:
    server = ScriptedRedis(healthy)
    probe = probe_of(f"redis://:{SECRET}@127.0.0.1:{await listen(server.serve)}")
    signs = heard_of(probe)
    for connections in (1, 2):
        measured(await take(probe, ASK))
        assert server.connections == connections
        server.drop()
        async with asyncio.timeout(PATIENCE):
            said = await signs.get()
        assert "closed the kept connection" in said
        assert SECRET not in said
    measured(await take(probe, ASK))
    await probe.close()
    assert signs.empty(), "what this side closes is no sign"


async def test_a_real_server_that_ends_its_idle_clients_is_heard_of(empty_valkey: str, probe_of: ProbeOf) -> None:
    probe = probe_of(empty_valkey)
    signs = heard_of(probe)
    measured(await take(probe, ASK))
    async with Redis.from_url(empty_valkey, socket_timeout=PATIENCE) as admin:
        await admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
    async with asyncio.timeout(PATIENCE):
        assert "closed the kept connection" in await signs.get()
    measured(await take(probe, ASK))


async def test_what_a_server_says_unasked_ends_the_connection_and_is_no_answer_to_the_next_question(
    listen: Listen, probe_of: ProbeOf
) -> None:
    server = ScriptedRedis(but({b"LLEN": b":4\r\n:4\r\n"}))
    probe = probe_of(f"redis://127.0.0.1:{await listen(server.serve)}", "tree-builder")
    signs = heard_of(probe)
    await take(probe, ASK)
    server.script = healthy
    async with asyncio.timeout(PATIENCE):
        await signs.get()
    assert measured(await take(probe, ASK)).number("queue_waiting", queue="tree-builder") == 4


async def test_a_ping_between_readings_is_one_ping_over_the_kept_connection(listen: Listen, probe_of: ProbeOf) -> None:
    server = ScriptedRedis(healthy)
    probe = probe_of(f"redis://127.0.0.1:{await listen(server.serve)}", "tree-builder")
    signs = heard_of(probe)
    assert await answers(probe)
    assert server.connections == 0, "without a connection there is nothing to ask over"
    measured(await take(probe, ASK))
    asked = len(server.asked)
    assert await answers(probe)
    assert await answers(probe)
    assert server.asked[asked:] == [[b"PING"]] * 2
    assert measured(await take(probe, ASK)).number("queue_waiting", queue="tree-builder") == 4
    assert server.connections == 1
    assert signs.empty()


async def test_a_ping_that_is_refused_is_an_answer_and_one_that_is_not_answered_costs_the_connection(
    listen: Listen, probe_of: ProbeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedRedis(healthy)
    probe = probe_of(f"redis://127.0.0.1:{await listen(server.serve)}")
    signs = heard_of(probe)
    measured(await take(probe, ASK))
    server.script = but({b"PING": b"-NOPERM no permission to run the 'ping' command\r\n"})
    assert await answers(probe)
    server.script = but({b"PING": None})
    monkeypatch.setattr("monitord.probes.base.PING_SECONDS", 0.05)
    assert not await answers(probe)
    server.script = healthy
    measured(await take(probe, ASK))
    assert server.connections == 2
    assert signs.empty(), "the connection was let go of by this side"


async def test_a_ping_while_a_reading_is_under_way_asks_nothing(listen: Listen, probe_of: ProbeOf) -> None:
    server = ScriptedRedis(but({b"DBSIZE": None}))
    probe = probe_of(f"redis://127.0.0.1:{await listen(server.serve)}")
    reading = asyncio.create_task(take(probe, Request(now=ASK.now, timeout=PATIENCE)))
    async with asyncio.timeout(PATIENCE):
        while [b"DBSIZE"] not in server.asked:
            server.heard.clear()
            await server.heard.wait()
    pings = server.asked.count([b"PING"])
    assert await answers(probe)
    assert server.asked.count([b"PING"]) == pings
    reading.cancel()
    await asyncio.wait([reading])
