"""What the statements about the pipeline read, on tables of two sizes: the past grows, what is asked for does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench.measure import table
from monitord.demo.seed import apply_schema
from monitord.postgres import queries
from monitord.postgres.participation import spellings
from monitord.postgres.pipeline import TABLES
from monitord.testing.sandbox import Sandbox
from monitord.testing.servers.postgres import PostgresServer

HOUR = 3600
NEWEST = 1_762_300_800 - HOUR
NOW = float(NEWEST + HOUR + 1200)
CHANNELS, MILO, EACH, LABELS, WINDOW = 172, 12, 12, 100, 24
GROWN = 5
SECONDS = 600.0
GROUPS = ["MILO", "CLS"]
HEADS = ("statement", "how often", "buffers", f"buffers, tables {GROWN} ×", "ms", f"ms, tables {GROWN} ×")

_SEALED = f"""
SELECT $1::int8 - n * {HOUR} AS epoch, 'channel' || c AS channel, md5(c::text || n) AS digits, n % 3 + c AS lot,
       CASE WHEN c < {MILO} THEN 'MILO' ELSE 'CLS' END AS name
FROM generate_series($2::int8, $3::int8) AS n, generate_series(0, {CHANNELS - 1}) AS c
"""  # noqa: S608 - of constants


def _fill(into: str, columns: str, *, by_user: bool = True, where: str = "true") -> str:
    """A statement that fills a table with these columns of every seal, or of every participant of it."""
    users = f"CROSS JOIN generate_series(0, {EACH - 1}) AS u" if by_user else ""
    return f"INSERT INTO {into} SELECT {columns} FROM ({_SEALED}) s {users} WHERE {where}"  # noqa: S608 - as above


# One seal in fifteen has no tree and is not published, as most of an old backlog.
FILL = (
    _fill(
        "sealed_epochs",
        "epoch, channel, digits || digits, epoch + 3780, (lot % 15 <> 0)::int, name, 'x', to_timestamp(epoch + 3900)",
        by_user=False,
    ),
    _fill(
        "l2_tree_cache",
        f"epoch, channel, digits || digits, repeat('f', 4000), {EACH}, epoch + 3800",
        by_user=False,
        where="lot % 15 <> 0",
    ),
    _fill("sealed_participants", "epoch, channel, u, md5(channel || u), NULL, name, 'x'"),
    _fill("channel_participation", "epoch, channel, md5(channel || u), epoch + u * 300, name, 'x'"),
    _fill("user_signals", "epoch, channel, md5(channel || u), 'chat', 1, epoch + u * 300"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One statement, how often it is sent, and its arguments."""

    name: str
    often: str
    text: str
    arguments: tuple[Any, ...]


def statements() -> list[Asked]:
    """Those of the pipeline's probe, as it sends them."""
    window = [NEWEST - ago * HOUR for ago in range(WINDOW)]
    both = {"trees": True, "indexed": True}
    each, card = "each that is recomputed", "each case, 12 times an epoch"
    moved, twelfth, new = "when the counters moved", "12 times an epoch", "once a label, and when it changed"
    return [
        Asked("newest three labels marked", moved, queries.marked(trees=True), (window[:3],)),
        Asked("the window marked", twelfth, queries.marked(trees=True), (window,)),
        Asked("one label signed", new, queries.signed(**both), (window[:1], GROUPS)),
        Asked("stages of one label", new, queries.stages(**both, participants=True), (window[:1], GROUPS)),
        Asked(
            "stages of the window", "once, at the start", queries.stages(**both, participants=True), (window, GROUPS)
        ),
        Asked("duplicate roots", "when a root changed", queries.DUPLICATES, (window, GROUPS, window[:1])),
        Asked("channels sealed last", twelfth, queries.LATEST, (window[:3], GROUPS, 5)),
        Asked("a page of the backlog and its trees", twelfth, queries.backlog(trees=True), (window[-1] - HOUR, 2000)),
        Asked("published in the window", "once, at the start", queries.PUBLISHED, (window, NOW - HOUR)),
        Asked("published in three labels", twelfth, queries.PUBLISHED, (window[:3], NOW - HOUR)),
        Asked(
            "newest published of each channel",
            "each time the chain is asked",
            queries.NEWEST_PUBLISHED,
            (GROUPS, [group.lower() for group in GROUPS], window[-1], NEWEST, NOW, 15_000),
        ),
        Asked("newest signal", twelfth, queries.NEWEST_SIGNAL, (NEWEST, NOW, 300_000)),
        Asked("who joined one label", twelfth, queries.JOINED, (NEWEST, GROUPS, HOUR, 12, 200_000)),
        Asked("unique viewers of one label", "once a label", queries.VIEWERS_OF_LABEL, (NEWEST, GROUPS, 200_000)),
        Asked("rosters", twelfth, queries.ROSTER, (*spellings(["MILO"]), *spellings(GROUPS), 101)),
        Asked("which tables there are", twelfth, queries.ACCESS, (list(TABLES),)),
        Asked("whether names are kept", twelfth, queries.NAMES_KEPT, (NEWEST,)),
        Asked(
            "seals to choose one of",
            "once an hour and group",
            queries.SEALS,
            (NEWEST, NEWEST, "CLS", None, NEWEST + 1, "", "", "", 2000),
        ),
        Asked("what a channel is sealed for", each, queries.SEALED_FOR, (NEWEST, "channel3")),
        Asked("the tree of a seal", each, queries.TREE, (NEWEST, "channel3")),
        Asked("a test case's seal", card, queries.PUBLISHED_FOR, (NEWEST, "channel3")),
        Asked("a test case's participant", card, queries.PARTICIPANT, (NEWEST, "channel3", "ab" * 32)),
        Asked(
            "a page of participants", "while one is recomputed", queries.PARTICIPANTS, (NEWEST, "channel3", -1, 8192)
        ),
    ]


async def _explained(connection: asyncpg.Connection[asyncpg.Record], one: Asked) -> tuple[int, float]:
    """Buffers and milliseconds of a statement, the second time it is sent."""
    found: tuple[int, float] = (0, 0.0)
    for _ in range(2):
        async with connection.transaction(readonly=True):
            await connection.execute("SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0")
            if "LEFT JOIN trees" in one.text:
                await connection.execute(queries.NO_NESTED_LOOPS)
            text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {one.text}", *one.arguments)
        plan = json.loads(text)[0]
        found = (plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"], plan["Execution Time"])
    return found


async def measured() -> str:
    """The table, of an embedded Postgres that is filled twice."""
    with Sandbox() as sandbox:
        server = PostgresServer(sandbox)
        await server.start()
        try:
            connection = await asyncpg.connect(await server.create_database("pipeline"), timeout=30)
            await apply_schema(connection)
            figures: list[list[tuple[int, float]]] = []
            filled = 0
            for labels in (LABELS, LABELS * GROWN):
                for statement in FILL:
                    await connection.execute(statement, NEWEST, filled, labels - 1, timeout=SECONDS)
                await connection.execute("VACUUM ANALYZE", timeout=SECONDS)
                filled = labels
                figures.append([await _explained(connection, one) for one in statements()])
            await connection.close(timeout=5)
        finally:
            await server.stop()
    rows = [
        [one.name, one.often, f"{few:,}", f"{many:,}", f"{quick:.1f}", f"{slow:.1f}"]
        for one, (few, quick), (many, slow) in zip(statements(), *figures, strict=True)
    ]
    sealed = LABELS * CHANNELS
    title = (
        f"{sealed:,} seals and {sealed * EACH:,} rows each of participants, participation and signals; and {GROWN} ×"
    )
    return table(title, HEADS, rows)
