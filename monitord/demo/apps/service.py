"""The life that the small services share: a loop of turns, and connections that come back when a server does.

A service outlives every outage: a turn that fails drops the connections, says so once, and the next turn connects
again, each step with a deadline. It ends when PM2 says so, and by itself when nobody owns its fleet any more.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from monitord.demo.apps.faults import Faults

if TYPE_CHECKING:
    import asyncpg
    from redis.asyncio import Redis

TURN_SECONDS = 10.0
CONNECT_SECONDS = 3.0
REQUEST_SECONDS = 5.0
CRASH_AFTER_SECONDS = 1.2
# The exit status of a service whose fleet has no owner any more; PM2 does not restart after it.
NO_OWNER = 78


class DemoService:
    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch_seconds = int(os.environ["FLEET_EPOCH_SECONDS"])
        self._directory = Path(os.environ["FLEET_DIRECTORY"])
        self.faults = Faults(self._directory / "faults")
        self._stopping = asyncio.Event()
        self._postgres: asyncpg.Connection | None = None
        self._redis: Redis | None = None
        self._away: type[BaseException] | None = None

    async def postgres(self) -> "asyncpg.Connection":
        import asyncpg

        if self._postgres is None or self._postgres.is_closed():
            self._postgres = await asyncpg.connect(
                os.environ["FLEET_DSN"], timeout=CONNECT_SECONDS, command_timeout=TURN_SECONDS
            )
        return self._postgres

    async def redis(self) -> "Redis":
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        if self._redis is None:
            self._redis = Redis.from_url(
                os.environ["FLEET_REDIS_URL"],
                decode_responses=True,
                single_connection_client=True,
                socket_timeout=CONNECT_SECONDS,
                socket_connect_timeout=CONNECT_SECONDS,
                retry=Retry(NoBackoff(), 0),  # the loop is the retry
            )
        return self._redis

    async def run(self, turn: Callable[[], Awaitable[object]], every: float) -> None:
        """Run until stopped, `every` so many seconds."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        started = time.monotonic()
        self.say("service_started", f"{self.name} started", pid=os.getpid())
        while not self._stopping.is_set():
            if not self._is_owned():
                self.say("service_orphaned", f"{self.name} ends: nobody owns this fleet any more")
                sys.exit(NO_OWNER)
            if self.faults.amount("crash", self.name) and time.monotonic() - started > CRASH_AFTER_SECONDS:
                self.say("service_crashing", f"{self.name} crashes, as the demo asks")
                sys.exit(1)
            await self._take(turn)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), every)
        await self._disconnect()

    def say(self, event: str, message: str, **fields: object) -> None:
        """One JSON line on stdout; PM2 being gone, and the pipe with it, is no reason to fail."""
        with suppress(OSError):
            print(json.dumps({"event": event, "message": message, **fields}), flush=True)  # noqa: T201 - PM2's log

    async def _take(self, turn: Callable[[], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await turn()
        except Exception as error:  # noqa: BLE001 - whatever went wrong with a server, the service must outlive it
            await self._disconnect()
            if type(error) is not self._away:
                self.say("turn_failed", f"{self.name} goes on after {type(error).__name__}")
            self._away = type(error)
        else:
            if self._away is not None:
                self.say("turn_recovered", f"{self.name} works again")
            self._away = None

    async def _disconnect(self) -> None:
        postgres, redis = self._postgres, self._redis
        self._postgres = self._redis = None
        if postgres is not None:
            postgres.terminate()  # a polite close would wait for a server that may be frozen
        if redis is not None:
            with suppress(Exception):
                await asyncio.wait_for(redis.aclose(), 1)

    def _is_owned(self) -> bool:
        try:
            os.kill(int((self._directory / "owner.pid").read_text()), 0)
        except (FileNotFoundError, ProcessLookupError):
            return False
        except (OSError, ValueError):
            return True  # alive, but somebody else's; or the file cannot be read just now
        return True


async def answer_once(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: Mapping[str, object], status: str = "200 OK"
) -> None:
    """Answer one HTTP request with JSON and close the connection, whatever the other side does."""
    with suppress(OSError, ValueError, asyncio.IncompleteReadError):
        async with asyncio.timeout(REQUEST_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
            body = json.dumps(fields).encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
            await writer.drain()
    writer.close()
