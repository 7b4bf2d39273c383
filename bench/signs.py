"""How soon a fault is notified with the settings as they are by default: real servers, and a real webhook.

Each fault has servers and a monitord of its own, and is made at another moment of the cycle each time.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from bench.bus_latency import running
from bench.figures import Figure, of
from monitord.testing.sandbox import Sandbox
from monitord.testing.servers.pm2 import Pm2Server
from monitord.testing.servers.postgres import PostgresServer
from monitord.testing.servers.valkey import ValkeyServer

PATIENCE_SECONDS = 120.0
CYCLE_SECONDS = 30.0
FIRING = "monitord.alert.firing"
SLEEPER = "import signal\nsignal.pause()\n"
# No disk, memory or load of the machine that measures is to be reported beside the fault.
ELSEWHERE = {"MONITORD_HOST__DISKS": "[]", "MONITORD_ORDERS__HOST_MEMORY": "0B"}

Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Case:
    """One fault: the settings of who watches it, how it is made and undone, and the alert that it is to be."""

    settings: dict[str, str]
    break_it: Act
    mend: Act
    rule: str


Prepare = Callable[[Sandbox], Awaitable[Case]]


class Hook:
    """A receiver of webhooks, and when each event came (Unix seconds)."""

    def __init__(self) -> None:
        self.got: list[tuple[float, str, str]] = []
        self._came = asyncio.Condition()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            at = time.time()
            length = next(line for line in head.split("\r\n") if line.lower().startswith("content-length"))
            body = json.loads(await reader.readexactly(int(length.partition(":")[2])))
            writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            async with self._came:
                alert = body["data"].get("alert") or {}
                self.got.append((at, body["type"], alert.get("rule", "")))
                self._came.notify_all()
        writer.close()

    async def came(self, after: float, rule: str) -> float:
        """When the alert of this rule came that fired after this moment."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._came:
            while True:
                for at, kind, name in self.got:
                    if at > after and (kind, name) == (FIRING, rule):
                        return at
                await self._came.wait()


async def _pm2(sandbox: Sandbox) -> Pm2Server:
    pm2 = Pm2Server(sandbox)
    await pm2.start()
    script = sandbox.directory / "sleeper.py"
    script.write_text(SLEEPER)
    app = {"script": str(script), "interpreter": sys.executable}
    await pm2.start_apps({"apps": [{"name": name, **app} for name in ("gateway", "worker")]})
    return pm2


async def _stopped(sandbox: Sandbox) -> Case:
    pm2 = await _pm2(sandbox)
    return Case(
        {"MONITORD_PM2__HOME": str(pm2.home)},
        lambda: pm2("stop", "gateway"),
        lambda: pm2("start", "gateway"),
        "service_down",
    )


async def _god_killed(sandbox: Sandbox) -> Case:
    pm2 = await _pm2(sandbox)
    await pm2("save")

    async def mend() -> None:
        await pm2("resurrect")

    return Case({"MONITORD_PM2__HOME": str(pm2.home)}, pm2.kill, mend, "pm2_unreachable")


async def _god_frozen(sandbox: Sandbox) -> Case:
    pm2 = await _pm2(sandbox)
    return Case({"MONITORD_PM2__HOME": str(pm2.home)}, _now(pm2.pause), _now(pm2.resume), "pm2_unreachable")


async def _redis_killed(sandbox: Sandbox) -> Case:
    valkey = ValkeyServer(sandbox)
    await valkey.start()
    return Case({"MONITORD_REDIS__URL": valkey.url()}, valkey.kill, valkey.start, "redis_unreachable")


async def _redis_frozen(sandbox: Sandbox) -> Case:
    valkey = ValkeyServer(sandbox)
    await valkey.start()
    return Case({"MONITORD_REDIS__URL": valkey.url()}, _now(valkey.pause), _now(valkey.resume), "redis_unreachable")


async def _postgres_killed(sandbox: Sandbox) -> Case:
    postgres = PostgresServer(sandbox)
    await postgres.start()
    return Case({"MONITORD_POSTGRES__DSN": postgres.dsn()}, postgres.kill, postgres.start, "postgres_unreachable")


async def _postgres_frozen(sandbox: Sandbox) -> Case:
    postgres = PostgresServer(sandbox)
    await postgres.start()
    return Case(
        {"MONITORD_POSTGRES__DSN": postgres.dsn()},
        _now(postgres.pause),
        _now(postgres.resume),
        "postgres_unreachable",
    )


CASES: dict[str, Prepare] = {
    "pm2 stop APP": _stopped,
    "PM2's daemon killed": _god_killed,
    "PM2's daemon frozen": _god_frozen,
    "Redis killed": _redis_killed,
    "Redis frozen": _redis_frozen,
    "Postgres killed": _postgres_killed,
    "Postgres frozen": _postgres_frozen,
}


async def measure_signs(*, rounds: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Seconds from each fault to its webhook, by fault."""
    found = await asyncio.gather(*(_measured(name, prepare, rounds, say) for name, prepare in CASES.items()))
    return dict(zip(CASES, found, strict=True))


async def _measured(name: str, prepare: Prepare, rounds: int, say: Callable[[str], None]) -> list[float]:
    found: list[float] = []
    chance = random.Random(name)  # noqa: S311 - moments of a cycle, the same in each run
    async with AsyncExitStack() as stack:
        sandbox = stack.enter_context(Sandbox())
        case = await prepare(sandbox)
        hook, port = await stack.enter_async_context(_hook())
        settings = {
            "MONITORD_PM2__HOME": "",
            "MONITORD_NOTIFY__WEBHOOK_URL": f"http://127.0.0.1:{port}/",
            **ELSEWHERE,
            **case.settings,
        }
        for number in range(rounds):
            directory = sandbox.directory / f"round-{number}"
            directory.mkdir()
            # A monitord of its own each time: the same fault again and again would be one that flaps.
            async with running(directory, **settings):
                # By parts of the cycle, so that each part of it has its turn.
                await asyncio.sleep(CYCLE_SECONDS * (number + chance.random()) / rounds)
                at = time.time()
                await case.break_it()
                found.append(await hook.came(at, case.rule) - at)
                say(f"{name}: {found[-1]:.1f} s")
            await case.mend()
    return found


def _now(act: Callable[[], None]) -> Act:
    async def acted() -> None:
        act()

    return acted


@asynccontextmanager
async def _hook() -> AsyncIterator[tuple[Hook, int]]:
    hook = Hook()
    server = await asyncio.start_server(hook, "127.0.0.1", 0)
    try:
        yield hook, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def summary(found: dict[str, list[float]]) -> list[list[str]]:
    """The rows of the table."""
    return [
        [
            f"{name} ({len(values)} times)",
            f"{statistics.median(values):.1f} s",
            f"{min(values):.1f} .. {max(values):.1f} s",
        ]
        for name, values in found.items()
    ]


# The most that each may take, in seconds.
TARGETS = {"pm2 stop APP": 5.5, "Redis killed": 6.0, "Postgres killed": 6.0, "Postgres frozen": 18.0}


def figures(found: dict[str, list[float]]) -> list[Figure]:
    """The rows of the table of the whole."""
    return [
        of(
            f"told_{'_'.join(word.strip(chr(39)).lower() for word in name.split())}",
            f"{name}, to the webhook",
            values,
            "s",
            TARGETS.get(name),
            f"{len(values)} times, settings as they are by default, spread over the cycle of {CYCLE_SECONDS:.0f} s",
        )
        for name, values in found.items()
    ]
