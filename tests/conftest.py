"""Real servers for the tests: each started once a session and only when a test asks for it, all gone at the end.

The session's fixtures are synchronous: the servers belong to no event loop, so that every test may have its own.
What only they need is imported by them: whoever listens to the workers starts none, nor does a test that needs none.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import itertools
import math
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hypothesis
import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from monitord.runtime.signals import SIGNALS
from tests.support.children import EndedLate
from tests.support.reports import tell_what_is_shown
from tests.support.scheduling import longest_first
from tests.untried import pytest_terminal_summary as pytest_terminal_summary

if TYPE_CHECKING:
    from monitord.demo.stack import Stack
    from monitord.testing.sandbox import Sandbox
    from monitord.testing.servers.pm2 import Pm2Server
    from monitord.testing.servers.postgres import PostgresServer
    from monitord.testing.servers.valkey import ValkeyServer

# Whoever starts the tests in the background, or by nohup, has these ignored; children would inherit that, and could not
# be interrupted by the tests that try it. A handler is not inherited, and this one ignores them all the same.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

# How long an example takes says how busy the machine is, and nothing of the program. Each run draws other ones.
hypothesis.settings.register_profile("any machine", deadline=None, max_examples=50)
hypothesis.settings.load_profile("any machine")

SERVERS = {"postgres", "valkey", "pm2", "real_pm2", "stack", "start", "watched", "hooks", "chrome"}
"""Fixtures that start a server of the fleet, a daemon, a receiver that it tells, or a browser."""
PATIENCE = 60.0
"""Seconds a test waits for what must happen before it fails: only a failing test ever waits this long."""

FINISH_SECONDS = 100.0
"""Longest that the session's servers may take to start or to stop: less than a test has in all."""

CHILDREN_SECONDS = 110.0
"""How long a test's processes may run: less than the test itself, so that it fails by what it waits for."""

HUNG_SECONDS = 180.0
"""A test that hangs where no signal gets it out ends its worker, with every thread's stack, after this long and..."""
HUNG_WITHIN = 60.0
"""...at most so many seconds more: to begin and to end that watch for each test makes each one wait for a thread."""

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

T = TypeVar("T")

_numbers = itertools.count(1)
_ended_late = EndedLate(CHILDREN_SECONDS)
_watched_from = -math.inf


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        tell_what_is_shown(config)


def pytest_collection() -> None:
    """What is collected stays: going through it again and again while it grows frees nothing."""
    gc.disable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whoever asks for a server is marked `servers`, so that `-m 'not servers'` is the fast half."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("servers")
    if hasattr(config, "workerinput"):  # one of several workers
        longest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """What a test has started is ended before the time of the test is up: see `EndedLate`.

    Signals go where they went before: a daemon that ran in this process has them ignored, and children inherit that.
    """
    kept = [(number, signal.getsignal(number)) for number in SIGNALS]
    try:
        with _ended_late:
            return (yield)
    finally:
        for number, handler in kept:
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """A test that hangs for good is watched for: see `HUNG_SECONDS`."""
    global _watched_from
    if (now := time.monotonic()) - _watched_from > HUNG_WITHIN:
        _watched_from = now
        told = item.config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(HUNG_SECONDS + HUNG_WITHIN, exit=True, file=told)


def pytest_exception_interact() -> None:
    """Where a test has failed, pytest ends the watch: the next test begins it again."""
    global _watched_from
    _watched_from = -math.inf


def pytest_sessionfinish() -> None:
    """Nothing is watched for any more."""
    faulthandler.cancel_dump_traceback_later()


def pytest_collection_finish() -> None:
    """What was collected stays to the end, with the little garbage in it: the collector goes through none of it."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def finish(work: Coroutine[Any, Any, T], within: float = FINISH_SECONDS) -> T:
    """Run a coroutine to its end on a thread of its own, beside whatever loop the tests have.

    Raises:
        TimeoutError: It did not end in so many seconds. A thread that hangs all the same is left behind.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(asyncio.run(asyncio.wait_for(work, within)))
        except BaseException as error:  # noqa: BLE001 - the other thread raises it
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(within + 10)


@pytest.fixture
def eventually() -> Eventually:
    """Asks again and again until the answer is true, and returns it; fails after a minute."""

    async def wait(question: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(PATIENCE):
            pause = 0.005
            while not (answer := await question()):
                await asyncio.sleep(pause)
                pause = min(0.05, 2 * pause)
            return answer

    return wait


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Where this session's single servers live."""
    from monitord.testing.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def stack_dir(sandbox: Sandbox) -> Path:
    """The directory of this session's single servers."""
    return sandbox.directory


@pytest.fixture(scope="session")
def postgres(sandbox: Sandbox) -> PostgresServer:
    """A Postgres that answers. A test that pauses or kills it brings it back."""
    from monitord.testing.servers.postgres import PostgresServer

    server = PostgresServer(sandbox)
    finish(server.start())
    return server


@pytest.fixture(scope="session")
def valkey(sandbox: Sandbox) -> ValkeyServer:
    """A Valkey that answers. A test that pauses or kills it brings it back."""
    from monitord.testing.servers.valkey import ValkeyServer

    server = ValkeyServer(sandbox)
    finish(server.start())
    return server


@pytest.fixture(scope="session")
def pm2(sandbox: Sandbox) -> Pm2Server:
    """A PM2 that answers, without apps. A test that starts some deletes them: see `empty_pm2`."""
    from monitord.testing.servers.pm2 import Pm2Server

    server = Pm2Server(sandbox)
    finish(server.start())
    return server


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The whole stack with its fleet, on epochs of five seconds. A test that breaks something mends it.

    It is started for each file, in four seconds: on a worker that has no more use for it, it would only take time.
    """
    from monitord.demo.stack import Stack

    stack = Stack(epoch_seconds=5)
    finish(stack.start())
    try:
        yield stack
    finally:
        finish(stack.stop())


@pytest.fixture
async def empty_database(postgres: PostgresServer) -> AsyncIterator[str]:
    """The DSN of a database of one's own, without tables."""
    name = f"empty_{next(_numbers)}"
    dsn = await postgres.create_database(name)
    yield dsn
    await postgres.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
async def fleet_database(empty_database: str) -> str:
    """The DSN of a database of one's own with the fleet's tables, keys and indexes, and no rows."""
    import asyncpg

    from monitord.demo.seed import apply_schema

    connection = await asyncpg.connect(empty_database, timeout=10)
    try:
        await apply_schema(connection)
    finally:
        await connection.close(timeout=5)
    return empty_database


@pytest.fixture
async def empty_valkey(valkey: ValkeyServer) -> str:
    """The URL of a Valkey without keys."""
    from redis.asyncio import Redis

    async with Redis.from_url(valkey.url(), socket_timeout=5) as redis:
        await redis.flushall()
    return valkey.url()


@pytest.fixture
async def empty_pm2(pm2: Pm2Server) -> AsyncIterator[Pm2Server]:
    """A PM2 without apps, before and after."""
    from monitord.testing.sandbox import StackError

    yield pm2
    await pm2.start()
    with suppress(StackError):  # there were none
        await pm2("delete", "all")
