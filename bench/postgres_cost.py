"""What a cycle costs the Postgres that is watched: its own CPU, statements, temporary files; by the size of its past.

The probes are asked as the daemon asks them, at the times of a night: every 30 s from a label's grace on, the databases
by turns. The CPU is that of the server's process behind the connection, read before and after each cycle. No root is
recomputed: that is one seal of a group an hour, beside the cycles.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from bench.figures import Figure, of
from bench.measure import table
from monitord.core.history.epochs import window_seconds
from monitord.core.orders import StandingOrders
from monitord.core.subjects.pipeline_settings import PipelineSettings
from monitord.demo.seed import apply_schema
from monitord.postgres.session import Session
from monitord.probes.base import Probe, Request, take
from monitord.probes.epochs import EpochsProbe
from monitord.probes.pipeline import PipelineProbe
from monitord.probes.postgres import PostgresProbe
from monitord.testing.sandbox import Sandbox
from monitord.testing.servers.postgres import PostgresServer

HOUR: Final = 3600
NOON: Final = 1_762_300_800
INTERVAL: Final = 30.0
SECONDS: Final = 1200.0  # of one statement that fills a table
_FIRST: Final = 3  # cycles that read what is read once
_MILO: Final = 12
_SETTLED: Final = 0.02  # seconds until the server's process waits for the next statement

# One seal in fifteen has no tree and is not published, as most of an old backlog. No two roots are the same. The labels
# that fall due while it is measured are sealed already.
_SEALED = f"""
SELECT {NOON - HOUR}::int8 - n * {HOUR} AS epoch, 'channel' || c AS channel, md5(c || '/' || n) AS digits,
       c % 15 AS lot, CASE WHEN c < {_MILO} THEN 'MILO' ELSE 'CLS' END AS name
FROM generate_series(-2, $1::int8 - 1) AS n, generate_series(0, $2::int8 - 1) AS c
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class Size:
    """A past: labels of so many channels each, participants of a seal, and further rows in user_signals."""

    name: str
    channels: int
    labels: int
    participants: int
    signals: int


SMALL: Final = Size("172 channels", 172, 100, 12, 0)
LARGE: Final = Size("172 channels, 20 M rows", 172, 500, 12, 20_000_000)
WIDE: Final = Size("10,000 channels", 10_000, 26, 2, 0)
SIZES: Final = (SMALL, LARGE, WIDE)


@dataclass(slots=True)
class Cost:
    """What the cycles cost: CPU milliseconds of each, and by statement how many and in all; files of the server's."""

    cycles: list[float] = field(default_factory=list)
    by_statement: dict[str, tuple[int, float]] = field(default_factory=dict)
    temp_files: int = 0
    failures: set[str] = field(default_factory=set)


def cpu_ms(pid: int) -> float:
    """CPU of another process so far, in milliseconds, by its clock (Linux)."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e6


async def fill(connection: asyncpg.Connection[asyncpg.Record], size: Size) -> None:
    """Seal the past, with its trees, participants, participation and signals."""
    users = f"CROSS JOIN generate_series(0, {size.participants - 1}) AS u"
    hashed = "md5(channel || u) || md5(u::text)"
    for into, columns, by_user, where in (
        (
            "sealed_epochs",
            "epoch, channel, digits || digits, epoch + 3780, (lot <> 0)::int, name, 'x', to_timestamp(epoch + 3900)",
            "",
            "true",
        ),
        (
            "l2_tree_cache",
            f"epoch, channel, digits || digits, repeat('f', 400), {size.participants}, epoch + 3800",
            "",
            "lot <> 0",
        ),
        ("sealed_participants", f"epoch, channel, u, {hashed}, NULL, name, 'x'", users, "true"),
        ("channel_participation", f"epoch, channel, {hashed}, epoch + u * 300, name, 'x'", users, "true"),
        ("user_signals", f"epoch, channel, {hashed}, 'chat', 1, epoch + u * 300", users, "true"),
    ):
        statement = f"INSERT INTO {into} SELECT {columns} FROM ({_SEALED}) s {by_user} WHERE {where}"  # noqa: S608 - as above
        await connection.execute(statement, size.labels, size.channels, timeout=SECONDS)
    if size.signals:
        await connection.execute(
            f"INSERT INTO user_signals SELECT {NOON - HOUR}::int8 - i % 2000 * {HOUR}, 'channel' || i % 172, i::text, "  # noqa: S608
            "'chat', 1, i FROM generate_series(1, $1::int8) AS i",
            size.signals,
            timeout=SECONDS,
        )
    await connection.execute("VACUUM ANALYZE", timeout=SECONDS)


def probes(session: Session) -> list[Probe]:
    """Those of Postgres, as the daemon has them."""
    orders = StandingOrders()
    window, length = window_seconds(orders), int(orders.epoch_length.total_seconds())
    grace = orders.epoch_grace.total_seconds()
    return [
        PostgresProbe(session, orders.tables, length),
        EpochsProbe(session, orders.groups, length, window, grace, orders.cemented),
        PipelineProbe(session, PipelineSettings(verify="off"), orders, window),
    ]


async def temp_files(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    """How many files the server has made so far for what did not fit into memory, for this database."""
    await asyncio.sleep(1.2)  # until a session that has become idle tells it
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    return int(await connection.fetchval("SELECT temp_files FROM pg_stat_database WHERE datname = current_database()"))


class Watched:
    """One database and the probes on it, and what each cycle has cost it."""

    def __init__(self, dsn: str) -> None:
        self.found = Cost()
        self._session = Session(dsn)
        self._probes = probes(self._session)
        self._now = NOON + 1000.0
        self._last = 0.0
        self._pid: int | None = None
        self._spent: dict[str, list[float]] = defaultdict(list)

    async def cycle(self) -> None:
        """One cycle; its cost is kept, but for the first few."""
        began = 0.0
        if self._pid is not None:
            self._last = began = cpu_ms(self._pid)
        readings = await asyncio.gather(*(take(probe, Request(self._now, 60.0)) for probe in self._probes))
        self.found.failures |= {f"{one.probe}: {one.failure.error}" for one in readings if one.failure is not None}
        self._now += INTERVAL
        await asyncio.sleep(_SETTLED)
        if self._pid is not None:
            self.found.cycles.append(cpu_ms(self._pid) - began)

    def follow(self) -> None:
        """Keep what cycles cost from now on."""
        connection = self._session._connection
        assert connection is not None
        self._pid = connection.get_server_pid()
        connection.add_query_logger(self._asked)

    async def close(self) -> None:
        for probe in self._probes:
            await probe.close()
        await self._session.close()
        self.found.by_statement = {text: (len(each), sum(each)) for text, each in self._spent.items()}

    def _asked(self, record: asyncpg.connection.LoggedQuery) -> None:
        assert self._pid is not None
        is_at = cpu_ms(self._pid)
        self._spent[_short(record.query)].append(is_at - self._last)
        self._last = is_at


def _short(statement: str) -> str:
    return re.sub(r"\s+", " ", statement).strip()[:60]


Costs = list[tuple[Size, Cost]]


async def measure(
    sizes: Sequence[Size] = SIZES, cycles: int = 240, say: Callable[[str], None] = lambda _: None
) -> Costs:
    """What so many cycles cost an embedded Postgres with a database of each size."""
    async with AsyncExitStack() as stack:
        sandbox = stack.enter_context(Sandbox())
        server = PostgresServer(sandbox)
        await server.start()
        stack.push_async_callback(server.stop)
        watched, admins = [], []
        for number, size in enumerate(sizes):
            say(f"a database of {size.name}")
            dsn = await server.create_database(f"cost{number}")
            admin = await asyncpg.connect(dsn, timeout=30)
            stack.callback(admin.terminate)
            await apply_schema(admin)
            await fill(admin, size)
            admins.append(admin)
            watched.append(Watched(dsn))
            stack.push_async_callback(watched[-1].close)
        before = [await temp_files(admin) for admin in admins]
        say(f"{cycles} cycles over each, by turns")
        for _ in range(_FIRST):
            for one in watched:
                await one.cycle()
        for one in watched:
            one.follow()
        for _ in range(cycles):
            for one in watched:
                await one.cycle()
        for one in watched:
            await one.close()
        for one, admin, files in zip(watched, admins, before, strict=True):
            one.found.temp_files = await temp_files(admin) - files
    return [(size, one.found) for size, one in zip(sizes, watched, strict=True)]


def tables(costs: Costs) -> str:
    """The tables, by the first of the sizes."""
    cycles = len(costs[0][1].cycles)
    first = statistics.median(costs[0][1].cycles)
    rows = [
        [
            size.name,
            f"{statistics.median(found.cycles):.2f} ms",
            f"{statistics.median(found.cycles) / first:.2f}",
            f"{statistics.mean(found.cycles):.2f} ms",
            f"{max(found.cycles):.1f} ms",
            f"{sum(many for many, _ in found.by_statement.values()) / cycles:.1f}",
            str(found.temp_files),
            "; ".join(sorted(found.failures)) or "-",
        ]
        for size, found in costs
    ]
    heads = [
        "Postgres' own CPU a cycle",
        "median",
        "of the first",
        "mean",
        "most",
        "statements",
        "temp files",
        "failed",
    ]
    told = [table(f"{cycles} cycles {INTERVAL:g} s apart", heads, rows)]
    for size, found in costs:
        dearest = sorted(found.by_statement.items(), key=lambda item: -item[1][1])[:12]
        told.append(
            table(
                f"{size.name}: the dearest statements",
                ["statement", "a cycle", "ms a cycle", "ms each"],
                [
                    [text, f"{many / cycles:.2f}", f"{spent / cycles:.3f}", f"{spent / many:.2f}"]
                    for text, (many, spent) in dearest
                ],
            )
        )
    return "\n\n".join(told)


def figures(costs: Costs) -> list[Figure]:
    """The rows of the table of the whole; the others' sizes by the first of them."""
    (size, first), *others = costs
    how = f"the server's process behind the connection, median of {len(first.cycles)} cycles {INTERVAL:g} s apart"
    made = [of("postgres_cycle", f"Postgres' CPU a cycle, {size.name}", first.cycles, "ms", 1.5, how)]
    for more, found in others:
        ratio = statistics.median(found.cycles) / statistics.median(first.cycles)
        name = f"postgres_{more.channels}_channels" + ("_large" if more.signals else "")
        files = f"{found.temp_files} temporary files"
        made.append(
            Figure(name, f"Postgres' CPU a cycle, {more.name}", ratio, "x", 1.2, f"of that of the first; {files}")
        )
    return made
